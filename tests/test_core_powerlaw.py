"""The power-law kernel against brute force (tests/reference/powerlaw.py), and its edges."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delphi import _core
from delphi.status import status_names
from tests.reference import powerlaw as twin
from tests.reference import samples

C7 = np.array([3e18, 9e18, 1.8e19, 3e19, 9e19, 1.8e20, 3e20])
FAILURES = {name for code, (name, _) in _core.STATUS.items() if code < 0}
SCORES = st.sampled_from(["loss", "log"])
METHODS = st.sampled_from(["profile", "grid", "pinned"])


def words(code: int) -> set[str]:
    return set(status_names(int(code))) - {"ok"}


def fit(groups, **options):
    C, y = samples.stacked(groups, 2)
    return _core.powerlaw_fit(C, y, samples.offsets_of(groups), **options)


def one(C, y, **options):
    return _core.powerlaw_fit(C, y, [0, len(C)], **options)[0]


def law(C, L, A, alpha):
    return L + A * np.asarray(C, float) ** -alpha


def rounding(y, L, score) -> float:
    """What rounding alone makes of a sum of squares that should be zero."""
    if score == "loss":
        return 1e-26 * float(np.sum(np.square(y)))
    # y and L carry half an ulp each, which the logarithm divides by the distance to the floor.
    return float(np.sum((4e-15 * (1 + y / np.maximum(y - L, 1e-300))) ** 2))


# --- against the twin -----------------------------------------------------------------------------


@samples.examples(60)
@given(samples.ragged(samples.suite(), 4), SCORES, METHODS)
def test_no_suite_is_fitted_worse_than_by_brute_force(groups, score, method):
    floor = 0.5 if method == "pinned" else None
    options = {"score": score, "method": "grid" if method == "grid" else "profile", "n_grid": 12}
    floors = None if floor is None else np.full(len(groups), floor)
    records = fit(groups, floors=floors, **options)
    for record, group in zip(records, groups, strict=True):
        (wanted,) = twin.fit_set([group], floor=floor, **options)
        check_one(record, wanted, group, score, method)


def check_one(record, wanted, group, score, method):
    C, y = group
    got = words(record["status"])
    assert got & FAILURES == wanted.words & FAILURES
    assert record["n"] == len(C)
    if got & FAILURES:
        floats = ("L_inf", "A", "alpha", "log_A", "rss", "score")
        assert all(np.isnan(record[name]) for name in floats)
        assert record["grid_index"] == -1
        return
    assert 0 <= record["L_inf"] < y.min()
    assert record["alpha"] > 0
    assert ("saturated" in got) == ("saturated" in wanted.words)
    assert ("floor_at_zero" in got) == (record["L_inf"] == 0 and method != "pinned")
    objective, tiny = record["score"] * len(C), rounding(y, record["L_inf"], score)
    assert objective <= wanted.objective * (1 + 1e-7) + tiny
    predicted = twin.predict(record, C)
    rss = float(np.sum((y - predicted) ** 2))
    np.testing.assert_allclose(record["rss"], rss, rtol=1e-6, atol=1e-22 * np.sum(y**2))
    if score == "loss":
        np.testing.assert_allclose(record["rss"], objective, rtol=1e-6, atol=1e-22 * np.sum(y**2))
    if method == "grid":
        tie = math.isclose(objective, wanted.objective, rel_tol=1e-7, abs_tol=1e4 * tiny)
        assert record["grid_index"] == wanted.grid_index or tie
        top = 0.95 * y.min()
        assert record["L_inf"] == np.linspace(0, top, 12)[record["grid_index"]]
    else:
        assert record["grid_index"] == -1
    with np.errstate(over="ignore"):
        assert record["A"] == pytest.approx(np.exp(record["log_A"]), rel=1e-12)


@samples.examples(8)
@given(
    st.lists(samples.suite(falling=True), min_size=2, max_size=3),
    SCORES,
    st.sampled_from(["profile", "grid"]),
    st.sampled_from(["points", "suites"]),
)
def test_no_shared_floor_is_worse_than_by_brute_force(groups, score, method, weigh):
    options = {"score": score, "method": method, "n_grid": 10, "weigh": weigh}
    records = fit(groups, sets=[0, len(groups)], **options)
    wanted = twin.fit_set(groups, **options)
    taking_part = [i for i, law in enumerate(wanted) if not law.words & FAILURES]
    assert [i for i, code in enumerate(records["status"]) if code >= 0] == taking_part
    if not taking_part:
        return
    L = records["L_inf"][taking_part]
    assert (L[0] == L).all()

    def total(objectives):
        sizes = [len(groups[i][0]) for i in taking_part]
        shares = [1 / n for n in sizes] if weigh == "suites" else [1 / sum(sizes)] * len(sizes)
        return sum(w * o for w, o in zip(shares, objectives, strict=True))

    ours = total([records["score"][i] * len(groups[i][0]) for i in taking_part])
    theirs = total([wanted[i].objective for i in taking_part])
    tiny = total([rounding(groups[i][1], L[0], score) for i in taking_part])
    assert ours <= theirs * (1 + 1e-7) + tiny


@samples.examples(80)
@given(samples.ragged(samples.suite(), 8), SCORES, METHODS)
def test_a_batch_is_its_groups_bit_for_bit(groups, score, method):
    options = {"score": score, "method": "grid" if method == "grid" else "profile", "n_grid": 20}

    def run(some, **more):
        floors = np.full(len(some), 0.5) if method == "pinned" else None
        return fit(some, floors=floors, **options, **more)

    batch = run(groups)
    for record, group in zip(batch, groups, strict=True):
        assert samples.bits(run([group])[0]) == samples.bits(record)
    assert samples.bits(run(groups[::-1])[::-1]) == samples.bits(batch)
    assert samples.bits(run(groups, n_threads=4)) == samples.bits(batch)


@samples.examples(30)
@given(st.lists(samples.ragged(samples.suite(), 3), max_size=4), SCORES)
def test_sets_do_not_see_each_other(sets, score):
    groups = [group for members in sets for group in members]
    ends = np.concatenate(([0], np.cumsum([len(members) for members in sets]))).astype(np.int64)
    together = fit(groups, sets=ends, score=score, n_threads=2)
    for first, last, members in zip(ends[:-1], ends[1:], sets, strict=True):
        alone = fit(members, sets=[0, len(members)], score=score)
        assert samples.bits(alone) == samples.bits(together[first:last])


@samples.examples(60)
@given(samples.suite(falling=True), SCORES, st.randoms(use_true_random=False))
def test_the_order_of_points_makes_no_difference(group, score, random):
    C, y = group
    order = list(range(len(C)))
    random.shuffle(order)
    straight, mixed = one(C, y, score=score), one(C[order], y[order], score=score)
    assert straight["status"] == mixed["status"]
    if straight["status"] >= 0:
        np.testing.assert_allclose(
            mixed["L_inf"], straight["L_inf"], rtol=1e-7, atol=1e-9 * y.min()
        )
        np.testing.assert_allclose(mixed["alpha"], straight["alpha"], rtol=1e-6)
        np.testing.assert_allclose(mixed["score"], straight["score"], rtol=1e-7)


# --- units ----------------------------------------------------------------------------------------


@samples.examples(60)
@given(samples.suite(falling=True), SCORES, st.integers(-60, 60), st.integers(-30, 30))
def test_units_of_compute_and_loss_make_no_difference(group, score, power, loss_power):
    C, y = group
    plain = one(C, y, score=score)
    # Powers of two change no mantissa, so what follows is exact up to the last step.
    other = one(C * 2.0**power, y, score=score)
    for name in ("L_inf", "alpha", "rss", "score", "status"):
        assert other[name] == plain[name] or plain["status"] < 0, name
    if plain["status"] >= 0:
        shift = plain["alpha"] * power * math.log(2)
        tolerance = 1e-13 * (1 + abs(plain["log_A"]) + abs(shift))
        assert abs(other["log_A"] - plain["log_A"] - shift) <= tolerance
    scaled = one(C, y * 2.0**loss_power, score=score)
    assert scaled["status"] == plain["status"]
    if plain["status"] >= 0:
        np.testing.assert_allclose(scaled["L_inf"], plain["L_inf"] * 2.0**loss_power, rtol=1e-9)
        np.testing.assert_allclose(scaled["alpha"], plain["alpha"], rtol=1e-8)


@pytest.mark.parametrize("score", ["loss", "log"])
@pytest.mark.parametrize("method", ["profile", "grid", "pinned"])
@pytest.mark.parametrize("noise", [0.0, 0.003])
def test_flops_and_exaflops_give_the_same_law(score, method, noise):
    rng = np.random.default_rng(3)
    for L, alpha in ((1.8, 0.16), (0.5, 0.05), (2.4, 0.5)):
        y = law(C7, L, 1.7 * 3e18**alpha, alpha) * (1 + noise * rng.standard_normal(7))
        options = {"score": score, "method": "grid" if method == "grid" else "profile"}
        if method == "pinned":
            options["floors"] = [L / 2]
        flops, exa = one(C7, y, **options), one(C7 / 1e18, y, **options)
        assert flops["status"] == exa["status"]
        np.testing.assert_allclose(exa["L_inf"], flops["L_inf"], rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(exa["alpha"], flops["alpha"], rtol=1e-10)
        back = exa["log_A"] + exa["alpha"] * math.log(1e18)
        np.testing.assert_allclose(back, flops["log_A"], rtol=1e-10)
        ahead = np.array([1e21, 1e23, 1e25])
        np.testing.assert_allclose(
            twin.predict(exa, ahead / 1e18), twin.predict(flops, ahead), rtol=1e-10
        )


# --- recovery -------------------------------------------------------------------------------------

TRUTHS = [
    # L_inf, fall from the first to the last budget, alpha
    (1.8, 1.77, 0.1603),
    (0.05, 3.0, 0.05),
    (2.5, 0.4, 0.6),
    (1e-3, 2.0, 0.09),
    (3.0, 0.01, 0.3),
]


@pytest.mark.parametrize(("L", "fall", "alpha"), TRUTHS)
@pytest.mark.parametrize("unit", [1.0, 1e-18, 1e9])
@pytest.mark.parametrize("score", ["loss", "log"])
def test_noise_free_data_give_the_law_back(L, fall, alpha, unit, score):
    A = fall * 3e18**alpha
    r = one(C7 * unit, law(C7, L, A, alpha), score=score)
    assert words(r["status"]) == set()
    # The judge of the milestone: 1e-8 relative. Rounding of y alone costs eps y / fall x condition.
    hard = 1e-8 if fall > 0.1 and L > 0.01 else 1e-7
    np.testing.assert_allclose(r["L_inf"], L, rtol=hard)
    np.testing.assert_allclose(r["alpha"], alpha, rtol=hard)
    np.testing.assert_allclose(r["log_A"], math.log(A) + alpha * math.log(unit), rtol=hard)
    if hard == 1e-8:
        np.testing.assert_allclose(r["A"], A * unit**alpha, rtol=1e-8 * (1 + abs(math.log(A))))


@pytest.mark.parametrize("share", [0.5, 0.9, 0.95, 0.99, 0.999])
@pytest.mark.parametrize("alpha", [0.1, 0.3, 0.8])
def test_a_floor_close_under_the_lowest_loss_is_found(share, alpha):
    """L_inf = share * min y, beyond the 0.95 where the notebook's grid ends."""
    y_min = 2.5
    L = share * y_min
    A = (y_min - L) * C7[-1] ** alpha
    r = one(C7, law(C7, L, A, alpha))
    assert words(r["status"]) == set()
    np.testing.assert_allclose(r["L_inf"], L, rtol=1e-8)
    # The part that falls is 1 - share of the loss, so its relative rounding is that much larger.
    looser = 1e-8 if share <= 0.99 else 1e-7
    np.testing.assert_allclose(r["alpha"], alpha, rtol=looser)
    np.testing.assert_allclose(r["A"], A, rtol=looser * (1 + alpha * math.log(C7[-1])))


