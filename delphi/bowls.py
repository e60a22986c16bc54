"""Sweeps with known truth: quadratic bowls on the axes of the hyperparameters, plus noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from .draws import Rng, generator_from
from .errors import DataError
from .rules import CompletedAdamH
from .trials import Hyperparameter

__all__ = ["SimulatedSweep", "simulate_sweep"]

Column = NDArray[np.float64]
KNOBS = (
    Hyperparameter("lr"), Hyperparameter("adam_lr"), Hyperparameter("epsilon"),
    Hyperparameter("beta1", "log(1 - x)"), Hyperparameter("beta2", "log(1 - x)"),
)  # fmt: skip
HALF = np.array([2.1, 2.2, 3.5, 1.6, 3.2])  # half the width of the search, natural logs
CURVATURE = np.array([0.032, 0.008, 0.005, 0.009, 0.0065])  # loss per squared sd of the trials
CENTRE = np.log([0.005, 4e-4, 2e-8, 0.06, 0.003])
TOKENS = (1e9, 2.5e9, 5e9)
BATCHES = (8, 16, 32, 64)


@dataclass(frozen=True, eq=False)
class SimulatedSweep:
    """Trials, and the surface behind them.

    Attributes
    ----------
    trials : pandas.DataFrame
        cell, batch_size, tokens, the hyperparameters, loss, state ("finished", "crashed"), bad (a
        trial that diverged).
    hparams : tuple of Hyperparameter
    """

    trials: pd.DataFrame
    hparams: tuple[Hyperparameter, ...]
    bowls: tuple[dict[str, Any], ...]

    def loss(self, cell: int, places: Column) -> Column:
        """Loss without noise at places on the axes, shape (n, 5)."""
        b = self.bowls[cell]
        u = (places - b["lowest"]) / (HALF / np.sqrt(3))
        bowl = (CURVATURE * b["stretch"] * u**2).sum(axis=1)
        return np.asarray(b["floor"] + bowl + b["twist"] * u[:, 0] * u[:, 4])

    def partial_dependence(
        self, cell: int, hparam: str, x: ArrayLike, rows: pd.DataFrame
    ) -> Column:
        """The true curve at places x on the axis of a hyperparameter, averaged over rows."""
        names = [h.name for h in self.hparams]
        if hparam not in names:
            raise DataError(f"hparam: expected one of {names}, got {hparam!r}")
        places = np.column_stack([h.forward(rows[h.name].to_numpy(float)) for h in self.hparams])
        out = []
        for at in np.asarray(x, float):
            places[:, names.index(hparam)] = at
            out.append(self.loss(cell, places).mean())
        return np.array(out)


def simulate_sweep(
    *,
    n_trials: int = 100,
    cells: int = 12,
    noise: float = 0.008,
    diverged: float = 0.025,
    rng: Rng = None,
) -> SimulatedSweep:
    """Draw a sweep of five AdamH hyperparameters, uniform on their axes in every cell.

    The loss is a quadratic bowl in log space with one interaction, normal noise, and now and then a
    trial that diverged: its loss is up by 0.08 and an exponential with mean 0.9.

    Parameters
    ----------
    n_trials, cells : int
        Trials a cell, and cells (batch sizes 8 to 64 times tokens 1e9, 2.5e9, 5e9, in turn).
    noise : float
        Its standard deviation.
    diverged : float
        Probability that a trial diverges.
    rng : Generator, SeedSequence, int or None

    Returns
    -------
    SimulatedSweep

    Raises
    ------
    DataError
        A number out of range.

    Examples
    --------
    >>> sweep = simulate_sweep(n_trials=20, cells=2, rng=0)
    >>> sweep.trials.shape
    (40, 11)
    """
    if not (n_trials >= 1 and cells >= 1 and noise >= 0 and 0 <= diverged <= 1):
        raise DataError("n_trials and cells are at least 1, noise is not negative, diverged is"
                        " a probability")  # fmt: skip
    draw = generator_from(rng)
    rule = CompletedAdamH()
    bowls, frames = [], []
    for c in range(cells):
        batch, tokens = BATCHES[c % 4], TOKENS[c // 4 % 3]
        given = {"batch_size": float(batch), "tokens": tokens}
        best = [float(rule.value(h.name, given) or np.nan) for h in KNOBS]
        lowest = np.array([h.forward(v) for h, v in zip(KNOBS, best, strict=True)])
        # the search is centred on one place for all cells; the recipe is about right
        lowest = 0.7 * CENTRE + 0.3 * lowest + draw.normal(0, 0.35, 5) * HALF / np.sqrt(3)
        bowl = {
            "lowest": lowest, "floor": 3.2 + 0.25 * (tokens / 1e9) ** -0.4 + draw.normal(0, 0.02),
            "stretch": draw.uniform(0.8, 1.2, 5), "twist": 0.008 * draw.normal(),
        }  # fmt: skip
        bowls.append(bowl)
        places = CENTRE + HALF * draw.uniform(-1, 1, (n_trials, 5))
        bad = draw.random(n_trials) < diverged
        frame = {h.name: h.inverse(places[:, j]) for j, h in enumerate(KNOBS)}
        only = SimulatedSweep(pd.DataFrame(), KNOBS, (bowl,))
        loss = only.loss(0, places) + noise * draw.normal(size=n_trials)
        loss[bad] += 0.08 + draw.exponential(0.9, int(bad.sum()))
        frames.append(pd.DataFrame({"cell": c, "batch_size": batch, "tokens": tokens} | frame
                                   | {"loss": loss, "state": "finished", "bad": bad}))  # fmt: skip
    return SimulatedSweep(pd.concat(frames, ignore_index=True), KNOBS, tuple(bowls))
