"""The same pictures in matplotlib, for people who print.

Every function takes an ``ax`` or a ``fig`` to draw into, or makes a figure of its own without
pyplot, and returns the figure. Neither rcParams nor pyplot's list of figures is touched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import pandas as pd

from delphi.columns import loss_unit
from delphi.errors import DataError
from delphi.figures.theme import GRID, INK, MUTED, RULE, budget_colours, suite_colours
from delphi.figures.thin import BUDGETS, SUITES, drawn, spread, sweep_runs, thinned
from delphi.isoflop import curve_values
from delphi.shorthand import count, flops, printable

try:
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
except ImportError as error:  # matplotlib is an extra
    raise ImportError(
        "printed figures need matplotlib: pip install 'delphi-scaling[plot]'"
    ) from error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from delphi.configurations import OptimalConfigurations
    from delphi.isoflop import IsoflopLadder

__all__ = ["isoflop_curves", "isoflop_summary", "loss_against", "loss_by_shape", "optimum_growth"]

N_CURVE = 120
BEYOND = 0.35  # decades outside the runs in which a flagged vertex is still drawn
CHINCHILLA = 20.0  # tokens per parameter, Hoffmann et al. (2022)
MARGIN = 0.25  # decades of compute a growth line is drawn beyond its optima
_RGBA = {RULE: (0.235, 0.212, 0.180, 0.55), GRID: (0.235, 0.212, 0.180, 0.15)}


def isoflop_curves(
    best: OptimalConfigurations,
    *,
    suite: str | None = None,
    against: Literal["params", "tokens"] = "params",
    ax: Axes | None = None,
) -> Figure:
    """Runs and fitted curves of every budget of a suite, a star at each optimum.

    Parameters
    ----------
    best : OptimalConfigurations
        From `delphi.optimal_configurations`; nothing is fitted again.
    suite : str, optional
        Which suite; needed where there are several.
    against : {"params", "tokens"}
        The horizontal axis. Curves are fitted in tokens and carried over to parameters by the
        budget's own line of log params on log tokens.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.figure.Figure
        Full stars are optima, hollow ones flagged: the runs do not bracket them. Those further
        outside the runs than 0.35 decades are counted in the legend, not drawn.

    Raises
    ------
    DataError
        No such suite, or several and none named.

    Examples
    --------
    >>> import delphi
    >>> ladder = delphi.fit_isoflops(delphi.simulate.ladder(rng=0))
    >>> fig = isoflop_curves(delphi.optimal_configurations(ladder), suite="Aster")
    >>> fig.axes[0].get_xlabel()
    'Parameters'
    """
    if against not in ("params", "tokens"):
        raise DataError(f"against: expected 'params' or 'tokens', got {against!r}")
    name = _suite(best.ladder, suite)
    fig, ax = _axes(ax, (5.6, 4.4))
    colours = budget_colours(best.ladder.fits["budget"])
    ladder = drawn(best.ladder, name)
    table = best.table[best.table["suite"] == name].set_index("budget")
    points = dict(tuple(sweep_runs(ladder, name).groupby("budget")))
    far = 0
    for fit in ladder.fits[ladder.fits["suite"] == name].sort_values("budget").itertuples():
        runs = points.get(fit.budget)
        if runs is None:
            continue
        colour, row = colours[fit.budget], table.loc[fit.budget]
        ax.plot(
            runs[against], runs["loss"], "o", ms=5, color=colour, label=flops(fit.budget),
            mfc=colour if not row.flag else "none",
        )  # fmt: skip
        if not np.isfinite([fit.x_lo, fit.x_hi, row.tokens]).all():
            continue
        outside = max(fit.x_min - np.log10(row.tokens), np.log10(row.tokens) - fit.x_max, 0)
        near = outside <= BEYOND
        far += not near
        ends = [fit.x_lo, fit.x_hi] + ([np.log10(row.tokens)] if near else [])
        for lo, hi, width in ((fit.x_lo, fit.x_hi, 1.4), (min(ends), max(ends), 0.7)):
            tokens = np.logspace(lo, hi, N_CURVE)
            style = "--" if width > 1 else ":"
            ax.plot(
                _along(row, tokens, against), curve_values(fit, tokens), style, lw=width,
                color=colour,
            )  # fmt: skip
        if near:
            ax.plot(
                row[against], row["loss"], "*", ms=14, color=colour, mec=INK, mew=0.9, zorder=5,
                mfc="none" if row.flag else colour,
            )  # fmt: skip
    _count_axis(ax.xaxis, "Parameters" if against == "params" else "Training tokens")
    _plain(ax.set_ylabel(_loss_name(best.ladder)))
    _plain(ax.set_title(f"IsoFLOP curves: {_cut(name, 40)}"))
    if table["flag"].ne("").any():
        words = "flagged: not bracketed" + (f" ({far} beyond the axes)" if far else "")
        ax.plot([], [], "*", ms=11, mec=INK, mfc="none", mew=0.9, label=words)
    left = len(best.ladder.fits[best.ladder.fits["suite"] == name]) - BUDGETS
    more = f" ({BUDGETS} of {left + BUDGETS})" if left > 0 else ""
    _legend(ax, title=f"FLOPs{more}", ncols=2 if len(points) > 10 else 1)
    return fig


def optimum_growth(
    best: OptimalConfigurations,
    quantity: Literal["params", "tokens"] = "params",
    *,
    suite: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Optimal params or tokens against compute, with the fitted exponent in the legend.

    Parameters
    ----------
    best : OptimalConfigurations
        From `delphi.optimal_configurations`; the exponents are its own.
    quantity : {"params", "tokens"}
    suite : str, optional
        One suite; the first twelve by default.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.figure.Figure
        Hollow markers are flagged optima, which no exponent is fitted to. Bars are the intervals
        of ``best.table``.

    Raises
    ------
    DataError
        No such suite or quantity.

    Examples
    --------
    >>> import delphi
    >>> ladder = delphi.fit_isoflops(delphi.simulate.ladder(rng=0))
    >>> fig = optimum_growth(delphi.optimal_configurations(ladder), "tokens")
    >>> fig.axes[0].get_xscale(), fig.axes[0].get_yscale()
    ('log', 'log')
    """
    if quantity not in ("params", "tokens"):
        raise DataError(f"quantity: expected 'params' or 'tokens', got {quantity!r}")
    every = best.ladder.suites
    suites = every[:SUITES] if suite is None else [_suite(best.ladder, suite)]
    fig, ax = _axes(ax, (5.0, 4.4))
    colours = suite_colours(every)
    symbol = "N" if quantity == "params" else "D"
    growth = best.exponents
    growth = growth[growth["quantity"] == f"{quantity}_star"].set_index("suite")
    flagged = False
    for name in suites:
        rows = best.table[(best.table["suite"] == name) & np.isfinite(best.table[quantity])]
        rows = thinned(rows, "compute", quantity)
        title = f"{_cut(name, 24)}: " if len(suites) > 1 else ""
        good = (rows["flag"] == "").to_numpy(bool)
        flagged |= not good.all()
        _dots(ax, rows[good], quantity, colours[name], full=True)
        _dots(ax, rows[~good], quantity, colours[name], full=False)
        label = f"{title}no exponent: {int(good.sum())} bracketed"
        if name in growth.index and np.isfinite(growth.loc[name, "exponent"]):
            law = growth.loc[name]
            seen = rows["compute"].to_numpy(float)
            x = np.array([seen.min() / 10**MARGIN, seen.max() * 10**MARGIN])
            label = (
                f"{title}{symbol}* \u221d C^{law.exponent:.2f}"
                f"  [{law.low:.2f}, {law.high:.2f}] {law.level:.0%}"
            )
            ax.plot(x, law.coefficient * x**law.exponent, "--", lw=1.4, color=colours[name],
                    label=_label(label))  # fmt: skip
        else:
            ax.plot([], [], " ", label=_label(label))
    if flagged:
        ax.plot([], [], "o", ms=7, mfc="none", mec=MUTED, label="flagged: not bracketed")
    ax.set_xscale("log")
    ax.set_xlabel("Compute (FLOPs)")
    _count_axis(ax.yaxis, "Parameters" if quantity == "params" else "Tokens")
    ax.set_title("Optimal model size" if quantity == "params" else "Optimal training tokens")
    more = f"{SUITES} of {len(every)} suites" if suite is None and len(every) > SUITES else None
    _legend(ax, title=more)
    return fig