def test_a_shared_floor_is_recovered():
    C = np.tile(C7, 3)
    truth = [(1500.0, 0.16), (2200.0, 0.165), (600.0, 0.13)]
    y = np.concatenate([law(C7, 1.8, *one_law) for one_law in truth])
    for score in ("loss", "log"):
        for weigh in ("points", "suites"):
            r = _core.powerlaw_fit(C, y, [0, 7, 14, 21], sets=[0, 3], score=score, weigh=weigh)
            np.testing.assert_allclose(r["L_inf"], 1.8, rtol=1e-8)
            np.testing.assert_allclose(r["A"], [A for A, _ in truth], rtol=1e-6)
            np.testing.assert_allclose(r["alpha"], [alpha for _, alpha in truth], rtol=1e-8)
            assert (r["status"] == 0).all()


@pytest.mark.parametrize("score", ["loss", "log"])
@pytest.mark.parametrize("fall", [1.0, 0.1, 0.01, 0.001])
def test_a_shared_floor_is_recovered_however_little_the_losses_fall(score, fall):
    y = [3.0 + fall * (C7 / C7[0]) ** -alpha for alpha in (0.3, 0.25)]
    r = _core.powerlaw_fit(np.tile(C7, 2), np.concatenate(y), [0, 7, 14], sets=[0, 2], score=score)
    # Rounding of the losses, eps 3 / fall, is amplified some thousandfold in alpha.
    np.testing.assert_allclose(r["alpha"], [0.3, 0.25], rtol=1e-8 / fall)
    np.testing.assert_allclose(r["L_inf"], 3.0, rtol=1e-8)


