"""Replicates under one floor against the kernel that searches all floors."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import delphi
from delphi import DataError, _core, simulate
from delphi.sharedfloor import refit_shared, shared_replicates


def searched(x, y, offsets):
    """Every set by the kernel."""
    n, n_points = y.shape
    ends = np.concatenate(([0], (np.arange(n)[:, None] * n_points + offsets[1:]).ravel()))
    n_suites = len(offsets) - 1
    records = _core.powerlaw_fit(
        np.tile(np.exp(x), n), y.ravel(), ends, sets=np.arange(n + 1) * n_suites, n_threads=2
    )
    return records.reshape(n, n_suites)


@settings(max_examples=15)
@given(
    st.integers(0, 2**32 - 1), st.integers(1, 4), st.floats(1e-4, 5e-3), st.floats(0.08, 0.3)
)  # fmt: skip
def test_agrees_with_the_search_over_all_floors(seed, n_suites, noise, alpha):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(4, 9, n_suites)
    offsets = np.concatenate(([0], np.cumsum(sizes)))
    x = np.concatenate([np.sort(rng.uniform(40, 49, m)) for m in sizes])
    a = rng.uniform(0.7, 1.3, n_suites)
    rates = alpha * rng.uniform(0.8, 1.2, n_suites)
    exact = 1.8 + np.repeat(a, sizes) * np.exp(-np.repeat(rates, sizes) * (x - 44))
    y = exact + rng.normal(0, noise, (20, len(x)))
    start = np.column_stack((np.log(a) + 44 * rates, rates))
    L, log_A, b, good = refit_shared(x, y, np.ones_like(y), offsets, 1.8, start)
    found = searched(x, y, offsets)
    rss = found["rss"].sum(axis=1)
    own = np.empty(len(y))
    for i in range(len(y)):
        fitted = L[i] + np.exp(np.repeat(log_A[i], sizes) - np.repeat(b[i], sizes) * x)
        own[i] = ((y[i] - fitted) ** 2).sum()
    good &= (found["status"] >= 0).all(axis=1)
    # A converged replicate is a minimum; that it is the lowest one is checked here.
    np.testing.assert_array_less(own[good], rss[good] * (1 + 1e-6) + 1e-12)
    same = good & (np.abs(own / rss - 1) < 1e-9)
    np.testing.assert_allclose(L[same], found["L_inf"][same, 0], atol=2e-4)
    assert good.mean() >= 0.5


def test_points_of_weight_zero_are_not_there():
    rng = np.random.default_rng(0)
    x = np.linspace(41, 48, 8)
    y = 1.8 + np.exp(-0.15 * (x - 44)) + rng.normal(0, 1e-3, (5, 8))
    weight = np.ones_like(y)
    weight[:, 3] = 0
    y[:, 3] = 0
    start = np.array([[0.15 * 44, 0.15]])
    some = refit_shared(x, y, weight, np.array([0, 8]), 1.8, start)
    kept = np.delete(np.arange(8), 3)
    fewer = refit_shared(x[kept], y[:, kept], np.ones((5, 7)), np.array([0, 7]), 1.8, start)
    for a, b in zip(some, fewer, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)
    weight[0] = 0
    assert not refit_shared(x, y, weight, np.array([0, 8]), 1.8, start)[3][0]


def parts(curve="windowed", **options):
    ladder = delphi.fit_isoflops(simulate.ladder(rng=0, **options), curve=curve)
    own = {s: replace(ladder, fits=ladder.fits[ladder.fits["suite"] == s]) for s in ladder.suites}
    return own, ladder.laws(shared_floor=True)


def test_spread_is_that_of_fresh_noise():
    """Two-level replicates scatter as fits to newly simulated runs do."""
    own, laws = parts()
    found = shared_replicates(own, laws, "Aster", n=400)
    fresh = [
        delphi.fit_isoflops(simulate.ladder(rng=seed)).laws(shared_floor=True)["Aster"].L_inf
        for seed in range(30)
    ]
    assert 0.6 < found.L_inf.std() / np.std(fresh) < 1.7
    assert found.kind == "two-level residual"
    assert found.n_failed <= 4


def test_other_curves_resample_the_optima():
    own, laws = parts("cubic")
    found = shared_replicates(own, laws, "Birch", n=100, rng=1)
    again = shared_replicates(own, laws, "Birch", n=100, rng=1)
    assert found.kind == "residual"
    np.testing.assert_array_equal(found.alpha, again.alpha)
    assert abs(np.median(found.alpha) / laws["Birch"].alpha - 1) < 0.1


@pytest.mark.filterwarnings("ignore::delphi.FitWarning")
def test_nothing_to_resample():
    own, laws = parts("cubic", budgets=(1e18, 1e19))
    with pytest.raises(DataError, match=r"no law to start from|leave no residuals"):
        shared_replicates(own, laws, "Aster", n=10)
