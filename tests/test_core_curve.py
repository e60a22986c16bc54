"""The learning-curve kernel against brute force (tests/reference/curve.py), and its edges."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delphi import _core
from delphi.status import status_names
from tests.reference import curve as twin
from tests.reference import samples

FORMS = list(twin.FORMS)
MODEL = {form: getattr(_core, f"curve_{form}") for form in FORMS}
TRUTH = {
    "log": (60.0, math.nan),
    "exponential": (5.0, math.nan),
    "power": (0.03, 0.5),
    "rational": (0.6, 20.0),
}


def words(code: int) -> set[str]:
    return set(status_names(int(code))) - {"ok"}


def one(tau, y, form="log", loss="mae", **options):
    tau = np.asarray(tau, float)
    return _core.curve_fit(tau, y, [0], [len(tau)], forms=[form], losses=[loss], **options)[0, 0, 0]


def draw(seed, n=None):
    """A noisy prefix of a curve of some form, now and then with spikes."""
    rng = np.random.default_rng(seed)
    form = FORMS[rng.integers(4)]
    theta = [t * math.exp(rng.normal(0, 0.6)) for t in TRUTH[form]]
    n = n or int(rng.integers(6, 60))
    tau = rng.uniform(0.2, 0.9) * np.arange(1, n + 1) / n
    y = MODEL[form](tau, rng.uniform(2, 3.5), rng.uniform(0.3, 4), *theta)
    y = y + 10 ** rng.uniform(-4, -1.5) * rng.normal(size=n)
    y[rng.random(n) < 0.05] += rng.uniform(0, 1)
    return tau, y


# --- shapes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", [1e-9, 1e-6, 1e-3, 1.0, 30.0, 1e4])
def test_shapes_are_their_formulas_for_small_and_large_theta(form, size):
    tau = np.array([1e-4, 0.01, 0.3, 0.77, 1.0])
    for other in (0.2, 3.0):
        got = MODEL[form](tau, 0.0, 1.0, size, other)
        want = twin.shape(form, tau, (size, other)).astype(float)
        # the formulas themselves lose digits where theta is small, even in extended precision
        np.testing.assert_allclose(got, want, atol=2e-14 + 3e-19 / min(size, 1), rtol=1e-11)
        assert MODEL[form](0.0, 2.0, 1.5, size, other) == pytest.approx(3.5, abs=1e-14)
        assert MODEL[form](1.0, 2.0, 1.5, size, other) == 2.0


def test_theta_that_vanishes_leaves_a_straight_line():
    tau = np.linspace(0, 1, 11)
    for form in ("log", "exponential"):
        np.testing.assert_allclose(MODEL[form](tau, 0, 1, 1e-13, np.nan), 1 - tau, atol=1e-13)
    assert np.isnan(MODEL["log"](0.5, 1, 1, 0, 1))
    assert np.isnan(MODEL["power"](0.5, 1, 1, 1, np.nan))
    assert np.isnan(MODEL["log"](-0.5, 1, 1, 1, 1))


# --- exactness ------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("loss", ["mae", "huber"])
def test_without_noise_the_final_loss_comes_back(form, loss):
    rng = np.random.default_rng(1)
    for _ in range(25):
        theta = [t * math.exp(rng.normal(0, 0.5)) for t in TRUTH[form]]
        tau = np.arange(1, 51) / 100
        F = rng.uniform(2, 3)
        y = MODEL[form](tau, F, rng.uniform(0.5, 3), *theta)
        fit = one(tau, y, form, loss)
        assert fit["status"] == 0
        assert fit["F"] == pytest.approx(F, abs=1e-7)
        assert fit["objective"] < 1e-11


@samples.examples(12)
@given(st.integers(0, 10**6), st.sampled_from(FORMS))
def test_F_and_A_are_exact_for_their_theta(seed, form):
    tau, y = draw(seed)
    top = y.max()
    for loss in ("mae", "huber"):
        fit = one(tau, y, form, loss)
        s = twin.shape(form, tau, (fit["theta_0"], fit["theta_1"])).astype(float)
        r = y - fit["F"] - fit["A"] * s
        value = twin.mean_loss(r, loss, fit["delta"])
        assert fit["objective"] == pytest.approx(value, rel=1e-7, abs=1e-13)
        if loss == "mae":
            exact = twin.line_l1(s, y, top, 2 * top)[2] / len(y)
            assert fit["gap"] <= 1e-13 * top
            assert value == pytest.approx(exact, rel=1e-6, abs=1e-10)
        else:
            best = twin.line_huber(s, y, fit["delta"], top, 2 * top)[2] / len(y)
            assert value <= best * (1 + 1e-8) + 1e-18
        assert 0 <= fit["F"] <= top
        assert 0 <= fit["A"] <= 2 * top


@samples.examples(4)
@given(st.integers(0, 10**6))
def test_no_worse_than_scipy_from_many_starts(seed):
    tau, y = draw(seed, n=30)
    for form in FORMS:
        for loss in ("mae", "huber"):
            fit = one(tau, y, form, loss)
            best, _ = twin.fit(form, tau, y, loss, fit["delta"], n_starts=3)
            assert fit["objective"] <= best * (1 + 1e-4) + 1e-15


@samples.examples(20)
@given(st.integers(0, 10**6))
def test_the_noise_estimate(seed):
    tau, y = draw(seed)
    assert one(tau, y)["noise"] == pytest.approx(twin.noise(tau, y), rel=1e-12)
    assert one(tau, y, loss="huber")["delta"] == pytest.approx(1.345 * twin.noise(tau, y))


def test_another_unit_of_loss_scales_the_fit():
    tau, y = draw(3, n=40)
    for form in FORMS:
        a, b = one(tau, y, form), one(tau, y * 64, form)
        assert b["F"] == pytest.approx(64 * a["F"], rel=1e-6)
        assert b["objective"] == pytest.approx(64 * a["objective"], rel=1e-8)


# --- slices, forms, losses, threads ---------------------------------------------------------------


def test_slices_may_overlap_and_are_what_they_are_alone():
    tau, y = draw(11, n=60)
    starts, ends = np.array([0, 0, 10, 5]), np.array([60, 30, 60, 5])
    all_at_once = _core.curve_fit(tau, y, starts, ends)
    assert all_at_once.shape == (4, 4, 2)
    for k in range(4):
        part = slice(starts[k], ends[k])
        alone = _core.curve_fit(tau[part], y[part], [0], [ends[k] - starts[k]])
        assert samples.bits(alone[0]) == samples.bits(all_at_once[k])
    assert (all_at_once[3]["status"] == -10).all()


def test_the_order_of_forms_and_losses_is_the_callers():
    tau, y = draw(12, n=40)
    full = _core.curve_fit(tau, y, [0], [40])
    some = _core.curve_fit(tau, y, [0], [40], forms=["rational", "log"], losses="huber")
    assert some.shape == (1, 2, 1)
    assert samples.bits(some[0, 0, 0]) == samples.bits(full[0, 3, 1])
    assert samples.bits(some[0, 1, 0]) == samples.bits(full[0, 0, 1])


@pytest.mark.parametrize("n_threads", [2, 5])
def test_any_number_of_threads_gives_the_same_bits(n_threads):
    tau, y = draw(13, n=50)
    ends = np.arange(6, 51)
    starts = np.zeros(len(ends), int)
    first = _core.curve_fit(tau, y, starts, ends)
    assert samples.bits(_core.curve_fit(tau, y, starts, ends, n_threads=n_threads)) == (
        samples.bits(first)
    )


def test_progress_and_exceptions_in_it():
    tau, y = draw(14, n=50)
    starts, ends = np.zeros(300, int), np.full(300, 50)
    seen = []
    _core.curve_fit(tau, y, starts, ends, n_threads=2, progress=lambda d, t: seen.append((d, t)))
    assert seen[-1] == (19 * 4, 19 * 4)  # groups of up to 16 slices, under every form

    def stop(done, total):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        _core.curve_fit(tau, y, starts, ends, n_threads=2, progress=stop)


# --- edges ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_two_points_are_too_few_and_as_many_as_coefficients_are_flagged(form):
    k = 2 + twin.N_THETA[form]
    tau = np.arange(1, 7) / 10
    y = MODEL[form](tau, 2.5, 1.0, *TRUTH[form])
    assert words(one(tau[:2], y[:2], form)["status"]) == {"too_few_points"}
    assert np.isnan(one(tau[:2], y[:2], form)["F"])
    assert "no_spare_steps" in words(one(tau[:k], y[:k], form)["status"])
    assert "no_spare_steps" not in words(one(tau, y, form)["status"])
    repeated = np.repeat(tau[:2], 4)
    assert words(one(repeated, np.repeat(y[:2], 4), form)["status"]) == {"too_few_points"}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("loss", ["mae", "huber"])
def test_rising_and_constant_curves_are_a_level(form, loss):
    tau = np.arange(1, 11) / 20
    rising = one(tau, 2 + tau, form, loss)
    assert words(rising["status"]) >= {"does_not_fall"}
    assert rising["A"] <= 1e-9
    assert rising["F"] == pytest.approx(2 + np.median(tau), abs=0.03)
    level = one(tau, np.full(10, 2.5), form, loss)
    assert level["F"] == pytest.approx(2.5, abs=1e-9)
    assert level["objective"] < 1e-12


@pytest.mark.parametrize("form", FORMS)
def test_a_spike_moves_the_robust_fits_little(form):
    tau = np.arange(1, 41) / 50
    y = MODEL[form](tau, 2.5, 1.2, *TRUTH[form])
    y[25] += 5
    for loss in ("mae", "huber"):
        assert one(tau, y, form, loss)["F"] == pytest.approx(2.5, abs=1e-3)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_none_fail_their_slice_only(bad):
    tau, y = draw(15, n=40)
    y[20] = bad
    fits = _core.curve_fit(tau, y, [0, 0, 21], [40, 20, 40])
    assert {int(s) for s in fits[0]["status"].ravel()} == {-12}
    assert np.isnan(fits[0]["F"]).all()
    assert (fits[1:]["status"] >= 0).all()


def test_progress_that_is_none_of_ours():
    y = np.linspace(4, 3, 8)
    for tau in ([0.1, 0.3, 0.2, *np.linspace(0.4, 0.9, 5)], np.linspace(0.5, 1.2, 8),
                np.linspace(-0.1, 0.5, 8)):  # fmt: skip
        assert words(one(tau, y)["status"]) == {"bad_progress"}
    assert words(one(np.linspace(0.1, 0.5, 8), -y)["status"]) == {"bad_value"}


def test_step_zero_and_duplicate_steps_count():
    tau = np.array([0, 0, 0.1, 0.1, 0.2, 0.3, 0.4, 0.5])
    for form in FORMS:
        y = MODEL[form](tau, 2.0, 1.5, *TRUTH[form])
        fit = one(tau, y, form, "huber")
        assert fit["F"] == pytest.approx(2.0, abs=1e-5)
        assert fit["n"] == 8


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("n", [9_000, 70_000])
def test_no_theta_near_a_long_runs_is_better(form, n):
    rng = np.random.default_rng(n)
    tau = np.arange(1, n + 1) / n * 0.6
    y = MODEL["power"](tau, 2.5, 1.5, 0.02, 0.4) + rng.normal(0, 0.01, n)
    fit = one(tau, y, form, "mae")
    assert fit["status"] >= 0
    assert 0 <= fit["gap"] <= 1e-9 * fit["objective"]

    def mae(F, A, theta_0, theta_1):
        return np.abs(y - MODEL[form](tau, F, A, theta_0, theta_1)).mean()

    best = (fit["F"], fit["A"], fit["theta_0"], fit["theta_1"] if fit["theta_1"] > 0 else 1.0)
    assert mae(*best) == pytest.approx(fit["objective"], rel=1e-12)
    for _ in range(60):
        near = np.array(best) * (1 + 10 ** rng.uniform(-7, -2) * rng.normal(size=4))
        assert mae(*near) >= fit["objective"] * (1 - 1e-9)


def test_a_long_run_is_fitted_on_all_of_its_points():
    rng = np.random.default_rng(5)
    n = 100_000
    tau = np.arange(1, n + 1) / n
    y = MODEL["power"](tau, 2.5, 3.0, 0.02, 0.5) + 0.02 * rng.normal(size=n)
    fits = _core.curve_fit(tau, y, [0], [n // 2], forms=["power"])[0, 0]
    assert (fits["n"] == n // 2).all()
    np.testing.assert_allclose(fits["F"], 2.5, atol=0.005)
    s = MODEL["power"](tau[: n // 2], 0, 1, fits["theta_0"][0], fits["theta_1"][0])
    r = y[: n // 2] - fits["F"][0] - fits["A"][0] * s
    assert np.mean(np.abs(r)) == pytest.approx(fits["objective"][0], rel=1e-9)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"forms": []}, ValueError, "forms: expected at least one"),
        ({"forms": ["cubic"]}, ValueError, "forms: expected 'log'"),
        ({"forms": ["log", "log"]}, ValueError, "twice"),
        ({"losses": 3}, TypeError, "losses"),
        ({"delta": 0}, ValueError, "delta"),
        ({"delta": math.inf}, ValueError, "delta"),
        ({"delta": "a"}, TypeError, "real number"),
        ({"starts": [0, 1]}, ValueError, "ends: expected 2 values"),
        ({"starts": [5], "ends": [3]}, ValueError, "slice 0"),
        ({"starts": [-1]}, ValueError, "slice 0"),
        ({"ends": [99]}, ValueError, "slice 0"),
        ({"ends": [3.0]}, TypeError, "whole numbers"),
    ],
)
def test_arguments_out_of_range(options, error, match):
    tau, y = draw(16, n=10)
    arguments = {"starts": [0], "ends": [10]} | options
    with pytest.raises(error, match=match):
        _core.curve_fit(tau, y, **arguments)
