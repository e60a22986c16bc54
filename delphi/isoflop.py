"""IsoFLOP ladders: a curve in log tokens for every budget, and what their minima say."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from . import _core
from .buckets import Buckets, bucketed, sweep_runs
from .draws import Rng
from .errors import DataError, FitWarning
from .groups import group_rows
from .intervals import Home, IntervalMethod, Kind, RunNoise, by_suite, checked_kind
from .markup import block
from .parabola import NO_OPTIMUM, Parabola, checked_window, fit_parabola
from .posterior import LawPosterior, posteriors_of_optima
from .powerlaw import Method, PowerLaw, Score, fit_frame, laws_of_frame
from .profile import SharedFloor
from .profile import shared_floor as _shared_floor
from .progress import progress_bar
from .provenance import HasCard, Origin, of_suites, rng_words, with_origin
from .seeds import seed_noise
from .status import bits, failed, status_text, status_texts, warn_about
from .threads import thread_count

__all__ = [
    "CURVES",
    "NO_OPTIMUM",
    "WINDOW",
    "Curve",
    "IsoflopLadder",
    "Parabola",
    "checked_curve",
    "curve_values",
    "fit_isoflops",
    "fit_parabola",
]

Curve = Literal["windowed", "parabola", "joint", "cubic", "two-power"]
CURVES: tuple[Curve, ...] = get_args(Curve)
WINDOW = 0.5
_PARABOLAS = ("windowed", "parabola")
_N_COEFFICIENTS = {"windowed": 3, "parabola": 3, "joint": 4, "cubic": 4, "two-power": 5}
_COEFFICIENTS = ("k0", "k1", "k2", "k3", "k4")
LEVEL = 0.95

# What of a parabola stands in a ladder's frame, in order.
_FIT_COLUMNS = tuple(
    name for name in Parabola.__dataclass_fields__ if name not in ("n", "n_used", "status_code")
)


@dataclass(frozen=True)
class IsoflopLadder(HasCard):
    """Parabolas of every (suite, budget) and what follows from them.

    Attributes
    ----------
    runs : pandas.DataFrame
        The runs as given, held-out ones included.
    fits : pandas.DataFrame
        One row a (suite, budget): suite, budget (FLOPs, the label), compute (geometric mean of
        its runs' FLOPs), n, n_used, curve, the fields of `Parabola`, status, status_code, used.
        With a curve that is no parabola, n_used, x_star, tokens_star, params_star, loss_star, rss,
        se_loss_star, x_lo, x_hi and the status are that curve's, x_centre and k0 to k4 describe it
        (see `curve_values`), and the rest is of the parabola through all points.
    left_out : pandas.DataFrame
        reason, rows: what was not fitted, by why.
    curve : str
        The curve behind ``x_star``, ``tokens_star``, ``params_star`` and ``loss_star``.
    window : float or None
        Decades to each side of the vertex, of a windowed parabola; None for other curves.
    """

    runs: pd.DataFrame
    fits: pd.DataFrame
    left_out: pd.DataFrame
    curve: str = "parabola"
    window: float | None = None

    @property
    def suites(self) -> list[str]:
        """Suite labels, sorted."""
        return sorted(self.fits["suite"].unique().tolist())

    @cached_property
    def optima(self) -> pd.DataFrame:
        """Vertices of the buckets used: suite, budget, compute, tokens_star, params_star,
        loss_star."""
        names = ["suite", "budget", "compute", "tokens_star", "params_star", "loss_star"]
        return self.fits.loc[self.fits["used"], names].reset_index(drop=True)

    @cached_property
    def unused(self) -> pd.DataFrame:
        """Buckets that feed no law: suite, budget, n, reason (what keeps them out, in words)."""
        table = self.fits.loc[~self.fits["used"], ["suite", "budget", "n", "status_code"]]
        codes = table.pop("status_code")
        table["reason"] = [
            status_text(code if failed(code) else code & _barring(self.curve)).replace("_", " ")
            for code in codes
        ]
        return table.reset_index(drop=True)

    @cached_property
    def exponents(self) -> pd.DataFrame:
        """How optimal parameters and tokens grow with compute, with 95% t intervals.

        Ordinary least squares of log10(quantity) on log10(compute) over the optima of a suite:
        suite, quantity, exponent, se, low, high, level, method, n, coefficient, status;
        quantity = coefficient compute^exponent. The intervals see the scatter of the optima about
        the line, not the noise inside a budget.
        """
        return _exponents(self.optima, self.suites)

    def laws(
        self,
        *,
        floor: float | None = None,
        shared_floor: bool = False,
        score: Score = "loss",
        method: Method = "profile",
        compute: Literal["compute", "budget"] = "compute",
    ) -> dict[str, PowerLaw]:
        """A law loss = L_inf + A C^-alpha through the optima of each suite.

        Parameters
        ----------
        floor, shared_floor, score, method
            As in `fit_power_laws`.
        compute : {"compute", "budget"}
            Fit against the runs' actual compute or against the budget's label.

        Returns
        -------
        dict of suite to PowerLaw
            Suites without a used optimum are absent; one with too few has a failed law.

        Warns
        -----
        FitWarning
            One count for every status that is not "ok".
        """
        frame = fit_frame(
            self.optima, compute=compute, loss="loss_star", by="suite", floor=floor,
            shared_floor=shared_floor, score=score, method=method,
        )  # fmt: skip
        warn_about(frame["status_code"], "suites")
        laws = laws_of_frame(
            frame, self.optima, ("suite", compute, "loss_star"), score,
            "pinned" if floor is not None else "shared" if shared_floor else method,
        )  # fmt: skip
        shared = _shared(laws) if shared_floor and floor is None else None
        laws = {
            suite: replace(law, home=Home(self, suite, compute, shared))
            for suite, law in laws.items()
        }
        tied = shared_floor and floor is None
        how = {"method": method, "weigh": "points", "n_grid": 400}
        return of_suites(laws, self, tied=tied, optima=compute, **how)

    def posteriors(self, *, rng: Rng = 0) -> dict[str, LawPosterior]:
        """The posterior of each suite's law, as draws; see `delphi.fit_posterior`."""
        laws = posteriors_of_optima(self.fits[self.fits["used"]], rng=rng)
        guess = "the median standard error of the suite's optima"
        return of_suites(laws, self, optima="compute", noise=guess, rng=rng_words(rng))

    def forecast(
        self,
        compute: ArrayLike,
        *,
        suite: str | None = None,
        level: float = 0.95,
        kind: Kind = "mean",
        method: IntervalMethod = "posterior",
        rng: Rng = 0,
    ) -> pd.DataFrame:
        """Loss at the optimum of compute nobody has spent yet, with an interval.

        Parameters
        ----------
        compute : float or array_like
            FLOPs, > 0.
        suite : str, optional
            One suite; all by default.
        level : float
            Level of the intervals.
        kind : {"mean", "new run"}
            The law at the optimum, or one more run on it: with the run-to-run noise of replicate
            seeds where the suite has them, else the scatter about the law.
        method : {"posterior", "profile", "t", "bootstrap", "two-level"}
            Where the interval comes from; the others as in `PowerLaw.interval`, for comparison.
            "posterior" is the one whose coverage was measured.
        rng : Generator, SeedSequence or int
            Source of the draws.

        Returns
        -------
        pandas.DataFrame
            suite, compute, low, mid, high, level, method, kind, extrapolation_decades, status;
            NaN with a status where a suite has too few optima.

        Raises
        ------
        DataError
            No such suite, no optimum at all, or a bad option.

        Warns
        -----
        FitWarning
            Suites that have no forecast.

        Examples
        --------
        >>> from delphi import simulate
        >>> ladder = fit_isoflops(simulate.ladder(rng=0))
        >>> ladder.forecast(1e22)[["low", "mid", "high"]].notna().all(axis=None).item()
        True
        """
        if suite is not None and suite not in self.suites:
            raise DataError(f"suite: {suite!r} is not one of {', '.join(self.suites)}")
        checked_kind(kind)
        names = self.suites if suite is None else [suite]
        fits = self.fits[self.fits["used"] & self.fits["suite"].isin(names)]
        if fits.empty:
            raise DataError("no optimum to forecast from")
        noise = self.run_noise() if kind == "new run" else {}
        options: dict[str, Any] = {"level": level, "kind": kind}
        laws: dict[str, Any]
        if method == "posterior":
            laws = dict(posteriors_of_optima(fits, rng=rng))
        else:
            options |= {"method": method, "rng": rng}
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FitWarning)  # the status column says it
                laws = dict(self.laws())
        frame = by_suite({name: laws.get(name) for name in names}, compute, noise, **options)
        empty = frame.loc[frame["mid"].isna(), ["suite", "status"]].drop_duplicates()
        if len(empty):
            named = ", ".join(f"{row.suite} ({row.status})" for row in empty.itertuples())
            warnings.warn(f"no forecast for {named}", FitWarning, stacklevel=2)
        return frame

    def run_noise(self) -> dict[str, RunNoise]:
        """Run-to-run noise of each suite: of replicate seeds where it has some (`seed_noise`),
        else the scatter of its runs about the curves of the used budgets."""
        noise = scatter(self.fits[self.fits["used"]], self.curve)
        if {"run_type", "state"} <= set(self.runs.columns):
            seeds = seed_noise(self.runs)
            seeds = seeds[(seeds["scope"] == "suite") & (seeds["kind"] == "seeds")]
            for row in seeds[seeds["dof"].to_numpy(float) > 0].itertuples():
                noise[str(row.suite)] = RunNoise(float(row.sd), float(row.dof))
        return noise

    @property
    def _fitted(self) -> str:
        """What was fitted, in words."""
        if self.curve == "windowed":
            return f"parabola within {self.window:g} decades of its vertex"
        return self.curve if self.curve == "parabola" else f"{self.curve} curve"

    def summary(self) -> str:
        """A paragraph a suite."""
        lines = []
        for suite in self.suites:
            fits = self.fits[self.fits["suite"] == suite]
            used = fits[fits["used"]]
            lines.append(
                f"{suite}: {len(used)} of {len(fits)} budgets give an optimum ({self._fitted})"
            )
            for _, bucket in used.iterrows():
                notes = f"  ({bucket.status})".replace("_", " ") if bucket.status_code else ""
                lines.append(
                    f"  {bucket.budget:8.3g} FLOPs: {bucket.tokens_star:.3g} tokens, "
                    f"{bucket.params_star:.3g} params, loss {bucket.loss_star:.4f}{notes}"
                )
            for _, bucket in self.unused[self.unused["suite"] == suite].iterrows():
                lines.append(f"  {bucket.budget:8.3g} FLOPs: left out ({bucket.reason})")
            growth = self.exponents[self.exponents["suite"] == suite]
            for _, row in growth[growth["exponent"].notna()].iterrows():
                lines.append(
                    f"  {row.quantity} ~ C^{row.exponent:.3f}"
                    f" [{row.low:.3f}, {row.high:.3f}] {row.level:.0%} {row.method}"
                )
        for _, row in self.left_out.iterrows():
            lines.append(f"left out: {row.rows} rows, {row.reason}")
        return "\n".join(lines)

    def to_frame(self) -> pd.DataFrame:
        """The fits, one row a (suite, budget)."""
        return self.fits.copy()

    def to_dict(self) -> dict[str, Any]:
        """fits, optima, exponents and left_out as lists of plain rows."""
        tables = ("fits", "optima", "exponents", "left_out")
        return {name: getattr(self, name).to_dict("records") for name in tables}

    def plot(self) -> Any:
        """Runs, parabolas and optima, one panel a suite, as a plotly figure."""
        from .figures import isoflop_parabolas

        return isoflop_parabolas(self)

    def __repr__(self) -> str:
        used = int(self.fits["used"].sum())
        return f"IsoflopLadder({len(self.suites)} suites, {used} of {len(self.fits)} optima used)"

    def _repr_html_(self) -> str:
        names = ["suite", "quantity", "exponent", "low", "high", "level", "n"]
        tables = {"optima": self.optima, "growth with compute": self.exponents[names]}
        for caption, table in (("not used", self.unused), ("left out", self.left_out)):
            if len(table):
                tables[caption] = table
        return block(repr(self), facts={"curve": self._fitted}, tables=tables)


