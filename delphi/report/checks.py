"""Tables that question the laws: other curves, a back-test, cost off the optimum, seeds."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from delphi.report.surfaces import exponents_table, fit_suites, surface_table
from delphi.report.tables import Column, Table, from_frame, plain_status
from delphi.shorthand import flops, printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from delphi.backtesting import Backtest
    from delphi.isoflop import IsoflopLadder
    from delphi.overtraining import OvertrainingCost
    from delphi.posterior import LawPosterior
    from delphi.powerlaw import PowerLaw
    from delphi.surfacelaw import SurfaceLaw

__all__ = ["Checks", "check"]

SUITE = Column("suite", "suite")
FIRST = 4  # budgets before the first forecast of a back-test
MOST_CUTOFFS = 200  # each is a fit of its own
COST_AT, COST_SCALES = 1e23, (0.25, 0.5, 2.0, 4.0, 10.0)
N_BOOT = 500  # replicates of the cost's interval
COST_SUITES = 12
MOST_BUCKETS = 500  # each is fitted five times, and once more for every run left out


@dataclass(frozen=True)
class Checks:
    """What the laws were questioned with.

    Attributes
    ----------
    backtest : Backtest or None
        None where there are too few or too many budgets.
    costs : mapping of suite to OvertrainingCost
        At `COST_AT`, of the first suites.
    surfaces : mapping of suite to SurfaceLaw
        Of the first suites.
    tables : tuple of Table
        Each with a note that says why where it is empty.
    """

    backtest: Backtest | None
    costs: Mapping[str, OvertrainingCost]
    surfaces: Mapping[str, SurfaceLaw]
    tables: tuple[Table, ...]


def check(
    ladder: IsoflopLadder,
    laws: Mapping[str, PowerLaw],
    posteriors: Mapping[str, LawPosterior],
    runs: pd.DataFrame,
) -> Checks:
    """Compare curves and surfaces, back-test, cost training off the optimum, and look at the seeds.

    Parameters
    ----------
    ladder : IsoflopLadder
    laws : mapping of suite to PowerLaw
    posteriors : mapping of suite to LawPosterior
    runs : DataFrame
        The ladder's runs with run_type and state.

    Returns
    -------
    Checks
    """
    test, backtests = _backtest(ladder, runs)
    costs, refused = _costs(ladder, laws)
    surfaces = fit_suites(ladder)
    tables = (
        _curves_table(ladder, runs),
        surface_table(ladder, surfaces, posteriors),
        exponents_table(ladder, surfaces),
        backtests,
        _cost_table(ladder, costs, refused),
        _seeds_table(runs),
    )
    return Checks(test, costs, surfaces, tables)


def _curves_table(ladder: IsoflopLadder, runs: pd.DataFrame) -> Table:
    """What other curves through the budgets would have said."""
    from delphi.errors import DataError
    from delphi.isocurves import compare_isocurves
    from delphi.isoflop import WINDOW

    columns = (
        SUITE,
        Column("curve", "curve"),
        Column("n", "optima", "integer"),
        Column("loo", "leave-one-out error", "number"),
        Column("aicc", "AICc", "tenths"),
        Column("bias", "bias on an additive law", "number"),
        Column("L_inf", "L_inf", "loss"),
        Column("alpha", "alpha", "loss"),
        Column("loss", f"loss at {flops(COST_AT)} FLOPs", "loss"),
        Column("status", "status"),
    )

    def table(note: str, rows: pd.DataFrame | None = None) -> Table:
        frame = pd.DataFrame(columns=[c.key for c in columns]) if rows is None else rows
        return from_frame("curves", "Curves through a budget", note, columns, frame)

    if len(ladder.fits) > MOST_BUCKETS:
        return table(
            f"Skipped: {len(ladder.fits):,} budgets, more than the {MOST_BUCKETS:,} a report "
            "tries; delphi.compare_isocurves does them all."
        )
    try:
        compared = compare_isocurves(runs, at=COST_AT, window=ladder.window or WINDOW)
    except DataError as error:
        return table(f"Skipped: {error}.")
    medians = compared.table.groupby(["suite", "curve"])[["loo", "aicc", "bias"]].median()
    rows = compared.forecasts.merge(medians, on=["suite", "curve"], how="left")
    rows["status"] = rows["status"].map(plain_status)
    note = (
        f"The same budgets through other curves ({ladder.curve} is the one used): medians over the "
        "budgets of the error in loss at each run left out, of AICc (of the runs a curve was "
        "fitted to; a window has fewer), and of the error its lowest loss would have on an "
        "additive law; and the law through its optima by least squares."
    )
    return table(note, rows)


def _backtest(ladder: IsoflopLadder, runs: pd.DataFrame) -> tuple[Backtest | None, Table]:
    """Forecasts from the smaller budgets against the larger ones."""
    from delphi.backtesting import backtest
    from delphi.errors import DataError

    columns = (
        Column("target", "target"),
        Column("reach", "reach"),
        Column("method", "method"),
        Column("n", "forecasts", "integer"),
        Column("median_error", "median error %", "fixed"),
        Column("worst_error", "worst %", "fixed"),
        Column("bias", "bias %", "fixed"),
        Column("coverage", "inside 95%", "share"),
        Column("median_width", "width %", "fixed"),
    )

    def table(note: str, scores: pd.DataFrame | None = None) -> Table:
        frame = pd.DataFrame(columns=[c.key for c in columns]) if scores is None else scores
        return from_frame("backtest", "Back-test", note, columns, frame)

    sizes = ladder.fits.groupby("suite").size()
    cutoffs = int((sizes - FIRST + 1).clip(lower=0)[sizes > FIRST].sum())
    if not cutoffs:
        return None, table(f"Skipped: no suite has more than {FIRST} budgets.")
    if cutoffs > MOST_CUTOFFS:
        return None, table(
            f"Skipped: {cutoffs:,} cutoffs, more than the {MOST_CUTOFFS} a report tries; "
            "delphi.backtest does them all."
        )
    try:
        curve: Any = ladder.curve
        test = backtest(runs, first=FIRST, curve=curve, n_boot=0)
    except DataError as error:
        return None, table(f"Skipped: {error}.")
    order = test.scores.sort_values(["target", "reach"], ascending=False, kind="stable")
    note = (
        f"Each suite fitted up to its {FIRST}th budget, its {FIRST + 1}th and so on, and what lay "
        "beyond forecast: the optima of larger budgets and the held-out runs. Errors are absolute "
        "and in percent of the loss; inside and width are of the 95% interval, where there is one. "
        "A forecast should beat the log-log line and the last value."
    )
    return test, table(note, order)


def _costs(
    ladder: IsoflopLadder, laws: Mapping[str, PowerLaw]
) -> tuple[dict[str, OvertrainingCost], dict[str, str]]:
    """The cost of every suite at all scales of table and figure, or why there is none."""
    from delphi.errors import DataError, FitWarning
    from delphi.overtraining import SCALES, overtraining_cost

    scales = sorted({*SCALES, *COST_SCALES})
    costs, refused = {}, {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)  # the status column says it
        for suite in ladder.suites[:COST_SUITES]:
            try:
                costs[suite] = overtraining_cost(
                    ladder, laws, suite=suite, at=COST_AT, scales=scales, n_boot=N_BOOT
                )
            except DataError as error:
                refused[suite] = str(error)
    return costs, refused


def _cost_table(
    ladder: IsoflopLadder, costs: Mapping[str, OvertrainingCost], refused: Mapping[str, str]
) -> Table:
    """Extra loss, and extra compute for the same loss, off the optimum."""
    columns = (
        SUITE,
        Column("scale", "tokens over optimal", "number"),
        Column("tokens", "tokens", "count"),
        Column("params", "parameters", "count"),
        Column("penalty", "extra loss", "loss"),
        Column("penalty_low", "low", "loss"),
        Column("penalty_high", "high", "loss"),
        Column("percent_overhead", "extra compute %", "tenths"),
        Column("percent_overhead_low", "low", "tenths"),
        Column("percent_overhead_high", "high", "tenths"),
        Column("status", "status"),
    )
    title = f"Off the optimum at {flops(COST_AT)} FLOPs"
    rows = pd.DataFrame(columns=[column.key for column in columns])
    skipped = [f"Skipped: {printable(suite)}: {why}." for suite, why in refused.items()]
    if not costs:
        return from_frame("off_optimum", title, " ".join(skipped), columns, rows)
    rows = pd.concat([cost.table for cost in costs.values()], ignore_index=True)
    rows = rows[rows["scale"].isin(COST_SCALES)].reset_index(drop=True)
    rows["status"] = rows["status"].map(plain_status)
    note = (
        "What training on more or fewer tokens than optimal costs at the same compute: extra loss, "
        "and the compute that would make it good. Low and high are "
        f"{100 * next(iter(costs.values())).level:g}% limits by {rows['method'].iloc[0]}."
    )
    note = " ".join([note, *skipped])
    if len(ladder.suites) > COST_SUITES:
        note += f" The first {COST_SUITES} of {len(ladder.suites):,} suites."
    return from_frame("off_optimum", title, note, columns, rows)


def _seeds_table(runs: pd.DataFrame) -> Table:
    """Standard deviation of the loss between seeds."""
    from delphi.errors import DataError
    from delphi.seeds import seed_noise

    columns = (
        Column("scope", "scope"),
        Column("kind", "replicates"),
        SUITE,
        Column("budget", "FLOPs", "flops"),
        Column("n", "runs", "integer"),
        Column("mean", "mean loss", "loss"),
        Column("sd", "sd", "number"),
        Column("low", "low", "number"),
        Column("high", "high", "number"),
        Column("level", "level", "share"),
        Column("method", "method"),
    )
    try:
        noise = seed_noise(runs)
    except DataError as error:
        noise = pd.DataFrame(columns=[column.key for column in columns])
        return from_frame("seeds", "Noise between seeds", f"Skipped: {error}.", columns, noise)
    left_out = noise.attrs["left_out"]
    noise = noise[noise["dof"].to_numpy(float) > 0]
    note = "Run-to-run standard deviation of the loss, from runs that differ in their seed alone."
    if noise.empty:
        note = "Skipped: no run was repeated with another seed."
    if left_out:
        runs_ended = "1 run" if left_out == 1 else f"{left_out:,} runs"
        note += f" Left out: {runs_ended} without a final loss (crashed or still running)."
    return from_frame("seeds", "Noise between seeds", note, columns, noise)
