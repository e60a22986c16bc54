"""Power laws: a polyfit per floor, the whole grid in NumPy, and the core."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.timing import row, timed
from delphi import _core, compat
from delphi.threads import thread_count

Column = NDArray[np.float64]
N_GRID = 400


def suites(n_suites: int, seed: int = 0) -> tuple[Column, Column]:
    """Compute and loss, (n_suites, 7) each."""
    rng = np.random.default_rng(seed)
    C = np.tile(np.geomspace(3e18, 3e20, 7), (n_suites, 1))
    return C, 1.8 + 1600 * C**-0.16 + rng.normal(0, 0.003, C.shape)


def loop_grid(C: Column, y: Column) -> tuple[float, float, float, float] | None:
    """One suite as a notebook fits it: a straight line in logs for every floor on the grid."""
    log_c = np.log(C)
    best = None
    for floor in np.linspace(0, 0.95 * y.min(), N_GRID):
        log_z = np.log(y - floor)
        slope, intercept = np.polyfit(log_c, log_z, 1)
        if slope >= 0:
            continue
        mse = float(np.mean((log_z - (intercept + slope * log_c)) ** 2))
        if best is None or mse < best[0]:
            best = (mse, float(floor), float(np.exp(intercept)), float(-slope))
    return best


def vectorised_grid(C: Column, y: Column, block: int = 250) -> Column:
    """Many suites and all floors at once, in blocks that stay in cache."""
    x = np.log(C)
    x = x - x.mean(axis=1, keepdims=True)
    sxx = (x * x).sum(axis=1)
    unit = np.linspace(0, 1, N_GRID)
    out = np.empty((len(C), 2))
    for first in range(0, len(C), block):
        rows = slice(first, first + block)
        floors = 0.95 * y[rows].min(axis=1)[:, None] * unit
        z = np.log(y[rows, None, :] - floors[:, :, None])
        mean = z.mean(axis=2)
        slope = np.einsum("gkn,gn->gk", z, x[rows]) / sxx[rows, None]
        # total minus explained sum of squares spares a pass over the block
        mse = np.einsum("gkn,gkn->gk", z - mean[..., None], z - mean[..., None])
        mse -= slope**2 * sxx[rows, None]
        best = np.where(slope < 0, mse, np.inf).argmin(axis=1)
        picked = np.arange(len(best))
        out[rows] = np.column_stack((floors[picked, best], -slope[picked, best]))
    return out


def main() -> None:
    threads = thread_count()
    C, y = suites(10_000)
    few = 10
    flat_c, flat_y, offsets = C.ravel(), y.ravel(), np.arange(0, C.size + 1, C.shape[1])
    loop_one = timed(lambda: loop_grid(C[0], y[0]))
    numpy_one = timed(lambda: vectorised_grid(C[:1], y[:1]))
    row(
        "400-point grid, 1 suite (compat)",
        loop_one,
        numpy_one,
        timed(lambda: compat.fit_asymptotic_powerlaw_per_q({"a": (C[0], y[0])})),
    )
    row(
        "400-point grid, 1 suite (core)",
        loop_one,
        numpy_one,
        timed(lambda: _core.powerlaw_fit(C[0], y[0], [0, 7], score="log", method="grid")),
    )

    def loop_all() -> None:
        for s in range(few):
            loop_grid(C[s], y[s])

    loop = timed(loop_all, scale=len(C) / few, repeats=3)
    numpy = timed(lambda: vectorised_grid(C, y), repeats=3)
    for n in sorted({1, threads}):
        row(
            f"400-point grid, 10,000 suites, {n} thread(s)",
            loop,
            numpy,
            timed(
                lambda n=n: _core.powerlaw_fit(
                    flat_c, flat_y, offsets, score="log", method="grid", n_threads=n
                )
            ),
        )
        row(
            f"continuous profile, the same, {n} thread(s)",
            loop,
            numpy,
            timed(lambda n=n: _core.powerlaw_fit(flat_c, flat_y, offsets, n_threads=n)),
        )


if __name__ == "__main__":
    main()
