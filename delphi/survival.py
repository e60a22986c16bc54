"""Survival of rollouts: Kaplan-Meier curves with bands, medians, log-rank tests.

The estimates are SciPy's; what is decided here is who is at risk when, and what is said where a
formula has no answer.
"""

from __future__ import annotations

import html
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from .arrays import as_array, checked_level, floats
from .errors import DataError
from .groups import group_rows
from .provenance import HasCard, from_arrays, with_origin
from .status import HasStatus, bits, warn_about

__all__ = ["KaplanMeier", "SurvivalFit", "fit_survival"]

Band = Literal["log-log", "linear"]
MOST_GROUPS = 64  # log-rank tests of all pairs: 2016 of them


@dataclass(frozen=True)
class KaplanMeier(HasStatus, HasCard):
    """A Kaplan-Meier curve: the share of rollouts that lives beyond each token.

    Attributes
    ----------
    label : object
        What the group is called (its alpha).
    time : numpy.ndarray, shape (m,)
        Tokens at which somebody died or was last seen, increasing.
    at_risk, deaths, censored : numpy.ndarray of int64, shape (m,)
        Watched at this token; died there; last seen there.
    survival, low, high : numpy.ndarray, shape (m,)
        Estimate and band. The band is NaN where Greenwood's formula has none: before the first
        death, and where nobody is left.
    level, band : float, str
        Level and kind of the band: "log-log" or "linear", point by point.
    median : float
        First token at which survival is at most one half; NaN if it never is.
    median_low, median_high : float
        Where the band crosses one half (Brookmeyer and Crowley 1982); NaN if it does not.
    n, n_died : int
        Rollouts, and how many of them died.
    status, status_code : str, int
        "ok", or the warnings that apply.
    """

    label: Any
    time: NDArray[np.float64]
    at_risk: NDArray[np.int64]
    deaths: NDArray[np.int64]
    censored: NDArray[np.int64]
    survival: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    level: float
    band: str
    median: float
    median_low: float
    median_high: float
    n: int
    n_died: int
    status_code: int

    def predict(self, time: ArrayLike) -> Any:
        """Share alive after a token: a float for a number, an array for an array.

        NaN beyond the last token anybody was watched at, unless nobody was left.

        Examples
        --------
        >>> curve = fit_survival([2, 5, 5, 9], [True, True, False, False]).curves["all"]
        >>> curve.predict([0, 2, 6]).tolist()
        [1.0, 0.75, 0.5]
        """
        return self._at(time, self.survival, 1.0)

    def interval(self, time: ArrayLike) -> pd.DataFrame:
        """Estimate and band at some tokens.

        Returns
        -------
        pandas.DataFrame
            time, low, survival, high, level, method (kind of the band).
        """
        at = np.atleast_1d(floats(time, "time"))
        return pd.DataFrame(
            {
                "time": at, "low": self._at(at, self.low, np.nan), "survival": self.predict(at),
                "high": self._at(at, self.high, np.nan), "level": self.level, "method": self.band,
            }
        )  # fmt: skip

    def _at(self, time: ArrayLike, values: NDArray[np.float64], before: float) -> Any:
        at = floats(time, "time")
        place = np.searchsorted(self.time, at, side="right")
        out = np.concatenate(([before], values))[place]
        beyond = (at > self.time[-1]) & (self.survival[-1] > 0)
        out = np.where(beyond | np.isnan(at), np.nan, out)
        return float(out) if out.ndim == 0 else out

    def to_frame(self) -> pd.DataFrame:
        """The curve, one row a token at which somebody died or was last seen."""
        names = ("time", "at_risk", "deaths", "censored", "survival", "low", "high")
        return pd.DataFrame({name: getattr(self, name) for name in names}).assign(
            level=self.level, band=self.band
        )

    def to_dict(self) -> dict[str, Any]:
        """The numbers that sum it up, as plain Python values."""
        names = ("label", "n", "n_died", "median", "median_low", "median_high", "level", "band")
        return {name: getattr(self, name) for name in names} | {"status": self.status}

    def summary(self) -> str:
        """A few lines for a person."""
        return "\n".join(
            [
                f"{self.label}: {self.n} rollouts, {self.n_died} died",
                f"  median token of death {_token(self.median)} "
                f"({_token(self.median_low)} to {_token(self.median_high)}, "
                f"{100 * self.level:g}% {self.band})",
                f"  alive after token {self.time[-1]:g}: {self.survival[-1]:.3f}",
                f"  status: {self.status}",
            ]
        )

    def plot(self) -> Any:
        """The curve with its band, as a plotly figure."""
        from .figures import survival_curves

        return survival_curves({self.label: self})

    def _card_fields(self) -> dict[str, Any]:
        from .survivalcard import meier_fields

        return meier_fields(self)

    def __repr__(self) -> str:
        return (
            f"KaplanMeier({self.label!r}, n={self.n}, died={self.n_died}, "
            f"median={_token(self.median)}, status={self.status!r})"
        )

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self.summary())}</pre>"


