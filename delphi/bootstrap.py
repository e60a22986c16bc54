"""Bootstrap forecasts: resample optima, residuals or runs, refit, and look ahead."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from . import _core
from .arrays import checked_count, checked_level, column, frame_columns
from .draws import CHUNK, Rng, generator_from, quantiles
from .errors import DataError, FitWarning
from .groups import group_rows
from .heldout import is_crashed
from .isoflop import IsoflopLadder
from .markup import block
from .parabola import NO_OPTIMUM
from .powerlaw import Method, Score, _checked_floor
from .progress import progress_bar
from .provenance import HasCard, from_arrays, from_ladder, rng_words, with_origin
from .status import HasStatus, bits, code_of, status_text
from .threads import thread_count

__all__ = ["BootstrapResult", "bootstrap_ladder", "bootstrap_law"]

Kind = Literal["pairs", "residual", "wild"]
Resample = Literal["residual", "runs"]
Column = NDArray[np.float64]
Progress = Callable[[int, int], None] | None

# (replicates, their draws' generator, columns of `at`, progress) -> forecasts and statuses
Step = Callable[[int, np.random.Generator, slice, Progress], tuple[Column, NDArray[np.int32]]]

_KEPT = 20_000_000  # forecasts held at once: 160 MB
_SKIPPED = code_of("too_few_points")
_BOUNDS = ("floor_at_zero", "floor_at_min", "alpha_at_bound")


@dataclass(frozen=True)
class BootstrapResult(HasStatus, HasCard):
    """Forecasts of many refitted laws, as intervals.

    Attributes
    ----------
    at : ndarray, shape (n_targets,)
        Compute of the forecasts.
    low, median, high : ndarray, shape (n_targets,)
        Percentiles of the forecasts; NaN where no replicate gave a law.
    level : float
        Share of the replicates between low and high.
    kind : str
        "pairs", "residual" or "wild" of the optima; "two-level residual" or "two-level runs".
    n_requested, n_skipped, n_failed : int
        Replicates in all; those with fewer than three distinct computes, which no law was fitted
        to; those whose fit failed.
    draws : ndarray, shape (n_requested - n_skipped - n_failed, n_targets), or None
        The forecasts themselves, in the order of the replicates; None where they are more than
        20 million numbers.
    bounds : dict of str to int
        Replicates whose law ran into a bound, by its name: "floor_at_zero", "floor_at_min",
        "alpha_at_bound".
    status, status_code : str, int
        The bounds that more than (1 - level) / 2 of the replicates ran into, so that an end of
        the interval rests on them; "ok" if there are none.
    """

    at: Column
    low: Column
    median: Column
    high: Column
    level: float
    kind: str
    n_requested: int
    n_skipped: int
    n_failed: int
    draws: Column | None
    bounds: dict[str, int]
    status_code: int

    @property
    def n_ok(self) -> int:
        """Replicates that gave a law."""
        return self.n_requested - self.n_skipped - self.n_failed

    def to_frame(self) -> pd.DataFrame:
        """One row a target: compute, low, mid (the median), high, level, method."""
        return pd.DataFrame(
            {
                "compute": self.at, "low": self.low, "mid": self.median, "high": self.high,
                "level": self.level, "method": f"bootstrap ({self.kind})",
            }
        )  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """The same as plain Python values, with the counts."""
        return {
            "intervals": self.to_frame().to_dict("records"), "kind": self.kind,
            "bounds": self.bounds, "status": self.status,
            "n_requested": self.n_requested, "n_skipped": self.n_skipped, "n_failed": self.n_failed,
        }  # fmt: skip

    def summary(self) -> str:
        """A few lines for a person."""
        lines = [f"{self.kind} bootstrap: {self._counts}, status: {self.status}"]
        rows = zip(self.at, self.low, self.median, self.high, strict=True)
        lines += [
            f"  {compute:8.3g} FLOPs: {mid:.4f} [{low:.4f}, {high:.4f}] {self.level:.0%}"
            for compute, low, mid, high in rows
        ]
        return "\n".join(lines)

    @property
    def _counts(self) -> str:
        return (
            f"{self.n_ok} of {self.n_requested} replicates gave a law"
            f" ({self.n_skipped} skipped, {self.n_failed} failed)"
        )

    def plot(self) -> Any:
        """The forecasts as a fan of bands over compute, as a plotly figure."""
        from .figures import forecast_fan

        return forecast_fan(self)

    def __repr__(self) -> str:
        return f"BootstrapResult({self.kind}, {len(self.at)} targets, n={self.n_requested})"

    def _repr_html_(self) -> str:
        return block(
            f"Bootstrap forecast ({self.kind})", tables={"": self.to_frame()}, notes=[self._counts]
        )


def bootstrap_law(
    compute: ArrayLike,
    loss: ArrayLike,
    at: ArrayLike,
    *,
    n: int = 1000,
    kind: Kind = "pairs",
    rng: Rng = 0,
    level: float = 0.95,
    floor: float | None = None,
    score: Score = "loss",
    method: Method = "profile",
    n_grid: int = 400,
    n_threads: int | None = None,
    progress: bool = False,
) -> BootstrapResult:
    """Bootstrap the law through given optima and forecast the loss.

    Pairs draw the points (C, y) with replacement (Efron 1979). Residuals keep C: the fitted losses
    plus residuals, drawn with replacement or each with a random sign ("wild", Liu 1988); they are
    centred and inflated by sqrt(n / (n - 3)), n - 2 with a pinned floor. All see the scatter of
    the optima about the law, none the noise inside a budget or the bias of the parabolas:
    `bootstrap_ladder` starts from the runs. Percentiles of few points are narrow: through seven
    optima 95% intervals of residuals held the truth in about 90% of simulated ladders, where
    the profile and the posterior of `PowerLaw.interval` hold it in 95% or more.

    Parameters
    ----------
    compute, loss : array_like, shape (n_points,)
        Optima: compute (FLOPs) and loss, both > 0.
    at : array_like, shape (n_targets,), or float
        Compute to forecast at.
    n : int
        Replicates.
    kind : {"pairs", "residual", "wild"}
        What is resampled.
    rng : numpy.random.Generator, SeedSequence or int
        Source of the draws. The same one gives the same bits for any ``n_threads``.
    level : float
        Share of the replicates between low and high.
    floor, score, method, n_grid
        As in `delphi.fit_power_law`.
    n_threads : int, optional
        Threads; the CPUs available by default.
    progress : bool
        Show a progress bar.

    Returns
    -------
    BootstrapResult

    Raises
    ------
    DataError
        Missing, infinite or non-positive values, too few points for residuals, a bad option.

    Warns
    -----
    FitWarning
        One count of the replicates without a law, skipped (fewer than three distinct computes) or
        failed.

    Examples
    --------
    >>> import numpy as np
    >>> C = np.geomspace(1e18, 1e21, 9)
    >>> y = 1.8 + 1600 * C**-0.16 + np.random.default_rng(1).normal(0, 1e-3, 9)
    >>> band = bootstrap_law(C, y, [1e22, 1e23], kind="residual")
    >>> bool(np.all(band.low < band.high)), band.n_ok
    (True, 1000)
    """
    C = column(compute, "compute")
    y = column(loss, "loss", n=len(C))
    targets = column(np.atleast_1d(np.asarray(at)), "at")
    if kind not in ("pairs", "residual", "wild"):
        raise DataError(f"kind: expected 'pairs', 'residual' or 'wild', got {kind!r}")
    pinned = _checked_floor(floor)
    options: dict[str, Any] = {"score": score, "method": method, "n_grid": n_grid}
    how = {**options, "floor": pinned, "rng": rng_words(rng), "n_points": len(C)}
    origin = from_arrays({"compute": C, "loss": y}, {"compute": compute, "loss": loss}, **how)
    residuals = None
    base = 0
    if kind != "pairs":
        y, residuals, base = _residuals(C, y, pinned, options)
    n_points, threads = len(C), thread_count(n_threads)

    def step(
        rows: int, generator: np.random.Generator, which: slice, callback: Progress
    ) -> tuple[Column, NDArray[np.int32]]:
        draws: NDArray[Any] = generator.integers(
            0, 2 if kind == "wild" else n_points, size=(rows, n_points)
        )
        if kind == "wild":
            draws = 1.0 - 2.0 * draws
        forecasts, status, _ = _core.bootstrap_law(
            C, y, targets[which], draws, kind=kind, residuals=residuals, floor=pinned,
            n_threads=threads, progress=callback, **options,
        )  # fmt: skip
        return forecasts, status

    drawn = _bootstrap(step, base, targets, n, n_points, kind, rng, level, progress)
    return with_origin(drawn, origin)


def bootstrap_ladder(
    ladder: IsoflopLadder,
    suite: str,
    at: ArrayLike,
    *,
    n: int = 1000,
    resample: Resample = "residual",
    rng: Rng = 0,
    level: float = 0.95,
    floor: float | None = None,
    score: Score = "loss",
    method: Method = "profile",
    n_grid: int = 400,
    compute: Literal["compute", "budget"] = "compute",
    n_threads: int | None = None,
    progress: bool = False,
) -> BootstrapResult:
    """Bootstrap a suite from its runs: parabolas, optima, law and forecast, all refitted.

    Every replicate resamples within each budget that feeds the law, refits its parabola, drops
    the vertices that are no optimum (as `delphi.fit_isoflops` does), and fits the law to the rest.
    Unlike a bootstrap of the optima it sees the noise inside a budget, and its replicates stay
    independent of how well the optima happen to line up.

    Parameters
    ----------
    ladder : IsoflopLadder
        From `delphi.fit_isoflops`.
    suite : str
        One of ``ladder.suites``.
    at : array_like, shape (n_targets,), or float
        Compute to forecast at.
    n : int
        Replicates.
    resample : {"residual", "runs"}
        Residuals about the budget's parabola, inflated by sqrt(n / (n - 3)) and added to it, which
        keeps the design; or the runs themselves. With a window only the points inside it give
        residuals; those outside keep their losses, plus a drawn residual.
    rng : numpy.random.Generator, SeedSequence or int
        Source of the draws. The same one gives the same bits for any ``n_threads``.
    level : float
        Share of the replicates between low and high.
    floor, score, method, n_grid
        As in `delphi.fit_power_law`.
    compute : {"compute", "budget"}
        Fit against the runs' actual compute or against the budget's label.
    n_threads : int, optional
        Threads; the CPUs available by default.
    progress : bool
        Show a progress bar.

    Returns
    -------
    BootstrapResult

    Raises
    ------
    DataError
        An unknown suite or a bad option.

    Warns
    -----
    FitWarning
        One count of the replicates without a law, skipped (fewer than three optima left) or
        failed.

    Examples
    --------
    >>> import delphi
    >>> ladder = delphi.fit_isoflops(delphi.simulate.ladder(rng=0))
    >>> band = bootstrap_ladder(ladder, ladder.suites[0], 1e23)
    >>> bool(band.low[0] < band.median[0] < band.high[0])
    True
    """
    targets = column(np.atleast_1d(np.asarray(at)), "at")
    if resample not in ("residual", "runs"):
        raise DataError(f"resample: expected 'residual' or 'runs', got {resample!r}")
    if compute not in ("compute", "budget"):
        raise DataError(f"compute: expected 'compute' or 'budget', got {compute!r}")
    if not isinstance(ladder, IsoflopLadder):
        raise DataError(f"ladder: expected an IsoflopLadder, got {type(ladder).__name__}")
    if suite not in ladder.suites:
        raise DataError(f"suite: expected one of {ladder.suites}, got {suite!r}")
    if ladder.curve not in ("windowed", "parabola"):
        raise DataError(f"ladder: only parabolas are refitted, its curve is {ladder.curve!r}")
    pinned = _checked_floor(floor)
    source = _buckets(ladder, suite, compute, resample == "residual")
    n_runs, threads = len(source.tokens), thread_count(n_threads)

    def step(
        rows: int, generator: np.random.Generator, which: slice, callback: Progress
    ) -> tuple[Column, NDArray[np.int32]]:
        draws = generator.integers(0, source.sizes, size=(rows, n_runs))
        forecasts, status, _ = _core.bootstrap_ladder(
            source.tokens, source.loss, source.offsets, source.compute, targets[which], draws,
            residuals=source.residuals, window=source.window, unusable=source.unusable,
            floor=pinned, score=score, method=method, n_grid=n_grid,
            n_threads=threads, progress=callback,
        )  # fmt: skip
        return forecasts, status

    kind = f"two-level {resample}"
    origin = from_ladder(
        ladder, [suite], optima=compute, curve=ladder.curve, n_points=n_runs, floor=pinned,
        score=score, method=method, n_grid=n_grid, rng=rng_words(rng),
    )  # fmt: skip
    drawn = _bootstrap(step, 0, targets, n, n_runs, kind, rng, level, progress)
    return with_origin(drawn, origin)


@dataclass(frozen=True)
class _Buckets:
    """The runs of one suite as the core takes them."""

    tokens: Column
    loss: Column  # of the runs, or fitted
    residuals: Column | None
    offsets: NDArray[np.int64]
    compute: Column
    sizes: NDArray[np.int64]  # for every run, how many its replacement is drawn from
    window: float | None
    unusable: int


def _buckets(ladder: IsoflopLadder, suite: str, compute: str, residual: bool) -> _Buckets:
    fits = ladder.fits[(ladder.fits["suite"] == suite) & ladder.fits["used"]]
    runs = frame_columns(ladder.runs, ["suite", "budget", "tokens", "loss"])
    kept = ((runs["suite"] == suite) & runs["budget"].isin(fits["budget"])).to_numpy(
        bool, copy=True
    )
    if "run_type" in ladder.runs:
        kept &= (ladder.runs["run_type"] == "isoflop").to_numpy(bool)
    if "state" in ladder.runs:
        kept &= ~is_crashed(ladder.runs["state"]).to_numpy(bool)
    sweep = runs[kept]
    order, offsets, keys = group_rows(sweep["budget"], names=["budget"])
    tokens = column(sweep["tokens"], "tokens", least=0)[order]
    loss = column(sweep["loss"], "loss", least=0)[order]
    C = fits.set_index("budget", drop=False)[compute].loc[keys["budget"]]
    codes = fits["status_code"].to_numpy()
    unusable = bits(*NO_OPTIMUM)
    if np.any(codes & unusable):
        unusable = 0  # the ladder was fitted with keep="all"
    sizes, residuals = np.diff(offsets), None
    group = np.repeat(np.arange(len(sizes)), sizes)
    if residual:
        p = _core.parabola_fit(tokens, loss, None, offsets, window=ladder.window or 0.0)
        x = np.log10(tokens)
        slack = 1e-9  # the core's logarithm and NumPy's differ in the last digit
        inside = (x >= p["x_lo"][group] - slack) & (x <= p["x_hi"][group] + slack)
        order = np.lexsort((~inside, group))  # those inside first: only they are drawn
        tokens, loss, x, inside = tokens[order], loss[order], x[order], inside[order]
        fitted = (p["a"][group] * x + p["b"][group]) * x + p["c"][group]
        sizes = np.bincount(group[inside], minlength=len(sizes))
        spare = np.where(sizes > 3, sizes - 3, np.inf)  # three points leave no residual
        residuals = np.where(inside, (loss - fitted) * np.sqrt(sizes / spare)[group], 0.0)
        loss = np.where(inside, fitted, loss)
    return _Buckets(
        tokens, loss, residuals, offsets, C.to_numpy(float), sizes[group], ladder.window, unusable
    )


def _residuals(
    C: Column, y: Column, floor: float | None, options: dict[str, Any]
) -> tuple[Column, Column, int]:
    """Fitted losses, residuals centred and inflated, and the status of the law they are about."""
    coefficients = 3 if floor is None else 2
    if len(C) <= coefficients:
        raise DataError(
            f"residuals: {len(C)} points leave none to {coefficients} coefficients; more are needed"
        )
    law = _law(C, y, floor, options)
    fitted: Column = _core.powerlaw(C, law["L_inf"], law["log_A"], law["alpha"])
    residuals = y - fitted
    residuals = residuals - residuals.mean()
    scale = np.sqrt(len(C) / (len(C) - coefficients))
    return fitted, residuals * scale, int(law["status"])


def _law(C: Column, y: Column, floor: float | None, options: dict[str, Any]) -> np.void:
    floors = None if floor is None else [floor]
    try:
        return cast(np.void, _core.powerlaw_fit(C, y, [0, len(C)], floors=floors, **options)[0])
    except (ValueError, TypeError, OverflowError) as error:
        raise DataError(str(error)) from None


def _bootstrap(
    step: Step,
    base: int,
    at: Column,
    n: int,
    width: int,
    kind: str,
    rng: Any,
    level: float,
    progress: bool,
) -> BootstrapResult:
    """Run all replicates in chunks, a few targets at a time where all would not fit."""
    n = checked_count(n, "n")
    level = checked_level(level)
    generator = generator_from(rng)
    probabilities = np.array([(1 - level) / 2, 0.5, (1 + level) / 2])
    bounds = np.full((3, len(at)), np.nan)
    together = max(1, min(len(at), _KEPT // n))
    passes = [slice(t, t + together) for t in range(0, len(at), together)]
    counts: dict[int, int] = {base: n} if base < 0 else {}
    bounds_hit = dict.fromkeys(_BOUNDS, 0)
    draws: Column = np.empty((0, len(at)))
    if base >= 0:
        try:
            with progress_bar(progress, "bootstrap") as bar:
                for i, which in enumerate(passes):
                    # Further passes make the same draws again, for other targets.
                    source = generator if i == len(passes) - 1 else copy.deepcopy(generator)
                    callback = _shifted(bar, i * n, len(passes) * n)
                    draws = np.empty((0, 0))  # let go of the last pass before the next one
                    bounds_hit = dict.fromkeys(_BOUNDS, 0)
                    draws, counts = _one_pass(
                        step, source, which, at, n, width, callback, bounds_hit
                    )
                    for t in range(draws.shape[1]):
                        bounds[:, which.start + t] = quantiles(draws[:, t], probabilities)
        except (ValueError, TypeError, OverflowError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(str(error)) from None
    skipped = counts.pop(_SKIPPED, 0)
    failed = sum(counts.values())
    if skipped or failed:
        parts = [f"{skipped} of {n} replicates skipped: fewer than three distinct computes"]
        parts += [f"{m} of {n} replicates failed: {status_text(c)}" for c, m in counts.items()]
        warnings.warn("; ".join(parts[not skipped :]), FitWarning, stacklevel=3)
    low, median, high = bounds
    kept = draws if len(passes) == 1 else None
    for values in (at, low, median, high, kept):
        if values is not None:
            values.setflags(write=False)
    n_ok = n - skipped - failed
    often = [name for name, hits in bounds_hit.items() if hits > (1 - level) / 2 * n_ok]
    return BootstrapResult(
        at, low, median, high, float(level), kind, n, skipped, failed, kept, bounds_hit,
        bits(*often) if n_ok else _SKIPPED,
    )  # fmt: skip


def _shifted(bar: Progress, before: int, total: int) -> Progress:
    if bar is None:
        return None
    return lambda done, _: bar(before + done, total)


def _one_pass(
    step: Step,
    generator: np.random.Generator,
    which: slice,
    at: Column,
    n: int,
    width: int,
    progress: Progress,
    bounds: dict[str, int],
) -> tuple[Column, dict[int, int]]:
    """Forecasts of the replicates with a law, how many there are of each failure, and (added to
    `bounds`) how many ran into a bound."""
    n_targets = len(at[which])
    kept = np.empty((n, n_targets))
    counts: dict[int, int] = {}
    rows = max(1, CHUNK // max(width, n_targets, 1))
    n_ok = 0
    for first in range(0, n, rows):
        size = min(rows, n - first)
        forecasts, status = step(size, generator, which, _shifted(progress, first, n))
        good = status >= 0
        if not good.all():
            for code, count in zip(*np.unique(status[~good], return_counts=True), strict=True):
                counts[int(code)] = counts.get(int(code), 0) + int(count)
            forecasts = forecasts[good]
        for name in bounds:
            bounds[name] += int(np.count_nonzero(status[good] & bits(name)))
        kept[n_ok : n_ok + len(forecasts)] = forecasts
        n_ok += len(forecasts)
    return kept[:n_ok], counts
