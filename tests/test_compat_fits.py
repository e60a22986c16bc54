"""delphi.compat's fits against the notebook's own numbers and a plain copy of its algorithm."""

from __future__ import annotations

import json
import math
import warnings
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delphi import compat
from tests.reference import parabola as twin
from tests.reference import samples

FIELDS = ("a", "b", "c", "logT_star", "T_star", "loss_star", "P_star", "a_under", "a_over")


def number(value):
    """Non-finite numbers are strings in the golden files."""
    return float(value) if isinstance(value, str) else value


def numbers(values) -> np.ndarray:
    return np.array([number(v) for v in values], float)


@pytest.fixture(scope="session")
def parabolas(golden_dir):
    return json.loads((golden_dir / "fit_parabola.json").read_text())["cases"]


@pytest.fixture(scope="session")
def laws(golden_dir):
    return json.loads((golden_dir / "powerlaw_per_q_shared.json").read_text())["cases"]


# --- the notebook's algorithm, plainly ------------------------------------------------------------


def notebook_parabola(tokens, loss, params) -> dict:
    x, y = np.log10(np.asarray(tokens, float)), np.asarray(loss, float)
    a, b, c = np.polyfit(x, y, 2)
    star = np.clip(-b / (2 * a), x.min(), x.max())
    best = a * star**2 + b * star + c
    slope, intercept = np.polyfit(x, np.log10(np.asarray(params, float)), 1)

    def side(rows):
        squares = (x[rows] - star) ** 2
        if squares.sum() <= 0:
            return a
        curve = squares @ (y[rows] - best) / (squares @ squares)
        return curve if curve > 0 else a

    values = (a, b, c, star, 10**star, best, 10 ** (slope * star + intercept))
    return dict(zip(FIELDS, (*values, side(x < star), side(x > star)), strict=True))


def notebook_at_floor(C, y, L):
    """(alpha, ln A, mean squared log residual), or None where there is no falling law."""
    if not np.all(y - L > 0):
        return None
    x, z = np.log(C), np.log(y - L)
    slope, intercept = np.polyfit(x, z, 1)
    if not slope < 0:
        return None
    return -slope, intercept, float(np.mean((z - intercept - slope * x) ** 2))


def notebook_grid(entries, n_grid):
    """Scores of every floor, summed over the entries; inf where one has no law."""
    top = 0.95 * min(float(np.min(y)) for _, y in entries)
    scores = []
    for L in np.linspace(0, top, n_grid):
        fits = [notebook_at_floor(C, y, L) for C, y in entries]
        scores.append(math.inf if None in fits else sum(fit[2] for fit in fits))
    return np.linspace(0, top, n_grid), np.array(scores)


# --- parabolas ------------------------------------------------------------------------------------


def frame_of(case) -> pd.DataFrame:
    return pd.DataFrame({k: numbers(v) for k, v in case["input"].items()})


def full_rank(case) -> bool:
    return len(set(case["input"]["tokens"])) >= 3


def test_parabolas_of_the_notebook(parabolas):
    assert len(parabolas) > 10
    compared = 0
    for case in parabolas:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # polyfit's RankWarning, as in the notebook
            fit = compat.fit_parabola(frame_of(case))
        assert isinstance(fit, compat.Fit)
        if not full_rank(case) or case["info"]["rank_warning"]:
            continue
        condition = number(case["info"]["cond_scaled_vandermonde"])
        rtol = max(1e-9, 1e-16 * condition**2)
        if rtol > 1e-3:
            continue
        compared += 1
        for name in ("a", "b", "c"):
            wanted = number(case["output"][name])
            assert getattr(fit, name) == pytest.approx(wanted, rel=rtol), (case["kind"], name)
        if not case["info"]["clipped"] and rtol <= 1e-8:
            for name in FIELDS[3:]:
                wanted = number(case["output"][name])
                assert getattr(fit, name) == pytest.approx(wanted, rel=1e-6), (case["kind"], name)
    assert compared > 10


