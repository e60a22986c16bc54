"""fit_surface: the published replication, intervals, optima, and what it refuses."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import delphi
from delphi import DataError, FitWarning
from delphi.surfacelaw import PARAMETERS


@pytest.fixture(scope="module")
def chinchilla(data_dir):
    """Params, tokens, loss, and compute of the 245 digitised runs."""
    table = pd.read_csv(data_dir / "chinchilla" / "svg_extracted_data.csv")
    N, C = table["Model Size"].to_numpy(), table["Training FLOP"].to_numpy()
    return N, C / (6 * N), table["loss"].to_numpy(), C


@pytest.fixture(scope="module")
def law():
    runs = delphi.simulate.surface_runs(rng=0)
    return delphi.fit_surface(runs["params"], runs["tokens"], runs["loss"])


# --- published data -------------------------------------------------------------------------------


def test_the_replication_is_reached_from_no_start(chinchilla):
    N, D, y, _ = chinchilla
    got = delphi.fit_surface(N, D, y, drop={"highest_loss": 5})
    assert got.n == 240
    assert got.left_out["row"].tolist() == [1, 2, 3, 4, 5]
    assert got.objective <= 1.0182741e-3
    np.testing.assert_allclose([got.A, got.B], [477.83, 2143.4], rtol=1e-4)
    np.testing.assert_allclose([got.E, got.alpha, got.beta], [1.81722, 0.34731, 0.36717], atol=1e-5)


def test_all_points_have_another_optimum(chinchilla):
    got = delphi.fit_surface(*chinchilla[:3])
    assert got.objective <= 0.00182651
    np.testing.assert_allclose([got.E, got.beta], [1.8913, 0.4530], atol=1e-4)


def test_least_squares_on_217_points(chinchilla):
    N, D, y, _ = chinchilla
    kept = delphi.fit_surface(N, D, y, drop={"highest_loss": 5}).points
    below = kept["params"] * kept["tokens"] * 6 < 1e21
    part = kept[below]
    got = delphi.fit_surface(
        part["params"], part["tokens"], part["loss"], objective="squared", space="loss"
    )
    assert got.n == 217
    assert got.rss == pytest.approx(0.0624143, abs=5e-8)
    assert got.objective == pytest.approx(got.rss, rel=1e-12)
    np.testing.assert_allclose([got.E, got.alpha, got.beta], [1.90509, 0.35106, 0.45874], atol=1e-5)


def test_bootstrap_errors_are_the_published_ones(chinchilla):
    got = delphi.fit_surface(*chinchilla[:3], drop={"highest_loss": 5})
    errors = got.bootstrap(600, rng=0).standard_errors
    published = {"E": 0.02566, "A": 124.5, "B": 1293, "alpha": 0.0154, "beta": 0.0206}
    for name, value in published.items():
        assert errors[name] == pytest.approx(value, rel=0.2), name


# --- what a law says ------------------------------------------------------------------------------


def test_optimum_is_where_the_loss_is_lowest(law):
    C = np.array([1e20, 1e24])
    best = law.optimum(C)
    np.testing.assert_allclose(6 * best["params"] * best["tokens"], C, rtol=1e-12)
    for shift in (0.99, 1.01):
        moved = law.predict(best["params"] * shift, best["tokens"] / shift)
        assert (moved > best["loss"]).all()
    slope = np.log(best["params"][1] / best["params"][0]) / np.log(1e4)
    assert slope == pytest.approx(law.exponents["value"][0], rel=1e-10)
    np.testing.assert_allclose(best["tokens_per_param"], best["tokens"] / best["params"])
    assert ((best["params_low"] < best["params"]) & (best["params"] < best["params_high"])).all()


def test_optimum_of_a_function_of_flops(law):
    closed = law.optimum(1e22)
    searched = law.optimum(1e22, flops=lambda N, D: 6 * N * D)
    for name in ("params", "tokens", "params_low", "loss"):
        np.testing.assert_allclose(searched[name], closed[name], rtol=1e-5)
    dear = law.optimum(1e22, flops=lambda N, D: 6 * N * D + 1e14 * N)
    assert dear["loss"][0] > closed["loss"][0]
    spent = 6 * dear["params"] * dear["tokens"] + 1e14 * dear["params"]
    np.testing.assert_allclose(spent, 1e22, rtol=1e-9)
    half = law.optimum(1e22, flops=3.0)
    np.testing.assert_allclose(3 * half["params"] * half["tokens"], 1e22, rtol=1e-12)


def test_iso_loss_contours_lie_on_the_surface(law):
    N = np.geomspace(1e9, 1e11, 5)
    D = law.tokens_for(2.3, N)
    np.testing.assert_allclose(law.predict(N, D), 2.3, rtol=1e-12)
    assert np.isnan(law.tokens_for(law.E * 0.9, 1e9))


def test_intervals_agree_about_the_size_of_things(law):
    tables = {m: law.interval(method=m, n=300) for m in ("bootstrap", "delta", "profile")}
    for name in PARAMETERS:
        widths = [
            np.log(t.loc[t["parameter"] == name, "high"] / t.loc[t["parameter"] == name, "low"])
            for t in tables.values()
        ]
        sizes = np.array([float(w.iloc[0]) for w in widths])
        assert (sizes > 0).all()
        assert sizes.max() < 4 * sizes.min()
    at = law.interval(1e10, 1e12, method="delta").iloc[0]
    assert at.low < law.predict(1e10, 1e12) < at.high
    drawn = law.interval([1e10], [1e12], n=200).iloc[0]
    assert drawn.low < drawn.high


def test_the_truth_is_covered():
    truth = delphi.simulate.Surface(E=1.82, A=420, B=900, a=0.34, b=0.305)
    inside = 0
    for seed in range(25):
        runs = delphi.simulate.surface_runs(truth, rng=seed, noise=0.004)
        fitted = delphi.fit_surface(
            runs["params"], runs["tokens"], runs["loss"], objective="squared"
        )
        row = fitted.interval(method="profile").set_index("parameter").loc["E"]
        inside += row.low <= truth.E <= row.high
    assert inside >= 20


def test_a_profile_is_lowest_at_the_fit(law):
    table = law.profile("alpha", n=11)
    assert int(table["objective"].argmin()) == 5
    assert abs(table["deviance"].min()) < 1e-6
    assert (np.diff(table["deviance"][:6]) < 0).all()
    with pytest.raises(DataError, match="expected one of"):
        law.profile("gamma")


def test_bootstrap_does_not_depend_on_threads(law):
    one, two = (law.bootstrap(60, 3, n_threads=k).laws for k in (1, 2))
    pd.testing.assert_frame_equal(one, two, check_exact=True)
    for kind in ("residual", "wild"):
        drawn = law.bootstrap(60, 3, kind=kind)
        assert drawn.n_failed == 0
        assert drawn.standard_errors["alpha"] > 0


# --- outliers -------------------------------------------------------------------------------------


def test_an_outlier_is_the_most_influential_point():
    runs = delphi.simulate.surface_runs(rng=1)
    runs.loc[7, "loss"] *= 1.3
    fitted = delphi.fit_surface(runs["params"], runs["tokens"], runs["loss"], objective="squared")
    table = fitted.influence()
    assert 8 in table["row"][:2].tolist()
    assert table["row"][(table["E"] - fitted.E).abs().idxmax()] == 8
    assert len(table) == len(runs)
    without = delphi.fit_surface(
        *(runs.drop(index=7)[k] for k in ("params", "tokens", "loss")), objective="squared"
    )
    assert table.set_index("row")["E"][8] == pytest.approx(without.E, rel=1e-9)


def test_delta_table_runs_from_absolute_to_squared(law):
    table = law.delta_table([1e-4, 1e-1])
    assert table["kind"].tolist() == ["absolute", "huber", "huber", "squared"]
    assert table["E"][2] == pytest.approx(table["E"][3], rel=1e-6)
    assert table["n_inside"].tolist()[2:] == [law.n, law.n]


@pytest.mark.parametrize(
    ("drop", "rule", "n"),
    [
        ({"highest_loss": 3}, "highest_loss=3", 3),
        ({"lowest_tokens_per_param": 5}, "lowest_tokens_per_param=5", 5),
        ({"params_below": 5e7}, "params_below=5e+07", 6),
        ({"flops_above": 1e20}, "flops_above=1e+20", None),
    ],
)
def test_what_is_left_out_is_listed(drop, rule, n):
    runs = delphi.simulate.surface_runs(rng=0)
    fitted = delphi.fit_surface(runs["params"], runs["tokens"], runs["loss"], drop=drop)
    assert set(fitted.left_out["rule"]) == {rule}
    assert n is None or len(fitted.left_out) == n
    assert fitted.n + len(fitted.left_out) == len(runs)
    where = runs.iloc[fitted.left_out["row"] - 1]
    assert fitted.left_out["loss"].tolist() == where["loss"].tolist()
    mask = ~runs.index.isin(fitted.points["row"] - 1)
    again = delphi.fit_surface(runs["params"], runs["tokens"], runs["loss"], drop=mask)
    assert again.objective == fitted.objective


# --- results and refusals -------------------------------------------------------------------------


def test_batches_are_single_fits():
    runs = pd.concat(
        [delphi.simulate.surface_runs(rng=i).assign(suite=name) for i, name in enumerate("ab")]
    )
    laws = delphi.fit_surfaces(runs, n_threads=2)
    for _, row in laws.iterrows():
        part = runs[runs["suite"] == row["suite"]]
        alone = delphi.fit_surface(part["params"], part["tokens"], part["loss"])
        assert all(row[name] == getattr(alone, name) for name in (*PARAMETERS, "objective"))
        assert row["se_E"] == alone.standard_errors["E"]


def test_what_cannot_be_told_apart_is_a_warning_in_words():
    N = np.geomspace(1e8, 1e10, 12)
    with pytest.warns(FitWarning, match="one_budget.*not identified"):
        failed = delphi.fit_surface(N, 1e21 / (6 * N), 2 + N / 1e11)
    assert not failed.ok
    assert np.isnan([failed.E, failed.A, failed.objective]).all()
    assert "no law" in repr(failed)
    for call in (failed.bootstrap, failed.influence, lambda: failed.optimum(1e20)):
        with pytest.raises(DataError, match="one_budget"):
            call()
    with pytest.warns(FitWarning, match="on_a_line"):
        held = delphi.fit_surface(
            N, 1e21 / (6 * N), 2 + 400 * N**-0.3, fixed={"E": 1.5, "alpha": 0.3}
        )
    assert held.ok


def test_bad_input_is_named():
    runs = delphi.simulate.surface_runs(rng=0)
    N, D, y = (runs[k].to_numpy() for k in ("params", "tokens", "loss"))
    with pytest.raises(DataError, match="loss: row 3"):
        delphi.fit_surface(N, D, np.where(np.arange(len(y)) == 2, np.nan, y))
    with pytest.raises(DataError, match="gamma"):
        delphi.fit_surface(N, D, y, fixed={"gamma": 1})
    with pytest.raises(DataError, match="alpha"):
        delphi.fit_surface(N, D, y, fixed={"alpha": -1})
    with pytest.raises(DataError, match="E is -1, which nonnegative=True rules out"):
        delphi.fit_surface(N, D, y, fixed={"E": -1})
    with pytest.raises(DataError, match="no rule"):
        delphi.fit_surface(N, D, y, drop={"ugly": 1})
    with pytest.raises(DataError, match="weights"):
        delphi.fit_surface(N, D, y, weights=-np.ones(len(y)))
    with pytest.raises(DataError, match="delta"):
        delphi.fit_surface(N, D, y, delta=-1)
    with pytest.raises(DataError, match="objective"):
        delphi.fit_surface(N, D, y, objective="cauchy")


def test_a_result_is_text_and_tables(law):
    row = law.to_frame().iloc[0]
    assert row["E"] == law.E
    assert row["se_alpha"] == law.standard_errors["alpha"]
    assert law.to_dict()["status"] == "ok"
    assert "<pre>" in law._repr_html_()
    assert law.equation in repr(law)
    assert "standard errors" in law.summary()
    with pytest.raises(AttributeError):
        law.E = 2


def test_no_warning_where_all_is_well():
    runs = delphi.simulate.surface_runs(rng=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        delphi.fit_surface(runs["params"], runs["tokens"], runs["loss"], fixed={"beta": 0.3})


@pytest.mark.parametrize("mobile", [False, True])
@pytest.mark.parametrize(
    "name", ["surface_contours", "surface_residuals", "surface_fit_quality", "delta_sweep"]
)
def test_figures_show_the_data(name, mobile):
    pytest.importorskip("plotly")
    from delphi import figures

    runs = delphi.simulate.surface_runs(rng=0)
    fitted = delphi.fit_surface(
        runs["params"], runs["tokens"], runs["loss"], drop={"highest_loss": 2}
    )
    figure = getattr(figures, name)(fitted, mobile=mobile)
    drawn = [trace for trace in figure.data if "markers" in (getattr(trace, "mode", "") or "")]
    numbers = [len(trace.x) for trace in drawn]
    assert (max(numbers) == fitted.n) == (name != "delta_sweep")
    assert figure.layout.height > 200
    if name == "surface_residuals":
        assert [shape.type for shape in figure.layout.shapes] == ["rect", "line"] * 2