def test_weights_of_a_shared_floor():
    """A suite repeated four times pulls four times as hard by points, once by suites."""
    rng = np.random.default_rng(4)
    a = law(C7, 1.6, 1500.0, 0.16) * (1 + 0.003 * rng.standard_normal(7))
    b = law(C7, 2.0, 1500.0, 0.16) * (1 + 0.003 * rng.standard_normal(7))
    C = np.concatenate([np.tile(C7, 4), C7])
    y = np.concatenate([np.tile(a, 4), b])
    offsets, sets = [0, 28, 35], [0, 2]
    fair = _core.powerlaw_fit(
        np.tile(C7, 2), np.concatenate([a, b]), [0, 7, 14], sets=sets, weigh="suites"
    )
    repeated = _core.powerlaw_fit(C, y, offsets, sets=sets, weigh="suites")
    np.testing.assert_allclose(repeated["L_inf"], fair["L_inf"], rtol=1e-9)
    points = _core.powerlaw_fit(C, y, offsets, sets=sets, weigh="points")
    alone = _core.powerlaw_fit(np.tile(C7, 4), np.tile(a, 4), [0, 28])
    assert abs(points["L_inf"][0] - alone["L_inf"][0]) < abs(fair["L_inf"][0] - alone["L_inf"][0])


