"""The part of a report about evaluations: two-step forecasts of every task, and their figure."""

from __future__ import annotations

import math
import os
import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from delphi.report.drawings import Drawing
from delphi.report.tables import Column, Table, from_frame, plain_status
from delphi.shorthand import flops

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from delphi.downstream import DownstreamFit
    from delphi.intervals import Kind

__all__ = ["Downstream", "DownstreamReport", "analyse_evals", "write_evals_report"]

TASK = Column("task", "task")
GROUP = "Downstream evaluations"


@dataclass(frozen=True)
class Downstream:
    """What a report shows of evaluations.

    Attributes
    ----------
    fits : mapping of task to DownstreamFit
    forecasts : DataFrame
        What ``fit.forecast`` returns, with the task in front; only of tasks with a fit.
    tables : tuple of Table
        downstream_forecast, downstream_held_out (where runs are held out), predictability.
    reading : tuple of str
        The result in sentences.
    """

    fits: Mapping[str, DownstreamFit]
    forecasts: pd.DataFrame
    tables: tuple[Table, ...]
    reading: tuple[str, ...]

    def drawings(self) -> Iterator[Drawing]:
        """The emergence figure with its dropdown of tasks; none without a fit."""
        shown = {task: fit for task, fit in self.fits.items() if fit.ok}
        if not shown:
            return

        @cache
        def wide() -> Any:
            from delphi import figures

            return figures.emergence(shown, fit_below=next(iter(shown.values())).fit_below)

        def draw(narrow: bool) -> Any:
            from delphi import figures

            return figures.mobile(wide()) if narrow else wide()

        caption = (
            "Left: the soft metric against compute, its power law and the held-out runs with their "
            "errors. Right: accuracy against the soft metric, other models in grey. Crosses: "
            "forecasts at 1e25 FLOPs with their intervals."
        )
        yield Drawing("mmlu-emergence", "Downstream emergence", GROUP, caption, draw)


@dataclass(frozen=True)
class DownstreamReport:
    """What was found and written from evaluations alone.

    Attributes
    ----------
    directory, page : Path
    figures : mapping of name to Path
    downstream : Downstream
    """

    directory: Path
    page: Path
    figures: Mapping[str, Path]
    downstream: Downstream


def analyse_evals(
    evals: Any,
    *,
    floor: float | Mapping[str, float] | None = None,
    fit_below: float | None = None,
    forecast_at: Sequence[float],
    level: float = 0.95,
    kind: Kind = "mean",
) -> Downstream:
    """Fit every task of a table of evaluations, forecast, and put it in words.

    Parameters
    ----------
    evals : DataFrame, path, or list of those
        What :func:`delphi.read_evals` takes or returns.
    floor : float or mapping of task to float, optional
        What chance scores; known for MMLU, HumanEval and GSM8K.
    fit_below : float, optional
        Runs of this compute (FLOPs) and beyond are held out; by default as `fit_downstreams`.
    forecast_at : sequence of float
        FLOPs.
    level : float
        Level of the intervals.
    kind : {"mean", "new run"}
        The expected accuracy, or that of one more run.

    Returns
    -------
    Downstream

    Raises
    ------
    DataError
        The evaluations cannot be read, or a task's floor is not known.
    """
    from delphi.downstream import FIT_BELOW, fit_downstreams
    from delphi.errors import FitWarning
    from delphi.evals import read_evals

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)  # the status column says it
        table = read_evals(evals)
        fits = fit_downstreams(
            table, floor=floor, fit_below=FIT_BELOW if fit_below is None else fit_below
        )
        frames = [
            fit.forecast(list(forecast_at), level=level, kind=kind).assign(task=task)
            for task, fit in fits.items()
            if fit.ok
        ]
    # A table that was read before brings what was left out then.
    account = getattr(evals, "attrs", {}).get("account", {}) | table.attrs["account"]
    forecasts = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
    tables = [_forecast_table(fits, forecasts, forecast_at, level, kind)]
    held_out = _held_out_table(fits)
    if held_out.rows:
        tables.append(held_out)
    tables.append(_predictability_table(fits))
    return Downstream(fits, forecasts, tuple(tables), tuple(_read_aloud(fits, forecasts, account)))


def _forecast_table(
    fits: Mapping[str, DownstreamFit],
    forecasts: pd.DataFrame,
    forecast_at: Sequence[float],
    level: float,
    kind: str,
) -> Table:
    """One row a task and compute; a task without a fit has its reason only."""
    failed = pd.DataFrame(
        [
            {"task": task, "compute": C, "status": fit.status}
            for task, fit in fits.items()
            if not fit.ok
            for C in forecast_at
        ]
    )
    frame = pd.concat([f for f in (forecasts, failed) if len(f)], ignore_index=True)
    columns = (
        TASK,
        Column("compute", "FLOPs", "flops"),
        Column("soft", "soft metric", "loss"),
        Column("soft_low", "low", "loss"),
        Column("soft_high", "high", "loss"),
        Column("hard", "accuracy", "loss"),
        Column("low", "low", "loss"),
        Column("mid", "median", "loss"),
        Column("high", "high", "loss"),
        Column("level", "level", "share"),
        Column("method", "method"),
        Column("kind", "kind"),
        Column("status", "status"),
    )
    frame = frame.reindex(columns=[c.key for c in columns])
    frame["status"] = [plain_status(status) for status in frame["status"]]
    what = "the expected accuracy" if kind == "mean" else "one new run"
    note = (
        "Compute to soft metric (log-probability, or bits per byte) by a power law, soft metric to "
        f"accuracy by a Richards curve. Intervals of {100 * level:g}% for {what}: draws of both "
        "steps, with binomial noise where the number of problems is known."
    )
    return from_frame("downstream_forecast", "Downstream forecasts", note, columns, frame)


