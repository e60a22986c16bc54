"""Random draws: where they come from, and the order statistics of many of them."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .errors import DataError

__all__ = ["CHUNK", "Rng", "generator_from", "quantiles"]

Column = NDArray[np.float64]
# A string, since evaluating it would import numpy.random, 10 ms.
Rng: TypeAlias = "np.random.Generator | np.random.SeedSequence | int | None"

CHUNK = 1 << 20  # numbers at a time: 8 MB, and a few milliseconds without a look at Ctrl-C


def generator_from(rng: Any) -> np.random.Generator:
    """The generator itself, or a new one from a seed; None takes fresh entropy.

    Raises
    ------
    DataError
        Not a Generator, SeedSequence or whole number of at least 0.
    """
    if isinstance(rng, np.random.Generator):
        return rng
    whole = isinstance(rng, (int, np.integer)) and not isinstance(rng, bool) and rng >= 0
    if whole or rng is None or isinstance(rng, np.random.SeedSequence):
        return np.random.default_rng(rng)
    raise DataError(f"rng: expected a Generator, a SeedSequence or an integer >= 0, got {rng!r}")


def quantiles(values: Column, probabilities: Column) -> Column:
    """As `np.quantile` (linear) along the last axis, without a copy of a large column.

    Parameters
    ----------
    values : ndarray, shape (..., n)
    probabilities : ndarray, shape (p,)

    Returns
    -------
    ndarray, shape (..., p)
        NaN where n is 0.
    """
    n = values.shape[-1]
    if n == 0:
        return np.full((*values.shape[:-1], len(probabilities)), np.nan)
    if n > CHUNK and values.ndim > 1:
        return np.stack([quantiles(row, probabilities) for row in values])
    place = (n - 1) * probabilities
    below = np.floor(place).astype(np.int64)
    above = np.minimum(below + 1, n - 1)
    ranks = np.unique(np.concatenate((below, above)))
    if n <= CHUNK:
        chosen = np.partition(values, ranks, axis=-1)[..., ranks]
    else:
        chosen = _select(values, ranks)
    low = chosen[..., np.searchsorted(ranks, below)]
    high = chosen[..., np.searchsorted(ranks, above)]
    share = place - below
    near_low = low + (high - low) * share
    near_high = high - (high - low) * (1 - share)
    return np.where(share < 0.5, near_low, near_high)


def _select(values: Column, ranks: NDArray[np.int64]) -> Column:
    """Order statistics of a large column, chunk by chunk: little memory, and Ctrl-C in between."""
    n = len(values)
    sample = np.sort(values[:: n // (CHUNK // 16)])
    out = np.empty(len(ranks))
    for i, rank in enumerate(ranks):
        centre, reach = rank / n * len(sample), 6 * np.sqrt(len(sample))
        at, to = int(centre - reach), int(centre + reach) + 1
        low = sample[at] if at >= 0 else -np.inf
        high = sample[to] if to < len(sample) else np.inf
        found = _between(values, low, high, int(rank))
        out[i] = found if found is not None else _between(values, -np.inf, np.inf, int(rank))
    return out


def _between(values: Column, low: float, high: float, rank: int) -> float | None:
    """The value of this rank if it lies in [low, high]."""
    below, inside = 0, []
    for first in range(0, len(values), CHUNK):
        chunk = values[first : first + CHUNK]
        below += int(np.count_nonzero(chunk < low))
        inside.append(chunk[(chunk >= low) & (chunk <= high)])
    near = np.concatenate(inside)
    place = rank - below
    return float(np.partition(near, place)[place]) if 0 <= place < len(near) else None
