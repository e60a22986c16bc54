"""Endpoint laws as a picture: final loss against compute, one colour a recipe."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from plotly.colors import qualitative

from delphi.endpoints import UNIT, EndpointLaws
from delphi.figures import theme
from delphi.figures.lawparts import padded

__all__ = ["endpoint_laws"]

RECIPES = 12  # drawn at most
N_CURVE = 120
HOVER = "%{x:.3g} FLOPs<br>loss %{y:.4f}<extra></extra>"
SYMBOLS = {"fit": "circle", "cut": "circle-open", "held out": "triangle-up"}


def endpoint_laws(laws: EndpointLaws, *, line: bool = False, mobile: bool = False) -> go.Figure:
    """Laws, the runs they were fitted to (dots), runs cut off (circles), held-out runs (triangles).

    Parameters
    ----------
    laws : EndpointLaws
    line : bool
        The log-log lines instead of the laws with a floor.
    mobile : bool
        For a screen 360 px wide.

    Returns
    -------
    plotly.graph_objects.Figure
        Curves are dashed beyond the cutoff. At most twelve recipes are drawn; the title says how
        many there are.
    """
    by = list(laws.by)
    shown = laws.laws.head(RECIPES)
    keys = [", ".join(theme.safe(v) for v in row) for row in shown[by].astype(str).to_numpy()]
    colours = dict(zip(keys, qualitative.Dark24, strict=False))  # more than there are suites
    C = laws.points["compute"].to_numpy()
    lo, hi = padded(float(C.min()), float(C.max()))
    x = np.geomspace(lo, hi, N_CURVE)
    fig = go.Figure()
    for key, (_, law) in zip(keys, shown.iterrows(), strict=True):
        log_x = np.log(x / UNIT)
        if line:
            y = np.exp(law["a"] + law["b"] * log_x)
        else:
            y = law["E"] + law["A"] * np.exp(-law["alpha"] * log_x)
        for inside, dash in ((True, "solid"), (False, "dash")):
            part = x <= laws.cutoff if inside else x >= laws.cutoff
            fig.add_scatter(
                x=x[part], y=y[part], mode="lines", name=key, legendgroup=key,
                line={"color": colours[key], "width": 1.6, "dash": dash}, showlegend=inside,
                hoverinfo="skip",
            )  # fmt: skip
        points = laws.points
        for name in by:
            points = points[points[name] == law[name]]
        for used, symbol in SYMBOLS.items():
            part = points[points["used"] == used]
            fig.add_scatter(
                x=part["compute"], y=part["loss"], mode="markers", name=f"{key}, {used}",
                legendgroup=key, showlegend=False,
                marker={"color": colours[key], "symbol": symbol, "size": 8},
                hovertemplate=f"{key}, {used}<br>" + HOVER,
            )  # fmt: skip
    fig.update_xaxes(theme.compute_axis(lo, hi))
    fig.update_yaxes(title_text="Final loss", type="log" if line else "linear")
    kind = "log L = a + b log C" if line else "E + A C<sup>-alpha</sup>"
    some = "" if len(laws.laws) <= RECIPES else f"; {RECIPES} of {len(laws.laws)} recipes"
    title = f"{kind}; dots fitted, circles cut off, triangles held out{some}"
    fig.update_layout(title={"text": title, "font_size": 10 if mobile else 14})
    return theme.finish(fig, 300 if mobile else 380, keys, top=44, mobile=mobile)
