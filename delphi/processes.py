"""Gaussian processes for sweeps: scikit-learn's, their evidence from the core."""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import _core
from .errors import DataError
from .partial import kernel_parts

__all__ = ["KERNELS", "Process", "fit_process", "without_sklearn"]

Column = NDArray[np.float64]
Kernel = Literal["matern52", "matern32", "rbf", "notebook"]
KERNELS = ("matern52", "matern32", "rbf", "notebook")
LENGTH = (5e-2, 1e3)  # in standard deviations of the trials
AMPLITUDE = (1e-3, 1e5)  # in variances of the losses
NOISE = (1e-8, 1e1)
MOST_SD = 2.0  # prior sd of a log kernel parameter, where the data say less
STEP = 1e-3
AGREE = 1e-3  # log evidence: two best starts this near to each other need no further ones


class Process(NamedTuple):
    """A fitted scikit-learn process, and how well its kernel parameters are known."""

    gp: Any
    directions: Column  # rows: one sd of the log kernel parameters along each principal direction
    at_bound: tuple[str, ...]  # of "length_scale", "amplitude", "noise"
    evidence: float


def without_sklearn(error: ImportError) -> ImportError:
    """What to say where scikit-learn is missing."""
    said = f"sweeps need scikit-learn and joblib: pip install 'delphi-scaling[sweeps]' ({error})"
    return ImportError(said)


def fit_process(x: Column, y: Column, kernel: Kernel, n_restarts: int, seed: int) -> Process:
    """Fit by maximum evidence: scikit-learn's restarts and bounds, value and slope from the core.

    Parameters
    ----------
    x : numpy.ndarray, shape (n, d)
        Standardised hyperparameters.
    y : numpy.ndarray, shape (n,)
        Losses.
    kernel : {"matern52", "matern32", "rbf", "notebook"}
        With amplitude, a length scale for each input, noise and normalised y; or the notebook's:
        Matern-5/2 with one length scale, amplitude 1 and noise, on y as it is.
    n_restarts : int
        Starts beside the first, at most: none follow two whose evidence, the best so far, agrees
        (but for the notebook's kernel, which has them all).
    seed : int
        Of the restarts.

    Raises
    ------
    DataError
        An unknown kernel.
    ImportError
        Without scikit-learn.
    """
    try:
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process import kernels as k
    except ImportError as error:
        raise without_sklearn(error) from None
    if kernel not in KERNELS:
        raise DataError(f"kernel: expected one of {KERNELS}, got {kernel!r}")
    d = x.shape[1]
    plain = kernel == "notebook"
    if plain:
        form, alpha = k.Matern(nu=2.5) + k.WhiteKernel(noise_level=0.01), 1e-6
    else:
        start = np.full(d, 2.0)
        nu = {"matern52": 2.5, "matern32": 1.5}.get(kernel)
        shape = k.RBF(start, LENGTH) if nu is None else k.Matern(start, LENGTH, nu=nu)
        form = k.ConstantKernel(1.0, AMPLITUDE) * shape + k.WhiteKernel(0.1, NOISE)
        alpha = 1e-10
    scale = float(y.std())
    target = y if plain else (y - y.mean()) / (scale if scale > 0 else 1.0)
    flat = np.ascontiguousarray(x).ravel()
    parts = kernel_parts(form, d)
    assert not isinstance(parts, str)

    def negative(theta: Column) -> tuple[float, Column]:
        values = np.exp(theta)
        amplitude, lengths = (1.0, np.full(d, values[0])) if plain else (values[0], values[1:-1])
        evidence, slope, status = _core.process_evidence(
            flat, target, kernel=parts.shape, amplitude=amplitude, length_scale=lengths,
            noise=values[-1] + alpha,
        )  # fmt: skip
        if status < 0:
            return 1e25, np.zeros(len(theta))
        own = slope if not plain else np.array([slope[1:-1].sum(), slope[-1]])
        own[-1] *= values[-1] / (values[-1] + alpha)
        return -evidence, -own

    reached: list[float] = []

    def optimise(_: Any, start: Column, bounds: Column) -> tuple[Column, float]:
        from scipy.optimize import minimize

        lowest = sorted(reached)[:2]
        if not plain and len(lowest) == 2 and lowest[1] - lowest[0] < AGREE:
            return start, math.inf  # never the best of all starts
        found = minimize(negative, start, jac=True, method="L-BFGS-B", bounds=bounds)
        reached.append(float(found.fun))
        return found.x, reached[-1]

    gp = GaussianProcessRegressor(
        form, alpha=alpha, optimizer=optimise, n_restarts_optimizer=n_restarts,
        normalize_y=not plain, random_state=seed,
    )  # fmt: skip
    gp.fit(x, y)  # its warnings of a bound that is hit are for the caller: they become a status
    gp.optimizer = "fmin_l_bfgs_b"  # a closure could not be pickled
    theta, bounds = gp.kernel_.theta, gp.kernel_.bounds
    hit = np.isclose(theta, bounds[:, 0], atol=1e-4) | np.isclose(theta, bounds[:, 1], atol=1e-4)
    names = ["length_scale"] * (len(theta) - 1) + ["noise"]
    if not plain:
        names[0] = "amplitude"
    at_bound = tuple(dict.fromkeys(n for n, h in zip(names, hit, strict=True) if h))
    directions = np.empty((0, len(theta))) if plain else _directions(negative, theta)
    return Process(gp, directions, at_bound, float(gp.log_marginal_likelihood_value_))


def _directions(negative: Any, theta: Column) -> Column:
    """One standard deviation along each axis of the Laplace approximation at the optimum."""
    n = len(theta)
    curvature = np.empty((n, n))
    for i in range(n):
        step = np.zeros(n)
        step[i] = STEP
        curvature[i] = (negative(theta + step)[1] - negative(theta - step)[1]) / (2 * STEP)
    value, vector = np.linalg.eigh((curvature + curvature.T) / 2)
    return (vector / np.sqrt(np.maximum(value, MOST_SD**-2))).T
