"""The L(N, D) surface the usual way: scipy from many starts on the log-sum-exp form.

What csrc/laws/surface.c has to beat: loss = E + A N^-alpha + B D^-beta with e = ln E, a = ln A and
b = ln B as parameters, L-BFGS-B from a grid of starts, then Nelder-Mead and (for squares)
least_squares from the best of them. Nothing is shared with the core but the objective.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
from scipy.optimize import least_squares, minimize
from scipy.special import logsumexp

STARTS = {
    "a": (0.0, 5.0, 10.0, 20.0),
    "b": (0.0, 5.0, 10.0, 20.0),
    "e": (-1.0, 0.0, 1.0),
    "alpha": (0.1, 0.5, 1.0),
    "beta": (0.1, 0.5, 1.0),
}


def log_law(theta, N, D):
    """ln of the law; theta = (e, a, b, alpha, beta)."""
    e, a, b, alpha, beta = theta
    terms = [np.full(len(N), e), a - alpha * np.log(N), b - beta * np.log(D)]
    return logsumexp(terms, axis=0)


def residuals(theta, N, D, y, space="log"):
    """ln y - ln law, or y - law."""
    fitted = log_law(theta, N, D)
    return np.log(y) - fitted if space == "log" else y - np.exp(fitted)


def rho(r, objective, delta):
    """Sum over the residuals, as the core states it."""
    size = np.abs(r)
    if objective == "absolute":
        return size
    if objective == "squared":
        return r * r
    return np.where(size <= delta, 0.5 * r * r, delta * (size - 0.5 * delta))


def threshold(y, space, delta):
    """Delta in the unit of the residuals."""
    return delta if space == "log" else delta * math.exp(np.mean(np.log(y)))


def objective_of(theta, N, D, y, objective="huber", space="log", delta=1e-3):
    """What is minimised."""
    with np.errstate(over="ignore"):
        r = residuals(theta, N, D, y, space)
        value = float(np.sum(rho(r, objective, threshold(y, space, delta))))
    return value if math.isfinite(value) else 1e300


def law_objective(law, N, D, y, objective="huber", space="log", delta=1e-3):
    """The same for E, A, B, alpha, beta of a record, in plain powers."""
    fitted = law["E"] + law["A"] * N ** -law["alpha"] + law["B"] * D ** -law["beta"]
    r = np.log(y / fitted) if space == "log" else y - fitted
    return float(np.sum(rho(r, objective, threshold(y, space, delta))))


def grid(n=None, rng=0):
    """All starts (e, a, b, alpha, beta), or n of them drawn without replacement."""
    names = ("e", "a", "b", "alpha", "beta")
    starts = np.array(list(itertools.product(*(STARTS[name] for name in names))))
    if n is None or n >= len(starts):
        return starts
    return starts[np.random.default_rng(rng).choice(len(starts), n, replace=False)]


def fit(N, D, y, objective="huber", space="log", delta=1e-3, starts=24, rng=0):
    """Lowest objective of all starts, and its theta."""
    args = (N, D, y, objective, space, delta)
    best, theta = math.inf, None
    for start in grid(starts, rng):
        # the scale of the objective decides when L-BFGS-B stops: put it near one
        unit = objective_of(start, *args)
        done = minimize(lambda t, u=unit: objective_of(t, *args) / u, start, method="L-BFGS-B")
        value = objective_of(done.x, *args)
        if value < best:
            best, theta = value, done.x
    for _ in range(3):
        done = minimize(
            lambda t, u=best: objective_of(t, *args) / u if u > 0 else 0.0, theta,
            method="Nelder-Mead", options={"maxiter": 4000, "xatol": 1e-10, "fatol": 1e-12},
        )  # fmt: skip
        value = objective_of(done.x, *args)
        if value < best:
            best, theta = value, done.x
    if objective == "squared":
        done = least_squares(residuals, theta, args=(N, D, y, space), xtol=1e-15, ftol=1e-15)
        value = objective_of(done.x, *args)
        if value < best:
            best, theta = value, done.x
    return best, theta


def geometric_mean(x):
    return float(np.exp(np.log(x).mean()))


def truths(count, seed):
    """Noise-free surfaces in random units: three designs, terms from 0.001 to 3 times E."""
    rng = np.random.default_rng(seed)
    groups, laws = [], []
    for _ in range(count):
        n = int(rng.integers(9, 60))
        N, D = 10 ** rng.uniform(7, 10.5, n), 10 ** rng.uniform(8.5, 12, n)
        kind = rng.integers(3)
        if kind == 1:  # budgets
            D = 10 ** rng.choice(np.linspace(18, 22, 6), n) / (6 * N)
        if kind == 2:  # sizes and ratios
            N = 10 ** rng.choice(np.linspace(7.5, 10, 5), n)
            D = N * rng.choice([5, 10, 20, 40, 80, 160], n)
        E, (alpha, beta) = rng.uniform(0.3, 3), rng.uniform(0.1, 1.0, 2)
        a, b = E * 10 ** rng.uniform(-3, 0.5, 2)
        y = E + a * (N / geometric_mean(N)) ** -alpha + b * (D / geometric_mean(D)) ** -beta
        u = 10 ** rng.uniform(-9, 9, 3)
        groups.append((N * u[0], D * u[1], y * u[2]))
        laws.append((E * u[2], a * u[2], b * u[2], alpha, beta))
    return groups, np.array(laws)
