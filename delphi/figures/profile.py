"""The profile of a power law's floor as a picture."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from delphi.figures import theme
from delphi.powerlaw import PowerLaw
from delphi.profile import likelihood_bound
from delphi.shorthand import flops

__all__ = ["floor_profile"]


def floor_profile(law: PowerLaw, at: float | None = None) -> go.Figure:
    """How well each floor fits, and the exponent and forecast that go with it.

    Parameters
    ----------
    law : PowerLaw
        Fitted in loss space with a free floor.
    at : float, optional
        Compute of the forecast; 100 times the largest fitted one by default.

    Returns
    -------
    plotly.graph_objects.Figure
        Three panels over L_inf: rms residual, alpha, forecast. The part inside the 95%
        likelihood region of one quantity is drawn bold. Flat is ignorance.
    """
    ahead = 100 * law.compute_max if at is None else float(at)
    table = law.profile([ahead], n=201)
    dof = max(law.n - 3, 1)
    bound = likelihood_bound(law.rss, dof, 0.95)
    inside = (table["rss"] <= bound).to_numpy()
    panels = (
        ("rms residual", np.sqrt(table["rss"] / law.n)),
        ("alpha", table["alpha"]),
        (f"loss at {flops(ahead)} FLOPs", table.iloc[:, -1]),
    )
    fig = make_subplots(rows=1, cols=3, horizontal_spacing=0.09)
    colour = theme.SUITE_COLOURS[0]
    for k, (title, values) in enumerate(panels):
        where = {"row": 1, "col": k + 1}
        for part, width, name in ((~inside, 1.0, "outside"), (inside, 3.5, "inside 95%")):
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
    return theme.finish(fig, 260, ["outside", "inside 95%"])
