"""The asymptotic power law: loss at the optimum against compute."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go

from delphi.figures import theme
from delphi.figures.lawparts import (
    DIVERGED,
    FINISHED,
    HELD_OUT,
    NO_LAW,
    NO_OPTIMUM,
    add_band,
    add_divider,
    add_held_out,
    add_law,
    add_optima,
    compute_range,
    divider_place,
    held_out_drawn,
    law_words,
    loss_extremes,
    padded,
    with_words,
)
from delphi.figures.place import Panel, place_labels
from delphi.figures.thin import LABELS, first_suites, spread

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from delphi.isoflop import IsoflopLadder
    from delphi.posterior import LawPosterior
    from delphi.powerlaw import PowerLaw

__all__ = ["law_curve", "scaling_law_asymptote"]

# Texts are placed for a figure 700 px wide; a wider one only has more room.
WIDTH, HEIGHT = 610, 360
MOBILE_WIDTH, MOBILE_HEIGHT = 284, 320


def scaling_law_asymptote(
    ladder: IsoflopLadder,
    laws: Mapping[str, PowerLaw],
    held_out: pd.DataFrame | None = None,
    posteriors: Mapping[str, LawPosterior] | None = None,
    *,
    mobile: bool = False,
) -> go.Figure:
    """Optima of every suite, their laws drawn past the data, and the held-out runs.

    Parameters
    ----------
    ladder : IsoflopLadder
        What :func:`delphi.fit_isoflops` returned.
    laws : mapping of suite to PowerLaw
        What ``ladder.laws()`` returned; a suite without a law keeps its points.
    held_out : DataFrame, optional
        What :func:`delphi.heldout.score_held_out` returned.
    posteriors : mapping of suite to LawPosterior, optional
        What ``ladder.posteriors()`` returned: 95% intervals of the laws, as bands behind them.
    mobile : bool
        Lay it out for a screen 360 px wide.

    Returns
    -------
    plotly.graph_objects.Figure
        Filled markers were fitted, hollow ones were not. The dotted rule stands at the largest
        fitted compute. The legend gives the status of each law. Of many suites or points some are
        drawn; see `delphi.figures.thin`.

    Examples
    --------
    >>> import delphi
    >>> ladder = delphi.fit_isoflops(delphi.simulate.ladder(rng=0))
    >>> fig = delphi.figures.scaling_law_asymptote(ladder, ladder.laws())
    """
    size = (MOBILE_WIDTH, MOBILE_HEIGHT) if mobile else (WIDTH, HEIGHT)
    suites = list(first_suites(ladder))
    colours, symbols = theme.suite_colours(suites), theme.suite_symbols(suites)
    fig = go.Figure()
    optima = ladder.optima[ladder.optima["suite"].isin(suites)]
    laws = {s: laws[s] for s in suites if s in laws}
    bands = {s: posteriors[s] for s in suites if s in posteriors} if posteriors else {}
    held_out = held_out_drawn(held_out, suites)
    x_lo, x_hi = compute_range(optima, laws, held_out)
    lows, highs = loss_extremes(optima, laws, held_out, x_lo, x_hi, bands)
    span = max(highs - lows, 1e-3)
    floors = {s: laws[s].L_inf for s in suites if s in laws and laws[s].ok}
    # A floor far below the data would leave most of the picture empty.
    lowest = min(floors.values(), default=lows)
    y_lo = (lowest if lowest > lows - 0.5 * span else lows) - 0.06 * span
    y_hi = highs + 0.12 * span
    for suite in suites:
        add_band(fig, bands.get(suite), suite, colours[suite], x_lo, x_hi)
    names = []
    for suite in suites:
        add_optima(fig, ladder, suite, marker={"color": colours[suite], "symbol": symbols[suite]})
        words = law_words(laws.get(suite), bands.get(suite))
        fig.data[-1].name = with_words(fig.data[-1].name, words)
        names.append(fig.data[-1].name)
        add_law(fig, laws.get(suite), suite, colours[suite], x_lo, x_hi)
    if held_out is not None and len(held_out):
        ceiling = y_hi - 0.05 * span
        add_held_out(fig, held_out, colours, symbols, ceiling)
        _name_diverged(fig, held_out, ceiling, padded(x_lo, x_hi), (y_lo, y_hi), size)
        if (held_out["state"] == FINISHED).any():
            names.append(HELD_OUT)
            key = {
                "size": 11,
                "symbol": "circle-open",
                "color": theme.MUTED,
                "line": {"width": 2.5},
            }
            fig.add_trace(go.Scatter(x=[None], y=[None], mode="markers", marker=key, name=HELD_OUT))
    nothing = NO_OPTIMUM if optima.empty else NO_LAW
    add_divider(fig, divider_place(optima, laws), padded(x_lo, x_hi), size[0], nothing=nothing)
    _add_floors(fig, floors, colours, (y_lo, y_hi))
    fig.update_xaxes(**theme.compute_axis(*padded(x_lo, x_hi)))
    fig.update_yaxes(title_text=theme.loss_title(ladder.runs, "Loss at the optimum"))
    fig.update_yaxes(range=[y_lo, y_hi])
    return theme.finish(fig, size[1], names, top=18, mobile=mobile)


def law_curve(law: PowerLaw, *, mobile: bool = False) -> go.Figure:
    """One law alone, over the compute it was fitted on and two decades beyond.

    Parameters
    ----------
    law : PowerLaw
    mobile : bool
        Lay it out for a screen 360 px wide.

    Returns
    -------
    plotly.graph_objects.Figure

    Examples
    --------
    >>> import delphi
    >>> C = [1e18, 1e19, 1e20, 1e21, 1e22]
    >>> law = delphi.fit_power_law(C, [4.0, 3.25, 2.75, 2.42, 2.21])
    >>> fig = delphi.figures.law_curve(law)
    """
    fig = go.Figure()
    lo, last = law.compute_range if law.ok else (1e18, 1e21)
    hi, name = last * 100, "law"
    x_range = padded(lo, hi)
    colour = theme.SUITE_COLOURS[0]
    add_law(fig, law, name, colour, lo, hi)
    if law.ok:
        high, low = float(law.predict(lo)), float(law.predict(hi))
        span = max(high - low, 1e-3)
        floor = law.L_inf if law.L_inf > low - 0.5 * span else low
        y_range = (floor - 0.06 * span, high + 0.12 * span)
        _add_floors(fig, {name: law.L_inf}, {name: colour}, y_range)
        fig.update_yaxes(range=y_range)
    words = law_words(law)
    if words:
        fig.add_annotation(
            x=1, y=1, xref="paper", yref="paper", xanchor="right", yanchor="top", align="right",
            showarrow=False, text=with_words("status:", words),
        )  # fmt: skip
    width, height = (MOBILE_WIDTH, MOBILE_HEIGHT) if mobile else (WIDTH, HEIGHT)
    add_divider(fig, last if law.ok else None, x_range, width)
    fig.update_xaxes(**theme.compute_axis(*x_range) | {"title_text": "Compute"})
    fig.update_yaxes(title_text="Loss")
    return theme.finish(fig, height, [], top=18, mobile=mobile)


def _add_floors(
    fig: go.Figure,
    floors: Mapping[str, float],
    colours: Mapping[str, str],
    y_range: tuple[float, float],
) -> None:
    """Each asymptote as a thin line, with its value in the empty corner under the curves."""
    span = y_range[1] - y_range[0]
    # Values of lines closer than a line of text share one label, above the highest of them.
    labels: list[tuple[float, list[str]]] = []
    for suite, floor in sorted(floors.items(), key=lambda item: -item[1]):
        text = f'<span style="color:{theme.for_text(colours[suite])}">{floor:.3f}</span>'
        shown = floor > y_range[0]
        top = floor if shown else -math.inf
        if labels and (labels[-1][0] - top < 0.06 * span or labels[-1][0] == top):
            labels[-1][1].append(text)
        else:
            labels.append((top, [text]))
        if shown:
            fig.add_shape(
                type="line",
                x0=0,
                x1=1,
                xref="x domain",
                y0=floor,
                y1=floor,
                line={"color": colours[suite], "width": 1.25, "dash": "dot"},
                opacity=0.6,
                layer="below",
            )
    for top, texts in labels:
        below = math.isinf(top)
        fig.add_annotation(
            x=0.008,
            xref="x domain",
            y=0 if below else top,
            yref="y domain" if below else "y",
            xanchor="left",
            yanchor="bottom",
            text=f"L<sub>\u221e</sub> = {', '.join(texts)}" + (" \u2193" if below else ""),
            showarrow=False,
            font={"size": 12, "color": theme.MUTED},
        )


def _name_diverged(
    fig: go.Figure,
    held_out: pd.DataFrame,
    ceiling: float,
    x_range: tuple[float, float],
    y_range: tuple[float, float],
    size: tuple[float, float],
) -> None:
    """Write "Run Diverged" beside every cross."""
    rows = held_out[(held_out["state"] != FINISHED) & np.isfinite(held_out["loss"])]
    rows = rows.iloc[spread(len(rows), LABELS)]
    x = np.log10(rows["compute"].to_numpy(float))
    y = np.minimum(rows["loss"].to_numpy(float), ceiling)
    panel = Panel((math.log10(x_range[0]), math.log10(x_range[1])), y_range, *size)
    points = panel.pixels(x, y)
    spots = place_labels(panel, points, [DIVERGED] * len(rows), points)
    for spot, px, py in zip(spots, x.tolist(), y.tolist(), strict=True):
        fig.add_annotation(x=px, y=py, text=DIVERGED, **spot.annotation())
