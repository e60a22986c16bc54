"""The result in plain sentences, with no more digits than its intervals support."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from delphi.report.tables import plain_status
from delphi.shorthand import count, flops, percent, printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from delphi.isoflop import IsoflopLadder
    from delphi.posterior import LawPosterior
    from delphi.powerlaw import PowerLaw

__all__ = ["decades_from", "read_aloud"]

SUITES, NOTED = 12, 12  # suites spoken of, and sentences of one kind; the tables have the rest
LN10 = math.log(10)


def read_aloud(
    ladder: IsoflopLadder,
    laws: Mapping[str, PowerLaw],
    posteriors: Mapping[str, LawPosterior],
    held_out: pd.DataFrame,
    forecasts: pd.DataFrame,
) -> list[str]:
    """The sentences of a report, suite by suite.

    Parameters
    ----------
    ladder : IsoflopLadder
    laws : mapping of suite to PowerLaw
    posteriors : mapping of suite to LawPosterior
    held_out : DataFrame
        What :func:`delphi.heldout.score_held_out` returned.
    forecasts : DataFrame
        What ``ladder.forecast`` returned, with ``least_squares``.

    Returns
    -------
    list of str
    """
    n_runs = int(ladder.fits["n"].sum())
    n_fits, n_used = len(ladder.fits), int(ladder.fits["used"].sum())
    suites = list(ladder.suites)
    said = [
        f"{_plural(len(suites), 'suite')}, {_plural(n_runs, 'IsoFLOP run')} in "
        f"{_plural(n_fits, 'budget')}; {n_used:,} of the budgets "
        f"{'feeds' if n_used == 1 else 'feed'} the laws."
    ]
    if not n_used:
        said.append("There is no optimum anywhere, so there is no law and no forecast.")
    for suite in suites[:SUITES]:
        said += _suite(
            printable(suite),
            ladder.fits[(ladder.fits["suite"] == suite) & ladder.fits["used"]],
            laws.get(suite),
            posteriors.get(suite),
            forecasts[forecasts["suite"] == suite],
        )
        said += _held_out(printable(suite), held_out[held_out["suite"] == suite], laws.get(suite))
    if len(suites) > SUITES:
        said.append(f"{_plural(len(suites) - SUITES, 'more suite')}: see the tables.")
    for row in ladder.unused.head(NOTED).itertuples(index=False):
        said.append(
            f"{printable(row.suite)}: the budget of {flops(row.budget)} FLOPs "
            f"({_plural(row.n, 'run')}) is not used: {row.reason}."
        )
    if len(ladder.unused) > NOTED:
        more = _plural(len(ladder.unused) - NOTED, "more budget")
        said.append(f"Not used either: {more}, listed under Left out.")
    return said


def _suite(
    name: str,
    used: pd.DataFrame,
    law: PowerLaw | None,
    posterior: LawPosterior | None,
    forecasts: pd.DataFrame,
) -> list[str]:
    if used.empty:
        return [f"{name}: no budget has an optimum that can be used."]
    top = used.sort_values("compute").iloc[-1]
    off = 1.96 * LN10 * top["se_x_star"]
    said = [
        f"{name}: at its largest fitted budget, {flops(top['budget'])} FLOPs, the best model has "
        f"{count(_rounded(top['params_star'], off))} parameters and "
        f"{count(_rounded(top['tokens_star'], off))} tokens, "
        f"{_rounded(top['tokens_star'] / top['params_star'], 2 * off):.10g} tokens per parameter, "
        f"at a loss of {_decimals(top['loss_star'], 1.96 * top['se_loss_star'])}."
    ]
    words = plain_status(
        "" if posterior is None else posterior.status, "" if law is None else law.status
    )
    status = "" if words == "ok" else f" ({words})"
    if posterior is not None and posterior.ok:
        level = float(forecasts["level"].iloc[0]) if len(forecasts) else 0.95
        own = posterior.parameters(level=level).set_index("parameter")
        said.append(
            f"{name}: the loss falls as L_inf + A C^-alpha, L_inf {_between(own.loc['L_inf'])} and "
            f"alpha {_between(own.loc['alpha'])} ({100 * level:g}%, posterior)."
        )
    known = forecasts[np.isfinite(forecasts["mid"].to_numpy(float))]
    if len(known):
        far = known.sort_values("compute").iloc[-1]
        said.append(
            f"{name}: it expects {_forecast(far)} at {flops(far['compute'])} FLOPs, "
            f"{_where(far['extrapolation_decades'])}{status}."
        )
    elif law is not None and law.ok and len(forecasts):
        far = forecasts.sort_values("compute").iloc[-1]
        said.append(
            f"{name}: by least squares {far['least_squares']:.2f} at {flops(far['compute'])} "
            f"FLOPs, {_where(far['extrapolation_decades'])}, without an interval{status}."
        )
    else:
        said.append(f"{name}: no law could be fitted to its optima{status}.")
    return said


def _held_out(name: str, rows: pd.DataFrame, law: PowerLaw | None) -> list[str]:
    said = []
    finished = rows[(rows["state"] == "finished") & np.isfinite(rows["percent_error"])]
    if len(finished) and law is not None:
        last = finished.sort_values("compute").iloc[-1]
        error = last["percent_error"]
        came = "on its law" if abs(error) < 0.05 else f"{percent(error)} than its law says"
        where = _where(decades_from(last["compute"], law.compute_range))
        said.append(
            f"{name}: its largest held-out budget, {flops(last['budget'])} FLOPs, {where}, "
            f"came out {came}."
        )
    ended = rows[rows["state"] != "finished"]
    for row in ended.head(NOTED).itertuples(index=False):
        said.append(
            f"{name}: a held-out run at {flops(row.budget)} FLOPs ended without a final loss "
            f"({printable(row.state)})."
        )
    if len(ended) > NOTED:
        more = _plural(len(ended) - NOTED, "more held-out run")
        said.append(f"{name}: {more} ended without a final loss.")
    return said


def _forecast(row: Any) -> str:
    """``2.31 [2.28, 2.34] (95%, posterior, mean)``, in digits that the interval supports."""
    return f"{_between(row)} ({100 * row['level']:g}%, {row['method']}, {row['kind']})"


def _between(row: Any) -> str:
    half = (row["high"] - row["low"]) / 2
    mid, low, high = (_decimals(row[name], half) for name in ("mid", "low", "high"))
    return f"{mid} [{low}, {high}]"


def _decimals(value: float, half: float) -> str:
    """A number to the first digit of its half interval, or the second where the first is small."""
    n = 3
    if math.isfinite(half) and half > 0:
        n = math.ceil(-math.log10(half))
        n = min(max(n + (half * 10.0**n < 3.5), 1), 4)
    return f"{value:.{n}f}"


def _rounded(value: float, off: float) -> float:
    """A number to two digits, or three where its relative error is below 1%."""
    return float(f"{value:.{3 if math.isfinite(off) and off < 0.01 else 2}g}")


def decades_from(compute: float, fitted: tuple[float, float]) -> float:
    """Decades beyond the largest fitted compute; negative below the smallest, 0 between.

    Examples
    --------
    >>> decades_from(1e22, (1e18, 1e20)), decades_from(1e19, (1e18, 1e20))
    (2.0, 0.0)
    """
    lo, hi = fitted
    return math.log10(compute / min(max(compute, lo), hi))


def _where(decades: float) -> str:
    if abs(decades) < 0.05:
        return "within the data"
    return f"{abs(decades):.1f} decades {'beyond' if decades > 0 else 'below'} the data"


def _plural(n: int, word: str) -> str:
    return f"{n:,} {word}" if n == 1 else f"{n:,} {word}s"
