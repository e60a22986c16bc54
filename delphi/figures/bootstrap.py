"""Forecasts as fans: what many refitted or drawn laws say at each compute."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from delphi.errors import DataError
from delphi.figures import theme
from delphi.shorthand import flops

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from delphi.bootstrap import BootstrapResult
    from delphi.posterior import LawPosterior

__all__ = ["forecast_fan", "law_fan"]

INNER = (0.8, 0.5)  # shares of the inner bands
OPACITIES = (0.14, 0.3, 0.5)
LINES = 40  # replicates drawn as lines
BINS = 40
N_COMPUTE = 60
REACH = 100.0  # times the largest fitted compute


def forecast_fan(result: BootstrapResult, *, mobile: bool = False) -> go.Figure:
    """The forecasts of a bootstrap against compute, as nested bands; a histogram of a single one.

    Parameters
    ----------
    result : BootstrapResult
        What `delphi.bootstrap_law` or `delphi.bootstrap_ladder` returned.
    mobile : bool
        For a screen 360 px wide.

    Returns
    -------
    plotly.graph_objects.Figure
        Above the median, below what the replicates say beside it: bands of the result's level, 80%
        and 50%, and some replicates as lines, evenly spaced by rank at the largest compute. Without
        the draws only the outer band.

    Raises
    ------
    DataError
        No replicate gave a law.

    Examples
    --------
    >>> import delphi
    >>> ladder = delphi.fit_isoflops(delphi.simulate.ladder(rng=0))
    >>> fig = forecast_fan(delphi.bootstrap_ladder(ladder, "Aster", [1e21, 1e22, 1e23]))
    """
    if not result.n_ok:
        raise DataError("nothing to draw: no replicate gave a law")
    name = f"{result.n_ok:,} of {result.n_requested:,} replicates, {result.kind}"
    if len(result.at) == 1:
        return _histogram(result, name, mobile)
    ends = (result.low, result.median, result.high)
    return _fan(result.at, ends, result.level, result.draws, name, mobile=mobile)


def law_fan(law: LawPosterior, level: float = 0.95, *, mobile: bool = False) -> go.Figure:
    """The draws of a posterior over the compute it was fitted on and two decades beyond.

    Parameters
    ----------
    law : LawPosterior
        From `delphi.fit_posterior` or ``ladder.posteriors()``.
    level : float
        Level of the outer band.
    mobile : bool
        For a screen 360 px wide.

    Returns
    -------
    plotly.graph_objects.Figure

    Raises
    ------
    DataError
        The posterior has no draws.

    Examples
    --------
    >>> import delphi
    >>> ladder = delphi.fit_isoflops(delphi.simulate.ladder(rng=0))
    >>> fig = law_fan(ladder.posteriors()["Aster"])
    """
    if not law.ok:
        raise DataError(f"nothing to draw: {law.status}")
    compute = np.geomspace(law.compute_min, REACH * law.compute_max, N_COMPUTE)
    band = law.interval(compute, level=level)
    ends = tuple(band[name].to_numpy(float) for name in ("low", "mid", "high"))
    name = f"{len(law.draws):,} draws of the posterior"
    fig = _fan(compute, ends, level, law.sample(compute), name, markers=False, mobile=mobile)
    fig.add_vline(x=law.compute_max, line={"color": theme.RULE, "width": 1, "dash": "dot"})
    return fig


def _fan(
    at: NDArray[np.float64], ends: tuple[NDArray[np.float64], ...], level: float,
    draws: NDArray[np.float64] | None, name: str, markers: bool = True,
    mobile: bool = False,
) -> go.Figure:  # fmt: skip
    fig = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.06)
    order = np.argsort(at, kind="stable")
    compute = at[order]
    colour = theme.SUITE_COLOURS[0]
    low, mid, high = (end[order] for end in ends)
    bands = [(level, low, high)]
    lines = np.empty((0, len(compute)))
    if draws is not None and len(draws):
        for share in (s for s in INNER if s < level):
            q = np.quantile(draws[:, order], [(1 - share) / 2, (1 + share) / 2], axis=0)
            bands.append((share, q[0], q[1]))
        ranked = np.argsort(draws[:, order[-1]], kind="stable")
        middles = (np.arange(LINES) + 0.5) / LINES * len(draws)  # not the two most extreme ones
        lines = draws[ranked[np.unique(middles.astype(int))]][:, order]
    for (share, below, above), opacity in zip(bands, OPACITIES, strict=False):
        fig.add_trace(
            go.Scatter(
                x=[*compute.tolist(), *compute[::-1].tolist()],
                y=[*(above - mid).tolist(), *(below - mid)[::-1].tolist()],
                mode="lines", line={"width": 0}, fill="toself", hoverinfo="skip",
                fillcolor=theme.light(colour, opacity), name=f"{share:.0%}",
            ), row=2, col=1,
        )  # fmt: skip
    some = f"{len(lines)} of them"
    if len(lines):
        # One trace, a gap between replicates: forty entries would fill the legend.
        gap = np.full((len(lines), 1), np.nan)
        values = np.hstack((lines - mid, gap)).ravel()
        fig.add_trace(
            go.Scatter(
                x=[None if np.isnan(v) else float(v)
                   for v in np.tile(np.append(compute, np.nan), len(lines))],
                y=[None if np.isnan(v) else float(v) for v in values],
                mode="lines", hoverinfo="skip", name=some,
                line={"width": 0.6, "color": theme.light(theme.INK, 0.35), "simplify": False},
            ), row=2, col=1,
        )  # fmt: skip
    for row, y, width in ((1, mid, 2.25), (2, np.zeros(len(mid)), 1.5)):
        fig.add_trace(
            go.Scatter(
                x=compute.tolist(), y=y.tolist(), mode="lines+markers" if markers else "lines",
                line={"width": width, "color": colour, "simplify": False}, marker={"size": 5},
                name="median", legendgroup="median", showlegend=row == 1,
                customdata=np.column_stack((low, mid, high)).tolist(),
                hovertemplate=(
                    f"%{{x:.3e}} FLOPs<br>median %{{customdata[1]:.4f}}<br>{level:.0%} "
                    "%{customdata[0]:.4f} to %{customdata[2]:.4f}<extra></extra>"
                ),
            ), row=row, col=1,
        )  # fmt: skip
    axis = theme.compute_axis(compute[0] / 1.15, compute[-1] * 1.15)
    title = axis.pop("title_text")
    fig.update_xaxes(**axis)
    fig.update_xaxes(title_text=title, row=2, col=1)
    fig.update_yaxes(title_text="Loss", row=1, col=1)
    fig.update_yaxes(title_text="loss - median", row=2, col=1)
    fig.update_layout(legend_title_text=name)
    names = [f"{b[0]:.0%}" for b in bands] + [some, "median"]
    return theme.finish(fig, 420, names, 18, mobile=mobile)


def _histogram(result: BootstrapResult, name: str, mobile: bool) -> go.Figure:
    """One target: how its forecasts spread, with the ends of the interval as rules."""
    fig = go.Figure()
    low, mid, high = (float(end[0]) for end in (result.low, result.median, result.high))
    if result.draws is not None and len(result.draws):
        heights, edges = np.histogram(result.draws[:, 0], BINS)
        fig.add_trace(
            go.Bar(
                x=((edges[1:] + edges[:-1]) / 2).tolist(), y=heights.tolist(),
                width=np.diff(edges).tolist(), name=name, showlegend=True,
                marker={"color": theme.light(theme.SUITE_COLOURS[0], 0.45), "line": {"width": 0}},
                hovertemplate="loss %{x:.4f}<br>%{y} replicates<extra></extra>",
            )
        )  # fmt: skip
    for x, dash in ((low, "dot"), (mid, "solid"), (high, "dot")):
        fig.add_vline(x=x, line={"color": theme.INK, "width": 1.5, "dash": dash})
    title = f"Loss at {flops(float(result.at[0]))} FLOPs: {mid:.4f}"
    end = "<br>" if mobile else " "
    fig.update_xaxes(title_text=f"{title}{end}[{low:.4f}, {high:.4f}] {result.level:.0%}")
    fig.update_yaxes(title_text="replicates")
    return theme.finish(fig, 300, [name], 18, mobile=mobile, room=18 if mobile else 0)