def fit_isoflops(
    runs: Any,
    by: str = "suite",
    *,
    curve: Curve = "windowed",
    window: float = WINDOW,
    keep: Literal["good", "all"] = "good",
    n_threads: int | None = None,
    progress: bool = False,
) -> IsoflopLadder:
    """Fit a curve, loss against log tokens, to the runs of every (suite, budget).

    Parameters
    ----------
    runs : DataFrame (pandas, polars, pyarrow)
        Standard columns, as from `delphi.read_runs`: tokens, params, flops, budget, loss, the
        ``by`` column and, if present, run_type (only "isoflop" runs are fitted) and state (runs
        that crashed or still run are left out).
    by : str
        The column that names the suite.
    curve : {"windowed", "parabola", "joint", "cubic", "two-power"}
        What is fitted, in x = log10(tokens): a parabola through the points near its vertex, a
        parabola through all points, one vertex with two curvatures, a cubic, or
        e + a u^-p + b u^q with u proportional to tokens, the shape that an additive law
        E + A / N^p + B / D^q has at fixed compute.
    window : float
        For "windowed": decades of tokens to each side of the vertex, as in `fit_parabola`. A
        parabola over one decade to each side puts the optimum of an additive law 0.002 to 0.003
        nats too low, over half a decade 0.0001 to 0.0002.
    keep : {"good", "all"}
        Which buckets feed ``.optima``: those whose vertex is a bracketed minimum of more distinct
        points than coefficients, or every bucket with a curve.
    n_threads : int, optional
        Threads; the CPUs available by default.
    progress : bool
        Show a progress bar.

    Returns
    -------
    IsoflopLadder

    Raises
    ------
    DataError
        A column is missing or holds what is not a number, no run is left to fit, or an option is
        wrong.

    Warns
    -----
    FitWarning
        One count for every status that leaves buckets without an optimum.

    Examples
    --------
    >>> from delphi import simulate
    >>> ladder = fit_isoflops(simulate.ladder(rng=0))
    >>> bool(ladder.fits["used"].all()), list(ladder.optima.columns)[:3]
    (True, ['suite', 'budget', 'compute'])
    """
    if keep not in ("good", "all"):
        raise DataError(f"keep: expected 'good' or 'all', got {keep!r}")
    checked_curve(curve)
    width = checked_window(window) if curve == "windowed" else None
    runs, sweep, left_out = sweep_runs(runs, by)
    fits = _fit_buckets(bucketed(sweep), curve, width, thread_count(n_threads), progress)
    unusable = _barring(curve) if keep == "good" else 0
    code = fits["status_code"].to_numpy()
    fits["used"] = (code >= 0) & (code & unusable == 0)
    # What bars no optimum stands in the status; a warning for every repeated design would dull all.
    warn_about(np.where(code < 0, code, code & _barring(curve)), "buckets")
    ladder = IsoflopLadder(runs=runs, fits=fits, left_out=left_out, curve=curve, window=width)
    return with_origin(ladder, Origin(dict, {"keep": keep}))


