"""The notebook's own function names and behaviour, thin over the rest of delphi.

Tables keep the notebook's columns (``quantizer``, ``run_type``, ``gflops_q``) and its unit,
GFLOPs; everything else in delphi has standard columns and FLOPs. New code wants
``delphi.read_runs`` and ``delphi.match_grid``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from . import _core
from .arrays import column
from .compat_downstream import (
    fit_richards,
    invert_richards,
    load_gsm8k_external,
    load_gsm8k_runs,
    load_humaneval_external,
    load_humaneval_runs,
    load_mmlu_external,
    load_mmlu_runs,
)
from .compat_kl import alive_mask_for_t, rolling_mean
from .compat_runs import (
    ADAMH_LABEL,
    C_ADAMC_LABEL,
    QUANTIZER_KEYWORDS,
    fmt_pct_err,
    fmt_sci,
    load_runs,
    parse_quantizer,
    parse_seed,
    round_sig,
    subsample_cadamc_to_adamh_grid,
)
from .compat_sweeps import (
    SWEEP_CELLS,
    SWEEP_HPARAMS,
    SWEEP_METRIC,
    bucket_tokens,
    compute_sweep_optima,
    fit_sweep_cells,
    gp_pdp,
    law,
    law_values,
    load_sweep_runs,
    theory_hparam,
)
from .draws import quantiles
from .errors import DataError
from .groups import group_rows
from .threads import thread_count

__all__ = [
    "ADAMH_LABEL",
    "C_ADAMC_LABEL",
    "QUANTIZER_KEYWORDS",
    "SWEEP_CELLS",
    "SWEEP_HPARAMS",
    "SWEEP_METRIC",
    "Fit",
    "alive_mask_for_t",
    "bootstrap_scaling_fit_ci",
    "bucket_tokens",
    "compute_optima",
    "compute_sweep_optima",
    "fit_asymptotic_powerlaw_per_q",
    "fit_asymptotic_powerlaw_shared_linf",
    "fit_parabola",
    "fit_power_at_linf",
    "fit_richards",
    "fit_sweep_cells",
    "fmt_pct_err",
    "fmt_sci",
    "gp_pdp",
    "invert_richards",
    "law",
    "law_values",
    "load_gsm8k_external",
    "load_gsm8k_runs",
    "load_humaneval_external",
    "load_humaneval_runs",
    "load_mmlu_external",
    "load_mmlu_runs",
    "load_runs",
    "load_sweep_runs",
    "overtraining_for_scale",
    "parse_quantizer",
    "parse_seed",
    "rolling_mean",
    "round_sig",
    "subsample_cadamc_to_adamh_grid",
    "theory_hparam",
]


@dataclass
class Fit:
    """One parabola as the notebook keeps it; see `fit_parabola`."""

    a: float
    b: float
    c: float
    logT_star: float
    T_star: float
    loss_star: float
    P_star: float
    a_under: float
    a_over: float


# The fields of a core record that make a Fit, in its order.
_FIT_FIELDS = [
    "a", "b", "c", "x_star", "tokens_star", "loss_star", "params_star", "a_under", "a_over",
]  # fmt: skip


def fit_parabola(sub: pd.DataFrame) -> Fit:
    """Fit loss = a x^2 + b x + c, x = log10(tokens), with the optimum clipped to the data.

    Parameters
    ----------
    sub : pandas.DataFrame
        Columns tokens, loss, params (> 0).

    Returns
    -------
    Fit
        Nothing in it says whether the parabola is concave or the vertex was clipped;
        `delphi.fit_parabola` does.

    Examples
    --------
    >>> frame = pd.DataFrame({"tokens": [1e9, 1e10, 1e11], "loss": [3.2, 3.0, 3.4],
    ...                       "params": [1e9, 1e8, 1e7]})
    >>> round(fit_parabola(frame).logT_star, 6)
    9.833333
    """
    T, y, P = (sub[name].to_numpy(float) for name in ("tokens", "loss", "params"))
    return _fits(T, y, P, np.array([0, len(T)]), n_threads=1)[0]


def _fits(
    T: NDArray[np.float64],
    y: NDArray[np.float64],
    P: NDArray[np.float64],
    offsets: NDArray[np.int64],
    n_threads: int,
) -> list[Fit]:
    records = _core.parabola_fit(T, y, P, offsets, n_threads=n_threads)
    fits = [Fit(*values) for values in records[_FIT_FIELDS].tolist()]
    for g in np.flatnonzero(records["status"] < 0):
        rows = slice(offsets[g], offsets[g + 1])
        T_g, y_g, P_g = T[rows], y[rows], P[rows]
        for name, values in (("tokens", T_g), ("loss", y_g), ("params", P_g)):
            column(values, name)  # says which value is no positive number
        fits[g] = _fit_by_polyfit(T_g, y_g, P_g)
    return fits


def _fit_by_polyfit(T: NDArray[np.float64], y: NDArray[np.float64], P: NDArray[np.float64]) -> Fit:
    """Where the data do not determine a parabola: polyfit's minimum-norm one, as ever."""
    x = np.log10(T)
    a, b, c = (float(v) for v in np.polyfit(x, y, 2))
    m, k = np.polyfit(x, np.log10(P), 1)
    x_star = float(np.clip(-b / (2 * a), x.min(), x.max()))
    loss_star = a * x_star**2 + b * x_star + c

    def side(rows: NDArray[np.bool_]) -> float:
        squares = (x[rows] - x_star) ** 2
        total = float(squares @ squares)
        curvature = float(squares @ (y[rows] - loss_star)) / total if total > 0 else a
        return curvature if curvature > 0 else a

    P_star = float(10 ** (m * x_star + k))
    return Fit(
        a, b, c, x_star, float(10**x_star), loss_star, P_star, side(x < x_star), side(x > x_star)
    )


