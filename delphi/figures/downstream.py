"""The emergence figure: soft metric against compute, accuracy against soft metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from delphi import _core
from delphi.compat_runs import fmt_pct_err
from delphi.downstream import DownstreamFit
from delphi.emergence import RichardsCurve
from delphi.emergence_views import FORECAST_AT, HELD_FROM, View, views_of_fits
from delphi.figures.theme import CLEAR, GRID, INK, MUTED, SUITE_COLOURS, finish, safe

__all__ = ["curve_figure", "emergence", "mobile"]

COLOUR = SUITE_COLOURS[0]
N_GRID = 400
LOG_PAD = 0.06
FAR = 0.25  # a floor below this share of the smallest value would squeeze the rest
CLOSE = 5.0  # held-out runs less than this factor apart have their labels on alternating sides
LEADER = (1.7, 1.08)  # how far a held-out label stands off, as factors of compute and z
LOG_PROB_TICKS = [3.0, 2.0, 1.5, 1.0, 0.7, 0.5, 0.3]
BITS_TICKS = [0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0]
ALPHA, FLOOR = "\N{GREEK SMALL LETTER ALPHA}", "L\N{INFINITY}"
POOL_NAME, OTHERS = "External Models Used for Regression", "other models"


def _least(view: View) -> float:
    """The smallest z that both panels should show: the floor, unless it is far below all else."""
    seen = min(view.z_ladder[0], view.z_span[0])
    if view.floor_z >= FAR * seen:
        return view.floor_z
    if view.law is None:
        return seen
    ahead = float(_law_values(view, FORECAST_AT))
    ends = [ahead] if view.interval is None else [ahead, view.interval[0]]
    return 0.95 * max(min(ends), FAR * seen)


def _law_values(view: View, compute: Any) -> Any:
    assert view.law is not None
    L_inf, A, alpha = view.law
    return L_inf + A * np.asarray(compute) ** -alpha


def _curve_values(view: View, z: Any) -> Any:
    assert view.curve is not None
    return _core.richards(-np.asarray(z), *view.curve)


def _markers(
    frame: pd.DataFrame, x: str, y: str, name: str, view: View, size: int, shown: bool
) -> go.Scatter:
    sign = -1.0 if view.log_prob else 1.0
    hard = "" if x == "compute" else f"<br>{view.hard_name} %{{y:.3f}}"
    at = "<br>C = %{x:.3e} FLOPs" if x == "compute" else ""
    unit = "log p" if view.log_prob else "bits/byte"
    models = [safe(m) for m in frame["model"]]
    return go.Scatter(
        x=frame[x].to_numpy(float), y=frame[y].to_numpy(float), mode="markers", name=name,
        marker={"size": size, "color": COLOUR, "symbol": "circle"}, legendgroup=view.label,
        customdata=np.array([models, sign * frame["z"].to_numpy(float)], dtype=object).T,
        showlegend=None if shown else False,
        hovertemplate=f"{view.label}<br>%{{customdata[0]}}{at}"
        f"<br>{unit} %{{customdata[1]:.3f}}{hard}<extra></extra>",
    )  # fmt: skip


def _line(x: Any, y: Any, name: str, view: View) -> go.Scatter:
    return go.Scatter(
        x=x, y=y, mode="lines", name=name, legendgroup=view.label, showlegend=False,
        line={"color": COLOUR, "width": 1.5, "dash": "dash"},
    )  # fmt: skip


def _leaders(view: View) -> go.Scatter:
    """A short line and the percent error beside every held-out run."""
    x: list[float | None] = []
    y: list[float | None] = []
    text: list[str] = []
    sides: list[str] = []
    C, z = view.held["compute"].to_numpy(float), view.held["z"].to_numpy(float)
    told = _law_values(view, C) if view.law else np.full(len(C), np.nan)
    close = len(C) > 1 and float(np.min(np.diff(np.sort(C)))) < (CLOSE - 1) * float(np.min(C))
    for rank, (at, seen, expected) in enumerate(zip(C, z, told, strict=True)):
        up = 1 if rank % 2 == 0 or not close else -1
        x += [at, at * LEADER[0] ** up, None]
        y += [seen, seen * LEADER[1] ** up, None]
        sides += [f"middle {'right' if up > 0 else 'left'}"] * 3
        text += ["", fmt_pct_err(float((seen - expected) / expected * 100.0)), ""]
    return go.Scatter(
        x=x, y=y, text=text, mode="lines+text", hoverinfo="skip",
        textposition=sides if close else "middle right",
        line={"color": MUTED, "width": 1},
        textfont={"size": 11, "color": INK}, showlegend=False, legendgroup=view.label,
    )  # fmt: skip


def _forecast(view: View) -> list[tuple[go.Scatter, int]]:
    """The marker on both panels, with bars of its interval where there is one."""
    z = float(_law_values(view, FORECAST_AT))
    hard = float(_curve_values(view, z))
    name = f"{view.label} (1e25 forecast)"
    common: dict[str, Any] = {
        "marker": {
            "size": 14, "color": COLOUR, "symbol": "x-open",
            "line": {"width": 2, "color": COLOUR},
        },
        "name": name, "legendgroup": view.label, "showlegend": False,
    }  # fmt: skip
    first: dict[str, Any] = {}
    second: dict[str, Any] = {}
    told = ""
    if view.interval is not None:
        z_low, z_high, low, high = view.interval
        first["error_y"] = _bar(z, z_low, z_high)
        second["error_y"] = _bar(hard, low, high)
        second["error_x"] = _bar(z, z_low, z_high)
        told = f"<br>{view.level:.0%} interval {low:.3f} to {high:.3f}"
    hover = f"{view.label} at 1e25 FLOPs<br>{view.hard_name} {hard:.3f}{told}<extra></extra>"
    return [
        (go.Scatter(x=[FORECAST_AT], y=[z], mode="markers", hovertemplate=hover, **common,
                    **first), 1),
        (go.Scatter(x=[z], y=[hard], mode="markers+text", text=[f"1e25 forecast: {hard:.1%}"],
                    textposition="top left", textfont={"size": 11, "color": INK},
                    hovertemplate=hover, **common, **second), 2),
    ]  # fmt: skip


def _bar(value: float, low: float, high: float) -> dict[str, Any]:
    return {
        "type": "data", "symmetric": False, "array": [max(high - value, 0.0)],
        "arrayminus": [max(value - low, 0.0)], "color": COLOUR, "thickness": 1.2, "width": 4,
    }  # fmt: skip


def _curve_grid(view: View) -> Any:
    """z of the second panel's curve: past the points on both sides."""
    low, high = view.z_span
    if view.log_prob:
        pad = 0.08 * (high - low) if high > low else 0.2
        return -np.linspace(-high - pad, -low + pad, N_GRID)
    least = min(min(low, _least(view)) * 0.6, _least(view) * 0.5)
    return np.logspace(np.log10(max(least, 1e-4)), np.log10(high * 1.30), N_GRID)


