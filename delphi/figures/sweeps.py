"""Hyperparameter sweeps: a panel a knob, menus for the cell, the rule's value marked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from delphi.errors import DataError
from delphi.figures import theme
from delphi.shorthand import count

if TYPE_CHECKING:
    import pandas as pd

    from delphi.optimum import Optimum
    from delphi.polynomial import PolynomialLaw
    from delphi.sweeps import Sweep, SweepCell
    from delphi.trials import Hyperparameter

__all__ = ["hparam_scaling", "polynomial_coefficients", "polynomial_optimum"]

Column = NDArray[Any]
Frame = tuple[float, float, float, float]
CURVE = ("value", "x", "mean", "sd", "low", "high")
MARKED = ("value", "x", "mean", "sd", "inside")
MOST_CELLS = 64
MOST_TICKS = 5
BETAS = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9998, 0.9999, 0.99995,
         0.99998)  # fmt: skip
COLOUR = theme.SUITE_COLOURS[0]
RUG = {"color": COLOUR, "size": 9, "opacity": 0.4, "symbol": "line-ns-open",
       "line": {"color": COLOUR, "width": 1.25}}  # fmt: skip
SIDE = 0.045  # of the width of a panel: room for a mark at its end
RUG_ROOM = 0.07  # of the height of a panel: room for the rug below the bands
MARK = {"symbol": "x", "size": 10, "color": theme.INK}
OUTSIDE = {"symbol": "x-open", "size": 10, "color": theme.MUTED}


def axis_ticks(
    h: Hyperparameter, lo: float, hi: float, *, decades: bool = True, room: float = 1.0
) -> tuple[list[float], list[str]]:
    """At most five places on the axis of a hyperparameter, and their values as people write them.

    Logarithmic axes have 1, 2 and 5 times powers of ten (with ``decades`` powers alone where there
    are enough); those of 1 - x the usual momenta. ``room`` is how much of the axis a character may
    take, as a part of 1/40; of ticks whose texts would touch the later one is left out.
    """
    if h.scale == "linear":
        return [], []
    ends = sorted(float(v) for v in h.inverse([lo, hi]))
    if not np.isfinite(ends).all() or not ends[0] < ends[1]:
        return [], []
    if h.scale == "log":
        powers = range(math.floor(math.log10(ends[0])), math.ceil(math.log10(ends[1])) + 1)
        values = [m * 10.0**d for d in powers for m in (1, 2, 5)]
        many = [v for v in values if ends[0] <= v <= ends[1]]
        round_ = [10.0**d for d in powers if ends[0] <= 10.0**d <= ends[1]]
        whole = decades and len(many) > 2 * MOST_TICKS and len(round_) >= 3
        values = round_ if whole else many
        if len(values) < 3:
            values = [float(v) for v in np.geomspace(ends[0], ends[1], 4)]
    else:
        values = [b for b in BETAS if ends[0] <= b <= ends[1]]
        if len(values) < 3:
            values = [float(v) for v in h.inverse(np.linspace(lo, hi, 4))]
    if len(values) > MOST_TICKS:
        picked = np.unique(np.round(np.linspace(0, len(values) - 1, MOST_TICKS)).astype(int))
        values = [values[i] for i in picked]
    places = [(float(h.forward(v)), _value(v)) for v in values]
    kept: list[tuple[float, str]] = []
    for at, text in places:
        need = (len(text) + len(kept[-1][1])) / 2 + 1 if kept else 0
        if not kept or abs(at - kept[-1][0]) >= need * abs(hi - lo) * room / 40:
            kept.append((at, text))
    return [at for at, _ in kept], [text for _, text in kept]


def _value(v: float) -> str:
    if 0.9 < abs(v) < 1:
        return f"{v:.5g}"
    if v == 0 or 1e-2 <= abs(v) < 1e3:
        return f"{v:.3g}"
    mantissa, exponent = f"{v:.1e}".split("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent)}"


def _loss_ticks(lo: float, hi: float) -> list[float]:
    """Round losses between two ends."""
    step = 10.0 ** math.floor(math.log10((hi - lo) / 3))
    step *= next(m for m in (1, 2, 5, 10) if (hi - lo) / (m * step) <= 5)
    return [float(v) for v in np.arange(math.ceil(lo / step), math.floor(hi / step) + 1) * step]


def _label(name: str, value: Any) -> str:
    number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    text = str(value)
    if number:
        text = count(float(value)) if abs(value) >= 1e4 else f"{value:g}"
    return theme.safe(f"{name} = {text}", 32)


def hparam_scaling(
    sweep: Sweep, *, start: Mapping[str, Any] | None = None, mobile: bool = False,
    compat: bool = False,
) -> go.Figure:  # fmt: skip
    """Partial dependence of every hyperparameter, one cell at a time.

    Parameters
    ----------
    sweep : Sweep
        What `delphi.fit_sweep` returned; nothing is fitted again.
    start : mapping, optional
        Values of ``by`` columns of the cell that is shown first; by default the last cell.
    mobile : bool
        Two panels a row instead of three.
    compat : bool
        The notebook's own figure, whose menus each fall back to the first cell in the others.

    Returns
    -------
    plotly.graph_objects.Figure
        Every panel has the trials as a rug, the curve, its band of one standard deviation, and the
        rule's value (hollow where it lies outside the trials). There is a menu for each of the
        first three ``by`` columns, and they keep each other's choice: the first switches traces,
        the second and third move the windows of the y and x axes over the cells side by side.

    Raises
    ------
    DataError
        No cell could be fitted, more than 64 cells or three ``by`` columns, or no cell to start.

    Examples
    --------
    >>> import delphi
    >>> drawn = delphi.simulate_sweep(n_trials=30, cells=1, rng=0)
    >>> sweep = delphi.fit_sweep(drawn.trials, hparams=["lr", "adam_lr"], n_restarts=0, n_jobs=1)
    >>> fig = hparam_scaling(sweep)
    """
    if compat:
        from delphi.figures import compat_sweeps

        wide = compat_sweeps.hparam_scaling(sweep)
        return compat_sweeps.three_by_two(wide) if mobile else wide
    cells = [c for c in sweep.cells if c.ok]
    if not cells or len(cells) > MOST_CELLS or len(sweep.by) > 3:
        raise DataError(f"a figure needs 1 to {MOST_CELLS} fitted cells and at most three by"
                        f" columns, got {len(cells)} and {len(sweep.by)}")  # fmt: skip
    by = list(sweep.by)
    levels = [list(dict.fromkeys(c.key[name] for c in cells)) for name in by]
    first = _first_cell(cells, start)
    n_cols = 2 if mobile else 3
    n_rows = -(-len(sweep.hparams) // n_cols)
    fig = make_subplots(rows=n_rows, cols=n_cols, horizontal_spacing=0.14 if mobile else 0.08,
                        vertical_spacing=0.34 / (n_rows + 1))  # fmt: skip
    panels = [panels_of(sweep, c) for c in cells]
    frames = _roomy(windows(sweep, panels))
    # how far cells of the next level lie apart: windows never touch
    gaps = [(3 * (f[1] - f[0]), 3 * (f[3] - f[2])) for f in frames]
    # each level has windows of its own: one that holds every cell flattens the curves of most
    own_y, own_x = (_by_level(sweep, cells, panels, by, levels, m) for m in (1, 2))
    owners: list[SweepCell | None] = []
    traces: list[dict[str, Any]] = []
    grid = fig._grid_ref
    for c, own in zip(cells, panels, strict=True):
        place = [levels[i].index(c.key[name]) for i, name in enumerate(by)]
        shift_y = place[1] if len(by) > 1 else 0
        shift_x = place[2] if len(by) > 2 else 0
        for p, h in enumerate(sweep.hparams):
            dx, dy = gaps[p][0] * shift_x, gaps[p][1] * shift_y
            axis = "" if p == 0 else str(p + 1)
            for trace in _traces(sweep, own[p], h, own_y[shift_y][p], dx, dy):
                traces.append({**trace, "xaxis": f"x{axis}", "yaxis": f"y{axis}"})
                owners.append(c)
    # checked once by plotly, as a whole: trace by trace it takes longer than the fits
    keys = _keys(sweep)
    traces += keys
    shown = [first.key[name] for name in by]
    seen = _visible(len(traces), owners, by, shown)
    drawn = [{**t, "visible": on} for t, on in zip(traces, seen, strict=True)]
    fig = go.Figure({"data": drawn, "layout": fig.layout.to_plotly_json()})
    fig._grid_ref = grid
    names = [str(key["name"]) for key in keys]
    _axes(fig, sweep, own_x, own_y, gaps, levels, shown, n_cols)
    n_menus = sum(len(level) > 1 for level in levels)
    top = 30 + 46 * (n_menus if mobile else min(n_menus, 1))
    theme.finish(fig, 250 * n_rows + 60, names, top, mobile=mobile, room=24 if mobile else 0)
    # one angle for all: plotly would turn the ticks of some panels only
    fig.update_xaxes(tickangle=45 if mobile else 0, tickfont_size=10)
    _menus(fig, sweep, owners, levels, shown, own_x, own_y, gaps, mobile)
    return fig


def _first_cell(cells: list[SweepCell], start: Mapping[str, Any] | None) -> SweepCell:
    for c in reversed(cells):
        if all(c.key.get(k) == v for k, v in (start or {}).items()):
            return c
    raise DataError(f"start: no fitted cell has {dict(start or {})}")


def _by_level(
    sweep: Sweep, cells: list[SweepCell], panels: list[list[Panel]], by: list[str],
    levels: list[list[Any]], m: int,
) -> list[Any]:  # fmt: skip
    """`windows` of the cells of each level of a menu; of all cells where there is no such menu."""
    if m >= len(by):
        return [_roomy(windows(sweep, panels))]
    key = by[m]
    return [
        _roomy(
            windows(
                sweep, [own for c, own in zip(cells, panels, strict=True) if c.key[key] == value]
            )
        )
        for value in levels[m]
    ]


class Panel(NamedTuple):
    """Columns of one hyperparameter in one cell: its curve, the rule's mark, the trials."""

    curve: dict[str, Column]
    mark: dict[str, Column]
    trials: Column


