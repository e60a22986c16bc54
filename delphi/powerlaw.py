"""Asymptotic power laws: loss = L_inf + A C^-alpha, per suite or with one shared floor."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from . import _core
from .arrays import checked_count, column, floats, frame_columns
from .draws import Rng
from .errors import DataError
from .groups import group_rows
from .intervals import Home, IntervalMethod, Kind, RunNoise, law_interval, law_posterior
from .markup import block
from .profile import profile_floor
from .progress import progress_bar
from .provenance import HasCard, from_arrays, with_origin
from .status import HasStatus, one_warning, status_texts, warn_about
from .threads import thread_count

if TYPE_CHECKING:
    from .posterior import LawPosterior

__all__ = ["PowerLaw", "fit_power_law", "fit_power_laws"]

_FITTED = ("n", "L_inf", "A", "alpha", "log_A", "rss")
_RESULTS = (*_FITTED, "compute_min", "compute_max", "status", "status_code")

Score = Literal["loss", "log"]
Method = Literal["profile", "grid"]
Weigh = Literal["points", "suites"]


@dataclass(frozen=True)
class PowerLaw(HasStatus, HasCard):
    """A fitted law loss = L_inf + A C^-alpha.

    Attributes
    ----------
    L_inf : float
        Irreducible loss, in the unit of the losses.
    A, alpha : float
        Amplitude and exponent for compute in the unit it was given in; ``log_A`` is ln(A).
    n : int
        Points it was fitted to.
    rss : float
        Sum of squared residuals in loss space.
    score : str
        Space the residuals were squared in: "loss", or "log" for log(loss - L_inf).
    method : str
        How L_inf was found: "profile", "grid", "pinned" by the caller, or "shared" with other
        suites.
    compute_min, compute_max : float
        Range of compute it was fitted on.
    status, status_code : str, int
        "ok", a failure (all numbers NaN), or the warnings that apply.
    points : numpy.ndarray, shape (2, n)
        Compute and loss it was fitted to, for profiles and intervals.
    home : Home or None
        The ladder, suite and compute column behind the points, of a law from
        `IsoflopLadder.laws`, which keeps its ladder.
    """

    L_inf: float
    A: float
    alpha: float
    log_A: float
    n: int
    rss: float
    score: str
    method: str
    compute_min: float
    compute_max: float
    status_code: int
    points: NDArray[np.float64] | None = field(default=None, compare=False, repr=False)
    home: Home | None = field(default=None, compare=False, repr=False)

    @property
    def compute_range(self) -> tuple[float, float]:
        """Smallest and largest compute it was fitted on."""
        return self.compute_min, self.compute_max

    def predict(self, compute: ArrayLike) -> Any:
        """Loss at a compute: a float for a number, an array for an array.

        Parameters
        ----------
        compute : array_like
            In the unit of the fit (FLOPs), > 0; NaN comes out for anything else.

        Examples
        --------
        >>> law = fit_power_law([1e18, 1e19, 1e20, 1e21], [4.0, 3.25, 2.75, 2.42])
        >>> bool(law.predict(1e22) < 2.42)
        True
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            return _plain(_core.powerlaw(_positive(compute), self.L_inf, self.log_A, self.alpha))

    def compute_for(self, loss: ArrayLike) -> Any:
        """Compute at which the law reaches a loss; NaN at or below L_inf, where it never does.

        Examples
        --------
        >>> law = fit_power_law([1e18, 1e19, 1e20, 1e21], [4.0, 3.25, 2.75, 2.42])
        >>> round(law.compute_for(law.predict(3e22)) / 3e22, 9)
        1.0
        """
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return _plain(
                _core.powerlaw_inverse(floats(loss, "loss"), self.L_inf, self.log_A, self.alpha)
            )

    def _points(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        if not self.ok:
            raise DataError(f"no law to look at: {self.status}")
        if self.points is None or self.score != "loss":
            raise DataError("profiles and intervals need a law fitted in loss space to its points")
        return self.points[0], self.points[1]

    def profile(self, at: ArrayLike | None = None, *, n: int = 101) -> pd.DataFrame:
        """The best law at each of n floors from 0 to the lowest loss.

        Parameters
        ----------
        at : array_like, optional
            Computes to forecast at, one column ``loss_at_<compute>`` each.
        n : int
            Number of floors.

        Returns
        -------
        pandas.DataFrame
            L_inf, A, alpha, log_A, rss, and the forecasts.

        Examples
        --------
        >>> law = fit_power_law([1e18, 1e19, 1e20, 1e21, 1e22], [4.0, 3.25, 2.75, 2.42, 2.21])
        >>> table = law.profile(n=51)
        >>> bool(abs(table["rss"].min() / law.rss - 1) < 0.5)
        True
        """
        table = profile_floor(*self._points(), checked_count(n, "n", 2))
        for C in column([] if at is None else np.atleast_1d(np.asarray(at)), "at", least=0):
            table[f"loss_at_{float(C)!r}"] = _core.powerlaw(
                C, table["L_inf"].to_numpy(), table["log_A"].to_numpy(), table["alpha"].to_numpy()
            )
        return table

    def interval(
        self,
        compute: ArrayLike,
        *,
        level: float = 0.95,
        method: IntervalMethod = "profile",
        kind: Kind = "mean",
        noise: RunNoise | None = None,
        rng: Rng = 0,
    ) -> pd.DataFrame:
        """Interval of the loss at each compute.

        Parameters
        ----------
        compute : array_like
            In the unit of the fit, > 0.
        level : float
            Level of the interval.
        method : {"profile", "t", "bootstrap", "two-level", "posterior"}
            "profile": all laws whose residuals stay below the F bound, for a free floor; "t":
            linearised, for a pinned or shared floor; "bootstrap": resampled residuals of the
            points; "two-level": resampled runs, of a law from `IsoflopLadder.laws`;
            "posterior": `delphi.fit_posterior`.
        kind : {"mean", "new run"}
            The law itself, or one more run on it.
        noise : RunNoise, optional
            Run-to-run noise for "new run"; by default that of the ladder's replicate seeds, else
            the scatter about the law.
        rng : Generator, SeedSequence, int or None
            For the methods that draw.

        Returns
        -------
        pandas.DataFrame
            compute, low, mid, high, level, method, kind, extrapolation_decades, status: the law's,
            the bound of L_inf that an end runs into, and "extrapolated" beyond the data by more
            than a fifth of their span in decades, where everything rests on the form of the law.

        Raises
        ------
        DataError
            No law, too few points, or a method that does not fit the law.

        Examples
        --------
        >>> C = [1e18, 1e19, 1e20, 1e21, 1e22, 1e23]
        >>> law = fit_power_law(C, [4.0, 3.25, 2.75, 2.42, 2.21, 2.07])
        >>> row = law.interval(1e24).iloc[0]
        >>> bool(row.low < law.predict(1e24) < row.high)
        True
        """
        return law_interval(
            self, compute, level=level, method=method, kind=kind, noise=noise, rng=rng
        )

    def posterior(self, *, rng: Rng = 0) -> LawPosterior:
        """The posterior of this law, as draws: `delphi.fit_posterior` on its points.

        Parameters
        ----------
        rng : Generator, SeedSequence, int or None
            Source of the draws.

        Raises
        ------
        DataError
            No law, or a pinned or shared floor.
        """
        return law_posterior(self, rng)

    @property
    def equation(self) -> str:
        """The law as one line of text."""
        if not self.ok:
            return "no law"
        return f"loss = {self.L_inf:.4g} + {self.A:.4g} C^-{self.alpha:.4g}"

    def to_dict(self) -> dict[str, Any]:
        """Fields and status as plain Python values."""
        names = [f.name for f in fields(self) if f.name not in ("points", "home")]
        return {name: getattr(self, name) for name in names} | {"status": self.status}

    def to_frame(self) -> pd.DataFrame:
        """The same as a frame of one row."""
        return pd.DataFrame([self.to_dict()])

    def summary(self) -> str:
        """A few lines for a person."""
        lines = [
            self.equation,
            f"  {self.n} points, C from {self.compute_min:.3g} to {self.compute_max:.3g}",
            f"  least squares in {self.score} space, L_inf by {self.method}",
            f"  status: {self.status}",
        ]
        if self.ok and self.n > 0:
            lines.insert(2, f"  rms residual {np.sqrt(self.rss / self.n):.3g}")
        return "\n".join(lines)

    def plot(self, what: Literal["law", "profile"] = "law") -> Any:
        """The law over its range and two decades beyond, or the profile of its floor.

        Parameters
        ----------
        what : {"law", "profile"}
            "profile" needs a law fitted in loss space with a free floor.

        Returns
        -------
        plotly.graph_objects.Figure
        """
        from .figures import floor_profile, law_curve

        if what not in ("law", "profile"):
            raise DataError(f"what: expected 'law' or 'profile', got {what!r}")
        return law_curve(self) if what == "law" else floor_profile(self)

    def __repr__(self) -> str:
        return f"PowerLaw({self.equation}, n={self.n}, status={self.status!r})"

    def _repr_html_(self) -> str:
        facts = {name: getattr(self, name) for name in ("L_inf", "A", "alpha", "n", "status")}
        reach = f"fitted from {self.compute_min:.3g} to {self.compute_max:.3g}"
        how = f"least squares in {self.score} space, L_inf by {self.method}"
        return block(self.equation, facts=facts, notes=[f"{reach}; {how}"])


def _plain(values: Any) -> Any:
    return float(values) if np.ndim(values) == 0 else values


def _positive(compute: ArrayLike) -> NDArray[np.float64]:
    values = floats(compute, "compute")
    return np.where(values > 0, values, np.nan)


def _checked_floor(floor: float | None) -> float | None:
    if floor is None:
        return None
    if isinstance(floor, bool) or not np.isscalar(floor) or not np.isreal(floor):
        raise DataError(f"floor: expected a number, got {floor!r}")
    value = float(cast(float, floor))
    if not (value >= 0 and np.isfinite(value)):
        raise DataError(f"floor: expected a finite number of at least 0, got {value!r}")
    return value


def laws_of_frame(
    frame: pd.DataFrame, points: pd.DataFrame, names: tuple[str, str, str], score: str, method: str
) -> dict[str, PowerLaw]:
    """Rows of `fit_power_laws` as laws, by label; names are those of label, compute and loss."""
    by, compute, loss = names
    known = set(PowerLaw.__dataclass_fields__) & set(frame.columns)
    return {
        str(row[by]): PowerLaw(
            **{n: row[n] for n in known},
            score=score,
            method=method,
            points=points.loc[points[by] == row[by], [compute, loss]].to_numpy(float).T,
        )
        for row in frame.to_dict("records")
    }


def fit_power_law(
    compute: ArrayLike,
    loss: ArrayLike,
    *,
    floor: float | None = None,
    score: Score = "loss",
    method: Method = "profile",
    n_grid: int = 400,
) -> PowerLaw:
    """Fit loss = L_inf + A C^-alpha.

    By default the least-squares fit in loss space with L_inf anywhere in [0, min loss): for fixed
    alpha the law is linear in (L_inf, A), so a search over alpha alone finds the global minimum
    (variable projection; Golub and Pereyra 1973).

    Parameters
    ----------
    compute : array_like, shape (n,)
        Compute, > 0, in any unit (FLOPs by convention).
    loss : array_like, shape (n,)
        Losses, > 0.
    floor : float, optional
        Pin L_inf to this value, at least 0 and below every loss.
    score : {"loss", "log"}
        Space in which residuals are squared. "log" squares residuals of log(loss - L_inf); that
        pulls the floor down and is there to reproduce older fits.
    method : {"profile", "grid"}
        "profile" searches L_inf continuously; "grid" tries ``n_grid`` values over
        [0, 0.95 min loss].
    n_grid : int
        Size of that grid.

    Returns
    -------
    PowerLaw
        Always; look at ``status``. A fit that failed has NaN fields.

    Raises
    ------
    DataError
        Missing, infinite or non-positive values (named by row), unequal lengths, a bad option.

    Warns
    -----
    FitWarning
        The status is not "ok", for instance ``floor_at_zero`` or ``not_decreasing``.

    Examples
    --------
    >>> import numpy as np
    >>> C = np.geomspace(1e18, 1e21, 7)
    >>> law = fit_power_law(C, 1.8 + 1600 * C**-0.16)
    >>> round(law.L_inf, 6), round(law.A, 3), round(law.alpha, 6), law.status
    (1.8, 1600.0, 0.16, 'ok')
    """
    C = column(compute, "compute")
    y = column(loss, "loss", n=len(C))
    pinned = _checked_floor(floor)
    record = _fit(
        C, y, np.array([0, len(C)]), None, pinned, score, method, n_grid, "points", 1, False
    )[0]
    values = {name: record[name].item() for name in _FITTED}
    law = PowerLaw(
        **values,
        score=score,
        method=method if pinned is None else "pinned",
        compute_min=float(C.min()),
        compute_max=float(C.max()),
        status_code=record["status"].item(),
        points=np.stack((C, y)),
    )
    one_warning(law.status_code, "fit_power_law")
    given = {"compute": compute, "loss": loss}
    return with_origin(law, from_arrays({"compute": C, "loss": y}, given, n_grid=n_grid))


def fit_power_laws(
    frame: Any,
    *,
    compute: str = "compute",
    loss: str = "loss",
    by: str | list[str] = "suite",
    shared_floor: bool = False,
    floor: float | None = None,
    score: Score = "loss",
    method: Method = "profile",
    n_grid: int = 400,
    weigh: Weigh = "points",
    n_threads: int | None = None,
    progress: bool = False,
) -> pd.DataFrame:
    """Fit one power law a group, all groups in one call.

    Parameters
    ----------
    frame : DataFrame (pandas, polars, pyarrow)
        One row a point.
    compute, loss : str
        Its columns of compute (FLOPs) and loss.
    by : str or list of str
        Columns that name the group.
    shared_floor : bool
        Give all groups one L_inf. Every point counts the same (``weigh="points"``), or every
        group does (``weigh="suites"``).
    floor, score, method, n_grid
        As in `fit_power_law`.
    n_threads : int, optional
        Threads; the CPUs available by default.
    progress : bool
        Show a progress bar.

    Returns
    -------
    pandas.DataFrame
        One row a group, sorted: the ``by`` columns, n, L_inf, A, alpha, log_A, rss, compute_min,
        compute_max, status, status_code. A group with bad values has the status "bad_value".

    Raises
    ------
    DataError
        A column is missing or holds text, a group label is missing, or an option is wrong.

    Warns
    -----
    FitWarning
        One count for every status that is not "ok".

    Examples
    --------
    >>> import pandas as pd
    >>> C = [1e18, 1e19, 1e20, 1e21]
    >>> frame = pd.DataFrame({
    ...     "suite": ["a"] * 4 + ["b"] * 4, "compute": C * 2,
    ...     "loss": [2 + 40 * c**-0.08 for c in C] + [2 + 50 * c**-0.09 for c in C]})
    >>> laws = fit_power_laws(frame, shared_floor=True)
    >>> laws["L_inf"].round(6).tolist(), laws["alpha"].round(6).tolist()
    ([2.0, 2.0], [0.08, 0.09])
    """
    laws = fit_frame(
        frame, compute=compute, loss=loss, by=by, shared_floor=shared_floor, floor=floor,
        score=score, method=method, n_grid=n_grid, weigh=weigh, n_threads=n_threads,
        progress=progress,
    )  # fmt: skip
    warn_about(laws["status_code"], "groups")
    return laws


def fit_frame(
    frame: Any,
    *,
    compute: str,
    loss: str,
    by: str | list[str],
    shared_floor: bool = False,
    floor: float | None = None,
    score: Score = "loss",
    method: Method = "profile",
    n_grid: int = 400,
    weigh: Weigh = "points",
    n_threads: int | None = None,
    progress: bool = False,
) -> pd.DataFrame:
    """`fit_power_laws` without its warning, for callers that warn in their own name."""
    labels = [by] if isinstance(by, str) else list(by)
    taken = set(labels) & set(_RESULTS)
    if taken:
        raise DataError(f"by: {sorted(taken)} are names of results; rename the column first")
    table = frame_columns(frame, [*labels, compute, loss])
    C = column(table[compute], compute, strict=False, least=0)
    y = column(table[loss], loss, strict=False, least=0)
    order, offsets, keys = group_rows(*(table[label] for label in labels), names=labels)
    pinned = _checked_floor(floor)
    sets = np.array([0, len(keys)]) if shared_floor and pinned is None else None
    C, y = C[order], y[order]
    records = _fit(
        C, y, offsets, sets, pinned, score, method, n_grid, weigh,
        thread_count(n_threads), progress,
    )  # fmt: skip
    laws = keys
    for name in _FITTED:
        laws[name] = records[name]
    starts = offsets[:-1]
    laws["compute_min"] = np.minimum.reduceat(C, starts) if len(starts) else []
    laws["compute_max"] = np.maximum.reduceat(C, starts) if len(starts) else []
    laws["status"] = status_texts(records["status"])
    laws["status_code"] = records["status"]
    return laws


def _fit(
    compute: NDArray[np.float64],
    loss: NDArray[np.float64],
    offsets: NDArray[np.int64],
    sets: NDArray[np.int64] | None,
    floor: float | None,
    score: str,
    method: str,
    n_grid: int,
    weigh: str,
    n_threads: int,
    progress: bool,
) -> NDArray[np.void]:
    """The core's records, with its complaints about options as DataErrors."""
    n_sets = len(offsets) - 1 if sets is None else len(sets) - 1
    floors = None if floor is None else np.full(n_sets, floor)
    try:
        with progress_bar(progress, "power laws") as callback:
            return _core.powerlaw_fit(
                compute, loss, offsets, sets=sets, floors=floors,
                score=cast(Score, score), method=cast(Method, method), n_grid=n_grid,
                weigh=cast(Weigh, weigh), diagnose=True, n_threads=n_threads, progress=callback,
            )  # fmt: skip
    except (ValueError, TypeError, OverflowError) as error:
        raise DataError(str(error)) from None