def isoflop_summary(
    best: OptimalConfigurations, *, suite: str | None = None, fig: Figure | None = None
) -> Figure:
    """Three panels: IsoFLOP curves of a suite, its optimal params and its optimal tokens.

    Parameters
    ----------
    best : OptimalConfigurations
    suite : str, optional
        Which suite; needed where there are several.
    fig : matplotlib.figure.Figure or SubFigure, optional
        An empty figure to draw into; a new one by default.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> import delphi
    >>> ladder = delphi.fit_isoflops(delphi.simulate.ladder(rng=0))
    >>> len(isoflop_summary(delphi.optimal_configurations(ladder), suite="Aster").axes)
    3
    """
    name = _suite(best.ladder, suite)
    fig, axes = _panels(fig, 3, (15.5, 4.8))
    isoflop_curves(best, suite=name, ax=axes[0])
    optimum_growth(best, "params", suite=name, ax=axes[1])
    optimum_growth(best, "tokens", suite=name, ax=axes[2])
    return fig


def loss_against(
    ladder: IsoflopLadder,
    what: Literal["depth", "ratio", "params", "tokens"] = "ratio",
    *,
    suite: str | None = None,
    rule: float | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Loss of the runs against one property of their models, a line a budget, the best ringed.

    Parameters
    ----------
    ladder : IsoflopLadder
        Its runs are drawn; they need a ``depth`` column for "depth".
    what : {"depth", "ratio", "params", "tokens"}
        "ratio" is tokens per parameter.
    suite : str, optional
        Which suite; needed where there are several.
    rule : float, optional
        A vertical rule, for instance at the 20 tokens per parameter of Hoffmann et al. (2022).
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.figure.Figure
        Budgets of one run each share one line.

    Raises
    ------
    DataError
        No such suite or property, or runs without a depth.

    Examples
    --------
    >>> import delphi
    >>> ladder = delphi.fit_isoflops(delphi.simulate.ladder(rng=0))
    >>> fig = loss_against(ladder, "ratio", suite="Birch", rule=20)
    >>> fig.axes[0].get_xlabel()
    'Tokens per parameter'
    """
    titles = {
        "depth": "Depth (layers)", "ratio": "Tokens per parameter", "params": "Parameters",
        "tokens": "Training tokens",
    }  # fmt: skip
    if what not in titles:
        raise DataError(f"what: expected one of {', '.join(titles)}, got {what!r}")
    name = _suite(ladder, suite)
    runs = sweep_runs(ladder, name)
    if what == "depth" and ("depth" not in runs or runs["depth"].isna().all()):
        raise DataError(f"suite {name!r}: its runs have no depth")
    values = runs["tokens"] / runs["params"] if what == "ratio" else runs[what]
    runs = runs.assign(at=values.astype(float))
    missing = int(runs["at"].isna().sum())
    runs = runs[runs["at"].notna()]
    fig, ax = _axes(ax, (5.6, 4.4))
    budgets = np.sort(runs["budget"].unique())
    single = runs.groupby("budget").size().max() == 1
    colours = budget_colours(budgets)
    shown = [None] if single else budgets[spread(len(budgets), BUDGETS)].tolist()
    for budget in shown:
        order = "flops" if budget is None else "at"
        own = (runs if budget is None else runs[runs["budget"] == budget]).sort_values(order)
        own = thinned(own.reset_index(drop=True), "at", "loss")
        colour = INK if budget is None else colours[budget]
        label = _label(_cut(name, 24)) if budget is None else flops(budget)
        ax.plot(own["at"], own["loss"], "o-", ms=4.5, lw=1.1, color=colour, label=label)
        if budget is not None:
            low = own.loc[own["loss"].idxmin()]
            ax.plot(low["at"], low["loss"], "o", ms=10, mfc="none", mec=colour, mew=1.8)
    if what == "depth":
        ax.set_xlabel(titles[what])
    else:
        _count_axis(ax.xaxis, titles[what])
    if rule is not None:
        ax.axvline(rule, color=_RGBA[RULE], lw=1.2, ls="--", label=f"{rule:g} {_unit_of(what)}")
    _plain(ax.set_ylabel(_loss_name(ladder)))
    said = f" ({missing} runs have none)" if missing else ""
    ax.set_title(f"Loss against {titles[what].split(' (')[0].lower()}{said}")
    more = f" ({len(shown)} of {len(budgets)})" if not single and len(shown) < len(budgets) else ""
    _legend(ax, title=None if single else f"FLOPs{more}", ncols=2 if len(shown) > 10 else 1)
    return fig


def loss_by_shape(
    ladder: IsoflopLadder,
    *,
    suite: str | None = None,
    rule: float | None = CHINCHILLA,
    fig: Figure | None = None,
) -> Figure:
    """Two panels: loss against depth, and against tokens per parameter.

    Parameters
    ----------
    ladder : IsoflopLadder
        Its runs need a ``depth`` column, which `delphi.read_runs` keeps where a source has one.
    suite : str, optional
        Which suite; needed where there are several.
    rule : float or None
        Tokens per parameter to mark.
    fig : matplotlib.figure.Figure or SubFigure, optional
        An empty figure to draw into; a new one by default.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    DataError
        As `loss_against`.

    Examples
    --------
    >>> import delphi
    >>> runs = delphi.simulate.ladder(rng=0)
    >>> runs["depth"] = (runs["params"] / 1e6).round()
    >>> len(loss_by_shape(delphi.fit_isoflops(runs), suite="Aster").axes)
    2
    """
    name = _suite(ladder, suite)
    fig, axes = _panels(fig, 2, (11.5, 4.8))
    loss_against(ladder, "depth", suite=name, ax=axes[0])
    loss_against(ladder, "ratio", suite=name, rule=rule, ax=axes[1])
    return fig


def _suite(ladder: IsoflopLadder, suite: str | None) -> str:
    suites = ladder.suites
    if suite is None and len(suites) == 1:
        return suites[0]
    if suite not in suites:
        known = ", ".join(repr(s) for s in suites[:SUITES])
        raise DataError(f"suite: expected one of {known}, got {suite!r}")
    return suite


def _axes(ax: Axes | None, size: tuple[float, float]) -> tuple[Figure, Axes]:
    if ax is None:
        ax = Figure(figsize=size, layout="constrained").subplots()
    ax.grid(True, color=_RGBA[GRID], lw=0.6)
    ax.set_axisbelow(True)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    return cast("Figure", ax.figure), ax


def _panels(fig: Figure | None, n: int, size: tuple[float, float]) -> tuple[Figure, Sequence[Axes]]:
    if fig is None:
        fig = Figure(figsize=size, layout="constrained")
    elif fig.axes:
        raise DataError("fig: expected an empty figure, this one has axes")
    return fig, fig.subplots(1, n)


def _along(row: pd.Series, tokens: Any, against: str) -> Any:
    """Tokens as they are, or as params on the budget's line through its optimum."""
    if against == "tokens":
        return tokens
    return row["params"] * (tokens / row["tokens"]) ** row["params_slope"]


def _dots(ax: Axes, rows: pd.DataFrame, quantity: str, colour: str, *, full: bool) -> None:
    if rows.empty:
        return
    y, low, high = (rows[quantity + end].to_numpy(float) for end in ("", "_low", "_high"))
    reach = np.nan_to_num(np.vstack((y - low, high - y)))
    ax.errorbar(
        rows["compute"], y, yerr=reach if full else None, fmt="o", ms=7, color=colour,
        mfc=colour if full else "none", elinewidth=1.0,
    )  # fmt: skip


def _count_axis(axis: Any, title: str) -> None:
    """A log axis of counts in M, B and T."""
    axis.axes.set_xscale("log") if axis.axis_name == "x" else axis.axes.set_yscale("log")
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=12))
    axis.set_major_formatter(FuncFormatter(lambda value, _: count(value)))
    axis.set_minor_formatter(NullFormatter())
    axis.set_label_text(title)


def _unit_of(what: str) -> str:
    return {"ratio": "tokens per parameter", "depth": "layers"}.get(what, what)


def _loss_name(ladder: IsoflopLadder) -> str:
    column = ladder.runs.attrs.get("delphi", {}).get("loss_column") or "loss"
    unit = loss_unit(column)
    words = _cut(column, 32) + (f", {unit}" if unit else "")
    return "Loss" if column == "loss" else f"Loss ({words})"


def _cut(name: str, limit: int = 48) -> str:
    text = printable(name)
    return text if len(text) <= limit else text[: limit - 1] + "\u2026"


def _label(text: str) -> str:
    """A legend entry: matplotlib would hide what begins with an underscore."""
    return f" {text}" if text.startswith("_") else text


def _plain(text: Any) -> None:
    """Draw a text with a name from the data as it is, dollar signs included."""
    text.set_parse_math(False)


def _legend(ax: Axes, **options: Any) -> None:
    box = ax.legend(fontsize=8.5, title_fontsize=8.5, framealpha=0.85, **options)
    for text in box.get_texts():
        _plain(text)
