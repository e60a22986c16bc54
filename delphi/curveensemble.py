"""One forecast out of all fits of a learning curve: where the run stands less the drop left."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .curveforms import MODELS
from .trajectories import Trajectories

__all__ = ["LEVEL_POINTS", "ensemble_final", "fastest_fall", "median_of", "recent_slope"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LEVEL_POINTS = 3  # at the end of a prefix, whose median residual says where the run stands
AWAY = 2.0  # standard deviations of the noise that this may be from the last value
SPAN = 2.5  # factor within which the later half may correct the drop that all of the prefix says
RECENT = 0.1  # of a prefix, whose slope goes on
EXPONENT = 0.5  # of the power law by which it goes on
CUT = 3.5  # times as fast as at its end: a run that fell so in between has had its rate cut
PIECES, FEWEST = 20, 4  # of the later half in which this is looked for
END = 0.025  # of a prefix, that says how fast it falls at its end
POINTS = 3  # at least, in a piece and for a slope


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
    recent slope becomes flatter as the derivative of tau^-1/2 does. But where the later half fell
    `CUT` times as fast, somewhere, as the slice does at its end, a step lies in it that no form
    follows: then it has no say, and the drop is the lesser of the other two.

    What is not known is left out. No row at or after ``ends`` is read.
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
    slope, _ = recent_slope(runs, starts, ends, RECENT)
    goes_on = -np.minimum(slope, 0) * at * (1 - at**EXPONENT) / EXPONENT
    goes_on = np.where(np.isfinite(slope), goes_on, drop)
    slope, error = recent_slope(runs, starts, ends, END)
    cut = fastest_fall(runs, starts, ends) > CUT * np.maximum(error - slope, 0)
    left = np.median((drop, late, goes_on), axis=0)
    return stands - np.where(cut, np.minimum(drop, goes_on), left)


def recent_slope(
    runs: Trajectories, starts: Ints, ends: Ints, part: float
) -> tuple[Floats, Floats]:
    """Slope of the loss at the end of each slice, by least squares, and its standard error.

    Parameters
    ----------
    runs : Trajectories
    starts, ends : numpy.ndarray of int, shape (n,)
        Rows of each slice in ``runs``.
    part : float
        Of the progress at its end: the stretch that is looked at, or its last three points if
        those go further back.

    Returns
    -------
    slope, error : numpy.ndarray, shape (n,)
        NaN for fewer than three points, or where all are at one progress.
    """
    n = len(starts)
    slope, error = np.full(n, np.nan), np.full(n, np.nan)
    first = np.maximum(np.minimum(_since(runs, starts, ends, 1 - part), ends - POINTS), starts)
    some = np.flatnonzero(ends - first >= POINTS)
    if not len(some):
        return slope, error
    size = (ends - first)[some]
    rows, begins = _rows(first[some], size)

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


def fastest_fall(runs: Trajectories, starts: Ints, ends: Ints) -> Floats:
    """The fastest fall between neighbouring pieces of the later half of each slice, by medians.

    Parameters
    ----------
    runs : Trajectories
    starts, ends : numpy.ndarray of int, shape (n,)
        Rows of each slice in ``runs``.

    Returns
    -------
    numpy.ndarray, shape (n,)
        Loss per progress, between up to twenty pieces of equal progress and three points each as a
        rule, so that a single spike is no fall; NaN where there are not four such pieces.
    """
    out = np.full(len(starts), np.nan)
    first = _since(runs, starts, ends, 0.5)
    pieces = np.minimum((ends - first) // POINTS, PIECES)
    some = np.flatnonzero(pieces >= FEWEST)
    if not len(some):
        return out
    size = (ends - first)[some]
    rows, _ = _rows(first[some], size)
    owner = np.repeat(np.arange(len(some)), size)
    tau = runs.tau[rows]
    end = runs.tau[ends[some] - 1][owner]
    m = pieces[some][owner]
    with np.errstate(invalid="ignore", divide="ignore"):  # a slice at progress 0; an empty piece
        place = np.nan_to_num((2 * tau / end - 1) * m)
        key = owner * PIECES + np.clip(place, 0, m - 1).astype(np.int64)
        count = np.bincount(key, minlength=len(some) * PIECES)
        x = np.bincount(key, tau, minlength=len(count)) / count
    y = _medians(runs.loss[rows], key, count)
    with np.errstate(invalid="ignore", divide="ignore"):
        fall = -np.diff(y.reshape(-1, PIECES)) / np.diff(x.reshape(-1, PIECES))
    fall = np.where(np.isfinite(fall), fall, -np.inf).max(axis=1)
    out[some] = np.where(np.isfinite(fall), fall, np.nan)
    return out


def _medians(values: Floats, key: Ints, count: Ints) -> Floats:
    """Median of the values of each key, 0 to len(count) - 1; NaN where it has none."""
    ordered = np.append(values[np.lexsort((values, key))], np.nan)
    begin = np.cumsum(count) - count
    low, high = begin + (count - 1) // 2, begin + count // 2
    middle = (ordered[np.maximum(low, 0)] + ordered[high]) / 2
    return np.where(count > 0, middle, np.nan)


def _since(runs: Trajectories, starts: Ints, ends: Ints, part: float) -> Ints:
    """First row of each slice at or after this part of the progress at its end."""
    first = starts.copy()
    for k in np.flatnonzero(ends > starts):
        tau = runs.tau[starts[k] : ends[k]]
        first[k] += np.searchsorted(tau, part * tau[-1])
    return first


def _rows(first: Ints, size: Ints) -> tuple[Ints, Ints]:
    """Rows of stretches of these sizes, one after the other, and where each begins."""
    begins = np.concatenate(([0], np.cumsum(size)[:-1]))
    return np.arange(size.sum()) + np.repeat(first - begins, size), begins


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
            curve = MODELS[form]
            value[:, j] = curve(tau[:, None, :], r["F"], r["A"], r["theta_0"], r["theta_1"])
    return value
