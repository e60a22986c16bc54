"""Bootstrap of the law one replicate at a time: what csrc/laws/bootstrap.c does for all of them."""

from __future__ import annotations

import itertools

import numpy as np

LEAST_DISTINCT = 3
SKIPPED = "too_few_points"


def resampled(kind, C, y, residuals, row):
    """One replicate's points."""
    if kind == "pairs":
        return C[row], y[row]
    if kind == "residual":
        return C, y + residuals[row]
    return C, y + residuals * row


def forecast(C, y, at, fit):
    """(failure or None, forecasts, (L, log_A, alpha)) of the law that fit(C, y) finds.

    fit returns (failure or None, L, log_A, alpha).
    """
    nothing = np.full(len(at), np.nan), np.full(3, np.nan)
    if len(set(C.tolist())) < LEAST_DISTINCT:
        return SKIPPED, *nothing
    failure, *law = fit(C, y)
    if failure:
        return failure, *nothing
    L, log_A, alpha = law
    return None, L + np.exp(log_A - alpha * np.log(at)), np.array(law)


def suite(C, y, at, draws, fit, kind="pairs", residuals=None):
    """Every replicate of one suite."""
    return [forecast(*resampled(kind, C, y, residuals, row), at, fit) for row in draws]


def ladder(tokens, loss, offsets, compute, at, draws, optimum, fit, residuals=None):
    """Every replicate of one ladder; optimum(tokens, loss) is a vertex loss, or None."""
    out = []
    for row in draws:
        C, y = [], []
        for g, (first, last) in enumerate(itertools.pairwise(offsets)):
            taken = first + row[first:last]
            if residuals is None:
                found = optimum(tokens[taken], loss[taken])
            else:
                found = optimum(tokens[first:last], loss[first:last] + residuals[taken])
            if found is not None:
                C.append(compute[g])
                y.append(found)
        out.append(forecast(np.array(C), np.array(y), at, fit))
    return out
