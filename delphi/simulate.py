"""Training runs with known truth, for the demo, the tests and coverage studies.

The losses follow ``L(N, D) = E + A / N**a + B / D**b`` (Hoffmann et al. 2022, approach 3) with
``C = 6 N D``. The compute-optimal point then has a closed form, and so does the law that an
IsoFLOP ladder should recover.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .curvegrid import curves
from .draws import Rng, generator_from

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .simulate_rollouts import rollouts, survival_truth
    from .simulate_schedules import annealed_loss, scheduled_curves

__all__ = [
    "Surface",
    "Truth",
    "annealed_loss",
    "curves",
    "ladder",
    "rollouts",
    "scheduled_curves",
    "surface_runs",
    "survival_truth",
    "truth",
]

FLOPS_PER_PARAM_TOKEN = 6.0


@dataclass(frozen=True)
class Surface:
    """The loss surface ``E + A / N**a + B / D**b`` of one suite.

    Parameters
    ----------
    E : float
        Loss that no compute removes, nats per token.
    A, a : float
        Scale and exponent of what too few parameters cost.
    B, b : float
        Scale and exponent of what too few tokens cost.

    Examples
    --------
    >>> round(float(Surface(E=1.8, A=400, B=900, a=0.34, b=0.3).loss(1e9, 2e10)), 4)
    2.8794
    """

    E: float
    A: float
    B: float
    a: float
    b: float

    def __post_init__(self) -> None:
        bad = [k for k in ("A", "B", "a", "b") if not (0 < getattr(self, k) < math.inf)]
        if not math.isfinite(self.E) or self.E < 0:
            bad.insert(0, "E")
        if bad:
            raise ValueError(f"a surface needs finite A, B, a, b > 0 and E >= 0; bad: {bad}")

    def loss(self, params: Any, tokens: Any) -> Any:
        """Loss (nats per token) of `params` parameters trained on `tokens` tokens."""
        return self.E + self.A * np.power(params, -self.a) + self.B * np.power(tokens, -self.b)


@dataclass(frozen=True)
class Truth:
    """The compute-optimal law of a surface, with ``loss(C) = L_inf + A * C**-alpha``.

    Attributes
    ----------
    L_inf, A, alpha : float
        The asymptotic law; compute in FLOPs.
    params_exponent, tokens_exponent : float
        ``N*`` grows as ``C**params_exponent`` and ``D*`` as ``C**tokens_exponent``; they sum to 1.
    params_coefficient, tokens_coefficient : float
        ``N* = params_coefficient * C**params_exponent``, and the same for tokens.
    """

    L_inf: float
    A: float
    alpha: float
    params_exponent: float
    tokens_exponent: float
    params_coefficient: float
    tokens_coefficient: float

    def predict(self, compute: Any) -> Any:
        """Loss at the optimum of `compute` FLOPs."""
        return self.L_inf + self.A * np.power(compute, -self.alpha)

    def params(self, compute: Any) -> Any:
        """Parameters at the optimum of `compute` FLOPs."""
        return self.params_coefficient * np.power(compute, self.params_exponent)

    def tokens(self, compute: Any) -> Any:
        """Tokens at the optimum of `compute` FLOPs."""
        return self.tokens_coefficient * np.power(compute, self.tokens_exponent)

    def to_dict(self) -> dict[str, float]:
        """The fields as plain numbers, ready for JSON."""
        return asdict(self)


# The second suite starts worse at every budget and gains a little faster.
DEFAULT_SUITES: Mapping[str, Surface] = {
    "Aster": Surface(E=1.82, A=420.0, B=900.0, a=0.340, b=0.305),
    "Birch": Surface(E=1.82, A=520.0, B=1250.0, a=0.347, b=0.315),
}
DEFAULT_BUDGETS = (3e18, 9e18, 1.8e19, 3e19, 9e19, 1.8e20, 3e20)


def truth(surface: Surface | Mapping[str, float]) -> Truth:
    """The compute-optimal law of a loss surface, in closed form.

    Parameters
    ----------
    surface : Surface or mapping
        The surface, or its ``E, A, B, a, b`` as a mapping.

    Returns
    -------
    Truth

    Notes
    -----
    At the optimum of ``A N**-a + B D**-b`` under ``C = 6 N D`` the two marginal gains are equal,
    ``a A N**-a = b B D**-b``; see Hoffmann et al. (2022), section 3.3.

    Examples
    --------
    >>> law = truth(Surface(E=1.82, A=420, B=900, a=0.34, b=0.305))
    >>> law.L_inf, round(law.alpha, 4), round(law.params_exponent, 4)
    (1.82, 0.1608, 0.4729)
    """
    s = surface if isinstance(surface, Surface) else Surface(**surface)
    total = s.a + s.b
    balance = (s.a * s.A / (s.b * s.B)) ** (1.0 / total)
    params_exponent, tokens_exponent = s.b / total, s.a / total
    alpha = s.a * s.b / total
    gap = s.A * balance**-s.a + s.B * balance**s.b
    return Truth(
        L_inf=s.E,
        A=gap * FLOPS_PER_PARAM_TOKEN**alpha,
        alpha=alpha,
        params_exponent=params_exponent,
        tokens_exponent=tokens_exponent,
        params_coefficient=balance * FLOPS_PER_PARAM_TOKEN**-params_exponent,
        tokens_coefficient=FLOPS_PER_PARAM_TOKEN**-tokens_exponent / balance,
    )


def ladder(
    *,
    suites: Mapping[str, Surface | Mapping[str, float]] | None = None,
    budgets: Sequence[float] = DEFAULT_BUDGETS,
    n_runs: int | tuple[int, int] = (8, 12),
    spread: float = 0.55,
    noise: float = 0.0025,
    held_out: Sequence[float] = (1e21, 1e22, 1e23),
    seeds: int = 3,
    crashed: bool = False,
    rng: Rng = 0,
) -> pd.DataFrame:
    """Simulate an IsoFLOP ladder per suite, with held-out runs beyond it.

    Parameters
    ----------
    suites : mapping of name to Surface, optional
        The truth behind each suite. Default: two suites, "Aster" and "Birch".
    budgets : sequence of float
        Compute budgets of the IsoFLOP runs, FLOPs.
    n_runs : int or (low, high)
        Runs a budget; with a pair, drawn anew for every budget, both ends included.
    spread : float
        The runs of a budget cover ``10**-spread`` to ``10**spread`` times the optimal tokens.
    noise : float
        Standard deviation of the loss, nats per token.
    held_out : sequence of float
        Budgets of the compute-optimal runs that no fit sees, FLOPs.
    seeds : int
        Runs at each held-out budget.
    crashed : bool
        Let the first run of the last suite at the largest held-out budget diverge.
    rng : Generator, SeedSequence, int or None
        Source of the noise and of the small irregularities of the grid.

    Returns
    -------
    pandas.DataFrame
        One row a run, in the standard columns of :func:`delphi.read_runs`.
        ``attrs["truth"]`` maps each suite to its law (see :class:`Truth`) and its ``surface``.

    Raises
    ------
    ValueError
        If a budget, `n_runs`, `spread`, `noise` or `seeds` makes no sense.

    Examples
    --------
    >>> runs = ladder(budgets=(1e19, 1e20), n_runs=9, held_out=(1e21,), rng=1)
    >>> runs.groupby(["suite", "run_type"]).size().tolist()
    [18, 3, 18, 3]
    """
    surfaces = {
        name: s if isinstance(s, Surface) else Surface(**s)
        for name, s in (DEFAULT_SUITES if suites is None else suites).items()
    }
    low, high = (n_runs, n_runs) if isinstance(n_runs, int) else n_runs
    _check(surfaces, [*budgets, *held_out], low, high, spread, noise, seeds)
    random = generator_from(rng)
    blocks = []
    for suite, surface in surfaces.items():
        best = truth(surface)
        for budget in budgets:
            n = int(random.integers(low, high + 1))
            offsets = np.linspace(-spread, spread, n) if n > 1 else np.zeros(1)
            # Real model sizes come in steps, so tokens never fall on an even grid.
            offsets = offsets + random.normal(0, 0.04 * spread, n)
            flops = budget * np.exp(random.normal(0, 1e-3, n))
            tokens = best.tokens(budget) * 10.0**offsets
            error = random.normal(0, noise, n)
            blocks.append(_block(suite, surface, "isoflop", budget, flops, tokens, error))
        for budget in held_out:
            flops = budget * np.exp(random.normal(0, 1e-3, seeds))
            error = random.normal(0, noise, seeds)
            tokens = best.tokens(flops)
            blocks.append(_block(suite, surface, "optimal", budget, flops, tokens, error))
    frame = pd.concat(blocks, ignore_index=True)
    if crashed and held_out:
        last = list(surfaces)[-1]
        hit = (frame["suite"] == last) & (frame["run_type"] == "optimal")
        hit &= (frame["budget"] == max(held_out)) & (frame["seed"] == "0")
        frame.loc[hit, "state"] = "crashed"
        # A diverged run stops well above the law, at about the loss of the smallest budgets.
        frame.loc[hit, "loss"] += 1.3
    frame["source"] = "simulated"
    frame["row"] = np.arange(1, len(frame) + 1)
    frame.attrs["truth"] = {
        name: {**truth(s).to_dict(), "surface": asdict(s)} for name, s in surfaces.items()
    }
    frame.attrs["delphi"] = {
        "sources": ["a simulation"],
        "read": len(frame),
        "left_out": [],
        "notes": [],
        "loss_column": "loss",
    }
    return frame


def _block(
    suite: str,
    surface: Surface,
    run_type: str,
    budget: float,
    flops: np.ndarray,
    tokens: np.ndarray,
    error: np.ndarray,
) -> pd.DataFrame:
    """The runs of one suite at one budget, all finished."""
    params = flops / (FLOPS_PER_PARAM_TOKEN * tokens)
    if run_type == "isoflop":
        seeds, tails = ["default"] * len(flops), [f"{p / 1e6:.0f}M" for p in params]
    else:
        seeds = [str(i) for i in range(len(flops))]
        tails = [f"seed{i}" for i in seeds]
    stem = f"{suite}-{run_type}-{budget:.3g}".replace("e+", "e")
    return pd.DataFrame(
        {
            "name": [f"{stem}-{tail}" for tail in tails],
            "suite": suite,
            "run_type": run_type,
            "seed": seeds,
            "params": params,
            "tokens": tokens,
            "flops": flops,
            "budget": float(budget),
            "loss": surface.loss(params, tokens) + error,
            "state": "finished",
        }
    )


def _check(
    surfaces: Mapping[str, Surface],
    budgets: Sequence[float],
    low: int,
    high: int,
    spread: float,
    noise: float,
    seeds: int,
) -> None:
    if not surfaces:
        raise ValueError("at least one suite is needed")
    bad = [b for b in budgets if not (0 < b < math.inf)]
    if bad:
        raise ValueError(f"budgets must be positive and finite, in FLOPs; bad: {bad}")
    if not (1 <= low <= high):
        raise ValueError(f"n_runs must be at least 1, and low <= high; got ({low}, {high})")
    if not (0 < spread < 3 and 0 <= noise < math.inf and seeds >= 1):
        raise ValueError(f"bad spread ({spread}), noise ({noise}) or seeds ({seeds})")


def __getattr__(name: str) -> Any:
    """Rollouts, evaluations and curves of schedules live in modules of their own."""
    if name in ("rollouts", "survival_truth", "hazard_of_alpha"):
        from . import simulate_rollouts

        return getattr(simulate_rollouts, name)
    if name == "evals":
        from . import simulate_evals

        return simulate_evals.evals
    if name in ("annealed_loss", "scheduled_curves"):
        from . import simulate_schedules

        return getattr(simulate_schedules, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def surface_runs(
    surface: Surface | None = None,
    *,
    params: Sequence[float] = (3e7, 1e8, 3e8, 1e9, 3e9),
    tokens_per_param: Sequence[float] = (5, 10, 20, 40, 80, 160),
    noise: float = 0.003,
    rng: Rng = None,
) -> pd.DataFrame:
    """Runs on a grid of model sizes and tokens per parameter, for `delphi.fit_surface`.

    Parameters
    ----------
    surface : Surface, optional
        The truth; that of the first default suite otherwise.
    params, tokens_per_param : sequence of float
        The grid.
    noise : float
        Standard deviation of the log loss.
    rng : numpy.random.Generator, SeedSequence, int or None
        Source of the noise.

    Returns
    -------
    pandas.DataFrame
        params, tokens, flops (6 N D) and loss, one row a run.

    Examples
    --------
    >>> runs = surface_runs(rng=0)
    >>> len(runs), runs.columns.tolist()
    (30, ['params', 'tokens', 'flops', 'loss'])
    """
    truth_of = surface or next(iter(DEFAULT_SUITES.values()))
    N, ratio = (g.ravel() for g in np.meshgrid(params, tokens_per_param, indexing="ij"))
    D = N * ratio
    error = np.exp(noise * generator_from(rng).standard_normal(len(N)))
    flops = FLOPS_PER_PARAM_TOKEN * N * D
    return pd.DataFrame(
        {"params": N, "tokens": D, "flops": flops, "loss": truth_of.loss(N, D) * error}
    )
