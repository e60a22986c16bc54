"""What figures of laws are made of: bands, optima, curves, held-out runs, where fitting ends."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go

from delphi.figures import theme
from delphi.figures.thin import thinned

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from delphi.isoflop import IsoflopLadder
    from delphi.posterior import LawPosterior
    from delphi.powerlaw import PowerLaw

DRAWN_TO = 1e23
PAD = 0.04  # of the compute range, left free at both ends
N_CURVE = 240
N_BAND = 60
HELD_OUT = "held-out runs, mean over seeds"
DIVERGED = "Run Diverged"
FINISHED = "finished"  # any other state: no final loss
NO_LAW = "no law could be fitted"
NO_OPTIMUM = "no optimum, so no law"


def law_words(law: PowerLaw | None, posterior: LawPosterior | None = None) -> str:
    """What is to be known of a law, from its status and its posterior's; "" if all is well."""
    said = ", ".join(fit.status for fit in (law, posterior) if fit is not None)
    words = dict.fromkeys(word.replace("_", " ") for word in said.split(", ") if word)
    return ", ".join(word for word in words if word != "ok")


def with_words(name: str, words: str, width: int = 34) -> str:
    """A legend entry with the words of a status under it, on lines of about `width` characters."""
    return "<br>".join([name, *textwrap.wrap(words, width)]) if words else name


def _group(name: str) -> str:
    """A key that is no property of every JavaScript object: a suite may be called constructor."""
    return name if " " in name else f"={name}"


def compute_range(
    optima: pd.DataFrame, laws: Mapping[str, PowerLaw], held_out: pd.DataFrame | None
) -> tuple[float, float]:
    """The compute shown, FLOPs: all the data, and on to 1e23 where there is a law to draw."""
    seen = [optima["compute"].to_numpy(float)]
    if held_out is not None:
        seen.append(held_out["compute"].to_numpy(float))
    compute = np.concatenate(seen)
    compute = compute[np.isfinite(compute)]
    if not len(compute):
        return 1e18, DRAWN_TO
    hi = float(compute.max())
    if any(law.ok for law in laws.values()):
        hi = max(hi, DRAWN_TO)
    return float(compute.min()), hi


def padded(lo: float, hi: float) -> tuple[float, float]:
    """A compute range with a little room at both ends."""
    room = max((hi / lo) ** PAD, 1.3)
    return lo / room, hi * room


def loss_extremes(
    optima: pd.DataFrame,
    laws: Mapping[str, PowerLaw],
    held_out: pd.DataFrame | None,
    x_lo: float,
    x_hi: float,
    posteriors: Mapping[str, LawPosterior] | None = None,
) -> tuple[float, float]:
    """Lowest and highest loss to show, above 0.

    Neither a diverged run nor a wide band may squeeze everything else.
    """
    losses = [optima["loss_star"].to_numpy(float)]
    for law in laws.values():
        if law.ok:
            losses.append(np.asarray(law.predict(np.array([x_lo, x_hi])), float))
    diverged = np.empty(0)
    if held_out is not None and len(held_out):
        crashed = held_out["state"] != FINISHED
        losses.append(held_out.loc[~crashed, "loss"].to_numpy(float))
        diverged = held_out.loc[crashed, "loss"].to_numpy(float)
    values = np.concatenate(losses)
    values = values[np.isfinite(values) & (values > 0)]
    if not len(values):
        return 1.0, 2.0
    lo, hi = float(values.min()), float(values.max())
    ceiling = hi + 0.25 * (hi - lo)
    seen = diverged[np.isfinite(diverged)]
    bottom = max(lo - 0.25 * (hi - lo), 0.5 * lo)
    edges = [
        law.interval([x_lo, x_hi])[["low", "high"]].to_numpy(float)
        for law in (posteriors or {}).values()
        if law.ok
    ]
    band = np.concatenate([edge.ravel() for edge in edges]) if edges else np.array([lo, hi])
    shown = np.clip([*seen, *band[np.isfinite(band)]], bottom, ceiling)
    return float(min([lo, *shown])), float(max([hi, *shown]))


