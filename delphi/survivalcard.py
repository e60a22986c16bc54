"""What Kaplan-Meier curves and the tests between them write on their fit cards."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from .describe import at_bounds, status_fields
from .provenance import NOT_APPLICABLE
from .status import status_names

if TYPE_CHECKING:
    from .survival import KaplanMeier, SurvivalFit

__all__ = ["meier_fields", "survival_fields"]

_CLOSED = f"{NOT_APPLICABLE}: closed form"
_SHARED: dict[str, Any] = {
    "form": "S(t) = product over tokens t_i <= t of 1 - deaths_i / at_risk_i",
    "variables": {
        "t": "token", "S": "share of rollouts that live beyond it",
        "at_risk": "rollouts still watched at a token",
    },
    "assumptions": [
        "being censored says nothing about when a rollout would have died",
        "rollouts are independent of each other",
        "deaths count before censorings at the same token",
    ],
    "objective": "nonparametric likelihood", "space": "survival",
    "aggregate": "product over tokens", "weights": "every rollout counts the same",
    "search": "closed form (Kaplan and Meier 1958), by scipy.stats.ecdf",
    "start": _CLOSED, "tolerance": _CLOSED, "iterations": 0,
    "bounds": {"S": [0.0, 1.0]},
    "loss": f"{NOT_APPLICABLE}: times of death are fitted",
    "loss_unit": NOT_APPLICABLE,
}  # fmt: skip


def meier_fields(curve: KaplanMeier) -> dict[str, Any]:
    """The fields of a card of one group's curve."""
    return _SHARED | status_fields(curve.status_code) | {
        "law": "Kaplan-Meier curve",
        "equation": f"{curve.label}: {_median(curve)}",
        "parameters": {"median": _number(curve.median), "last share": float(curve.survival[-1])},
        "points": "rollouts", "n_points": curve.n,
        "options": {"group": str(curve.label)},
        "goodness": {"died": curve.n_died, "censored": curve.n - curve.n_died,
                     "tokens with a death or a censoring": len(curve.time)},
        "uncertainty": _band(curve.level, curve.band) | {
            f"{name}, median": _number(value)
            for name, value in (("low", curve.median_low), ("high", curve.median_high))
        },
    }  # fmt: skip


def survival_fields(fit: SurvivalFit) -> dict[str, Any]:
    """The fields of a card of several groups and the tests between them."""
    curves = list(fit.curves.values())
    words = Counter(name for c in curves for name in status_names(c.status_code))
    bound = Counter(name for c in curves for name in at_bounds(c.status_code))
    tests = fit.logrank.to_dict("records")
    return _SHARED | {
        "law": "Kaplan-Meier curves and log-rank tests",
        "equation": "; ".join(f"{c.label}: {_median(c)}" for c in curves),
        "parameters": {
            str(c.label): {"median": _number(c.median), "last share": float(c.survival[-1])}
            for c in curves
        },
        "points": "rollouts", "n_points": sum(c.n for c in curves),
        "options": {"groups": [str(c.label) for c in curves]},
        "status": {name: f"{n} of {len(curves)} groups" for name, n in words.most_common()},
        "at_bound": [f"{name} ({n} of {len(curves)} groups)" for name, n in bound.most_common()],
        "goodness": {str(c.label): {"died": c.n_died, "censored": c.n - c.n_died} for c in curves},
        "uncertainty": _band(fit.level, fit.band),
        "validation": {
            f"log-rank {row['first']} against {row['second']}": {
                "chi2": _number(row["chi2"]), "p": _number(row["p"]),
                "p after Holm": _number(row["p_holm"]),
            }
            for row in tests
        } or "none: one group",
    }  # fmt: skip


def _band(level: float, band: str) -> dict[str, Any]:
    return {"method": f"{level:.0%} {band} bands, token by token, Greenwood's variance"}


def _median(curve: KaplanMeier) -> str:
    return f"median {curve.median:g}" if np.isfinite(curve.median) else "median beyond the data"


def _number(value: float) -> Any:
    return float(value) if np.isfinite(value) else "beyond the data"
