"""Learning curves: SciPy on one fit at a time, NumPy over a grid of theta, and the core."""

from __future__ import annotations

import time

import numpy as np
from scipy.optimize import least_squares, minimize

from benchmarks.timing import row, timed
from delphi import _core
from delphi.curveforms import FORMS
from delphi.threads import thread_count

N_POINTS, N_RUNS = 50, 1112
GRID = {
    "log": [(t, 1.0) for t in (1, 3, 10, 30, 100, 300)],
    "exponential": [(t, 1.0) for t in (1, 3, 10, 30)],
    "power": [(a, b) for a in (0.003, 0.03, 0.3) for b in (0.2, 0.5, 1.5)],
    "rational": [(a, b) for a in (0.3, 0.6, 1.2) for b in (0.3, 3, 30)],
}
MODEL = {form: getattr(_core, f"curve_{form}") for form in FORMS}


def shape(form, tau, a, b):
    """The shapes as a notebook writes them."""
    if form == "log":
        return 1 - np.log1p(a * tau) / np.log1p(a)
    if form == "exponential":
        return (np.exp(-a * tau) - np.exp(-a)) / (1 - np.exp(-a))
    if form == "power":
        return ((1 + tau / a) ** -b - (1 + 1 / a) ** -b) / (1 - (1 + 1 / a) ** -b)
    return (1 - tau**a) / (1 + b * tau**a)


def runs(seed: int = 0):
    """Progress, losses and the ends of nine prefixes of every run."""
    rng = np.random.default_rng(seed)
    tau = np.arange(1, N_POINTS + 1) / N_POINTS
    y = np.stack(
        [
            MODEL["power"](
                tau, rng.uniform(2, 3), rng.uniform(0.5, 3), 10 ** rng.uniform(-2.5, -1),
                rng.uniform(0.2, 1),
            )
            for _ in range(N_RUNS)
        ]
    )  # fmt: skip
    y += rng.normal(0, 0.005, y.shape)
    starts = np.repeat(np.arange(N_RUNS) * N_POINTS, 9)
    ends = starts + np.tile(np.arange(1, 10) * N_POINTS // 10, N_RUNS)
    return np.tile(tau, N_RUNS), y.ravel(), starts, ends


def scipy_fit(form: str, loss: str, tau, y):
    """One fit as one writes it by hand: the best theta of a small grid, then SciPy from there once.

    Nelder-Mead for the absolute error, which L-BFGS-B as often as not leaves more than 1% too high;
    tolerances that fit losses of 1e-3 nats (the defaults are absolute, 1e-4).
    """
    k = 2 if form in ("power", "rational") else 1
    low, high = [0, 0] + [1e-3] * k, [y.max(), 2 * y.max()] + [1e3] * k

    def residuals(p):
        return y - p[0] - p[1] * shape(form, tau, p[2], p[3] if k == 2 else 1.0)

    starts = [[y[-1], max(y[0] - y[-1], 1e-3), *theta[:k]] for theta in GRID[form]]
    best = min(starts, key=lambda p: np.abs(residuals(p)).mean())
    if loss == "huber":
        return least_squares(residuals, best, loss="huber", f_scale=0.007, bounds=(low, high)).x
    return minimize(
        lambda p: np.abs(residuals(p)).mean(),
        best,
        method="Nelder-Mead",
        bounds=list(zip(low, high, strict=True)),
        options={"xatol": 1e-6, "fatol": 1e-8, "maxiter": 2000},
    ).x


def vectorised(form: str, tau, y, starts, ends, n_grid: int = 60):
    """All slices of one length at once: least squares in (F, A) for every theta of a dense grid."""
    out = {}
    side = int(np.sqrt(n_grid))
    thetas = (
        [(t, 1.0) for t in np.geomspace(0.1, 1e3, n_grid)]
        if form in ("log", "exponential")
        else [(a, b) for a in np.geomspace(0.01, 3, side) for b in np.geomspace(0.1, 30, side)]
    )
    lengths = ends - starts
    for n in np.unique(lengths):
        rows = starts[lengths == n][:, None] + np.arange(n)
        t, v = tau[rows[0]], y[rows]
        best = np.full(len(rows), np.inf)
        F = np.full(len(rows), np.nan)
        mean = v.mean(axis=1)
        for a, b in thetas:
            s = shape(form, t, a, b)
            d = s - s.mean()
            A = np.clip((v @ d) / (d @ d), 0, None)
            level = mean - A * s.mean()
            mae = np.abs(v - level[:, None] - A[:, None] * s).mean(axis=1)
            better = mae < best
            best[better], F[better] = mae[better], level[better]
        out[int(n)] = F
    return out


def processor_times(tau, y, starts, ends, picks) -> tuple[float, float]:
    """Seconds of one processor for a fit, SciPy's and ours: other programs change them less."""
    begin = time.process_time()
    for form in FORMS:
        for loss in ("mae", "huber"):
            for i in picks:
                scipy_fit(form, loss, tau[starts[i] : ends[i]], y[starts[i] : ends[i]])
    slow = (time.process_time() - begin) / (8 * len(picks))
    begin = time.process_time()
    _core.curve_fit(tau, y, starts, ends, n_threads=1)
    return slow, (time.process_time() - begin) / (8 * len(starts))


def main() -> None:
    tau, y, starts, ends = runs()
    n_slices = len(starts)
    picks = np.linspace(5, n_slices - 1, 9).astype(int)  # a slice of every prefix
    total_loop = 0.0
    total_numpy = 0.0
    for form in FORMS:
        numpy = timed(lambda f=form: vectorised(f, tau, y, starts, ends), repeats=1)
        total_numpy += numpy.seconds
        for loss in ("mae", "huber"):

            def loop(form=form, loss=loss):
                for i in picks:
                    part = slice(starts[i], ends[i])
                    scipy_fit(form, loss, tau[part], y[part])

            scale = n_slices / len(picks)
            slow = timed(loop, repeats=1, at_least=0.0, scale=scale)
            total_loop += slow.seconds
            ours = timed(
                lambda f=form, k=loss: _core.curve_fit(
                    tau, y, starts, ends, forms=[f], losses=[k], n_threads=thread_count()
                ),
                repeats=1,
            )
            row(f"{form}-{loss}, {n_slices:,} run-prefixes", slow, numpy, ours)
    loop_all = type(numpy)(total_loop, f"from 1/{n_slices / len(picks):g} of the work")
    cpu = processor_times(tau, y, starts, ends, picks)
    print(
        f"  processor time of one thread, a fit: SciPy {1e3 * cpu[0]:.1f} ms, "
        f"delphi {1e6 * cpu[1]:.1f} us, {cpu[0] / cpu[1]:,.0f}x"
    )
    for n in sorted({1, thread_count()}):
        ours = timed(
            lambda n=n: _core.curve_fit(tau, y, starts, ends, n_threads=n), repeats=1, at_least=0
        )
        row(
            f"4 forms x 2 losses in one call, {n} thread(s)",
            loop_all, type(numpy)(2 * total_numpy), ours,
        )  # fmt: skip


if __name__ == "__main__":
    np.seterr(all="ignore")
    main()
