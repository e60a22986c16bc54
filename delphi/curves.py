"""Learning curves: the final loss of a run from its first part, by every form and loss at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from . import _core
from .arrays import checked_level, frame_columns
from .conformal import conformal
from .curveensemble import ensemble_final
from .curveforms import FORMS, LOSSES
from .errors import DataError
from .progress import progress_bar
from .status import bits, status_texts, warn_about
from .threads import thread_count
from .trajectories import (
    PREFIXES,
    ROUNDING,
    CurveColumns,
    Trajectories,
    checked_prefixes,
    checked_start,
)

__all__ = ["fit_curves", "fit_trajectories", "score_curves"]

Floats = NDArray[np.float64]

BASELINES = ("last value", "best so far")
ENSEMBLE = "ensemble"
SHORT = 0.98  # of a prefix: a run that stops before it is short of it
_TOO_FEW = next(code for code, (name, _) in _core.STATUS.items() if name == "too_few_points")
_NUMBERS = ("F", "A", "theta_0", "theta_1", "objective", "delta", "noise")
_RESULTS = {
    "prefix", "method", "form", "loss", "n", *_NUMBERS, "predicted_final", "actual_final",
    "abs_error", "low", "high", "level", "n_calibration", "last_value", "progress_end",
    "decaying", "decays_later", "left_out", "status", "status_code",
}  # fmt: skip


def fit_curves(
    frame: Any,
    *,
    run: str = "run",
    progress: str | None = None,
    step: str = "step",
    total: str | float | None = None,
    loss: str = "loss",
    prefixes: Sequence[float] = PREFIXES,
    forms: Sequence[str] = FORMS,
    losses: Sequence[str] = LOSSES,
    delta: float | None = None,
    min_progress: float = 0.0,
    schedule: str | None = None,
    learning_rate: str | None = None,
    by: str | Sequence[str] = (),
    level: float = 0.9,
    n_threads: int | None = None,
    bar: bool = False,
) -> pd.DataFrame:
    """Predict the final loss of every run from each of its prefixes.

    A curve is loss(tau) = F + A s(tau; theta) with tau the run's own normalised progress, s(0) = 1
    and s(1) = 0, so that F is the final loss. (F, A) is solved for exactly within 0 <= F <= max
    loss and 0 <= A <= 2 max loss at every theta (variable projection; Golub and Pereyra 1973),
    under the mean absolute error or Huber's loss (Huber 1964).

    Parameters
    ----------
    frame : DataFrame (pandas, polars, pyarrow)
        One row a point, in any order.
    run, loss : str
        Columns that name the run and hold its loss.
    progress : str, optional
        Column of normalised progress, 0 to 1. Otherwise it is ``step`` over ``total``.
    step : str
        Column of steps or tokens.
    total : str or float, optional
        Planned length in the unit of ``step``: a number or a column. Each run's own last step by
        default, which is right for runs that have ended. Runs that then end before most runs that
        agree with them in some of the ``by`` columns get the status ``ends_early``.
    prefixes : sequence of float
        Fit on progress up to each of these, in (0, 1].
    forms : sequence of str
        Of "log", "exponential", "power", "rational".
    losses : sequence of str
        Of "mae" (mean absolute error) and "huber".
    delta : float, optional
        Of Huber's loss; 1.345 times the noise of each prefix by default.
    min_progress : float
        Leave out points below this progress (warm-up).
    schedule : str, optional
        Column that names the learning-rate schedule, one value a run: intervals are calibrated
        within a schedule where it has enough runs.
    learning_rate : str, optional
        Column of the learning rate at each point. Prefixes that end while it falls are marked
        ``decaying``; those after which it is known to fall ``decays_later``: what a decay will take
        off is in no prefix before it, so their forecasts are too high as a rule. Runs that end in
        mid-decay get the status ``mid_decay``.
    by : str or sequence of str
        Columns with one value a run that come along (scale, mix, lr, ...).
    level : float
        Level of the predictive intervals.
    n_threads : int, optional
        Threads; the CPUs available by default.
    bar : bool
        Show a progress bar.

    Returns
    -------
    pandas.DataFrame
        One row a run, prefix and method. The methods are the fits ("log-mae", ...), the baselines
        "last value" and "best so far", and the "ensemble". Columns: run, the ``by`` and
        ``schedule`` columns, prefix, method, form and loss ("" where there is none), n, F, A,
        theta_0, theta_1, objective (mean of the chosen loss), delta, noise, predicted_final,
        actual_final (NaN for an unfinished run), abs_error, low, high, level, n_calibration,
        last_value, progress_end, decaying, decays_later, left_out, status, status_code.

    Raises
    ------
    DataError
        Missing columns, text for numbers, progress outside 0 to 1, a bad option.

    Warns
    -----
    FitWarning
        One count for every status that is not "ok".

    Notes
    -----
    The ensemble is where the run stands (the fits plus their median residual at the last three
    points, within two standard deviations of the last value) less the drop that is left: the median
    of what the fits to all of the prefix say, what the same forms say on its later half (Huber's
    loss; within a factor of 2.5 of that), and how its last tenth goes on if it slows down as
    tau^-1/2. Where the later half once fell 3.5 times as fast as the run does at its end, a step
    lies in it, and the drop is the lesser of the first and the third. No learning rate, and nothing
    beyond the prefix, has a part in it.

    Intervals are conformal (Vovk, Gammerman and Shafer 2005): errors of the same method at the same
    prefix on the other finished runs, in units of the drop that the ensemble foresees. They need
    ``level / (1 - level)`` other runs, else low and high are NaN. With ``schedule`` a run is
    compared with its own schedule where that has enough runs; runs of the others with each other.

    Examples
    --------
    >>> import delphi
    >>> runs = delphi.simulate.curves(scales=(1e18, 1e19), mixes=("web",), lrs=(1e-3,), rng=0)
    >>> fits = delphi.fit_curves(runs, by=["scale"], prefixes=[0.5], forms=["power"])
    >>> fits["method"].unique().tolist()
    ['power-mae', 'power-huber', 'last value', 'best so far', 'ensemble']
    >>> best = fits[fits["method"] == "ensemble"]
    >>> bool((best["abs_error"] < 0.05).all())
    True
    """
    along = [by] if isinstance(by, str) else list(by)
    if schedule is not None and schedule not in along:
        along.append(schedule)
    taken = sorted(({run} | set(along)) & (_RESULTS - {"loss"}))
    if taken or "loss" in (run, *along):
        raise DataError(f"{taken or ['loss']}: names of results; rename the column first")
    runs = CurveColumns(run, progress, step, total, loss).read(
        frame, learning_rate=learning_rate, by=tuple(along)
    )
    return fit_trajectories(
        runs, prefixes=prefixes, forms=forms, losses=losses, delta=delta, min_progress=min_progress,
        schedule=schedule, level=level, n_threads=n_threads, bar=bar,
    )  # fmt: skip


def fit_trajectories(
    runs: Trajectories,
    *,
    prefixes: Any = PREFIXES,
    forms: Sequence[str] = FORMS,
    losses: Sequence[str] = LOSSES,
    delta: float | None = None,
    min_progress: float = 0.0,
    schedule: str | None = None,
    level: float = 0.9,
    n_threads: int | None = None,
    bar: bool = False,
) -> pd.DataFrame:
    """`fit_curves` for runs that are read already; the columns of ``runs.keys`` come along."""
    cuts = checked_prefixes(prefixes)
    level = checked_level(level)
    min_progress = checked_start(min_progress)
    forms = [forms] if isinstance(forms, str) else list(forms)
    losses = [losses] if isinstance(losses, str) else list(losses)
    starts, ends, halves = _slices(runs, cuts, min_progress)
    options = {"delta": delta, "n_threads": thread_count(n_threads)}
    records = _fit(runs, starts, ends, forms, losses, options, bar)
    # the ensemble alone sees these, and under Huber's loss they are as good and twice as fast
    half = _fit(runs, halves, ends, forms, ["huber"], options, bar)
    fits = _fit_rows(runs, cuts, starts, ends, records, half, forms, losses)
    _add_intervals(fits, schedule, level)
    warn_about(fits["status_code"], "forecasts")
    return fits.drop(columns="scale_of_error_")


def _slices(runs: Trajectories, cuts: Floats, least: float) -> tuple[Any, Any, Any]:
    """First, end and middle row of every prefix of every run; the points stay where they are."""
    starts, ends, halves = ([] for _ in range(3))
    for r in range(len(runs)):
        base = runs.offsets[r]
        tau = runs.tau[runs.points(r)]
        low = np.searchsorted(tau, least - ROUNDING, side="left")
        high = np.maximum(np.searchsorted(tau, cuts + ROUNDING, side="right"), low)
        half = np.searchsorted(tau, (least + cuts) / 2, side="left")
        starts.append(np.full(len(cuts), base + low))
        ends.append(base + high)
        halves.append(base + np.clip(half, low, high))
    empty = np.empty(0, np.int64)
    first, last, middle = (
        np.concatenate([empty, *parts]).astype(np.int64) for parts in (starts, ends, halves)
    )
    return first, last, middle


def _fit(
    runs: Trajectories, starts: Any, ends: Any, forms: Any, losses: Any, options: Any, bar: bool
) -> NDArray[np.void]:
    """The core's records, with its complaints about options as DataErrors."""
    try:
        with progress_bar(bar, "learning curves") as callback:
            return _core.curve_fit(
                runs.tau, runs.loss, starts, ends, forms=forms, losses=losses, progress=callback,
                **options,
            )  # fmt: skip
    except (ValueError, TypeError, OverflowError) as error:
        raise DataError(str(error)) from None


