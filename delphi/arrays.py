"""Arguments of fits as clean columns, or a DataError that says what is wrong with them."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from . import cells
from .errors import DataError

__all__ = [
    "as_array",
    "checked_count",
    "checked_level",
    "column",
    "floats",
    "frame_columns",
    "to_pandas",
]


def column(
    values: Any, name: str, *, n: int | None = None, least: int = 1, strict: bool = True
) -> NDArray[np.float64]:
    """Values as a contiguous one-dimensional float64 column of positive numbers.

    Parameters
    ----------
    values : array_like
        Numbers, or texts that are numbers.
    name : str
        What to call the column in errors.
    n : int, optional
        The length it must have.
    least : int
        The fewest values that make sense.
    strict : bool
        Refuse missing, infinite and non-positive values; otherwise they pass (missing as NaN) for
        the fit to report as the status of their group, and only what is no number is refused.

    Raises
    ------
    DataError
        Names the column and the first bad rows, counted from 1.
    """
    raw = values if isinstance(values, pd.Series) else as_array(values, name)
    if raw.ndim != 1:
        raise DataError(f"{name}: expected one dimension, got {raw.ndim}")
    if n is not None and len(raw) != n:
        raise DataError(f"{name}: expected {n} values, got {len(raw)}")
    if len(raw) < least:
        raise DataError(f"{name}: expected at least {least} values, got {len(raw)}")
    numbers, why = cells.numbers(raw)
    if strict:
        cells.positive(numbers, why)
        why[why == cells.MISSING] = cells.NOT_A_NUMBER
    if np.any(why > cells.MISSING):
        raise DataError(f"bad values\n{cells.bad_cells(name, name, raw, why)}")
    return np.ascontiguousarray(numbers)


def as_array(values: Any, name: str) -> NDArray[Any]:
    """Anything as an array; masked values as missing ones.

    Raises
    ------
    DataError
        Rows of unequal length.
    """
    if isinstance(values, np.ma.MaskedArray):
        return np.ma.filled(values.astype(np.float64), np.nan)
    try:
        return np.asarray(values)
    except ValueError as error:
        raise DataError(f"{name}: {error}") from None


def floats(values: Any, name: str) -> NDArray[np.float64]:
    """Numbers of any shape as float64, for evaluating a law at them.

    Raises
    ------
    DataError
        Something in it is not a number.
    """
    try:
        return as_array(values, name).astype(np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name}: {error}") from None


def to_pandas(frame: Any) -> pd.DataFrame:
    """Any frame narwhals knows as pandas, without touching the caller's.

    Raises
    ------
    DataError
        Not a frame.
    """
    if isinstance(frame, pd.DataFrame):
        return frame
    import narwhals as nw  # 20 ms, and only other frame libraries need it

    try:
        return nw.from_native(frame, eager_only=True).to_pandas()
    except TypeError:
        raise DataError(f"expected a DataFrame, got {type(frame).__name__}") from None


def frame_columns(frame: Any, names: Sequence[str]) -> pd.DataFrame:
    """The named columns of a frame, as pandas.

    Raises
    ------
    DataError
        Not a frame, or columns are missing; lists the missing and the present.
    """
    table = to_pandas(frame)
    absent = [name for name in names if name not in table.columns]
    if absent:
        raise DataError(
            f"missing column{'s' if len(absent) > 1 else ''} {', '.join(map(repr, absent))}; "
            f"the frame has {', '.join(map(repr, table.columns))}"
        )
    return table[list(names)]


def checked_level(level: float) -> float:
    """The level of an interval as a float strictly between 0 and 1, or a DataError."""
    number = isinstance(level, (int, float, np.number)) and not isinstance(level, bool)
    if not number or not 0 < level < 1:
        raise DataError(f"level: expected a number between 0 and 1, got {level!r}")
    return float(level)


def checked_count(value: Any, name: str, least: int = 1) -> int:
    """A whole number of at least `least`, or a DataError that names it."""
    try:
        number = None if isinstance(value, (bool, np.bool_)) else operator.index(value)
    except TypeError:
        number = None
    if number is None or number < least:
        raise DataError(f"{name}: expected a whole number of at least {least}, got {value!r}")
    return number
