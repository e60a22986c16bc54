"""Files of learning curves as one frame, with the columns that the page needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from delphi.arrays import column
from delphi.cells import numbers
from delphi.errors import DataError
from delphi.readers import open_tables

__all__ = ["demo_curves", "read_curves"]

NUMBERS = ("loss", "step", "progress", "lr")
OPTIONAL = ("progress", "scale", "mix", "lr", "schedule")
NAMES = {  # other usual names of the columns
    "run": ("run", "name", "run_name", "run_id"),
    "step": ("step", "_step", "tokens"),
    "loss": ("loss", "val_loss", "eval_loss"),
    "scale": ("scale", "flops", "budget"),
    "lr": ("lr", "learning_rate_peak", "peak_lr"),
}


def demo_curves() -> pd.DataFrame:
    """The simulated grid of the demo: five scales, three mixes, three learning rates."""
    from delphi.curvegrid import curves

    return curves(scales=(3e18, 1e19, 3e19, 1e20, 3e20), rng=0)


def read_curves(
    files: Sequence[str], named: Mapping[str, str] | None = None
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Read files of points into one frame.

    Parameters
    ----------
    files : sequence of path
        CSV, TSV, JSON, JSON lines or Parquet, one row a point.
    named : mapping of str to str, optional
        Columns by what they hold: run, loss, step, progress, total, scale, mix, lr, schedule.

    Returns
    -------
    frame : DataFrame
    columns : dict
        What to pass on to `analyse_curves`: the names of run, loss, step, ...

    Raises
    ------
    DataError
        A file that cannot be read, a column that is not there, text for numbers.
    """
    given = dict(named or {})
    tables = open_tables(list(files))
    blocks = []
    columns: dict[str, Any] = {}
    for table in tables:
        found = _columns(table.columns, given, table.where)
        if columns and found != columns:
            raise DataError(f"{table.where}: other columns than {tables[0].where}")
        columns = found
        wanted = list(dict.fromkeys(v for v in found.values() if v in table.columns))
        texts = [found[k] for k in ("run", "mix", "schedule") if found.get(k) in table.columns]
        block = pd.DataFrame(dict(table.take(wanted, texts)))
        if len(tables) > 1 and block.empty:
            raise DataError(f"{table.where}: no rows")
        blocks.append(block)
    frame = pd.concat(blocks, ignore_index=True)
    if frame.empty:
        raise DataError(f"{tables[0].where}: no rows")
    for name in NUMBERS:
        if columns.get(name) in frame:
            cells = column(frame[columns[name]], columns[name], strict=False)
            frame[columns[name]] = cells
    scale = columns.get("scale")
    if scale in frame:
        values, why = numbers(frame[scale])
        if not why.any():
            frame[scale] = values
        else:
            frame[scale] = frame[scale].astype(str)
    return frame, columns


def _columns(there: Sequence[str], given: Mapping[str, str], where: str) -> dict[str, Any]:
    """Which column holds what."""
    found: dict[str, Any] = {}
    for noun in ("run", "loss", "step", *OPTIONAL):
        name = given.get(noun)
        if name is not None:
            if name not in there:
                raise DataError(f"{where}: no column {name!r}; there are {', '.join(there)}")
            found[noun] = name
            continue
        known = next((n for n in NAMES.get(noun, (noun,)) if n in there), None)
        if known is not None and noun != "progress" and noun != "schedule":
            found[noun] = known
        elif noun in ("run", "loss") or (noun == "step" and "progress" not in given):
            raise DataError(
                f"{where}: no column for {noun}; name it with --column {noun}=NAME "
                f"(there are {', '.join(there)})"
            )
        elif noun in ("scale", "mix", "lr"):
            found[noun] = None
    total = given.get("total", "total_steps" if "total_steps" in there else None)
    if total is not None and total not in there:
        raise DataError(f"{where}: no column {total!r}; there are {', '.join(there)}")
    found["total"] = total if "progress" not in given else None
    return found
