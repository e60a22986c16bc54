"""Figures of what stands beside the runs: evaluations of models, and a sweep of hyperparameters."""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from delphi.columns import ALIASES
from delphi.emergence import finite_column
from delphi.errors import DataError, DataWarning
from delphi.heldout import is_crashed
from delphi.readers import open_tables

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    import plotly.graph_objects as go

    from delphi.sweeps import Sweep
    from delphi.trials import Hyperparameter

__all__ = ["EVALS", "SweepFile", "draw_evals", "draw_sweep", "fit_sweep_file", "read_sweep"]

EMERGENCE, SWEEP = "mmlu-emergence", "hparam-scaling"
# What each evaluation is called; the file of other models has its name and "_pool".
EVALS = {"mmlu": "MMLU", "humaneval": "HumanEval 10-Shot", "gsm8k": "GSM8K 5-Shot"}
POOL = "_pool"
# Columns that are knobs where nobody says which are, and those that name a cell.
KNOBS = (
    "lr", "learning_rate", "adam_lr", "epsilon", "eps", "beta1", "beta2", "momentum",
    "weight_decay", "wd",
)  # fmt: skip
CELLS = ("batch_size", "hidden_dim", "params", "tokens")
MOMENTUM = re.compile(r"beta\d*|momentum")
APART = 1.1  # numbers that name a cell are one where none is this factor from the next


@dataclass(frozen=True)
class SweepFile:
    """A sweep to read, and what its columns are.

    Attributes
    ----------
    path : path-like
        JSON, CSV, TSV or Parquet; one row a trial. Trials whose ``state`` says that they did not
        finish are left out.
    knobs : tuple of Hyperparameter
        By default the columns with the usual names, momenta on an axis of log(1 - x).
    by : tuple of str
        Columns that name a cell; by default those of batch_size, hidden_dim, params and tokens that
        are there. Numbers within 10% of each other are one.
    metric : str
        Column of the loss; by default as :func:`delphi.read_runs` finds it.
    completed_adamh : bool
        Mark what `delphi.CompletedAdamH` prescribes; needs batch_size and tokens.
    """

    path: str | os.PathLike[str]
    knobs: tuple[Hyperparameter, ...] = ()
    by: tuple[str, ...] = ()
    metric: str = ""
    completed_adamh: bool = False


def draw_evals(
    files: Mapping[str, str | os.PathLike[str]], *, compat: bool = False
) -> dict[str, go.Figure]:
    """The emergence figure of some evaluations, wide and narrow.

    Parameters
    ----------
    files : mapping of str to path
        ``mmlu``, ``humaneval`` and ``gsm8k`` are evaluations of the ladder, the same with ``_pool``
        at the end those of other models, for the curve of the accuracy.
    compat : bool
        Fit exactly as the notebook does; it wants JSON, and MMLU.

    Returns
    -------
    dict of str to plotly.graph_objects.Figure
        ``mmlu-emergence`` and ``mmlu-emergence-mobile``; empty without files.

    Raises
    ------
    DataError
        A file that does not hold such evaluations, or a pool without its ladder.

    Warns
    -----
    FitWarning
        As the fits do.
    """
    from delphi.figures import emergence, mobile

    if not files:
        return {}
    strange = sorted(set(files) - set(EVALS) - {f"{stem}{POOL}" for stem in EVALS})
    if strange:
        raise DataError(f"evals: expected {', '.join(EVALS)} or one of these with {POOL!r}, "
                        f"got {', '.join(map(repr, strange))}")  # fmt: skip
    for stem in EVALS:
        if f"{stem}{POOL}" in files and stem not in files:
            raise DataError(f"evaluations of other models ({stem}{POOL}) need those of the ladder "
                            f"beside them ({stem})")  # fmt: skip
    # Read either way, so that a wrong file is said in the same words.
    table = _read(files)
    if compat:
        fig = emergence(_notebook_views(files))
        return {EMERGENCE: fig, f"{EMERGENCE}-mobile": mobile(fig)}
    from delphi.downstream import fit_downstreams

    fits = fit_downstreams(table)
    return {EMERGENCE: emergence(fits), f"{EMERGENCE}-mobile": emergence(fits, mobile=True)}


