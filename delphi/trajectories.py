"""Runs as learning curves: one progress each, sorted, with an account of what was left out."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, fields, replace
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .arrays import column, floats, frame_columns
from .errors import DataError, DataWarning
from .groups import group_rows
from .shorthand import printable, shortened

__all__ = [
    "PREFIXES",
    "CurveColumns",
    "Trajectories",
    "checked_prefixes",
    "checked_start",
    "early_words",
    "final_losses",
    "read_trajectories",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FINISHED = 0.99  # of the planned total: a run this far has reached its end
ROUNDING = 1e-9
FALLING = 0.02  # of progress, over which a learning rate must fall to count as decaying
DECAYED = 0.25  # of its peak: a learning rate still falling above this was cut in its decay
CHANGE = 0.01  # of a learning rate: by how much it must fall to have fallen
PREFIXES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
NAMED = 5  # runs, in a sentence
LABELS = 4  # columns, of which every combination is looked at for runs alike
DIVERGED = 0.25  # of the fall so far that a run has given back at its end


@dataclass(frozen=True)
class CurveColumns:
    """Which column of a frame holds what: the arguments that all of learning curves share.

    Attributes
    ----------
    run, progress, step, total, loss
        As in `delphi.fit_curves`.
    """

    run: str = "run"
    progress: str | None = None
    step: str = "step"
    total: str | float | None = None
    loss: str = "loss"

    @property
    def named(self) -> dict[str, Any]:
        """The same as keyword arguments."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def read(self, frame: Any, **along: Any) -> Trajectories:
        """`read_trajectories` of these columns."""
        return read_trajectories(frame, **self.named, **along)


@dataclass(frozen=True)
class Trajectories:
    """Learning curves end to end: run r owns points offsets[r] to offsets[r + 1].

    Attributes
    ----------
    keys : pandas.DataFrame
        One row a run: its name, then the columns that came along.
    offsets : numpy.ndarray, shape (n_runs + 1,)
        Where each run begins.
    tau, loss : numpy.ndarray
        Progress in [0, 1], not decreasing within a run, and loss, both finite.
    rate : numpy.ndarray or None
        Learning rates at the same points.
    left_out : numpy.ndarray, shape (n_runs,)
        Rows of each run without a finite step or loss.
    actual : numpy.ndarray, shape (n_runs,)
        Final loss, the mean of the points at the last step; NaN for a run without one.
    finished, diverged, cut : numpy.ndarray of bool, shape (n_runs,)
        Has reached its end; ended without a finite loss or far above its best; ended while its
        learning rate was still falling.
    end_assumed : bool
        No planned length and no progress were given: each run's last step is taken as its end.
    early : numpy.ndarray of bool, shape (n_runs,)
        Where ends are assumed: ends before the step that most runs like it share as their last,
        and so may be unfinished.
    columns : CurveColumns
        Where all of this was read from.
    """

    keys: pd.DataFrame
    offsets: Ints
    tau: Floats
    loss: Floats
    rate: Floats | None
    left_out: Ints
    actual: Floats
    finished: NDArray[np.bool_]
    diverged: NDArray[np.bool_]
    cut: NDArray[np.bool_]
    end_assumed: bool
    early: NDArray[np.bool_]
    columns: CurveColumns

    def __len__(self) -> int:
        return len(self.keys)

    def points(self, r: int) -> slice:
        """The points of run r."""
        return slice(int(self.offsets[r]), int(self.offsets[r + 1]))

    def only(self, keep: NDArray[np.bool_]) -> Trajectories:
        """The runs of a mask."""
        counts = np.diff(self.offsets)
        rows = np.repeat(keep, counts)
        per_run = ("left_out", "actual", "finished", "diverged", "cut", "early")
        return replace(
            self,
            keys=self.keys[keep].reset_index(drop=True),
            offsets=np.concatenate(([0], np.cumsum(counts[keep]))).astype(np.int64),
            tau=self.tau[rows],
            loss=self.loss[rows],
            rate=None if self.rate is None else self.rate[rows],
            **{name: getattr(self, name)[keep] for name in per_run},
        )

    def decaying_at(self, r: int, end: int) -> bool:
        """True if the learning rate of run r was falling up to the point before ``end``."""
        return self.rate is not None and _falling(
            self.tau[self.offsets[r] : end], self.rate[self.offsets[r] : end]
        )

    def decays_after(self, r: int, end: int) -> bool:
        """True if the learning rate of run r is known to fall after the point before ``end``."""
        first = int(self.offsets[r])
        if self.rate is None or end <= first:
            return False
        later = self.rate[end - 1 : int(self.offsets[r + 1])]
        return bool(np.isfinite(later[0]) and (later[1:] < later[0] * (1 - CHANGE)).any())


