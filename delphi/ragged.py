"""Rows of unequal length as flat columns and offsets, and whole numbers as such."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arrays import as_array
from .errors import DataError

__all__ = ["fork_tokens", "gathered", "number_array", "ragged", "whole", "whole_array"]

Floats = NDArray[np.float64]
Offsets = NDArray[np.int64]


def number_array(values: Any, name: str) -> Floats:
    """Numbers of any shape as float64, None as NaN, or a DataError."""
    try:
        return as_array(values, name).astype(np.float64, copy=False)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name}: {error}") from None


def whole_array(values: Any, name: str) -> Offsets:
    """Whole numbers of any shape as int64, or a DataError."""
    array = as_array(values, name)
    if array.size and array.dtype.kind not in "iu":
        fine = array.dtype.kind == "f" and np.isfinite(array).all() and (array % 1 == 0).all()
        if not fine:
            raise DataError(f"{name}: expected whole numbers, got {array.dtype}")
    return array.astype(np.int64, copy=False)


def whole(values: Any, name: str, n: int, least: int = 0) -> Offsets:
    """n whole numbers of at least `least`, one stands for all; or a DataError naming the first."""
    array = whole_array(values, name)
    if array.shape not in ((), (n,)):
        raise DataError(f"{name}: expected {n} values, got shape {array.shape}")
    low = np.flatnonzero(array.reshape(-1) < least)
    if len(low):
        value = array.reshape(-1)[low[0]]
        where = f"row {low[0] + 1}: " if array.ndim else ""
        raise DataError(f"{name}: {where}expected at least {least}, got {value}")
    return np.ascontiguousarray(np.broadcast_to(array, (n,)))


def ragged(values: Any, name: str) -> tuple[Floats, Offsets, tuple[int, ...] | None]:
    """Rows end to end, their offsets, and the shape they came in (None for a list of rows)."""
    if isinstance(values, (list, tuple)) and any(np.ndim(row) for row in values):
        rows = [number_array(row, f"{name} row {i + 1}") for i, row in enumerate(values)]
        flat = [i for i, row in enumerate(rows) if row.ndim != 1]
        if flat:
            raise DataError(f"{name} row {flat[0] + 1}: expected one dimension")
        sizes = [len(row) for row in rows]
        offsets = np.concatenate(([0], np.cumsum(sizes, dtype=np.int64))).astype(np.int64)
        return np.concatenate(rows), offsets, None
    array = number_array(values, name)
    if array.ndim not in (1, 2):
        raise DataError(f"{name}: expected one or two dimensions, got {array.ndim}")
    n, length = np.atleast_2d(array).shape
    flat_array = np.ascontiguousarray(array).reshape(-1)
    return flat_array, np.arange(n + 1, dtype=np.int64) * length, array.shape


def fork_tokens(forks: Any, offsets: Offsets) -> Offsets:
    """Tokens of all forks end to end: one row for all rollouts, or a row for each."""
    sizes = np.diff(offsets)
    own = isinstance(forks, (list, tuple)) and any(np.ndim(row) for row in forks)
    if own or np.ndim(forks) == 2:
        rows = [whole_array(row, f"forks row {i + 1}") for i, row in enumerate(forks)]
    else:
        rows = [whole_array(forks, "forks")] * len(sizes)
    if len(rows) != len(sizes):
        raise DataError(f"forks: expected {len(sizes)} rows, got {len(rows)}")
    for i, (row, size) in enumerate(zip(rows, sizes.tolist(), strict=True)):
        if row.shape != (size,):
            raise DataError(f"pmass row {i + 1}: {size} values for {row.size} forks")
    return np.concatenate(rows) if rows else np.empty(0, np.int64)


def gathered(offsets: Offsets, rows: Offsets) -> tuple[Offsets, Offsets]:
    """Positions of the items of some rows, and the offsets they then have."""
    sizes = np.diff(offsets)[rows]
    after = np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)
    return np.arange(after[-1]) + np.repeat(offsets[:-1][rows] - after[:-1], sizes), after
