"""Forecasts with intervals: the posterior of a power law, as draws of whole laws."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from . import _core
from .arrays import checked_count, checked_level, column
from .draws import Rng, generator_from
from .groups import group_rows
from .intervals import Kind, RunNoise, checked_kind, interval_frame
from .markup import block
from .provenance import HasCard, from_arrays, rng_words, with_origin
from .status import HasStatus, bits, one_warning
from .threads import thread_count

__all__ = ["LawPosterior", "fit_posterior", "posteriors"]


# The prior, in round numbers and the same for everybody. Noise variance about the asymptotic law
# may fall with compute (small models follow it less closely); the s.e. of the optima says how large
# the noise should be, as much as five optima would.
POWERS, POWER_WEIGHTS = (0.0, 1.0, 2.0), (1.0, 0.5, 0.25)
ALPHA_RANGE = (0.01, 1.5)
NOISE_DOF = 5.0
# Where the scatter looks like misfit (power > 0), the future shares it: an error of sigma beyond
# the data, growing by this many sigma a decade.
MISFIT_GROWTH = 5.0
MISFIT_LEVEL = 0.99  # of the chi-square test of the law against the noise of its optima
N_DRAWS = 4096
_OPEN = ("floor_not_identified", "alpha_weak")


@dataclass(frozen=True)
class LawPosterior(HasStatus, HasCard):
    """Draws of laws loss = L_inf + A C^-alpha that the data leave possible.

    Attributes
    ----------
    draws : numpy.ndarray, shape (n_draws,)
        Records with L_inf, log_A, alpha, sigma (noise sd at ``compute_max``) and power (noise
        variance goes as compute^-power).
    n : int
        Points fitted.
    compute_min, compute_max : float
        Their range of compute.
    L_inf_spread : float
        Sd of L_inf over the sd of its prior, uniform on [0, min loss]; near 1 the data say nothing.
    status, status_code : str, int
        "ok", a failure (all draws NaN), "floor_not_identified", "alpha_weak", "alpha_at_bound", or
        "misfit" where the optima of a ladder scatter more than the fits of their buckets explain.
    """

    draws: NDArray[np.void]
    n: int
    compute_min: float
    compute_max: float
    L_inf_spread: float
    status_code: int
    seed: NDArray[np.float64]

    def predict(self, compute: ArrayLike) -> NDArray[np.float64]:
        """Loss of every draw at every compute, (n_draws, n_compute), without misfit or noise."""
        C = np.atleast_1d(np.asarray(compute, float))
        d = self.draws[:, None]
        values: NDArray[np.float64] = _core.powerlaw(C[None, :], d["L_inf"], d["log_A"], d["alpha"])
        return values

    def sample(
        self, compute: ArrayLike, *, kind: Kind = "mean", noise: RunNoise | None = None
    ) -> NDArray[np.float64]:
        """Draws of what will be seen at a compute, shape (n_draws, n_compute).

        Parameters
        ----------
        compute : array_like
            FLOPs, > 0.
        kind : {"mean", "new run"}
            The law itself, with the misfit that its scatter suggests; or one more run on it.
        noise : RunNoise, optional
            Run-to-run noise for "new run", as from `IsoflopLadder.run_noise`; that of the fit by
            default.
        """
        checked_kind(kind)
        C = column(np.atleast_1d(np.asarray(compute)), "compute")
        d = self.draws
        decades = np.maximum(np.log10(C / self.compute_max), 0)
        misfit = np.where(d["power"] > 0, d["sigma"], 0.0) * self.seed[:, 0]
        loss = self.predict(C) + misfit[:, None] * (1 + MISFIT_GROWTH * decades)
        if kind == "new run":
            own = self.seed[:, 1]
            loss = loss + (d["sigma"] * own if noise is None else noise.spread(own))[:, None]
        return loss

    def interval(
        self,
        compute: ArrayLike,
        *,
        level: float = 0.95,
        kind: Kind = "mean",
        noise: RunNoise | None = None,
    ) -> pd.DataFrame:
        """Central interval of the loss at each compute.

        Parameters
        ----------
        compute, kind, noise
            As in `sample`.
        level : float
            Level of the interval.

        Returns
        -------
        pandas.DataFrame
            compute, low, mid (median), high, level, method ("posterior"), kind,
            extrapolation_decades, status: that of the law, and "extrapolated" beyond the data by
            more than a fifth of their span in decades, where everything rests on the form of
            the law.

        Raises
        ------
        DataError
            A compute that is not positive, or a level outside (0, 1).

        Examples
        --------
        >>> C = np.geomspace(1e18, 1e20, 7)
        >>> noise = 1e-3 * np.array([1, -1, 0.5, -0.5, 1, -1, 0.2])
        >>> law = fit_posterior(C, 1.8 + 1600 * C**-0.16 + noise)
        >>> row = law.interval(1e22).iloc[0]
        >>> bool(row.low < 1.8 + 1600 * 1e22**-0.16 < row.high)
        True
        """
        level = checked_level(level)
        C = column(np.atleast_1d(np.asarray(compute)), "compute")
        tail = (1 - level) / 2
        if self.ok:
            values = self.sample(C, kind=kind, noise=noise)
            low, mid, high = np.quantile(values, [tail, 0.5, 1 - tail], axis=0)
        else:
            low = mid = high = np.full(len(C), np.nan)
        return interval_frame(
            C, (low, mid, high), np.full(len(C), self.status_code, np.int64),
            (self.compute_min, self.compute_max), level, "posterior", kind,
        )  # fmt: skip

    def parameters(self, *, level: float = 0.95) -> pd.DataFrame:
        """Median and central interval of L_inf, alpha and sigma, one row each."""
        tail = (1 - checked_level(level)) / 2
        rows = []
        for name in ("L_inf", "alpha", "sigma"):
            low, mid, high = np.quantile(self.draws[name], [tail, 0.5, 1 - tail])
            rows.append((name, low, mid, high, level, "posterior"))
        return pd.DataFrame(rows, columns=["parameter", "low", "mid", "high", "level", "method"])

    def to_frame(self) -> pd.DataFrame:
        """The draws, one row each."""
        return pd.DataFrame({name: self.draws[name] for name in self.draws.dtype.names or ()})

    def to_dict(self) -> dict[str, Any]:
        """What it was fitted to, its status, and the draws as columns."""
        draws = {name: self.draws[name].tolist() for name in self.draws.dtype.names or ()}
        return {
            "n": self.n,
            "compute_min": self.compute_min,
            "compute_max": self.compute_max,
            "L_inf_spread": self.L_inf_spread,
            "status": self.status,
            "status_code": self.status_code,
            "draws": draws,
        }

    def summary(self) -> str:
        """A few lines for a person."""
        lines = [f"posterior of a power law through {self.n} points, status: {self.status}"]
        if self.ok:
            lines += [
                f"  {row.parameter:6} {row.mid:.4g}  [{row.low:.4g}, {row.high:.4g}]"
                f" {row.level:.0%} {row.method}"
                for row in self.parameters().itertuples()
            ]
        return "\n".join(lines)

    def plot(self) -> Any:
        """The draws as a fan of bands over compute, as a plotly figure."""
        from .figures import law_fan

        return law_fan(self)

    def __repr__(self) -> str:
        return f"LawPosterior({len(self.draws)} draws, n={self.n}, status={self.status!r})"

    def _repr_html_(self) -> str:
        tables = {"parameters": self.parameters()} if self.ok else {}
        facts = {"draws": len(self.draws), "n": self.n, "status": self.status}
        return block("Posterior of a power law", facts=facts, tables=tables)


def fit_posterior(
    compute: ArrayLike,
    loss: ArrayLike,
    *,
    noise: float | None = None,
    n_draws: int = N_DRAWS,
    rng: Rng = 0,
) -> LawPosterior:
    """Draw the laws loss = L_inf + A C^-alpha that some points leave possible.

    Least squares seen from a Bayesian side, with priors that say little: L_inf uniform on
    [0, min loss), the amplitude uniform, alpha log-uniform on [0.01, 1.5], sigma scale-invariant.
    Noise variance may fall with compute to the power 0, 1 or 2 (prior weights 4:2:1), for ladders
    whose small budgets do not follow the asymptotic law. The amplitude and sigma are integrated
    exactly, alpha and L_inf on a grid that zooms to the mass. Medians are steadier than the
    least-squares fit where the floor is hardly identified, and intervals keep their level.

    Parameters
    ----------
    compute, loss : array_like, shape (n,)
        Points, all > 0; at least three distinct computes.
    noise : float, optional
        A guess of the noise sd of the losses, as from the fits of the buckets; worth five points.
    n_draws : int
        Number of draws.
    rng : Generator, SeedSequence or int
        Source of the draws; the same one gives the same bits.

    Returns
    -------
    LawPosterior

    Raises
    ------
    DataError
        Values that are missing, infinite or not positive, or a bad option.

    Warns
    -----
    FitWarning
        The status is not "ok".
    """
    C = column(compute, "compute")
    y = column(loss, "loss", n=len(C))
    if noise is not None:
        noise = float(column([noise], "noise")[0])
    law = posteriors(
        C, y, np.array([0, len(C)]), noise=None if noise is None else np.array([noise]),
        n_draws=n_draws, rng=rng,
    )[0]  # fmt: skip
    one_warning(law.status_code, "fit_posterior")
    given = {"compute": compute, "loss": loss}
    guess = "none" if noise is None else float(noise)
    origin = from_arrays({"compute": C, "loss": y}, given, noise=guess, rng=rng_words(rng))
    return with_origin(law, origin)


def posteriors(
    compute: NDArray[np.float64],
    loss: NDArray[np.float64],
    offsets: NDArray[np.int64],
    *,
    noise: NDArray[np.float64] | None = None,
    n_draws: int = N_DRAWS,
    rng: Rng = 0,
    n_threads: int | None = None,
) -> list[LawPosterior]:
    """`fit_posterior` for many suites in one call; all share their random numbers."""
    n_draws = checked_count(n_draws, "n_draws")
    generator = generator_from(rng)
    uniforms = generator.random((n_draws, 4))
    # One draw from each of n_draws equal shares of the mass: less scatter in the quantiles.
    uniforms[:, 0] = (np.arange(n_draws) + uniforms[:, 0]) / n_draws
    seed = generator.standard_normal((n_draws, 2))
    draws, records = _core.posterior_fit(
        compute, loss, offsets, np.clip(uniforms, 1e-15, 1 - 1e-15).ravel(), noise=noise,
        noise_dof=NOISE_DOF, alpha_range=ALPHA_RANGE, powers=POWERS,
        power_weights=POWER_WEIGHTS, n_threads=thread_count(n_threads),
    )  # fmt: skip
    laws = []
    for s, record in enumerate(records):
        own = compute[offsets[s] : offsets[s + 1]]
        laws.append(
            LawPosterior(
                draws=draws[s],
                n=int(record["n"]),
                compute_min=float(own.min()) if len(own) else float("nan"),
                compute_max=float(own.max()) if len(own) else float("nan"),
                L_inf_spread=float(record["L_inf_spread"]),
                status_code=int(record["status"]),
                seed=seed,
            )
        )
    return laws


def posteriors_of_optima(
    fits: pd.DataFrame, *, n_draws: int = N_DRAWS, rng: Rng = 0
) -> dict[str, LawPosterior]:
    """The posterior of each suite's law from rows of a ladder's ``fits``.

    Takes suite, compute, loss_star and se_loss_star; the median standard error of a suite's optima
    is its guess of the noise.
    """
    order, offsets, keys = group_rows(fits["suite"], names=["suite"])
    rows = fits.iloc[order]
    compute, loss = (rows[name].to_numpy(float) for name in ("compute", "loss_star"))
    errors = rows["se_loss_star"].to_numpy(float)
    noise = np.zeros(len(keys))
    for s in range(len(keys)):
        own = errors[offsets[s] : offsets[s + 1]]
        own = own[np.isfinite(own) & (own > 0)]
        noise[s] = np.median(own) if len(own) else 0.0
    laws = posteriors(compute, loss, offsets, noise=noise, n_draws=n_draws, rng=rng)
    least = _core.powerlaw_fit(compute, loss, offsets, diagnose=True)
    dof = np.diff(offsets) - 3.0
    with np.errstate(divide="ignore", invalid="ignore"):
        excess = least["rss"] / noise**2
        misfit = (noise > 0) & (dof > 0) & (excess > _core.chi2_quantile(MISFIT_LEVEL, dof))
    # What least squares says of floor and exponent holds for the posterior too, and the other way.
    told = np.where(least["status"] > 0, least["status"] & bits(*_OPEN), 0)
    told |= np.where(misfit, bits("misfit"), 0)
    named = zip(keys["suite"], laws, told.tolist(), strict=True)
    return {
        suite: with_origin(replace(law, status_code=law.status_code | code), law._origin)
        if code and law.ok
        else law
        for suite, law, code in named
    }
