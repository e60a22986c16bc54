"""How good the optima of Richards fits are: against scipy from 40 random starts each.

    python -m benchmarks.richards_optimum [problems] [first seed] [minpack|trf] [file]

The problems are those of tests/reference/richards.py: partial, steep, flat, noisy, 5 to 200 points,
in the notebook's bounds. "trf" runs 40 bounded trust-region fits (scipy.optimize.least_squares, all
tolerances 1e-12). "minpack" runs MINPACK's Levenberg-Marquardt from the same 40 starts with the box
folded into sines, up to 60 steps each, and takes the best five to their ends by the trust region,
which is ten times cheaper. References do not depend on delphi: they are appended to the file, and
taken from it.

A miss is a sum of squares more than 1e-6 (relative) above the best of the 40, a silent one has the
status "ok". Counted apart: exact data, where both sums are below 1e-9 of the variance (a tenth of
the problems have no noise) or rounding of y, and equal accuracies, which delphi refuses with a
status.
"""

from __future__ import annotations

import csv
import sys
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares, leastsq

from delphi import _core
from tests.reference import richards as slow

Column = NDArray[np.float64]
TOLERANCE, EXACT, ROUNDING = 1e-6, 1e-9, 1e-15
N_STARTS, N_POLISHED = 40, 5


def minpack(x: Column, y: Column, floor: float, seed: int) -> float:
    """The lowest sum of squares of 40 runs of MINPACK, the best five of them polished."""
    lo, hi = slow.notebook_box(x, floor)
    logs = np.array([True, False, True, False])  # k and v by their logarithms
    low, high = (np.where(logs, np.log(np.where(logs, b, 1)), b) for b in (lo, hi))

    wide = high - low

    def inside(phi: Column) -> Column:
        z = low + wide * np.sin(phi) ** 2
        return np.where(logs, np.exp(z), z)

    def parts(phi: Column) -> tuple[Column, Column, Column, Column]:
        z = low + wide * np.sin(phi) ** 2
        u = np.exp(z[0]) * (x - z[1])
        minus = np.logaddexp(0, -u)
        return z, u, minus, np.exp(-np.exp(z[2]) * minus)

    def residuals(phi: Column) -> Column:
        z, _, _, g = parts(phi)
        return floor + (z[3] - floor) * g - y

    def jacobian(phi: Column) -> Column:
        z, u, minus, g = parts(phi)
        v, rise, bent = np.exp(z[2]), z[3] - floor, wide * np.sin(2 * phi)
        by_u = rise * v * g * np.exp(-minus - u)
        return np.array((
            bent[0] * u * by_u, -bent[1] * np.exp(z[0]) * by_u, -bent[2] * rise * v * minus * g,
            bent[3] * g,
        ))  # fmt: skip

    ends = []
    for start in slow.starts(x, floor, lo, hi, N_STARTS, seed):
        share = (np.where(logs, np.log(np.where(logs, start, 1)), start) - low) / (high - low)
        phi = np.arcsin(np.sqrt(np.clip(share, 0, 1)))
        phi, *_ = leastsq(
            residuals, phi, Dfun=jacobian, col_deriv=True, ftol=1e-8, xtol=1e-8, maxfev=60
        )
        ends.append((float(np.sum(residuals(phi) ** 2)), tuple(inside(phi))))
    ends.sort()
    best = ends[0][0]
    for _, theta in ends[:N_POLISHED]:
        found = least_squares(
            lambda t: slow.curve(x, t, floor) - y,
            np.clip(theta, lo + 1e-9 * (hi - lo), hi - 1e-9 * (hi - lo)),
            lambda t: slow.slopes(x, t, floor),
            bounds=(lo, hi), xtol=1e-13, ftol=1e-13, gtol=1e-13, max_nfev=500, x_scale="jac",
        )  # fmt: skip
        best = min(best, 2 * found.cost)
    return best


def trf(x: Column, y: Column, floor: float, seed: int) -> float:
    """The lowest sum of squares of 40 trust-region fits."""
    return slow.fit(x, y, floor, n_starts=N_STARTS, seed=seed)[0]


def known(path: Path | None) -> dict[int, float]:
    """The references that a file holds already."""
    if path is None or not path.exists():
        return {}
    with path.open() as file:
        return {int(seed): float(value) for seed, value in csv.reader(file)}


def main(n: int = 100, first: int = 0, method: str = "minpack", file: str | None = None) -> None:
    path = Path(file) if file else None
    told = known(path)
    missed, silent, exact, refused, above, worst = [], [], 0, 0, 0, -np.inf
    for seed in range(first, first + n):
        x, y, floor = slow.problem(np.random.default_rng(seed))
        if seed not in told:
            told[seed] = float((minpack if method == "minpack" else trf)(x, y, floor, seed))
            if path is not None:
                with path.open("a") as out:
                    out.write(f"{seed},{told[seed]!r}\n")
        box = np.concatenate(slow.notebook_box(x, floor))
        ours = _core.richards_fit(x, y, [0, len(x)], [floor], boxes=box)[0]
        best = told[seed]
        if ours["status"] < 0:
            refused += 1
            assert y.min() == y.max(), seed
            continue
        variance = float(np.sum((y - y.mean()) ** 2))
        if max(ours["sse"], best) <= max(EXACT * variance, ROUNDING**2 * float(np.sum(y * y))):
            exact += 1
            continue
        excess = ours["sse"] / best - 1
        worst = max(worst, excess)
        above += excess < -TOLERANCE
        if excess > TOLERANCE:
            missed.append(seed)
            silent += [seed] if ours["status"] == 0 else []
            print(f"missed {seed}: {ours['sse']:.9g} for {best:.9g}, {len(x)} points", flush=True)
    print(f"{n} problems from seed {first}, {method} from {N_STARTS} starts each")
    print(f"delphi above: {len(missed)}, of these silent: {len(silent)}; scipy above: {above}")
    print(f"worst relative excess {worst:.2g}; exact data: {exact}; equal accuracies: {refused}")


if __name__ == "__main__":
    warnings.simplefilter("ignore", RuntimeWarning)
    a = sys.argv[1:]
    main(*(int(v) for v in a[:2]), *a[2:])
