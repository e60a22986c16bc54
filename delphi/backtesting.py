"""Back-tests: fit up to a budget, forecast the ones beyond it, and keep the score."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from . import _core
from .arrays import checked_count, column, to_pandas
from .draws import Rng
from .errors import DataError, FitWarning
from .heldout import score_held_out
from .intervals import RunNoise
from .isoflop import Curve, IsoflopLadder, fit_isoflops, scatter
from .markup import block
from .posterior import LawPosterior, posteriors_of_optima
from .provenance import HasCard, from_ladder, rng_words, with_origin

__all__ = ["Backtest", "backtest"]

NEAR = 5.0  # times the largest fitted compute
METHODS = (
    "posterior", "least squares", "notebook", "floor at 0", "log-log line", "last value",
)  # fmt: skip
COLUMNS = (
    "suite", "cutoff", "compute", "horizon", "target", "method", "observed", "predicted", "low",
    "high", "level", "error_percent", "inside", "width_percent",
)  # fmt: skip


@dataclass(frozen=True)
class Backtest(HasCard):
    """How forecasts made from the smaller budgets met the larger ones.

    Attributes
    ----------
    table : pandas.DataFrame
        One row a (suite, cutoff, target, method): suite, cutoff (largest fitted compute), compute
        of the target, horizon (compute / cutoff), target ("optimum" or "held-out"), method,
        observed, predicted, low, high, level, error_percent (100 (predicted / observed - 1)),
        inside (NaN without an interval), width_percent (100 (high - low) / predicted).
    """

    table: pd.DataFrame

    @property
    def scores(self) -> pd.DataFrame:
        """By method, kind of target and reach: n, median, mean and worst absolute error in
        percent, bias, coverage (share of observed values inside their interval), median width.
        """
        rows = self.table.assign(
            reach=np.where(self.table["horizon"] <= NEAR * 1.001, "up to 5x", "beyond 5x"),
            size=self.table["error_percent"].abs(),
        )
        keys = ["target", "reach", "method"]
        grouped = rows.groupby(keys, sort=False)
        scores = grouped.agg(
            n=("size", "count"),
            median_error=("size", "median"),
            mean_error=("size", "mean"),
            worst_error=("size", "max"),
            bias=("error_percent", "median"),
            coverage=("inside", "mean"),
            median_width=("width_percent", "median"),
        )
        return scores.reset_index()

    def _card_fields(self) -> dict[str, Any]:
        from .forecastcard import backtest_fields

        return backtest_fields(self)

    def to_frame(self) -> pd.DataFrame:
        """All forecasts, one row each."""
        return self.table.copy()

    def to_dict(self) -> dict[str, Any]:
        """Table and scores as lists of plain rows."""
        return {"table": self.table.to_dict("records"), "scores": self.scores.to_dict("records")}

    def summary(self) -> str:
        """The scores as text."""
        return self.scores.to_string(index=False, float_format=lambda v: f"{v:.3g}")

    def plot(self, method: str = "posterior", target: str = "optimum") -> Any:
        """Errors of one method's forecasts, one panel a suite, as a plotly figure.

        Parameters
        ----------
        method, target : str
            A method and a kind of target of ``table``.

        Returns
        -------
        plotly.graph_objects.Figure

        Raises
        ------
        DataError
            No such forecast.
        """
        from .figures import backtest_errors

        return backtest_errors(self, method=method, target=target)

    def __repr__(self) -> str:
        return f"Backtest({len(self.table)} forecasts, {self.table['suite'].nunique()} suites)"

    def _repr_html_(self) -> str:
        return block(repr(self), tables={"scores, in percent of the loss": self.scores})


def backtest(
    runs: Any,
    *,
    horizon: float | None = None,
    first: int = 4,
    curve: Curve = "windowed",
    truth_window: float = 0.6,
    level: float = 0.95,
    n_boot: int = 200,
    rng: Rng = 0,
) -> Backtest:
    """Fit every suite up to a moving cutoff and forecast what lies beyond it.

    Targets are the optima of the larger budgets (the vertex of a parabola through the runs within
    ``truth_window`` decades of it, where the runs bracket it) and held-out runs. Besides the
    default forecast stand the least-squares law, the notebook's recipe with its bootstrap, and
    baselines that any forecast must beat: a law without a floor, a straight line in logs (the same
    by other residuals) and the last optimum. Held-out runs are held against intervals of a new
    run, with the run-to-run noise that the fitted budgets show, over the root of the runs averaged.

    Parameters
    ----------
    runs : DataFrame
        Standard columns, as from `delphi.read_runs`.
    horizon : float, optional
        Leave out targets beyond this multiple of the cutoff.
    first : int
        Budgets before the first cutoff, at least 3.
    curve : str
        Curve of the buckets that are fitted, as in `fit_isoflops`.
    truth_window : float
        Decades to each side of the vertex for the observed optima.
    level : float
        Level of the intervals.
    n_boot : int
        Replicates of the notebook's bootstrap; 0 leaves its interval out.
    rng : Generator, SeedSequence or int

    Returns
    -------
    Backtest

    Raises
    ------
    DataError
        No suite has a budget beyond ``first`` ones, or an option is wrong.

    Examples
    --------
    >>> from delphi import simulate
    >>> test = backtest(simulate.ladder(rng=0), n_boot=0)
    >>> scores = test.scores.set_index(["target", "reach", "method"])["median_error"]
    >>> bool(scores["optimum", "up to 5x", "posterior"]
    ...      < scores["optimum", "up to 5x", "last value"])
    True
    """
    first, n_boot = checked_count(first, "first", 3), checked_count(n_boot, "n_boot", 0)
    if horizon is not None:
        horizon = float(column([horizon], "horizon")[0])
        if horizon <= 1:
            raise DataError(f"horizon: expected a number above 1, got {horizon!r}")
    said = rng_words(rng)
    table = to_pandas(runs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)  # every fit is scored, good or bad
        ladder = fit_isoflops(table, curve=curve)
        seen = fit_isoflops(table, curve="windowed", window=truth_window)
        plain = fit_isoflops(table, curve="parabola", keep="all")
    targets = _targets(table, seen)
    rows: list[dict[str, Any]] = []
    tasks = _cutoffs(ladder, targets, first, horizon)
    if not tasks:
        raise DataError(f"no suite has a budget beyond its first {first}: nothing to test")
    stacked = pd.concat(
        [
            ladder.fits[
                ladder.fits["used"]
                & (ladder.fits["suite"] == suite)
                & (ladder.fits["compute"] <= cutoff)
            ].assign(suite=f"{i:09d}")
            for i, (suite, cutoff, _) in enumerate(tasks)
        ]
    )
    laws = posteriors_of_optima(stacked, rng=rng)
    noise = scatter(ladder.fits[ladder.fits["used"]], ladder.curve)
    for i, (suite, cutoff, ahead) in enumerate(tasks):
        key = f"{i:09d}"
        own = stacked[stacked["suite"] == key]
        forecasts = {}
        if key in laws and laws[key].ok:
            forecasts["posterior"] = _default(laws[key], ahead, level, noise.get(suite))
        forecasts |= _baselines(own, ahead["compute"].to_numpy())
        old = plain.fits[(plain.fits["suite"] == suite) & (plain.fits["compute"] <= cutoff)]
        forecasts["notebook"] = _notebook(old, ahead["compute"].tolist(), level, n_boot)
        for method, values in forecasts.items():
            for (_, target), (mid, low, high) in zip(ahead.iterrows(), values, strict=True):
                rows.append(
                    {
                        "suite": suite,
                        "cutoff": cutoff,
                        "compute": target["compute"],
                        "horizon": target["compute"] / cutoff,
                        "target": target["target"],
                        "method": method,
                        "observed": target["observed"],
                        "predicted": mid,
                        "low": low,
                        "high": high,
                        "level": level,
                    }
                )
    result = pd.DataFrame(rows)
    result["error_percent"] = 100 * (result["predicted"] / result["observed"] - 1)
    inside = (result["low"] <= result["observed"]) & (result["observed"] <= result["high"])
    result["inside"] = inside.astype(float).where(result["low"].notna())
    result["width_percent"] = 100 * (result["high"] - result["low"]) / result["predicted"]
    origin = from_ladder(ladder, rng=said)
    return with_origin(Backtest(result[list(COLUMNS)]), origin)


def _targets(runs: pd.DataFrame, seen: IsoflopLadder) -> pd.DataFrame:
    """What forecasts are held against: suite, compute, observed, target, n (runs averaged)."""
    optima = seen.optima[["suite", "compute", "loss_star"]]
    optima = optima.rename(columns={"loss_star": "observed"}).assign(target="optimum", n=1)
    if not {"run_type", "state"} <= set(runs.columns):
        return optima
    held = score_held_out(runs, {})
    held = held[held["state"] == "finished"].rename(columns={"loss": "observed"})
    held = held[["suite", "compute", "observed", "n"]].assign(target="held-out")
    return pd.concat([optima, held], ignore_index=True)


def _cutoffs(
    ladder: IsoflopLadder, targets: pd.DataFrame, first: int, horizon: float | None
) -> list[tuple[str, float, pd.DataFrame]]:
    """Every (suite, cutoff) that leaves something ahead, with what is ahead."""
    tasks = []
    for suite in ladder.suites:
        fits = ladder.fits[ladder.fits["suite"] == suite].sort_values("compute")
        for k in range(first, len(fits) + 1):
            cutoff = float(fits["compute"].iloc[k - 1])
            # Held-out runs of the cutoff's own budget may lie a rounding beyond it.
            ahead = targets[(targets["suite"] == suite) & (targets["compute"] > 1.05 * cutoff)]
            if horizon is not None:
                ahead = ahead[ahead["compute"] <= horizon * cutoff]
            if len(ahead) and fits["used"].iloc[:k].sum() >= 3:
                tasks.append((suite, cutoff, ahead))
    return tasks


def _default(
    law: LawPosterior, ahead: pd.DataFrame, level: float, noise: RunNoise | None
) -> np.ndarray:
    """mid, low and high of the default forecast: of the law at optima, of runs where runs are."""
    names = ["mid", "low", "high"]
    out = law.interval(ahead["compute"], level=level)[names].to_numpy(copy=True)
    if noise is None:
        return out
    for i, target in enumerate(ahead.itertuples()):
        if target.target == "held-out":
            own = RunNoise(noise.sd / math.sqrt(target.n), noise.dof)
            run = law.interval(target.compute, level=level, kind="new run", noise=own)
            out[i] = run[names].to_numpy()[0]
    return out


def _baselines(own: pd.DataFrame, at: np.ndarray) -> dict[str, np.ndarray]:
    """Least squares, with and without a floor, a straight line in logs and the last value: points
    without an interval."""
    C, y = own["compute"].to_numpy(float), own["loss_star"].to_numpy(float)
    ends = [0, len(C)]

    def points(values: np.ndarray) -> np.ndarray:
        return np.column_stack((values, np.full((len(at), 2), np.nan)))

    law = _core.powerlaw_fit(C, y, ends)[0]
    flat = _core.powerlaw_fit(C, y, ends, floors=[0.0])[0]
    line = _core.line_fit(np.log(C), np.log(y), ends)[0]
    return {
        "least squares": points(_core.powerlaw(at, law["L_inf"], law["log_A"], law["alpha"])),
        "floor at 0": points(_core.powerlaw(at, 0.0, flat["log_A"], flat["alpha"])),
        "log-log line": points(np.exp(line["intercept"] + line["slope"] * np.log(at))),
        "last value": points(np.full(len(at), y[np.argmax(C)])),
    }


def _notebook(old: pd.DataFrame, at: list[float], level: float, n_boot: int) -> np.ndarray:
    """The notebook's recipe: every parabola, log residuals on a grid, bootstrap of the optima."""
    from .compat import bootstrap_scaling_fit_ci, fit_asymptotic_powerlaw_per_q

    old = old[old["status_code"] >= 0]
    C, y = old["budget"].to_numpy(float), old["loss_star"].to_numpy(float)
    law = fit_asymptotic_powerlaw_per_q({"": (C, y)})[""]
    out = np.full((len(at), 3), np.nan)
    if not law["ok"]:
        return out
    out[:, 0] = law["L_inf"] + law["A"] * np.asarray(at) ** -law["alpha"]
    if n_boot:
        tails = (50 * (1 - level), 50 * (1 + level))
        found = bootstrap_scaling_fit_ci(C, y, at, n_boot=n_boot, ci_levels=tails)
        out[:, 1:] = [(low, high) for low, _, high in (found[target] for target in at)]
    return out
