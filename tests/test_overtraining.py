"""What training off the optimum costs, against closed forms and a slow twin."""

from __future__ import annotations

import json
import math
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delphi import DataError, FitWarning, IsoflopLadder, PowerLaw, fit_isoflops, simulate
from delphi.matching import matching_distance
from delphi.overtraining import OvertrainingCost, overtraining_cost
from delphi.status import bits
from tests.reference import overtraining as twin

C7 = np.geomspace(3e18, 3e20, 7)
AT = 1e23
LAW = (1.8, 1600.0, 0.16)
RATES = st.floats(1e-3, 2)
COLUMNS = [
    "suite", "scale", "tokens", "params", "penalty", "penalty_low", "penalty_high",
    "compute_to_match", "compute_to_match_low", "compute_to_match_high", "percent_overhead",
    "percent_overhead_low", "percent_overhead_high", "level", "method", "status",
]  # fmt: skip


def law_of(L_inf=1.8, A=1600.0, alpha=0.16, **more) -> PowerLaw:
    fields = {
        "n": 7, "rss": 0.0, "score": "loss", "method": "profile", "compute_min": 3e18,
        "compute_max": 3e20, "status_code": 0,
    }  # fmt: skip
    return PowerLaw(L_inf=L_inf, A=A, alpha=alpha, log_A=math.log(A), **(fields | more))


def ladder_of(under=0.4, over=0.3, suite="a", noise=0.0, **columns) -> IsoflopLadder:
    """A ladder with known optima and curvatures: numbers, or arrays over the budgets."""
    L_inf, A, alpha = LAW
    fits = pd.DataFrame(
        {
            "suite": suite, "budget": C7, "compute": C7, "n": 9,
            "tokens_star": 0.3 * C7**0.53, "params_star": C7**0.47 / 1.8,
            "loss_star": L_inf + A * C7**-alpha + noise,
            "a": 0.35, "a_under": under, "a_over": over, "joint_a_under": under,
            "joint_a_over": over, "status_code": 0, "status": "ok", "used": True,
        }
    ).assign(**columns)  # fmt: skip
    left_out = pd.DataFrame(columns=["reason", "rows"])
    return IsoflopLadder(runs=pd.DataFrame(), fits=fits, left_out=left_out)


def table(ladder, law=None, **options) -> pd.DataFrame:
    return overtraining_cost(ladder, law, **({"n_boot": 0, "at": AT} | options)).table


# --- the equation ---------------------------------------------------------------------------------


@given(ratio=st.floats(0, 50), alpha=RATES, exponent=st.floats(-2, 2))
def test_distance_is_what_the_twin_finds(ratio, alpha, exponent):
    if 0 < abs(exponent) < 1e-3:
        exponent = 0.0
    if exponent == 0 and abs(ratio - 1) < 1e-6:
        return
    found = float(matching_distance(ratio, alpha, exponent))
    wanted = twin.distance(ratio, alpha, exponent)
    if math.isinf(found) or math.isinf(wanted):
        near = ratio * 1e-9  # the two may disagree only where the curves touch
        less = float(matching_distance(ratio - near, alpha, exponent))
        more = float(matching_distance(ratio + near, alpha, exponent))
        assert found == wanted or math.isfinite(less) != math.isfinite(more)
    else:
        left = math.expm1(-alpha * found) + ratio * math.exp(exponent * found)
        assert abs(left) < 1e-12 * max(1, ratio)
        assert found == pytest.approx(wanted, rel=1e-6, abs=1e-9)


@given(alpha=RATES, ratio=st.floats(1e-12, 1e6))
def test_distance_where_one_rate_serves_both(alpha, ratio):
    found = float(matching_distance(ratio, alpha, -alpha))
    assert found == pytest.approx(math.log1p(ratio) / alpha, rel=1e-12)


