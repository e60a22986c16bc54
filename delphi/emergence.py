"""Richards curves: accuracy as a sigmoidal readout of a smooth metric."""

from __future__ import annotations

import html
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from . import _core, cells
from .arrays import as_array, checked_level, floats
from .draws import generator_from
from .errors import DataError
from .groups import group_rows
from .provenance import HasCard, from_arrays, with_origin
from .status import HasStatus, one_warning, warn_about
from .threads import thread_count

__all__ = ["RichardsCurve", "finite_column", "fit_richards", "fit_richards_groups", "shares"]

Column = NDArray[np.float64]
_FITTED = (
    "n", "k", "x0", "v", "ceiling", "floor", "sse", "deviance", "se_k", "se_x0", "se_v",
    "se_ceiling", "x_half", "x_min", "x_max", "n_starts",
)  # fmt: skip
N_BOOT = 1000
UNDECIDED = 4.0  # difference of twice the log-likelihoods that decides between two noises


@dataclass(frozen=True)
class RichardsCurve(HasStatus, HasCard):
    """A fitted curve y = floor + (ceiling - floor) sigma(k (x - x0))^v.

    Attributes
    ----------
    k, x0, v : float
        Steepness (1 / unit of x), location (unit of x) and shape; v = 1 is a logistic.
    floor, ceiling : float
        What chance scores (given), and where the curve saturates (fitted, or given).
    n : int
        Points it was fitted to.
    sse : float
        Sum of squared residuals in accuracy.
    deviance : float
        Of the binomial likelihood; NaN for least squares.
    se_k, se_x0, se_v, se_ceiling : float
        Standard errors from the Jacobian; NaN at a bound, for what was pinned, and where the
        points do not determine them.
    x_half : float
        Where half of the rise is done.
    x_min, x_max : float
        Range of x it was fitted on.
    n_starts : int
        Starts that were refined.
    status, status_code : str, int
        "ok", a failure (all numbers NaN), or what is at a bound or not identified.
    points : numpy.ndarray, shape (3, n)
        x, y and number of problems (NaN for least squares), for intervals.
    box : numpy.ndarray, shape (8,), or None
        The bounds that were given.
    """

    k: float
    x0: float
    v: float
    floor: float
    ceiling: float
    n: int
    sse: float
    deviance: float
    se_k: float
    se_x0: float
    se_v: float
    se_ceiling: float
    x_half: float
    x_min: float
    x_max: float
    n_starts: int
    pinned: bool
    status_code: int
    points: Column | None = field(default=None, compare=False, repr=False)
    box: Column | None = field(default=None, compare=False, repr=False)

    def predict(self, x: ArrayLike) -> Any:
        """Accuracy at x: a float for a number, an array for an array.

        Examples
        --------
        >>> curve = fit_richards([-1.4, -1.2, -1, -0.8, -0.6, -0.4],
        ...                      [0.25, 0.26, 0.31, 0.49, 0.75, 0.86], floor=0.25, ceiling=0.9)
        >>> bool(0.3 < curve.predict(-0.9) < 0.5)
        True
        """
        return _plain(_core.richards(floats(x, "x"), *self._theta()))

    def invert(self, target: ArrayLike) -> Any:
        """The x at which the curve reaches an accuracy; NaN outside (floor, ceiling).

        Examples
        --------
        >>> curve = fit_richards([-1.4, -1.2, -1, -0.8, -0.6, -0.4],
        ...                      [0.25, 0.26, 0.31, 0.49, 0.75, 0.86], floor=0.25, ceiling=0.9)
        >>> round(curve.predict(curve.invert(0.6)), 9), curve.invert(0.95)
        (0.6, nan)
        """
        return _plain(_core.richards_inverse(floats(target, "target"), *self._theta()))

    def _card_fields(self) -> dict[str, Any]:
        from .emergencecard import curve_fields

        return curve_fields(self)

    def _theta(self) -> tuple[float, float, float, float, float]:
        return self.k, self.x0, self.v, self.floor, self.ceiling

    @property
    def dispersion(self) -> float:
        """Variance of the points over what binomial noise explains, at least 1; 1 for squares."""
        spare = self.n - (3 if self.pinned else 4)
        if not (self.ok and np.isfinite(self.deviance)) or spare < 1:
            return 1.0
        return max(1.0, self.deviance / spare)

    @cached_property
    def _beyond(self) -> tuple[float, float]:
        """Dispersion (1: none) and even scatter (0: none) that replicates have."""
        spare = self.n - (3 if self.pinned else 4)
        if self.dispersion == 1.0 or self.points is None:
            return 1.0, 0.0
        x, y, problems = self.points
        p = (self.predict(x) * problems + 0.5) / (problems + 1)  # never 0 or 1
        binomial = p * (1 - p) / problems
        squares = (y - self.predict(x)) ** 2
        low, high = 0.0, float(squares.sum() / spare)
        if not np.sum(squares / binomial) > spare:
            return self.dispersion, 0.0
        for _ in range(60):
            middle = 0.5 * (low + high)
            too_small = np.sum(squares / (binomial + middle)) > spare
            low, high = (middle, high) if too_small else (low, middle)

        def misfit(variance: Column) -> float:
            return float(np.sum(np.log(variance) + squares / variance))

        against_even = misfit(binomial + high) - misfit(self.dispersion * binomial)
        return (
            1.0 if against_even < -UNDECIDED else self.dispersion,
            0.0 if against_even > UNDECIDED else float(np.sqrt(high)),
        )

    @property
    def scatter(self) -> float:
        """Standard deviation of accuracies about the curve beyond binomial noise, in accuracy.

        More scatter than binomial noise explains may be in proportion to it (`dispersion`; this is
        0 where the residuals say so) or the same everywhere: then the squared residuals over their
        variances sum to the degrees of freedom (Paule and Mandel 1982). Where twice the
        log-likelihoods of the two differ by less than 4, intervals take the larger at each point.
        0 for least squares.
        """
        return self._beyond[1]

    def observed(self, p: Column, problems: ArrayLike, rng: np.random.Generator) -> Column:
        """Accuracies that evaluations of ``problems`` would show where the curve says p."""
        m = np.round(np.asarray(problems, dtype=float)).astype(np.int64)
        centre = np.clip(p, 0, 1)
        factor, scatter = self._beyond
        if scatter > 0:
            variance = np.maximum((factor - 1) * centre * (1 - centre) / m, scatter**2)
            shifted = centre + np.sqrt(variance) * rng.standard_normal(np.shape(p))
            return np.asarray(rng.binomial(m, np.clip(shifted, 0, 1)) / m)
        noise = rng.binomial(m, centre) / m - centre
        return np.clip(p + np.sqrt(factor) * noise, 0, 1)

    def replicates(self, n_boot: int = N_BOOT, rng: Any = 0) -> NDArray[np.void]:
        """Curves refitted to simulated points, as records of the core (``status`` < 0: failed).

        With the number of problems known, accuracies are drawn about the curve with binomial noise
        times `dispersion`, or with binomial noise and `scatter`; otherwise residuals change sign at
        random (wild bootstrap; Wu 1986).

        Raises
        ------
        DataError
            No curve to start from.
        """
        if not self.ok or self.points is None:
            raise DataError(f"no curve to look at: {self.status}")
        generator = generator_from(rng)
        x, y, problems = self.points
        centre = self.predict(x)
        if np.isfinite(problems).all():
            rows = np.broadcast_to(centre, (n_boot, len(x)))
            drawn = self.observed(rows, np.broadcast_to(problems, rows.shape), generator)
        else:
            signs = generator.choice((-1.0, 1.0), (n_boot, len(x)))
            spare = max(len(x) - (3 if self.pinned else 4), 1)
            drawn = centre + signs * (y - centre) * np.sqrt(len(x) / spare)
        offsets = np.arange(0, drawn.size + 1, len(x))
        return _records(
            np.tile(x, n_boot),
            drawn.ravel(),
            offsets,
            self.floor,
            self.ceiling if self.pinned else None,
            np.tile(problems, n_boot) if np.isfinite(problems).all() else None,
            self.box,
            guess=np.array([self.k, self.x0, self.v, self.ceiling]),
        )

    def interval(
        self,
        x: ArrayLike,
        *,
        level: float = 0.95,
        method: Literal["bootstrap"] = "bootstrap",
        n_boot: int = N_BOOT,
        rng: Any = 0,
    ) -> pd.DataFrame:
        """Interval of the curve (its mean) at each x, from refitted replicates.

        Parameters
        ----------
        x : array_like
            Soft metric, in the unit of the fit.
        level : float
            Level of the interval.
        method : {"bootstrap"}
            See `replicates`.
        n_boot : int
            Replicates.
        rng : Generator, SeedSequence or int

        Returns
        -------
        pandas.DataFrame
            x, low, mid (the curve), high, level, method, kind ("mean"), n_failed, status.

        Raises
        ------
        DataError
            No curve, or a bad option.

        Examples
        --------
        >>> curve = fit_richards([-1.4, -1.2, -1, -0.8, -0.6, -0.4],
        ...                      [0.25, 0.26, 0.31, 0.49, 0.75, 0.86], floor=0.25, ceiling=0.9,
        ...                      n_problems=1000)
        >>> row = curve.interval(-0.7).iloc[0]
        >>> bool(row.low < row.mid < row.high)
        True
        """
        level = checked_level(level)
        if method != "bootstrap":
            raise DataError(f"method: expected 'bootstrap', got {method!r}")
        at = np.atleast_1d(floats(x, "x"))
        drawn = self.replicates(n_boot, rng)
        good = drawn[drawn["status"] >= 0]
        values = curve_values(good, at)
        tail = (1 - level) / 2
        if len(good):
            low, high = np.quantile(values, [tail, 1 - tail], axis=0)
        else:
            low = high = np.full(len(at), np.nan)
        return pd.DataFrame(
            {
                "x": at, "low": low, "mid": self.predict(at), "high": high, "level": level,
                "method": method, "kind": "mean", "n_failed": len(drawn) - len(good),
                "status": self.status,
            }
        )  # fmt: skip

    @property
    def equation(self) -> str:
        """The curve as one line of text."""
        if not self.ok:
            return "no curve"
        return (
            f"y = {self.floor:.4g} + {self.ceiling - self.floor:.4g} "
            f"sigma({self.k:.4g} (x - {self.x0:.4g}))^{self.v:.4g}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Fields and status as plain Python values."""
        names = [f.name for f in fields(self) if f.name not in ("points", "box")]
        return {name: getattr(self, name) for name in names} | {"status": self.status}

    def to_frame(self) -> pd.DataFrame:
        """The same as a frame of one row."""
        return pd.DataFrame([self.to_dict()])

    def summary(self) -> str:
        """A few lines for a person."""
        lines = [self.equation, f"  {self.n} points, x from {self.x_min:.4g} to {self.x_max:.4g}"]
        if self.ok:
            lines.append(f"  rms residual {np.sqrt(self.sse / self.n):.3g} in accuracy")
            given = "given" if self.pinned else f"s.e. {self.se_ceiling:.2g}"
            top = f"{self.ceiling:.4g} ({given})"
            lines.append(f"  ceiling {top}, half height at {self.x_half:.4g}")
        if np.isfinite(self.deviance):
            scatter = f", scatter {self.scatter:.2g} in accuracy" if self.scatter > 0 else ""
            lines.append(
                f"  deviance {self.deviance:.4g}, dispersion {self.dispersion:.3g}{scatter}"
            )
        return "\n".join([*lines, f"  status: {self.status}"])

    def plot(self) -> Any:
        """Points and curve, as a plotly figure."""
        from .figures import downstream

        return downstream.curve_figure(self)

    def __repr__(self) -> str:
        return f"RichardsCurve({self.equation}, n={self.n}, status={self.status!r})"

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self.summary())}</pre>"


