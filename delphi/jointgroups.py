"""One group of a joint fit: its options, the fits of its runs, and forecasts from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from . import _core
from .curveensemble import LEVEL_POINTS
from .curveforms import MODELS
from .errors import DataError
from .jointterms import RunTerms, run_terms
from .progress import progress_bar
from .status import status_texts
from .threads import thread_count
from .trajectories import (
    ROUNDING,
    CurveColumns,
    Trajectories,
    checked_prefixes,
    checked_start,
    read_trajectories,
)

__all__ = [
    "GroupFit",
    "JointOptions",
    "curves_of",
    "fit_group",
    "joint_options",
    "read_joint",
    "scope_groups",
]

Floats = NDArray[np.float64]
SCOPES = ("global", "per-flop")
THETAS = ("shared", "linear")
ANCHORED = "-anchored"
PARAMETERS = ("F", "A", "ln theta_0", "ln theta_1")
# ln theta is held in a box, the one of csrc/laws/jointstep.c: (low_0, low_1), (high_0, high_1)
BOX = {
    "log": ((-9, 0), (18, 0)), "exponential": ((-9, 0), (7, 0)),
    "power": ((-14, -7), (5, 5)), "rational": ((-4, -9), (3, 14)),
}  # fmt: skip


@dataclass(frozen=True)
class JointOptions:
    """What all parts of a joint fit need to know."""

    mix: Any
    lr: str | None
    flops: str | None
    scope: str
    forms: tuple[str, ...]
    losses: tuple[str, ...]
    cuts: Floats
    theta: str
    interactions: bool
    ridge: float
    delta: float | None
    least: float
    n_threads: int


@dataclass(frozen=True)
class GroupFit:
    """One group's fits, their coefficients, and forecasts of the runs asked for."""

    fits: pd.DataFrame
    coefficients: pd.DataFrame
    predictions: pd.DataFrame
    terms: RunTerms


def joint_options(
    mix: Any,
    lr: str | None,
    flops: str | None,
    scope: str,
    forms: str | Sequence[str],
    losses: str | Sequence[str],
    prefixes: Any,
    theta: str,
    interactions: bool,
    ridge: float,
    delta: float | None,
    min_progress: float,
    n_threads: int | None,
) -> JointOptions:
    """The options of a joint fit as its caller gave them, checked."""
    if scope not in SCOPES:
        raise DataError(f"scope: expected 'global' or 'per-flop', got {scope!r}")
    if theta not in THETAS:
        raise DataError(f"theta: expected 'shared' or 'linear', got {theta!r}")
    if scope == "per-flop" and flops is None:
        raise DataError("scope='per-flop' needs the column flops")
    return JointOptions(
        mix, lr, flops, scope, _words(forms), _words(losses), checked_prefixes(prefixes), theta,
        bool(interactions), _checked_ridge(ridge), delta, checked_start(min_progress),
        thread_count(n_threads),
    )  # fmt: skip


def read_joint(frame: Any, columns: CurveColumns, options: JointOptions) -> Trajectories:
    """Trajectories with the columns that joint fits look at."""
    mix = options.mix
    mixes = [] if mix is None else [mix] if isinstance(mix, str) else list(mix)
    along = [*mixes, *(name for name in (options.lr, options.flops) if name is not None)]
    return read_trajectories(frame, by=tuple(dict.fromkeys(along)), **columns.named)


def scope_groups(runs: Trajectories, options: JointOptions) -> list[tuple[Any, Any]]:
    """Label and runs of every group of a scope."""
    if options.scope == "global":
        return [("all", np.arange(len(runs)))]
    cells = runs.keys.groupby(options.flops, sort=True).indices
    return [(group, np.asarray(rows)) for group, rows in cells.items()]


def fit_group(
    runs: Trajectories,
    members: Any,
    targets: Any,
    options: JointOptions,
    *,
    whole: Any = None,
    bar: bool = False,
) -> GroupFit:
    """Fit some runs up to every prefix and forecast others (or the same).

    ``whole`` are members that are seen to their end, whatever the prefix.
    """
    flops = options.flops if options.scope == "global" else None
    terms = run_terms(
        runs.keys.iloc[members], mix=options.mix, lr=options.lr, flops=flops,
        interactions=options.interactions,
    )  # fmt: skip
    first, last = _rows(runs, members, options, whole)
    design = terms(runs.keys.iloc[members])
    on = np.r_[0.0, np.ones(len(terms.names) - 1)]
    try:
        with progress_bar(bar, "joint fits") as callback:
            records, blocks = _core.jointcurve_fit(
                runs.tau, runs.loss, first, last, design, on,
                n_shape_terms=terms.n_main if options.theta == "linear" else 1,
                ridge=options.ridge, forms=options.forms, losses=options.losses,
                delta=options.delta, n_threads=options.n_threads, progress=callback,
            )  # fmt: skip
    except (ValueError, TypeError, OverflowError) as error:
        raise DataError(str(error)) from None
    keys = pd.MultiIndex.from_product(
        [options.cuts, options.forms, options.losses], names=["prefix", "form", "loss"]
    )
    fits = keys.to_frame(index=False)
    flat = records.reshape(-1)
    for name in ("n", "n_runs"):
        fits[name] = flat[name]
    fits["n_terms"] = len(terms.names)
    for name in ("objective", "penalty", "delta", "gap", "iterations"):
        fits[name] = flat[name]
    fits["status"], fits["status_code"] = status_texts(flat["status"]), flat["status"]
    rows = keys.to_frame(index=False).loc[np.repeat(np.arange(len(keys)), 4)]
    coefficients = rows.reset_index(drop=True)
    coefficients["parameter"] = np.tile(np.array(PARAMETERS, object), len(keys))
    coefficients[list(terms.names)] = blocks.reshape(-1, len(terms.names))
    predictions = _predictions(runs, targets, terms, fits, blocks, options)
    return GroupFit(fits, coefficients, predictions, terms)


