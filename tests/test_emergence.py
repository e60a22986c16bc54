"""Richards curves from Python: results, intervals, bad input."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import delphi
from delphi import DataError, FitWarning, fit_richards
from delphi.emergence import fit_richards_groups

X = np.linspace(-1.35, -0.3, 40)
TRUTH = (8.0, -0.8, 1.3, 0.25, 0.86)


def accuracies(seed=0, m=1000, x=X):
    rng = np.random.default_rng(seed)
    return rng.binomial(m, delphi.richards(x, *TRUTH)) / m


def test_an_exact_curve_comes_back():
    curve = fit_richards(X, delphi.richards(X, *TRUTH), floor=0.25)
    got = (curve.k, curve.x0, curve.v, curve.floor, curve.ceiling)
    np.testing.assert_allclose(got, TRUTH, rtol=1e-5)
    assert curve.status == "ok"
    assert curve.ok
    assert curve.predict(curve.x_half) == pytest.approx((0.25 + 0.86) / 2)


def test_inversion_and_prediction_take_numbers_and_arrays():
    curve = fit_richards(X, delphi.richards(X, *TRUTH), floor=0.25)
    assert isinstance(curve.predict(-0.5), float)
    assert isinstance(curve.invert(0.5), float)
    np.testing.assert_allclose(curve.predict(curve.invert([0.3, 0.8])), [0.3, 0.8], rtol=1e-10)
    assert np.isnan(curve.invert([0.25, 0.2, 0.86 + 1e-6, 2.0])).all()


def test_binomial_weights_matter():
    y = accuracies(1, 500)
    m = np.where(X < -0.8, 50, 50_000)
    plain, weighed = fit_richards(X, y, floor=0.25), fit_richards(X, y, floor=0.25, n_problems=m)
    assert np.isnan(plain.deviance)
    assert weighed.deviance > 0
    assert plain.ceiling != weighed.ceiling
    assert plain.sse <= weighed.sse
    assert weighed.dispersion > 1


@pytest.mark.parametrize("m", [None, 1000])
def test_intervals_hold_the_truth_and_repeat(m):
    curve = fit_richards(X, accuracies(2), floor=0.25, n_problems=m)
    frame = curve.interval([-1.0, -0.7, -0.4], n_boot=300, rng=5)
    truth = delphi.richards([-1.0, -0.7, -0.4], *TRUTH)
    assert ((frame["low"] < truth) & (truth < frame["high"])).all()
    assert (frame["high"] - frame["low"] < 0.06).all()
    pd.testing.assert_frame_equal(frame, curve.interval([-1.0, -0.7, -0.4], n_boot=300, rng=5))
    wide = curve.interval([-0.7], level=0.99, n_boot=300, rng=5)
    assert wide["high"][0] - wide["low"][0] > frame["high"][1] - frame["low"][1]


@pytest.mark.parametrize(
    ("x", "y", "options", "words"),
    [
        (X, 100 * accuracies(), {}, "percent: divide by 100"),
        (X, accuracies() + 0.5, {}, r"lie in \[0, 1\]"),
        (X, np.where(X < -1, np.nan, accuracies()), {}, "row 1 is nan"),
        (np.where(X < -1.3, np.inf, X), accuracies(), {}, "infinite"),
        (X[:5], accuracies(), {}, "expected 5 values"),
        (X, accuracies(), {"n_problems": 0}, "at least 1"),
        (X, accuracies(), {"floor": 25}, r"floor: expected a number in \[0, 1\]"),
        (X, accuracies(), {"ceiling": 95}, "ceiling: expected a number"),
        (X, accuracies(), {"bounds": {"k": (0, 1)}}, "bounds: expected a dict"),
        (X[None], accuracies(), {}, "one dimension"),
    ],
)
def test_bad_input_is_named(x, y, options, words):
    with pytest.raises(DataError, match=words):
        fit_richards(x, y, **{"floor": 0.25, **options})


@pytest.mark.parametrize(
    ("x", "y", "name"),
    [
        (X[:3], accuracies()[:3], "too_few_points"),
        (X, np.full(40, 0.3), "constant_accuracy"),
        (np.full(40, -1.0), accuracies(), "equal_x"),
    ],
)
def test_no_curve_is_a_status_and_a_warning(x, y, name):
    with pytest.warns(FitWarning, match=name):
        curve = fit_richards(x, y, floor=0.25)
    assert curve.status == name
    assert not curve.ok
    assert np.isnan([curve.k, curve.ceiling, curve.predict(-0.5), curve.invert(0.5)]).all()
    assert "no curve" in repr(curve)
    with pytest.raises(DataError, match=name):
        curve.interval([-0.5])


def test_a_ceiling_below_the_floor_has_a_status():
    with pytest.warns(FitWarning, match="ceiling_too_low"):
        assert not fit_richards(X, accuracies(), floor=0.5, ceiling=0.4).ok


def test_partial_curves_warn():
    x = np.linspace(-1.35, -0.9, 30)
    with pytest.warns(FitWarning, match="none_above_half|ceiling"):
        fit_richards(x, accuracies(3, 1000, x), floor=0.25, n_problems=1000)
    with pytest.warns(FitWarning, match="not_rising"):
        fit_richards(-X, accuracies(), floor=0.25)


def test_groups_in_one_call():
    frame = pd.concat(
        [pd.DataFrame({"task": t, "soft": X, "hard": accuracies(i), "m": 1000.0})
         for i, t in enumerate("ba")]
    )  # fmt: skip
    frame.loc[len(frame)] = ["c", -1.0, np.nan, 1000.0]
    with pytest.warns(FitWarning, match="1 of 3 groups: too_few_points"):
        table = fit_richards_groups(frame, floor=0.25, n_problems="m")
    assert table["task"].tolist() == ["a", "b", "c"]
    alone = fit_richards(X, accuracies(1), floor=0.25, n_problems=1000)
    assert table["k"][0] == alone.k


def test_results_speak():
    curve = fit_richards(X, accuracies(), floor=0.25, n_problems=1000)
    assert "sigma" in curve.equation
    assert "dispersion" in curve.summary()
    assert curve.to_dict()["status"] == curve.status
    assert len(curve.to_frame()) == 1
    assert curve._repr_html_().startswith("<pre>")
    with pytest.raises(AttributeError):
        curve.k = 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        repr(curve)


@pytest.mark.parametrize("even", [True, False])
def test_scatter_is_even_or_in_proportion_to_binomial_noise(even):
    rng = np.random.default_rng(3)
    x = np.linspace(-1.4, -0.3, 200)
    m = 20_000
    p = np.asarray(delphi.richards(x, 8.0, -0.8, 1.0, 0.0, 0.9))
    binomial = np.sqrt(p * (1 - p) / m)
    noise = (0.01 if even else 3 * binomial) * rng.standard_normal(200)
    y = rng.binomial(m, np.clip(p + noise, 0, 1)) / m
    curve = fit_richards(x, y, floor=0.0, n_problems=m)
    assert curve.dispersion > 3
    if even:
        assert 0.008 < curve.scatter < 0.012
        assert "scatter" in curve.summary()
    else:
        assert curve.scatter == 0
        assert "scatter" not in curve.summary()
    p = np.full(20_000, 0.45)
    shown = curve.observed(p, m, np.random.default_rng(0))
    expected = np.hypot(0.01, 0.0035) if even else np.sqrt(curve.dispersion) * 0.0035
    np.testing.assert_allclose(shown.std(), expected, rtol=0.15)
    clean = fit_richards(x, rng.binomial(m, p[:200] * 0 + curve.predict(x)) / m, floor=0.0,
                         n_problems=m)  # fmt: skip
    assert clean.scatter < 0.002
