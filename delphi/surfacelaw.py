"""A fitted L(N, D) surface and what it says."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from . import _core
from .arrays import checked_level, column, floats
from .errors import DataError
from .provenance import HasCard
from .status import HasStatus, status_names
from .surfaceplan import INTERNAL, Flops, exponents_of, gradient, loss_of, optimum_of, tokens_of

if TYPE_CHECKING:
    from .surfacedraws import Kind, SurfaceBootstrap

__all__ = ["FITTED", "PARAMETERS", "SurfaceLaw"]

PARAMETERS = ("E", "A", "B", "alpha", "beta")
FITTED = (
    "n", "n_inside", *PARAMETERS, "log_A", "log_B", "N_centre", "D_centre", "N_term", "D_term",
    "objective", "rss", "iterations", "n_minima",
)  # fmt: skip

Column = NDArray[np.float64]


@dataclass(frozen=True, repr=False)
class SurfaceLaw(HasStatus, HasCard):
    """A fitted law loss = E + A/N^alpha + B/D^beta.

    Attributes
    ----------
    E : float
        Irreducible loss, in the unit of the losses.
    A, B, alpha, beta : float
        Amplitudes, for N and D in the units they were given in, and exponents; ``log_A`` and
        ``log_B`` are natural logs. An amplitude of 0 leaves its exponent NaN.
    objective : float
        What was minimised: the sum over points of weight times rho(residual). Huber: r^2 / 2 up to
        delta, delta (abs(r) - delta / 2) beyond; squared: r^2; absolute: abs(r).
    rss : float
        Weighted sum of the squared residuals, in the same space.
    n, n_inside : int
        Points, and those of them within delta.
    kind, space, delta : str, str, float
        "huber", "squared" or "absolute"; "log" or "loss"; the threshold as it was asked for.
    standard_errors : dict
        Sandwich standard errors of E, A, B, alpha and beta; 0 where fixed, NaN at a bound.
    covariance : numpy.ndarray, shape (5, 5)
        Of E, N_term, D_term, alpha, beta: the terms are those at N_centre and D_centre, the
        geometric means of the data, where they are far less entangled than A and B.
    fixed : dict
        Parameters that were fixed.
    left_out : pandas.DataFrame
        Rows that ``drop`` left out: row (from 1), params, tokens, loss, rule.
    status, status_code : str, int
        "ok", a failure (all numbers NaN), or the warnings that apply.
    """

    E: float
    A: float
    B: float
    alpha: float
    beta: float
    log_A: float
    log_B: float
    N_centre: float
    D_centre: float
    N_term: float
    D_term: float
    objective: float
    rss: float
    n: int
    n_inside: int
    iterations: int
    n_minima: int
    kind: str
    space: str
    delta: float
    nonnegative: bool
    status_code: int
    standard_errors: dict[str, float] = field(compare=False)
    fixed: dict[str, float] = field(compare=False)
    covariance: Column = field(compare=False)
    points: pd.DataFrame = field(compare=False)
    left_out: pd.DataFrame = field(compare=False)

    # --- what it was made from -------------------------------------------------------------------

    @property
    def n_free(self) -> int:
        """Free parameters."""
        return len(PARAMETERS) - len(self.fixed)

    @property
    def at_bounds(self) -> tuple[str, ...]:
        """Names of the warnings about parameters that sit at a bound."""
        return tuple(n for n in status_names(self.status_code) if n.endswith(("_zero", "_edge")))

    def options(self) -> dict[str, Any]:
        """The options of the fit, as the core takes them."""
        return {
            "objective": self.kind, "space": self.space, "delta": self.delta,
            "nonnegative": self.nonnegative,
        }  # fmt: skip

    def _card_fields(self) -> dict[str, Any]:
        from .surfacecard import surface_fields

        return surface_fields(self)

    def fixed_row(self) -> Column:
        """E, A, B, alpha, beta where fixed, NaN where free."""
        return np.array([self.fixed.get(name, np.nan) for name in PARAMETERS])

    def data(self) -> tuple[Column, Column, Column, Column]:
        """Params, tokens, loss and weights it was fitted to.

        Raises
        ------
        DataError
            The fit failed: there is no law to look at.
        """
        if not self.ok:
            raise DataError(f"no law to look at: {self.status}")
        names = ("params", "tokens", "loss", "weight")
        N, D, y, w = (np.ascontiguousarray(self.points[name], dtype=float) for name in names)
        return N, D, y, w

    def _laws(self) -> dict[str, Any]:
        names = (*INTERNAL, "N_centre", "D_centre")
        return {name: np.asarray(getattr(self, name), float) for name in names}

    # --- what it says ----------------------------------------------------------------------------

    def predict(self, params: ArrayLike, tokens: ArrayLike) -> Any:
        """Loss at N params and D tokens: a float for numbers, an array for arrays.

        Examples
        --------
        >>> import delphi
        >>> runs = delphi.simulate.surface_runs(rng=0)
        >>> law = delphi.fit_surface(runs["params"], runs["tokens"], runs["loss"])
        >>> bool(law.predict(7e9, 1.4e12) < law.predict(7e9, 1.4e11))
        True
        """
        N, D = floats(params, "params"), floats(tokens, "tokens")
        with np.errstate(invalid="ignore", divide="ignore"):
            value = loss_of(self._laws(), np.where(N > 0, N, np.nan), np.where(D > 0, D, np.nan))
        return float(value) if np.ndim(value) == 0 else value

    def tokens_for(self, loss: ArrayLike, params: ArrayLike) -> Any:
        """Tokens at which N params reach a loss (an iso-loss contour); NaN where they never do."""
        value = tokens_of(self._laws(), floats(loss, "loss"), floats(params, "params"))
        return float(value) if np.ndim(value) == 0 else value

    @property
    def exponents(self) -> pd.DataFrame:
        """Exponents of the compute-optimal N* ~ C^a, D* ~ C^b and of the loss above E, for C ~ N D.

        Returns
        -------
        pandas.DataFrame
            exponent ("a", "b", "loss"), value, se (delta method).
        """
        self.data()
        value, se = self._delta(exponents_of)
        return pd.DataFrame({"exponent": ["a", "b", "loss"], "value": value, "se": se})

    def _delta(self, function: Callable[[Any], Any]) -> tuple[Any, Any]:
        """Value of a function of the law and its standard error by the delta method."""
        law, free = self._laws(), np.diag(self.covariance) != 0
        slopes = gradient(function, law, free)
        variance = np.einsum("i...,ij,j...->...", slopes, self.covariance, slopes)
        return function(law), np.sqrt(np.maximum(variance, 0))

    def t(self, level: float) -> float:
        """Student's t that a two-sided interval of this level reaches to, on n - n_free degrees."""
        dof = self.n - self.n_free
        if dof < 1:
            raise DataError("intervals need more points than parameters")
        return float(_core.t_quantile(0.5 + checked_level(level) / 2, float(dof)))

    def optimum(
        self,
        compute: ArrayLike,
        *,
        flops: Flops = 6.0,
        level: float = 0.95,
        method: Literal["delta", "bootstrap"] = "delta",
        n: int = 1000,
        rng: Any = 0,
    ) -> pd.DataFrame:
        """Compute-optimal params, tokens, loss and tokens per param, with intervals.

        Parameters
        ----------
        compute : array_like
            FLOPs, > 0.
        flops : float or callable
            k in C = k N D (6 by convention), or a function flops(N, D) of arrays that grows in
            both.
        level : float
            Level of the intervals.
        method : {"delta", "bootstrap"}
            "delta" linearises the fit; "bootstrap" takes percentiles over n refitted laws.
        n, rng
            For the bootstrap.

        Returns
        -------
        pandas.DataFrame
            One row a compute: compute, params, tokens, loss, tokens_per_param, each of these four
            also with _low and _high; level, method. NaN where the law has no optimum (A or B is
            0), or where a function's optimum lies more than six decades of N from that of 6 N D.

        Raises
        ------
        DataError
            No law, bad compute, or a method that does not exist.

        References
        ----------
        Hoffmann et al. 2022, arXiv:2203.15556, equation 4.

        Examples
        --------
        >>> import delphi
        >>> runs = delphi.simulate.surface_runs(rng=0)
        >>> law = delphi.fit_surface(runs["params"], runs["tokens"], runs["loss"])
        >>> row = law.optimum(1e23).iloc[0]
        >>> bool(row.params_low < row.params < row.params_high)
        True
        """
        self.data()
        C = column(np.atleast_1d(np.asarray(compute)), "compute")
        if not callable(flops) and not (isinstance(flops, (int, float)) and flops > 0):
            raise DataError(f"flops: expected a number above 0 or a function, got {flops!r}")

        def quantities(laws: Any) -> Any:
            N, D, y = optimum_of({k: np.asarray(v)[..., None] for k, v in laws.items()}, C, flops)
            with np.errstate(invalid="ignore", divide="ignore"):
                return np.stack([np.log(N), np.log(D), y, np.log(D) - np.log(N)])

        if method == "delta":
            mid, se = self._delta(quantities)
            low, high = mid - self.t(level) * se, mid + self.t(level) * se
        elif method == "bootstrap":
            draws = quantities(self.bootstrap(n, rng)._columns)
            mid = quantities(self._laws())
            tails = (1 - checked_level(level)) / 2
            low, high = np.nanquantile(draws, [tails, 1 - tails], axis=1)
        else:
            raise DataError(f"method: expected 'delta' or 'bootstrap', got {method!r}")
        table: dict[str, Any] = {"compute": C}
        for i, name in enumerate(("params", "tokens", "loss", "tokens_per_param")):
            to = (lambda x: x) if name == "loss" else np.exp
            table |= {name: to(mid[i]), f"{name}_low": to(low[i]), f"{name}_high": to(high[i])}
        return pd.DataFrame(table | {"level": float(level), "method": method})

    def interval(
        self,
        params: ArrayLike | None = None,
        tokens: ArrayLike | None = None,
        *,
        level: float = 0.95,
        method: Literal["bootstrap", "delta", "profile"] = "bootstrap",
        n: int = 1000,
        rng: Any = 0,
    ) -> pd.DataFrame:
        """Intervals of the parameters, or of the surface at given (N, D).

        Parameters
        ----------
        params, tokens : array_like, optional
            Where to give intervals of the loss; without them the parameters get intervals.
        level : float
            Level of the intervals.
        method : {"bootstrap", "delta", "profile"}
            "bootstrap": percentiles over refitted laws; "delta": the sandwich covariance and
            Student's t (A and B on a log scale); "profile": parameters only, all values whose best
            law is not significantly worse.
        n, rng
            For the bootstrap.

        Returns
        -------
        pandas.DataFrame
            parameter (or params and tokens), low, mid, high, level, method.
        """
        if (params is None) != (tokens is None):
            raise DataError("params and tokens: give both or neither")
        self.data()
        if method == "bootstrap":
            drawn = self.bootstrap(n, rng)
            if params is None or tokens is None:
                return drawn.interval(level)
            return drawn.predict(params, tokens, level=level)
        if method == "profile":
            from .surfacecheck import profile_intervals

            if params is not None:
                raise DataError("method='profile' is for parameters; (N, D) take the other two")
            return profile_intervals(self, checked_level(level))
        if method != "delta":
            raise DataError(f"method: expected 'bootstrap', 'delta' or 'profile', got {method!r}")
        t = self.t(level)
        if params is not None:
            N = column(np.atleast_1d(np.asarray(params)), "params")
            D = column(np.atleast_1d(np.asarray(tokens)), "tokens", n=len(N))
            mid, se = self._delta(lambda laws: loss_of(laws, N, D))
            keys: dict[str, Any] = {"params": N, "tokens": D}
            low, high = mid - t * se, mid + t * se
        else:
            mid = np.array([getattr(self, name) for name in PARAMETERS])
            se = np.array([self.standard_errors[name] for name in PARAMETERS])
            keys = {"parameter": list(PARAMETERS)}
            with np.errstate(invalid="ignore", divide="ignore"):
                factor = np.exp(t * se / np.abs(mid))
            is_log = np.isin(PARAMETERS, ("A", "B")) & (mid > 0)
            low = np.where(is_log, mid / factor, mid - t * se)
            high = np.where(is_log, mid * factor, mid + t * se)
        return pd.DataFrame(
            keys | {"low": low, "mid": mid, "high": high, "level": level, "method": "delta"}
        )

    # --- how far to trust it ---------------------------------------------------------------------

    def bootstrap(
        self,
        n: int = 1000,
        rng: Any = 0,
        *,
        kind: Kind = "pairs",
        n_threads: int | None = None,
        progress: bool = False,
    ) -> SurfaceBootstrap:
        """Refit n resampled data sets, each with a search of its own.

        Parameters
        ----------
        n : int
            Replicates.
        rng : numpy.random.Generator, SeedSequence or int
            Source of the draws; the same one gives the same bits for any ``n_threads``.
        kind : {"pairs", "residual", "wild"}
            Draw runs with replacement, or residuals (inflated by sqrt(n / (n - k))) with
            replacement or each with a random sign.
        n_threads : int, optional
            Threads; the CPUs available by default.
        progress : bool
            Show a progress bar.

        Examples
        --------
        >>> import delphi
        >>> runs = delphi.simulate.surface_runs(rng=0)
        >>> law = delphi.fit_surface(runs["params"], runs["tokens"], runs["loss"])
        >>> drawn = law.bootstrap(200, rng=1)
        >>> drawn.n_failed, bool(drawn.standard_errors["E"] > 0)
        (0, True)
        """
        from .surfacedraws import bootstrap_surface

        return bootstrap_surface(self, n, rng, kind, n_threads, progress)

    def profile(
        self, parameter: str, values: ArrayLike | None = None, *, n: int = 41
    ) -> pd.DataFrame:
        """The best law at each value of one parameter.

        Parameters
        ----------
        parameter : {"E", "A", "B", "alpha", "beta"}
        values : array_like, optional
            Values to fix it at; by default n of them over four standard errors to each side.

        Returns
        -------
        pandas.DataFrame
            E, A, B, alpha, beta, objective, deviance (against t^2 of a level), status.
        """
        from .surfacecheck import profile_parameter

        return profile_parameter(self, parameter, values, n)

    def influence(self, *, n_threads: int | None = None) -> pd.DataFrame:
        """The law without each point: what it moves by, in standard errors where they are known.

        Returns
        -------
        pandas.DataFrame
            One row a point, the most influential first: row, params, tokens, loss, residual, E, A,
            B, alpha, beta and a (the exponent of N*) without it, and shift, the largest change of
            E, ln A, ln B, alpha and beta over its standard error.
        """
        from .surfacecheck import leave_one_out

        return leave_one_out(self, n_threads)

    def delta_table(self, deltas: ArrayLike = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)) -> pd.DataFrame:
        """The same data under several thresholds, between least absolute and least squares.

        Returns
        -------
        pandas.DataFrame
            One row a fit: kind, delta, E, A, B, alpha, beta, a, n_inside, objective, rss, status.
        """
        from .surfacecheck import under_deltas

        return under_deltas(self, deltas)

    def residuals(self) -> pd.DataFrame:
        """Points with predicted loss and residual in the space of the fit."""
        N, D, y, _ = self.data()
        fitted = self.predict(N, D)
        residual = np.log(y / fitted) if self.space == "log" else y - fitted
        return self.points.assign(predicted=fitted, residual=residual)

    # --- as text and tables ----------------------------------------------------------------------

    @property
    def equation(self) -> str:
        """The law as one line of text."""
        if not self.ok:
            return "no law"
        terms = [f"{self.E:.4g}"]
        terms += [f"{self.A:.4g}/N^{self.alpha:.4g}"] if self.A else []
        terms += [f"{self.B:.4g}/D^{self.beta:.4g}"] if self.B else []
        return "loss = " + " + ".join(terms)

    def to_dict(self) -> dict[str, Any]:
        """Fields and status as plain Python values."""
        names = (*FITTED, "kind", "space", "delta", "nonnegative", "status", "status_code")
        return {name: getattr(self, name) for name in names} | {
            "standard_errors": dict(self.standard_errors), "fixed": dict(self.fixed),
            "n_left_out": len(self.left_out),
        }  # fmt: skip

    def to_frame(self) -> pd.DataFrame:
        """The same as a frame of one row, standard errors as se_<parameter>."""
        row = self.to_dict()
        row |= {f"se_{name}": se for name, se in row.pop("standard_errors").items()}
        row["fixed"] = ", ".join(f"{k}={v:g}" for k, v in row["fixed"].items())
        return pd.DataFrame([row])

    def summary(self) -> str:
        """A few lines for a person."""
        scale = f" (delta {self.delta:g})" if self.kind == "huber" else ""
        lines = [
            self.equation,
            f"  {self.n} points, {len(self.left_out)} left out; {self.kind}{scale} in {self.space}"
            f" space, objective {self.objective:.6g}",
        ]
        if self.ok:
            errors = self.standard_errors
            lines.append(
                "  standard errors " + ", ".join(f"{k} {v:.2g}" for k, v in errors.items())
            )
        return "\n".join([*lines, f"  status: {self.status}"])

    def plot(self) -> Any:
        """Contours of the surface with its runs, as a plotly figure."""
        from .figures import surface_contours

        return surface_contours(self)

    def __repr__(self) -> str:
        return f"SurfaceLaw({self.equation}, n={self.n}, status={self.status!r})"

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self.summary())}</pre>"
