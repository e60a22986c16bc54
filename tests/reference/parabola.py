"""IsoFLOP parabola in exact rationals: what csrc/laws/parabola.c has to find, without haste.

The symmetric parabola is solved in fractions on the float64 log10(tokens), so nothing is rounded
but the last digit. The two-curvature fit is a dense scan of its vertex with a polish.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from .search import minimise

MIN_DISTINCT = 3
JOINT_MIN_DISTINCT = 5
JOINT_WORDS = {"joint_failed", "joint_at_bound", "joint_concave"}


@dataclass
class Answer:
    """Fields as in the C record; words as in its status; how far each may be from the truth."""

    words: set[str]
    values: dict[str, float] = field(default_factory=dict)
    unsure: set[str] = field(default_factory=set)  # words that rounding decides
    condition: float = 1.0  # of the design in t = x scaled to [-1, 1]


def fit(tokens, loss, params=None, joint=True) -> Answer:
    """One group."""
    columns = [tokens] if params is None else [tokens, params]
    bad = any(not (v > 0 and math.isfinite(v)) for column in columns for v in column)
    if bad or not all(math.isfinite(v) for v in loss):
        return Answer({"bad_value"})
    x = [math.log10(t) for t in tokens]
    distinct = len(set(x))
    if distinct == 1 and len(x) >= MIN_DISTINCT:
        return Answer({"equal_x"})
    if distinct < MIN_DISTINCT:
        return Answer({"too_few_points"})
    if len(set(loss)) == 1:
        return Answer({"constant_loss"})
    answer = _symmetric(x, [float(y) for y in loss])
    if params is not None:
        log_p = [math.log10(p) for p in params]
        k, m = _least_squares([[Fraction(1), Fraction(v)] for v in x], log_p)[0]
        answer.values["params_star"] = 10 ** float(k + m * Fraction(answer.values["x_star"]))
    if joint:
        _joint(np.array(x), np.array(loss, float), distinct, answer)
    return answer


def _least_squares(rows, y):
    """Exact coefficients and the inverse of X'X, by Gauss-Jordan on fractions."""
    n = len(rows[0])
    left = [[sum(r[i] * r[j] for r in rows) for j in range(n)] for i in range(n)]
    right = [[sum(r[i] * Fraction(v) for r, v in zip(rows, y, strict=True))] for i in range(n)]
    table = [left[i] + right[i] + [Fraction(int(i == j)) for j in range(n)] for i in range(n)]
    for i in range(n):
        pivot = next(k for k in range(i, n) if table[k][i] != 0)
        table[i], table[pivot] = table[pivot], table[i]
        table[i] = [v / table[i][i] for v in table[i]]
        for k in range(n):
            if k != i:
                factor = table[k][i]
                table[k] = [u - factor * v for u, v in zip(table[k], table[i], strict=True)]
    return [row[n] for row in table], [row[n + 1 :] for row in table]


