"""What training off the optimum costs: extra loss, and the compute that would make it good."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from . import _core
from .arrays import checked_count, checked_level, column
from .draws import Rng, generator_from
from .errors import DataError, FitWarning
from .isoflop import IsoflopLadder
from .markup import block
from .matching import matching_distance
from .powerlaw import PowerLaw
from .provenance import HasCard, from_ladder, rng_words, with_origin
from .status import bits, status_text
from .threads import thread_count

__all__ = ["OvertrainingCost", "overtraining_cost"]

Curvature = Literal["joint", "anchored", "symmetric"]
Side = Literal["under", "over"]
Floats = NDArray[np.float64]

SCALES = (0.2, 1 / 3, 0.5, 2 / 3, 1.0, 2.0, 3.0, 4.0, 5.0, 10.0)
# The column of the ladder's fits that holds a side's curvature, and what makes it a stand-in.
SOURCES: dict[tuple[Curvature, Side], tuple[str, int]] = {
    ("joint", "under"): ("joint_a_under", bits("joint_failed", "joint_at_bound")),
    ("joint", "over"): ("joint_a_over", bits("joint_failed", "joint_at_bound")),
    ("anchored", "under"): ("a_under", bits("a_under_fallback")),
    ("anchored", "over"): ("a_over", bits("a_over_fallback")),
    ("symmetric", "under"): ("a", 0),
    ("symmetric", "over"): ("a", 0),
}
FAR = 12 * np.log(10)  # crossings beyond 1e12 times `at` are said to be far
FLAT = 1e-12  # exponents below this are rounding of a curvature that does not change
INCLUDED = (
    "intervals: the scatter of the buckets' optima about the law and of their curvatures about"
    " the power law, both refitted, with Student-t tails for the few points",
    "intervals leave out: what a parabola misses far from its vertex, another form of law or of"
    " curvature, and the run-to-run noise of one new run",
)


@dataclass(frozen=True)
class OvertrainingCost(HasCard):
    """The cost of training off the optimum; see `overtraining_cost`.

    Attributes
    ----------
    table : pandas.DataFrame
        One row a (suite, scale): suite, scale (tokens over optimal tokens), tokens and params at
        ``at`` FLOPs, penalty (extra loss there), compute_to_match (FLOPs at which the run off the
        optimum has the loss of the optimum at ``at``), percent_overhead (of it over ``at``), each
        of the three with ``_low`` and ``_high``, level, method, status.
    curves : pandas.DataFrame
        The curvature lines, one row a (suite, side): n (buckets), left_out, at_forecast (curvature
        at ``at``, loss per decade squared), exponent (of compute), se, rms (of ln curvature),
        status.
    at : float
        Compute of the comparison, FLOPs.
    curvature : str
        Which curvature of the buckets was used.
    level : float
        Level of the intervals.
    n_boot : int
        Replicates asked for.
    failed : dict of suite to int
        Replicates without a law or a line; they are not in the intervals.
    notes : tuple of str
        What was left out, and what the intervals mean.
    """

    table: pd.DataFrame
    curves: pd.DataFrame
    at: float
    curvature: str
    level: float
    n_boot: int
    failed: dict[str, int]
    notes: tuple[str, ...]

    def summary(self) -> str:
        """A paragraph a suite, and the notes."""
        lines = [f"cost of training off the optimum at {self.at:.3g} FLOPs"]
        for suite, rows in self.table.groupby("suite", sort=False):
            lines.append(f"{suite}:")
            for row in rows.itertuples():
                lines.append(
                    f"  {row.scale:6.3g} x tokens: loss +{row.penalty:.4f}"
                    f" [{row.penalty_low:.4f}, {row.penalty_high:.4f}], compute"
                    f" {row.percent_overhead:+.1f}%"
                    f" [{row.percent_overhead_low:+.1f}, {row.percent_overhead_high:+.1f}]"
                    + ("" if row.status == "ok" else f"  ({row.status})")
                )
        if self.n_boot:
            lines.append(f"brackets: {self.level:.0%} residual bootstrap")
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])

    def to_frame(self) -> pd.DataFrame:
        """The table, one row a (suite, scale)."""
        return self.table.copy()

    def to_dict(self) -> dict[str, Any]:
        """Tables as lists of plain rows, the rest as plain values."""
        return {
            **{f.name: getattr(self, f.name) for f in fields(self)},
            "table": self.table.to_dict("records"),
            "curves": self.curves.to_dict("records"),
            "failed": dict(self.failed),
            "notes": list(self.notes),
        }

    def plot(self, ladder: IsoflopLadder, law: PowerLaw, suite: str | None = None) -> Any:
        """Loss against tokens with a slider over the scales, as a plotly figure.

        Parameters
        ----------
        ladder : IsoflopLadder
            The one the costs were worked out for.
        law : PowerLaw
            The suite's law.
        suite : str, optional
            Needed where the table has several.

        Returns
        -------
        plotly.graph_objects.Figure
        """
        from .figures import overtraining_forecast

        return overtraining_forecast(ladder, law, self, suite)

    def __repr__(self) -> str:
        suites = self.table["suite"].nunique()
        return f"OvertrainingCost({suites} suites at {self.at:.3g} FLOPs, {self.curvature})"

    def _repr_html_(self) -> str:
        shown = self.table.drop(columns=["level", "method"])
        return block(repr(self), tables={"": shown}, notes=self.notes)


def overtraining_cost(
    ladder: IsoflopLadder,
    law: PowerLaw | Mapping[str, PowerLaw] | None = None,
    *,
    suite: str | None = None,
    at: float = 1e23,
    scales: ArrayLike = SCALES,
    curvature: Curvature = "anchored",
    level: float = 0.95,
    n_boot: int = 2000,
    rng: Rng = 0,
) -> OvertrainingCost:
    """What it costs to train on s times the optimal tokens, in loss and in compute.

    At compute C the penalty is curvature(C) (log10 s)^2, with one curvature for s < 1 and one for
    s > 1, each a power law in C through the curvatures of the ladder's used buckets. The compute
    to match is the smallest C >= ``at`` with law(C) + penalty(C, s) = law(at).

    Parameters
    ----------
    ladder : IsoflopLadder
        From `fit_isoflops`.
    law : PowerLaw, or mapping of suite to PowerLaw, optional
        Loss of the optimum in FLOPs; by default ``ladder.laws()``. A single law needs ``suite``
        where the ladder has several.
    suite : str, optional
        One suite; all of them by default.
    at : float
        Compute of the optimal run to be matched, FLOPs, > 0.
    scales : float or sequence of float
        Tokens over optimal tokens, > 0.
    curvature : {"joint", "anchored", "symmetric"}
        Curvatures of the fit of one vertex with two sides, those of each side about the symmetric
        vertex, or the symmetric parabola's for both. Buckets where it is a stand-in, comes from a
        vertex at the edge of its search, or is not positive are left out and counted in ``notes``.
    level : float
        Level of the intervals, between 0 and 1.
    n_boot : int
        Bootstrap replicates; 0 for no intervals.
    rng : Generator, SeedSequence, int or None
        Source of the replicates. A suite's intervals are the same alone and among others.

    Returns
    -------
    OvertrainingCost
        Statuses: "ok"; "no_law", "no_curvature" (numbers NaN); "no_crossing" (compute_to_match is
        inf); "unbounded_limit" (only its upper limit is); "far_crossing" (beyond 1e12 times
        ``at``); "outside_swept_range" (s is further from the optimum than any run of the used
        buckets).

    Raises
    ------
    DataError
        An unknown suite or option, or an ``at`` or scale that is no positive number.

    Warns
    -----
    FitWarning
        Rows without a number, and what `IsoflopLadder.laws` warns about.

    Notes
    -----
    Intervals come from a bootstrap of residuals (Efron 1979) of the law and of the log-curvature
    line, drawn for the same buckets together, scaled to their degrees of freedom and by
    sqrt(dof / chi-square), which gives a straight line its Student-t interval. A law with a floor
    shared among suites is refitted by itself, so its intervals are on the wide side.

    With law(C) = L_inf + A C^-alpha and curvature ~ C^p, the equation is a sum of two exponentials
    in ln C and convex: whether it has a solution, and between which bounds, follows from alpha and
    p. None has to be searched for on a grid.

    Examples
    --------
    >>> from delphi import fit_isoflops, simulate
    >>> ladder = fit_isoflops(simulate.ladder(rng=0))
    >>> cost = overtraining_cost(ladder, suite="Aster", scales=[1, 2, 4], n_boot=200)
    >>> cost.table[["scale", "status"]].values.tolist()
    [[1.0, 'ok'], [2.0, 'ok'], [4.0, 'outside_swept_range']]
    >>> cost.table["percent_overhead"].round(0).tolist()
    [0.0, 15.0, 74.0]
    """
    forecast_at = _positive(at, "at")
    ratios = column(np.atleast_1d(np.asarray(scales)), "scales")
    if curvature not in get_args(Curvature):
        raise DataError(f"curvature: expected one of {get_args(Curvature)}, got {curvature!r}")
    level = checked_level(level)
    n_boot = checked_count(n_boot, "n_boot", 0)
    suites = _suites(ladder, suite)
    laws = _laws(ladder, law, suites)
    streams = _streams(ladder, rng)
    tables, curves, failed, notes = [], [], {}, []
    for name in suites:
        part = _suite_cost(
            ladder.fits[(ladder.fits["suite"] == name) & ladder.fits["used"]], laws.get(name),
            forecast_at, ratios, curvature, level, n_boot, streams[name],
        )  # fmt: skip
        part.table.insert(0, "suite", name)
        part.curves.insert(0, "suite", name)
        tables.append(part.table)
        curves.append(part.curves)
        failed[name] = part.failed
        notes += [f"{name}: {note}" for note in part.notes]
    table = pd.concat(tables, ignore_index=True)
    empty = int(table["percent_overhead"].isna().sum())
    if empty:
        warnings.warn(
            f"{empty} of {len(table)} over-training costs: no law or no curvature", FitWarning,
            stacklevel=2,
        )  # fmt: skip
    said = {name: law.equation for name, law in laws.items()}
    origin = from_ladder(ladder, suites, laws=said, rng=rng_words(rng))
    cost = OvertrainingCost(
        table=table,
        curves=pd.concat(curves, ignore_index=True),
        at=forecast_at,
        curvature=curvature,
        level=level,
        n_boot=n_boot,
        failed=failed,
        notes=(*notes, *(INCLUDED if n_boot else ())),
    )
    return with_origin(cost, origin)


@dataclass(frozen=True)
class _SuiteCost:
    table: pd.DataFrame
    curves: pd.DataFrame
    failed: int
    notes: list[str]


@dataclass(frozen=True)
class _Line:
    """log10(curvature) of one side against log10(compute), and where it came from."""

    x: Floats
    y: Floats
    record: np.void
    buckets: NDArray[np.bool_]


def _suite_cost(
    used: pd.DataFrame,
    law: PowerLaw | None,
    at: float,
    scales: Floats,
    curvature: Curvature,
    level: float,
    n_boot: int,
    random: np.random.Generator,
) -> _SuiteCost:
    """Point estimates and intervals of one suite; `used` are its used buckets."""
    log_s = np.log10(scales)
    over = log_s > 0
    lines: dict[Side, _Line] = {side: _line(used, curvature, side) for side in get_args(Side)}
    notes = list(
        dict.fromkeys(
            f"{sum(~line.buckets)} of {len(used)} buckets have no positive"
            f" {SOURCES[curvature, side][0]} of their own"
            for side, line in lines.items()
            if not line.buckets.all()
        )
    )
    has_law = law is not None and law.ok
    alpha, log_A = (law.alpha, law.log_A) if law is not None and has_law else (np.nan, np.nan)
    point, far = _cost(
        np.array([[_at(line.record, at)] for line in lines.values()]),
        np.array([[line.record["slope"]] for line in lines.values()]),
        np.array([alpha]), np.array([log_A]), at, log_s,
    )  # fmt: skip
    penalty, distance = point[0], far[0]
    low, high, failed = np.full((2, len(scales)), np.nan), np.full((2, len(scales)), np.nan), 0
    if n_boot:
        draws = _replicates(used, law if has_law else None, lines, at, log_s, n_boot, random, notes)
        for k, values in enumerate(draws):
            low[k], high[k] = _limits(values, level)
        failed = int(np.isnan(draws[1][:, log_s != 0]).any(axis=1).sum())
        if has_law and failed:
            notes.append(f"{failed} of {n_boot} replicates have no law or no curvature")
    trends = {name: _trend(used, name) for name in ("tokens_star", "params_star")}
    with np.errstate(over="ignore"):
        table = pd.DataFrame(
            {
                "scale": scales,
                "tokens": 10 ** _at(trends["tokens_star"], at) * scales,
                "params": 10 ** _at(trends["params_star"], at) / scales,
                "penalty": penalty, "penalty_low": low[0], "penalty_high": high[0],
                "compute_to_match": at * np.exp(distance),
                "compute_to_match_low": at * np.exp(low[1]),
                "compute_to_match_high": at * np.exp(high[1]),
                "percent_overhead": 100 * np.expm1(distance),
                "percent_overhead_low": 100 * np.expm1(low[1]),
                "percent_overhead_high": 100 * np.expm1(high[1]),
                "level": level, "method": "residual bootstrap" if n_boot else "none",
            }
        )  # fmt: skip
    widest = _swept(used)
    reach = np.where(over, widest[1], widest[0])
    words = {
        "no_law": (log_s != 0) & (not has_law),
        "no_curvature": np.isnan(penalty),
        "no_crossing": distance == np.inf,
        "unbounded_limit": (high[1] == np.inf) & (distance < np.inf),
        "far_crossing": (distance > FAR) & (distance < np.inf),
        "outside_swept_range": np.abs(log_s) > reach + 1e-9,
    }
    table["status"] = [
        ", ".join(word for word, true in words.items() if true[i]) or "ok"
        for i in range(len(scales))
    ]
    return _SuiteCost(table, _curves(lines, len(used), at), failed, notes)


def _cost(
    log_curvature: Floats, slope: Floats, alpha: Floats, log_A: Floats, at: float, log_s: Floats
) -> tuple[Floats, Floats]:
    """Penalty at `at` and ln(compute to match / at), one row a replicate, one column a scale.

    log_curvature (log10, at `at`) and slope have a row for under and one for over."""
    over = log_s > 0
    height = np.where(over, log_curvature[1][:, None], log_curvature[0][:, None])
    p = np.where(over, slope[1][:, None], slope[0][:, None])
    p = np.where(np.abs(p) < FLAT, 0.0, p)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):  # 0 times inf at scale 1
        penalty = np.where(log_s == 0, 0.0, 10.0**height * log_s**2)
        ratio = penalty * np.exp(alpha * np.log(at) - log_A)[:, None]
    distance = matching_distance(ratio, alpha[:, None], p)
    return penalty, np.where(log_s == 0, 0.0, distance)


def _replicates(
    used: pd.DataFrame,
    law: PowerLaw | None,
    lines: Mapping[Side, _Line],
    at: float,
    log_s: Floats,
    n_boot: int,
    random: np.random.Generator,
    notes: list[str],
) -> tuple[Floats, Floats]:
    """Penalties and distances of laws and lines fitted to resampled residuals; NaN where one
    failed or nothing is left to resample."""
    m = len(used)
    shared = random.integers(0, max(m, 1), (n_boot, m))
    of_law, *of_sides = random.spawn(3)  # so that one fit's draws do not depend on another's
    alpha, log_A = _law_replicates(used, law, shared, of_law, notes)
    ends, slopes = np.full((2, 2, n_boot), np.nan)
    for k, (side, line) in enumerate(lines.items()):
        n = len(line.x)
        if n < 3:
            notes.append(f"no interval for the curvature {side}: {n} buckets leave no residuals")
            continue
        fitted = line.record["y_mean"] + line.record["slope"] * (line.x - line.record["x_mean"])
        residual = (line.y - fitted) * np.sqrt(n / (n - 2))
        index = shared if n == m else of_sides[k].integers(0, n, (n_boot, n))
        drawn = fitted + _widening(of_sides[k], n - 2, n_boot)[:, None] * residual[index]
        records = _core.line_fit(np.tile(line.x, n_boot), drawn.ravel(), np.arange(n_boot + 1) * n)
        ends[k], slopes[k] = _at(records, at), records["slope"]
    return _cost(ends, slopes, alpha, log_A, at, log_s)


def _law_replicates(
    used: pd.DataFrame,
    law: PowerLaw | None,
    index: NDArray[np.int64],
    random: np.random.Generator,
    notes: list[str],
) -> tuple[Floats, Floats]:
    """alpha and ln A of laws refitted to the law's own predictions plus resampled residuals."""
    n_boot, m = index.shape
    nothing = np.full(n_boot, np.nan)
    pinned = law is not None and law.method in ("pinned", "shared")
    dof = m - (2 if pinned else 3)
    if law is None:
        return nothing, nothing
    if dof < 1:
        notes.append(f"no interval for the compute to match: {m} optima leave no residuals")
        return nothing, nothing
    C, y = used["compute"].to_numpy(float), used["loss_star"].to_numpy(float)
    fitted = np.asarray(law.predict(C))
    gap = fitted - law.L_inf
    logs = law.score == "log"
    with np.errstate(divide="ignore", invalid="ignore"):
        residual = (np.log((y - law.L_inf) / gap) if logs else y - fitted) * np.sqrt(m / dof)
    shift = _widening(random, dof, n_boot)[:, None] * residual[index]
    drawn = law.L_inf + gap * np.exp(shift) if logs else fitted + shift
    records = _core.powerlaw_fit(
        np.tile(C, n_boot), drawn.ravel(), np.arange(n_boot + 1) * m,
        floors=np.full(n_boot, law.L_inf) if pinned else None,
        score="log" if logs else "loss", method="grid" if law.method == "grid" else "profile",
        n_threads=thread_count(),
    )  # fmt: skip
    return records["alpha"], records["log_A"]


