"""Back-tests: nothing from beyond the cutoff gets into a fit, and scores add up."""

import warnings

import numpy as np
import pandas as pd
import pytest

import delphi
from delphi import DataError, DataWarning, simulate
from delphi.backtesting import METHODS, backtest


@pytest.fixture(scope="module")
def runs():
    return simulate.ladder(rng=0)


@pytest.fixture(scope="module")
def test(runs):
    return backtest(runs, n_boot=20)


def test_every_target_lies_beyond_its_cutoff(test):
    table = test.table
    assert (table["compute"] > table["cutoff"]).all()
    assert set(table["method"]) == set(METHODS)
    assert set(table["target"]) == {"optimum", "held-out"}
    np.testing.assert_allclose(table["horizon"], table["compute"] / table["cutoff"])


def test_what_lies_beyond_does_not_matter(runs, test):
    """Spoiling the runs above a cutoff changes the targets, not the forecasts made below it."""
    cutoff = test.table["cutoff"].min()
    spoilt = runs.copy()
    far = spoilt["flops"] > 1.05 * cutoff
    spoilt.loc[far, "loss"] += 0.3
    other = backtest(spoilt, n_boot=0)
    keys = ["suite", "compute", "target", "method"]

    def forecasts(result):
        rows = result.table[np.isclose(result.table["cutoff"], cutoff)]
        return rows.set_index(keys)["predicted"].sort_index()

    one, two = forecasts(test), forecasts(other)
    assert len(one) > 0
    pd.testing.assert_series_equal(one, two, rtol=1e-12)


def test_scores_sum_up_the_table(test):
    scores = test.scores.set_index(["target", "reach", "method"])
    table = test.table
    rows = table[(table["method"] == "posterior") & (table["target"] == "optimum")]
    near = rows[rows["horizon"] <= 5.005]
    score = scores.loc[("optimum", "up to 5x", "posterior")]
    assert score["n"] == len(near)
    assert score["median_error"] == pytest.approx(near["error_percent"].abs().median())
    assert score["coverage"] == pytest.approx(near["inside"].mean())
    assert scores["coverage"].xs("last value", level="method").isna().all()
    assert (scores["coverage"].xs("notebook", level="method") <= 1).all()
    assert "posterior" in test.summary()


def test_a_horizon_leaves_out_what_is_further(runs):
    result = backtest(runs, horizon=3.5, n_boot=0)
    assert result.table["horizon"].max() <= 3.5


@pytest.mark.parametrize("options", [{"first": 2}, {"first": 4.0}, {"horizon": 0.5}])
def test_bad_options(runs, options):
    with pytest.raises(DataError):
        backtest(runs, **options)


def test_too_few_budgets_to_test(runs):
    few = runs[(runs["run_type"] == "isoflop") & (runs["flops"] < 5e19)]
    with pytest.raises(DataError, match="nothing to test"):
        backtest(few)


def test_real_ladders_beat_the_notebook_and_the_baselines(data_dir):
    """22 ladders, cutoffs from four budgets on: errors and coverage that the docs promise."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        runs = pd.concat(
            [
                delphi.read_runs(data_dir / "isoflops" / "isoflops.csv"),
                delphi.read_runs(data_dir / "porian" / "porian_isoflop_points.csv"),
            ],
            ignore_index=True,
        )
    scores = backtest(runs, n_boot=100).scores.set_index(["reach", "method"])
    for reach, most in (("up to 5x", 0.8), ("beyond 5x", 2.5)):
        ours = scores.loc[(reach, "posterior")]
        assert ours["median_error"] <= most
        assert ours["coverage"] >= 0.9
        for method in METHODS[1:]:
            assert ours["median_error"] < scores.loc[(reach, method), "median_error"]
        assert ours["coverage"] > scores.loc[(reach, "notebook"), "coverage"]
