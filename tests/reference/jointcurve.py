"""Joint learning curves the slow way: linear programming, and SciPy from many starts."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linprog, minimize


def shape(form, tau, theta):
    """s(tau; theta), as written in the documentation."""
    t = theta[0]
    if form == "log":
        return 1 - np.log1p(t * tau) / np.log1p(t)
    if form == "exponential":
        return (np.exp(-t * tau) - np.exp(-t)) / (1 - np.exp(-t))
    if form == "power":
        p = theta[1]
        return ((1 + tau / t) ** -p - (1 + 1 / t) ** -p) / (1 - (1 + 1 / t) ** -p)
    return (1 - tau**t) / (1 + theta[1] * tau**t)


def design(form, tau, terms, theta):
    """Columns of F and A of every point; terms is (n_points, n_terms)."""
    return np.hstack((terms, terms * shape(form, tau, theta)[:, None]))


def least_absolute(X, y):
    """The smallest mean absolute error of y - X b, by linear programming."""
    n, k = X.shape
    cost = np.r_[np.zeros(k), np.ones(2 * n)]
    equal = np.hstack((X, np.eye(n), -np.eye(n)))
    free = [(None, None)] * k + [(0, None)] * (2 * n)
    found = linprog(cost, A_eq=equal, b_eq=y, bounds=free, method="highs")
    assert found.status == 0
    return found.fun / n


def huber(r, delta):
    """Mean of Huber's loss."""
    off = np.abs(r)
    return np.where(off <= delta, off**2 / 2, delta * (off - delta / 2)).mean()


def least_huber(form, tau, y, terms, delta, starts):
    """The smallest mean Huber loss over theta and F, A, by BFGS from every start."""
    n_theta = 2 if form in ("power", "rational") else 1
    k = terms.shape[1]

    def value(p):
        X = design(form, tau, terms, np.exp(np.clip(p[:n_theta], -12, 12)))
        return huber(y - X @ p[n_theta:], delta)

    best = np.inf
    for log_theta in starts:
        X = design(form, tau, terms, np.exp(log_theta))
        b = np.linalg.lstsq(X, y, rcond=None)[0]
        p = np.r_[log_theta, b]
        assert len(p) == n_theta + 2 * k
        for _ in range(3):  # differences are noisy: start again where it stopped
            p = minimize(value, p, method="BFGS", options={"gtol": 1e-12, "maxiter": 500}).x
        best = min(best, value(p))
    return best
