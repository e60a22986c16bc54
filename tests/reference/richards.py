"""Richards curves by scipy from many starts: slow, readable, and what the core must not lose to."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

Column = NDArray[np.float64]


def notebook_box(x: Column, floor: float) -> tuple[Column, Column]:
    """The bounds of k, x0, v and C that the notebook uses."""
    lo = np.array([0.1, x.min() - 2, 0.1, floor + 0.05])
    return lo, np.array([50.0, x.max() + 2, 20.0, 1.0])


def curve(x: Column, theta: Column, floor: float) -> Column:
    """floor + (C - floor) sigma(k (x - x0))^v, through the log of sigma."""
    k, x0, v, C = theta
    return floor + (C - floor) * np.exp(-v * np.logaddexp(0, -k * (x - x0)))


def slopes(x: Column, theta: Column, floor: float) -> Column:
    """Its derivatives by (k, x0, v, C), shape (n, 4)."""
    k, x0, v, C = theta
    u = k * (x - x0)
    log_sigma = -np.logaddexp(0, -u)
    g = np.exp(v * log_sigma)
    by_u = (C - floor) * g * v * np.exp(-np.logaddexp(0, u))
    return np.stack((by_u * (x - x0), -k * by_u, (C - floor) * g * log_sigma, g), axis=1)


def deviance_residuals(p: Column, y: Column, problems: Column) -> Column:
    """Signed roots of the binomial deviance."""
    with np.errstate(divide="ignore", invalid="ignore"):
        hit = np.where(y > 0, y * np.log(y / p), 0)
        miss = np.where(y < 1, (1 - y) * np.log((1 - y) / (1 - p)), 0)
    return np.sign(p - y) * np.sqrt(np.maximum(2 * problems * (hit + miss), 0))


def starts(
    x: Column, floor: float, lo: Column, hi: Column, n_starts: int, seed: int
) -> list[Column]:
    """The notebook's start and random ones, as (k, x0, v, C) in the box."""
    rng = np.random.default_rng(seed)
    out = [np.array([5.0, np.median(x), 1.0, 0.95])]
    for _ in range(n_starts - 1):
        k = np.exp(rng.uniform(np.log(0.3), np.log(40)))
        v = np.exp(rng.uniform(np.log(0.15), np.log(15)))
        half = rng.uniform(x.min(), x.max())
        x0 = half + np.log(np.expm1(np.log(2) / v)) / k
        out.append(np.array([k, x0, v, rng.uniform(floor + 0.06, 1)]))
    return [np.clip(start, lo, hi) for start in out]


def fit(
    x: Column,
    y: Column,
    floor: float,
    ceiling: float | None = None,
    problems: Column | None = None,
    n_starts: int = 40,
    seed: int = 0,
) -> tuple[float, Column]:
    """The lowest objective of `n_starts` bounded trust-region fits, and where it is."""
    lo, hi = notebook_box(x, floor)
    free = np.array([True, True, True, ceiling is None])

    def whole(theta: Column) -> Column:
        return np.append(theta, ceiling) if ceiling is not None else theta

    def residuals(theta: Column) -> Column:
        p = curve(x, whole(theta), floor)
        if problems is None:
            return p - y
        return deviance_residuals(np.clip(p, 1e-300, 1 - 1e-16), y, problems)

    def jacobian(theta: Column) -> Column:
        return slopes(x, whole(theta), floor)[:, free]

    best = (np.inf, np.full(4, np.nan))
    inside = 1e-6 * (hi - lo)
    for start in starts(x, floor, lo, hi, n_starts, seed):
        start = np.clip(start, lo + inside, hi - inside)[free]
        found = least_squares(
            residuals, start, jacobian if problems is None else "2-point",
            bounds=(lo[free], hi[free]), xtol=1e-12, ftol=1e-12, gtol=1e-12, max_nfev=500,
            x_scale="jac",
        )  # fmt: skip
        if 2 * found.cost < best[0]:
            best = (2 * found.cost, whole(found.x))
    return best


def problem(rng: np.random.Generator, n: int | None = None) -> tuple[Column, Column, float]:
    """A random x, y and floor: whole or partial, steep or flat, clean or noisy, 5 to 200 points."""
    n = int(np.exp(rng.uniform(np.log(5), np.log(200)))) if n is None else n
    floor = float(rng.choice([0.0, 0.25, 0.5]))
    lo = -1.4
    hi = rng.uniform(-1.2, -0.3) if rng.random() < 0.4 else -0.35  # partial, or the whole rise
    x = np.sort(rng.uniform(lo, hi, n))
    k = np.exp(rng.uniform(np.log(0.5), np.log(45)))
    v = np.exp(rng.uniform(np.log(0.2), np.log(12)))
    C = rng.uniform(floor + 0.06, 1)
    if rng.random() < 0.1:
        C = floor + 0.06  # flat
    theta = np.array([k, rng.uniform(-1.4, -0.4), v, C])
    noise = 10 ** rng.uniform(-4, -1.2) * (rng.random() < 0.9)
    return x, curve(x, theta, floor) + rng.normal(0, noise, n), floor
