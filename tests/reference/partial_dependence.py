"""Slow twin of partial dependence: the whole predictive covariance at every grid value."""

from __future__ import annotations

import numpy as np


def kernel(name, a, b, length_scale):
    """Correlations of the rows of a with those of b."""
    gap = (np.asarray(a)[:, None, :] - np.asarray(b)[None, :, :]) / np.asarray(length_scale)
    r = np.sqrt((gap**2).sum(-1))
    if name == "matern12":
        return np.exp(-r)
    if name == "matern32":
        return (1 + np.sqrt(3) * r) * np.exp(-np.sqrt(3) * r)
    if name == "matern52":
        return (1 + np.sqrt(5) * r + 5 * r**2 / 3) * np.exp(-np.sqrt(5) * r)
    return np.exp(-(r**2) / 2)


def evidence(x, y, name, amplitude, length_scale, noise):
    """Log density of y under the process."""
    K = amplitude * kernel(name, x, x, length_scale) + noise * np.eye(len(y))
    _, log_det = np.linalg.slogdet(K)
    return -0.5 * (y @ np.linalg.solve(K, y) + log_det + len(y) * np.log(2 * np.pi))


def partial_dependence(x, y, feature, grid, name, amplitude, length_scale, noise):
    """Mean over rows of the posterior mean of f, and the sd of that mean, at every grid value."""
    K = amplitude * kernel(name, x, x, length_scale) + noise * np.eye(len(y))
    means, sds = [], []
    for value in grid:
        rows = x.copy()
        rows[:, feature] = value
        cross = amplitude * kernel(name, rows, x, length_scale)
        prior = amplitude * kernel(name, rows, rows, length_scale)
        cov = prior - cross @ np.linalg.solve(K, cross.T)
        means.append((cross @ np.linalg.solve(K, y)).mean())
        sds.append(np.sqrt(max(cov.mean(), 0.0)))
    return np.array(means), np.array(sds)