def _traces(view: View, grid: Any) -> list[tuple[go.Scatter, int]]:
    out: list[tuple[go.Scatter, int]] = []
    label, L_inf = view.label, view.floor_z
    if view.law is not None:
        name = f"{label} asymptote ({ALPHA}={view.law[2]:.3f}, {FLOOR}={view.law[0]:.3f})"
        out.append((_line(grid, _law_values(view, grid), name, view), 1))
    fit_name, held_name = f"{label} ({view.ladder} fit)", f"{label} ({view.ladder} held-out)"
    out.append((_markers(view.fitted, "compute", "z", fit_name, view, 9, True), 1))
    if len(view.held):
        out.append((_markers(view.held, "compute", "z", held_name, view, 11, False), 1))
        out.append((_leaders(view), 1))
    if view.curve is not None:
        z = _curve_grid(view)
        k, _, v, _, C = view.curve
        name = f"{label} Richards fit (k={k:.2f}, v={v:.2f}, C={C:.2f}, {FLOOR}={L_inf:.3f})"
        out.append((_line(z, _curve_values(view, z), name, view), 2))
    if len(view.pool):
        pool = _markers(view.pool, "z", "hard", POOL_NAME, view, 7, True)
        look = {"color": MUTED, "opacity": 0.55, "line": {"width": 0}}
        pool.update(marker=look, legendgroup="external")
        out.append((pool, 2))
    for rows, name, size in ((view.fitted, fit_name, 9), (view.held, held_name, 11)):
        seen = rows[rows["hard"].notna()]
        # by soft metric, as it reads from left to right
        seen = seen.sort_values("z", ascending=not view.log_prob)
        if len(seen):
            out.append((_markers(seen, "z", "hard", name, view, size, False), 2))
    if view.law is not None and view.curve is not None:
        out += _forecast(view)
    return out


