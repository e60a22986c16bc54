"""One cell of a sweep: its process, curves, importances and best setting."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .bestsetting import best_setting
from .errors import DataError
from .partial import PartialDependence, gp_partial_dependence, kernel_parts, y_scale
from .processes import Kernel, fit_process
from .status import HasStatus, bits, code_of
from .trials import Hyperparameter, diverged

__all__ = ["SweepCell", "fit_cell"]

Column = NDArray[np.float64]
COARSE = 17  # grid values at which the uncertainty of the kernel is worked out
LARGEST = 1e100  # loss; the variance of larger ones may overflow
EDGE = 0.01  # of the range of the trials: nearer to its ends counts as at them
CURVES = ("hparam", "value", "x", "mean", "sd", "low", "high", "supported")
RULES = ("hparam", "value", "x", "inside", "mean", "sd")
BEST = ("hparam", "value", "low", "high", "at_edge", "reaches_edge")
IMPORTANCE = ("hparam", "importance", "share", "rise", "length_scale")


@dataclass(frozen=True, eq=False)
class SweepCell(HasStatus):
    """What the trials of one cell say about each hyperparameter.

    Attributes
    ----------
    key : dict
        Values of the ``by`` columns.
    n, n_used, n_diverged, n_unusable : int
        Trials; those of the fit, those the rule of divergence took out, and those with a missing
        hyperparameter or loss.
    curves : pandas.DataFrame
        hparam, value, x (place on its axis), mean, sd, low and high (mean -+ sd), supported (within
        the trials). The band is that of the average loss, without noise.
    rules : pandas.DataFrame
        hparam, value, x, inside (within the trials), mean, sd at the rule's values.
    importance : pandas.DataFrame
        hparam, importance (sd of the curve over the trials, in loss), share of their sum, rise
        (highest less lowest of the curve within the trials), length_scale (in sd of the trials).
    best : pandas.DataFrame
        hparam, value at the lowest loss of the fitted surface within the trials, low and high (the
        middle 68% of where draws of the surface have theirs), at_edge (the value is at an end of
        the trials), reaches_edge (low or high is: the best setting may lie beyond them).
    best_loss, best_loss_sd : float
        Loss there, without noise.
    best_trial : dict
        The trial with the lowest loss: row, loss, hyperparameters.
    noise_sd, amplitude_sd : float
        Of the process, in loss.
    evidence : float
        Log evidence of the process (of the normalised losses).
    diverged_rule : str
        By which trials were taken out.
    method : str
        "core", or "predict: " and why.
    trials : pandas.DataFrame
        row, the hyperparameters, loss, used.
    status, status_code : str, int
    """

    key: dict[str, Any]
    hparams: tuple[Hyperparameter, ...]
    n: int
    n_used: int
    n_diverged: int
    n_unusable: int
    curves: pd.DataFrame
    rules: pd.DataFrame
    importance: pd.DataFrame
    best: pd.DataFrame
    best_loss: float
    best_loss_sd: float
    best_trial: dict[str, Any]
    noise_sd: float
    amplitude_sd: float
    evidence: float
    diverged_rule: str
    method: str
    status_code: int
    trials: pd.DataFrame = field(repr=False)
    gp: Any = field(default=None, repr=False)
    centre: Column | None = field(default=None, repr=False)
    spread: Column | None = field(default=None, repr=False)
    varying: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain Python values: the tables as lists of records."""
        numbers = ("n", "n_used", "n_diverged", "n_unusable", "best_loss", "best_loss_sd",
                   "noise_sd", "amplitude_sd", "evidence")  # fmt: skip
        tables = ("curves", "rules", "importance", "best")
        return {
            "key": dict(self.key), **{name: getattr(self, name) for name in numbers},
            "best_trial": dict(self.best_trial), "diverged_rule": self.diverged_rule,
            "method": self.method, "status": self.status, "status_code": self.status_code,
            **{name: getattr(self, name).to_dict("records") for name in tables},
        }  # fmt: skip

    def summary(self) -> str:
        """A few lines for a person."""
        name = ", ".join(f"{k} = {v}" for k, v in self.key.items()) or "all trials"
        lines = [
            f"{name}: {self.n_used} of {self.n} trials used, {self.n_diverged} diverged "
            f"({self.diverged_rule})"
        ]
        if self.ok:
            lines.append(f"  best loss {self.best_loss:.4f} (sd {self.best_loss_sd:.2g}), noise sd"
                         f" {self.noise_sd:.2g}")  # fmt: skip
            lines += [
                f"  {row.hparam:14} best {row.value:.4g}  [{row.low:.4g}, {row.high:.4g}] (68%)"
                + (
                    "  at the edge of the trials"
                    if row.at_edge
                    else "  reaches the edge of the trials"
                    if row.reaches_edge
                    else ""
                )
                for row in self.best.itertuples(index=False)
            ]
        return "\n".join([*lines, f"  status: {self.status}"])

    def plot(self, *, mobile: bool = False) -> Any:
        """The curves of this cell alone: `delphi.figures.hparam_scaling`."""
        from . import figures
        from .sweeps import Sweep

        rule = "rule" if len(self.rules) else None
        alone = Sweep((self,), tuple(self.key), self.hparams, "loss", rule, "")
        return figures.hparam_scaling(alone, mobile=mobile)

    def __repr__(self) -> str:
        return f"SweepCell({self.key!r}, n_used={self.n_used}, status={self.status!r})"

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self.summary())}</pre>"

    def predict(self, settings: Any) -> pd.DataFrame:
        """Loss of settings, without noise.

        Parameters
        ----------
        settings : DataFrame or mapping
            A column for each hyperparameter that varies in the cell.

        Returns
        -------
        pandas.DataFrame
            mean, sd, supported (every value within the trials).

        Raises
        ------
        DataError
            No fit, a missing column, or a value outside a hyperparameter's axis.
        """
        if not self.ok:
            raise DataError(f"no fit to predict with: {self.status}")
        table = pd.DataFrame(settings)
        used = self.trials.loc[self.trials["used"]]
        columns, inside = [], np.ones(len(table), bool)
        for h in self.hparams:
            if h.name not in self.varying:
                continue
            if h.name not in table:
                raise DataError(f"missing column {h.name!r}")
            values = np.asarray(table[h.name], float)
            if not h.inside(values).all():
                raise DataError(f"{h.name}: a value outside its axis ({h.scale})")
            columns.append(h.forward(values))
            inside &= (values >= used[h.name].min()) & (values <= used[h.name].max())
        z = (np.column_stack(columns) - np.asarray(self.centre)) / np.asarray(self.spread)
        mean, sd = _noise_free(self.gp, z)
        return pd.DataFrame({"mean": mean, "sd": sd, "supported": inside})