def curve_values(records: NDArray[np.void], x: Column) -> Column:
    """Values of many curves at many x, (n_curves, n_x)."""
    r = records[:, None]
    values: Column = _core.richards(x[None, :], r["k"], r["x0"], r["v"], r["floor"], r["ceiling"])
    return values


def _plain(values: Any) -> Any:
    return float(values) if np.ndim(values) == 0 else values


def finite_column(values: Any, name: str, *, n: int | None = None, missing: bool = False) -> Column:
    """Values as a float64 column of finite numbers of either sign.

    Raises
    ------
    DataError
        Names the column and the first bad rows; with ``missing`` NaN passes.
    """
    raw = values if isinstance(values, pd.Series) else as_array(values, name)
    if raw.ndim != 1:
        raise DataError(f"{name}: expected one dimension, got {raw.ndim}")
    if n is not None and len(raw) != n:
        raise DataError(f"{name}: expected {n} values, got {len(raw)}")
    numbers, why = cells.numbers(raw)
    why[(why == cells.OK) & np.isinf(numbers)] = cells.INFINITE
    if not missing:
        why[why == cells.MISSING] = cells.NOT_A_NUMBER
    if np.any(why > cells.MISSING):
        raise DataError(f"bad values\n{cells.bad_cells(name, name, raw, why)}")
    return np.ascontiguousarray(numbers)