def _fit_rows(
    runs: Trajectories,
    cuts: Floats,
    starts: Any,
    ends: Any,
    records: NDArray[np.void],
    half: NDArray[np.void],
    forms: Sequence[str],
    losses: Sequence[str],
) -> pd.DataFrame:
    """All methods of all slices as one frame."""
    n_slices, n_fits = len(starts), len(forms) * len(losses)
    names = [f"{form}-{kind}" for form in forms for kind in losses]
    methods = [*names, *BASELINES, ENSEMBLE]
    width = len(methods)
    owner = np.repeat(np.arange(len(runs)), len(cuts))
    empty = ends <= starts
    last = np.full(n_slices, np.nan)
    best, reached = last.copy(), last.copy()
    for k in np.flatnonzero(~empty):
        last[k] = runs.loss[ends[k] - 1]
        best[k] = runs.loss[starts[k] : ends[k]].min()
        reached[k] = runs.tau[ends[k] - 1]
    flat = records.reshape(n_slices, n_fits)
    ensemble = ensemble_final(runs, starts, ends, records, half, forms)

    columns: dict[str, Any] = {
        str(name): np.repeat(runs.keys[name].to_numpy()[owner], width) for name in runs.keys
    }
    columns["prefix"] = np.repeat(np.tile(cuts, len(runs)), width)
    columns["method"] = np.tile(np.array(methods, object), n_slices)
    blank = [""] * (width - n_fits)
    columns["form"] = np.tile(
        np.array([f for f in forms for _ in losses] + blank, object), n_slices
    )
    columns["loss"] = np.tile(np.array(list(losses) * len(forms) + blank, object), n_slices)
    columns["n"] = np.repeat(ends - starts, width)
    for name in _NUMBERS:
        table = np.full((n_slices, width), np.nan)
        table[:, :n_fits] = flat[name]
        columns[name] = table.ravel()
    predicted = np.empty((n_slices, width))
    predicted[:, :n_fits] = flat["F"]
    predicted[:, n_fits:] = np.column_stack((last, best, ensemble))
    columns["predicted_final"] = predicted.ravel()
    columns["actual_final"] = np.repeat(runs.actual[owner], width)
    columns["abs_error"] = np.abs(columns["predicted_final"] - columns["actual_final"])
    columns["last_value"] = np.repeat(last, width)
    columns["progress_end"] = np.repeat(reached, width)
    falling = [runs.decaying_at(int(owner[k]), int(ends[k])) for k in range(n_slices)]
    columns["decaying"] = np.repeat(np.array(falling, bool), width)
    later = [runs.decays_after(int(owner[k]), int(ends[k])) for k in range(n_slices)]
    columns["decays_later"] = np.repeat(np.array(later, bool), width)
    columns["left_out"] = np.repeat(runs.left_out[owner], width)

    said = np.zeros(n_slices, np.int64)
    short = ~empty & (reached < SHORT * np.tile(cuts, len(runs))) & ~runs.finished[owner]
    for where, word in (
        (runs.left_out[owner] > 0, "points_left_out"),
        (runs.cut[owner], "mid_decay"),
        (runs.diverged[owner], "diverged"),
        (~runs.finished[owner], "unfinished"),
        (runs.early[owner], "ends_early"),
        (short, "short_prefix"),
    ):
        said[where] |= bits(word)
    codes = np.zeros((n_slices, width), np.int64)
    codes[:, :n_fits] = flat["status"]
    codes[empty, n_fits:] = _TOO_FEW
    codes = np.where(codes >= 0, codes | said[:, None], codes)
    columns["status"] = status_texts(codes.ravel())
    columns["status_code"] = codes.ravel()
    noise = np.nan_to_num(flat["noise"]).max(axis=1) if n_fits else np.zeros(n_slices)
    unit = np.fmax(np.abs(last - ensemble), noise)
    columns["scale_of_error_"] = np.repeat(np.where(unit > 0, unit, np.nan), width)
    return pd.DataFrame(columns)


