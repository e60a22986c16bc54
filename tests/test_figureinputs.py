"""Evaluations and a sweep among the figures: what is read, how it is fitted, what is refused."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest

import delphi
from delphi import cli, simulate
from delphi.figureinputs import SweepFile, draw_evals, draw_sweep, read_sweep

pytest.importorskip("plotly")
pytest.importorskip("sklearn")
pytestmark = pytest.mark.filterwarnings("ignore::delphi.FitWarning")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "runs.csv"
    one = {"Aster": simulate.DEFAULT_SUITES["Aster"]}
    simulate.ladder(suites=one, seeds=1, rng=0).to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def sweep_file(tmp_path_factory):
    """Two cells a batch size and token count, tokens a little off each time, some unfinished."""
    drawn = delphi.simulate_sweep(n_trials=25, cells=2, rng=3)
    trials = drawn.trials.reset_index(drop=True)
    trials["tokens"] *= np.random.default_rng(0).uniform(0.99, 1.01, len(trials))
    trials["state"] = np.where(np.arange(len(trials)) % 10 == 9, "crashed", "finished")
    path = tmp_path_factory.mktemp("sweep") / "sweep.csv"
    trials.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def eval_files(tmp_path_factory):
    """GSM8K of a ladder and of other models, from a known curve."""
    folder = tmp_path_factory.mktemp("evals")
    rng = np.random.default_rng(1)
    C = np.geomspace(3e18, 1e22, 10)
    bits = {"ladder": 0.35 + 400 * C**-0.141, "pool": rng.uniform(0.4, 1.2, 20)}
    for name, z in bits.items():
        right = delphi.richards(-z, 15.0, -0.6, 1.0, 0.0, 0.85)
        table = pd.DataFrame({"macro_bpb": z, "exact_match_flex": rng.binomial(1319, right) / 1319})
        if name == "ladder":
            table.insert(0, "budget", C)
        else:
            table.insert(0, "display_name", [f"<b>model {i}</b>" for i in range(len(z))])
        table.to_json(folder / f"{name}.json", orient="records")
    return {"gsm8k": folder / "ladder.json", "gsm8k_pool": folder / "pool.json"}


def test_the_command_writes_both_wide_and_narrow(runs, sweep_file, eval_files, tmp_path):
    options = ["--sweep", str(sweep_file), "--gsm8k", str(eval_files["gsm8k"])]
    options += ["--gsm8k-pool", str(eval_files["gsm8k_pool"]), "--quiet"]
    assert cli.main(["figures", str(runs), "-o", str(tmp_path), *options]) == 0
    for name in ("mmlu-emergence", "hparam-scaling"):
        wide, narrow = (
            json.loads((tmp_path / f"{name}{end}.json").read_text()) for end in ("", "-mobile")
        )
        assert len(wide["data"]) == len(narrow["data"]) > 5
        assert "height" not in wide["layout"]
        assert narrow["layout"]["height"] > 600
        assert narrow["layout"]["yaxis"]["domain"] != wide["layout"]["yaxis"]["domain"]
    named = json.loads((tmp_path / "mmlu-emergence.json").read_text())["data"]
    models = {str(row[0]) for trace in named for row in trace.get("customdata", [])}
    assert "&lt;b&gt;model 3&lt;/b&gt;" in models


def test_evaluations_are_fitted_as_the_library_does(eval_files):
    fig = draw_evals(eval_files)["mmlu-emergence"]
    fit = delphi.fit_downstreams(
        pd.concat(
            [
                delphi.read_evals(eval_files["gsm8k"], task="GSM8K 5-Shot", pool=False),
                delphi.read_evals(eval_files["gsm8k_pool"], task="GSM8K 5-Shot", pool=True),
            ]
        )
    )["GSM8K 5-Shot"]
    label = next(t.name for t in fig.data if t.name and "asymptote" in t.name)
    assert f"{fit.law.alpha:.3f}" in label
    bars = [t for t in fig.data if t.error_y.array is not None]
    assert len(bars) == 2  # the forecast on both panels, with its interval


def test_one_file_alone_is_enough(eval_files):
    drawn = draw_evals({"gsm8k": eval_files["gsm8k"]})
    assert set(drawn) == {"mmlu-emergence", "mmlu-emergence-mobile"}
    assert draw_evals({}) == {}


def test_the_sweep_is_read_into_cells(sweep_file):
    with pytest.warns(delphi.DataWarning, match="trials did not finish and are left out"):
        trials, knobs, by = read_sweep(SweepFile(sweep_file))
    table = pd.read_csv(sweep_file)
    assert len(trials) == (table["state"] == "finished").sum() < len(table)
    assert {h.name for h in knobs} == {"lr", "adam_lr", "epsilon", "beta1", "beta2"}
    assert {h.scale for h in knobs if h.name.startswith("beta")} == {"log(1 - x)"}
    assert by == ["batch_size", "tokens"]
    assert trials["tokens"].nunique() == 1 < table["tokens"].nunique()
    # What is 10% apart or more stays apart, and the loss is the file's own.
    np.testing.assert_array_equal(trials["loss"], table.loc[table["state"] == "finished", "loss"])


def test_columns_can_be_named(sweep_file, runs, tmp_path):
    table = pd.read_csv(sweep_file).rename(columns={"lr": "my rate", "loss": "my loss"})
    table.drop(columns="state").to_csv(tmp_path / "s.csv", index=False)
    options = ["--sweep", str(tmp_path / "s.csv"), "--sweep-knob", "my rate", "--sweep-knob"]
    options += ["beta1=momentum", "--sweep-by", "batch_size", "--sweep-metric", "my loss"]
    options += ["--sweep-completed-adamh", "--quiet", "-o", str(tmp_path / "out")]
    assert cli.main(["figures", str(runs), *options]) == 0
    figure = json.loads((tmp_path / "out" / "hparam-scaling.json").read_text())
    titles = [figure["layout"][name]["title"]["text"] for name in ("xaxis", "xaxis2")]
    assert titles == ["my rate", "beta1"]
    assert "CompletedAdamH" in {t.get("name") for t in figure["data"]}
    assert len(figure["layout"]["updatemenus"]) <= 1


def write(folder, name, rows):
    path = folder / name
    path.write_text(rows if isinstance(rows, str) else json.dumps(rows))
    return path


@pytest.mark.parametrize("compat", [False, True])
@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"name": "a", "tokens": 1e9, "loss": 3.0}], "no hyperparameter of a known name"),
        ([{"lr": 1e-3, "tokens": 1e9}], "no column of the loss"),
        ([{"lr": 1e-3, "loss": 3.0, "state": "crashed"}], "none of 1 trials finished"),
        ([{"lr": 1e-3, "loss": "three"}], "loss"),
        ("{broken", "broken JSON"),
        ("[]", "no rows"),
    ],
)
def test_a_wrong_sweep_is_said(tmp_path, rows, said, compat):
    path = write(tmp_path, "sweep.json", rows)
    with pytest.raises(delphi.DataError, match=said):
        draw_sweep(SweepFile(path), compat=compat)
    with pytest.raises(delphi.DataError, match="no such file"):
        draw_sweep(SweepFile(tmp_path / "none.json"), compat=compat)


def test_a_sweep_that_is_not_the_notebooks_is_said(sweep_file):
    with (
        pytest.warns(delphi.DataWarning),
        pytest.raises(delphi.DataError, match=r"sweep\.csv: the notebook's caches are JSON"),
    ):
        draw_sweep(SweepFile(sweep_file), compat=True)
    with pytest.raises(delphi.DataError, match="compat takes no others"):
        draw_sweep(SweepFile(sweep_file, metric="loss"), compat=True)


def test_a_cache_without_a_column_of_the_notebook_is_said(tmp_path):
    path = write(tmp_path, "sweep.json", [{"lr": 1e-3, "loss": 3.0}] * 5)
    with pytest.raises(delphi.DataError, match="lacks"):
        draw_sweep(SweepFile(path), compat=True)


@pytest.mark.parametrize("compat", [False, True])
def test_wrong_evaluations_are_said(tmp_path, eval_files, compat):
    wrong = write(tmp_path, "mmlu.json", [{"budget": 1e18, "loss": 3.0}])
    with pytest.raises(delphi.DataError, match=r"mmlu\.json: no column for soft"):
        draw_evals({"mmlu": wrong}, compat=compat)
    with pytest.raises(delphi.DataError, match="no such file"):
        draw_evals({"mmlu": tmp_path / "none.json"}, compat=compat)
    with pytest.raises(delphi.DataError, match="need those of the ladder"):
        draw_evals({"gsm8k_pool": eval_files["gsm8k_pool"]}, compat=compat)
    with pytest.raises(delphi.DataError, match="expected mmlu, humaneval, gsm8k"):
        draw_evals({"arc": eval_files["gsm8k"]}, compat=compat)


def test_the_notebook_needs_mmlu(eval_files):
    with pytest.raises(delphi.DataError, match="MMLU"):
        draw_evals(eval_files, compat=True)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--sweep-by", "tokens"], "--sweep-by: says something of a sweep"),
        (["--gsm8k-pool", "x.json"], "need those of the ladder"),
        (["--sweep", "nothing.json"], "nothing.json: no such file"),
        (["--mmlu", "nothing.json"], "nothing.json: no such file"),
    ],
)
def test_console_says_it_in_one_line(runs, tmp_path, capsys, options, said):
    out = tmp_path / "out"
    assert cli.main(["figures", str(runs), "-o", str(out), "--quiet", *options]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1
    assert not out.exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--sweep-knob", "lr=cubic"], "NAME=SCALE"),
        (["--sweep-by", " , "], "not a list of columns"),
        (["--mmlu", "a.json", "--mmlu", "b.json"], "may be given once"),
    ],
)
def test_console_options_are_checked(runs, capsys, options, said):
    with pytest.raises(SystemExit) as stop:
        cli.main(["figures", str(runs), "-o", "out", *options])
    assert stop.value.code == 2
    assert said in capsys.readouterr().err


def test_too_many_cells_are_said(tmp_path):
    rng = np.random.default_rng(0)
    rows = [
        {"lr": float(lr), "loss": 3 + float(np.log(lr) ** 2) / 100, "batch_size": 2**i}
        for i in range(70)
        for lr in 10 ** rng.uniform(-4, -2, 6)
    ]
    path = write(tmp_path, "sweep.json", rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(delphi.DataError, match="1 to 64 fitted cells"):
            draw_sweep(SweepFile(path))
