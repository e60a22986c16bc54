"""The Step Law form with a floor: a loss that falls with N and D, and its best learning rate."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from . import _core
from .arrays import checked_level, column, frame_columns
from .describe import residual_fields, status_fields
from .errors import DataError
from .processes import without_sklearn
from .provenance import HasCard, from_arrays, with_origin
from .status import HasStatus, bits, code_of, one_warning
from .stepcells import METHODS, cell_optima, regressed_exponents

__all__ = ["StepLaw", "fit_step_law"]

Column = NDArray[np.float64]
NAMES = ("E", "log_A", "alpha", "log_B", "beta", "log_lr", "lr_N", "lr_D", "log_batch", "batch_D",
         "batch_N", "l11", "l21", "l22", "skew")  # fmt: skip
EXPONENTS = ("alpha", "beta", "lr_N", "lr_D", "batch_D", "batch_N")
LOW = np.array([0.0, -30, 0.02, -30, 0.02, *[-np.inf] * 10])
HIGH = np.array([np.inf, 30, 2.0, 30, 2.0, *[np.inf] * 10])


@dataclass(frozen=True, eq=False)
class StepLaw(HasStatus, HasCard):
    """loss = E + A n^-alpha + B d^-beta (1 + q), n = N / N0, d = D / D0.

    q >= 0 is a quadratic form in ln(lr / lr*) and ln(batch / batch*), steeper to one side where
    ``skew`` is not 0; lr* = lr0 n^lr_N d^lr_D and batch* = batch0 d^batch_D n^batch_N. At the best
    setting the loss falls with N and with D, wherever it is asked.

    Attributes
    ----------
    parameters : dict
        E, log_A, alpha, log_B, beta, log_lr, lr_N, lr_D, log_batch, batch_D, batch_N, the root of
        the curvature l11, l21, l22, and skew; at the reference point (N0, D0).
    reference : tuple of float
        N0 and D0, the geometric means of the data.
    covariance : numpy.ndarray, shape (15, 15)
        Of the parameters, from scores summed over (N, D) cells.
    scale : float
        Residuals beyond about this many nats count by their size, not their square; infinite where
        every run was fitted exactly.
    cells : pandas.DataFrame
        A row an (N, D): its best run, and the lowest point of a parabola near it.
    n, n_cells, rss, r2
    columns : tuple of str
        lr, batch, tokens, params, loss.
    status, status_code : str, int
    """

    parameters: dict[str, float]
    reference: tuple[float, float]
    covariance: Column
    n: int
    n_cells: int
    rss: float
    r2: float
    columns: tuple[str, str, str, str, str]
    status_code: int
    scale: float = float("inf")
    cells: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False)

    def _theta(self) -> Column:
        return np.array([self.parameters[name] for name in NAMES])

    def predict(self, data: Any) -> Column:
        """Loss of every row.

        Parameters
        ----------
        data : DataFrame or mapping
            Columns of learning rate, batch size, tokens and params, > 0.

        Raises
        ------
        DataError
            No law, a missing column or a bad value.
        """
        if not self.ok:
            raise DataError(f"no law to predict with: {self.status}")
        return _loss(self._theta(), _inputs(data, self.columns[:4], self.reference))

    def best(self, params: float, tokens: float) -> dict[str, float]:
        """The best learning rate and batch size at N and D, and the loss there."""
        if not (params > 0 and tokens > 0 and np.isfinite(params) and np.isfinite(tokens)):
            raise DataError("params and tokens must be positive and finite")
        p = self.parameters
        n, d = np.log(params / self.reference[0]), np.log(tokens / self.reference[1])
        return {
            "lr": float(np.exp(p["log_lr"] + p["lr_N"] * n + p["lr_D"] * d)),
            "batch": float(np.exp(p["log_batch"] + p["batch_D"] * d + p["batch_N"] * n)),
            "loss": float(p["E"] + np.exp(p["log_A"] - p["alpha"] * n)
                          + np.exp(p["log_B"] - p["beta"] * d)),
        }  # fmt: skip

    def exponents(
        self, level: float = 0.95, *, method: str = "joint", seed: int = 0
    ) -> pd.DataFrame:  # fmt: skip
        """Exponents with intervals: exponent, value, low, high, level.

        Parameters
        ----------
        level : float
        method : {"joint", "best runs", "bowls"}
            The law's own, with Student-t intervals over (N, D) cells; or by regression, cells drawn
            with replacement 1000 times: of the best run of every cell, as Step Law was published,
            or of the lowest points of parabolas through the runs within 2% of it, which are not
            tied to the grid. By regression the batch size depends on D alone.
        seed : int
            Of the draws.

        Raises
        ------
        DataError
            An unknown method, or too few cells with an optimum.

        Examples
        --------
        See `fit_step_law`.
        """
        if method != METHODS[0]:
            return regressed_exponents(self.cells, method, checked_level(level), seed)
        level = checked_level(level)
        half = _core.t_quantile((1 + level) / 2, max(self.n_cells - 1, 1))
        rows = []
        for name in EXPONENTS:
            i = NAMES.index(name)
            width = float(half * np.sqrt(self.covariance[i, i]))
            value = self.parameters[name]
            rows.append((name, value, value - width, value + width, level))
        return pd.DataFrame(rows, columns=["exponent", "value", "low", "high", "level"])

    def interval(self, data: Any, *, level: float = 0.95) -> pd.DataFrame:
        """Interval of the law at every row, by the delta method: low, mid, high, level, kind."""
        level = checked_level(level)
        inputs = _inputs(data, self.columns[:4], self.reference)
        theta = self._theta()
        mid, slope = _loss(theta, inputs), _jacobian(theta, inputs)
        variance = np.einsum("ij,jk,ik->i", slope, self.covariance, slope)
        half = _core.t_quantile((1 + level) / 2, max(self.n_cells - 1, 1)) * np.sqrt(variance)
        return pd.DataFrame({"low": mid - half, "mid": mid, "high": mid + half, "level": level,
                             "kind": "mean"})  # fmt: skip

    @property
    def equation(self) -> str:
        """The law as one line of text."""
        if not self.ok:
            return "no law"
        p, (N0, D0) = self.parameters, self.reference
        return (
            f"loss = {p['E']:.4g} + {np.exp(p['log_A']):.4g} (N/{N0:.3g})^-{p['alpha']:.3g} + "
            f"{np.exp(p['log_B']):.4g} (D/{D0:.3g})^-{p['beta']:.3g} (1 + q)"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain Python values."""
        return {
            "parameters": dict(self.parameters), "reference": list(self.reference), "n": self.n,
            "n_cells": self.n_cells, "scale": self.scale, "cells": self.cells.to_dict("records"),
            "rss": self.rss, "r2": self.r2, "status": self.status,
            "status_code": self.status_code,
        }  # fmt: skip

    def to_frame(self) -> pd.DataFrame:
        """One row: the parameters and what the fit says of itself."""
        return pd.DataFrame([self.parameters | {"n": self.n, "r2": self.r2, "status": self.status}])

    def summary(self) -> str:
        """A few lines for a person."""
        p = self.parameters
        return "\n".join([
            self.equation,
            f"  best lr ~ N^{p['lr_N']:.3f} D^{p['lr_D']:.3f},"
            f" best batch ~ D^{p['batch_D']:.3f} N^{p['batch_N']:.3f}",
            f"  {self.n} runs in {self.n_cells} cells, R2 {self.r2:.4f}",
            f"  status: {self.status}",
        ])  # fmt: skip

    def __repr__(self) -> str:
        return f"StepLaw({self.equation}, n={self.n}, status={self.status!r})"

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self.summary())}</pre>"

    def _card_fields(self) -> dict[str, Any]:
        origin = self._origin
        how = {} if origin is None else origin.how
        return status_fields(self.status_code) | {
            "law": "Step Law form with a floor",
            "form": "loss = E + A n^-alpha + B d^-beta (1 + q(ln lr / lr*, ln batch / batch*))",
            "equation": self.equation,
            "variables": {"n": f"params / {self.reference[0]:.6g}", "d": "tokens /"
                          f" {self.reference[1]:.6g}", "q": "quadratic form, skewed"},
            "parameters": dict(self.parameters),
            "assumptions": ["excess loss shrinks with D as the data term does",
                            "best settings follow power laws in N and D"],
            "points": "rows of the table", "n_points": self.n,
            "objective": f"soft L1 with scale {self.scale:.4g}, from the residuals of a squared"
            " error fit", "space": "loss", "aggregate": "sum",
            "weights": "every run counts the same",
            "search": "SciPy least_squares (trust region reflective) with exact derivatives",
            "start": "two fixed ones, then the end of the better one", "tolerance": 1e-10,
            "iterations": "not recorded; at most 400",
            "bounds": {"E": ">= 0" if how.get("floor", True) else "0", "alpha, beta": [0.02, 2.0]},
            "goodness": residual_fields(self.rss, self.n, len(NAMES)) | {"r2": self.r2},
            "uncertainty": "scores summed over (N, D) cells; exponents() and interval()",
        }  # fmt: skip


