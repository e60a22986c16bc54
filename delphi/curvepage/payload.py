"""The numbers that the scripts of the page work with, as plain values for JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from delphi.figures.thin import spread
from delphi.shorthand import printable, shortened

if TYPE_CHECKING:
    from delphi.curvepage.content import CurveAnalysis
    from delphi.endpoints import EndpointLaws

__all__ = ["NAME", "RUNS", "payload", "thinning_note"]

RUNS, POINTS = 60, 120  # drawn at once, and of each; forecasts of all runs are in the page
NAME = 60
DIGITS = 8
LAW = ("n", "E", "A", "alpha", "rmse", "r2", "a", "b", "line_rmse", "line_r2")


def payload(a: CurveAnalysis) -> dict[str, Any]:
    """Runs, forecasts, endpoint laws and joint scores; None for what is not finite."""
    keys = a.runs.keys
    labels: dict[str, Any] = {}
    codes: dict[str, Any] = {}
    for noun in ("scale", "mix", "lr"):
        values = sorted(keys[noun].unique(), key=lambda v: (isinstance(v, str), v))
        labels[noun] = [name_of(v) for v in values]
        codes[noun] = [values.index(v) for v in keys[noun]]
    return {
        "scales": labels["scale"], "mixes": labels["mix"], "lrs": labels["lr"],
        "run": [shortened(printable(name), NAME) for name in keys["run"]],
        "scale": codes["scale"], "mix": codes["mix"], "lr": codes["lr"],
        "actual": _exact(a.runs.actual),
        "most_runs": RUNS,
        **_points(a),
        **_forecasts(a),
        "level": a.level,
        "endpoints": _endpoints(a.endpoints) if a.endpoints else None,
        "joint": _joint(a.joint) if a.joint is not None else None,
    }  # fmt: skip


def name_of(value: Any) -> str:
    """A scale, mix or learning rate as a label."""
    if isinstance(value, (float, np.floating)) and np.isfinite(value):
        return f"{value:.3g}".replace("e+", "e")
    return shortened(printable(value), 40)


def thinning_note(a: CurveAnalysis) -> str:
    """What is not drawn, in a sentence; empty if all is."""
    n, most = len(a.runs), int(np.diff(a.runs.offsets).max(initial=0))
    said = []
    if n > RUNS:
        said.append(f"at most {RUNS} of {n:,} runs at once, evenly spaced")
    if most > POINTS:
        said.append(f"{POINTS} of up to {most:,} points of a run, evenly spaced")
    return f"Drawn: {'; '.join(said)}. The numbers below are of all." if said else ""


def _points(a: CurveAnalysis) -> dict[str, Any]:
    tau, loss = [], []
    for r in range(len(a.runs)):
        rows = a.runs.offsets[r] + spread(int(np.diff(a.runs.offsets)[r]), POINTS)
        tau.append(_round(a.runs.tau[rows], 6))
        loss.append(_round(a.runs.loss[rows], 6))
    return {"tau": tau, "loss": loss}


def _forecasts(a: CurveAnalysis) -> dict[str, Any]:
    """Per method, arrays of runs times prefixes."""
    fits = a.fits
    prefixes = sorted(fits["prefix"].unique().tolist())
    methods = list(dict.fromkeys(fits["method"]))
    order = {name: k for k, name in enumerate(a.runs.keys["run"])}
    place = fits["run"].map(order).to_numpy() * len(prefixes) + np.searchsorted(
        prefixes, fits["prefix"]
    )
    out = {}
    size = len(a.runs) * len(prefixes)
    for method, rows in fits.groupby("method", sort=False).indices.items():
        part = fits.iloc[rows]
        columns: dict[str, Any] = {}
        for name, source in (
            ("F", "F"), ("A", "A"), ("t0", "theta_0"), ("t1", "theta_1"), ("low", "low"),
            ("high", "high"), ("final", "predicted_final"), ("error", "abs_error"),
        ):  # fmt: skip
            if name in ("F", "A", "t0", "t1") and not part["form"].iloc[0]:
                continue
            values = np.full(size, np.nan)
            values[place[rows]] = part[source].to_numpy(float)
            columns[name] = _exact(values) if name in ("error", "final") else _round(values)
        columns["status"] = [""] * size
        for p, word in zip(place[rows], part["status"], strict=True):
            columns["status"][p] = "" if word == "ok" else word.replace("_", " ")
        out[str(method)] = columns
    forms = {m: str(f) for m, f in zip(fits["method"], fits["form"], strict=True)}
    return {"prefixes": prefixes, "methods": methods, "forms": forms, "fits": out}


def _endpoints(laws: tuple[EndpointLaws, ...]) -> dict[str, Any]:
    points = laws[-1].points
    recipes = laws[-1].points[["mix", "lr"]].drop_duplicates().sort_values(["mix", "lr"])
    names = [f"{name_of(m)}, lr {name_of(v)}" for m, v in recipes.itertuples(index=False)]
    order = {key: k for k, key in enumerate(recipes.itertuples(index=False, name=None))}
    who = [order[key] for key in points[["mix", "lr"]].itertuples(index=False, name=None)]
    cutoffs = []
    for law in laws:
        rows: list[Any] = [None] * len(names)
        for _, row in law.laws.iterrows():
            at = order[(row["mix"], row["lr"])]
            rows[at] = {name: _one(row[name]) for name in LAW} | {
                "status": str(row["status"]).replace("_", " ")
            }
        held = [
            {
                "recipe": order[(row["mix"], row["lr"])],
                **{
                    name: _one(row[name])
                    for name in (
                        "compute", "loss", "predicted", "percent_error", "line_predicted",
                        "line_percent_error",
                    )
                },
            }
            for _, row in law.held_out.iterrows()
        ]  # fmt: skip
        cutoffs.append(
            {
                "cutoff": law.cutoff, "name": name_of(float(law.cutoff)), "laws": rows,
                "held": held, "used": [str(u) for u in law.points["used"]],
            }
        )  # fmt: skip
    return {
        "recipes": names, "cutoffs": cutoffs, "recipe": who,
        "compute": _exact(points["compute"].to_numpy(float)),
        "loss": _exact(points["loss"].to_numpy(float)),
    }  # fmt: skip


def _joint(scores: pd.DataFrame) -> list[dict[str, Any]]:
    kept = ["scope", "ridge", "kind", "cells", "prefix", "method", "n_runs", "mae", "worst", "bias"]
    return [
        {k: v if isinstance(v, str) else _one(v) for k, v in row.items()}
        for row in scores[kept].to_dict("records")
    ]


def _one(value: Any) -> Any:
    number = float(value)
    return number if np.isfinite(number) else None


def _exact(values: Any) -> list[float | None]:
    return [float(v) if np.isfinite(v) else None for v in np.asarray(values, float)]


def _round(values: Any, digits: int = DIGITS) -> list[float | None]:
    return [float(f"{v:.{digits}g}") if np.isfinite(v) else None for v in np.asarray(values, float)]