def read_trajectories(
    frame: Any,
    *,
    run: str = "run",
    progress: str | None = None,
    step: str = "step",
    total: str | float | None = None,
    loss: str = "loss",
    learning_rate: str | None = None,
    by: tuple[str, ...] = (),
) -> Trajectories:
    """Sort the rows of a frame into learning curves.

    Parameters
    ----------
    frame : DataFrame (pandas, polars, pyarrow)
        One row a point.
    run, loss : str
        Columns that name the run and hold its loss.
    progress : str, optional
        Column of normalised progress, 0 to 1. Otherwise it is ``step`` over ``total``.
    step : str
        Column of steps (or tokens), at least 0.
    total : str or float, optional
        Planned length, in the unit of ``step``: a number, or a column with one value a run. Each
        run's own last step by default: an unfinished run then counts as one that has ended, and
        only its ``early`` can show it.
    learning_rate : str, optional
        Column of the learning rate at each point.
    by : tuple of str
        Columns with one value a run that come along.

    Returns
    -------
    Trajectories

    Raises
    ------
    DataError
        Missing columns, text for numbers, a progress outside 0 to 1, a column that changes
        within a run.

    Examples
    --------
    >>> frame = pd.DataFrame({"run": ["a"] * 3, "step": [2, 1, 4], "loss": [3.0, 4.0, 2.5]})
    >>> curves = read_trajectories(frame)
    >>> curves.tau.tolist(), curves.actual.tolist()
    ([0.25, 0.5, 1.0], [2.5])
    """
    where = progress if progress is not None else step
    names = [run, *by, where, loss]
    names += [total] if isinstance(total, str) else []
    names += [learning_rate] if learning_rate is not None else []
    if run in by:
        raise DataError(f"by: {run!r} is the run already")
    table = frame_columns(frame, list(dict.fromkeys(names)))
    table.attrs = {}  # pandas would copy them, deeply, at every step from here
    order, offsets, keys = group_rows(table[run], names=[run])
    table = table.iloc[order]
    group = np.repeat(np.arange(len(keys)), np.diff(offsets))
    y = column(table[loss], loss, strict=False, least=0)
    tau, length = _progress(table, where, progress is not None, total, offsets, group, order)
    for name in by:
        keys[name] = _one_a_run(table[name], name, offsets, group, order)
    assumed = progress is None and total is None
    early = _early(keys, by, length) if assumed else np.zeros(len(keys), bool)

    good = np.isfinite(tau) & np.isfinite(y)
    left_out = np.bincount(group[~good], minlength=len(keys)).astype(np.int64)
    # a loss that is missing, or infinite, at the last step: the run did not end well
    last_bad = np.zeros(len(keys))
    np.maximum.at(last_bad, group[~good & np.isfinite(tau)], tau[~good & np.isfinite(tau)])
    rows = np.flatnonzero(good)
    rows = rows[np.lexsort((tau[rows], group[rows]))]
    rate = None
    if learning_rate is not None:
        rate = column(table[learning_rate], learning_rate, strict=False, least=0)[rows]
    counts = np.bincount(group[rows], minlength=len(keys))
    starts = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
    tau, y = tau[rows], y[rows]

    n = len(keys)
    actual = np.full(n, np.nan)
    finished, diverged, cut = (np.zeros(n, bool) for _ in range(3))
    for r in range(n):
        t, v = tau[starts[r] : starts[r + 1]], y[starts[r] : starts[r + 1]]
        if not len(t):
            diverged[r] = left_out[r] > 0
            continue
        finished[r] = t[-1] >= FINISHED - ROUNDING and last_bad[r] <= t[-1]
        final = float(v[t == t[-1]].mean())
        best = float(v.min())
        diverged[r] = last_bad[r] > t[-1] or final - best > DIVERGED * (float(v[0]) - best) > 0
        if finished[r]:
            actual[r] = final
        if rate is not None:
            lr = rate[starts[r] : starts[r + 1]]
            peak = float(np.nanmax(lr)) if np.isfinite(lr).any() else np.nan
            cut[r] = _falling(t, lr) and bool(lr[-1] > DECAYED * peak)
    return Trajectories(
        keys, starts, tau, y, rate, left_out, actual, finished, diverged, cut, assumed, early,
        CurveColumns(run, progress, step, total, loss),
    )  # fmt: skip


