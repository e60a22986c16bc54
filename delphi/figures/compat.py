"""The notebook's own figures, from faithful results: the parts of ours, in its layout and words.

The results must be the notebook's (`delphi.figureset.faithful` fits them so): parabolas through all
runs, laws by its grid, every compute rounded to its budget. Colours are ours.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from delphi.compat_runs import fmt_pct_err, fmt_sci
from delphi.figures import overtraining as off_optimum
from delphi.figures import seeds as replicates
from delphi.figures import theme
from delphi.figures.isoflop import add_parabolas, legend_homes
from delphi.figures.lawparts import (
    DIVERGED,
    FINISHED,
    add_held_out,
    add_law,
    add_optima,
    compute_range,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from delphi.isoflop import IsoflopLadder
    from delphi.powerlaw import PowerLaw

__all__ = [
    "isoflop_parabolas",
    "ladder",
    "lucky_seeds",
    "overtraining_forecast",
    "scaling_law_asymptote",
    "stacked",
]

PANELS = ("IsoFLOP parabolas per compute bucket", "Scaling law + held-out validation")
N_PARABOLA, N_LAW = 200, 400
FIT_ENDS = 5e20  # where its rule between fit and extrapolation stands, whatever was fitted
PAD = 0.12  # decades left free at both ends of the compute axis
LOSS = "Paloma macro loss"
LOSS_STAR = f"{LOSS} at IsoFLOP optimum"
WIDE = 10.0  # the scale from which on its over-training figure shows more tokens
TOKENS, MORE_TOKENS = [8.5, 13.0], [8.5, math.log10(5e13)]
ARROW = "\N{RIGHTWARDS ARROW}"
LABEL = {"size": 11, "color": theme.INK}
LEGEND: dict[str, Any] = {
    "bgcolor": theme.CLEAR,
    "borderwidth": 0,
    "orientation": "h",
    "yanchor": "top",
    "tracegroupgap": 10,
}
FOUR_A_ROW = {"entrywidth": 0.22, "entrywidthmode": "fraction"}


def isoflop_parabolas(ladder: IsoflopLadder) -> go.Figure:
    """Points, parabola and optimum of every budget, two panels a row."""
    suites = list(ladder.suites)
    cols = min(len(suites), 2)
    rows = -(-len(suites) // cols)
    fig = make_subplots(
        rows=rows,
        cols=cols,
        shared_yaxes=True,
        subplot_titles=[theme.safe(suite) for suite in suites],
        horizontal_spacing=0.05,
        vertical_spacing=min(0.12, 0.6 / rows),
    )
    for i, suite in enumerate(suites):
        _add_parabolas(fig, ladder, suite, "solid", row=i // cols + 1, col=i % cols + 1)
    fig.update_xaxes(type="log", title_text="Training tokens")
    fig.update_yaxes(title_text=LOSS, col=1)
    legend = LEGEND | FOUR_A_ROW | {"y": -0.2, "x": 0.5, "xanchor": "center"}
    legend |= {"title": {"text": "Compute (FLOPs)"}}
    return _finish(fig, legend, {"t": 40, "r": 40, "b": 10, "l": 60})


def scaling_law_asymptote(
    ladder: IsoflopLadder, laws: Mapping[str, PowerLaw], held_out: pd.DataFrame
) -> go.Figure:
    """Optima, laws and held-out runs of every suite, one colour a suite."""
    fig = go.Figure()
    x_range = _compute_range(ladder, ladder.suites, laws)
    for suite in ladder.suites:
        _add_suite(fig, ladder, laws, suite, x_range)
    _add_held_out(fig, ladder, held_out)
    for trace in fig.data:
        if trace.marker.symbol == "x-thin":
            trace.update(mode="markers+text", text=DIVERGED, textposition="middle left")
    _add_divider(fig, "x", "paper")
    fig.update_xaxes(type="log", title_text="Compute (FLOPs)", range=_decades(x_range))
    fig.update_yaxes(title_text=LOSS_STAR)
    legend: dict[str, Any] = {"orientation": "v", "x": 1, "xanchor": "right", "y": 0.925}
    legend |= {"yanchor": "top", "borderwidth": 0, "tracegroupgap": 4}
    return _finish(fig, legend, {"t": 10, "r": 40, "b": 10, "l": 40})


def ladder(
    ladder: IsoflopLadder,
    laws: Mapping[str, PowerLaw],
    suite: str,
    held_out: pd.DataFrame,
) -> go.Figure:
    """Parabolas of one suite on the left, its law and held-out runs on the right."""
    fig = make_subplots(
        rows=1,
        cols=2,
        horizontal_spacing=0.10,
        subplot_titles=PANELS,
    )
    _add_parabolas(fig, ladder, suite, "dash", row=1, col=1)
    fig.for_each_trace(
        lambda trace: trace.update(showlegend=True),
        selector=lambda trace: trace.mode == "markers" and trace.marker.symbol != "x",
    )
    n_left = len(fig.data)
    x_range = _compute_range(ladder, [suite], laws)
    _add_suite(fig, ladder, laws, suite, x_range)
    fig.data[n_left].update(name="IsoFLOP optimum", showlegend=False)
    own = held_out[held_out["suite"] == suite]
    _add_held_out(fig, ladder, own)
    for trace in fig.data[n_left:]:
        trace.update(xaxis="x2", yaxis="y2", legendgroup=None)
    _add_divider(fig, "x2", "y2 domain")
    _label_held_out(fig, own)
    fig.update_xaxes(type="log", title_text="Training tokens", row=1, col=1)
    fig.update_yaxes(type="log", title_text=LOSS, row=1, col=1)
    right = {"type": "log", "title_text": "Compute (FLOPs)", "range": _decades(x_range)}
    fig.update_xaxes(**right, row=1, col=2)
    fig.update_yaxes(type="log", title_text=LOSS_STAR, row=1, col=2)
    legend = LEGEND | FOUR_A_ROW | {"y": -0.2, "x": 1.0, "xanchor": "right"}
    legend |= {"title": {"text": "Compute (FLOPs)"}}
    return _finish(fig, legend, {"t": 40, "r": 30, "b": 10, "l": 60})


def stacked(fig: go.Figure) -> go.Figure:
    """A copy of a ladder with its panels one above the other, for a narrow screen."""
    fig = go.Figure(fig)
    for axis in ("xaxis", "xaxis2"):
        fig.layout[axis].domain = (0.0, 1.0)
    fig.layout.yaxis.domain, fig.layout.yaxis2.domain = (0.60, 0.98), (0.0, 0.38)
    titles = [a for a in fig.layout.annotations if a.xref == a.yref == "paper"]
    for title, y in zip(titles, (0.99, 0.43), strict=True):
        title.update(x=0.5, y=y, xanchor="center", yanchor="middle")
    legend = LEGEND | {"title": {"text": ""}, "y": -0.12, "x": 1.0, "xanchor": "right"}
    legend |= {"entrywidth": 0.30, "entrywidthmode": "fraction", "tracegroupgap": 4}
    fig.layout.legend = legend
    fig.update_layout(height=660, margin={"t": 24, "r": 24, "b": 32, "l": 56})
    return fig


def lucky_seeds(
    runs: pd.DataFrame, law: PowerLaw, band: pd.DataFrame, suite: str, colour: str
) -> go.Figure:
    """Replicates of held-out runs over the bootstrap interval, in percent of the forecast."""
    fig = replicates.lucky_seeds(runs, law, band, suite, colour=colour)
    fig.data[-2].name = "Forecast 2.5\N{EN DASH}97.5% CI (bootstrap over bucket optima)"
    fig.data[-1].name = "Independent Training Runs"
    ticks = [f"C = {fmt_sci(c)} FLOPs" for c in sorted(band["compute"].tolist())]
    fig.update_yaxes(ticktext=ticks, title=None)
    title = "Loss \N{MINUS SIGN} point forecast (% of point forecast)"
    fig.update_xaxes(title_text=title, range=None)
    fig.update_traces(marker={"size": 7, "line": {"width": 1.5}}, selector=_is_run)
    legend = LEGEND | {"y": -0.35, "x": 0.5, "xanchor": "center"}
    return _finish(fig, legend, {"t": 40, "r": 30, "b": 90, "l": 90})


def overtraining_forecast(
    ladder: IsoflopLadder,
    law: PowerLaw,
    costs: Mapping[float, Mapping[str, Any]],
    suite: str,
    *,
    at: float = 1e23,
    start: float = 2.0,
) -> go.Figure:
    """Over-training with a slider.

    `costs` has what `delphi.compat.overtraining_for_scale` returns, scale by scale.
    """
    curvatures = ("a_under", "a_over")
    buckets = off_optimum.buckets_of(ladder, suite, curvatures, fmt_sci)
    tokens_at = off_optimum.token_trend(ladder, suite)
    own = ladder.optima[ladder.optima["suite"] == suite]
    compute = np.geomspace(own["compute"].min(), at, N_LAW)
    optimum = off_optimum.Trend(
        compute.tolist(), tokens_at(compute).tolist(), law.predict(compute).tolist()
    )
    end = off_optimum.Point(at, float(tokens_at(at)), float(law.predict(at)))
    shifts = [_shift(scale, cost, end) for scale, cost in costs.items()]

    def note(shift: off_optimum.Shift, end: off_optimum.Point) -> dict[str, Any]:
        where = {"x": math.log10(costs[shift.scale]["x_mid"]), "y": math.log10(end.loss or 1.0)}
        anchors = {"xref": "x", "yref": "y", "xanchor": "left", "yanchor": "top", "align": "left"}
        look = {"showarrow": False, "xshift": 6, "yshift": -6, "borderwidth": 0, "font": LABEL}
        return where | anchors | look | {"text": shift.text, "bgcolor": theme.CLEAR}

    def x_range(shift: off_optimum.Shift) -> list[float]:
        return MORE_TOKENS if shift.scale >= WIDE else TOKENS

    active = list(costs).index(start)
    colour = theme.suite_colours(ladder.suites)[suite]
    fig = off_optimum.draw(
        buckets,
        optimum,
        end,
        shifts,
        active,
        colours=(colour, theme.INK),
        note=note,
        x_range=x_range,
    )
    fig.update_traces(line={"dash": "dash", "width": 1.5}, selector={"mode": "lines", "name": None})
    fig.data[-1].line.dash = "dot"
    for trace in fig.data:
        if trace.marker.symbol == "x":
            trace.marker.update(size=12, line={"width": 2, "color": trace.marker.color})
    fig.update_xaxes(type="log", title_text="Training tokens", range=x_range(shifts[active]))
    fig.update_yaxes(type="log", title_text=LOSS)
    fig.layout.sliders[0].update(
        currentvalue={"prefix": "Overtraining: ", "font": {"size": 12}},
        pad={"t": 30, "l": 30, "r": 30},
        len=0.9,
        x=0.05,
        y=-0.12,
    )
    legend = LEGEND | {"y": 1.02, "yanchor": "bottom", "x": 1.0, "xanchor": "right"}
    return _finish(fig, legend, {"t": 60, "r": 30, "b": 100, "l": 60})


def _finish(fig: go.Figure, legend: dict[str, Any], margin: dict[str, int]) -> go.Figure:
    """The template, and the layout instead of ours."""
    fig.layout.legend = legend
    fig.layout.margin = margin
    fig.update_layout(
        template=theme.NAME, height=None, plot_bgcolor=theme.CLEAR, paper_bgcolor=theme.CLEAR
    )
    return fig


def _add_parabolas(
    fig: go.Figure, ladder: IsoflopLadder, suite: str, dash: str, *, row: int, col: int
) -> None:
    n = len(fig.data)
    colours = theme.budget_colours(ladder.fits["budget"])
    homes = legend_homes(ladder.fits)
    add_parabolas(
        fig,
        ladder,
        suite,
        colours,
        homes,
        row=row,
        col=col,
        n=N_PARABOLA,
        label_of=fmt_sci,
        marks=False,
    )
    for trace in fig.data[n:]:
        trace.legendrank = None
        if trace.mode == "lines":
            trace.line.update(dash=dash, width=3 if dash == "solid" else 2.5)
        elif trace.marker.symbol == "x":
            trace.marker.line = {"width": 2, "color": trace.marker.color}


def _add_suite(
    fig: go.Figure,
    ladder: IsoflopLadder,
    laws: Mapping[str, PowerLaw],
    suite: str,
    x_range: tuple[float, float],
) -> None:
    """Optima and law of one suite."""
    colour = theme.suite_colours(ladder.suites)[suite]
    add_optima(fig, ladder, suite, {"color": colour, "symbol": "circle"})
    n = len(fig.data)
    add_law(fig, laws.get(suite), suite, colour, *x_range, n=N_LAW)
    for trace in fig.data[n:]:
        trace.name = None


def _add_held_out(fig: go.Figure, ladder: IsoflopLadder, held_out: pd.DataFrame) -> None:
    n = len(fig.data)
    colours = theme.suite_colours(ladder.suites)
    symbols = dict.fromkeys(colours, "circle")
    add_held_out(fig, held_out, colours, symbols, math.inf, hollow=False)
    for trace in fig.data[n:]:
        cross = trace.marker.symbol == "x-thin"
        trace.update(name=None, marker_size=14 if cross else 11)
        if not cross:
            trace.marker.line = None


def _compute_range(
    ladder: IsoflopLadder, suites: Sequence[str], laws: Mapping[str, PowerLaw]
) -> tuple[float, float]:
    """From the first optimum to 1e23, or to the last optimum if that is later."""
    optima = ladder.optima[ladder.optima["suite"].isin(suites)]
    return compute_range(optima, {suite: laws[suite] for suite in suites if suite in laws}, None)


def _decades(x_range: tuple[float, float]) -> list[float]:
    return [math.log10(x_range[0]) - PAD, math.log10(x_range[1]) + PAD]


def _add_divider(fig: go.Figure, xref: str, yref: str) -> None:
    line = {"color": theme.INK, "width": 1, "dash": "dot"}
    ends = {"x0": FIT_ENDS, "x1": FIT_ENDS, "xref": xref, "y0": 0, "y1": 1, "yref": yref}
    fig.add_shape(type="line", line=line, layer="below", opacity=0.45, **ends)
    where = {"x": math.log10(FIT_ENDS), "y": 0.98, "xref": xref, "yref": yref, "yanchor": "top"}
    sides = (("fit \N{LEFTWARDS ARROW} ", "right", -4), (f" {ARROW} extrapolation", "left", 4))
    for text, anchor, shift in sides:
        look = {"showarrow": False, "font": {"size": 12, "color": theme.INK}}
        fig.add_annotation(text=text, xanchor=anchor, xshift=shift, **where, **look)


def _label_held_out(fig: go.Figure, own: pd.DataFrame) -> None:
    """The error beside each held-out mean, and a word beside each diverged run."""
    leader = {"showarrow": True, "arrowhead": 0, "arrowwidth": 1, "arrowcolor": theme.RULE}
    look = leader | {"bgcolor": theme.CLEAR, "borderpad": 0, "font": LABEL}
    near = {"ax": 4, "ay": -4, "xanchor": "left", "yanchor": "bottom"}
    far = {"ax": -4, "ay": 4, "xanchor": "right", "yanchor": "top"}
    away = {"ax": -30, "ay": -22, "xanchor": "center", "yanchor": "bottom"}
    done = own["state"] == FINISHED
    for row in [*own[done].itertuples(), *own[~done].itertuples()]:
        if row.state == FINISHED and not math.isfinite(row.percent_error):
            continue  # no law, no error
        text = fmt_pct_err(row.percent_error) if row.state == FINISHED else DIVERGED
        place = away if row.state != FINISHED else near if row.compute <= 1.5e21 else far
        where = {"x": math.log10(row.compute), "y": math.log10(row.loss), "xref": "x2"}
        fig.add_annotation(text=text, yref="y2", **where, **place, **look)


def _shift(scale: float, cost: Mapping[str, Any], end: off_optimum.Point) -> off_optimum.Shift:
    lines = (cost["T_shift_grid"].tolist(), cost["loss_shift_grid"].tolist())
    return off_optimum.Shift(
        scale=scale,
        tokens=cost["shifted_xs"],
        loss=cost["shifted_ys"],
        line=off_optimum.Trend([], *lines),
        crossing=off_optimum.Point(cost["C_equiv"], cost["T_cross"], end.loss),
        text=f"{cost['overtrain_label']}<br>{cost['excess_label']}",
    )


def _is_run(trace: go.Scatter) -> bool:
    return bool(trace.marker.symbol == "circle-open")
