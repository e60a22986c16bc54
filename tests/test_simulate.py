"""Simulated ladders: the truth must be true, the table must be standard."""

import json

import numpy as np
import pandas as pd
import pytest

from delphi import simulate
from delphi.runs import STANDARD_COLUMNS, read_runs


@pytest.mark.parametrize("name", sorted(simulate.DEFAULT_SUITES))
@pytest.mark.parametrize("compute", [1e18, 3e20, 1e25])
def test_truth_is_the_minimum_of_the_surface(name, compute):
    surface = simulate.DEFAULT_SUITES[name]
    law = simulate.truth(surface)
    params = law.params(compute) * np.exp(np.linspace(-1e-2, 1e-2, 2001))
    losses = surface.loss(params, compute / (6 * params))
    assert abs(int(np.argmin(losses)) - 1000) <= 1
    assert law.predict(compute) == pytest.approx(losses.min(), rel=1e-12)
    assert 6 * law.params(compute) * law.tokens(compute) == pytest.approx(compute, rel=1e-12)
    assert law.params_exponent + law.tokens_exponent == pytest.approx(1, rel=1e-14)


def test_truth_takes_a_mapping():
    fields = {"E": 1.8, "A": 400.0, "B": 900.0, "a": 0.34, "b": 0.3}
    assert simulate.truth(fields) == simulate.truth(simulate.Surface(**fields))


def test_ladder_is_a_standard_table():
    runs = simulate.ladder(rng=0)
    assert tuple(runs.columns) == STANDARD_COLUMNS
    assert set(runs["run_type"]) == {"isoflop", "optimal"}
    for column in ("params", "tokens", "flops", "budget", "loss"):
        assert runs[column].dtype == np.float64
        assert (runs[column] > 0).all()
    np.testing.assert_allclose(6 * runs["params"] * runs["tokens"], runs["flops"], rtol=1e-12)
    assert (np.abs(np.log(runs["flops"] / runs["budget"])) < 0.01).all()
    counts = runs[runs["run_type"] == "isoflop"].groupby(["suite", "budget"]).size()
    assert counts.between(8, 12).all()
    assert runs["name"].is_unique
    json.dumps(runs.attrs, allow_nan=False)


def test_ladder_survives_a_file(tmp_path):
    runs = simulate.ladder(budgets=(1e19, 1e20, 3e20), rng=0)
    runs.to_csv(tmp_path / "runs.csv", index=False)
    again = read_runs(tmp_path / "runs.csv")
    for column in ("name", "suite", "run_type", "seed", "budget", "loss", "state"):
        assert again[column].tolist() == runs[column].tolist(), column


def test_noise_free_losses_lie_on_the_surface():
    runs = simulate.ladder(noise=0, rng=3)
    for suite, part in runs.groupby("suite"):
        surface = simulate.DEFAULT_SUITES[suite]
        np.testing.assert_allclose(part["loss"], surface.loss(part["params"], part["tokens"]))


def test_same_seed_same_runs():
    first, second = simulate.ladder(rng=5), simulate.ladder(rng=np.random.default_rng(5))
    pd.testing.assert_frame_equal(first, second)
    third = simulate.ladder(rng=np.random.SeedSequence(5))
    pd.testing.assert_frame_equal(first, third)
    assert not first["loss"].equals(simulate.ladder(rng=6)["loss"])


def test_crashed_marks_one_run_of_the_last_suite():
    runs = simulate.ladder(crashed=True, rng=0)
    hit = runs[runs["state"] == "crashed"]
    assert hit[["suite", "budget", "run_type"]].values.tolist() == [["Birch", 1e23, "optimal"]]
    assert hit["loss"].item() > 3
    assert (simulate.ladder(rng=0)["state"] == "finished").all()


@pytest.mark.parametrize(
    "bad",
    [
        {"suites": {}},
        {"budgets": (1e19, -1.0)},
        {"budgets": (float("nan"),)},
        {"n_runs": 0},
        {"n_runs": (9, 8)},
        {"spread": 0},
        {"noise": float("nan")},
        {"seeds": 0},
        {"suites": {"x": {"E": -1.0, "A": 1.0, "B": 1.0, "a": 0.3, "b": 0.3}}},
        {"suites": {"x": {"E": 1.0, "A": 1.0, "B": 1.0, "a": 0.0, "b": 0.3}}},
    ],
)
def test_nonsense_is_refused(bad):
    with pytest.raises(ValueError):
        simulate.ladder(**bad)
