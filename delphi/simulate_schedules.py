"""Learning curves under learning-rate schedules, by published laws that are none of our forms."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from .arrays import floats
from .draws import Rng, generator_from

__all__ = ["LAWS", "SCHEDULES", "annealed_loss", "scheduled_curves"]

Floats = NDArray[np.float64]

LAWS = ("multi-power", "momentum")
SCHEDULES = (
    "constant", "cosine", "linear", "wsd-exp", "wsd-linear", "wsd-sqrt", "wsdcon", "multi-step",
    "cyclic",
)  # fmt: skip
NOISES = ("normal", "heavy", "smoothed")
TREADS = 1200  # of a run: a schedule is a stair, and the sums of a law are exact for it
FIRST_LOSS = 11.0  # nats, before the first step: about the log of the size of a vocabulary
_PARAMETERS = {"multi-power": ("B", "C", "beta", "gamma"), "momentum": ("C", "decay")}


def annealed_loss(
    rate: ArrayLike,
    law: str = "multi-power",
    *,
    L0: float,
    A: float,
    alpha: float,
    at: ArrayLike | None = None,
    steps: int = 1,
    warmup_sum: float = 0.0,
    **parameters: float,
) -> Floats:
    """Loss under a learning-rate schedule, by a published law.

    Both laws are ``L0 + A (S_W + S_1)^-alpha`` less what annealing has taken off, with S_1 the sum
    of learning rates so far.

    Parameters
    ----------
    rate : array_like, shape (n,)
        Learning rate of each tread, after warm-up, above 0.
    law : {"multi-power", "momentum"}
        The law of annealing, see Notes.
    L0, A, alpha : float
        Loss at infinity (nats), and scale and exponent of the forward term.
    at : array_like of int, optional
        Treads (counted from 0) at whose end to give the loss; all by default.
    steps : int
        Steps of each tread, all at its learning rate.
    warmup_sum : float
        S_W, sum of learning rates before the first tread.
    **parameters : float
        Of the annealing term: B, C, beta, gamma (multi-power) or C, decay (momentum).

    Returns
    -------
    numpy.ndarray, shape (len(at),)
        Nats.

    Raises
    ------
    ValueError
        A number that makes no sense, an unknown law, parameters that are not the law's.

    Notes
    -----
    multi-power: LD(t) = B sum_k (r_{k-1} - r_k) (1 - (1 + C r_k^-gamma S_k(t))^-beta), where S_k is
    the sum of learning rates from step k to t. momentum: C S_2(t), S_2 the sum of m_i, where
    m_i = decay m_{i-1} + (r_{i-1} - r_i). Each change of the learning rate thus has a kernel of its
    own, and steps without a change cost nothing.

    References
    ----------
    .. [1] Luo et al. (2025), "A multi-power law for loss curve prediction across learning rate
       schedules", arXiv:2503.12811.
    .. [2] Tissue, Wang and Wang (2024), "Scaling law with learning rate annealing",
       arXiv:2408.11029.

    Examples
    --------
    >>> shape = {"L0": 2.6, "A": 0.6, "alpha": 0.5}
    >>> annealed_loss([3e-4] * 4, "momentum", steps=1000, C=0.4, decay=0.999, **shape).round(3)
    array([3.695, 3.375, 3.232, 3.148])
    """
    if law not in LAWS:
        raise ValueError(f"law: expected one of {', '.join(map(repr, LAWS))}, got {law!r}")
    if sorted(parameters) != sorted(_PARAMETERS[law]):
        raise ValueError(f"{law} takes {', '.join(_PARAMETERS[law])}; got {sorted(parameters)}")
    r = floats(rate, "rate")
    numbers = {"L0": L0, "A": A, "alpha": alpha, "warmup_sum": warmup_sum, **parameters}
    bad = [name for name, v in numbers.items() if not 0 <= v < math.inf]
    if bad or not (r.ndim == 1 and len(r) and ((r > 0) & (r < math.inf)).all() and steps >= 1):
        raise ValueError(f"rates must be above 0, steps at least 1, parameters >= 0; bad: {bad}")
    if law == "momentum" and not parameters["decay"] < 1:
        raise ValueError(f"decay must be below 1, got {parameters['decay']}")
    where = np.arange(len(r)) if at is None else np.asarray(at, np.int64)
    if where.ndim != 1 or not ((where >= 0) & (where < len(r))).all():
        raise ValueError(f"at: expected treads 0 to {len(r) - 1}")
    total = steps * np.cumsum(r)
    change = np.flatnonzero(np.diff(r)) + 1
    fall = r[change - 1] - r[change]
    seen = change <= where[:, None]
    if law == "multi-power":
        since = np.where(seen, total[where][:, None] - total[change - 1], 0.0)
        x = parameters["C"] * r[change] ** -parameters["gamma"] * since
        kernel = parameters["B"] * -np.expm1(-parameters["beta"] * np.log1p(x))
    else:
        count = np.where(seen, steps * (where[:, None] - change + 1), 0)
        decay = parameters["decay"]
        kernel = parameters["C"] * (1 - decay**count) / (1 - decay)
    return L0 + A * (warmup_sum + total[where]) ** -alpha - kernel @ fall


def scheduled_curves(
    n_runs: int = 90,
    *,
    laws: Sequence[str] = LAWS,
    schedules: Sequence[str] = SCHEDULES,
    n_points: tuple[int, int] = (30, 400),
    total_steps: tuple[float, float] = (3e3, 1e5),
    noise: tuple[float, float] = (5e-4, 5e-3),
    rng: Rng = 0,
) -> pd.DataFrame:
    """Simulate learning curves of many schedules, under laws that are none of the fitted forms.

    Parameters
    ----------
    n_runs : int
        Runs; schedules take turns, everything else is drawn for each run.
    laws, schedules : sequence of str
        Of `LAWS` and `SCHEDULES`.
    n_points : (int, int)
        Fewest and most evaluations of a run, evenly spaced, the last at its end; at most 1200.
        Half of the runs leave out those of their warm-up.
    total_steps : (float, float)
        Shortest and longest run.
    noise : (float, float)
        Least and largest standard deviation of an evaluation, nats; normal, or heavy-tailed
        (Student's t with three degrees of freedom, the same scale), or the logged loss is an
        exponential average over earlier evaluations.
    rng : Generator, SeedSequence, int or None
        Source of all draws.

    Returns
    -------
    pandas.DataFrame
        One row an evaluation: run, law, schedule, noise (its kind), step, total_steps,
        learning_rate, loss. ``attrs["truth"]``: for each run its final loss without noise and the
        parameters of its law and schedule.

    Raises
    ------
    ValueError
        An option makes no sense.

    Notes
    -----
    Peaks are drawn from 2e-4 to 6e-4, warm-ups from 1% to 10% of a run, floors of decays from 2% to
    20% of the peak. Parameters of the multi-power law are
    drawn around those published for models of 25M to 400M parameters [1]_: alpha 0.35 to 0.6, beta
    0.4 to 0.8, gamma 0.5 to 0.8, C 1.5 to 3, B 250 to 600. In the momentum law [2]_ 1 - decay is
    between 6e-4 and 2e-3, and a whole decay takes off 0.05 to 0.2 nats in the end. Laws as in
    `annealed_loss`.

    References
    ----------
    .. [1] Luo et al. (2025), arXiv:2503.12811.
    .. [2] Tissue, Wang and Wang (2024), arXiv:2408.11029.

    Examples
    --------
    >>> runs = scheduled_curves(4, schedules=["cosine", "wsdcon"], n_points=(50, 50), rng=1)
    >>> runs.groupby("schedule")["run"].nunique().tolist(), bool((runs["loss"] > 1.8).all())
    ([2, 2], True)
    """
    for name, chosen, known in (("laws", laws, LAWS), ("schedules", schedules, SCHEDULES)):
        if not chosen or not set(chosen) <= set(known):
            raise ValueError(f"{name}: expected some of {known}, got {chosen!r}")
    ranges = {"n_points": n_points, "total_steps": total_steps, "noise": noise}
    bad = [name for name, (low, high) in ranges.items() if not 0 <= low <= high < math.inf]
    if n_runs < 1 or bad or not 1 <= n_points[0] <= n_points[1] <= TREADS:
        raise ValueError(f"n_runs ({n_runs}) or a range makes no sense: {bad or 'n_points'}")
    if total_steps[0] < TREADS:
        raise ValueError(f"total_steps: runs of at least {TREADS} steps, got {total_steps}")
    random = generator_from(rng)
    blocks, truth = [], {}
    for i in range(n_runs):
        schedule = schedules[i % len(schedules)]
        law = str(random.choice(laws))
        name = f"{schedule}-{i}"
        block, truth[name] = _run(random, law, schedule, n_points, total_steps, noise)
        block.insert(0, "run", name)
        blocks.append(block)
    frame = pd.concat(blocks, ignore_index=True)
    frame.attrs["truth"] = truth
    return frame


def _run(
    random: np.random.Generator,
    law: str,
    schedule: str,
    n_points: tuple[int, int],
    total_steps: tuple[float, float],
    noise: tuple[float, float],
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """One run and its truth."""
    steps = max(round(_log_uniform(random, *total_steps) / TREADS), 1)
    peak = _log_uniform(random, 2e-4, 6e-4)
    warm = round(TREADS * random.uniform(0.01, 0.1))
    u = np.arange(1, TREADS - warm + 1) / (TREADS - warm)
    rate, shape = _schedule(random, schedule, u)
    rate = peak * rate
    rising = peak * np.arange(1, warm + 1) / warm
    parameters = _parameters(random, law, peak)
    # so that the forward term alone begins at FIRST_LOSS
    begin = ((FIRST_LOSS - parameters["L0"]) / parameters["A"]) ** (-1 / parameters["alpha"])
    before = begin + steps * np.cumsum(rising)
    early = parameters["L0"] + parameters["A"] * before ** -parameters["alpha"]
    n = int(random.integers(n_points[0], n_points[1] + 1))
    at = np.round(np.arange(1, n + 1) * TREADS / n).astype(int) - 1
    if random.random() < 0.5 and (at >= warm).any():
        at = at[at >= warm]
    later = annealed_loss(
        rate, law, at=at[at >= warm] - warm, steps=steps, warmup_sum=float(before[-1]),
        **parameters,
    )  # fmt: skip
    clean = np.concatenate((early[at[at < warm]], later))
    kind = str(random.choice(NOISES))
    size = _log_uniform(random, *noise) if noise[0] > 0 else float(random.uniform(*noise))
    loss = clean + size * (
        random.standard_t(3, len(at)) / math.sqrt(3)
        if kind == "heavy"
        else random.standard_normal(len(at))
    )
    if kind == "smoothed":
        loss = _smoothed(loss, random.uniform(0.3, 0.8))
    block = pd.DataFrame(
        {
            "law": law, "schedule": schedule, "noise": kind, "step": (at + 1.0) * steps,
            "total_steps": float(TREADS * steps),
            "learning_rate": np.concatenate((rising, rate))[at], "loss": loss,
        }
    )  # fmt: skip
    return block, {
        "final": float(clean[-1]), "peak": peak, "warmup_steps": warm * steps, "size": size,
        **parameters, **shape,
    }  # fmt: skip


def _parameters(random: np.random.Generator, law: str, peak: float) -> dict[str, float]:
    """Parameters of a law, about as published."""
    drawn = {"L0": random.uniform(1.8, 3.2), "A": random.uniform(0.4, 0.8)}
    if law == "multi-power":
        ranges = {
            "alpha": (0.35, 0.6), "B": (250, 600), "C": (1.5, 3), "beta": (0.4, 0.8),
            "gamma": (0.5, 0.8),
        }  # fmt: skip
        return drawn | {name: random.uniform(*ends) for name, ends in ranges.items()}
    left = _log_uniform(random, 6e-4, 2e-3)
    return drawn | {
        "alpha": random.uniform(0.35, 0.6),
        "C": random.uniform(0.05, 0.2) * left / peak,
        "decay": 1 - left,
    }


def _schedule(
    random: np.random.Generator, schedule: str, u: Floats
) -> tuple[Floats, dict[str, float]]:
    """Learning rate over its peak at progress u after warm-up, and what was drawn for it."""
    floor = _log_uniform(random, 0.02, 0.2)
    if schedule == "constant":
        return np.ones_like(u), {}
    if schedule == "cosine":
        return floor + (1 - floor) * (1 + np.cos(np.pi * u)) / 2, {"floor": floor}
    if schedule == "linear":
        return 1 - (1 - floor) * u, {"floor": floor}
    if schedule.startswith("wsd-"):
        start = random.uniform(0.5, 0.95)
        v = np.clip((u - start) / (1 - start), 0, 1)
        rates: dict[str, Callable[[], Floats]] = {
            "wsd-exp": lambda: floor**v,
            "wsd-linear": lambda: 1 - (1 - floor) * v,
            "wsd-sqrt": lambda: 1 - (1 - floor) * np.sqrt(v),
        }
        return rates[schedule](), {"floor": floor, "start": start}
    if schedule == "wsdcon":
        start, level = random.uniform(0.2, 0.95), random.uniform(0.1, 0.7)
        return np.where(u > start, level, 1.0), {"start": start, "level": level}
    if schedule == "multi-step":
        first, second = np.sort(random.uniform(0.3, 0.97, 2))
        rate = floor ** (((u > first).astype(float) + (u > second)) / 2)
        return rate, {"floor": floor, "first": first, "second": second}
    cycles = int(random.integers(2, 5))
    phase = u * cycles - np.ceil(u * cycles) + 1
    return floor + (1 - floor) * (1 + np.cos(np.pi * phase)) / 2, {"floor": floor, "cycles": cycles}


def _smoothed(loss: Floats, weight: float) -> Floats:
    """Exponential average over earlier evaluations; begins at the first."""
    out = loss.copy()
    for i in range(1, len(loss)):
        out[i] = weight * out[i - 1] + (1 - weight) * loss[i]
    return out


def _log_uniform(random: np.random.Generator, low: float, high: float) -> float:
    return float(math.exp(random.uniform(math.log(low), math.log(high))))
