"""Sweeps: a predictive covariance a grid value, the curves in NumPy, and the core."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

import delphi
from benchmarks.timing import row, timed
from delphi import figures
from delphi.partial import gp_partial_dependence
from delphi.sweeps import fit_sweep
from delphi.threads import thread_count

Column = NDArray[np.float64]
N_GRID = 80


def fitted(n: int = 97, seed: int = 0):  # type: ignore[no-untyped-def]
    """A process of the notebook's kind, and its grid."""
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import Matern, WhiteKernel

    rng = np.random.default_rng(seed)
    x = rng.uniform(-1.7, 1.7, (n, 5))
    y = 3.5 + (x**2) @ [0.03, 0.01, 0.005, 0.01, 0.006] + 0.008 * rng.normal(size=n)
    kernel = Matern(length_scale=60.0, nu=2.5) + WhiteKernel(noise_level=1e-4)
    gp = GaussianProcessRegressor(kernel, alpha=1e-6, optimizer=None).fit(x, y)
    return gp, np.linspace(x.min(axis=0), x.max(axis=0), N_GRID, axis=1)


def loop_curve(gp, grid: Column, j: int) -> tuple[Column, Column]:  # type: ignore[no-untyped-def]
    """One curve as a notebook draws it: the covariance of all rows at every value."""
    means, sds = np.empty(len(grid)), np.empty(len(grid))
    for i, value in enumerate(grid):
        moved = gp.X_train_.copy()
        moved[:, j] = value
        mu, cov = gp.predict(moved, return_cov=True)
        means[i], sds[i] = mu.mean(), np.sqrt(max(cov.mean(), 0.0))
    return means, sds


def numpy_curves(gp, grid: Column) -> tuple[Column, Column]:  # type: ignore[no-untyped-def]
    """All curves in NumPy by the same identity as the core."""
    from scipy.linalg import solve_triangular

    x, scale = gp.X_train_, gp.kernel_.k1.length_scale
    means, sds = np.empty(grid.shape), np.empty(grid.shape)

    def matern(d2: Column) -> Column:
        s = 5 * d2
        t = np.sqrt(s)
        return (1 + t + s / 3) * np.exp(-t)

    for j in range(x.shape[1]):
        rest = np.delete(x, j, axis=1) / scale
        d2 = ((rest[:, None, :] - rest[None, :, :]) ** 2).sum(-1)
        gap = ((grid[j][:, None] - x[:, j]) / scale) ** 2
        cross = matern(d2[None, :, :] + gap[:, :, None]).mean(axis=2).T
        half = solve_triangular(gp.L_, cross, lower=True)
        means[j] = cross.T @ gp.alpha_
        sds[j] = np.sqrt(np.maximum(matern(d2).mean() - (half**2).sum(axis=0), 0))
    return means, sds


def notebook_cell(x: Column, y: Column) -> None:
    """One cell as a notebook does it: scikit-learn's own optimiser, then five loops of curves."""
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import Matern, WhiteKernel

    keep = y <= np.quantile(y, 0.95)
    z = (x[keep] - x[keep].mean(axis=0)) / x[keep].std(axis=0)
    gp = GaussianProcessRegressor(
        Matern(nu=2.5) + WhiteKernel(noise_level=0.01), n_restarts_optimizer=3, alpha=1e-6,
        random_state=42,
    ).fit(z, y[keep])  # fmt: skip
    grid = np.linspace(z.min(axis=0), z.max(axis=0), N_GRID, axis=1)
    for j in range(z.shape[1]):
        loop_curve(gp, grid[j], j)


def main() -> None:
    """With one thread of BLAS: on matrices this small more of them only get in the way."""
    import scipy.linalg  # noqa: F401  (its BLAS must be there before it is held to one thread)
    import sklearn.linear_model  # noqa: F401
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        rows()


def rows() -> None:
    gp, grid = fitted()
    loop = timed(lambda: [loop_curve(gp, grid[j], j) for j in range(5)], repeats=3)
    vectorised = timed(lambda: numpy_curves(gp, grid), repeats=3)
    for n in sorted({1, thread_count()}):
        row(
            f"5 curves x 80 of 97 trials, {n} thread(s)",
            loop,
            vectorised,
            timed(lambda n=n: gp_partial_dependence(gp, grid, noise=True, n_threads=n)),
        )

    sim = delphi.simulate_sweep(n_trials=103, cells=24, rng=0)
    names = [h.name for h in sim.hparams]
    first = sim.trials[sim.trials["cell"] == 0]
    x = np.column_stack([h.forward(first[h.name].to_numpy()) for h in sim.hparams])
    y = first["loss"].to_numpy()

    def ours(kernel: str, drop: str) -> None:
        figures.hparam_scaling(
            fit_sweep(sim.trials, hparams=sim.hparams, by="cell", rule=delphi.CompletedAdamH(),
                      kernel=kernel, diverged=drop, n_restarts=3 if kernel == "notebook" else 2)
        )  # fmt: skip

    assert names
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole = timed(lambda: notebook_cell(x, y), repeats=3, scale=24)
        row(
            "figure of 24 cells, the notebook's kernel",
            whole,
            whole,
            timed(lambda: ours("notebook", "quantile"), repeats=1),
        )
        row(
            "figure of 24 cells, default kernel and band",
            whole,
            whole,
            timed(lambda: ours("matern52", "surface"), repeats=1),
        )


if __name__ == "__main__":
    main()