def shares(values: Any, name: str, *, n: int | None = None, missing: bool = False) -> Column:
    """Values as accuracies in [0, 1].

    Raises
    ------
    DataError
        Names the first rows outside, and says so where they look like percent.
    """
    numbers = finite_column(values, name, n=n, missing=missing)
    bad = np.flatnonzero((numbers < 0) | (numbers > 1))
    if len(bad):
        rows = ", ".join(f"row {i + 1} is {numbers[i]:g}" for i in bad[:5])
        percent = np.nanmax(numbers) > 1.5 and np.nanmin(numbers) >= 0
        hint = "; they look like percent: divide by 100" if percent else ""
        raise DataError(f"{name}: accuracies lie in [0, 1]: {rows}{hint}")
    return numbers


def _records(
    x: Column,
    y: Column,
    offsets: NDArray[Any],
    floor: ArrayLike,
    ceiling: float | None,
    problems: Column | None,
    box: Column | None,
    n_threads: int | None = None,
    guess: Column | None = None,
) -> NDArray[np.void]:
    n = len(offsets) - 1
    return _core.richards_fit(
        x, y, offsets, np.broadcast_to(np.asarray(floor, float), n).copy(),
        ceilings=None if ceiling is None else np.full(n, ceiling), problems=problems,
        boxes=None if box is None else np.tile(box, n),
        guesses=None if guess is None else np.tile(guess, n), n_threads=thread_count(n_threads),
    )  # fmt: skip