def compute_optima(
    df: pd.DataFrame,
) -> tuple[dict[tuple[str, float], Fit], pd.DataFrame, list[float], list[str]]:
    """A parabola for every (quantizer, gflops_q) of three or more isoflop runs.

    Parameters
    ----------
    df : pandas.DataFrame
        What ``load_runs`` returns.

    Returns
    -------
    fits : dict
        (quantizer, gflops_q) -> Fit.
    optima : pandas.DataFrame
        quantizer, gflops_bucket, C_flops, T_star, P_star, loss_star, sorted.
    gflop_groups, unique_quantizers : list
        All buckets and all quantizers of the isoflop runs, sorted.
    """
    sweep = df[df["run_type"] == "isoflop"]
    order, offsets, keys = group_rows(
        sweep["quantizer"], sweep["gflops_q"], names=["quantizer", "gflops_bucket"]
    )
    T, y, P = (sweep[name].to_numpy(float)[order] for name in ("tokens", "loss", "params"))
    enough = np.diff(offsets) >= 3
    rows = np.repeat(enough, np.diff(offsets))
    kept = np.concatenate(([0], np.cumsum(np.diff(offsets)[enough])))
    fits = _fits(T[rows], y[rows], P[rows], kept, thread_count())
    optima = keys[enough].reset_index(drop=True)
    optima["C_flops"] = optima["gflops_bucket"] * 1e9
    for name in ("T_star", "P_star", "loss_star"):
        optima[name] = [getattr(fit, name) for fit in fits]
    named = zip(optima["quantizer"], optima["gflops_bucket"], strict=True)
    return (
        dict(zip(named, fits, strict=True)),
        optima,
        sorted(keys["gflops_bucket"].unique()),
        sorted(keys["quantizer"].unique().tolist()),
    )


def _failed_law() -> dict[str, Any]:
    return {
        "ok": False, "L_inf": 0.0, "A": float("nan"), "alpha": float("nan"),
        "sse_log": float("inf"),
    }  # fmt: skip


def _law(record: np.void) -> dict[str, Any]:
    if record["status"] < 0:
        return _failed_law()
    return {
        "ok": True,
        "L_inf": float(record["L_inf"]),
        "A": float(record["A"]),
        "alpha": float(record["alpha"]),
        "sse_log": float(record["score"]),
    }


def fit_power_at_linf(C: ArrayLike, y: ArrayLike, Linf: float) -> dict[str, Any] | None:
    """Fit log(y - Linf) = log A - alpha log C for one floor.

    Returns
    -------
    dict or None
        ok, L_inf, A, alpha and sse_log (the mean squared log residual); None where the floor is
        not below every y or alpha is not positive.

    Examples
    --------
    >>> fit = fit_power_at_linf([1e18, 1e20], [3.0, 2.5], 2.0)
    >>> round(fit["alpha"], 6)
    0.150515
    """
    x, z = column(C, "C"), column(y, "y", strict=False)
    record = _core.powerlaw_fit(x, z, [0, len(x)], floors=[float(Linf)], score="log")[0]
    return _law(record) if record["status"] >= 0 else None


