"""IsoFLOP parabolas: loss against tokens at fixed compute."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from delphi.figures import theme
from delphi.figures.thin import drawn, sweep_runs
from delphi.isoflop import curve_values
from delphi.shorthand import flops

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from delphi.isoflop import IsoflopLadder, Parabola

__all__ = ["isoflop_parabolas", "parabola_curve"]

N_CURVE = 60  # where a curve was fitted
N_TAIL = 20  # and on each side of that
NOT_USED = "not used"
OFF_CENTRE = "optimum off centre"
# Why a bucket feeds no law, the gravest reason first, and how its runs are drawn.
REASONS = {
    "concave": "triangle-down-open",
    "clipped": "square-open",
    "unbracketed": "circle-open",
    "saturated": "diamond-open",
}
OTHER = "hexagon-open"


def isoflop_parabolas(ladder: IsoflopLadder, *, mobile: bool = False) -> go.Figure:
    """Runs, fitted parabolas and optima of every suite, one panel a suite.

    Parameters
    ----------
    ladder : IsoflopLadder
        What :func:`delphi.fit_isoflops` returned; nothing is fitted again.
    mobile : bool
        One panel under the other, for a screen 360 px wide.

    Returns
    -------
    plotly.graph_objects.Figure
        A bucket that feeds no law has hollow points, in a shape that the legend explains, and a
        dotted curve; a hollow cross is an optimum off the centre of its runs. The whole status is
        in the hover. A windowed parabola goes on as a thin dotted line outside its window.

    Examples
    --------
    >>> import delphi
    >>> runs = delphi.simulate.ladder(rng=0)
    >>> fig = delphi.figures.isoflop_parabolas(delphi.fit_isoflops(runs))
    """
    colours = theme.budget_colours(ladder.fits["budget"])
    ladder = drawn(ladder)
    suites = list(ladder.suites)
    n_cols = 1 if mobile else min(max(len(suites), 1), 2)
    n_rows = max(1, -(-len(suites) // n_cols))
    width = 42 if n_cols == 2 or mobile else 80
    titles = [theme.wrapped(s, width) for s in suites]
    top = 52 if any("<br>" in t for t in titles) else 34
    panel = 250 if mobile else 300 if n_rows > 1 else 330
    gap = 96 + (top - 34)
    plot_height = n_rows * panel + (n_rows - 1) * gap
    fig = make_subplots(
        rows=n_rows,
        cols=n_cols,
        subplot_titles=titles,
        shared_yaxes=True,
        horizontal_spacing=0.06,
        vertical_spacing=gap / plot_height if n_rows > 1 else 0,
    )
    named = legend_homes(ladder.fits)
    for i, suite in enumerate(suites):
        add_parabolas(fig, ladder, suite, colours, named, row=i // n_cols + 1, col=i % n_cols + 1)
    names = add_status_keys(fig, ladder.fits)
    fig.update_xaxes(**theme.token_axis("Training tokens", sweep_runs(ladder)["tokens"]))
    # One scale for all panels: the suites are there to be compared.
    for axis in (*fig.select_xaxes(), *fig.select_yaxes()):
        if axis.plotly_name not in ("xaxis", "yaxis"):  # an axis may not match itself
            axis.matches = axis.plotly_name[0]
    for r in range(1, n_rows + 1):
        fig.update_yaxes(title_text=theme.loss_title(ladder.runs), row=r, col=1)
    fig.update_annotations(font={"size": 14, "color": theme.INK})
    fig.update_layout(legend_title_text="Compute (FLOPs)")
    return theme.finish(fig, plot_height, names, top, mobile=mobile)


def parabola_curve(fit: Parabola, *, mobile: bool = False) -> go.Figure:
    """One parabola over the tokens it was fitted on, with its optimum.

    Parameters
    ----------
    fit : Parabola
        What :func:`delphi.fit_parabola` returned; a failed one gives empty axes that say so.
    mobile : bool
        Lay it out for a screen 360 px wide.

    Returns
    -------
    plotly.graph_objects.Figure

    Examples
    --------
    >>> import delphi
    >>> fit = delphi.fit_parabola([1e9, 3e9, 9e9, 27e9, 8e10], [3.4, 3.2, 3.15, 3.2, 3.3])
    >>> fig = delphi.figures.parabola_curve(fit)
    """
    fig = go.Figure()
    tokens = np.empty(0)
    if fit.ok:
        colour = theme.SUITE_COLOURS[0]
        for tokens, fitted in curve_pieces(fit):
            line = {"width": 2.25, "color": colour, "simplify": False}
            line |= {} if fitted else {"width": 1, "dash": "dot"}
            curve = {"x": tokens.tolist(), "y": fit.predict(tokens).tolist(), "name": "parabola"}
            fig.add_trace(go.Scatter(mode="lines", line=line, showlegend=fitted, **curve))
        tokens = np.logspace(fit.x_min, fit.x_max, N_CURVE)
        best = {"x": [fit.tokens_star], "y": [fit.loss_star], "name": "optimum"}
        marker = {"symbol": "x", "size": 12, "color": colour}
        fig.add_trace(go.Scatter(mode="markers", marker=marker, **best))
    if fit.status != "ok":
        where = {"x": 0.5, "y": 1, "xref": "x domain", "yref": "y domain"}
        fig.add_annotation(text=theme.safe(fit.status), showarrow=False, yanchor="top", **where)
    fig.update_xaxes(**theme.token_axis("Training tokens", pd.Series(tokens)))
    fig.update_yaxes(title_text="Loss")
    names = ["parabola", "optimum"] if fit.ok else []
    return theme.finish(fig, 280 if mobile else 330, names, top=18, mobile=mobile)


def curve_pieces(fit: Any, n: int = N_CURVE) -> list[tuple[np.ndarray, bool]]:
    """Tokens to draw a curve at, and whether its fit used the points there.

    The stretch that was fitted comes first, then the rest of the observed range, a NaN between its
    two ends; nothing for a fit that failed.
    """
    if not np.isfinite([fit.x_min, fit.x_max, fit.x_lo, fit.x_hi, fit.loss_star]).all():
        return []
    pieces = [(np.logspace(fit.x_lo, fit.x_hi, n), True)]
    tails = [(lo, hi) for lo, hi in ((fit.x_min, fit.x_lo), (fit.x_hi, fit.x_max)) if lo < hi]
    if tails:
        ends = [np.append(np.logspace(lo, hi, N_TAIL), np.nan) for lo, hi in tails]
        pieces.append((np.concatenate(ends)[:-1], False))
    return pieces


def legend_homes(fits: pd.DataFrame) -> dict[float, str]:
    """The suite whose points stand for a budget in the legend: the first that uses it."""
    ranked = fits.sort_values(["used", "suite"], ascending=[False, True], kind="stable")
    return dict(ranked.drop_duplicates("budget")[["budget", "suite"]].itertuples(index=False))


def reason(status: str) -> str:
    """The gravest word of the status of a bucket that feeds no law.

    Examples
    --------
    >>> reason("window_widened, unbracketed"), reason("equal_x")
    ('unbracketed', 'equal x')
    """
    words = status.split(", ")
    return next((word for word in REASONS if word in words), words[0]).replace("_", " ")


def off_centre(fit: Any) -> bool:
    """Whether a bucket that is used has its optimum near an end of its runs."""
    return bool(fit.used) and "off_centre" in fit.status.split(", ")


def add_status_keys(fig: go.Figure, fits: pd.DataFrame) -> list[str]:
    """Explain hollow points and crosses in the legend; returns all names in the legend."""
    names = [flops(b) for b in sorted(fits["budget"].unique())]
    keys = {}
    unused = {reason(status) for status in fits.loc[~fits["used"], "status"]}
    for word in sorted(unused, key=[*REASONS, *sorted(unused - set(REASONS))].index):
        keys[f"{NOT_USED}: {word}"] = REASONS.get(word, OTHER)
    if any(map(off_centre, fits.itertuples(index=False))):
        keys[OFF_CENTRE] = "x-open"
    for rank, (name, symbol) in enumerate(keys.items()):
        marker = {"symbol": symbol, "size": 8, "color": theme.MUTED}
        key = {"mode": "markers", "marker": marker, "name": name, "legendrank": 2000 + rank}
        fig.add_trace(go.Scatter(x=[None], y=[None], **key), row=1, col=1)
    return [*names, *keys]


def add_parabolas(
    fig: go.Figure,
    ladder: IsoflopLadder,
    suite: str,
    colours: dict[float, str],
    named: dict[float, str],
    *,
    row: int,
    col: int,
    n: int = N_CURVE,
    label_of: Callable[[float], str] = flops,
    marks: bool = True,
) -> None:
    """Draw the buckets of one suite into one panel: points, curve, optimum, budget by budget.

    A curve has `n` points where it was fitted; `label_of` gives the name of a budget; `marks`
    gives each reason not to use a bucket its symbol, as :func:`add_status_keys` explains them.
    """
    by_budget = dict(tuple(sweep_runs(ladder, suite).groupby("budget")))
    fits = ladder.fits[ladder.fits["suite"] == suite].sort_values("budget")
    # Suites may lack budgets; the legend keeps the order of compute all the same.
    ranks = {budget: i + 1 for i, budget in enumerate(sorted(colours))}
    place = fig.get_subplot(row, col)
    axes = {k: getattr(place, f"{k}axis").plotly_name.replace("axis", "") for k in ("x", "y")}
    traces: list[go.Scatter] = []
    for fit in fits.itertuples(index=False):
        points = by_budget.get(fit.budget)
        if points is None or points.empty:
            continue
        label = label_of(fit.budget)
        common: dict[str, Any] = {
            "name": label,
            "legendgroup": label,
            "legendrank": ranks[fit.budget],
            "xaxis": axes["x"],
            "yaxis": axes["y"],
        }
        shown = named.get(fit.budget) == suite
        colour = colours[fit.budget]
        points_in = common | {"showlegend": shown}
        traces.append(_points(fit, points, suite, colour, marks, points_in))
        common["showlegend"] = False
        traces += _curves(fit, points["loss"].max(), colour, n, common)
        if fit.used and np.isfinite(fit.loss_star):
            traces.append(_optimum(fit, suite, colour, marks, common))
    fig.add_traces(traces)


def _points(
    fit: Any, points: pd.DataFrame, suite: str, colour: str, marks: bool, common: dict[str, Any]
) -> go.Scatter:
    """The runs of a budget."""
    names = points.get("name", points.index)
    notes = f"<br>{NOT_USED}: {theme.safe(fit.status, 120)}" if not fit.used else ""
    symbol = "circle" if fit.used else "circle-open"
    if marks and not fit.used:
        symbol = REASONS.get(reason(fit.status), OTHER)
    return go.Scatter(
        x=points["tokens"].tolist(),
        y=points["loss"].tolist(),
        mode="markers",
        marker={"size": 7, "color": colour, "symbol": symbol},
        customdata=[
            [theme.safe(name), params]
            for name, params in zip(names, points["params"].tolist(), strict=True)
        ],
        hovertemplate=(
            "%{customdata[0]}<br>loss %{y:.4f}<br>tokens %{x:.3s}, params "
            f"%{{customdata[1]:.3s}}<br>budget {common['name']} FLOPs, {theme.safe(suite)}"
            f"{notes}<extra></extra>"
        ),
        **common,
    )


def _curves(
    fit: Any, highest: float, colour: str, n: int, common: dict[str, Any]
) -> Iterator[go.Scatter]:
    """The curve of a budget where it was fitted, and on to the ends of the data below `highest`."""
    for tokens, fitted in curve_pieces(fit, n):
        loss = curve_values(fit, tokens)
        # A parabola may run away outside of its window. Gaps are NaN.
        shown = fitted | np.isnan(tokens) | (loss <= highest)
        solid = fit.used and fitted
        yield go.Scatter(
            x=tokens[shown].tolist(),
            y=loss[shown].tolist(),
            mode="lines",
            line={
                "dash": "solid" if solid else "dot",
                "width": 2.25 if solid else 1.5 if fitted else 1,
                "color": colour,
                "simplify": False,
            },
            hoverinfo="skip",
            **common,
        )


def _optimum(fit: Any, suite: str, colour: str, marks: bool, common: dict[str, Any]) -> go.Scatter:
    """The vertex of a budget."""
    status = "" if fit.status == "ok" else f"<br>{theme.safe(fit.status, 120)}"
    line = {"width": 1, "color": "white"}
    symbol = "x"
    if marks and off_centre(fit):
        symbol, line = "x-open", {"width": 2, "color": colour}
    return go.Scatter(
        x=[fit.tokens_star],
        y=[fit.loss_star],
        mode="markers",
        marker={"symbol": symbol, "size": 12, "color": colour, "line": line},
        customdata=[[fit.params_star, fit.tokens_star / fit.params_star]],
        hovertemplate=(
            f"<b>optimum at {common['name']} FLOPs</b><br>loss %{{y:.4f}}<br>tokens %{{x:.3s}}, "
            "params %{customdata[0]:.3s}<br>%{customdata[1]:.1f} tokens per parameter"
            f"<br>{theme.safe(suite)}{status}<extra></extra>"
        ),
        **common,
    )
