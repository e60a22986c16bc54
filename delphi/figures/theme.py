"""How every figure looks: the template "delphi", its palettes, and text that is safe to draw."""

from __future__ import annotations

import html
import math
import re
import textwrap
from typing import TYPE_CHECKING

import numpy as np

from delphi.columns import loss_unit
from delphi.shorthand import count, percent, printable, shortened

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pandas as pd

try:
    import plotly.graph_objects as go
    import plotly.io as pio
except ImportError as error:  # plotly is an extra
    raise ImportError("figures need plotly: pip install 'delphi-scaling[plot]'") from error

INK = "#22252B"
MUTED = "#5A5750"
RULE = "rgba(60, 54, 46, 0.55)"
GRID = "rgba(60, 54, 46, 0.12)"
CLEAR = "rgba(0, 0, 0, 0)"
MOBILE_WIDTH = 360  # pixels, of the screen that narrow layouts are for
FONT = "Inter, 'Helvetica Neue', Helvetica, Arial, 'DejaVu Sans', sans-serif"

# Chosen by distance in OKLab under normal, protan, deutan and tritan vision (smallest 9.5),
# with a contrast of at least 4 on white and 2 on tan.
SUITE_COLOURS = ("#2F55B0", "#C4650A", "#2F8F76", "#7A1D12", "#6E5A66", "#47246B")
SUITE_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "pentagon", "triangle-down")
# The same symbols as text, filled and hollow.
SYMBOL_GLYPHS = (
    "\u25cf\u25cb",
    "\u25a0\u25a1",
    "\u25c6\u25c7",
    "\u25b2\u25b3",
    "\u2b1f\u2b20",
    "\u25bc\u25bd",
)
# Lightness falls steadily from the smallest budget to the largest, so the order survives greyscale.
BUDGET_ANCHORS = ("#BF6D12", "#C04A4E", "#8A3285", "#472C86", "#14224F")

# Plotly draws some HTML tags, %{...} in hover texts, and $...$ where the host page has MathJax.
_UNSAFE = {ord("$"): "&#36;", ord("{"): "&#123;", ord("}"): "&#125;"}
# Ticks a decade of a count axis, by the spread of the data.
_STEPS = (
    (1e4, (1,)),
    (40, (1, 3)),
    (6, (1, 2, 5)),
    (0, (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8)),
)


def _template() -> go.layout.Template:
    axis = {
        "automargin": True,
        "gridcolor": GRID,
        "linecolor": RULE,
        "showline": True,
        "tickcolor": RULE,
        "ticklen": 4,
        "ticks": "outside",
        "tickfont": {"size": 12},
        "title": {"standoff": 8, "font": {"size": 13}},
        "zeroline": False,
    }
    return go.layout.Template(
        layout={
            "colorway": list(SUITE_COLOURS),
            "font": {"family": FONT, "size": 13, "color": INK},
            "hoverlabel": {"font": {"family": FONT, "size": 12}, "align": "left"},
            "legend": {"bgcolor": CLEAR, "borderwidth": 0, "font": {"size": 12}},
            "modebar": {"bgcolor": CLEAR, "color": RULE, "activecolor": INK},
            "paper_bgcolor": CLEAR,
            "plot_bgcolor": CLEAR,
            "margin": {"l": 62, "r": 18, "t": 34, "b": 58},
            "xaxis": axis,
            "yaxis": axis,
            "annotationdefaults": {"font": {"size": 12, "color": INK}},
        }
    )


NAME = "delphi"
# Registered for whoever wants it by name; the default template stays the caller's.
pio.templates[NAME] = _template()


def safe(label: object, limit: int = 64) -> str:
    """A name from the data as plotly text: one line, cut in the middle, nothing interpreted."""
    return html.escape(shortened(label, limit), quote=False).translate(_UNSAFE)


def wrapped(label: object, width: int, lines: int = 2) -> str:
    """Like :func:`safe`, broken into at most `lines` lines of about `width` characters."""
    text = printable(label)
    parts = textwrap.wrap(text, width, max_lines=lines, placeholder=" \u2026") or [""]
    return "<br>".join(safe(part, width + 2) for part in parts)


def error_text(value: float) -> str:
    """A loss against its law, in words; what would round to 0.0% is on the law."""
    return "on the law" if abs(value) < 0.05 else percent(value)


def light(colour: str, opacity: float = 0.2) -> str:
    """A palette colour for an area behind lines of the same colour."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {opacity})"


def for_text(colour: str) -> str:
    """A palette colour, darkened until a text in it has a contrast of 4.5 on white (WCAG AA).

    Examples
    --------
    >>> for_text("#2F55B0"), for_text("#C4650A")
    ('#2F55B0', '#B45D09')
    """
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)], float)
    for share in np.linspace(1, 0, 51):
        c = np.rint(rgb * share) / 255
        linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
        if 1.05 / (linear @ [0.2126, 0.7152, 0.0722] + 0.05) >= 4.5:
            break
    return "#{:02X}{:02X}{:02X}".format(*np.rint(rgb * share).astype(int))


def suite_colours(suites: Sequence[str]) -> dict[str, str]:
    """One colour a suite, by its place in `suites`: pass all suites of a report, always."""
    return {s: SUITE_COLOURS[i % len(SUITE_COLOURS)] for i, s in enumerate(suites)}


def suite_symbols(suites: Sequence[str]) -> dict[str, str]:
    """One marker symbol a suite, so that colour is never the only difference."""
    return {s: SUITE_SYMBOLS[i % len(SUITE_SYMBOLS)] for i, s in enumerate(suites)}


def glyphs(symbol: str) -> str:
    """A suite's symbol as two characters, filled and hollow."""
    return SYMBOL_GLYPHS[SUITE_SYMBOLS.index(symbol)]


