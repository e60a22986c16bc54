"""The fit card of one row of `fit_curves`: a fit of a learning curve, a baseline, the ensemble."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .arrays import frame_columns
from .card import Card
from .curveforms import SHAPES
from .describe import status_fields
from .errors import DataError
from .provenance import NOT_APPLICABLE, NOT_STATED, from_arrays, here
from .trajectories import ROUNDING, CurveColumns, Trajectories, checked_start

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["card_of_row", "curve_card"]

NEEDED = (
    "prefix", "method", "form", "loss", "n", "F", "A", "theta_0", "theta_1", "objective", "delta",
    "noise", "predicted_final", "actual_final", "abs_error", "low", "high", "level",
    "n_calibration", "status_code",
)  # fmt: skip
_BOX: dict[str, dict[str, Any]] = {  # of theta, from csrc/laws/curvestart.c
    "log": {"theta_0": [1e-6, 1e12]},
    "exponential": {"theta_0": "[1e-6, 60 / the earliest progress]"},
    "power": {"theta_0": [1e-9, 1e6], "theta_1": [1e-8, 1e7]},
    "rational": {"theta_0": [1e-8, 1e3], "theta_1": [1e-7, 1e9]},
}
_BOTH_ENDS = "s(0) = 1 and s(1) = 0: F is the final loss"


def curve_card(
    row: Any,
    frame: Any = None,
    *,
    run: str = "run",
    progress: str | None = None,
    step: str = "step",
    total: str | float | None = None,
    loss: str = "loss",
    min_progress: float = 0.0,
) -> Card:
    """The fit card of one row of `delphi.fit_curves`.

    Parameters
    ----------
    row : Series, mapping or DataFrame of one row
        Of the frame that `fit_curves` gave: a fit, a baseline or the ensemble.
    frame : DataFrame (pandas, polars, pyarrow), optional
        The points that it was fitted to. Without them the card states no data: no rows, no hashes.
    run, progress, step, total, loss, min_progress
        As they were given to `fit_curves`.

    Returns
    -------
    Card

    Raises
    ------
    DataError
        A row that is none of `fit_curves`, or points that are not those of the row.

    Examples
    --------
    >>> import delphi
    >>> runs = delphi.simulate.curves(mixes=("web",), lrs=(1e-3,), rng=0)
    >>> fits = delphi.fit_curves(runs, prefixes=[0.5], forms="power", losses="huber")
    >>> card = curve_card(fits.iloc[0], runs)
    >>> card.law, card.n_points, card.rows_used
    ('learning curve, power', 50, 50)
    """
    values = _row(row, run)
    if frame is None:
        note = f"those of the code that wrote the card; those of the fit are {NOT_STATED}"
        return Card(**({"versions": {"note": note, **here()}} | _fields(values)))
    runs = CurveColumns(run, progress, step, total, loss).read(frame)
    table = frame_columns(frame, [run, loss])
    return card_of_row(values, runs, table[loss], min_progress=min_progress)


def card_of_row(
    row: Mapping[str, Any], runs: Trajectories, losses: pd.Series, *, min_progress: float = 0.0
) -> Card:
    """The card of a row whose runs are read already.

    Parameters
    ----------
    row : mapping
        Of `delphi.fit_curves`.
    runs : Trajectories
        What it was fitted to.
    losses : Series
        The column of losses that they were read from; its name and its table go on the card.
    """
    columns = runs.columns
    where = np.flatnonzero(runs.keys[columns.run].to_numpy() == row[columns.run])
    if len(where) != 1:
        raise DataError(f"{columns.run}: the points have no run {row[columns.run]!r}")
    r = int(where[0])
    tau, y = runs.tau[runs.points(r)], runs.loss[runs.points(r)]
    low = int(np.searchsorted(tau, checked_start(min_progress) - ROUNDING, side="left"))
    high = max(int(np.searchsorted(tau, row["prefix"] + ROUNDING, side="right")), low)
    if high - low != row["n"]:
        raise DataError(
            f"the row was fitted to {int(row['n'])} points of {row[columns.run]!r}, these runs have"
            f" {high - low} there: name columns and min_progress as for the fit"
        )
    out = {
        "of another run": len(losses) - len(tau) - int(runs.left_out[r]),
        "without a finite step or loss": int(runs.left_out[r]),
        "before min_progress": low, "beyond the prefix": len(tau) - high,
    }  # fmt: skip
    points = {"progress": tau[low:high].copy(), "loss": y[low:high].copy()}
    facts = from_arrays(points, {"loss": losses}, left_out=out).facts
    facts["definitions"] = facts["definitions"] | {"progress": _progress(columns)}
    return Card(**(facts | _fields(row, runs.columns, min_progress)))


def _row(row: Any, run: str) -> dict[str, Any]:
    """One row as a mapping, with every field that the card needs."""
    if isinstance(row, pd.DataFrame):
        if len(row) != 1:
            raise DataError(f"row: expected one row, got {len(row)}")
        row = row.iloc[0]
    if isinstance(row, pd.Series):
        row = row.to_dict()
    if not isinstance(row, Mapping):
        raise DataError(f"row: expected a row of fit_curves, got {type(row).__name__}")
    missing = [name for name in (run, *NEEDED) if name not in row]
    if missing:
        raise DataError(f"row: not one of fit_curves: no {', '.join(missing)}")
    return {str(name): value for name, value in row.items()}


def _progress(columns: CurveColumns) -> str:
    """What normalised progress is, in words."""
    if columns.progress is not None:
        return f"column {columns.progress!r}"
    over = "the last one of its run"
    if columns.total is not None:
        named = isinstance(columns.total, str)
        over = f"column {columns.total!r}" if named else f"{columns.total:g}"
    return f"column {columns.step!r} over {over}"


def _fields(
    row: Mapping[str, Any], columns: CurveColumns | None = None, min_progress: float = 0.0
) -> dict[str, Any]:
    """The fields that are the row's own."""
    ok = int(row["status_code"]) >= 0
    own = _fit(row) if row["form"] else _forecast(row)
    interval: Any = "none: too few other finished runs"
    if np.isfinite(row["low"]):
        interval = {
            "method": f"conformal, level {row['level']:g}: errors of the same method at the same"
            f" prefix on {int(row['n_calibration'])} other finished runs",
            "final loss": [row["low"], row["high"]],
        }
    final = f"final loss = {row['predicted_final']:.6g}"
    options = {"prefix": row["prefix"], "min_progress": min_progress}
    known = np.isfinite(row["actual_final"])
    return status_fields(int(row["status_code"])) | {
        "equation": final if ok else "no law",
        "variables": {
            "tau": "progress of the run, 0 to 1", "loss": "loss, in `loss_unit`",
        },
        "points": f"points of one run up to progress {row['prefix']:g}",
        "n_points": int(row["n"]),
        "space": "loss", "weights": "every point counts the same",
        "options": options if columns is not None else {"prefix": row["prefix"]},
        "uncertainty": interval,
        "validation": {"actual final loss": row["actual_final"], "absolute error":
                       row["abs_error"]} if known else "none: the run is not finished",
    } | own  # fmt: skip


