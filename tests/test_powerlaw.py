"""fit_power_law, fit_power_laws and PowerLaw."""

from __future__ import annotations

import dataclasses
import json
import math
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from scipy import optimize

from delphi import DataError, FitWarning, PowerLaw, fit_power_law, fit_power_laws
from tests.reference import samples

C7 = np.array([3e18, 9e18, 1.8e19, 3e19, 9e19, 1.8e20, 3e20])
Y7 = 1.8 + 1620 * C7**-0.16
NOISY = Y7 * np.array([1.001, 0.999, 1.0005, 0.9985, 1.001, 1.0, 0.9995])
BAD_STATUS = {"constant_loss": [2.0] * 7, "not_decreasing": Y7[::-1]}


def quiet(*args, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        return fit_power_law(*args, **options)


# --- one law --------------------------------------------------------------------------------------


def test_the_judged_recovery():
    law = fit_power_law(C7, Y7)
    assert (law.status, law.status_code, law.ok, law.n) == ("ok", 0, True, 7)
    assert law.L_inf == pytest.approx(1.8, rel=1e-8)
    assert pytest.approx(1620, rel=1e-8) == law.A
    assert law.alpha == pytest.approx(0.16, rel=1e-8)
    L = 0.99 * 2.5
    y = L + 0.025 * (C7 / C7[-1]) ** -0.3
    high = fit_power_law(C7, y)
    assert high.L_inf == pytest.approx(0.99 * y.min(), rel=1e-8)
    assert high.alpha == pytest.approx(0.3, rel=1e-8)
    assert pytest.approx(0.025 * C7[-1] ** 0.3, rel=1e-8) == high.A


def test_flops_and_exaflops():
    for y in (Y7, NOISY):
        flops, exa = fit_power_law(C7, y), fit_power_law(C7 / 1e18, y)
        assert exa.L_inf == pytest.approx(flops.L_inf, rel=1e-10)
        assert exa.alpha == pytest.approx(flops.alpha, rel=1e-10)
        assert exa.predict(1e4) == pytest.approx(flops.predict(1e22), rel=1e-10)


@samples.examples(25)
@given(samples.suite(falling=True))
def test_scipy_finds_nothing_better(group):
    C, y = group
    law = quiet(C, y)
    if not law.ok:
        return
    s = np.log(C / C.min())
    span = s.max()

    def residuals(p):
        return p[0] + np.exp(p[1] - p[2] * s / span) - y

    best = math.inf
    for L in (0.0, 0.5, 0.9, 0.99):
        for u in (0.3, 2.0, 8.0):
            start = [L * y.min(), math.log(max(y.max() - L * y.min(), 1e-9)), u]
            found = optimize.least_squares(
                residuals, start, bounds=([0, -50, 1e-9], [y.min(), 50, 500]), xtol=1e-14
            )
            best = min(best, 2 * found.cost)
    assert law.rss <= best * (1 + 1e-6) + 1e-24 * np.sum(y**2)


def test_options_reach_the_core():
    default = fit_power_law(C7, NOISY)
    pinned = fit_power_law(C7, NOISY, floor=1.5)
    grid = fit_power_law(C7, NOISY, method="grid", n_grid=77)
    log = fit_power_law(C7, NOISY, score="log")
    assert (default.method, default.score) == ("profile", "loss")
    assert (pinned.method, pinned.L_inf) == ("pinned", 1.5)
    assert grid.method == "grid"
    step = 0.95 * NOISY.min() / 76
    assert grid.L_inf / step == pytest.approx(round(grid.L_inf / step), abs=1e-9)
    assert log.score == "log"
    assert default.rss <= min(pinned.rss, grid.rss, log.rss)
    assert fit_power_law(C7, NOISY, floor=0).L_inf == 0
    assert fit_power_law(C7, NOISY, floor=np.float32(1.5)).L_inf == 1.5


@pytest.mark.parametrize("change", [list, tuple, pd.Series, pl.Series, pa.array, np.array])
def test_columns_of_all_kinds(change):
    assert fit_power_law(change(C7), change(NOISY)) == fit_power_law(C7, NOISY)


def test_numbers_of_all_kinds():
    C, y = np.array([1, 10, 100, 1000, 10000]), np.array([72, 48, 36, 30, 27])
    wanted = fit_power_law(C.astype(float), y.astype(float))
    for dtype in ("f4", "i4", "i8", "u2", ">f8", ">i4"):
        assert fit_power_law(C.astype(dtype), y.astype(dtype)) == wanted
    assert fit_power_law(np.repeat(C, 2)[::2], y[::-1].copy()[::-1]) == wanted
    frozen = C.astype(float)
    frozen.flags.writeable = False
    assert fit_power_law(frozen, y) == wanted
    assert fit_power_law(["1", "10", "1e2", "1000", "1e4"], [72, 48, 36, 30, 27]) == wanted


@pytest.mark.parametrize(
    ("C", "y", "words"),
    [
        (C7, Y7[:-1], "loss: expected 7 values, got 6"),
        ([], [], "compute: expected at least 1"),
        (C7[None], Y7, "compute: expected one dimension"),
        (1e18, 3.0, "compute: expected one dimension"),
        ([*C7[:-1], 0.0], Y7, "compute.*row 7"),
        ([*C7[:-1], -1.0], Y7, "compute.*row 7"),
        (C7, [math.nan, *Y7[1:]], "loss.*row 1"),
        (C7, [*Y7[:3], math.inf, *Y7[4:]], "loss.*row 4"),
        (C7, [*Y7[:3], None, *Y7[4:]], "loss.*row 4"),
        (C7, [*Y7[:3], "three", *Y7[4:]], "loss.*row 4.*three"),
        (C7.astype(complex), Y7, "compute"),
        (None, Y7, "compute"),
        ("abc", Y7, "compute"),
    ],
)
def test_what_is_no_data(C, y, words):
    with pytest.raises(DataError, match=f"(?s){words}"):
        fit_power_law(C, y)


@pytest.mark.parametrize(
    "options",
    [
        {"floor": -0.1}, {"floor": math.nan}, {"floor": math.inf}, {"floor": "1"}, {"floor": [1.0]},
        {"floor": True}, {"floor": 1j}, {"score": "Loss"}, {"score": None}, {"method": "newton"},
        {"method": 3}, {"n_grid": 0}, {"n_grid": -1}, {"n_grid": 2.5}, {"n_grid": "4"},
        {"n_grid": 10**12}, {"n_grid": 10**30},
    ],
)  # fmt: skip
def test_options_that_are_none(options):
    with pytest.raises(DataError, match=next(iter(options))):
        fit_power_law(C7, Y7, **options)


EDGES = {
    "one point": ([1e18], [3.0], {}, "too_few_points"),
    "two points": ([1e18, 1e19], [3.0, 2.0], {}, "too_few_points"),
    "equal C": ([1e18] * 4, [4.0, 3.0, 2.0, 1.0], {}, "equal_x"),
    "constant": (C7, [2.0] * 7, {}, "constant_loss"),
    "rising": (C7, Y7[::-1], {}, "not_decreasing"),
    "floor too high": (C7, Y7, {"floor": 3.0}, "floor_too_high"),
    "floor at zero": (
        C7[:4],
        [4.0, 3.9, 3.5, 2.0],
        {},
        "floor_at_zero, alpha_weak, floor_not_identified",
    ),
    "three points": (C7[:3], Y7[:3], {}, "saturated"),
    "two points, pinned": (C7[:2], Y7[:2], {"floor": 1.8}, "saturated"),
}


@pytest.mark.parametrize("edge", EDGES)
def test_edges_have_a_status_and_a_warning(edge):
    C, y, options, status = EDGES[edge]
    with pytest.warns(FitWarning, match=f"fit_power_law: .*{status.split(',')[0]}") as caught:
        law = fit_power_law(C, y, **options)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert law.status == status
    assert law.n == len(C)
    failed = law.status_code < 0
    assert law.ok != failed
    assert all(math.isnan(v) == failed for v in (law.L_inf, law.A, law.alpha, law.log_A, law.rss))
    assert law.method == ("pinned" if "floor" in options else "profile")


# --- what a law can do ----------------------------------------------------------------------------


def test_prediction_and_its_inverse():
    law = fit_power_law(C7, Y7)
    assert isinstance(law.predict(1e21), float)
    np.testing.assert_allclose(law.predict(C7), Y7, rtol=1e-12)
    assert law.predict(C7.reshape(7, 1)).shape == (7, 1)
    assert law.predict([]).shape == (0,)
    loss = np.array([3.0, 2.5, 2.0, 1.81])
    np.testing.assert_allclose(law.predict(law.compute_for(loss)), loss, rtol=1e-10)
    assert isinstance(law.compute_for(2.5), float)
    assert np.isnan(law.compute_for([1.7, law.L_inf, np.nan])).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(law.predict([0.0, -1.0, np.nan])).all()
        assert law.predict(np.inf) == pytest.approx(law.L_inf)
        assert math.isfinite(law.predict(1e-300)) or math.isinf(law.predict(1e-300))


@pytest.mark.parametrize("status", BAD_STATUS)
def test_a_failed_law_answers_nan(status):
    law = quiet(C7, BAD_STATUS[status])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert math.isnan(law.predict(1e21))
        assert np.isnan(law.predict(C7)).all()
        assert math.isnan(law.compute_for(2.0))
    assert law.equation == "no law"
    assert status in law.summary()
    assert status in repr(law)
    assert "no law" in law._repr_html_()


def test_a_law_is_frozen_and_describes_itself():
    law = fit_power_law(C7, NOISY)
    with pytest.raises(dataclasses.FrozenInstanceError):
        law.L_inf = 0
    assert law.compute_range == (3e18, 3e20)
    assert law.equation.startswith("loss = 1.")
    assert law.equation in repr(law)
    for text in ("7 points", "3e+18 to 3e+20", "loss space", "profile", "status: ok", "rms"):
        assert text in law.summary()
    assert law._repr_html_().startswith("<div class=")
    as_dict = law.to_dict()
    assert as_dict["status"] == "ok"
    assert json.loads(json.dumps(as_dict)) == as_dict
    frame = law.to_frame()
    assert len(frame) == 1
    assert frame["alpha"][0] == law.alpha
    fields = {f.name for f in dataclasses.fields(PowerLaw)}
    assert set(as_dict) == fields - {"points", "home"} | {"status"}
    np.testing.assert_array_equal(law.points, np.stack((C7, NOISY)))


def test_plot_is_a_plotly_figure():
    go = pytest.importorskip("plotly.graph_objects")
    assert isinstance(fit_power_law(C7, NOISY).plot(), go.Figure)
    assert isinstance(quiet(C7, [2.0] * 7).plot(), go.Figure)


# --- many laws ------------------------------------------------------------------------------------


def table(**suites):
    frames = [pd.DataFrame({"suite": q, "compute": C7, "loss": y}) for q, y in suites.items()]
    return pd.concat(frames, ignore_index=True)


def test_a_frame_of_laws_is_the_laws_one_by_one():
    frame = table(b=NOISY, a=Y7, c=[2.0] * 7)
    with pytest.warns(FitWarning, match="1 of 3 groups: constant_loss") as caught:
        laws = fit_power_laws(frame)
    assert caught[0].filename == __file__
    assert list(laws.columns) == [
        "suite", "n", "L_inf", "A", "alpha", "log_A", "rss", "compute_min", "compute_max", "status",
        "status_code",
    ]  # fmt: skip
    assert laws["suite"].tolist() == ["a", "b", "c"]
    assert laws["status"].tolist() == ["ok", "ok", "constant_loss"]
    assert laws["n"].tolist() == [7, 7, 7]
    for row, y in zip(laws.itertuples(), (Y7, NOISY), strict=False):
        law = fit_power_law(C7, y)
        assert (row.L_inf, row.A, row.alpha, row.rss) == (law.L_inf, law.A, law.alpha, law.rss)
        assert (row.compute_min, row.compute_max) == law.compute_range


def test_rows_in_any_order_other_frames_other_names():
    frame = table(a=Y7, b=NOISY)
    wanted = fit_power_laws(frame)
    mixed = frame.sample(frac=1, random_state=0)
    np.testing.assert_allclose(fit_power_laws(mixed)["L_inf"], wanted["L_inf"], rtol=1e-9)
    for other in (pl.from_pandas(frame), pa.Table.from_pandas(frame)):
        pd.testing.assert_frame_equal(fit_power_laws(other), wanted, check_dtype=False)
    renamed = frame.rename(columns={"suite": "q", "compute": "C", "loss": "y"})
    other = fit_power_laws(renamed, compute="C", loss="y", by="q")
    pd.testing.assert_frame_equal(other.rename(columns={"q": "suite"}), wanted)
    two = frame.assign(seed=1)
    assert fit_power_laws(two, by=["suite", "seed"])["seed"].tolist() == [1, 1]


def test_one_floor_for_all():
    frame = table(a=1.8 + 1500 * C7**-0.16, b=1.8 + 2200 * C7**-0.165)
    shared = fit_power_laws(frame, shared_floor=True)
    np.testing.assert_allclose(shared["L_inf"], 1.8, rtol=1e-8)
    np.testing.assert_allclose(shared["alpha"], [0.16, 0.165], rtol=1e-7)
    noisy = table(a=NOISY, b=NOISY[::-1][::-1] * 1.05)
    shared = fit_power_laws(noisy, shared_floor=True)
    assert shared["L_inf"].nunique() == 1
    free = fit_power_laws(noisy)
    assert shared["rss"].sum() >= free["rss"].sum()
    pinned = fit_power_laws(noisy, floor=1.5, shared_floor=True)
    assert pinned["L_inf"].tolist() == [1.5, 1.5]
    for weigh in ("points", "suites"):
        assert fit_power_laws(noisy, shared_floor=True, weigh=weigh)["L_inf"].nunique() == 1


def test_bad_values_spoil_their_group_only():
    frame = table(a=Y7, b=NOISY)
    frame.loc[3, "loss"] = np.nan
    frame.loc[4, "compute"] = -1.0
    with pytest.warns(FitWarning, match="1 of 2 groups: bad_value"):
        laws = fit_power_laws(frame)
    assert laws["status"].tolist() == ["bad_value", "ok"]


def test_an_empty_frame_has_no_laws():
    laws = fit_power_laws(table(a=Y7).iloc[:0])
    assert len(laws) == 0
    assert "L_inf" in laws


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"by": "q"}, "missing column 'q'"),
        ({"compute": "C", "loss": "y"}, "missing columns 'C', 'y'"),
        ({"weigh": "rows"}, "weigh"),
        ({"n_threads": 0}, "n_threads"),
        ({"floor": -1}, "floor"),
        ({"by": []}, "label"),
    ],
)
def test_calls_that_cannot_be(change, words):
    with pytest.raises(DataError, match=words):
        fit_power_laws(table(a=Y7), **change)