@given(alpha=RATES, ratio=st.floats(1e-12, 0.999))
def test_distance_of_a_flat_penalty(alpha, ratio):
    assert float(matching_distance(ratio, alpha, 0.0)) == pytest.approx(
        -math.log1p(-ratio) / alpha, rel=1e-12
    )


def test_distance_of_penalties_that_grow():
    # y = exp(-x): y + u / y = 1 is a quadratic, with two solutions up to u = 1/4 and none beyond.
    for u in (1e-6, 0.1, 0.2, 0.2499):
        y = 0.5 + math.sqrt(0.25 - u)
        assert float(matching_distance(u, 1.0, 1.0)) == pytest.approx(-math.log(y), rel=1e-12)
    assert float(matching_distance(0.2500001, 1.0, 1.0)) == math.inf
    assert float(matching_distance(5.0, 1.0, 1.0)) == math.inf


def test_distance_of_rates_far_apart():
    slow = float(matching_distance(1e6, 5.0, -0.01))
    assert slow == pytest.approx(math.log(1e6) / 0.01, rel=1e-12)
    fast = float(matching_distance(1e6, 0.01, -5.0))
    assert abs(math.expm1(-0.01 * fast) + 1e6 * math.exp(-5 * fast)) < 1e-12


def test_distance_of_nonsense():
    bad = [(np.nan, 1, 1), (1, np.nan, 1), (1, 1, np.nan), (-1, 1, 1), (1, 0, 1), (1, -1, 1)]
    assert np.isnan(matching_distance(*np.array(bad).T)).all()
    assert matching_distance([np.inf, 0.0], 1.0, [-1.0, 3.0]).tolist() == [np.inf, 0.0]


# --- exact ladders --------------------------------------------------------------------------------


def test_constant_curvature_in_closed_form():
    rows = table(ladder_of(), law_of(), scales=[0.5, 1, 2, 5])
    assert list(rows.columns) == COLUMNS
    squares = np.log10([0.5, 1, 2, 5]) ** 2
    penalty = np.array([0.4, 0, 0.3, 0.3]) * squares
    np.testing.assert_allclose(rows["penalty"], penalty, rtol=1e-12)
    gap = 1600 * AT**-0.16
    C = AT * (1 - penalty / gap) ** (-1 / 0.16)
    np.testing.assert_allclose(rows["compute_to_match"], C, rtol=1e-11)
    np.testing.assert_allclose(rows["percent_overhead"], 100 * (C / AT - 1), rtol=1e-10)
    assert (rows["status"] == "ok").all()
    np.testing.assert_allclose(rows["tokens"], 0.3 * AT**0.53 * rows["scale"], rtol=1e-10)
    np.testing.assert_allclose(rows["params"], AT**0.47 / 1.8 / rows["scale"], rtol=1e-10)


def test_curvature_with_the_exponent_of_the_law_in_closed_form():
    rows = table(ladder_of(50 * C7**-0.16, 70 * C7**-0.16), scales=[0.2, 3, 10])
    ratio = np.array([50, 70, 70]) / 1600 * np.log10([0.2, 3, 10]) ** 2
    wanted = AT * (1 + ratio) ** (1 / 0.16)
    np.testing.assert_allclose(rows["compute_to_match"], wanted, rtol=1e-8)


@given(
    slope=st.floats(-0.4, 0.02),
    s=st.floats(0.2, 5),
    alpha=st.floats(0.1, 0.3),
    at=st.floats(1e21, 1e24),
)
def test_any_power_law_of_curvature_against_the_twin(slope, s, alpha, at):
    over = 0.25 * (C7 / 1e20) ** slope
    amplitude = 1.2 * 1e20**alpha
    rows = table(ladder_of(over, over), law_of(A=amplitude, alpha=alpha), scales=s, at=at)
    found = rows["compute_to_match"][0]
    if not found < 1e11 * at:
        return
    wanted = twin.compute_to_match(
        lambda C: 1.8 + amplitude * C**-alpha, lambda C: 0.25 * (C / 1e20) ** slope, at, s
    )
    assert math.log(found) == pytest.approx(math.log(wanted), rel=1e-10)


