"""Bootstrap: a refit per replicate in a loop, all replicates at once in NumPy, and the core."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from benchmarks.bench_powerlaw import suites
from benchmarks.timing import row, timed
from delphi import FitWarning, compat, fit_isoflops, simulate
from delphi.bootstrap import bootstrap_ladder, bootstrap_law

Column = NDArray[np.float64]
N_GRID = 100
AT = (1e21, 1e22, 1e23)


def loop_replicate(C: Column, y: Column) -> tuple[float, float, float] | None:
    """One replicate as a notebook fits it: a straight line in logs for every floor of the grid."""
    log_c = np.log(C)
    best = None
    for floor in np.linspace(0, 0.95 * y.min(), N_GRID):
        log_z = np.log(y - floor)
        slope, intercept = np.polyfit(log_c, log_z, 1)
        mse = float(np.mean((log_z - (intercept + slope * log_c)) ** 2))
        if slope < 0 and (best is None or mse < best[0]):
            best = (mse, float(floor), float(np.exp(intercept)), float(-slope))
    return best[1:] if best else None


def loop_bootstrap(C: Column, y: Column, n_boot: int) -> list[tuple[float, ...]]:
    """Percentiles of the forecasts, a replicate at a time."""
    rng = np.random.default_rng(0)
    forecasts: list[list[float]] = [[] for _ in AT]
    for _ in range(n_boot):
        drawn = rng.integers(0, len(C), size=len(C))
        if len(np.unique(C[drawn])) < 3:
            continue
        law = loop_replicate(C[drawn], y[drawn])
        if law is not None:
            for kept, at in zip(forecasts, AT, strict=True):
                kept.append(law[0] + law[1] * at ** -law[2])
    return [tuple(np.percentile(kept, [2.5, 50, 97.5])) for kept in forecasts]


def vectorised_bootstrap(C: Column, y: Column, n_boot: int, block: int = 125) -> Column:
    """The same, all replicates and floors of a block at once, in blocks that stay in cache."""
    draws = np.random.default_rng(0).integers(0, len(C), size=(n_boot, len(C)))
    ordered = np.sort(C[draws], axis=1)
    draws = draws[(np.diff(ordered, axis=1) > 0).sum(axis=1) >= 2]
    unit = np.linspace(0, 1, N_GRID)
    kept = []
    for first in range(0, len(draws), block):
        rows = draws[first : first + block]
        x, losses = np.log(C)[rows], y[rows]
        mean = x.mean(axis=1, keepdims=True)
        d = x - mean
        sxx = np.einsum("bn,bn->b", d, d)
        floors = 0.95 * losses.min(axis=1)[:, None] * unit
        z = np.log(losses[:, None, :] - floors[:, :, None])
        z_mean = z.mean(axis=2)
        slope = np.einsum("bkn,bn->bk", z, d) / sxx[:, None]
        rss = np.einsum("bkn,bkn->bk", z, z) - len(C) * z_mean**2 - slope**2 * sxx[:, None]
        best = np.where(slope < 0, rss, np.inf).argmin(axis=1)
        picked = np.arange(len(best))
        slope, log_a = slope[picked, best], z_mean[picked, best]
        log_a = log_a - slope * mean[:, 0]
        kept.append(
            floors[picked, best][:, None] + np.exp(log_a[:, None] + slope[:, None] * np.log(AT))
        )
    return np.percentile(np.concatenate(kept), [2.5, 50, 97.5], axis=0)


def loop_ladder(tokens: list[Column], losses: list[Column], C: Column, n_boot: int) -> Column:
    """Two levels by hand: polyfit of every budget's residuals, then the grid."""
    rng = np.random.default_rng(0)
    kept = []
    parabolas = [np.polyfit(np.log10(t), y, 2) for t, y in zip(tokens, losses, strict=True)]
    for _ in range(n_boot):
        optima = []
        for t, y, fit in zip(tokens, losses, parabolas, strict=True):
            x = np.log10(t)
            fitted = np.polyval(fit, x)
            residuals = (y - fitted) * np.sqrt(len(y) / (len(y) - 3))
            a, b, c = np.polyfit(x, fitted + rng.choice(residuals, len(y)), 2)
            optima.append(c - b * b / (4 * a))
        law = loop_replicate(C, np.array(optima))
        if law is not None:
            kept.append(law[0] + law[1] * np.array(AT) ** -law[2])
    return np.percentile(kept, [2.5, 50, 97.5], axis=0)


def main() -> None:
    warnings.simplefilter("ignore", FitWarning)
    many_c, many_y = suites(1)
    C, y = many_c[0], many_y[0]
    few = 20
    loop = timed(lambda: loop_bootstrap(C, y, few), scale=1000 / few, repeats=3)
    numpy = timed(lambda: vectorised_bootstrap(C, y, 1000))
    row(
        "1,000 pairs, 100-point grid, 7 optima",
        loop,
        numpy,
        timed(lambda: compat.bootstrap_scaling_fit_ci(C, y, AT)),
    )
    loop_10 = timed(lambda: loop_bootstrap(C, y, few), scale=10_000 / few, repeats=3)
    numpy_10 = timed(lambda: vectorised_bootstrap(C, y, 10_000), repeats=3)
    for kind in ("pairs", "residual", "wild"):
        row(
            f"10,000 {kind}, continuous profile",
            loop_10,
            numpy_10,
            timed(lambda kind=kind: bootstrap_law(C, y, AT, n=10_000, kind=kind)),
        )
    ladder = fit_isoflops(simulate.ladder(rng=0))
    suite = ladder.suites[0]
    runs = ladder.runs[(ladder.runs["suite"] == suite) & (ladder.runs["run_type"] == "isoflop")]
    groups = [group for _, group in runs.groupby("budget")]
    tokens = [group["tokens"].to_numpy(float) for group in groups]
    losses = [group["loss"].to_numpy(float) for group in groups]
    budgets = np.array([float(group["budget"].iloc[0]) for group in groups])
    two = timed(lambda: loop_ladder(tokens, losses, budgets, few), scale=1000 / few, repeats=3)
    row(
        f"1,000 two-level, {len(runs)} runs (NumPy: law only)",
        two,
        numpy,
        timed(lambda: bootstrap_ladder(ladder, suite, AT)),
    )


if __name__ == "__main__":
    main()
