"""``delphi curves``: files in, tables and a page out, one-line errors."""

from __future__ import annotations

import json
import re

import pandas as pd
import pytest

import delphi
from delphi.cli import main

pytest.importorskip("plotly")
pytest.importorskip("jinja2")


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    runs = delphi.simulate.curves(
        scales=(3e18, 1e19, 3e19, 1e20), mixes=("web",), lrs=(1e-3,), n_points=30, rng=0
    )
    path = tmp_path_factory.mktemp("curves") / "runs.csv"
    runs.to_csv(path, index=False)
    return path


def test_tables_page_and_files(file, tmp_path, capsys):
    assert main(["curves", str(file), "-o", str(tmp_path / "out"), "--no-left-out"]) == 0
    said = capsys.readouterr().out
    assert "Mean error by prefix" in said
    assert "What this says" in said
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {
        "curves.html", "cards.json", "fits.csv", "scores.csv", "scores_by_scale.csv",
        "endpoint_laws.csv", "endpoints_held_out.csv", "joint_scores.csv",
    }  # fmt: skip
    scores = pd.read_csv(tmp_path / "out" / "scores.csv")
    assert scores["n_runs"].max() == 4


def test_cards_and_ridges_are_those_asked_for(file, tmp_path):
    words = ["curves", str(file), "-o", str(tmp_path), "--no-left-out", "--quiet"]
    assert main([*words, "--ridge", "1e-3", "--ridge", "0", "--card", "ensemble@0.3"]) == 0
    cards = json.loads((tmp_path / "cards.json").read_text())
    runs = [name for name in cards if name.startswith("web-")]
    assert runs[0] == "web-1e19-0.001, ensemble from prefix 0.3"
    assert len(runs) == 4
    assert {"joint fits, global, ridge 0.001", "joint fits, global, ridge 0"} <= set(cards)
    assert "endpoint laws up to 3e19 FLOPs" in cards
    assert cards[runs[0]]["rows_read"] == 4 * 30
    joint = pd.read_csv(tmp_path / "joint_scores.csv")
    assert joint["ridge"].unique().tolist() == [1e-3, 0.0]


@pytest.mark.parametrize("card", ["ensemble", "@0.5", "ensemble@2", "ensemble@x"])
def test_a_card_is_a_method_at_a_prefix(file, card, capsys):
    with pytest.raises(SystemExit):
        main(["curves", str(file), "--card", card])
    assert "expected METHOD@PREFIX" in capsys.readouterr().err


def test_a_card_of_no_fit_is_refused(file, capsys):
    assert main(["curves", str(file), "--no-left-out", "--card", "cubic-mae@0.5"]) == 2
    assert "no fit 'cubic-mae' at prefix 0.5" in capsys.readouterr().err


def test_json(file, capsys):
    assert main(["curves", str(file), "--json", "--no-left-out", "--quiet"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert {"mae", "worst", "coverage"} <= set(value["tables"])
    assert value["files"] == []


def test_what_is_taken_for_the_end_is_said(tmp_path, capsys):
    runs = delphi.simulate.curves(
        scales=(3e18, 1e19), mixes=("web",), lrs=(5e-4, 1e-3, 2e-3), n_points=30, rng=0
    )
    late = (runs["run"] == "web-1e19-0.001") & (runs["step"] > 0.5 * runs["total_steps"])
    path = tmp_path / "cut.csv"
    runs[~late].drop(columns="total_steps").to_csv(path, index=False)
    assert main(["curves", str(path), "--json", "--no-left-out", "--quiet"]) == 0
    value = json.loads(capsys.readouterr().out)
    said = " ".join(value["reading"])
    assert "No planned length (total) is named" in said
    assert "web-1e19-0.001 ends before most runs like it" in said
    assert value["tables"]["odd"][0]["what"] == "ends before most runs like it"
    runs[~late].to_csv(path, index=False)  # with total_steps
    assert main(["curves", str(path), "--json", "--no-left-out", "--quiet"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert "planned length" not in " ".join(value["reading"])
    assert value["tables"]["odd"][0]["what"] == "unfinished"


def test_columns_by_other_names(file, tmp_path, capsys):
    table = pd.read_csv(file).rename(columns={"loss": "eval/c4", "scale": "C", "run": "id"})
    other = tmp_path / "other.csv"
    table.to_csv(other, index=False)
    names = ["--column", "loss=eval/c4", "--column", "scale=C", "--column", "run=id"]
    assert main(["curves", str(other), *names, "--json", "--no-left-out", "--quiet"]) == 0
    one = json.loads(capsys.readouterr().out)
    assert main(["curves", str(file), "--json", "--no-left-out", "--quiet"]) == 0
    two = json.loads(capsys.readouterr().out)
    assert one["tables"]["mae"] == two["tables"]["mae"]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("a,b\n1,2\n", "no column for run"),
        ("run,step,loss\n", "no rows"),
        ("run,step,loss\na,1,hello\n", "loss"),
        ("run,step,loss\na,1,3\na,-1,2\n", "no run|step|row"),
    ],
)
def test_bad_files_end_in_one_line(tmp_path, capsys, text, what):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    assert main(["curves", str(path), "-o", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert said.startswith("delphi: ")
    assert re.search(what, said)
    assert "Traceback" not in said
    assert not (tmp_path / "out").exists()


def test_no_files_and_no_demo(capsys):
    assert main(["curves"]) == 2
    assert "--demo" in capsys.readouterr().err
    assert main(["curves", "--demo", "runs.csv"]) == 2
    assert main(["curves", "runs.csv", "--column", "speed=x"]) == 2
    assert "unknown 'speed'" in capsys.readouterr().err


@pytest.mark.slow
def test_demo(tmp_path, capsys):
    assert main(["curves", "--demo", "--no-left-out", "-o", str(tmp_path / "demo"), "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    assert (tmp_path / "demo" / "curves.html").stat().st_size > 1e6
