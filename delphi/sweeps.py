"""Hyperparameter sweeps: how much each knob matters, and where a scaling rule stands on it."""

from __future__ import annotations

import html
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pandas as pd

from . import cells as cell_words
from .arrays import frame_columns
from .describe import status_fields
from .errors import DataError
from .groups import group_rows
from .processes import KERNELS, Kernel, without_sklearn
from .provenance import HasCard, from_arrays, with_origin
from .rules import ScalingRule
from .status import HasStatus, status_names, warn_about
from .sweepcell import SweepCell, fit_cell
from .threads import thread_count
from .trials import Hyperparameter, hyperparameters

__all__ = ["Sweep", "SweepCell", "fit_sweep"]


@dataclass(frozen=True, eq=False)
class Sweep(HasStatus, HasCard):
    """Gaussian-process fits of the cells of a hyperparameter sweep.

    Attributes
    ----------
    cells : tuple of SweepCell
        In the order of their keys.
    by, hparams, metric : tuple of str, tuple of Hyperparameter, str
    rule : str or None
        Name of the scaling rule that was compared.
    kernel : str
    status, status_code : str, int
        "ok" if a cell could be fitted; otherwise the failure of the first.
    """

    cells: tuple[SweepCell, ...]
    by: tuple[str, ...]
    hparams: tuple[Hyperparameter, ...]
    metric: str
    rule: str | None
    kernel: str
    options: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def status_code(self) -> int:  # type: ignore[override]
        """0 if a cell could be fitted, else the failure of the first cell."""
        return 0 if any(c.ok for c in self.cells) else self.cells[0].status_code

    def cell(self, **key: Any) -> SweepCell:
        """The cell with these values of the ``by`` columns.

        Raises
        ------
        DataError
            None or several cells match; lists what there is.
        """
        found = [c for c in self.cells if all(c.key.get(k) == v for k, v in key.items())]
        if len(found) != 1:
            raise DataError(f"{len(found)} cells match {key!r}; there are {self._keys()}")
        return found[0]

    def _keys(self) -> str:
        shown = "; ".join(str(c.key) for c in self.cells[:6])
        return shown + (f"; and {len(self.cells) - 6} more" if len(self.cells) > 6 else "")

    def _joined(self, name: str) -> pd.DataFrame:
        parts = [
            part.assign(**cast(Any, c.key))[[*self.by, *part.columns]]
            for c in self.cells
            if len(part := getattr(c, name))
        ]
        empty = getattr(self.cells[0], name)
        return pd.concat(parts, ignore_index=True) if parts else empty.copy()

    @property
    def curves(self) -> pd.DataFrame:
        """Partial dependence of every cell: its key, then the columns of `SweepCell.curves`."""
        return self._joined("curves")

    @property
    def rules(self) -> pd.DataFrame:
        """The rule's values in every cell, whether they lie within the trials, and the loss."""
        return self._joined("rules")

    @property
    def importance(self) -> pd.DataFrame:
        """Importance of every hyperparameter in every cell, in units of loss."""
        return self._joined("importance")

    @property
    def best(self) -> pd.DataFrame:
        """The best setting of every cell, with the middle 68% of where it may be."""
        return self._joined("best")

    def predict(self, settings: Any, **key: Any) -> pd.DataFrame:
        """Loss of settings in one cell, without noise: `SweepCell.predict` of `cell`."""
        return self.cell(**key).predict(settings)

    def interval(self, hparam: str, **key: Any) -> pd.DataFrame:
        """The curve of one hyperparameter in one cell, with its band of one standard deviation.

        Raises
        ------
        DataError
            No such cell, or no curve of that hyperparameter in it.
        """
        curves = self.cell(**key).curves
        own = curves[curves["hparam"] == hparam].reset_index(drop=True)
        if own.empty:
            raise DataError(f"no curve of {hparam!r} in this cell")
        return own.assign(level=0.6827, kind="mean")

    def to_frame(self) -> pd.DataFrame:
        """One row a cell: key, trials by outcome, noise, best loss and setting, status."""
        rows = []
        for c in self.cells:
            best = dict(zip(c.best["hparam"], c.best["value"], strict=True))
            rows.append(
                c.key
                | {"n": c.n, "n_used": c.n_used, "n_diverged": c.n_diverged}
                | {"n_unusable": c.n_unusable, "noise_sd": c.noise_sd, "best_loss": c.best_loss}
                | {f"best_{h.name}": best.get(h.name, np.nan) for h in self.hparams}
                | {"status": c.status, "status_code": c.status_code}
            )
        return pd.DataFrame(rows)

    def to_dict(self) -> dict[str, Any]:
        """Plain Python values: the tables as lists of records."""
        tables = {n: getattr(self, n) for n in ("curves", "rules", "importance", "best")}
        return {
            "by": list(self.by), "metric": self.metric, "rule": self.rule, "kernel": self.kernel,
            "hparams": [{"name": h.name, "scale": h.scale} for h in self.hparams],
            "status": self.status, "cells": self.to_frame().to_dict("records"),
            **{name: table.to_dict("records") for name, table in tables.items()},
        }  # fmt: skip

    @property
    def equation(self) -> str:
        """The model as one line of text."""
        names = ", ".join(
            h.name if h.scale == "linear" else f"{h.scale.replace('x', h.name)}"
            if h.scale == "log(1 - x)" else f"log {h.name}" for h in self.hparams
        )  # fmt: skip
        return f"loss = GP({names}) + noise, {self.kernel}"

    def summary(self) -> str:
        """A few lines for a person."""
        good = [c for c in self.cells if c.ok]
        lines = [
            self.equation,
            f"  {len(self.cells)} cells, {len(good)} fitted; "
            f"{sum(c.n_used for c in self.cells)} trials used, "
            f"{sum(c.n_diverged for c in self.cells)} diverged, "
            f"{sum(c.n_unusable for c in self.cells)} unusable",
        ]
        if good:
            table = self.importance.groupby("hparam", sort=False)[["share", "rise"]].median()
            lines.append("  importance (median over cells): share of the total, rise in loss")
            lines += [
                f"    {name:14} {row.share:6.1%}  {row.rise:.3g}"
                for name, row in table.sort_values("share", ascending=False).iterrows()
            ]
        if self.rule and good:
            inside = self.rules["inside"].to_numpy(bool)
            lines.append(
                f"  {self.rule}: {inside.sum()} of {len(inside)} values lie within the trials"
            )
        lines.append(f"  status: {self.status}")
        return "\n".join(lines)

    def plot(self, **key: Any) -> Any:
        """Curves of all cells in one figure with menus: `delphi.figures.hparam_scaling`."""
        from . import figures

        return figures.hparam_scaling(self, start=key or None)

    def __repr__(self) -> str:
        return f"Sweep({self.equation}, {len(self.cells)} cells, status={self.status!r})"

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self.summary())}</pre>"

    def _card_fields(self) -> dict[str, Any]:
        good = [c for c in self.cells if c.ok]
        codes = [name for c in self.cells for name in status_names(c.status_code)]
        plain = self.kernel == "notebook"
        fields_ = status_fields(self.status_code) | {
            "law": "hyperparameter sweep",
            "form": "loss = f(hyperparameters) + noise, f a Gaussian process in each cell",
            "equation": self.equation if good else "no law",
            "variables": {h.name: f"on the axis {h.scale}, standardised in its cell"
                          for h in self.hparams} | {"loss": f"column {self.metric!r}"},
            "parameters": {
                ", ".join(f"{k} {v}" for k, v in c.key.items()) or "all trials": {
                    "noise_sd": c.noise_sd, "amplitude_sd": c.amplitude_sd,
                    **{f"length_scale {r.hparam}": r.length_scale
                       for r in c.importance.itertuples()},
                } for c in good
            } or "none",
            "fixed": {"amplitude": 1, "mean": 0} if plain else {"mean": "that of the losses"},
            "assumptions": ["the surface is stationary on the axes used", "noise has one variance",
                            "trials that diverged say nothing about the rest of the surface"],
            "points": "finished trials of the sweep, cell by cell",
            "n_points": sum(c.n_used for c in self.cells),
            "loss_changes": "none" if plain else "normalised in each cell",
            "objective": "marginal likelihood (evidence)", "space": "loss",
            "aggregate": "log density of all trials of a cell together",
            "weights": "every trial counts the same",
            "search": "L-BFGS-B on the logarithms of the kernel parameters",
            "start": f"a fixed one and {self.options.get('n_restarts')} at random in the bounds"
            + ("" if plain else ", at most: two that agree end the search"),
            "tolerance": "SciPy's defaults", "iterations": "not recorded",
            "bounds": "1e-5 to 1e5" if plain else {
                "amplitude": [1e-3, 1e5], "length_scale": [5e-2, 1e3], "noise": [1e-8, 1e1]},
            "options": {**self.options, "rule": self.rule or "none", "by": ", ".join(self.by)},
            "goodness": {"median_noise_sd": float(np.median([c.noise_sd for c in good]))
                         if good else None, "cells_fitted": len(good), "cells": len(self.cells)},
            "uncertainty": "one standard deviation of the averaged process"
            + (", noise of one average included" if plain else
               "; the kernel parameters' own, by a Laplace approximation, is part of it"),
        }  # fmt: skip
        counted = {name: f"{codes.count(name)} of {len(self.cells)} cells" for name in codes}
        return fields_ | {"status": counted}


