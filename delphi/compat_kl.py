"""The notebook's own functions for KL trajectories; `delphi.compat` gives them on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _core
from .errors import DataError
from .kl import checked_threshold, refuse
from .ragged import number_array, whole, whole_array

__all__ = ["alive_mask_for_t", "rolling_mean"]


def alive_mask_for_t(
    pmass_per_fork: ArrayLike, fork: ArrayLike, T: int, threshold: float, gen_len: int
) -> NDArray[np.bool_]:
    """Per-token mask of one rollout: True is alive, and so is every token from ``gen_len`` on.

    Dead from the first fork with a mass below the threshold on; a token belongs to the last fork
    at or before it; a NaN mass says nothing. `delphi.alive_mask` takes many rollouts.

    Parameters
    ----------
    pmass_per_fork : array_like
        Mass at each fork; more of them than forks are not looked at.
    fork : array_like of int
        Tokens of the forks, from 0, never decreasing.
    T : int
        Tokens of the mask.
    threshold : float
        In [0, 1].
    gen_len : int
        Tokens generated.

    Raises
    ------
    DataError
        Fewer masses than forks, forks that decrease, a threshold outside [0, 1].

    Examples
    --------
    >>> alive_mask_for_t([0.9, 0.5, 0.9], [0, 2, 4], 6, 0.8, 5).tolist()
    [True, True, False, False, False, True]
    """
    at = whole_array(fork, "fork").reshape(-1)
    mass = number_array(pmass_per_fork, "pmass_per_fork").reshape(-1)
    if len(mass) < len(at):
        raise DataError(f"pmass_per_fork: {len(mass)} values for {len(at)} forks")
    length = int(whole(T, "T", 1)[0])
    mask, records = _core.survival_watch(
        mass[: len(at)], at, [0, len(at)], [0, length], whole(gen_len, "gen_len", 1),
        threshold=checked_threshold(threshold), slack=np.inf,
    )  # fmt: skip
    refuse(records["status"], "rollout", but="empty_rollout")
    assert mask is not None
    return mask


def rolling_mean(x: ArrayLike, w: int) -> Any:
    """Rolling mean with edges padded; ``x`` itself for a window below 2 or longer than ``x``.

    `delphi.rolling_mean` says so where it cannot smooth.

    Examples
    --------
    >>> rolling_mean(np.array([0.0, 3.0, 6.0, 9.0]), 2).tolist()
    [0.0, 1.5, 4.5, 7.5]
    """
    values = number_array(x, "x")
    if w <= 1 or len(values) < w:
        return values if not isinstance(x, np.ndarray) else x
    return _core.rolling_mean(values, [0, len(values)], w)
