"""The sweep of hyperparameters in a report: figure, tables and sentences."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pandas as pd

from delphi.report.tables import Column, Table, from_frame, plain_status
from delphi.shorthand import count, printable

if TYPE_CHECKING:
    from delphi.sweepcell import SweepCell
    from delphi.sweeps import Sweep

__all__ = ["CAPTION", "sweep_reading", "sweep_tables"]

CAPTION = (
    "Loss against one hyperparameter, averaged over the others as they were tried in the cell that "
    "the menus choose; light: one standard deviation of that average, without noise. Ticks below "
    "are trials."
)


def sweep_tables(sweep: Sweep) -> tuple[Table, ...]:
    """Cells with what was left out, importance of each hyperparameter, best and prescribed values.

    Parameters
    ----------
    sweep : Sweep
        What :func:`delphi.fit_sweep` returned; nothing is fitted again.
    """
    return _cells(sweep), _importance(sweep), _settings(sweep)


def sweep_reading(sweep: Sweep) -> list[str]:
    """The result in sentences."""
    good = [c for c in sweep.cells if c.ok]
    if not good:
        return [f"None of the {len(sweep.cells)} cells of the sweep could be fitted."]
    dropped = sum(c.n_diverged for c in sweep.cells)
    said = [
        f"The sweep has {sum(c.n_used for c in sweep.cells)} usable trials in {len(good)} "
        f"cell{'s' if len(good) > 1 else ''}; {dropped} diverged and were left out."
    ]
    median = sweep.importance.groupby("hparam", sort=False)[["share", "rise"]].median()
    first = str(median["share"].idxmax())
    said.append(
        f"{printable(first)} matters most: {median.loc[first, 'share']:.0%} of the importance in "
        f"the median cell, and {median.loc[first, 'rise']:.3g} of loss between its best and worst."
    )
    if sweep.rule and len(sweep.rules):
        inside = sweep.rules["inside"].astype(bool)
        said.append(
            f"{printable(sweep.rule)}: {inside.sum()} of {len(inside)} prescribed values lie "
            "within the trials."
        )
        costs = [cost for c in good if (cost := _cost(c)) is not None]
        if costs:
            worst = max(costs, key=lambda cost: cost[0])
            said.append(
                f"All of it together costs {_median([c for c, _ in costs]):.3g} of loss against "
                f"the best setting in the median cell, at most {worst[0]:.3g} (sd {worst[1]:.2g})."
            )
    return said


def _median(values: list[float]) -> float:
    return float(pd.Series(values).median())


def _name(cell: SweepCell) -> str:
    parts = []
    for key, value in cell.key.items():
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        shown = count(float(value)) if number and abs(value) >= 1e4 else value
        parts.append(f"{key} {shown}")
    return ", ".join(parts) or "all trials"


def _cost(cell: SweepCell) -> tuple[float, float] | None:
    """What the rule's whole setting costs against the best, and the sd of the loss there."""
    given = dict(zip(cell.rules["hparam"], cell.rules["value"], strict=True))
    if not set(cell.varying) <= set(given):
        return None
    there = cell.predict({name: [value] for name, value in given.items()}).iloc[0]
    return float(there["mean"] - cell.best_loss), float(there["sd"])


def _cells(sweep: Sweep) -> Table:
    rows: list[dict[str, Any]] = []
    for c in sweep.cells:
        cost = _cost(c) if c.ok and len(c.rules) else None
        rows.append({
            "cell": _name(c), "n": c.n, "n_used": c.n_used, "n_diverged": c.n_diverged,
            "n_unusable": c.n_unusable, "noise_sd": c.noise_sd, "best_loss": c.best_loss,
            "best_loss_sd": c.best_loss_sd, "lowest": c.best_trial.get("loss", math.nan),
            "cost": math.nan if cost is None else cost[0],
            "cost_sd": math.nan if cost is None else cost[1], "status": plain_status(c.status),
        })  # fmt: skip
    columns = [
        Column("cell", "cell"),
        Column("n", "trials", "integer"),
        Column("n_used", "used", "integer"),
        Column("n_diverged", "diverged", "integer"),
        Column("n_unusable", "missing values", "integer"),
        Column("noise_sd", "noise sd", "number"),
        Column("best_loss", "best loss", "loss"),
        Column("best_loss_sd", "sd", "number"),
        Column("lowest", "lowest trial", "loss"),
    ]
    if sweep.rule:
        columns += [Column("cost", "rule costs", "loss"), Column("cost_sd", "sd", "number")]
    columns.append(Column("status", "status"))
    rules = list(dict.fromkeys(c.diverged_rule for c in sweep.cells))
    note = (
        "A Gaussian process in each cell. Best loss is that of the fitted surface at its lowest "
        "point within the trials, without noise; the lowest trial has luck in it. Diverged: "
        f"{'; '.join(rules)}."
    )
    if sweep.rule:
        note += f" {printable(sweep.rule)} costs: its whole setting against the best one."
    return from_frame("sweep", "Sweep", note, columns, _frame(rows, columns))


def _importance(sweep: Sweep) -> Table:
    table = sweep.importance
    rows = []
    for name, own in table.groupby("hparam", sort=False):
        rows.append({
            "hparam": name, "share": own["share"].median(), "low": own["share"].min(),
            "high": own["share"].max(), "rise": own["rise"].median(), "cells": len(own),
        })  # fmt: skip
    columns = [
        Column("hparam", "hyperparameter"),
        Column("share", "share, median cell", "share"),
        Column("low", "lowest", "share"),
        Column("high", "highest", "share"),
        Column("rise", "loss, best to worst", "loss"),
        Column("cells", "cells", "integer"),
    ]
    note = (
        "Standard deviation of each averaged curve over the trials, as a share of their sum; and "
        "the loss between the lowest and highest point of the curve, in the median cell."
    )
    frame = _frame(rows, columns).sort_values("share", ascending=False)
    return from_frame("sweep_importance", "Importance", note, columns, frame)


def _settings(sweep: Sweep) -> Table:
    rows = []
    for c in sweep.cells:
        if not c.ok:
            continue
        given = {row.hparam: row for row in c.rules.itertuples(index=False)}
        for best in c.best.itertuples(index=False):
            rule: Any = given.get(best.hparam)
            rows.append({
                "cell": _name(c), "hparam": best.hparam, "value": best.value, "low": best.low,
                "high": best.high, "at_edge": bool(best.at_edge),
                "reaches_edge": bool(best.reaches_edge),
                "rule": math.nan if rule is None else rule.value,
                "where": None if rule is None else _where(rule, best),
            })  # fmt: skip
    columns = [
        Column("cell", "cell"),
        Column("hparam", "hyperparameter"),
        Column("value", "best", "number"),
        Column("low", "low", "number"),
        Column("high", "high", "number"),
        Column("at_edge", "at the edge", "bool"),
        Column("reaches_edge", "interval reaches it", "bool"),
    ]
    if sweep.rule:
        columns += [Column("rule", printable(sweep.rule), "number"), Column("where", "which is")]
    note = "The best setting of each cell, with the middle 68% of where it may be."
    return from_frame("sweep_best", "Best settings", note, columns, _frame(rows, columns))


def _where(rule: Any, best: Any) -> str:
    """Where a prescribed value stands."""
    if not rule.inside:
        return "outside the trials"
    if rule.value < best.low:
        return "below the 68%"
    return "above the 68%" if rule.value > best.high else "within the 68%"


def _frame(rows: list[dict[str, Any]], columns: list[Column]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=[column.key for column in columns])