def fit_sweep(
    frame: Any,
    *,
    hparams: Any,
    metric: str = "loss",
    by: str | Sequence[str] = (),
    rule: ScalingRule | None = None,
    rule_columns: Mapping[str, str] | None = None,
    diverged: str | float | None = "surface",
    kernel: Kernel = "matern52",
    n_restarts: int = 2,
    n_grid: int = 80,
    seed: int = 0,
    n_jobs: int | None = None,
    progress: bool = False,
) -> Sweep:
    """Fit a Gaussian process to the trials of each cell, and read off what each knob does.

    Parameters
    ----------
    frame : DataFrame (pandas, polars, pyarrow)
        One row a trial.
    hparams : sequence or mapping
        Columns of hyperparameters: names (on a log axis), (name, scale) pairs, a mapping of name to
        scale, or `delphi.Hyperparameter`; scales are "log", "linear" and "log(1 - x)".
    metric : str
        Column of the loss; lower is better. Infinite losses count as diverged.
    by : str or sequence of str
        Columns that name a cell (batch size, width, tokens); none puts all trials in one.
    rule : ScalingRule, optional
        Such as `delphi.CompletedAdamH()`: its value is marked on every curve.
    rule_columns : mapping, optional
        Which column holds each quantity the rule needs, by default one of its name; the median of
        the cell is taken.
    diverged : {"surface", "mad", "quantile"}, float or None
        Which trials to leave out: far above a robust surface, far above the median, above the 95%
        quantile, above a number, or none.
    kernel : {"matern52", "matern32", "rbf", "notebook"}
        Amplitude, one length scale for each hyperparameter, noise and normalised losses; or the
        notebook's: one length scale, amplitude 1, no mean, a band that includes noise.
    n_restarts : int
        Random starts of the kernel parameters beside the first, at most: two that agree are enough.
    n_grid : int
        Values of a curve.
    seed : int
        Of restarts, and of the draws for the best setting.
    n_jobs : int, optional
        Cells at a time (threads; joblib); the CPUs available by default.
    progress : bool
        Show a progress bar.

    Returns
    -------
    Sweep
        Cells with too few or no trials have a status and no curves.

    Raises
    ------
    DataError
        A missing column, text in one, a value its axis has no place for (a learning rate of 0, a
        beta of 1; named by row), or a wrong option.
    ImportError
        Without scikit-learn and joblib.

    Warns
    -----
    FitWarning
        One count for every status of a cell that is not "ok".

    References
    ----------
    C. E. Rasmussen and C. K. I. Williams, "Gaussian Processes for Machine Learning", MIT Press
    2006, chapter 5; J. Moosbauer et al., "Explaining Hyperparameter Optimization via Partial
    Dependence Plots", NeurIPS 2021; R. E. Kass and D. Steffey, "Approximate Bayesian Inference in
    Conditionally Independent Hierarchical Models", JASA 84 (1989), the kernel's part of the band.

    Examples
    --------
    >>> import delphi
    >>> trials = delphi.simulate_sweep(n_trials=60, cells=1, rng=1).trials
    >>> sweep = fit_sweep(trials, hparams=["lr", "adam_lr"], n_jobs=1)
    >>> str(sweep.importance.sort_values("share").iloc[-1]["hparam"])
    'lr'
    """
    knobs = hyperparameters(hparams)
    labels = [by] if isinstance(by, str) else list(by)
    _checked(kernel, n_restarts, n_grid, seed, diverged)
    names = [h.name for h in knobs]
    if metric in names or set(labels) & {*names, metric} or len(set(labels)) < len(labels):
        raise DataError("hparams, metric and by must be different columns")
    sources = _rule_sources(rule, rule_columns)
    wanted = list(dict.fromkeys([*labels, *names, metric, *sources.values()]))
    table = frame_columns(frame, wanted)
    if table.empty:
        raise DataError("the frame has no rows")
    trials = _trials(table, knobs, metric)
    if labels:
        order, offsets, keys = group_rows(*(table[label] for label in labels), names=labels)
    else:
        order = np.arange(len(table))
        offsets, keys = np.array([0, len(table)]), pd.DataFrame(index=[0])
    given = {need: _numbers(table, name, strict=True) for need, name in sources.items()}
    jobs = []
    for g, key in enumerate(keys.to_dict("records")):
        rows = order[offsets[g] : offsets[g + 1]]
        cell = {str(k): v for k, v in key.items()}
        prescribed = {}
        if rule is not None:
            at = {need: float(np.median(values[rows])) for need, values in given.items()}
            said = {h.name: rule.value(h.name, at) for h in knobs}
            prescribed = {name: float(v) for name, v in said.items() if v is not None}
        jobs.append((cell, trials.iloc[rows].reset_index(drop=True), prescribed))
    options: dict[str, Any] = {"drop": diverged, "kernel": kernel, "n_restarts": n_restarts,
                               "n_grid": n_grid, "seed": seed}  # fmt: skip
    fitted = _in_parallel(jobs, knobs, options, thread_count(n_jobs), progress)
    sweep = Sweep(
        tuple(fitted), tuple(labels), knobs, metric, rule.name if rule is not None else None,
        kernel, {n: v for n, v in options.items() if n != "kernel"},
    )  # fmt: skip
    used = np.concatenate([c.trials.loc[c.trials["used"], "row"].to_numpy() for c in fitted])
    used = used.astype(np.int64) - 1
    columns = {n: trials[n].to_numpy(float)[used] for n in names}
    columns["loss"] = trials["loss"].to_numpy(float)[used]
    out = {"diverged": sum(c.n_diverged for c in fitted),
           "with a missing value": sum(c.n_unusable for c in fitted)}  # fmt: skip
    with_origin(sweep, from_arrays(
        columns, {n: table[n] for n in names} | {"loss": table[metric]}, left_out=out,
        **options,
    ))  # fmt: skip
    warn_about([c.status_code for c in fitted], "cells")
    return sweep


