"""One suite from runs to forecast: its parabolas, and the law through their optima."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from plotly.subplots import make_subplots

from delphi.figures import theme
from delphi.figures.isoflop import add_not_used_key, add_parabolas, legend_homes
from delphi.figures.place import Panel, place_labels
from delphi.figures.powerlaw import (
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
    loss_extremes,
    padded,
)
from delphi.figures.thin import LABELS, drawn, spread, sweep_runs, thinned

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    import plotly.graph_objects as go

    from delphi.isoflop import IsoflopLadder
    from delphi.posterior import LawPosterior
    from delphi.powerlaw import PowerLaw

__all__ = ["ladder"]

HEIGHT = 330
# The right panel of a figure 700 px wide.
PANEL = (272.0, float(HEIGHT))


def ladder(
    ladder: IsoflopLadder,
    laws: Mapping[str, PowerLaw],
    suite: str,
    held_out: pd.DataFrame | None = None,
    posteriors: Mapping[str, LawPosterior] | None = None,
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
    fig = make_subplots(
        rows=1,
        cols=2,
        horizontal_spacing=0.13,
        subplot_titles=("IsoFLOP parabolas", title),
    )
    few = drawn(ladder, suite)
    fits = few.fits[few.fits["suite"] == suite]
    # Colours by all budgets of the report, so that a budget looks the same everywhere.
    colours = theme.budget_colours(ladder.fits["budget"])
    add_parabolas(fig, few, suite, colours, legend_homes(fits), row=1, col=1)
    names = add_not_used_key(fig, fits)
    fig.update_annotations(font={"size": 14, "color": theme.INK})
    posterior = None if posteriors is None else posteriors.get(suite)
    _add_law_panel(fig, ladder, laws.get(suite), suite, scores, posterior)
    fig.update_xaxes(
        **theme.token_axis("Training tokens", sweep_runs(few, suite)["tokens"]), row=1, col=1
    )
    fig.update_yaxes(type="log", title_text=theme.loss_title(ladder.runs), row=1, col=1)
    fig.update_layout(legend_title_text="Compute (FLOPs)")
    return theme.finish(fig, HEIGHT, names)


def _add_law_panel(
    fig: go.Figure,
    ladder: IsoflopLadder,
    law: PowerLaw | None,
    suite: str,
    scores: pd.DataFrame | None,
    posterior: LawPosterior | None,
) -> None:
    """Draw the right panel."""
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
    add_band(fig, posterior, suite, suite_colour[suite], x_lo, x_hi, row=1, col=2)
    add_optima(fig, ladder, suite, marker, row=1, col=2)
    fig.data[-1].showlegend = False
    add_law(fig, law, suite, suite_colour[suite], x_lo, x_hi, row=1, col=2)
    x_range = padded(x_lo, x_hi)
    if scores is not None and len(scores):
        ceiling = y_hi * math.exp(-0.5 * room)
        add_held_out(fig, scores, suite_colour, suite_symbol, ceiling, row=1, col=2)
        shown = scores.assign(shown=scores["loss"].clip(upper=ceiling))
        few = thinned(optima, "compute", "loss_star")
        _label(fig, few, law, shown, x_range, (y_lo, y_hi))
    place = divider_place(optima, laws)
    nothing = NO_OPTIMUM if optima.empty else NO_LAW
    add_divider(fig, place, x_range, PANEL[0], xref="x2", yref="y2 domain", nothing=nothing)
    fig.update_xaxes(**theme.compute_axis(*x_range), row=1, col=2)
    fig.update_yaxes(
        type="log",
        title_text=theme.loss_title(ladder.runs, "Loss at the optimum"),
        range=[math.log10(y_lo), math.log10(y_hi)],
        row=1,
        col=2,
    )


def _label(
    fig: go.Figure,
    optima: pd.DataFrame,
    law: PowerLaw | None,
    scores: pd.DataFrame,
    x_range: tuple[float, float],
    y_range: tuple[float, float],
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
        *PANEL,
    )
    points = panel.pixels(x, y)
    markers = panel.pixels(np.log10(optima["compute"]), np.log10(optima["loss_star"]))
    obstacles = [points, markers]
    if law is not None and law.ok:
        compute = np.geomspace(*x_range, N_CURVE)
        obstacles.append(panel.pixels(np.log10(compute), np.log10(law.predict(compute))))
    spots = place_labels(panel, points, texts, np.concatenate(obstacles))
    for spot, px, py, text in zip(spots, x, y, texts, strict=True):
        if text:
            fig.add_annotation(
                x=float(px),
                y=float(py),
                xref="x2",
                yref="y2",
                text=text,
                font={"size": 11, "color": theme.INK},
                arrowcolor=theme.RULE,
                **spot.annotation(),
            )
