"""Curves through one budget the slow way: what csrc/laws/isocurve.c and the window have to find."""

from __future__ import annotations

import numpy as np

POWERS = (0.01, 3.0)
LEAST = 5  # distinct points a window keeps


def plain(x, y):
    """Coefficients of the parabola in x - x.mean(), highest first, its vertex, and its rss."""
    z = x - x.mean()
    p = np.polyfit(z, y, 2)
    vertex = x.mean() - p[1] / (2 * p[0]) if p[0] != 0 else np.inf
    return p, vertex, float(np.sum((np.polyval(p, z) - y) ** 2))


def near(x, centre, window):
    """The points within the window; the nearest until there are five distinct ones."""
    kept = np.abs(x - centre) <= window + 1e-9
    widened = False
    while len(set(x[kept])) < min(LEAST, len(set(x))):
        out = x[~kept]
        kept |= x == out[np.argmin(np.abs(out - centre))]
        widened = True
    return kept, widened


def windowed(x, y, window):
    """(points used, widened): those near the vertex of a fit of all, or near the lowest loss."""
    everything = np.ones(len(x), bool)
    if len(set(x)) <= LEAST:
        return everything, False
    p, vertex, _ = plain(x, y)
    lowest = min(zip(y, x, strict=True))[1]
    used, widened = near(x, np.clip(vertex, x.min(), x.max()) if p[0] > 0 else lowest, window)
    return (everything, False) if used.all() else (used, widened)


def cubic(x, y):
    """(x, loss) at the local minimum inside the range, or None; and the rss."""
    middle = (x.min() + x.max()) / 2
    z = x - middle
    p = np.polyfit(z, y, 3)
    rss = float(np.sum((np.polyval(p, z) - y) ** 2))
    for root in np.roots(np.polyder(p)):
        if abs(root.imag) < 1e-12 and np.polyval(np.polyder(p, 2), root.real) > 0:
            at = float(root.real)
            if x.min() <= at + middle <= x.max():
                return (at + middle, float(np.polyval(p, at))), rss
    return None, rss


def two_power(x, y, p, q):
    """Least squares of e + a u^-p + b u^q with a, b >= 0, for given exponents: coefficients, rss.

    u = 10^(x - middle of the range).
    """
    z = np.log(10) * (x - (x.min() + x.max()) / 2)
    terms = np.stack([np.ones_like(z), np.expm1(-p * z) / p, np.expm1(q * z) / q], axis=1)
    best = None
    for kept in ([0, 1, 2], [0, 1], [0, 2], [0]):
        k = np.zeros(3)
        k[kept] = np.linalg.lstsq(terms[:, kept], y, rcond=None)[0]
        rss = float(np.sum((terms @ k - y) ** 2))
        if (k[1:] >= 0).all() and (best is None or rss < best[1]):
            best = k, rss
    return best


def two_power_rss(x, y, n=25):
    """Lowest rss on a grid of exponents, refined three times about its best point."""
    lo = hi = None
    best = np.inf
    for _ in range(4):
        spans = [np.log(POWERS)] * 2 if lo is None else list(zip(lo, hi, strict=True))
        grids = [np.linspace(a, b, n) for a, b in spans]
        at = None
        for s in grids[0]:
            for t in grids[1]:
                rss = two_power(x, y, np.exp(s), np.exp(t))[1]
                if rss <= best:
                    best, at = rss, (s, t)
        if at is None:
            return best
        steps = [g[1] - g[0] for g in grids]
        floor, ceiling = np.log(POWERS)
        lo = [max(a - step, floor) for a, step in zip(at, steps, strict=True)]
        hi = [min(a + step, ceiling) for a, step in zip(at, steps, strict=True)]
    return best