def _noise_free(gp: Any, z: Column) -> tuple[Column, Column]:
    mean, sd = gp.predict(z, return_std=True)
    white = float(gp.kernel_.diag(z[:1])[0] - gp.kernel_(z[:1], z[:1])[0, 0])
    variance = sd**2 - white * y_scale(gp)[0] ** 2
    return mean, np.sqrt(np.maximum(variance, 0.0))


def fit_cell(
    key: dict[str, Any],
    trials: pd.DataFrame,
    hparams: Sequence[Hyperparameter],
    prescribed: Mapping[str, float],
    *,
    drop: str | float | None,
    kernel: Kernel,
    n_restarts: int,
    n_grid: int,
    seed: int,
) -> SweepCell:
    """Fit one cell; trials has columns row, the hyperparameters and loss, missing values as NaN."""
    values = trials[[h.name for h in hparams]].to_numpy(float)
    loss = trials["loss"].to_numpy(float)
    whole = ~(np.isnan(values).any(axis=1) | np.isnan(loss))
    x = np.column_stack([h.forward(values[whole, j]) for j, h in enumerate(hparams)])
    bad, words = diverged(x, loss[whole], drop)
    used = whole.copy()
    used[whole] = ~bad
    x, y = x[~bad], loss[used]
    varying = [j for j in range(len(hparams)) if len(x) and np.ptp(x[:, j]) > 0]
    table = trials.assign(used=used)
    counts = {
        "n": len(trials), "n_used": len(y), "n_diverged": int(bad.sum()),
        "n_unusable": int((~whole).sum()), "diverged_rule": words, "trials": table,
        "key": key, "hparams": tuple(hparams),
    }  # fmt: skip
    distinct = len(np.unique(x, axis=0)) if len(x) else 0
    if whole.any() and not len(y):
        return _failed(counts, "all_diverged")
    if len(y) > 2 and not varying:
        return _failed(counts, "equal_x")
    if distinct < len(varying) + 3:  # amplitude, noise and mean beside the length scales
        return _failed(counts, "too_few_points")
    if np.abs(y).max() > LARGEST:
        return _failed(counts, "bad_value")
    if not np.ptp(y) > 0:
        return _failed(counts, "constant_loss")
    x = x[:, varying]
    kept = [hparams[j] for j in varying]
    centre, spread = x.mean(axis=0), x.std(axis=0)
    z = (x - centre) / spread
    process = fit_process(z, y, kernel, n_restarts, seed)
    names: list[str] = [] if len(kept) == len(hparams) else ["constant_hparam"]
    if np.linalg.matrix_rank(z, tol=1e-9 * np.sqrt(len(z))) < len(kept):
        names.append("collinear_hparams")
    if len(y) < 5 * len(kept):
        names.append("few_trials")
    names += ["length_at_bound"] if "length_scale" in process.at_bound else []
    names += ["kernel_at_bound"] if {"amplitude", "noise"} & set(process.at_bound) else []

    marks = np.full(len(kept), np.nan)
    for i, h in enumerate(kept):
        given = prescribed.get(h.name)
        if given is not None and h.inside(given):
            marks[i] = (h.forward(given) - centre[i]) / spread[i]
    lo, hi = z.min(axis=0), z.max(axis=0)
    first, last = np.fmin(lo, marks), np.fmax(hi, marks)
    grid = np.linspace(first, last, n_grid, axis=1)
    asked = np.column_stack((grid, np.where(np.isnan(marks), first, marks)))
    drawn = _curves(process.gp, process.directions, asked, kernel == "notebook")

    curves, rules = [], []
    for i, h in enumerate(kept):
        places = grid[i] * spread[i] + centre[i]
        mean, sd = drawn.mean[i, :-1], drawn.sd[i, :-1]
        inside = (grid[i] >= lo[i] - 1e-12) & (grid[i] <= hi[i] + 1e-12)
        frame = {"hparam": h.name, "value": h.inverse(places), "x": places, "mean": mean, "sd": sd,
                 "low": mean - sd, "high": mean + sd, "supported": inside}  # fmt: skip
        curves.append(pd.DataFrame(frame, columns=list(CURVES)))
        if np.isfinite(marks[i]):
            within = bool(lo[i] <= marks[i] <= hi[i])
            rules.append((h.name, prescribed[h.name], marks[i] * spread[i] + centre[i], within,
                          drawn.mean[i, -1], drawn.sd[i, -1]))  # fmt: skip
    if any(not rule[3] for rule in rules):
        names.append("rule_outside")
    parts = kernel_parts(process.gp.kernel_, len(kept))
    assert not isinstance(parts, str)
    scale = y_scale(process.gp)[0]
    importance = _importance(kept, z, grid, drawn.mean[:, :-1], lo, hi, parts.length_scale)
    best, best_loss, best_sd = _best(process.gp, kept, z, centre, spread, seed)
    if best["at_edge"].any():
        names.append("best_at_edge")
    lowest = int(np.flatnonzero(used)[np.argmin(y)])
    return SweepCell(
        **counts, curves=pd.concat(curves, ignore_index=True),
        rules=pd.DataFrame(rules, columns=list(RULES)), importance=importance, best=best,
        best_loss=best_loss, best_loss_sd=best_sd,
        best_trial={name: trials.iloc[lowest][name] for name in trials.columns},
        noise_sd=float(np.sqrt(parts.noise)) * scale,
        amplitude_sd=float(np.sqrt(parts.amplitude)) * scale, evidence=process.evidence,
        method=drawn.method, status_code=bits(*names), gp=process.gp, centre=centre, spread=spread,
        varying=tuple(h.name for h in kept),
    )  # fmt: skip


