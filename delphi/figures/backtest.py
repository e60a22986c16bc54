"""Back-tests as pictures: what each cutoff forecast, and what came."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from delphi.backtesting import Backtest
from delphi.errors import DataError
from delphi.figures import theme
from delphi.runs import round_sig
from delphi.shorthand import flops

__all__ = ["backtest_errors"]

PANELS = 12
ROW, GAP = 270, 110  # pixels of height of a row of panels with the gap below it, and of the gap


def backtest_errors(
    test: Backtest,
    *,
    method: str = "posterior",
    target: str = "optimum",
    columns: int = 3,
    mobile: bool = False,
) -> go.Figure:
    """Percent error of every forecast against compute, one panel a suite, one colour a cutoff.

    Parameters
    ----------
    test : Backtest
    method : str
        A method of ``test.table``.
    target : str
        "optimum" or "held-out".
    columns : int
        Panels side by side.
    mobile : bool
        One panel under the other, for a screen 360 px wide.

    Returns
    -------
    plotly.graph_objects.Figure
        Bars are the intervals, relative to what was observed; a filled marker is inside its own,
        a hollow one outside. At most twelve suites are drawn, the caption says how many there are.

    Raises
    ------
    DataError
        No such method or target in the table.
    """
    rows = test.table[(test.table["method"] == method) & (test.table["target"] == target)]
    rows = rows[rows["predicted"].notna()]
    rows = rows.assign(cutoff=round_sig(rows["cutoff"].to_numpy(), 2))
    if rows.empty:
        raise DataError(f"no forecast of {target!r} by {method!r} in this back-test")
    suites = rows["suite"].unique().tolist()
    shown = suites[:PANELS]
    across = 1 if mobile else min(columns, len(shown))
    down = -(-len(shown) // across)
    fig = make_subplots(
        rows=down,
        cols=across,
        shared_yaxes=True,
        subplot_titles=[theme.wrapped(suite, 30) for suite in shown],
        horizontal_spacing=0.04,
        vertical_spacing=GAP / (ROW * down) if down > 1 else 0,
    )
    colours = theme.budget_colours(rows["cutoff"].unique())
    named: set[float] = set()
    for i, suite in enumerate(shown):
        where = {"row": i // across + 1, "col": i % across + 1}
        own = rows[rows["suite"] == suite]
        for cutoff, ahead in own.groupby("cutoff"):
            _add_cutoff(fig, float(cutoff), ahead, colours[cutoff], cutoff not in named, where)
            named.add(float(cutoff))
        fig.add_hline(y=0, line={"color": theme.RULE, "width": 1}, **where)
        ticks = sorted({round_sig(c, 2) for c in own["compute"].tolist()})
        every = -(-len(ticks) // 4)
        fig.update_xaxes(
            type="log",
            range=[np.log10(ticks[0]) - 0.1, np.log10(ticks[-1]) + 0.1],
            tickvals=ticks[::-every],
            ticktext=[flops(c) for c in ticks[::-every]],
            tickangle=0,
            title_text="Compute (FLOPs)",
            **where,
        )
    fig.update_yaxes(title_text="forecast over observed, %", col=1)
    fig.update_yaxes(matches="y", selector=lambda axis: axis.plotly_name != "yaxis")
    left = f"; {len(suites) - len(shown)} more suites not drawn" if len(suites) > PANELS else ""
    fig.update_layout(legend_title_text=f"Fitted up to (FLOPs){left}")
    names = [flops(c) for c in sorted(named)]
    return theme.finish(fig, ROW * down, names, top=50, mobile=mobile)


def _add_cutoff(
    fig: go.Figure, cutoff: float, ahead: object, colour: str, first: bool, where: dict[str, int]
) -> None:
    table = ahead.sort_values("compute")  # type: ignore[attr-defined]
    observed = table["observed"].to_numpy(float)
    error = table["error_percent"].to_numpy(float)
    up = 100 * (table["high"].to_numpy(float) / observed - 1) - error
    down = error - 100 * (table["low"].to_numpy(float) / observed - 1)
    bars = np.isfinite(up).any()
    inside = table["inside"].to_numpy(float) != 0
    fig.add_trace(
        go.Scatter(
            x=table["compute"].tolist(),
            y=error.tolist(),
            error_y={
                "type": "data",
                "symmetric": False,
                "array": np.nan_to_num(up).tolist(),
                "arrayminus": np.nan_to_num(down).tolist(),
                "thickness": 1.2,
                "width": 0,
                "color": colour,
                "visible": bool(bars),
            },
            mode="markers+lines",
            line={"width": 0.8, "color": colour, "dash": "dot"},
            marker={
                "size": 7,
                "color": [colour if ok else "white" for ok in inside],
                "line": {"width": 1.6, "color": colour},
            },
            name=flops(cutoff),
            legendgroup=flops(cutoff),
            showlegend=first,
            customdata=np.column_stack((observed, table["predicted"], table["horizon"])).tolist(),
            hovertemplate=(
                f"fitted up to {flops(cutoff)}<br>%{{x:.3e}} FLOPs, %{{customdata[2]:.1f}}x beyond"
                "<br>observed %{customdata[0]:.4f}, forecast %{customdata[1]:.4f}"
                "<br>%{y:.2f}%<extra></extra>"
            ),
        ),
        **where,
    )
