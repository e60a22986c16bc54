"""Asymptotic power law by brute force: what csrc/laws/powerlaw.c has to find, without any haste.

loss = L + B exp(-u s), s = ln(C / C_min) / span, alpha = u / span. The floor and the exponent are
scanned densely; only the amplitude (and, for a free floor of one suite, the floor) is solved for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .search import minimise

U_MAX = 500.0  # where the C core stops looking
GRID_TOP = 0.95


@dataclass
class Suite:
    """One suite with s scaled to [0, 1], or the name of why it has no law."""

    C: np.ndarray
    y: np.ndarray
    failure: str | None
    s: np.ndarray | None = None
    span: float = 0.0


@dataclass
class Law:
    """What a suite gets; objective is the sum of squares in the space it was scored in."""

    words: set[str]
    L: float = math.nan
    log_A: float = math.nan
    alpha: float = math.nan
    objective: float = math.nan
    grid_index: int = -1


def prepare(C, y, *, method="profile", floor=None) -> Suite:
    """The documented failures, in the documented order."""
    C, y = np.asarray(C, float), np.asarray(y, float)
    n = len(C)
    distinct = len(set(C.tolist()))
    least = 2 if floor is not None or method == "grid" else 3

    def failed(name):
        return Suite(C, y, name)

    if n == 0:
        return failed("too_few_points")
    if not (np.isfinite(C).all() and np.isfinite(y).all() and (C > 0).all()):
        return failed("bad_value")
    if floor is None and not (y > 0).all():
        return failed("bad_value")
    if n > 1 and distinct == 1:
        return failed("equal_x")
    if distinct < least:
        return failed("too_few_points")
    if len(set(y.tolist())) == 1:
        return failed("constant_loss")
    if floor is not None and not floor < y.min():
        return failed("floor_too_high")
    span = math.log(C.max() / C.min())
    s = np.array([math.log(c / C.min()) for c in C]) / span
    suite = Suite(C, y, None, s, span)
    if method != "grid" and not falling(suite) < 0:
        suite.failure = "not_decreasing"
    return suite


def falling(suite: Suite) -> float:
    """Slope of the straight line of loss on s: a law that falls has a negative one."""
    d = suite.s - suite.s.mean()
    return float(d @ (suite.y - suite.y.mean()) / (d @ d))


def loss_objective(suite: Suite, u, L_lo: float, L_hi: float):
    """Sum of squares, L and B for every u (array), with L held in its bounds."""
    u = np.atleast_1d(np.asarray(u, float))[:, None]
    e = np.exp(-u * suite.s)
    d = np.expm1(-u * suite.s)
    d = d - d.mean(axis=1, keepdims=True)
    B = (d @ (suite.y - suite.y.mean())) / np.sum(d * d, axis=1)
    L = suite.y.mean() - B * e.mean(axis=1)
    out = ~((L_lo <= L) & (L_hi >= L))
    L = np.where(out, np.where(L_hi < L, L_hi, L_lo), L)
    z = suite.y - L[:, None]
    B = np.where(out, np.sum(e * z, axis=1) / np.sum(e * e, axis=1), B)
    return np.sum((z - B[:, None] * e) ** 2, axis=1), L, B


_U_GRID = np.geomspace(1e-6, U_MAX, 600)


def fit_loss(suite: Suite, L_lo: float, L_hi: float) -> Law:
    """Least squares in loss space, the floor in [L_lo, L_hi] (equal ends pin it)."""
    values = loss_objective(suite, _U_GRID, L_lo, L_hi)[0]
    best = int(np.nanargmin(values))
    near = _U_GRID[max(best - 1, 0) : best + 2]
    u, objective = minimise(lambda u: loss_objective(suite, u, L_lo, L_hi)[0][0], near, steps=40)
    _, (L,), (B,) = loss_objective(suite, u, L_lo, L_hi)
    alpha = u / suite.span
    log_A = (math.log(B) if B > 0 else math.nan) + alpha * math.log(suite.C.min())
    return Law(set(), float(L), log_A, alpha, objective)


def fit_log(suite: Suite, L: float) -> Law:
    """Straight line through ln(loss - L)."""
    z = np.log(suite.y - L)
    d = suite.s - suite.s.mean()
    slope = float(d @ (z - z.mean()) / (d @ d))
    rss = float(np.sum((z - z.mean() - slope * d) ** 2))
    alpha = -slope / suite.span
    log_B = float(z.mean() - slope * suite.s.mean())
    return Law(set(), L, log_B + alpha * math.log(suite.C.min()), alpha, rss)


def fit_at(suite: Suite, L: float, score: str) -> Law:
    """One suite at one floor."""
    return fit_log(suite, L) if score == "log" else fit_loss(suite, L, L)


def fit_set(columns, *, floor=None, score="loss", method="profile", n_grid=400, weigh="points"):
    """Laws of suites [(C, y), ...] that share one floor; one suite is a set of its own."""
    suites = [prepare(C, y, method=method, floor=floor) for C, y in columns]
    laws = [Law({suite.failure}) if suite.failure else None for suite in suites]
    part = [i for i, suite in enumerate(suites) if not suite.failure]
    if not part:
        return laws
    total = sum(len(suites[i].y) for i in part)
    top = min(float(suites[i].y.min()) for i in part)

    def joint(L):
        """Laws at one floor, and what they cost together."""
        fits = [fit_at(suites[i], L, score) for i in part]
        shares = [1 / len(suites[i].y) if weigh == "suites" else 1 / total for i in part]
        return fits, sum(w * f.objective for w, f in zip(shares, fits, strict=True))

    index = -1
    words: set[str] = set()
    if floor is not None:
        fits = joint(floor)[0]
    elif method == "grid":
        fits, index = _grid(suites, part, joint, top, score, n_grid)
        if index == 0:
            words = {"floor_at_zero"}
    elif score == "loss" and len(part) == 1:
        fits = [fit_loss(suites[part[0]], 0.0, math.nextafter(top, 0))]
    else:
        gaps = np.concatenate([np.linspace(1, 0.02, 60), np.geomspace(0.02, 1e-12, 60)[1:]])
        L = minimise(lambda L: joint(L)[1], top * (1 - gaps), steps=30)[0]
        fits = joint(L)[0]
    coefficients = 2 if floor is not None else 3
    for i, law in zip(part, fits or [Law(set())] * len(part), strict=True):
        distinct = len(set(suites[i].C.tolist()))
        law = Law(set(words), law.L, law.log_A, law.alpha, law.objective, index)
        if not law.alpha > 0:
            law = Law({"not_decreasing"})
        elif len(part) == 1 and distinct <= coefficients:
            law.words.add("saturated")
        laws[i] = law
    return laws


def _grid(suites, part, joint, top, score, n_grid):
    """The notebook's loop: the first best of linspace(0, 0.95 min loss, n_grid)."""
    best, lowest, index = None, math.inf, -1
    if score == "loss" and not all(falling(suites[i]) < 0 for i in part):
        return None, -1
    for at, L in enumerate(np.linspace(0, GRID_TOP * top, n_grid)):
        fits, total = joint(float(L))
        if all(law.alpha > 0 for law in fits) and total < lowest:
            best, lowest, index = fits, total, at
    return best, index


def predict(law, C):
    """Loss of a law (a Law or a core record) at C."""
    L = law.L if isinstance(law, Law) else law["L_inf"]
    log_A = law.log_A if isinstance(law, Law) else law["log_A"]
    alpha = law.alpha if isinstance(law, Law) else law["alpha"]
    return L + np.exp(log_A - alpha * np.log(C))
