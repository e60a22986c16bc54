"""The profile of a power law's floor as a picture."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from delphi.figures import theme
from delphi.figures.lawparts import law_words
from delphi.figures.thin import spread
from delphi.powerlaw import PowerLaw
from delphi.profile import likelihood_bound
from delphi.shorthand import flops

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["floor_profile"]

N_FLOORS, N_CURVE = 4001, 241
BESIDE = 2.0  # widths of the 95% region to show at each side of it
LEAST = 0.02  # of all floors there are: the least to show


def floor_profile(law: PowerLaw, at: float | None = None, *, mobile: bool = False) -> go.Figure:
    """How well each floor fits, and the exponent and forecast that go with it.

    Parameters
    ----------
    law : PowerLaw
        Fitted in loss space with a free floor.
    at : float, optional
        Compute of the forecast; 100 times the largest fitted one by default.
    mobile : bool
        One panel under the other, for a screen 360 px wide.

    Returns
    -------
    plotly.graph_objects.Figure
        Three panels over L_inf: rms residual, alpha, forecast. The part inside the 95%
        likelihood region of one quantity is drawn bold, with its neighbourhood. Flat is ignorance.
        Above them stands what the law's status has to say.

    Examples
    --------
    >>> import delphi
    >>> C = [1e18, 1e19, 1e20, 1e21, 1e22, 1e23]
    >>> law = delphi.fit_power_law(C, [4.0, 3.25, 2.75, 2.42, 2.21, 2.07])
    >>> fig = delphi.figures.floor_profile(law)
    """
    ahead = 100 * law.compute_max if at is None else float(at)
    table = law.profile([ahead], n=N_FLOORS)
    dof = max(law.n - 3, 1)
    bound = likelihood_bound(law.rss, dof, 0.95)
    table = _near(table, table["rss"].to_numpy(float) <= bound, law.L_inf)
    inside = (table["rss"] <= bound).to_numpy()
    panels = (
        ("rms residual", np.sqrt(table["rss"] / law.n)),
        ("alpha", table["alpha"]),
        (f"loss at {flops(ahead)} FLOPs", table.iloc[:, -1]),
    )
    fig = (
        make_subplots(rows=3, cols=1, vertical_spacing=0.11)
        if mobile
        else make_subplots(rows=1, cols=3, horizontal_spacing=0.11)
    )
    colour = theme.SUITE_COLOURS[0]
    for k, (title, values) in enumerate(panels):
        where = {"row": k + 1, "col": 1} if mobile else {"row": 1, "col": k + 1}
        # The thin line runs through, so that no gap is left where the bold one begins.
        every = np.ones(len(table), bool)
        for part, width, name in ((every, 1.0, "outside"), (inside, 3.5, "inside 95%")):
            fig.add_trace(
                go.Scatter(
                    x=table["L_inf"].tolist(),
                    y=np.where(part, values, np.nan).tolist(),
                    mode="lines",
                    line={"width": width, "color": colour, "simplify": False},
                    name=name,
                    legendgroup=name,
                    showlegend=k == 0,
                    hovertemplate="L_inf %{x:.4f}<br>%{y:.4g}<extra></extra>",
                ),
                **where,
            )
        fig.add_vline(x=law.L_inf, line={"color": theme.RULE, "width": 1, "dash": "dot"}, **where)
        fig.update_xaxes(title_text="L_inf", **where)
        fig.update_yaxes(title_text=title, **where)
    height = 640 if mobile else 260
    words = law_words(law)
    lines = textwrap.wrap(f"Status of the law: {words}", 44 if mobile else 90) if words else []
    if lines:
        place: dict[str, Any] = {"x": 0, "y": 1, "xref": "paper", "yref": "paper", "yshift": 6}
        look: dict[str, Any] = {"xanchor": "left", "yanchor": "bottom", "align": "left"}
        look["showarrow"] = False
        fig.add_annotation(text="<br>".join(lines), font={"size": 12}, **place, **look)
    top = 18 + 16 * len(lines)
    return theme.finish(fig, height, ["outside", "inside 95%"], top=top, mobile=mobile)


def _near(table: pd.DataFrame, inside: NDArray[np.bool_], best: float) -> pd.DataFrame:
    """The floors of a profile that are inside and those beside them."""
    floors = table["L_inf"].to_numpy(float)
    lo, hi = (floors[inside].min(), floors[inside].max()) if inside.any() else (best, best)
    room = max(BESIDE * (hi - lo), LEAST * (floors[-1] - floors[0]))
    shown = np.flatnonzero((floors >= lo - room) & (floors <= hi + room))
    return table.iloc[shown[spread(len(shown), N_CURVE)]]
