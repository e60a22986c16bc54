"""IsoFLOP parabolas: loss against tokens at fixed compute."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from delphi.figures import theme
from delphi.heldout import is_crashed
from delphi.shorthand import flops

if TYPE_CHECKING:
    from delphi.isoflop import IsoflopLadder, Parabola

__all__ = ["isoflop_parabolas", "parabola_curve"]

N_CURVE = 120
NOT_USED = "not used in the law"


def isoflop_parabolas(ladder: IsoflopLadder) -> go.Figure:
    """Runs, fitted parabolas and optima of every suite, one panel a suite.

    Parameters
    ----------
    ladder : IsoflopLadder
        What :func:`delphi.fit_isoflops` returned; nothing is fitted again.

    Returns
    -------
    plotly.graph_objects.Figure
        A bucket that feeds no law has hollow points and a dotted curve, its status in the hover.

    Examples
    --------
    >>> import delphi
    >>> runs = delphi.simulate.ladder(rng=0)
    >>> fig = delphi.figures.isoflop_parabolas(delphi.fit_isoflops(runs))
    """
    suites = list(ladder.suites)
    n_cols = min(max(len(suites), 1), 2)
    n_rows = max(1, -(-len(suites) // n_cols))
    width = 42 if n_cols == 2 else 80
    titles = [theme.wrapped(s, width) for s in suites]
    top = 52 if any("<br>" in t for t in titles) else 34
    panel = 300 if n_rows > 1 else 330
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
    colours = theme.budget_colours(ladder.fits["budget"])
    named = legend_homes(ladder.fits)
    for i, suite in enumerate(suites):
        add_parabolas(fig, ladder, suite, colours, named, row=i // n_cols + 1, col=i % n_cols + 1)
    names = add_not_used_key(fig, ladder.fits)
    fig.update_xaxes(**theme.token_axis("Training tokens", sweep_runs(ladder)["tokens"]))
    # One scale for all panels: the suites are there to be compared.
    for axis in (*fig.select_xaxes(), *fig.select_yaxes()):
        if axis.plotly_name not in ("xaxis", "yaxis"):  # an axis may not match itself
            axis.matches = axis.plotly_name[0]
    for r in range(1, n_rows + 1):
        fig.update_yaxes(title_text=theme.loss_title(ladder.runs), row=r, col=1)
    fig.update_annotations(font={"size": 14, "color": theme.INK})
    fig.update_layout(legend_title_text="Compute (FLOPs)")
    return theme.finish(fig, plot_height, names, top)


def parabola_curve(fit: Parabola) -> go.Figure:
    """One parabola over the tokens it was fitted on, with its optimum.

    Parameters
    ----------
    fit : Parabola
        What :func:`delphi.fit_parabola` returned; a failed one gives empty axes that say so.

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
        tokens = np.logspace(fit.x_min, fit.x_max, N_CURVE)
        line = {"width": 2.25, "color": colour, "simplify": False}
        curve = {"x": tokens.tolist(), "y": fit.predict(tokens).tolist(), "name": "parabola"}
        fig.add_trace(go.Scatter(mode="lines", line=line, **curve))
        best = {"x": [fit.tokens_star], "y": [fit.loss_star], "name": "optimum"}
        marker = {"symbol": "x", "size": 12, "color": colour}
        fig.add_trace(go.Scatter(mode="markers", marker=marker, **best))
    if fit.status != "ok":
        where = {"x": 0.5, "y": 1, "xref": "x domain", "yref": "y domain"}
        fig.add_annotation(text=theme.safe(fit.status), showarrow=False, yanchor="top", **where)
    fig.update_xaxes(**theme.token_axis("Training tokens", pd.Series(tokens)))
    fig.update_yaxes(title_text="Loss")
    return theme.finish(fig, 330, ["parabola", "optimum"] if fit.ok else [], top=18)


def sweep_runs(ladder: IsoflopLadder, suite: str | None = None) -> pd.DataFrame:
    """The runs behind the parabolas, of all suites or of one: finished and not held out."""
    runs = ladder.runs
    shown = np.ones(len(runs), dtype=bool)
    if "run_type" in runs:
        shown &= (runs["run_type"] == "isoflop").to_numpy(bool)
    if "state" in runs:
        shown &= ~is_crashed(runs["state"]).to_numpy(bool)
    if suite is not None:
        shown &= (runs["suite"] == suite).to_numpy(bool)
    return runs[shown]