def _rows(runs: Trajectories, members: Any, options: JointOptions, whole: Any) -> tuple[Any, Any]:
    """First and end row of every member at every prefix."""
    first = np.empty((len(options.cuts), len(members)), np.int64)
    last = first.copy()
    for k, r in enumerate(members):
        tau = runs.tau[runs.points(r)]
        cuts = np.ones_like(options.cuts) if whole is not None and r in whole else options.cuts
        first[:, k] = runs.offsets[r] + np.searchsorted(tau, options.least - ROUNDING)
        last[:, k] = runs.offsets[r] + np.searchsorted(tau, cuts + ROUNDING, side="right")
    return first, np.maximum(first, last)


def curves_of(block: Floats, design: Floats, form: str) -> tuple[Floats, Floats, Floats, Floats]:
    """F, A, theta_0 and theta_1 of runs from the coefficients of a fit."""
    with np.errstate(over="ignore"):
        F, A, t0, t1 = block @ design.T
        (low_0, low_1), (high_0, high_1) = BOX[form]
        return F, A, np.exp(np.clip(t0, low_0, high_0)), np.exp(np.clip(t1, low_1, high_1))


def _predictions(
    runs: Trajectories,
    targets: Any,
    terms: RunTerms,
    fits: pd.DataFrame,
    blocks: Floats,
    options: JointOptions,
) -> pd.DataFrame:
    """Forecasts of runs by every fit, as they are and anchored, in the form of `fit_curves`."""
    design = terms(runs.keys.iloc[targets])
    first, last = _rows(runs, targets, options, None)
    keys = runs.keys.iloc[targets].reset_index(drop=True)
    shape = (len(options.cuts), len(options.forms), len(options.losses))
    parts = []
    for k, (cut, f, kind) in enumerate(np.ndindex(*shape)):
        form = options.forms[f]
        block = blocks[cut, f, kind]
        F, A, t0, t1 = curves_of(block, design, form)
        off = _residual(runs, first[cut], last[cut], form, (F, A, t0, t1))
        fit = fits.iloc[k]
        for ending, value in (("", F), (ANCHORED, F + off)):
            part = keys.copy()
            part["prefix"] = fit["prefix"]
            part["method"] = f"joint-{form}-{fit['loss']}{ending}"
            part["form"], part["loss"] = form, fit["loss"]
            part["F"], part["A"], part["theta_0"], part["theta_1"] = F, A, t0, t1
            part["predicted_final"] = value
            part["actual_final"] = runs.actual[targets]
            part["status"], part["status_code"] = fit["status"], fit["status_code"]
            parts.append(part)
    table = pd.concat(parts, ignore_index=True)
    place = cast(int, table.columns.get_loc("actual_final"))
    error = (table["predicted_final"] - table["actual_final"]).abs()
    table.insert(place + 1, "abs_error", error)
    return table


def _residual(
    runs: Trajectories, first: Any, last: Any, form: str, curve: tuple[Floats, ...]
) -> Floats:
    """Median of what the last points of every prefix lie above their curve; NaN without points."""
    end = np.maximum(last - 1, 0)
    rows = np.maximum(end[:, None] - np.arange(LEVEL_POINTS), np.minimum(first, end)[:, None])
    with np.errstate(invalid="ignore"):
        fitted = MODELS[form](runs.tau[rows], *(value[:, None] for value in curve))
    off = np.median(runs.loss[rows] - fitted, axis=1)
    return np.where(last > first, off, np.nan)


def _words(given: str | Sequence[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


def _checked_ridge(ridge: float) -> float:
    number = isinstance(ridge, (int, float, np.number)) and not isinstance(ridge, bool)
    if not number or not 0 <= ridge < np.inf:
        raise DataError(f"ridge: expected a finite number of at least 0, got {ridge!r}")
    return float(ridge)
