"""Profiles of a power law: what the data say about its floor, and likelihood intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from . import _core
from .errors import DataError
from .status import bits

__all__ = [
    "SharedFloor",
    "likelihood_bound",
    "profile_floor",
    "profile_interval",
    "shared_floor",
    "t_interval",
]

Column = NDArray[np.float64]
N_ALPHA = 200
ALPHAS = (1e-4, 20.0)
STEEPEST = 500.0  # alpha times the span of ln C, as in the core


def profile_floor(compute: Column, loss: Column, n: int) -> pd.DataFrame:
    """The best law at each of n floors from 0 to just below the lowest loss.

    Returns L_inf, A, alpha, log_A, rss; floors are dense near the lowest loss, where the law
    changes fast.
    """
    share = 1 - np.concatenate(([1.0], np.geomspace(1.0, 1e-4, n)[1:]))
    floors = loss.min() * share
    size = len(compute)
    records = _core.powerlaw_fit(
        np.tile(compute, n), np.tile(loss, n), np.arange(0, n * size + 1, size), floors=floors
    )
    names = ("L_inf", "A", "alpha", "log_A", "rss")
    return pd.DataFrame({name: records[name] for name in names})


def likelihood_bound(rss: float, dof: int, level: float) -> float:
    """Residual sum of squares up to which laws are inside: the F region of one quantity."""
    t = float(_core.t_quantile(0.5 + level / 2, float(dof)))
    return rss * (1 + t * t / dof)


def _linear(x: Column, y: Column, alpha: Column, floor: float | None) -> tuple[Column, ...]:
    """For each alpha: L, B, rss, and the 2x2 inverse normal matrix (with a floor, of B alone)."""
    e = np.exp(-alpha[:, None] * x)
    if floor is not None:
        see = (e * e).sum(1)
        B = (e * (y - floor)).sum(1) / see
        rss = ((y - floor - B[:, None] * e) ** 2).sum(1)
        return np.full_like(B, floor), B, rss, np.zeros_like(B), np.zeros_like(B), 1 / see
    mean = e.mean(1)
    d = e - mean[:, None]
    sdd = (d * d).sum(1)
    B = (d * (y - y.mean())).sum(1) / sdd
    L = y.mean() - B * mean
    rss = ((y - L[:, None] - B[:, None] * e) ** 2).sum(1)
    return L, B, rss, 1 / len(y) + mean**2 / sdd, -mean / sdd, 1 / sdd


def profile_interval(
    compute: Column, loss: Column, fitted: tuple[float, float], at: Column, level: float
) -> tuple[Column, Column, NDArray[np.int64]]:
    """Profile-likelihood interval of the law at each compute: low, high and a status code.

    All laws whose residual sum of squares stays below the F bound of one quantity
    (Bates and Watts 1988, section 6.1), the floor inside [0, min loss]. For fixed alpha those laws
    are an ellipse in (L_inf, amplitude), so its extremes at a compute have a closed form; alpha is
    scanned on a grid that zooms to where the ellipse exists. An end at which the floor sits at a
    bound is flagged. ``fitted`` is the alpha and the rss of the law itself.
    """
    best_alpha, rss = fitted
    dof = len(compute) - 3
    if dof < 1:
        raise DataError(
            "a profile interval needs at least four points: nothing is left to judge by"
        )
    scale = compute.min()  # so that every exponential is at most 1
    x = np.log(compute / scale)
    # what rounding adds to a sum of squares must not leave the law itself outside
    rounding = len(loss) * (16 * np.finfo(float).eps * np.abs(loss).max()) ** 2
    bound = likelihood_bound(rss, dof, level) + rounding
    top = float(np.nextafter(loss.min(), 0))
    edges = {0.0: bits("floor_at_zero"), top: bits("floor_at_min")}
    low, high = np.full(len(at), np.inf), np.full(len(at), -np.inf)
    codes = {-1: np.zeros(len(at), np.int64), 1: np.zeros(len(at), np.int64)}
    for floor in (None, *edges):
        alpha = _inside(x, loss, bound, floor, best_alpha)
        if alpha is None:
            continue
        L, B, best, v_ll, v_lb, v_bb = _linear(x, loss, alpha, floor)
        slack = np.maximum(bound - best, 0)
        for i, C in enumerate(at):
            e = np.exp(-alpha * np.log(C / scale))
            spread = np.sqrt(slack * (v_ll + 2 * e * v_lb + e * e * v_bb))
            for sign in (-1, 1):
                value = L + B * e + sign * spread
                # where on the ellipse the extreme lies decides whether its floor is allowed
                with np.errstate(divide="ignore", invalid="ignore"):
                    at_floor = L + sign * slack * (v_ll + e * v_lb) / spread
                good = (best <= bound) & (B > 0)
                if floor is None:
                    good &= (at_floor >= 0) & (at_floor <= top)
                if not good.any():
                    continue
                extreme = value[good].min() if sign < 0 else value[good].max()
                target = low if sign < 0 else high
                if (extreme < target[i]) if sign < 0 else (extreme > target[i]):
                    target[i] = extreme
                    codes[sign][i] = 0 if floor is None else edges[floor]
    return low, high, codes[-1] | codes[1]


def _inside(x: Column, y: Column, bound: float, floor: float | None, own: float) -> Column | None:
    """Alphas at which some law stays below the bound, evenly spaced in logs, with the law's own;
    None if there are none."""
    lo, hi = ALPHAS[0], min(ALPHAS[1], STEEPEST / float(np.ptp(x)))
    alpha = np.geomspace(lo, hi, 4 * N_ALPHA)
    inside = np.zeros(0, np.int64)
    for _ in range(12):
        if alpha[0] < own < alpha[-1]:
            alpha = np.sort(np.append(alpha, own))
        best = _linear(x, y, alpha, floor)[2]
        inside = np.flatnonzero(best <= bound)
        if len(inside) == 0:
            lowest = int(np.argmin(best))
            first, last = max(lowest - 1, 0), min(lowest + 1, len(alpha) - 1)
        else:
            first, last = max(inside[0] - 1, 0), min(inside[-1] + 1, len(alpha) - 1)
            if len(inside) > N_ALPHA // 2:
                return alpha
        alpha = np.geomspace(alpha[first], alpha[last], N_ALPHA)
    return alpha if len(inside) else None


class SharedFloor(NamedTuple):
    """What several suites together say about a floor they share."""

    information: float  # inverse variance of the floor, in units of 1 / sigma^2
    sigma: float  # noise sd, pooled
    dof: int


def _design(compute: Column, law: tuple[float, float, float]) -> tuple[Column, Column]:
    """Amplitude term of the law at its points, and d term / d (log_A, alpha), alpha centred."""
    _, log_A, alpha = law
    term = np.exp(log_A - alpha * np.log(compute))
    d = np.log(compute) - np.log(compute).mean()
    return term, np.column_stack((term, -term * d))


def shared_floor(
    points: Sequence[tuple[Column, Column]], laws: Sequence[tuple[float, float, float]]
) -> SharedFloor | None:
    """The joint least-squares fit of one floor and an amplitude and exponent a suite, linearised.

    None where no point is left over to judge by. The floor's information is, over the suites, what
    is left of a constant once each suite's own two coefficients have taken their share.
    """
    dof = sum(len(C) for C, _ in points) - 2 * len(points) - 1
    if dof < 1:
        return None
    information = squares = 0.0
    for (compute, loss), law in zip(points, laws, strict=True):
        term, design = _design(compute, law)
        q, _ = np.linalg.qr(design)
        left = 1 - q @ q.sum(0)
        information += float(left @ left)
        squares += float(((loss - law[0] - term) ** 2).sum())
    return SharedFloor(information, float(np.sqrt(squares / dof)), dof)


def t_interval(
    compute: Column,
    loss: Column,
    law: tuple[float, float, float],
    at: Column,
    level: float,
    shared: SharedFloor | None = None,
) -> tuple[Column, Column]:
    """Student-t interval of a law (L_inf, log_A, alpha) whose floor was pinned or is shared.

    The law linearised in (log_A, alpha) at its least-squares fit, and in the floor where it is
    shared and so was estimated too; noise from the residuals, so the interval widens with lack of
    fit. About a pinned floor the interval is of log(loss - L_inf), which keeps it above the floor.
    """
    L_inf, log_A, alpha = law
    term, design = _design(compute, law)
    residual = loss - L_inf - term
    dof = len(compute) - 2 if shared is None else shared.dof
    if dof < 1:
        raise DataError("a t interval needs at least three points: nothing is left to judge by")
    sigma = float(np.sqrt(residual @ residual / dof)) if shared is None else shared.sigma
    q, r = np.linalg.qr(design)
    ahead = np.exp(log_A - alpha * np.log(at))
    d = np.log(at) - np.log(compute).mean()
    gradient = np.linalg.solve(r.T, np.stack((ahead, -ahead * d)))
    reach = float(_core.t_quantile(0.5 + level / 2, float(dof))) * sigma
    if shared is None:
        share = reach * np.linalg.norm(gradient, axis=0) / ahead
        return L_inf + ahead * np.exp(-share), L_inf + ahead * np.exp(share)
    floor = 1 - gradient.T @ q.sum(0)  # how the forecast follows the floor, the rest refitted
    half = reach * np.sqrt((gradient**2).sum(0) + floor**2 / shared.information)
    return L_inf + ahead - half, L_inf + ahead + half
