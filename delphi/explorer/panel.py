"""The panel itself: widgets that hand their values to an Explorer and draw what comes back."""

from __future__ import annotations

from typing import Any

import numpy as np

from delphi.explorer.live import LivePanel, go, make_subplots, put, widgets
from delphi.explorer.state import FLOORS, Explorer, ExplorerState
from delphi.figures import theme
from delphi.figures.thin import BUDGETS, POINTS, spread
from delphi.isoflop import curve_values
from delphi.overtraining import SCALES
from delphi.shorthand import flops, printable

__all__ = ["Panel", "draw", "empty_figure"]

N_CURVE = 50
CURVE_COLUMNS = (
    "used", "curve", "x_lo", "x_hi", "loss_star", "a", "b", "c", "x_centre",
    *(f"k{i}" for i in range(5)),
)  # fmt: skip
LAST = 8  # decades beyond the largest budget that the forecast can be asked for
HEIGHT = 560

# What is drawn, in order: name, panel (row, column), and how.
_DOT = {"mode": "markers"}
_LINE = {"mode": "lines"}
TRACES: tuple[tuple[str, tuple[int, int], dict[str, Any]], ...] = (
    ("runs", (1, 1), _DOT | {"marker": {"size": 6}}),
    ("curve", (1, 1), _LINE | {"line": {"width": 2, "color": theme.INK}}),
    ("beyond the cutoff", (1, 1), _LINE | {"line": {"width": 1, "dash": "dot",
                                                    "color": theme.MUTED}}),
    ("optimum", (1, 1), _DOT | {"marker": {"symbol": "x", "size": 9, "color": theme.INK}}),
    ("law", (1, 2), _LINE | {"line": {"width": 2, "color": theme.SUITE_COLOURS[0]}}),
    ("optima", (1, 2), _DOT | {"marker": {"size": 8, "color": theme.SUITE_COLOURS[0]}}),
    ("optima not fitted", (1, 2), _DOT | {"marker": {"size": 9, "symbol": "circle-open",
                                                     "color": theme.SUITE_COLOURS[0]}}),
    ("held-out runs", (1, 2), _DOT | {"marker": {"size": 10, "symbol": "diamond-open",
                                                 "color": theme.SUITE_COLOURS[1]}}),
    ("over-trained", (1, 2), {"mode": "lines+markers", "marker": {"size": 9, "symbol": "square"},
                              "line": {"dash": "dash", "width": 1.5},
                              "marker_color": theme.SUITE_COLOURS[3],
                              "line_color": theme.SUITE_COLOURS[3]}),
    ("interval", (2, 2), _LINE | {"line": {"width": 0}, "fill": "toself", "hoverinfo": "skip",
                                  "fillcolor": theme.light(theme.SUITE_COLOURS[0], 0.25)}),
    ("optima, error", (2, 2), _DOT | {"marker": {"size": 8, "color": theme.SUITE_COLOURS[0]}}),
    ("not fitted, error", (2, 2), _DOT | {"marker": {"size": 9, "symbol": "circle-open",
                                                     "color": theme.SUITE_COLOURS[0]}}),
    ("held-out, error", (2, 2), _DOT | {"marker": {"size": 10, "symbol": "diamond-open",
                                                   "color": theme.SUITE_COLOURS[1]}}),
)  # fmt: skip
# The lower right panel repeats the upper one's marks: one entry in the legend is enough.
_TWINS = {"optima, error", "not fitted, error", "held-out, error", "beyond the cutoff"}


def empty_figure(loss: str) -> go.Figure:
    """The axes and every trace, without data."""
    fig = make_subplots(
        rows=2, cols=2, specs=[[{"rowspan": 2}, {}], [None, {}]], horizontal_spacing=0.1,
        vertical_spacing=0.08, row_heights=[0.55, 0.45], shared_xaxes=True,
    )  # fmt: skip
    for name, (row, col), look in TRACES:
        fig.add_trace(
            go.Scatter(x=[], y=[], name=name, showlegend=name not in _TWINS, **look),
            row=row, col=col,
        )  # fmt: skip
    fig.add_vline(x=1.0, line={"color": theme.RULE, "width": 1, "dash": "dot"}, row="all", col=2)
    fig.add_hline(y=0.0, line={"color": theme.RULE, "width": 1}, row=2, col=2)
    fig.update_xaxes(type="log", exponentformat="power", showexponent="all", col=2)
    fig.update_xaxes(title_text="Compute (FLOPs)", row=2, col=2)
    fig.update_yaxes(title_text=loss, col=1)
    fig.update_yaxes(title_text=loss, row=1, col=2)
    fig.update_yaxes(title_text="off the law, %", row=2, col=2)
    names = [name for name, _, _ in TRACES if name not in _TWINS]
    return theme.finish(fig, HEIGHT - 160, names, 24)