def budget_colours(budgets: Iterable[float]) -> dict[float, str]:
    """Colours in order of compute, light to dark, evenly spaced by rank."""
    ordered = sorted(set(budgets))
    anchors = np.array([[int(h[i : i + 2], 16) for i in (1, 3, 5)] for h in BUDGET_ANCHORS], float)
    place = np.linspace(0, len(anchors) - 1, len(ordered)) if len(ordered) > 1 else np.array([2.0])
    channels = [np.interp(place, np.arange(len(anchors)), anchors[:, k]) for k in range(3)]
    rgb = np.rint(np.column_stack(channels)).astype(int)
    return {b: "#{:02X}{:02X}{:02X}".format(*c) for b, c in zip(ordered, rgb, strict=True)}


def loss_title(runs: pd.DataFrame, prefix: str = "Loss") -> str:
    """An axis title that names the loss column when it says more than "loss", and its unit."""
    column = runs.attrs.get("delphi", {}).get("loss_column") or "loss"
    unit = loss_unit(column)
    words = f"{safe(column, 32)}, {unit}" if unit else safe(column, 32)
    return prefix if column == "loss" else f"{prefix} ({words})"


def token_axis(title: str, counts: pd.Series) -> dict[str, object]:
    """A log axis for token or parameter `counts`, in M, B and T."""
    axis: dict[str, object] = {
        "type": "log",
        "title_text": title,
        "minor": {"ticks": "outside", "ticklen": 2, "dtick": "D1", "tickcolor": RULE},
    }
    good = counts[np.isfinite(counts) & (counts > 0)]
    if good.empty:
        return axis
    spread = good.max() / good.min()
    steps = next(steps for limit, steps in _STEPS if spread >= limit)
    decades = range(int(np.log10(good.min())) - 1, int(np.log10(good.max())) + 2)
    ticks = [step * 10.0**d for d in decades for step in steps]
    return axis | {"tickvals": ticks, "ticktext": [count(t) for t in ticks]}


def compute_axis(lo: float, hi: float) -> dict[str, object]:
    """A log axis of FLOPs from `lo` to `hi`, in powers of ten."""
    axis: dict[str, object] = {
        "type": "log",
        "title_text": "Compute (FLOPs)",
        "exponentformat": "power",
        "showexponent": "all",
    }
    axis["tickfont"] = {"size": 11}  # plotly draws powers a quarter larger
    axis["range"] = [math.log10(lo), math.log10(hi)]
    if hi / lo > 30:
        axis.update(
            dtick=1, minor={"ticks": "outside", "ticklen": 2, "dtick": "D1", "tickcolor": RULE}
        )
    return axis


def finish(
    fig: go.Figure,
    plot_height: int,
    names: Sequence[str],
    top: int = 34,
    *,
    mobile: bool = False,
    room: int = 0,
) -> go.Figure:
    """Apply the template and put the legend under the plots, where it covers no data.

    `plot_height` is that of the plotting area; the figure grows by what a legend of `names` needs,
    and by `room` above it, for a slider. `mobile` is for a screen 360 px wide.
    """
    foot = 60 + room
    rows = legend_rows(names, 290 if mobile else 640) + bool(fig.layout.legend.title.text)
    legend_height = 21 * rows + 8 if names else 0
    sides = {"l": 54, "r": 12} if mobile else {"l": 62, "r": 18}
    fig.update_layout(
        template=NAME,
        height=top + plot_height + foot + legend_height,
        margin=sides | {"t": top, "b": foot + legend_height},
        legend={
            "orientation": "h",
            "title_side": "top center",
            "x": 0.5,
            "xanchor": "center",
            "y": -(foot - 2) / plot_height,
            "yanchor": "top",
        },
    )
    if mobile:
        # In the middle of the screen, not of the plot: the legend may be wider than that.
        middle = (MOBILE_WIDTH / 2 - sides["l"]) / (MOBILE_WIDTH - sides["l"] - sides["r"])
        fig.update_layout(legend={"x": middle, "font_size": 11})
    return fig


def legend_rows(names: Sequence[str], width: float = 640) -> int:
    """How many rows a horizontal legend of `names` takes in `width` pixels, about.

    Entries that do not fit into one row stand in columns as wide as the longest of them.
    """
    if not names:
        return 0
    texts = [re.sub(r"<(?!br>)[^>]*>", "", html.unescape(name)).split("<br>") for name in names]
    entries = [44 + 6.8 * max(map(len, lines)) for lines in texts]
    tall = max(map(len, texts))
    if sum(entries) <= width:
        return tall
    columns = max(1, int(width // max(entries)))
    return tall * -(-len(entries) // columns)
