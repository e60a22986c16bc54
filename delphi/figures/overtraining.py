"""Training off the optimum: where the runs, the law and its forecast go at other token counts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import plotly.graph_objects as go

from delphi.figures import theme
from delphi.figures.lawparts import NO_LAW, law_words, with_words
from delphi.figures.thin import drawn, sweep_runs
from delphi.overtraining import FAR, SOURCES
from delphi.shorthand import flops

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd

    from delphi.isoflop import IsoflopLadder
    from delphi.overtraining import Curvature, OvertrainingCost
    from delphi.powerlaw import PowerLaw

__all__ = ["Bucket", "Point", "Shift", "Trend", "buckets_of", "draw", "overtraining_forecast"]

HEIGHT, MOBILE_HEIGHT = 400, 330
ABOVE = 82  # pixels for the text above a narrow plot
SLIDER = 84  # pixels, with its value above and its labels below
N_CURVE = 200  # of a budget
N_LINE = 160  # of a law
REACH = 1e3  # a line that meets nothing is drawn to so many times the compute of the forecast
PAD = 0.02  # decades a budget's curve goes on beyond its runs
LABEL = {"size": 12, "color": theme.INK}
THROUGH = "Fit through optima"


@dataclass(frozen=True)
class Bucket:
    """The runs of one budget, the curve about their optimum, and the optimum."""

    label: str
    tokens: list[float]
    loss: list[float]
    curve_tokens: list[float]
    curve_loss: list[float]
    tokens_star: float
    loss_star: float


@dataclass(frozen=True)
class Trend:
    """A law as a line: loss against the tokens that go with each compute."""

    compute: list[float]
    tokens: list[float]
    loss: list[float]


@dataclass(frozen=True)
class Point:
    """One run of a law: its compute, tokens and loss; None where there is none."""

    compute: float | None
    tokens: float | None
    loss: float | None


@dataclass(frozen=True)
class Shift:
    """What one position of the slider shows: every budget's run with `scale` times the tokens, the
    law of such runs, and the point where its loss is that of the optimal run."""

    scale: float
    tokens: list[float | None]
    loss: list[float | None]
    line: Trend
    crossing: Point
    text: str


def overtraining_forecast(
    ladder: IsoflopLadder,
    law: PowerLaw,
    cost: OvertrainingCost,
    suite: str | None = None,
    *,
    start: float = 2.0,
    mobile: bool = False,
) -> go.Figure:
    """Loss against tokens at and off the optimum, with a slider over tokens / optimal tokens.

    Parameters
    ----------
    ladder : IsoflopLadder
        What :func:`delphi.fit_isoflops` returned.
    law : PowerLaw
        The suite's law, as in ``ladder.laws()[suite]``.
    cost : OvertrainingCost
        What :func:`delphi.overtraining_cost` returned; its scales are the steps of the slider.
    suite : str, optional
        The suite to draw; needed where `cost` has several.
    start : float
        The scale shown at first: the nearest of the scales.
    mobile : bool
        Lay it out for a screen 360 px wide.

    Returns
    -------
    plotly.graph_objects.Figure
        Points and thin curves are the budgets, crosses their optima, the line the law. Hollow
        markers, the dashed line and the text move with the slider; the dotted connector spans what
        a run off the optimum needs to match the loss of the optimum at ``cost.at``.

    Raises
    ------
    KeyError
        If `cost` has no such suite, or several and none is named.

    Examples
    --------
    >>> import delphi
    >>> fitted = delphi.fit_isoflops(delphi.simulate.ladder(rng=0))
    >>> law = fitted.laws()["Aster"]
    >>> cost = delphi.overtraining_cost(fitted, law, suite="Aster", n_boot=0)
    >>> fig = delphi.figures.overtraining_forecast(fitted, law, cost)
    >>> len(fig.frames)
    10
    """
    suite = _one_suite(cost, suite)
    plot_height = MOBILE_HEIGHT if mobile else HEIGHT
    few = drawn(ladder, suite)
    fits = few.fits[(few.fits["suite"] == suite) & few.fits["used"]].sort_values("budget")
    kind = cast("Curvature", cost.curvature)
    columns = (SOURCES[kind, "under"][0], SOURCES[kind, "over"][0])
    buckets = buckets_of(few, suite, columns, flops)
    rows = cost.table[cost.table["suite"] == suite].sort_values("scale")
    if not law.ok or not buckets:
        fig = go.Figure()
        where = {"x": 0.5, "y": 0.5, "xref": "x domain", "yref": "y domain"}
        fig.add_annotation(text=NO_LAW, showarrow=False, **where)
        fig.update_xaxes(title_text="Training tokens")
        fig.update_yaxes(title_text=theme.loss_title(ladder.runs))
        return theme.finish(fig, plot_height, [], top=18, mobile=mobile)
    tokens_at = token_trend(ladder, suite)
    optimum = _optimum(fits, law, tokens_at, cost.at)
    end = Point(cost.at, float(tokens_at(cost.at)), float(law.predict(cost.at)))
    shifts = [_shift(row, fits, law, cost, columns, tokens_at) for row in rows.itertuples()]
    colour = theme.suite_colours(ladder.suites)[suite]
    active = int(np.argmin([abs(math.log(s.scale / start)) for s in shifts]))
    note = _above if mobile else _corner
    fig = draw(buckets, optimum, end, shifts, active, colours=(colour, theme.INK), note=note)
    through = next(trace for trace in fig.data if trace.name == THROUGH)
    through.name = with_words(THROUGH, law_words(law))
    x_range, y_range = _ranges(buckets, optimum, end, shifts)
    seen = np.array([10.0 ** x_range[0], 10.0 ** x_range[1]])
    fig.update_xaxes(**theme.token_axis("Training tokens", _series(seen)))
    fig.update_xaxes(range=x_range)
    fig.update_yaxes(type="log", title_text=theme.loss_title(ladder.runs), range=y_range)
    slider = fig.layout.sliders[0]
    slider.update(x=0, len=1, y=-54 / plot_height, yanchor="top", pad={"t": 0, "b": 0})
    prefix = "Tokens / optimal: " if mobile else "Tokens over optimal tokens: "
    slider.update(currentvalue={"prefix": prefix, "font": {"size": 13}}, font={"size": 11})
    names = [trace.name for trace in fig.data if trace.showlegend is not False]
    top = ABOVE if mobile else 18
    return theme.finish(fig, plot_height, names, top=top, mobile=mobile, room=SLIDER)


def token_trend(ladder: IsoflopLadder, suite: str) -> Callable[[Any], Any]:
    """Optimal tokens as a function of compute, by the power law through the suite's optima."""
    table = ladder.exponents
    row = table[(table["suite"] == suite) & (table["quantity"] == "tokens_star")].iloc[0]
    return lambda compute: row["coefficient"] * np.asarray(compute, float) ** row["exponent"]


