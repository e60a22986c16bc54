"""The L(N, D) surface of each suite beside its IsoFLOP route."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import pandas as pd

from delphi.report.tables import Column, Table, from_frame, plain_status
from delphi.shorthand import flops

if TYPE_CHECKING:
    from delphi.isoflop import IsoflopLadder
    from delphi.surfacelaw import SurfaceLaw

__all__ = ["fit_suites", "surface_table"]

AT = 1e23
MOST_SUITES = 12  # a surface is a search of its own
MOST_RUNS = 20_000


def fit_suites(ladder: IsoflopLadder) -> dict[str, SurfaceLaw]:
    """A surface through the runs behind each suite's budgets; empty for very large tables."""
    from delphi.isoflop import sweep_runs
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


def surface_table(ladder: IsoflopLadder, laws: dict[str, SurfaceLaw]) -> Table:
    """Both routes to the optimum, one row a suite."""
    columns = (
        Column("suite", "suite"),
        Column("equation", "surface"),
        Column("n", "runs", "integer"),
        Column("a", "params exponent", "loss"),
        Column("a_isoflop", "by IsoFLOP", "loss"),
        Column("b", "tokens exponent", "loss"),
        Column("b_isoflop", "by IsoFLOP", "loss"),
        Column("ratio", f"tokens per parameter at {flops(AT)}", "tenths"),
        Column("loss", f"loss at {flops(AT)}", "loss"),
        Column("loss_isoflop", "by IsoFLOP", "loss"),
        Column("status", "status"),
    )
    title = "Surface beside IsoFLOP"
    if not laws:
        note = "Skipped: too many runs; delphi.fit_surface fits them all."
        return from_frame("surface", title, note, columns, pd.DataFrame(columns=_keys(columns)))
    exponents = ladder.exponents.set_index(["suite", "quantity"])["exponent"]
    ahead = _forecast(ladder)
    rows = [
        {
            "suite": suite,
            "equation": _equation(law),
            "n": law.n,
            **_optimum(law),
            "a_isoflop": exponents.get((suite, "params_star"), math.nan),
            "b_isoflop": exponents.get((suite, "tokens_star"), math.nan),
            "loss_isoflop": ahead.get(suite, math.nan),
            "status": plain_status(law.status),
        }
        for suite, law in laws.items()
    ]
    note = (
        "loss = E + A/N^alpha + B/D^beta through all runs of a suite (Huber loss of log residuals, "
        "delta 0.001, global search), and what it says of the optimum at C = 6 N D, beside the "
        "exponents and the forecast by way of the budgets. Where the two disagree, one of the "
        "forms does not hold."
    )
    if len(ladder.suites) > MOST_SUITES:
        note += f" The first {MOST_SUITES} of {len(ladder.suites):,} suites."
    return from_frame("surface", title, note, columns, pd.DataFrame(rows, columns=_keys(columns)))


def _keys(columns: tuple[Column, ...]) -> list[str]:
    return [column.key for column in columns]


def _equation(law: SurfaceLaw) -> str | None:
    if not law.ok:
        return None
    return f"{law.E:.3f} + {law.A:.4g}/N^{law.alpha:.3f} + {law.B:.4g}/D^{law.beta:.3f}"


def _optimum(law: SurfaceLaw) -> dict[str, Any]:
    """Exponents, tokens per parameter and loss at the optimum; NaN where there is none."""
    if not law.ok:
        return dict.fromkeys(("a", "b", "ratio", "loss"), math.nan)
    exponents = law.exponents.set_index("exponent")["value"]
    best = law.optimum(AT).iloc[0]
    return {
        "a": exponents["a"],
        "b": exponents["b"],
        "ratio": best["tokens_per_param"],
        "loss": best["loss"],
    }


def _forecast(ladder: IsoflopLadder) -> dict[str, float]:
    """The default forecast at the same compute, by suite."""
    if ladder.optima.empty:
        return {}
    frame = ladder.forecast(AT)
    return dict(zip(frame["suite"].astype(str), frame["mid"], strict=True))
