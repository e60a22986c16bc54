"""The C core, as Python sees it. Every fit takes flat columns and offsets, and returns records."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

MAX_THREADS: int
STATUS: dict[int, tuple[str, str]]
calibration_dtype: np.dtype[np.void]
isocurve_dtype: np.dtype[np.void]
line_dtype: np.dtype[np.void]
parabola_dtype: np.dtype[np.void]
posterior_draw_dtype: np.dtype[np.void]
posterior_dtype: np.dtype[np.void]
powerlaw_dtype: np.dtype[np.void]
rollout_dtype: np.dtype[np.void]
surface_dtype: np.dtype[np.void]

powerlaw: np.ufunc
powerlaw_inverse: np.ufunc
t_quantile: np.ufunc
chi2_quantile: np.ufunc

def isocurve_fit(
    tokens: ArrayLike,
    loss: ArrayLike,
    params: ArrayLike | None,
    offsets: ArrayLike,
    *,
    shape: Literal["parabola", "windowed", "joint", "cubic", "two-power"] = "windowed",
    window: float = 0.5,
    loo: bool = False,
    n_threads: int = 1,
    progress: Callable[[int, int], Any] | None = None,
) -> NDArray[np.void]: ...
def line_fit(x: ArrayLike, y: ArrayLike, offsets: ArrayLike) -> NDArray[np.void]: ...
def parabola_fit(
    tokens: ArrayLike,
    loss: ArrayLike,
    params: ArrayLike | None,
    offsets: ArrayLike,
    *,
    joint: bool = False,
    window: float = 0.0,
    diagnose: bool = False,
    n_threads: int = 1,
    progress: Callable[[int, int], Any] | None = None,
) -> NDArray[np.void]: ...
def posterior_fit(
    compute: ArrayLike,
    loss: ArrayLike,
    offsets: ArrayLike,
    uniforms: ArrayLike,
    *,
    noise: ArrayLike | None = None,
    noise_dof: float = 0.0,
    alpha_range: ArrayLike | None = (0.01, 1.5),
    powers: ArrayLike | None = (0.0,),
    power_weights: ArrayLike | None = (1.0,),
    n_threads: int = 1,
    progress: Callable[[int, int], Any] | None = None,
) -> tuple[NDArray[np.void], NDArray[np.void]]: ...
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
    diagnose: bool = False,
    n_threads: int = 1,
    progress: Callable[[int, int], Any] | None = None,
) -> NDArray[np.void]: ...
def bootstrap_law(
    compute: ArrayLike,
    loss: ArrayLike,
    at: ArrayLike,
    draws: ArrayLike,
    *,
    kind: Literal["pairs", "residual", "wild"] = "pairs",
    residuals: ArrayLike | None = None,
    floor: float | None = None,
    score: Literal["loss", "log"] = "loss",
    method: Literal["profile", "grid"] = "profile",
    n_grid: int = 400,
    laws: bool = False,
    n_threads: int = 1,
    progress: Callable[[int, int], Any] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.int32], NDArray[np.float64] | None]: ...
def bootstrap_ladder(
    tokens: ArrayLike,
    loss: ArrayLike,
    offsets: ArrayLike,
    compute: ArrayLike,
    at: ArrayLike,
    draws: ArrayLike,
    *,
    residuals: ArrayLike | None = None,
    window: float | None = None,
    unusable: int | None = None,
    floor: float | None = None,
    score: Literal["loss", "log"] = "loss",
    method: Literal["profile", "grid"] = "profile",
    n_grid: int = 400,
    laws: bool = False,
    n_threads: int = 1,
    progress: Callable[[int, int], Any] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.int32], NDArray[np.float64] | None]: ...
def survival_watch(
    pmass: ArrayLike,
    forks: ArrayLike,
    fork_offsets: ArrayLike,
    token_offsets: ArrayLike,
    gen_lens: ArrayLike,
    *,
    threshold: float = 0.8,
    slack: float = 0.01,
    mask: bool = True,
    n_threads: int = 1,
    progress: Callable[[int, int], Any] | None = None,
) -> tuple[NDArray[np.bool_] | None, NDArray[np.void]]: ...
def rolling_mean(
    x: ArrayLike,
    offsets: ArrayLike,
    window: int,
    *,
    n_threads: int = 1,
    progress: Callable[[int, int], Any] | None = None,
) -> NDArray[np.float64]: ...
def kl_calibrate(
    kl: ArrayLike,
    offsets: ArrayLike,
    *,
    window: int = 1,
    head: int = 20,
    q: float = 0.95,
    scale_min: float = 1e-08,
    order: Literal["calibrate", "smooth"] = "calibrate",
    normalise: bool = True,
    n_threads: int = 1,
    progress: Callable[[int, int], Any] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.void]]: ...
def kl_quantiles(
    values: ArrayLike,
    offsets: ArrayLike,
    groups: ArrayLike,
    q: ArrayLike,
    *,
    n_threads: int = 1,
    progress: Callable[[int, int], Any] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]: ...
def surface_fit(
    params: ArrayLike,
    tokens: ArrayLike,
    loss: ArrayLike,
    offsets: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    fixed: ArrayLike | None = None,
    objective: Literal["huber", "squared", "absolute"] = "huber",
    space: Literal["log", "loss"] = "log",
    delta: float = 0.001,
    nonnegative: bool = True,
    n_threads: int = 1,
    progress: Callable[[int, int], Any] | None = None,
) -> NDArray[np.void]: ...
def surface_refit(
    params: ArrayLike,
    tokens: ArrayLike,
    loss: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    losses: ArrayLike | None = None,
    fixed: ArrayLike | None = None,
    objective: Literal["huber", "squared", "absolute"] = "huber",
    space: Literal["log", "loss"] = "log",
    delta: float = 0.001,
    nonnegative: bool = True,
    n_threads: int = 1,
    progress: Callable[[int, int], Any] | None = None,
) -> NDArray[np.void]: ...

richards_dtype: np.dtype[np.void]
richards: np.ufunc
richards_inverse: np.ufunc

def richards_fit(
    x: ArrayLike,
    y: ArrayLike,
    offsets: ArrayLike,
    floors: ArrayLike,
    *,
    ceilings: ArrayLike | None = None,
    problems: ArrayLike | None = None,
    boxes: ArrayLike | None = None,
    guesses: ArrayLike | None = None,
    n_threads: int = 1,
    progress: Callable[[int, int], Any] | None = None,
) -> NDArray[np.void]: ...

curve_dtype: np.dtype[np.void]
curve_log: np.ufunc
curve_exponential: np.ufunc
curve_power: np.ufunc
curve_rational: np.ufunc

def curve_fit(
    tau: ArrayLike,
    loss: ArrayLike,
    starts: ArrayLike,
    ends: ArrayLike,
    *,
    forms: str | Sequence[str] = ("log", "exponential", "power", "rational"),
    losses: str | Sequence[str] = ("mae", "huber"),
    delta: float | None = None,
    n_threads: int = 1,
    progress: Callable[[int, int], Any] | None = None,
) -> NDArray[np.void]: ...

jointcurve_dtype: np.dtype[np.void]

def jointcurve_fit(
    tau: ArrayLike,
    loss: ArrayLike,
    first: ArrayLike,
    last: ArrayLike,
    terms: ArrayLike,
    ridge_on: ArrayLike,
    *,
    n_shape_terms: int = 1,
    ridge: float = 0.0,
    forms: str | Sequence[str] = ("log", "exponential", "power", "rational"),
    losses: str | Sequence[str] = ("mae", "huber"),
    delta: float | None = None,
    n_threads: int = 1,
    progress: Callable[[int, int], Any] | None = None,
) -> tuple[NDArray[np.void], NDArray[np.float64]]: ...

partial_dependence_dtype: np.dtype[np.void]
ridge_dtype: np.dtype[np.void]

def partial_dependence_fit(
    x: ArrayLike,
    y: ArrayLike,
    offsets: ArrayLike,
    grid: ArrayLike,
    *,
    kernel: Literal["matern12", "matern32", "matern52", "rbf"],
    amplitude: ArrayLike,
    length_scale: ArrayLike,
    noise: ArrayLike,
    features: ArrayLike | None = None,
    n_threads: int = 1,
    progress: Callable[[int, int], Any] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.void]]: ...
def partial_dependence_slopes(
    x: ArrayLike,
    y: ArrayLike,
    grid: ArrayLike,
    *,
    kernel: Literal["matern12", "matern32", "matern52", "rbf"],
    amplitude: float,
    length_scale: ArrayLike,
    noise: float,
) -> tuple[NDArray[np.float64], int]: ...
def process_evidence(
    x: ArrayLike,
    y: ArrayLike,
    *,
    kernel: Literal["matern12", "matern32", "matern52", "rbf"],
    amplitude: float,
    length_scale: ArrayLike,
    noise: float,
) -> tuple[float, NDArray[np.float64], int]: ...
def ridge_fit(
    features: ArrayLike,
    target: ArrayLike,
    offsets: ArrayLike,
    *,
    ridge: Literal["gcv", "loo", "fixed"] = "gcv",
    strength: float = 0.0,
    standardize: bool = True,
    covariance: bool = False,
    n_threads: int = 1,
    progress: Callable[[int, int], Any] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None, NDArray[np.void]]: ...