def _read(files: Mapping[str, str | os.PathLike[str]]) -> pd.DataFrame:
    """All evaluations as one table."""
    from delphi.evals import read_evals

    frames = []
    for stem, task in EVALS.items():
        if stem not in files:
            continue
        own = read_evals(files[stem], task=task, pool=False)
        frames.append(own)
        if f"{stem}{POOL}" in files:
            others = read_evals(files[f"{stem}{POOL}"], task=task, pool=True, leave_out="comma")
            frames += [others.assign(task=name) for name in own["task"].unique()]
    return pd.concat(frames, ignore_index=True)


def _notebook_views(files: Mapping[str, str | os.PathLike[str]]) -> Any:
    """What the notebook fits to its caches."""
    from delphi import compat
    from delphi.emergence_views import notebook_views

    if "mmlu" not in files:
        raise DataError("the notebook draws its evaluations only with those of MMLU among them")

    def load(stem: str, pool: bool) -> pd.DataFrame | None:
        key = f"{stem}{POOL}" if pool else stem
        if key not in files:
            return None
        reader = getattr(compat, f"load_{stem}_{'external' if pool else 'runs'}")
        frame: pd.DataFrame = _loaded(reader, files[key])
        return frame

    order = (("mmlu", False), ("mmlu", True), ("humaneval", False), ("gsm8k", False),
             ("humaneval", True), ("gsm8k", True))  # fmt: skip
    frames = [load(stem, pool) for stem, pool in order]
    assert frames[0] is not None
    return notebook_views(frames[0], *frames[1:])


def _loaded(reader: Any, path: str | os.PathLike[str]) -> Any:
    """What a reader of the notebook's caches returns; what it prints instead is an error."""
    if Path(path).suffix.lower() != ".json":
        raise DataError(f"{path}: the notebook's caches are JSON files")
    with contextlib.redirect_stdout(io.StringIO()) as said:
        frame = reader(Path(path))
    if frame is None or frame.empty:
        raise DataError(" ".join(said.getvalue().split()) or f"{path}: no usable row")
    return frame


def draw_sweep(source: SweepFile, *, compat: bool = False) -> dict[str, go.Figure]:
    """The figure of a hyperparameter sweep, wide and narrow.

    Parameters
    ----------
    source : SweepFile
    compat : bool
        Fit exactly as the notebook does, whose columns it then must have.

    Returns
    -------
    dict of str to plotly.graph_objects.Figure
        ``hparam-scaling`` and ``hparam-scaling-mobile``.

    Raises
    ------
    DataError
        A file that holds no such sweep, or more cells than a figure has room for.
    ImportError
        Without scikit-learn and joblib.

    Warns
    -----
    DataWarning
        Trials are left out.
    FitWarning
        As the fits do.
    """
    from delphi import compat as notebook
    from delphi.figures import hparam_scaling

    if compat:
        if source.knobs or source.by or source.metric:
            raise DataError("the notebook's columns are given: compat takes no others")
        read_sweep(source)  # a wrong file is said in the same words
        sweep: Sweep = notebook.fit_sweep_cells(_loaded(notebook.load_sweep_runs, source.path))
    else:
        sweep = fit_sweep_file(source)
    return {
        SWEEP: hparam_scaling(sweep, compat=compat),
        f"{SWEEP}-mobile": hparam_scaling(sweep, compat=compat, mobile=True),
    }


def fit_sweep_file(source: SweepFile) -> Sweep:
    """Read a sweep and fit its cells with the defaults of `delphi.fit_sweep`."""
    from delphi.rules import CompletedAdamH
    from delphi.sweeps import fit_sweep

    trials, knobs, by = read_sweep(source)
    rule = CompletedAdamH() if source.completed_adamh else None
    return fit_sweep(trials, hparams=knobs, metric="loss", by=by, rule=rule)


