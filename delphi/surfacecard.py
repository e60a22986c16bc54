"""What an L(N, D) surface writes on its fit card."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .describe import status_fields

if TYPE_CHECKING:
    from .surfacelaw import SurfaceLaw

__all__ = ["surface_fields"]

_OBJECTIVES = {
    "huber": "Huber loss of the residuals, r^2 / 2 up to delta and delta (|r| - delta / 2) beyond",
    "squared": "squared error",
    "absolute": "absolute error",
}


def surface_fields(law: SurfaceLaw) -> dict[str, Any]:
    """The fields of a card that are the surface's own."""
    dof = law.n - law.n_free
    floor = 0.0 if law.nonnegative else "none"
    return status_fields(law.status_code) | {
        "law": "L(N, D) surface",
        "form": "loss = E + A / N^alpha + B / D^beta",
        "equation": f"loss = {law.E:.6g} + {law.A:.6g} / N^{law.alpha:.6g}"
        f" + {law.B:.6g} / D^{law.beta:.6g}" if law.ok else "no law",
        "variables": {
            "N": "parameters, as in `definitions`", "D": "tokens, as in `definitions`",
            "loss": "loss, in `loss_unit`",
        },
        "parameters": {name: getattr(law, name) for name in ("E", "A", "B", "alpha", "beta")},
        "fixed": dict(law.fixed) or "none",
        "assumptions": [
            "what N and D take off the loss does not depend on the other",
            *(["E, A and B are not negative"] if law.nonnegative else []),
            f"the noise has one scale in {'ln(loss)' if law.space == 'log' else 'loss'}",
        ],
        "points": "runs, one a row",
        "n_points": law.n,
        "objective": _OBJECTIVES[law.kind],
        "space": "ln(loss)" if law.space == "log" else "loss",
        "aggregate": "sum (the mean has the same minimum)",
        "delta": law.delta if law.kind == "huber" else "not applicable",
        "weights": "every point counts the same"
        if (law.points["weight"] == 1).all() else "given with the data",
        "search": "variable projection: alpha and beta scanned on 16 x 16 values with closed-form"
        " inner fits of E, A and B; the best minima of the scan and the least-squares law are"
        " polished by Newton steps in all free parameters, QR throughout, and each exponent is"
        " scanned once more about the winner",
        "start": "none: the scan covers the whole range",
        "tolerance": "steps below rounding; the status says where they did not get there",
        "iterations": law.iterations,
        "bounds": dict.fromkeys(("E", "A", "B"), floor) | {
            "alpha": "> 0, the ends of the scan are flagged",
            "beta": "> 0, the ends of the scan are flagged",
        },
        "options": law.options() | {
            "rows left out by rule": dict(law.left_out["rule"].value_counts()) or "none",
        },
        "goodness": {
            "objective": law.objective, "rss": law.rss, "points_within_delta": law.n_inside,
            "minima_of_the_scan": law.n_minima, "degrees_of_freedom": dof,
        },
        "uncertainty": {
            "standard errors (sandwich)": dict(law.standard_errors),
            "intervals": "interval() bootstraps by default, each replicate with its own search",
        },
    }  # fmt: skip
