"""Joint fits of learning curves: many runs at once, sharing what mix, rate and compute do."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .arrays import checked_level, floats, frame_columns
from .conformal import conformal
from .curveforms import FORMS, LOSSES, MODELS
from .errors import DataError
from .jointgroups import (
    JointOptions,
    curves_of,
    fit_group,
    joint_options,
    read_joint,
    scope_groups,
)
from .jointterms import RunTerms
from .provenance import HasCard, from_arrays, with_origin
from .status import HasStatus, bits, status_texts, warn_about
from .trajectories import PREFIXES, ROUNDING, CurveColumns, Trajectories

__all__ = ["JointCurves", "fit_joint_curves"]

Floats = NDArray[np.float64]
RIDGE = 1e-6


@dataclass(frozen=True, eq=False)
class JointCurves(HasStatus, HasCard):
    """Curves loss(tau) = F(z) + A(z) s(tau; theta(z)) of many runs, fitted together.

    Attributes
    ----------
    scope : str
        "global": one fit over all runs; "per-flop": one for each compute.
    fits : pandas.DataFrame
        One row a fit: group (compute of a per-flop fit, else "all"), prefix, form, loss, n, n_runs,
        n_terms, objective (mean of the chosen loss), penalty, delta, gap (of an mae fit: how far F
        and A can be from its minimum at their theta), iterations, status, status_code.
    coefficients : pandas.DataFrame
        group, prefix, form, loss, parameter ("F", "A", "ln theta_0", "ln theta_1"), and a column
        a term; NaN where a form has no such parameter or a group no such term.
    predictions : pandas.DataFrame
        One row a run, prefix and method, in the form that `delphi.score_curves` and
        `delphi.search_configs` take. "joint-power-mae" forecasts F(z); with "-anchored" the
        median residual at the last three points of the prefix is added: the run keeps its distance
        from what its recipe says. low and high are conformal: errors of the same method at
        the same prefix on the other finished runs, at ``level``.
    dropped : pandas.DataFrame
        Terms that were dropped: group, term, reason.
    left_out : pandas.DataFrame
        Runs that no fit has seen: run, reason.
    by : dict
        Columns: run, mix, lr, flops.
    """

    scope: str
    theta: str
    ridge: float
    level: float
    fits: pd.DataFrame
    coefficients: pd.DataFrame
    predictions: pd.DataFrame
    dropped: pd.DataFrame
    left_out: pd.DataFrame
    by: dict[str, Any]
    terms: dict[Any, RunTerms] = field(repr=False)

    @property
    def status_code(self) -> int:  # type: ignore[override]
        """0 if every fit is ok; the first failure if all failed; else the OR of the warnings."""
        codes = self.fits["status_code"].to_numpy()
        if (codes < 0).all():
            return int(codes[0])
        return int(np.bitwise_or.reduce(codes[codes >= 0]))

    def predict(
        self, runs: Any, tau: Any = 1.0, *, prefix: float, form: str, loss: str = "huber"
    ) -> Floats:
        """Loss of recipes, seen or not, at a progress.

        Parameters
        ----------
        runs : DataFrame
            One row a recipe, with the columns of mix, learning rate and compute of the fit.
        tau : float or array_like
            Progress in [0, 1], one number or one a row; 1 is the final loss.
        prefix, form, loss
            Which fit.

        Returns
        -------
        numpy.ndarray
            NaN for a compute that a per-flop fit has not seen.

        Raises
        ------
        DataError
            No such fit, missing columns, a progress outside [0, 1].
        """
        at = np.asarray(floats(tau, "tau"))
        if not ((at >= 0) & (at <= 1)).all():
            raise DataError(f"tau: expected numbers in [0, 1], got {tau!r}")
        mixes = [self.by["mix"]] if isinstance(self.by["mix"], str) else list(self.by["mix"] or [])
        names = [*mixes, *(self.by[k] for k in ("lr", "flops") if self.by[k] is not None)]
        table = frame_columns(runs, names).reset_index(drop=True)
        own = self.coefficients
        own = own[np.isclose(own["prefix"], prefix) & (own["form"] == form) & (own["loss"] == loss)]
        if own.empty:
            raise DataError(f"no fit of prefix {prefix!r}, form {form!r} and loss {loss!r}")
        groups = table[self.by["flops"]].to_numpy() if self.scope == "per-flop" else ["all"]
        at = np.broadcast_to(at, len(table))
        out = np.full(len(table), np.nan)
        for group, part in own.groupby("group", sort=False):
            rows = np.flatnonzero(np.broadcast_to(np.asarray(groups) == group, len(table)))
            if len(rows):
                terms = self.terms[group]
                block = part.set_index("parameter")[list(terms.names)].to_numpy(float)
                F, A, t0, t1 = curves_of(block, terms(table.iloc[rows]), form)
                with np.errstate(invalid="ignore"):
                    out[rows] = MODELS[form](at[rows], F, A, t0, t1)
        return out

    def interval(self, *, level: float | None = None) -> pd.DataFrame:
        """Conformal intervals of all forecasts at a level (that of the fit by default).

        Returns
        -------
        pandas.DataFrame
            `predictions` with other low, high and level; NaN with fewer than
            ``level / (1 - level)`` other finished runs.
        """
        chosen = self.level if level is None else checked_level(level)
        return _with_intervals(self.predictions, chosen)

    def to_frame(self) -> pd.DataFrame:
        """The fits, one row each."""
        return self.fits.copy()

    def to_dict(self) -> dict[str, Any]:
        """Scope, options, fits and what was dropped as plain values."""
        return {
            "scope": self.scope, "theta": self.theta, "ridge": self.ridge, "status": self.status,
            "fits": self.fits.to_dict("records"), "dropped": self.dropped.to_dict("records"),
            "left_out": self.left_out.to_dict("records"),
        }  # fmt: skip

    @property
    def equation(self) -> str:
        """The law as one line of text."""
        return "loss = F(z) + A(z) s(tau; theta" + ("(z))" if self.theta == "linear" else ")")

    def summary(self) -> str:
        """A few lines for a person."""
        good = self.fits[self.fits["status_code"] >= 0]
        lines = [
            f"{self.equation}, {self.scope}: {len(self.fits)} fits, {len(good)} usable",
            f"  {int(self.fits['n_runs'].max())} runs, {int(self.fits['n_terms'].max())} terms,"
            f" ridge {self.ridge:g}",
        ]
        known = self.predictions.dropna(subset=["abs_error"])
        if len(known):
            mae = known.groupby(["prefix", "method"])["abs_error"].mean()
            for prefix in mae.index.get_level_values("prefix").unique():
                part = mae[prefix]
                lines.append(f"  prefix {prefix:g}: lowest mae {part.min():.4g} ({part.idxmin()})")
        if len(self.dropped):
            names = ", ".join(dict.fromkeys(self.dropped["term"]))
            lines.append(f"  dropped: {names}")
        return "\n".join([*lines, f"  status: {self.status}"])

    def plot(self, *, prefix: float | None = None, form: str | None = None) -> Any:
        """Forecast against actual final losses, as a plotly figure; see `delphi.figures`."""
        from . import figures

        return figures.joint_forecasts(self, prefix=prefix, form=form)

    def __repr__(self) -> str:
        return (
            f"JointCurves({self.equation}, {self.scope}, {len(self.fits)} fits,"
            f" status={self.status!r})"
        )

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self.summary())}</pre>"

    def _card_fields(self) -> dict[str, Any]:
        from .jointcard import joint_fields

        return joint_fields(self)


def fit_joint_curves(
    frame: Any,
    *,
    run: str = "run",
    progress: str | None = None,
    step: str = "step",
    total: str | float | None = None,
    loss: str = "loss",
    mix: str | Sequence[str] | None = "mix",
    lr: str | None = "lr",
    flops: str | None = "scale",
    scope: str = "global",
    forms: str | Sequence[str] = FORMS,
    losses: str | Sequence[str] = LOSSES,
    prefixes: Sequence[float] = PREFIXES,
    theta: str = "shared",
    interactions: bool = True,
    ridge: float = RIDGE,
    delta: float | None = None,
    min_progress: float = 0.0,
    level: float = 0.9,
    n_threads: int | None = None,
    bar: bool = False,
) -> JointCurves:
    """Fit the learning curves of many runs at once, up to each prefix, and forecast their ends.

    F, A and (with ``theta="linear"``) ln theta are linear in terms z of the run: effects of the
    mix, log lr and its square, log FLOPs and its square, and their products. Everything up to a
    prefix is fitted together, so that runs lend each other what their recipes share.

    Parameters
    ----------
    frame : DataFrame (pandas, polars, pyarrow)
        One row a point, in any order.
    run, loss : str
        Columns that name the run and hold its loss.
    progress, step, total
        Progress as in `delphi.fit_curves`.
    mix : str or sequence of str, optional
        Column of the data mix: labels get an effect each, numbers (shares) enter as they are.
    lr, flops : str, optional
        Columns of the peak learning rate and of compute (FLOPs), > 0; their logarithms enter.
    scope : {"global", "per-flop"}
        One fit over all runs, or one for each compute, without the terms of compute.
    forms, losses
        Shapes and losses, as in `delphi.fit_curves`.
    prefixes : sequence of float
        Fit on progress up to each of these, in (0, 1].
    theta : {"shared", "linear"}
        One shape for all runs, or ln theta linear in mix, log lr and log FLOPs.
    interactions : bool
        Include products of mix, log lr and log FLOPs.
    ridge : float
        Penalty ridge / 2 times the sum of squares of the coefficients of all terms but the
        intercepts, on terms of unit scale, beside the mean of the loss.
    delta : float, optional
        Of Huber's loss; 1.345 times the robust scatter about the curves by default.
    min_progress : float
        Leave out points below this progress (warm-up).
    level : float
        Level of the predictive intervals.
    n_threads : int, optional
        Threads; the CPUs available by default.
    bar : bool
        Show a progress bar.

    Returns
    -------
    JointCurves

    Raises
    ------
    DataError
        Missing columns, text for numbers, a bad option, no run left.

    Warns
    -----
    FitWarning
        One count for every status that is not "ok".

    Notes
    -----
    theta is scanned with F and A solved for (variable projection; Golub and Pereyra 1973), then
    everything is refined together by Newton steps on Huber's loss (Huber 1964). The mean absolute
    error is followed through Huber losses of falling delta (Clark and Osborne 1986; Madsen and
    Nielsen 1993), which bounds how far it is from its minimum in F and A. Terms that are constant
    or follow from others are dropped and named in ``dropped``.

    Examples
    --------
    >>> import delphi
    >>> runs = delphi.simulate.curves(rng=0)
    >>> joint = delphi.fit_joint_curves(runs, prefixes=[0.3], forms="power", losses="huber")
    >>> best = joint.predictions
    >>> bool(best["abs_error"].mean() < 0.02)
    True
    """
    options = joint_options(
        mix, lr, flops, scope, forms, losses, prefixes, theta, interactions, ridge, delta,
        min_progress, n_threads,
    )  # fmt: skip
    runs = read_joint(frame, CurveColumns(run, progress, step, total, loss), options)
    seen = np.array([runs.offsets[r + 1] > runs.offsets[r] for r in range(len(runs))], bool)
    use = seen & ~runs.diverged
    if not use.any():
        raise DataError("no run with points is left")
    fits, coefficients, predictions, dropped, terms = [], [], [], [], {}
    for group, rows in scope_groups(runs, options):
        members = rows[use[rows]]
        if not len(members):
            continue
        part = fit_group(runs, members, members, options, bar=bar)
        terms[group] = part.terms
        fits.append(part.fits.assign(group=group))
        coefficients.append(part.coefficients.assign(group=group))
        predictions.append(part.predictions.assign(group=group))
        dropped += [(group, name, why) for name, why in part.terms.dropped.items()]
    whole = pd.concat(fits, ignore_index=True)
    left = pd.DataFrame(
        {
            run: runs.keys.loc[~use, run].to_numpy(),
            "reason": np.where(runs.diverged[~use], "diverged", "no points"),
        }
    )
    code = whole["status_code"].to_numpy()
    code = np.where((code >= 0) & (len(left) > 0), code | bits("runs_left_out"), code)
    if runs.early[use].any():
        code = np.where(code >= 0, code | bits("ends_early"), code)
    lost = pd.DataFrame(dropped, columns=["group", "term", "reason"])
    named = whole["group"].isin(lost.loc[lost["reason"].ne("constant"), "group"])
    code = np.where((code >= 0) & named, code | bits("terms_dropped"), code)
    whole["status_code"], whole["status"] = code, status_texts(code)
    ahead = ["group", "prefix", "form", "loss"]
    result = JointCurves(
        scope, theta, options.ridge, checked_level(level),
        whole[[*ahead, *(c for c in whole if c not in ahead)]],
        pd.concat(coefficients, ignore_index=True).pipe(
            lambda t: t[[*ahead, "parameter", *(c for c in t if c not in {*ahead, "parameter"})]]
        ),
        _with_intervals(pd.concat(predictions, ignore_index=True), checked_level(level)),
        lost, left, {"run": run, "mix": mix, "lr": lr, "flops": flops}, terms,
    )  # fmt: skip
    warn_about(whole["status_code"], "joint fits")
    how: dict[str, Any] = {
        "scope": scope, "theta": theta, "interactions": interactions, "ridge": options.ridge,
    }  # fmt: skip
    origin = _origin(runs, use, options, frame_columns(frame, [loss])[loss], how)
    return with_origin(result, origin)


def _origin(
    runs: Trajectories, use: Any, options: JointOptions, losses: pd.Series, how: dict[str, Any]
) -> Any:
    """Points up to the last prefix of the runs in the fits, and what was not among them."""
    own = np.repeat(use, np.diff(runs.offsets))
    late = own & (runs.tau > options.cuts[-1] + ROUNDING)
    warm = own & (runs.tau < options.least - ROUNDING)
    inside = own & ~late & ~warm
    gone = {
        "of a run that diverged": int((~own).sum()),
        "without a finite step or loss": int(runs.left_out.sum()),
        "before min_progress": int(warm.sum()), "beyond the last prefix": int(late.sum()),
    }  # fmt: skip
    points = {"progress": runs.tau[inside], "loss": runs.loss[inside]}
    return from_arrays(points, {"loss": losses}, left_out=gone, **how)


def _with_intervals(predictions: pd.DataFrame, level: float) -> pd.DataFrame:
    """Low and high of every forecast from the errors of its method on the other runs."""
    table = predictions.drop(columns=["low", "high", "level", "n_calibration"], errors="ignore")
    reach = np.full(len(table), np.nan)
    others = np.zeros(len(table), np.int64)
    error = table["abs_error"].to_numpy(float)
    for rows in table.groupby(["method", "prefix"], sort=False).indices.values():
        reach[rows], others[rows] = conformal(error[rows], level)
    place = cast(int, table.columns.get_loc("abs_error"))
    predicted = table["predicted_final"].to_numpy(float)
    for name, values in (
        ("n_calibration", others), ("level", level), ("high", predicted + reach),
        ("low", predicted - reach),
    ):  # fmt: skip
        table.insert(place + 1, name, values)
    return table
