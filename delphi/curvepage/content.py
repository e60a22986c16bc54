"""Everything the page of learning curves shows, fitted before anything is drawn."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from delphi.arrays import frame_columns, to_pandas
from delphi.card import Card
from delphi.configs import ConfigSearch, search_configs
from delphi.curvecard import card_of_row
from delphi.curveforms import LOSSES
from delphi.curves import fit_trajectories, score_curves
from delphi.endpoints import EndpointLaws, fit_endpoints
from delphi.errors import DataError, FitWarning
from delphi.figures.curves import scale_name
from delphi.jointcurves import RIDGE, JointCurves, fit_joint_curves
from delphi.jointscores import joint_scores, score_joint_curves, with_alone
from delphi.shorthand import printable, shortened
from delphi.trajectories import PREFIXES, CurveColumns, Trajectories, early_words

__all__ = ["CurveAnalysis", "Grid", "analyse_curves", "end_notes", "read_grid"]

RIDGES = (RIDGE, 1e-4, 1e-2)
CARDED = "power-huber"  # the fit whose cards are written: the one that the page shows first
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
        Of `delphi.score_joint_curves` with columns scope and ridge.
    joints : tuple of JointCurves
        The joint fits of all runs themselves, by scope and ridge.
    cards, run_cards : dict of str to Card
        Fit cards of the joint fits and the endpoint laws; of one fit of every run.
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
    joints: tuple[JointCurves, ...]
    cards: dict[str, Card]
    run_cards: dict[str, Card]
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
    ridge: float | Sequence[float] = RIDGES,
    left_out: bool = True,
    card: tuple[str, float] | None = None,
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
    ridge : float or sequence of float
        Of the joint fits, for the page to choose among. Cells are cut and left out under the
        first of them.
    left_out : bool
        Score joint fits on cells that were cut or left out as well, which takes most of the time.
    card : (str, float), optional
        Method and prefix whose fit of each run gets a card; "power-huber" at the middle prefix by
        default.

    Returns
    -------
    CurveAnalysis

    Raises
    ------
    DataError
        A table that cannot be read as learning curves, or without a finished run.
    """
    grid = read_grid(
        frame, CurveColumns(run, progress, step, total, loss), scale, mix, lr, schedule=schedule
    )
    runs, notes = grid.runs, [*grid.notes]
    ridges = tuple(float(r) for r in np.atleast_1d(np.asarray(ridge, float)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        fits = fit_trajectories(
            runs, schedule=None if schedule is None else "schedule", prefixes=prefixes,
            min_progress=min_progress, level=level, n_threads=n_threads, bar=bar,
        )  # fmt: skip
        if not fits["actual_final"].notna().any():
            raise DataError("no run is finished: there is no final loss to judge a forecast by")
        endpoints, said = _endpoints(runs, held_out)
        notes += said
        joint, joints, said = _joint(
            grid, fits, left_out, ridges, prefixes=prefixes, min_progress=min_progress,
            n_threads=n_threads, bar=bar,
        )  # fmt: skip
        notes += said
    cuts = np.sort(fits["prefix"].unique())
    method, cut = (CARDED, float(cuts[len(cuts) // 2])) if card is None else card
    whole = CurveAnalysis(
        runs, fits, score_curves(fits), score_curves(fits, by=["scale", "prefix", "method"]),
        search_configs(fits, target=target), tuple(endpoints), joint, tuple(joints),
        _cards(endpoints, joints), _run_cards(grid, fits, method, cut, min_progress),
        tuple(notes), target, level, (),
    )  # fmt: skip
    return replace(whole, reading=tuple(_reading(whole)))


@dataclass(frozen=True)
class Grid:
    """Runs with the columns run, scale, mix and lr, whatever those are called in the table.

    Attributes
    ----------
    table : pandas.DataFrame
        As it was given, with a column for each of scale, mix and lr.
    runs : Trajectories
        Keys: run, scale, mix, lr (and schedule).
    columns : CurveColumns
        Of the table.
    names : dict of str to str
        Columns of the table that hold scale, mix and lr.
    notes : tuple of str
        What had to be assumed.
    """

    table: pd.DataFrame
    runs: Trajectories
    columns: CurveColumns
    names: dict[str, str]
    notes: tuple[str, ...]


def read_grid(
    frame: Any,
    columns: CurveColumns,
    scale: str | None,
    mix: str | None,
    lr: str | None,
    *,
    schedule: str | None = None,
) -> Grid:
    """Read runs on a grid of scale, mix and lr; a column that is missing counts as "all"."""
    table = to_pandas(frame)
    frame_columns(table, [columns.run])
    names, notes = {}, []
    for noun, name in (("scale", scale), ("mix", mix), ("lr", lr)):
        if name is None or (name == noun and name not in table.columns):
            table = table.assign(**{f"delphi {noun}": ALL})
            names[noun] = f"delphi {noun}"
            notes.append(f"The table has no column {noun}: all runs count as one.")
        else:
            names[noun] = name
    extra = {} if schedule is None else {"schedule": schedule}
    nouns = {"run": columns.run, **names, **extra}
    runs = columns.read(table, by=tuple(dict.fromkeys([*names.values(), *extra.values()])))
    keys = pd.DataFrame({noun: runs.keys[name] for noun, name in nouns.items()})
    runs = replace(runs, keys=keys, columns=replace(columns, run="run"))
    return Grid(table, runs, columns, names, (*notes, *end_notes(runs)))


def end_notes(runs: Trajectories) -> list[str]:
    """What was taken for the end of the runs, where nobody said it."""
    if not runs.end_assumed:
        return []
    said = "No planned length (total) is named: the last step of every run is taken as its end."
    return [said, *([f"{early_words(runs)}."] if runs.early.any() else [])]


def _endpoints(runs: Trajectories, held_out: float | None) -> tuple[list[EndpointLaws], list[str]]:
    """Laws at every cutoff that leaves two scales or more, or why there are none."""
    good = runs.finished & ~runs.diverged
    ends = runs.keys[good].assign(loss=runs.actual[good]).reset_index(drop=True)
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
    grid: Grid, fits: pd.DataFrame, left_out: bool, ridges: tuple[float, ...], **options: Any
) -> tuple[pd.DataFrame | None, list[JointCurves], list[str]]:
    """Scores and fits of both scopes under every ridge, or why there are none."""
    axes: dict[str, Any] = {}
    keys = grid.runs.keys
    for noun, argument in (("mix", "mix"), ("lr", "lr"), ("scale", "flops")):
        usable = noun == "mix" or (
            pd.api.types.is_numeric_dtype(keys[noun]) and (keys[noun] > 0).all()
        )
        axes[argument] = grid.names[noun] if usable and keys[noun].nunique() > 1 else None
    if not any(axes.values()):
        return None, [], ["Runs differ in no mix, learning rate or compute: there is no joint fit."]
    where = grid.columns.named
    run, blocks, joints = where["run"], [], []
    alone = fits.rename(columns={"run": run})
    both = axes["flops"] and (axes["mix"] or axes["lr"])
    for scope in ("global", "per-flop") if both else ("global",):
        for k, ridge in enumerate(ridges):
            # the absolute error takes several times as long: under the first ridge only
            losses = LOSSES if k == 0 else ("huber",)
            joint = fit_joint_curves(
                grid.table, scope=scope, ridge=ridge, losses=losses, **axes, **where, **options
            )
            joints.append(joint)
            known = joint.predictions[joint.predictions["actual_final"].notna()]
            own = with_alone(known.assign(kind="own prefix", cells=""), alone, run)
            blocks.append(joint_scores(own).assign(scope=scope, ridge=ridge))
        if left_out and scope == "global":
            cells = score_joint_curves(
                grid.table, scope=scope, kinds=("cut", "left out"), losses="huber",
                ridge=ridges[0], **axes, **where, **options,
            )  # fmt: skip
            blocks.append(cells.assign(scope=scope, ridge=ridges[0]))
    return pd.concat(blocks, ignore_index=True), joints, []


def _cards(endpoints: list[EndpointLaws], joints: list[JointCurves]) -> dict[str, Card]:
    """Fit cards of joint fits and endpoint laws, by name."""
    cards = {f"joint fits, {j.scope}, ridge {j.ridge:g}": j.card() for j in joints}
    for law in reversed(endpoints):
        cards[f"endpoint laws up to {scale_name(law.cutoff)} FLOPs"] = law.card()
    return cards


def _run_cards(
    grid: Grid, fits: pd.DataFrame, method: str, prefix: float, min_progress: float
) -> dict[str, Card]:
    """Fit cards of one fit of every run, by name."""
    cards = {}
    rows = fits[(fits["method"] == method) & np.isclose(fits["prefix"], prefix)]
    if rows.empty:
        known = ", ".join(dict.fromkeys(fits["method"]))
        raise DataError(f"card: no fit {method!r} at prefix {prefix:g}; there are {known}")
    loss = grid.table[grid.columns.loss]
    for row in rows.to_dict("records"):
        name = f"{printable(row['run'])}, {method} from prefix {prefix:g}"
        cards[name] = card_of_row(
            {str(k): v for k, v in row.items()}, grid.runs, loss, min_progress=min_progress
        )
    return cards


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
            f"on average, the last value by {row['last value']:.4g}; of all methods "
            f"{row.idxmin()} is best ({row.min():.4g})."
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
        main = (a.joint["scope"] == "global") & (a.joint["ridge"] == a.joint["ridge"].iloc[0])
        own = a.joint[main & (a.joint["kind"] == "own prefix")]
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