@dataclass(frozen=True)
class SurvivalFit(HasCard):
    """Kaplan-Meier curves of several groups, and log-rank tests between them.

    Attributes
    ----------
    curves : mapping
        `KaplanMeier` by label, in order of the labels.
    logrank : pandas.DataFrame
        One row a pair: first, second, z (positive where the first dies more often than under
        equal hazards), chi2 (its square), p, p_holm (adjusted for all pairs, Holm 1979), status.
    level, band : float, str
        Of the bands.
    """

    curves: Mapping[Any, KaplanMeier]
    logrank: pd.DataFrame
    level: float
    band: str

    @property
    def ok(self) -> bool:
        """True if every group has a curve, be it with warnings."""
        return all(curve.ok for curve in self.curves.values())

    @property
    def status(self) -> str:
        """The statuses that occur, each said once."""
        said = dict.fromkeys(w for c in self.curves.values() for w in c.status.split(", "))
        return ", ".join(word for word in said if word != "ok") or "ok"

    def predict(self, time: ArrayLike) -> pd.DataFrame:
        """Share alive after some tokens: one row a token, one column a group."""
        at = np.atleast_1d(floats(time, "time"))
        values = {label: curve.predict(at) for label, curve in self.curves.items()}
        return pd.DataFrame(values, index=pd.Index(at, name="time"))

    def interval(self, time: ArrayLike) -> pd.DataFrame:
        """Estimates and bands at some tokens, one row a group and token."""
        frames = [c.interval(time).assign(group=label) for label, c in self.curves.items()]
        table = pd.concat(frames, ignore_index=True)
        return table[["group", *table.columns[:-1]]]

    def table(self) -> pd.DataFrame:
        """One row a group: label, n, n_died, median, its interval, level, band, status."""
        return pd.DataFrame([curve.to_dict() for curve in self.curves.values()])

    def to_frame(self) -> pd.DataFrame:
        """All curves under each other, with a column ``group``."""
        frames = [curve.to_frame().assign(group=label) for label, curve in self.curves.items()]
        table = pd.concat(frames, ignore_index=True)
        return table[["group", *table.columns[:-1]]]

    def to_dict(self) -> dict[str, Any]:
        """Groups and tests as plain Python values."""
        return {
            "groups": [curve.to_dict() for curve in self.curves.values()],
            "logrank": self.logrank.to_dict("records"),
        }

    def summary(self) -> str:
        """A few lines for a person."""
        lines = [curve.summary().splitlines() for curve in self.curves.values()]
        return "\n".join(line for pair in lines for line in pair[:2])

    def plot(self) -> Any:
        """All curves in one plotly figure."""
        from .figures import survival_curves

        return survival_curves(self)

    def _card_fields(self) -> dict[str, Any]:
        from .survivalcard import survival_fields

        return survival_fields(self)

    def __repr__(self) -> str:
        n = sum(curve.n for curve in self.curves.values())
        return f"SurvivalFit({len(self.curves)} groups, n={n}, status={self.status!r})"

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self.summary())}</pre>"


