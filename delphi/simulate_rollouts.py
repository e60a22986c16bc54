"""Rollouts with a known hazard of death, for the demo, the tests and coverage studies."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from .draws import Rng, generator_from
from .kl import KLTrajectories

__all__ = ["hazard_of_alpha", "rollouts", "survival_truth"]

Hazard = Callable[[float], float] | Mapping[float, float]


def hazard_of_alpha(alpha: float) -> float:
    """The default hazard: none at alpha 0, one death in 2,000 tokens at alpha 1, as alpha squared.

    Examples
    --------
    >>> hazard_of_alpha(2.0)
    0.002
    """
    return 5e-4 * alpha * alpha


def rollouts(
    alphas: Sequence[float] = (0.0, 0.5, 1.0, 2.0, 4.0),
    *,
    n_prompts: int = 32,
    n_tokens: int = 512,
    fork_every: int = 32,
    hazard: Hazard = hazard_of_alpha,
    stop: float = 5e-4,
    noise: float = 0.08,
    rng: Rng = 0,
) -> KLTrajectories:
    """Simulate rollouts that die at a constant hazard and stop at another.

    Each token from the second on is the first of a dead rollout with probability 1 - exp(-hazard),
    so that one still generating is alive at token t with probability exp(-hazard t), see
    `survival_truth`. KL starts near alpha squared (nats) and creeps up; in dead rollouts it runs
    away. The mass at a fork falls below one half once the rollout is dead.

    Parameters
    ----------
    alphas : sequence of float
        Strengths.
    n_prompts : int
        Rollouts of each.
    n_tokens : int
        Longest generation.
    fork_every : int
        Tokens between forks, the first at token 0.
    hazard : callable or mapping
        Deaths per token at an alpha, at least 0.
    stop : float
        Ends of generation per token, in [0, 1).
    noise : float
        Standard deviation of log KL from token to token.
    rng : Generator, SeedSequence, int or None
        Source of all of it.

    Returns
    -------
    KLTrajectories

    Raises
    ------
    ValueError
        A number that makes no sense.

    Examples
    --------
    >>> both = rollouts([0.0, 4.0], n_prompts=50, rng=0)
    >>> died = both.counts()["died"].tolist()
    >>> died[0], died[1] > 40
    (0, True)
    """
    rates = {float(a): float(hazard[a] if isinstance(hazard, Mapping) else hazard(a))
             for a in alphas}  # fmt: skip
    if not rates or not all(math.isfinite(a) and 0 <= r < math.inf for a, r in rates.items()):
        raise ValueError(f"finite alphas with hazards of at least 0 are needed, got {rates}")
    if min(n_prompts, n_tokens, fork_every) < 1 or not (0 <= stop < 1 and 0 <= noise < math.inf):
        raise ValueError(
            f"bad n_prompts ({n_prompts}), n_tokens ({n_tokens}), fork_every ({fork_every}), "
            f"stop ({stop}) or noise ({noise})"
        )
    random = generator_from(rng)
    forks = np.arange(0, n_tokens, fork_every)
    kl, pmass, strength, lengths = [], [], [], []
    for alpha, rate in sorted(rates.items()):
        for _ in range(n_prompts):
            death = math.ceil(random.exponential() / rate) if rate > 0 else n_tokens
            length = min(int(random.geometric(stop)) if stop > 0 else n_tokens, n_tokens)
            kl.append(_trajectory(alpha, death, length, noise, random))
            mass = np.where(
                forks >= death, random.uniform(0.1, 0.5, len(forks)),
                random.uniform(0.93, 0.999, len(forks)),
            )  # fmt: skip
            pmass.append(np.where(forks < length, mass, np.nan))
            strength.append(alpha)
            lengths.append(length)
    return KLTrajectories.from_arrays(
        kl, pmass, forks, alpha=strength, gen_lens=lengths, cell="simulated"
    )


def _trajectory(
    alpha: float, death: int, length: int, noise: float, random: np.random.Generator
) -> np.ndarray[Any, np.dtype[np.float64]]:
    token = np.arange(length)
    own = alpha**2 * np.exp(random.normal(0, 0.15)) * (1 + random.uniform(0, 0.6) * token / 512)
    runaway = 1 + 1.5 * (1 - np.exp(-np.maximum(token - death, 0) / 60))
    return np.asarray(own * runaway * np.exp(noise * random.standard_normal(length)))


def survival_truth(
    tokens: Any, alphas: Sequence[float], hazard: Hazard = hazard_of_alpha
) -> pd.DataFrame:
    """Probability to be alive at each token: one row a token, one column an alpha.

    Deaths are seen at forks only, so curves of `rollouts` keep to it at the forks.

    Examples
    --------
    >>> survival_truth([0, 1000], [1.0]).round(3)[1.0].tolist()
    [1.0, 0.607]
    """
    at = np.asarray(tokens, np.float64)
    rates = {a: hazard[a] if isinstance(hazard, Mapping) else hazard(a) for a in alphas}
    columns = {float(a): np.exp(-rate * at) for a, rate in rates.items()}
    return pd.DataFrame(columns, index=pd.Index(at, name="token"))
