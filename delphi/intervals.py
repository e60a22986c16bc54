"""Intervals of one law by every method there is, in one frame."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from . import _core
from .arrays import checked_level, column
from .draws import Rng, generator_from
from .errors import DataError, FitWarning
from .profile import SharedFloor, profile_interval, t_interval
from .status import bits, code_of, status_texts

if TYPE_CHECKING:
    from .isoflop import IsoflopLadder
    from .posterior import LawPosterior
    from .powerlaw import PowerLaw

__all__ = [
    "EXTRAPOLATED",
    "Home",
    "IntervalMethod",
    "Kind",
    "RunNoise",
    "interval_frame",
    "law_interval",
]

Column = NDArray[np.float64]
IntervalMethod = Literal["profile", "t", "bootstrap", "two-level", "posterior"]
Kind = Literal["mean", "new run"]

# Share of the fitted decades beyond which a forecast rests on the form of the law.
EXTRAPOLATED = 0.2
MANY = 1e6  # degrees of freedom from which Student's t is the normal distribution


class Home(NamedTuple):
    """Where a law of a ladder comes from."""

    ladder: IsoflopLadder
    suite: str
    compute: Literal["compute", "budget"]
    shared: SharedFloor | None


@dataclass(frozen=True)
class RunNoise:
    """How far one run is from the mean of many: a standard deviation and how well it is known.

    Attributes
    ----------
    sd : float
        Unit of the loss, >= 0.
    dof : float
        Degrees of freedom behind it, > 0; the errors are Student-t with as many, normal if
        infinite.

    Raises
    ------
    DataError
        A number out of its range.

    Examples
    --------
    >>> import delphi
    >>> C = [1e18, 1e19, 1e20, 1e21, 1e22, 1e23]
    >>> law = delphi.fit_power_law(C, [4.0, 3.25, 2.75, 2.42, 2.21, 2.07])
    >>> rows = [law.interval(1e24, kind=k, noise=RunNoise(0.01, 4)) for k in ("mean", "new run")]
    >>> bool(rows[0].high[0] < rows[1].high[0])
    True
    """

    sd: float
    dof: float

    def __post_init__(self) -> None:
        for name, value in (("sd", self.sd), ("dof", self.dof)):
            if not isinstance(value, (int, float, np.number)) or isinstance(value, bool):
                raise DataError(f"RunNoise: {name} is {value!r}, no number")
        if not 0 <= self.sd < math.inf:
            raise DataError(f"RunNoise: sd is {self.sd!r}, expected a finite number >= 0")
        if not self.dof > 0:
            raise DataError(f"RunNoise: dof is {self.dof!r}, expected a number > 0")

    def quantile(self, p: float) -> float:
        """The p-quantile of the error of one run."""
        return self.sd * float(_core.t_quantile(p, min(float(self.dof), MANY)))

    def spread(self, normal: Column) -> Column:
        """Student-t errors from standard normal ones, of the same quantiles."""
        if self.dof >= MANY:
            return self.sd * normal
        p = 0.5 * np.array([math.erfc(-z / math.sqrt(2)) for z in normal])
        return np.asarray(self.sd * _core.t_quantile(np.clip(p, 1e-15, 1 - 1e-15), self.dof))


def beyond(compute: Column, lo: float, hi: float) -> NDArray[np.bool_]:
    """Whether a compute lies outside [lo, hi] by more than a fifth of its decades."""
    outside = np.maximum(np.log10(compute / hi), np.log10(lo / compute))
    return np.asarray(outside > EXTRAPOLATED * np.log10(hi / lo))


def interval_frame(
    compute: Column,
    bounds: tuple[Column, Column, Column],
    codes: NDArray[np.int64],
    compute_range: tuple[float, float],
    level: float,
    method: str,
    kind: str,
) -> pd.DataFrame:
    """The frame of every interval.

    compute, low, mid, high, level, method, kind, extrapolation_decades, status, the last with
    "extrapolated" where it applies.
    """
    reach = np.log10(compute / compute_range[1])
    far = beyond(compute, *compute_range) & (codes >= 0)
    low, mid, high = bounds
    return pd.DataFrame(
        {
            "compute": compute, "low": low, "mid": mid, "high": high, "level": level,
            "method": method, "kind": kind, "extrapolation_decades": reach,
            "status": status_texts(np.where(far, codes | bits("extrapolated"), codes)),
        }
    )  # fmt: skip


def checked_kind(kind: str) -> None:
    """Raise `DataError` unless `kind` is "mean" or "new run"."""
    if kind not in get_args(Kind):
        raise DataError(f"kind: expected 'mean' or 'new run', got {kind!r}")


def checked_noise(noise: RunNoise | None) -> None:
    """Raise `DataError` unless `noise` is a `RunNoise` or None."""
    if noise is not None and not isinstance(noise, RunNoise):
        raise DataError(f"noise: expected a delphi.RunNoise, got {noise!r}")


def law_interval(
    law: PowerLaw,
    compute: ArrayLike,
    *,
    level: float,
    method: str,
    kind: Kind,
    noise: RunNoise | None,
    rng: Rng,
) -> pd.DataFrame:
    """What `PowerLaw.interval` returns; see there."""
    if method not in get_args(IntervalMethod):
        words = ", ".join(map(repr, get_args(IntervalMethod)))
        raise DataError(f"method: expected one of {words}, got {method!r}")
    C, y = law._points()
    at = column(np.atleast_1d(np.asarray(compute)), "compute")
    level = checked_level(level)
    checked_kind(kind)
    checked_noise(noise)
    _checked_method(law, method)
    if kind == "new run" and noise is None:
        noise = _noise_of(law)
    if method == "posterior":
        return law_posterior(law, rng).interval(at, level=level, kind=kind, noise=noise)
    codes = np.full(len(at), law.status_code, np.int64)
    own = noise if kind == "new run" else None
    if method in ("bootstrap", "two-level"):
        *bounds, told = _resampled(law, at, level, method, own, rng)
        low, mid, high = bounds
        codes |= told
    else:
        mid = np.asarray(law.predict(at))
        if method == "t":
            shared = None if law.home is None else law.home.shared
            fitted = (law.L_inf, law.log_A, law.alpha)
            low, high = t_interval(C, y, fitted, at, level, shared)
        else:
            low, high, ends = profile_interval(C, y, (law.alpha, law.rss), at, level)
            low, high = np.minimum(low, mid), np.maximum(high, mid)
            codes |= ends
        if own is not None:
            reach = own.quantile(0.5 + level / 2)
            low, high = mid - np.hypot(mid - low, reach), mid + np.hypot(high - mid, reach)
    return interval_frame(at, (low, mid, high), codes, law.compute_range, level, method, kind)


def _checked_method(law: PowerLaw, method: str) -> None:
    """Raise `DataError` where a method does not fit how the floor was found."""
    if law.method == "shared" and method != "t":
        raise DataError(f"method: {method!r} does not fit this law; a shared floor takes 't'")
    if law.method == "pinned" and method in ("profile", "posterior"):
        raise DataError(f"method: {method!r} does not fit this law; a pinned floor takes 't'")
    if law.method not in ("pinned", "shared") and method == "t":
        raise DataError("method: 't' does not fit this law; a free floor takes 'profile'")
    if method == "two-level" and law.home is None:
        raise DataError(
            "method='two-level' resamples runs, and this law knows only its points: "
            "take it from IsoflopLadder.laws()"
        )


def by_suite(
    laws: Mapping[str, LawPosterior | PowerLaw | None],
    compute: ArrayLike,
    noise: Mapping[str, RunNoise] | None = None,
    **options: Any,
) -> pd.DataFrame:
    """Intervals of several suites below each other, with a first column ``suite``.

    A suite without a law, or with too few points for the method, has NaN and a status.
    """
    frames = []
    for suite, law in laws.items():
        code = _without_interval(law, options.get("method", "posterior"))
        if law is None or code < 0:
            at = column(np.atleast_1d(np.asarray(compute)), "compute")
            nothing = np.full(len(at), np.nan)
            frame = interval_frame(
                at, (nothing, nothing, nothing), np.full(len(at), code, np.int64),
                (math.nan, math.nan) if law is None else (law.compute_min, law.compute_max),
                checked_level(options.get("level", 0.95)),
                options.get("method", "posterior"), options.get("kind", "mean"),
            )  # fmt: skip
        else:
            frame = law.interval(compute, noise=(noise or {}).get(suite), **options)
        frame.insert(0, "suite", suite)
        frames.append(frame)
    if not frames:
        raise DataError("no suite to forecast")
    return pd.concat(frames, ignore_index=True)


def _without_interval(law: LawPosterior | PowerLaw | None, method: str) -> int:
    """The failure that leaves a law without an interval by some method, or 0."""
    if law is None:
        return code_of("too_few_points")
    least = 4 if method in ("profile", "bootstrap") else 3
    return law.status_code if not law.ok else code_of("too_few_points") if law.n < least else 0


def _noise_of(law: PowerLaw) -> RunNoise | None:
    """Of the runs behind a ladder's law; else the scatter of the points about it."""
    if law.home is not None:
        known = law.home.ladder.run_noise().get(law.home.suite)
        if known is not None:
            return known
    dof = law.n - (2 if law.method == "pinned" else 3)
    if dof < 1:
        raise DataError("kind='new run' needs noise=RunNoise(sd, dof), replicates, or more points")
    return RunNoise(math.sqrt(law.rss / dof), float(dof))