def checked_share(value: Any, name: str) -> float:
    """A number in [0, 1], or a DataError."""
    number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    if not number or not 0 <= float(value) <= 1:
        raise DataError(f"{name}: expected a number in [0, 1], got {value!r}")
    return float(value)


def checked_box(bounds: Any) -> Column | None:
    """``{"k": (lo, hi), "x0": ..., "v": ..., "ceiling": ...}`` as the core's box of 8, or None."""
    if bounds is None:
        return None
    names = ("k", "x0", "v", "ceiling")
    if not isinstance(bounds, dict) or set(bounds) != set(names):
        raise DataError(f"bounds: expected a dict of (low, high) for {', '.join(names)}")
    ends = finite_column([e for name in names for e in bounds[name]], "bounds", n=8)
    return np.concatenate((ends[::2], ends[1::2]))


def problem_counts(n_problems: Any, n: int) -> Column | None:
    """The number of problems behind each of n accuracies, or None."""
    if n_problems is None:
        return None
    if np.ndim(n_problems) == 0:
        n_problems = np.full(n, n_problems)
    counts = finite_column(n_problems, "n_problems", n=n)
    if len(counts) and not counts.min() >= 1:
        raise DataError(f"n_problems: expected at least 1, got {counts.min():g}")
    return counts


