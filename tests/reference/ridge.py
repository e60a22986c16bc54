"""Slow twin of ridge regression: normal equations of the scaled columns, and refits for LOO."""

from __future__ import annotations

import numpy as np


def ridge(x, y, strength, standardize=True):
    """Intercept, coefficients, effective degrees of freedom and rss at one penalty."""
    n = len(y)
    scale = x.std(axis=0) if standardize else np.ones(x.shape[1])
    z = (x - x.mean(axis=0)) / scale
    A = z.T @ z + n * strength * np.eye(x.shape[1])
    b = np.linalg.solve(A, z.T @ (y - y.mean())) / scale
    intercept = y.mean() - x.mean(axis=0) @ b
    edf = 1 + np.trace(np.linalg.solve(A, z.T @ z))
    return intercept, b, edf, ((y - intercept - x @ b) ** 2).sum()


def loo(x, y, strength):
    """Mean squared error of points left out, columns scaled as for all points."""
    n, scale = len(y), x.std(axis=0)
    total = 0.0
    for i in range(n):
        keep = np.arange(n) != i
        z = x[keep] / scale
        centred = z - z.mean(axis=0)
        A = centred.T @ centred + n * strength * np.eye(x.shape[1])
        b = np.linalg.solve(A, centred.T @ (y[keep] - y[keep].mean()))
        total += (y[i] - y[keep].mean() - (x[i] / scale - z.mean(axis=0)) @ b) ** 2
    return total / n
