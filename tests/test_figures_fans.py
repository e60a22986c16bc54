"""Fans of forecasts, shapes of iso-curves, and `plot()` on every result that has a picture."""

import json

import numpy as np
import pytest

import delphi
from delphi import DataError, FitWarning, simulate
from delphi.isoflop import CURVES

pytest.importorskip("plotly")

from delphi import figures

NASTY = "<script>alert(1)</script>$x$"


@pytest.fixture(scope="module")
def runs():
    return simulate.ladder(rng=0)


@pytest.fixture(scope="module")
def ladder(runs):
    return delphi.fit_isoflops(runs)


@pytest.fixture(scope="module")
def compared(runs):
    return delphi.compare_isocurves(runs)


def named(fig, name):
    return [trace for trace in fig.data if trace.name == name]


def test_bands_are_quantiles_of_the_draws(ladder):
    at = np.geomspace(1e20, 1e24, 9)
    result = delphi.bootstrap_ladder(ladder, "Aster", at[::-1], n=300)
    fig = result.plot()
    (half,) = named(fig, "50%")
    low, high = np.quantile(result.draws, [0.25, 0.75], axis=0)[:, ::-1]
    np.testing.assert_allclose(half.y[:9], high - result.median[::-1])
    np.testing.assert_allclose(half.y[9:], (low - result.median[::-1])[::-1])
    (outer,) = named(fig, "95%")
    np.testing.assert_allclose(outer.y[:9], (result.high - result.median)[::-1])
    median = named(fig, "median")
    np.testing.assert_allclose(median[0].x, at)
    np.testing.assert_allclose(median[0].y, result.median[::-1])
    lines = np.array(named(fig, "40 of them")[0].y, float).reshape(40, 10)[:, :9]
    np.testing.assert_allclose(np.sort(lines[:, -1])[::-1][0] > 0, True)
    assert fig.layout.legend.title.text == "300 of 300 replicates, two-level residual"


def test_one_target_is_a_histogram(ladder):
    result = delphi.bootstrap_ladder(ladder, "Aster", 1e23, n=250)
    fig = result.plot()
    assert sum(fig.data[0].y) == 250
    assert [s.x0 for s in fig.layout.shapes] == [result.low[0], result.median[0], result.high[0]]


def test_without_draws_there_is_the_outer_band(ladder):
    from dataclasses import replace

    result = delphi.bootstrap_ladder(ladder, "Aster", [1e22, 1e23], n=50)
    fig = replace(result, draws=None).plot()
    assert [t.name for t in fig.data] == ["95%", "median", "median"]


def test_nothing_to_draw_is_an_error():
    C = [1e18, 1e19, 1e20, 1e21]
    with pytest.warns(FitWarning):
        result = delphi.bootstrap_law(C, [2.0, 3.0, 4.0, 5.0], [1e22], floor=4.9, n=10)
    if not result.n_ok:
        with pytest.raises(DataError, match="no replicate gave a law"):
            result.plot()


def test_posterior_fan_is_its_interval(ladder):
    law = ladder.posteriors()["Aster"]
    fig = law.plot()
    x = np.array(named(fig, "median")[0].x)
    band = law.interval(x)
    (outer,) = named(fig, "95%")
    np.testing.assert_allclose(outer.y[: len(x)], band["high"] - band["mid"])
    assert (x[0], x[-1]) == pytest.approx((law.compute_min, 100 * law.compute_max))


def test_a_budget_under_every_curve(compared, runs):
    fig = compared.plot("Aster", 9e19)
    points = runs[(runs["suite"] == "Aster") & (runs["budget"] == 9e19)]
    points = points[points["run_type"] == "isoflop"]
    assert sorted(named(fig, "runs")[0].y) == sorted(points["loss"])
    table = compared.table[(compared.table["suite"] == "Aster")]
    for curve in CURVES:
        row = table[(table["budget"] == 9e19) & (table["curve"] == curve)].iloc[0]
        best = named(fig, f"{curve}: optimum")
        assert (best[0].x[0], best[0].y[0]) == (row["tokens_star"], pytest.approx(row["loss_star"]))
        curves = [t for t in named(fig, curve) if t.mode == "lines"]
        lowest = np.interp(np.log(row["tokens_star"]), np.log(curves[0].x), curves[0].y)
        assert lowest == pytest.approx(row["loss_star"], abs=1e-3)
    base = [t for t in named(fig, "two-power") if t.mode == "lines"][1]
    np.testing.assert_allclose(base.y, 0, atol=1e-12)


