"""The C core, as Python sees it. Every fit takes flat columns and offsets, and returns records."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

MAX_THREADS: int
STATUS: dict[int, tuple[str, str]]
line_dtype: np.dtype[np.void]
parabola_dtype: np.dtype[np.void]
powerlaw_dtype: np.dtype[np.void]

powerlaw: np.ufunc
powerlaw_inverse: np.ufunc
t_quantile: np.ufunc

def line_fit(x: ArrayLike, y: ArrayLike, offsets: ArrayLike) -> NDArray[np.void]: ...
def parabola_fit(
    tokens: ArrayLike,
    loss: ArrayLike,
    params: ArrayLike | None,
    offsets: ArrayLike,
    *,
    joint: bool = False,
    n_threads: int = 1,
    progress: Callable[[int, int], Any] | None = None,
) -> NDArray[np.void]: ...
def powerlaw_fit(
    compute: ArrayLike,
    loss: ArrayLike,
    offsets: ArrayLike,
    *,
    sets: ArrayLike | Sequence[int] | None = None,
    floors: ArrayLike | None = None,
    score: Literal["loss", "log"] = "loss",
    method: Literal["profile", "grid"] = "profile",
    n_grid: int = 400,
    weigh: Literal["points", "suites"] = "points",
    n_threads: int = 1,
    progress: Callable[[int, int], Any] | None = None,
) -> NDArray[np.void]: ...