def test_frames_that_cannot_be():
    frame = table(a=Y7)
    with pytest.raises(DataError, match=r"loss.*row 2.*'x'"):
        fit_power_laws(frame.assign(loss=["1", "x", *"34567"]))
    with pytest.raises(DataError, match="suite"):
        fit_power_laws(frame.assign(suite=[None, *"abcdef"]))
    with pytest.raises(DataError, match="DataFrame"):
        fit_power_laws([1, 2, 3])


@pytest.mark.parametrize("name", ["n", "status", "L_inf", "compute_min"])
def test_a_label_named_like_a_result_is_not_lost(name):
    frame = table(a=Y7, b=NOISY).rename(columns={"suite": name})
    try:
        laws = fit_power_laws(frame, by=name)
    except DataError:
        return
    assert laws.iloc[:, 0].tolist() == ["a", "b"]
    assert laws.columns.is_unique


def test_the_frame_is_left_alone():
    frame = table(a=Y7, b=NOISY)
    before = frame.copy()
    fit_power_laws(frame)
    pd.testing.assert_frame_equal(frame, before)


def test_a_million_rows_in_no_time():
    C, y, _ = samples.laws(140_000)
    frame = pd.DataFrame({"suite": np.repeat(np.arange(140_000), 7), "compute": C, "loss": y})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        laws = fit_power_laws(frame)
    assert len(laws) == 140_000
    assert (laws["status_code"] >= 0).mean() > 0.99


def test_what_is_no_number_has_no_loss_and_no_compute():
    law = fit_power_law(C7, NOISY)
    with pytest.raises(DataError, match="compute"):
        law.predict("x")
    with pytest.raises(DataError, match="loss"):
        law.compute_for(["2.5", "a"])
