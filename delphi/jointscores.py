"""What sharing is worth: joint fits beside per-run fits, also on cells that they have not seen."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from .curveforms import FORMS, LOSSES
from .curves import fit_trajectories
from .errors import DataError, FitWarning
from .jointcurves import RIDGE
from .jointgroups import JointOptions, fit_group, joint_options, read_joint, scope_groups
from .progress import progress_bar
from .trajectories import PREFIXES, CurveColumns, Trajectories

__all__ = ["score_joint_curves"]

KINDS = ("own prefix", "cut", "left out")
AXES = ("mix", "lr", "flops")


def score_joint_curves(
    frame: Any,
    *,
    run: str = "run",
    progress: str | None = None,
    step: str = "step",
    total: str | float | None = None,
    loss: str = "loss",
    mix: str | None = "mix",
    lr: str | None = "lr",
    flops: str | None = "scale",
    scope: str = "global",
    forms: str | Sequence[str] = FORMS,
    losses: str | Sequence[str] = LOSSES,
    prefixes: Sequence[float] = PREFIXES,
    theta: str = "shared",
    interactions: bool = True,
    ridge: float = RIDGE,
    delta: float | None = None,
    min_progress: float = 0.0,
    kinds: Sequence[str] = KINDS,
    cells: Sequence[str] = AXES,
    details: bool = False,
    n_threads: int | None = None,
    bar: bool = False,
) -> pd.DataFrame:
    """Score joint fits on final losses: on the runs they saw, and on cells that were left out.

    Three kinds of forecast, each from the same prefix p:

    - "own prefix": all runs are seen up to p (the fit of `delphi.fit_joint_curves`);
    - "cut": the runs of one cell (a mix, a learning rate, a compute) are seen up to p, all others
      to their end: how will these runs end, given what has finished;
    - "left out": the cell is not seen at all, all others up to p.

    Beside them stand the fits of each run alone and its last value at the same prefix.

    Parameters
    ----------
    frame, run, progress, step, total, loss, mix, lr, flops, scope, forms, losses, prefixes, theta,
    interactions, ridge, delta, min_progress, n_threads
        As in `delphi.fit_joint_curves`; mix is one column here.
    kinds : sequence of {"own prefix", "cut", "left out"}
        Which forecasts to score.
    cells : sequence of {"mix", "lr", "flops"}
        Which cells to leave out, one value at a time; those of one value only are not.
    details : bool
        Return the forecasts themselves, one row each.
    bar : bool
        Show a progress bar over cells.

    Returns
    -------
    pandas.DataFrame
        kind, cells ("mix", "lr", "flops", "" for "own prefix"), prefix, method, n_runs, mae, worst,
        bias (mean of predicted minus actual), n_failed. Methods are "joint-power-mae", the same
        with "-anchored" (a run keeps its distance from what its recipe says; not for cells that
        were not seen), "power-mae" and "last value" (each run alone: the same numbers for every
        kind).

    Raises
    ------
    DataError
        As `delphi.fit_joint_curves`; an unknown kind or cell, no finished run.

    Notes
    -----
    A cell at the edge of the grid (the largest compute, a new mix) is an extrapolation: F is then
    what the terms make of it, and a new mix is taken for the average one.

    Examples
    --------
    >>> import delphi
    >>> runs = delphi.simulate.curves(rng=1)
    >>> table = score_joint_curves(runs, prefixes=[0.1], forms="power", losses="huber")
    >>> joint, alone = (table[(table["kind"] == "cut") & (table["cells"] == "flops")]
    ...                 .set_index("method")["mae"][["joint-power-huber", "power-huber"]])
    >>> bool(joint < alone)
    True
    """
    unknown = [k for k in kinds if k not in KINDS] + [c for c in cells if c not in AXES]
    if unknown:
        raise DataError(f"unknown {unknown[0]!r}: kinds are {KINDS}, cells are {AXES}")
    options = joint_options(
        mix, lr, flops, scope, forms, losses, prefixes, theta, interactions, ridge, delta,
        min_progress, n_threads,
    )  # fmt: skip
    runs = read_joint(frame, CurveColumns(run, progress, step, total, loss), options)
    points = np.diff(runs.offsets) > 0
    use = points & ~runs.diverged
    judged = use & np.isfinite(runs.actual)
    if not judged.any():
        raise DataError("no finished run to score on")
    columns = {"mix": mix, "lr": lr, "flops": flops}
    jobs = list(_jobs(runs, use, options, kinds, cells, columns))
    parts = []
    with progress_bar(bar, "cells") as callback:
        for done, (kind, axis, members, targets) in enumerate(jobs):
            whole = None if kind != "cut" else set(members.tolist()) - set(targets.tolist())
            fit = fit_group(runs, members, targets, options, whole=whole)
            part = fit.predictions
            if kind == "left out":  # nothing of these runs was seen to anchor to
                part = part[~part["method"].str.endswith("-anchored")]
            parts.append(part.assign(kind=kind, cells=axis))
            if callback is not None:
                callback(done + 1, len(jobs))
    table = pd.concat(parts, ignore_index=True)
    table = table[table["actual_final"].notna()]
    alone = _alone(runs, options)
    table = with_alone(table, alone, run)
    if details:
        return table
    return joint_scores(table)


FORECAST = ["kind", "cells", "prefix", "method", "predicted_final", "actual_final"]


def with_alone(table: pd.DataFrame, alone: pd.DataFrame, run: str) -> pd.DataFrame:
    """Joint forecasts of finished runs, beside those of each run by itself for every kind.

    Parameters
    ----------
    table : DataFrame
        Joint forecasts with their kind and cells.
    alone : DataFrame
        Of `delphi.fit_curves`, on the same prefixes.
    run : str
        Column that names the run, in both.
    """
    seen = table[[run, "kind", "cells"]].drop_duplicates()
    own = seen.merge(alone[alone["method"] != "best so far"], on=run)
    keep = [run, *FORECAST]
    both = pd.concat([table[keep], own[keep]], ignore_index=True)
    both["abs_error"] = (both["predicted_final"] - both["actual_final"]).abs()
    return both


def joint_scores(table: pd.DataFrame) -> pd.DataFrame:
    """Errors of forecasts, one row a kind, cells, prefix and method."""
    table = table.assign(bias=table["predicted_final"] - table["actual_final"])
    grouped = table.groupby(["kind", "cells", "prefix", "method"], sort=False)
    return grouped.agg(
        n_runs=("abs_error", "count"), mae=("abs_error", "mean"), worst=("abs_error", "max"),
        bias=("bias", "mean"), n_failed=("abs_error", lambda e: int(e.isna().sum())),
    ).reset_index()  # fmt: skip


def _jobs(
    runs: Any, use: Any, options: JointOptions, kinds: Any, cells: Any, columns: dict[str, Any]
) -> Any:
    """Kind, axis, runs to fit and runs to forecast of every fit."""
    for _, rows in scope_groups(runs, options):
        rows = rows[use[rows]]
        if len(rows) and "own prefix" in kinds:
            yield "own prefix", "", rows, rows
        for axis in cells:
            if columns[axis] is None or (axis == "flops" and options.scope == "per-flop"):
                continue
            values = runs.keys[columns[axis]].to_numpy()[rows]
            levels = pd.unique(values)
            if len(levels) < 2:
                continue
            for level in levels:
                inside = values == level
                if "cut" in kinds:
                    yield "cut", axis, rows, rows[inside]
                if "left out" in kinds:
                    yield "left out", axis, rows[~inside], rows[inside]


def _alone(runs: Trajectories, options: JointOptions) -> pd.DataFrame:
    """The fits of each run by itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        return fit_trajectories(
            runs, prefixes=options.cuts, forms=options.forms, losses=options.losses,
            delta=options.delta, min_progress=options.least, n_threads=options.n_threads,
        )  # fmt: skip