def _inputs(data: Any, names: tuple[str, ...], reference: tuple[float, float]) -> Column:
    table = frame_columns(pd.DataFrame(data) if isinstance(data, Mapping) else data, names)
    lr, batch, tokens, params = (np.log(column(table[n], n, least=0)) for n in names)
    n, d = params - np.log(reference[0]), tokens - np.log(reference[1])
    return cast(Column, np.stack((lr, batch, n, d)))


def _parts(theta: Column, inputs: Column) -> tuple[Column, ...]:
    p = dict(zip(NAMES, theta, strict=True))
    lr, batch, n, d = inputs
    u = lr - (p["log_lr"] + p["lr_N"] * n + p["lr_D"] * d)
    v = batch - (p["log_batch"] + p["batch_D"] * d + p["batch_N"] * n)
    z1, z2 = p["l11"] * u + p["l21"] * v, p["l22"] * v
    side = np.tanh(z1)
    tilt = np.exp(p["skew"] * side)
    term_n = np.exp(p["log_A"] - p["alpha"] * n)
    term_d = np.exp(p["log_B"] - p["beta"] * d)
    return u, v, z1, z2, side, tilt, term_n, term_d


def _loss(theta: Column, inputs: Column) -> Column:
    _, _, z1, z2, _, tilt, term_n, term_d = _parts(theta, inputs)
    return cast(Column, theta[0] + term_n + term_d * (1 + (z1**2 + z2**2) * tilt))