def law_posterior(law: PowerLaw, rng: Rng) -> LawPosterior:
    """What `PowerLaw.posterior` returns; see there."""
    _checked_method(law, "posterior")
    from .posterior import fit_posterior, posteriors_of_optima

    if law.home is not None:
        fits = law.home.ladder.fits
        own = fits[fits["used"] & (fits["suite"] == law.home.suite)]
        own = own.assign(compute=own[law.home.compute])
        return posteriors_of_optima(own, rng=rng)[law.home.suite]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)  # the frame's status says it
        return fit_posterior(*law._points(), rng=rng)


def _resampled(
    law: PowerLaw, at: Column, level: float, method: str, noise: RunNoise | None, rng: Rng
) -> tuple[Column, Column, Column, int]:
    """Percentiles of refitted laws about the fitted one, with a run's own noise if asked for, and
    the bounds that too many of them run into."""
    from .bootstrap import bootstrap_ladder, bootstrap_law

    generator = generator_from(rng)
    fitted: Callable[..., Any] = bootstrap_law
    source: tuple[Any, ...] = law._points()
    options: dict[str, Any] = {"floor": law.L_inf if law.method == "pinned" else None}
    if method == "two-level" and law.home is not None:
        fitted, source = bootstrap_ladder, (law.home.ladder, law.home.suite)
        options["compute"] = law.home.compute
    else:
        options["kind"] = "residual"
    options |= {"score": law.score, "method": "grid" if law.method == "grid" else "profile"}
    drawn = fitted(*source, at, level=level, rng=generator, **options)
    if noise is None:
        return drawn.low, drawn.median, drawn.high, drawn.status_code
    values = drawn.draws + noise.spread(generator.standard_normal(len(drawn.draws)))[:, None]
    tail = (1 - level) / 2
    low, mid, high = np.quantile(values, [tail, 0.5, 1 - tail], axis=0)
    return low, mid, high, drawn.status_code