def _add_intervals(fits: pd.DataFrame, schedule: str | None, level: float) -> None:
    """Low and high of every forecast from the errors of the same method on the other runs."""
    n = len(fits)
    reach = np.full(n, np.nan)
    calibration = np.zeros(n, np.int64)
    unit = fits["scale_of_error_"].to_numpy(float)
    usable = fits["abs_error"].notna().to_numpy() & ~(
        (fits["status_code"].to_numpy() > 0)
        & ((fits["status_code"].to_numpy() & bits("diverged") & 0xFFFFFF) != 0)
    )
    ratio = np.where(usable & (unit > 0), fits["abs_error"].to_numpy(float) / unit, np.nan)
    for cell in fits.groupby(["method", "prefix"], sort=False, observed=True).indices.values():
        for rows in _peers(fits, cell, schedule, np.isfinite(ratio), level):
            width, count = conformal(ratio[rows], level)
            known = np.isfinite(width)
            reach[rows[known]] = width[known] * unit[rows[known]]
            calibration[rows[known]] = count[known]
    place = fits.columns.get_loc("abs_error")
    predicted = fits["predicted_final"].to_numpy(float)
    fits.insert(cast(int, place) + 1, "low", predicted - reach)
    fits.insert(cast(int, place) + 2, "high", predicted + reach)
    fits.insert(cast(int, place) + 3, "level", level)
    fits.insert(cast(int, place) + 4, "n_calibration", calibration)


