"""Rollouts in plotly: KL trajectories of many thousands, and survival curves beside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from delphi.errors import DataError
from delphi.figures import theme
from delphi.figures.rollouts import Panel, Picture, picture
from delphi.figures.thin import spread
from delphi.kl import KLTrajectories
from delphi.survival import KaplanMeier, SurvivalFit

__all__ = ["kl_spaghetti", "survival_curves"]

ALIVE, DEAD = theme.SUITE_COLOURS[0], theme.SUITE_COLOURS[1]
POINTS = 400_000  # of all lines of a figure: a few megabytes, and quick to turn and zoom
CURVES = 12
TICKS = 60  # of a curve: many more would hide it


def kl_spaghetti(
    rollouts: KLTrajectories,
    *,
    threshold: float = 0.8,
    most_lines: int | None = None,
    columns: int = 4,
    log: bool = False,
    mobile: bool = False,
    **options: Any,
) -> go.Figure:
    """KL of every rollout against tokens, alive or dead, one panel an alpha.

    Drawn by WebGL, all living parts of a panel as one trace and all dead parts as another, so that
    10,000 rollouts are as quick as ten. Of very many, lines evenly spaced by time of death stand
    for all; median and band (10% to 90%) are those of all.

    Parameters
    ----------
    rollouts : KLTrajectories
    threshold : float
        A probability mass below it is death.
    most_lines : int, optional
        Lines of a panel at most; by default what 400,000 points allow.
    columns : int
        Panels side by side.
    log : bool
        A logarithmic axis of KL.
    mobile : bool
        One panel a row, for a screen 360 px wide.
    **options
        Of `delphi.calibrate_kl`: roll, calib_tokens, percentile, normalize, order.

    Returns
    -------
    plotly.graph_objects.Figure

    Examples
    --------
    >>> from delphi import simulate
    >>> fig = kl_spaghetti(simulate.rollouts([0.5, 2.0], n_prompts=5, rng=0))
    >>> sorted({trace.type for trace in fig.data})
    ['scatter', 'scattergl']
    """
    seen = picture(rollouts, threshold=threshold, most_lines=most_lines, points=POINTS, **options)
    across = 1 if mobile else min(columns, len(seen.panels))
    down = -(-len(seen.panels) // across)
    fig = make_subplots(
        rows=down,
        cols=across,
        shared_yaxes=True,
        subplot_titles=[_title(panel) for panel in seen.panels],
        horizontal_spacing=0.03,
        vertical_spacing=0.42 / (down + 0.6) if down > 1 else 0,
    )
    named: list[str] = []
    fig.update_annotations(font_size=12)
    for i, panel in enumerate(seen.panels):
        where = {"row": i // across + 1, "col": i % across + 1}
        for trace in _traces(panel, seen):
            trace.update(legendgroup=trace.name, showlegend=trace.name not in named)
            if trace.name not in named:
                named.append(trace.name)
            fig.add_trace(trace, **where)
        above = panel.target > seen.y_max
        notes = [panel.note, f"target {panel.target:g} above the axis" if above else ""]
        axis = "" if i == 0 else str(i + 1)
        fig.add_annotation(
            x=0.98, y=0.98, xref=f"x{axis} domain", yref=f"y{axis} domain", showarrow=False,
            xanchor="right", yanchor="top", align="right", font={"size": 11, "color": theme.MUTED},
            text="<br>".join(note for note in notes if note) or " ",
        )  # fmt: skip
    fig.update_xaxes(range=[-0.01 * seen.n_tokens, 1.01 * seen.n_tokens])
    fig.update_xaxes(title_text="token", row=down)
    low = np.log10(seen.y_max) - 3 if log else -0.04 * seen.y_max
    fig.update_yaxes(
        range=[low, np.log10(seen.y_max) if log else seen.y_max], type="log" if log else "linear"
    )
    fig.update_yaxes(title_text=seen.y_title, col=1)
    if seen.note:
        fig.update_layout(legend_title_text=seen.note)
    return theme.finish(fig, 250 * down, named, top=52, mobile=mobile)


def _title(panel: Panel) -> str:
    fates = f"died={panel.n_died}, censored={panel.n_censored}"
    return f"<b>alpha {panel.alpha:g}</b>: n={panel.n}<br>{fates}"


def _traces(panel: Panel, seen: Picture) -> Iterable[Any]:
    dead = _joined([(values[d:], d) for values, d in panel.lines if d < len(values)])
    alive = _joined([(values[: d + 1], 0) for values, d in panel.lines])
    mass = f"{seen.threshold:g}"
    # There in every panel: plotly leaves out the axes of one without a trace.
    yield go.Scatter(
        x=[0, seen.n_tokens], y=[panel.target if panel.target > 0 else np.nan] * 2, mode="lines",
        line={"width": 1, "color": theme.INK, "dash": "dash"}, name=seen.target_label,
        legendrank=1005, hoverinfo="skip",
    )  # fmt: skip
    for (x, y), colour, name, rank in (
        (dead, DEAD, f"dead (mass < {mass})", 1001),
        (alive, ALIVE, f"alive (mass \u2265 {mass})", 1000),
    ):
        if len(x):
            yield go.Scattergl(
                x=x, y=y, mode="lines", name=name, hoverinfo="skip", connectgaps=False,
                legendrank=rank, line={"width": 1, "color": theme.light(colour, seen.opacity)},
            )  # fmt: skip
    tokens = np.arange(len(panel.median))
    if panel.drawn:
        band = panel.band.astype(np.float32)
        yield go.Scatter(
            x=np.concatenate((tokens, tokens[::-1])), y=np.concatenate((band[:, 1], band[::-1, 0])),
            mode="lines", line={"width": 0}, fill="toself", fillcolor=theme.light(theme.INK, 0.12),
            name="10% to 90%", hoverinfo="skip", legendrank=1004,
        )  # fmt: skip
        yield go.Scatter(
            x=tokens, y=panel.median.astype(np.float32), mode="lines", name="median",
            legendrank=1003,
            line={"width": 2, "color": theme.INK}, customdata=panel.count,
            hovertemplate="token %{x}<br>median %{y:.3g} of %{customdata}<extra></extra>",
        )  # fmt: skip
    if len(panel.ticks):
        yield go.Scattergl(
            x=panel.ticks[:, 0].astype(np.float32), y=panel.ticks[:, 1].astype(np.float32),
            mode="markers", name="censored: generation ended", legendrank=1002,
            marker={"symbol": "line-ns-open", "size": 9, "color": theme.INK, "line": {"width": 1}},
            hovertemplate="ended after token %{x}<extra></extra>",
        )  # fmt: skip


def _joined(
    parts: list[tuple[NDArray[np.float64], int]],
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Lines that begin at some token as one, with a NaN between them."""
    if not parts:
        return np.empty(0, np.int32), np.empty(0, np.float32)
    x = np.concatenate([np.arange(at, at + len(y) + 1, dtype=np.int32) for y, at in parts])
    y = np.concatenate([np.append(y, np.nan) for y, _ in parts]).astype(np.float32)
    return x[:-1], y[:-1]