def draw(fig: Any, state: ExplorerState, runs: Any, last: dict[Any, Any] | None = None) -> None:
    """Put a state into a figure made by `empty_figure`; only what differs from the last time.

    Parameters
    ----------
    fig : plotly.graph_objects.Figure or FigureWidget
    state : ExplorerState
    runs : DataFrame
        The suite's runs that are in the curves: budget, tokens, loss.
    last : dict, optional
        What the last call put there; updated.
    """
    last = {} if last is None else last
    parts = _left(state, runs) | _right(state)
    wanted: dict[tuple[str, str], Any] = {
        (name, key): value for name, part in parts.items() for key, value in part.items()
    }
    put(fig, tuple(name for name, _, _ in TRACES), wanted, last)
    limits, cutoff, suite = _compute_limits(state), state.settings.cutoff, state.settings.suite
    if last.get("cutoff") != cutoff:
        for shape in fig.layout.shapes[:2]:  # the two rules at the cutoff
            shape.x0 = shape.x1 = cutoff
    if last.get("suite") != suite:
        fig.layout.xaxis.update(theme.token_axis("Training tokens", runs["tokens"]))
    if last.get("limits") != limits:
        for axis in (fig.layout.xaxis2, fig.layout.xaxis3):
            axis.range = limits
    last |= {"cutoff": cutoff, "suite": suite, "limits": limits}


def _xy(x: Any, y: Any) -> dict[str, Any]:
    return {"x": np.asarray(x, float), "y": np.asarray(y, float)}


def _left(state: ExplorerState, runs: Any) -> dict[str, dict[str, Any]]:
    """Runs, curves and optima of the budgets; many of either are thinned by rank."""
    every = np.sort(state.fits["budget"].unique())
    budgets = every[spread(len(every), BUDGETS)]
    colours = theme.budget_colours(every)
    cutoff = state.settings.cutoff * (1 + 1e-9)
    colour: list[str] = []
    marks: list[str] = []
    shown = []
    groups = runs.groupby("budget").indices
    tokens, loss = runs["tokens"].to_numpy(float), runs["loss"].to_numpy(float)
    for budget in budgets.tolist():
        rows = groups.get(budget, np.empty(0, np.int64))
        rows = rows[spread(len(rows), POINTS)]
        shown.append(rows)
        colour += [colours[budget]] * len(rows)
        marks += ["circle" if budget <= cutoff else "circle-open"] * len(rows)
    rows = np.concatenate(shown)
    drawn: dict[bool, list[Any]] = {True: [], False: []}
    own = state.fits[state.fits["budget"].isin(budgets)]
    names = [n for n in CURVE_COLUMNS if n in own]
    for fit in own[names].itertuples(index=False):
        if np.isfinite([fit.x_lo, fit.x_hi, fit.loss_star]).all():
            at = np.append(np.logspace(fit.x_lo, fit.x_hi, N_CURVE), np.nan)
            drawn[bool(fit.used)].append((at, curve_values(fit, at)))
    used = own["used"].to_numpy(bool)
    empty = (np.empty(0), np.empty(0))
    lines = {
        name: np.concatenate(drawn[fitted] or [empty], axis=1)
        for name, fitted in (("curve", True), ("beyond the cutoff", False))
    }
    return {
        "runs": _xy(tokens[rows], loss[rows]) | {"marker.color": colour, "marker.symbol": marks},
        "optimum": _xy(
            own["tokens_star"].to_numpy(float)[used], own["loss_star"].to_numpy(float)[used]
        ),
        **{name: _xy(*xy) for name, xy in lines.items()},
    }


def _right(state: ExplorerState) -> dict[str, dict[str, Any]]:
    """The law, what it was fitted to, and below it everything in percent of it."""
    fitted = state.optima[state.optima["fitted"]]
    ahead = state.optima[~state.optima["fitted"]]
    held = state.held_out
    none = _xy([], [])
    parts = {
        "law": none, "interval": none, "over-trained": none,
        "optima": _xy(fitted["compute"], fitted["loss_star"]),
        "optima not fitted": _xy(ahead["compute"], ahead["loss_star"]),
        "held-out runs": _xy(held["compute"], held["loss"]),
        "optima, error": _xy(fitted["compute"], fitted["error_percent"]),
        "not fitted, error": _xy(ahead["compute"], ahead["error_percent"]),
        "held-out, error": _xy(held["compute"], held["error_percent"]),
    }  # fmt: skip
    law, band, s = state.law, state.band, state.settings
    if law is None or not law.ok:
        return parts
    low, high = (10**edge for edge in _compute_limits(state))
    compute = np.geomspace(low, high, N_CURVE)
    parts["law"] = _xy(compute, law.predict(compute))
    if band is not None:
        at = band.at[:-1]  # the last one is the forecast's own
        middle = law.predict(at)
        ends = [100 * (end[:-1] / middle - 1) for end in (band.low, band.high)]
        parts["interval"] = _xy([*at, *at[::-1]], [*ends[1], *ends[0][::-1]])
    match = state.cost.get("compute_to_match", np.nan)
    if np.isfinite(match):
        # From the optimum at the forecast's compute to the over-trained run of the same loss.
        loss = law.predict(s.at)
        parts["over-trained"] = _xy([s.at, match], [loss, loss])
    return parts


