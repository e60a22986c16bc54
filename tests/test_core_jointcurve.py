"""The kernel of joint learning curves against its slow twin, and at its edges."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delphi import _core
from delphi.jointgroups import BOX
from tests.reference import jointcurve as slow

ROOT = Path(__file__).resolve().parents[1]
FORMS = ("log", "exponential", "power", "rational")
THETA = {"log": (60.0,), "exponential": (4.0,), "power": (0.02, 0.5), "rational": (0.6, 20.0)}
STATUS = {name: code for code, (name, _) in _core.STATUS.items()}


def runs(form, seed=0, n_runs=8, n=25, noise=0.01, end=0.6, tails=False):
    """Progress, losses, rows and terms of runs whose F and A are linear in two terms."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (n_runs, 2))
    terms = np.column_stack((np.ones(n_runs), x))
    F, A = terms @ [2.5, 0.3, -0.2], terms @ [1.5, 0.1, 0.2]
    tau = np.tile(end * np.arange(1, n + 1) / n, n_runs)
    who = np.repeat(np.arange(n_runs), n)
    y = F[who] + A[who] * slow.shape(form, tau, THETA[form])
    scatter = rng.standard_t(2, len(y)) if tails else rng.normal(size=len(y))
    first = np.arange(n_runs)[None] * n
    return tau, y + noise * scatter, first, first + n, terms, who, F


def fit(tau, y, first, last, terms, **options):
    on = np.r_[0.0, np.ones(terms.shape[1] - 1)]
    return _core.jointcurve_fit(tau, y, first, last, terms, on, **options)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("loss", ["mae", "huber"])
def test_finals_come_back_without_noise(form, loss):
    tau, y, first, last, terms, _, F = runs(form, noise=0.0)
    records, b = fit(tau, y, first, last, terms, forms=form, losses=loss)
    assert records.shape == (1, 1, 1)
    assert b.shape == (1, 1, 1, 4, 3)
    np.testing.assert_allclose(terms @ b[0, 0, 0, 0], F, atol=1e-6)
    np.testing.assert_allclose(np.exp(b[0, 0, 0, 2, 0]), THETA[form][0], rtol=1e-4)
    assert np.isnan(b[0, 0, 0, 3]).all() == (len(THETA[form]) == 1)


@settings(max_examples=12, deadline=None)
@given(form=st.sampled_from(FORMS), seed=st.integers(0, 10**6), tails=st.booleans())
def test_absolute_error_is_that_of_linear_programming(form, seed, tails):
    tau, y, first, last, terms, who, _ = runs(form, seed, tails=tails)
    records, b = fit(tau, y, first, last, terms, forms=form, losses="mae")
    record, block = records[0, 0, 0], b[0, 0, 0]
    theta = np.exp(block[2:, 0])
    X = slow.design(form, tau, terms[who], theta)
    own = np.abs(y - X @ block[:2].ravel()).mean()
    least = slow.least_absolute(X, y)
    assert record["objective"] == pytest.approx(own, rel=1e-9)
    assert least <= own * (1 + 1e-9)
    assert own - least <= record["gap"] + 1e-7 * own
    assert record["gap"] <= 1e-4 * own


@settings(max_examples=8, deadline=None)
@given(form=st.sampled_from(FORMS), seed=st.integers(0, 10**6), tails=st.booleans())
def test_huber_is_no_worse_than_scipy_from_several_starts(form, seed, tails):
    tau, y, first, last, terms, who, _ = runs(form, seed, n_runs=5, n=20, tails=tails)
    records, b = fit(tau, y, first, last, terms, forms=form, losses="huber", delta=0.01)
    record, block = records[0, 0, 0], b[0, 0, 0]
    X = slow.design(form, tau, terms[who], np.exp(block[2:, 0]))
    assert record["objective"] == pytest.approx(
        slow.huber(y - X @ block[:2].ravel(), 0.01), rel=1e-9
    )
    true = np.log(THETA[form])
    least = slow.least_huber(form, tau, y, terms[who], 0.01, [true, true + 1, true - 1])
    # without a ridge a rational curve may have its minimum at an infinite drop: a status says so
    stalled = record["status"] == STATUS["joint_stalled"]
    assert record["objective"] <= least * (1 + (1e-3 if stalled else 1e-4))