def buckets_of(
    ladder: IsoflopLadder,
    suite: str,
    curvatures: tuple[str, str],
    label_of: Callable[[float], str],
) -> list[Bucket]:
    """The used budgets of a suite, with their curves: one curvature below the optimum, one above.

    `curvatures` names the two columns of the ladder's fits.
    """
    fits = ladder.fits[(ladder.fits["suite"] == suite) & ladder.fits["used"]]
    runs = dict(tuple(sweep_runs(ladder, suite).groupby("budget")))
    out = []
    for fit in fits.sort_values("budget").itertuples():
        points = runs[fit.budget]
        x = np.linspace(fit.x_min - PAD, fit.x_max + PAD, N_CURVE)
        away = x - fit.x_star
        side = np.where(away < 0, *(getattr(fit, name) for name in curvatures))
        out.append(
            Bucket(
                label_of(fit.budget),
                points["tokens"].tolist(),
                points["loss"].tolist(),
                (10.0**x).tolist(),
                (fit.loss_star + side * away**2).tolist(),
                fit.tokens_star,
                fit.loss_star,
            )
        )
    return out


def draw(
    buckets: Sequence[Bucket],
    optimum: Trend,
    end: Point,
    shifts: Sequence[Shift],
    active: int,
    *,
    colours: tuple[str, str],
    note: Callable[[Shift, Point], dict[str, Any]],
    x_range: Callable[[Shift], list[float]] | None = None,
) -> go.Figure:
    """The traces, the slider and its frames.

    Parameters
    ----------
    buckets : sequence of Bucket
    optimum : Trend
        The law at the optimum, up to `end`.
    end : Point
        The optimal run to be matched.
    shifts : sequence of Shift
        One for each step of the slider.
    active : int
        The step shown at first.
    colours : (str, str)
        Of the budgets, and of the law.
    note : callable
        The annotation of a shift, from it and `end`.
    x_range : callable, optional
        The range of the token axis of a shift, log10.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    colour, ink = colours
    fig = go.Figure([*_still(buckets, optimum, end, colour, ink)])
    n_still = len(fig.data)
    fig.add_traces(_moving(buckets, shifts[active], end, colour, ink))
    fig.frames = [
        # As dicts: plotly would check frame objects twice.
        {
            "name": str(shift.scale),
            "data": [{"type": "scatter"} | part for part in _moved(shift, end)],
            "traces": list(range(n_still, len(fig.data))),
            "layout": {"annotations": [note(shift, end)]}
            | ({"xaxis": {"range": x_range(shift)}} if x_range else {}),
        }
        for shift in shifts
    ]
    now = {"duration": 0}
    fig.update_layout(
        annotations=[note(shifts[active], end)],
        sliders=[
            {
                "active": active,
                "steps": [
                    {
                        "method": "animate",
                        "label": f"{shift.scale:.3g}\N{MULTIPLICATION SIGN}",
                        "args": [
                            [str(shift.scale)],
                            {
                                "frame": now | {"redraw": True},
                                "mode": "immediate",
                                "transition": now,
                            },
                        ],
                    }
                    for shift in shifts
                ],
            }
        ],
    )
    return fig


def _still(
    buckets: Sequence[Bucket], optimum: Trend, end: Point, colour: str, ink: str
) -> list[go.Scatter]:
    """What the slider does not move."""
    traces = []
    for bucket in buckets:
        where = f"<br>budget {bucket.label} FLOPs"
        traces += [
            go.Scatter(
                x=bucket.tokens,
                y=bucket.loss,
                mode="markers",
                marker={"size": 6, "color": colour, "opacity": 0.55},
                showlegend=False,
                hovertemplate=f"loss %{{y:.4f}}<br>tokens %{{x:.3s}}{where}<extra></extra>",
            ),
            go.Scatter(
                x=bucket.curve_tokens,
                y=bucket.curve_loss,
                mode="lines",
                line={"width": 1.25, "color": colour, "simplify": False},
                showlegend=False,
                hoverinfo="skip",
            ),
            go.Scatter(
                x=[bucket.tokens_star],
                y=[bucket.loss_star],
                mode="markers",
                marker={
                    "symbol": "x",
                    "size": 11,
                    "color": colour,
                    "line": {"width": 1, "color": "white"},
                },
                showlegend=False,
                hovertemplate=(
                    f"optimum<br>loss %{{y:.4f}}<br>tokens %{{x:.3s}}{where}<extra></extra>"
                ),
            ),
        ]
    law = "<br>%{customdata:.3e} FLOPs<br>loss %{y:.4f}<br>tokens %{x:.3s}<extra></extra>"
    traces.append(
        go.Scatter(
            x=optimum.tokens,
            y=optimum.loss,
            mode="lines",
            line={"width": 2, "color": ink, "simplify": False},
            name=THROUGH,
            customdata=optimum.compute,
            hovertemplate=f"law at the optimum{law}",
        )
    )
    traces.append(
        go.Scatter(
            x=[end.tokens],
            y=[end.loss],
            mode="markers",
            marker={
                "symbol": "x",
                "size": 12,
                "color": ink,
                "line": {"width": 1, "color": "white"},
            },
            showlegend=False,
            customdata=[end.compute],
            hovertemplate=f"optimum to be matched{law}",
        )
    )
    return traces


def _moving(
    buckets: Sequence[Bucket], shift: Shift, end: Point, colour: str, ink: str
) -> list[go.Scatter]:
    """What the slider moves, where it stands at first."""

    def hollow(colour: str) -> dict[str, Any]:
        line = {"width": 2.5, "color": colour}
        return {"symbol": "circle-open", "size": 11, "color": colour, "line": line}

    looks: list[dict[str, Any]] = [
        {
            "mode": "markers",
            "marker": hollow(colour),
            "showlegend": False,
            "hovertemplate": (
                "off the optimum<br>loss %{y:.4f}<br>tokens %{x:.3s}"
                f"<br>budget {bucket.label} FLOPs<extra></extra>"
            ),
        }
        for bucket in buckets
    ]
    law = "<br>%{customdata:.3e} FLOPs<br>loss %{y:.4f}<br>tokens %{x:.3s}<extra></extra>"
    looks += [
        {
            "mode": "lines",
            "line": {"width": 2, "color": ink, "dash": "dash", "simplify": False},
            "name": "Sub-optimal fit",
            "hovertemplate": f"law off the optimum{law}",
        },
        {
            "mode": "markers",
            "marker": hollow(ink),
            "showlegend": False,
            "hovertemplate": (
                "matches the optimum<br>%{customdata[0]:.3e} FLOPs<br>tokens %{x:.3s}"
                "<extra></extra>"
            ),
        },
        {
            "mode": "lines",
            "line": {"width": 1.5, "color": ink, "dash": "dot"},
            "showlegend": False,
            "hoverinfo": "skip",
        },
    ]
    return [go.Scatter(look | data) for look, data in zip(looks, _moved(shift, end), strict=True)]


def _moved(shift: Shift, end: Point) -> list[dict[str, Any]]:
    """The data of what moves, in the order of its traces."""
    cross = shift.crossing
    return [
        *({"x": [x], "y": [y]} for x, y in zip(shift.tokens, shift.loss, strict=True)),
        {"x": shift.line.tokens, "y": shift.line.loss, "customdata": shift.line.compute},
        {"x": [cross.tokens], "y": [cross.loss], "customdata": [[cross.compute]]},
        {"x": [end.tokens, cross.tokens], "y": [end.loss, cross.loss]},
    ]


def _one_suite(cost: OvertrainingCost, suite: str | None) -> str:
    suites = cost.table["suite"].unique().tolist()
    if suite is None and len(suites) == 1:
        return str(suites[0])
    if suite is None or suite not in suites:
        raise KeyError(f"no suite {suite!r}; there are {suites}")
    return suite


def _optimum(
    fits: pd.DataFrame, law: PowerLaw, tokens_at: Callable[[Any], Any], at: float
) -> Trend:
    compute = np.geomspace(fits["compute"].min(), at, N_LINE)
    return Trend(compute.tolist(), tokens_at(compute).tolist(), law.predict(compute).tolist())


def _shift(
    row: Any,
    fits: pd.DataFrame,
    law: PowerLaw,
    cost: OvertrainingCost,
    columns: tuple[str, str],
    tokens_at: Callable[[Any], Any],
) -> Shift:
    """One step of the slider from one row of the cost's table."""
    s, over = row.scale, row.scale > 1
    far = not row.percent_overhead < 100 * math.expm1(FAR)
    curves = cost.curves[cost.curves["suite"] == row.suite].set_index("side")
    curve = curves.loc["over" if over else "under"]
    line, crossing = Trend([], [], []), Point(None, None, None)
    if math.isfinite(row.penalty):
        last = row.compute_to_match if row.compute_to_match < REACH * cost.at else REACH * cost.at
        compute = np.geomspace(fits["compute"].min(), last, N_LINE)
        penalty = curve["at_forecast"] * (compute / cost.at) ** curve["exponent"]
        if s == 1:  # no curvature is needed for it
            penalty = np.zeros(len(compute))
        loss = law.predict(compute) + penalty * math.log10(s) ** 2
        line = Trend(compute.tolist(), (s * tokens_at(compute)).tolist(), loss.tolist())
        if row.compute_to_match < REACH * cost.at:
            match = float(row.compute_to_match)
            crossing = Point(match, float(s * tokens_at(match)), float(law.predict(cost.at)))
    curvature = fits[columns[over]].to_numpy(float)
    moved = np.where(curvature > 0, fits["loss_star"] + curvature * math.log10(s) ** 2, np.nan)
    return Shift(
        scale=float(s),
        tokens=(s * fits["tokens_star"]).tolist(),
        loss=[y if math.isfinite(y) else None for y in moved.tolist()],
        line=line,
        crossing=crossing,
        text=_words(row, far, cost.at, cost.n_boot > 0),
    )