def held_out_drawn(held_out: pd.DataFrame | None, suites: Sequence[str]) -> pd.DataFrame | None:
    """The held-out points of some suites, thinned suite by suite where there are many."""
    if held_out is None:
        return None
    kept = held_out[held_out["suite"].isin(suites)]
    parts = [thinned(kept[kept["suite"] == s], "compute", "loss").index for s in suites]
    rows = [row for part in parts for row in part]
    return kept.loc[kept.index.isin(rows)]


def add_band(
    fig: go.Figure,
    posterior: LawPosterior | None,
    suite: str,
    colour: str,
    x_lo: float,
    x_hi: float,
    **where: Any,
) -> None:
    """The 95% interval of a law as a light area; nothing without one."""
    if posterior is None or not posterior.ok:
        return
    compute = np.geomspace(x_lo, x_hi, N_BAND)
    interval = posterior.interval(compute)
    # A log axis cannot show what is below 0; far under the panel is as good.
    low = np.maximum(interval["low"].to_numpy(float), 1e-9)
    high = np.maximum(interval["high"].to_numpy(float), 1e-9)
    name = theme.safe(suite)
    fig.add_trace(
        go.Scatter(
            x=[*compute.tolist(), *compute[::-1].tolist()],
            y=[*high.tolist(), *low[::-1].tolist()],
            mode="lines",
            line={"width": 0, "simplify": False},
            fill="toself",
            fillcolor=theme.light(colour),
            name=f"{name}: 95% interval of the law",
            legendgroup=_group(name),
            showlegend=False,
            hoverinfo="skip",
        ),
        **where,
    )


def add_optima(
    fig: go.Figure, ladder: IsoflopLadder, suite: str, marker: dict[str, Any], **where: Any
) -> None:
    """The points a law is fitted to."""
    optima = ladder.optima[ladder.optima["suite"] == suite].sort_values("compute")
    optima = thinned(optima, "compute", "loss_star")
    name = theme.safe(suite)
    fig.add_trace(
        go.Scatter(
            x=optima["compute"].tolist(),
            y=optima["loss_star"].tolist(),
            mode="markers",
            marker={"size": 9} | marker,
            name=name,
            legendgroup=_group(name),
            customdata=optima[["tokens_star", "params_star"]].to_numpy(float).tolist(),
            hovertemplate=(
                f"{name}: IsoFLOP optimum<br>%{{x:.3e}} FLOPs<br>loss %{{y:.4f}}<br>"
                "tokens %{customdata[0]:.3s}, params %{customdata[1]:.3s}<extra></extra>"
            ),
        ),
        **where,
    )


def add_law(
    fig: go.Figure,
    law: PowerLaw | None,
    suite: str,
    colour: str,
    x_lo: float,
    x_hi: float,
    n: int = N_CURVE,
    **where: Any,
) -> None:
    """The dashed law over the whole range shown; nothing where the fit failed."""
    if law is None or not law.ok:
        return
    compute = np.geomspace(x_lo, x_hi, n)
    name = theme.safe(suite)
    fig.add_trace(
        go.Scatter(
            x=compute.tolist(),
            y=np.asarray(law.predict(compute), float).tolist(),
            mode="lines",
            line={"width": 2, "color": colour, "dash": "dash", "simplify": False},
            name=f"{name}: law",
            legendgroup=_group(name),
            showlegend=False,
            hovertemplate=f"{name}: law<br>%{{x:.3e}} FLOPs<br>loss %{{y:.4f}}<extra></extra>",
        ),
        **where,
    )


