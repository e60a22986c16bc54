"""One suite against another: the compute that matches it, and how likely it is ahead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from delphi.errors import DataError
from delphi.figures import theme

if TYPE_CHECKING:
    from delphi.speedup import Speedup

__all__ = ["speedup_curve"]

ROOM = 1.25  # factor left free above and below the ends of the bars
NEVER = "not reached"


def speedup_curve(speedup: Speedup, *, mobile: bool = False) -> go.Figure:
    """How much more compute the other suite needs, and the probability that it is behind.

    Parameters
    ----------
    speedup : Speedup
        What `delphi.effective_speedup` returned.
    mobile : bool
        For a screen 360 px wide.

    Returns
    -------
    plotly.graph_objects.Figure
        Above, the median factor with its interval against compute: above 1 the first suite is
        ahead. An arrow where the median draw of the other suite never gets there; a bar that ends
        at the edge where some do not. Below, the probability that the first suite's loss is lower
        at equal compute. Shaded: where the laws cross, if they do in most draws.

    Raises
    ------
    DataError
        Nothing in the table.

    Examples
    --------
    >>> import delphi
    >>> laws = delphi.fit_isoflops(delphi.simulate.ladder(rng=0)).posteriors()
    >>> fig = speedup_curve(delphi.effective_speedup(laws["Aster"], laws["Birch"], [1e21, 1e22]))
    """
    table = speedup.table.sort_values("compute")
    if table.empty:
        raise DataError("nothing to draw: no compute was asked for")
    C = table["compute"].to_numpy(float)
    low, mid, high = (table[name].to_numpy(float) for name in ("low", "mid", "high"))
    finite = np.concatenate([end[np.isfinite(end)] for end in (low, mid, high)] + [[1.0]])
    floor, top = finite.min() / ROOM, finite.max() * ROOM
    fig = make_subplots(
        rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.07, row_heights=[0.62, 0.38]
    )
    colour, level = theme.SUITE_COLOURS[0], float(table["level"].iloc[0])
    reached = np.isfinite(mid)
    name = f"median and {level:.0%} interval"
    said = table[["low", "high", "p_better", "unreachable"]].to_numpy(float)
    hover = (
        "%{x:.3e} FLOPs<br>%{y:.3g} times, %{customdata[0]:.3g} to %{customdata[1]:.3g}"
        "<br>not reached in %{customdata[3]:.0%} of the draws<extra></extra>"
    )
    ends = np.where(np.isfinite(high), high, top)
    fig.add_trace(
        go.Scatter(
            x=C[reached].tolist(), y=mid[reached].tolist(), mode="lines+markers", name=name,
            line={"color": colour, "width": 1.5}, marker={"size": 7, "color": colour},
            error_y={
                "type": "data", "symmetric": False, "color": colour, "thickness": 1.4, "width": 5,
                "array": (ends[reached] - mid[reached]).tolist(),
                "arrayminus": (mid[reached] - low[reached]).tolist(),
            },
            customdata=said[reached].tolist(), hovertemplate=hover,
        ), row=1, col=1,
    )  # fmt: skip
    names = [name]
    if not reached.all():
        names.append(NEVER)
        fig.add_trace(
            go.Scatter(
                x=C[~reached].tolist(), y=[top / ROOM**0.5] * int((~reached).sum()),
                mode="markers", name=NEVER, customdata=said[~reached].tolist(),
                marker={"symbol": "arrow-up", "size": 12, "color": theme.INK},
                hovertemplate="%{x:.3e} FLOPs<br>not reached in %{customdata[3]:.0%} of the draws"
                "<extra></extra>",
            ), row=1, col=1,
        )  # fmt: skip
    fig.add_trace(
        go.Scatter(
            x=C.tolist(), y=table["p_better"].tolist(), mode="lines+markers", showlegend=False,
            line={"color": colour, "width": 1.5}, marker={"size": 7, "color": colour},
            hovertemplate="%{x:.3e} FLOPs<br>ahead with probability %{y:.2f}<extra></extra>",
        ), row=2, col=1,
    )  # fmt: skip
    _add_crossing(fig, speedup)
    rule = {"color": theme.RULE, "width": 1, "dash": "dot"}
    fig.add_hline(y=1.0, line=rule, row=1, col=1)
    fig.add_hline(y=0.5, line=rule, row=2, col=1)
    axis = theme.compute_axis(C.min() / 1.3, C.max() * 1.3)
    title = axis.pop("title_text")
    fig.update_xaxes(**axis)
    fig.update_xaxes(title_text=title, row=2, col=1)
    fig.update_yaxes(
        type="log", range=np.log10([floor, top]).tolist(), title_text="Times the compute",
        row=1, col=1, **_ticks(floor, top),
    )  # fmt: skip
    fig.update_yaxes(title_text="P(ahead)", range=[-0.06, 1.06], row=2, col=1)
    return theme.finish(fig, 400, names, 18, mobile=mobile)


def _ticks(lo: float, hi: float) -> dict[str, Any]:
    """Factors as people say them: 0.5, 1, 2; powers of ten where they span many decades."""
    if hi / lo > 1e3:
        return {"exponentformat": "power", "nticks": 8}
    steps = (1, 2, 5) if hi / lo > 8 else (1, 1.2, 1.5, 2, 3, 4, 5, 6, 8)
    every = [step * 10.0**d for d in range(-6, 7) for step in steps]
    shown = [v for v in every if lo <= v <= hi]
    return {"tickvals": shown, "ticktext": [f"{v:g}" for v in shown]}


def _add_crossing(fig: go.Figure, speedup: Speedup) -> None:
    """The interval of the crossing as an area behind both panels."""
    crossing = speedup.crossing
    if not (crossing["share"] >= 0.5 and np.isfinite([crossing["low"], crossing["high"]]).all()):
        return
    for row in (1, 2):
        fig.add_vrect(
            x0=crossing["low"], x1=crossing["high"], line_width=0, layer="below",
            fillcolor=theme.light(theme.SUITE_COLOURS[1], 0.14), row=row, col=1,
        )  # fmt: skip
    fig.add_annotation(
        x=float(np.log10(crossing["mid"])), y=0.98, xref="x", yref="y domain", showarrow=False,
        text=f"cross in {crossing['share']:.0%}", yanchor="top", font={"size": 11},
    )  # fmt: skip
