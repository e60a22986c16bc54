"""The surface kernel against scipy (tests/reference/surface.py), known truths, and its edges."""

from __future__ import annotations

import os
import signal
import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delphi import _core
from tests.reference import samples
from tests.reference import surface as twin

CODES = {name: code for code, (name, _) in _core.STATUS.items()}
OBJECTIVES = ("huber", "squared", "absolute")
SPACES = ("log", "loss")
BOTH = [(o, s) for o in OBJECTIVES for s in SPACES]
NAMES = ("E", "A", "B", "alpha", "beta")
INSIDE = ("E", "N_term", "D_term", "alpha", "beta")


def one(N, D, y, **options):
    return _core.surface_fit(N, D, y, [0, len(N)], **options)[0]


def noisy(seed, n=40, noise=0.005):
    rng = np.random.default_rng(seed)
    N, D = 10 ** rng.uniform(7.5, 10, n), 10 ** rng.uniform(9, 11.5, n)
    y = (
        rng.uniform(1, 2.5)
        + 400 * N ** -rng.uniform(0.28, 0.45)
        + 900 * D ** -rng.uniform(0.28, 0.4)
    )
    return N, D, y * np.exp(noise * rng.standard_t(3, n))


# --- truth ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("objective", "space"), BOTH)
def test_noise_free_surfaces_come_back(objective, space):
    groups, wanted = twin.truths(1000, seed=7)
    columns, offsets = samples.stacked(groups, 3), samples.offsets_of(groups)
    got = _core.surface_fit(*columns, offsets, objective=objective, space=space, n_threads=2)
    error = np.abs(np.column_stack([got[name] for name in INSIDE]) / wanted - 1).max(axis=1)
    right = error < 1e-8
    assert not np.any(~right & (got["status"] == 0)), "silently wrong"
    assert right.all()
    np.testing.assert_allclose(got["log_A"][right], (np.log(got["N_term"]) + got["alpha"] * np.log(
        got["N_centre"]))[right], rtol=1e-12, atol=1e-10)  # fmt: skip


@samples.examples(6)
@given(st.integers(0, 2**31), st.sampled_from(BOTH))
def test_nothing_is_fitted_worse_than_by_scipy(seed, pair):
    objective, space = pair
    N, D, y = noisy(seed)
    record = one(N, D, y, objective=objective, space=space)
    assert record["status"] >= 0
    best, _ = twin.fit(N, D, y, objective, space, starts=4, rng=seed)
    assert record["objective"] <= best * (1 + 1e-9)
    stated = twin.law_objective(record, N, D, y, objective, space)
    np.testing.assert_allclose(record["objective"], stated, rtol=1e-8)


@samples.examples(12)
@given(st.integers(0, 2**31), st.sampled_from(BOTH))
def test_units_do_not_matter(seed, pair):
    N, D, y = noisy(seed)
    options = {"objective": pair[0], "space": pair[1]}
    law, other = one(N, D, y, **options), one(N / 1e6, D * 7, y / np.log(2), **options)
    assert law["status"] == other["status"]
    tolerance = 1e-8 if pair[0] == "absolute" else 1e-10  # it goes through points, rounded ones
    for name in ("alpha", "beta"):
        np.testing.assert_allclose(law[name], other[name], rtol=tolerance)
    for name in ("E", "N_term", "D_term"):
        np.testing.assert_allclose(law[name], other[name] * np.log(2), rtol=tolerance)


@pytest.mark.parametrize(("objective", "space"), BOTH)
def test_weights_count_points(objective, space):
    N, D, y = noisy(3)
    counts = np.random.default_rng(0).integers(0, 4, len(N))
    options = {"objective": objective, "space": space}
    weighted = one(N, D, y, weights=counts.astype(float), **options)
    repeated = one(*(np.repeat(c, counts) for c in (N, D, y)), **options)
    for name in (*INSIDE, "objective", "rss"):
        np.testing.assert_allclose(weighted[name], repeated[name], rtol=1e-9)
    assert weighted["n"] == np.count_nonzero(counts)


@pytest.mark.parametrize(
    "held",
    [
        {"alpha": 0.5, "beta": 0.5}, {"E": 1.7}, {"A": 400.0}, {"A": 400.0, "B": 900.0},
        {"E": 1.7, "alpha": 0.34, "B": 900.0}, {"A": 0.0}, {"E": 0.0},
        {"E": 1.7, "A": 400.0, "B": 900.0, "alpha": 0.34, "beta": 0.3},
    ],
    ids=str,
)  # fmt: skip
def test_fixed_parameters_stay(held):
    N, D, y = noisy(5)
    row = np.array([[held.get(name, np.nan) for name in NAMES]])
    record = one(N, D, y, fixed=row)
    assert record["status"] >= 0
    for name, value in held.items():
        assert record[name] == pytest.approx(value, rel=1e-12)
        assert record["se"][NAMES.index(name)] == 0
    free = one(N, D, y)
    assert record["objective"] >= free["objective"] * (1 - 1e-12)
    # what is fixed at its own estimate gives the free law back
    at = np.array([[free[name] if name in held else np.nan for name in NAMES]])
    np.testing.assert_allclose(one(N, D, y, fixed=at)["objective"], free["objective"], rtol=1e-8)


