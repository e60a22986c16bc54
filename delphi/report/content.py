"""What a report says: its tables, from fitted results."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from delphi.heldout import FORECAST_AT, is_crashed
from delphi.report.checks import Checks, check
from delphi.report.reading import decades_from, read_aloud
from delphi.report.tables import Column, Table, from_frame, plain_status
from delphi.runs import left_out_table
from delphi.shorthand import flops, printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from delphi.intervals import Kind
    from delphi.isoflop import IsoflopLadder
    from delphi.posterior import LawPosterior
    from delphi.powerlaw import PowerLaw
    from delphi.report.downstream import Downstream
    from delphi.sweeps import Sweep

__all__ = ["Analysis", "analyse", "truth_table"]

SUITE = Column("suite", "suite")
FORECAST_COLUMNS = (
    "compute", "low", "mid", "high", "level", "method", "kind", "extrapolation_decades", "status",
)  # fmt: skip
BEYOND = Column("extrapolation_decades", "decades beyond the data", "decades")
QUANTITIES = {"params_star": "parameters", "tokens_star": "tokens"}


@dataclass(frozen=True)
class Analysis:
    """Everything a report shows.

    Attributes
    ----------
    ladder : IsoflopLadder
    laws : mapping of suite to PowerLaw
    posteriors : mapping of suite to LawPosterior
        Of the suites with an optimum.
    held_out : DataFrame
        What :func:`delphi.heldout.score_held_out` returned.
    forecasts : DataFrame
        What ``ladder.forecast`` returns, and ``least_squares``, the point of the law.
    checks : Checks
        Back-test and cost off the optimum.
    tables : tuple of Table
    reading : tuple of str
        The result in sentences.
    sweep, downstream : Sweep, Downstream, optional
        A sweep of hyperparameters, and evaluations, beside the runs; their tables and sentences
        stand in `tables` and `reading` too.
    """

    ladder: IsoflopLadder
    laws: Mapping[str, PowerLaw]
    posteriors: Mapping[str, LawPosterior]
    held_out: pd.DataFrame
    forecasts: pd.DataFrame
    checks: Checks
    tables: tuple[Table, ...]
    reading: tuple[str, ...]
    sweep: Sweep | None = None
    downstream: Downstream | None = None

    def with_sweep(self, sweep: Sweep) -> Analysis:
        """The same with what a sweep of hyperparameters says."""
        from delphi.report.sweep import sweep_reading, sweep_tables

        return self._beside(sweep_tables(sweep), sweep_reading(sweep), sweep=sweep)

    def with_downstream(self, downstream: Downstream) -> Analysis:
        """The same with what evaluations say."""
        return self._beside(downstream.tables, downstream.reading, downstream=downstream)

    def _beside(self, tables: Sequence[Table], reading: Sequence[str], **what: Any) -> Analysis:
        return replace(
            self, tables=(*self.tables, *tables), reading=(*self.reading, *reading), **what
        )


def analyse(
    ladder: IsoflopLadder,
    *,
    shared_floor: bool = False,
    forecast_at: Sequence[float] = FORECAST_AT,
    level: float = 0.95,
    kind: Kind = "mean",
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
    level : float
        Level of the intervals in the tables of laws and forecasts.
    kind : {"mean", "new run"}
        What the forecast is of, as in :meth:`IsoflopLadder.forecast`.

    Returns
    -------
    Analysis
    """
    from delphi.heldout import score_held_out

    laws = ladder.laws(shared_floor=shared_floor)
    runs = ladder.runs
    if "run_type" not in runs:  # a table made by hand
        runs = runs.assign(run_type="isoflop")
    if "state" not in runs:
        runs = runs.assign(state="")
    held_out = score_held_out(runs, laws)
    posteriors = ladder.posteriors()
    noise = ladder.run_noise() if kind == "new run" else {}
    options: dict[str, Any] = {"noise": noise, "level": level, "kind": kind}
    forecasts = _forecasts(laws, posteriors, forecast_at, options)
    checks = check(ladder, laws, posteriors, runs)
    tables = [
        _data_table(ladder, runs),
        _left_out_table(ladder, runs),
        _fits_table(ladder),
        _optima_table(ladder),
        _exponents_table(ladder),
        _laws_table(laws, posteriors, shared_floor, level),
        _forecast_table(forecasts, shared_floor, kind),
        _held_out_table(held_out, laws),
        *checks.tables,
    ]
    if "truth" in ladder.runs.attrs:
        tables.append(truth_table(ladder, laws, forecasts))
    reading = read_aloud(ladder, laws, posteriors, held_out, forecasts)
    return Analysis(
        ladder, laws, posteriors, held_out, forecasts, checks, tuple(tables), tuple(reading)
    )


