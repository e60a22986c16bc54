"""Which method can be trusted from which prefix: a search with a target, and what it is worth."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .arrays import frame_columns
from .errors import DataError

__all__ = ["ConfigSearch", "search_configs"]

Floats = NDArray[np.float64]
CONFIG = ["method", "prefix"]


@dataclass(frozen=True)
class ConfigSearch:
    """The configurations (method, prefix) that meet a target on every completed run of a regime.

    Attributes
    ----------
    target : float
        Largest absolute error of the final loss allowed.
    regime : dict
        Columns and the values they were restricted to; empty for all runs.
    table : pandas.DataFrame
        One row a configuration: method, prefix, n_runs, mae, worst, qualifies; earliest first.
    per_scale : pandas.DataFrame
        The same with a scale column first, within the regime; empty without scales.
    reference : pandas.DataFrame
        The same over all runs, whatever their mix and learning rate.
    cross_validated : dict
        What the search is worth on a run it has not seen: each run is left out in turn, the
        earliest qualifying configuration of the others is applied to it. n_runs, n_chosen (times
        that some configuration qualified), hit_rate (share of those within the target), mae, worst,
        prefix (mean). The table itself is optimistic: it is chosen on the runs that score it.
    """

    target: float
    regime: dict[str, Any]
    table: pd.DataFrame
    per_scale: pd.DataFrame
    reference: pd.DataFrame
    cross_validated: dict[str, float]

    @property
    def ok(self) -> bool:
        """True if some configuration qualifies."""
        return bool(self.table["qualifies"].any())

    @property
    def status(self) -> str:
        """ "ok", or "none_qualifies"."""
        return "ok" if self.ok else "none_qualifies"

    @property
    def best(self) -> dict[str, Any] | None:
        """The earliest qualifying configuration, the lowest worst error first; None if none."""
        rows = self.table[self.table["qualifies"]]
        return None if rows.empty else rows.head(1).to_dict("records")[0]

    def to_frame(self) -> pd.DataFrame:
        """The table of configurations."""
        return self.table.copy()

    def to_dict(self) -> dict[str, Any]:
        """Target, regime, best configuration and its cross-validation as plain values."""
        return {
            "target": self.target, "regime": self.regime, "status": self.status,
            "best": self.best, "cross_validated": self.cross_validated,
        }  # fmt: skip

    def summary(self) -> str:
        """A few lines for a person."""
        where = ", ".join(f"{k} {v}" for k, v in self.regime.items()) or "all runs"
        lines = [f"target {self.target:g} on every completed run ({where})"]
        best = self.best
        if best is None:
            lines.append("  no configuration qualifies")
        else:
            lines.append(
                f"  {best['method']} from prefix {best['prefix']:g}: worst error "
                f"{best['worst']:.4g}, mae {best['mae']:.4g} on {best['n_runs']} runs"
            )
        cv = self.cross_validated
        if cv["n_chosen"]:
            lines.append(
                f"  chosen without the run it is judged on: within the target "
                f"{cv['hit_rate']:.0%} of {cv['n_chosen']} times, worst {cv['worst']:.4g}, mean "
                f"prefix {cv['prefix']:.2g} (the line above is chosen on the runs that score it)"
            )
        else:
            lines.append("  cross-validation: nothing qualified without the run left out")
        return "\n".join(lines)

    def plot(self, *, mobile: bool = False) -> Any:
        """Worst error of every method from every prefix, as a plotly heat map.

        Parameters
        ----------
        mobile : bool
            For a screen 360 px wide.

        Returns
        -------
        plotly.graph_objects.Figure
        """
        from .figures.configs import config_map

        return config_map(self, mobile=mobile)

    def __repr__(self) -> str:
        best = self.best
        found = "none" if best is None else f"{best['method']} from {best['prefix']:g}"
        return f"ConfigSearch(target={self.target:g}, best={found}, status={self.status!r})"

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self.summary())}</pre>"


def search_configs(
    fits: Any,
    *,
    target: float = 0.01,
    mix: Any = None,
    lr: Any = None,
    run: str = "run",
    scale: str = "scale",
) -> ConfigSearch:
    """Search the earliest prefix and the method whose every forecast is within a target.

    Parameters
    ----------
    fits : DataFrame
        Of `delphi.fit_curves`, with the columns ``mix``, ``lr`` and ``scale`` where they are used.
    target : float
        Largest absolute error of the final loss allowed, > 0.
    mix, lr : value or list of values, optional
        Restrict the search to runs with these values in the columns ``mix`` and ``lr``.
    run, scale : str
        Columns that name the run and its scale; without a scale column there is no table by scale.

    Returns
    -------
    ConfigSearch

    Raises
    ------
    DataError
        A column is missing, the target is no positive number, no finished run is left.

    Notes
    -----
    A configuration qualifies only if it has a forecast within the target for every completed run:
    one that failed on a run does not. Picking the best of many on the runs that score them is
    optimistic, hence the leave-one-run-out answer beside it (Stone 1974).

    Examples
    --------
    >>> import delphi
    >>> runs = delphi.simulate.curves(rng=0)
    >>> fits = delphi.fit_curves(runs, by=["scale", "mix"], prefixes=[0.5, 0.9], forms="power")
    >>> found = delphi.search_configs(fits, target=0.02, mix="web")
    >>> found.best["worst"] <= 0.02
    True
    """
    number = isinstance(target, (int, float, np.number)) and not isinstance(target, bool)
    if not number or not 0 < target < np.inf:
        raise DataError(f"target: expected a positive number, got {target!r}")
    regime = {name: value for name, value in (("mix", mix), ("lr", lr)) if value is not None}
    table = frame_columns(fits, [run, *CONFIG, "actual_final", "abs_error", *regime])
    everything = table[table["actual_final"].notna()]
    has_scale = scale in getattr(fits, "columns", ())
    if has_scale:
        scales = frame_columns(fits, [scale])[scale]
        everything = everything.assign(**{scale: scales[everything.index]})
    chosen = everything
    for name, value in regime.items():
        values = list(value) if isinstance(value, (list, tuple, set, np.ndarray)) else [value]
        chosen = chosen[chosen[name].isin(values)]
    if chosen.empty:
        raise DataError(f"no finished run with {regime}" if regime else "no finished run")
    by_scale = [
        _configs(part, run, target).assign(**{scale: name})
        for name, part in (chosen.groupby(scale, sort=True) if has_scale else ())
    ]
    per_scale = pd.concat(by_scale, ignore_index=True) if by_scale else pd.DataFrame()
    if has_scale:
        per_scale = per_scale[[scale, *(c for c in per_scale if c != scale)]]
    return ConfigSearch(
        target=float(target),
        regime=regime,
        table=_configs(chosen, run, target),
        per_scale=per_scale,
        reference=_configs(everything, run, target),
        cross_validated=_cross_validate(chosen, run, target),
    )


def _errors(table: pd.DataFrame, run: str) -> tuple[pd.MultiIndex, Floats]:
    """Errors as a table of configurations by runs, infinite where there is no forecast."""
    wide = table.assign(abs_error=table["abs_error"].fillna(np.inf)).pivot_table(
        index=CONFIG, columns=run, values="abs_error", aggfunc="max", observed=True, sort=True
    )
    return wide.index, wide.to_numpy(float, na_value=np.inf)


def _configs(table: pd.DataFrame, run: str, target: float) -> pd.DataFrame:
    index, errors = _errors(table, run)
    out = index.to_frame(index=False)
    out["n_runs"] = errors.shape[1]
    finite = np.isfinite(errors)
    out["mae"] = np.where(finite.all(axis=1), errors.mean(axis=1), np.nan)
    out["worst"] = errors.max(axis=1)
    out["qualifies"] = out["worst"] <= target
    ordered = out.sort_values(["qualifies", "prefix", "worst"], ascending=[False, True, True])
    return ordered.reset_index(drop=True)


def _cross_validate(table: pd.DataFrame, run: str, target: float) -> dict[str, float]:
    index, errors = _errors(table, run)
    prefix = index.get_level_values("prefix").to_numpy(float)
    n_runs = errors.shape[1]
    picked: list[float] = []
    prefixes: list[float] = []
    for r in range(n_runs if n_runs > 1 else 0):
        worst = np.delete(errors, r, axis=1).max(axis=1)
        good = np.flatnonzero(worst <= target)
        if len(good):
            k = good[np.lexsort((worst[good], prefix[good]))[0]]
            picked.append(float(errors[k, r]))
            prefixes.append(float(prefix[k]))
    seen = np.array(picked)
    some = len(seen) > 0
    return {
        "n_runs": n_runs,
        "n_chosen": len(seen),
        "hit_rate": float((seen <= target).mean()) if some else np.nan,
        "mae": float(seen.mean()) if some else np.nan,
        "worst": float(seen.max()) if some else np.nan,
        "prefix": float(np.mean(prefixes)) if some else np.nan,
    }
