"""Polynomial laws in logarithms: ridge fits, their optimum, and where not to trust them."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations_with_replacement
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from . import _core
from .arrays import checked_level, column, frame_columns
from .describe import residual_fields, status_fields
from .errors import DataError
from .groups import group_rows
from .optimum import Optimum, stationary_point
from .provenance import HasCard, from_arrays, with_origin
from .status import HasStatus, status_names, status_texts, warn_about
from .threads import thread_count

__all__ = ["PolynomialLaw", "fit_polynomial_law", "polynomial_terms"]

Column = NDArray[np.float64]
ALL = "all_data"
STRENGTHS = np.geomspace(1e-10, 1e2, 25)  # tried by grouped cross-validation


def polynomial_terms(features: Sequence[str], degree: int = 2) -> dict[str, tuple[int, ...]]:
    """Names of the terms of a polynomial in log10 of the features, and their powers.

    Examples
    --------
    >>> list(polynomial_terms(["lr", "bsz"]))
    ['log_lr', 'log_bsz', 'log_lr^2', 'log_bsz^2', 'log_lr log_bsz']
    """
    found = {}
    for order in range(1, degree + 1):
        chosen = combinations_with_replacement(range(len(features)), order)
        powers = [tuple(c.count(i) for i in range(len(features))) for c in chosen]
        for power in sorted(powers, key=lambda p: -max(p)):  # pure powers before products
            parts = [
                f"log_{f}" if k == 1 else f"log_{f}^{k}"
                for f, k in zip(features, power, strict=True) if k
            ]  # fmt: skip
            found[" ".join(parts)] = power
    return found


def _design(logs: Column, terms: Mapping[str, tuple[int, ...]]) -> Column:
    """Columns of the terms at rows of log10 values."""
    out = np.empty((len(logs), len(terms)))
    for t, power in enumerate(terms.values()):
        product = np.ones(len(logs))
        for i, k in enumerate(power):
            for _ in range(k):
                product = product * logs[:, i]
        out[:, t] = product
    return out


@dataclass(frozen=True, eq=False)
class PolynomialLaw(HasStatus, HasCard):
    """A law target = polynomial of log10(features), one set of coefficients a group.

    Attributes
    ----------
    features : tuple of str
    target : str
    degree : int
    coefficients : pandas.DataFrame
        A row a group, columns "1" and the terms such as ``log_lr^2`` or ``log_lr log_bsz``.
    fits : pandas.DataFrame
        A row a group: n, ridge (the penalty), edf, rss, sigma, gcv, loo, r2, condition, status.
    group : str or None
        Column of the groups.
    covariance : numpy.ndarray, shape (n_groups, n_terms + 1, n_terms + 1), or None
        Over sigma^2; None for a law from coefficients.
    ranges : pandas.DataFrame or None
        log10 of the smallest and largest value of each feature by group.
    """

    features: tuple[str, ...]
    target: str
    degree: int
    coefficients: pd.DataFrame
    fits: pd.DataFrame
    group: str | None = None
    covariance: NDArray[np.float64] | None = field(default=None, repr=False)
    ranges: pd.DataFrame | None = field(default=None, repr=False)
    leverage: Column | None = field(default=None, repr=False)

    @property
    def status_code(self) -> int:  # type: ignore[override]
        """0 if a group has a law; else the failure of the first."""
        codes = self.fits["status_code"].to_numpy()
        return int(codes[0]) if (codes < 0).all() else int(codes[0]) if len(codes) == 1 else 0

    @property
    def terms(self) -> dict[str, tuple[int, ...]]:
        """Names of the terms and their powers of log10(features)."""
        return polynomial_terms(self.features, self.degree)

    @property
    def groups(self) -> list[Any]:
        """Labels of the groups."""
        return list(self.coefficients.index)

    @classmethod
    def from_coefficients(
        cls,
        coefficients: Mapping[str, Any],
        features: Sequence[str],
        *,
        target: str = "loss",
        degree: int = 2,
    ) -> PolynomialLaw:
        """A law with known coefficients: term to number, or group to such a mapping.

        Terms that are not given are 0; "1" is the intercept.

        Raises
        ------
        DataError
            An unknown term, or a coefficient that is not a finite number.

        Examples
        --------
        >>> law = PolynomialLaw.from_coefficients({"1": 3, "log_lr^2": 0.5}, ["lr"])
        >>> law.predict({"lr": [0.1, 0.01]}).tolist()
        [3.5, 5.0]
        """
        nested = {k: v for k, v in coefficients.items() if isinstance(v, Mapping)}
        tables = nested if nested else {ALL: dict(coefficients)}
        names = ["1", *polynomial_terms(features, degree)]
        rows = {}
        for label, given in tables.items():
            unknown = [name for name in given if name not in names]
            if unknown:
                raise DataError(f"unknown term {unknown[0]!r}; the terms are {', '.join(names)}")
            rows[label] = [float(given.get(name, 0.0)) for name in names]
            if not np.isfinite(rows[label]).all():
                raise DataError(f"coefficients of {label!r} must be finite numbers")
        table = pd.DataFrame.from_dict(rows, orient="index", columns=names)
        fits = pd.DataFrame({"n": 0, "status": "ok", "status_code": 0}, index=table.index)
        return cls(tuple(features), target, degree, table, fits)

    def _row(self, group: Any) -> int:
        if group is None:
            if len(self.coefficients) != 1:
                raise DataError(f"group: one of {self.groups} is needed")
            return 0
        if group not in self.coefficients.index:
            raise DataError(f"unknown group {group!r}; the groups are {self.groups}")
        return int(self.coefficients.index.get_loc(group))

    def _logs(self, data: Any) -> Column:
        table = frame_columns(pd.DataFrame(data) if isinstance(data, Mapping) else data,
                              self.features)  # fmt: skip
        return np.column_stack([np.log10(column(table[f], f, least=0)) for f in self.features])

    def predict(self, data: Any, group: Any = None) -> Column:
        """Predicted target of every row.

        Parameters
        ----------
        data : DataFrame or mapping of column to values
            All features, > 0.
        group : optional
            Which coefficients; not needed where there is one group.

        Raises
        ------
        DataError
            An unknown group, a missing column, or a value that is not positive and finite.
        """
        row = self.coefficients.to_numpy()[self._row(group)]
        return cast(Column, _design(self._logs(data), self.terms) @ row[1:] + row[0])

    def interval(
        self, data: Any, group: Any = None, *, level: float = 0.95, kind: str = "new run"
    ) -> pd.DataFrame:
        """Student-t interval of the mean or of one new run at every row.

        The penalty is taken as a prior, so that the covariance is that of the posterior.

        Parameters
        ----------
        data, group
            As for `predict`.
        level : float
        kind : {"mean", "new run"}

        Returns
        -------
        pandas.DataFrame
            low, mid, high, level, kind, and the flags of `check`.

        Raises
        ------
        DataError
            A law without residuals, or a wrong option.
        """
        level = checked_level(level)
        if kind not in ("mean", "new run"):
            raise DataError(f"kind: expected 'mean' or 'new run', got {kind!r}")
        g = self._row(group)
        fit = self.fits.iloc[g]
        if self.covariance is None or not fit["n"] > fit["edf"]:
            raise DataError("no residuals to make intervals from")
        x = np.column_stack((np.ones(len(logs := self._logs(data))), _design(logs, self.terms)))
        spread = np.einsum("ij,jk,ik->i", x, self.covariance[g], x) + (kind == "new run")
        half = _core.t_quantile((1 + level) / 2, fit["n"] - fit["edf"]) * fit["sigma"]
        half = half * np.sqrt(spread)
        mid = x @ self.coefficients.to_numpy()[g]
        table = pd.DataFrame({"low": mid - half, "mid": mid, "high": mid + half,
                              "level": level, "kind": kind})  # fmt: skip
        return table.join(self.check(data, group))

    def check(self, data: Any, group: Any = None, *, falling: Sequence[str] = ()) -> pd.DataFrame:
        """What speaks against trusting each row.

        Parameters
        ----------
        data, group
            As for `predict`.
        falling : sequence of str
            Features with which the target must fall, such as data and parameters.

        Returns
        -------
        pandas.DataFrame
            outside_box (a feature beyond its range), outside_hull (a leverage above that of every
            point of the fit), and rises_with_<feature> for those that must fall.
        """
        g = self._row(group)
        logs = self._logs(data)
        out = pd.DataFrame(index=range(len(logs)))
        if self.ranges is not None and self.covariance is not None and self.leverage is not None:
            bounds = self.ranges.to_numpy()[g].reshape(len(self.features), 2)
            tiny = 1e-12
            beyond = (logs < bounds[:, 0] - tiny) | (logs > bounds[:, 1] + tiny)
            out["outside_box"] = beyond.any(axis=1)
            x = np.column_stack((np.ones(len(logs)), _design(logs, self.terms)))
            own = np.einsum("ij,jk,ik->i", x, self.covariance[g], x)
            out["outside_hull"] = out["outside_box"] | (own > self.leverage[g] * (1 + 1e-9))
        for name in falling:
            if name not in self.features:
                raise DataError(f"falling: {name!r} is no feature of {self.features}")
            out[f"rises_with_{name}"] = self._slope(logs, g, self.features.index(name)) > 0
        return out

    def _slope(self, logs: Column, g: int, feature: int) -> Column:
        """Derivative of the target by log10 of a feature."""
        total = np.zeros(len(logs))
        for value, power in zip(self.coefficients.to_numpy()[g, 1:], self.terms.values(),
                                strict=True):  # fmt: skip
            if power[feature]:
                product = np.full(len(logs), value * power[feature])
                for i, k in enumerate(power):
                    product = product * logs[:, i] ** (k - (i == feature))
                total += product
        return total

    def optimum(
        self,
        free: Sequence[str],
        given: Mapping[str, float],
        group: Any = None,
        *,
        level: float = 0.95,
        seed: int = 0,
    ) -> Optimum:
        """The stationary point of a quadratic law in some features, the others given.

        Parameters
        ----------
        free : sequence of str
            Features to choose.
        given : mapping
            Values of all others.
        group, level, seed
            As for `interval`; the region comes from draws of the coefficients.

        Returns
        -------
        Optimum
            Its status says whether the point is a minimum, and whether it lies among the data.

        Raises
        ------
        DataError
            A law that is not quadratic, or features that are neither free nor given.
        """
        return stationary_point(self, free, given, self._row(group), level, seed)

    @property
    def equation(self) -> str:
        """The law of the first group as one line of text."""
        row = self.coefficients.iloc[0]
        parts = [f"{row['1']:.4g}"] + [
            f"{'-' if row[name] < 0 else '+'} {abs(row[name]):.4g} {name}" for name in self.terms
        ]
        shown = " ".join(parts[:6]) + (" + ..." if len(parts) > 6 else "")
        return f"{self.target} = {shown}" if self.ok else "no law"

    def to_frame(self) -> pd.DataFrame:
        """One row a group: what the fit says of itself, then the coefficients."""
        return self.fits.join(self.coefficients)

    def to_dict(self) -> dict[str, Any]:
        """Plain Python values."""
        return {
            "features": list(self.features), "target": self.target, "degree": self.degree,
            "coefficients": self.coefficients.to_dict("index"),
            "fits": self.fits.to_dict("index"), "status": self.status,
        }  # fmt: skip

    def summary(self) -> str:
        """A few lines for a person."""
        lines = [self.equation, f"  {len(self.groups)} groups, {len(self.terms) + 1} coefficients"]
        if "r2" in self.fits:
            best = self.fits.iloc[0]
            lines.append(f"  first group: n {best['n']}, R2 {best['r2']:.4f}, sigma"
                         f" {best['sigma']:.3g}, penalty {best['ridge']:.3g}")  # fmt: skip
        return "\n".join([*lines, f"  status: {self.status}"])

    def plot(self) -> Any:
        """Coefficients of the terms by group, as a plotly figure."""
        from . import figures

        return figures.polynomial_coefficients(self)

    def __repr__(self) -> str:
        return f"PolynomialLaw({self.equation}, status={self.status!r})"

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self.summary())}</pre>"

    def _card_fields(self) -> dict[str, Any]:
        fits = self.fits
        origin = self._origin
        how = {} if origin is None else origin.how
        codes = [name for code in fits["status_code"] for name in status_names(int(code))]
        fitted = "rss" in fits
        first = fits.iloc[0]
        return status_fields(self.status_code) | {
            "law": "polynomial law in logarithms",
            "form": f"{self.target} = b0 + sum of b_t t, t the terms up to degree {self.degree}",
            "equation": self.equation,
            "variables": {f"log_{f}": f"log10 of {f}" for f in self.features},
            "parameters": {str(g): row for g, row in self.coefficients.to_dict("index").items()},
            "assumptions": ["the terms suffice over the range of the features",
                            "the noise has one variance in each group"],
            "points": "rows of the table" if fitted else "none: coefficients were given",
            "n_points": int(fits["n"].sum()),
            "objective": "squared error and n ridge |b|^2 over scaled terms", "space": self.target,
            "aggregate": "sum", "weights": "every point counts the same",
            "search": "closed form, by singular value decomposition; the penalty scanned at 61"
            " values, then by golden section",
            "start": "not applicable: closed form", "tolerance": "not applicable: closed form",
            "iterations": 0, "bounds": {"ridge": [1e-12, 1e3]},
            "options": dict(how) or "none",
            "goodness": residual_fields(float(first["rss"]), int(first["n"]), len(self.terms) + 1)
            | {"r2": float(first["r2"]), "loo": float(first["loo"])} if fitted else "none",
            "uncertainty": "Student-t, the penalty taken as a prior; interval() computes it",
            "status": {name: f"{codes.count(name)} of {len(fits)} groups" for name in codes},
        }  # fmt: skip


def fit_polynomial_law(
    frame: Any,
    *,
    features: Sequence[str],
    target: str,
    degree: int = 2,
    group: str | None = None,
    ridge: str | float = "gcv",
    folds: str | None = None,
    standardize: bool = True,
    n_threads: int | None = None,
) -> PolynomialLaw:
    """Fit target = polynomial of log10(features), by ridge regression in each group.

    Parameters
    ----------
    frame : DataFrame (pandas, polars, pyarrow)
        One row a run.
    features : sequence of str
        Columns, > 0; their log10 enters.
    target : str
        Column of what is predicted.
    degree : int
        1 to 4.
    group : str, optional
        Column of groups: one form, coefficients of their own.
    ridge : {"gcv", "loo"} or float
        How the penalty is chosen: generalised cross-validation, leaving out one point at a time, or
        a number. The intercept is not penalised.
    folds : str, optional
        Column of folds (such as a model size): the penalty, one for all groups, is the one of 25
        with the lowest squared error on folds that were left out; ``ridge`` is then not used.
    standardize : bool
        Scale terms to unit variance before they are penalised.
    n_threads : int, optional
        Threads; the CPUs available by default.

    Returns
    -------
    PolynomialLaw

    Raises
    ------
    DataError
        A missing column, a value that is not positive and finite (named by row), a wrong option.

    Warns
    -----
    FitWarning
        One count for every status that is not "ok".

    References
    ----------
    G. H. Golub, M. Heath and G. Wahba, "Generalized Cross-Validation as a Method for Choosing a
    Good Ridge Parameter", Technometrics 21 (1979).

    Examples
    --------
    >>> import pandas as pd
    >>> lr = [1e-4, 3e-4, 1e-3, 3e-3, 1e-2]
    >>> frame = pd.DataFrame({"lr": lr, "loss": [3 + (np.log10(v) + 3) ** 2 for v in lr]})
    >>> law = fit_polynomial_law(frame, features=["lr"], target="loss", ridge=0.0)
    >>> round(law.optimum(["lr"], {}).values["lr"], 6)
    0.001
    """
    names = [features] if isinstance(features, str) else list(features)
    whole = isinstance(degree, (int, np.integer)) and not isinstance(degree, bool)
    if not whole or not 1 <= degree <= 4:
        raise DataError(f"degree: expected 1 to 4, got {degree!r}")
    labels = [name for name in (group, folds) if name is not None]
    if not names or len({*names, target, *labels}) < len(names) + 1 + len(labels):
        raise DataError("features, target, group and folds must be different columns")
    table = frame_columns(frame, [*names, target, *labels])
    if table.empty:
        raise DataError("the frame has no rows")
    raw = {name: column(table[name], name) for name in names}
    y = column(table[target], target, strict=False)
    if not np.isfinite(y).all():
        raise DataError(f"{target}: row {int(np.argmin(np.isfinite(y))) + 1} is not finite")
    logs = np.column_stack([np.log10(raw[name]) for name in names])
    terms = polynomial_terms(names, int(degree))
    if len(terms) > 256:
        raise DataError(f"{len(terms)} terms: at most 256 are possible")
    where = np.zeros(len(y)) if group is None else table[group]
    order, offsets, keys = group_rows(where, names=[group or "group"])
    design = np.ascontiguousarray(_design(logs, terms)[order])
    y_sorted = np.ascontiguousarray(y[order])
    fixed = isinstance(ridge, (int, float, np.number)) and not isinstance(ridge, bool)
    if not fixed and ridge not in ("gcv", "loo"):
        raise DataError(f"ridge: expected 'gcv', 'loo' or a number, got {ridge!r}")
    strength = float(ridge) if fixed else 0.0
    if not 0 <= strength < np.inf:
        raise DataError(f"ridge: expected a finite number of at least 0, got {ridge!r}")
    rule = "fixed" if fixed else str(ridge)
    if folds is not None:
        strength, rule = _by_folds(design, y_sorted, offsets, table[folds].iloc[order],
                                   standardize), "fixed"  # fmt: skip
    threads = thread_count(n_threads)
    coefficients, covariance, records = _core.ridge_fit(
        design, y_sorted, offsets, ridge=cast(Any, rule), strength=strength,
        standardize=standardize, covariance=True, n_threads=threads,
    )  # fmt: skip
    index = [ALL] if group is None else keys.iloc[:, 0].tolist()
    values = pd.DataFrame(np.column_stack((records["intercept"], coefficients)), index=index,
                          columns=["1", *terms])  # fmt: skip
    fits = pd.DataFrame({
        "n": records["n"], "ridge": records["lambda"],
        **{name: records[name] for name in ("edf", "rss", "sigma", "gcv", "loo", "r2",
                                            "condition")},
        "status": status_texts(records["status"]), "status_code": records["status"],
    }, index=index)  # fmt: skip
    starts = offsets[:-1]
    ends = np.stack((np.minimum.reduceat(logs[order], starts),
                     np.maximum.reduceat(logs[order], starts)), axis=2)  # fmt: skip
    ranges = pd.DataFrame(ends.reshape(len(starts), -1), index=index,
                          columns=[f"{f}_{e}" for f in names for e in ("min", "max")])  # fmt: skip
    x = np.column_stack((np.ones(len(y)), design))
    assert covariance is not None
    of = np.repeat(np.arange(len(starts)), np.diff(offsets))
    own = np.einsum("ij,ijk,ik->i", x, covariance[of], x) if len(y) * len(terms) < 2e5 else (
        np.concatenate([np.einsum("ij,jk,ik->i", x[a:b], covariance[g], x[a:b])
                        for g, (a, b) in enumerate(zip(starts, offsets[1:], strict=True))])
    )  # fmt: skip
    law = PolynomialLaw(
        tuple(names), target, int(degree), values, fits, group, covariance, ranges,
        np.maximum.reduceat(own, starts),
    )  # fmt: skip
    with_origin(law, from_arrays(
        raw | {"loss": y}, {n: table[n] for n in names} | {"loss": table[target]},
        ridge=ridge if folds is None else f"by folds of {folds}", degree=int(degree),
        standardize=standardize, group=group or "none",
    ))  # fmt: skip
    warn_about(records["status"], "groups")
    return law


def _by_folds(
    design: Column, y: Column, offsets: NDArray[np.int64], labels: pd.Series, standardize: bool
) -> float:
    """The penalty with the lowest squared error on left-out folds."""
    codes, found = pd.factorize(labels)
    if codes.min() < 0 or len(found) < 2:
        raise DataError("folds: expected two or more, and a label in every row")
    of = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    errors = np.zeros(len(STRENGTHS))
    for fold in range(len(found)):
        inside = codes != fold
        part = np.concatenate(([0], np.cumsum(np.bincount(of[inside], minlength=of.max() + 1))))
        for s, strength in enumerate(STRENGTHS):
            coefficients, _, records = _core.ridge_fit(
                np.ascontiguousarray(design[inside]), y[inside], part, ridge="fixed",
                strength=float(strength), standardize=standardize,
            )  # fmt: skip
            g = of[~inside]
            predicted = (design[~inside] * coefficients[g]).sum(axis=1) + records["intercept"][g]
            errors[s] += np.nansum((y[~inside] - predicted) ** 2)
    return float(STRENGTHS[np.argmin(errors)])
