"""The notebook's figure of its sweep: its look, its menus, its stacked layout."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from delphi.errors import DataError
from delphi.figures import theme
from delphi.figures.sweeps import COLOUR, MOST_CELLS, axis_ticks, panels_of, windows

if TYPE_CHECKING:
    from delphi.sweeps import Sweep, SweepCell
    from delphi.trials import Hyperparameter

__all__ = ["hparam_scaling", "three_by_two"]

COLUMNS = 3
LETTERS = {"batch_size": "B", "hidden_dim": "H", "token_bucket": "T"}
TITLES = {"batch_size": "Batch size", "hidden_dim": "Hidden dim", "token_bucket": "Token horizon"}
MENU_AT = (0.0, 0.20, 0.42)
FIRST = {"token_bucket": "2.5B"}  # the last level of the other menus
KEYS = ("Sampled runs", "Sensitivity curve", "Our Heuristic")
LOSS = "Paloma loss"
RUG = {"color": COLOUR, "size": 10, "opacity": 0.35, "symbol": "line-ns-open",
       "line": {"color": COLOUR, "width": 1.5}}  # fmt: skip
LINE = {"color": COLOUR, "width": 2.5}
MARK = {"symbol": "x", "size": 11, "color": theme.INK, "line": {"width": 3, "color": theme.INK}}
GROUND = "rgba(196,185,174,0.9)"


def hparam_scaling(sweep: Sweep) -> go.Figure:
    """Partial dependence in every cell, with three menus that each fall back on the first cell.

    Parameters
    ----------
    sweep : Sweep
        What `delphi.compat.fit_sweep_cells` returned.

    Returns
    -------
    plotly.graph_objects.Figure
        Four traces a hyperparameter and cell; empty ones where there is no such cell.

    Raises
    ------
    DataError
        No cell could be fitted, more than 64 combinations, or other menus than the notebook's.
    """
    cells = {tuple(c.key[k] for k in sweep.by): c for c in sweep.cells if c.ok}
    if not cells or tuple(sweep.by) != tuple(LETTERS):
        raise DataError("the notebook's sweep figure needs a fitted cell, and cells by "
                        f"{', '.join(LETTERS)}; got {len(cells)}, by {sweep.by}")  # fmt: skip
    levels = [sorted({key[i] for key in cells}) for i in range(len(sweep.by))]
    every = list(itertools.product(*levels))
    if len(every) > MOST_CELLS:
        raise DataError(f"a figure holds {MOST_CELLS} cells, got {len(every)}")
    frames = windows(sweep, [panels_of(sweep, c) for c in cells.values()])
    traces, owners = [], []
    for key in every:
        for p, h in enumerate(sweep.hparams):
            axis = "" if p == 0 else str(p + 1)
            for trace in _traces(cells.get(key), h, frames[p]):
                traces.append({**trace, "xaxis": f"x{axis}", "yaxis": f"y{axis}"})
                owners.append(key)
    start = tuple(
        FIRST[name] if FIRST.get(name) in level else level[-1]
        for name, level in zip(sweep.by, levels, strict=True)
    )
    keys = [
        {"mode": "markers", "marker": RUG}, {"mode": "lines", "line": LINE},
        {"mode": "markers", "marker": MARK},
    ]  # fmt: skip
    traces += [
        {"type": "scatter", "x": [None], "y": [None], "name": name, "showlegend": True, **look}
        for name, look in zip(KEYS, keys, strict=True)
    ]
    seen = _visible(owners, start)
    grid = make_subplots(
        rows=-(-len(sweep.hparams) // COLUMNS), cols=COLUMNS, horizontal_spacing=0.10,
        vertical_spacing=0.16,
    )  # fmt: skip
    data = [{**trace, "visible": on} for trace, on in zip(traces, seen, strict=True)]
    # checked once by plotly, as a whole: trace by trace it takes longer than the fits
    layout = {k: v for k, v in grid.layout.to_plotly_json().items() if k != "template"}
    fig = go.Figure({"data": data, "layout": layout})
    fig.update_layout(_axes(sweep, frames, grid))
    fig.update_layout(
        updatemenus=[
            _menu(i, name, levels[i], start, owners) for i, name in enumerate(sweep.by)
        ],
        annotations=[
            {
                "text": TITLES[name], "x": x, "xref": "paper", "xanchor": "left", "y": 1.1,
                "yref": "paper", "yanchor": "bottom", "showarrow": False, "font": {"size": 12},
            }
            for name, x in zip(sweep.by, MENU_AT, strict=True)
        ],
        legend={
            "x": 0.867, "xanchor": "center", "y": 0.21, "yanchor": "middle", "borderwidth": 0,
            "bgcolor": "rgba(196,185,174,0.8)",
        },
        margin={"t": 80, "r": 30, "b": 10, "l": 60},
        plot_bgcolor=theme.CLEAR, paper_bgcolor=theme.CLEAR,
    )  # fmt: skip
    return fig


def _traces(
    cell: SweepCell | None, h: Hyperparameter, frame: tuple[float, float, float, float]
) -> list[dict[str, Any]]:
    """Rug, curve, band and mark; empty where there is no cell."""
    quiet: dict[str, Any] = {"type": "scatter", "showlegend": False}
    own = None if cell is None else cell.curves[cell.curves["hparam"] == h.name]
    if cell is None or own is None or own.empty:
        return [{"type": "scatter", "x": [], "y": [], "mode": "markers"}] * 4
    mark = cell.rules[cell.rules["hparam"] == h.name]
    trials = h.forward(cell.trials.loc[cell.trials["used"], h.name].to_numpy(float))
    x, high, low = (own[name].tolist() for name in ("x", "high", "low"))
    beyond = "" if mark["inside"].all() else " (extrapolated)"
    return [
        quiet | {"x": trials.tolist(), "y": [frame[2]] * len(trials), "mode": "markers",
                 "marker": RUG, "hoverinfo": "skip"},
        quiet | {"x": x, "y": own["mean"].tolist(), "mode": "lines", "line": LINE,
                 "hoverinfo": "skip"},
        quiet | {"x": x + x[::-1], "y": high + low[::-1], "fill": "toself", "line": {"width": 0},
                 "fillcolor": theme.light(COLOUR, 0.15), "hoverinfo": "skip"},
        quiet | {"x": mark["x"].tolist(), "y": mark["mean"].tolist(), "mode": "markers",
                 "marker": MARK, "customdata": mark[["value"]].to_numpy(float).tolist(),
                 "hovertemplate": f"CompletedAdamH{beyond}<br>{theme.safe(h.label)}="
                 "%{customdata[0]:.3g}<br>PDP loss=%{y:.4f}<extra></extra>"},
    ]  # fmt: skip


def _visible(owners: list[tuple[Any, ...]], key: tuple[Any, ...]) -> list[bool]:
    return [owner == key for owner in owners] + [True] * len(KEYS)


def _menu(
    i: int, name: str, level: list[Any], start: tuple[Any, ...], owners: list[tuple[Any, ...]]
) -> dict[str, Any]:
    buttons = [
        {
            "label": theme.safe(f"{LETTERS[name]} = {value}", 32), "method": "update",
            "args": [{"visible": _visible(owners, (*start[:i], value, *start[i + 1 :]))}],
        }
        for value in level
    ]  # fmt: skip
    return {
        "buttons": buttons, "direction": "down", "showactive": True,
        "active": level.index(start[i]), "bgcolor": GROUND, "borderwidth": 0, "x": MENU_AT[i],
        "xanchor": "left", "y": 1.11, "yanchor": "top",
    }  # fmt: skip


def _axes(sweep: Sweep, frames: list[Any], grid: go.Figure) -> dict[str, Any]:
    """Titles, ranges and ticks of every panel; panels without a hyperparameter are hidden."""
    out: dict[str, Any] = {}
    panels = sum(1 for name in grid.layout.to_plotly_json() if name.startswith("xaxis"))
    for p in range(panels):
        axis = "axis" if p == 0 else f"axis{p + 1}"
        if p >= len(sweep.hparams):
            out[f"x{axis}"], out[f"y{axis}"] = {"visible": False}, {"visible": False}
            continue
        h, (lo, hi, bottom, top) = sweep.hparams[p], frames[p]
        at, text = axis_ticks(h, lo, hi, decades=False, room=0)
        marks = {"tickmode": "array", "tickvals": at, "ticktext": text} if at else {}
        out[f"x{axis}"] = {"title": {"text": theme.safe(h.label)}, "range": [lo, hi], **marks}
        title = {"title": {"text": LOSS}} if p % COLUMNS == 0 else {}
        out[f"y{axis}"] = {"range": [bottom, top], **title}
    return out


def three_by_two(fig: go.Figure) -> go.Figure:
    """The figure of five panels with two panels a row, for a narrow screen.

    The captions over the menus go: what is chosen in them says the same.
    """
    tall = go.Figure(fig)
    columns, rows = ([0.0, 0.45], [0.55, 1.0]), ([0.72, 1.0], [0.36, 0.64], [0.0, 0.28])
    changes: dict[str, Any] = {}
    for p in range(6):
        axis = "axis" if p == 0 else f"axis{p + 1}"
        changes[f"x{axis}"] = {"domain": columns[p % 2], "tickangle": 45}
        title = None if p % 2 else LOSS
        changes[f"y{axis}"] = {"domain": rows[p // 2], "title": {"text": title}}
    tall.update_layout(
        **changes, height=900, margin={"t": 36, "r": 0, "b": 0, "l": 0},
        legend={
            "x": 1.02, "xanchor": "right", "y": 0.10, "yanchor": "bottom", "borderwidth": 0,
            "bgcolor": "rgba(196,185,174,0.8)",
        },
    )  # fmt: skip
    tall.layout.annotations = None
    for menu, x in zip(tall.layout.updatemenus, np.array([0.0, 0.36, 0.70]), strict=False):
        menu.update(x=float(x), xanchor="left", y=1.0, yanchor="bottom")
    return tall
