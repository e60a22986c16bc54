"""The posterior of the core against a dense grid, and its manners as a binding."""

import numpy as np
import pytest

from delphi import _core
from tests.reference import posterior as twin

C7 = np.geomspace(3e18, 3e20, 7)
LEVELS = [0.025, 0.5, 0.975]


def uniforms(n=4000, seed=0):
    u = np.random.default_rng(seed).random((n, 4))
    u[:, 0] = (np.arange(n) + u[:, 0]) / n
    return np.clip(u, 1e-12, 1 - 1e-12).ravel()


def noisy(sd, seed=0, C=C7):
    return 1.8 + 1600 * C**-0.16 + np.random.default_rng(seed).normal(0, sd, len(C))


def fit(C, y, **options):
    draws, records = _core.posterior_fit(C, y, [0, len(C)], uniforms(), **options)
    return draws[0], records[0]


def loss_at(draws, compute):
    return _core.powerlaw(compute, draws["L_inf"], draws["log_A"], draws["alpha"])


@pytest.mark.parametrize("sd", [0.003, 0.02])
@pytest.mark.parametrize("options", [
    {},
    {"noise": [0.004], "noise_dof": 3.0},
    {"powers": [0.0, 1.0, 2.0], "power_weights": [1.0, 0.5, 0.25]},
])  # fmt: skip
@pytest.mark.parametrize("at", [1e21, 1e23])
def test_quantiles_agree_with_a_dense_grid(sd, options, at):
    y = noisy(sd)
    draws, record = fit(C7, y, **options)
    slow = dict(options)
    if "noise" in slow:
        slow["noise"] = slow["noise"][0]
    want = twin.quantiles(C7, y, at, LEVELS, **slow)
    got = np.quantile(loss_at(draws, at), LEVELS)
    # both sides are samples: a twelfth of the interval is four of their standard errors at 2.5 %
    assert record["status"] >= 0
    assert np.abs(got - want).max() < (want[2] - want[0]) / 12


def test_little_noise_means_narrow_draws_around_the_truth():
    draws, record = fit(C7, noisy(1e-6))
    assert abs(np.median(draws["L_inf"]) - 1.8) < 1e-4
    assert np.std(draws["alpha"]) < 1e-4
    assert record["L_inf_spread"] < 1e-3


def test_exact_data_are_no_singularity():
    draws, record = fit(C7, 1.8 + 1600 * C7**-0.16)
    assert record["status"] == 0
    np.testing.assert_allclose(np.median(draws["alpha"]), 0.16, rtol=1e-6)


def test_draws_respect_their_bounds():
    y = noisy(0.05)
    draws, _ = fit(C7, y)
    assert (draws["L_inf"] >= 0).all()
    assert (draws["L_inf"] < y.min()).all()
    assert (draws["alpha"] >= 0.01).all()
    assert (draws["alpha"] <= 1.5).all()
    assert np.isfinite(draws["log_A"]).all()
    assert (draws["sigma"] > 0).all()


def test_a_floor_that_the_data_do_not_show_is_named():
    y = 4 * (C7 / C7[0]) ** -0.05 + np.random.default_rng(0).normal(0, 0.1, 7)
    _, record = fit(C7, y)
    assert _core.STATUS[record["status"] & (1 << 20)][0] == "floor_not_identified"


@pytest.mark.parametrize(("C", "y", "word"), [
    ([1e18, 1e19], [3.0, 2.5], "too_few_points"),
    ([1e18, 1e18, 1e18], [3.0, 2.5, 2.4], "equal_x"),
    ([1e18, 1e19, 1e20], [2.0, 2.5, 3.0], "not_decreasing"),
    ([1e18, 1e19, 1e20], [2.0, 2.0, 2.0], "not_decreasing"),
    ([1e18, np.nan, 1e20], [3.0, 2.5, 2.4], "bad_value"),
    ([1e18, 1e19, 1e20], [3.0, np.inf, 2.4], "bad_value"),
    ([1e18, 1e19, 1e20], [3.0, 1.0, -2.4], "bad_value"),
    ([], [], "too_few_points"),
])  # fmt: skip
def test_every_failure_has_its_code_and_no_draws(C, y, word):
    draws, record = fit(np.array(C, float), np.array(y, float))
    assert _core.STATUS[int(record["status"])][0] == word
    assert all(np.isnan(draws[name]).all() for name in draws.dtype.names)


def test_units_do_not_matter():
    y = noisy(0.005)
    one, _ = fit(C7, y)
    other, _ = fit(C7 / 1e18, y / np.log(2))
    np.testing.assert_allclose(one["alpha"], other["alpha"], rtol=1e-6)
    np.testing.assert_allclose(one["L_inf"], other["L_inf"] * np.log(2), rtol=1e-6)


def test_suites_do_not_see_each_other_and_threads_change_nothing():
    rng = np.random.default_rng(3)
    sizes = rng.integers(0, 9, 40)
    offsets = np.concatenate(([0], np.cumsum(sizes)))
    C = 10 ** rng.uniform(18, 21, offsets[-1])
    y = 1.8 + 1600 * C**-0.16 + rng.normal(0, 0.01, len(C))
    noise = rng.uniform(0, 0.01, 40)
    u = uniforms(300)
    batch = [
        _core.posterior_fit(C, y, offsets, u, noise=noise, noise_dof=3.0, n_threads=n)
        for n in (1, 2, 8)
    ]
    for draws, records in batch[1:]:
        for name in draws.dtype.names:
            np.testing.assert_array_equal(draws[name], batch[0][0][name])
        for name in records.dtype.names:
            np.testing.assert_array_equal(records[name], batch[0][1][name])
    for s in range(40):
        rows = slice(offsets[s], offsets[s + 1])
        alone, _ = _core.posterior_fit(
            C[rows], y[rows], [0, sizes[s]], u, noise=noise[s : s + 1], noise_dof=3.0
        )
        np.testing.assert_array_equal(alone[0]["alpha"], batch[0][0][s]["alpha"])


@pytest.mark.parametrize(("changes", "says"), [
    ({"uniforms": [0.5, 0.5, 0.5]}, "uniforms"),
    ({"uniforms": [0.5, 0.5, 0.5, 1.0]}, "uniforms"),
    ({"uniforms": [0.5, 0.0, 0.5, 0.5]}, "uniforms"),
    ({"uniforms": [0.5, np.nan, 0.5, 0.5]}, "uniforms"),
    ({"noise": [1.0, 2.0]}, "noise"),
    ({"noise_dof": -1.0}, "noise_dof"),
    ({"noise_dof": float("nan")}, "noise_dof"),
    ({"alpha_range": [0.5, 0.1]}, "alpha_range"),
    ({"alpha_range": [0.0, 0.1]}, "alpha_range"),
    ({"alpha_range": [0.1]}, "alpha_range"),
    ({"powers": []}, "power"),
    ({"powers": [-1.0]}, "powers"),
    ({"powers": [0.0, 1.0], "power_weights": [1.0]}, "power_weights"),
    ({"powers": [0.0], "power_weights": [0.0]}, "power_weights"),
    ({"powers": np.zeros(9), "power_weights": np.ones(9)}, "powers"),
    ({"n_threads": 0}, "n_threads"),
])  # fmt: skip
def test_bad_options_are_named(changes, says):
    arguments = {"uniforms": [0.5] * 4} | changes
    with pytest.raises(ValueError, match=says):
        _core.posterior_fit(C7, noisy(0.01), [0, 7], **arguments)
