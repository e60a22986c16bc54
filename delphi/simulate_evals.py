"""Evaluations with known truth: a ladder, its larger runs and other models, task by task."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ._core import richards
from .draws import generator_from

__all__ = ["evals"]

COMPUTE = (3e18, 9e18, 1.8e19, 3e19, 9e19, 1.8e20, 3e20, 1e21, 1e22)  # FLOPs
# Law of -log p (L_inf, A at 1e18 FLOPs, alpha), curve (k, x0, v, floor, ceiling), problems.
TASKS: dict[str, tuple[tuple[float, ...], tuple[float, ...], int]] = {
    "MMLU 5-Shot": ((0.36, 1.16, 0.1232), (6.7, -0.8, 1.05, 0.25, 0.86), 14042),
    "GSM8K 5-Shot": ((0.30, 0.75, 0.14), (14.0, -0.6, 1.5, 0.0, 0.85), 1319),
    "HumanEval 10-Shot": ((0.25, 0.95, 0.11), (12.0, -0.75, 0.7, 0.0, 0.8), 164),
}


def evals(n_pool: int = 40, noise: float = 0.005, rng: Any = 0) -> pd.DataFrame:
    """Evaluations in the columns of `delphi.read_evals`, ``attrs["truth"]`` beside them.

    Parameters
    ----------
    n_pool : int
        Other models a task, spread over the soft metric.
    noise : float
        Standard deviation of a run's log-probability about the law.
    rng : Generator, SeedSequence or int

    Returns
    -------
    pandas.DataFrame
        task, model, compute, soft (log-probability), hard, n_problems, pool. ``attrs["truth"]``:
        task -> (law, curve) as in the module's table.

    Examples
    --------
    >>> table = evals(rng=0)
    >>> table["task"].nunique(), int(table["pool"].sum())
    (3, 120)
    """
    generator = generator_from(rng)
    C = np.array(COMPUTE)
    frames = []
    for task, ((L_inf, A, alpha), (k, x0, v, floor, ceiling), m) in TASKS.items():
        own = -(L_inf + A * (C / 1e18) ** -alpha) + noise * generator.standard_normal(len(C))
        others = generator.uniform(-(L_inf + A), -L_inf * 0.9, n_pool)
        x = np.concatenate((own, others))
        p = np.asarray(richards(x, k, x0, v, floor, ceiling))
        frames.append(
            pd.DataFrame(
                {
                    "task": task,
                    "model": [f"ladder {c:.1e}" for c in C] + [f"model {i}" for i in range(n_pool)],
                    "compute": np.concatenate((C, np.full(n_pool, np.nan))),
                    "soft": x, "hard": generator.binomial(m, p) / m, "n_problems": m,
                    "pool": np.arange(len(x)) >= len(C),
                }
            )
        )  # fmt: skip
    table = pd.concat(frames, ignore_index=True)
    table.attrs["truth"] = {task: (law, curve) for task, (law, curve, _) in TASKS.items()}
    return table
