"""What each law of the package writes on its fit card."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from . import posterior
from .card import Card
from .parabola import NO_OPTIMUM
from .provenance import NOT_APPLICABLE, NOT_STATED, Origin, here, ladder_facts
from .status import bits, status_names

if TYPE_CHECKING:
    from .bootstrap import BootstrapResult
    from .isocurves import IsocurveComparison
    from .isoflop import IsoflopLadder
    from .overtraining import OvertrainingCost
    from .parabola import Parabola
    from .posterior import LawPosterior
    from .powerlaw import PowerLaw

__all__ = ["at_bounds", "card_of", "data_fields", "residual_fields", "status_fields"]

Fields = dict[str, Any]
_LAW = "loss = L_inf + A C^-alpha"
_C = "compute, in the unit of `definitions`"
_EITHER = "mean (the sum has the same minimum)"
_EVERY_POINT = "every point counts the same"
_CLOSED = {
    "start": f"{NOT_APPLICABLE}: closed form",
    "tolerance": f"{NOT_APPLICABLE}: closed form",
    "iterations": 0,
}
# What csrc/base/minimise.c does to every function of one variable.
_REFINED = "every minimum that the scan brackets is refined by Brent's root search on the slope"
_SEARCHED = {
    "start": "none: the scan covers the whole range",
    "tolerance": "bracket of the root within 4 machine epsilons (8.9e-16) of it",
    "iterations": "not recorded; at most 200 a minimum, the status says if they did not do",
}
_VERTEX = (
    "The losses are those at the vertices of the budgets' fitted curves, not those of runs, and"
    " the computes are the geometric means of the FLOPs of the budgets' runs"
)
_VERTEX_LABEL = (
    "The losses are those at the vertices of the budgets' fitted curves, not those of runs, and"
    " the computes are the labels of the budgets"
)
_CURVES = {
    "windowed": "loss = a x^2 + b x + c, near its vertex",
    "parabola": "loss = a x^2 + b x + c",
    "joint": "loss = k0 + (k2 below k1, k3 above) (z - k1)^2",
    "cubic": "loss = k0 + k1 z + k2 z^2 + k3 z^3",
    "two-power": "loss = k0 + k1 u^-k3 + k2 u^k4",
}
_CURVE_SEARCH = {
    "joint": "linear least squares for each vertex, the vertex scanned at 48 values; " + _REFINED,
    "two-power": "variable projection: linear least squares for each pair of exponents, the two"
    " scanned at 16 values each, one inside the other; " + _REFINED,
}


def card_of(result: Any) -> Card:
    """The fit card of a result of this package.

    A law may bring the fields that are its own in a method ``_card_fields``; those of the laws that
    share most of their words are written here.

    Raises
    ------
    TypeError
        A result that has no card.
    """
    own = getattr(result, "_card_fields", None)
    if own is not None:
        return Card(**(data_fields(result) | own()))
    for kind in type(result).__mro__:
        if kind.__name__ in _WRITERS:
            return Card(**(data_fields(result) | _WRITERS[kind.__name__](result)))
    raise TypeError(f"{type(result).__name__} has no fit card")


def data_fields(result: Any) -> Fields:
    """The fields of a card that describe the data of a result, and the versions it was made with.

    Every field is "not stated" for a result that no fit made.
    """
    origin = _origin(result)
    if origin is None:
        note = f"those of the code that wrote the card; those of the fit are {NOT_STATED}"
        return {"versions": {"note": note, **here()}}
    return origin.facts


def at_bounds(code: int) -> list[str]:
    """The names in a status that say a value sits at a bound."""
    return [name for name in status_names(code) if "_at_" in name or name == "clipped"]


def _origin(result: Any) -> Origin | None:
    return getattr(result, "_origin", None)


def _how(result: Any) -> Mapping[str, Any]:
    origin = _origin(result)
    return {} if origin is None else origin.how


def status_fields(code: int) -> Fields:
    """The fields ``status`` and ``at_bound`` of a card."""
    return {"status": list(status_names(code)), "at_bound": at_bounds(code)}


def _counted(codes: pd.Series, what: str) -> Fields:
    """Statuses of many fits, counted."""
    names = Counter(name for code in codes for name in status_names(int(code)))
    bound = Counter(name for code in codes for name in at_bounds(int(code)))
    return {
        "status": {name: f"{n} of {len(codes)} {what}" for name, n in names.most_common()},
        "at_bound": [f"{name} ({n} of {len(codes)} {what})" for name, n in bound.most_common()],
    }


def residual_fields(rss: float, n: int, coefficients: int) -> Fields:
    """What a card says in ``goodness`` about least squares."""
    return {
        "rss": rss,
        "rms_residual": float(np.sqrt(rss / n)) if n else None,
        "degrees_of_freedom": max(n - coefficients, 0),
    }


# --- curves through budgets -----------------------------------------------------------------------


def _parabola(fit: Parabola) -> Fields:
    window = _how(fit).get("window", NOT_STATED)
    facts = data_fields(fit)
    beyond = fit.n - fit.n_used if fit.ok else 0
    rows: Fields = {}
    if "rows_used" in facts and beyond:
        reason = f"outside the window of {window:g} decades to each side of the vertex"
        rows = {"left_out": facts["left_out"] | {reason: beyond}, "rows_used": fit.n_used}
    names = (
        "a", "b", "c", "x_vertex", "x_star", "tokens_star", "params_star", "loss_star", "a_under",
        "a_over", "joint_x_star", "joint_loss_star", "joint_a_under", "joint_a_over",
    )  # fmt: skip
    numbers = f"loss = {fit.a:.6g} x^2 + {fit.b:.6g} x + {fit.c:.6g}, x = log10(tokens)"
    return rows | status_fields(fit.status_code) | _CLOSED | {
        "law": "IsoFLOP parabola",
        "form": "loss = a x^2 + b x + c, x = log10(tokens)",
        "equation": numbers if fit.ok else "no law",
        "variables": {"x": "log10 of the training tokens D", "loss": "the final loss"},
        "parameters": {name: getattr(fit, name) for name in names},
        "assumptions": [
            "the runs share one compute budget", "the noise has one variance",
            "the curve is symmetric in log tokens about its vertex",
        ],
        "points": "runs of one budget", "n_points": fit.n_used,
        "objective": "squared error", "space": "loss", "aggregate": _EITHER,
        "weights": _EVERY_POINT,
        "search": "closed form, in polynomials orthogonal on the points; the second fit, of two"
        " curvatures: " + _CURVE_SEARCH["joint"],
        "bounds": {"x_star": [fit.x_min, fit.x_max]},
        "options": {"window": window},
        "goodness": residual_fields(fit.rss, fit.n_used, 3),
        "uncertainty": {
            "method": "standard errors, delta method",
            "se_x_star": fit.se_x_star, "se_loss_star": fit.se_loss_star,
        },
    }  # fmt: skip


def _ladder(ladder: IsoflopLadder) -> Fields:
    fits = ladder.fits
    used = fits[fits["used"]]
    search = _CURVE_SEARCH.get(ladder.curve)
    parameters: Fields = {}
    for row in ladder.exponents.itertuples():
        parameters.setdefault(row.suite, {"optima": int(row.n)})[row.quantity] = {
            "coefficient": row.coefficient, "exponent": row.exponent,
        }  # fmt: skip
    barred = bool((used["status_code"].to_numpy() & bits(*NO_OPTIMUM)).any())
    keep = _how(ladder).get("keep", "all" if barred else "good")
    bounds = {
        "joint": {"k1": "inside the observed range"},
        "two-power": {"k1, k2": ">= 0", "k3, k4": [0.01, 3.0]},
    }
    rows = ladder.exponents
    return ladder_facts(ladder) | _counted(fits["status_code"], "budgets") | {
        **(_SEARCHED if search else _CLOSED),
        "law": f"IsoFLOP ladder ({ladder.curve} curve through every budget)",
        "form": f"{_CURVES[ladder.curve]}; N* = k C^p, D* = k C^p through the minima",
        "equation": "; ".join(
            f"{row.suite}: {row.quantity} = {row.coefficient:.6g} C^{row.exponent:.6g}"
            for row in rows.itertuples()
        ) or "no law",
        "variables": {
            "x": "log10 of the training tokens D", "z": "x minus the middle of its range",
            "u": "10^z", "C": "geometric mean of the FLOPs of a budget's runs",
        },
        "parameters": parameters,
        "assumptions": [
            "the runs of a budget share one compute", "the noise has one variance in each budget",
            "params_star is read at D* on the line of log params against x",
        ],
        "points": "runs, budget by budget; their minima for the exponents",
        "n_points": int(used["n_used"].sum()),
        "objective": "squared error", "space": "loss; log10 of the minima for the exponents",
        "aggregate": _EITHER, "weights": _EVERY_POINT,
        "search": search or "closed form, in polynomials orthogonal on the points",
        "bounds": bounds.get(ladder.curve, {"x_star": "inside the observed range"}),
        "options": {
            "curve": ladder.curve,
            "window": "all points" if ladder.window is None else ladder.window,
            "optima": "bracketed minima only" if keep == "good" else "every curve",
        },
        "goodness": {
            "median_rms_residual": float(np.sqrt(used["rss"] / used["n_used"]).median()),
            "budgets": len(fits), "optima": len(used),
        },
        "uncertainty": {
            f"{row.suite}, {row.quantity}": [row.low, row.high] for row in rows.itertuples()
        } | {"method": "95% Student-t intervals of the exponents, from the minima's scatter"},
    }  # fmt: skip


def _comparison(compared: IsocurveComparison) -> Fields:
    table, law = compared.table, compared.forecasts
    first = law.drop_duplicates(["suite", "curve"])
    return _counted(table["status_code"], "curves") | _SEARCHED | {
        "law": "iso-curve comparison",
        "form": "; ".join(f"{name}: {form}" for name, form in _CURVES.items())
        + f"; {_LAW} through the minima of each",
        "equation": "; ".join(
            f"{row.suite}, {row.curve}: L_inf = {row.L_inf:.6g}, alpha = {row.alpha:.6g}"
            for row in first.itertuples()
        ),
        "variables": {
            "x": "log10 of the training tokens D", "z": "x minus the middle of its range",
            "u": "10^z", "C": "geometric mean of the FLOPs of a budget's runs",
        },
        "parameters": {
            f"{row.suite}, {row.curve}": {"L_inf": row.L_inf, "alpha": row.alpha, "optima": row.n}
            for row in first.itertuples()
        },
        "assumptions": ["the runs of a budget share one compute", "the shapes are those compared"],
        "points": "runs, budget by budget, and their minima for the laws",
        "n_points": int(table.drop_duplicates(["suite", "budget"])["n"].sum()),
        "objective": "squared error", "space": "loss", "aggregate": _EITHER,
        "weights": _EVERY_POINT,
        "search": "windowed, parabola and cubic: closed form; "
        + "; ".join(f"{name}: {text}" for name, text in _CURVE_SEARCH.items()),
        "bounds": {"two-power": {"k1, k2": ">= 0", "k3, k4": [0.01, 3.0]},
                   "joint": {"k1": "inside the observed range"}},
        "options": {"window": compared.window},
        "goodness": {
            curve: {"median_loo": float(rows["loo"].median()), "median_bias": rows["bias"].median()}
            for curve, rows in table.groupby("curve", sort=False)
        },
        "uncertainty": "standard errors of the losses at the minima (delta method), in the table",
        "validation": "leave-one-out errors of every curve; bias of each on an additive law",
    }  # fmt: skip


# --- laws in compute ------------------------------------------------------------------------------


def _through_optima(how: Mapping[str, Any]) -> Fields:
    """What differs where the points are the optima of a ladder."""
    kind = how.get("optima")
    if kind is None:
        return {"points": "the points given"}
    said = _VERTEX_LABEL if kind == "budget" else _VERTEX
    return {
        "points": f"optima of the IsoFLOP ladder ({how['curve']} curve)",
        "loss_changes": said,
    }


def _power_search(score: str, method: str, shared: bool, n_grid: Any) -> str:
    line = "A and alpha from the straight line of log(loss - L_inf) against log C"
    inner = "alpha scanned at 48 values, L_inf and A from linear least squares for each"
    if method == "pinned" and not shared:
        given = f"alpha scanned at 48 values, A in closed form; {_REFINED}"
        return line if score == "log" else given
    if method == "grid":
        tail = line if score == "log" else f"for each: alpha scanned at 48 values; {_REFINED}"
        return f"L_inf on a grid of {n_grid} values over [0, 0.95 min loss]; {tail}"
    if score == "loss" and not shared:
        return f"variable projection: {inner}, L_inf held in its bounds; {_REFINED}"
    inside = line if score == "log" else "alpha and A for each by the same kind of search"
    return f"L_inf scanned at 48 values, dense near the lowest loss; {inside}; {_REFINED}"


def _power_law(law: PowerLaw) -> Fields:
    how = _how(law)
    shared = list(how.get("shared_with", ()))
    pinned = law.method == "pinned" and not shared
    n_grid = how.get("n_grid", NOT_STATED)
    closed = law.score == "log" and (pinned or how.get("method", law.method) == "grid")
    fixed: Any = {"L_inf": law.L_inf} if pinned else "none"
    if shared:
        fixed = {"L_inf": f"one value for {', '.join(shared)}"}
    weights = how.get("weigh", "points" if not shared else NOT_STATED)
    weighed = {"points": _EVERY_POINT, "suites": "every suite counts the same"}
    interval = {"profile": "profile", "pinned": "t", "shared": "t"}.get(law.method)
    found = status_fields(law.status_code) | (_CLOSED if closed else _SEARCHED)
    return found | _through_optima(how) | {
        "law": "asymptotic power law",
        "form": _LAW,
        "equation": f"loss = {law.L_inf:.6g} + {law.A:.6g} C^-{law.alpha:.6g}"
        if law.ok else "no law",
        "variables": {"C": _C, "loss": "loss, in `loss_unit`"},
        "parameters": {n: getattr(law, n) for n in ("L_inf", "A", "alpha", "log_A")},
        "fixed": fixed,
        "assumptions": [
            "L_inf is at least 0 and below every loss", "A and alpha are positive",
            f"the noise has one variance in {_space(law.score)}",
            "the law holds over the whole range of compute",
        ],
        "n_points": law.n,
        "objective": "squared error", "space": _space(law.score), "aggregate": _EITHER,
        "weights": weighed.get(weights, weights),
        "search": _power_search(law.score, how.get("method", law.method), bool(shared), n_grid),
        "bounds": {
            "L_inf": "given" if pinned else "[0, 0.95 min loss]"
            if how.get("method", law.method) == "grid" else "[0, min loss)",
            "alpha ln(C_max / C_min)": "> 0, at most 500" if law.score == "loss" else "> 0",
        },
        "options": {"score": law.score, "method": how.get("method", law.method)}
        | ({"n_grid": n_grid} if how.get("method", law.method) == "grid" else {})
        | ({"shared_floor": ", ".join(shared)} if shared else {}),
        "goodness": residual_fields(law.rss, law.n, 2 if law.method == "pinned" else 3)
        | {"compute_from": law.compute_min, "compute_to": law.compute_max},
        "uncertainty": "none kept with the law; interval() computes them"
        + (f", by default method={interval!r}" if interval else ""),
    }  # fmt: skip


def _space(score: str) -> str:
    return "log(loss - L_inf)" if score == "log" else "loss"


def _posterior(law: LawPosterior) -> Fields:
    how = _how(law)
    table = law.parameters() if law.ok else pd.DataFrame()
    middle = {row.parameter: row.mid for row in table.itertuples()}
    names = ("L_inf", "alpha", "sigma")
    alpha = list(posterior.ALPHA_RANGE)
    return status_fields(law.status_code) | _through_optima(how) | {
        "law": "posterior of an asymptotic power law",
        "form": f"{_LAW} + noise with variance sigma^2 (C / C_max)^-power",
        "equation": f"L_inf = {middle['L_inf']:.6g}, alpha = {middle['alpha']:.6g},"
        f" sigma = {middle['sigma']:.6g} (medians)" if law.ok else "no law",
        "variables": {"C": _C, "loss": "loss, in `loss_unit`"},
        "parameters": {name: middle.get(name) for name in names},
        "assumptions": [
            "the noise is Gaussian and independent", "L_inf is at least 0 and below every loss",
            "where the noise falls with compute (power > 0), the future shares it as misfit",
        ],
        "n_points": law.n,
        "objective": "posterior density", "space": "loss",
        "aggregate": "sum of the log-likelihoods of the points, and the log prior",
        "weights": "(C / C_max)^power, averaged over power",
        "search": "amplitude and sigma integrated exactly; alpha (96 values) and L_inf (24) on a"
        " grid that zooms to the mass; draws made continuous inside its cells",
        "start": "none: the grid covers the prior",
        "tolerance": "the zoom ends when no alpha holds more than 8% of the mass",
        "iterations": "not recorded; at most 12 zooms",
        "bounds": {"L_inf": "[0, min loss)", "alpha": alpha},
        "options": {
            "prior": f"L_inf and A uniform, alpha log-uniform on {alpha}, sigma scale-invariant",
            "powers": list(posterior.POWERS), "power_weights": list(posterior.POWER_WEIGHTS),
            "noise_guess": how.get("noise", NOT_STATED), "noise_dof": posterior.NOISE_DOF,
            "n_draws": len(law.draws), "rng": how.get("rng", NOT_STATED),
        },
        "goodness": {"sigma": middle.get("sigma"), "L_inf_spread": law.L_inf_spread,
                     "compute_from": law.compute_min, "compute_to": law.compute_max},
        "uncertainty": {"method": "95% central posterior intervals"}
        | {row.parameter: [row.low, row.high] for row in table.itertuples()},
    }  # fmt: skip


def _bootstrap(drawn: BootstrapResult) -> Fields:
    how = _how(drawn)
    score, method = how.get("score", "loss"), how.get("method", NOT_STATED)
    floor = how.get("floor")
    search = _power_search(score, "pinned" if floor is not None else method, False,
                           how.get("n_grid"))  # fmt: skip
    status = "ok" if drawn.n_ok == drawn.n_requested else "some replicates without a law"
    middle = dict(zip(drawn.at.tolist(), drawn.median.tolist(), strict=True))
    optima = _through_optima(how)
    if "curve" in how:
        search = f"every budget's {how['curve']} curve in closed form, then: {search}"
        optima["points"] = "runs within the budgets, resampled; the law goes through their optima"
    return _SEARCHED | optima | {
        "law": f"bootstrap of an asymptotic power law ({drawn.kind})",
        "form": f"{_LAW}, refitted to every replicate",
        "equation": "; ".join(f"loss({C:.6g}) = {loss:.6g}" for C, loss in middle.items()),
        "variables": {"C": _C, "loss": "median of the replicates' forecasts"},
        "parameters": {f"loss at {C:.6g}": loss for C, loss in middle.items()},
        "fixed": "none" if floor is None else {"L_inf": floor},
        "assumptions": [
            "points are exchangeable" if drawn.kind in ("pairs", "two-level runs")
            else "residuals are exchangeable",
            "the law holds over the whole range of compute and up to the forecasts",
        ],
        "n_points": how.get("n_points", 0),
        "objective": "squared error", "space": _space(score), "aggregate": _EITHER,
        "weights": _EVERY_POINT,
        "search": search,
        "bounds": {"L_inf": "given" if floor is not None else "[0, min loss)"},
        "options": {
            "replicates": drawn.n_requested, "kind": drawn.kind, "score": score, "method": method,
            "n_grid": how.get("n_grid", NOT_STATED), "rng": how.get("rng", NOT_STATED),
        },
        "status": [status],
        "at_bound": ["not recorded for replicates"],
        "goodness": {"replicates_with_a_law": drawn.n_ok, "skipped": drawn.n_skipped,
                     "failed": drawn.n_failed},
        "uncertainty": {"method": f"{drawn.level:.0%} percentiles of the replicates"} | {
            f"loss at {C:.6g}": [low, high] for C, low, high in
            zip(drawn.at.tolist(), drawn.low.tolist(), drawn.high.tolist(), strict=True)
        },
    }  # fmt: skip


def _overtraining(cost: OvertrainingCost) -> Fields:
    how = _how(cost)
    table, curves = cost.table, cost.curves
    statuses = Counter(table["status"])
    return _CLOSED | {
        "law": "cost of training off the optimum",
        "form": "penalty = curvature(C) (log10 s)^2, curvature(C) = k C^p on each side;"
        " law(C) + penalty(C, s) = law(at)",
        "equation": "; ".join(
            f"{row.suite}, {row.side}: curvature = {row.at_forecast:.6g} (C / {cost.at:.6g})^"
            f"{row.exponent:.6g}" for row in curves.itertuples()
        ),
        "variables": {"C": _C, "s": "tokens over the optimal tokens at the same compute"},
        "parameters": {
            f"{row.suite}, {row.side}": {"curvature": row.at_forecast, "exponent": row.exponent,
                                         "budgets": row.n} for row in curves.itertuples()
        },
        "fixed": {f"law of {suite}": text for suite, text in how.get("laws", {}).items()} or "none",
        "assumptions": [
            "a parabola in log tokens holds as far from the optimum as s is",
            "curvatures follow a power law in compute",
        ],
        "points": f"curvatures ({cost.curvature}) of the budgets with an optimum",
        "n_points": int(curves["n"].sum()),
        "loss_changes": _VERTEX,
        "objective": "squared error", "space": "log10 of the curvature", "aggregate": _EITHER,
        "weights": _EVERY_POINT,
        "search": "closed form, a straight line; the compute to match by Newton's method on a"
        " convex function",
        "bounds": {"compute to match": ">= at"},
        "options": {"at": cost.at, "curvature": cost.curvature, "level": cost.level,
                    "n_boot": cost.n_boot, "rng": how.get("rng", NOT_STATED),
                    "scales": table["scale"].drop_duplicates().tolist()},
        "status": {word: f"{n} of {len(table)} costs" for word, n in statuses.most_common()},
        "goodness": {f"{row.suite}, {row.side}": {"rms_ln_curvature": row.rms}
                     for row in curves.itertuples()},
        "uncertainty": f"{cost.level:.0%} residual bootstrap, {cost.n_boot} replicates"
        if cost.n_boot else "none: n_boot is 0",
    }  # fmt: skip


_WRITERS: dict[str, Callable[[Any], Fields]] = {
    "BootstrapResult": _bootstrap,
    "IsocurveComparison": _comparison,
    "IsoflopLadder": _ladder,
    "LawPosterior": _posterior,
    "OvertrainingCost": _overtraining,
    "Parabola": _parabola,
    "PowerLaw": _power_law,
}
