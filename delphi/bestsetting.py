"""Where the surface of a Gaussian process is lowest, and where draws of it are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import DataError
from .partial import kernel_parts, kernel_slope, posterior_mean

__all__ = ["best_setting"]

Column = NDArray[np.float64]
CANDIDATES = 128  # a power of 2, as Sobol points want it
DRAWS = 128
STEPS = 10
WIDER = 0.04  # of the range, and cut off: settings at the edge must have candidates too
JITTER = 1e-8  # of the amplitude, or the covariance of candidates has no factor
STEP = 0.1  # of a difference for the curvature, in standard deviations of the trials
FLATTEST = 0.02  # curvature of the flattest direction, of that of the steepest


def best_setting(gp: Any, seed: int) -> tuple[Column, Column]:
    """The lowest point of a process within its trials, and the lowest points of draws of it.

    Values of a draw are joint normal at Sobol points in the box of the trials and at the lowest
    point of the mean. Between them a draw is its own mean given those values and the trials. Its
    lowest value among the points is where a few Newton steps begin, with the curvature of the mean,
    cut off at the box: the points alone would be too few in five dimensions.

    Parameters
    ----------
    gp : sklearn.gaussian_process.GaussianProcessRegressor
        Fitted; a kernel that `kernel_parts` knows, with a gradient.
    seed : int
        Of the points and draws.

    Returns
    -------
    lowest : numpy.ndarray, shape (d,)
    drawn : numpy.ndarray, shape (DRAWS, d)

    Raises
    ------
    DataError
        As `posterior_mean`.

    References
    ----------
    J. T. Wilson et al., "Efficiently sampling functions from Gaussian process posteriors", ICML
    2020, draws as functions; P. Hennig and C. J. Schuler, "Entropy Search for Information-Efficient
    Global Optimization", JMLR 13 (2012), the distribution of the minimum.
    """
    from scipy.linalg import cholesky, solve_triangular
    from scipy.stats import qmc

    x = np.asarray(gp.X_train_, float)
    n, d = x.shape
    lo, hi = x.min(axis=0), x.max(axis=0)
    surface = posterior_mean(gp)
    rng = np.random.default_rng(seed)
    unit = (qmc.Sobol(d, scramble=False).random(CANDIDATES) + rng.random(d)) % 1.0
    spots = np.clip(lo + (hi - lo) * (unit * (1 + 2 * WIDER) - WIDER), lo, hi)
    lowest = _lowest(surface, np.vstack((spots, x)), gp, lo, hi)

    parts = kernel_parts(gp.kernel_, d)
    assert not isinstance(parts, str)  # posterior_mean would not have it
    spots = np.vstack((lowest, spots))
    places = np.vstack((x, spots)) / parts.length_scale
    cov = parts.amplitude * kernel_slope(parts.shape, _distances(places, places))[0]
    extra = np.full(len(cov), parts.amplitude * JITTER)
    extra[:n] = parts.noise + gp.alpha
    cov[np.diag_indices_from(cov)] += extra
    try:
        factor = cholesky(cov, lower=True, check_finite=False)
    except np.linalg.LinAlgError:  # pragma: no cover  (the jitter is there to prevent it)
        raise DataError("gp: the covariance of the candidates has no factor") from None
    white = np.empty((len(cov), DRAWS))
    target = np.asarray(gp.y_train_, float)
    white[:n] = solve_triangular(factor[:n, :n], target, lower=True, check_finite=False)[:, None]
    white[n:] = rng.normal(size=(len(spots), DRAWS))
    values = factor[n:] @ white
    weight = parts.amplitude * solve_triangular(factor, white, lower=True, trans=1,
                                                check_finite=False).T  # fmt: skip

    def draws(at: Column) -> tuple[Column, Column]:
        u = at / parts.length_scale
        value, slope = kernel_slope(parts.shape, _distances(u, places))
        pull = slope * weight
        away = u * pull.sum(axis=1)[:, None] - pull @ places
        return (value * weight).sum(axis=1), -away / parts.length_scale

    starts = spots[np.argmin(values, axis=0)]
    return lowest, _descend(draws, starts, _inverse_curvature(surface, lowest), lo, hi)


def _distances(a: Column, b: Column) -> Column:
    """Squared, all pairs."""
    squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
    return np.asarray(np.maximum(squares, 0.0))


def _lowest(
    surface: Callable[[Column], tuple[float, Column]], spots: Column, gp: Any, lo: Column,
    hi: Column,
) -> Column:  # fmt: skip
    from scipy.optimize import minimize

    starts = spots[np.argsort(gp.predict(spots))[:2]]
    box = list(zip(lo, hi, strict=True))
    found = [minimize(surface, start, jac=True, method="L-BFGS-B", bounds=box) for start in starts]
    return np.clip(min(found, key=lambda result: float(result.fun)).x, lo, hi)


def _inverse_curvature(surface: Callable[[Column], tuple[float, Column]], point: Column) -> Column:
    """Of the mean, made positive definite."""
    d = len(point)
    steps = np.eye(d) * STEP
    rows = [(surface(point + s)[1] - surface(point - s)[1]) / (2 * STEP) for s in steps]
    curvature = np.array(rows)
    value, vector = np.linalg.eigh((curvature + curvature.T) / 2)
    size = np.abs(value)
    size = np.maximum(size, max(FLATTEST * float(size.max()), np.finfo(float).tiny))
    return np.asarray((vector / size) @ vector.T)


def _descend(
    draws: Callable[[Column], tuple[Column, Column]], start: Column, inverse: Column, lo: Column,
    hi: Column,
) -> Column:  # fmt: skip
    """All draws at once; a step that does not help is taken back and made shorter."""
    x = start
    f, g = draws(x)
    length = np.ones(len(x))
    for _ in range(STEPS):
        free = ~(((x <= lo) & (g > 0)) | ((x >= hi) & (g < 0)))
        step = np.where(free, np.where(free, g, 0.0) @ inverse, 0.0)
        tried = np.clip(x - length[:, None] * step, lo, hi)
        f_tried, g_tried = draws(tried)
        better = f_tried < f
        x, g = (np.where(better[:, None], a, b) for a, b in ((tried, x), (g_tried, g)))
        f = np.where(better, f_tried, f)
        length = np.where(better, np.minimum(1.5 * length, 2.0), 0.3 * length)
    return x
