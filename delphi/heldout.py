"""Laws against runs they have not seen, and forecasts beyond all runs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from .arrays import column, frame_columns
from .errors import DataError
from .groups import group_rows
from .powerlaw import PowerLaw
from .runs import CRASHED_STATES, round_sig

__all__ = ["forecast", "is_crashed", "score_held_out"]

# A run that is still going has no final loss either.
UNFINISHED_STATES = CRASHED_STATES | {"running"}
FORECAST_AT = (1e21, 1e22, 1e23, 1e24, 1e25)


def is_crashed(state: pd.Series) -> pd.Series:
    """Which runs ended without a final loss (crashed, failed, killed, still running ...)."""
    return state.astype(str).str.lower().isin(UNFINISHED_STATES)


def score_held_out(runs: pd.DataFrame, laws: Mapping[str, PowerLaw]) -> pd.DataFrame:
    """Compare held-out runs (``run_type == "optimal"``) with what each suite's law says of them.

    Finished runs of one suite within 10% of each other's compute are seeds of one point and are
    averaged. Runs that ended early are listed one by one and never averaged.

    Parameters
    ----------
    runs : pandas.DataFrame
        Standard columns, as from `delphi.read_runs`.
    laws : mapping of suite to PowerLaw

    Returns
    -------
    pandas.DataFrame
        suite, budget (compute to two digits), compute (geometric mean of the runs' FLOPs), n (runs
        averaged), params, tokens (means), loss (mean), predicted, residual (loss - predicted),
        percent_error (100 residual / predicted; positive is worse than the law), state. NaN
        predictions where a suite has no law.

    Examples
    --------
    >>> from delphi import simulate
    >>> runs = simulate.ladder(rng=0)
    >>> sorted(score_held_out(runs, {}).columns)[:3]
    ['budget', 'compute', 'loss']
    """
    _checked_laws(laws)
    need = ["suite", "run_type", "state", "flops", "params", "tokens", "loss"]
    held = frame_columns(runs, need)
    held = held[held["run_type"] == "optimal"]
    for name in ("flops", "params", "tokens", "loss"):
        held[name] = column(held[name], name, least=0)
    held = held.assign(suite=held["suite"].astype(str), ended=is_crashed(held["state"]))
    held = held.sort_values(["suite", "ended", "flops"], ignore_index=True)
    point = _points(
        held["suite"].to_numpy(object), held["flops"].to_numpy(float), held["ended"].to_numpy(bool)
    )
    order, offsets, keys = group_rows(held["suite"], point, names=["suite", "point"])
    held = held.iloc[order]
    starts, sizes = offsets[:-1], np.diff(offsets)

    def mean(values: np.ndarray) -> np.ndarray:
        return np.add.reduceat(values, starts) / sizes if len(starts) else np.empty(0)

    table = keys[["suite"]].copy()
    compute = np.exp(mean(np.log(held["flops"].to_numpy(float))))
    table["budget"] = round_sig(compute, 2)
    table["compute"] = compute
    table["n"] = sizes
    for name in ("params", "tokens", "loss"):
        table[name] = mean(held[name].to_numpy(float))
    table["predicted"] = [
        laws[suite].predict(compute) if suite in laws else np.nan
        for suite, compute in zip(table["suite"], table["compute"], strict=True)
    ]
    table["predicted"] = table["predicted"].astype(float)
    table["residual"] = table["loss"] - table["predicted"]
    table["percent_error"] = 100 * table["residual"] / table["predicted"]
    table["state"] = [
        str(state).lower() if flag else "finished"
        for state, flag in zip(
            held["state"].to_numpy(object)[starts],
            held["ended"].to_numpy(bool)[starts],
            strict=True,
        )
    ]
    return table


def _checked_laws(laws: Mapping[str, PowerLaw]) -> None:
    if not isinstance(laws, Mapping):
        raise DataError(f"laws: expected a mapping of suite to law, got {type(laws).__name__}")


def _points(
    suite: NDArray[np.object_], flops: NDArray[np.float64], ended: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Number the points: seeds of one budget share a number, a run that ended early has its own.

    Rows come sorted by suite, finished before ended, and compute. Rounding would split seeds at
    its ties, a chain of near neighbours has no end; within 10% of the lowest does neither.
    """
    point = np.empty(len(flops), dtype=np.int64)
    number, lowest, where = 0, np.nan, None
    for i in range(len(flops)):
        if ended[i]:
            number += 1
            point[i] = number
            where = None
        else:
            if where != suite[i] or not flops[i] <= 1.1 * lowest:
                number += 1
                lowest, where = flops[i], suite[i]
            point[i] = number
    return point


def forecast(laws: Mapping[str, PowerLaw], compute: ArrayLike = FORECAST_AT) -> pd.DataFrame:
    """Loss of each law at some computes, as points without an interval.

    Parameters
    ----------
    laws : mapping of suite to PowerLaw
    compute : float or sequence of float
        FLOPs, > 0.

    Returns
    -------
    pandas.DataFrame
        suite, compute, loss, extrapolation_decades (log10 of compute over the largest fitted one;
        negative inside the fitted range), status.

    Raises
    ------
    DataError
        A compute is not a positive number.

    Examples
    --------
    >>> from delphi import fit_power_law
    >>> law = fit_power_law([1e18, 1e19, 1e20, 1e21], [4.0, 3.25, 2.75, 2.42])
    >>> forecast({"mine": law}, [1e22])["extrapolation_decades"].tolist()
    [1.0]
    """
    _checked_laws(laws)
    at = column(np.atleast_1d(np.asarray(compute)), "compute")
    rows = [
        {
            "suite": suite,
            "compute": C,
            "loss": law.predict(C),
            "extrapolation_decades": float(np.log10(C / law.compute_max)),
            "status": law.status,
        }
        for suite, law in laws.items()
        for C in at.tolist()
    ]
    names = ["suite", "compute", "loss", "extrapolation_decades", "status"]
    return pd.DataFrame(rows, columns=names)