def scatter(fits: pd.DataFrame, curve: str) -> dict[str, RunNoise]:
    """Scatter of the runs about the curves of their budgets, pooled by suite."""
    noise = {}
    for suite, own in fits.groupby("suite"):
        dof = (own["n_used"] - _N_COEFFICIENTS[curve]).clip(lower=0)
        if dof.sum() > 0:
            squares = own.loc[dof > 0, "rss"].sum()
            noise[str(suite)] = RunNoise(float(np.sqrt(squares / dof.sum())), float(dof.sum()))
    return noise


def _shared(laws: dict[str, PowerLaw]) -> SharedFloor | None:
    """What the suites together say about their floor."""
    good = [law for law in laws.values() if law.ok and law.points is not None]
    points = [(law.points[0], law.points[1]) for law in good if law.points is not None]
    return _shared_floor(points, [(law.L_inf, law.log_A, law.alpha) for law in good])


def checked_curve(curve: str) -> None:
    """Raise `DataError` unless `curve` is one of `CURVES`."""
    if curve not in CURVES:
        raise DataError(f"curve: expected one of {', '.join(CURVES)}, got {curve!r}")


def _barring(curve: str) -> int:
    """The warning bits that keep a bucket out of the optima."""
    joint = ("joint_at_bound", "joint_concave") if curve == "joint" else ()
    return bits(*NO_OPTIMUM, *joint)


