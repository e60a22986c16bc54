"""Run-to-run noise from replicate seeds, and the chi-square quantile behind its interval."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from delphi import DataError, _core, simulate
from delphi.seeds import seed_noise

COLUMNS = [
    "scope", "kind", "suite", "budget", "n", "mean", "sd", "dof", "spread", "low", "high", "level",
    "method",
]  # fmt: skip


def run(loss, flops=1e21, suite="a", kind="optimal", state="finished", **more):
    design = {"budget": 1e21, "params": 1e9, "tokens": 2e11, "name": f"r{loss}", "seed": "0"}
    return {
        "suite": suite, "run_type": kind, "state": state, "flops": flops, "loss": loss,
        **design, **more,
    }  # fmt: skip


def scope(noise: pd.DataFrame, name: str, kind: str = "seeds") -> pd.DataFrame:
    return noise[(noise["scope"] == name) & (noise["kind"] == kind)].reset_index(drop=True)


# --- the quantile ---------------------------------------------------------------------------------


def test_chi2_quantile_against_tables():
    # 2.5 % and 97.5 % points, as in any statistics book.
    dof = np.array([1, 2, 5, 10, 30, 100])
    low = [0.000982, 0.050636, 0.831212, 3.246973, 16.790772, 74.221927]
    high = [5.023886, 7.377759, 12.832502, 20.483177, 46.979242, 129.561197]
    np.testing.assert_allclose(_core.chi2_quantile(0.025, dof), low, rtol=1e-4)
    np.testing.assert_allclose(_core.chi2_quantile(0.975, dof), high, rtol=1e-7)


def test_chi2_quantile_passes_nan_on_quietly():
    p = [np.nan, 0.0, 1.0, 0.9, 0.9, 2.0, 0.9, 0.9]
    dof = [3, 3, 3, 0, np.nan, 3, -1, np.inf]
    assert np.isnan(_core.chi2_quantile(p, dof)).all()


@given(p=st.floats(1e-4, 1 - 1e-4), dof=st.floats(1, 2e4))
def test_chi2_quantile_inverts_the_distribution(p, dof):
    assert chi2.cdf(_core.chi2_quantile(p, dof), dof) == pytest.approx(p, rel=1e-9)


# --- seeds ----------------------------------------------------------------------------------------


def test_points_suites_and_total():
    runs = pd.DataFrame(
        [
            run(2.5, 0.97e21), run(2.51, 1.03e21), run(2.54, 1e21),
            run(2.3, 1e22), run(2.32, 1.02e22),
            run(2.2, 1e23),
            run(2.6, suite="b"), run(2.7, suite="b"),
            run(9.9, state="crashed"), run(9.9, 1e22, state="Running"),
        ]
    )  # fmt: skip
    noise = seed_noise(runs)
    assert list(noise.columns) == COLUMNS
    assert noise.attrs == {"left_out": 2, "repeated": 0}
    points = scope(noise, "point")
    assert points["suite"].tolist() == ["a", "a", "a", "b"]
    assert points["budget"].tolist() == [1e21, 1e22, 1e23, 1e21]
    assert points["n"].tolist() == [3, 2, 1, 2]
    assert points["dof"].tolist() == [2, 1, 0, 1]
    sd = [np.std([2.5, 2.51, 2.54], ddof=1), np.std([2.3, 2.32], ddof=1), np.nan, 0.1 / 2**0.5]
    np.testing.assert_allclose(points["sd"], sd, rtol=1e-12)
    np.testing.assert_allclose(points["mean"], [2.55 - 0.1 / 3, 2.31, 2.2, 2.65], rtol=1e-12)
    np.testing.assert_allclose(points["spread"], [1.03 / 0.97 - 1, 0.02, 0, 0], atol=1e-12)
    suites = scope(noise, "suite")
    assert suites["suite"].tolist() == ["a", "b"]
    assert suites["dof"].tolist() == [3, 1]
    np.testing.assert_allclose(suites["sd"][0], np.sqrt((2 * sd[0] ** 2 + sd[1] ** 2) / 3))
    total = scope(noise, "total")
    assert (len(total), total["dof"][0], total["n"][0]) == (1, 4, 8)
    assert pd.isna(total["suite"][0])
    assert np.isnan(total["budget"][0])


def test_interval_is_chi_square():
    noise = seed_noise(pd.DataFrame([run(2.5), run(2.6)]), level=0.9)
    point = scope(noise, "point").iloc[0]
    # One degree of freedom: 90 % between the 5 % and 95 % points 0.00393214 and 3.84146.
    assert point["low"] == pytest.approx(point["sd"] / 3.841459**0.5, rel=1e-6)
    assert point["high"] == pytest.approx(point["sd"] / 0.00393214**0.5, rel=1e-6)
    assert (point["level"], point["method"]) == (0.9, "chi-square")


def test_interval_covers_the_truth():
    inside = 0
    for seed in range(200):
        runs = simulate.ladder(noise=0.004, seeds=4, budgets=(1e19,), n_runs=4, rng=seed)
        total = scope(seed_noise(runs), "total").iloc[0]
        inside += total["low"] <= 0.004 <= total["high"]
    assert 182 <= inside <= 198, "95% of 200, give or take three standard deviations"


def test_a_chain_of_near_neighbours_ends_at_ten_percent():
    noise = seed_noise(pd.DataFrame([run(2.0 + f, f * 1e21) for f in (1.0, 1.08, 1.16, 1.2)]))
    assert scope(noise, "point")["n"].tolist() == [2, 2]
    assert noise["spread"].max() < 0.1


def test_crashed_runs_are_left_out():
    runs = simulate.ladder(crashed=True, rng=0)
    noise = seed_noise(runs)
    assert noise.attrs["left_out"] == 1
    assert scope(noise, "total")["n"].tolist() == [17]
    whole = seed_noise(runs.drop(columns="state"))
    assert whole.attrs["left_out"] == 0
    assert scope(whole, "total")["sd"][0] > 20 * scope(noise, "total")["sd"][0]


def test_replicated_designs_are_counted_apart():
    sweep = [
        run(3.1, kind="isoflop", name="x", seed="0"),
        run(3.2, kind="isoflop", name="x", seed="1"),
        run(3.2, kind="isoflop", name="x", seed="1"),  # the same run twice
        run(3.5, kind="isoflop", name="y", params=2e9, tokens=1e11),
        run(3.3, kind="isoflop", name="z", budget=1e22),
        run(3.0, kind="isoflop", name="w", state="killed"),
    ]
    noise = seed_noise(pd.DataFrame([*sweep, run(2.5), run(2.6)]))
    assert noise.attrs == {"left_out": 1, "repeated": 1}
    points = scope(noise, "point", "designs")
    assert points["n"].tolist() == [2]
    assert points["budget"].tolist() == [1e21]
    assert points["sd"][0] == pytest.approx(0.1 / 2**0.5)
    assert scope(noise, "total", "designs")["n"].tolist() == [2]
    assert scope(noise, "total", "seeds")["n"].tolist() == [2]


def test_nothing_to_see():
    runs = simulate.ladder(budgets=(1e19,), held_out=(), rng=0)
    assert seed_noise(runs).empty
    assert list(seed_noise(runs).columns) == COLUMNS
    assert seed_noise(runs[:0]).empty
    alone = seed_noise(pd.DataFrame([run(2.5)]))
    assert alone[["sd", "low", "high"]].isna().all(axis=None)
    same = scope(seed_noise(pd.DataFrame([run(2.5), run(2.5)])), "point").iloc[0]
    assert (same["sd"], same["low"], same["high"]) == (0, 0, 0)


def test_other_frames_and_missing_columns():
    polars = pytest.importorskip("polars")
    runs = simulate.ladder(rng=0)
    pd.testing.assert_frame_equal(seed_noise(polars.from_pandas(runs)), seed_noise(runs))
    with pytest.raises(DataError, match="flops"):
        seed_noise(runs.drop(columns="flops"))
    few = seed_noise(runs[["suite", "run_type", "flops", "loss"]])
    assert set(few["kind"]) == {"seeds"}


@pytest.mark.parametrize("level", [0, 1, -0.5, np.nan, "0.95", True, None])
def test_bad_level(level):
    with pytest.raises(DataError, match="level"):
        seed_noise(simulate.ladder(rng=0), level=level)


@pytest.mark.parametrize("loss", [np.nan, np.inf, 0.0, -1.0])
def test_bad_loss_of_a_finished_run(loss):
    with pytest.raises(DataError, match="loss"):
        seed_noise(pd.DataFrame([run(2.5), run(loss)]))
    fine = seed_noise(pd.DataFrame([run(2.5), run(2.6), run(loss, state="failed")]))
    assert fine.attrs["left_out"] == 1
