"""The search for a configuration as a picture: which method can be trusted from which prefix."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from delphi.configs import ConfigSearch
from delphi.figures import theme

__all__ = ["config_map"]

ROW = 26  # pixels of height of a method
LEAST_SHARE, MOST_SHARE = 0.25, 4.0  # of the target: where the colours end


def config_map(found: ConfigSearch, *, mobile: bool = False) -> go.Figure:
    """Worst error of every method (rows) from every prefix (columns), in units of the target.

    Parameters
    ----------
    found : ConfigSearch
    mobile : bool
        For a screen 360 px wide.

    Returns
    -------
    plotly.graph_objects.Figure
        Numbers are worst errors in thousandths of a nat, bold where the configuration qualifies; an
        empty cell is a method without a forecast for every run. A frame marks the one chosen.
    """
    worst = found.table.pivot(index="method", columns="prefix", values="worst")
    order = worst.replace(np.inf, np.nan).min(axis=1).sort_values(ascending=False).index
    worst = worst.loc[order]
    z = worst.to_numpy(float)
    finite = np.isfinite(z)
    share = np.where(finite, z / found.target, np.nan)
    text = np.where(finite, np.char.mod("%.0f", np.where(finite, 1e3 * z, 0)), "")
    text = np.where(
        finite & (z <= found.target), np.char.add(np.char.add("<b>", text), "</b>"), text
    )
    low, high = np.log10(LEAST_SHARE), np.log10(MOST_SHARE)
    ticks = [LEAST_SHARE, 1, MOST_SHARE]
    columns = [f"{p:g}" for p in worst.columns]
    methods = [theme.safe(m) for m in worst.index]
    fig = go.Figure(
        go.Heatmap(
            x=columns,
            y=methods,
            z=np.log10(np.where(finite, np.maximum(share, 1e-12), np.nan)),
            zmin=low,
            zmax=high,
            text=text,
            texttemplate="%{text}",
            textfont={"size": 9 if mobile else 11},
            customdata=np.dstack((z, share)),
            hovertemplate=(
                "%{y} from prefix %{x}<br>worst error %{customdata[0]:.4f}, "
                "%{customdata[1]:.2f} times the target<extra></extra>"
            ),
            colorscale=[[0, "#2b7a78"], [0.5, "#f5f2e8"], [1, "#b5483a"]],
            colorbar={
                "title": {"text": "worst error<br>over target"},
                "tickvals": np.log10(ticks),
                "ticktext": [f"{t:g}" for t in ticks],
                "thickness": 12,
            },
            showscale=not mobile,
            xgap=1,
            ygap=1,
        )
    )
    best = found.best
    if best is not None:
        x, y = columns.index(f"{best['prefix']:g}"), methods.index(theme.safe(best["method"]))
        fig.add_shape(
            type="rect", x0=x - 0.5, x1=x + 0.5, y0=y - 0.5, y1=y + 0.5,
            line={"color": "#111111", "width": 2},
        )  # fmt: skip
    fig.update_xaxes(title_text="Prefix used", type="category")
    fig.update_yaxes(type="category", tickfont_size=10 if mobile else 12)
    runs = int(found.table["n_runs"].max())
    title = f"Worst error on {runs} runs, thousandths; bold: within {found.target:g}"
    fig.update_layout(title={"text": title, "font_size": 12 if mobile else 14})
    fig = theme.finish(fig, ROW * len(methods) + 10, [], top=44, mobile=mobile)
    return fig.update_layout(margin_l=104 if mobile else 140)