def panels_of(sweep: Sweep, c: SweepCell) -> list[Panel]:
    """What each panel shows of a cell; the tables are taken apart once, it is the quick way."""
    parts = []
    for table, names in ((c.curves, CURVE), (c.rules, MARKED)):
        owner = table["hparam"].to_numpy()
        parts.append((owner, {name: table[name].to_numpy(float) for name in names}))
    used = c.trials.loc[c.trials["used"]]
    found = []
    for h in sweep.hparams:
        curve, mark = ({n: v[owner == h.name] for n, v in own.items()} for owner, own in parts)
        trials = used[h.name].to_numpy(float) if len(curve["x"]) else np.empty(0)
        found.append(Panel(curve, mark, trials))
    return found


def _roomy(frames: list[Frame]) -> list[Frame]:
    """Windows with room for a mark at each side, and for the rug below."""
    out = []
    for lo, hi, low, high in frames:
        side = SIDE * (hi - lo)
        out.append((lo - side, hi + side, low - RUG_ROOM * (high - low), high))
    return out


def windows(sweep: Sweep, panels: list[list[Panel]]) -> list[Frame]:
    """What each panel must hold: x and y from the curves, bands, trials and marks of all cells."""
    out = []
    for p in range(len(sweep.hparams)):
        xs, ys = [], []
        for own in panels:
            curve, mark, _ = own[p]
            if len(curve["x"]):
                xs += [curve["x"].min(), curve["x"].max(), *mark["x"]]
                ys += [curve["low"].min(), curve["high"].max(), *mark["mean"]]
        if not xs:
            out.append((0.0, 1.0, 0.0, 1.0))
            continue
        lo, hi, low, high = (float(v) for v in (min(xs), max(xs), min(ys), max(ys)))
        out.append((lo, max(hi, lo + 1e-9), low, high + 0.04 * max(high - low, 1e-6)))
    return out