def test_the_law_of_the_ladder_is_the_default():
    mine, given_ = table(ladder_of()), table(ladder_of(), law_of())
    pd.testing.assert_frame_equal(mine, given_, rtol=1e-8)


def test_the_cost_at_a_fitted_budget_and_at_many_units():
    near = table(ladder_of(), law_of(), at=1e19, scales=2)
    gap = 1600 * 1e19**-0.16
    wanted = (1 - 0.3 * math.log10(2) ** 2 / gap) ** (-1 / 0.16)
    assert near["compute_to_match"][0] / 1e19 == pytest.approx(wanted, rel=1e-12)


def test_scale_one_costs_nothing_whatever_else_fails():
    broken = ladder_of(-1.0, -1.0)
    with pytest.warns(FitWarning, match="2 of 3 over-training costs"):
        rows = table(broken, law_of(), scales=[0.5, 1, 2])
    one = rows.iloc[1]
    assert (one["penalty"], one["compute_to_match"], one["percent_overhead"]) == (0, AT, 0)
    assert rows["status"].tolist() == ["no_curvature", "ok", "no_curvature"]
    bounds = overtraining_cost(ladder_of(), scales=1, n_boot=50, at=AT).table.iloc[0]
    assert (bounds["compute_to_match_low"], bounds["compute_to_match_high"]) == (AT, AT)


# --- where the curves do not cross ----------------------------------------------------------------


def test_no_crossing_of_a_flat_penalty_above_the_reducible_loss():
    rows = table(ladder_of(0.4, 3.0), law_of(), scales=[2, 10])
    assert rows["status"].tolist() == ["ok", "no_crossing"]
    assert rows["compute_to_match"][1] == rows["percent_overhead"][1] == np.inf
    assert rows["penalty"][1] == pytest.approx(3.0)


def test_no_crossing_of_a_penalty_that_grows():
    rows = table(ladder_of(over=0.3 * (C7 / 1e19) ** 0.2), law_of(), scales=[1.01, 10])
    assert rows["status"].tolist() == ["ok", "no_crossing"]
    assert AT < rows["compute_to_match"][0] < 1.1 * AT


def test_a_far_crossing_is_a_number_and_says_so():
    rows = table(ladder_of(over=3.0 * (C7 / 1e20) ** -0.01), law_of(), scales=10)
    assert rows["status"][0] == "far_crossing"
    assert 1e12 * AT < rows["compute_to_match"][0] < np.inf


def test_replicates_without_a_crossing_open_the_interval():
    wobble = 1 + 0.05 * np.array([1, -1, 1, -1, 1, -1, 1.0])
    cost = overtraining_cost(
        ladder_of(over=0.37 * wobble), law_of(), scales=[8, 10], n_boot=500, at=AT
    )
    assert np.isfinite(cost.table["compute_to_match_low"]).all()
    assert (cost.table["percent_overhead_high"] == np.inf).all()
    assert cost.table["status"].tolist() == ["unbounded_limit", "no_crossing"]
    assert "+inf" in cost.summary()


# --- which buckets --------------------------------------------------------------------------------


def test_stand_ins_are_left_out_and_counted():
    over = np.full(7, 0.3)
    over[[0, 3]] = 99.0
    code = np.zeros(7, int)
    code[[0, 3]] = bits("a_over_fallback")
    ladder = ladder_of(over=over, status_code=code)
    cost = overtraining_cost(ladder, law_of(), curvature="anchored", n_boot=0, scales=2)
    assert cost.table["penalty"][0] == pytest.approx(0.3 * math.log10(2) ** 2, rel=1e-12)
    assert cost.curves[["side", "n", "left_out"]].values.tolist() == [
        ["under", 7, 0],
        ["over", 5, 2],
    ]
    assert cost.notes == ("a: 2 of 7 buckets have no positive a_over of their own",)
    joint = overtraining_cost(ladder, law_of(), curvature="joint", n_boot=0, scales=2)
    assert joint.curves["n"].tolist() == [7, 7], "the joint fit has no stand-ins for these"


