"""One forecast out of all fits of a learning curve: where the run stands less the drop left."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _core
from .trajectories import Trajectories

__all__ = ["LEVEL_POINTS", "SPAN", "ensemble_final", "median_of", "recent_slope"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LEVEL_POINTS = 3  # at the end of a prefix, whose median residual says where the run stands
AWAY = 2.0  # standard deviations of the noise that this may be from the last value
SPAN = 2.5  # factor within which the later half may correct the drop that all of the prefix says
RECENT, RECENT_POINTS = 0.1, 3  # of a prefix, and points at least, that say how it falls at its end
STEEPER = 1.0  # standard errors by which a straight line to the end may be steeper than it looks
EXPONENT = 0.5  # of the power law by which a fall goes on


def ensemble_final(
    runs: Trajectories,
    starts: Ints,
    ends: Ints,
    whole: NDArray[np.void],
    half: NDArray[np.void],
    forms: Sequence[str],
) -> Floats:
    """Final loss that all fits of a slice together foresee.

    Parameters
    ----------
    runs : Trajectories
    starts, ends : numpy.ndarray of int, shape (n,)
        Rows of each slice in ``runs``.
    whole, half : structured numpy.ndarray, shape (n, n_forms, n_losses)
        Fits to the slices, and to the later half of each; the number of losses may differ.
    forms : sequence of str
        Names of the forms.

    Returns
    -------
    numpy.ndarray, shape (n,)
        NaN where a slice has no point.

    Notes
    -----
    Where a run stands: the median over fits of their value at the end plus their median residual at
    the last three points, but no further from the last value than two standard deviations of the
    noise, which is for runs whose learning rate has just been cut.

    The drop left is the median of three: what the fits to the whole slice say (their median), what
    the fits to its later half say, within a factor of `SPAN` of that, and how it goes on if the
    recent fall becomes slower as tau^-1/2 does. It is at most what a straight line at the recent
    slope, steeper by a standard error, would still fall. What is not known is left out.

    No row at or after ``ends`` is read.
    """
    if not len(runs.tau):
        return np.full(len(starts), np.nan)
    last = np.maximum(ends - 1, 0)
    rows = np.maximum(last[:, None] - np.arange(LEVEL_POINTS), np.minimum(starts, last)[:, None])
    tau, y = runs.tau[rows], runs.loss[rows]
    fitted = _at(whole, forms, tau)
    stands = median_of(
        fitted[..., 0] + np.median(y[:, None, None, :] - fitted, axis=-1), ends > starts, y[:, 0]
    )
    noise = median_of(whole["noise"], ends > starts, np.inf)
    stands = np.clip(stands, y[:, 0] - AWAY * noise, y[:, 0] + AWAY * noise)
    drop = median_of(fitted[..., 0] - whole["F"], ends > starts, 0.0)
    late = median_of(_at(half, forms, tau[:, :1])[..., 0] - half["F"], ends > starts, drop)
    late = np.clip(late, drop / SPAN, drop * SPAN)

    at = tau[:, 0]
    slope, error = recent_slope(runs, starts, ends)
    known = np.isfinite(slope)
    fall = np.where(known, np.maximum(-slope, 0), 0.0)
    goes_on = np.where(known, fall * at * (1 - at**EXPONENT) / EXPONENT, drop)
    line = np.where(known, np.maximum(-slope + STEEPER * error, 0) * (1 - at), np.inf)
    left = np.median((drop, late, goes_on), axis=0)
    return stands - np.minimum(left, line)


def recent_slope(runs: Trajectories, starts: Ints, ends: Ints) -> tuple[Floats, Floats]:
    """Slope of the loss over the last tenth of each slice, or its last three points if those are
    more, by least squares, and its standard error; NaN for fewer than three points.
    """
    n = len(starts)
    slope, error = np.full(n, np.nan), np.full(n, np.nan)
    last = np.maximum(ends - 1, 0)
    first = np.empty(n, np.int64)
    for k in range(n):
        begin = (1 - RECENT) * runs.tau[last[k]]
        first[k] = starts[k] + np.searchsorted(runs.tau[starts[k] : ends[k]], begin)
    first = np.maximum(np.minimum(first, ends - RECENT_POINTS), starts)
    some = np.flatnonzero(ends - first >= 3)
    if not len(some):
        return slope, error
    size = (ends - first)[some]
    begins = np.concatenate(([0], np.cumsum(size)[:-1]))
    rows = np.arange(size.sum()) + np.repeat(first[some] - begins, size)

    def total(values: Floats) -> Floats:
        return np.add.reduceat(values, begins)

    x, y = runs.tau[rows], runs.loss[rows]
    x = x - np.repeat(total(x) / size, size)
    y = y - np.repeat(total(y) / size, size)
    spread = total(x * x)
    with np.errstate(invalid="ignore", divide="ignore"):  # all points at one tau
        steep = total(x * y) / spread
        off = y - np.repeat(steep, size) * x
        error[some] = np.sqrt(total(off * off) / (size - 2) / spread)
    slope[some] = np.where(spread > 0, steep, np.nan)
    return slope, error


def median_of(values: Floats, which: NDArray[np.bool_], otherwise: Any) -> Floats:
    """Median over all but the first axis of what is finite.

    Parameters
    ----------
    values : numpy.ndarray, shape (n, ...)
    which : numpy.ndarray of bool, shape (n,)
        Where to give a number at all; NaN elsewhere.
    otherwise : float or numpy.ndarray, shape (n,)
        The number where nothing is finite.
    """
    flat = values.reshape(len(values), -1)
    out = np.where(which, otherwise, np.nan)
    some = which & np.isfinite(flat).any(axis=1)
    out[some] = np.nanmedian(np.where(np.isfinite(flat[some]), flat[some], np.nan), axis=1)
    return out


def _at(records: NDArray[np.void], forms: Sequence[str], tau: Floats) -> Floats:
    """Every fit of a slice at the slice's own tau, (n_slices, n_forms, n_losses, k)."""
    value = np.empty((*records.shape, tau.shape[1]))
    with np.errstate(invalid="ignore"):
        for j, form in enumerate(forms):
            r = records[:, j, :, None]
            curve = getattr(_core, f"curve_{form}")
            value[:, j] = curve(tau[:, None, :], r["F"], r["A"], r["theta_0"], r["theta_1"])
    return value
