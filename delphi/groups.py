"""Labels to contiguous groups: the one place where group labels become offsets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .errors import DataError

__all__ = ["Groups", "group_rows"]


class Groups(NamedTuple):
    """Rows in group order, where each group begins, and what each group is called."""

    order: NDArray[np.int64]
    offsets: NDArray[np.int64]
    keys: pd.DataFrame


def group_rows(*labels: Any, names: Sequence[str] | None = None) -> Groups:
    """Find the rows of every distinct combination of labels.

    Parameters
    ----------
    *labels : array_like or pandas.Series, each of length n
        One or several label columns. Strings, numbers and booleans all serve.
    names : sequence of str, optional
        Column names of ``keys``; by default each Series' own name, else ``key_0``, ``key_1``, ...

    Returns
    -------
    Groups
        ``(order, offsets, keys)``. ``order`` (int64, n) makes the groups contiguous and keeps the
        order of the rows inside each; ``offsets`` (int64, n_groups + 1) begins with 0 and ends
        with n: group ``g`` is ``order[offsets[g]:offsets[g + 1]]``; ``keys`` (n_groups rows, one
        column a label) is sorted by its first column, then the second, and so on.

    Raises
    ------
    DataError
        No labels, labels of different lengths, a missing label, or labels that have no order.

    Examples
    --------
    >>> order, offsets, keys = group_rows(["b", "a", "b"], [1, 1, 1], names=["suite", "budget"])
    >>> order.tolist(), offsets.tolist()
    ([1, 0, 2], [0, 1, 3])
    >>> keys["suite"].tolist()
    ['a', 'b']
    """
    if not labels:
        raise DataError("group_rows needs at least one label column")
    if names is None:
        names = [str(n) if (n := getattr(s, "name", None)) is not None else f"key_{i}"
                 for i, s in enumerate(labels)]  # fmt: skip
    if len(names) != len(labels) or len(set(names)) != len(names):
        raise DataError(f"{len(labels)} label columns need as many distinct names, not {names!r}")
    series = [_plain(label) for label in labels]
    n = len(series[0])
    for name, column in zip(names, series, strict=True):
        if len(column) != n:
            raise DataError(f"label {name!r} has {len(column)} rows, {names[0]!r} has {n}")

    code = np.zeros(n, dtype=np.int64)
    n_groups = 1 if n else 0
    levels: list[tuple[NDArray[np.int64], Any]] = []  # per label: level of each group, level values
    for name, column in zip(names, series, strict=True):
        codes, values = _factorise(name, column)
        # n_groups and len(values) are at most n, so the product fits int64 for any n < 3e9
        code, pairs = pd.factorize(code * max(len(values), 1) + codes, sort=True)
        parent, level = np.divmod(pairs, max(len(values), 1))
        levels = [(seen[parent], kept) for seen, kept in levels]
        levels.append((level, values))
        n_groups = len(pairs)

    small = code.astype(np.uint16) if n_groups <= 1 << 16 else code  # numpy radix-sorts 16 bits
    order = np.argsort(small, kind="stable").astype(np.int64, copy=False)
    offsets = np.zeros(n_groups + 1, dtype=np.int64)
    np.cumsum(np.bincount(code, minlength=n_groups), out=offsets[1:])
    keys = pd.DataFrame(
        {name: values.take(level) for name, (level, values) in zip(names, levels, strict=True)}
    )
    return Groups(order, offsets, keys)


def _plain(label: Any) -> pd.Series:
    """The label as a Series without index and without categories."""
    column = label if isinstance(label, pd.Series) else pd.Series(np.asarray(label))
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.dtype.categories.dtype)
    return column.reset_index(drop=True)


def _factorise(name: str, column: pd.Series) -> tuple[NDArray[np.int64], Any]:
    """Level of each row and the sorted levels; a missing label is an error, never a lost row."""
    try:
        codes, values = pd.factorize(column, sort=True)
    except TypeError as error:
        raise DataError(f"label {name!r} mixes values that have no order: {error}") from None
    if len(codes) and codes.min() < 0:
        row = int(np.argmin(codes)) + 1
        raise DataError(f"label {name!r} has no value in row {row} (rows counted from 1)")
    return codes.astype(np.int64, copy=False), pd.Index(values)