def _traces(
    sweep: Sweep, own: Panel, h: Hyperparameter, frame: tuple[float, ...], dx: float, dy: float
) -> list[dict[str, Any]]:
    """Rug, curve, band and mark of one panel in one cell, always four traces."""
    curve, mark, trials = own
    x = (curve["x"] + dx).tolist()
    ends = (curve["high"] + dy).tolist(), (curve["low"] + dy).tolist()
    quiet: dict[str, Any] = {"showlegend": False, "visible": False, "hoverinfo": "skip"}
    inside = bool(mark["inside"].all())
    name = theme.safe(sweep.rule or "") + ("" if inside else " (outside the trials)")
    return [
        _scatter(x=(h.forward(trials) + dx).tolist(), y=[frame[2] + dy] * len(trials),
                   mode="markers", marker=RUG, **quiet),
        _scatter(x=x, y=(curve["mean"] + dy).tolist(), mode="lines", showlegend=False,
                   visible=False, line={"width": 2.25, "color": COLOUR, "simplify": False},
                   text=_said(h, curve), hovertemplate="%{text}<extra></extra>"),
        _scatter(x=x + x[::-1], y=ends[0] + ends[1][::-1], mode="lines", fill="toself",
                   fillcolor=theme.light(COLOUR, 0.16), line={"width": 0, "simplify": False},
                   **quiet),
        _scatter(x=(mark["x"] + dx).tolist(), y=(mark["mean"] + dy).tolist(), mode="markers",
                   marker=MARK if inside else OUTSIDE, showlegend=False, visible=False,
                   text=_said(h, mark), hovertemplate=f"{name}<br>%{{text}}<extra></extra>"),
    ]  # fmt: skip