def _widening(random: np.random.Generator, dof: int, n_boot: int) -> Floats:
    """Factors that turn the normal spread of few residuals into Student's."""
    return np.sqrt(dof / random.chisquare(dof, n_boot))


def _limits(draws: Floats, level: float) -> tuple[Floats, Floats]:
    """Percentiles of every column over its replicates that are numbers; inf counts as one."""
    low, high = np.full((2, draws.shape[1]), np.nan)
    ends = [(1 - level) / 2, (1 + level) / 2]
    for k, column_k in enumerate(draws.T):
        good = column_k[~np.isnan(column_k)]
        if len(good):
            low[k], high[k] = np.quantile(good, ends, method="inverted_cdf")
    return low, high


def _line(used: pd.DataFrame, curvature: Curvature, side: Side) -> _Line:
    name, stand_in = SOURCES[curvature, side]
    values = used[name].to_numpy(float)
    good = (values > 0) & (used["status_code"].to_numpy(np.int64) & stand_in == 0)
    x, y = np.log10(used["compute"].to_numpy(float)[good]), np.log10(values[good])
    return _Line(x, y, _core.line_fit(x, y, [0, len(x)])[0], good)


def _trend(used: pd.DataFrame, name: str) -> np.void:
    """log10 of a quantity at the optimum against log10(compute)."""
    x, y = used["compute"].to_numpy(float), used[name].to_numpy(float)
    return _core.line_fit(np.log10(x), np.log10(y), [0, len(x)])[0]