def _words(row: Any, far: bool, at: float, interval: bool) -> str:
    """What a run off the optimum costs."""
    s = row.scale
    times = f"{max(s, 1 / s):.3g}\N{MULTIPLICATION SIGN}"
    if s == 1:
        return "compute-optimal"
    lines = [f"{times} {'over' if s > 1 else 'under'}trained"]
    if not math.isfinite(row.penalty):
        return "<br>".join([*lines, "its curvature is not known"])
    if far:
        lines.append(f"no compute matches {flops(at)} FLOPs")
    else:
        lines.append(f"{row.percent_overhead:+.1f}% compute to match {flops(at)} FLOPs")
    if interval and math.isfinite(row.percent_overhead_low):
        high = row.percent_overhead_high
        ends = f"{row.percent_overhead_low:+.1f}% to "
        ends += f"{high:+.1f}%" if high < 100 * math.expm1(FAR) else "no match"
        lines.append(f"{row.level:.0%} interval {ends}")
    if "outside_swept_range" in row.status:
        lines.append("further out than any run")
    return "<br>".join(lines)


def _corner(shift: Shift, end: Point) -> dict[str, Any]:
    """The text of a shift where curves that fall leave room."""
    return {
        "x": 1,
        "y": 1,
        "xref": "x domain",
        "yref": "y domain",
        "xanchor": "right",
        "yanchor": "top",
        "align": "right",
        "showarrow": False,
        "text": shift.text,
        "font": LABEL,
    }