def _symmetric(x, y) -> Answer:
    n = len(x)
    lo, hi = min(x), max(x)
    exact = [Fraction(v) for v in x]
    (c, b, a), inverse = _least_squares([[Fraction(1), v, v * v] for v in exact], y)
    half = (Fraction(hi) - Fraction(lo)) / 2
    centre = Fraction(lo) + half
    t = np.array([float((v - centre) / half) for v in exact])
    condition = float(np.linalg.cond(np.vander(t, 3)))
    # What Householder QR may do to the coefficients in t, and so to the loss anywhere in [-1, 1].
    slack = 200 * np.finfo(float).eps * condition * max(map(abs, y)) * math.sqrt(n)
    # Two good logarithms may differ in the last digit of x, which a narrow range magnifies.
    slack += 4 * np.finfo(float).eps * abs(float(centre / half)) * condition * (max(y) - min(y))
    curvature = float(a * half * half)  # of t^2
    words: set[str] = set()
    unsure: set[str] = set()

    rss = sum((Fraction(yi) - (a * v * v + b * v + c)) ** 2 for v, yi in zip(exact, y, strict=True))
    vertex = -b / (2 * a) if a != 0 else None
    if abs(curvature) <= slack:
        unsure |= {"concave", "clipped", "a_under_fallback", "a_over_fallback"}
    if not a > 0:
        words.add("concave")
    if vertex is None or not lo <= vertex <= hi:
        words.add("clipped")
        to_high = b < 0 if vertex is None else vertex > hi
        star = Fraction(hi if to_high else lo)
    else:
        star = vertex
    if vertex is not None and not unsure:
        t_vertex = (vertex - centre) / half
        vertex_slack = slack * (1 + 2 * abs(float(t_vertex))) / abs(curvature)
        vertex_slack += 4 * np.finfo(float).eps * abs(float(centre / half))  # the digits of x_star
        if abs(abs(t_vertex) - 1) < max(vertex_slack, 1e-12):
            unsure |= {"clipped", "a_under_fallback", "a_over_fallback"}
    else:
        t_vertex, vertex_slack = None, math.inf
    if len(set(x)) == MIN_DISTINCT:
        words.add("saturated")
    lowest = min(y)
    where = [v for v, yi in zip(x, y, strict=True) if yi == lowest]
    if not any(lo < v < hi for v in where):
        words.add("unbracketed")

    loss_star = a * star * star + b * star + c
    values = {
        "a": float(a), "b": float(b), "c": float(c), "rss": float(rss),
        "x_vertex": float(vertex) if vertex is not None else math.nan,
        "x_star": float(star), "tokens_star": 10 ** float(star), "loss_star": float(loss_star),
        "x_min": lo, "x_max": hi,
        "slack": slack, "half": float(half), "vertex_slack": float(half) * vertex_slack,
    }  # fmt: skip
    for side, name in ((-1, "under"), (1, "over")):
        num = den = Fraction(0)
        reach = Fraction(0)
        for v, yi in zip(exact, y, strict=True):
            d = v - star
            if d * side > 0:
                num += d * d * (Fraction(yi) - loss_star)
                den += d**4
                reach = max(reach, d * side)
        curve = num / den if den else Fraction(-1)
        # dy carries the slack, dx that of the vertex: both show divided by the reach squared.
        if reach:
            near = float(reach / half)
            values[f"a_{name}_slack"] = (
                slack + abs(float(curve)) * float(half) ** 2 * vertex_slack * near
            ) / (float(half) ** 2 * near**2)
            if abs(float(curve)) <= 10 * values[f"a_{name}_slack"]:
                unsure.add(f"a_{name}_fallback")
        if not curve > 0:
            words.add(f"a_{name}_fallback")
        values[f"a_{name}"] = float(curve) if curve > 0 else float(a)
    if n > MIN_DISTINCT:
        variance = rss / (n - MIN_DISTINCT)
        at = [Fraction(1), star, star * star]
        values["se_loss_star"] = math.sqrt(float(variance * _quadratic(inverse, at)))
        if a != 0:
            slope = [Fraction(0), -1 / (2 * a), b / (2 * a * a)]
            values["se_x_star"] = math.sqrt(float(variance * _quadratic(inverse, slope)))
    return Answer(words, values, unsure, condition)


def _quadratic(matrix, v) -> Fraction:
    return sum(
        v[i] * matrix[i][j] * v[j] for i in range(len(v)) for j in range(len(v))
    )  # fmt: skip


def _joint(x, y, distinct, answer) -> None:
    """loss = p0 + p1 min(x - v, 0)^2 + p2 max(x - v, 0)^2 with v between the inner points."""
    inner = np.unique(x)[1:-1]
    if distinct < JOINT_MIN_DISTINCT:
        answer.words.add("joint_failed")
        return
    lo, hi = inner[0], inner[-1]
    half = (x.max() - x.min()) / 2

    def solve(v):
        d = (x - v) / half
        design = np.stack([np.ones_like(d), np.minimum(d, 0) ** 2, np.maximum(d, 0) ** 2], axis=1)
        p = np.linalg.lstsq(design, y, rcond=None)[0]
        return p, float(np.sum((y - design @ p) ** 2))

    v, rss = minimise(lambda at: solve(at)[1], np.linspace(lo, hi, 600))
    p = solve(v)[0]
    answer.values |= {
        "joint_x_star": v, "joint_rss": rss, "joint_loss_star": float(p[0]),
        "joint_a_under": float(p[1] / half**2), "joint_a_over": float(p[2] / half**2),
        "joint_lo": float(lo), "joint_hi": float(hi),
    }  # fmt: skip
    edge = 1e-6 * (hi - lo)
    if v in (lo, hi):
        answer.words.add("joint_at_bound")
    if v - lo < edge or hi - v < edge:
        answer.unsure |= {"joint_at_bound"}
    if not (p[1] > 0 and p[2] > 0):
        answer.words.add("joint_concave")


def joint_rss(x, y, v, loss, under, over) -> float:
    """Residual sum of squares of a given two-curvature law."""
    d = x - v
    return float(np.sum((y - loss - np.where(d < 0, under, over) * d * d) ** 2))
