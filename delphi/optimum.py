"""Stationary points of quadratic laws: a minimum or not, among the data or not, how well known."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from . import _core
from .arrays import checked_level
from .errors import DataError
from .status import HasStatus, bits, code_of

if TYPE_CHECKING:
    from .polynomial import PolynomialLaw

__all__ = ["Optimum", "stationary_point"]

Column = NDArray[np.float64]
DRAWS = 2000


@dataclass(frozen=True, eq=False)
class Optimum(HasStatus):
    """Where a quadratic law is lowest in some features, the others given.

    Attributes
    ----------
    values : dict
        The stationary point, by feature; NaN where the law has no minimum there.
    given : dict
    loss : float
        The law at that point.
    curvature : numpy.ndarray, shape (n_free, n_free)
        Second derivatives by log10 of the free features.
    intervals : pandas.DataFrame
        feature, value, low, high, level: quantiles over draws of the coefficients that have a
        minimum; low and high are NaN for a law without residuals.
    p_minimum : float
        Share of draws of the coefficients that have a minimum.
    inside : bool
        Whether the point lies in the range of every free feature.
    covariance : numpy.ndarray, shape (n_free, n_free)
        Of log10 of the point, by the delta method.
    status, status_code : str, int
        "ok", "no_minimum" (the law is a saddle or a hill in these features), or
        "optimum_outside_data", "optimum_uncertain" (fewer than 95% of the draws have a minimum).
    """

    values: dict[str, float]
    given: dict[str, float]
    loss: float
    curvature: Column
    intervals: pd.DataFrame
    p_minimum: float
    inside: bool
    covariance: Column
    status_code: int
    dof: float = field(default=np.inf, repr=False)

    @property
    def equation(self) -> str:
        """Where the minimum is, as one line of text."""
        if not self.ok:
            return "no minimum"
        at = ", ".join(f"{name} = {value:.4g}" for name, value in self.values.items())
        return f"lowest at {at}, loss {self.loss:.5g}"

    def to_frame(self) -> pd.DataFrame:
        """One row a free feature: feature, value, low, high, level."""
        return self.intervals.copy()

    def to_dict(self) -> dict[str, Any]:
        """Plain Python values."""
        return {
            "values": dict(self.values), "given": dict(self.given), "loss": self.loss,
            "curvature": self.curvature.tolist(), "covariance": self.covariance.tolist(),
            "intervals": self.intervals.to_dict("records"), "p_minimum": self.p_minimum,
            "inside": self.inside, "status": self.status, "status_code": self.status_code,
        }  # fmt: skip

    def summary(self) -> str:
        """A few lines for a person."""
        lines = [self.equation]
        if self.given:
            lines.append("  at " + ", ".join(f"{k} = {v:.4g}" for k, v in self.given.items()))
        for row in self.intervals.itertuples(index=False):
            if np.isfinite(row.low):
                lines.append(f"  {row.feature}: {row.low:.4g} to {row.high:.4g} ({row.level:.0%})")
        if np.isfinite(self.p_minimum):
            lines.append(f"  {self.p_minimum:.1%} of the draws have a minimum")
        return "\n".join([*lines, f"  status: {self.status}"])

    def plot(self) -> Any:
        """The optimum with its intervals, and its region where there are two free features."""
        from . import figures

        return figures.polynomial_optimum(self)

    def __repr__(self) -> str:
        return f"Optimum({self.equation}, status={self.status!r})"

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self.summary())}</pre>"

    def region(self, level: float = 0.95, n: int = 100) -> pd.DataFrame:
        """The edge of the joint confidence region of two free features: an ellipse in logarithms.

        Raises
        ------
        DataError
            Not two free features, or nothing to make a region from.
        """
        level = checked_level(level)
        if len(self.values) != 2 or not np.isfinite(self.covariance).all():
            raise DataError("a region needs two free features, and a minimum with residuals")
        names = list(self.values)
        angle = np.linspace(0, 2 * np.pi, n)
        radius = np.sqrt(_core.chi2_quantile(level, 2))
        root = np.linalg.cholesky(self.covariance + 1e-300 * np.eye(2))
        edge = np.log10(list(self.values.values())) + radius * (
            np.column_stack((np.cos(angle), np.sin(angle))) @ root.T
        )
        return pd.DataFrame(10**edge, columns=names).assign(level=level)


def _pieces(
    law: PolynomialLaw, row: Column, free: list[int], fixed: list[int], at: Column
) -> tuple[Column, Column, Column]:
    """Gradient at 0 and curvature in the free logs, for rows of coefficients (..., n_terms + 1)."""
    n = len(free)
    slope = np.zeros((*row.shape[:-1], n))
    curve = np.zeros((*row.shape[:-1], n, n))
    base = row[..., 0].copy()
    for t, power in enumerate(law.terms.values()):
        value = row[..., t + 1] * float(np.prod([at[k] ** power[f] for k, f in enumerate(fixed)]))
        powers = [power[f] for f in free]
        if sum(powers) == 0:
            base = base + value
        elif sum(powers) == 1:
            slope[..., powers.index(1)] += value
        elif 2 in powers:
            curve[..., powers.index(2), powers.index(2)] += 2 * value
        else:
            i, j = (k for k, p in enumerate(powers) if p)
            curve[..., i, j] += value
            curve[..., j, i] += value
    return slope, curve, base


def stationary_point(
    law: PolynomialLaw,
    free: Sequence[str],
    given: Mapping[str, float],
    g: int,
    level: float,
    seed: int,
) -> Optimum:
    """See `PolynomialLaw.optimum`."""
    level = checked_level(level)
    names = [free] if isinstance(free, str) else list(free)
    others = [f for f in law.features if f not in names]
    if law.degree != 2:
        raise DataError("an optimum needs a law of degree 2")
    if not names or set(names) - set(law.features) or len(set(names)) < len(names):
        raise DataError(f"free: expected some of {law.features}, got {names}")
    if set(given) != set(others):
        raise DataError(f"given: expected values of {others}, got {sorted(given)}")
    bad = [f for f in others if not (np.isfinite(given[f]) and given[f] > 0)]
    if bad:
        raise DataError(f"given: {bad[0]} must be positive and finite, got {given[bad[0]]!r}")
    at = np.log10([float(given[f]) for f in others])
    place = [law.features.index(f) for f in names]
    rest = [law.features.index(f) for f in others]
    row = law.coefficients.to_numpy()[g]
    slope, curve, base = _pieces(law, row, place, rest, at)
    n = len(names)
    level_frame: dict[str, Any] = {"feature": names, "value": np.nan, "low": np.nan,
                                   "high": np.nan, "level": level}  # fmt: skip
    nothing: Column = np.full((n, n), np.nan)
    minimum = bool(np.isfinite(row).all() and np.linalg.eigvalsh(curve)[0] > 0)
    z: Column = np.asarray(np.linalg.solve(curve, -slope) if minimum else np.full(n, np.nan))
    cov: Column = nothing
    p, dof = np.nan, np.inf
    draws: Column = np.empty((0, n))
    if law.covariance is not None and np.isfinite(law.fits["sigma"].iloc[g]):
        fit = law.fits.iloc[g]
        dof = float(fit["n"] - fit["edf"])
        value, vector = np.linalg.eigh(law.covariance[g] * fit["sigma"] ** 2)
        noise = np.random.default_rng(seed).normal(size=(DRAWS, len(row)))
        drawn = row + noise @ (vector * np.sqrt(np.maximum(value, 0))).T
        slopes, curves, _ = _pieces(law, drawn, place, rest, at)
        good = np.linalg.eigvalsh(curves)[:, 0] > 0
        p = float(good.mean())
        if good.any():
            solved = np.linalg.solve(curves[good], -slopes[good][..., None])
            draws = np.asarray(solved[..., 0], np.float64)
        if minimum:
            # to first order the point moves by -H^-1 (dg + dH z)
            moved = (slopes - slope) + np.einsum("kij,j->ki", curves - curve, z)
            steps = -np.linalg.solve(curve, moved.T)
            cov = np.cov(steps).reshape(n, n)
    if not minimum:
        return Optimum(dict.fromkeys(names, np.nan), dict(given), np.nan, curve,
                       pd.DataFrame(level_frame), p, False, nothing,
                       code_of("no_minimum"))  # fmt: skip
    level_frame["value"] = 10**z
    if len(draws):
        ends = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0)
        level_frame["low"], level_frame["high"] = 10 ** np.clip(ends, -300, 300)
    inside = True
    if law.ranges is not None:
        bounds = law.ranges.to_numpy()[g].reshape(-1, 2)[place]
        inside = bool(((z >= bounds[:, 0]) & (z <= bounds[:, 1])).all())
    said = [] if inside else ["optimum_outside_data"]
    said += ["optimum_uncertain"] if p < 0.95 else []
    loss = float(base + slope @ z + 0.5 * z @ curve @ z)
    values = {f: float(v) for f, v in zip(names, 10**z, strict=True)}
    return Optimum(values, dict(given), loss, curve, pd.DataFrame(level_frame), p, inside, cov,
                   bits(*said), dof)  # fmt: skip