def _at(line: Any, at: float) -> Any:
    """A line, or many, at log10(at)."""
    return line["y_mean"] + line["slope"] * (np.log10(at) - line["x_mean"])


def _swept(used: pd.DataFrame) -> tuple[float, float]:
    """Furthest runs below and above the vertices, in decades of tokens; inf if not known."""
    if not len(used) or not {"x_star", "x_min", "x_max"} <= set(used.columns):
        return np.inf, np.inf
    return (
        float((used["x_star"] - used["x_min"]).max()),
        float((used["x_max"] - used["x_star"]).max()),
    )


def _curves(lines: Mapping[Side, _Line], m: int, at: float) -> pd.DataFrame:
    with np.errstate(over="ignore"):
        rows = [
            {
                "side": side,
                "n": len(line.x),
                "left_out": m - len(line.x),
                "at_forecast": 10.0 ** _at(line.record, at),
                "exponent": line.record["slope"],
                "se": line.record["se_slope"],
                "rms": np.log(10) * np.sqrt(line.record["rss"] / max(len(line.x), 1)),
                "status": status_text(int(line.record["status"])),
            }
            for side, line in lines.items()
        ]
    return pd.DataFrame(rows)


def _suites(ladder: IsoflopLadder, suite: str | None) -> Sequence[str]:
    if not isinstance(ladder, IsoflopLadder):
        raise DataError(f"ladder: expected an IsoflopLadder, got {type(ladder).__name__}")
    if suite is None:
        return ladder.suites
    if suite not in ladder.suites:
        known = ", ".join(map(repr, ladder.suites))
        raise DataError(f"suite: no {suite!r} in this ladder; it has {known}")
    return [suite]


