"""Partial dependence of fitted Gaussian processes, exact and quick where their kernel is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _core
from .errors import DataError
from .threads import thread_count

__all__ = [
    "PartialDependence",
    "gp_partial_dependence",
    "kernel_parts",
    "kernel_slope",
    "posterior_mean",
    "y_scale",
]

Column = NDArray[np.float64]
_MATERN = {0.5: "matern12", 1.5: "matern32", 2.5: "matern52", np.inf: "rbf"}


class KernelParts(NamedTuple):
    """amplitude * shape(length_scale) + noise, as the core takes it."""

    shape: Any
    amplitude: float
    length_scale: Column
    noise: float


class PartialDependence(NamedTuple):
    """Curves of one process: rows are inputs, columns are grid values.

    ``method`` is "core", or "predict: " and the reason why the slow way was taken.
    """

    grid: Column
    mean: Column
    sd: Column
    method: str


def kernel_parts(kernel: Any, n_dims: int) -> KernelParts | str:
    """A scikit-learn kernel as its parts, or a sentence on why the core does not know it.

    Known are sums of one stationary kernel (RBF; Matern with nu 0.5, 1.5, 2.5 or inf), which may be
    multiplied with constants, and any number of white kernels.
    """
    from sklearn.gaussian_process import kernels

    terms, noise, found = [kernel], 0.0, None
    while terms:
        term = terms.pop()
        if isinstance(term, kernels.Sum):
            terms += [term.k1, term.k2]
            continue
        amplitude, factors, shape = 1.0, [term], None
        while factors:
            factor = factors.pop()
            if isinstance(factor, kernels.Product):
                factors += [factor.k1, factor.k2]
            elif isinstance(factor, kernels.ConstantKernel):
                amplitude *= factor.constant_value
            elif shape is None and type(factor) in (
                kernels.RBF, kernels.Matern, kernels.WhiteKernel
            ):  # fmt: skip
                shape = factor
            else:
                return f"the core has no product with {factor!r}"
        if shape is None:
            return "the core has no constant kernel on its own"
        if isinstance(shape, kernels.WhiteKernel):
            noise += amplitude * shape.noise_level
            continue
        if found is not None:
            return "the core has no sum of two kernels"
        name = _MATERN.get(shape.nu) if isinstance(shape, kernels.Matern) else "rbf"
        if name is None:
            return f"the core has no Matern kernel with nu = {shape.nu}"
        scale = np.broadcast_to(np.asarray(shape.length_scale, float), (n_dims,))
        found = (name, amplitude, np.ascontiguousarray(scale))
    return "the kernel is noise only" if found is None else KernelParts(*found, noise)


def gp_partial_dependence(
    gp: Any,
    grid: ArrayLike,
    X: ArrayLike | None = None,
    *,
    features: Sequence[int] | None = None,
    noise: bool = False,
    n_threads: int | None = None,
) -> PartialDependence:
    """Partial dependence of a fitted Gaussian process on each of its inputs.

    At a grid value one column of X is replaced by it in every row and the process is averaged over
    the rows; the spread is that of the average, the covariances of the rows included.

    Parameters
    ----------
    gp : sklearn.gaussian_process.GaussianProcessRegressor
        Fitted, one target.
    grid : array_like, shape (n_dims, n_grid)
        Values of each input to look at, in units of X.
    X : array_like, shape (n, n_dims), optional
        Rows to average over; those of the fit by default. The core does only those.
    features : sequence of int, optional
        The inputs to give curves of; all by default.
    noise : bool
        Add to the variance what white noise would contribute, were every replaced row one noisy
        measurement: noise variance / n. That is what ``predict(return_cov=True)`` averages to.
    n_threads : int, optional
        Threads; the CPUs available by default.

    Returns
    -------
    PartialDependence
        grid, mean and sd, a row for each of the features, and the method.

    Raises
    ------
    DataError
        Not a fitted process, several targets, a grid that does not fit.

    References
    ----------
    J. H. Friedman, "Greedy function approximation", Annals of Statistics 29 (2001), the curve; J.
    Moosbauer, J. Herbinger, G. Casalicchio, M. Lindauer and B. Bischl, "Explaining Hyperparameter
    Optimization via Partial Dependence Plots", NeurIPS 2021, its variance.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.gaussian_process import GaussianProcessRegressor, kernels
    >>> X = np.linspace(-1, 1, 12)[:, None]
    >>> kernel = kernels.RBF(1.0) + kernels.WhiteKernel(1e-4)
    >>> gp = GaussianProcessRegressor(kernel, optimizer=None).fit(X, X[:, 0] ** 2)
    >>> curve = gp_partial_dependence(gp, [[0.0, 0.5]])
    >>> curve.method, [round(float(v), 2) for v in curve.mean[0]]
    ('core', [0.0, 0.25])
    """
    rows = np.asarray(getattr(gp, "X_train_", None), float)
    if rows.ndim != 2 or not hasattr(gp, "kernel_"):
        raise DataError("gp: expected a fitted GaussianProcessRegressor")
    if np.ndim(gp.y_train_) != 1:
        raise DataError("gp: expected one target")
    n, d = rows.shape
    values = np.ascontiguousarray(grid, dtype=np.float64)
    if values.ndim != 2 or len(values) != d or not np.isfinite(values).all():
        raise DataError(f"grid: expected {d} rows of finite values, got shape {values.shape}")
    chosen = np.arange(d) if features is None else np.asarray(features, np.int64)
    if chosen.ndim != 1 or np.any(chosen < 0) or np.any(chosen >= d):
        raise DataError(f"features: expected numbers from 0 to {d - 1}, got {features!r}")
    parts = kernel_parts(gp.kernel_, d)
    own = X is None or np.array_equal(np.asarray(X, float), rows)
    if isinstance(parts, str) or not own or np.ndim(gp.alpha) != 0:
        reason = parts if isinstance(parts, str) else "X is not what the process was fitted to"
        if own and not isinstance(parts, str):
            reason = "alpha differs between rows"
        data = rows if X is None else np.asarray(X, float)
        slow = _predicted(gp, data, values, chosen, noise)
        return PartialDependence(values[chosen], *slow, f"predict: {reason}")
    # what scikit-learn keeps of y is already divided by its scale
    scale, shift = y_scale(gp)
    mean, sd, records = _core.partial_dependence_fit(
        rows.ravel(), np.asarray(gp.y_train_, float), [0, n], values.ravel(), kernel=parts.shape,
        amplitude=[parts.amplitude], length_scale=parts.length_scale,
        noise=[parts.noise + float(gp.alpha)], features=chosen, n_threads=thread_count(n_threads),
    )  # fmt: skip
    code = int(records["status"].min())
    if code < 0:
        raise DataError(f"gp: {_core.STATUS[code][1]}")
    variance = sd[0] ** 2 + (parts.noise / n if noise else 0.0)
    return PartialDependence(
        values[chosen], mean[0] * scale + shift, np.sqrt(variance) * scale, "core"
    )


def y_scale(gp: Any) -> tuple[float, float]:
    """Scale and mean that scikit-learn took out of the target; 1 and 0 if it took none."""
    scale, mean = (np.asarray(part).reshape(-1)[0] for part in (gp._y_train_std, gp._y_train_mean))
    return float(scale), float(mean)


def kernel_slope(shape: str, d2: Column) -> tuple[Column, Column]:
    """A kernel, and -2 times its derivative by the squared distance, at squared distances."""
    if shape == "rbf":
        value = np.exp(-0.5 * d2)
        return value, value
    if shape == "matern32":
        t = np.sqrt(3 * d2)
        falling = np.exp(-t)
        return (1 + t) * falling, 3 * falling
    t = np.sqrt(5 * d2)
    falling = np.exp(-t)
    return (1 + t + t**2 / 3) * falling, 5 / 3 * (1 + t) * falling


def posterior_mean(gp: Any) -> Callable[[Column], tuple[float, Column]]:
    """The mean of a process and its gradient at one point, without scikit-learn's checks.

    Raises
    ------
    DataError
        A kernel that `kernel_parts` does not know, or Matern with nu 0.5 (no gradient everywhere).
    """
    rows = np.asarray(gp.X_train_, float)
    parts = kernel_parts(gp.kernel_, rows.shape[1])
    if isinstance(parts, str) or parts.shape == "matern12":
        raise DataError(f"gp: no gradient ({parts})")
    shape, scale = parts.shape, parts.length_scale
    z = rows / scale
    gain, shift = y_scale(gp)
    weight = np.asarray(gp.alpha_, float).ravel() * parts.amplitude * gain

    def at(point: Column) -> tuple[float, Column]:
        gap = point / scale - z
        d2 = np.einsum("ij,ij->i", gap, gap)
        value, slope = kernel_slope(shape, d2)
        return float(weight @ value) + shift, -(weight * slope) @ gap / scale

    return at


def _predicted(
    gp: Any, rows: Column, grid: Column, chosen: NDArray[np.int64], noise: bool
) -> tuple[Column, Column]:
    """The same from `predict`, one covariance matrix a grid value."""
    mean, sd = np.empty((2, len(chosen), grid.shape[1]))
    # a kernel called with two arguments leaves white noise out
    white = float(gp.kernel_.diag(rows[:1])[0] - gp.kernel_(rows[:1], rows[:1])[0, 0])
    scale, _ = y_scale(gp)
    for place, j in enumerate(chosen):
        for i, value in enumerate(grid[j]):
            moved = rows.copy()
            moved[:, j] = value
            mu, cov = gp.predict(moved, return_cov=True)
            extra = 0.0 if noise else white * scale**2 / len(rows)
            mean[place, i], sd[place, i] = mu.mean(), np.sqrt(max(float(cov.mean()) - extra, 0.0))
    return mean, sd
