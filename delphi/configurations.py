"""The table people ask for: params, tokens and their ratio at the optimum of every budget."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from . import _core
from .arrays import checked_level
from .buckets import bucketed, sweep_runs
from .columns import loss_unit
from .errors import DataError
from .isoflop import IsoflopLadder, _barring
from .markup import block
from .shorthand import count, flops, printable
from .status import bits, status_text

__all__ = ["OptimalConfigurations", "optimal_configurations"]

Column = NDArray[np.float64]
_PARABOLAS = ("windowed", "parabola")
FAR = 2.0  # decades of tokens beyond the runs up to which a curve's vertex is worth telling
_VALUES = ("params", "tokens", "ratio")


@dataclass(frozen=True)
class OptimalConfigurations:
    """The compute-optimal model of every budget.

    Attributes
    ----------
    table : pandas.DataFrame
        One row a (suite, budget): suite, budget, compute (FLOPs), params, tokens (counts), ratio
        (tokens per parameter), loss (unit of the runs), ``_low`` and ``_high`` of the first three,
        level, method, params_slope (change of log10 params with log10 tokens along the budget),
        bracketed (the runs show both sides of the minimum), flag (why it is no optimum; empty if
        it is one), status.

        A vertex outside the observed range stands where the curve has it, with ``bracketed`` False
        and its status; it is extrapolated, not moved to the last run. NaN where a curve has no
        minimum, or none within two decades of the runs.
    ladder : IsoflopLadder
        What it was read from.
    """

    table: pd.DataFrame
    ladder: IsoflopLadder

    @property
    def loss_name(self) -> str:
        """The column the losses came from, with its unit where the name tells it."""
        name = self.ladder.runs.attrs.get("delphi", {}).get("loss_column") or "loss"
        unit = loss_unit(name)
        return f"{name}, {unit}" if unit else name

    @cached_property
    def exponents(self) -> pd.DataFrame:
        """How params and tokens of the table grow with compute, as `IsoflopLadder.exponents`.

        Of the optima that the ladder uses. Those it keeps although they lie outside the runs
        (``keep="all"``) count where the table has them, not where they were moved to.
        """
        fits, own = self.ladder.fits.reset_index(drop=True), self.table
        there = np.isfinite(own["tokens"].to_numpy(float))
        kept = fits["used"].to_numpy(bool)
        moved = fits.assign(
            tokens_star=np.where(there, own["tokens"], fits["tokens_star"]),
            params_star=np.where(there, own["params"], fits["params_star"]),
            used=kept & there,
        )
        outside = kept & (fits["status_code"].to_numpy() & bits("clipped") != 0)
        if not outside.any():
            return self.ladder.exponents
        return replace(self.ladder, fits=moved).exponents

    def summary(self) -> str:
        """The table as text, a paragraph a suite."""
        lines = []
        for suite, rows in self.table.groupby("suite", sort=False):
            lines.append(
                f"{printable(suite)}: optimal configurations ({self.ladder.curve} curve, loss is"
                f" {printable(self.loss_name)})"
            )
            lines.append(
                f"  {'FLOPs':>8} {'params':>9} {'tokens':>9} {'tokens/param':>13} {'loss':>9}"
            )
            for row in rows.itertuples():
                lines.append(
                    f"  {flops(row.budget):>8} {count(row.params):>9} {count(row.tokens):>9}"
                    f" {_number(row.ratio, 1):>13} {_number(row.loss, 4):>9}  {row.flag}".rstrip()
                )
            growth = self.exponents
            for row in growth[growth["suite"] == suite].itertuples():
                lines.append(f"  {_growth(row)}")
        return "\n".join(lines)

    def to_frame(self) -> pd.DataFrame:
        """The table, one row a (suite, budget)."""
        return self.table.copy()

    def to_dict(self) -> dict[str, Any]:
        """The table as a list of plain rows, the name and the unit of the losses."""
        name = self.ladder.runs.attrs.get("delphi", {}).get("loss_column") or "loss"
        rows = self.table.to_dict("records")
        return {"table": rows, "loss_column": name, "loss_unit": loss_unit(name)}

    def plot(self, suite: str | None = None) -> Any:
        """IsoFLOP curves, params and tokens against compute, as a matplotlib figure."""
        from .figures import mpl

        return mpl.isoflop_summary(self, suite=suite)

    def __repr__(self) -> str:
        good = int(self.table["bracketed"].sum())
        return f"OptimalConfigurations({good} of {len(self.table)} optima bracketed)"

    def _repr_html_(self) -> str:
        shown = self.table[["suite", "budget", *_VALUES, "loss", "flag"]]
        notes = [_growth(row) for row in self.exponents.itertuples()]
        return block(
            "Optimal configurations", facts={"loss": self.loss_name}, tables={"": shown},
            notes=notes,
        )  # fmt: skip


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if np.isfinite(value) and abs(value) < 1e6 else f"{value:.3g}"


def _growth(row: Any) -> str:
    name = row.quantity.removesuffix("_star")
    if not np.isfinite(row.exponent):
        return f"{name} against compute: no exponent from {row.n} bracketed optima"
    ends = f"[{row.low:.3f}, {row.high:.3f}] {row.level:.0%} {row.method}"
    return f"{name} ~ C^{row.exponent:.3f} {ends}"


def optimal_configurations(ladder: IsoflopLadder, *, level: float = 0.95) -> OptimalConfigurations:
    """Params, tokens, tokens per parameter and loss at the optimum of every (suite, budget).

    Parameters
    ----------
    ladder : IsoflopLadder
        From `delphi.fit_isoflops`.
    level : float
        Level of the intervals: the standard error of the vertex (delta method) times Student's t,
        for parabolas only.

    Returns
    -------
    OptimalConfigurations
        Its ``table`` flags what the runs do not bracket.

    Raises
    ------
    DataError
        No ladder, or a level outside (0, 1).

    Notes
    -----
    Params follow tokens along a budget by the straight line of log10(params) on log10(tokens)
    through the runs the curve was fitted to, so that no FLOPs-per-token rule is assumed and nothing
    is held at the last run, as interpolation would.

    References
    ----------
    J. Hoffmann et al., "Training Compute-Optimal Large Language Models", 2022, approach 2.

    Examples
    --------
    >>> from delphi import fit_isoflops, simulate
    >>> best = optimal_configurations(fit_isoflops(simulate.ladder(rng=0)))
    >>> bool(best.table["bracketed"].all())
    True
    >>> bool((best.table["ratio"] * best.table["params"] / best.table["tokens"]).std() < 1e-12)
    True
    """
    if not isinstance(ladder, IsoflopLadder):
        raise DataError(f"ladder: expected an IsoflopLadder, got {type(ladder).__name__}")
    level = checked_level(level)
    fits = ladder.fits
    line = _params_lines(ladder)
    x, loss = _vertices(fits, ladder.curve)
    log_params = line["y_mean"] + line["slope"] * (x - line["x_mean"])
    code = fits["status_code"].to_numpy()
    half = _half_width(fits, ladder.curve, level)
    table = fits[["suite", "budget", "compute"]].reset_index(drop=True)
    # The logs of params, tokens and ratio move with x at these rates along the budget.
    rates = (np.abs(line["slope"]), np.ones(len(x)), np.abs(1 - line["slope"]))
    for name, middle in zip(_VALUES, (log_params, x, x - log_params), strict=True):
        with np.errstate(over="ignore"):
            table[name] = 10.0**middle
    table["loss"] = loss
    for name, rate in zip(_VALUES, rates, strict=True):
        with np.errstate(over="ignore"):
            table[f"{name}_low"] = table[name].to_numpy() * 10.0 ** (-rate * half)
            table[f"{name}_high"] = table[name].to_numpy() * 10.0 ** (rate * half)
    table["level"], table["method"] = level, "delta method, t"
    table["params_slope"] = line["slope"]
    barring = bits("clipped", "unbracketed", "concave")
    table["bracketed"] = (code >= 0) & (code & barring == 0) & np.isfinite(loss)
    bad = np.where(code < 0, code, code & _barring(ladder.curve))
    table["flag"] = ["" if c == 0 else status_text(int(c)).replace("_", " ") for c in bad]
    table["status"] = [status_text(int(c)) for c in code]
    return OptimalConfigurations(table, ladder)


def _params_lines(ladder: IsoflopLadder) -> NDArray[np.void]:
    """log10 params on log10 tokens through the used runs of every bucket."""
    _, sweep, _ = sweep_runs(ladder.runs)
    runs = bucketed(sweep)
    group = np.repeat(np.arange(len(runs.offsets) - 1), np.diff(runs.offsets))
    fits = ladder.fits
    with np.errstate(divide="ignore", invalid="ignore"):
        x, y = np.log10(runs.tokens), np.log10(runs.params)
    slack = 1e-9  # the core's logarithm and NumPy's differ in the last digit
    inside = x >= fits["x_lo"].to_numpy()[group] - slack
    inside &= x <= fits["x_hi"].to_numpy()[group] + slack
    offsets = np.concatenate(([0], np.cumsum(np.bincount(group[inside], minlength=len(fits)))))
    return _core.line_fit(x[inside], y[inside], offsets)


def _vertices(fits: pd.DataFrame, curve: str) -> tuple[Column, Column]:
    """log10 tokens at each curve's minimum and the loss there, wherever they lie; else NaN."""
    x = fits["x_star"].to_numpy(float, copy=True)
    loss = fits["loss_star"].to_numpy(float, copy=True)
    outside = (fits["status_code"].to_numpy() > 0) & (
        fits["status_code"].to_numpy() & bits("clipped") != 0
    )
    if curve in _PARABOLAS:
        a, b, c = (fits[name].to_numpy(float) for name in "abc")
        vertex = fits["x_vertex"].to_numpy(float)
        found = np.where(a > 0, vertex, np.nan)
        value = (a * found + b) * found + c
    else:
        found = value = np.full(len(x), np.nan)
        if curve == "two-power":
            k0, k1, k2, k3, k4 = (fits[f"k{i}"].to_numpy(float) for i in range(5))
            with np.errstate(divide="ignore", invalid="ignore"):
                z = np.log10(k1 * k3 / (k2 * k4)) / (k3 + k4)
                value = k0 + k1 * 10.0 ** (-k3 * z) + k2 * 10.0 ** (k4 * z)
            found = fits["x_centre"].to_numpy(float) + z
    x[outside], loss[outside] = found[outside], value[outside]
    none = fits["status_code"].to_numpy() < 0
    if curve in _PARABOLAS:
        none |= ~(fits["a"].to_numpy(float) > 0)
    beyond = np.maximum(fits["x_min"].to_numpy() - x, x - fits["x_max"].to_numpy())
    none |= ~(beyond <= FAR) | ~np.isfinite(loss)
    return np.where(none, np.nan, x), np.where(none, np.nan, loss)


def _half_width(fits: pd.DataFrame, curve: str, level: float) -> Column:
    """Half the interval of log10 tokens at the vertex; NaN for curves without its error."""
    dof = fits["n_used"].to_numpy(float) - 3
    t = _core.t_quantile(0.5 + level / 2, np.where(dof > 0, dof, np.nan))
    half: Column = np.asarray(t) * fits["se_x_star"].to_numpy(float)
    return half if curve in _PARABOLAS else np.full(len(fits), np.nan)