def _laws(
    ladder: IsoflopLadder, law: PowerLaw | Mapping[str, PowerLaw] | None, suites: Sequence[str]
) -> Mapping[str, PowerLaw]:
    if law is None:
        return ladder.laws()
    if isinstance(law, PowerLaw):
        if len(suites) > 1:
            raise DataError(f"suite: one law cannot serve {len(suites)} suites; name its own")
        return {suites[0]: law}
    if isinstance(law, Mapping) and law and all(isinstance(one, PowerLaw) for one in law.values()):
        return law
    got = "an empty mapping" if law == {} else type(law).__name__
    raise DataError(f"law: expected a PowerLaw or a mapping of them, got {got}")


def _streams(ladder: IsoflopLadder, rng: Rng) -> dict[str, np.random.Generator]:
    """A generator a suite, so that a suite's draws do not depend on which others are asked for."""
    parent = generator_from(rng)
    seeds = parent.integers(0, 2**63, len(ladder.suites))
    return {
        suite: np.random.default_rng(int(seed))
        for suite, seed in zip(ladder.suites, seeds, strict=True)
    }


def _positive(value: Any, name: str) -> float:
    if np.ndim(value) != 0:
        raise DataError(f"{name}: expected one number, got {value!r}")
    return float(column([value], name)[0])
