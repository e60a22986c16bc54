"""L(N, D) surfaces as pictures: contours with runs, residuals, predictions, thresholds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from delphi.figures import theme
from delphi.shorthand import count
from delphi.surfacelaw import SurfaceLaw

__all__ = ["delta_sweep", "surface_contours", "surface_fit_quality", "surface_residuals"]

_GRID = 80
_MARGIN = 0.15  # of the range of each axis, on both sides


def _span(values: Any, margin: float = _MARGIN) -> np.ndarray:
    low, high = np.log10(np.min(values)), np.log10(np.max(values))
    room = margin * max(high - low, 0.1)
    return np.logspace(low - room, high + room, _GRID)


def _hover(points: Any) -> list[str]:
    rows = zip(points["params"], points["tokens"], points["loss"], strict=True)
    return [f"N {count(n)}, D {count(d)}<br>loss {y:.4f}" for n, d, y in rows]


def _runs(points: Any, **marker: Any) -> go.Scatter:
    return go.Scatter(
        x=points["params"].tolist(), y=points["tokens"].tolist(), mode="markers", name="runs",
        marker={"size": 7, "line": {"width": 1, "color": theme.INK}} | marker,
        text=_hover(points), hovertemplate="%{text}<extra></extra>",
    )  # fmt: skip


def surface_contours(law: SurfaceLaw, *, mobile: bool = False) -> go.Figure:
    """Iso-loss contours over params and tokens with the runs and the compute-optimal line.

    Parameters
    ----------
    law : SurfaceLaw
    mobile : bool
        Lay it out for a screen 360 px wide: the scale lies above.

    Returns
    -------
    plotly.graph_objects.Figure
        Runs are coloured by loss on the scale of the contours; rows left out are hollow.
    """
    law.data()
    points = law.points
    drawn = pd.concat([points, law.left_out])
    N, D = _span(drawn["params"]), _span(drawn["tokens"])
    Z = law.predict(N[None, :], D[:, None])
    low, high = float(points["loss"].min()), float(points["loss"].max())
    fig = go.Figure(
        go.Contour(
            x=N.tolist(), y=D.tolist(), z=Z.tolist(), zmin=low, zmax=high, colorscale="Viridis",
            contours={"start": low, "end": high, "size": (high - low) / 14},
            line={"width": 0.5, "color": theme.RULE}, colorbar=_scale(mobile),
            opacity=0.85, hoverinfo="skip",
        )
    )  # fmt: skip
    fig.add_trace(
        _runs(points, color=points["loss"].tolist(), cmin=low, cmax=high, colorscale="Viridis")
    )
    if len(law.left_out):
        fig.add_trace(_runs(law.left_out, color=theme.CLEAR, symbol="x").update(name="left out"))
    if law.A and law.B:
        C = 6 * points["params"] * points["tokens"]
        best = law.optimum(_span(C, 0.3)[::4])
        inside = (best["params"] > N[0]) & (best["params"] < N[-1])
        inside &= (best["tokens"] > D[0]) & (best["tokens"] < D[-1])
        fig.add_trace(
            go.Scatter(
                x=best["params"][inside].tolist(), y=best["tokens"][inside].tolist(),
                mode="lines", name="compute-optimal (C = 6 N D)",
                line={"color": theme.INK, "width": 2, "dash": "dash"}, hoverinfo="skip",
            )
        )  # fmt: skip
    fig.update_xaxes(type="log", title_text="params N")
    fig.update_yaxes(type="log", title_text="tokens D")
    names = ["runs", "left out", "compute-optimal (C = 6 N D)"]
    if mobile:
        return theme.finish(fig, 300, names, top=58, mobile=True)
    return theme.finish(fig, 460, names)


def _scale(mobile: bool) -> dict[str, object]:
    """The colour bar: beside the plot, or above it on a narrow screen."""
    if not mobile:
        return {"title": {"text": "loss"}}
    lying = {"orientation": "h", "x": 0.5, "xanchor": "center", "y": 1.02, "yanchor": "bottom"}
    return lying | {"thickness": 10, "nticks": 5, "title": {"text": "loss", "side": "top"}}


def surface_residuals(law: SurfaceLaw, *, mobile: bool = False) -> go.Figure:
    """Residuals against params and against tokens: what is left should show no trend.

    Parameters
    ----------
    law : SurfaceLaw
    mobile : bool
        Lay it out for a screen 360 px wide: one panel above the other.

    Returns
    -------
    plotly.graph_objects.Figure
        Two panels; the band is Huber's delta where there is one.
    """
    table = law.residuals()
    shape = {"rows": 2, "cols": 1, "vertical_spacing": 0.22} if mobile else {"rows": 1, "cols": 2}
    fig = make_subplots(**shape, shared_yaxes=not mobile, horizontal_spacing=0.05)
    unit = "ln(loss) - ln(law)" if law.space == "log" else "loss - law"
    for k, (name, title) in enumerate((("params", "params N"), ("tokens", "tokens D"))):
        where = {"row": k + 1, "col": 1} if mobile else {"row": 1, "col": k + 1}
        if law.kind == "huber" and law.space == "log":
            # a subplot without traces gets no shape unless it is told to
            fig.add_hrect(
                y0=-law.delta, y1=law.delta, fillcolor=theme.GRID, line_width=0, layer="below",
                exclude_empty_subplots=False, **where,
            )  # fmt: skip
        fig.add_hline(
            y=0, line={"color": theme.RULE, "width": 1}, exclude_empty_subplots=False, **where
        )
        fig.add_trace(
            go.Scatter(
                x=table[name].tolist(), y=table["residual"].tolist(), mode="markers", name="runs",
                showlegend=False, marker={"size": 6, "color": theme.SUITE_COLOURS[0]},
                text=_hover(table), hovertemplate="%{text}<br>residual %{y:.4f}<extra></extra>",
            ),
            **where,
        )  # fmt: skip
        fig.update_xaxes(type="log", title_text=title, **where)
        if mobile or k == 0:
            fig.update_yaxes(title_text=unit, **where)
    return theme.finish(fig, 420 if mobile else 300, [], top=18, mobile=mobile)


def surface_fit_quality(law: SurfaceLaw, *, mobile: bool = False) -> go.Figure:
    """Predicted against observed loss, rows that were left out included.

    Parameters
    ----------
    law : SurfaceLaw
    mobile : bool
        Lay it out for a screen 360 px wide.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    table = law.residuals()
    parts = [("fitted", table, "circle")]
    if len(law.left_out):
        gone = law.left_out.assign(
            predicted=law.predict(law.left_out["params"], law.left_out["tokens"])
        )
        parts.append(("left out", gone, "x"))
    drawn = pd.concat([rows["loss"] for _, rows, _ in parts])
    ends = [float(drawn.min()), float(drawn.max())]
    fig = go.Figure(
        go.Scatter(x=ends, y=ends, mode="lines", name="predicted = observed", hoverinfo="skip",
                   line={"color": theme.RULE, "width": 1})
    )  # fmt: skip
    for k, (name, rows, symbol) in enumerate(parts):
        fig.add_trace(
            go.Scatter(
                x=rows["loss"].tolist(), y=rows["predicted"].tolist(), mode="markers", name=name,
                marker={"size": 6, "symbol": symbol, "color": theme.SUITE_COLOURS[k]},
                text=_hover(rows), hovertemplate="%{text}<br>predicted %{y:.4f}<extra></extra>",
            )
        )  # fmt: skip
    fig.update_xaxes(title_text="observed loss")
    fig.update_yaxes(title_text="predicted loss")
    names = ["predicted = observed", *(name for name, _, _ in parts)]
    return theme.finish(fig, 260 if mobile else 340, names, top=18, mobile=mobile)