def _checked(kernel: str, n_restarts: int, n_grid: int, seed: int, diverged: Any) -> None:
    if kernel not in KERNELS:
        raise DataError(f"kernel: expected one of {KERNELS}, got {kernel!r}")
    for name, number, least in (("n_restarts", n_restarts, 0), ("n_grid", n_grid, 2),
                                ("seed", seed, 0)):  # fmt: skip
        whole = isinstance(number, (int, np.integer)) and not isinstance(number, bool)
        if not whole or not least <= number < 1 << 20:
            raise DataError(f"{name}: expected a whole number of at least {least}, got {number!r}")
    text = isinstance(diverged, str) and diverged in ("surface", "mad", "quantile")
    number = isinstance(diverged, (int, float)) and not isinstance(diverged, bool)
    if diverged is not None and not text and not number:
        raise DataError(
            f"diverged: expected 'surface', 'mad', 'quantile', a number or None, got {diverged!r}"
        )


def _rule_sources(rule: Any, rule_columns: Mapping[str, str] | None) -> dict[str, str]:
    """Which column each quantity of the rule is read from."""
    if rule is None:
        if rule_columns:
            raise DataError("rule_columns: there is no rule")
        return {}
    if not isinstance(rule, ScalingRule):
        raise DataError(f"rule: expected name, needs and value(hparam, given), got {rule!r}")
    chosen = dict(rule_columns or {})
    unknown = set(chosen) - set(rule.needs)
    if unknown:
        raise DataError(f"rule_columns: {rule.name} does not need {sorted(unknown)}")
    return {need: chosen.get(need, need) for need in rule.needs}