def add_held_out(
    fig: go.Figure,
    held_out: pd.DataFrame,
    colours: Mapping[str, str],
    symbols: Mapping[str, str],
    ceiling: float,
    *,
    hollow: bool = True,
    **where: Any,
) -> None:
    """Seed means as hollow markers, diverged runs as crosses, none of them above `ceiling`."""
    shown = held_out[np.isfinite(held_out["loss"])]
    crashed = shown["state"] != FINISHED
    for suite, rows in shown[~crashed].groupby("suite"):
        if suite not in colours:
            continue
        name = theme.safe(suite)
        fig.add_trace(
            go.Scatter(
                x=rows["compute"].tolist(),
                y=rows["loss"].tolist(),
                mode="markers",
                marker={
                    "size": 12,
                    "color": colours[suite],
                    "symbol": symbols[suite] + ("-open" if hollow else ""),
                    "line": {"width": 2.5, "color": colours[suite]},
                },
                name=f"{name}: held out",
                legendgroup=_group(name),
                showlegend=False,
                customdata=[
                    [int(n), theme.error_text(e)]
                    for n, e in zip(rows["n"], rows["percent_error"], strict=True)
                ],
                hovertemplate=(
                    f"{name}: held out, mean of %{{customdata[0]}}<br>%{{x:.3e}} FLOPs<br>"
                    "loss %{y:.4f}<br>%{customdata[1]}<extra></extra>"
                ),
            ),
            **where,
        )
    for suite, rows in shown[crashed].groupby("suite"):
        if suite not in colours:
            continue
        name = theme.safe(suite)
        fig.add_trace(
            go.Scatter(
                x=rows["compute"].tolist(),
                y=np.minimum(rows["loss"], ceiling).tolist(),
                mode="markers",
                marker={
                    "size": 13,
                    "symbol": "x-thin",
                    "line": {"width": 3, "color": colours[suite]},
                },
                name=f"{name}: diverged",
                legendgroup=_group(name),
                showlegend=False,
                customdata=rows["loss"].tolist(),
                hovertemplate=(
                    f"{name}: diverged<br>%{{x:.3e}} FLOPs<br>last loss %{{customdata:.4f}}"
                    "<extra></extra>"
                ),
            ),
            **where,
        )


def divider_place(optima: pd.DataFrame, laws: Mapping[str, PowerLaw]) -> float | None:
    """Where fitting ends: the largest fitted compute, as in the tables; None without a law."""
    if optima.empty or not any(law.ok for law in laws.values()):
        return None
    return float(optima["compute"].max())


def add_divider(
    fig: go.Figure,
    place: float | None,
    x_range: tuple[float, float],
    width: float,
    xref: str = "x",
    yref: str = "y domain",
    nothing: str = NO_LAW,
) -> None:
    """A dotted rule with "fit" on its left and "extrapolation" on its right.

    `width` is that of the panel in pixels. Without a `place` the panel says `nothing`.
    """
    label: dict[str, Any] = {"y": 1, "yref": yref, "yanchor": "top", "showarrow": False}
    label["font"] = {"size": 12, "color": theme.MUTED}
    if place is None:
        fig.add_annotation(x=0.5, xref=f"{xref} domain", text=nothing, **label)
        return
    fig.add_shape(
        type="line",
        x0=place,
        x1=place,
        xref=xref,
        y0=0,
        y1=1,
        yref=yref,
        line={"color": theme.RULE, "width": 1, "dash": "dot"},
        layer="below",
    )
    # Unlike shapes, annotations on a log axis take log10 of the data.
    label |= {"x": math.log10(place), "xref": xref}
    fig.add_annotation(text="\u2190 fit", xanchor="right", xshift=-6, **label)
    left = math.log(x_range[1] / place) / math.log(x_range[1] / x_range[0]) * width
    narrow = left < 100
    fig.add_annotation(
        text="extrapolation" if narrow else "extrapolation \u2192",
        textangle=90 if narrow else 0,
        xanchor="left",
        xshift=2 if narrow else 6,
        **label,
    )