def _fit(row: Mapping[str, Any]) -> dict[str, Any]:
    """A form fitted under a loss."""
    form, huber = str(row["form"]), row["loss"] == "huber"
    thetas = list(_BOX[form])
    ok = int(row["status_code"]) >= 0
    shape = ", ".join(f"{name} = {row[name]:.6g}" for name in thetas)
    return {
        "law": f"learning curve, {form}",
        "form": f"loss = F + A s(tau); s = {SHAPES[form]}",
        "equation": f"loss = {row['F']:.6g} + {row['A']:.6g} s(tau), {shape}" if ok else "no law",
        "parameters": {name: row[name] for name in ("F", "A", *thetas)},
        "assumptions": [
            _BOTH_ENDS, "the shape of the prefix goes on to the end of the run",
            "no learning rate enters: a decay that is still to come is not foreseen",
        ],
        "objective": "Huber's loss" if huber else "mean absolute error",
        "aggregate": "mean",
        "delta": (row["delta"] if ok else "none: no fit") if huber else NOT_APPLICABLE,
        "search": "variable projection: theta scanned on a grid with F and A solved for within"
        " their bounds; the best three places refined together with F and A, which are exact after"
        " every step",
        "start": "none: the scan covers the whole range",
        "tolerance": f"promise of a step below {'1e-10' if huber else '1e-9'} of the objective",
        "iterations": "not recorded",
        "bounds": {"F": "[0, highest loss]", "A": "[0, 2 highest loss]", **_BOX[form]},
        "goodness": {"objective": row["objective"], "noise": row["noise"]} if ok else "no fit",
    }  # fmt: skip


def _forecast(row: Mapping[str, Any]) -> dict[str, Any]:
    """A baseline or the ensemble."""
    method = str(row["method"])
    texts: dict[str, tuple[str, Sequence[str]]] = {
        "last value": ("the loss at the last point of the prefix", ["the loss falls no further"]),
        "best so far": ("the lowest loss of the prefix", ["the loss falls no further"]),
    }
    said, assumed = texts.get(
        method,
        ("where the run stands less the drop that is left, from the fits of all forms to the whole"
         " and to the later half of the prefix, and from how fast it falls at its end",
         ["the forms between them know how much is left", "no learning rate enters"]),
    )  # fmt: skip
    closed = f"{NOT_APPLICABLE}: nothing is searched beyond the fits themselves"
    return {
        "law": f"forecast of a run's end: {method}",
        "form": said,
        "parameters": {"final loss": row["predicted_final"]},
        "assumptions": list(assumed),
        "objective": NOT_APPLICABLE, "aggregate": NOT_APPLICABLE,
        "search": closed, "start": closed, "tolerance": closed, "iterations": 0,
        "bounds": "none", "goodness": NOT_APPLICABLE,
    }  # fmt: skip
