"""How much further in compute a penalty is made good: one equation, solved without a grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["matching_distance"]

Floats = NDArray[np.float64]


def matching_distance(ratio: ArrayLike, alpha: ArrayLike, exponent: ArrayLike) -> Floats:
    """How far, in ln C, a run off the optimum is behind: the smallest x >= 0 that solves

        exp(-alpha x) + ratio exp(exponent x) = 1,

    with ratio the penalty over the reducible loss A C^-alpha where x = 0, and exponent that of the
    penalty in C.

    Parameters
    ----------
    ratio : array_like
        >= 0; arguments broadcast.
    alpha : array_like
        > 0.
    exponent : array_like
        Any sign; the penalty falls where it is negative.

    Returns
    -------
    ndarray
        inf where there is no solution, NaN where an argument is NaN or out of its range.

    Notes
    -----
    The left side is convex and at least 1 at x = 0. It ends at 0 for a negative exponent, so that
    there is one solution; at the ratio for a flat penalty; and it turns back up for a growing one,
    at a point known in closed form. Newton's method climbs to the first solution of a convex
    function from its left without overshooting.

    Examples
    --------
    >>> matching_distance([0.0, 0.5, 1.0], 0.5, 0.0).round(6).tolist()
    [0.0, 1.386294, inf]
    """
    u, a, p = np.broadcast_arrays(
        np.asarray(ratio, float), np.asarray(alpha, float), np.asarray(exponent, float)
    )
    valid = (u >= 0) & (a > 0) & np.isfinite(a) & np.isfinite(p)
    u, a, p = np.where(valid, u, 0.0), np.where(valid, a, 1.0), np.where(valid, p, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        # A penalty that grows: the lowest point, if it is to the right and low enough.
        turn = np.where(p > 0, (np.log(a) - np.log(p) - np.log(u)) / (a + p), np.inf)
        lowest = np.expm1(-a * turn) + u * np.exp(p * turn)
        solvable = (p < 0) | ((p == 0) & (u < 1)) | ((p > 0) & (turn > 0) & (lowest <= 0))
        solvable = (u == 0) | (solvable & (u < np.inf))
        # Bounds: a sum of exponentials lies between those of its slower and its faster rate.
        flat = -np.log1p(-u) / a
        low = np.where(p < 0, np.log1p(u) / np.maximum(a, -p), flat)
        high = np.where(p < 0, np.log1p(u) / np.minimum(a, -p), np.where(p > 0, turn, flat))
    x = np.where(solvable & (u > 0), low, 0.0)
    u, high = np.where(solvable, u, 0.0), np.where(solvable & (u > 0), high, 0.0)
    for _ in range(200):
        above = np.expm1(-a * x) + u * np.exp(p * x)
        slope = -a * np.exp(-a * x) + p * u * np.exp(p * x)
        step = np.where((above > 0) & (slope < 0), -above / np.where(slope < 0, slope, -1.0), 0.0)
        x = np.minimum(x + step, high)
        if not np.any(step > 1e-15 * x):
            break
    found: Floats = np.where(valid, np.where(solvable, x, np.inf), np.nan)
    return found
