"""How much the optima, and the forecast from them, depend on the curve that was assumed."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from . import _core
from .arrays import column
from .buckets import Buckets, bucketed, sweep_runs
from .errors import DataError, FitWarning
from .heldout import FORECAST_AT
from .isoflop import CURVES, WINDOW, Curve, fit_isoflops
from .markup import block
from .parabola import checked_window
from .provenance import HasCard, from_runs, with_origin
from .status import bits, status_texts
from .threads import thread_count

__all__ = ["IsocurveComparison", "compare_isocurves"]

_COLUMNS = (
    "n", "n_used", "tokens_star", "params_star", "loss_star", "se_loss_star", "loo", "aicc",
)  # fmt: skip


@dataclass(frozen=True)
class IsocurveComparison(HasCard):
    """Every curve through every budget, and the law each of them leads to.

    Attributes
    ----------
    table : pandas.DataFrame
        One row a (suite, budget, curve): suite, budget, curve, n (runs), n_used (runs fitted),
        tokens_star, params_star, loss_star, se_loss_star (delta method), loo (root mean squared
        error at each used run of the curve fitted to the others, in the unit of the loss), aicc
        (corrected Akaike criterion; lower is better, comparable where n_used is the same), bias,
        status, status_code.

        ``bias`` is what the curve would make of an additive law: its loss_star when it is fitted
        to the values of the two-power curve at the same tokens, minus the minimum of the two-power
        curve. NaN where that curve has no minimum in the observed range.
    forecasts : pandas.DataFrame
        One row a (suite, curve, compute): suite, curve, n (optima behind the law), L_inf, alpha,
        compute (FLOPs), loss, status (of the law).
    window : float
        Decades of tokens to each side of the vertex, for the windowed parabola.
    curves : pandas.DataFrame
        One row a row of ``table``: suite, budget, curve, x_min, x_max (log10 tokens of the runs),
        x_lo, x_hi (of those fitted) and the coefficients that `curve_values` takes.
    runs : pandas.DataFrame
        suite, budget, tokens, loss of the runs behind them.
    """

    table: pd.DataFrame
    forecasts: pd.DataFrame
    window: float
    curves: pd.DataFrame
    runs: pd.DataFrame

    def summary(self) -> str:
        """A table a suite: one line a curve."""
        lines = []
        for suite, laws in self.forecasts.groupby("suite", sort=True):
            rows = self.table[self.table["suite"] == suite]
            lines.append(f"{suite}: medians over {rows['budget'].nunique()} budgets, and the law")
            at = laws["compute"].unique().tolist()
            ahead = "".join(f"{'at ' + format(C, '.3g'):>10}" for C in at).replace("e+", "e")
            lines.append(f"  {'curve':<10}{'loo':>9}{'bias':>10}  optima   L_inf  alpha{ahead}")
            for curve, law in laws.groupby("curve", sort=False):
                fits = rows[rows["curve"] == curve]
                loo, bias = (_median(fits[name]) for name in ("loo", "bias"))
                first = law.iloc[0]
                ahead = "".join(f"{loss:10.4f}" for loss in law["loss"])
                note = "" if first.status == "ok" else f"  ({first.status})".replace("_", " ")
                lines.append(
                    f"  {curve:<10}{loo:9.5f}{bias:10.5f}{first.n:8d}{first.L_inf:8.3f}"
                    f"{first.alpha:7.3f}{ahead}{note}"
                )
        lines.append("loo: leave-one-out error of loss; bias: of the curve on an additive law")
        return "\n".join(lines)

    def to_frame(self) -> pd.DataFrame:
        """The table, one row a (suite, budget, curve)."""
        return self.table.copy()

    def to_dict(self) -> dict[str, Any]:
        """table and forecasts as lists of plain rows."""
        return {name: getattr(self, name).to_dict("records") for name in ("table", "forecasts")}

    def plot(self, suite: str | None = None, budget: float | None = None) -> Any:
        """One budget under every curve and how far the optima move, as a plotly figure."""
        from .figures import isocurve_shapes

        return isocurve_shapes(self, suite, budget)

    def __repr__(self) -> str:
        budgets = len(self.table) // len(CURVES)
        return f"IsocurveComparison({len(CURVES)} curves through {budgets} budgets)"

    def _repr_html_(self) -> str:
        keys = ["suite", "curve"]
        medians = self.table.groupby(keys, sort=False)[["loo", "bias"]].median().reset_index()
        return block(
            repr(self), tables={"medians over the budgets": medians, "laws": self.forecasts},
            notes=["loo: leave-one-out error of loss; bias: of the curve on an additive law"],
        )  # fmt: skip


def compare_isocurves(
    runs: Any,
    *,
    at: ArrayLike | None = None,
    suite: str | None = None,
    window: float = WINDOW,
    n_threads: int | None = None,
) -> IsocurveComparison:
    """Fit every curve that `fit_isoflops` knows to every budget, and a law to each set of optima.

    Parameters
    ----------
    runs : DataFrame (pandas, polars, pyarrow)
        Standard columns, as for `fit_isoflops`.
    at : float or sequence of float, optional
        FLOPs to forecast at; default 1e21 to 1e25.
    suite : str, optional
        Only this suite.
    window : float
        Decades of tokens to each side of the vertex, for the windowed parabola.
    n_threads : int, optional
        Threads; the CPUs available by default.

    Returns
    -------
    IsocurveComparison
        Statuses stand in its tables; nothing is warned about.

    Raises
    ------
    DataError
        As in `fit_isoflops`; a compute that is not positive; or no such suite.

    Notes
    -----
    A parabola is symmetric in log tokens and an additive law is not, so the loss at its vertex is
    too low, the more so the wider the range: the column ``bias``.

    Examples
    --------
    >>> from delphi import simulate
    >>> compared = compare_isocurves(simulate.ladder(rng=0, noise=0.0), suite="Aster")
    >>> bias = compared.table.groupby("curve")["bias"].median().abs()
    >>> bool(bias["two-power"] < bias["windowed"] < bias["parabola"])
    True
    """
    computes = column(np.atleast_1d(np.asarray(FORECAST_AT if at is None else at)), "at")
    width = checked_window(window)
    threads = thread_count(n_threads)
    runs, sweep, _ = sweep_runs(runs)
    origin = from_runs(runs, None if suite is None else [suite])
    if suite is not None:
        known = sorted(runs["suite"].unique())
        if suite not in known:
            raise DataError(f"no suite {suite!r}; there are {known}")
        runs = runs[(runs["suite"] == suite).to_numpy(bool)]
        sweep = sweep[(sweep["suite"] == suite).to_numpy(bool)]
        if sweep.empty:
            raise DataError(f"no IsoFLOP run of suite {suite!r} that finished")
    buckets = bucketed(sweep)
    table, curves = _table(buckets, width, threads)
    points = sweep[["suite", "budget", "tokens", "loss"]].reset_index(drop=True)
    points.attrs["delphi"] = runs.attrs.get("delphi", {})
    compared = IsocurveComparison(
        table=table,
        forecasts=_forecasts(runs, computes.tolist(), width, threads),
        window=width,
        curves=curves,
        runs=points,
    )
    return with_origin(compared, origin)


def _table(runs: Buckets, window: float, n_threads: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Every curve through every bucket, its bias on the two-power curve of the bucket, and what
    draws it."""

    def fit(loss: NDArray[np.float64], curve: Curve, loo: bool = False) -> NDArray[np.void]:
        return _core.isocurve_fit(
            runs.tokens, loss, runs.params, runs.offsets,
            shape=curve, window=window, loo=loo, n_threads=n_threads,
        )  # fmt: skip

    fits = {curve: fit(runs.loss, curve, loo=True) for curve in CURVES}
    truth = fits["two-power"]
    inside = (truth["status"] >= 0) & (truth["status"] & bits("clipped") == 0)
    lowest = np.where(inside, truth["loss_star"], np.nan)
    additive = _two_power(truth, runs)
    frames, drawn = [], []
    for curve, records in fits.items():
        frame = runs.keys[["suite"]].copy()
        frame["budget"] = runs.keys["budget"].astype(float)
        frame["curve"] = curve
        drawn.append(_coefficients(frame, records))
        for name in _COLUMNS:
            frame[name] = records[name]
        found = truth if curve == "two-power" else fit(additive, curve)
        frame["bias"] = found["loss_star"] - lowest
        frame["status"] = status_texts(records["status"])
        frame["status_code"] = records["status"]
        frames.append(frame)
    table, curves = (pd.concat(parts, ignore_index=True) for parts in (frames, drawn))
    order = np.arange(len(table)).reshape(len(CURVES), -1).T.ravel()  # curves beside each other
    return table.iloc[order].reset_index(drop=True), curves.iloc[order].reset_index(drop=True)