@pytest.mark.parametrize("word", ["joint_failed", "joint_at_bound"])
def test_a_joint_fit_that_failed_is_left_out(word):
    code = np.array([bits(word), 0, 0, 0, 0, 0, 0])
    over = np.full(7, 0.3)
    over[0] = np.nan if word == "joint_failed" else 7.0
    cost = overtraining_cost(
        ladder_of(over=over, status_code=code), law_of(), curvature="joint", n_boot=0, scales=2
    )
    assert cost.curves["left_out"].tolist() == [1, 1]
    assert cost.table["penalty"][0] == pytest.approx(0.3 * math.log10(2) ** 2, rel=1e-12)


@pytest.mark.parametrize("bad", [0.0, -0.1, np.nan])
def test_curvature_that_is_not_positive_is_left_out(bad):
    over = np.full(7, 0.3)
    over[2] = bad
    cost = overtraining_cost(ladder_of(over=over), law_of(), n_boot=0, scales=[0.5, 2])
    assert cost.curves["left_out"].tolist() == [0, 1]
    assert cost.table["penalty"][1] == pytest.approx(0.3 * math.log10(2) ** 2, rel=1e-12)


def test_symmetric_curvature_and_unused_buckets():
    used = np.array([True] * 6 + [False])
    a = np.where(used, 0.2, 50.0)
    rows = table(ladder_of(a=a, used=used), law_of(), curvature="symmetric", scales=[0.5, 2])
    np.testing.assert_allclose(rows["penalty"], 0.2 * math.log10(2) ** 2, rtol=1e-12)


def test_scales_beyond_the_runs_are_flagged():
    x = np.log10(0.3 * C7**0.53)
    ladder = ladder_of(x_star=x, x_min=x - 0.4, x_max=x + 0.6)
    rows = table(ladder, law_of(), scales=[0.3, 0.5, 1, 3, 5])
    assert rows["status"].tolist() == [
        "outside_swept_range",
        "ok",
        "ok",
        "ok",
        "outside_swept_range",
    ]


def test_nothing_to_go_by():
    few = ladder_of(used=np.array([True, True] + [False] * 5))
    with pytest.warns(FitWarning):
        cost = overtraining_cost(few, scales=2, n_boot=20)
    assert cost.table["status"][0] == "no_law"
    assert cost.table["penalty"][0] == pytest.approx(0.3 * math.log10(2) ** 2)
    assert cost.table[["penalty_low", "compute_to_match"]].isna().all(axis=None)
    assert sum("no interval" in note for note in cost.notes) == 2
    none = ladder_of(used=False)
    with pytest.warns(FitWarning):
        empty = overtraining_cost(none, scales=[1, 2], n_boot=20)
    assert empty.table["status"].tolist() == ["ok", "no_law, no_curvature"]


# --- intervals ------------------------------------------------------------------------------------


def test_penalty_intervals_are_those_of_student():
    """For a straight line the bootstrap has a known answer to compare with."""
    wobble = np.exp(0.1 * np.random.default_rng(4).standard_normal(7))
    ladder = ladder_of(over=0.3 * wobble)
    row = overtraining_cost(ladder, law_of(), scales=2, n_boot=20000, rng=1).table.iloc[0]
    x, y = np.log(C7), np.log(0.3 * wobble)
    d = x - x.mean()
    slope = d @ y / (d @ d)
    rest = y - y.mean() - slope * d
    se = math.sqrt(rest @ rest / 5 * (1 / 7 + (math.log(1e23) - x.mean()) ** 2 / (d @ d)))
    mid = math.log(row["penalty"])
    assert math.log(row["penalty_high"]) - mid == pytest.approx(2.5706 * se, rel=0.1)
    assert mid - math.log(row["penalty_low"]) == pytest.approx(2.5706 * se, rel=0.1)


