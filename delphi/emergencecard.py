"""What Richards curves and downstream forecasts write on their fit cards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .describe import residual_fields, status_fields

if TYPE_CHECKING:
    from .downstream import DownstreamFit
    from .emergence import RichardsCurve

__all__ = ["curve_fields", "downstream_fields"]

_SEARCH = (
    "a scan over steepness, shape and half height, the ceiling in closed form; its minima and the"
    " corners of the box refined by projected Levenberg-Marquardt, until two agree on a sharp"
    " minimum with eight points on the slope, else all of them"
)
_BOOTSTRAP = "interval() refits drawn accuracies: binomial, or a wild bootstrap without counts"


def curve_fields(curve: RichardsCurve) -> dict[str, Any]:
    """The fields of a card that are the curve's own."""
    binomial = bool(np.isfinite(curve.deviance))
    names = ("k", "x0", "v", "ceiling")
    given = "data range dependent, see fit_richards"
    bounds: Any = dict.fromkeys(names[:3], given) | {"ceiling": "[floor + 0.05, 1]"}
    if curve.box is not None:
        bounds = {n: [float(curve.box[i]), float(curve.box[i + 4])] for i, n in enumerate(names)}
    fixed = {"floor": curve.floor} | ({"ceiling": curve.ceiling} if curve.pinned else {})
    return status_fields(curve.status_code) | {
        "law": "Richards curve",
        "form": "accuracy = floor + (ceiling - floor) sigma(k (x - x0))^v",
        "equation": curve.equation,
        "variables": {"x": "soft metric, more is better", "accuracy": "share of problems solved"},
        "parameters": {name: getattr(curve, name) for name in names},
        "fixed": fixed,
        "assumptions": [
            "accuracy depends on the soft metric only, and rises with it",
            "binomial noise" if binomial else "the noise of the accuracy has one variance",
        ],
        "points": "models, one a row",
        "n_points": curve.n,
        "objective": "binomial deviance" if binomial else "squared error",
        "space": "accuracy",
        "aggregate": "sum",
        "weights": "number of problems" if binomial else "every point counts the same",
        "search": _SEARCH,
        "start": "none: the scan covers the data",
        "tolerance": "relative offset 1e-7; the status says where it was not reached",
        "iterations": f"{curve.n_starts} starts refined",
        "bounds": bounds,
        "options": "none",
        "goodness": (
            residual_fields(curve.sse, curve.n, 3 if curve.pinned else 4)
            | {"deviance": curve.deviance if binomial else "not applicable",
               "dispersion": curve.dispersion}
            if curve.ok else "none"
        ),
        "uncertainty": {
            "standard errors (Jacobian)": {n: getattr(curve, f"se_{n}") for n in names},
            "intervals": _BOOTSTRAP,
        },
    }  # fmt: skip


def downstream_fields(fit: DownstreamFit) -> dict[str, Any]:
    """The fields of a card of both steps; those of the second step are `curve_fields`."""
    curve, law = curve_fields(fit.curve), fit.law
    return curve | status_fields(fit.status_code) | {
        "law": "downstream forecast in two steps",
        "form": "soft metric = L_inf + A C^-alpha, then " + curve["form"],
        "equation": fit.equation,
        "variables": {"C": "compute, FLOPs", "soft metric": f"{fit.unit}, its distance to zero",
                      **curve["variables"]},
        "parameters": {"L_inf": law.L_inf, "A": law.A, "alpha": law.alpha, **curve["parameters"]},
        "assumptions": ["the soft metric follows one power law of compute",
                        *curve["assumptions"], "other models lie on the same curve"],
        "points": "runs below fit_below in the first step; these and other models in the second",
        "n_points": {"first step": law.n, "second step": fit.curve.n},
        "objective": f"squared error of the soft metric, then {curve['objective']}",
        "space": "soft metric, then accuracy",
        "search": f"as fit_power_law; then {_SEARCH}",
        "options": {"asymptote": fit.asymptote, "fit_below": fit.fit_below
                    if np.isfinite(fit.fit_below) else "none held out"},
        "uncertainty": "forecast() draws both steps: the posterior of the power law, and " +
        "curves refitted to drawn accuracies",
    }  # fmt: skip