def _above(shift: Shift, end: Point) -> dict[str, Any]:
    """The same above the plot: a narrow one has no room for it."""
    return _corner(shift, end) | {"yanchor": "bottom"}


def _ranges(
    buckets: Sequence[Bucket], optimum: Trend, end: Point, shifts: Sequence[Shift]
) -> tuple[list[float], list[float]]:
    """log10 ranges of the axes: everything, wherever the slider stands."""
    x = [v for b in buckets for v in b.tokens] + optimum.tokens
    y = [v for b in buckets for v in b.loss] + [*optimum.loss]
    for shift in shifts:
        x += [v for v in (*shift.tokens, shift.crossing.tokens) if v is not None]
        y += [v for v in shift.loss if v is not None]
    # A crossing far away would squeeze all the rest: it is then cut off.
    hi = min(max(x), 100 * (end.tokens or math.inf))
    wide, tall = math.log10(hi / min(x)), math.log10(max(y) / min(y))
    return (
        [math.log10(min(x)) - 0.02 * wide, math.log10(hi) + 0.03 * wide],
        [math.log10(min(y)) - 0.06 * tall, math.log10(max(y)) + 0.04 * tall],
    )


def _series(values: np.ndarray) -> pd.Series:
    import pandas as pd

    return pd.Series(values)