def _numbers(table: pd.DataFrame, name: str, *, strict: bool = False) -> np.ndarray[Any, Any]:
    raw = table[name]
    numbers, why = cell_words.numbers(raw)
    if strict:
        cell_words.positive(numbers, why)
        why[why == cell_words.MISSING] = cell_words.NOT_A_NUMBER
    if np.any(why > cell_words.MISSING):
        raise DataError(f"bad values\n{cell_words.bad_cells(name, name, raw, why)}")
    return numbers


def _trials(table: pd.DataFrame, knobs: Sequence[Hyperparameter], metric: str) -> pd.DataFrame:
    """Rows (from 1), hyperparameters and loss; missing values are NaN, impossible ones an error."""
    columns: dict[str, Any] = {"row": np.arange(1, len(table) + 1)}
    wrong = []
    for h in knobs:
        numbers = _numbers(table, h.name)
        bad = ~np.isnan(numbers) & ~h.inside(numbers)
        if bad.any():
            rows = np.flatnonzero(bad)
            shown = ", ".join(f"row {i + 1} is {numbers[i]:g}" for i in rows[:5])
            more = f"; {len(rows)} bad rows in all" if len(rows) > 5 else ""
            wrong.append(f"  {h.name} has no place on the axis {h.scale}: {shown}{more}")
        columns[h.name] = numbers
    if wrong:
        raise DataError("\n".join(["bad values", *wrong]))
    columns["loss"] = _numbers(table, metric)
    return pd.DataFrame(columns)


def _in_parallel(
    jobs: list[Any],
    knobs: Sequence[Hyperparameter],
    options: dict[str, Any],
    n_jobs: int,
    progress: bool,
) -> list[SweepCell]:
    try:
        # what brings its own BLAS must be there before BLAS is held to one thread
        import scipy.linalg
        import scipy.optimize  # noqa: F401
        import sklearn.gaussian_process  # noqa: F401
        from joblib import Parallel, delayed
        from sklearn.exceptions import ConvergenceWarning
        from threadpoolctl import threadpool_limits
    except ImportError as error:
        raise without_sklearn(error) from None
    pool = Parallel(n_jobs=min(n_jobs, len(jobs)), backend="threading", return_as="generator")
    runs = pool(
        delayed(fit_cell)(cell, trials, knobs, prescribed, **options)
        for cell, trials, prescribed in jobs
    )
    if progress:
        from tqdm.auto import tqdm

        runs = tqdm(runs, total=len(jobs), desc="cells", unit="cell", leave=False)
    # the matrices are small: threads of BLAS would only stand in each other's way
    with threadpool_limits(limits=1), warnings.catch_warnings():
        # here, not in the threads, which would undo each other's filters
        warnings.simplefilter("ignore", ConvergenceWarning)
        return list(runs)