def _said(h: Hyperparameter, table: dict[str, Column]) -> list[str]:
    """Hyperparameter, loss and its standard deviation of every point, for the pointer."""
    label = theme.safe(h.label)
    rows = zip(*(table[name].tolist() for name in ("value", "mean", "sd")), strict=True)
    return [f"{label} {v:.4g}<br>loss {m:.4f} \u00b1 {e:.4f}" for v, m, e in rows]


def _scatter(**parts: Any) -> dict[str, Any]:
    return {"type": "scatter", **parts}


def _keys(sweep: Sweep) -> list[dict[str, Any]]:
    """Legend entries, which no menu hides."""
    entries: list[tuple[str, dict[str, Any]]] = [
        ("trials", {"mode": "markers", "marker": RUG}),
        ("mean loss", {"mode": "lines", "line": {"color": COLOUR, "width": 2.25}}),
    ]
    if sweep.rule:
        entries.append((theme.safe(sweep.rule), {"mode": "markers", "marker": MARK}))
        if len(sweep.rules) and not sweep.rules["inside"].all():
            name = f"{theme.safe(sweep.rule)}, outside the trials"
            entries.append((name, {"mode": "markers", "marker": OUTSIDE}))
    return [
        _scatter(x=[None], y=[None], name=name, showlegend=True, **look) for name, look in entries
    ]


def _visible(n: int, owners: list[Any], by: list[str], shown: list[Any]) -> list[bool]:
    """Which traces are on: those of the cells that agree in the first ``by`` column."""
    on = [all(c.key[k] == v for k, v in zip(by[:1], shown, strict=False)) for c in owners]
    return on + [True] * (n - len(on))


def _x_window(h: Hyperparameter, frame: tuple[float, ...], dx: float) -> dict[str, Any]:
    lo, hi = frame[0], frame[1]
    ticks, texts = axis_ticks(h, lo, hi)
    window: dict[str, Any] = {"range": [lo + dx, hi + dx]}
    if ticks:
        window |= {"tickmode": "array", "tickvals": [t + dx for t in ticks], "ticktext": texts}
    elif dx:
        places = _loss_ticks(lo, hi)
        window |= {"tickmode": "array", "tickvals": [t + dx for t in places],
                   "ticktext": [f"{t:g}" for t in places]}  # fmt: skip
    return window


