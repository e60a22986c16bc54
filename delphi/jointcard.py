"""What a joint fit of learning curves writes on its fit card."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .curveforms import SHAPES
from .describe import status_fields

if TYPE_CHECKING:
    from .jointcurves import JointCurves

__all__ = ["joint_fields"]


def joint_fields(joint: JointCurves) -> dict[str, Any]:
    """The fields of a card that are the joint fit's own."""
    fits = joint.fits
    usable = fits[fits["status_code"] >= 0]
    forms = list(dict.fromkeys(fits["form"]))
    return status_fields(joint.status_code) | {
        "law": "joint learning curves",
        "form": f"{joint.equation}; " + "; ".join(f"s {form}: {SHAPES[form]}" for form in forms),
        "equation": joint.equation if joint.ok else "no law",
        "variables": {
            "tau": "progress of the run, 0 to 1", "loss": "loss, in `loss_unit`",
            "z": {str(group): list(terms.names) for group, terms in joint.terms.items()},
        },
        "parameters": {
            f"{row['group']}, prefix {row['prefix']:g}, {row['form']}-{row['loss']}, "
            f"{row['parameter']}": {
                name: value for name, value in row.items()
                if name not in ("group", "prefix", "form", "loss", "parameter") and value == value
            }
            for row in joint.coefficients.to_dict("records")
        },
        "assumptions": [
            "F and A are linear in the terms z",
            "runs have one shape" if joint.theta == "shared"
            else "ln theta is linear in mix, log lr and log flops",
            "s(0) = 1 and s(1) = 0: F is the final loss",
        ],
        "points": "points of runs up to a prefix",
        "n_points": int(fits["n"].max()),
        "objective": "mean absolute error, or Huber's loss; plus ridge / 2 times the sum of"
        " squares of the coefficients of all terms but the intercepts",
        "space": "loss", "aggregate": "mean",
        "delta": sorted(usable["delta"].unique().tolist()) or "not applicable",
        "weights": "every point counts the same",
        "search": "theta scanned on a grid with least squares in F and A (variable projection);"
        " the three best places refined by damped Newton steps in all coefficients",
        "start": "none: the scan covers the whole range",
        "tolerance": "promised gain of a step below 1e-8 of the objective",
        "iterations": int(usable["iterations"].sum()),
        "bounds": "ln theta in a box; F and A free",
        "options": {"scope": joint.scope, "theta": joint.theta, "ridge": joint.ridge},
        "goodness": {
            f"{row.group}, prefix {row.prefix:g}, {row.form}-{row.loss}": row.objective
            for row in usable.itertuples()
        } or "no fit",
        "uncertainty": f"conformal intervals of the final loss, level {joint.level:g}: errors of"
        " the same method at the same prefix on the other finished runs",
    }  # fmt: skip
