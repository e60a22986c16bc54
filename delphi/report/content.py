"""What a report says: its tables and its reading in plain words, from fitted results."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from delphi.report.tables import Column, Table, from_frame
from delphi.runs import left_out_table
from delphi.shorthand import count, flops, percent, printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from delphi.isoflop import IsoflopLadder
    from delphi.powerlaw import PowerLaw

__all__ = ["FORECAST_AT", "Analysis", "analyse", "truth_table"]

FORECAST_AT = (1e21, 1e22, 1e23, 1e24, 1e25)
SUITE = Column("suite", "suite")
QUANTITIES = {"params_star": "parameters", "tokens_star": "tokens"}


@dataclass(frozen=True)
class Analysis:
    """Everything a report shows.

    Attributes
    ----------
    ladder : IsoflopLadder
    laws : mapping of suite to PowerLaw
    held_out, forecasts : DataFrame
    tables : tuple of Table
    reading : tuple of str
        The result in sentences.
    """

    ladder: IsoflopLadder
    laws: Mapping[str, PowerLaw]
    held_out: pd.DataFrame
    forecasts: pd.DataFrame
    tables: tuple[Table, ...]
    reading: tuple[str, ...]


def analyse(
    ladder: IsoflopLadder,
    *,
    shared_floor: bool = False,
    forecast_at: Sequence[float] = FORECAST_AT,
) -> Analysis:
    """Fit the laws of a ladder, score the held-out runs, forecast, and put it all in words.

    Parameters
    ----------
    ladder : IsoflopLadder
        What :func:`delphi.fit_isoflops` returned.
    shared_floor : bool
        Fit one L_inf for all suites.
    forecast_at : sequence of float
        Compute to forecast at, FLOPs.

    Returns
    -------
    Analysis
    """
    from delphi.heldout import forecast, score_held_out

    laws = ladder.laws(shared_floor=shared_floor)
    runs = ladder.runs
    if "run_type" not in runs:  # a table made by hand
        runs = runs.assign(run_type="isoflop")
    if "state" not in runs:
        runs = runs.assign(state="")
    held_out = score_held_out(runs, laws)
    forecasts = forecast(laws, compute=tuple(forecast_at))
    tables = [
        _data_table(ladder, runs),
        _left_out_table(ladder),
        _fits_table(ladder),
        _optima_table(ladder),
        _exponents_table(ladder),
        _laws_table(laws, shared_floor),
        _forecast_table(forecasts),
        _held_out_table(held_out, laws),
    ]
    if "truth" in ladder.runs.attrs:
        tables.append(truth_table(ladder, laws, forecasts))
    reading = _reading(ladder, laws, held_out, forecasts)
    return Analysis(ladder, laws, held_out, forecasts, tuple(tables), tuple(reading))


def _data_table(ladder: IsoflopLadder, runs: pd.DataFrame) -> Table:
    rows = []
    for suite in ladder.suites:
        fits = ladder.fits[ladder.fits["suite"] == suite]
        rows.append(
            {
                "suite": suite,
                "runs": int(fits["n"].sum()),
                "budgets": len(fits),
                "used": int(fits["used"].sum()),
                "smallest": fits["budget"].min(),
                "largest": fits["budget"].max(),
                "held_out": int(((runs["suite"] == suite) & (runs["run_type"] == "optimal")).sum()),
            }
        )
    columns = (
        SUITE,
        Column("runs", "IsoFLOP runs", "integer"),
        Column("budgets", "budgets", "integer"),
        Column("used", "budgets used", "integer"),
        Column("smallest", "smallest FLOPs", "flops"),
        Column("largest", "largest FLOPs", "flops"),
        Column("held_out", "held-out runs", "integer"),
    )
    meta = ladder.runs.attrs.get("delphi", {})
    sources = ", ".join(printable(s) for s in meta.get("sources", [])) or "a table"
    note = f"Read {meta.get('read', len(ladder.runs))} rows from {sources}."
    return from_frame("data", "Data", note, columns, _frame(rows, columns))


def _left_out_table(ladder: IsoflopLadder) -> Table:
    """What was left out on the way: rows, then runs of the parabolas, then budgets of the laws."""
    rows: list[dict[str, Any]] = []
    steps = (("rows read", left_out_table(ladder.runs)), ("parabolas", ladder.left_out))
    for step, counts in steps:
        pairs = counts[["reason", "rows"]].itertuples(index=False)
        rows += [{"what": step, "number": n, "reason": reason} for reason, n in pairs]
    rows += [
        {"what": f"law of {suite}", "number": n, "reason": f"budget {flops(budget)}: {reason}"}
        for suite, budget, n, reason in ladder.unused.itertuples(index=False)
    ]
    columns = (
        Column("what", "left out of"),
        Column("number", "runs", "integer"),
        Column("reason", "why"),
    )
    notes = [printable(note) for note in ladder.runs.attrs.get("delphi", {}).get("notes", [])]
    note = " ".join(["What did not get into the laws, and why.", *notes])
    return from_frame("left_out", "Left out", note, columns, _frame(rows, columns))


def _fits_table(ladder: IsoflopLadder) -> Table:
    fits = ladder.fits.assign(
        tokens_min=10.0 ** ladder.fits["x_min"],
        tokens_max=10.0 ** ladder.fits["x_max"],
        rms=np.sqrt(ladder.fits["rss"] / ladder.fits["n"]),
    )
    columns = (
        SUITE,
        Column("budget", "FLOPs", "flops"),
        Column("n", "runs", "integer"),
        Column("tokens_min", "fewest tokens", "count"),
        Column("tokens_max", "most tokens", "count"),
        Column("a", "curvature", "loss"),
        Column("a_under", "under-trained", "loss"),
        Column("a_over", "over-trained", "loss"),
        Column("rms", "rms residual", "number"),
        Column("used", "used", "bool"),
        Column("status", "status"),
    )
    note = (
        "One parabola in log10 tokens per budget. Curvature is the loss lost per squared decade "
        "of tokens away from the optimum: symmetric, then for each side alone."
    )
    return from_frame("fits", "IsoFLOP fits", note, columns, fits)


def _optima_table(ladder: IsoflopLadder) -> Table:
    optima = ladder.optima.assign(ratio=ladder.optima["tokens_star"] / ladder.optima["params_star"])
    columns = (
        SUITE,
        Column("budget", "FLOPs", "flops"),
        Column("tokens_star", "tokens", "count"),
        Column("params_star", "parameters", "count"),
        Column("ratio", "tokens per parameter", "tenths"),
        Column("loss_star", "loss", "loss"),
    )
    note = "The best model of each budget that is used: the vertex of its parabola."
    return from_frame("optima", "Compute-optimal points", note, columns, optima)


def _exponents_table(ladder: IsoflopLadder) -> Table:
    rows = []
    for row in ladder.exponents.itertuples(index=False):
        interval = None
        if math.isfinite(row.low) and math.isfinite(row.high):
            interval = f"{row.low:.3f} to {row.high:.3f} ({100 * row.level:g}%, {row.method})"
        rows.append(
            {
                "suite": row.suite,
                "quantity": QUANTITIES.get(row.quantity, row.quantity),
                "exponent": row.exponent,
                "interval": interval,
                "low": row.low,
                "high": row.high,
                "level": row.level,
                "coefficient": row.coefficient,
                "n": row.n,
                "status": row.status,
            }
        )
    columns = (
        SUITE,
        Column("quantity", "quantity"),
        Column("exponent", "exponent", "loss"),
        Column("interval", "interval"),
        Column("coefficient", "coefficient", "number"),
        Column("n", "budgets", "integer"),
        Column("status", "status"),
    )
    note = "quantity = coefficient * FLOPs^exponent at the optimum."
    return from_frame("exponents", "Exponents", note, columns, _frame(rows, columns))


def _laws_table(laws: Mapping[str, PowerLaw], shared_floor: bool) -> Table:
    rows = [
        {
            "suite": suite,
            "equation": law.equation if law.ok else None,
            "L_inf": law.L_inf,
            "log10_A": law.log_A / math.log(10),
            "alpha": law.alpha,
            "n": law.n,
            "rms": math.sqrt(law.rss / law.n) if law.n and law.rss >= 0 else math.nan,
            "lowest": law.compute_range[0],
            "highest": law.compute_range[1],
            "status": law.status,
        }
        for suite, law in laws.items()
    ]
    columns = (
        SUITE,
        Column("equation", "law"),
        Column("L_inf", "L_inf", "loss"),
        Column("log10_A", "log10 A", "loss"),
        Column("alpha", "alpha", "loss"),
        Column("n", "budgets", "integer"),
        Column("rms", "rms residual", "number"),
        Column("lowest", "from FLOPs", "flops"),
        Column("highest", "to FLOPs", "flops"),
        Column("status", "status"),
    )
    floor = "one L_inf shared by all suites" if shared_floor else "an L_inf for each suite"
    note = f"loss = L_inf + A * C^-alpha through the optima, C in FLOPs, with {floor}."
    return from_frame("laws", "Scaling laws", note, columns, _frame(rows, columns))


def _forecast_table(forecasts: pd.DataFrame) -> Table:
    columns = (
        SUITE,
        Column("compute", "FLOPs", "flops"),
        Column("loss", "loss", "loss"),
        Column("extrapolation_decades", "decades beyond the data", "fixed"),
        Column("status", "status of the law"),
    )
    note = "The loss each law expects at the optimum, and how far beyond the last fitted budget."
    return from_frame("forecast", "Forecast", note, columns, forecasts)


def _held_out_table(held_out: pd.DataFrame, laws: Mapping[str, PowerLaw]) -> Table:
    last = held_out["suite"].map({s: law.compute_range[1] for s, law in laws.items()})
    beyond = np.log10(held_out["compute"] / last.astype(float))
    columns = (
        SUITE,
        Column("budget", "FLOPs", "flops"),
        Column("state", "state"),
        Column("n", "runs", "integer"),
        Column("loss", "loss", "loss"),
        Column("predicted", "predicted", "loss"),
        Column("percent_error", "than predicted", "percent"),
        Column("beyond", "decades beyond the data", "fixed"),
    )
    note = "Runs no fit has seen: finished ones as the mean over seeds, others one by one."
    frame = held_out.assign(beyond=beyond)
    return from_frame("held_out", "Held-out runs", note, columns, frame)


def truth_table(
    ladder: IsoflopLadder, laws: Mapping[str, PowerLaw], forecasts: pd.DataFrame
) -> Table:
    """Truth beside estimate, for runs that :func:`delphi.simulate.ladder` made.

    Parameters
    ----------
    ladder : IsoflopLadder
        Fitted to simulated runs; their ``attrs["truth"]`` holds the truth.
    laws : mapping of suite to PowerLaw
    forecasts : DataFrame
        What :func:`delphi.heldout.forecast` returned.

    Returns
    -------
    Table
    """
    exponents = ladder.exponents.set_index(["suite", "quantity"])["exponent"]
    rows: list[dict[str, Any]] = []
    for suite, truth in ladder.runs.attrs["truth"].items():
        law = laws.get(suite)
        if law is None:
            continue
        pairs = [
            ("L_inf", truth["L_inf"], law.L_inf),
            ("log10 A", math.log10(truth["A"]), law.log_A / math.log(10)),
            ("alpha", truth["alpha"], law.alpha),
            (
                "parameters exponent",
                truth["params_exponent"],
                exponents.get((suite, "params_star"), math.nan),
            ),
            (
                "tokens exponent",
                truth["tokens_exponent"],
                exponents.get((suite, "tokens_star"), math.nan),
            ),
        ]
        for row in forecasts[forecasts["suite"] == suite].itertuples(index=False):
            expected = truth["L_inf"] + truth["A"] * row.compute ** -truth["alpha"]
            pairs.append((f"loss at {flops(row.compute)}", expected, row.loss))
        rows += [
            {
                "suite": suite,
                "quantity": name,
                "truth": true,
                "estimate": estimate,
                "off": 100.0 * (estimate / true - 1.0) if true else math.nan,
            }
            for name, true, estimate in pairs
        ]
    columns = (
        SUITE,
        Column("quantity", "quantity"),
        Column("truth", "truth", "loss"),
        Column("estimate", "estimate", "loss"),
        Column("off", "off by %", "fixed"),
    )
    note = "These runs are simulated, so the answer is known."
    return from_frame("truth", "Truth beside estimate", note, columns, _frame(rows, columns))


def _reading(
    ladder: IsoflopLadder,
    laws: Mapping[str, PowerLaw],
    held_out: pd.DataFrame,
    forecasts: pd.DataFrame,
) -> list[str]:
    """The result in plain sentences, suite by suite."""
    n_runs = int(ladder.fits["n"].sum())
    n_fits, n_used = len(ladder.fits), int(ladder.fits["used"].sum())
    said = [
        f"{_plural(len(ladder.suites), 'suite')}, {_plural(n_runs, 'IsoFLOP run')} in "
        f"{_plural(n_fits, 'budget')}; {n_used} of the budgets feed the laws."
    ]
    for suite in ladder.suites:
        name = printable(suite)
        optima = ladder.optima[ladder.optima["suite"] == suite].sort_values("compute")
        law = laws.get(suite)
        if optima.empty:
            said.append(f"{name}: no budget has an optimum that can be used.")
            continue
        top = optima.iloc[-1]
        said.append(
            f"{name}: at its largest fitted budget, {flops(top['budget'])} FLOPs, the best model "
            f"has {count(top['params_star'])} parameters and {count(top['tokens_star'])} tokens, "
            f"{top['tokens_star'] / top['params_star']:.3g} tokens per parameter, "
            f"at a loss of {top['loss_star']:.3f}."
        )
        if law is None or not law.ok:
            why = "" if law is None else f" ({law.status})"
            said.append(f"{name}: no law could be fitted to its optima{why}.")
            continue
        own = forecasts[(forecasts["suite"] == suite) & np.isfinite(forecasts["loss"])]
        if len(own):
            far = own.sort_values("compute").iloc[-1]
            said.append(
                f"{name}: {law.equation}; it expects {far['loss']:.3f} at "
                f"{flops(far['compute'])} FLOPs, {_beyond(far['extrapolation_decades'])}."
            )
        said += _reading_held_out(name, held_out[held_out["suite"] == suite])
    for row in ladder.unused.itertuples(index=False):
        said.append(
            f"{printable(row.suite)}: the budget of {flops(row.budget)} FLOPs "
            f"({_plural(row.n, 'run')}) is not used: {row.reason}."
        )
    return said


def _reading_held_out(name: str, rows: pd.DataFrame) -> list[str]:
    said = []
    finished = rows[(rows["state"] == "finished") & np.isfinite(rows["percent_error"])]
    if len(finished):
        last = finished.sort_values("compute").iloc[-1]
        said.append(
            f"{name}: its largest held-out budget, {flops(last['budget'])} FLOPs, came out "
            f"{percent(last['percent_error'])} than its law says."
        )
    for row in rows[rows["state"] != "finished"].itertuples(index=False):
        said.append(
            f"{name}: a held-out run at {flops(row.budget)} FLOPs ended without a final loss "
            f"({printable(row.state)})."
        )
    return said


def _beyond(decades: float) -> str:
    return f"{decades:.1f} decades beyond the data" if decades > 0.05 else "within the data"


def _plural(n: int, word: str) -> str:
    return f"{n} {word}" if n == 1 else f"{n} {word}s"


def _frame(rows: list[dict[str, Any]], columns: Sequence[Column]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=[column.key for column in columns])