def _failed(counts: dict[str, Any], name: str) -> SweepCell:
    tables = {"curves": CURVES, "rules": RULES, "importance": IMPORTANCE, "best": BEST}
    empty = {name: pd.DataFrame(columns=list(columns)) for name, columns in tables.items()}
    nothing: dict[str, Any] = dict.fromkeys(
        ("best_loss", "best_loss_sd", "noise_sd", "amplitude_sd", "evidence"), float("nan")
    )
    return SweepCell(
        **counts, **empty, **nothing, best_trial={}, method="none", status_code=code_of(name)
    )


def _curves(gp: Any, directions: Column, asked: Column, noise: bool) -> PartialDependence:
    """Curves with the band of the process, and what the kernel's own uncertainty adds to it.

    The mean moves as the log kernel parameters do: to first order by its derivative times one
    standard deviation, direction by direction (Kass and Steffey 1989).
    """
    from . import _core

    drawn = gp_partial_dependence(gp, asked, noise=noise, n_threads=1)
    if not len(directions) or drawn.method != "core":
        return drawn
    parts = kernel_parts(gp.kernel_, len(asked))
    assert not isinstance(parts, str)
    coarse = np.linspace(asked.min(axis=1), asked.max(axis=1), COARSE, axis=1)
    slopes, code = _core.partial_dependence_slopes(
        gp.X_train_.ravel(), gp.y_train_, coarse.ravel(), kernel=parts.shape,
        amplitude=parts.amplitude, length_scale=parts.length_scale,
        noise=parts.noise + float(gp.alpha),
    )  # fmt: skip
    assert code == 0  # as the same process has been factored
    moved = np.einsum("sp,jpg->jsg", directions, slopes) * y_scale(gp)[0]
    extra = np.sqrt((moved**2).sum(axis=1))
    added = np.array([np.interp(a, c, e) for a, c, e in zip(asked, coarse, extra, strict=True)])
    return drawn._replace(sd=np.sqrt(drawn.sd**2 + added**2))