# --- edges ----------------------------------------------------------------------------------------

C4 = [1e18, 1e19, 1e20, 1e21]
FALLING = [4.0, 3.2, 2.8, 2.6]
EDGES = {
    "empty": ([], [], "too_few_points"),
    "one point": ([1e18], [3.0], "too_few_points"),
    "two points": ([1e18, 1e19], [3.0, 2.5], "too_few_points"),
    "two distinct C": ([1e18, 1e19] * 3, [3.0, 2.5] * 3, "too_few_points"),
    "two equal C": ([1e18, 1e18], [3.0, 2.5], "equal_x"),
    "equal C": ([1e19] * 4, FALLING, "equal_x"),
    "three points": (C4[:3], FALLING[:3], "saturated"),
    "constant loss": (C4, [2.0] * 4, "constant_loss"),
    "rising": (C4, FALLING[::-1], "not_decreasing"),
    "NaN loss": (C4, [4.0, np.nan, 2.8, 2.6], "bad_value"),
    "infinite loss": (C4, [np.inf, 3.2, 2.8, 2.6], "bad_value"),
    "zero loss": (C4, [4.0, 3.2, 2.8, 0.0], "bad_value"),
    "negative loss": (C4, [4.0, 3.2, 2.8, -2.6], "bad_value"),
    "zero C": ([0.0, *C4[1:]], FALLING, "bad_value"),
    "negative C": ([-1.0, *C4[1:]], FALLING, "bad_value"),
    "NaN C": ([np.nan, *C4[1:]], FALLING, "bad_value"),
    "infinite C": ([*C4[:3], np.inf], FALLING, "bad_value"),
    "falls ever faster": (C4, [4.0, 3.9, 3.5, 2.0], "floor_at_zero"),
    "good": (C4, FALLING, ""),
    "a step": (C4, [4.0, 2.0, 2.0, 2.0], "alpha_at_bound"),
}