def _axes(view: View) -> dict[str, Any]:
    """Axis settings of one view, as the dropdown sets them."""
    low, high = min(view.z_ladder[0], _least(view)), view.z_ladder[1]
    pool_low, pool_high = min(view.z_span[0], _least(view)), view.z_span[1]
    best = np.nanmax([*view.fitted["hard"], *view.held["hard"], 0.0])
    y_range = [np.log10(high) + LOG_PAD, np.log10(low) - LOG_PAD]
    if view.log_prob:
        ticks = second = LOG_PROB_TICKS
        words = [f"\N{MINUS SIGN}{v:g}" for v in ticks]
        x_range = [np.log10(pool_high) + LOG_PAD, np.log10(pool_low) - LOG_PAD]
        bottom = view.chance - 0.05 if view.chance > 0 else -0.01
    else:
        pad = 10**LOG_PAD
        ticks = [v for v in BITS_TICKS if low / pad <= v <= high * pad] or BITS_TICKS
        second = [v for v in BITS_TICKS if pool_low * 0.85 <= v <= pool_high * 1.15] or BITS_TICKS
        words = [f"{v:g}" for v in ticks]
        x_range = [np.log10(pool_high * 1.15), np.log10(pool_low * 0.85)]
        bottom = view.chance - 0.05 if view.chance > 0 else -0.01
        best = max(best, np.nanmax([*view.pool["hard"], 0.0]))
    return {
        "yaxis.title.text": view.soft_title,
        "yaxis.range": [float(v) for v in y_range],
        "yaxis.tickvals": ticks,
        "yaxis.ticktext": words,
        "xaxis2.visible": True,
        "xaxis2.type": "log",
        "xaxis2.title.text": view.soft_title,
        "xaxis2.range": [float(v) for v in x_range],
        "xaxis2.tickvals": second,
        "xaxis2.ticktext": [f"\N{MINUS SIGN}{v:g}" if view.log_prob else f"{v:g}" for v in second],
        "yaxis2.visible": True,
        "yaxis2.type": "linear",
        "yaxis2.title.text": view.hard_title,
        "yaxis2.range": [bottom, float(max(best * 1.08, 1.0))],
        "yaxis2.tickformat": ".0%",
    }


def _titles(view: View) -> tuple[str, str]:
    soft = "Log-prob" if view.log_prob else "Bits/byte"
    hard = view.hard_name[0].upper() + view.hard_name[1:]
    return f"{soft} improves smoothly with compute", f"{hard} emerges at larger scales"


def _update(view: View, levels: int) -> dict[str, Any]:
    """What the dropdown changes; the line of chance moves only where it has several levels."""
    first, second = _titles(view)
    moved = ("annotations[4].y", "shapes[1].y0", "shapes[1].y1") if levels > 1 else ()
    return {
        "annotations[0].text": first,
        "annotations[1].text": second,
        "annotations[4].visible": view.chance > 0,
        "shapes[1].visible": view.chance > 0,
        **dict.fromkeys(moved, view.chance),
        **_axes(view),
    }


def _chances(views: Sequence[View]) -> list[float]:
    """What chance scores, without repeats, where it scores anything."""
    return list(dict.fromkeys(view.chance for view in views if view.chance > 0))