def fit_richards(
    x: ArrayLike,
    y: ArrayLike,
    *,
    floor: float,
    ceiling: float | None = None,
    n_problems: ArrayLike | None = None,
    bounds: dict[str, tuple[float, float]] | None = None,
) -> RichardsCurve:
    """Fit accuracy y = floor + (ceiling - floor) sigma(k (x - x0))^v (Richards 1959).

    Parameters
    ----------
    x : array_like, shape (n,)
        Soft metric in which more is better: log-probability (negative), or minus bits per byte.
    y : array_like, shape (n,)
        Accuracies in [0, 1].
    floor : float
        What chance scores: 0.25 for four choices, 0 for pass@1.
    ceiling : float, optional
        Pin the saturation to this value; fitted in [floor + 0.05, 1] by default.
    n_problems : int or array_like, optional
        Problems behind each accuracy. Then the binomial likelihood is maximised instead of least
        squares, and intervals know the sampling noise.
    bounds : dict, optional
        (low, high) of "k", "x0", "v" and "ceiling". By default, for x in nats or bits per byte of
        range w: k in [0.1 / max(1, w), 50 / min(1, w)], x0 up to 2 max(1, w) outside the data,
        v in [0.1, 20].

    Returns
    -------
    RichardsCurve
        Always; look at ``status``. A fit that failed has NaN fields.

    Raises
    ------
    DataError
        Missing or infinite values, accuracies outside [0, 1] (percent, for instance), unequal
        lengths, or a bad option.

    Warns
    -----
    FitWarning
        The status is not "ok", as "none_above_half" where no run shows the ceiling.

    References
    ----------
    Richards, F. J. (1959). A flexible growth function for empirical use.

    Examples
    --------
    >>> x = np.linspace(-1.4, -0.3, 12)
    >>> y = _core.richards(x, 8.0, -0.8, 1.5, 0.25, 0.85)
    >>> curve = fit_richards(x, y, floor=0.25)
    >>> round(curve.k, 4), round(curve.ceiling, 4), curve.status
    (8.0, 0.85, 'ok')
    """
    a = finite_column(x, "x")
    b = shares(y, "y", n=len(a))
    counts = problem_counts(n_problems, len(a))
    base = checked_share(floor, "floor")
    top = None if ceiling is None else checked_share(ceiling, "ceiling")
    box = checked_box(bounds)
    record = _records(a, b, np.array([0, len(a)]), base, top, counts, box, 1)[0]
    curve = curve_of(record, np.stack((a, b, _or_nan(counts, len(a)))), top is not None, box)
    one_warning(curve.status_code, "fit_richards")
    return with_origin(curve, from_arrays({"x": a, "accuracy": b}, {"x": x, "accuracy": y}))


def _or_nan(counts: Column | None, n: int) -> Column:
    return np.full(n, np.nan) if counts is None else counts


def curve_of(
    record: np.void, points: Column, pinned: bool, box: Column | None = None
) -> RichardsCurve:
    """A record of the core as a result."""
    values = {name: record[name].item() for name in _FITTED}
    return RichardsCurve(
        **values, pinned=pinned, status_code=int(record["status"]), points=points, box=box
    )


def fit_richards_groups(
    frame: pd.DataFrame,
    *,
    x: str = "soft",
    y: str = "hard",
    by: str = "task",
    floor: float = 0.0,
    n_problems: str | None = None,
    n_threads: int | None = None,
) -> pd.DataFrame:
    """One curve a group, all in one call, for large batches.

    Parameters
    ----------
    frame : pandas.DataFrame
        One row a point.
    x, y, by : str
        Its columns of the soft metric (more is better), the accuracy and the group.
    floor : float
        What chance scores, the same for all.
    n_problems : str, optional
        Column of the number of problems; least squares without it.
    n_threads : int, optional
        Threads; the CPUs available by default.

    Returns
    -------
    pandas.DataFrame
        One row a group, sorted: the coefficients, their standard errors and the status. A group
        with bad values has the status "bad_value".

    Examples
    --------
    >>> x = np.linspace(-1.4, -0.3, 12)
    >>> frame = pd.DataFrame({"task": "a", "soft": x,
    ...                       "hard": _core.richards(x, 8.0, -0.8, 1.5, 0.25, 0.85)})
    >>> fit_richards_groups(frame, floor=0.25)["ceiling"].round(4).tolist()
    [0.85]
    """
    order, offsets, keys = group_rows(frame[by], names=[by])
    counts = None if n_problems is None else frame[n_problems].to_numpy(float)[order]
    records = _records(
        frame[x].to_numpy(float)[order], frame[y].to_numpy(float)[order], offsets,
        checked_share(floor, "floor"), None, counts, None, n_threads,
    )  # fmt: skip
    table = keys.assign(**{name: records[name] for name in _FITTED})
    table["status_code"] = records["status"]
    warn_about(records["status"], "groups")
    return table
