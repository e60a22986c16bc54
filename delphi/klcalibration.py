"""KL of rollouts, calibrated by its first tokens and smoothed."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, cast

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from . import _core
from .errors import DataError
from .kl import KLTrajectories
from .ragged import number_array, ragged, whole
from .status import bits, one_warning, status_texts, warn_about
from .threads import thread_count

__all__ = ["CalibratedKL", "calibrate_kl", "rolling_mean"]

Order = Literal["calibrate", "smooth"]
Floats = NDArray[np.float64]
Offsets = NDArray[np.int64]


@dataclass(frozen=True)
class CalibratedKL:
    """KL rows after calibration and smoothing.

    Attributes
    ----------
    values : numpy.ndarray, shape (n_tokens,)
        KL over its scale (or in nats, without normalising), NaN throughout rows without one.
    offsets : numpy.ndarray of int64, shape (n + 1,)
        Row i owns values offsets[i] to offsets[i + 1].
    rows : pandas.DataFrame
        One row each: n, n_head (values the scale rests on), scale (nats), status, status_code.
    roll, calib_tokens, percentile, order, normalize
        As given to `calibrate_kl`.
    """

    values: Floats
    offsets: Offsets
    rows: pd.DataFrame
    roll: int
    calib_tokens: int
    percentile: float
    order: str
    normalize: bool

    @property
    def ok(self) -> NDArray[np.bool_]:
        """Which rows have values."""
        return cast("NDArray[np.bool_]", self.rows["status_code"].to_numpy() >= 0)

    def to_list(self) -> list[Floats]:
        """The rows as a list of arrays."""
        return np.split(self.values, self.offsets[1:-1])

    def quantiles(self, q: ArrayLike, groups: ArrayLike | None = None) -> list[pd.DataFrame]:
        """Quantiles over the rows of each group, token by token.

        Parameters
        ----------
        q : array_like
            In [0, 1], increasing.
        groups : array_like of int, optional
            Offsets into the rows; all are one group by default.

        Returns
        -------
        list of pandas.DataFrame
            One a group: token, count (rows with a value there), and one column for each q.
        """
        levels = np.atleast_1d(np.asarray(q, np.float64))
        edges = np.array([0, len(self.rows)]) if groups is None else np.asarray(groups)
        try:
            values, count, at = _core.kl_quantiles(
                self.values, self.offsets, edges, levels, n_threads=thread_count()
            )
        except (TypeError, ValueError) as error:
            raise DataError(str(error)) from None
        names = [f"{level:g}" for level in levels]
        frames = []
        for begin, end in pairwise(at.tolist()):
            frame = pd.DataFrame(values[begin:end], columns=names)
            frame.insert(0, "count", count[begin:end])
            frame.insert(0, "token", np.arange(end - begin))
            frames.append(frame)
        return frames

    def median(self, groups: ArrayLike | None = None) -> list[Floats]:
        """Median over the rows of each group, token by token; NaN where there is no value."""
        return [frame["0.5"].to_numpy() for frame in self.quantiles([0.5], groups)]


def rolling_mean(x: Any, window: int, *, n_threads: int | None = None) -> Any:
    """Centred rolling mean with edges padded by the first and the last value.

    Running sums begin anew with every block of ``window`` values and are only ever added up, so
    that nothing cancels however long the row is, and a NaN reaches the windows that hold it only.

    Parameters
    ----------
    x : array_like of shape (n,) or (n_rows, n), or sequence of array_like
        The values.
    window : int
        Values in the mean, at least 1. Of an even window the larger half lies before.
    n_threads : int, optional
        Threads; the CPUs available by default.

    Returns
    -------
    numpy.ndarray, or list of numpy.ndarray
        As ``x`` came.

    Raises
    ------
    DataError
        Not numbers, or no window.

    Warns
    -----
    FitWarning
        Rows with fewer values than the window: they come back as they are.

    Examples
    --------
    >>> rolling_mean([0.0, 3.0, 6.0, 9.0], 3).tolist()
    [1.0, 3.0, 6.0, 8.0]
    """
    values, offsets, shape = ragged(x, "x")
    width = int(whole(window, "window", 1, least=1)[0])
    codes = np.where(np.diff(offsets) < width, bits("not_smoothed"), 0)
    out = _core.rolling_mean(values, offsets, width, n_threads=thread_count(n_threads))
    if len(codes) == 1:
        one_warning(int(codes[0]), "rolling_mean")
    else:
        warn_about(codes, "rows")
    return out.reshape(shape) if shape is not None else np.split(out, offsets[1:-1])


def calibrate_kl(
    kl: Any,
    *,
    roll: int = 65,
    calib_tokens: int = 20,
    percentile: float = 95.0,
    normalize: bool = True,
    order: Order = "calibrate",
    scale_min: float = 1e-8,
    n_threads: int | None = None,
) -> CalibratedKL:
    """Divide every KL row by a percentile of its first tokens, and smooth it.

    Parameters
    ----------
    kl : KLTrajectories, array_like of shape (n,) or (n_rows, n), or sequence of array_like
        KL per token, nats.
    roll : int
        Window of the rolling mean, tokens; 1 for none.
    calib_tokens : int
        First tokens that make the scale.
    percentile : float
        The scale is this percentile of them, in [0, 100]; values that are not finite do not count.
    normalize : bool
        Divide by the scale. Otherwise the values stay in nats and the scale is only reported.
    order : {"calibrate", "smooth"}
        "calibrate" takes the scale from the raw values; "smooth" from values already smoothed, as
        the notebook does: with a window of 65 those mix in 32 tokens after the calibration tokens.
    scale_min : float
        A scale must be larger (nats), or the row has no values.
    n_threads : int, optional
        Threads; the CPUs available by default.

    Returns
    -------
    CalibratedKL
        Look at ``rows["status"]``.

    Raises
    ------
    DataError
        Not numbers, or an option out of its range.

    Warns
    -----
    FitWarning
        One count for every status that is not "ok".

    Examples
    --------
    >>> out = calibrate_kl([[1.0, 2.0, 4.0, 4.0]], roll=1, calib_tokens=2, percentile=100)
    >>> out.values.tolist(), out.rows["scale"].tolist()
    ([0.5, 1.0, 2.0, 2.0], [2.0])
    """
    if isinstance(kl, KLTrajectories):
        values, offsets = kl.kl, kl.offsets
    else:
        values, offsets, _ = ragged(kl, "kl")
    width = int(whole(roll, "roll", 1, least=1)[0])
    head = int(whole(calib_tokens, "calib_tokens", 1, least=1)[0])
    share = number_array(percentile, "percentile")
    if share.ndim != 0 or not 0 <= share <= 100:
        raise DataError(f"percentile: expected a number from 0 to 100, got {percentile!r}")
    try:
        out, records = _core.kl_calibrate(
            values, offsets, window=width, head=head, q=float(share) / 100, scale_min=scale_min,
            order=order, normalise=bool(normalize), n_threads=thread_count(n_threads),
        )  # fmt: skip
    except (TypeError, ValueError) as error:
        raise DataError(str(error)) from None
    rows = pd.DataFrame({name: records[name] for name in ("n", "n_head", "scale")})
    rows["status"] = status_texts(records["status"])
    rows["status_code"] = records["status"]
    warn_about(records["status"], "rollouts")
    return CalibratedKL(out, offsets, rows, width, head, float(share), order, bool(normalize))