def emergence(
    fits: Mapping[str, DownstreamFit] | Sequence[View],
    *,
    shown: str | None = None,
    fit_below: float = HELD_FROM,
    mobile: bool = False,
) -> go.Figure:
    """Two panels and a dropdown of tasks: soft metric against compute, accuracy against it.

    Parameters
    ----------
    fits : mapping of task to DownstreamFit, or sequence of View
        Tasks in the order of the dropdown.
    shown : str, optional
        The task shown first: the second one by default, where there is one.
    fit_below : float
        Where the divider between fitted and held-out runs stands, FLOPs.
    mobile : bool
        One panel above the other, for a screen 360 px wide.

    Returns
    -------
    plotly.graph_objects.Figure

    Raises
    ------
    ValueError
        Nothing to show, or `shown` is none of the tasks.
    """
    own = isinstance(fits, Mapping)
    views = views_of_fits(fits) if isinstance(fits, Mapping) else list(fits)
    if not views:
        raise ValueError("emergence: no task to show")
    labels = [view.label for view in views]
    shown = shown or labels[min(1, len(labels) - 1)]
    first = labels.index(shown)
    views = [_escaped(view) for view in views]
    fig = make_subplots(
        rows=1, cols=2, horizontal_spacing=0.14, subplot_titles=_titles(views[first])
    )
    # The range of the first family of tasks, as wide as its runs go and past the forecast.
    least = min(float(view.fitted["compute"].min()) for view in views) / 10**0.1
    most = 3 * FORECAST_AT
    grid = 10 ** np.linspace(np.log10(least), np.log10(most), N_GRID)
    owner: list[int] = []
    for i, view in enumerate(views):
        for trace, panel in _traces(view, grid):
            trace.visible = i == first
            fig.add_trace(trace, row=1, col=panel)
            owner.append(i)
    levels = _chances(views)
    chance = views[first].chance if views[first].chance > 0 else [*levels, 0.0][0]
    # With nothing held out, extrapolation begins past the largest run.
    last = max(float(view.fitted["compute"].max()) for view in views)
    divider = fit_below if np.isfinite(fit_below) else 10**0.1 * last
    _decorate(fig, chance, views[first].chance > 0, divider)
    fig.update_xaxes(
        type="log", title_text="Compute (FLOPs)", range=[np.log10(least), np.log10(most)],
        row=1, col=1,
    )  # fmt: skip
    fig.update_yaxes(type="log", row=1, col=1)
    fig.update_layout(
        {
            key.replace(".", "_"): value
            for key, value in _axes(views[first]).items()
            if not key.endswith(".visible") and key != "yaxis2.type"  # plotly's own
        },
        updatemenus=[_menu(views, owner, first)],
        legend={
            "orientation": "h", "x": 0.62, "xanchor": "center", "y": -0.18, "yanchor": "top",
            "bgcolor": CLEAR, "borderwidth": 0, "tracegroupgap": 12,
        },
        margin={"t": 40, "r": 30, "b": 60, "l": 60}, plot_bgcolor=CLEAR, paper_bgcolor=CLEAR,
    )  # fmt: skip
    if own:
        return _finished(fig, mobile)
    return _stacked(fig) if mobile else fig


def _escaped(view: View) -> View:
    """A view whose words plotly draws as they are."""
    return replace(
        view, label=safe(view.label), ladder=safe(view.ladder), soft_title=safe(view.soft_title),
        hard_title=safe(view.hard_title), hard_name=safe(view.hard_name),
    )  # fmt: skip


def _finished(fig: go.Figure, mobile: bool) -> go.Figure:
    """Our look: the menu over the panels, the legend under them; the notebook's views keep its."""
    for trace in fig.data:
        if trace.name == POOL_NAME:
            trace.name = OTHERS
    names = list(dict.fromkeys(t.name for t in fig.data if t.visible and t.showlegend is None))
    finish(fig, 640 if mobile else 330, names, 88, mobile=mobile)
    fig.update_annotations(font_size=13, selector={"xref": "paper"})
    if mobile:
        fig.update_layout(
            xaxis_domain=[0.0, 1.0], xaxis2_domain=[0.0, 1.0], yaxis_domain=[0.6, 1.0],
            yaxis2_domain=[0.0, 0.4],
        )  # fmt: skip
        for title, top in zip(fig.layout.annotations[:2], (1.0, 0.4), strict=True):
            title.update(x=0.5, y=top)
    for menu in fig.layout.updatemenus:
        menu.update(
            name="Task", direction="down", x=0.0, xanchor="left", y=1.0, yanchor="bottom",
            pad={"b": 44}, bgcolor="rgba(255, 255, 255, 0.9)", bordercolor=GRID, borderwidth=1,
        )  # fmt: skip
    return fig


