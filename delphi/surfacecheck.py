"""How far to trust an L(N, D) surface: profiles, points left out, thresholds side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from . import _core
from .arrays import column
from .errors import DataError
from .status import status_texts
from .surfaceplan import exponents_of
from .threads import thread_count

if TYPE_CHECKING:
    from .surfacelaw import SurfaceLaw

__all__ = ["leave_one_out", "profile_intervals", "profile_parameter", "under_deltas"]

PARAMETERS = ("E", "A", "B", "alpha", "beta")
_ZOOM = 24  # values tried at a time on each side of an interval
_ROUNDS = 5


def _deviance_unit(law: SurfaceLaw) -> float:
    """What differences of the objective are divided by to become a squared t.

    For least squares the noise variance; else the ratio of the mean squared influence to twice the
    mean slope of the influence function (the robust likelihood ratio test; Ronchetti 1982).
    """
    N, D, y, w = law.data()
    fitted = law.predict(N, D)
    r = np.log(y / fitted) if law.space == "log" else y - fitted
    spare = law.n - law.n_free
    if spare < 1:
        raise DataError("a profile needs more points than parameters")
    if law.kind == "squared":
        return law.rss / spare
    scale = 1.0 if law.space == "log" else float(np.exp(np.average(np.log(y), weights=w)))
    delta = law.delta * scale
    window = 0.9 * 1.4826 * float(np.median(np.abs(r))) * len(r) ** -0.2
    if law.kind == "absolute":
        influence, slope = np.ones_like(r), np.average(np.abs(r) <= window, weights=w) / window
    else:
        window = max(window, delta)
        influence = np.clip(r, -delta, delta)
        slope = np.average(np.abs(r) <= window, weights=w) * delta / window
    return float(np.sum(w * influence**2) / spare / (2 * slope))


def _at(law: SurfaceLaw, parameter: str, values: NDArray[np.float64]) -> Any:
    """The best law at each value of a parameter, as records."""
    if parameter not in PARAMETERS:
        raise DataError(f"parameter: expected one of {', '.join(PARAMETERS)}, got {parameter!r}")
    if parameter in law.fixed:
        raise DataError(f"parameter: {parameter} was fixed")
    N, D, y, w = law.data()
    m, size = len(values), len(y)
    fixed = np.tile(law.fixed_row(), (m, 1))
    fixed[:, PARAMETERS.index(parameter)] = values
    return _core.surface_fit(
        np.tile(N, m), np.tile(D, m), np.tile(y, m), np.arange(0, m * size + 1, size),
        weights=np.tile(w, m), fixed=fixed, n_threads=thread_count(), **law.options(),
    )  # fmt: skip


def profile_parameter(
    law: SurfaceLaw, parameter: str, values: ArrayLike | None, n: int
) -> pd.DataFrame:
    """The work behind `SurfaceLaw.profile`."""
    if values is None:
        if parameter not in PARAMETERS:
            raise DataError(f"parameter: expected one of {PARAMETERS}, got {parameter!r}")
        mid, se = getattr(law, parameter), law.standard_errors[parameter]
        if not se > 0 or not mid > 0:
            raise DataError(f"values: {parameter} has no standard error to span them, give some")
        reach = min(4 * se / mid, np.log(30))
        at = mid * np.exp(np.linspace(-reach, reach, n))
    else:
        at = column(np.atleast_1d(np.asarray(values)), "values")
    records = _at(law, parameter, at)
    table = pd.DataFrame({name: records[name] for name in (*PARAMETERS, "objective")})
    table["deviance"] = (table["objective"] - law.objective) / _deviance_unit(law)
    table["status"] = status_texts(records["status"])
    return table


def profile_intervals(law: SurfaceLaw, level: float) -> pd.DataFrame:
    """Profile interval of every free parameter; 0 or inf where an end is not reached."""
    unit, bound = _deviance_unit(law), law._t(level) ** 2
    rows = []
    for name in PARAMETERS:
        mid = getattr(law, name)
        if name in law.fixed or not mid > 0:
            continue
        ends = [_end(law, name, mid, sign, unit, bound) for sign in (-1, 1)]
        rows.append((name, ends[0], mid, ends[1]))
    table = pd.DataFrame(rows, columns=["parameter", "low", "mid", "high"])
    return table.assign(level=level, method="profile")


def _end(law: SurfaceLaw, name: str, mid: float, sign: int, unit: float, bound: float) -> float:
    """Where the deviance crosses the bound: a ladder of factors, zoomed into."""
    factors = np.concatenate(([0.0], np.geomspace(1e-3, np.log(1e6), _ZOOM)))
    for _ in range(_ROUNDS):
        records = _at(law, name, mid * np.exp(sign * factors))
        out = (records["objective"] - law.objective) / unit > bound
        out |= records["status"] < 0
        out[0] = False
        if not out.any():
            return 0.0 if sign < 0 else np.inf
        first = int(np.argmax(out))
        factors = np.linspace(factors[first - 1], factors[first], _ZOOM)
    return float(mid * np.exp(sign * factors[0]))


def leave_one_out(law: SurfaceLaw, n_threads: int | None) -> pd.DataFrame:
    """The work behind `SurfaceLaw.influence`."""
    N, D, y, w = law.data()
    records = _core.surface_refit(
        N, D, y, weights=w * (1 - np.eye(len(y))), fixed=law.fixed_row(),
        n_threads=thread_count(n_threads), **law.options(),
    )  # fmt: skip
    table = law.residuals().drop(columns=["weight", "predicted"])
    for name in PARAMETERS:
        table[name] = records[name]
    table["a"] = exponents_of({k: records[k] for k in ("alpha", "beta")})[:, 0]
    shifts = []
    for name in PARAMETERS:
        se, at = law.standard_errors[name], name
        if name in ("A", "B"):
            se, at = se / getattr(law, name), f"log_{name}"
        if se > 0:
            shifts.append(np.abs(records[at] - getattr(law, at)) / se)
    table["shift"] = np.max(shifts, axis=0) if shifts else np.nan
    table["status"] = status_texts(records["status"])
    return table.sort_values("shift", ascending=False, ignore_index=True)


def under_deltas(law: SurfaceLaw, deltas: ArrayLike) -> pd.DataFrame:
    """The work behind `SurfaceLaw.delta_table`."""
    N, D, y, w = law.data()
    at = column(np.atleast_1d(np.asarray(deltas)), "deltas")
    fits = [("absolute", 0.0), *(("huber", float(d)) for d in np.sort(at)), ("squared", np.inf)]
    rows = []
    for kind, delta in fits:
        options = law.options() | {"objective": kind}
        options["delta"] = delta if kind == "huber" else law.delta
        record = _core.surface_fit(
            N, D, y, [0, len(y)], weights=w, fixed=law.fixed_row()[None], **options
        )[0]
        shares = exponents_of({k: record[k] for k in ("alpha", "beta")})
        names = (*PARAMETERS, "n_inside", "objective", "rss")
        rows.append(
            {"kind": kind, "delta": delta}
            | {name: record[name].item() for name in names}
            | {"a": float(shares[0]), "status": status_texts([record["status"]])[0]}
        )
    return pd.DataFrame(rows)