def legend_homes(fits: pd.DataFrame) -> dict[float, str]:
    """The suite whose points stand for a budget in the legend: the first that uses it."""
    ranked = fits.sort_values(["used", "suite"], ascending=[False, True], kind="stable")
    return dict(ranked.drop_duplicates("budget")[["budget", "suite"]].itertuples(index=False))


def add_not_used_key(fig: go.Figure, fits: pd.DataFrame) -> list[str]:
    """Explain hollow points in the legend where there are any; returns all names in the legend."""
    names = [flops(b) for b in sorted(fits["budget"].unique())]
    if not fits["used"].all():
        marker = {"symbol": "circle-open", "size": 7, "color": theme.MUTED}
        fig.add_trace(
            go.Scatter(
                x=[None], y=[None], mode="markers", marker=marker, name=NOT_USED, legendrank=2000
            ),
            row=1,
            col=1,
        )
        names.append(NOT_USED)
    return names


def add_parabolas(
    fig: go.Figure,
    ladder: IsoflopLadder,
    suite: str,
    colours: dict[float, str],
    named: dict[float, str],
    *,
    row: int,
    col: int,
) -> None:
    """Draw the buckets of one suite into one panel: points, curve, optimum, budget by budget."""
    by_budget = dict(tuple(sweep_runs(ladder, suite).groupby("budget")))
    fits = ladder.fits[ladder.fits["suite"] == suite].sort_values("budget")
    # Suites may lack budgets; the legend keeps the order of compute all the same.
    ranks = {budget: i + 1 for i, budget in enumerate(sorted(colours))}
    for fit in fits.itertuples(index=False):
        points = by_budget.get(fit.budget)
        if points is None or points.empty:
            continue
        label = flops(fit.budget)
        run_names = points.get("name", points.index)
        colour = colours[fit.budget]
        common: dict[str, Any] = {
            "name": label,
            "legendgroup": label,
            "legendrank": ranks[fit.budget],
        }
        notes = f"<br>{NOT_USED}: {theme.safe(fit.status, 120)}" if not fit.used else ""
        fig.add_trace(
            go.Scatter(
                x=points["tokens"].tolist(),
                y=points["loss"].tolist(),
                mode="markers",
                marker={
                    "size": 7,
                    "color": colour,
                    "symbol": "circle" if fit.used else "circle-open",
                },
                customdata=[
                    [theme.safe(n), p]
                    for n, p in zip(run_names, points["params"].tolist(), strict=True)
                ],
                hovertemplate=(
                    "%{customdata[0]}<br>loss %{y:.4f}<br>tokens %{x:.3s}, params "
                    f"%{{customdata[1]:.3s}}<br>budget {label} FLOPs, {theme.safe(suite)}"
                    f"{notes}<extra></extra>"
                ),
                showlegend=named.get(fit.budget) == suite,
                **common,
            ),
            row=row,
            col=col,
        )
        if not np.isfinite([fit.a, fit.b, fit.c, fit.x_min, fit.x_max]).all():
            continue
        x = np.linspace(fit.x_min, fit.x_max, N_CURVE)
        line = {"width": 2.25, "color": colour} if fit.used else {"width": 1.5, "color": colour}
        fig.add_trace(
            go.Scatter(
                x=(10**x).tolist(),
                y=(fit.a * x**2 + fit.b * x + fit.c).tolist(),
                mode="lines",
                line=dict(dash="solid" if fit.used else "dot", simplify=False, **line),
                showlegend=False,
                hoverinfo="skip",
                **common,
            ),
            row=row,
            col=col,
        )
        if not fit.used:
            continue
        status = "" if fit.status == "ok" else f"<br>{theme.safe(fit.status, 120)}"
        fig.add_trace(
            go.Scatter(
                x=[fit.tokens_star],
                y=[fit.loss_star],
                mode="markers",
                marker={
                    "symbol": "x",
                    "size": 12,
                    "color": colour,
                    "line": {"width": 1, "color": "white"},
                },
                customdata=[[fit.params_star, fit.tokens_star / fit.params_star]],
                hovertemplate=(
                    f"<b>optimum at {label} FLOPs</b><br>loss %{{y:.4f}}<br>tokens %{{x:.3s}}, "
                    "params %{customdata[0]:.3s}<br>%{customdata[1]:.1f} tokens per parameter"
                    f"<br>{theme.safe(suite)}{status}<extra></extra>"
                ),
                showlegend=False,
                **common,
            ),
            row=row,
            col=col,
        )