def _decorate(fig: go.Figure, chance: float, shown: bool, fit_below: float) -> None:
    """The divider with its words, and the line of chance, in the order the dropdown counts on."""
    rule = {"color": INK, "width": 1, "dash": "dot"}
    fig.add_shape(
        type="line", x0=fit_below, x1=fit_below, xref="x", y0=0, y1=1, yref="y domain", line=rule,
        layer="below", opacity=0.45,
    )  # fmt: skip
    words = (
        ("fit \N{LEFTWARDS ARROW} ", "right", -4),
        (" \N{RIGHTWARDS ARROW} extrapolation", "left", 4),
    )
    for text, anchor, shift in words:
        fig.add_annotation(
            x=float(np.log10(fit_below)), y=0.98, xref="x", yref="y domain", text=text,
            showarrow=False, xanchor=anchor, yanchor="top", xshift=shift,
            font={"size": 12, "color": INK},
        )  # fmt: skip
    fig.add_shape(
        type="line", x0=0, x1=1, xref="x2 domain", y0=chance, y1=chance, yref="y2",
        line=rule, opacity=0.45, visible=shown,
    )  # fmt: skip
    fig.add_annotation(
        xref="x2 domain", yref="y2", x=0.98, y=chance, text="random chance", showarrow=False,
        xanchor="right", yanchor="top", font={"size": 11, "color": INK}, visible=shown,
    )  # fmt: skip


def _menu(views: list[View], owner: list[int], first: int) -> dict[str, Any]:
    buttons = [
        {
            "label": view.label, "method": "update",
            "args": [{"visible": [o == i for o in owner]}, _update(view, len(_chances(views)))],
        }
        for i, view in enumerate(views)
    ]  # fmt: skip
    return {
        "buttons": buttons, "direction": "up", "showactive": True, "active": first, "x": -0.16,
        "xanchor": "left", "y": -0.16, "yanchor": "top", "bgcolor": "rgba(196, 185, 174, 0.9)",
        "borderwidth": 0, "pad": {"l": 6, "r": 6, "t": 4, "b": 4},
    }  # fmt: skip


def mobile(fig: go.Figure) -> go.Figure:
    """The figure of :func:`emergence` with its panels one above the other, for narrow screens."""
    return _stacked(fig)


def _stacked(fig: go.Figure) -> go.Figure:
    tall = go.Figure(fig)
    tall.update_layout(
        xaxis_domain=[0.0, 1.0], xaxis2_domain=[0.0, 1.0], yaxis_domain=[0.60, 0.98],
        yaxis2_domain=[0.0, 0.38], height=760, margin={"t": 32, "r": 24, "b": 110, "l": 56},
        legend={
            "orientation": "h", "x": 0.5, "xanchor": "center", "y": -0.08, "yanchor": "top",
            "bgcolor": CLEAR, "borderwidth": 0,
        },
    )  # fmt: skip
    for title, height in zip(tall.layout.annotations[:2], (0.99, 0.43), strict=True):
        title.update(x=0.5, y=height, xanchor="center", yanchor="middle")
    for menu in tall.layout.updatemenus:
        menu.update(x=0.5, xanchor="center", y=-0.22, yanchor="top")
    return tall


def curve_figure(curve: RichardsCurve, *, mobile: bool = False) -> go.Figure:
    """Points and curve of one Richards fit."""
    fig = go.Figure()
    if curve.points is not None:
        x, y, _ = curve.points
        fig.add_scatter(x=x, y=y, mode="markers", name="points", marker={"color": COLOUR})
    if curve.ok:
        pad = 0.1 * (curve.x_max - curve.x_min)
        grid = np.linspace(curve.x_min - pad, curve.x_max + pad, N_GRID)
        fig.add_scatter(
            x=grid, y=curve.predict(grid), mode="lines", name="Richards curve",
            line={"color": COLOUR, "dash": "dash", "width": 1.5},
        )  # fmt: skip
    fig.update_xaxes(title_text="soft metric (more is better)")
    fig.update_yaxes(title_text="accuracy", tickformat=".0%")
    return finish(fig, 320, [str(trace.name) for trace in fig.data], 18, mobile=mobile)