def _peers(
    fits: pd.DataFrame,
    cell: NDArray[np.int64],
    schedule: str | None,
    known: NDArray[np.bool_],
    level: float,
) -> list[NDArray[np.int64]]:
    """Rows that calibrate each other: by schedule where it has enough runs, the rest together.

    Small schedules among easier ones would be promised too much, hence not all with all.
    """
    if schedule is None:
        return [cell]
    least = int(np.ceil(1 / (1 - level) - 1e-9))  # runs, each with enough others
    parts: list[NDArray[np.int64]] = []
    rest: list[NDArray[np.int64]] = []
    for rows in pd.Series(cell).groupby(fits[schedule].to_numpy()[cell], dropna=False):
        part = rows[1].to_numpy()
        (parts if known[part].sum() >= least else rest).append(part)
    if rest:
        left = np.sort(np.concatenate(rest))
        if known[left].sum() >= least:
            parts.append(left)
        else:  # too few even together: all runs, for them alone
            return [cell, *parts]
    return parts


def score_curves(fits: Any, *, by: str | Sequence[str] = ("method", "prefix")) -> pd.DataFrame:
    """Mean and worst error of forecasts of finished runs, and how often their intervals held.

    Parameters
    ----------
    fits : DataFrame
        Of `fit_curves`.
    by : str or sequence of str
        Columns to score by, such as ("scale", "prefix", "method").

    Returns
    -------
    pandas.DataFrame
        One row a combination: the ``by`` columns, n_runs, mae, worst (of abs_error), bias (mean of
        predicted minus actual), n_failed (forecasts of finished runs without a number), coverage
        (share of intervals that hold the truth, each calibrated without its own run), n_intervals,
        and best: True for the fit (no baseline, no ensemble) of lowest mae among its peers, where
        "method" is one of ``by``.

    Raises
    ------
    DataError
        A column is missing.

    Examples
    --------
    >>> import delphi
    >>> runs = delphi.simulate.curves(mixes=("web",), rng=0)
    >>> fits = delphi.fit_curves(runs, by="scale", prefixes=[0.5], forms=["power"])
    >>> table = delphi.score_curves(fits, by=["scale", "method"])
    >>> int(table["best"].sum()) == table["scale"].nunique()
    True
    """
    labels = [by] if isinstance(by, str) else list(by)
    needed = [
        *labels, "method", "form", "predicted_final", "actual_final",
        "abs_error", "low", "high",
    ]  # fmt: skip
    table = frame_columns(fits, list(dict.fromkeys(needed))).copy()
    table = table[table["actual_final"].notna()]
    table["bias"] = table["predicted_final"] - table["actual_final"]
    has = table["low"].notna()
    inside = (table["low"] <= table["actual_final"]) & (table["actual_final"] <= table["high"])
    table["inside"] = np.where(has, inside.astype(float), np.nan)
    grouped = table.groupby(labels, sort=True, observed=True)
    out = grouped.agg(
        n_runs=("abs_error", "count"),
        mae=("abs_error", "mean"),
        worst=("abs_error", "max"),
        bias=("bias", "mean"),
        n_failed=("abs_error", lambda e: int(e.isna().sum())),
        coverage=("inside", "mean"),
        n_intervals=("inside", "count"),
    ).reset_index()
    if "method" in labels:
        fitted = set(table.loc[table["form"] != "", "method"])
        mae = out["mae"].where(out["method"].isin(fitted))
        others = [label for label in labels if label != "method"]
        lowest = mae.groupby([out[o] for o in others]).transform("min") if others else mae.min()
        out["best"] = mae.notna() & (mae == lowest)
    return out
