"""Learning curves by brute force: what csrc/laws/curve.c has to find, without any haste.

Shapes are written as in the formulas, the absolute-error problem in (F, A) is a linear programme,
Huber's a bounded general-purpose minimisation, and theta is searched by SciPy from many starts.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import least_squares, linprog, minimize

FORMS = ("log", "exponential", "power", "rational")
N_THETA = {"log": 1, "exponential": 1, "power": 2, "rational": 2}
START = {  # where starts are drawn from, uniformly in log10
    "log": [(-1, 4)],
    "exponential": [(-1, 2)],
    "power": [(-3, 1), (-1, 1.5)],
    "rational": [(-1, 1), (-2, 3)],
}
BOUNDS = (1e-6, 1e6)


def shape(form, tau, theta):
    """s(tau), in extended precision because the formulas cancel as theta goes to 0."""
    tau = np.asarray(tau, np.longdouble)
    t = [np.longdouble(value) for value in theta]
    if form == "log":
        return 1 - np.log1p(t[0] * tau) / np.log1p(t[0])
    if form == "exponential":
        return (np.exp(-t[0] * tau) - np.exp(-t[0])) / (1 - np.exp(-t[0]))
    if form == "power":
        falls, end = (1 + tau / t[0]) ** -t[1], (1 + 1 / t[0]) ** -t[1]
        return (falls - end) / (1 - end)
    return (1 - tau ** t[0]) / (1 + t[1] * tau ** t[0])


def huber(r, delta):
    """Huber's loss of each residual."""
    a = np.abs(r)
    return np.where(a <= delta, 0.5 * a**2, delta * (a - 0.5 * delta))


def mean_loss(r, loss, delta):
    """The objective: mean absolute error, or mean Huber loss."""
    return float(np.mean(np.abs(r) if loss == "mae" else huber(r, delta)))


def line_l1(s, y, F_max, A_max):
    """Exact least absolute deviations of y on F + A s in a box, by linear programming."""
    n = len(s)
    rows = np.column_stack((np.ones(n), s, np.eye(n), -np.eye(n)))
    cost = np.concatenate(([0, 0], np.ones(2 * n)))
    bounds = [(0, F_max), (0, A_max)] + [(0, None)] * (2 * n)
    found = linprog(cost, A_eq=rows, b_eq=y, bounds=bounds, method="highs")
    assert found.status == 0
    return found.x[0], found.x[1], found.fun


def line_huber(s, y, delta, F_max, A_max):
    """Huber regression of y on F + A s in a box, by a general minimiser."""

    def f(p):
        r = y - p[0] - p[1] * s
        pull = np.clip(r, -delta, delta)
        return huber(r, delta).sum() / delta**2, -np.array([pull.sum(), pull @ s]) / delta**2

    best = min(
        (
            minimize(f, start, jac=True, method="L-BFGS-B", bounds=[(0, F_max), (0, A_max)],
                     options={"maxiter": 2000, "ftol": 1e-15, "gtol": 1e-10})
            for start in ([np.median(y), 0.0], [y[-1], max(y[0] - y[-1], 0)])
        ),
        key=lambda found: found.fun,
    )  # fmt: skip
    return best.x[0], best.x[1], best.fun * delta**2


def noise(tau, y):
    """Robust spread of the points about the lines between their neighbours."""
    if len(y) < 3:
        return 0.0
    off = []
    for i in range(1, len(y) - 1):
        width = tau[i + 1] - tau[i - 1]
        w = (tau[i] - tau[i - 1]) / width if width > 0 else 0.5
        between = (1 - w) * y[i - 1] + w * y[i + 1]
        off.append(abs(y[i] - between) / np.sqrt(1 + w**2 + (1 - w) ** 2))
    off.sort()
    return 1.4826 * off[(len(y) - 2) // 2]


def fit(form, tau, y, loss, delta, n_starts=40, seed=0):
    """The lowest objective SciPy finds from many starts, and its final loss.

    MAE: Nelder-Mead and L-BFGS-B; Huber: least_squares. Parameters are F, A and log10 theta.
    """
    tau, y = np.asarray(tau, float), np.asarray(y, float)
    k = N_THETA[form]
    rng = np.random.default_rng(seed)
    top = y.max()
    ends = np.log10(BOUNDS)
    box = [(0, top), (0, 2 * top)] + [(float(ends[0]), float(ends[1]))] * k

    def residuals(p):
        return y - p[0] - p[1] * s(p)

    def s(p):
        with np.errstate(all="ignore"):
            value = shape(form, tau, 10.0 ** np.asarray(p[2:])).astype(float)
        return np.where(np.isfinite(value), value, 0.0)

    def f(p):
        return mean_loss(residuals(p), loss, delta)

    best, F = np.inf, np.nan
    for _ in range(n_starts):
        theta = [rng.uniform(a, b) for a, b in START[form]]
        line = s([0, 0, *theta])
        rows = np.column_stack((np.ones(len(y)), line))
        (f0, a0), *_ = np.linalg.lstsq(rows, y, rcond=None)
        x = np.array([np.clip(f0, 0, top), np.clip(a0, 0, 2 * top), *theta])
        if loss == "huber":
            low, high = np.array(box).T
            found = [
                least_squares(
                    residuals, np.clip(x, low + 1e-9, high - 1e-9), bounds=(low, high),
                    loss="huber", f_scale=delta, x_scale="jac", max_nfev=300,
                ).x
            ]  # fmt: skip
        else:
            found = [
                minimize(f, x, method="Nelder-Mead", bounds=box,
                         options={"maxiter": 600, "xatol": 1e-9, "fatol": 1e-13}).x,
                minimize(f, x, method="L-BFGS-B", bounds=box).x,
            ]  # fmt: skip
        for p in found:
            value = f(p)
            if value < best:
                best, F = value, float(p[0])
    return best, F