def fit_survival(
    time: ArrayLike,
    died: ArrayLike,
    *,
    by: ArrayLike | None = None,
    level: float = 0.95,
    band: Band = "log-log",
) -> SurvivalFit:
    """Kaplan-Meier curve of each group, with Greenwood bands, and log-rank tests of all pairs.

    At each token the risk set holds those who were still watched: the dead have left it, and so
    have the censored. Deaths count before censorings at the same token.

    Parameters
    ----------
    time : array_like, shape (n,)
        Token of death, or the last token at which a death would have been seen; at least 0.
    died : array_like of bool, shape (n,)
        Whether it is a death.
    by : array_like, shape (n,), optional
        Group of each (its alpha); all are one group, "all", by default.
    level : float
        Level of the bands, point by point.
    band : {"log-log", "linear"}
        Greenwood's variance on the scale of log(-log S), which stays in [0, 1], or on that of S.

    Returns
    -------
    SurvivalFit

    Raises
    ------
    DataError
        No rollouts, times that are missing or negative (named by row), unequal lengths, a bad
        option.
    ImportError
        SciPy is missing.

    Warns
    -----
    FitWarning
        One count for every status that is not "ok", such as ``no_deaths``.

    References
    ----------
    Kaplan and Meier (1958), J. Am. Stat. Assoc. 53, 457; Greenwood (1926); Mantel (1966), Cancer
    Chemother. Rep. 50, 163; Sawyer (2003) on the exponential Greenwood band.

    Examples
    --------
    >>> fit = fit_survival([2, 5, 5, 9, 1, 2, 3, 4], [1, 1, 1, 0, 1, 1, 1, 1], by=[1] * 4 + [2] * 4)
    >>> fit.table()["median"].tolist()
    [5.0, 2.0]
    >>> round(fit.logrank["p"].item(), 3)
    0.056
    """
    fit = survival_of(time, died, by=by, level=level, band=band)
    warn_about([curve.status_code for curve in fit.curves.values()], "groups")
    return fit


def survival_of(
    time: ArrayLike, died: ArrayLike, *, by: ArrayLike | None, level: float, band: Band
) -> SurvivalFit:
    """`fit_survival` without its warning, for callers that warn in their own name."""
    at, dead = _checked(time, died)
    width = checked_level(level)
    if band not in ("log-log", "linear"):
        raise DataError(f"band: expected 'log-log' or 'linear', got {band!r}")
    labels = np.full(len(at), "all", dtype=object) if by is None else as_array(by, "by")
    if labels.shape != at.shape:
        raise DataError(f"by: expected {len(at)} labels, got shape {labels.shape}")
    order, offsets, keys = group_rows(labels, names=["group"])
    at, dead = at[order], dead[order]
    spans = [slice(a, b) for a, b in pairwise(offsets.tolist())]
    names = keys["group"].tolist()
    curves = {
        name: _curve(name, at[span], dead[span], width, band)
        for name, span in zip(names, spans, strict=True)
    }
    for curve, span in zip(curves.values(), spans, strict=True):
        gone = {"of another group": len(at) - (span.stop - span.start)}
        given = {"time": at[span], "died": dead[span]}
        with_origin(curve, from_arrays(given, {"time": time, "died": died}, left_out=gone))
    samples = [_sample(at[span], dead[span]) for span in spans]
    fit = SurvivalFit(curves, _logrank(names, samples), width, band)
    columns = {"time": at, "died": dead, "group": labels[order]}
    return with_origin(fit, from_arrays(columns, {"time": time, "died": died}))


def _stats() -> Any:
    try:
        from scipy import stats
    except ImportError as error:
        raise ImportError(
            "survival curves need SciPy: pip install 'delphi-scaling[survival]'", name="scipy"
        ) from error
    return stats