def read_sweep(source: SweepFile) -> tuple[pd.DataFrame, tuple[Hyperparameter, ...], list[str]]:
    """The finished trials of a sweep, its knobs, and the columns that name a cell.

    Returns
    -------
    trials : pandas.DataFrame
        A column for each knob and each name of a cell, and ``loss``.
    knobs : tuple of Hyperparameter
    by : list of str

    Raises
    ------
    DataError
        A column that is not there, no knob at all, cells that are no numbers, or no finished trial.

    Warns
    -----
    DataWarning
        Trials did not finish.
    """
    from delphi.trials import Hyperparameter

    table = open_tables(source.path)[0]
    columns, listed = table.columns, ", ".join(map(repr, table.columns))
    if not source.knobs and not set(KNOBS) & set(columns):
        raise DataError(f"{table.where}: no hyperparameter of a known name ({', '.join(KNOBS)}); "
                        f"it has {listed}; say which columns they are")  # fmt: skip
    knobs = source.knobs or tuple(
        Hyperparameter(name, "log(1 - x)" if MOMENTUM.fullmatch(name) else "log")
        for name in KNOBS
        if name in columns
    )
    metric = source.metric or next((name for name in ALIASES["loss"] if name in columns), "")
    if not metric:
        raise DataError(f"{table.where}: no column of the loss; it has {listed}; say which it is")
    by = list(source.by) or [name for name in CELLS if name in columns]
    needed = ["batch_size", "tokens"] if source.completed_adamh else []
    wanted = list(dict.fromkeys([*(h.name for h in knobs), *by, *needed, metric]))
    absent = [name for name in wanted if name not in columns]
    if absent:
        raise DataError(f"{table.where}: no column {', '.join(map(repr, absent))}; it has {listed}")
    state = "state" if "state" in columns else None
    raw = table.take([*wanted, *([state] if state else [])], [state] if state else [])
    ended = np.zeros(len(raw[metric]), bool)
    if state:
        ended = is_crashed(pd.Series(raw[state])).to_numpy(bool)
    if ended.all():
        raise DataError(f"{table.where}: none of {len(ended)} trials finished")
    if ended.any():
        warnings.warn(
            f"{table.label}: {int(ended.sum())} of {len(ended)} trials did not finish and are "
            "left out", DataWarning, stacklevel=3,
        )  # fmt: skip
    out: dict[str, Any] = {}
    for name in wanted:
        kept = pd.Series(raw[name]).reset_index(drop=True)[~ended].reset_index(drop=True)
        if name in by and not _numeric(kept):
            out[name] = kept.astype(str)
        else:
            numbers = finite_column(kept, f"{table.label}: {name}", missing=name not in by)
            out[name] = _levels(numbers) if name in by else numbers
    frame = pd.DataFrame(out).rename(columns={metric: "loss"})
    return frame, knobs, by


def _numeric(cells: pd.Series) -> bool:
    return bool(pd.to_numeric(cells, errors="coerce").notna().all())


def _levels(values: Any) -> Any:
    """Numbers with each group of close ones replaced by its median, to two digits where they vary.

    Whole numbers stay whole. What is not above 0 is a group by itself.

    Examples
    --------
    >>> _levels(np.array([1.007e9, 0.996e9, 2.5e9])).tolist()
    [1000000000, 1000000000, 2500000000]
    """
    from delphi.budgets import round_sig

    order = np.argsort(values, kind="stable")
    ranked = values[order]
    low, high = ranked[:-1], ranked[1:]
    apart = (high != low) & ~((low > 0) & (high < APART * low))
    group = np.concatenate([[0], np.cumsum(apart)])
    out = ranked.copy()
    for g in np.unique(group):
        own = ranked[group == g]
        out[group == g] = own[0] if own[0] == own[-1] else round_sig(float(np.median(own)))
    found = np.empty_like(out)
    found[order] = out
    whole = bool((found == np.rint(found)).all() and (np.abs(found) < 2**53).all())
    return found.astype(np.int64) if whole else found