def _progress(
    table: pd.DataFrame,
    where: str,
    given: bool,
    total: str | float | None,
    offsets: Ints,
    group: Ints,
    order: Ints,
) -> tuple[Floats, Floats]:
    """Progress of every row, NaN where there is none, and the length of every run."""
    x = column(table[where], where, strict=False, least=0)
    n = len(offsets) - 1
    if given:
        length = np.ones(n)
    elif total is None:
        length = np.zeros(n)
        np.maximum.at(length, group[np.isfinite(x)], x[np.isfinite(x)])
        length[length == 0] = np.nan
    elif isinstance(total, str):
        length = column(
            pd.Series(_one_a_run(table[total], total, offsets, group, order)), total, least=0
        )
    else:
        number = isinstance(total, (int, float, np.number)) and not isinstance(total, bool)
        if not number or not 0 < total < np.inf:
            raise DataError(f"total: expected a column or a positive number, got {total!r}")
        length = np.full(n, float(total))
    with np.errstate(invalid="ignore"):
        tau = np.where(np.isfinite(x), x / length[group], np.nan)
        wrong = (tau < 0) | (tau > 1 + ROUNDING)
    if wrong.any():
        first = int(np.flatnonzero(wrong)[np.argmin(order[wrong])])
        what = "progress" if given else f"{where} over total"
        raise DataError(
            f"{where}: row {int(order[first]) + 1}: {what} is {tau[first]:g}, not between 0 and 1"
            f" ({int(wrong.sum())} such rows)"
        )
    return np.minimum(tau, 1), length


def _early(keys: pd.DataFrame, by: tuple[str, ...], length: Floats) -> NDArray[np.bool_]:
    """Runs that end before the step at which most runs like them do.

    Alike are the runs that agree in some of the columns, or in none of them. Where at least half
    of those end at one step, and at no other as many, it is what the rest should have reached. A
    run that has reached the common end of any such group is at its end.
    """
    before, reached = np.zeros(len(keys), bool), np.zeros(len(keys), bool)
    most = range(len(by) + 1) if len(by) <= LABELS else (0, 1, len(by))
    for names in (names for k in most for names in combinations(by, k)):
        cells = keys.groupby(list(names), dropna=False, sort=False).indices.values() if names else (
            np.arange(len(keys)),
        )  # fmt: skip
        for rows in cells:
            own = length[rows]
            common = _common(own[np.isfinite(own)])
            before[rows] |= own < FINISHED * common
            reached[rows] |= own >= FINISHED * common
    return before & ~reached


def _common(lengths: Floats) -> float:
    """The length that at least half of some runs share, no other being as frequent; else NaN."""
    ends = np.sort(lengths)
    if len(ends) < 2:
        return np.nan
    together = np.arange(1, len(ends) + 1) - np.searchsorted(ends, FINISHED * ends)
    top = int(together.argmax())
    elsewhere = together[(ends < FINISHED * ends[top]) | (FINISHED * ends > ends[top])]
    enough = together[top] >= max(2, len(ends) / 2)
    return float(ends[top]) if enough and (elsewhere < together[top]).all() else np.nan


