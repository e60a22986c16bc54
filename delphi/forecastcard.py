"""What end-point laws, back-tests and speed-ups write on their fit cards."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from .provenance import NOT_APPLICABLE, Origin
from .status import status_names

if TYPE_CHECKING:
    from .backtesting import Backtest
    from .endpoints import EndpointLaws
    from .posterior import LawPosterior
    from .speedup import Speedup

__all__ = ["backtest_fields", "endpoint_fields", "origin_of_two", "speedup_fields"]

_LAW = "loss = L_inf + A C^-alpha"
_SCAN = "variable projection over alpha with L_inf and A in closed form; minima refined by Brent"
_SHARED: dict[str, Any] = {
    "aggregate": "sum", "weights": "every point counts the same",
    "start": "none: the scan covers the whole range",
    "tolerance": "as of the laws themselves", "iterations": "not recorded",
}  # fmt: skip


def _counted(words: list[str], what: str) -> dict[str, Any]:
    found = Counter(words)
    return {
        "status": {word: f"{n} of {what}" for word, n in found.most_common()} or ["ok"],
        "at_bound": [word for word in found if "_at_" in word],
    }


def endpoint_fields(laws: EndpointLaws) -> dict[str, Any]:
    """The fields of a card of end-point laws."""
    table, good = laws.laws, laws.laws[laws.laws["status_code"] >= 0]
    keys = [", ".join(str(row[name]) for name in laws.by) for row in table.to_dict("records")]
    words = [name for code in table["status_code"] for name in status_names(int(code))]
    return _SHARED | _counted(words, f"{len(table)} recipes") | {
        "law": "end-point laws, one a recipe",
        "form": "loss = E + A (C / 1e18)^-alpha; beside it log loss = a + b log(C / 1e18)",
        "equation": f"{len(good)} of {len(table)} recipes have a law",
        "variables": {"C": "compute, FLOPs", "loss": "final loss of a run"},
        "parameters": {
            key: {name: row[name] for name in ("E", "A", "alpha", "a", "b")}
            for key, row in zip(keys, table.to_dict("records"), strict=True)
        },
        "assumptions": ["recipes have nothing in common", "E is at least 0 and below every loss"],
        "points": "finished runs", "n_points": int(table["n"].sum()),
        "objective": "squared error", "space": "loss; log loss for the straight line",
        "search": _SCAN,
        "bounds": {"E": "[0, min loss)", "A, alpha": "> 0"},
        "options": {"by": list(laws.by), "cutoff": laws.cutoff},
        "goodness": {
            key: {"rmse": row["rmse"], "line_rmse": row["line_rmse"]}
            for key, row in zip(keys, table.to_dict("records"), strict=True)
        },
        "uncertainty": "none: held-out errors instead",
        "validation": "none held out" if laws.held_out.empty else {
            "held-out runs": len(laws.held_out),
            "mean absolute percent error": float(laws.held_out["percent_error"].abs().mean()),
        },
    }  # fmt: skip


def backtest_fields(test: Backtest) -> dict[str, Any]:
    """The fields of a card of a back-test."""
    scores = test.scores
    named = {f"{r.method}, {r.target}, {r.reach}": r.median_error for r in scores.itertuples()}
    return _SHARED | {
        "law": "back-test of asymptotic power laws",
        "form": f"{_LAW}, fitted up to every cutoff",
        "equation": f"{len(test.table)} forecasts",
        "variables": {"C": "compute, FLOPs", "loss": "at an optimum, or of a held-out run"},
        "parameters": {f"median absolute percent error: {key}": v for key, v in named.items()},
        "assumptions": ["each cutoff sees only the budgets up to it"],
        "points": "optima of the budgets up to a cutoff", "n_points": len(test.table),
        "objective": "by method, see table", "space": "loss",
        "search": f"posterior on a grid; least squares: {_SCAN}",
        "bounds": {"L_inf": "[0, min loss)"},
        "status": ["every forecast is scored, whatever its status"],
        "goodness": named,
        "uncertainty": {"level": float(test.table["level"].iloc[0])},
        "validation": "the back-test itself: every target lies beyond the fitted range",
    }  # fmt: skip


def speedup_fields(speed: Speedup) -> dict[str, Any]:
    """The fields of a card of a speed-up."""
    table = speed.table
    words = [word for text in table["status"] for word in text.split(", ")]
    middle = {f"at {row.compute:.6g}": row.mid for row in table.itertuples()}
    return _SHARED | _counted(words, f"{len(table)} computes") | {
        "law": "effective speed-up of one posterior over another",
        "form": f"law_b(factor C) = law_a(C), both {_LAW}",
        "equation": "; ".join(f"{key}: {value:.6g}" for key, value in middle.items()),
        "variables": {"C": "compute spent on a", "factor": "compute of b over that of a"},
        "parameters": middle,
        "assumptions": ["the two posteriors are independent", "the laws hold beyond the data"],
        "points": "those of both laws", "n_points": len(table),
        "objective": "posterior density of each law", "space": "loss",
        "search": "closed-form inverse in every pair of draws", "bounds": "none",
        "delta": NOT_APPLICABLE,
        "goodness": {"share of draws that cross": speed.crossing["share"]},
        "uncertainty": {f"at {row.compute:.6g}": [row.low, row.high] for row in table.itertuples()}
        | {"level": float(table["level"].iloc[0])},
    }  # fmt: skip


def origin_of_two(a: LawPosterior, b: LawPosterior) -> Origin | None:
    """The origin of what rests on two laws; None where one of them has none."""
    one, two = a._origin, b._origin
    if one is None or two is None:
        return None

    def find() -> dict[str, Any]:
        sides = {"a": one.facts, "b": two.facts}
        facts = dict(sides["a"])
        facts["rows_read"] = sum(f["rows_read"] for f in sides.values())
        facts["rows_used"] = sum(f["rows_used"] for f in sides.values())
        for name in ("left_out", "hashes"):
            facts[name] = {f"{k}, law {s}": v for s, f in sides.items() for k, v in f[name].items()}
        facts["ranges"] = {f"law {s}": f["ranges"] for s, f in sides.items()}
        facts["reading_notes"] = ["rows are counted once a law, also where both share a table"]
        return facts

    return Origin(find, {})