def _y_window(frame: tuple[float, ...], dy: float) -> dict[str, Any]:
    ticks = _loss_ticks(frame[2], frame[3])
    texts = [f"{t:.6g}" for t in ticks]
    return {"range": [frame[2] + dy, frame[3] + dy], "tickmode": "array",
            "tickvals": [t + dy for t in ticks], "ticktext": texts}  # fmt: skip


def _axes(
    fig: go.Figure, sweep: Sweep, own_x: list[Any], own_y: list[Any], gaps: list[Any],
    levels: list[list[Any]], shown: list[Any], n_cols: int,
) -> None:  # fmt: skip
    at_y = levels[1].index(shown[1]) if len(levels) > 1 else 0
    at_x = levels[2].index(shown[2]) if len(levels) > 2 else 0
    n_rows = -(-len(sweep.hparams) // n_cols)
    for p in range(n_rows * n_cols):
        where = {"row": p // n_cols + 1, "col": p % n_cols + 1}
        if p >= len(sweep.hparams):
            fig.update_xaxes(visible=False, **where)
            fig.update_yaxes(visible=False, **where)
            continue
        h = sweep.hparams[p]
        fig.update_xaxes(title_text=theme.safe(h.label),
                         **_x_window(h, own_x[at_x][p], gaps[p][0] * at_x), **where)  # fmt: skip
        fig.update_yaxes(**_y_window(own_y[at_y][p], gaps[p][1] * at_y), **where)
        if p % n_cols == 0:
            fig.update_yaxes(title_text=theme.safe(sweep.metric, 28), **where)


def _menus(
    fig: go.Figure, sweep: Sweep, owners: list[Any], levels: list[list[Any]], shown: list[Any],
    own_x: list[Any], own_y: list[Any], gaps: list[Any], mobile: bool,
) -> None:  # fmt: skip
    by, menus = list(sweep.by), []
    # plotly names the axes x, x2, ... in the order of panels
    axes = ["" if p == 0 else str(p + 1) for p in range(len(sweep.hparams))]
    for m, name in enumerate(by):
        if len(levels[m]) < 2:
            continue
        buttons = []
        for i, value in enumerate(levels[m]):
            act: dict[str, Any]
            if m == 0:
                seen = _visible(len(fig.data), owners, by, [value])
                act = {"method": "restyle", "args": [{"visible": seen}]}
            else:
                windows = {}
                for p, axis in enumerate(axes):
                    window = (
                        _y_window(own_y[i][p], gaps[p][1] * i) if m == 1
                        else _x_window(sweep.hparams[p], own_x[i][p], gaps[p][0] * i)
                    )  # fmt: skip
                    for key, part in window.items():
                        windows[f"{'yx'[m - 1]}axis{axis}.{key}"] = part
                act = {"method": "relayout", "args": [windows]}
            buttons.append({"label": _label(name, value), **act})
        menus.append({
            "name": theme.safe(name, 32), "buttons": buttons, "direction": "down",
            "showactive": True, "active": levels[m].index(shown[m]), "x": 0 if mobile else m * 0.24,
            "xanchor": "left", "y": 1.0, "yanchor": "bottom", "pad": {"b": 14},
            "bgcolor": "rgba(255, 255, 255, 0.9)", "bordercolor": theme.GRID,
        })  # fmt: skip
    if mobile:  # one under the other: two have no room side by side
        for place, menu in enumerate(reversed(menus)):
            menu["pad"] = {"b": 14 + 46 * place}
    fig.update_layout(updatemenus=menus)


def polynomial_optimum(optimum: Optimum, *, mobile: bool = False) -> go.Figure:
    """Where a quadratic law is lowest: its point, intervals, and the joint region of two features.

    `mobile` is for a screen 360 px wide.

    Raises
    ------
    DataError
        The law has no minimum, or more than two features are free.

    Examples
    --------
    >>> import delphi
    >>> law = delphi.PolynomialLaw.from_coefficients({"1": 3, "log_lr": 3, "log_lr^2": 0.5}, ["lr"])
    >>> fig = polynomial_optimum(law.optimum(["lr"], {}))
    """
    if not optimum.ok or len(optimum.values) > 2:
        raise DataError(f"one or two free features with a minimum can be drawn: {optimum.status}")
    fig, names = go.Figure(), list(optimum.values)
    rows = {row.feature: row for row in optimum.intervals.itertuples(index=False)}
    level = f"{optimum.intervals['level'].iloc[0]:.0%}"
    if len(names) == 2 and np.isfinite(optimum.covariance).all():
        edge = optimum.region(float(optimum.intervals["level"].iloc[0]))
        fig.add_trace(go.Scatter(x=edge[names[0]].tolist(), y=edge[names[1]].tolist(), mode="lines",
                                 fill="toself", fillcolor=theme.light(COLOUR), hoverinfo="skip",
                                 line={"color": COLOUR, "width": 1},
                                 name=f"{level} region of both"))  # fmt: skip
        for axis, name in zip("xy", names, strict=True):
            ends = np.log10([edge[name].min(), edge[name].max()])
            room = 0.05 * float(np.ptp(ends))
            fig.update_layout({f"{axis}axis_range": [ends[0] - room, ends[1] + room]})
    y_value = optimum.values[names[1]] if len(names) == 2 else optimum.loss
    bars: dict[str, Any] = {}
    for axis, name in zip("xy", names, strict=False):
        row, at = rows[name], optimum.values[name]
        if np.isfinite(row.low):
            bars[f"error_{axis}"] = {"type": "data", "array": [row.high - at],
                                     "arrayminus": [at - row.low], "color": theme.INK}  # fmt: skip
    label = f"lowest, {level} of each" if bars else "lowest"
    fig.add_trace(go.Scatter(x=[optimum.values[names[0]]], y=[y_value], mode="markers", name=label,
                             marker=MARK, **bars))  # fmt: skip
    # plotly turns the long numbers of a narrow range
    fig.update_xaxes(title_text=theme.safe(names[0]), type="log", nticks=5, tickangle=0)
    if len(names) == 2:
        fig.update_yaxes(title_text=theme.safe(names[1]), type="log")
    else:
        fig.update_yaxes(title_text="law at its lowest")
    names = [str(trace.name) for trace in fig.data]
    return theme.finish(fig, 300 if mobile else 340, names, mobile=mobile)


def polynomial_coefficients(law: PolynomialLaw, *, mobile: bool = False) -> go.Figure:
    """Coefficients of a polynomial law as bars, one colour a group; the intercept left out.

    Examples
    --------
    >>> import delphi
    >>> law = delphi.PolynomialLaw.from_coefficients({"1": 3, "log_lr^2": 0.5}, ["lr"])
    >>> fig = polynomial_coefficients(law)
    """
    fig = go.Figure()
    table: pd.DataFrame = law.coefficients.iloc[: len(theme.SUITE_COLOURS)]
    for colour, (label, row) in zip(theme.SUITE_COLOURS, table.iterrows(), strict=False):
        own = row.drop("1")
        fig.add_trace(go.Bar(y=[theme.safe(t) for t in own.index], x=own.tolist(), orientation="h",
                             name=_group_name(law, label), marker={"color": colour}))  # fmt: skip
    unit = f"({theme.safe(law.target, 28)} per power of a decade)"
    fig.update_xaxes(title_text=f"Coefficient{'<br>' if mobile else ' '}{unit}")
    fig.update_yaxes(autorange="reversed")
    names = [_group_name(law, label) for label in table.index]
    height = 60 + 22 * len(law.terms) * max(1, len(names))
    return theme.finish(fig, height, names, 18, mobile=mobile, room=18 if mobile else 0)


def _group_name(law: PolynomialLaw, label: Any) -> str:
    """A group, with what failed where it has no coefficients to draw."""
    name = theme.safe(label)
    fit = law.fits.loc[label]
    return f"{name} ({fit['status']})" if fit["status_code"] < 0 else name
