"""Whether a task can be forecast at the scale of its models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from .downstream import DownstreamFit

__all__ = ["Predictability", "judged"]

# What makes a task predictable at this scale.
MONOTONE = 0.8  # rank correlation of accuracy with the soft metric
ABOVE_FLOOR = 3.0  # binomial standard errors of the best run above chance
RANGE = 0.2  # share of the rise that has been seen
BACK_TEST = 0.1  # absolute error in accuracy of the left-out strongest run


@dataclass(frozen=True)
class Predictability:
    """Whether a task can be forecast at this scale, and why not.

    Attributes
    ----------
    monotone : float
        Spearman's rank correlation of accuracy with the soft metric.
    above_floor : float
        How far the best accuracy lies above chance, in binomial standard errors (in sd of the
        residuals where the number of problems is unknown).
    range : float
        Share of the rise from floor to ceiling that the models cover.
    back_test : float
        Error in accuracy of the strongest fitted run, forecast from the weaker ones; NaN where
        too few are left.
    ok : bool
        All of them are good enough.
    reasons : tuple of str
        What is not.
    """

    monotone: float
    above_floor: float
    range: float
    back_test: float
    ok: bool
    reasons: tuple[str, ...]


def judged(fit: DownstreamFit, back_test: Callable[[], float]) -> Predictability:
    """The verdict on a fit; back_test forecasts its strongest run from the others."""
    points = fit.curve.points
    if not fit.ok or points is None:
        nothing = float("nan")
        why = (f"no fit: {fit.status}",)
        return Predictability(nothing, nothing, nothing, nothing, False, why)
    x, y, m = points
    ranks = pd.Series(x).rank().corr(pd.Series(y).rank())
    rise = fit.curve.ceiling - fit.floor
    noise = (
        np.sqrt(max(fit.floor * (1 - fit.floor), 0.25 / m.max()) / m[y.argmax()])
        if np.isfinite(m).all()
        else np.sqrt(fit.curve.sse / max(len(x) - 4, 1))
    )
    above = (y.max() - fit.floor) / noise if noise > 0 else np.inf
    seen = float((y.max() - max(y.min(), fit.floor)) / rise)
    back = back_test()
    tests = (
        (ranks >= MONOTONE, f"accuracy does not rise with the soft metric (rank {ranks:.2f})"),
        (above >= ABOVE_FLOOR, f"the best accuracy is {above:.1f} s.e. above chance"),
        (seen >= RANGE, f"only {seen:.0%} of the rise has been seen"),
        (abs(back) <= BACK_TEST, f"the left-out strongest run is missed by {back:+.2f}"),
    )
    reasons = tuple(text for good, text in tests if not good)
    return Predictability(float(ranks), float(above), seen, back, not reasons, reasons)