def test_parabolas_are_exact_and_closer_than_numpy(parabolas):
    """Against exact rationals on the very same float64 log10 tokens."""
    ours, numpys = [], []
    for case in parabolas:
        exact = case["info"].get("exact_rational_lsq_on_these_log10_tokens")
        if not exact or not full_rank(case):
            continue
        fit = compat.fit_parabola(frame_of(case))
        x = [math.log10(t) for t in case["input"]["tokens"]]
        condition = number(case["info"]["cond_scaled_vandermonde"])
        if condition > 1e9:
            continue
        # t = (x - centre) / half is what the core works in: its condition is what counts.
        half = (max(x) - min(x)) / 2
        t = np.array([float((Fraction(v) - Fraction(min(x))) / Fraction(half) - 1) for v in x])
        rtol = 1e-12 * max(1.0, np.linalg.cond(np.vander(t, 3)) / 50)
        size = max(case["input"]["loss"])
        off = abs(fit.a - exact["a"]) * half**2
        assert off <= rtol * max(size, abs(exact["a"]) * half**2), case["kind"]
        ours.append(off)
        numpys.append(abs(number(case["output"]["a"]) - exact["a"]) * half**2)
        if exact["vertex_raw"] is not None and not case["info"]["clipped"]:
            assert fit.logT_star == pytest.approx(number(exact["vertex_raw"]), rel=1e-10)
            assert fit.loss_star == pytest.approx(number(exact["loss_at_vertex_raw"]), rel=1e-12)
    assert len(ours) >= 8
    assert max(ours) <= max(numpys)
    assert np.median(ours) <= np.median(numpys)


@samples.examples(60)
@given(samples.realistic_bucket(least=3))
def test_parabolas_of_random_buckets(group):
    tokens, loss, params = group
    frame = pd.DataFrame({"tokens": tokens, "loss": loss, "params": params})
    fit, wanted = compat.fit_parabola(frame), notebook_parabola(*group)
    exact = twin.fit(tokens.tolist(), loss.tolist(), params.tolist(), joint=False)
    if exact.unsure or exact.values["vertex_slack"] > 1e-9:
        return
    for name in FIELDS[:7]:
        # polyfit on raw log10 tokens loses some six digits to its condition number squared
        assert getattr(fit, name) == pytest.approx(wanted[name], rel=1e-6), name
    for name in FIELDS[7:]:
        if exact.values.get(f"{name}_slack", 1) < 1e-9:
            assert getattr(fit, name) == pytest.approx(wanted[name], rel=1e-4), name


@pytest.mark.filterwarnings("ignore")  # RankWarning and division by zero, as in the notebook
def test_too_few_points_are_polyfits_business():
    for tokens, loss in (
        ([1e9, 1e10], [3.0, 2.5]),
        ([1e9, 1e9, 1e10], [3.0, 2.9, 2.5]),
        ([1e9, 1e10, 1e11], [2.0, 2.0, 2.0]),
    ):
        frame = pd.DataFrame({"tokens": tokens, "loss": loss, "params": [1e8] * len(tokens)})
        fit, wanted = compat.fit_parabola(frame), notebook_parabola(tokens, loss, frame["params"])
        got = [getattr(fit, name) for name in FIELDS]
        np.testing.assert_allclose(got, [wanted[name] for name in FIELDS], rtol=1e-6)


# --- the table ------------------------------------------------------------------------------------


def notebook_optima(df):
    df = df[df["run_type"] == "isoflop"]
    rows = {}
    for q in sorted(df["quantizer"].unique()):
        for g in sorted(df["gflops_q"].unique()):
            sub = df[(df["quantizer"] == q) & (df["gflops_q"] == g)]
            if len(sub) >= 3:
                rows[q, g] = notebook_parabola(sub["tokens"], sub["loss"], sub["params"])
    return rows


@pytest.mark.parametrize("subsampled", [False, True])
def test_optima_of_the_cache(caches_dir, subsampled):
    df = compat.load_runs(caches_dir / "runs.json")
    if subsampled:
        df = compat.subsample_cadamc_to_adamh_grid(df)
    fits, optima, groups, quantizers = compat.compute_optima(df)
    wanted = notebook_optima(df)
    assert list(fits) == list(wanted)
    for key, fit in fits.items():
        for name in FIELDS:
            assert getattr(fit, name) == pytest.approx(wanted[key][name], rel=1e-7), (key, name)
    assert list(optima.columns) == [
        "quantizer", "gflops_bucket", "C_flops", "T_star", "P_star", "loss_star",
    ]  # fmt: skip
    assert list(zip(optima["quantizer"], optima["gflops_bucket"], strict=True)) == list(wanted)
    assert (optima["C_flops"] == optima["gflops_bucket"] * 1e9).all()
    for name in ("T_star", "P_star", "loss_star"):
        assert optima[name].tolist() == [getattr(fit, name) for fit in fits.values()]
    sweep = df[df["run_type"] == "isoflop"]
    assert groups == sorted(sweep["gflops_q"].unique())
    assert quantizers == sorted(sweep["quantizer"].unique().tolist())
    assert isinstance(groups, list)
    assert isinstance(fits, dict)