def test_exact_data_have_intervals_of_no_width():
    row = overtraining_cost(ladder_of(), scales=2, n_boot=50).table.iloc[0]
    for name in ("penalty", "compute_to_match"):
        assert row[f"{name}_low"] == pytest.approx(row[name], rel=1e-6)
        assert row[f"{name}_high"] == pytest.approx(row[name], rel=1e-6)


def test_same_rng_same_answer_alone_and_together():
    ladder = fit_isoflops(simulate.ladder(rng=0))
    options = {"scales": [0.5, 2], "n_boot": 100}
    both = overtraining_cost(ladder, **options, rng=3).table
    again = overtraining_cost(ladder, **options, rng=np.random.SeedSequence(3)).table
    drawn = overtraining_cost(ladder, **options, rng=np.random.default_rng(3)).table
    pd.testing.assert_frame_equal(both, again, check_exact=True)
    pd.testing.assert_frame_equal(both, drawn, check_exact=True)
    alone = overtraining_cost(ladder, suite="Birch", **options, rng=3).table
    pd.testing.assert_frame_equal(both[2:].reset_index(drop=True), alone, check_exact=True)
    other = overtraining_cost(ladder, **options, rng=4).table
    assert (other["penalty_low"] != both["penalty_low"]).all()


def test_threads_do_not_matter(monkeypatch):
    ladder = fit_isoflops(simulate.ladder(rng=0))
    tables = []
    for n in ("1", "3"):
        monkeypatch.setenv("DELPHI_NUM_THREADS", n)
        tables.append(overtraining_cost(ladder, n_boot=300).table)
    pd.testing.assert_frame_equal(*tables, check_exact=True)


@pytest.mark.parametrize("options", [{"floor": 1.8}, {"score": "log", "method": "grid"}])
def test_laws_are_refitted_their_own_way(options):
    ladder = fit_isoflops(simulate.ladder(rng=0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        laws = ladder.laws(**options)
    rows = overtraining_cost(ladder, laws, scales=2, n_boot=200).table
    assert (rows["compute_to_match_low"] < rows["compute_to_match"]).all()
    assert (rows["compute_to_match_high"] > rows["compute_to_match"]).all()
    if "floor" in options:
        free = overtraining_cost(ladder, scales=2, n_boot=200).table
        assert (rows["penalty_low"] == free["penalty_low"]).all()


def test_failed_replicates_are_counted():
    """Optima that barely fall: many resamples do not."""
    noise = 0.02 * np.array([1, -1.5, 1, -0.5, 1.5, -2, 1])
    loss = 2.5 - 0.02 * np.arange(7) / 6 + noise
    flat = law_of(L_inf=2.0, A=0.5 * 3e18**0.01, alpha=0.01)
    cost = overtraining_cost(ladder_of(loss_star=loss), flat, scales=[1, 2], n_boot=300)
    assert 0 < cost.failed["a"] < 300
    assert any(f"{cost.failed['a']} of 300 replicates" in note for note in cost.notes)
    assert np.isfinite(cost.table["compute_to_match_low"]).all()


def test_intervals_cover_the_surface():
    """A small stand-in for a coverage study: 60 ladders, 95% intervals, the surface's own truth."""
    surface = simulate.DEFAULT_SUITES["Aster"]
    best = simulate.truth(surface)
    off = surface.loss(best.params(AT) / 2, best.tokens(AT) * 2) - best.predict(AT)
    hits = 0
    for seed in range(60):
        runs = simulate.ladder(suites={"Aster": surface}, held_out=(), noise=0.0015, rng=seed)
        row = overtraining_cost(
            fit_isoflops(runs), scales=2, at=AT, n_boot=300, rng=seed, curvature="symmetric"
        ).table.iloc[0]
        hits += row["penalty_low"] <= off <= row["penalty_high"]
    assert hits >= 52


# --- arguments and results ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"suite": "nobody"}, "suite: no 'nobody'"),
        ({"at": 0}, "at"),
        ({"at": -1e23}, "at"),
        ({"at": np.nan}, "at"),
        ({"at": [1e22, 1e23]}, "at: expected one number"),
        ({"scales": [2, -1]}, "scales"),
        ({"scales": []}, "scales"),
        ({"scales": [0.0]}, "scales"),
        ({"scales": [np.inf]}, "scales"),
        ({"curvature": "cubic"}, "curvature"),
        ({"level": 1.5}, "level"),
        ({"n_boot": -1}, "n_boot"),
        ({"n_boot": 2.5}, "n_boot"),
        ({"n_boot": True}, "n_boot"),
        ({"rng": "dice"}, "rng"),
        ({"rng": -1}, "rng"),
        ({"law": "mine"}, "law"),
        ({"law": {"a": 3}}, "law"),
    ],
)
def test_errors_name_the_argument(options, name):
    with pytest.raises(DataError, match=name):
        overtraining_cost(ladder_of(), **options)


