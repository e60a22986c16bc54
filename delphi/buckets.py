"""The runs of a table that belong into IsoFLOP curves, budget by budget."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .arrays import column, frame_columns, to_pandas
from .errors import DataError
from .groups import group_rows
from .heldout import is_crashed

__all__ = ["Buckets", "bucketed", "sweep_runs"]


def sweep_runs(runs: Any, by: str = "suite") -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """All runs with their suite, those that belong into parabolas, a count of the others."""
    numbers = ["tokens", "params", "flops", "budget", "loss"]
    if not isinstance(by, str):
        raise DataError(f"by: expected the name of one column, got {by!r}")
    if by in numbers:
        raise DataError(f"by={by!r}: a number of each run cannot name its suite")
    runs = to_pandas(runs)
    table = frame_columns(runs, [by, *numbers]).rename(columns={by: "suite"})
    table["suite"] = _labels(table["suite"], by)
    runs = runs.assign(suite=table["suite"])
    for name in ("run_type", "state"):
        if name in runs:
            table[name] = runs[name].astype(object).where(runs[name].notna(), "")
    keep = np.ones(len(table), dtype=bool)
    counts = []
    if "run_type" in table:
        held = (table["run_type"] != "isoflop").to_numpy()
        counts.append(("held out (run_type is not isoflop)", int(held.sum())))
        keep &= ~held
    if "state" in table:
        ended = is_crashed(table["state"]).to_numpy() & keep
        counts.append(("no final loss (crashed or still running)", int(ended.sum())))
        keep &= ~ended
    if not keep.any():
        raise DataError("no IsoFLOP run to fit: the table has none that finished")
    left_out = pd.DataFrame([(reason, n) for reason, n in counts if n], columns=["reason", "rows"])
    return runs, table[keep], left_out


def _labels(suites: pd.Series, by: str) -> pd.Series:
    """Suite labels as text: laws, figures and files are named by them."""
    missing = suites.isna().to_numpy()
    if missing.any():
        row = int(np.argmax(missing)) + 1
        raise DataError(f"{by}: no suite in row {row} (rows counted from 1)")
    return suites.astype(str)


class Buckets(NamedTuple):
    """Columns of the runs, budget by budget, and the suite and budget of each."""

    tokens: NDArray[np.float64]
    params: NDArray[np.float64]
    flops: NDArray[np.float64]
    loss: NDArray[np.float64]
    offsets: NDArray[np.int64]
    keys: pd.DataFrame


def bucketed(sweep: pd.DataFrame) -> Buckets:
    """The runs in order of suite and budget."""
    tokens, params, flops, loss = (
        column(sweep[name], name, strict=False) for name in ("tokens", "params", "flops", "loss")
    )
    order, offsets, keys = group_rows(sweep["suite"], sweep["budget"], names=["suite", "budget"])
    return Buckets(tokens[order], params[order], flops[order], loss[order], offsets, keys)