def _forecasts(
    laws: Mapping[str, PowerLaw],
    posteriors: Mapping[str, LawPosterior],
    forecast_at: Sequence[float],
    options: Mapping[str, Any],
) -> pd.DataFrame:
    """What ``ladder.forecast`` says, with the point of each law; empty without an optimum."""
    from delphi.intervals import by_suite

    if not posteriors:
        names = ["suite", *FORECAST_COLUMNS, "least_squares"]
        return pd.DataFrame({name: pd.Series(dtype=object) for name in names})
    frame = by_suite(posteriors, np.asarray(forecast_at, float), **options)
    own = [laws.get(suite) for suite in frame["suite"]]
    frame["least_squares"] = [
        law.predict(compute) if law is not None and law.ok else math.nan
        for law, compute in zip(own, frame["compute"].tolist(), strict=True)
    ]
    frame["status"] = [
        plain_status(status, "" if law is None else law.status)
        for status, law in zip(frame["status"], own, strict=True)
    ]
    frame["extrapolation_decades"] = _decades(
        frame["compute"],
        frame["suite"],
        {s: (p.compute_min, p.compute_max) for s, p in posteriors.items()},
    )
    return frame


def _decades(
    compute: pd.Series, suites: pd.Series, ranges: Mapping[str, tuple[float, float]]
) -> list[float]:
    """Decades beyond the largest fitted compute; negative below the smallest, 0 between."""
    return [
        decades_from(C, ranges[suite]) if suite in ranges else math.nan
        for C, suite in zip(compute.to_numpy(float).tolist(), suites, strict=True)
    ]


