"""Best learning rates and batch sizes cell by cell, and their power laws by regression."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .errors import DataError

__all__ = ["METHODS", "cell_optima", "regressed_exponents"]

Column = NDArray[np.float64]
METHODS = ("joint", "best runs", "bowls")
NEAR = 1.02  # runs of a bowl: at most this times the lowest loss of the cell
FEWEST = 9  # runs for the six coefficients of a bowl
N_BOOT = 1000


def cell_optima(lr: Column, batch: Column, tokens: Column, params: Column, loss: Column) -> Any:
    """The best run of every (N, D), and the lowest point of a parabola through the runs near it.

    Returns
    -------
    pandas.DataFrame
        params, tokens, n, lr, batch, loss of the best run, n_near, lr_bowl, batch_bowl (NaN where
        fewer than 9 runs lie within 2% of the best, or the fitted quadratic has no minimum).
    """
    table = pd.DataFrame({"lr": lr, "batch": batch, "tokens": tokens, "params": params,
                          "loss": loss})  # fmt: skip
    rows = []
    for (N, D), cell in table.groupby(["params", "tokens"], sort=True):
        best = cell.loc[cell["loss"].idxmin()]
        near = cell[cell["loss"] <= NEAR * best["loss"]]
        lowest = _bowl(near)
        rows.append((N, D, len(cell), best["lr"], best["batch"], best["loss"], len(near), *lowest))
    names = ["params", "tokens", "n", "lr", "batch", "loss", "n_near", "lr_bowl", "batch_bowl"]
    return pd.DataFrame(rows, columns=names)


def _bowl(near: pd.DataFrame) -> tuple[float, float]:
    """Lowest point of loss = quadratic in ln lr and ln batch."""
    place = np.log(near[["lr", "batch"]].to_numpy(float))
    middle = place.mean(axis=0)
    u, v = (place - middle).T
    design = np.column_stack((np.ones_like(u), u, v, u**2, v**2, u * v))
    if len(u) < FEWEST or np.linalg.matrix_rank(design) < 6:
        return float("nan"), float("nan")
    _, b1, b2, a, b, c = np.linalg.lstsq(design, near["loss"].to_numpy(float), rcond=None)[0]
    curve = np.array([[2 * a, c], [c, 2 * b]])
    if not np.linalg.eigvalsh(curve)[0] > 0:
        return float("nan"), float("nan")
    lowest = np.exp(middle - np.linalg.solve(curve, [b1, b2]))
    return float(lowest[0]), float(lowest[1])


def regressed_exponents(
    cells: pd.DataFrame, method: str, level: float, seed: int = 0
) -> pd.DataFrame:  # fmt: skip
    """Least squares of ln lr* on ln N and ln D and of ln batch* on ln D, cells resampled.

    Raises
    ------
    DataError
        An unknown method, or too few cells with an optimum.
    """
    if method not in METHODS[1:]:
        raise DataError(f"method: expected one of {METHODS}, got {method!r}")
    names = ["lr", "batch"] if method == "best runs" else ["lr_bowl", "batch_bowl"]
    used = cells[np.isfinite(cells[names]).all(axis=1)]
    n, d = np.log(used["params"].to_numpy(float)), np.log(used["tokens"].to_numpy(float))
    logs = np.log(used[names].to_numpy(float))
    value = _exponents(n, d, logs, np.arange(len(used)))
    if len(used) < 5 or not np.isfinite(value).all():
        raise DataError(f"{method}: {len(used)} cells have an optimum, which is too few")
    rng = np.random.default_rng(seed)
    drawn = np.array([_exponents(n, d, logs, rng.integers(0, len(used), len(used)))
                      for _ in range(N_BOOT)])  # fmt: skip
    ends = np.nanquantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return pd.DataFrame({"exponent": ["lr_N", "lr_D", "batch_D"], "value": value, "low": ends[0],
                         "high": ends[1], "level": level})  # fmt: skip


def _exponents(n: Column, d: Column, logs: Column, at: NDArray[np.int64]) -> Column:
    """lr by N, lr by D, batch by D; NaN where the rows do not tell N from D."""
    design = np.column_stack((np.ones(len(at)), n[at] - n.mean(), d[at] - d.mean()))
    if np.linalg.matrix_rank(design, tol=1e-6) < 3:
        return np.full(3, np.nan)
    rate = np.linalg.lstsq(design, logs[at, 0], rcond=None)[0]
    batch = np.linalg.lstsq(design[:, [0, 2]], logs[at, 1], rcond=None)[0]
    return np.array([rate[1], rate[2], batch[1]])
