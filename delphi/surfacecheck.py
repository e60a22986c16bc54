"""How far to trust an L(N, D) surface: profiles, points left out, thresholds side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from . import _core
from .arrays import column
from .errors import DataError
from .status import status_texts
from .surfaceplan import bracketed_root, exponents_of
from .threads import thread_count

if TYPE_CHECKING:
    from .surfacelaw import SurfaceLaw

__all__ = ["leave_one_out", "profile_intervals", "profile_parameter", "under_deltas"]

PARAMETERS = ("E", "A", "B", "alpha", "beta")
_FURTHEST = float(np.log(1e6))  # of ln(value / estimate)


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


def _at(law: SurfaceLaw, names: Sequence[str], values: NDArray[np.float64]) -> Any:
    """The best law with each named parameter at its value, as records."""
    for name in sorted(set(names)):
        if name not in PARAMETERS:
            raise DataError(f"parameter: expected one of {', '.join(PARAMETERS)}, got {name!r}")
        if name in law.fixed:
            raise DataError(f"parameter: {name} was fixed")
    N, D, y, w = law.data()
    m, size = len(values), len(y)
    fixed = np.tile(law.fixed_row(), (m, 1))
    fixed[np.arange(m), [PARAMETERS.index(name) for name in names]] = values
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
    records = _at(law, [parameter] * len(at), at)
    table = pd.DataFrame({name: records[name] for name in (*PARAMETERS, "objective")})
    table["deviance"] = (table["objective"] - law.objective) / _deviance_unit(law)
    table["status"] = status_texts(records["status"])
    return table


def profile_intervals(law: SurfaceLaw, level: float) -> pd.DataFrame:
    """Profile interval of every free parameter; 0 or inf where an end is not reached.

    All ends are looked for at once: outwards from a standard error until the deviance is over its
    bound, then by false position on its root, which is nearly straight.
    """
    unit, t = _deviance_unit(law), law.t(level)
    names = [k for k in PARAMETERS if k not in law.fixed and getattr(law, k) > 0]
    mid = np.array([getattr(law, name) for name in names])
    se = np.array([law.standard_errors[name] for name in names])
    both, signs = [*names, *names], np.repeat([-1.0, 1.0], len(names))
    centre = np.tile(mid, 2)

    def excess(shift: NDArray[np.float64], which: NDArray[np.intp]) -> NDArray[np.float64]:
        at = centre[which] * np.exp(signs[which] * shift)
        records = _at(law, [both[i] for i in which], at)
        deviance = np.maximum(records["objective"] - law.objective, 0) / unit
        return np.where(records["status"] < 0, np.inf, np.sqrt(deviance) - t)

    with np.errstate(invalid="ignore"):
        first = np.clip(np.nan_to_num(t * np.tile(se / mid, 2), nan=0.1), 1e-3, 1.0)
    low, high = np.zeros_like(first), first
    inside = np.arange(len(first))
    while len(inside):
        inside = inside[~(excess(high[inside], inside) > 0)]
        low[inside] = high[inside]
        inside = inside[high[inside] < _FURTHEST]
        high[inside] = np.minimum(2 * high[inside], _FURTHEST)
    reached = np.flatnonzero(low < high)
    ends = np.where(signs < 0, 0.0, np.inf)
    if len(reached):
        shift = bracketed_root(
            lambda x: excess(x, reached), low[reached], high[reached], enough=1e-6, most=30
        )
        ends[reached] = centre[reached] * np.exp(signs[reached] * shift)
    k = len(names)
    return pd.DataFrame({"parameter": names, "low": ends[:k], "mid": mid, "high": ends[k:]}).assign(
        level=level, method="profile"
    )


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