def test_a_negative_amplitude_only_where_it_is_allowed():
    N, D, _ = noisy(6)
    y = 3 - 5 * N**-0.3 + 900 * D**-0.3
    held, loose = one(N, D, y), one(N, D, y, nonnegative=False)
    assert held["A"] == 0
    assert np.isnan(held["alpha"])
    assert held["status"] & CODES["A_at_zero"]
    assert loose["objective"] < 1e-12 * held["objective"]
    np.testing.assert_allclose([loose["A"], loose["alpha"]], [-5, 0.3], rtol=1e-6)


# --- failures -------------------------------------------------------------------------------------


def test_what_is_not_identified_is_said():
    N, D, y = noisy(8)
    cases = {
        "one_model_size": (np.full_like(N, 1e9), D, y),
        "one_token_count": (N, np.full_like(D, 1e10), y),
        "few_model_sizes": (np.where(N > 1e9, 1e9, 1e8), D, y),
        "few_token_counts": (N, np.where(D > 1e10, 1e10, 1e9), y),
        "one_budget": (N, 1e21 / (6 * N), y),
        "too_few_points": (N[:4], D[:4], y[:4]),
        "constant_loss": (N, D, np.full_like(y, 2.0)),
        "bad_value": (N, D, np.where(np.arange(len(y)) == 3, np.nan, y)),
    }
    for name, columns in cases.items():
        record = one(*columns)
        assert record["status"] == CODES[name], name
        assert all(np.isnan(record[k]) for k in (*NAMES, "objective", "rss", "N_term"))
        assert np.isnan(record["se"]).all()
    assert one(N, 20 * N, y)["status"] == CODES["one_budget"]
    held = one(N, 1e21 / (6 * N), y, fixed=[[1.5, np.nan, np.nan, np.nan, np.nan]])
    assert held["status"] & CODES["on_a_line"]
    assert held["status"] > 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0, 0.0])
@pytest.mark.parametrize("which", range(3))
def test_bad_values_fail_their_group_only(bad, which):
    N, D, y = noisy(9)
    columns = [np.concatenate((c, c)) for c in (N, D, y)]
    columns[which][2] = bad
    got = _core.surface_fit(*columns, [0, len(N), 2 * len(N)])
    assert got["status"][0] == CODES["bad_value"]
    assert samples.bits(got[1:]) == samples.bits(_core.surface_fit(N, D, y, [0, len(N)]))


def test_five_points_are_saturated():
    N, D, y = noisy(10, n=5)
    assert one(N, D, y)["status"] & CODES["surface_saturated"]


def test_empty_groups():
    N, D, y = noisy(11)
    got = _core.surface_fit(N, D, y, [0, 0, len(N), len(N)])
    assert got["status"].tolist()[::2] == [CODES["too_few_points"]] * 2
    assert got["status"][1] == 0


# --- replicates -----------------------------------------------------------------------------------


def test_replicates_are_single_fits_and_the_same_for_any_threads():
    N, D, y = noisy(12)
    rng = np.random.default_rng(0)
    weights = rng.multinomial(len(N), np.full(len(N), 1 / len(N)), size=40).astype(float)
    losses = y * np.exp(0.005 * rng.standard_normal((40, len(y))))
    for options in ({"weights": weights}, {"losses": losses}):
        first = _core.surface_refit(N, D, y, **options)
        for n_threads in (2, 5):
            assert samples.bits(first) == samples.bits(
                _core.surface_refit(N, D, y, n_threads=n_threads, **options)
            )
    single = one(N, D, y, weights=weights[7])
    assert samples.bits(_core.surface_refit(N, D, y, weights=weights)[7:8]) == samples.bits(
        np.array([single])
    )


def test_ctrl_c_ends_a_bootstrap():
    N, D, y = noisy(13, n=400)
    weights = np.ones((4000, len(N)))
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    begin = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        _core.surface_refit(N, D, y, weights=weights, n_threads=2)
    assert time.perf_counter() - begin < 1.0


def test_what_the_binding_refuses():
    N, D, y = noisy(14)
    with pytest.raises(TypeError, match="weights or losses"):
        _core.surface_refit(N, D, y)
    with pytest.raises(ValueError, match="rows of 40 values"):
        _core.surface_refit(N, D, y, weights=np.ones((3, 7)))
    with pytest.raises(ValueError, match="delta"):
        one(N, D, y, delta=0.0)
    with pytest.raises(ValueError, match="delta"):
        one(N, D, y, delta=np.nan)
    with pytest.raises(ValueError, match="objective"):
        one(N, D, y, objective="cauchy")
    with pytest.raises(ValueError, match="1 rows of 5"):
        one(N, D, y, fixed=[[1.0]])
    with pytest.raises(ValueError, match="tokens"):
        one(N, D[:3], y)