def _held_out_table(fits: Mapping[str, DownstreamFit]) -> Table:
    """The held-out runs of every task with a fit."""
    columns = (
        TASK,
        Column("model", "run"),
        Column("compute", "FLOPs", "flops"),
        Column("soft", "soft metric", "loss"),
        Column("soft_forecast", "forecast", "loss"),
        Column("soft_error_pct", "error, %", "fixed"),
        Column("hard", "accuracy", "loss"),
        Column("hard_forecast", "forecast", "loss"),
        Column("hard_error_pct", "error, %", "fixed"),
    )
    rows = [fit.held_out.assign(task=task) for task, fit in fits.items() if fit.ok]
    rows = [frame for frame in rows if len(frame)]
    keys = [c.key for c in columns]
    frame = pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=keys)
    note = (
        "Runs that entered neither step nor any bound. Error of the soft metric: of its distance "
        "to zero, above 0 is worse than forecast; of the accuracy: forecast above what was scored."
    )
    return from_frame(
        "downstream_held_out", "Held-out evaluations", note, columns, frame.reindex(columns=keys)
    )


def _predictability_table(fits: Mapping[str, DownstreamFit]) -> Table:
    """Whether each task can be forecast at this scale."""
    rows = []
    for task, fit in fits.items():
        told = fit.predictability
        rows.append(
            {
                "task": task, "runs": fit.law.n, "pool": len(fit.pool), "chance": fit.floor,
                "ceiling": fit.curve.ceiling, "monotone": told.monotone, "range": told.range,
                "back_test": told.back_test, "ok": told.ok, "reasons": "; ".join(told.reasons),
                "status": plain_status(fit.status),
            }
        )  # fmt: skip
    columns = (
        TASK,
        Column("runs", "runs", "integer"),
        Column("pool", "other models", "integer"),
        Column("chance", "chance", "fixed"),
        Column("ceiling", "ceiling", "fixed"),
        Column("monotone", "rank correlation", "fixed"),
        Column("range", "share of the rise seen", "fixed"),
        Column("back_test", "back-test error", "fixed"),
        Column("ok", "predictable", "bool"),
        Column("reasons", "why not"),
        Column("status", "status"),
    )
    note = (
        "Predictable: accuracy rises with the soft metric, stands out of chance, has been seen "
        "over enough of its rise, and the strongest fitted run is forecast well from the others."
    )
    keys = [c.key for c in columns]
    return from_frame(
        "predictability", "Predictability", note, columns, pd.DataFrame(rows, columns=keys)
    )


def _read_aloud(
    fits: Mapping[str, DownstreamFit], forecasts: pd.DataFrame, account: Mapping[str, int]
) -> Iterator[str]:
    good = [task for task, fit in fits.items() if fit.predictability.ok]
    yield (
        f"{len(good)} of {len(fits)} evaluations are predictable at this scale"
        + (f": {', '.join(good[:8])}{' and more' if len(good) > 8 else ''}." if good else ".")
    )
    for task in good[:8]:
        row = forecasts[forecasts["task"] == task].iloc[-1]
        if math.isfinite(row["low"]):
            yield (
                f"{task} at {flops(row['compute'])} FLOPs: accuracy {row['mid']:.3f}, "
                f"{100 * row['level']:g}% interval {row['low']:.3f} to {row['high']:.3f}."
            )
    if account:
        reasons = ", ".join(f"{n:,} ({why})" for why, n in account.items())
        yield f"Evaluations that were read and left out: {reasons}."


def write_evals_report(
    downstream: Downstream, out_dir: str | os.PathLike[str], *, title: str | None = None
) -> DownstreamReport:
    """Write a page and the emergence figure, wide and narrow, all or nothing.

    Parameters
    ----------
    downstream : Downstream
    out_dir : path-like
        Made if it does not exist.
    title : str, optional
        Heading of the page.

    Returns
    -------
    DownstreamReport

    Raises
    ------
    OSError
        If `out_dir` cannot be written.
    """
    from delphi._version import __version__
    from delphi.figures.export import write_text
    from delphi.report.build import PAGE, staged
    from delphi.report.page import Plot, render_page

    out = Path(out_dir)
    plots, figures = [], {}
    with staged(out) as stage:
        for drawing in downstream.drawings():
            wide, narrow = drawing.draw(False).to_json(), drawing.draw(True).to_json()
            for name, text in ((drawing.name, wide), (f"{drawing.name}-mobile", narrow)):
                write_text(text, stage / f"{name}.json")
                figures[name] = out / f"{name}.json"
            plots.append(Plot(drawing.name, drawing.title, drawing.caption, wide, narrow=narrow))
        page = render_page(
            title or "Downstream forecasts", downstream.tables[0].note, downstream.reading, plots,
            downstream.tables, __version__,
            units="Accuracies as shares; soft metrics in the unit of the data; compute in FLOPs.",
        )  # fmt: skip
        write_text(page, stage / PAGE)
    return DownstreamReport(out, out / PAGE, figures, downstream)
