"""fit_parabola, fit_isoflops and what follows from a ladder."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from scipy import stats

from delphi import (
    DataError,
    FitWarning,
    IsoflopLadder,
    Parabola,
    fit_isoflops,
    fit_parabola,
    fit_power_law,
    read_runs,
    simulate,
)

X = np.linspace(9, 11, 9)
T = 10**X
Y = 3 + 0.2 * (X - 10.1) ** 2
P = 1e20 / T
BUDGETS = (1e18, 1e19, 1e20, 1e21)


def bumpy(rng=0, noise=0.003):
    return Y + noise * np.random.default_rng(rng).standard_normal(len(Y))


def quiet(*args, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        return fit_parabola(*args, **options)


def ladder(*, suites=("a",), budgets=BUDGETS, n=7, noise=0.0, state="finished", curve=0.15):
    """Runs whose optimum is tokens = 2 C^0.5, params = C^0.5 / 12, loss = 1.8 + 1600 C^-0.16."""
    rng = np.random.default_rng(0)
    rows = []
    for suite in suites:
        for C in budgets:
            best = math.log10(2 * C**0.5)
            for x in best + np.linspace(-0.6, 0.7, n):
                loss = 1.8 + 1600 * C**-0.16 + curve * (x - best) ** 2
                loss += noise * rng.standard_normal()
                tokens = 10**x
                rows.append((suite, "isoflop", C, C, C / 6 / tokens, tokens, loss, state))
    names = ["suite", "run_type", "budget", "flops", "params", "tokens", "loss", "state"]
    return pd.DataFrame(rows, columns=names)


# --- one parabola ---------------------------------------------------------------------------------


def test_a_noise_free_parabola_comes_back():
    fit = fit_parabola(T, Y, P)
    assert (fit.status, fit.status_code, fit.ok, fit.is_optimum, fit.n) == ("ok", 0, True, True, 9)
    wanted = {
        "a": 0.2, "x_star": 10.1, "x_vertex": 10.1, "tokens_star": 10**10.1, "loss_star": 3.0,
        "params_star": 1e20 / 10**10.1, "a_under": 0.2, "a_over": 0.2, "x_min": 9.0, "x_max": 11.0,
        "joint_x_star": 10.1, "joint_tokens_star": 10**10.1, "joint_loss_star": 3.0,
        "joint_a_under": 0.2, "joint_a_over": 0.2, "b": -2 * 0.2 * 10.1, "c": 3 + 0.2 * 10.1**2,
    }  # fmt: skip
    for name, value in wanted.items():
        assert getattr(fit, name) == pytest.approx(value, rel=1e-9), name
    assert fit.rss == pytest.approx(0, abs=1e-25)
    assert math.isnan(fit_parabola(T, Y).params_star)


def test_a_parabola_predicts():
    fit = fit_parabola(T, bumpy(), P)
    curve = fit.a * X**2 + fit.b * X + fit.c
    np.testing.assert_allclose(fit.predict(T), curve, rtol=1e-10)
    assert isinstance(fit.predict(1e10), float)
    assert fit.predict(fit.tokens_star) == pytest.approx(fit.loss_star, rel=1e-12)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(fit.predict([0.0, -1.0, np.nan])).all()


@pytest.mark.parametrize(
    "x", [[1.0, 2.0, 3.0], [9.0, 10.0, 11.0], [9.0, 9.5, 10.0, 10.5, 11.0], [9.0, 9.3, 10.2, 11.0]]
)
@pytest.mark.parametrize("slope", [-0.3, -1.0, 1e-3])
def test_a_parabola_through_a_straight_line_predicts_the_line(x, slope):
    """No curvature to divide by: the vertex is at infinity, the curve is where the points are."""
    x = np.array(x)
    line = 5 + slope * (x - 9)
    fit = quiet(10**x, line)
    assert fit.ok
    assert not fit.is_optimum
    np.testing.assert_allclose(fit.predict(10**x), line, rtol=1e-9)


def test_a_parabola_is_frozen_and_describes_itself():
    fit = fit_parabola(T, bumpy(), P)
    with pytest.raises(dataclasses.FrozenInstanceError):
        fit.a = 1
    assert "9 points, status: ok" in fit.summary()
    assert "tokens at the optimum" in fit.summary()
    assert "loss = 3" in repr(fit)
    assert fit._repr_html_().startswith("<div class=")
    as_dict = fit.to_dict()
    assert set(as_dict) == {f.name for f in dataclasses.fields(Parabola)} | {"status"}
    assert json.loads(json.dumps(as_dict)) == as_dict
    assert fit.to_frame()["x_star"][0] == fit.x_star


EDGES = {
    "two points": (T[:2], Y[:2], "too_few_points"),
    "equal tokens": ([1e9] * 4, [3.0, 2.0, 1.0, 2.0], "equal_x"),
    "constant": (T, [3.0] * 9, "constant_loss"),
    "concave": (T, 6 - Y, "concave"),
    "clipped": (T[6:], Y[6:], "clipped"),
    "three": (T[3:8:2], Y[3:8:2], "saturated"),
}


@pytest.mark.parametrize("edge", EDGES)
def test_edges_have_a_status_and_a_warning(edge):
    tokens, loss, status = EDGES[edge]
    with pytest.warns(FitWarning, match=rf"fit_parabola: .*{status} \(") as caught:
        fit = fit_parabola(tokens, loss)
    assert caught[0].filename == __file__
    assert status in fit.status.split(", ")
    assert not fit.is_optimum
    assert fit.ok == (fit.status_code >= 0)
    assert fit.status in repr(fit)
    assert fit.status in fit.summary()
    if not fit.ok:
        assert math.isnan(fit.loss_star)
        assert math.isnan(fit.predict(1e10))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tokens": T[:-1]}, "loss: expected 8 values, got 9"),
        ({"params": P[:-1]}, "params: expected 9 values, got 8"),
        ({"tokens": [*T[:-1], 0.0]}, "tokens.*row 9"),
        ({"loss": [math.nan, *Y[1:]]}, "loss.*row 1"),
        ({"params": [*P[:3], -1.0, *P[4:]]}, "params.*row 4"),
        ({"loss": [*Y[:-1], "three"]}, "loss.*row 9.*three"),
        ({"tokens": [], "loss": []}, "tokens: expected at least 1"),
        ({"tokens": T[None]}, "tokens: expected one dimension"),
    ],
)
def test_what_is_no_data(change, words):
    with pytest.raises(DataError, match=f"(?s){words}"):
        fit_parabola(**({"tokens": T, "loss": Y, "params": P} | change))


def test_input_of_all_kinds():
    wanted = fit_parabola(T, Y, P).to_dict()
    for change in (list, pd.Series, pl.Series, pa.array):
        assert fit_parabola(change(T), change(Y), change(P)).to_dict() == wanted
    assert fit_parabola(np.repeat(T, 2)[::2], Y.astype(">f8"), P).to_dict() == wanted


def test_plot_is_a_plotly_figure():
    go = pytest.importorskip("plotly.graph_objects")
    assert isinstance(fit_parabola(T, Y, P).plot(), go.Figure)
    assert isinstance(fit_isoflops(ladder()).plot(), go.Figure)


# --- a ladder -------------------------------------------------------------------------------------


def test_the_optima_of_a_known_ladder():
    fitted = fit_isoflops(ladder(suites=("b", "a")))
    assert fitted.suites == ["a", "b"]
    assert fitted.fits["used"].all()
    optima = fitted.optima
    assert list(optima.columns) == [
        "suite", "budget", "compute", "tokens_star", "params_star", "loss_star",
    ]  # fmt: skip
    C = optima["budget"].to_numpy()
    np.testing.assert_allclose(optima["compute"], C, rtol=1e-12)
    np.testing.assert_allclose(optima["tokens_star"], 2 * C**0.5, rtol=1e-9)
    np.testing.assert_allclose(optima["params_star"], C**0.5 / 12, rtol=1e-9)
    np.testing.assert_allclose(optima["loss_star"], 1.8 + 1600 * C**-0.16, rtol=1e-12)
    table = fitted.exponents
    assert table["quantity"].tolist() == ["params_star", "tokens_star"] * 2
    np.testing.assert_allclose(table["exponent"], 0.5, rtol=1e-9)
    np.testing.assert_allclose(table["coefficient"], [1 / 12, 2.0] * 2, rtol=1e-7)
    for law in fitted.laws().values():
        assert law.L_inf == pytest.approx(1.8, rel=1e-7)
        assert law.alpha == pytest.approx(0.16, rel=1e-7)


def test_the_frame_of_fits():
    fits = fit_isoflops(ladder(noise=0.003)).fits
    assert list(fits.columns) == [
        "suite", "budget", "compute", "n", "n_used", "curve", "a", "b", "c", "x_vertex", "x_star",
        "tokens_star", "params_star", "loss_star", "a_under", "a_over", "rss", "se_x_star",
        "se_loss_star", "x_min", "x_max", "x_lo", "x_hi", "joint_x_star",
        "joint_tokens_star", "joint_loss_star", "joint_a_under",
        "joint_a_over", "joint_rss", "status", "status_code", "used",
    ]  # fmt: skip
    assert fits["used"].dtype == bool
    assert fits["n"].tolist() == [7] * 4
    assert fits["budget"].tolist() == list(BUDGETS)
    runs = ladder(noise=0.003)
    for row in fits.itertuples():
        bucket = runs[runs["budget"] == row.budget]
        one = fit_parabola(bucket["tokens"], bucket["loss"], bucket["params"], window=0.5)
        assert (row.n_used, row.curve) == (one.n_used, "windowed")
        for name in ("a", "x_star", "loss_star", "params_star", "a_under", "joint_x_star", "rss"):
            assert getattr(row, name) == getattr(one, name), name


def test_exponents_are_ordinary_least_squares_with_t_intervals():
    # At this noise a window of seven runs wanders, and says so; the exponents do not care.
    runs = ladder(noise=0.01, budgets=np.geomspace(1e18, 1e21, 6))
    fitted = fit_isoflops(runs, curve="parabola")
    for row in fitted.exponents.itertuples():
        wanted = stats.linregress(
            np.log10(fitted.optima["compute"]), np.log10(fitted.optima[row.quantity])
        )
        half = stats.t.ppf(0.975, 4) * wanted.stderr
        assert row.exponent == pytest.approx(wanted.slope, rel=1e-10)
        assert row.se == pytest.approx(wanted.stderr, rel=1e-8)
        assert (row.low, row.high) == (
            pytest.approx(wanted.slope - half, rel=1e-8),
            pytest.approx(wanted.slope + half, rel=1e-8),
        )
        assert (row.level, row.method, row.n, row.status) == (0.95, "t", 6, "ok")
        assert row.coefficient == pytest.approx(10**wanted.intercept, rel=1e-7)


def test_compute_is_the_geometric_mean_of_the_runs():
    runs = ladder(budgets=(1e20,))
    runs["flops"] = 1e20 * np.geomspace(0.9, 1.2, len(runs))
    fitted = fit_isoflops(runs)
    assert fitted.fits["budget"].tolist() == [1e20]
    assert fitted.fits["compute"][0] == pytest.approx(math.sqrt(0.9 * 1.2) * 1e20, rel=1e-12)


def spoilt():
    """Buckets that are no optimum, one a suite, each beside three good ones."""
    bad = {
        "concave": ladder(suites=("concave",), budgets=(1e19,), curve=-0.15),
        "saturated": ladder(suites=("saturated",), budgets=(1e19,), n=3),
        "two": ladder(suites=("two",), budgets=(1e19,), n=2),
    }
    side = ladder(suites=("side",), budgets=(1e19,))
    bad["side"] = side[side["tokens"] > 2.2 * 1e19**0.5]
    good = ladder(suites=tuple(bad), budgets=(1e18, 1e20, 1e21))
    return pd.concat([good, *bad.values()], ignore_index=True)


def test_buckets_without_an_optimum_are_kept_and_not_used():
    with pytest.warns(FitWarning, match="1 of 16 buckets: concave") as caught:
        fitted = fit_isoflops(spoilt())
    assert caught[0].filename == __file__
    assert len(fitted.fits) == 16
    unused = fitted.fits[~fitted.fits["used"]].set_index("suite")["status"]
    assert sorted(unused.index) == ["concave", "saturated", "side", "two"]
    assert "concave" in unused["concave"]
    assert "saturated" in unused["saturated"]
    assert unused["two"] == "too_few_points"
    assert {"clipped", "unbracketed"} & set(unused["side"].split(", "))
    assert len(fitted.optima) == 12
    assert set(fitted.unused["suite"]) == set(unused.index)
    assert all(name in fitted.summary() for name in ("concave", "too few points", "3 of 4"))


def test_keep_all_is_the_notebooks_behaviour():
    with pytest.warns(FitWarning):
        fitted = fit_isoflops(spoilt(), keep="all")
    assert len(fitted.optima) == 15, "all but the bucket without a parabola"


def test_held_out_and_unfinished_runs_are_counted_not_fitted():
    runs = ladder()
    extra = runs.iloc[:3].assign(run_type="optimal", loss=9.0)
    crashed = runs.iloc[:2].assign(state=["crashed", "Running"], loss=9.0)
    fitted = fit_isoflops(pd.concat([extra, runs, crashed], ignore_index=True))
    assert fitted.fits["n"].tolist() == [7] * 4
    assert sorted(fitted.left_out["rows"]) == [2, 3]
    assert fitted.left_out["reason"].str.contains("held out").sum() == 1
    assert len(fitted.runs) == len(runs) + 5
    assert "left out: 3 rows" in fitted.summary()
    pd.testing.assert_frame_equal(fitted.fits, fit_isoflops(runs).fits)


def test_rows_in_any_order():
    runs = ladder(suites=("a", "b"), noise=0.003)
    straight, mixed = fit_isoflops(runs), fit_isoflops(runs.sample(frac=1, random_state=1))
    for name in ("n", "status", "used", "suite", "budget"):
        assert straight.fits[name].tolist() == mixed.fits[name].tolist()
    np.testing.assert_allclose(mixed.fits["x_star"], straight.fits["x_star"], rtol=1e-10)


def test_the_frame_is_left_alone():
    runs = ladder()
    before = runs.copy()
    fitted = fit_isoflops(runs, by="suite")
    fitted.laws()
    pd.testing.assert_frame_equal(runs, before)
    table = fitted.to_frame()
    table.loc[0, "a"] = 99
    assert fitted.fits["a"][0] != 99


def test_other_columns_can_name_the_suite():
    runs = ladder(suites=("a", "b")).rename(columns={"suite": "recipe"})
    fitted = fit_isoflops(runs, by="recipe")
    assert fitted.suites == ["a", "b"]
    assert "suite" in fitted.runs


def test_a_frame_may_have_a_suite_and_another_column_that_names_it():
    runs = ladder(suites=("a", "b")).assign(recipe="same")
    # Two suites of the same design in one: every token count is there twice, and that is said,
    # in the status and without a warning: it bars no optimum.
    fitted = fit_isoflops(runs, by="recipe")
    assert fitted.fits["status"].str.contains("duplicated_designs").all()
    assert fitted.fits["used"].all()
    assert fitted.suites == ["same"]
    assert fitted.runs.columns.is_unique
    assert (fitted.runs["suite"] == "same").all()


@pytest.mark.parametrize("by", ["budget", "tokens", "loss", "state", "run_type"])
def test_a_column_with_another_job_names_the_suite_or_is_refused(by):
    with warnings.catch_warnings(), contextlib.suppress(DataError):
        warnings.simplefilter("ignore", FitWarning)
        assert len(fit_isoflops(ladder(), by=by).suites) >= 1


@pytest.mark.parametrize("change", [pl.from_pandas, pa.Table.from_pandas])
def test_frames_of_other_libraries(change):
    runs = ladder(suites=("a", "b"), noise=0.003)
    runs = pd.concat([runs, runs.iloc[:1].assign(run_type="optimal")], ignore_index=True)
    wanted, got = fit_isoflops(runs), fit_isoflops(change(runs))
    pd.testing.assert_frame_equal(got.fits, wanted.fits, check_dtype=False)
    assert got.left_out["rows"].tolist() == [1]
    assert len(got.runs) == len(runs)


@pytest.mark.parametrize("dtype", ["category", "string", object])
def test_words_of_all_dtypes(dtype):
    runs = ladder(suites=("a", "b"))
    wanted = fit_isoflops(runs).fits
    typed = runs.astype({"suite": dtype, "run_type": dtype, "state": dtype})
    pd.testing.assert_frame_equal(fit_isoflops(typed).fits, wanted, check_dtype=False)


def test_missing_words_are_no_crash():
    runs = ladder()
    runs["state"] = pd.array([pd.NA, *["finished"] * (len(runs) - 1)], dtype="string")
    runs["run_type"] = pd.array(["isoflop"] * (len(runs) - 1) + [pd.NA], dtype="string")
    fitted = fit_isoflops(runs)
    assert fitted.left_out["rows"].sum() == 1


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        (lambda r: r.drop(columns="loss"), {}, "missing column 'loss'"),
        (lambda r: r.drop(columns=["tokens", "flops"]), {}, "missing columns 'tokens', 'flops'"),
        (lambda r: r, {"by": "recipe"}, "'recipe'"),
        (lambda r: r, {"keep": "some"}, "keep"),
        (lambda r: r, {"curve": "quartic"}, "curve: expected one of windowed, parabola, joint"),
        (lambda r: r, {"window": 0}, "window: expected decades > 0"),
        (lambda r: r, {"window": -1}, "window"),
        (lambda r: r, {"window": "wide"}, "window"),
        (lambda r: r, {"window": np.nan}, "window"),
        (lambda r: r, {"n_threads": 0}, "n_threads"),
        (lambda r: r.iloc[:0], {}, "no IsoFLOP run"),
        (lambda r: r.assign(run_type="optimal"), {}, "no IsoFLOP run"),
        (lambda r: r.assign(state="crashed"), {}, "no IsoFLOP run"),
        (lambda r: r.assign(loss="three"), {}, "loss.*row 1"),
        (lambda r: r.assign(suite=None), {}, "suite"),
        (lambda r: "runs.csv", {}, "DataFrame"),
        (lambda r: None, {}, "DataFrame"),
    ],
)
def test_frames_that_cannot_be(change, options, words):
    with pytest.raises(DataError, match=f"(?s){words}"):
        fit_isoflops(change(ladder()), **options)


def test_bad_values_spoil_their_bucket_only():
    runs = ladder()
    runs.loc[0, "loss"] = np.nan
    runs.loc[7, "tokens"] = 0.0
    with pytest.warns(FitWarning, match="2 of 4 buckets: bad_value"):
        fitted = fit_isoflops(runs)
    assert fitted.fits["status"].tolist() == ["bad_value", "bad_value", "ok", "ok"]
    assert len(fitted.optima) == 2


def test_a_ladder_without_a_single_optimum():
    with pytest.warns(FitWarning, match="saturated"):
        fitted = fit_isoflops(ladder(n=3))
    assert not fitted.fits["used"].any()
    assert len(fitted.optima) == 0
    assert len(fitted.exponents) == 0
    assert fitted.laws() == {}
    assert "0 of 4 budgets" in fitted.summary()
    assert "0 of 4 optima" in repr(fitted)
    assert fitted.to_dict()["optima"] == []


def test_laws_take_the_options_of_a_power_law():
    fitted = fit_isoflops(ladder(suites=("a", "b"), noise=0.003))
    optima = fitted.optima[fitted.optima["suite"] == "a"]
    law = fitted.laws()["a"]
    assert law == fit_power_law(optima["compute"], optima["loss_star"])
    assert fitted.laws(floor=1.0)["a"].L_inf == 1.0
    assert fitted.laws(floor=1.0)["a"].method == "pinned"
    shared = fitted.laws(shared_floor=True)
    assert shared["a"].L_inf == shared["b"].L_inf
    assert fitted.laws(method="grid")["b"].method == "grid"
    by_label = fitted.laws(compute="budget")["a"]
    assert by_label.compute_max == 1e21
    with pytest.raises(DataError):
        fitted.laws(compute="gflops")
    with pytest.raises(DataError):
        fitted.laws(score="both")


def test_a_law_warns_where_it_is_asked_for():
    fitted = fit_isoflops(ladder(budgets=(1e18, 1e19)))
    with pytest.warns(FitWarning, match="too_few_points") as caught:
        fitted.laws()
    assert caught[0].filename == __file__


def test_a_ladder_is_frozen_and_describes_itself():
    fitted = fit_isoflops(ladder(noise=0.003))
    with pytest.raises(dataclasses.FrozenInstanceError):
        fitted.fits = None
    assert isinstance(fitted, IsoflopLadder)
    assert "a: 4 of 4 budgets give an optimum" in fitted.summary()
    assert "95% t" in fitted.summary()
    assert repr(fitted) == "IsoflopLadder(1 suites, 4 of 4 optima used)"
    as_dict = fitted.to_dict()
    assert set(as_dict) == {"fits", "optima", "exponents", "left_out"}
    assert len(as_dict["fits"]) == 4
    json.dumps(as_dict)


def test_names_from_the_data_are_escaped():
    fitted = fit_isoflops(ladder(suites=("<script>alert(1)</script>",)))
    assert "<script>" not in fitted._repr_html_()
    assert "&lt;script&gt;" in fitted._repr_html_()


# --- simulated and real ladders -------------------------------------------------------------------


def test_a_simulated_ladder_gives_its_truth_back():
    runs = simulate.ladder(rng=0, noise=0.0)
    fitted = fit_isoflops(runs)
    for suite, law in fitted.laws().items():
        truth = runs.attrs["truth"][suite]
        # A parabola is not quite the curve of L(N, D): that bias is the method's, not the fit's.
        assert law.L_inf == pytest.approx(truth["L_inf"], rel=0.05)
        assert law.alpha == pytest.approx(truth["alpha"], rel=0.15)
        assert law.predict(1e21) == pytest.approx(
            truth["L_inf"] + truth["A"] * 1e21 ** -truth["alpha"], rel=0.01
        )


def test_the_real_ladders(data_dir):
    files = sorted((data_dir / "marin").glob("*.csv"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = fit_isoflops(read_runs([str(f) for f in files]))
        laws = fitted.laws()
    assert len(fitted.suites) == 3
    nemotron = [suite for suite in fitted.suites if "nemo" in suite.lower() or "C-AdamC" in suite]
    small = fitted.fits[np.isclose(fitted.fits["budget"], 1.8e18) & (fitted.fits["n"] == 3)]
    assert len(small) == 1
    assert not small["used"].any()
    assert "saturated" in small["status"].iloc[0]
    assert set(laws) <= set(fitted.suites)
    for law in laws.values():
        assert law.ok
        assert 0 <= law.L_inf < 4
    assert isinstance(nemotron, list)