def _importance(
    kept: Sequence[Hyperparameter],
    z: Column,
    grid: Column,
    mean: Column,
    lo: Column,
    hi: Column,
    length_scale: Column,
) -> pd.DataFrame:
    """Spread of each curve over the trials (Greenwell, Boehmke and McCarthy 2018)."""
    sds, rises = [], []
    for i in range(len(kept)):
        within = mean[i][(grid[i] >= lo[i] - 1e-12) & (grid[i] <= hi[i] + 1e-12)]
        sds.append(float(np.std(np.interp(z[:, i], grid[i], mean[i]))))
        rises.append(float(np.ptp(within)))
    total = sum(sds)
    frame = {"hparam": [h.name for h in kept], "importance": sds,
             "share": [s / total if total > 0 else np.nan for s in sds], "rise": rises,
             "length_scale": length_scale}  # fmt: skip
    return pd.DataFrame(frame, columns=list(IMPORTANCE))


def _best(
    gp: Any,
    kept: Sequence[Hyperparameter],
    z: Column,
    centre: Column,
    spread: Column,
    seed: int,
) -> tuple[pd.DataFrame, float, float]:
    """Where the surface is lowest within the trials, and where draws of it are."""
    lowest, drawn = best_setting(gp, seed)
    mean, sd = _noise_free(gp, lowest[None, :])
    lo, hi = z.min(axis=0), z.max(axis=0)
    near = EDGE * (hi - lo)
    ends = np.quantile(drawn, [0.16, 0.84], axis=0)
    rows = []
    for i, h in enumerate(kept):
        edge = min(lowest[i] - lo[i], hi[i] - lowest[i]) < near[i]
        reaches = min(ends[0, i] - lo[i], hi[i] - ends[1, i]) < near[i]
        at, low, high = h.inverse(np.array([lowest[i], *ends[:, i]]) * spread[i] + centre[i])
        rows.append((h.name, at, *sorted((low, high)), bool(edge), bool(reaches)))
    return pd.DataFrame(rows, columns=list(BEST)), float(mean[0]), float(sd[0])
