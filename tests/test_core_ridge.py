"""Ridge regression in the core against its slow twin, and its manners as a binding."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delphi import _core
from tests.reference import ridge as twin
from tests.reference import samples


def make(n, p, seed=0, noise=0.5):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, p)) * rng.uniform(0.5, 3, p) + rng.normal(size=p)
    return x, x @ rng.normal(size=p) + 2 + noise * rng.normal(size=n)


@samples.examples(40)
@given(st.integers(1, 6), st.integers(3, 20), st.floats(1e-6, 10), st.booleans(),
       st.integers(0, 999))  # fmt: skip
def test_agrees_with_its_twin(p, extra, strength, standardize, seed):
    x, y = make(p + extra, p, seed)
    b, covariance, records = _core.ridge_fit(
        x, y, [0, len(y)], ridge="fixed", strength=strength, standardize=standardize,
        covariance=True,
    )  # fmt: skip
    intercept, want, edf, rss = twin.ridge(x, y, strength, standardize)
    np.testing.assert_allclose(b[0], want, rtol=1e-8, atol=1e-10)
    r = records[0]
    assert r["intercept"] == pytest.approx(intercept, rel=1e-8, abs=1e-9)
    assert r["edf"] == pytest.approx(edf, rel=1e-9)
    assert r["rss"] == pytest.approx(rss, rel=1e-8)
    assert r["sigma"] == pytest.approx(np.sqrt(rss / (len(y) - edf)), rel=1e-8)
    assert np.linalg.eigvalsh(covariance[0])[0] > -1e-12
    if standardize:
        assert r["loo"] == pytest.approx(twin.loo(x, y, strength), rel=1e-7)


def test_the_penalty_beats_a_fine_grid():
    x, y = make(40, 6, 3, noise=8.0)
    for rule in ("gcv", "loo"):
        _, _, best = _core.ridge_fit(x, y, [0, 40], ridge=rule)
        for strength in np.geomspace(1e-8, 1e2, 200):
            _, _, other = _core.ridge_fit(x, y, [0, 40], ridge="fixed", strength=strength)
            assert other[rule][0] >= best[rule][0] * (1 - 1e-9)


def test_without_penalty_it_is_least_squares_and_its_covariance():
    x, y = make(30, 3, 4)
    b, covariance, records = _core.ridge_fit(x, y, [0, 30], ridge="fixed", covariance=True)
    design = np.column_stack((np.ones(30), x))
    np.testing.assert_allclose(
        np.r_[records["intercept"], b[0]], np.linalg.lstsq(design, y, rcond=None)[0], rtol=1e-10
    )
    np.testing.assert_allclose(covariance[0], np.linalg.inv(design.T @ design), rtol=1e-8,
                               atol=1e-12)  # fmt: skip


def test_groups_and_threads():
    rng = np.random.default_rng(0)
    sizes = rng.integers(0, 25, 300)
    offsets = np.concatenate(([0], np.cumsum(sizes)))
    x, y = make(offsets[-1], 4)
    runs = [_core.ridge_fit(x, y, offsets, covariance=True, n_threads=n) for n in (1, 2, 7)]
    for one in runs[1:]:
        np.testing.assert_array_equal(one[0], runs[0][0])
        np.testing.assert_array_equal(one[1], runs[0][1])
        assert one[2].tobytes() == runs[0][2].tobytes()
    for g in (0, 5, 17, 299):
        rows = slice(offsets[g], offsets[g + 1])
        b, _, records = _core.ridge_fit(x[rows], y[rows], [0, sizes[g]])
        np.testing.assert_array_equal(b[0], runs[0][0][g])
        assert (records[0]["status"] < 0) == (sizes[g] < 2)


@pytest.mark.parametrize(("change", "says"), [
    ({"features": np.ones(5)}, "features"), ({"features": np.ones((4, 2))}, "features"),
    ({"features": np.ones((5, 0))}, "features"), ({"features": np.ones((5, 257))}, "features"),
    ({"ridge": "aic"}, "ridge"), ({"strength": -1.0}, "strength"),
    ({"strength": np.nan}, "strength"), ({"offsets": [0, 4]}, "offsets"), ({"n_threads": 0}, "n_"),
])  # fmt: skip
def test_bad_arguments_are_named(change, says):
    given_ = {"features": np.ones((5, 2)), "target": np.ones(5), "offsets": [0, 5]} | change
    with pytest.raises(ValueError, match=says):
        _core.ridge_fit(given_.pop("features"), given_.pop("target"), given_.pop("offsets"),
                        **given_)  # fmt: skip