def survival_curves(
    fit: SurvivalFit | Mapping[Any, KaplanMeier], *, title: str = "alpha", mobile: bool = False
) -> go.Figure:
    """Kaplan-Meier curves with their bands, one colour a group.

    Parameters
    ----------
    fit : SurvivalFit, or mapping of label to KaplanMeier
    title : str
        What the groups are, for the legend.
    mobile : bool
        For a screen 360 px wide.

    Returns
    -------
    plotly.graph_objects.Figure
        Steps at the tokens of death, bands where there is one, ticks where somebody was censored
        (60 of a curve at most, evenly spaced).
        At most twelve groups are drawn, evenly spaced; the legend says how many there are.

    Examples
    --------
    >>> from delphi import fit_survival
    >>> fit = fit_survival([2, 5, 5, 9, 1, 2, 3, 4], [1] * 8, by=[1] * 4 + [2] * 4)
    >>> [trace.name for trace in survival_curves(fit).data if trace.showlegend]
    ['1: 4 of 4 died', '2: 4 of 4 died']
    """
    curves = fit.curves if isinstance(fit, SurvivalFit) else fit
    labels = list(curves)
    if not labels:
        raise DataError("no survival curve to draw")
    shown = [labels[i] for i in spread(len(labels), CURVES).tolist()]
    colours = list(theme.budget_colours(range(len(shown))).values())
    fig = go.Figure()
    names, end = [], 1.0
    # Bands first, so that no area covers a line.
    for label, colour in zip(shown, colours, strict=True):
        curve = curves[label]
        good = np.isfinite(curve.low) & np.isfinite(curve.high)
        if good.any():
            fig.add_trace(_band(curve, good, colour))
    for label, colour in zip(shown, colours, strict=True):
        curve = curves[label]
        name = f"{theme.safe(_word(label))}: {curve.n_died} of {curve.n} died"
        names.append(name)
        end = max(end, float(curve.time[-1]))
        fig.add_trace(_steps(curve, colour, name))
        lost = np.flatnonzero(curve.censored)
        lost = lost[spread(len(lost), TICKS)]
        if len(lost):
            fig.add_trace(
                go.Scatter(
                    x=curve.time[lost].tolist(),
                    y=curve.survival[lost].tolist(),
                    mode="markers",
                    marker={"symbol": "line-ns-open", "size": 8, "color": colour},
                    customdata=curve.censored[lost].tolist(),
                    name=name,
                    legendgroup=name,
                    showlegend=False,
                    hovertemplate="%{customdata} censored at %{x}<extra></extra>",
                )
            )
    left = f" ({len(shown)} of {len(labels)} drawn)" if len(shown) < len(labels) else ""
    band = curves[shown[0]]
    end_of_line = "<br>" if mobile else " "
    fig.update_layout(legend_title_text=f"{theme.safe(title)}{left};{end_of_line}"
                                        f"{100 * band.level:g}% bands, {band.band}")  # fmt: skip
    fig.add_hline(y=0.5, line={"color": theme.RULE, "width": 1, "dash": "dot"})
    fig.update_xaxes(title_text="token", range=[-0.01 * end, 1.02 * end])
    fig.update_yaxes(title_text="share alive", range=[-0.02, 1.04])
    return theme.finish(fig, 360, names, mobile=mobile)