@pytest.mark.parametrize("edge", EDGES)
def test_edges_have_a_status(edge):
    C, y, wanted = EDGES[edge]
    r = one(np.array(C, float), np.array(y, float))
    got = words(r["status"])
    if edge == "a step":  # the floor may touch the lowest loss as well
        got -= {"floor_at_min"}
    assert got == set(wanted.split(", ")) - {""}
    assert np.isnan(r["L_inf"]) == (r["status"] < 0)


@pytest.mark.parametrize("score", ["loss", "log"])
def test_two_points_with_a_pinned_floor_or_on_a_grid(score):
    pinned = one([1e18, 1e20], [3.0, 2.5], floors=[2.0], score=score)
    assert words(pinned["status"]) == {"saturated"}
    np.testing.assert_allclose(pinned["alpha"], math.log(2) / math.log(100), rtol=1e-12)
    np.testing.assert_allclose(twin.predict(pinned, np.array([1e18, 1e20])), [3.0, 2.5], rtol=1e-13)
    grid = one([1e18, 1e20], [3.0, 2.5], method="grid", score=score)
    assert "saturated" in words(grid["status"])
    np.testing.assert_allclose(twin.predict(grid, np.array([1e18, 1e20])), [3.0, 2.5], rtol=1e-12)


@pytest.mark.parametrize("score", ["loss", "log"])
def test_a_pinned_floor_is_kept_or_refused(score):
    for floor in (0.0, 1.0, 2.59, math.nextafter(2.6, 0)):
        r = one(C4, FALLING, floors=[floor], score=score)
        assert r["L_inf"] == floor
        assert not words(r["status"]) & {"floor_at_zero", "floor_at_min"}
    for floor in (2.6, 3.0, 1e300):
        assert words(one(C4, FALLING, floors=[floor], score=score)["status"]) == {"floor_too_high"}
    for floor in (np.inf, -np.inf):
        assert words(one(C4, FALLING, floors=[floor], score=score)["status"]) == {"bad_value"}
    free = one(C4, FALLING, floors=[np.nan], score=score)
    assert samples.bits(free) == samples.bits(one(C4, FALLING, score=score))


def test_a_pinned_log_fit_is_judged_in_log_space():
    """ln(loss - L) falls although the loss itself does not: the straight line is still a law."""
    C, z = np.array([1.0, 10.0, 100.0, 1000.0]), np.array([1.0, 0.9, 0.01, 2.5])
    slope = np.polyfit(np.log(C), np.log(z), 1)[0]
    assert slope < 0
    r = one(C, 2 + z, floors=[2.0], score="log")
    np.testing.assert_allclose(r["alpha"], -slope, rtol=1e-9)


def test_an_unbalanced_design_is_fitted_too():
    """Many seeds at one budget pull the mean, not the law."""
    C = np.concatenate(([1e18], np.full(2000, 1e20)))
    y = np.concatenate(([2001.0], np.full(2000, 1.0)))
    r = one(C, y, floors=[0.0])
    np.testing.assert_allclose(r["alpha"], math.log(2001) / math.log(100), rtol=1e-9)
    assert "alpha_at_bound" not in words(r["status"])


