"""The figures of a report, each with a caption that says what is in it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from delphi.shorthand import flops, shortened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pandas as pd
    import plotly.graph_objects as go

    from delphi.isoflop import IsoflopLadder
    from delphi.report.content import Analysis

__all__ = ["EVERY", "Drawing", "drawings", "held_out_band", "listed"]

EVERY = "All suites"
SWEEP = "Sweep"
N_BOOT = 1000  # replicates of the interval behind the seeds


@dataclass(frozen=True)
class Drawing:
    """A figure: file name, title, the part of the page it is in, caption, and how it is drawn.

    `draw` takes whether it is for a narrow screen.
    """

    name: str
    title: str
    group: str
    caption: str
    draw: Callable[[bool], go.Figure]


def drawings(analysis: Analysis, slugs: dict[str, str]) -> Iterator[Drawing]:
    """Every figure of a report, those of all suites first, then suite by suite.

    Parameters
    ----------
    analysis : Analysis
        Nothing in it is fitted again.
    slugs : dict of suite to str
        What the files of each suite are called after.

    Yields
    ------
    Drawing
    """
    from delphi.figures.thin import SUITES

    yield _parabolas(analysis)
    yield _laws(analysis)
    yield from _backtest(analysis)
    yield from _browser(analysis)
    if analysis.downstream is not None:
        yield from analysis.downstream.drawings()
    for suite in list(slugs)[:SUITES]:
        slug = slugs[suite]
        yield _ladder(analysis, suite, f"ladder-{slug}")
        yield from _off_optimum(analysis, suite, f"overtraining-forecast-{slug}")
        yield from _seeds(analysis, suite, f"lucky-seeds-{slug}")
        yield from _floor(analysis, suite, f"floor-profile-{slug}")
        yield from _surface(analysis, suite, f"surface-{slug}")
    yield from _sweep(analysis)


def _parabolas(analysis: Analysis) -> Drawing:
    from delphi import figures
    from delphi.figures.thin import drawn_note

    ladder = analysis.ladder
    caption = _said(
        "Loss against tokens at fixed compute; a cross marks each optimum."
        if len(ladder.optima)
        else "Loss against tokens at fixed compute. No budget has an optimum.",
        ""
        if ladder.fits["used"].all()
        else "Hollow points and dotted curves are budgets that feed no law; the legend says why.",
        "Dotted beyond the runs that a curve was fitted to." if ladder.window else "",
        drawn_note(ladder),
    )
    return Drawing(
        "isoflop-parabolas", "IsoFLOP parabolas", EVERY, caption,
        lambda narrow: figures.isoflop_parabolas(ladder, mobile=narrow),
    )  # fmt: skip


def _laws(analysis: Analysis) -> Drawing:
    from delphi import figures
    from delphi.figures.thin import law_note

    ladder, held_out = analysis.ladder, analysis.held_out

    def draw(narrow: bool) -> go.Figure:
        return figures.scaling_law_asymptote(
            ladder, analysis.laws, held_out, analysis.posteriors, mobile=narrow
        )

    wide = draw(False)
    caption = _said(*_law_caption(analysis, wide), law_note(ladder, held_out))
    return Drawing(
        "scaling-law-asymptote", "Scaling laws", EVERY, caption,
        lambda narrow: draw(True) if narrow else wide,
    )  # fmt: skip


def _law_caption(analysis: Analysis, fig: go.Figure) -> list[str]:
    """What is seen in the figure of the laws."""
    from delphi.figures.thin import first_suites

    if analysis.ladder.optima.empty:
        return ["No budget has an optimum, so there is no law to draw."]
    traces = fig.data
    without = [
        s for s in first_suites(analysis.ladder) if s not in set(analysis.ladder.optima["suite"])
    ]
    curve = any(t.mode == "lines" and t.fill is None for t in traces)
    rule = [shape.x0 for shape in fig.layout.shapes if shape.x0 == shape.x1]
    return [
        "Loss at the optimum against compute.",
        "Dashed: the law by least squares." if curve else "",
        "Light: its 95% interval (posterior)." if any(t.fill for t in traces) else "",
        "Dotted: its floor L_inf." if any(s.y0 == s.y1 for s in fig.layout.shapes) else "",
        "Hollow: held-out runs, which no fit has seen." if len(analysis.held_out) else "",
        f"Fitting ends at {flops(rule[0])} FLOPs, the largest fitted compute." if rule else "",
        f"Without an optimum: {listed(without)}." if without else "",
    ]


def _backtest(analysis: Analysis) -> Iterator[Drawing]:
    from delphi import figures
    from delphi.figures.backtest import PANELS

    test = analysis.checks.backtest
    if test is None:
        return
    rows = test.table[(test.table["method"] == "posterior") & (test.table["target"] == "optimum")]
    rows = rows[rows["predicted"].notna()]
    if rows.empty:
        return
    suites = rows["suite"].nunique()
    yield Drawing(
        "backtest-errors",
        "Back-test",
        EVERY,
        _said(
            "How far forecasts of larger budgets would have been off, one colour for each largest "
            "budget that was fitted. Bars: the 95% interval of the forecast (posterior); hollow "
            "where it missed.",
            f"Of {suites} suites the first {PANELS} are drawn." if suites > PANELS else "",
        ),
        # Two panels a row are as wide as the others of the page.
        lambda narrow: figures.backtest_errors(test, columns=min(suites, 3), mobile=narrow),
    )


def _browser(analysis: Analysis) -> Iterator[Drawing]:
    """A menu of all suites, where there are more than have figures of their own."""
    from delphi import figures
    from delphi.figures.browser import MOST, browser_note, stacked
    from delphi.figures.thin import SUITES

    ladder, n = analysis.ladder, len(analysis.ladder.suites)
    if not SUITES < n <= MOST:
        return
    wide = figures.suite_browser(ladder, analysis.laws, analysis.held_out, analysis.posteriors)
    yield Drawing(
        "suite-browser", "Any suite", EVERY,
        _said(
            f"Each of the {n:,} suites by the menu. Left (above on a narrow screen): its "
            "parabolas; right: the law through their optima, light its 95% interval, hollow "
            "held-out runs.",
            browser_note(ladder),
        ),
        lambda narrow: stacked(wide) if narrow else wide,
    )  # fmt: skip


def _ladder(analysis: Analysis, suite: str, name: str) -> Drawing:
    from delphi import figures
    from delphi.figures.thin import SUITES, drawn_note, law_note

    ladder, held_out = analysis.ladder, analysis.held_out
    own = held_out[held_out["suite"] == suite]
    compared = ", and how held-out runs compare with it" if len(own) else ""
    fitted = suite in set(ladder.optima["suite"])
    last = len(ladder.suites) > SUITES and suite == ladder.suites[SUITES - 1]
    caption = _said(
        "Left (above on a narrow screen): the parabolas.",
        f"Right: the law through their optima, light its 95% interval{compared}."
        if fitted
        else "Right: nothing, for no budget has an optimum.",
        drawn_note(ladder, suite),
        law_note(ladder, own, suite),
        f"Of {len(ladder.suites)} suites the first {SUITES} have such a figure." if last else "",
    )
    return Drawing(
        name, "Ladder", suite, caption,
        lambda narrow: figures.ladder(
            ladder, analysis.laws, suite, held_out, analysis.posteriors, mobile=narrow
        ),
    )  # fmt: skip


def _off_optimum(analysis: Analysis, suite: str, name: str) -> Iterator[Drawing]:
    from delphi import figures
    from delphi.overtraining import SCALES

    cost, law = analysis.checks.costs.get(suite), analysis.laws.get(suite)
    if cost is None or law is None or not law.ok:
        return
    shown = replace(cost, table=cost.table[cost.table["scale"].isin(SCALES)])
    yield Drawing(
        name,
        "Training off the optimum",
        suite,
        f"Hollow: runs with more or fewer tokens than optimal at the same compute. Dashed: the law "
        f"of such runs, as far as it takes to match the optimum at {flops(cost.at)} FLOPs. The "
        "slider sets how many times the optimal tokens.",
        lambda narrow: figures.overtraining_forecast(
            analysis.ladder, law, shown, suite, mobile=narrow
        ),
    )


def _seeds(analysis: Analysis, suite: str, name: str) -> Iterator[Drawing]:
    from delphi import figures
    from delphi.figures import theme

    ladder, law = analysis.ladder, analysis.laws.get(suite)
    own = analysis.held_out[analysis.held_out["suite"] == suite]
    own = own[own["state"] == "finished"]
    if law is None or not law.ok or own.empty:
        return
    runs = ladder.runs if "state" in ladder.runs else ladder.runs.assign(state="")
    band = held_out_band(ladder, suite, own["compute"].to_numpy(float))
    colour = theme.suite_colours(ladder.suites)[suite]
    yield Drawing(
        name,
        "Seeds against the forecast",
        suite,
        "Held-out runs, one circle a run, as percent off the law's forecast, over the interval of "
        "that forecast. The interval is of the law, not of one run.",
        lambda narrow: figures.lucky_seeds(runs, law, band, suite, colour=colour, mobile=narrow),
    )


def _floor(analysis: Analysis, suite: str, name: str) -> Iterator[Drawing]:
    from delphi import figures
    from delphi.errors import DataError

    law = analysis.laws.get(suite)
    if law is None or not law.ok:
        return
    try:
        law.profile(n=2)
    except DataError:  # a law that has no profile: fitted on logarithms, or its floor pinned
        return
    yield Drawing(
        name,
        "Floor profile",
        suite,
        "How well every floor L_inf fits, and the exponent and the loss at 100 times the largest "
        "fitted compute that go with it. Bold: inside the 95% likelihood region; dotted: the law.",
        lambda narrow: figures.floor_profile(law, mobile=narrow),
    )


def _sweep(analysis: Analysis) -> Iterator[Drawing]:
    from delphi import figures
    from delphi.report.sweep import CAPTION

    sweep = analysis.sweep
    if sweep is None or not any(c.ok for c in sweep.cells):
        return
    marked = f" Crosses: {shortened(sweep.rule)}, hollow outside the trials." if sweep.rule else ""
    yield Drawing(
        "hparam-scaling", "Hyperparameters", SWEEP, CAPTION + marked,
        lambda narrow: figures.hparam_scaling(sweep, mobile=narrow),
    )  # fmt: skip


def _surface(analysis: Analysis, suite: str, name: str) -> Iterator[Drawing]:
    from delphi import figures

    law = analysis.checks.surfaces.get(suite)
    if law is None or not law.ok:
        return
    yield Drawing(
        name,
        "Surface",
        suite,
        "Loss over parameters and tokens as the surface E + A/N^alpha + B/D^beta has it, coloured "
        "like the runs on it; dashed: the compute-optimal line. Where a run's colour differs from "
        "its ground, the surface misses it.",
        lambda narrow: figures.surface_contours(law, mobile=narrow),
    )
    yield Drawing(
        f"{name}-residuals",
        "Surface residuals",
        suite,
        "What the surface leaves over, against parameters and tokens; grey: Huber's delta. A trend "
        "is a law that bends the wrong way.",
        lambda narrow: figures.surface_residuals(law, mobile=narrow),
    )
    yield Drawing(
        f"{name}-fit-quality",
        "Surface fit",
        suite,
        "Loss that the surface predicts for each run, against the loss it had.",
        lambda narrow: figures.surface_fit_quality(law, mobile=narrow),
    )
    deltas = law.delta_table()
    yield Drawing(
        f"{name}-delta-sweep",
        "Surface and outliers",
        suite,
        "The law under other thresholds delta of Huber's loss; a is the exponent of optimal "
        "parameters. Dotted: least absolute residuals, dashed: least squares. A law that moves "
        "with delta rests on a few runs.",
        lambda narrow: figures.delta_sweep(law, deltas, mobile=narrow),
    )


def held_out_band(ladder: IsoflopLadder, suite: str, compute: np.ndarray) -> pd.DataFrame:
    """The interval of a forecast at the computes of held-out runs, each distinct one once.

    By bootstrap, or of the posterior where no parabola was fitted.
    """
    from delphi.bootstrap import bootstrap_ladder

    at = _distinct(compute)
    if ladder.window is not None or ladder.curve == "parabola":
        return bootstrap_ladder(ladder, suite, at, n=N_BOOT).to_frame()
    return ladder.posteriors()[suite].interval(at)


def _distinct(compute: np.ndarray) -> np.ndarray:
    """Computes in order, one of those within 10% of each other, as seeds of one point are; of very
    many some, evenly spaced."""
    from delphi.figures.thin import LABELS, spread

    kept: list[float] = []
    for value in np.sort(compute):
        if not kept or value > 1.1 * kept[-1]:
            kept.append(float(value))
    return np.array(kept)[spread(len(kept), LABELS)]


def listed(names: Sequence[str]) -> str:
    """The first three names, and how many more there are."""
    shown = list(names[:3]) + ([f"{len(names) - 3} more"] if len(names) > 3 else [])
    return shown[0] if len(shown) == 1 else ", ".join(shown[:-1]) + " and " + shown[-1]


def _said(*sentences: str) -> str:
    return " ".join(sentence for sentence in sentences if sentence)