def _word(label: Any) -> str:
    return f"{label:g}" if isinstance(label, (int, float, np.number)) else str(label)


def _steps(curve: KaplanMeier, colour: str, name: str) -> go.Scatter:
    x = np.concatenate(([0.0], curve.time))
    y = np.concatenate(([1.0], curve.survival))
    risk = np.concatenate(([curve.n], curve.at_risk))
    return go.Scatter(
        x=x.tolist(), y=y.tolist(), mode="lines", name=name, legendgroup=name, showlegend=True,
        line={"shape": "hv", "width": 2, "color": colour}, customdata=risk.tolist(),
        hovertemplate=f"{name}<br>token %{{x}}: %{{y:.3f}} alive, %{{customdata}} at risk"
                      "<extra></extra>",
    )  # fmt: skip


def _band(curve: KaplanMeier, good: NDArray[np.bool_], colour: str) -> go.Scatter:
    """The band from the first death to the last token, as one closed area of steps."""
    time, low, high = curve.time[good], curve.low[good], curve.high[good]
    x = np.append(np.repeat(time, 2)[1:], curve.time[-1])
    area = [np.repeat(limit, 2) for limit in (high, low)]
    return go.Scatter(
        x=np.concatenate((x, x[::-1])).tolist(),
        y=np.concatenate((area[0], area[1][::-1])).tolist(),
        mode="lines", line={"width": 0}, fill="toself", fillcolor=theme.light(colour, 0.13),
        hoverinfo="skip", showlegend=False,
    )  # fmt: skip