def _jacobian(theta: Column, inputs: Column) -> Column:
    p = dict(zip(NAMES, theta, strict=True))
    _, _, n, d = inputs
    u, v, z1, z2, side, tilt, term_n, term_d = _parts(theta, inputs)
    form = z1**2 + z2**2
    d1 = term_d * tilt * (2 * z1 + form * p["skew"] * (1 - side**2))
    d2 = term_d * tilt * 2 * z2
    du, dv = d1 * p["l11"], d1 * p["l21"] + d2 * p["l22"]
    whole = term_d * (1 + form * tilt)
    return np.column_stack((
        np.ones_like(n), term_n, -n * term_n, whole, -d * whole, -du, -n * du, -d * du, -dv,
        -d * dv, -n * dv, d1 * u, d1 * v, d2 * v, term_d * form * tilt * side,
    ))  # fmt: skip


def fit_step_law(
    frame: Any,
    *,
    lr: str = "lr",
    batch: str = "batch",
    tokens: str = "tokens",
    params: str = "params",
    loss: str = "loss",
    floor: bool = True,
) -> StepLaw:
    """Fit a loss over learning rate, batch size, tokens and params that cannot rise with data.

    Least squares first; then, from there, soft L1 with the scale of its residuals (1.4826 times
    their median size), so that runs on the way to divergence do not bend the law.

    Parameters
    ----------
    frame : DataFrame (pandas, polars, pyarrow)
        One row a run: grids of learning rate and batch size at several (N, D).
    lr, batch, tokens, params, loss : str
        Its columns, all > 0. The unit of the batch size is kept.
    floor : bool
        Fit E >= 0, or hold it at 0: a few sizes within a factor of five seldom show a floor.

    Returns
    -------
    StepLaw

    Raises
    ------
    DataError
        A missing column, or a value that is not positive and finite (named by row).

    Warns
    -----
    FitWarning
        The fit failed, or an exponent sits at its bound.

    References
    ----------
    H. Li et al., "Predictable Scale: Part I, Step Law", arXiv:2503.04715, the scaling of the best
    learning rate and batch size.
    P. J. Huber and E. M. Ronchetti, "Robust Statistics", Wiley 2009, chapter 7.

    Examples
    --------
    >>> import itertools
    >>> rows = [
    ...     {"lr": lr, "batch": b, "tokens": D, "params": N, "loss": 1.7 + 50 * N**-0.3
    ...      + 60 * D**-0.25 * (1 + 0.05 * np.log(lr / (0.5 * N**-0.4)) ** 2
    ...      + 0.04 * np.log(b / (D**0.5)) ** 2)}
    ...     for N, D in itertools.product((1e8, 4e8, 2e9), (2e9, 1e10, 5e10))
    ...     for lr in (1e-4, 3e-4, 1e-3) for b in (4e4, 1e5, 4e5)]
    >>> law = fit_step_law(pd.DataFrame(rows))
    >>> round(law.parameters["lr_N"], 3), round(law.parameters["batch_D"], 3), law.status
    (-0.4, 0.5, 'ok')
    """
    columns = (lr, batch, tokens, params, loss)
    if len(set(columns)) < 5:
        raise DataError("lr, batch, tokens, params and loss must be different columns")
    table = frame_columns(frame, columns)
    if table.empty:
        raise DataError("the frame has no rows")
    raw = {name: column(table[name], name) for name in columns}
    reference = (float(np.exp(np.log(raw[params]).mean())),
                 float(np.exp(np.log(raw[tokens]).mean())))  # fmt: skip
    inputs, y = _inputs(table, columns[:4], reference), raw[loss]
    cells = pd.factorize(pd.Series(list(zip(inputs[2], inputs[3], strict=True))))[0]
    n_cells = int(cells.max()) + 1
    distinct = [len(np.unique(part)) for part in inputs]
    law: StepLaw | None = None
    if len(y) <= len(NAMES) or distinct[2] < 3 or distinct[3] < 3 or min(distinct[:2]) < 3:
        law = _no_law("too_few_points", reference, len(y), n_cells, columns)
    elif not np.ptp(y) > 0:
        law = _no_law("constant_loss", reference, len(y), n_cells, columns)
    else:
        law = _solve(inputs, y, cells, reference, columns, floor)
    law = replace(law, cells=cell_optima(raw[lr], raw[batch], raw[tokens], raw[params], y))
    named = {"lr": raw[lr], "batch": raw[batch], "tokens": raw[tokens], "params": raw[params],
             "loss": y}  # fmt: skip
    given = dict(zip(named, (table[c] for c in columns), strict=True))
    with_origin(law, from_arrays(named, given, floor=floor))
    one_warning(law.status_code, "step law")
    return law


