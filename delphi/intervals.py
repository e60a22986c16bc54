"""Intervals of one law by every method there is, in one frame."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from . import _core
from .arrays import checked_level, column
from .draws import Rng, generator_from
from .errors import DataError, FitWarning
from .profile import profile_interval, t_interval
from .status import bits, status_texts

if TYPE_CHECKING:
    from .isoflop import IsoflopLadder
    from .posterior import LawPosterior
    from .powerlaw import PowerLaw

__all__ = ["EXTRAPOLATED", "Home", "IntervalMethod", "Kind", "RunNoise", "by_suite"]

Column = NDArray[np.float64]
IntervalMethod = Literal["profile", "t", "bootstrap", "two-level", "posterior"]
Kind = Literal["mean", "new run"]

# Share of the fitted decades beyond which a forecast rests on the form of the law.
EXTRAPOLATED = 0.2


class Home(NamedTuple):
    """Where a law of a ladder comes from."""

    ladder: IsoflopLadder
    suite: str
    compute: Literal["compute", "budget"]


class RunNoise(NamedTuple):
    """How far one run is from the mean of many: a standard deviation and how well it is known.

    Attributes
    ----------
    sd : float
        Unit of the loss.
    dof : float
        Degrees of freedom behind it; the errors are Student-t with as many, normal if infinite.

    Examples
    --------
    >>> import delphi
    >>> law = delphi.fit_power_law([1e18, 1e19, 1e20, 1e21, 1e22], [4.0, 3.25, 2.75, 2.42, 2.2])
    >>> rows = [law.interval(1e22, kind=k, noise=RunNoise(0.01, 4)) for k in ("mean", "new run")]
    >>> bool(rows[0].high[0] < rows[1].high[0])
    True
    """

    sd: float
    dof: float

    def spread(self, normal: Column) -> Column:
        """Student-t errors from standard normal ones, of the same quantiles."""
        if not self.dof < 1e6:
            return self.sd * normal
        p = 0.5 * np.array([math.erfc(-z / math.sqrt(2)) for z in normal])
        return np.asarray(self.sd * _core.t_quantile(np.clip(p, 1e-15, 1 - 1e-15), self.dof))


def interval_frame(
    compute: Column,
    bounds: tuple[Column, Column, Column],
    codes: NDArray[np.int64],
    compute_range: tuple[float, float],
    level: float,
    method: str,
    kind: str,
) -> pd.DataFrame:
    """The frame of every interval: compute, low, mid, high, level, method, kind,
    extrapolation_decades, status, the last with "extrapolated" where it applies."""
    lo, hi = compute_range
    reach = np.log10(compute / hi)
    far = (reach > EXTRAPOLATED * np.log10(hi / lo)) & (codes >= 0)
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
    pinned = law.method == "pinned"
    if kind == "new run" and noise is None:
        noise = _noise_of(law)
    if method == "posterior":
        if pinned:
            raise DataError("method='posterior' is for a free floor; a pinned one takes 't'")
        return _posterior(law, rng).interval(at, level=level, kind=kind, noise=noise)
    codes = np.full(len(at), law.status_code, np.int64)
    if method in ("bootstrap", "two-level"):
        bounds = _resampled(law, at, level, method, noise if kind == "new run" else None, rng)
    else:
        if (method == "t") != pinned:
            other = "a pinned or shared floor takes 't'" if pinned else "a free floor 'profile'"
            raise DataError(f"method: {method!r} does not fit this law; {other}")
        if pinned:
            low, high = t_interval(C, y, (law.L_inf, law.log_A, law.alpha), at, level)
        else:
            low, high, ends = profile_interval(C, y, law.rss, at, level)
            codes |= ends
        mid = np.asarray(law.predict(at))
        if kind == "new run" and noise is not None:
            reach = noise.sd * float(_core.t_quantile(0.5 + level / 2, min(noise.dof, 1e6)))
            low, high = mid - np.hypot(mid - low, reach), mid + np.hypot(high - mid, reach)
        bounds = (low, mid, high)
    return interval_frame(at, bounds, codes, law.compute_range, level, method, kind)


def by_suite(
    laws: Mapping[str, LawPosterior] | Mapping[str, PowerLaw],
    compute: ArrayLike,
    noise: Mapping[str, RunNoise] | None = None,
    **options: Any,
) -> pd.DataFrame:
    """Intervals of several suites below each other, with a first column ``suite``."""
    frames = []
    for suite, law in laws.items():
        frame = law.interval(compute, noise=(noise or {}).get(suite), **options)
        frame.insert(0, "suite", suite)
        frames.append(frame)
    if not frames:
        raise DataError("no suite to forecast")
    return pd.concat(frames, ignore_index=True)


def _noise_of(law: PowerLaw) -> RunNoise:
    """Of replicate seeds in the ladder, if it has some; else the scatter about the law."""
    known = None if law.home is None else law.home.ladder.run_noise().get(law.home.suite)
    if known is not None:
        return known
    dof = law.n - (2 if law.method == "pinned" else 3)
    if dof < 1:
        raise DataError("kind='new run' needs replicate seeds, run_noise, or more points")
    return RunNoise(math.sqrt(law.rss / dof), float(dof))


def _posterior(law: PowerLaw, rng: Rng) -> LawPosterior:
    from .posterior import fit_posterior

    if law.home is not None:
        return law.home.ladder.posteriors(rng=rng)[law.home.suite]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)  # the frame's status says it
        return fit_posterior(*law._points(), rng=rng)


def _resampled(
    law: PowerLaw, at: Column, level: float, method: str, noise: RunNoise | None, rng: Rng
) -> tuple[Column, Column, Column]:
    """Percentiles of refitted laws about the fitted one, with a run's own noise if asked for."""
    from .bootstrap import bootstrap_ladder, bootstrap_law

    generator = generator_from(rng)
    fitted: Callable[..., Any] = bootstrap_law
    source: tuple[Any, ...] = law._points()
    options: dict[str, Any] = {"floor": law.L_inf if law.method == "pinned" else None}
    if method == "two-level":
        if law.home is None:
            raise DataError(
                "method='two-level' resamples runs, and this law knows only its points: "
                "take it from IsoflopLadder.laws()"
            )
        fitted, source = bootstrap_ladder, (law.home.ladder, law.home.suite)
        options["compute"] = law.home.compute
    else:
        options["kind"] = "residual"
    options |= {"score": law.score, "method": "grid" if law.method == "grid" else "profile"}
    drawn = fitted(*source, at, level=level, rng=generator, **options)
    if noise is None:
        return drawn.low, drawn.median, drawn.high
    values = drawn.draws + noise.spread(generator.standard_normal(len(drawn.draws)))[:, None]
    tail = (1 - level) / 2
    low, mid, high = np.quantile(values, [tail, 0.5, 1 - tail], axis=0)
    return low, mid, high
