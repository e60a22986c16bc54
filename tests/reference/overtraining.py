"""The cost of training off the optimum, one number at a time.

What delphi/overtraining.py solves for arrays, and what delphi.compat.overtraining_for_scale copies
from the notebook.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import brentq, minimize_scalar

FAR = 1e5  # e-folds of compute at which a falling penalty is surely gone, for rates above 1e-3


def distance(ratio: float, alpha: float, exponent: float) -> float:
    """The smallest x >= 0 with exp(-alpha x) + ratio exp(exponent x) = 1; inf if there is none."""

    def excess(x: float) -> float:
        return math.expm1(-alpha * x) + ratio * math.exp(min(exponent * x, 700))

    if ratio == 0:
        return 0.0
    right = FAR
    if exponent > 0:
        right = float(
            minimize_scalar(
                excess, bounds=(0, 700 / exponent), method="bounded", options={"xatol": 1e-12}
            ).x
        )
    if excess(right) > 0:
        return math.inf
    return float(brentq(excess, 0.0, right, xtol=1e-14, rtol=1e-14, maxiter=1000))


def compute_to_match(law, curvature, at: float, s: float) -> float:
    """First compute at which law(C) + curvature(C) log10(s)^2 is down at law(at), by bisection.

    law and curvature are functions of compute; there must be a crossing within 1e12 times `at`.
    """
    square = math.log10(s) ** 2
    steps = np.linspace(0, 12 * math.log(10), 20001)

    def excess(x: float) -> float:
        C = at * math.exp(x)
        return law(C) + curvature(C) * square - law(at)

    first = next(i for i, x in enumerate(steps) if excess(x) <= 0)
    if first == 0:
        return at
    return at * math.exp(brentq(excess, steps[first - 1], steps[first], xtol=1e-15, rtol=1e-14))


def notebook_law(C: np.ndarray, loss: np.ndarray, n_grid: int = 400):
    """(L_inf, A, alpha) of the best of a grid of floors, by a log-log line for each; None if no
    line falls."""
    best = None
    for floor in np.linspace(0.0, 0.95 * loss.min(), n_grid):
        z = np.log(loss - floor)
        slope, intercept = np.polyfit(np.log(C), z, 1)
        if slope < 0:
            score = float(np.mean((z - slope * np.log(C) - intercept) ** 2))
            if best is None or score < best[0]:
                best = (score, float(floor), math.exp(intercept), -slope)
    return None if best is None else best[1:]


def notebook_scale(s, law, C, T, loss, under, over, at) -> dict:
    """The numbers of the notebook's over-training figure for one scale."""
    L_inf, A, alpha = law
    slope, intercept = np.polyfit(np.log10(C), np.log10(T), 1)
    side = over if s > 1 else under
    penalty = [a * math.log10(s) ** 2 for a in side]
    line = None
    if min(penalty) > 1e-9:
        line = np.polyfit(np.log10(C), np.log10(penalty), 1)

    def off(c):
        extra = 0.0 if line is None else 10 ** (line[0] * math.log10(c) + line[1])
        return L_inf + A * c**-alpha + extra

    def tokens(log_c):
        return 10 ** (slope * log_c + intercept)

    goal = L_inf + A * at**-alpha
    grid = np.logspace(math.log10(C.min()), math.log10(at) + 3, 800)
    losses = [off(c) for c in grid]
    end, log_cross = len(grid) - 1, math.log10(grid[-1])
    for i, c in enumerate(grid):
        if c >= at and losses[i] <= goal:
            end, log_cross = i, math.log10(c)
            if i > 0 and losses[i - 1] != losses[i]:
                part = (losses[i - 1] - goal) / (losses[i - 1] - losses[i])
                step = math.log10(c) - math.log10(grid[i - 1])
                log_cross = math.log10(grid[i - 1]) + part * step
            break
    return {
        "shifted_xs": [t * s for t in T],
        "shifted_ys": [y + p for y, p in zip(loss, penalty, strict=True)],
        "T_shift_grid": [tokens(math.log10(c)) * s for c in grid[: end + 1]],
        "loss_shift_grid": losses[: end + 1],
        "T_shift_end": tokens(math.log10(at)) * s,
        "y_shift_end": off(at),
        "T_cross": tokens(log_cross) * s,
        "C_equiv": 10**log_cross,
        "x_mid": math.sqrt(
            tokens(math.log10(at)) * max(tokens(log_cross) * s, tokens(math.log10(at)))
        ),
        "y_mid": goal,
    }