def test_laws_through_the_optima_of_the_cache(caches_dir):
    _, optima, _, quantizers = compat.compute_optima(compat.load_runs(caches_dir / "runs.json"))
    per_q = {
        q: (rows["C_flops"].to_numpy(), rows["loss_star"].to_numpy())
        for q, rows in optima.groupby("quantizer")
    }
    assert sorted(per_q) == quantizers
    check_per_q(per_q, compat.fit_asymptotic_powerlaw_per_q(per_q), 400)
    check_shared(per_q, compat.fit_asymptotic_powerlaw_shared_linf(per_q), 400)


def test_small_buckets_and_held_out_runs_are_left_out():
    frame = pd.DataFrame(
        {
            "quantizer": ["q"] * 6, "run_type": ["isoflop"] * 5 + ["optimal"],
            "gflops_q": [1.0, 1.0, 1.0, 2.0, 2.0, 2.0], "tokens": [1e9, 1e10, 1e11] * 2,
            "loss": [3.0, 2.5, 2.8] * 2, "params": [1e10, 1e9, 1e8] * 2,
        }
    )  # fmt: skip
    fits, optima, groups, quantizers = compat.compute_optima(frame)
    assert list(fits) == [("q", 1.0)]
    assert len(optima) == 1
    assert (groups, quantizers) == ([1.0, 2.0], ["q"])


# --- power laws -----------------------------------------------------------------------------------


def check_law(law, C, y, L):
    """A law against the notebook's closed form at the floor it chose."""
    alpha, log_A, mse = notebook_at_floor(C, y, L)
    assert law["ok"] is True
    assert law["L_inf"] == pytest.approx(L, rel=1e-14, abs=1e-300)
    assert law["alpha"] == pytest.approx(alpha, rel=1e-8)
    assert math.log(law["A"]) == pytest.approx(log_A, rel=1e-8, abs=1e-8)
    assert law["sse_log"] == pytest.approx(mse, rel=1e-5, abs=1e-20)
    assert list(law) == ["ok", "L_inf", "A", "alpha", "sse_log"]
    assert all(type(law[name]) is float for name in ("L_inf", "A", "alpha", "sse_log"))


def check_chosen(law, floors, scores):
    """The first lowest score, unless another is as low up to rounding."""
    best = int(np.argmin(scores))
    chosen = int(np.argmin(np.abs(floors - law["L_inf"])))
    # sse_log comes from squared residuals of numbers near 1: 1e-28 is rounding.
    tie = scores[chosen] <= scores[best] * (1 + 1e-6) + 1e-26
    assert chosen == best or tie
    return floors[chosen]


def check_per_q(per_q, got, n_grid):
    assert list(got) == list(per_q)
    for q, (C, y) in per_q.items():
        floors, scores = notebook_grid([(C, y)], n_grid)
        if np.isinf(scores).all():
            assert got[q]["ok"] is False
            continue
        check_law(got[q], C, y, check_chosen(got[q], floors, scores))


def check_shared(per_q, got, n_grid):
    floors, scores = notebook_grid(list(per_q.values()), n_grid)
    if np.isinf(scores).all():
        assert not any(law["ok"] for law in got.values())
        return
    chosen = {check_chosen(law, floors, scores) for law in got.values()}
    assert len(chosen) == 1
    for q, (C, y) in per_q.items():
        check_law(got[q], C, y, *chosen)


def check_failed(law):
    assert law["ok"] is False
    assert law["L_inf"] == 0.0
    assert math.isnan(law["A"])
    assert math.isnan(law["alpha"])
    assert law["sse_log"] == math.inf