def _coefficients(keys: pd.DataFrame, records: NDArray[np.void]) -> pd.DataFrame:
    """What `curve_values` needs of each record: k0 to k4 about x_centre, and a, b, c about 0."""
    frame = keys.copy()
    for name in ("x_min", "x_max", "x_lo", "x_hi", "x_centre"):
        frame[name] = records[name]
    k = records["coefficients"].T
    for i, values in enumerate(k):
        frame[f"k{i}"] = values
    centre = records["x_centre"]
    frame["a"], frame["b"] = k[2], k[1] - 2 * k[2] * centre
    frame["c"] = k[0] - centre * (k[1] - k[2] * centre)
    return frame


def _two_power(records: NDArray[np.void], runs: Buckets) -> NDArray[np.float64]:
    """The two-power curve of each bucket at its own tokens; NaN where it failed."""
    sizes = np.diff(runs.offsets)
    k0, k1, k2, k3, k4 = (np.repeat(k, sizes) for k in records["coefficients"].T)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.log10(runs.tokens) - np.repeat(records["x_centre"], sizes)
    values: NDArray[np.float64] = k0 + k1 * 10.0 ** (-k3 * z) + k2 * 10.0 ** (k4 * z)
    return values


def _forecasts(
    runs: pd.DataFrame, computes: list[float], window: float, n_threads: int
) -> pd.DataFrame:
    """The law through each curve's optima, at each compute."""
    rows = []
    for curve in CURVES:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FitWarning)
            ladder = fit_isoflops(runs, curve=curve, window=window, n_threads=n_threads)
            laws = ladder.laws()
        counts = ladder.optima["suite"].value_counts()
        for suite in ladder.suites:
            law = laws.get(suite)
            common = {
                "suite": suite,
                "curve": curve,
                "n": int(counts.get(suite, 0)),
                "L_inf": np.nan if law is None else law.L_inf,
                "alpha": np.nan if law is None else law.alpha,
            }
            status = "too_few_points" if law is None else law.status
            for C in computes:
                loss = np.nan if law is None else law.predict(C)
                rows.append({**common, "compute": C, "loss": loss, "status": status})
    return pd.DataFrame(rows).sort_values("suite", kind="stable", ignore_index=True)


def _median(values: pd.Series) -> float:
    """The median of what is there; NaN if nothing is."""
    return float(values.median()) if values.notna().any() else np.nan
