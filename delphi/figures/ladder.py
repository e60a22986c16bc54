"""One suite from runs to forecast: its parabolas, and the law through their optima."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from delphi.figures import theme
from delphi.figures.isoflop import add_parabolas, add_status_keys, legend_homes
from delphi.figures.lawparts import (
    DIVERGED,
    FINISHED,
    N_CURVE,
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
)
from delphi.figures.place import Panel, place_labels
from delphi.figures.thin import LABELS, drawn, spread, sweep_runs, thinned

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from delphi.isoflop import IsoflopLadder
    from delphi.posterior import LawPosterior
    from delphi.powerlaw import PowerLaw

__all__ = ["ladder"]

HEIGHT = 330
# The right panel of a figure 700 px wide.
PANEL = (272.0, float(HEIGHT))
MOBILE_HEIGHT, MOBILE_GAP = 620, 0.17
MOBILE_PANEL = (286.0, MOBILE_HEIGHT * (1 - MOBILE_GAP) / 2)


def ladder(
    ladder: IsoflopLadder,
    laws: Mapping[str, PowerLaw],
    suite: str,
    held_out: pd.DataFrame | None = None,
    posteriors: Mapping[str, LawPosterior] | None = None,
    *,
    mobile: bool = False,
) -> go.Figure:
    """Parabolas of one suite on the left, its law and held-out runs on the right.

    Parameters
    ----------
    ladder : IsoflopLadder
        What :func:`delphi.fit_isoflops` returned.
    laws : mapping of suite to PowerLaw
        What ``ladder.laws()`` returned.
    suite : str
        The suite to draw.
    held_out : DataFrame, optional
        What :func:`delphi.heldout.score_held_out` returned.
    posteriors : mapping of suite to LawPosterior, optional
        What ``ladder.posteriors()`` returned: the 95% interval of the law, as a band behind it.
    mobile : bool
        The right panel under the left one, for a screen 360 px wide.

    Returns
    -------
    plotly.graph_objects.Figure

    Raises
    ------
    KeyError
        If `ladder` has no such suite.

    Examples
    --------
    >>> import delphi
    >>> fitted = delphi.fit_isoflops(delphi.simulate.ladder(rng=0))
    >>> fig = delphi.figures.ladder(fitted, fitted.laws(), "Aster")
    """
    suites = list(ladder.suites)
    if suite not in suites:
        raise KeyError(f"no suite {suite!r}; there are {suites}")
    scores = None if held_out is None else held_out[held_out["suite"] == suite]
    title = "Scaling law"
    if scores is not None and len(scores):
        glyphs = theme.glyphs(theme.suite_symbols(suites)[suite])
        title = f"Scaling law: {glyphs[0]} fitted, {glyphs[1]} held out"
    posterior = None if posteriors is None else posteriors.get(suite)
    words = textwrap.wrap(law_words(laws.get(suite), posterior), 46)
    title = "<br>".join([title, *(f'<span style="font-size:11px">{line}</span>' for line in words)])
    titles = ("IsoFLOP parabolas", title)
    fig = (
        make_subplots(rows=2, cols=1, vertical_spacing=MOBILE_GAP, subplot_titles=titles)
        if mobile
        else make_subplots(rows=1, cols=2, horizontal_spacing=0.13, subplot_titles=titles)
    )
    few = drawn(ladder, suite)
    fits = few.fits[few.fits["suite"] == suite]
    # Colours by all budgets of the report, so that a budget looks the same everywhere.
    colours = theme.budget_colours(ladder.fits["budget"])
    add_parabolas(fig, few, suite, colours, legend_homes(fits), row=1, col=1)
    names = add_status_keys(fig, fits)
    fig.update_annotations(font={"size": 14, "color": theme.INK})
    size = MOBILE_PANEL if mobile else PANEL
    _add_law_panel(fig, ladder, laws.get(suite), suite, scores, posterior, size)
    fig.update_xaxes(
        **theme.token_axis("Training tokens", sweep_runs(few, suite)["tokens"]), row=1, col=1
    )
    fig.update_yaxes(type="log", title_text=theme.loss_title(ladder.runs), row=1, col=1)
    fig.update_layout(legend_title_text="Compute (FLOPs)")
    top = 34 if mobile else 34 + 14 * len(words)
    return theme.finish(fig, MOBILE_HEIGHT if mobile else HEIGHT, names, top, mobile=mobile)


def _add_law_panel(
    fig: go.Figure,
    ladder: IsoflopLadder,
    law: PowerLaw | None,
    suite: str,
    scores: pd.DataFrame | None,
    posterior: LawPosterior | None,
    size: tuple[float, float],
) -> None:
    """Draw the second panel, on the axes x2 and y2; `size` is its own in pixels."""
    suites = list(ladder.suites)
    suite_colour = theme.suite_colours(suites)
    suite_symbol = theme.suite_symbols(suites)
    optima = ladder.optima[ladder.optima["suite"] == suite]
    laws = {} if law is None else {suite: law}
    bands = {} if posterior is None else {suite: posterior}
    scores = held_out_drawn(scores, [suite])
    x_lo, x_hi = compute_range(optima, laws, scores)
    lo, hi = loss_extremes(optima, laws, scores, x_lo, x_hi, bands)
    room = 0.08 * math.log(hi / lo) if 0 < lo < hi else 0.05
    y_lo, y_hi = lo * math.exp(-room), hi * math.exp(1.6 * room)
    marker = {"color": suite_colour[suite], "symbol": suite_symbol[suite]}
    second = {"xaxis": "x2", "yaxis": "y2"}
    first = len(fig.data)
    add_band(fig, posterior, suite, suite_colour[suite], x_lo, x_hi)
    add_optima(fig, ladder, suite, marker)
    fig.data[-1].showlegend = False
    add_law(fig, law, suite, suite_colour[suite], x_lo, x_hi)
    x_range = padded(x_lo, x_hi)
    if scores is not None and len(scores):
        ceiling = y_hi * math.exp(-0.5 * room)
        add_held_out(fig, scores, suite_colour, suite_symbol, ceiling)
        shown = scores.assign(shown=scores["loss"].clip(upper=ceiling))
        few = thinned(optima, "compute", "loss_star")
        _label(fig, few, law, shown, x_range, (y_lo, y_hi), size)
    for trace in fig.data[first:]:
        trace.update(second)
    place = divider_place(optima, laws)
    nothing = NO_OPTIMUM if optima.empty else NO_LAW
    add_divider(fig, place, x_range, size[0], xref="x2", yref="y2 domain", nothing=nothing)
    fig.layout.xaxis2.update(theme.compute_axis(*x_range))
    fig.layout.yaxis2.update(
        type="log",
        title_text=theme.loss_title(ladder.runs, "Loss at the optimum"),
        range=[math.log10(y_lo), math.log10(y_hi)],
    )


def _label(
    fig: go.Figure,
    optima: pd.DataFrame,
    law: PowerLaw | None,
    scores: pd.DataFrame,
    x_range: tuple[float, float],
    y_range: tuple[float, float],
    size: tuple[float, float],
) -> None:
    """Write each held-out error beside its marker, where nothing else is."""
    rows = scores[np.isfinite(scores["loss"])].sort_values("compute", ascending=False)
    rows = rows.iloc[spread(len(rows), LABELS)]
    crashed = (rows["state"] != FINISHED).to_numpy(bool)
    texts = [
        DIVERGED if lost else theme.error_text(error)
        for lost, error in zip(crashed, rows["percent_error"], strict=True)
    ]
    x = np.log10(rows["compute"].to_numpy(float))
    y = np.log10(rows["shown"].to_numpy(float))
    panel = Panel(
        (math.log10(x_range[0]), math.log10(x_range[1])),
        (math.log10(y_range[0]), math.log10(y_range[1])),
        *size,
    )
    points = panel.pixels(x, y)
    markers = panel.pixels(np.log10(optima["compute"]), np.log10(optima["loss_star"]))
    obstacles = [points, markers]
    if law is not None and law.ok:
        compute = np.geomspace(*x_range, N_CURVE)
        obstacles.append(panel.pixels(np.log10(compute), np.log10(law.predict(compute))))
    spots = place_labels(panel, points, texts, np.concatenate(obstacles))
    look = {"font": {"size": 11, "color": theme.INK}, "arrowcolor": theme.RULE}
    look |= {"xref": "x2", "yref": "y2"}
    # All at once: adding one annotation, plotly looks at all of them again.
    fig.layout.annotations += tuple(
        go.layout.Annotation(x=float(px), y=float(py), text=text, **look, **spot.annotation())
        for spot, px, py, text in zip(spots, x, y, texts, strict=True)
        if text
    )
