"""How good the optima of learning-curve fits are: against SciPy from many starts.

    python -m benchmarks.curve_optimum [fits] [starts] [seed]

Absolute error: the best of Nelder-Mead and L-BFGS-B from every start; Huber: least_squares. Starts
are drawn over theta, with F and A by least squares. Prints, for every form and loss, how often
delphi's objective is within 1 + 1e-4 of SciPy's best, how often SciPy's single runs are within 1%,
and how often delphi failed.
"""

from __future__ import annotations

import sys
import warnings

import numpy as np
from scipy.optimize import least_squares, minimize

from delphi import _core
from delphi.curves import FORMS, LOSSES

TRUTH = {
    "log": [(0, 3)],
    "exponential": [(0, 1.2)],
    "power": [(-3, -0.3), (-1, 0.3)],
    "rational": [(-0.5, 0.3), (-1, 2)],
}
START = {
    "log": [(-1, 4)],
    "exponential": [(-1, 2)],
    "power": [(-3, 1), (-1, 1.5)],
    "rational": [(-1, 1), (-2, 3)],
}
EDGE = 6.0  # of log10 theta
MODEL = {form: getattr(_core, f"curve_{form}") for form in FORMS}


def draw(rng: np.random.Generator):
    """A prefix of a noisy curve, one in five with heavy tails."""
    form = FORMS[rng.integers(4)]
    theta = [10 ** rng.uniform(a, b) for a, b in TRUTH[form]] + [1.0]
    n = int(np.exp(rng.uniform(np.log(10), np.log(80))))
    tau = rng.uniform(0.1, 0.9) * np.arange(1, n + 1) / n
    y = MODEL[form](tau, rng.uniform(2, 3), rng.uniform(0.3, 3), theta[0], theta[1])
    e = rng.normal(size=n)
    if rng.random() < 0.2:
        e *= np.where(rng.random(n) < 0.1, 8, 1)
    return tau, y + 10 ** rng.uniform(-3.5, -1.5) * e


def scipy_best(form, tau, y, loss, delta, n_starts, rng):
    """The objectives of all single runs."""
    k = len(START[form])
    top = y.max()
    low = np.array([0, 0] + [-EDGE] * k)
    high = np.array([top, 2 * top] + [EDGE] * k)

    def s(p):
        return MODEL[form](tau, 0.0, 1.0, 10 ** p[2], 10 ** p[3] if k == 2 else 1.0)

    def residuals(p):
        return y - p[0] - p[1] * s(p)

    def mae(p):
        return np.abs(residuals(p)).mean()

    def huber(p):
        a = np.abs(residuals(p))
        return np.where(a <= delta, 0.5 * a * a, delta * (a - 0.5 * delta)).mean()

    out = []
    for _ in range(n_starts):
        x = np.array([0, 0, *(rng.uniform(a, b) for a, b in START[form])])
        rows = np.column_stack((np.ones(len(y)), s(x)))
        x[:2] = np.clip(np.linalg.lstsq(rows, y, rcond=None)[0], low[:2], high[:2])
        if loss == "huber":
            start = np.clip(x, low + 1e-9, high - 1e-9)
            found = least_squares(
                residuals, start, bounds=(low, high), loss="huber", f_scale=delta, x_scale="jac"
            )
            out.append(huber(found.x))
        else:
            box = list(zip(low, high, strict=True))
            out.append(mae(minimize(mae, x, method="L-BFGS-B", bounds=box).x))
            options = {"maxiter": 2000, "xatol": 1e-8, "fatol": 1e-12}
            out.append(mae(minimize(mae, x, method="Nelder-Mead", bounds=box, options=options).x))
    return np.array(out)


def main(n_fits: int = 200, n_starts: int = 40, seed: int = 0) -> None:
    rng = np.random.default_rng(seed)
    cells = [(form, loss) for form in FORMS for loss in LOSSES]
    good, bad_scipy, failed, done = (dict.fromkeys(cells, 0.0) for _ in range(4))
    for i in range(n_fits):
        tau, y = draw(rng)
        form, loss = cells[i % len(cells)]
        fit = _core.curve_fit(tau, y, [0], [len(y)], forms=[form], losses=[loss])[0, 0, 0]
        single = scipy_best(form, tau, y, loss, fit["delta"], n_starts, rng)
        best = single.min()
        done[form, loss] += 1
        failed[form, loss] += fit["status"] < 0
        good[form, loss] += bool(fit["objective"] <= best * (1 + 1e-4) + 1e-15)
        floor = min(best, fit["objective"])
        bad_scipy[form, loss] += float((single > 1.01 * floor).mean())
    print(f"{n_fits} fits, SciPy from {n_starts} starts, seed {seed}")
    print(f"{'':20} {'fits':>6} {'within 1e-4':>12} {'failed':>7} {'SciPy run > 1% off':>19}")
    for cell in cells:
        n = max(done[cell], 1)
        print(
            f"{'-'.join(cell):20} {done[cell]:6.0f} {good[cell] / n:12.2%} {failed[cell]:7.0f} "
            f"{bad_scipy[cell] / n:19.0%}"
        )
    print(f"{'all':20} {n_fits:6} {sum(good.values()) / n_fits:12.2%}", flush=True)


if __name__ == "__main__":
    warnings.simplefilter("ignore", RuntimeWarning)
    main(*(int(a) for a in sys.argv[1:]))
