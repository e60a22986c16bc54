"""Held-out runs against laws, and forecasts."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from delphi import DataError, FitWarning, fit_power_law, forecast, score_held_out, simulate
from delphi.heldout import is_crashed

C4 = np.array([1e18, 1e19, 1e20, 1e21])


def law(L=1.8, A=1600.0, alpha=0.16):
    return fit_power_law(C4, L + A * C4**-alpha)


def failed_law():
    with pytest.warns(FitWarning, match="constant_loss"):
        return fit_power_law(C4, [2.0] * 4)


def runs(*rows):
    names = ["suite", "run_type", "state", "budget", "flops", "params", "tokens", "loss"]
    return pd.DataFrame(rows, columns=names)


def run(suite="a", kind="optimal", state="finished", budget=1e21, flops=1e21, loss=2.5, **more):
    return (
        suite,
        kind,
        state,
        budget,
        flops,
        more.get("params", 1e9),
        more.get("tokens", 2e11),
        loss,
    )


def test_seeds_of_one_budget_are_averaged():
    table = score_held_out(
        runs(
            run(loss=2.4, flops=0.97e21, params=1e9, tokens=1e11),
            run(loss=2.1, budget=1e22, flops=1e22),
            run(loss=2.6, flops=1.03e21, params=3e9, tokens=3e11),
            run(kind="isoflop", loss=9.0),
        ),
        {"a": law()},
    )
    assert list(table.columns) == [
        "suite", "budget", "compute", "n", "params", "tokens", "loss", "predicted", "residual",
        "percent_error", "state",
    ]  # fmt: skip
    assert table["n"].tolist() == [2, 1]
    first = table.iloc[0]
    assert first["loss"] == pytest.approx(2.5)
    assert first["compute"] == pytest.approx((0.97 * 1.03) ** 0.5 * 1e21), "geometric mean"
    assert (first["params"], first["tokens"]) == (2e9, 2e11)
    predicted = 1.8 + 1600 * first["compute"] ** -0.16
    assert first["predicted"] == pytest.approx(predicted, rel=1e-8)
    assert first["residual"] == pytest.approx(2.5 - predicted, rel=1e-6)
    assert first["percent_error"] == pytest.approx(100 * (2.5 - predicted) / predicted, rel=1e-6)
    assert set(table["state"]) == {"finished"}


@pytest.mark.parametrize("state", ["crashed", "FAILED", "Killed", "preempted", "running"])
def test_runs_that_ended_early_stand_alone(state):
    table = score_held_out(
        runs(run(loss=2.4), run(loss=7.0, state=state), run(loss=8.0, state=state), run(loss=2.6)),
        {"a": law()},
    )
    table = table.sort_values("loss")
    assert table["state"].tolist() == ["finished", state.lower(), state.lower()]
    assert table["n"].tolist() == [2, 1, 1]
    assert table["loss"].tolist() == [pytest.approx(2.5), 7.0, 8.0]
    assert np.isfinite(table["predicted"]).all()


def test_suites_without_a_law_have_no_prediction():
    bad = failed_law()
    table = score_held_out(runs(run("a"), run("b"), run("c")), {"a": law(), "c": bad})
    assert table["suite"].tolist() == ["a", "b", "c"]
    assert np.isnan(table["predicted"]).tolist() == [False, True, True]
    assert np.isnan(table["percent_error"]).tolist() == [False, True, True]
    assert table["loss"].notna().all()


def test_nothing_held_out():
    for frame in (runs(run(kind="isoflop")), runs()):
        table = score_held_out(frame, {"a": law()})
        assert len(table) == 0
        assert "percent_error" in table


def test_rows_in_any_order_and_the_frame_untouched():
    frame = runs(run("b"), run("a", budget=1e22, flops=1e22), run("a"), run("b", state="crashed"))
    before = frame.copy()
    straight = score_held_out(frame, {"a": law()})
    mixed = score_held_out(frame.iloc[::-1], {"a": law()})
    pd.testing.assert_frame_equal(frame, before)
    by = ["suite", "compute", "state"]
    pd.testing.assert_frame_equal(
        mixed.sort_values(by, ignore_index=True), straight.sort_values(by, ignore_index=True)
    )


def test_a_crash_between_two_seeds_does_not_part_them():
    """Sorted by compute the crashed run may come to lie between finished ones."""
    table = score_held_out(
        runs(
            run(loss=2.4, flops=1e21),
            run(loss=7.0, flops=1.01e21, state="crashed"),
            run(loss=2.6, flops=1.02e21),
        ),
        {"a": law()},
    )
    assert sorted(table["n"]) == [1, 2]
    assert sorted(table["loss"]) == [pytest.approx(2.5), 7.0]


def test_points_are_seeds_within_a_tenth_of_compute_whatever_the_label():
    flops = [1e21, 1.09e21, 1.11e21, 2e21]
    table = score_held_out(runs(*(run(flops=f) for f in flops), run("b", flops=1.05e21)), {})
    assert table["n"].tolist() == [2, 1, 1, 1]
    assert table["suite"].tolist() == ["a", "a", "a", "b"]


def test_missing_columns_are_named():
    with pytest.raises(DataError, match="'loss'"):
        score_held_out(runs(run()).drop(columns="loss"), {})


def test_the_simulated_truth_is_predicted():
    frame = simulate.ladder(rng=3, noise=0.0)
    truth = frame.attrs["truth"]
    laws = {}
    for suite, t in truth.items():
        C = np.geomspace(1e18, 1e21, 8)
        laws[suite] = fit_power_law(C, t["L_inf"] + t["A"] * C ** -t["alpha"])
    table = score_held_out(frame, laws)
    done = table[table["state"] == "finished"]
    assert len(done)
    assert (done["percent_error"].abs() < 0.5).all()


def test_crashed_states_of_all_kinds():
    states = pd.Series(["finished", "Crashed", None, "running", np.nan, "", "FAILED"])
    assert is_crashed(states).tolist() == [False, True, False, True, False, False, True]


def test_forecast_table():
    table = forecast({"a": law(), "b": law(L=2.0)}, [1e21, 1e23])
    assert table["suite"].tolist() == ["a", "a", "b", "b"]
    assert table["compute"].tolist() == [1e21, 1e23] * 2
    np.testing.assert_allclose(table["extrapolation_decades"], [0, 2, 0, 2], atol=1e-12)
    np.testing.assert_allclose(table["loss"][1], 1.8 + 1600 * 1e23**-0.16, rtol=1e-8)
    assert set(table["status"]) == {"ok"}
    assert forecast({"a": law()})["compute"].tolist() == [1e21, 1e22, 1e23, 1e24, 1e25]
    assert forecast({"a": law()}, np.array([1e19]))["extrapolation_decades"].tolist() == [-2.0]


def test_forecast_of_nothing_and_of_a_failed_law():
    assert len(forecast({})) == 0
    assert list(forecast({}).columns) == [
        "suite", "compute", "loss", "extrapolation_decades", "status",
    ]  # fmt: skip
    bad = failed_law()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = forecast({"a": bad}, [1e22])
    assert np.isnan(table["loss"][0])
    assert table["status"].tolist() == ["constant_loss"]


@pytest.mark.parametrize("compute", [[0.0], [-1e20], [np.nan], [np.inf], ["x"], []])
def test_forecast_at_what_is_no_compute(compute):
    with pytest.raises(DataError, match="compute"):
        forecast({"a": law()}, compute)


def test_forecast_at_a_single_number():
    try:
        table = forecast({"a": law()}, 1e22)
    except DataError:
        return
    assert table["compute"].tolist() == [1e22]
