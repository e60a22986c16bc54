"""Budgets: the FLOPs that runs of one IsoFLOP bucket share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import DataError

__all__ = ["round_sig"]


@overload
def round_sig(x: float, sig: int = 2) -> float: ...
@overload
def round_sig(x: ArrayLike, sig: int = 2) -> NDArray[np.float64]: ...
def round_sig(x: Any, sig: int = 2) -> Any:
    """Round to significant decimal digits: ``float(f"{x:.{sig}g}")``, for arrays.

    Parameters
    ----------
    x : float or array_like
        Any shape; zeros, infinities and NaN come back as they are.
    sig : int, default 2
        Significant digits, at least 1.

    Returns
    -------
    float or ndarray of float64
        The float nearest to the rounded decimal, a float for a scalar.

    Raises
    ------
    DataError
        ``sig`` below 1.

    Examples
    --------
    >>> round_sig([2.996e18, 1.25, 0.0])
    array([3.0e+18, 1.2e+00, 0.0e+00])
    """
    if sig < 1:
        raise DataError(f"round_sig keeps at least 1 digit, not {sig}")
    values = np.asarray(x, dtype=np.float64)
    out = values.ravel().copy()
    use = np.isfinite(out) & (out != 0)
    size = np.abs(out[use])
    power = np.floor(np.log10(size)).astype(np.int64) - (sig - 1)
    exact = np.abs(power) <= 22  # these powers of ten are floats, so one operation rounds once
    ten = _POWERS_OF_TEN[np.where(exact, np.abs(power), 0)]
    digits = np.where(power >= 0, size / ten, size * ten)
    whole = np.rint(digits)
    # near a tie the digits must be judged in decimal; beyond 9 digits the margin is too small
    sure = exact & (np.abs(np.abs(digits - whole) - 0.5) > 1e-5) & (sig <= 9)
    rounded = np.where(power >= 0, whole * ten, whole / ten)
    if not sure.all():
        hard, where = np.unique(size[~sure], return_inverse=True)
        rounded[~sure] = np.array([float(f"{v:.{sig}g}") for v in hard.tolist()])[where]
    out[use] = np.copysign(rounded, out[use])
    return out.reshape(values.shape) if values.ndim else float(out[0])


_POWERS_OF_TEN = np.array([float(f"1e{k}") for k in range(23)])


def checked_budgets(budgets: int | Sequence[float]) -> int | NDArray[np.float64]:
    """Significant digits, or the named budgets in ascending order."""
    if isinstance(budgets, (int, np.integer)) and not isinstance(budgets, bool):
        if budgets < 1:
            raise DataError(f"budgets={budgets}: at least 1 significant digit")
        return int(budgets)
    try:
        named = np.unique(np.asarray(budgets, dtype=np.float64))
    except (TypeError, ValueError):
        named = np.empty(0)
    if (
        isinstance(budgets, (bool, str, float))
        or named.size == 0
        or not (np.isfinite(named) & (named > 0)).all()
    ):
        raise DataError(
            f"budgets={budgets!r}: a number of significant digits or a list of budgets in FLOPs"
        )
    return named


def budget_of(
    flops: NDArray[np.float64],
    given: NDArray[np.float64],
    factor: float,
    budgets: int | NDArray[np.float64],
) -> tuple[NDArray[np.float64], int]:
    """The budget each run counts under, and how many runs no named budget is near to.

    ``given`` are the FLOPs as the source has them and ``factor`` turns them into ``flops``.
    """
    digits = budgets if isinstance(budgets, int) else 2
    # Rounded in the source's unit: multiplying first could carry a number over a decimal tie.
    rounded = round_sig(round_sig(given, digits) * factor, digits)
    if isinstance(budgets, int):
        return rounded, 0
    log_flops, log_named = np.log(flops), np.log(budgets)
    nearest = np.searchsorted((log_named[1:] + log_named[:-1]) / 2, log_flops)
    near = np.abs(log_flops - log_named[nearest]) <= np.log(1.1)
    return np.where(near, budgets[nearest], rounded), int((~near).sum())