def delta_sweep(law: SurfaceLaw, table: Any = None, *, mobile: bool = False) -> go.Figure:
    """The law under several thresholds, from least absolute towards least squares.

    Parameters
    ----------
    law : SurfaceLaw
    table : pandas.DataFrame, optional
        From ``law.delta_table(...)``; its default otherwise.
    mobile : bool
        Lay it out for a screen 360 px wide: one panel above the other.

    Returns
    -------
    plotly.graph_objects.Figure
        Panels of E, alpha, beta and a (the exponent of N*) over delta. Dotted lines are least
        absolute residuals, dashed ones least squares; the law itself is marked.
    """
    rows = law.delta_table() if table is None else table
    huber = rows[rows["kind"] == "huber"]
    n_rows, n_cols = (4, 1) if mobile else (2, 2)
    fig = make_subplots(
        rows=n_rows, cols=n_cols, horizontal_spacing=0.14, vertical_spacing=0.06 if mobile else 0.12
    )
    for k, name in enumerate(("E", "alpha", "beta", "a")):
        where = {"row": k // n_cols + 1, "col": k % n_cols + 1}
        fig.add_trace(
            go.Scatter(
                x=huber["delta"].tolist(), y=huber[name].tolist(), mode="lines+markers",
                showlegend=False, line={"color": theme.SUITE_COLOURS[0]},
                hovertemplate="delta %{x:.3g}<br>%{y:.4f}<extra></extra>",
            ),
            **where,
        )  # fmt: skip
        for kind, dash in (("absolute", "dot"), ("squared", "dash")):
            at = rows.loc[rows["kind"] == kind, name]
            if len(at):
                line = {"color": theme.RULE, "width": 1, "dash": dash}
                fig.add_hline(y=float(at.iloc[0]), line=line, **where)
        fig.update_xaxes(type="log", dtick=1, exponentformat="power", **where)
        fig.update_yaxes(title_text=name, **where)
    fig.update_xaxes(title_text="delta", row=n_rows)
    return theme.finish(fig, 560 if mobile else 460, [], top=18, mobile=mobile)