def test_one_law_for_two_suites():
    ladder = ladder_of()
    fits = pd.concat([ladder.fits, ladder.fits.assign(suite="b")], ignore_index=True)
    two = IsoflopLadder(runs=ladder.runs, fits=fits, left_out=ladder.left_out)
    with pytest.raises(DataError, match="suite: one law cannot serve 2 suites"):
        overtraining_cost(two, law_of())
    assert table(two, law_of(), suite="b", scales=2)["suite"].tolist() == ["b"]
    with pytest.warns(FitWarning, match="1 of 2"):
        rows = table(two, {"a": law_of()}, scales=2)
    assert rows["status"].tolist() == ["ok", "no_law"]


def test_no_ladder():
    with pytest.raises(DataError, match="ladder: expected an IsoflopLadder, got DataFrame"):
        overtraining_cost(pd.DataFrame())


def test_no_law():
    with pytest.raises(DataError, match=r"law: expected .*, got an empty mapping"):
        overtraining_cost(ladder_of(), law={})


def test_the_result_speaks():
    cost = overtraining_cost(ladder_of(suite="<b>a</b>"), n_boot=50)
    assert isinstance(cost, OvertrainingCost)
    assert OvertrainingCost.__dataclass_params__.frozen
    text = cost.summary()
    assert "1e+23 FLOPs" in text
    assert "95% residual bootstrap" in text
    assert text.count("note:") == 2
    assert "<b>" not in cost._repr_html_()
    assert "&lt;b&gt;" in cost._repr_html_()
    assert repr(cost) == "OvertrainingCost(1 suites at 1e+23 FLOPs, anchored)"
    frame = cost.to_frame()
    frame["penalty"] = 0.0
    assert (cost.table["penalty"] > 0).any()
    plain = json.loads(json.dumps(cost.to_dict()))
    assert len(plain["table"]) == 10
    assert set(cost.table["method"]) == {"residual bootstrap"}
    assert set(cost.table["level"]) == {0.95}
    bare = overtraining_cost(ladder_of(), n_boot=0)
    assert set(bare.table["method"]) == {"none"}
    assert bare.notes == ()


def test_real_ladders(data_dir):
    from delphi import read_runs

    runs = read_runs([data_dir / "marin" / f"isoflop-{n}.csv" for n in ("comma", "dclm")])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ladder = fit_isoflops(runs)
        rows = overtraining_cost(ladder, scales=[0.5, 2], curvature="anchored").table
    assert len(rows) == 2 * len(ladder.suites)
    good = rows[rows["status"] == "ok"]
    assert len(good)
    assert (good["percent_overhead"] > 0).all()
    assert (good["penalty_low"] <= good["penalty"]).all()