def test_shifts_are_against_the_two_power_curve(compared):
    fig = compared.plot("Birch")
    table = compared.table[compared.table["suite"] == "Birch"].set_index(["curve", "budget"])
    for curve in CURVES:
        loss, tokens = (t for t in named(fig, curve) if t.mode == "lines+markers")
        own, truth = table.loc[curve], table.loc["two-power"]
        np.testing.assert_allclose(loss.y, own["loss_star"] - truth["loss_star"])
        np.testing.assert_allclose(tokens.y, own["tokens_star"] / truth["tokens_star"])


def test_curves_that_failed_stay_in_the_legend(runs):
    few = runs.groupby(["suite", "budget"]).head(4)
    fig = delphi.compare_isocurves(few).plot("Aster")
    assert named(fig, "two-power (none)")
    json.dumps(fig.to_dict(), default=lambda a: a.tolist())
    fig = delphi.compare_isocurves(runs.groupby(["suite", "budget"]).head(1)).plot()
    assert len(named(fig, "windowed (none)")) == 1


def test_no_such_bucket(compared):
    for arguments in (("none",), ("Aster", 5.0)):
        with pytest.raises(DataError, match=r"no (suite|budget)"):
            compared.plot(*arguments)


def test_names_are_text(runs):
    compared = delphi.compare_isocurves(runs.assign(suite=NASTY))
    assert "<script" not in compared.plot().to_json()
    assert "<script" not in compared._repr_html_()


def test_results_draw_themselves(runs, ladder):
    law = ladder.laws()["Aster"]
    test = delphi.backtest(runs, n_boot=0)
    assert test.plot().to_json() == figures.backtest_errors(test).to_json()
    assert law.plot("profile").to_json() == figures.floor_profile(law).to_json()
    assert law.plot().to_json() == figures.law_curve(law).to_json()
    with pytest.raises(DataError, match="what"):
        law.plot("other")
    cost = delphi.overtraining_cost(ladder, n_boot=20)
    drawn = figures.overtraining_forecast(ladder, law, cost, "Aster")
    assert cost.plot(ladder, law, "Aster").to_json() == drawn.to_json()
    pytest.importorskip("matplotlib")
    assert len(delphi.optimal_configurations(ladder).plot("Aster").axes) == 3


def test_every_result_is_rich_html_and_escapes(runs):
    dirty = runs.assign(suite=runs["suite"] + NASTY, name=NASTY)
    ladder = delphi.fit_isoflops(dirty)
    laws, posteriors = ladder.laws(), ladder.posteriors()
    a, b = ladder.suites
    results = [
        ladder, laws[a], posteriors[a], delphi.compare_isocurves(dirty),
        delphi.bootstrap_ladder(ladder, a, [1e22], n=20), delphi.backtest(dirty, n_boot=0),
        delphi.overtraining_cost(ladder, n_boot=20), delphi.optimal_configurations(ladder),
        delphi.effective_speedup(posteriors[a], posteriors[b], 1e21),
        delphi.fit_parabola([1e9, 3e9, 9e9, 27e9, 8e10], [3.4, 3.2, 3.15, 3.2, 3.3]),
    ]  # fmt: skip
    for result in results:
        text = result._repr_html_()
        assert text.startswith('<div class="delphi-result">'), type(result)
        assert "<script" not in text
        assert text.count("<table>") == text.count("</table>")
    assert "&lt;script&gt;" in ladder._repr_html_()


def test_long_tables_say_what_they_leave_out(runs):
    text = delphi.compare_isocurves(runs)._repr_html_()
    assert "and 20 more rows; to_frame() has all" in text
