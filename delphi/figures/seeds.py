"""Runs that differ in their seed against the interval that was forecast for them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go

from delphi.figures import theme
from delphi.figures.lawparts import law_words, with_words
from delphi.figures.thin import LABELS, spread
from delphi.heldout import is_crashed
from delphi.runs import round_sig
from delphi.shorthand import flops

if TYPE_CHECKING:
    import pandas as pd

    from delphi.powerlaw import PowerLaw

__all__ = ["lucky_seeds"]

ROW, LEAST = 74, 180  # pixels of height of a compute, and of all of them
NEAR = 1.5  # how many times its row's compute a run may have, or that divided by it
HALF = 0.3  # of a row: half the height of a band
RUNS = "held-out runs, one a seed"


def lucky_seeds(
    runs: pd.DataFrame,
    law: PowerLaw,
    band: pd.DataFrame,
    suite: str,
    *,
    colour: str = theme.SUITE_COLOURS[0],
    mobile: bool = False,
) -> go.Figure:
    """Held-out runs as percent off the forecast, over the forecast's interval.

    Parameters
    ----------
    runs : DataFrame
        Standard columns, as from :func:`delphi.read_runs`; the held-out runs of `suite` are drawn
        (``run_type == "optimal"``), each in the row of the nearest compute of `band`. Those more
        than a factor of 1.5 from it are counted, not drawn.
    law : PowerLaw
        The point forecast. A run is compared with the law at the run's own compute.
    band : DataFrame
        compute, low, high, level and method, one row a compute, as from
        ``BootstrapResult.to_frame()`` or ``LawPosterior.interval()``.
    suite : str
    colour : str
        Of the suite, as in the other figures: ``theme.suite_colours(ladder.suites)[suite]``.
    mobile : bool
        Lay it out for a screen 360 px wide.

    Returns
    -------
    plotly.graph_objects.Figure
        Runs without a final loss are counted in words instead of drawn. Of many computes some are
        drawn, evenly spaced.

    Examples
    --------
    >>> import delphi
    >>> runs = delphi.simulate.ladder(seeds=3, rng=0)
    >>> ladder = delphi.fit_isoflops(runs)
    >>> band = delphi.bootstrap_ladder(ladder, "Aster", [1e21, 1e22], n=200)
    >>> law = ladder.laws()["Aster"]
    >>> fig = delphi.figures.lucky_seeds(runs, law, band.to_frame(), "Aster")
    """
    band = band.sort_values("compute")
    band = band.iloc[spread(len(band), LABELS)].reset_index(drop=True)
    at = band["compute"].to_numpy(float)
    held = runs[(runs["suite"] == suite) & (runs["run_type"] == "optimal")]
    held = held.assign(row=_nearest(held["flops"].to_numpy(float), at))
    elsewhere = int((held["row"] < 0).sum())
    held = held[held["row"] >= 0]
    ended = is_crashed(held["state"]).to_numpy(bool) & bool(len(held))
    finished = held[~ended]
    lost = held[ended].groupby("row").size()
    forecast = np.asarray(law.predict(at), float)
    low, high = (100 * (band[name].to_numpy(float) / forecast - 1) for name in ("low", "high"))
    fig = go.Figure()
    _add_zero(fig, len(at))
    marker = {"symbol": "circle-open", "size": 9, "color": colour, "line": {"width": 2}}
    light = theme.light(colour, 0.25)
    for i in range(len(at)):
        if np.isfinite([low[i], high[i]]).all():
            fig.add_shape(
                type="rect",
                x0=low[i],
                x1=high[i],
                y0=i - HALF,
                y1=i + HALF,
                fillcolor=light,
                line={"width": 0},
                layer="below",
            )
        own = finished[finished["row"] == i]
        own = own.sort_values("seed") if "seed" in own else own
        if len(own):
            _add_runs(fig, own, law, i, marker)
        if i in lost.index:
            _count(fig, i + HALF, int(lost[i]), "without a final loss")
    if elsewhere:
        _count(fig, -0.5, elsewhere, "at other computes")
    level, method = (band[name].iloc[0] if len(band) else "" for name in ("level", "method"))
    between = "<br>" if mobile else " by "
    words = f"{level:.0%} interval{between}{theme.safe(method, 40)}" if len(band) else "no forecast"
    status = law_words(law)
    words = with_words(words, f"law: {status}" if status else "")
    key = {"size": 14, "symbol": "square", "color": theme.light(colour, 0.4)}
    for name, look in ((words, key), (RUNS, marker)):
        fig.add_trace(
            go.Scatter(x=[None], y=[None], mode="markers", marker=look, name=name, showlegend=True)
        )
    fig.update_yaxes(
        tickmode="array",
        tickvals=list(range(len(at))),
        ticktext=[flops(round_sig(c, 2)) for c in at],
        range=[-0.5, len(at) - 0.5],
        showgrid=False,
        title_text="Compute (FLOPs)",
    )
    short = "Loss against the forecast" if mobile else "Loss against the point forecast"
    ends = _range(fig)
    fig.update_xaxes(title_text=short, ticksuffix="%", zeroline=False, range=ends)
    if ends is not None and -ends[0] > ends[1]:  # more room on the left of the forecast's line
        fig.update_annotations({"x": 0, "xanchor": "left"}, selector={"xref": "x domain", "x": 1})
    plot_height = max(ROW * len(at), LEAST)
    return theme.finish(fig, plot_height, [words, RUNS], top=30, mobile=mobile)


def _range(fig: go.Figure) -> list[float] | None:
    """Room for every band and run; plotly would let bands touch the edges."""
    ends = [end for shape in fig.layout.shapes for end in (shape.x0, shape.x1)]
    ends += [x for trace in fig.data for x in trace.x if x is not None]
    room = 0.05 * (max(ends) - min(ends))
    return [min(ends) - room, max(ends) + room] if room > 0 else None


def _nearest(compute: np.ndarray, at: np.ndarray) -> np.ndarray:
    """For every compute the place of the nearest of `at`, -1 where that is far."""
    if not len(at):
        return np.full(len(compute), -1)
    away = np.abs(np.log(compute)[:, None] - np.log(at)[None, :])
    return np.where(away.min(axis=1) <= math.log(NEAR), away.argmin(axis=1), -1)


def _add_zero(fig: go.Figure, n: int) -> None:
    """The point forecast as a line up through all rows."""
    line = {"color": theme.RULE, "dash": "dash", "width": 1.5}
    fig.add_shape(type="line", x0=0, x1=0, y0=-0.5, y1=n - 0.5, line=line, layer="below")
    fig.add_annotation(
        x=0,
        y=n - 0.5,
        text="point forecast",
        showarrow=False,
        xanchor="center",
        yanchor="bottom",
        yshift=4,
        font={"size": 11, "color": theme.INK},
    )


def _add_runs(
    fig: go.Figure, own: pd.DataFrame, law: PowerLaw, row: int, marker: dict[str, Any]
) -> None:
    """The runs of one compute."""
    expected = np.asarray(law.predict(own["flops"].to_numpy(float)), float)
    off = 100 * (own["loss"].to_numpy(float) / expected - 1)
    seeds = own.get("seed", own.get("name", own.index))
    fig.add_trace(
        go.Scatter(
            x=[v if math.isfinite(v) else None for v in off.tolist()],
            y=[row] * len(own),
            mode="markers",
            marker=marker,
            showlegend=False,
            text=[theme.safe(seed) for seed in seeds],
            customdata=own[["flops", "loss"]].to_numpy(float).tolist(),
            hovertemplate=(
                "seed %{text}<br>%{customdata[0]:.3e} FLOPs<br>loss %{customdata[1]:.4f}"
                "<br>%{x:.2f}% off the forecast<extra></extra>"
            ),
        )
    )


def _count(fig: go.Figure, y: float, n: int, which: str) -> None:
    """Say how many runs are not drawn."""
    fig.add_annotation(
        x=1,
        xref="x domain",
        y=y,
        text=f"{n} run{'s' if n > 1 else ''} {which}",
        showarrow=False,
        xanchor="right",
        yanchor="bottom",
        font={"size": 11, "color": theme.MUTED},
    )
