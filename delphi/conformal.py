"""Conformal intervals: how far off the same method was on the other runs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["conformal"]

Floats = NDArray[np.float64]


def conformal(ratio: Floats, level: float) -> tuple[Floats, NDArray[np.int64]]:
    """For each run the error that the others stay below with this level, itself left out.

    Parameters
    ----------
    ratio : numpy.ndarray, shape (n,)
        Absolute errors, in whatever unit they are comparable; NaN where there is none.
    level : float
        In (0, 1).

    Returns
    -------
    width : numpy.ndarray, shape (n,)
        NaN where there are fewer than ``level / (1 - level)`` other errors.
    others : numpy.ndarray of int64, shape (n,)
        How many other errors there are.

    References
    ----------
    Vovk, Gammerman and Shafer, "Algorithmic Learning in a Random World", Springer 2005.

    Examples
    --------
    >>> width, others = conformal(np.array([1.0, 4.0, 2.0, 3.0, np.nan]), 0.5)
    >>> width.tolist(), others.tolist()
    ([3.0, 2.0, 3.0, 2.0, 3.0], [3, 3, 3, 3, 4])
    """
    known = np.isfinite(ratio)
    ordered = np.sort(ratio[known])
    rank = np.full(len(ratio), len(ordered))
    rank[known] = np.argsort(np.argsort(ratio[known], kind="stable"), kind="stable")
    others = np.where(known, len(ordered) - 1, len(ordered))
    place = np.ceil((others + 1) * level).astype(int) - 1
    enough = place < others
    place = np.where(rank <= place, place + 1, place)
    width = np.full(len(ratio), np.nan)
    width[enough] = ordered[place[enough]]
    return width, others
