"""Learning curves with known truth over a grid of scale, data mix and learning rate."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from .curveforms import curve_loss

__all__ = ["DEFAULT_MIXES", "curves"]

UNIT = 1e18
LR_BEST, LR_FALL = 2e-3, 0.08  # the best learning rate at 1e18 FLOPs falls as C^-LR_FALL
LR_COST = 0.06  # nats for a learning rate ten times too high or low
DECAY_START = 0.8  # of progress, where a WSD schedule begins to decay
DECAY_FLOOR = 0.1  # of the peak, where learning rates end
DECAY_GAIN = 0.12  # nats that a full decay takes off

# E, A and alpha of final loss = E + A (C / 1e18)^-alpha at the best learning rate
DEFAULT_MIXES: Mapping[str, tuple[float, float, float]] = {
    "web": (1.75, 1.55, 0.155),
    "code": (1.60, 1.90, 0.165),
    "math": (1.45, 2.10, 0.160),
}
SHAPES: Mapping[str, tuple[float, float]] = {
    "log": (150.0, math.nan),
    "exponential": (4.0, math.nan),
    "power": (0.004, 0.45),
    "rational": (0.55, 25.0),
}


def curves(
    *,
    scales: Sequence[float] = (3e18, 1e19, 3e19, 1e20),
    mixes: Sequence[str] | Mapping[str, tuple[float, float, float]] = tuple(DEFAULT_MIXES),
    lrs: Sequence[float] = (5e-4, 1e-3, 2e-3),
    shape: str = "power",
    schedule: str = "constant",
    n_points: int = 100,
    noise: float = 0.003,
    rng: Any = 0,
) -> pd.DataFrame:
    """Simulate the learning curves of a grid of runs.

    Parameters
    ----------
    scales : sequence of float
        Compute of the runs, FLOPs.
    mixes : sequence of str, or mapping of str to (E, A, alpha)
        Data mixes; final loss = E + A (C / 1e18)^-alpha at the best learning rate, nats per token.
    lrs : sequence of float
        Peak learning rates; a rate off the best one (which falls with compute) costs loss,
        quadratically in log10.
    shape : {"log", "exponential", "power", "rational"}
        Of the trajectories, with parameters that vary a little from run to run.
    schedule : {"constant", "cosine", "wsd"}
        A decaying learning rate takes off loss in step with its fall, on top of the shape; the
        final loss is that of the law all the same.
    n_points : int
        Evaluations of each run, evenly spaced, the last at its end.
    noise : float
        Standard deviation of a single evaluation, nats per token.
    rng : Generator, SeedSequence, int or None
        Source of noise and variation.

    Returns
    -------
    pandas.DataFrame
        One row an evaluation: run, scale, mix, lr, schedule, step, total_steps, learning_rate,
        loss. ``attrs["truth"]`` has, for each run, its final loss without noise, A, theta_0 and
        theta_1; ``attrs["mixes"]`` the laws.

    Raises
    ------
    ValueError
        An option makes no sense.

    Examples
    --------
    >>> runs = curves(scales=(1e18,), mixes=("web",), lrs=(1e-3,), n_points=50, rng=1)
    >>> len(runs), runs["run"].nunique(), runs.attrs["truth"]["web-1e18-0.001"]["final"] > 1.75
    (50, 1, True)
    """
    laws = dict(mixes) if isinstance(mixes, Mapping) else {m: DEFAULT_MIXES[m] for m in mixes}
    if shape not in SHAPES or schedule not in ("constant", "cosine", "wsd"):
        raise ValueError(f"unknown shape {shape!r} or schedule {schedule!r}")
    if n_points < 1 or not 0 <= noise < math.inf:
        raise ValueError(f"bad n_points ({n_points}) or noise ({noise})")
    if not laws or any(not 0 < v < math.inf for v in (*scales, *lrs)):
        raise ValueError("scales and lrs must be positive and finite, and there must be a mix")
    random = np.random.default_rng(rng)
    tau = np.arange(1, n_points + 1) / n_points
    rate = _rate(tau, schedule)
    # a constant learning rate has taken nothing off; the others end with all of it taken
    anneal = DECAY_GAIN * (rate - rate[-1]) / (1 - DECAY_FLOOR)
    blocks, truth = [], {}
    for mix, (E, A, alpha) in laws.items():
        for scale in scales:
            total = round(2000 * (scale / UNIT) ** 0.5)
            for lr in lrs:
                off = math.log10(lr / (LR_BEST * (scale / UNIT) ** -LR_FALL))
                final = E + A * (scale / UNIT) ** -alpha + LR_COST * off**2
                theta = [t * math.exp(random.normal(0, 0.1)) for t in SHAPES[shape]]
                drop = 0.9 * final * math.exp(random.normal(0, 0.05))
                name = f"{mix}-{scale:.3g}-{lr:g}".replace("e+", "e")
                mean = curve_loss(tau, shape, final, drop, *theta) + anneal
                truth[name] = {
                    "final": final, "A": drop, "theta_0": theta[0], "theta_1": theta[1]
                }  # fmt: skip
                blocks.append(
                    pd.DataFrame(
                        {
                            "run": name, "scale": float(scale), "mix": mix, "lr": float(lr),
                            "schedule": schedule, "step": tau * total, "total_steps": total,
                            "learning_rate": lr * rate,
                            "loss": mean + random.normal(0, noise, n_points),
                        }
                    )
                )  # fmt: skip
    frame = pd.concat(blocks, ignore_index=True)
    frame.attrs["truth"] = truth
    frame.attrs["mixes"] = {mix: list(law) for mix, law in laws.items()}
    return frame


def _rate(tau: np.ndarray, schedule: str) -> np.ndarray:
    """Learning rate over its peak."""
    if schedule == "cosine":
        return DECAY_FLOOR + (1 - DECAY_FLOOR) * 0.5 * (1 + np.cos(np.pi * tau))
    if schedule == "wsd":
        part = np.clip((tau - DECAY_START) / (1 - DECAY_START), 0, 1)
        return 1 - (1 - DECAY_FLOOR) * part
    return np.ones_like(tau)
