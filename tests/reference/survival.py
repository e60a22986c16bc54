"""Slow, readable rollouts: masks token by token, means window by window, exact Kaplan-Meier."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

SLACK = 0.01


def rollout(pmass, forks, n_row, gen_len, threshold):
    """(mask, time, died, n_forks, status word) of one rollout, straight from the words."""
    mask = [True] * n_row
    if any(s < 0 for s in forks) or list(forks) != sorted(forks):
        return [False] * n_row, -1, False, 0, "forks_order"
    if any(not -SLACK <= p <= 1 + SLACK for p in pmass if not math.isnan(p)):
        return [False] * n_row, -1, False, 0, "pmass_range"
    n = min(n_row, gen_len)
    if n == 0:
        return mask, -1, False, 0, "empty_rollout"
    seen = [(s, p) for s, p in zip(forks, pmass, strict=True) if s < n]
    deaths = [s for s, p in seen if p < threshold]
    if deaths:
        for t in range(n):
            mask[t] = t < deaths[0]
        before = next(i for i, (s, p) in enumerate(seen) if p < threshold)
        measured = sum(not math.isnan(p) for s, p in seen[: before + 1])
        return mask, deaths[0], True, measured, "ok"
    measured = [i for i, (s, p) in enumerate(seen) if not math.isnan(p)]
    if not measured:
        return mask, -1, False, 0, "never_measured"
    if measured[-1] + 1 < len(seen):
        return mask, seen[measured[-1] + 1][0] - 1, False, len(measured), "tail_not_measured"
    return mask, n - 1, False, len(measured), "ok"


def rolling_mean(x, window):
    """Every window summed on its own, to the last bit (math.fsum)."""
    n = len(x)
    if window < 2 or n < window:
        return np.array(x, float)
    first = window // 2
    return np.array([
        math.fsum(x[min(max(k, 0), n - 1)] for k in range(i - first, i - first + window)) / window
        for i in range(n)
    ])  # fmt: skip


def calibrated(kl, window, head, percentile, smooth_first, scale_min=1e-8):
    """(values, scale): NumPy's percentile of the finite head, None where there is no scale."""
    smooth = rolling_mean(kl, window)
    source = smooth if smooth_first else np.asarray(kl, float)
    first = source[:head][np.isfinite(source[:head])]
    scale = float(np.percentile(first, percentile)) if len(first) else float("nan")
    return (smooth / scale, scale) if scale > scale_min else (smooth * np.nan, None)


def token_quantiles(rows, q):
    """Quantiles over the rows that have a number at each token; and how many those are."""
    longest = max((len(row) for row in rows), default=0)
    out, count = [], []
    for t in range(longest):
        values = [row[t] for row in rows if t < len(row) and not math.isnan(row[t])]
        out.append(np.quantile(values, q) if values else [np.nan] * len(q))
        count.append(len(values))
    return np.array(out).reshape(longest, len(q)), np.array(count, dtype=np.int64)


def kaplan_meier(time, died):
    """Token, at risk, deaths, survival (a Fraction): products of exact shares."""
    rows, share = [], Fraction(1)
    for t in sorted(set(time)):
        at_risk = sum(u >= t for u in time)
        deaths = sum(u == t and d for u, d in zip(time, died, strict=True))
        share *= Fraction(at_risk - deaths, at_risk)
        rows.append((t, at_risk, deaths, share))
    return rows