def _data_table(ladder: IsoflopLadder, runs: pd.DataFrame) -> Table:
    rows = []
    held_out = runs.loc[(runs["run_type"] == "optimal").to_numpy(bool), "suite"].value_counts()
    by_suite = dict(tuple(ladder.fits.groupby("suite")))
    for suite in ladder.suites:
        fits = by_suite[suite]
        rows.append(
            {
                "suite": suite,
                "runs": int(fits["n"].sum()),
                "budgets": len(fits),
                "used": int(fits["used"].sum()),
                "smallest": fits["budget"].min(),
                "largest": fits["budget"].max(),
                "held_out": int(held_out.get(suite, 0)),
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


def _left_out_table(ladder: IsoflopLadder, runs: pd.DataFrame) -> Table:
    """What was left out on the way: rows, then runs of the parabolas, then budgets of the laws."""
    rows: list[dict[str, Any]] = [
        {"what": "rows read", "number": n, "reason": reason}
        for reason, n in left_out_table(ladder.runs)[["reason", "rows"]].itertuples(index=False)
    ]
    rows += _left_out_of_parabolas(ladder, runs)
    rows += [
        {"suite": suite, "what": "law", "number": n, "reason": f"budget {flops(budget)}: {reason}"}
        for suite, budget, n, reason in ladder.unused.itertuples(index=False)
    ]
    columns = (
        Column("what", "left out of"),
        SUITE,
        Column("number", "runs", "integer"),
        Column("reason", "why"),
    )
    notes = [printable(note) for note in ladder.runs.attrs.get("delphi", {}).get("notes", [])]
    note = " ".join(["What did not get into the laws, and why.", *notes])
    return from_frame("left_out", "Left out", note, columns, _frame(rows, columns))


def _left_out_of_parabolas(ladder: IsoflopLadder, runs: pd.DataFrame) -> list[dict[str, Any]]:
    """The ladder's counts by reason, suite by suite where they can be told apart."""
    held = (runs["run_type"] != "isoflop").to_numpy(bool)
    ended = is_crashed(runs["state"]).to_numpy(bool) & ~held
    rows: list[dict[str, Any]] = []
    for reason, n in ladder.left_out[["reason", "rows"]].itertuples(index=False):
        who = next((m for m in (held, ended) if m.sum() == n and _meant(reason, m is held)), None)
        sizes = {None: n} if who is None else runs.loc[who, "suite"].value_counts(sort=False)
        rows += [
            {"suite": suite, "what": "parabolas", "number": int(size), "reason": reason}
            for suite, size in sorted(sizes.items(), key=lambda item: str(item[0]))
        ]
    return rows


def _meant(reason: str, held: bool) -> bool:
    return reason.startswith("held out") == held


def _fits_table(ladder: IsoflopLadder) -> Table:
    fits = ladder.fits.assign(
        tokens_min=10.0 ** ladder.fits["x_min"],
        tokens_max=10.0 ** ladder.fits["x_max"],
        rms=np.sqrt(ladder.fits["rss"] / ladder.fits["n_used"]),
        status=ladder.fits["status"].map(plain_status),
    )
    columns = (
        SUITE,
        Column("budget", "FLOPs", "flops"),
        Column("n", "runs", "integer"),
        Column("n_used", "fitted", "integer"),
        Column("tokens_min", "fewest tokens", "count"),
        Column("tokens_max", "most tokens", "count"),
        Column("a", "curvature", "loss"),
        Column("a_under", "under-trained", "loss"),
        Column("a_over", "over-trained", "loss"),
        Column("rms", "rms residual", "number"),
        Column("used", "used", "bool"),
        Column("status", "status"),
    )
    window = (
        ""
        if ladder.window is None
        else f" through the runs near its vertex ({ladder.window:g} decades)"
    )
    shape = "parabola" if ladder.curve in ("windowed", "parabola") else f"{ladder.curve} curve"
    note = (
        f"One {shape} in log10 tokens per budget{window}. "
        "Curvature is the loss lost per squared decade of tokens away from the optimum: "
        "symmetric, then for each side alone."
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
                "status": plain_status(row.status),
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
    note = (
        "quantity = coefficient * FLOPs^exponent at the optimum. The interval sees the scatter of "
        "the optima about the line, not the noise inside a budget."
    )
    return from_frame("exponents", "Exponents", note, columns, _frame(rows, columns))


def _laws_table(
    laws: Mapping[str, PowerLaw],
    posteriors: Mapping[str, LawPosterior],
    shared_floor: bool,
    level: float,
) -> Table:
    limits = {
        suite: _limits(posterior, level) for suite, posterior in posteriors.items() if posterior.ok
    }
    rows = [
        {
            "suite": suite,
            "equation": law.equation if law.ok else None,
            "L_inf": law.L_inf,
            "L_inf_interval": limits.get(suite, {}).get("L_inf"),
            "log10_A": law.log_A / math.log(10),
            "alpha": law.alpha,
            "alpha_interval": limits.get(suite, {}).get("alpha"),
            "n": law.n,
            "rms": math.sqrt(law.rss / law.n) if law.n and law.rss >= 0 else math.nan,
            "lowest": law.compute_range[0],
            "highest": law.compute_range[1],
            "status": _law_status(law, posteriors.get(suite)),
        }
        for suite, law in laws.items()
    ]
    columns = (
        SUITE,
        Column("equation", "law"),
        Column("L_inf", "L_inf", "loss"),
        Column("L_inf_interval", f"{100 * level:g}% posterior"),
        Column("log10_A", "log10 A", "loss"),
        Column("alpha", "alpha", "loss"),
        Column("alpha_interval", f"{100 * level:g}% posterior"),
        Column("n", "budgets", "integer"),
        Column("rms", "rms residual", "number"),
        Column("lowest", "from FLOPs", "flops"),
        Column("highest", "to FLOPs", "flops"),
        Column("status", "status"),
    )
    floor = "one L_inf shared by all suites" if shared_floor else "an L_inf for each suite"
    note = (
        "loss = L_inf + A * C^-alpha through the optima, C in FLOPs, by least squares with "
        f"{floor}; beside it what each suite's own posterior leaves possible."
    )
    return from_frame("laws", "Scaling laws", note, columns, _frame(rows, columns))


def _limits(posterior: LawPosterior, level: float) -> dict[str, str]:
    """The interval of each parameter as text."""
    return {
        row.parameter: f"{row.low:.4f} to {row.high:.4f}"
        for row in posterior.parameters(level=level).itertuples(index=False)
    }


def _law_status(law: PowerLaw, posterior: LawPosterior | None) -> str:
    return plain_status(law.status, "" if posterior is None else posterior.status)


def _forecast_table(forecasts: pd.DataFrame, shared_floor: bool, kind: str) -> Table:
    columns = (
        SUITE,
        Column("compute", "FLOPs", "flops"),
        Column("mid", "loss", "loss"),
        Column("low", "low", "loss"),
        Column("high", "high", "loss"),
        Column("level", "level", "share"),
        Column("method", "method"),
        Column("kind", "kind"),
        Column("least_squares", "least squares", "loss"),
        BEYOND,
        Column("status", "status"),
    )
    of = "The loss expected at the optimum" if kind == "mean" else "The loss of one new run there"
    note = (
        f"{of}: median and interval of the posterior, and the law by "
        "least squares. Decades are counted from the largest fitted compute of the suite, and "
        "from the smallest for what lies below."
    )
    if shared_floor:
        note += " The posterior does not know of the shared floor, the law does."
    return from_frame("forecast", "Forecast", note, columns, forecasts)


def _held_out_table(held_out: pd.DataFrame, laws: Mapping[str, PowerLaw]) -> Table:
    ranges = {suite: law.compute_range for suite, law in laws.items()}
    columns = (
        SUITE,
        Column("budget", "FLOPs", "flops"),
        Column("state", "state"),
        Column("n", "runs", "integer"),
        Column("loss", "loss", "loss"),
        Column("predicted", "predicted", "loss"),
        Column("percent_error", "than predicted", "percent"),
        BEYOND,
    )
    note = "Runs no fit has seen: finished ones as the mean over seeds, others one by one."
    finished = held_out["state"] == "finished"  # the last loss of others says nothing of the law
    frame = held_out.assign(
        percent_error=held_out["percent_error"].where(finished),
        extrapolation_decades=_decades(held_out["compute"], held_out["suite"], ranges),
    )
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
        What ``ladder.forecast`` returned.

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
            pairs.append((f"loss at {flops(row.compute)}", expected, row.mid))
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


def _frame(rows: list[dict[str, Any]], columns: Sequence[Column]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=[column.key for column in columns])
