"""fit_isoflops with every curve, and compare_isocurves."""

from __future__ import annotations

import dataclasses
import json
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest

from delphi import DataError, FitWarning, compare_isocurves, fit_isoflops, fit_parabola, simulate
from delphi.isoflop import CURVES, curve_values

RUNS = simulate.ladder(rng=0, noise=0.002, n_runs=11, spread=0.9, held_out=())
CLEAN = simulate.ladder(rng=0, noise=0.0, n_runs=11, spread=0.9, held_out=())


def quiet(runs, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        return fit_isoflops(runs, **options)


def true_losses(runs, optima):
    truth = runs.attrs["truth"]
    return np.array(
        [
            truth[suite]["L_inf"] + truth[suite]["A"] * C ** -truth[suite]["alpha"]
            for suite, C in zip(optima["suite"], optima["compute"], strict=True)
        ]
    )


@pytest.mark.parametrize(
    ("curve", "worst"),
    # Runs of a bucket differ by 0.1% in compute, and so in loss by 3e-4: two-power is off by that.
    [("two-power", 4e-4), ("windowed", 4e-4), ("cubic", 3e-3), ("joint", 3e-3), ("parabola", 3e-3)],
)
def test_optima_of_a_clean_ladder(curve, worst):
    fitted = quiet(CLEAN, curve=curve)
    assert fitted.curve == curve
    assert fitted.window == (0.5 if curve == "windowed" else None)
    assert len(fitted.optima) == 14
    off = fitted.optima["loss_star"] - true_losses(CLEAN, fitted.optima)
    assert np.abs(off).max() < worst
    # A shape that fits all points but is not the law is off by its bias, always downwards.
    assert (np.median(off) < -8e-4) == (curve in ("cubic", "joint", "parabola"))


@pytest.mark.parametrize("curve", CURVES)
def test_rows_are_what_curve_values_draws(curve):
    fitted = quiet(RUNS, curve=curve)
    assert (fitted.fits["curve"] == curve).all()
    for row in fitted.fits.itertuples():
        points = RUNS[(RUNS["suite"] == row.suite) & (RUNS["budget"] == row.budget)]
        x = np.log10(points["tokens"].to_numpy())
        used = (x >= row.x_lo - 1e-12) & (x <= row.x_hi + 1e-12)
        assert (row.n, row.n_used) == (len(points), used.sum())
        off = points["loss"].to_numpy() - curve_values(row, points["tokens"])
        assert np.sum(off[used] ** 2) == pytest.approx(row.rss, rel=1e-6)
        assert curve_values(row, row.tokens_star) == pytest.approx(row.loss_star, abs=1e-9)
        assert row.tokens_star == pytest.approx(10**row.x_star)
    assert ("k0" in fitted.fits) == (curve not in ("windowed", "parabola"))
    assert curve in fitted.summary() or "within 0.5 decades" in fitted.summary()


def test_other_curves_leave_the_parabola_beside_them():
    fitted, parabola = quiet(RUNS, curve="cubic"), quiet(RUNS, curve="parabola")
    for name in ("a", "b", "c", "x_vertex", "a_under", "a_over", "joint_x_star"):
        assert fitted.fits[name].tolist() == parabola.fits[name].tolist()
    assert (fitted.fits["x_star"] != parabola.fits["x_star"]).all()


def test_a_curve_that_failed_has_no_numbers():
    runs = CLEAN.assign(loss=5 - CLEAN["loss"])
    fitted = quiet(runs, curve="two-power")
    assert (fitted.fits["status"] == "no_minimum").all()
    numbers = fitted.fits.select_dtypes(float).drop(columns=["budget", "compute"])
    assert numbers.isna().all(axis=None)
    assert len(fitted.optima) == 0
    assert set(fitted.unused["reason"]) == {"no minimum"}
    assert np.isnan(curve_values(fitted.fits.iloc[0], [1e9, 1e10])).all()


def test_a_joint_vertex_at_its_bound_is_no_optimum():
    x = np.linspace(9, 11, 9)
    loss = 2 + (x - 10.85) ** 2 / 4
    runs = pd.DataFrame(
        {"suite": "a", "budget": 1e20, "flops": 1e20, "tokens": 10**x, "params": 1e20 / 10**x,
         "loss": loss}
    )  # fmt: skip
    fitted = quiet(runs, curve="joint")
    assert "joint_at_bound" in fitted.fits["status"][0]
    assert not fitted.fits["used"].any()
    assert fitted.unused["reason"].tolist() == ["joint at bound, joint concave"]
    assert quiet(runs, curve="parabola").fits["used"].all()


def test_a_window_is_the_fit_of_one_parabola_with_it():
    narrow = quiet(RUNS, window=0.4)
    assert narrow.window == 0.4
    for row in narrow.fits.itertuples():
        points = RUNS[(RUNS["suite"] == row.suite) & (RUNS["budget"] == row.budget)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FitWarning)
            one = fit_parabola(points["tokens"], points["loss"], points["params"], window=0.4)
        assert (one.x_star, one.n_used, one.x_lo) == (row.x_star, row.n_used, row.x_lo)
        assert f"{one.n_used} of {one.n} points" in one.summary()
    pd.testing.assert_frame_equal(
        quiet(RUNS, window=np.inf).fits.drop(columns="curve"),
        quiet(RUNS, curve="parabola").fits.drop(columns="curve"),
    )


@pytest.mark.parametrize("window", [0, -1, np.nan, "wide", [1, 2]])
def test_windows_that_cannot_be(window):
    points = RUNS[RUNS["budget"] == RUNS["budget"].min()]
    with pytest.raises(DataError, match="window: expected decades > 0"):
        fit_parabola(points["tokens"], points["loss"], window=window)
    with pytest.raises(DataError, match="window"):
        compare_isocurves(RUNS, window=window)


# --- the comparison -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def compared():
    return compare_isocurves(RUNS, at=[1e22, 1e24])


def test_the_tables_of_a_comparison(compared):
    table = compared.table
    assert list(table.columns) == [
        "suite", "budget", "curve", "n", "n_used", "tokens_star", "params_star", "loss_star",
        "se_loss_star", "loo", "aicc", "bias", "status", "status_code",
    ]  # fmt: skip
    assert table["curve"].tolist() == list(CURVES) * 14
    assert (table["loo"] > 0).all()
    # Eleven runs of noise 0.002 predict each other to about that.
    assert 0.0015 < table["loo"].median() < 0.004
    for curve in CURVES:
        fits = quiet(RUNS, curve=curve).fits
        rows = table[table["curve"] == curve].reset_index(drop=True)
        for name in ("suite", "budget", "n_used", "tokens_star", "params_star", "loss_star"):
            np.testing.assert_array_equal(rows[name].to_numpy(), fits[name].to_numpy())
    laws = compared.forecasts
    assert list(laws.columns) == [
        "suite", "curve", "n", "L_inf", "alpha", "compute", "loss", "status",
    ]  # fmt: skip
    assert laws["compute"].tolist() == [1e22, 1e24] * 10
    for row in laws.itertuples():
        law = quiet(RUNS, curve=row.curve).laws()[row.suite]
        assert (row.L_inf, row.alpha) == (law.L_inf, law.alpha)
        assert row.loss == law.predict(row.compute)


def test_the_bias_of_each_curve_on_an_additive_law():
    table = compare_isocurves(CLEAN).table
    bias = table.pivot_table(index=["suite", "budget"], columns="curve", values="bias")
    assert (bias["two-power"] == 0).all()
    # The ladder is additive: the bias is the error itself.
    for curve in ("parabola", "windowed", "joint", "cubic"):
        rows = quiet(CLEAN, curve=curve, keep="all").fits
        off = rows["loss_star"] - true_losses(CLEAN, rows)
        # Up to the 0.1% by which the runs of a bucket differ in compute.
        np.testing.assert_allclose(bias[curve], off, atol=4e-4)
    assert bias["parabola"].median() < 3 * bias["windowed"].median() < 0


def test_one_suite_of_a_comparison():
    one = compare_isocurves(pl.from_pandas(RUNS), suite="Birch", at=1e23)
    assert set(one.table["suite"]) == {"Birch"} == set(one.forecasts["suite"])
    assert len(one.forecasts) == len(CURVES)
    with pytest.raises(DataError, match="no suite 'Cedar'; there are"):
        compare_isocurves(RUNS, suite="Cedar")
    with pytest.raises(DataError, match="at"):
        compare_isocurves(RUNS, at=-1.0)


def test_a_comparison_describes_itself(compared):
    assert repr(compared) == "IsocurveComparison(5 curves through 14 budgets)"
    text = compared.summary()
    assert all(word in text for word in (*CURVES, "Aster", "at 1e22", "leave-one-out"))
    with pytest.raises(dataclasses.FrozenInstanceError):
        compared.table = None
    json.dumps(compared.to_dict())
    hostile = compare_isocurves(RUNS.assign(suite="<b>x</b>"), at=1e22)
    assert "<b>" not in hostile._repr_html_()
    frame = compared.to_frame()
    frame["loo"] = 0.0
    assert (compared.table["loo"] > 0).all()


def test_a_comparison_without_any_optimum():
    runs = CLEAN[CLEAN["suite"] == "Aster"].groupby("budget").head(3)
    empty = compare_isocurves(runs, at=1e22)
    assert empty.forecasts["loss"].isna().all()
    assert (empty.forecasts["status"] == "too_few_points").all()
    assert "too few points" in empty.summary()
