"""The parabola kernel against exact rationals (tests/reference/parabola.py)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delphi import _core
from delphi.status import status_names
from tests.reference import parabola as twin
from tests.reference import samples

EPS = np.finfo(float).eps


def words(code: int) -> set[str]:
    return set(status_names(int(code))) - {"ok"}


def fit(groups, params=True, **options):
    tokens, loss, size = samples.stacked(groups, 3)
    offsets = samples.offsets_of(groups)
    return _core.parabola_fit(tokens, loss, size if params else None, offsets, **options)


def one(tokens, loss, params=None, joint=True):
    return _core.parabola_fit(tokens, loss, params, [0, len(tokens)], joint=joint)[0]


def check_against_twin(record, group, params=True):
    """Every field within what rounding in a stable algorithm may do; statuses equal."""
    tokens, loss, size = (column.tolist() for column in group)
    wanted = twin.fit(tokens, loss, size if params else None, joint=False)
    got, v = words(int(record["status"])) - twin.JOINT_WORDS, wanted.values
    assert record["n"] == len(tokens)
    if wanted.condition > 1e9 and got == {"rank"}:
        return
    assert got - wanted.unsure == wanted.words - wanted.unsure
    if not v:
        floats = [name for name in record.dtype.names if name not in ("n", "n_used", "status")]
        assert record["n_used"] == 0
        assert all(np.isnan(record[name]) for name in floats)
        return
    if wanted.condition > 1e9:  # the points hardly determine a parabola: statuses only
        return
    half, slack = v["half"], v["slack"]  # slack: of the loss anywhere in the range, see the twin
    centre = (v["x_min"] + v["x_max"]) / 2
    of_a, of_b = slack / half**2, slack / half
    near = {
        "a": of_a,
        "b": of_b + 2 * abs(centre) * (of_a + EPS * abs(v["a"])),
        "c": slack + abs(centre) * of_b + centre**2 * (of_a + 4 * EPS * abs(v["a"])),
        "rss": 1e-9 * v["rss"] + slack * v["rss"] ** 0.5 + slack**2,
        "x_min": 0.0,
        "x_max": 0.0,
    }
    if not wanted.unsure & {"concave", "clipped"}:
        off = v["vertex_slack"]
        near |= {"x_vertex": off, "x_star": off, "loss_star": 3 * slack}
        near["tokens_star"] = v["tokens_star"] * (2.4 * off + 1e-13)
        near["se_loss_star"] = 1e-6 * v.get("se_loss_star", 0) + slack
        near["se_x_star"] = 1e-5 * v.get("se_x_star", 0) + off
        if params:  # the line log10 params ~ x amplifies by the leverage of its points
            near["params_star"] = v["params_star"] * (
                1e-9 + 1e-14 * (centre / half) ** 2 + 20 * off
            )
        for side in ("a_under", "a_over"):
            if f"{side}_slack" in v and f"{side}_fallback" not in wanted.unsure:
                near[side] = 4 * v[f"{side}_slack"]
    for name, tolerance in near.items():
        if name in v:
            off = abs(record[name] - v[name])
            assert off <= tolerance + 4 * EPS * abs(v[name]), name


@samples.examples(150)
@given(samples.ragged(samples.bucket(), 6), st.booleans())
def test_every_group_is_what_exact_arithmetic_says(groups, params):
    for record, group in zip(fit(groups, params, joint=True), groups, strict=True):
        check_against_twin(record, group, params)


@samples.examples(120)
@given(samples.ragged(samples.bucket(), 8), st.booleans())
def test_a_batch_is_its_groups_bit_for_bit(groups, joint):
    batch = fit(groups, joint=joint)
    for record, group in zip(batch, groups, strict=True):
        assert samples.bits(fit([group], joint=joint)[0]) == samples.bits(record)
    backwards = fit(groups[::-1], joint=joint)[::-1]
    assert samples.bits(backwards) == samples.bits(batch)
    assert samples.bits(fit(groups, joint=joint, n_threads=3)) == samples.bits(batch)


@samples.examples(100)
@given(samples.realistic_bucket(), st.randoms(use_true_random=False))
def test_the_order_of_rows_makes_no_difference(group, random):
    order = list(range(len(group[0])))
    random.shuffle(order)
    straight = one(*group)
    mixed = one(*(column[order] for column in group))
    # Sums in another order: rounding only, amplified a little by the vertex.
    for name in ("a", "x_star", "loss_star", "params_star", "rss", "x_min", "x_max"):
        np.testing.assert_allclose(mixed[name], straight[name], rtol=1e-8, atol=1e-12)
    assert words(mixed["status"]) - twin.JOINT_WORDS == words(straight["status"]) - twin.JOINT_WORDS


def test_a_tie_for_the_lowest_loss_does_not_depend_on_the_order_of_rows():
    tokens, loss = np.array([1e9, 1e10, 1e11, 1e12]), np.array([3.0, 3.0, 3.1, 3.4])
    assert one(tokens, loss)["status"] == one(tokens[::-1], loss[::-1])["status"]
    order = [1, 0, 2, 3]
    assert one(tokens, loss)["status"] == one(tokens[order], loss[order])["status"]


@samples.examples(100)
@given(samples.realistic_bucket(), st.integers(-40, 40), st.integers(-20, 20))
def test_units_make_no_difference(group, token_power, loss_power):
    tokens, loss, params = group
    plain = one(tokens, loss, params)
    scale = 2.0**loss_power
    scaled = one(tokens, loss * scale, params)
    # A power of two in the loss is exact: every bit of the mantissas stays.
    for name in ("a", "b", "c", "loss_star", "a_under", "a_over", "se_loss_star"):
        assert scaled[name] == plain[name] * scale, name
    for name in ("x_vertex", "x_star", "params_star", "se_x_star"):
        assert scaled[name] == plain[name] or np.isnan(plain[name]), name
    assert scaled["status"] == plain["status"]
    moved = one(tokens * 10.0**token_power, loss, params)
    assert moved["status"] == plain["status"]
    np.testing.assert_allclose(moved["x_star"] - token_power, plain["x_star"], atol=1e-10)
    np.testing.assert_allclose(moved["a"], plain["a"], rtol=1e-9)
    np.testing.assert_allclose(moved["loss_star"], plain["loss_star"], rtol=1e-11)
    np.testing.assert_allclose(moved["params_star"], plain["params_star"], rtol=1e-9)


@samples.examples(150)
@given(samples.realistic_bucket(least=5))
def test_the_joint_fit_is_never_worse_than_a_dense_scan(group):
    tokens, loss, _ = group
    record = one(tokens, loss)
    wanted = twin.fit(tokens.tolist(), loss.tolist())
    assert "joint_failed" not in words(record["status"])
    slack = wanted.values["slack"] ** 2
    # The twin scans 600 vertices and polishes: a lower sum than its own is fine, a higher is not.
    assert record["joint_rss"] <= wanted.values["joint_rss"] * (1 + 1e-6) + slack
    names = ("joint_x_star", "joint_loss_star", "joint_a_under", "joint_a_over")
    x = np.log10(tokens)
    again = twin.joint_rss(x, loss, *(record[name] for name in names))
    np.testing.assert_allclose(again, record["joint_rss"], rtol=1e-6, atol=slack)
    assert record["joint_rss"] <= record["rss"] * (1 + 1e-9) + slack or (
        not np.unique(x)[1] <= record["x_vertex"] <= np.unique(x)[-2]
    ), "the symmetric parabola is one of its candidates while its vertex is in range"


def test_the_joint_fit_recovers_two_curvatures():
    x = np.linspace(9, 11, 15)
    for vertex in (9.4, 10.0, 10.03, 10.71):
        for under, over in ((0.3, 0.1), (0.05, 0.5), (0.2, 0.2)):
            loss = 2.9 + np.where(x < vertex, under, over) * (x - vertex) ** 2
            r = one(10**x, loss)
            got = [r[f"joint_{name}"] for name in ("x_star", "loss_star", "a_under", "a_over")]
            np.testing.assert_allclose(got, [vertex, 2.9, under, over], rtol=1e-7)
            assert not words(r["status"]) & twin.JOINT_WORDS


def test_noise_free_data_give_the_parabola_back():
    x = np.linspace(8.5, 11.5, 9)
    for a, vertex, floor in ((0.3, 10.1, 2.9), (0.01, 9.0, 1e-3), (5.0, 11.4, 7.0)):
        r = one(10**x, floor + a * (x - vertex) ** 2, 1e20 / 10**x)
        got = [r[name] for name in ("a", "x_star", "loss_star", "a_under", "a_over")]
        np.testing.assert_allclose(got, [a, vertex, floor, a, a], rtol=1e-9)
        np.testing.assert_allclose(r["tokens_star"] * r["params_star"], 1e20, rtol=1e-10)
        np.testing.assert_allclose(r["b"], -2 * a * vertex, rtol=1e-10)
        np.testing.assert_allclose(r["c"], floor + a * vertex**2, rtol=1e-9)


# --- statuses, one example each -------------------------------------------------------------------

T = [1e9, 1e10, 1e11, 1e12]
EDGES = {
    "empty": ([], [], "too_few_points"),
    "one point": ([1e9], [3.0], "too_few_points"),
    "two points": ([1e9, 1e10], [3.0, 2.0], "too_few_points"),
    "two tokens, many points": ([1e9, 1e10] * 4, np.arange(8.0), "too_few_points"),
    "two equal tokens": ([1e9, 1e9], [3.0, 2.0], "too_few_points"),
    "all tokens equal": ([1e9] * 5, np.arange(5.0), "equal_x"),
    "all losses equal": (T, [3.0] * 4, "constant_loss"),
    "NaN loss": (T, [3.0, np.nan, 2.0, 3.0], "bad_value"),
    "infinite loss": (T, [3.0, np.inf, 2.0, 3.0], "bad_value"),
    "zero tokens": ([0.0, *T[1:]], [3.0, 2.5, 2.0, 3.0], "bad_value"),
    "negative tokens": ([-1e9, *T[1:]], [3.0, 2.5, 2.0, 3.0], "bad_value"),
    "NaN tokens": ([np.nan, *T[1:]], [3.0, 2.5, 2.0, 3.0], "bad_value"),
    "infinite tokens": ([np.inf, *T[1:]], [3.0, 2.5, 2.0, 3.0], "bad_value"),
    "three points": (T[:3], [3.0, 2.5, 2.9], "saturated, joint_failed"),
    "good": (T, [3.0, 2.5, 2.6, 3.2], "joint_failed"),
    "downward": (
        T,
        [2.0, 3.0, 3.1, 2.1],
        "concave, unbracketed, a_under_fallback, a_over_fallback, joint_failed",
    ),
    "vertex beyond": (
        T,
        [4.0, 3.0, 2.4, 2.0],
        "clipped, unbracketed, a_over_fallback, joint_failed",
    ),
    "vertex before": (
        T,
        [2.0, 2.4, 3.0, 4.0],
        "clipped, unbracketed, a_under_fallback, joint_failed",
    ),
}


@pytest.mark.parametrize("edge", EDGES)
def test_edges_have_a_status(edge):
    tokens, loss, wanted = EDGES[edge]
    record = one(np.array(tokens, float), np.array(loss, float))
    assert words(record["status"]) == set(wanted.split(", ")) - {""}
    assert np.isnan(record["a"]) == (record["status"] < 0)


def test_params_that_are_none_spoil_their_group_only():
    tokens, loss, params = np.tile(T, 3), np.tile([3.0, 2.5, 2.6, 3.2], 3), np.tile(T, 3)
    params[5] = 0
    got = _core.parabola_fit(tokens, loss, params, [0, 4, 8, 12])
    assert got["status"].tolist() == [0, -12, 0]
    assert np.isnan(got["params_star"][1])
    assert np.isnan(_core.parabola_fit(tokens, loss, None, [0, 4, 8, 12])["params_star"]).all()


def test_clipped_to_the_very_edge():
    r = one(np.array(T), np.array([4.0, 3.0, 2.4, 2.0]))
    assert r["x_star"] == r["x_max"] == 12.0
    assert r["x_vertex"] > 12.0
    assert r["a_over"] == r["a"]


def test_a_straight_line_is_no_optimum():
    r = one(np.array(T), np.array([3.0, 2.5, 2.0, 1.5]))
    got = words(r["status"])
    assert {"clipped", "unbracketed"} <= got
    assert r["x_star"] in (9.0, 12.0)
    assert np.isfinite([r["loss_star"], r["tokens_star"]]).all()


def test_extreme_sizes_end_in_a_status():
    """No crash and no hang, whatever the numbers."""
    rng = np.random.default_rng(0)
    for size in (1e-320, 1e-200, 1e-30, 1e30, 1e200, 1e307):
        loss = size * np.array([1.5, 1.2, 1.0, 1.05, 1.3, 1.6])
        for tokens in (
            np.geomspace(1e-300, 1e300, 6),
            1 + 1e-15 * np.arange(6),
            10.0 ** rng.random(6),
        ):
            one(tokens, loss, tokens)
            one(tokens, -loss, tokens)


def test_standard_errors_are_those_of_repeated_experiments():
    rng = np.random.default_rng(5)
    x = np.linspace(9, 11, 9)
    n, sigma = 4000, 0.003
    loss = 3 + 0.2 * (x - 10.2) ** 2 + sigma * rng.standard_normal((n, 9))
    fits = _core.parabola_fit(np.tile(10**x, n), loss.ravel(), None, np.arange(n + 1) * 9)
    # 4000 repeats know a standard deviation to 1.1 %; five times that, since the seed is fixed.
    for se, name in (("se_x_star", "x_vertex"), ("se_loss_star", "loss_star")):
        typical = np.sqrt(np.mean(fits[se] ** 2))
        assert typical == pytest.approx(np.std(fits[name]), rel=0.06)
