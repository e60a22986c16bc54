"""The L(N, D) surface of each suite beside its IsoFLOP route."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from delphi.report.tables import Column, Table, from_frame, plain_status
from delphi.shorthand import flops

if TYPE_CHECKING:
    from delphi.isoflop import IsoflopLadder
    from delphi.posterior import LawPosterior
    from delphi.surfacelaw import SurfaceLaw

__all__ = ["exponents_table", "fit_suites", "surface_table"]

AT = 1e23
MOST_SUITES = 12  # a surface is a search of its own
MOST_RUNS = 20_000


def fit_suites(ladder: IsoflopLadder) -> dict[str, SurfaceLaw]:
    """A surface through the runs behind each suite's budgets; empty for very large tables."""
    from delphi.buckets import sweep_runs
    from delphi.surface import fit_surface

    _, sweep, _ = sweep_runs(ladder.runs)
    if len(sweep) > MOST_RUNS:
        return {}
    laws = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the status column says it
        for suite in ladder.suites[:MOST_SUITES]:
            own = sweep[(sweep["suite"] == suite).to_numpy(bool)]
            laws[suite] = fit_surface(own["params"], own["tokens"], own["loss"])
    return laws


def surface_table(
    ladder: IsoflopLadder, laws: dict[str, SurfaceLaw], posteriors: Mapping[str, LawPosterior]
) -> Table:
    """Both routes to the optimum, one row a suite."""
    columns = (
        Column("suite", "suite"),
        Column("equation", "surface"),
        Column("n", "runs", "integer"),
        Column("ratio", f"tokens per parameter at {flops(AT)}", "tenths"),
        Column("loss", f"loss at {flops(AT)}", "loss"),
        Column("loss_isoflop", "by IsoFLOP", "loss"),
        Column("status", "status"),
    )
    title = "Surface beside IsoFLOP"
    if not laws:
        return _skipped("surface", title, columns)
    ahead = _forecast(posteriors)
    rows = [
        {
            "suite": suite,
            "equation": _equation(law),
            "n": law.n,
            **_optimum(law),
            "loss_isoflop": ahead.get(suite, math.nan),
            "status": plain_status(law.status),
        }
        for suite, law in laws.items()
    ]
    note = (
        "loss = E + A/N^alpha + B/D^beta through all runs of a suite (Huber loss of log residuals, "
        "delta 0.001, global search), and what it says of the optimum at C = 6 N D, beside the "
        "forecast by way of the budgets. Where the two disagree, one of the forms does not hold."
    )
    if len(ladder.suites) > MOST_SUITES:
        note += f" The first {MOST_SUITES} of {len(ladder.suites):,} suites."
    return from_frame("surface", title, note, columns, pd.DataFrame(rows, columns=_keys(columns)))


def exponents_table(ladder: IsoflopLadder, laws: dict[str, SurfaceLaw]) -> Table:
    """How optimal params and tokens grow with compute by either route, with intervals."""
    columns = (
        Column("suite", "suite"),
        Column("quantity", "exponent of"),
        Column("surface", "by surface", "loss"),
        Column("low", "95% low", "loss"),
        Column("high", "high", "loss"),
        Column("isoflop", "by IsoFLOP", "loss"),
        Column("isoflop_low", "95% low", "loss"),
        Column("isoflop_high", "high", "loss"),
        Column("verdict", "the two"),
    )
    title = "Exponents by surface and by IsoFLOP"
    if not laws:
        return _skipped("surface_exponents", title, columns)
    by_isoflop = ladder.exponents.set_index(["suite", "quantity"])
    rows = []
    for suite, law in laws.items():
        own = _shares(law)
        for name, share, words in (
            ("params_star", "a", "optimal params"), ("tokens_star", "b", "optimal tokens")
        ):  # fmt: skip
            other = by_isoflop.loc[(suite, name)] if (suite, name) in by_isoflop.index else {}
            row: dict[str, Any] = {"suite": suite, "quantity": words}
            row["surface"], row["low"], row["high"] = own[share]
            row |= {
                "isoflop": other.get("exponent", math.nan),
                "isoflop_low": other.get("low", math.nan),
                "isoflop_high": other.get("high", math.nan),
            }
            rows.append(row | {"verdict": _verdict(row)})
    note = (
        "Exponents of compute. Surface: beta / (alpha + beta) and alpha / (alpha + beta), with t "
        "intervals by the delta method on sandwich errors. IsoFLOP: the line through the optima of "
        "the budgets, with t intervals from their scatter; it does not see the noise inside one."
    )
    frame = pd.DataFrame(rows, columns=_keys(columns))
    return from_frame("surface_exponents", title, note, columns, frame)


def _skipped(key: str, title: str, columns: tuple[Column, ...]) -> Table:
    note = "Skipped: too many runs; delphi.fit_surface fits them all."
    return from_frame(key, title, note, columns, pd.DataFrame(columns=_keys(columns)))


def _shares(law: SurfaceLaw) -> dict[str, tuple[float, float, float]]:
    """Exponents a and b with the ends of their 95% intervals; NaN where there are none."""
    if not law.ok or not (law.A and law.B):
        return dict.fromkeys(("a", "b"), (math.nan, math.nan, math.nan))
    table = law.exponents.set_index("exponent")
    reach = law.t(0.95) if law.n > law.n_free else math.nan
    ends = {}
    for name in ("a", "b"):
        value, se = float(table["value"][name]), float(table["se"][name])
        ends[name] = (value, value - reach * se, value + reach * se)
    return ends


def _verdict(row: Mapping[str, Any]) -> str:
    """Whether the two intervals have values in common."""
    names = ("low", "high", "isoflop_low", "isoflop_high")
    low, high, other_low, other_high = (float(row[name]) for name in names)
    if not math.isfinite(low + high + other_low + other_high):
        return "no interval"
    return "agree" if low <= other_high and other_low <= high else "differ"


def _keys(columns: tuple[Column, ...]) -> list[str]:
    return [column.key for column in columns]


def _equation(law: SurfaceLaw) -> str | None:
    if not law.ok:
        return None
    return f"{law.E:.3f} + {law.A:.4g}/N^{law.alpha:.3f} + {law.B:.4g}/D^{law.beta:.3f}"


def _optimum(law: SurfaceLaw) -> dict[str, Any]:
    """Tokens per parameter and loss at the optimum; NaN where there is none."""
    if not law.ok:
        return dict.fromkeys(("ratio", "loss"), math.nan)
    best = law.optimum(AT).iloc[0]
    return {"ratio": best["tokens_per_param"], "loss": best["loss"]}


def _forecast(posteriors: Mapping[str, LawPosterior]) -> dict[str, float]:
    """The default forecast at the same compute, by suite."""
    from delphi.intervals import by_suite

    if not posteriors:
        return {}
    frame = by_suite(posteriors, np.array([AT]))
    return dict(zip(frame["suite"].astype(str), frame["mid"], strict=True))