def _checked(time: Any, died: Any) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    at = floats(time, "time")
    if at.ndim != 1 or not len(at):
        raise DataError("time: expected one dimension with at least one value")
    bad = np.flatnonzero(~(np.isfinite(at) & (at >= 0)))
    if len(bad):
        raise DataError(f"time: row {bad[0] + 1} is {at[bad[0]]}, expected a token of at least 0")
    dead = as_array(died, "died")
    if dead.shape != at.shape:
        raise DataError(f"died: expected {len(at)} values, got shape {dead.shape}")
    if dead.dtype != bool:
        numbers = floats(dead, "died")
        odd = np.flatnonzero(~np.isin(numbers, (0, 1)))
        if len(odd):
            raise DataError(f"died: row {odd[0] + 1} is neither 0 nor 1")
        dead = numbers == 1
    return at, dead


def _sample(at: NDArray[np.float64], dead: NDArray[np.bool_]) -> Any:
    return _stats().CensoredData(uncensored=at[dead], right=at[~dead])


def _curve(
    label: Any, at: NDArray[np.float64], dead: NDArray[np.bool_], level: float, band: Band
) -> KaplanMeier:
    found = _stats().ecdf(_sample(at, dead)).sf
    times, share = found.quantiles, found.probabilities
    with warnings.catch_warnings():  # it warns about the NaN that low and high then hold
        warnings.simplefilter("ignore", RuntimeWarning)
        limits = found.confidence_interval(level, method=band)
    # Before the first death the linear band has no width, which is no statement either.
    nothing = (share >= 1) | (share <= 0)
    low, high = (np.where(nothing, np.nan, b.probabilities) for b in (limits.low, limits.high))
    place = np.searchsorted(times, at)
    deaths = np.bincount(place, weights=dead, minlength=len(times)).astype(np.int64)
    lost = np.bincount(place, minlength=len(times)) - deaths
    median = _first_at_half(times, share)
    beyond = bits("median_beyond") if np.isnan(median) else 0
    code = beyond if dead.any() else bits("no_deaths")
    return KaplanMeier(
        label=label, time=times, at_risk=(len(at) - np.searchsorted(np.sort(at), times)),
        deaths=deaths, censored=lost, survival=share, low=low, high=high, level=level, band=band,
        median=median, median_low=_first_at_half(times, low),
        median_high=_first_at_half(times, np.where(share <= 0, 0.0, high)),
        n=len(at), n_died=int(dead.sum()), status_code=code,
    )  # fmt: skip


def _first_at_half(times: NDArray[np.float64], share: NDArray[np.float64]) -> float:
    # A product of shares that is one half may round to a hair above it; NaN is not reached.
    reached = np.flatnonzero(share <= 0.5 + 1e-12)
    return float(times[reached[0]]) if len(reached) else float("nan")


def _logrank(names: list[Any], samples: list[Any]) -> pd.DataFrame:
    """All pairs, with Holm's adjustment over those that could be tested."""
    if len(names) > MOST_GROUPS:
        raise DataError(f"by: {len(names)} groups are too many for log-rank tests of all pairs")
    rows = []
    for i, j in combinations(range(len(names)), 2):
        with np.errstate(invalid="ignore", divide="ignore"):
            test = _stats().logrank(samples[i], samples[j])
        z, p = float(test.statistic), float(test.pvalue)
        good = np.isfinite(z)
        rows.append(
            {
                "first": names[i], "second": names[j], "z": z if good else np.nan,
                "chi2": z * z if good else np.nan, "p": p if good else np.nan,
                "status": "ok" if good else "no_deaths",
            }
        )  # fmt: skip
    columns = ["first", "second", "z", "chi2", "p", "p_holm", "status"]
    if not rows:
        return pd.DataFrame({name: [] for name in columns})
    table = pd.DataFrame(rows)
    table["p_holm"] = _holm(table["p"].to_numpy())
    return table[columns]


def _holm(p: NDArray[np.float64]) -> NDArray[np.float64]:
    out = np.full(len(p), np.nan)
    tested = np.flatnonzero(np.isfinite(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    steps = p[order] * (len(order) - np.arange(len(order)))
    out[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return out


def _token(value: float) -> str:
    return f"{value:g}" if np.isfinite(value) else "beyond the data"