def test_a_narrow_valley_of_the_log_profile_is_found():
    """Three points that one floor fits exactly, close under the lowest loss."""
    C = [1551088654.807055, 1107872485.6396585, 349413724.7792262]
    y = [1.4181814861936983, 1.435777850506646, 1.724255016481967]
    r = one(C, y, score="log")
    assert r["score"] < 1e-20
    np.testing.assert_allclose(r["L_inf"], 1.3981082883593776, rtol=1e-6)


def test_failures_take_no_part_in_a_shared_floor():
    good = [(C7, law(C7, 1.8, 1500.0, 0.16)), (C7, law(C7, 1.8, 2000.0, 0.17))]
    bad = [
        ([], []),
        (C7, C7 / 1e18),
        (C7, np.full(7, 0.1)),
        (C7[:1], [0.5]),
        (C7, np.full(7, np.nan)),
    ]
    mixed = [bad[0], good[0], *bad[1:], good[1]]
    r = fit(mixed, sets=[0, len(mixed)])
    wanted = fit(good, sets=[0, 2])
    assert samples.bits(r[[1, -1]]) == samples.bits(wanted)
    assert [words(code) for code in r["status"][[0, 2, 3, 4, 5]]] == [
        {"too_few_points"},
        {"not_decreasing"},
        {"constant_loss"},
        {"too_few_points"},
        {"bad_value"},
    ]


def test_sets_without_suites_are_fine():
    r = _core.powerlaw_fit(C4, FALLING, [0, 4], sets=[0, 0, 1, 1], floors=[1.0, np.nan, 2.0])
    assert samples.bits(r) == samples.bits(_core.powerlaw_fit(C4, FALLING, [0, 4]))
    assert _core.powerlaw_fit([], [], [0], sets=[0]).shape == (0,)


def test_the_grid_is_linspace_and_the_first_best_wins():
    C, y = C7, law(C7, 1.8, 1500.0, 0.16)
    for n_grid in (1, 2, 63, 64, 65, 400):
        for score in ("loss", "log"):
            r = one(C, y, method="grid", score=score, n_grid=n_grid)
            grid = np.linspace(0, 0.95 * y.min(), n_grid)
            assert r["L_inf"] == grid[r["grid_index"]]
            assert ("floor_at_zero" in words(r["status"])) == (r["grid_index"] == 0)
    # Two points lie on a law for every floor: all scores are zero up to rounding.
    assert one([1.0, 4.0], [4.0, 2.0], method="grid", score="log", n_grid=7)["score"] < 1e-30


def test_extreme_sizes_end_in_a_status():
    """No crash, no hang, no number that is not a law."""
    shapes = [FALLING, FALLING[::-1], [4.0, 2.0, 2.0, 2.0], [4.0, 2.0, 2.1, 1.9]]
    computes = [
        np.array([1e-300, 1e-100, 1e100, 1e300]),
        np.array([5e-324, 1e-320, 1e-310, 1e-300]),
        1 + 3e-16 * np.arange(4),
        np.array([1e305, 1e306, 1e307, 1e308]),
    ]
    for size in (1e-320, 1e-300, 1e-160, 1e-30, 1e30, 1e160, 1e307):
        for shape in shapes:
            y = size * np.array(shape)
            for C in (*computes, np.array(C4)):
                for options in (
                    {}, {"score": "log"}, {"method": "grid"}, {"method": "grid", "score": "log"},
                    {"floors": [size]}, {"floors": [size], "score": "log"},
                ):  # fmt: skip
                    r = one(C, y, **options)
                    if r["status"] >= 0:
                        assert r["alpha"] > 0
                        assert 0 <= r["L_inf"] < y.min()


def test_a_wide_range_of_compute_is_no_bad_value():
    C = np.array([1e-200, 1.0, 1e200])
    y = 1 + np.array([2.0, 1.0, 0.5])
    assert "bad_value" not in words(one(C, y)["status"])
