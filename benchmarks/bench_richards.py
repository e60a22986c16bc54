"""Richards curves: curve_fit from one start as a notebook does, scipy with everything, the core.

The middle column is the best a user would write: least_squares with the analytic Jacobian. Both
scipy columns have one start; the core refines several and never ends above them (counted below).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import curve_fit, least_squares

from benchmarks.timing import row, timed
from delphi import _core
from delphi.threads import thread_count

Column = NDArray[np.float64]
FLOOR = 0.25
N_POINTS = 40


def curves(n: int, seed: int = 0) -> tuple[Column, Column]:
    """Soft metric and accuracy of n tasks, (n, N_POINTS) each."""
    rng = np.random.default_rng(seed)
    x = np.sort(rng.uniform(-1.4, -0.35, (n, N_POINTS)), axis=1)
    k, x0 = rng.uniform(4, 14, (n, 1)), rng.uniform(-1, -0.6, (n, 1))
    v, C = np.exp(rng.uniform(-0.8, 0.8, (n, 1))), rng.uniform(0.6, 0.95, (n, 1))
    return x, np.asarray(_core.richards(x, k, x0, v, FLOOR, C)) + rng.normal(0, 0.01, x.shape)


def model(x: Column, k: float, x0: float, v: float, C: float) -> Column:
    """The curve as a notebook writes it."""
    return FLOOR + (C - FLOOR) / (1.0 + np.exp(-k * (x - x0))) ** v


def slopes(theta: Column, x: Column) -> Column:
    """Its Jacobian."""
    k, x0, v, C = theta
    s = 1.0 / (1.0 + np.exp(-k * (x - x0)))
    g = s**v
    by_u = (C - FLOOR) * v * g * (1 - s)
    return np.stack((by_u * (x - x0), -k * by_u, (C - FLOOR) * g * np.log(s), g), axis=1)


def bounds(x: Column) -> tuple[list[float], list[float]]:
    """The notebook's bounds."""
    return [0.1, x[0] - 2, 0.1, FLOOR + 0.05], [50.0, x[-1] + 2, 20.0, 1.0]


def loop_fit(x: Column, y: Column) -> float:
    """One notebook fit; its sum of squares."""
    start = [5.0, float(np.median(x)), 1.0, 0.95]
    theta, _ = curve_fit(model, x, y, p0=start, bounds=bounds(x), maxfev=20000)
    return float(np.sum((model(x, *theta) - y) ** 2))


def peer_fit(x: Column, y: Column) -> None:
    """The same with the analytic Jacobian and without what curve_fit adds."""
    start = [5.0, float(np.median(x)), 1.0, 0.95]
    least_squares(
        lambda t: model(x, *t) - y, start, lambda t: slopes(t, x), bounds=bounds(x), x_scale="jac"
    )


def main() -> None:
    threads = thread_count()
    n, few = 10_000, 20
    x, y = curves(n)
    offsets = np.arange(0, x.size + 1, N_POINTS)
    floors = np.full(n, FLOOR)
    boxes = np.array([np.concatenate(bounds(a)) for a in x]).ravel()
    flat_x, flat_y = x.ravel(), y.ravel()

    def loop() -> None:
        for i in range(few):
            loop_fit(x[i], y[i])

    def peer() -> None:
        for i in range(few):
            peer_fit(x[i], y[i])

    slow = timed(loop, scale=n / few, repeats=3)
    fast = timed(peer, scale=n / few, repeats=3)
    for t in sorted({1, threads}):
        row(
            f"Richards, 10,000 fits of 40 points, {t} thread(s)",
            slow,
            fast,
            timed(
                lambda t=t: _core.richards_fit(
                    flat_x, flat_y, offsets, floors, boxes=boxes, n_threads=t
                ),
                repeats=3,
            ),
        )
    ours = _core.richards_fit(flat_x, flat_y, offsets, floors, boxes=boxes, n_threads=threads)
    above = sum(ours["sse"][i] > loop_fit(x[i], y[i]) * (1 + 1e-9) for i in range(200))
    print(f"{'':44} core above curve_fit's sum of squares: {above} of 200")


if __name__ == "__main__":
    main()
