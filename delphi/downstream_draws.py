"""Draws of both steps of a downstream forecast: laws of the soft metric, curves of the accuracy."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from . import _core
from .emergence import RichardsCurve
from .posterior import LawPosterior, posteriors
from .powerlaw import PowerLaw

__all__ = ["SoftLaw", "combine", "draw_curves", "draw_soft", "fit_soft", "observed", "saturation"]

Column = NDArray[np.float64]


@dataclass(frozen=True)
class SoftLaw:
    """The fitted first step and what its draws need.

    Attributes
    ----------
    law : PowerLaw
    compute, z : numpy.ndarray
        Compute and distance of the soft metric from 0, of the fitted runs.
    rule : str
        Where the floor is from.
    pinned : float
        The floor where it is not fitted.
    n_problems : float
        Of the task, for the saturation rule.
    best : float
        Lowest z of fitted runs and pool.
    """

    law: PowerLaw
    compute: Column = field(repr=False)
    z: Column = field(repr=False)
    rule: str
    pinned: float
    n_problems: float
    best: float


def saturation(curve: RichardsCurve, n_problems: float, best: float) -> float:
    """Distance from 0 at which the curve is within one problem of its ceiling; best if unusable.

    The value depends on n_problems although the ability of a model does not: that is the rule of
    the notebook, and the reason why it is not the default.
    """
    n = n_problems if np.isfinite(n_problems) else 1000.0
    z = -float(curve.invert(curve.ceiling - 1.0 / n))
    return z if 0.0 < z < best else best


def fit_soft(
    C: Column, z: Column, rule: str, pinned: float, n_problems: float, best: float
) -> SoftLaw:
    """The power law of step 1, in loss space."""
    free = rule == "free"
    floors = None if free else [pinned]
    record = _core.powerlaw_fit(C, z, [0, len(C)], floors=floors)[0]
    names = ("n", "L_inf", "A", "alpha", "log_A", "rss")
    law = PowerLaw(
        **{name: record[name].item() for name in names}, score="loss",
        method="profile" if free else "pinned", compute_min=float(C.min()),
        compute_max=float(C.max()), status_code=int(record["status"]), points=np.stack((C, z)),
    )  # fmt: skip
    return SoftLaw(law, C, z, rule, pinned, n_problems, best)


def draw_curves(curve: RichardsCurve, n_draws: int, rng: np.random.Generator) -> NDArray[np.void]:
    """Curves refitted to simulated accuracies."""
    return curve.replicates(n_draws, rng)


def draw_soft(
    soft: SoftLaw, curves: NDArray[np.void], at: Column, kind: str, rng: np.random.Generator
) -> Column:
    """z of step 1, one draw for each curve, (n_curves, n_at)."""
    n = len(curves)
    if soft.rule == "free":
        law: LawPosterior = posteriors(
            soft.compute, soft.z, np.array([0, len(soft.z)]), n_draws=n, rng=rng
        )[0]
        order = rng.permutation(n)  # the posterior's draws come sorted by their share of mass
        drawn: Column = law.sample(at, kind="mean" if kind == "mean" else "new run")[order]
        return drawn
    floors = np.full(n, soft.pinned)
    if soft.rule == "saturation":
        floors = _saturations(curves, soft)
    return _pinned_draws(soft, floors, at, kind, rng)


def _saturations(curves: NDArray[np.void], soft: SoftLaw) -> Column:
    """The saturation rule on every drawn curve."""
    m = soft.n_problems if np.isfinite(soft.n_problems) else 1000.0
    target = curves["ceiling"] - 1.0 / m
    z = -_core.richards_inverse(
        target, curves["k"], curves["x0"], curves["v"], curves["floor"], curves["ceiling"]
    )
    return np.where((z > 0) & (z < soft.best), z, soft.best)


def _pinned_draws(
    soft: SoftLaw, floors: Column, at: Column, kind: str, rng: np.random.Generator
) -> Column:
    """Straight lines of log(z - floor) in log C, weighted as in loss space, from their t law."""
    # A floor at the best z itself leaves that point no logarithm: it takes no part in the line.
    span = max(float(np.ptp(soft.z)), 1e-12)
    above = np.maximum(soft.z[None, :] - floors[:, None], 1e-9 * span)
    weight = above**2
    s = np.log(soft.compute / soft.compute.max())
    t = np.log(at / soft.compute.max())
    y = np.log(above)
    total = weight.sum(axis=1)
    s_mean = (weight * s).sum(axis=1) / total
    y_mean = (weight * y).sum(axis=1) / total
    sss = (weight * (s - s_mean[:, None]) ** 2).sum(axis=1)
    slope = (weight * (s - s_mean[:, None]) * y).sum(axis=1) / sss
    fitted = y_mean[:, None] + slope[:, None] * (s - s_mean[:, None])
    dof = max(len(s) - 2, 1)
    sigma2 = (weight * (y - fitted) ** 2).sum(axis=1) / dof
    sigma = np.sqrt(sigma2 * dof / rng.chisquare(dof, len(floors)))
    level = y_mean + sigma / np.sqrt(total) * rng.standard_normal(len(floors))
    tilt = slope + sigma / np.sqrt(sss) * rng.standard_normal(len(floors))
    z: Column = floors[:, None] + np.exp(level[:, None] + tilt[:, None] * (t - s_mean[:, None]))
    if kind == "new run":
        z = z + sigma[:, None] * rng.standard_normal(z.shape)
    return z


def combine(curves: NDArray[np.void], z: Column) -> Column:
    """Accuracy of every draw: its curve at its soft metric."""
    r = curves[:, None]
    hard: Column = _core.richards(-z, r["k"], r["x0"], r["v"], r["floor"], r["ceiling"])
    return hard


def observed(
    hard: Column, n_problems: float, curve: RichardsCurve, rng: np.random.Generator
) -> Column:
    """Accuracies as one more evaluation would show them."""
    if np.isfinite(n_problems):
        return curve.observed(hard, n_problems, rng)
    spare = max(curve.n - (3 if curve.pinned else 4), 1)
    sd = np.sqrt(curve.sse / spare)
    return np.clip(hard + sd * rng.standard_normal(hard.shape), 0, 1)
