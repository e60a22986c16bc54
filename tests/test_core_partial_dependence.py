"""Partial dependence in the core against its slow twin, and its manners as a binding."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delphi import _core
from tests.reference import partial_dependence as twin
from tests.reference import samples

KERNELS = ["matern12", "matern32", "matern52", "rbf"]
GOLDEN = Path(os.environ.get("DELPHI_DATA", "../shared/data")).parent / "golden" / "pdp.json"


def make(n, d, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d))
    return x, x[:, 0] ** 2 - x.sum(1) + 0.1 * rng.normal(size=n)


def fit(x, y, grid, kernel="matern52", amplitude=1.5, scale=1.2, noise=0.05, **options):
    d = x.shape[1]
    scales = np.full(d, scale) if np.ndim(scale) == 0 else scale
    return _core.partial_dependence_fit(
        x.ravel(), y, [0, len(y)], np.ravel(grid), kernel=kernel, amplitude=[amplitude],
        length_scale=scales, noise=[noise], **options,
    )  # fmt: skip


@samples.examples(30)
@given(
    st.sampled_from(KERNELS), st.integers(1, 25), st.integers(1, 4), st.integers(1, 7),
    st.floats(0.1, 10), st.floats(0.3, 20), st.floats(1e-3, 1), st.integers(0, 999),
)  # fmt: skip
def test_agrees_with_its_twin(kernel, n, d, n_grid, amplitude, scale, noise, seed):
    x, y = make(n, d, seed)
    scales = scale * np.linspace(0.5, 1.5, d)
    grid = np.random.default_rng(seed).normal(0, 2, (d, n_grid))
    mean, sd, records = fit(x, y, grid, kernel, amplitude, scales, noise)
    assert mean.shape == sd.shape == (1, d, n_grid)
    for j in range(d):
        want, spread = twin.partial_dependence(x, y, j, grid[j], kernel, amplitude, scales, noise)
        np.testing.assert_allclose(mean[0, j], want, rtol=1e-9, atol=1e-9 * np.abs(y).max())
        np.testing.assert_allclose(sd[0, j] ** 2, spread**2, rtol=0, atol=1e-11 * amplitude)
        assert records[0, j]["n"] == n
        assert records[0, j]["x_min"] == x[:, j].min()
        assert records[0, j]["x_max"] == x[:, j].max()
        assert 0 < records[0, j]["prior_variance"] <= amplitude * (1 + 1e-12)


@samples.examples(30)
@given(
    st.sampled_from(KERNELS), st.integers(1, 25), st.integers(1, 4), st.floats(0.1, 10),
    st.floats(0.3, 20), st.floats(1e-3, 1), st.integers(0, 999),
)  # fmt: skip
def test_evidence_and_its_gradient(kernel, n, d, amplitude, scale, noise, seed):
    x, y = make(n, d, seed)
    theta = np.log([amplitude, *(scale * np.linspace(0.5, 1.5, d)), noise])

    def value(t):
        a, *scales, s = np.exp(t)
        return twin.evidence(x, y, kernel, a, scales, s)

    a, *scales, s = np.exp(theta)
    got, gradient, status = _core.process_evidence(
        x.ravel(), y, kernel=kernel, amplitude=a, length_scale=scales, noise=s
    )
    assert status == 0
    assert got == pytest.approx(value(theta), rel=1e-9, abs=1e-8)
    for i in range(d + 2):
        step = np.zeros(d + 2)
        step[i] = 1e-4
        slope = (value(theta + step) - value(theta - step)) / 2e-4
        assert gradient[i] == pytest.approx(slope, rel=1e-4, abs=1e-4 * (1 + abs(got)))


@given(
    st.sampled_from(KERNELS), st.integers(2, 20), st.integers(1, 4), st.floats(0.1, 10),
    st.floats(0.3, 20), st.floats(1e-2, 1), st.integers(0, 999),
)  # fmt: skip
def test_slopes_of_curves(kernel, n, d, amplitude, scale, noise, seed):
    x, y = make(n, d, seed)
    grid = np.linspace(-1.9, 1.7, 6) + np.zeros((d, 1))
    theta = np.log([amplitude, *(scale * np.linspace(0.5, 1.5, d)), noise])

    def curves(t):
        a, *scales, s = np.exp(t)
        return fit(x, y, grid, kernel, a, scales, s)[0][0]

    a, *scales, s = np.exp(theta)
    got, status = _core.partial_dependence_slopes(
        x.ravel(), y, grid.ravel(), kernel=kernel, amplitude=a, length_scale=scales, noise=s
    )
    assert status == 0
    assert got.shape == (d, d + 2, 6)
    for i in range(d + 2):
        step = np.zeros(d + 2)
        step[i] = 1e-5
        slope = (curves(theta + step) - curves(theta - step)) / 2e-5
        np.testing.assert_allclose(got[:, i], slope, rtol=2e-4, atol=1e-5)


def test_slopes_of_a_process_without_a_factor():
    got, status = _core.partial_dependence_slopes(
        [0.0, np.nan], [1.0, 2.0], [0.5], kernel="rbf", amplitude=1.0, length_scale=[1.0], noise=0.1
    )
    assert status < 0
    assert np.isnan(got).all()
    with pytest.raises(ValueError, match="multiple of 2"):
        _core.partial_dependence_slopes(
            np.zeros(4), np.zeros(2), np.zeros(3), kernel="rbf", amplitude=1.0,
            length_scale=[1.0, 1.0], noise=0.1,
        )  # fmt: skip


@pytest.mark.skipif(not GOLDEN.is_file(), reason=f"needs {GOLDEN}")
def test_the_notebook_s_curves():
    case = json.loads(GOLDEN.read_text())["cases"][0]
    x, y = np.array(case["X"]), np.array(case["y"])
    grid = np.zeros((5, 80))
    for curve in case["pdp"]:
        grid[curve["feature"]] = curve["x_grid"]
    noise = case["noise_level"]
    mean, sd, _ = fit(x, y, grid, "matern52", 1.0, case["length_scale"], noise + 1e-6)
    for curve in case["pdp"]:
        j = curve["feature"]
        np.testing.assert_allclose(mean[0, j], curve["pdp_mean"], rtol=1e-11)
        with_noise = np.sqrt(sd[0, j] ** 2 + noise / len(y))
        np.testing.assert_allclose(with_noise, curve["pdp_std"], rtol=1e-9)
    for check in case["lml_checks"]:
        noise = check["noise_level"]
        scales = [check["length_scale"]] * 5
        value, gradient, _ = _core.process_evidence(
            x.ravel(), y, kernel="matern52", amplitude=1.0, length_scale=scales, noise=noise + 1e-6
        )
        assert value == pytest.approx(check["lml"], rel=1e-9)
        own = [gradient[1:-1].sum(), gradient[-1] * noise / (noise + 1e-6)]
        np.testing.assert_allclose(own, check["grad_wrt_log"], rtol=1e-6)


def test_groups_do_not_see_each_other_and_threads_change_nothing():
    rng = np.random.default_rng(1)
    sizes = rng.integers(0, 30, 12)
    offsets = np.concatenate(([0], np.cumsum(sizes)))
    x, y = make(offsets[-1], 3)
    x[offsets[4], 1] = np.nan if sizes[4] else 0
    amplitude, noise = rng.uniform(0.5, 2, 12), rng.uniform(0.01, 0.1, 12)
    scales, grid = rng.uniform(0.5, 3, (12, 3)), rng.normal(size=(12, 3, 40))
    many = [
        _core.partial_dependence_fit(
            x.ravel(), y, offsets, grid.ravel(), kernel="matern32", amplitude=amplitude,
            length_scale=scales.ravel(), noise=noise, n_threads=n,
        )
        for n in (1, 2, 5)
    ]  # fmt: skip
    for one in many[1:]:
        for got, want in zip(one[:2], many[0][:2], strict=True):
            np.testing.assert_array_equal(got, want)
        assert one[2].tobytes() == many[0][2].tobytes()
    for g in range(12):
        rows = slice(offsets[g], offsets[g + 1])
        mean, sd, records = fit(
            x[rows], y[rows], grid[g], "matern32", amplitude[g], scales[g], noise[g]
        )
        np.testing.assert_array_equal(mean[0], many[0][0][g])
        np.testing.assert_array_equal(sd[0], many[0][1][g])
        name = _core.STATUS[int(records[0, 0]["status"])][0]
        bad = np.isnan(x[rows]).any()
        assert name == ("too_few_points" if sizes[g] == 0 else "bad_value" if bad else "ok")
        assert np.isfinite(mean).all() == (name == "ok")


@pytest.mark.parametrize(("options", "name"), [
    ({"noise": -1.0}, "bad_value"), ({"amplitude": 0.0}, "bad_value"),
    ({"scale": np.nan}, "bad_value"), ({"noise": np.inf}, "bad_value"),
])  # fmt: skip
def test_kernels_that_are_none(options, name):
    x, y = make(5, 2)
    mean, sd, records = fit(x, y, np.zeros((2, 3)), **options)
    assert np.isnan(mean).all()
    assert np.isnan(sd).all()
    assert {_core.STATUS[int(s)][0] for s in records["status"].ravel()} == {name}


def test_equal_rows_without_noise_have_no_factor():
    _, _, records = fit(np.zeros((4, 1)), np.arange(4.0), [0.0, 1.0], noise=0.0)
    assert _core.STATUS[int(records[0, 0]["status"])][0] == "not_positive_definite"


@pytest.mark.parametrize(("change", "says"), [
    ({"kernel": "cosine"}, "kernel"), ({"length_scale": []}, "length_scale"),
    ({"length_scale": np.ones(65)}, "length_scale"), ({"grid": np.zeros(5)}, "grid"),
    ({"amplitude": [1.0, 1.0]}, "amplitude"), ({"noise": []}, "noise"),
    ({"x": np.zeros(9)}, "x"), ({"offsets": [0, 4]}, "offsets"),
    ({"offsets": [0], "y": []}, "length_scale"),
    ({"n_threads": 0}, "n_threads"), ({"y": np.zeros((5, 1))}, "y"),
])  # fmt: skip
def test_bad_arguments_are_named(change, says):
    given_ = {
        "x": np.zeros(10), "y": np.zeros(5), "offsets": [0, 5], "grid": np.zeros(6),
        "kernel": "rbf", "amplitude": [1.0], "length_scale": [1.0, 1.0], "noise": [1.0],
    } | change  # fmt: skip
    positional = [given_.pop(name) for name in ("x", "y", "offsets", "grid")]
    with pytest.raises(ValueError, match=says):
        _core.partial_dependence_fit(*positional, **given_)


@pytest.mark.parametrize(("change", "says"), [
    ({"amplitude": "a"}, "amplitude"), ({"noise": None}, "noise"), ({"length_scale": []}, "length"),
    ({"x": np.zeros(3)}, "x"), ({"kernel": 3}, "kernel"),
])  # fmt: skip
def test_bad_arguments_of_the_evidence_are_named(change, says):
    given_ = {
        "x": np.zeros(10), "y": np.zeros(5), "kernel": "rbf", "amplitude": 1.0,
        "length_scale": [1.0, 1.0], "noise": 1.0,
    } | change  # fmt: skip
    with pytest.raises((ValueError, TypeError), match=says):
        _core.process_evidence(given_.pop("x"), given_.pop("y"), **given_)


def test_progress_is_told():
    seen = []
    x, y = make(60, 4)
    fit(x, y, np.zeros((4, 50)), progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (4, 4)