def curve_values(fit: Any, tokens: ArrayLike) -> NDArray[np.float64]:
    """Loss of the fitted curve of one budget at some token counts.

    Parameters
    ----------
    fit : row of ``IsoflopLadder.fits``
        A Series, or a tuple from ``itertuples``.
    tokens : array_like
        Raw counts, > 0.

    Returns
    -------
    numpy.ndarray
        NaN where the fit failed. With z = log10(tokens) - x_centre: "joint"
        k0 + (k2 if z < k1 else k3) (z - k1)^2; "cubic" k0 + k1 z + k2 z^2 + k3 z^3; "two-power"
        k0 + k1 u^-k3 + k2 u^k4 with u = 10^z. Parabolas are a x^2 + b x + c in x = log10(tokens).

    Examples
    --------
    >>> from delphi import simulate
    >>> ladder = fit_isoflops(simulate.ladder(rng=0), curve="cubic")
    >>> row = ladder.fits.iloc[0]
    >>> bool(abs(curve_values(row, row.tokens_star) - row.loss_star) < 1e-12)
    True
    """
    x = np.log10(np.asarray(tokens, float))
    if fit.curve in _PARABOLAS:
        return np.asarray((fit.a * x + fit.b) * x + fit.c)
    k0, k1, k2, k3, k4 = (getattr(fit, name) for name in _COEFFICIENTS)
    z = x - fit.x_centre
    if fit.curve == "joint":
        return np.asarray(k0 + np.where(z < k1, k2, k3) * (z - k1) ** 2)
    if fit.curve == "cubic":
        return np.asarray(k0 + z * (k1 + z * (k2 + z * k3)))
    return np.asarray(k0 + k1 * 10.0 ** (-k3 * z) + k2 * 10.0 ** (k4 * z))


