"""The downstream part of a report: its tables, its figure, and the command line."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import delphi
from delphi.cli import main
from delphi.report.downstream import analyse_evals, write_evals_report

AT = (1e22, 1e25)


@pytest.fixture(scope="module")
def evals():
    return delphi.simulate.evals(rng=0)


@pytest.fixture(scope="module")
def told(evals):
    return analyse_evals(evals, forecast_at=AT, level=0.9)


def test_forecasts_have_a_row_a_task_and_compute_and_hold_the_truth(evals, told):
    rows = {t.key: t.to_records() for t in told.tables}
    frame = pd.DataFrame(rows["downstream_forecast"])
    assert len(frame) == 3 * len(AT)
    assert ((frame["low"] < frame["mid"]) & (frame["mid"] < frame["high"])).all()
    assert set(frame["level"]) == {0.9}
    (L_inf, A, alpha), (k, x0, v, floor, ceiling) = evals.attrs["truth"]["MMLU 5-Shot"]
    x = -(L_inf + A * (1e25 / 1e18) ** -alpha)
    truth = delphi.richards(x, k, x0, v, floor, ceiling)
    row = frame[(frame["task"] == "MMLU 5-Shot") & (frame["compute"] == 1e25)].iloc[0]
    assert row["low"] < truth < row["high"]
    assert {len(told.fits[t].held_out) for t in told.fits} == {2}
    assert len(rows["downstream_held_out"]) == 6
    assert len(rows["predictability"]) == 3


def test_a_task_without_a_fit_keeps_its_row_and_its_reason(evals):
    flat = evals[evals["task"] == "MMLU 5-Shot"].assign(task="flat", hard=0.25)
    both = pd.concat([evals, flat], ignore_index=True)
    floor = {task: 0.25 if task == "flat" else None for task in both["task"].unique()}
    floor = {t: c if c is not None else 0.25 * t.startswith("MMLU") for t, c in floor.items()}
    told = analyse_evals(both, floor=floor, forecast_at=AT)
    rows = pd.DataFrame(told.tables[0].to_records()).set_index("task").loc["flat"]
    assert rows["hard"].isna().all()
    assert rows["status"].str.contains("constant").all()
    assert [len(drawing.draw(False).layout.updatemenus[0].buttons) for drawing in told.drawings()] \
        == [3]  # fmt: skip


def test_a_page_of_evaluations_alone(told, tmp_path):
    report = write_evals_report(told, tmp_path / "out", title="<b>")
    page = report.page.read_text()
    assert all(words in page for words in ("&lt;b&gt;", "Downstream forecasts", "MMLU 5-Shot"))
    assert set(report.figures) == {"mmlu-emergence", "mmlu-emergence-mobile"}
    figure = json.loads(report.figures["mmlu-emergence"].read_text())
    assert len(figure["layout"]["updatemenus"][0]["buttons"]) == 3


def test_the_command_line_alone_and_with_runs(evals, tmp_path, capsys):
    file = tmp_path / "evals.csv"
    evals.to_csv(file, index=False)
    assert main(["report", "--evals", str(file), "--at", "1e23", "--json"]) == 0
    alone = json.loads(capsys.readouterr().out)
    assert len(alone["tables"]["downstream_forecast"]) == 3
    runs = tmp_path / "runs.csv"
    delphi.simulate.ladder(rng=0).to_csv(runs, index=False)
    args = ["report", str(runs), "--evals", str(file), "--at", "1e23", "--json", "--quiet"]
    assert main([*args, "-o", str(tmp_path / "out")]) == 0
    both = json.loads(capsys.readouterr().out)
    assert both["tables"]["downstream_forecast"] == alone["tables"]["downstream_forecast"]
    assert {"laws", "predictability"} <= set(both["tables"])
    assert (tmp_path / "out" / "mmlu-emergence.json").exists()


def test_chance_and_held_out_by_option(evals, tmp_path, capsys):
    file = tmp_path / "evals.csv"
    evals.replace({"MMLU 5-Shot": "quiz"}).to_csv(file, index=False)
    common = ["report", "--evals", str(file), "--json", "--quiet"]
    assert main(common) == 2
    assert "quiz: what chance scores is not known" in capsys.readouterr().err
    assert main([*common, "--chance", "quiz=0.25", "--fit-below", "inf"]) == 0
    tables = json.loads(capsys.readouterr().out)["tables"]
    assert "downstream_held_out" not in tables
    assert {row["task"]: row["chance"] for row in tables["predictability"]}["quiz"] == 0.25


def test_a_wide_file_by_options(evals, tmp_path, capsys):
    one = evals[(evals["task"] == "MMLU 5-Shot") & ~evals["pool"]]
    wide = pd.DataFrame(
        {"run": [f"run {i}" for i in range(len(one))], "flops": one["compute"].to_numpy(),
         "step": 2, "lp/quiz": one["soft"].to_numpy(), "acc/quiz": one["hard"].to_numpy()}
    )  # fmt: skip
    early = wide.assign(step=1, flops=wide["flops"] / 2)
    file = tmp_path / "wide.csv"
    pd.concat([early, wide]).to_csv(file, index=False)
    named = ["soft=lp/{task}", "hard=acc/{task}", "hard=other/{task}", "model=run", "step=step"]
    args = ["report", "--evals", str(file), "--json", "--quiet", "--chance", "0.25"]
    for name in named:
        args += ["--eval-column", name]
    assert main(args) == 0
    told = json.loads(capsys.readouterr().out)
    assert [row["task"] for row in told["tables"]["predictability"]] == ["quiz"]
    assert f"left out: {len(wide)} (an earlier step)" in told["reading"][-1]
    assert main(["report", "--evals", str(file), "--eval-column", "soft=nll/{task}"]) == 2
    assert "both soft and hard" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [["--eval-column", "soft"], ["--chance", "x=2"], ["--fit-below", "0"], ["--chance", "x"]],
)
def test_bad_options_are_named(words, capsys):
    with pytest.raises(SystemExit):
        main(["report", "--evals", "x.csv", *words])
    assert words[0] in capsys.readouterr().err


def test_nothing_to_report_is_an_error(capsys):
    assert main(["report"]) == 2
    assert "RUNS" in capsys.readouterr().err


def test_simulated_evaluations_repeat_and_have_their_truth(evals):
    again = delphi.simulate.evals(rng=np.random.default_rng(0))
    pd.testing.assert_frame_equal(again, evals)
    assert set(evals.attrs["truth"]) == set(evals["task"])
