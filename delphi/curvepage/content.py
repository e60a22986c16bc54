"""Everything the page of learning curves shows, fitted before anything is drawn."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from delphi.arrays import frame_columns, to_pandas
from delphi.configs import ConfigSearch, search_configs
from delphi.curves import FORMS, PREFIXES, fit_curves, score_curves
from delphi.endpoints import EndpointLaws, fit_endpoints
from delphi.errors import DataError, FitWarning
from delphi.jointcurves import RIDGE
from delphi.jointscores import score_joint_curves
from delphi.shorthand import shortened
from delphi.trajectories import Trajectories, early_words, read_trajectories

__all__ = ["CurveAnalysis", "analyse_curves", "end_notes"]

TARGET = 0.01  # where the search stands at first
LADDER = 4  # scales that an endpoint law needs, one of them held out
ALL = "all"


@dataclass(frozen=True)
class CurveAnalysis:
    """Fits and scores of some runs, ready to be drawn.

    Attributes
    ----------
    runs : Trajectories
        Keys: run, scale, mix, lr; "all" in columns that the table does not have.
    fits, scores, by_scale : pandas.DataFrame
        Of `delphi.fit_curves` and `delphi.score_curves`.
    search : ConfigSearch
        At the first target.
    endpoints : tuple of EndpointLaws
        One a cutoff, rising; empty where compute is no number or has too few values.
    joint : pandas.DataFrame or None
        Of `delphi.score_joint_curves` with a column scope.
    notes : tuple of str
        What could not be fitted, and why.
    """

    runs: Trajectories
    fits: pd.DataFrame
    scores: pd.DataFrame
    by_scale: pd.DataFrame
    search: ConfigSearch
    endpoints: tuple[EndpointLaws, ...]
    joint: pd.DataFrame | None
    notes: tuple[str, ...]
    target: float
    level: float
    reading: tuple[str, ...]


def analyse_curves(
    frame: Any,
    *,
    run: str = "run",
    progress: str | None = None,
    step: str = "step",
    total: str | float | None = None,
    loss: str = "loss",
    scale: str | None = "scale",
    mix: str | None = "mix",
    lr: str | None = "lr",
    schedule: str | None = None,
    prefixes: Any = PREFIXES,
    min_progress: float = 0.0,
    held_out: float | None = None,
    target: float = TARGET,
    ridge: float = RIDGE,
    left_out: bool = True,
    level: float = 0.9,
    n_threads: int | None = None,
    bar: bool = False,
) -> CurveAnalysis:
    """Fit every curve, endpoint law and joint fit of some runs.

    Parameters
    ----------
    frame : DataFrame (pandas, polars, pyarrow)
        One row a point.
    run, progress, step, total, loss, schedule, prefixes, min_progress, level, n_threads, bar
        As in `delphi.fit_curves`.
    scale, mix, lr : str, optional
        Columns of compute, data mix and learning rate; columns called so by default, where the
        table has them.
    held_out : float, optional
        Runs of at least this compute are held out of endpoint laws; the largest scale by default.
    target : float
        Where the search for a configuration stands at first.
    ridge : float
        Of the joint fits.
    left_out : bool
        Score joint fits on cells that were cut or left out as well, which takes most of the time.

    Returns
    -------
    CurveAnalysis

    Raises
    ------
    DataError
        A table that cannot be read as learning curves, or without a finished run.
    """
    table, columns, notes = _named(frame, run, scale, mix, lr)
    where: dict[str, Any] = {
        "run": run, "progress": progress, "step": step, "total": total, "loss": loss,
    }  # fmt: skip
    by = list(columns.values())
    runs = read_trajectories(table, by=tuple(by), **where)
    notes += end_notes(runs, run)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        fits = fit_curves(
            table, by=by, schedule=schedule, prefixes=prefixes, min_progress=min_progress,
            level=level, n_threads=n_threads, bar=bar, **where,
        ).rename(columns={run: "run", **{v: k for k, v in columns.items()}})  # fmt: skip
        if not fits["actual_final"].notna().any():
            raise DataError("no run is finished: there is no final loss to judge a forecast by")
        endpoints, said = _endpoints(runs, columns, run, held_out)
        notes += said
        joint, said = _joint(
            table, runs, columns, where, left_out, ridge=ridge, prefixes=prefixes,
            min_progress=min_progress, n_threads=n_threads, bar=bar,
        )  # fmt: skip
        notes += said
    scores = score_curves(fits)
    by_scale = score_curves(fits, by=["scale", "prefix", "method"])
    search = search_configs(fits, target=target)
    keys = runs.keys.rename(columns={run: "run", **{v: k for k, v in columns.items()}})
    object.__setattr__(runs, "keys", keys)
    whole = CurveAnalysis(
        runs, fits, scores, by_scale, search, tuple(endpoints), joint, tuple(notes), target, level,
        (),
    )  # fmt: skip
    object.__setattr__(whole, "reading", tuple(_reading(whole)))
    return whole


def _named(
    frame: Any, run: str, scale: str | None, mix: str | None, lr: str | None
) -> tuple[pd.DataFrame, dict[str, str], list[str]]:
    """The table with a column for each of scale, mix and lr, and what had to be made up."""
    table = to_pandas(frame)
    frame_columns(table, [run])
    columns, notes = {}, []
    for noun, name in (("scale", scale), ("mix", mix), ("lr", lr)):
        if name is None or (name == noun and name not in table.columns):
            table = table.assign(**{f"delphi {noun}": ALL})
            columns[noun] = f"delphi {noun}"
            notes.append(f"The table has no column {noun}: all runs count as one.")
        else:
            columns[noun] = name
    return table, columns, notes


def end_notes(runs: Trajectories, run: str) -> list[str]:
    """What was taken for the end of the runs, where nobody said it."""
    if not runs.end_assumed:
        return []
    said = "No planned length (total) is named: the last step of every run is taken as its end."
    return [said, *([f"{early_words(runs, run)}."] if runs.early.any() else [])]


def _endpoints(
    runs: Trajectories, columns: dict[str, str], run: str, held_out: float | None
) -> tuple[list[EndpointLaws], list[str]]:
    """Laws at every cutoff that leaves two scales or more, or why there are none."""
    good = runs.finished & ~runs.diverged
    ends = runs.keys[good].rename(columns={v: k for k, v in columns.items()})
    ends = ends.assign(loss=runs.actual[good]).reset_index(drop=True)
    if not pd.api.types.is_numeric_dtype(ends["scale"]):
        return [], ["Scales are no numbers of FLOPs: there are no endpoint laws."]
    scales = np.sort(ends["scale"].unique())
    if not (scales > 0).all() or len(scales) < LADDER:
        return [], [f"Endpoint laws need {LADDER} scales above 0; there are {len(scales)}."]
    away = float(scales[-1]) if held_out is None else held_out
    below = scales[scales < away]
    if len(below) < 2:
        return [], [f"Fewer than two scales lie below {away:g}: there are no endpoint laws."]
    found = []
    for cutoff in below[1:]:
        found.append(
            fit_endpoints(
                ends, compute="scale", by=["mix", "lr"], cutoff=float(cutoff), held_out=away
            )
        )
    return found, []


def _joint(
    table: pd.DataFrame,
    runs: Trajectories,
    columns: dict[str, str],
    where: dict[str, Any],
    left_out: bool,
    **options: Any,
) -> tuple[pd.DataFrame | None, list[str]]:
    """Scores of both scopes, or why there are none."""
    axes: dict[str, Any] = {}
    for noun, argument in (("mix", "mix"), ("lr", "lr"), ("scale", "flops")):
        cells = runs.keys[columns[noun]]
        usable = noun == "mix" or (pd.api.types.is_numeric_dtype(cells) and (cells > 0).all())
        axes[argument] = columns[noun] if usable and cells.nunique() > 1 else None
    if not any(axes.values()):
        return None, ["Runs differ in no mix, learning rate or compute: there is no joint fit."]
    blocks = []
    scopes = ("global", "per-flop") if axes["flops"] and (axes["mix"] or axes["lr"]) else (
        "global",
    )  # fmt: skip
    for scope in scopes:
        more = left_out and scope == "global"
        kinds = ("own prefix", "cut", "left out") if more else ("own prefix",)
        part = score_joint_curves(
            table, scope=scope, kinds=kinds, forms=FORMS, losses="huber", **axes, **where, **options
        )
        # cells are left out under Huber's loss only, which is several times as quick
        extra = score_joint_curves(
            table, scope=scope, kinds=("own prefix",), forms=FORMS, losses="mae", **axes,
            **where, **options,
        )  # fmt: skip
        fresh = ~extra["method"].isin(part["method"].unique())
        part = pd.concat([part, extra[fresh]], ignore_index=True)
        blocks.append(part.assign(scope=scope))
    return pd.concat(blocks, ignore_index=True), []


def _reading(a: CurveAnalysis) -> list[str]:
    """The result in sentences."""
    keys = a.runs.keys
    done = int(np.isfinite(a.runs.actual).sum())
    said = [
        f"{len(keys)} runs, {done} of them finished; {keys['scale'].nunique()} scales, "
        f"{keys['mix'].nunique()} mixes, {keys['lr'].nunique()} learning rates."
    ]
    table = a.scores.set_index(["prefix", "method"])["mae"].unstack()
    for prefix in table.index:
        row = table.loc[prefix]
        if not np.isclose(prefix, 0.5) and len(table) > 1:
            continue
        said.append(
            f"From {prefix:g} of a run the ensemble misses the final loss by {row['ensemble']:.4g} "
            f"on average, the last value by {row['last value']:.4g}; the best single method is "
            f"{row.idxmin()} ({row.min():.4g})."
        )
    best = a.search.best
    if best is None:
        said.append(f"No method and prefix forecast every run within {a.target:g}.")
    else:
        said.append(
            f"{best['method']} forecasts every finished run within {a.target:g} from prefix "
            f"{best['prefix']:g} on (worst {best['worst']:.4g}); chosen on the runs that score it."
        )
    if a.joint is not None:
        own = a.joint[(a.joint["scope"] == "global") & (a.joint["kind"] == "own prefix")]
        first = own[own["prefix"] == own["prefix"].min()]
        joint = first[first["method"].str.startswith("joint-")]
        alone = first[~first["method"].str.startswith("joint-")]
        if len(joint) and joint["mae"].notna().any() and alone["mae"].notna().any():
            j, s = joint.loc[joint["mae"].idxmin()], alone.loc[alone["mae"].idxmin()]
            said.append(
                f"At prefix {j['prefix']:g} the best joint fit ({j['method']}) misses by "
                f"{j['mae']:.4g}, the best fit of runs alone ({s['method']}) by {s['mae']:.4g}."
            )
    if a.endpoints:
        held = a.endpoints[-1].held_out["percent_error"].abs()
        if held.notna().any():
            said.append(
                f"Endpoint laws miss the {int(held.notna().sum())} held-out runs by "
                f"{held.mean():.3g}% on average, {held.max():.3g}% at most."
            )
    bad = keys["run"][a.runs.diverged].tolist()
    if bad:
        names = ", ".join(shortened(str(name), 40) for name in bad[:5])
        more = f" and {len(bad) - 5} more" if len(bad) > 5 else ""
        said.append(f"Diverged: {names}{more}.")
    return [*said, *a.notes]
