"""The curve kernel, and the window of the parabola, against tests/reference/isocurve.py."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delphi import _core
from delphi.status import status_names
from tests.reference import isocurve as twin
from tests.reference import samples

SHAPES = ("parabola", "windowed", "joint", "cubic", "two-power")
CODES = {name: code for code, (name, _) in _core.STATUS.items()}


def one(tokens, loss, params=None, **options):
    return _core.isocurve_fit(tokens, loss, params, [0, len(tokens)], **options)[0]


def words(record) -> set[str]:
    return set(status_names(int(record["status"]))) - {"ok"}


def additive(x, p=0.34, q=0.3, vertex=10.0, floor=1.8):
    """Loss of an additive law at fixed compute, lowest at `vertex`, and that lowest loss."""
    z = np.log(10) * (np.asarray(x) - vertex)
    return floor + 0.4 * np.exp(-p * z) / p + 0.4 * np.exp(q * z) / q, floor + 0.4 / p + 0.4 / q


# --- the window of the parabola -------------------------------------------------------------------


@samples.examples(300)
@given(samples.realistic_bucket(), st.sampled_from([0.1, 0.3, 0.5, 1.0]))
def test_a_window_keeps_the_points_the_twin_keeps(group, window):
    tokens, loss, params = group
    record = _core.parabola_fit(tokens, loss, params, [0, len(tokens)], window=window)[0]
    x = np.log10(tokens)
    used, widened = twin.windowed(x, loss, window)
    assert record["n"] == len(x)
    assert record["n_used"] == used.sum()
    assert ("window_widened" in words(record)) == widened
    np.testing.assert_allclose(
        [record["x_lo"], record["x_hi"]], [x[used].min(), x[used].max()], rtol=1e-14
    )
    np.testing.assert_allclose([record["x_min"], record["x_max"]], [x.min(), x.max()], rtol=1e-14)
    p, vertex, rss = twin.plain(x[used], loss[used])
    np.testing.assert_allclose(record["a"], p[0], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(record["rss"], rss, rtol=1e-6, atol=1e-18)
    np.testing.assert_allclose(record["x_vertex"], vertex, rtol=1e-7)
    assert ("clipped" in words(record)) == (not x.min() <= vertex <= x.max())


@samples.examples(200)
@given(samples.ragged(samples.bucket(), 6), st.sampled_from([0.01, 0.5, 3.0]))
def test_windows_of_anything_end_in_a_status(groups, window):
    tokens, loss, params = samples.stacked(groups, 3)
    offsets = samples.offsets_of(groups)
    options = {"window": window, "joint": True, "diagnose": True}
    fits = _core.parabola_fit(tokens, loss, params, offsets, **options)
    plain = _core.parabola_fit(tokens, loss, params, offsets, joint=True, diagnose=True)
    assert ((fits["status"] < 0) == (plain["status"] < 0)).all(), "a window loses no bucket"
    whole = fits["n_used"] == fits["n"]
    same = whole & (fits["status"] & CODES["window_widened"] == 0)
    assert samples.bits(fits[same]) == samples.bits(plain[same])
    for fit, group in zip(fits, groups, strict=True):
        alone = _core.parabola_fit(*group, [0, len(group[0])], **options)
        assert samples.bits(alone[0]) == samples.bits(fit)


@pytest.mark.parametrize(
    ("half", "lowest", "highest"), [(1.0, -0.0035, -0.0010), (0.5, -0.0003, -0.00003)]
)
def test_the_parabola_is_biased_on_an_additive_law(half, lowest, highest):
    """The reason for the window, on a Chinchilla-like law at 1e20 FLOPs."""
    E, A, B, a, b, C = 1.82, 420.0, 900.0, 0.34, 0.305, 1e20
    best = np.log10((b * B / (a * A) * (C / 6) ** a) ** (1 / (a + b)))

    def loss(x):
        tokens = 10.0**x
        return E + A * (C / 6 / tokens) ** -a + B * tokens**-b

    x = np.linspace(best - half, best + half, 21)
    bias = one(10**x, loss(x), shape="parabola")["loss_star"] - loss(best)
    assert lowest < bias < highest
    wide = np.linspace(best - 1, best + 1, 41)
    windowed = one(10**wide, loss(wide), shape="windowed", window=0.5)["loss_star"] - loss(best)
    assert -0.0003 < windowed < -0.00003


# --- curves ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [0.05, 0.34, 1.3])
@pytest.mark.parametrize("q", [0.1, 0.3, 2.2])
@pytest.mark.parametrize("vertex", [9.4, 10.0, 10.7])
def test_two_powers_recover_the_optimum_of_an_additive_law(p, q, vertex):
    x = np.linspace(9, 11, 11)
    loss, lowest = additive(x, p, q, vertex)
    record = one(10**x, loss, 1e20 / 10**x, shape="two-power", loo=True)
    assert words(record) <= {"off_centre"}
    assert record["x_star"] == pytest.approx(vertex, abs=1e-8)
    assert record["loss_star"] == pytest.approx(lowest, abs=1e-8)
    assert record["params_star"] * record["tokens_star"] == pytest.approx(1e20, rel=1e-10)
    np.testing.assert_allclose(record["coefficients"][3:], [p, q], rtol=1e-4)
    assert record["loo"] < 1e-8


@samples.examples(40)
@given(samples.realistic_bucket(least=6))
def test_two_powers_are_never_worse_than_a_dense_scan(group):
    tokens, loss, params = group
    record = one(tokens, loss, params, shape="two-power")
    if record["status"] < 0:
        assert words(record) == {"no_minimum"}
        return
    x = np.log10(tokens)
    assert record["rss"] <= twin.two_power_rss(x, loss) * (1 + 1e-6) + 1e-15
    *_, p, q = record["coefficients"]
    assert record["rss"] == pytest.approx(twin.two_power(x, loss, p, q)[1], rel=1e-6)


@samples.examples(200)
@given(samples.realistic_bucket(least=5))
def test_cubics_are_those_of_polyfit(group):
    tokens, loss, params = group
    record = one(tokens, loss, params, shape="cubic")
    best, rss = twin.cubic(np.log10(tokens), loss)
    if best is None:
        assert words(record) == {"no_minimum"}
        return
    np.testing.assert_allclose([record["x_star"], record["loss_star"]], best, rtol=1e-6)
    assert record["rss"] == pytest.approx(rss, rel=1e-6, abs=1e-18)


def value(record, x):
    """A curve at x, by the meaning of its coefficients as the header has it."""
    k, z = record["coefficients"], x - record["x_centre"]
    shape = SHAPES[record["shape"]]
    if shape == "joint":
        return k[0] + np.where(z < k[1], k[2], k[3]) * (z - k[1]) ** 2
    if shape == "two-power":
        return k[0] + k[1] * 10 ** (-k[3] * z) + k[2] * 10 ** (k[4] * z)
    return np.polyval(k[: record["n_coefficients"]][::-1], z)


@samples.examples(100)
@given(samples.realistic_bucket(least=7), st.sampled_from(SHAPES))
def test_coefficients_and_scores_mean_what_they_say(group, shape):
    tokens, loss, params = group
    record = one(tokens, loss, params, shape=shape, loo=True)
    if record["status"] < 0:
        return
    x = np.log10(tokens)
    used = (x >= record["x_lo"] - 1e-12) & (x <= record["x_hi"] + 1e-12)
    m, k = int(used.sum()), int(record["n_coefficients"])
    assert record["n_used"] == m
    assert np.isnan(record["coefficients"][k:]).all()
    rss = np.sum((loss[used] - value(record, x[used])) ** 2)
    np.testing.assert_allclose(record["rss"], rss, rtol=1e-6, atol=1e-15)
    assert value(record, record["x_star"]) == pytest.approx(record["loss_star"], abs=1e-10)
    spare = m - k - 2
    wanted = m * np.log(rss / m) + 2 * (k + 1) + 2 * (k + 1) * (k + 2) / spare if spare > 0 else 0
    assert np.isnan(record["aicc"]) if spare <= 0 else record["aicc"] == pytest.approx(wanted)
    if shape in ("parabola", "windowed", "cubic"):
        at, y, degree = x[used], loss[used], k - 1
        errors = []
        for i in range(m):
            rest = np.arange(m) != i
            fit = np.polyfit(at[rest] - 10, y[rest], degree)
            errors.append(y[i] - np.polyval(fit, at[i] - 10))
        assert record["loo"] == pytest.approx(np.sqrt(np.mean(np.square(errors))), rel=1e-5)


@samples.examples(60)
@given(samples.ragged(samples.bucket(), 5), st.sampled_from(SHAPES))
def test_a_batch_is_its_groups_for_any_number_of_threads(groups, shape):
    tokens, loss, params = samples.stacked(groups, 3)
    offsets = samples.offsets_of(groups)
    batch = _core.isocurve_fit(tokens, loss, params, offsets, shape=shape, loo=True)
    again = _core.isocurve_fit(tokens, loss, params, offsets, shape=shape, loo=True, n_threads=3)
    assert samples.bits(again) == samples.bits(batch)
    for record, group in zip(batch, groups, strict=True):
        assert samples.bits(one(*group, shape=shape, loo=True)) == samples.bits(record)
        floats = [name for name in record.dtype.names if record.dtype[name].base == np.float64]
        if record["status"] < 0:
            assert all(np.isnan(record[name]).all() for name in floats)
            assert record["n_used"] == 0
        else:
            assert np.isfinite([record["x_star"], record["loss_star"], record["rss"]]).all()
            assert record["x_min"] <= record["x_star"] <= record["x_max"]


@pytest.mark.parametrize("shape", SHAPES)
def test_units_make_no_difference(shape):
    rng = np.random.default_rng(3)
    x = np.linspace(9, 11, 12)
    loss = additive(x, 0.8, 0.6)[0] + 0.003 * rng.standard_normal(12)
    plain = one(10**x, loss, 1e20 / 10**x, shape=shape)
    moved = one(10**x * 1e3, loss * 2, 1e20 / 10**x, shape=shape)
    assert moved["status"] == plain["status"]
    assert moved["x_star"] - 3 == pytest.approx(plain["x_star"], abs=1e-8)
    assert moved["loss_star"] == pytest.approx(2 * plain["loss_star"], rel=1e-10)
    assert moved["params_star"] == pytest.approx(plain["params_star"], rel=1e-7)


def test_duplicates_and_vertices_near_the_edge_are_named():
    x = np.linspace(9, 11, 9)
    loss, _ = additive(x, vertex=9.3)
    for shape in SHAPES:
        options = {"shape": shape, "window": 0.0}
        assert "off_centre" in words(one(10**x, loss, **options))
        doubled = one(np.repeat(10**x, 2), np.repeat(loss, 2), **options)
        assert {"off_centre", "duplicated_designs"} <= words(doubled)