def _fit_buckets(
    runs: Buckets, curve: Curve, window: float | None, n_threads: int, progress: bool
) -> pd.DataFrame:
    """One row a (suite, budget) from one or two calls into the core."""
    tokens, params, flops, loss, offsets, keys = runs
    with progress_bar(progress, "parabolas") as callback:
        records = _core.parabola_fit(
            tokens, loss, params, offsets, joint=True, window=window or 0.0, diagnose=True,
            n_threads=n_threads, progress=callback,
        )  # fmt: skip
    fits = {"suite": keys["suite"], "budget": keys["budget"].astype(float)}
    with np.errstate(divide="ignore", invalid="ignore"):
        log_flops = np.log(flops)
    fits["compute"] = np.exp(np.add.reduceat(log_flops, offsets[:-1]) / np.diff(offsets))
    fits["n"], fits["n_used"] = records["n"], records["n_used"]
    fits["curve"] = np.full(len(records), curve, dtype=object)
    for name in _FIT_COLUMNS:
        fits[name] = (
            10.0 ** records["joint_x_star"] if name == "joint_tokens_star" else records[name]
        )
    status = records["status"]
    if curve not in _PARABOLAS:
        with progress_bar(progress, f"{curve} curves") as callback:
            curves = _core.isocurve_fit(
                tokens, loss, params, offsets, shape=curve, n_threads=n_threads, progress=callback
            )
        status = curves["status"]
        for name in _FIT_COLUMNS:  # a curve has numbers of its own, and a failed one has none
            own = name in (curves.dtype.names or ())
            fits[name] = curves[name] if own else np.where(status < 0, np.nan, fits[name])
        fits["n_used"] = curves["n_used"]
        fits["x_centre"] = curves["x_centre"]
        for i, name in enumerate(_COEFFICIENTS):
            fits[name] = curves["coefficients"][:, i]
    fits["status"] = status_texts(status)
    fits["status_code"] = status
    return pd.DataFrame(fits)


def _exponents(optima: pd.DataFrame, suites: Sequence[str]) -> pd.DataFrame:
    quantities = ("params_star", "tokens_star")
    order, offsets, keys = group_rows(optima["suite"], names=["suite"])
    ordered = optima.iloc[order]
    log_c = np.log10(ordered["compute"].to_numpy(float))
    frames = []
    for quantity in quantities:
        lines = _core.line_fit(log_c, np.log10(ordered[quantity].to_numpy(float)), offsets)
        frame = pd.DataFrame({"suite": keys["suite"], "quantity": quantity})
        frame["exponent"], frame["se"] = lines["slope"], lines["se_slope"]
        half = lines["se_slope"] * _t_quantile(lines["n"] - 2)
        frame["low"], frame["high"] = lines["slope"] - half, lines["slope"] + half
        frame["level"], frame["method"] = LEVEL, "t"
        frame["n"], frame["coefficient"] = lines["n"], 10.0 ** lines["intercept"]
        frame["status"] = status_texts(lines["status"])
        frames.append(frame)
    table = pd.concat(frames, ignore_index=True)
    return table.sort_values(["suite", "quantity"], ignore_index=True)


def _t_quantile(dof: NDArray[np.int64]) -> NDArray[np.float64]:
    quantile: NDArray[np.float64] = _core.t_quantile(0.5 + LEVEL / 2, dof.astype(float))
    return quantile
