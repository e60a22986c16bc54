"""Replicates of laws that share a floor: each from the last step of the fit, not from nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import _core
from .bootstrap import _buckets
from .draws import generator_from
from .errors import DataError
from .isoflop import IsoflopLadder
from .powerlaw import PowerLaw
from .threads import thread_count

__all__ = ["SharedReplicates", "refit_shared", "shared_replicates"]

Column = NDArray[np.float64]
STEPS = 40
TOLERANCE = 1e-8  # of a step, relative to what it changes
_ROOM = 1e-9  # how close to the lowest loss the floor may come, relative


class SharedReplicates(NamedTuple):
    """Laws of one suite over the replicates that converged, and how many did not."""

    L_inf: Column
    log_A: Column
    alpha: Column
    n_failed: int
    kind: str


def shared_replicates(
    ladders: Mapping[str, IsoflopLadder],
    laws: Mapping[str, PowerLaw],
    suite: str,
    *,
    n: int,
    rng: Any = 0,
) -> SharedReplicates:
    """Bootstrap laws that share one floor, all suites refitted together.

    Runs are resampled within their buckets (residuals about each parabola) where the ladders are of
    parabolas, as `delphi.bootstrap_ladder` does; else the residuals of the optima about their law.

    Parameters
    ----------
    ladders : mapping of suite to IsoflopLadder
        One a suite, all of one curve, with the buckets that feed the laws.
    laws : mapping of suite to PowerLaw
        Their laws, one L_inf in all of them.
    suite : str
        The suite whose laws are wanted.
    n : int
        Replicates.
    rng : Generator, SeedSequence or int
        Source of the draws.

    Returns
    -------
    SharedReplicates

    Raises
    ------
    DataError
        A law without a result, or too few optima to leave residuals.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from delphi import fit_isoflops, simulate
    >>> ladder = fit_isoflops(simulate.ladder(rng=0))
    >>> own = {s: replace(ladder, fits=ladder.fits[ladder.fits["suite"] == s])
    ...        for s in ladder.suites}
    >>> some = shared_replicates(own, ladder.laws(shared_floor=True), "Aster", n=50)
    >>> len(some.alpha), some.n_failed
    (50, 0)
    """
    names = list(ladders)
    bad = [s for s in names if s not in laws or not laws[s].ok]
    if bad or suite not in ladders:
        raise DataError(f"no law to start from: {', '.join(bad) or suite}")
    generator = generator_from(rng)
    used = {s: ladders[s].fits[ladders[s].fits["used"]] for s in names}
    x = [np.log(used[s]["compute"].to_numpy(float)) for s in names]
    offsets = np.concatenate(([0], np.cumsum([len(part) for part in x])))
    if all(ladder.curve in ("windowed", "parabola") for ladder in ladders.values()):
        parts = [_optima_of_runs(ladders[s], s, n, generator) for s in names]
        y = np.hstack([part[0] for part in parts])
        weight = np.hstack([part[1] for part in parts])
        kind = "two-level residual"
    else:
        y = _optima_of_law(x, [used[s]["loss_star"].to_numpy(float) for s in names],
                           [laws[s] for s in names], n, generator)  # fmt: skip
        weight = np.ones_like(y)
        kind = "residual"
    start = np.array([[laws[s].log_A, laws[s].alpha] for s in names])
    L, log_A, alpha, good = refit_shared(
        np.concatenate(x), y, weight, offsets, laws[names[0]].L_inf, start
    )
    at = names.index(suite)
    return SharedReplicates(L[good], log_A[good, at], alpha[good, at], int((~good).sum()), kind)


def _optima_of_runs(
    ladder: IsoflopLadder, suite: str, n: int, generator: np.random.Generator
) -> tuple[Column, Column]:
    """Losses of the refitted vertices, (n, n_buckets), and 1 where they are optima, else 0."""
    source = _buckets(ladder, suite, "compute", True)
    draws = generator.integers(0, source.sizes, size=(n, len(source.tokens)))
    residuals = source.residuals if source.residuals is not None else np.zeros(len(source.tokens))
    first = np.repeat(source.offsets[:-1], np.diff(source.offsets))
    losses = source.loss + residuals[first + draws]
    starts = np.arange(n)[:, None] * len(source.tokens) + source.offsets[1:]
    records = _core.parabola_fit(
        np.tile(source.tokens, n), losses.ravel(), None, np.concatenate(([0], starts.ravel())),
        window=source.window or 0.0, n_threads=thread_count(),
    )  # fmt: skip
    status = records["status"].reshape(n, -1)
    good = (status >= 0) & (status & source.unusable == 0)
    return np.where(good, records["loss_star"].reshape(n, -1), 0.0), good.astype(float)


def _optima_of_law(
    x: list[Column], y: list[Column], laws: list[PowerLaw], n: int, generator: np.random.Generator
) -> Column:
    """The laws' own losses plus residuals drawn within each suite, scaled to what is left of n."""
    m, size = sum(map(len, x)), 2 * len(x) + 1
    if m <= size:
        raise DataError(f"{m} optima leave no residuals to {size} coefficients")
    parts = []
    for C, loss, law in zip(x, y, laws, strict=True):
        fitted = law.L_inf + np.exp(law.log_A - law.alpha * C)
        residuals = (loss - fitted) * np.sqrt(m / (m - size))
        parts.append(fitted + residuals[generator.integers(0, len(C), (n, len(C)))])
    return np.hstack(parts)


