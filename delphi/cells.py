"""The cells of a column as numbers or words, and why a cell cannot be used."""

from __future__ import annotations

from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

# Why a cell cannot be used. A missing cell leaves its row out; the others are errors.
OK, MISSING, NOT_A_NUMBER, INFINITE, NOT_POSITIVE, UNKNOWN_WORD = range(6)
WORDS = ("", "missing", "not a number", "infinite", "not positive", "neither isoflop nor optimal")
MISSING_WORDS = frozenset({"", "NaN", "nan", "null", "None"})


def numbers(raw: Any) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
    """Cells as float64 with, for each, OK, MISSING or NOT_A_NUMBER."""
    if isinstance(raw, pd.Series):
        dtype = raw.dtype
        if pd.api.types.is_bool_dtype(dtype):
            raw = raw.to_numpy(dtype=object)
        elif pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_complex_dtype(dtype):
            raw = raw.to_numpy(dtype=np.float64, na_value=np.nan)
        else:
            raw = raw.to_numpy(dtype=object)
    if isinstance(raw, np.ma.MaskedArray):
        raw = np.ma.filled(raw.astype(np.float64), np.nan)
    cells = np.asarray(raw)
    if cells.dtype.kind in "iuf":
        values = cells.astype(np.float64)
        return values, np.where(np.isnan(values), MISSING, OK).astype(np.int8)
    return _object_numbers(cells.astype(object))


def _object_numbers(cells: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
    kinds = set(map(type, cells))
    plain = kinds <= {int, float} or (kinds == {str} and "_" not in "".join(cells))
    if plain:
        try:
            values = cells.astype(np.float64)
            return values, np.where(np.isnan(values), MISSING, OK).astype(np.int8)
        except (ValueError, OverflowError):
            pass  # some cell is not a plain number: look at them one by one
    values = np.full(len(cells), np.nan)
    why = np.zeros(len(cells), dtype=np.int8)
    for i, cell in enumerate(cells):
        values[i], why[i] = _number(cell)
    return values, why


def _number(cell: Any) -> tuple[float, int]:
    """One cell. Booleans, digits grouped by ``_`` and anything but a real number are refused."""
    if isinstance(cell, str):
        if cell.strip() in MISSING_WORDS:
            return np.nan, MISSING
        if "_" in cell:
            return np.nan, NOT_A_NUMBER
    elif cell is None or cell is pd.NA or cell is pd.NaT:
        return np.nan, MISSING
    elif isinstance(cell, (bool, np.bool_)) or not isinstance(cell, (Real, Decimal)):
        return np.nan, NOT_A_NUMBER
    try:
        value = float(cell)
    except OverflowError:
        return np.inf, OK  # an integer beyond float64; reported as infinite with the others
    except ValueError:
        return np.nan, NOT_A_NUMBER
    return value, MISSING if np.isnan(value) else OK


def positive(values: NDArray[np.float64], why: NDArray[np.int8]) -> None:
    """Mark the values that no law can use: infinite, zero or below. Changes ``why``."""
    why[(why == OK) & np.isinf(values)] = INFINITE
    why[(why == OK) & ~(values > 0)] = NOT_POSITIVE


def words(raw: Any) -> NDArray[Any]:
    """Cells as stripped str in an object array, missing ones empty; 3.0 reads as ``3``."""
    if isinstance(raw, pd.Series):
        if isinstance(raw.dtype, pd.StringDtype):
            return np.asarray(raw.str.strip().fillna("").to_numpy(dtype=object))
        raw = raw.to_numpy(dtype=object)
    cells = np.asarray(raw, dtype=object)
    out = np.empty(len(cells), dtype=object)
    out[:] = [c.strip() if type(c) is str else _word(c) for c in cells]
    return out


def _word(cell: Any) -> str:
    if cell is None or cell is pd.NA or cell is pd.NaT:
        return ""
    if isinstance(cell, (float, np.floating)):
        return "" if np.isnan(cell) else str(int(cell)) if float(cell).is_integer() else str(cell)
    return str(cell).strip()


def bad_cells(
    standard: str, column: str | None, raw: Any, why: NDArray[np.int8], most: int = 5
) -> str:
    """One line on a column's unusable cells: the first few, by row. A derived one has no column."""
    rows = np.flatnonzero(why > MISSING)
    cells = raw.iloc if isinstance(raw, pd.Series) else raw
    shown = [f"row {i + 1} is {_shown(cells[i], WORDS[why[i]])}" for i in rows[:most]]
    total = f"; {len(rows)} bad rows in all" if len(rows) > most else ""
    called = standard
    if column != standard:
        called += f" (column {column!r})" if column is not None else " (derived)"
    return f"  {called}: {', '.join(shown)}{total}"


def _shown(cell: Any, reason: str) -> str:
    if isinstance(cell, np.generic):
        cell = cell.item()
    text = repr(cell)
    text = text if len(text) <= 42 else text[:39] + "..."
    if isinstance(cell, str) and reason == WORDS[NOT_A_NUMBER]:
        joined = cell.strip().translate(str.maketrans("", "", ",_' \u00a0\u202f"))
        if joined != cell.strip() and _number(joined)[1] == OK:
            reason += ": write it without thousands separators"
    return f"{text} ({reason})"