def _no_law(
    name: str, reference: tuple[float, float], n: int, n_cells: int, columns: Any
) -> StepLaw:  # fmt: skip
    nan = float("nan")
    return StepLaw(dict.fromkeys(NAMES, nan), reference, np.full((15, 15), nan), n, n_cells, nan,
                   nan, columns, code_of(name))  # fmt: skip


def _solve(
    inputs: Column, y: Column, cells: NDArray[np.int64], reference: tuple[float, float],
    columns: Any, floor: bool,
) -> StepLaw:  # fmt: skip
    try:
        from scipy.optimize import least_squares
    except ImportError as error:
        raise without_sklearn(error) from None
    spread = float(np.std(y))
    best = None
    near = y <= np.quantile(y, 0.1)
    free = np.arange(len(NAMES)) if floor else np.arange(1, len(NAMES))

    def whole(t: Column) -> Column:
        full = np.zeros(len(NAMES))
        full[free] = t
        return full

    def solve(start: Column, **options: Any) -> Any:
        return least_squares(
            lambda t: _loss(whole(t), inputs) - y, start,
            jac=lambda t: _jacobian(whole(t), inputs)[:, free], bounds=(LOW[free], HIGH[free]),
            x_scale="jac", max_nfev=400, xtol=1e-12, ftol=1e-12, gtol=1e-10, **options,
        )  # fmt: skip

    for slopes in ((-0.5, 0.3, 0.5), (-0.2, 0.0, 0.3)):
        lr, batch = inputs[0][near].mean(), inputs[1][near].mean()
        low = float(y.min())
        # with a floor the sum of the power laws is small and steep, without it large and flat
        part, power = (np.log(0.15 * low), 0.3) if floor else (np.log(0.5 * low), 0.1)
        start = np.array([0.7 * low, part, power, part, power, lr, slopes[0], slopes[1], batch,
                          slopes[2], 0.0, 0.3, 0.0, 0.3, 0.1])  # fmt: skip
        found = solve(start[free])
        if np.isfinite(found.cost) and (best is None or found.cost < best.cost):
            best = found
    n, n_cells = len(y), int(cells.max()) + 1
    if best is None or not best.cost < 0.5 * n * spread**2:
        return _no_law("no_convergence", reference, n, n_cells, columns)
    residual = best.fun
    scale = 1.4826 * float(np.median(np.abs(residual)))
    if scale > 1e-9 * spread:
        best = solve(best.x, loss="soft_l1", f_scale=scale)
    else:
        scale = float("inf")
    theta = whole(best.x)
    residual, slope = _loss(theta, inputs) - y, _jacobian(theta, inputs)[:, free]
    squeeze = 1 + (residual / scale) ** 2  # soft L1: influence r / squeeze^(1/2)
    scores = np.zeros((n_cells, len(free)))
    np.add.at(scores, cells, slope * (residual / np.sqrt(squeeze))[:, None])
    bread = np.linalg.pinv((slope / squeeze[:, None] ** 1.5).T @ slope, rcond=1e-14)
    correction = n_cells / max(n_cells - 1, 1) * (n - 1) / max(n - len(free), 1)
    covariance = np.zeros((len(NAMES), len(NAMES)))
    covariance[np.ix_(free, free)] = correction * bread @ (scores.T @ scores) @ bread
    bounded = (0, 2, 4) if floor else (2, 4)
    held = any(min(theta[i] - LOW[i], HIGH[i] - theta[i]) < 1e-6 for i in bounded)
    rss = float(residual @ residual)
    values = {name: float(v) for name, v in zip(NAMES, theta, strict=True)}
    code = bits("step_at_bound") if held else 0
    r2 = 1 - rss / (n * spread**2)
    return StepLaw(values, reference, covariance, n, n_cells, rss, r2, columns, code, scale)