def refit_shared(
    log_compute: Column,
    losses: Column,
    weight: Column,
    offsets: NDArray[np.int64],
    floor: float,
    start: Column,
) -> tuple[Column, Column, Column, NDArray[np.bool_]]:
    """Least squares of one floor and a law a suite, for many sets of losses at once.

    Levenberg's and Marquardt's damped Gauss-Newton steps (Marquardt 1963) from one start. The
    normal matrix is an arrow: a suite's (log A, alpha) meets the others only in the floor, so each
    suite is a 2 x 2 system and the floor a number.

    Parameters
    ----------
    log_compute : ndarray, shape (n_points,)
        Suites one after the other.
    losses, weight : ndarray, shape (n_sets, n_points)
        Weight 0 leaves a point out.
    offsets : ndarray of int64, shape (n_suites + 1,)
    floor : float
        Where the floor starts; it stays in [0, lowest loss of the set).
    start : ndarray, shape (n_suites, 2)
        log A and alpha to start from.

    Returns
    -------
    L_inf (n_sets,), log_A and alpha (n_sets, n_suites), converged (n_sets,) bool

    Notes
    -----
    `delphi.fit_power_laws` searches the whole range of floors and is the judge: a test compares.
    """
    sizes = np.diff(offsets)
    starts = offsets[:-1]
    centre = np.add.reduceat(log_compute, starts) / sizes
    x = log_compute - np.repeat(centre, sizes)
    n_sets = len(losses)

    def total(values: Column) -> Column:
        out: Column = np.add.reduceat(values, starts, axis=1)
        return out

    def value(L: Column, a: Column, b: Column) -> tuple[Column, Column, Column]:
        with np.errstate(over="ignore", invalid="ignore"):
            term = np.exp(np.repeat(a, sizes, axis=1) - np.repeat(b, sizes, axis=1) * x)
            error = losses - L[:, None] - term
            return term, error, (weight * error * error).sum(axis=1)

    seen = weight > 0
    top = np.where(seen, losses, np.inf).min(axis=1) * (1 - _ROOM)
    L = np.clip(np.full(n_sets, floor), 0.0, top)
    a = np.tile(start[:, 0] - start[:, 1] * centre, (n_sets, 1))
    b = np.tile(start[:, 1], (n_sets, 1))
    damping = np.full(n_sets, 1e-6)
    # Three points and three distinct computes a suite, or there is no law to look for.
    able = (total(weight) >= 3).all(axis=1)
    done = ~able
    term, error, rss = value(L, a, b)
    for _ in range(STEPS):
        wt, we = weight * term, weight * error
        grow = 1 + damping[:, None]
        m11, m12, m22 = total(wt * term) * grow, -total(wt * term * x), total(wt * term * x * x)
        m22 = m22 * grow
        q1, q2 = total(wt), -total(wt * x)
        r1, r2 = total(we * term), -total(we * term * x)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            det = m11 * m22 - m12 * m12
            p1, p2 = (m22 * q1 - m12 * q2) / det, (m11 * q2 - m12 * q1) / det
            arrow = weight.sum(axis=1) * (1 + damping) - (q1 * p1 + q2 * p2).sum(axis=1)
            step = (we.sum(axis=1) - (p1 * r1 + p2 * r2).sum(axis=1)) / arrow
            step = np.clip(L + step, 0.0, top) - L
            s1, s2 = r1 - q1 * step[:, None], r2 - q2 * step[:, None]
            da, db = (m22 * s1 - m12 * s2) / det, (m11 * s2 - m12 * s1) / det
        new = (L + step, a + da, b + db)
        tried_term, tried_error, tried = value(*new)
        better = (tried <= rss) & ~done
        small = np.abs(step) <= TOLERANCE * np.maximum(top, 1e-300)
        small &= (np.abs(da) <= TOLERANCE).all(axis=1)
        small &= (np.abs(db) <= TOLERANCE * np.abs(b)).all(axis=1)
        L, a, b = (
            np.where(better, new[0], L),
            np.where(better[:, None], new[1], a),
            np.where(better[:, None], new[2], b),
        )
        term = np.where(better[:, None], tried_term, term)
        error = np.where(better[:, None], tried_error, error)
        rss = np.where(better, tried, rss)
        # A step too small to matter ends the search, be it up or down by a rounding.
        done |= small
        damping = np.where(better, damping / 10, damping * 10)
        if done.all():
            break
    good = done & able & np.isfinite(rss) & (b > 0).all(axis=1)
    return L, a + b * centre, b, good