@pytest.mark.parametrize("kind", ["per_q", "shared"])
def test_laws_of_the_notebook(laws, kind):
    assert laws
    fit = {
        "per_q": compat.fit_asymptotic_powerlaw_per_q,
        "shared": compat.fit_asymptotic_powerlaw_shared_linf,
    }[kind]
    for case in laws:
        per_q = {q: (numbers(v["C"]), numbers(v["y"])) for q, v in case["input"].items()}
        got = fit(per_q, n_grid=case["n_grid"])
        assert list(got) == list(case[kind])
        for q, wanted in case[kind].items():
            C, y = per_q[q]
            info = case["info"].get(q) or {}
            if len(C) == 2 and wanted["ok"]:
                # Decided by rounding noise in the notebook: any floor is a perfect fit.
                assert got[q]["ok"]
                assert got[q]["sse_log"] < 1e-24
                continue
            if len(set(y.tolist())) == 1 or len(set(C.tolist())) == 1:
                check_failed(got[q])  # the notebook's answer here is rounding noise
                continue
            if not wanted["ok"]:
                check_failed(got[q])
                continue
            best, second = (number(info.get(k, math.nan)) for k in ("best_sse", "second_best_sse"))
            if kind == "per_q" and not second > best + 1e-24:
                continue
            step = 0.95 * y.min() / (case["n_grid"] - 1)
            assert got[q]["L_inf"] == pytest.approx(wanted["L_inf"], rel=1e-13, abs=1e-3 * step)
            if kind == "per_q":
                assert round(got[q]["L_inf"] / step) == info["best_index"]
            assert got[q]["alpha"] == pytest.approx(wanted["alpha"], rel=1e-9)
            assert got[q]["A"] == pytest.approx(wanted["A"], rel=1e-8)
            assert got[q]["sse_log"] == pytest.approx(
                number(wanted["sse_log"]), rel=1e-6, abs=1e-24
            )


@samples.examples(25)
@given(
    st.lists(samples.suite(falling=True), min_size=1, max_size=3), st.sampled_from([1, 2, 40, 115])
)
def test_laws_of_random_suites(groups, n_grid):
    per_q = {f"suite {i}": group for i, group in enumerate(groups)}
    check_per_q(per_q, compat.fit_asymptotic_powerlaw_per_q(per_q, n_grid), n_grid)
    check_shared(per_q, compat.fit_asymptotic_powerlaw_shared_linf(per_q, n_grid), n_grid)


@samples.examples(100)
@given(samples.suite(falling=True), st.floats(-1, 1.2), st.integers(0, 2**32 - 1))
def test_a_law_at_a_floor(group, share, seed):
    C, y = group
    if seed % 2:  # losses in any order: what counts is whether ln(y - L) falls
        y = np.random.default_rng(seed).permutation(y)
    L = share * float(y.min())
    got, wanted = compat.fit_power_at_linf(C, y, L), notebook_at_floor(C, y, L)
    if wanted is None or wanted[0] < 1e-9:
        assert got is None or wanted is not None
        return
    assert got is not None
    check_law(got, C, y, L)


def test_a_law_at_a_floor_is_judged_in_log_space():
    """The loss does not fall but ln(y - L) does: that is a law here."""
    C, y = np.array([1.0, 10.0, 100.0, 1000.0]), 2 + np.array([1.0, 0.9, 0.01, 2.5])
    check_law(compat.fit_power_at_linf(C, y, 2.0), C, y, 2.0)


def test_failed_laws():
    C = np.array([1e18, 1e19, 1e20])
    good = (C, np.array([3.6, 2.8, 2.4]))
    failing = {
        "rising": (C, np.array([2.4, 2.8, 3.6])),
        "one point": (C[:1], np.array([3.0])),
        "none": ([], []),
        "zero": (C, np.array([3.0, 2.0, 0.0])),
        "negative": (C, np.array([3.0, 2.0, -1.0])),
    }
    got = compat.fit_asymptotic_powerlaw_per_q(failing | {"good": good})
    assert list(got) == [*failing, "good"]
    for name in failing:
        check_failed(got[name])
    assert got["good"]["ok"]
    for name, bad in failing.items():
        shared = compat.fit_asymptotic_powerlaw_shared_linf({"good": good, name: bad})
        check_failed(shared["good"])
        check_failed(shared[name])
    assert compat.fit_asymptotic_powerlaw_per_q({}) == {}
    assert compat.fit_asymptotic_powerlaw_shared_linf({}) == {}
    first, second = compat.fit_asymptotic_powerlaw_per_q({1: ([], []), 2: ([], [])}).values()
    first["ok"] = "changed"
    assert second["ok"] is False, "no dict is shared"


def test_lists_and_any_order_will_do():
    C, y = [1e20, 1e18, 1e19], [2.4, 3.6, 2.8]
    mixed = compat.fit_asymptotic_powerlaw_per_q({"a": (C, y)})["a"]
    straight = compat.fit_asymptotic_powerlaw_per_q({"a": (sorted(C), sorted(y)[::-1])})["a"]
    assert mixed["L_inf"] == straight["L_inf"]
    assert mixed["alpha"] == pytest.approx(straight["alpha"], rel=1e-12)