def _stacked(
    per_q: Mapping[str, tuple[ArrayLike, ArrayLike]],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    pairs = [(np.asarray(C, float), np.asarray(y, float)) for C, y in per_q.values()]
    sizes = [len(C) for C, _ in pairs]
    if not pairs:
        return np.empty(0), np.empty(0), np.zeros(1, np.int64)
    return (
        np.concatenate([C for C, _ in pairs]),
        np.concatenate([y for _, y in pairs]),
        np.concatenate(([0], np.cumsum(sizes))).astype(np.int64),
    )


def fit_asymptotic_powerlaw_per_q(
    per_q: Mapping[str, tuple[ArrayLike, ArrayLike]], n_grid: int = 400
) -> dict[str, dict[str, Any]]:
    """Fit y = L_inf + A C^-alpha to every entry, L_inf from ``n_grid`` values in [0, 0.95 min y].

    Parameters
    ----------
    per_q : mapping of label to (C, y)
    n_grid : int
        Size of the grid, scored by squared residuals of log(y - L_inf).

    Returns
    -------
    dict of label to dict
        ok, L_inf, A, alpha, sse_log. Not ok with fewer than two points, without a falling law, and
        where all C or all y are equal (there the notebook's answer is rounding noise).

    Examples
    --------
    >>> laws = fit_asymptotic_powerlaw_per_q({"a": ([1e18, 1e19, 1e20], [3.6, 2.8, 2.4])}, 115)
    >>> round(laws["a"]["L_inf"], 6)
    2.0
    """
    C, y, offsets = _stacked(per_q)
    records = _core.powerlaw_fit(C, y, offsets, score="log", method="grid", n_grid=n_grid)
    return {q: _law(record) for q, record in zip(per_q, records, strict=True)}


def fit_asymptotic_powerlaw_shared_linf(
    per_q: Mapping[str, tuple[ArrayLike, ArrayLike]], n_grid: int = 400
) -> dict[str, dict[str, Any]]:
    """As `fit_asymptotic_powerlaw_per_q` with one L_inf for all entries.

    The grid ends at 0.95 of the lowest y of all; entries count the same, whatever their size. If
    one entry has no law, none is ok.
    """
    C, y, offsets = _stacked(per_q)
    if len(per_q) == 0:
        return {}
    if np.diff(offsets).min() >= 2:
        records = _core.powerlaw_fit(
            C, y, offsets, sets=[0, len(per_q)], score="log", method="grid", n_grid=n_grid,
            weigh="suites",
        )  # fmt: skip
        if (records["status"] >= 0).all():
            return {q: _law(record) for q, record in zip(per_q, records, strict=True)}
    return {q: _failed_law() for q in per_q}


def bootstrap_scaling_fit_ci(
    C: ArrayLike,
    y: ArrayLike,
    target_flops: Iterable[float],
    n_boot: int = 1000,
    rng_seed: int = 0,
    ci_levels: tuple[float, float] = (2.5, 97.5),
) -> dict[float, tuple[float, float, float]]:
    """Percentiles of forecasts refitted to optima that are drawn with replacement.

    The indices are those of ``np.random.default_rng(rng_seed)``, one ``integers(0, n, size=n)`` a
    replicate; the grid has 100 floors. Replicates with fewer than three distinct C, and those
    without a law, are left out. `delphi.bootstrap_law` counts them.

    Returns
    -------
    dict of target to (low, median, high)
        NaN where no replicate is left.

    Examples
    --------
    >>> C = [1e18, 3e18, 1e19, 3e19, 1e20]
    >>> y = [3.60, 3.27, 2.99, 2.78, 2.60]
    >>> low, median, high = bootstrap_scaling_fit_ci(C, y, [1e21])[1e21]
    >>> low < median < high
    True
    """
    x, z, targets = np.asarray(C, float), np.asarray(y, float), list(target_flops)
    rng, n = np.random.default_rng(rng_seed), len(x)
    rows = max(1, 2**20 // max(n, 1))
    kept = [np.empty((0, len(targets)))]
    for first in range(0, n_boot, rows):
        # The same numbers as one draw a replicate: PCG64 keeps the half it has not used.
        draws = rng.integers(0, n, size=(min(rows, n_boot - first), n))
        forecasts, status, _ = _core.bootstrap_law(
            x, z, targets, draws, score="log", method="grid", n_grid=100, n_threads=thread_count()
        )
        kept.append(forecasts[status >= 0])
    rest = np.concatenate(kept)
    shares = np.array([ci_levels[0], 50.0, ci_levels[1]]) / 100
    found = [tuple(row) for row in quantiles(rest.T, shares).tolist()]
    return dict(zip(targets, found, strict=True))


def overtraining_for_scale(
    s: float,
    *,
    C_arr: ArrayLike,
    T_opt_arr: ArrayLike,
    loss_opt_arr: ArrayLike,
    a_under_arr: ArrayLike,
    a_over_arr: ArrayLike,
    forecast_C: float,
) -> dict[str, Any]:
    """What the notebook's over-training figure shows for tokens at ``s`` times the optimum.

    The penalty a (log10 s)^2 of every budget is extended by a log-log line, zero where one is not
    above 1e-9. ``C_equiv`` is read off 800 points up to 1000 ``forecast_C`` and is the last of them
    where the curves do not cross; `delphi.overtraining_cost` says so instead.

    Parameters
    ----------
    s : float
        Tokens over optimal tokens, > 0.
    C_arr, T_opt_arr, loss_opt_arr : array_like, shape (n,)
        Compute (FLOPs), optimal tokens and loss there, one a budget.
    a_under_arr, a_over_arr : array_like, shape (n,)
        Curvatures for s <= 1 and for s > 1.
    forecast_C : float
        Compute (FLOPs) of the compute-optimal run to be matched.

    Returns
    -------
    dict
        shifted_xs, shifted_ys (lists), T_shift_grid, loss_shift_grid (arrays, up to the crossing),
        T_shift_end, y_shift_end, T_cross, C_equiv, overtrain_label, excess_label, x_mid, y_mid.

    Raises
    ------
    DataError
        The optima have no falling law (the notebook then draws nothing), or bad values.

    Examples
    --------
    >>> C = np.array([1e18, 1e19, 1e20])
    >>> out = overtraining_for_scale(
    ...     2.0, C_arr=C, T_opt_arr=C**0.5, loss_opt_arr=[3.6, 2.8, 2.4], a_under_arr=[0.4] * 3,
    ...     a_over_arr=[0.4, 0.2, 0.1], forecast_C=1e21)
    >>> out["excess_label"]
    '+7.7% compute to match'
    """
    C, T = column(C_arr, "C_arr"), column(T_opt_arr, "T_opt_arr")
    loss = column(loss_opt_arr, "loss_opt_arr", n=len(C))
    under = column(a_under_arr, "a_under_arr", n=len(C), strict=False)
    over = column(a_over_arr, "a_over_arr", n=len(C), strict=False)
    s, at = (float(column([v], name)[0]) for v, name in ((s, "s"), (forecast_C, "forecast_C")))
    law = fit_asymptotic_powerlaw_per_q({"": (C, loss)})[""]
    if not law["ok"]:
        raise DataError("loss_opt_arr: no falling law fits these optima")
    L_inf, A, alpha = law["L_inf"], law["A"], law["alpha"]
    log_C = np.log10(C)
    slope, intercept = np.polyfit(log_C, np.log10(T), 1)
    grid = np.logspace(log_C.min(), np.log10(at) + 3.0, 800)
    T_grid = 10 ** (slope * np.log10(grid) + intercept) * s
    loss_grid = L_inf + A * grid**-alpha
    T_end, y_end = float(10 ** (slope * np.log10(at) + intercept)), L_inf + A * at**-alpha

    penalty = (over if s > 1 else under) * np.log10(s) ** 2
    penalty_end = 0.0
    if np.all(penalty > 1e-9):
        line = np.polyfit(log_C, np.log10(penalty), 1)
        loss_grid = loss_grid + 10 ** np.polyval(line, np.log10(grid))
        penalty_end = float(10 ** np.polyval(line, np.log10(at)))

    reached = np.flatnonzero((grid >= at) & (loss_grid <= y_end))
    last = int(reached[0]) if len(reached) else len(grid) - 1
    if len(reached) and last > 0:
        before, after = loss_grid[last - 1], loss_grid[last]
        part = (before - y_end) / (before - after) if before != after else 0.0
        lower, upper = np.log10(grid[last - 1]), np.log10(grid[last])
        log_cross = lower + part * (upper - lower)
        C_equiv, T_cross = 10**log_cross, 10 ** (slope * log_cross + intercept) * s
    else:
        C_equiv, T_cross = grid[last], T_grid[last]
    excess = 100.0 * (float(C_equiv) - at) / at
    kind = "compute-optimal"
    if s != 1:
        times = f"{max(s, 1 / s):.3g}\N{MULTIPLICATION SIGN}"
        kind = f"{times} {'over' if s > 1 else 'under'}trained"
    return {
        "shifted_xs": (T * s).tolist(),
        "shifted_ys": (loss + penalty).tolist(),
        "T_shift_grid": T_grid[: last + 1],
        "loss_shift_grid": loss_grid[: last + 1],
        "T_shift_end": T_end * s,
        "y_shift_end": y_end + penalty_end,
        "T_cross": float(T_cross),
        "C_equiv": float(C_equiv),
        "overtrain_label": kind,
        "excess_label": f"{'+' if excess >= 0 else ''}{excess:.1f}% compute to match",
        "x_mid": float(np.sqrt(T_end * max(T_cross, T_end))),
        "y_mid": y_end,
    }
