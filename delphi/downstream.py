"""Downstream forecasts in two steps: compute -> soft metric -> accuracy."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from .arrays import checked_level, column, frame_columns
from .downstream_draws import (
    SoftLaw,
    combine,
    draw_curves,
    draw_soft,
    fit_soft,
    observed,
    saturation,
)
from .draws import generator_from
from .emergence import (
    RichardsCurve,
    _or_nan,
    _records,
    checked_share,
    curve_of,
    finite_column,
    problem_counts,
    shares,
)
from .errors import DataError
from .powerlaw import PowerLaw
from .predictability import Predictability, judged
from .provenance import HasCard, from_arrays, with_origin
from .status import HasStatus, bits, one_warning, status_texts

__all__ = ["DownstreamFit", "Predictability", "fit_downstream", "fit_downstreams"]

Column = NDArray[np.float64]
Asymptote = Literal["free", "pool", "saturation"]
Kind = Literal["mean", "new run"]
N_DRAWS = 2000
FIT_BELOW = 5e20  # FLOPs


@dataclass(frozen=True)
class DownstreamFit(HasStatus, HasCard):
    """Two fitted steps: a power law of the soft metric, and a Richards curve of the accuracy.

    Attributes
    ----------
    law : PowerLaw
        Of ``-log p`` or bits per byte against compute, fitted to the ladder below ``fit_below``.
    curve : RichardsCurve
        Accuracy over x = log p or minus bits per byte.
    asymptote : str
        Where the floor of the law is from: "free", "pool", "saturation" or "pinned".
    unit : str
        "log-prob" (negative, up is better) or "bits/byte" (positive, down is better).
    task : str
        Its name, for tables and figures.
    fit_below : float
        Runs of this compute (FLOPs) and beyond are held out.
    runs : pandas.DataFrame
        The ladder: model, compute, soft, hard, n_problems, held_out.
    pool : pandas.DataFrame
        The external models, in the same columns.
    status, status_code : str, int
        Of the curve, with "floor_from_pool" and "soft_warned"; a failure if either step failed.
    """

    law: PowerLaw
    curve: RichardsCurve
    asymptote: str
    unit: str
    task: str
    fit_below: float
    floor: float
    n_problems: float
    runs: pd.DataFrame = field(repr=False)
    pool: pd.DataFrame = field(repr=False)
    soft_law: SoftLaw = field(repr=False)
    status_code: int

    def _card_fields(self) -> dict[str, Any]:
        from .emergencecard import downstream_fields

        return downstream_fields(self)

    @property
    def sign(self) -> float:
        """+1 where the soft metric falls with compute (bits per byte), -1 for log-probability."""
        return 1.0 if self.unit == "bits/byte" else -1.0

    def predict(self, compute: ArrayLike) -> Any:
        """Accuracy at a compute (FLOPs), by both steps.

        Examples
        --------
        >>> fit = fit_downstream(_demo(), floor=0.25, n_problems=14042)
        >>> bool(0.25 < fit.predict(1e22) < 1)
        True
        """
        return self.curve.predict(-np.asarray(self.law.predict(compute)))

    def soft(self, compute: ArrayLike) -> Any:
        """Soft metric at a compute, in its own unit and sign."""
        return self.sign * self.law.predict(compute)

    def forecast(
        self,
        compute: ArrayLike,
        *,
        level: float = 0.95,
        kind: Kind = "mean",
        n_draws: int = N_DRAWS,
        rng: Any = 0,
    ) -> pd.DataFrame:
        """Forecast of soft metric and accuracy with the uncertainty of both steps.

        Every draw is one law of the soft metric and one curve refitted to resampled accuracies,
        so the interval holds run-to-run noise of the ladder, binomial noise (and what scatter
        there is beyond it) of every accuracy, and what the form of both leaves open.

        Parameters
        ----------
        compute : array_like
            FLOPs, > 0.
        level : float
            Level of the interval.
        kind : {"mean", "new run"}
            The expected accuracy, or that of one more run, with its own noise in both steps.
        n_draws : int
            Draws of both steps.
        rng : Generator, SeedSequence or int

        Returns
        -------
        pandas.DataFrame
            compute, soft, soft_low, soft_high, hard (the fit's own value), low, mid (median),
            high, level, method, kind, n_failed (curves without an answer), status.

        Raises
        ------
        DataError
            A step failed, or an option is wrong.

        Examples
        --------
        >>> fit = fit_downstream(_demo(), floor=0.25, n_problems=14042)
        >>> row = fit.forecast(1e22).iloc[0]
        >>> bool(row.low < row.hard < row.high)
        True
        """
        level = checked_level(level)
        if kind not in ("mean", "new run"):
            raise DataError(f"kind: expected 'mean' or 'new run', got {kind!r}")
        if not self.ok:
            raise DataError(f"no forecast: {self.status}")
        at = column(np.atleast_1d(np.asarray(compute)), "compute")
        generator = generator_from(rng)
        drawn = draw_curves(self.curve, n_draws, generator)
        good = drawn[drawn["status"] >= 0]
        if len(good) == 0:
            raise DataError("no forecast: every replicate of the curve failed")
        z = draw_soft(self.soft_law, good, at, kind, generator)
        hard = combine(good, z)
        if kind == "new run":
            hard = observed(hard, self.n_problems, self.curve, generator)
        tail = (1 - level) / 2
        low, mid, high = np.quantile(hard, [tail, 0.5, 1 - tail], axis=0)
        z_low, z_high = np.quantile(z, [tail, 1 - tail], axis=0)
        ends = np.sort(self.sign * np.stack((z_low, z_high)), axis=0)
        codes = np.full(len(at), self.status_code)
        codes[-np.asarray(self.law.predict(at)) > self.curve.x_max] |= bits("beyond_pool")
        return pd.DataFrame(
            {
                "compute": at, "soft": self.soft(at), "soft_low": ends[0], "soft_high": ends[1],
                "hard": self.predict(at), "low": low, "mid": mid, "high": high, "level": level,
                "method": "bootstrap", "kind": kind, "n_failed": len(drawn) - len(good),
                "status": status_texts(codes),
            }
        )  # fmt: skip

    @cached_property
    def held_out(self) -> pd.DataFrame:
        """The held-out runs against their forecasts.

        compute, soft, soft_forecast, soft_error_pct (of the distance to zero, positive is worse),
        hard, hard_forecast, hard_error_pct.
        """
        rows = self.runs[self.runs["held_out"]]
        C = rows["compute"].to_numpy(float)
        soft, hard = rows["soft"].to_numpy(float), rows["hard"].to_numpy(float)
        z, told = self.sign * soft, np.asarray(self.law.predict(C))
        accuracy = np.asarray(self.predict(C))
        with np.errstate(divide="ignore", invalid="ignore"):
            return pd.DataFrame(
                {
                    "model": rows["model"].to_numpy(), "compute": C, "soft": soft,
                    "soft_forecast": self.sign * told, "soft_error_pct": 100 * (z - told) / told,
                    "hard": hard, "hard_forecast": accuracy,
                    "hard_error_pct": 100 * (accuracy - hard) / hard,
                }
            )  # fmt: skip

    @cached_property
    def predictability(self) -> Predictability:
        """Whether this task can be forecast at this scale, see `Predictability`."""
        return judged(self, self._back_test)

    def _back_test(self) -> float:
        """Forecast of the strongest fitted run from the others, minus what it scored."""
        rows = self.runs[~self.runs["held_out"] & self.runs["hard"].notna()]
        if len(rows) < 5:
            return float("nan")
        last = rows.loc[rows["compute"].idxmax()]
        fit = _fit_one(
            self.runs[self.runs["compute"] <= last["compute"]], self.pool, self.unit, self.task,
            float(last["compute"]), self.floor, self.asymptote, self.soft_law.pinned,
            self.curve.ceiling if self.curve.pinned else None,
        )  # fmt: skip
        return float(fit.predict(last["compute"]) - last["hard"]) if fit.ok else float("nan")

    @property
    def equation(self) -> str:
        """Both steps as one line of text."""
        return f"{self.law.equation}; {self.curve.equation}"

    def to_dict(self) -> dict[str, Any]:
        """Both steps and status as plain Python values."""
        return {
            "task": self.task, "unit": self.unit, "asymptote": self.asymptote,
            "fit_below": self.fit_below, "law": self.law.to_dict(), "curve": self.curve.to_dict(),
            "status": self.status, "status_code": self.status_code,
        }  # fmt: skip

    def to_frame(self) -> pd.DataFrame:
        """One row: task, the coefficients of both steps, status."""
        law, curve = self.law, self.curve
        return pd.DataFrame(
            [
                {
                    "task": self.task, "unit": self.unit, "L_inf": law.L_inf, "A": law.A,
                    "alpha": law.alpha, "k": curve.k, "x0": curve.x0, "v": curve.v,
                    "floor": self.floor, "ceiling": curve.ceiling, "n_runs": law.n,
                    "n_points": curve.n, "status": self.status,
                }
            ]
        )  # fmt: skip

    def summary(self) -> str:
        """A few lines for a person."""
        out = int(self.runs["held_out"].sum())
        lines = [
            f"{self.task} ({self.unit}): {self.law.n} runs below {self.fit_below:.3g} FLOPs, "
            f"{len(self.pool)} external models, {out} held out",
            f"  step 1  {self.law.equation}  [{self.law.status}], floor: {self.asymptote}",
            f"  step 2  {self.curve.equation}  [{self.curve.status}]",
        ]
        if self.ok:
            verdict = self.predictability
            said = "predictable" if verdict.ok else "not predictable: " + "; ".join(verdict.reasons)
            lines.append(f"  {said}")
        return "\n".join([*lines, f"  status: {self.status}"])

    def plot(self) -> Any:
        """The two-panel emergence figure of this task."""
        from .figures import downstream

        return downstream.emergence({self.task: self})

    def __repr__(self) -> str:
        return f"DownstreamFit({self.task!r}, {self.equation}, status={self.status!r})"

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self.summary())}</pre>"


def _demo() -> pd.DataFrame:
    """A small ladder for the examples."""
    from ._core import richards

    C = np.geomspace(3e18, 3e20, 9)
    z = 0.35 + 4.0 * (C / 1e18) ** -0.2
    hard = np.asarray(richards(-z, 4.0, -2.4, 1.0, 0.25, 0.9))
    return pd.DataFrame({"compute": C, "soft": -z, "hard": hard + 0.002 * (-1.0) ** np.arange(9)})


def _unit(soft: Column, unit: str | None) -> str:
    if unit not in (None, "log-prob", "bits/byte"):
        raise DataError(f"unit: expected 'log-prob' or 'bits/byte', got {unit!r}")
    down, up = bool((soft > 0).any()), bool((soft < 0).any())
    if unit == "log-prob" and down:
        row = int(np.flatnonzero(soft > 0)[0])
        raise DataError(
            f"soft: log-probabilities are negative, row {row + 1} is {soft[row]:g}: wrong sign?"
        )
    if unit == "bits/byte" and up:
        row = int(np.flatnonzero(soft < 0)[0])
        raise DataError(f"soft: bits per byte are positive, row {row + 1} is {soft[row]:g}")
    if unit is None and down and up:
        raise DataError("soft: values of both signs; say unit='log-prob' or 'bits/byte'")
    return unit or ("bits/byte" if down else "log-prob")


def _table(
    frame: Any, compute: str | None, soft: str, hard: str, n_problems: Any, what: str
) -> pd.DataFrame:
    """Standard columns from a frame of the caller's; the compute of a pool is not looked at."""
    names = [soft, hard, *([compute] if compute else [])]
    if isinstance(n_problems, str):
        names.append(n_problems)
    rows = frame_columns(frame, names)
    n = len(rows)
    out = pd.DataFrame({"soft": finite_column(rows[soft], f"{what}: {soft}", missing=True)})
    out["hard"] = shares(rows[hard], f"{what}: {hard}", missing=True)
    out["compute"] = column(rows[compute], f"{what}: {compute}", least=0) if compute else np.nan
    if isinstance(n_problems, str):
        counts = finite_column(rows[n_problems], f"{what}: {n_problems}", missing=True)
    else:
        counts = _or_nan(problem_counts(n_problems, n), n)
    out["n_problems"] = counts
    whole = frame if isinstance(frame, pd.DataFrame) else rows
    models = whole["model"] if "model" in whole.columns else [""] * n
    out["model"] = [str(m) for m in models]
    return out[np.isfinite(out["soft"])].reset_index(drop=True)


def fit_downstream(
    ladder_evals: Any,
    pool: Any = None,
    *,
    compute: str = "compute",
    soft: str = "soft",
    hard: str = "hard",
    floor: float,
    n_problems: Any = None,
    fit_below: float = FIT_BELOW,
    asymptote: Asymptote | float = "free",
    ceiling: float | None = None,
    unit: Literal["log-prob", "bits/byte"] | None = None,
    task: str = "task",
) -> DownstreamFit:
    """Fit compute -> soft metric -> accuracy for one task.

    Step 1 is a power law of the soft metric (its distance from 0, which falls with compute) on the
    runs of the ladder below ``fit_below``. Step 2 is a Richards curve of accuracy on those runs and
    the pool together. Held-out runs enter neither, nor any bound.

    Parameters
    ----------
    ladder_evals : DataFrame
        One row a run of the ladder.
    pool : DataFrame, optional
        External models for step 2, with the same columns of soft metric and accuracy.
    compute, soft, hard : str
        Columns of compute (FLOPs), soft metric and accuracy (NaN: no accuracy yet).
    floor : float
        What chance scores.
    n_problems : int or str, optional
        Problems behind each accuracy, or the column that says it: step 2 is then a binomial
        likelihood.
    fit_below : float
        Compute (FLOPs) from which on runs are held out.
    asymptote : {"free", "pool", "saturation"} or float
        The floor of the law: fitted; the best soft metric of fitted runs and pool; where the
        curve is within one problem of its ceiling (the notebook's rule), or the pool's best where
        that is not usable; or a number, as the distance from 0.
    ceiling : float, optional
        Pin the saturation of the accuracy.
    unit : {"log-prob", "bits/byte"}, optional
        Read off the sign by default.
    task : str
        Its name.

    Returns
    -------
    DownstreamFit
        Always; look at ``status``.

    Raises
    ------
    DataError
        Missing columns, accuracies outside [0, 1], a soft metric of the wrong or of both signs, no
        run below ``fit_below``, an empty pool, or a bad option.

    Warns
    -----
    FitWarning
        The status is not "ok".

    Examples
    --------
    >>> fit = fit_downstream(_demo(), floor=0.25, n_problems=14042, task="MMLU")
    >>> fit.unit, fit.law.n, fit.status
    ('log-prob', 9, 'ok')
    """
    base = checked_share(floor, "floor")
    top = None if ceiling is None else checked_share(ceiling, "ceiling")
    runs = _table(ladder_evals, compute, soft, hard, n_problems, "ladder")
    others = runs.iloc[:0].copy()
    if pool is not None:
        others = _table(pool, None, soft, hard, n_problems, "pool")
        if others.empty:
            raise DataError("pool: no model with a soft metric in it; leave it out instead")
    if runs.empty:
        raise DataError("ladder: no run with a soft metric")
    runs = runs.sort_values("compute", kind="stable", ignore_index=True)
    kind = _unit(np.concatenate((runs["soft"], others["soft"])), unit)
    pinned, rule = float("nan"), "pinned"
    if isinstance(asymptote, str):
        if asymptote not in ("free", "pool", "saturation"):
            raise DataError(
                f"asymptote: expected 'free', 'pool', 'saturation' or a number, got {asymptote!r}"
            )
        rule = asymptote
    else:
        pinned = float(column([asymptote], "asymptote")[0])
    limit = float(column([fit_below], "fit_below")[0]) if np.isfinite(fit_below) else np.inf
    if not (runs["compute"] < limit).any():
        raise DataError(f"ladder: no run below fit_below = {fit_below:g} FLOPs")
    fit = _fit_one(runs, others, kind, task, limit, base, rule, pinned, top)
    one_warning(fit.status_code, "fit_downstream")
    used = fit.runs[~fit.runs["held_out"]]
    columns = {name: used[name].to_numpy(float) for name in ("compute", "soft")}
    gone = {"held out, at or beyond fit_below": len(fit.runs) - len(used)}
    return with_origin(fit, from_arrays(columns, left_out=gone, n_read=len(fit.runs)))


def _fit_one(
    runs: pd.DataFrame,
    pool: pd.DataFrame,
    unit: str,
    task: str,
    fit_below: float,
    floor: float,
    rule: str,
    pinned: float,
    ceiling: float | None,
) -> DownstreamFit:
    """Both steps on checked tables; says nothing."""
    sign = 1.0 if unit == "bits/byte" else -1.0
    runs = runs.assign(held_out=(runs["compute"] >= fit_below).to_numpy())
    own = runs[~runs["held_out"]]
    both = pd.concat([own, pool], ignore_index=True)
    seen = both[both["hard"].notna()]
    x = -sign * seen["soft"].to_numpy(float)
    counts = seen["n_problems"].to_numpy(float)
    binomial = len(counts) > 0 and bool(np.isfinite(counts).all())
    points = np.stack((x, seen["hard"].to_numpy(float), counts if binomial else counts * np.nan))
    record = _records(
        points[0], points[1], np.array([0, len(x)]), floor, ceiling,
        counts if binomial else None, None, 1,
    )[0]  # fmt: skip
    curve = curve_of(record, points, ceiling is not None)
    code = curve.status_code
    known = runs["n_problems"].to_numpy(float)
    problems = float(known[0]) if len(known) else float("nan")
    best = float((sign * both["soft"]).min())
    if rule == "saturation":
        pinned = saturation(curve, problems, best) if curve.ok else best
        if pinned == best:
            code |= bits("floor_from_pool") if code >= 0 else 0
    elif rule == "pool":
        pinned = best
    z = sign * own["soft"].to_numpy(float)
    C = own["compute"].to_numpy(float)
    soft_law = fit_soft(C, z, rule, pinned, problems, best)
    if not soft_law.law.ok:
        code = soft_law.law.status_code
    elif soft_law.law.status_code != 0 and code >= 0:
        code |= bits("soft_warned")
    return DownstreamFit(
        law=soft_law.law, curve=curve, asymptote=rule, unit=unit, task=task, fit_below=fit_below,
        floor=floor, n_problems=problems, runs=runs, pool=pool, soft_law=soft_law,
        status_code=int(code),
    )  # fmt: skip


def fit_downstreams(
    evals: pd.DataFrame,
    *,
    floor: float | Mapping[str, float] | None = None,
    fit_below: float = FIT_BELOW,
    asymptote: Asymptote | float = "free",
    ceiling: float | None = None,
) -> dict[str, DownstreamFit]:
    """Fit every task of a table from `delphi.read_evals`.

    Parameters
    ----------
    evals : pandas.DataFrame
        Columns task, model, compute, soft, hard, n_problems, pool.
    floor : float or mapping of task to float, optional
        What chance scores; known for MMLU, HumanEval and GSM8K.
    fit_below, asymptote, ceiling
        As in `fit_downstream`.

    Returns
    -------
    dict of task to DownstreamFit

    Raises
    ------
    DataError
        As `fit_downstream`, with the task in front; or a task whose floor is not known.

    Examples
    --------
    >>> evals = _demo().assign(task="demo", model="", n_problems=14042, pool=False)
    >>> fits = fit_downstreams(evals, floor=0.25)
    >>> list(fits), fits["demo"].status
    (['demo'], 'ok')
    """
    from .evals import BENCHMARKS

    rows = frame_columns(evals, ["task", "model", "compute", "soft", "hard", "n_problems", "pool"])
    if rows.empty:
        raise DataError("evals: no rows")
    fits = {}
    for task, own in rows.groupby("task", sort=False):
        name = str(task)
        chance = floor.get(name) if isinstance(floor, Mapping) else floor
        if chance is None:
            chance = next((b["floor"] for k, b in BENCHMARKS.items() if name.startswith(k)), None)
        if chance is None:
            raise DataError(f"{name}: what chance scores is not known; give floor=")
        external = own["pool"].to_numpy(bool)
        try:
            fits[name] = fit_downstream(
                own[~external], own[external] if external.any() else None, floor=chance,
                n_problems="n_problems", fit_below=fit_below, asymptote=asymptote,
                ceiling=ceiling, task=name,
            )  # fmt: skip
        except DataError as error:
            raise DataError(f"{name}: {error}") from None
    return fits