@pytest.mark.parametrize("form", FORMS)
def test_theta_may_be_linear_in_the_terms(form):
    tau, y, first, last, terms, who, _ = runs(form, noise=0.0)
    x = terms[:, 1]
    theta = np.array([np.array(THETA[form]) * np.exp(0.3 * v) for v in x])
    F, A = terms @ [2.5, 0.3, -0.2], terms @ [1.5, 0.1, 0.2]
    y = np.concatenate(
        [F[r] + A[r] * slow.shape(form, tau[who == r], theta[r]) for r in range(len(x))]
    )
    shared, _ = fit(tau, y, first, last, terms, forms=form, losses="huber", delta=0.01)
    own, b = fit(
        tau, y, first, last, terms, forms=form, losses="huber", delta=0.01, n_shape_terms=2
    )
    assert own["objective"][0, 0, 0] < 1e-3 * shared["objective"][0, 0, 0]
    np.testing.assert_allclose(terms @ b[0, 0, 0, 0], F, atol=2e-3)
    assert b[0, 0, 0, 2, 1] == pytest.approx(0.3, abs=0.02)


def test_units_of_the_loss_do_not_matter():
    tau, y, first, last, terms, _, _ = runs("power")
    one, b = fit(tau, y, first, last, terms, ridge=1e-4, n_shape_terms=3, forms=("log", "power"))
    two, c = fit(
        tau, 8 * y, first, last, terms, ridge=1e-4, n_shape_terms=3, forms=("log", "power")
    )
    np.testing.assert_allclose(c[..., :2, :], 8 * b[..., :2, :], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(two["delta"], 8 * one["delta"], rtol=1e-7)


def test_threads_do_not_change_a_bit():
    tau, y, first, _, terms, _, _ = runs("rational", n_runs=12)
    cuts = np.concatenate([first + k for k in (10, 15, 20, 25)])
    starts = np.repeat(first, 4, axis=0)
    one, b = fit(tau, y, starts, cuts, terms, n_threads=1)
    many, c = fit(tau, y, starts, cuts, terms, n_threads=3)
    assert one.tobytes() == many.tobytes()
    assert b.tobytes() == c.tobytes()


def test_a_ridge_shrinks_and_settles_what_the_terms_do_not():
    tau, y, first, last, terms, _, _ = runs("power")
    twice = np.column_stack((terms, terms[:, 1]))
    bare, b = fit(tau, y, first, last, twice, forms="power")
    assert (bare["status"] == STATUS["rank"]).all()
    assert np.isnan(b).all()
    assert np.isnan(bare["objective"]).all()
    held, b = fit(tau, y, first, last, twice, forms="power", ridge=1e-6)
    assert (held["status"] >= 0).all()
    np.testing.assert_allclose(b[..., :2, 1], b[..., :2, 3], atol=1e-6)
    strong, c = fit(tau, y, first, last, twice, forms="power", ridge=10.0)
    assert (np.abs(c[..., :2, 1:]).sum() < 0.1 * np.abs(b[..., :2, 1:]).sum()).all()
    assert (strong["penalty"] > 0).all()


def test_failures_have_names():
    tau, y, first, last, terms, _, _ = runs("power")
    few, _ = fit(tau, y, first, first + 3, terms, forms=("log", "power"), losses="mae")
    assert few["status"].ravel().tolist() == [few["status"][0, 0, 0], STATUS["too_few_points"]]
    none, _ = fit(tau, y, first, first, terms)
    assert (none["status"] == STATUS["too_few_points"]).all()
    y[3] = np.nan
    bad, _ = fit(tau, y, first, last, terms)
    assert (bad["status"] == STATUS["bad_value"]).all()
    rising, _ = fit(tau, 2 + tau, first, last, terms, forms="log", losses="huber", ridge=1e-6)
    assert rising["status"][0, 0, 0] & STATUS["joint_rises"]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"terms": np.zeros((8, 3))}, "not 1"),
        ({"terms": np.ones((7, 3))}, "wrong shape|terms"),
        ({"ridge_on": [0.0, -1.0, 1.0]}, "ridge_on"),
        ({"ridge": -1.0}, "ridge"),
        ({"n_shape_terms": 4}, "n_shape_terms"),
        ({"last": np.full((1, 8), 10**6)}, "rows"),
        ({"forms": ("log", "log")}, "twice"),
        ({"delta": 0.0}, "delta"),
    ],
)
def test_bad_arguments_are_refused(change, what):
    tau, y, first, last, terms, _, _ = runs("power")
    given = {"first": first, "last": last, "terms": terms, "ridge_on": [0.0, 1.0, 1.0]} | change
    with pytest.raises((ValueError, TypeError), match=what):
        _core.jointcurve_fit(tau, y, **given)


def test_the_box_of_theta_is_that_of_the_core():
    code = (ROOT / "csrc/laws/jointstep.c").read_text()
    for name, place in (("lows", 0), ("highs", 1)):
        text = re.search(rf"{name}\[DPH_N_SHAPES\]\[2\] = \{{(.*?)\}};", code, re.S).group(1)
        numbers = [float(v) for v in re.findall(r"-?\d+", text)]
        assert numbers == [float(v) for form in FORMS for v in BOX[form][place]]
