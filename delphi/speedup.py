"""One suite against another: the compute that matches it, where they cross, and how surely."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from . import _core
from .arrays import checked_level, column
from .errors import DataError
from .intervals import beyond
from .markup import block
from .posterior import LawPosterior
from .powerlaw import PowerLaw
from .provenance import HasCard, with_origin
from .status import bits, status_text

__all__ = ["Speedup", "effective_speedup"]


@dataclass(frozen=True)
class Speedup(HasCard):
    """What suite b must spend to match suite a.

    Attributes
    ----------
    table : pandas.DataFrame
        One row a compute: compute (spent on a), low, mid, high (b's compute over a's at equal
        loss: above 1, a is ahead), level, method, p_better (probability that a's loss is lower at
        equal compute), unreachable (share of draws in which b never reaches a's loss), status:
        of both laws, and "extrapolated" where a's compute, or b's at the median, lies outside the
        fitted range by more than a fifth of its decades.
    crossing : dict
        Compute at which the laws cross: low, mid, high over the draws that cross, level, and
        share (of draws that do).
    """

    table: pd.DataFrame
    crossing: dict[str, float]

    def _card_fields(self) -> dict[str, Any]:
        from .forecastcard import speedup_fields

        return speedup_fields(self)

    def to_frame(self) -> pd.DataFrame:
        """The table."""
        return self.table.copy()

    def summary(self) -> str:
        """A few lines for a person."""
        lines = [
            f"at {row.compute:.3g} FLOPs the other suite needs {row.mid:.3g}x"
            f" [{row.low:.3g}, {row.high:.3g}] {row.level:.0%} {row.method};"
            f" better with probability {row.p_better:.2f}"
            for row in self.table.itertuples()
        ]
        share = self.crossing["share"]
        lines.append(f"the laws cross in {share:.0%} of the draws")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """The table as plain rows, and the crossing."""
        return {"table": self.table.to_dict("records"), "crossing": dict(self.crossing)}

    def plot(self, *, mobile: bool = False) -> Any:
        """The factor and the probability against compute, as a plotly figure."""
        from .figures import speedup_curve

        return speedup_curve(self, mobile=mobile)

    def __repr__(self) -> str:
        return f"Speedup({len(self.table)} computes, crossing in {self.crossing['share']:.0%})"

    def _repr_html_(self) -> str:
        share = f"the laws cross in {self.crossing['share']:.0%} of the draws"
        return block("Effective speed-up", tables={"": self.table}, notes=[share])


def effective_speedup(
    law_a: LawPosterior | PowerLaw,
    law_b: LawPosterior | PowerLaw,
    at: ArrayLike,
    *,
    level: float = 0.95,
) -> Speedup:
    """How much more compute b needs to reach the loss that a reaches at some compute.

    Parameters
    ----------
    law_a, law_b : LawPosterior or PowerLaw
        From `fit_posterior` or ``ladder.posteriors()``; a `PowerLaw` with a floor of its own
        stands for its posterior. Draws are paired at random.
    at : float or array_like
        Compute spent on a, FLOPs.
    level : float
        Level of the intervals.

    Returns
    -------
    Speedup

    Raises
    ------
    DataError
        A law has no draws, the numbers of draws differ, or an option is wrong.

    Examples
    --------
    >>> from delphi import fit_isoflops, simulate
    >>> laws = fit_isoflops(simulate.ladder(rng=0)).posteriors()
    >>> row = effective_speedup(laws["Aster"], laws["Birch"], at=1e21).table.iloc[0]
    >>> bool(row.low > 1)
    True
    """
    law_a, law_b = _posterior("law_a", law_a), _posterior("law_b", law_b)
    if len(law_a.draws) != len(law_b.draws):
        raise DataError(
            f"law_a has {len(law_a.draws)} draws, law_b {len(law_b.draws)}: use the same n_draws"
        )
    level = checked_level(level)
    C = column(np.atleast_1d(np.asarray(at)), "at")
    tails = [(1 - level) / 2, 0.5, (1 + level) / 2]
    # Draws of suites fitted with one rng are sorted alike: shuffle one side so that pairs are free.
    shuffled = np.random.default_rng(0).permutation(len(law_b.draws))
    a, b = law_a.draws, law_b.draws[shuffled]
    rows = []
    for compute in C.tolist():
        loss_a = law_a.sample(compute)[:, 0]  # with the misfit that the scatter suggests
        loss_b = law_b.sample(compute)[shuffled, 0]
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            # b's own misfit, as it is at this compute, shifts what it must reach
            goal = loss_a - (loss_b - _loss(b, compute))
            match = _core.powerlaw_inverse(goal, b["L_inf"], b["log_A"], b["alpha"])
        ratio = np.where(np.isnan(match), np.inf, match) / compute
        low, mid, high = np.quantile(ratio, tails, method="nearest")
        rows.append(
            {
                "compute": compute,
                "low": low,
                "mid": mid,
                "high": high,
                "level": level,
                "method": "posterior",
                "p_better": float(np.mean(loss_a < loss_b)),
                "unreachable": float(np.mean(np.isinf(ratio))),
                "status": _status(law_a, law_b, compute, compute * mid),
            }
        )
    from .forecastcard import origin_of_two

    found = Speedup(pd.DataFrame(rows), _crossing(a, b, C, tails, level))
    return with_origin(found, origin_of_two(law_a, law_b))


def _posterior(name: str, law: LawPosterior | PowerLaw) -> LawPosterior:
    """The posterior behind an argument."""
    if isinstance(law, PowerLaw):
        law = law.posterior()
    if not isinstance(law, LawPosterior):
        raise DataError(f"{name}: expected a LawPosterior or PowerLaw, got {type(law).__name__}")
    if not law.ok:
        raise DataError(f"{name}: no law ({law.status})")
    return law


def _status(law_a: LawPosterior, law_b: LawPosterior, at_a: float, at_b: float) -> str:
    """What is to be said of a comparison: the words of both laws, and of the distance."""
    far = beyond(np.array([at_a]), law_a.compute_min, law_a.compute_max)[0]
    if np.isfinite(at_b):
        far |= beyond(np.array([at_b]), law_b.compute_min, law_b.compute_max)[0]
    return status_text(law_a.status_code | law_b.status_code | (bits("extrapolated") * bool(far)))


def _loss(draws: NDArray[np.void], compute: float) -> NDArray[np.float64]:
    loss: NDArray[np.float64] = _core.powerlaw(
        compute, draws["L_inf"], draws["log_A"], draws["alpha"]
    )
    return loss


def _crossing(
    a: NDArray[np.void], b: NDArray[np.void], C: NDArray[np.float64], tails: list[float],
    level: float,
) -> dict[str, float]:  # fmt: skip
    """First crossing within six decades of the computes asked for, by bisection on a grid."""
    grid = np.logspace(np.log10(C.min()) - 6, np.log10(C.max()) + 6, 241)
    ahead = np.stack([_loss(a, c) < _loss(b, c) for c in grid])
    turns = ahead[1:] != ahead[:-1]
    crosses = turns.any(axis=0)
    out = {"low": np.nan, "mid": np.nan, "high": np.nan}
    if crosses.any():
        first = turns[:, crosses].argmax(axis=0)
        lo, hi = np.log(grid[first]), np.log(grid[first + 1])
        a, b, start = a[crosses], b[crosses], ahead[first, np.flatnonzero(crosses)]
        for _ in range(60):
            mid = (lo + hi) / 2
            same = (_loss(a, np.exp(mid)) < _loss(b, np.exp(mid))) == start
            lo, hi = np.where(same, mid, lo), np.where(same, hi, mid)
        low, middle, high = np.exp(np.quantile((lo + hi) / 2, tails))
        out = {"low": float(low), "mid": float(middle), "high": float(high)}
    return out | {"level": level, "share": float(crosses.mean())}