def _compute_limits(state: ExplorerState) -> list[float]:
    s = state.settings
    seen = [*state.fits["compute"], *state.held_out["compute"], s.at]
    return [float(np.log10(min(seen) / 1.5)), float(np.log10(max(seen) * 2))]


class Panel(LivePanel):
    """Controls, a figure and a few words; see `delphi.explore`.

    Attributes
    ----------
    explorer : Explorer
        The fits; ``panel.explorer.state`` is what is on show.
    controls : dict of str to widget
        "suite", "cutoff", "curve", "floor", "pinned", "scale", "at".
    figure : plotly.graph_objects.FigureWidget
    seconds : float
        Wall time of the last move in Python: fits, bootstrap, and handing over the figure.
    """

    explorer: Explorer
    rows = (("suite", "curve", "floor"), ("cutoff", "pinned"), ("scale", "at"))
    mark = "delphi-explorer"

    def _empty(self) -> Any:
        return empty_figure(theme.loss_title(_Named(self.explorer.attrs)))

    def _draw(self, figure: Any, state: ExplorerState, last: dict[Any, Any]) -> None:
        draw(figure, state, self.explorer.runs_of(state.settings.suite), last)

    def _make_controls(self) -> dict[str, Any]:
        s = self.explorer.state.settings
        wide = {"style": {"description_width": "90px"}, "layout": {"width": "430px"}}
        budgets = self.explorer.budgets(s.suite)
        scales = sorted({*(round(v, 6) for v in SCALES), s.scale})
        top = np.log10(budgets[-1])
        return {
            "suite": widgets.Dropdown(
                options=_options(self.explorer.suites), value=s.suite, description="suite"
            ),
            "curve": widgets.Dropdown(
                options=list(self.explorer.curves), value=s.curve, description="curve"
            ),
            "floor": widgets.ToggleButtons(
                options=list(FLOORS), value=s.floor, description="floor",
                style={"button_width": "70px"},
            ),
            "cutoff": widgets.SelectionSlider(
                options=[(flops(b), b) for b in budgets], value=_nearest(budgets, s.cutoff),
                description="cutoff", **wide,
            ),
            "pinned": widgets.FloatSlider(
                min=0.0, max=max(self._highest(), s.pinned), step=self._highest() / 400,
                value=s.pinned, description="L_inf", readout_format=".3f",
                disabled=s.floor != "pinned", **wide,
            ),
            "scale": widgets.SelectionSlider(
                options=[(f"{v:.3g}x", v) for v in scales], value=s.scale, description="tokens",
                **wide,
            ),
            "at": widgets.FloatLogSlider(
                min=min(top, np.log10(s.at)), max=max(top + LAST, np.log10(s.at)), step=0.1,
                value=s.at, readout_format=".2e", description="forecast at", **wide,
            ),
        }  # fmt: skip

    def _highest(self) -> float:
        """Where the slider of the pinned floor ends: just under the lowest loss."""
        lowest = self.explorer.state.optima["loss_star"].min()
        return 0.999 * float(lowest) if np.isfinite(lowest) else 1.0

    def _follow(self, name: str, state: ExplorerState) -> None:
        """Controls that depend on others."""
        s = state.settings
        self.controls["pinned"].disabled = s.floor != "pinned"
        if name == "suite":
            budgets = self.explorer.budgets(s.suite)
            cutoff = self.controls["cutoff"]
            # Options first: setting them moves the slider to the first of them.
            cutoff.options = [(flops(b), b) for b in budgets]
            cutoff.value = _nearest(budgets, s.cutoff)
        if name in ("suite", "curve"):
            self.controls["pinned"].max = max(self._highest(), s.pinned)


class _Named:
    """What `theme.loss_title` looks at."""

    def __init__(self, attrs: dict[Any, Any]) -> None:
        self.attrs = attrs


def _nearest(budgets: list[float], cutoff: float) -> float:
    """The largest budget at or below a cutoff; the smallest one if there is none."""
    below = [b for b in budgets if b <= cutoff * (1 + 1e-9)]
    return below[-1] if below else budgets[0]


def _options(suites: list[str]) -> list[tuple[str, str]]:
    """Names as text on one line; what would look the same is numbered."""
    shown: dict[str, int] = {}
    out = []
    for suite in suites:
        text = printable(suite)
        text = text if len(text) <= 60 else f"{text[:40]}\u2026{text[-19:]}"
        shown[text] = shown.get(text, 0) + 1
        out.append((text if shown[text] == 1 else f"{text} ({shown[text]})", suite))
    return out