def _one_a_run(values: pd.Series, name: str, offsets: Ints, group: Ints, order: Ints) -> Any:
    """The one value that a column has in every run."""
    cells = values.reset_index(drop=True)
    first = cells.iloc[offsets[:-1]].reset_index(drop=True)
    spread = first.iloc[group].reset_index(drop=True)
    differs = ((cells != spread) & ~(cells.isna() & spread.isna())).to_numpy(bool)
    if differs.any():
        row = int(order[np.flatnonzero(differs)[0]]) + 1
        raise DataError(f"{name}: changes within a run, first in row {row} (rows counted from 1)")
    return first.to_numpy()


def _falling(tau: Floats, rate: Floats) -> bool:
    """True if the learning rate falls over the last stretch of these points."""
    if len(tau) < 2 or not np.isfinite(rate[-1]):
        return False
    before = int(np.searchsorted(tau, tau[-1] - FALLING, side="right")) - 1
    before = min(max(before, 0), len(tau) - 2)
    return bool(rate[-1] < rate[before] * (1 - 1e-6))


def final_losses(
    frame: Any,
    *,
    run: str = "run",
    progress: str | None = None,
    step: str = "step",
    total: str | float | None = None,
    loss: str = "loss",
    by: str | list[str] | tuple[str, ...] = (),
) -> pd.DataFrame:
    """The final loss of every finished run that did not diverge, one row each.

    Parameters
    ----------
    frame : DataFrame (pandas, polars, pyarrow)
        One row a point, in any order.
    run, loss : str
        Columns that name the run and hold its loss.
    progress, step, total
        As in `delphi.fit_curves`.
    by : str or list of str
        Columns with one value a run that come along.

    Returns
    -------
    pandas.DataFrame
        run, the ``by`` columns, loss. ``attrs["left_out"]`` names the runs left out, with why.

    Warns
    -----
    DataWarning
        Without ``total``, runs that end before most runs like them: their last step is taken as
        their end.

    Examples
    --------
    >>> frame = pd.DataFrame({"run": ["a"] * 3, "step": [1, 2, 4], "loss": [4.0, 3.0, 2.5]})
    >>> final_losses(frame)["loss"].tolist()
    [2.5]
    """
    along = (by,) if isinstance(by, str) else tuple(by)
    runs = CurveColumns(run, progress, step, total, loss).read(frame, by=along)
    if runs.early.any():
        warnings.warn(early_words(runs), DataWarning, stacklevel=2)
    keep = runs.finished & ~runs.diverged
    table = runs.keys[keep].reset_index(drop=True)
    table["loss"] = runs.actual[keep]
    table.attrs["left_out"] = {
        str(name): "diverged" if bad else "unfinished"
        for name, bad in zip(runs.keys.loc[~keep, run], runs.diverged[~keep], strict=True)
    }
    return table


def early_words(runs: Trajectories) -> str:
    """Which runs may be unfinished, in a sentence."""
    names = [shortened(printable(name), 40) for name in runs.keys.loc[runs.early, runs.columns.run]]
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    few = len(names) == 1
    return (
        f"{', '.join(names[:NAMED])}{more} {'ends' if few else 'end'} before most runs like"
        f" {'it' if few else 'them'}, and the last step is taken as the end: if"
        f" {'it is' if few else 'they are'} unfinished, name the planned length (total)"
    )


def checked_prefixes(prefixes: Any) -> Floats:
    """Prefixes in (0, 1], rising; a `DataError` names what is wrong with them."""
    cuts = np.atleast_1d(floats(prefixes, "prefixes"))
    if cuts.ndim != 1 or not len(cuts) or not ((cuts > 0) & (cuts <= 1)).all():
        raise DataError(f"prefixes: expected numbers in (0, 1], got {prefixes!r}")
    if len(set(cuts.tolist())) < len(cuts):
        raise DataError(f"prefixes: expected each once, got {prefixes!r}")
    return np.sort(cuts)


def checked_start(least: float) -> float:
    """``min_progress`` as a number in [0, 1), or a `DataError`."""
    if not (isinstance(least, (int, float)) and 0 <= least < 1):
        raise DataError(f"min_progress: expected a number in [0, 1), got {least!r}")
    return float(least)
