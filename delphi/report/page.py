"""The report as one HTML file that needs nothing else, no network above all."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

from delphi.report.tables import PAGE_ROWS
from delphi.shorthand import printable, shortened

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from jinja2 import Environment

    from delphi.card import Card
    from delphi.report.tables import Table

try:
    import jinja2
    from markupsafe import Markup
except ImportError as error:  # an extra
    raise ImportError(
        "the page needs Jinja2: pip install 'delphi-scaling[report]'", name="jinja2"
    ) from error

__all__ = ["Plot", "render_page", "render_table"]


@dataclass(frozen=True)
class Plot:
    """A figure of the page.

    Attributes
    ----------
    name, title, caption : str
    json : str
        The figure as plotly JSON.
    narrow : str, optional
        The same figure laid out for a narrow screen; the wide one is used without it.
    group : str
        The heading it stands under; figures of one group follow each other.
    """

    name: str
    title: str
    caption: str
    json: str
    narrow: str | None = None
    group: str = ""

    @property
    def label(self) -> str:
        """The figure in words, for those who do not see it."""
        where = f", {shortened(self.group)}" if self.group else ""
        return shortened(f"{self.title}{where}. {self.caption}", 1000)


@dataclass(frozen=True)
class _Group:
    """Figures under one heading."""

    id: str
    title: str
    plots: list[_Figure]


@dataclass(frozen=True)
class _Figure:
    """A figure as the page holds it: its data can stand in a script element."""

    name: str
    title: str
    caption: str
    label: str
    data: Markup


def render_page(
    title: str,
    subtitle: str,
    reading: Sequence[str],
    plots: Sequence[Plot],
    tables: Sequence[Table],
    version: str,
    units: str = "Losses in the unit of the data; compute in FLOPs.",
    *,
    cards: Mapping[str, Card] | None = None,
    cards_note: str = "",
) -> str:
    """Put a report into one HTML text.

    Parameters
    ----------
    title, subtitle : str
    reading : sequence of str
        The result in sentences.
    plots : sequence of Plot
    tables : sequence of Table
    version : str
        Of delphi, for the foot of the page.
    units : str
        Of the numbers, for the same place.
    cards : mapping of name to Card, optional
        Fit cards, each folded away under its name.
    cards_note : str
        A sentence above them.

    Returns
    -------
    str
        The same input gives the same text. Names may hold anything: all of it is escaped, and the
        page's own policy lets no script run but its own two.
    """
    from plotly.offline import get_plotlyjs

    scripts = [get_plotlyjs(), _part("page.js")]
    figures = [json.loads(plot.json) for plot in plots]
    template: dict[str, Any] = next((f["layout"].get("template", {}) for f in figures), {})
    text: str = (
        _environment()
        .get_template("page.html")
        .render(
            title=title,
            subtitle=subtitle,
            reading=reading,
            groups=list(_grouped(plots, figures, template)),
            tables=tables,
            most_rows=PAGE_ROWS,
            cards=cards or {},
            cards_note=cards_note,
            version=version,
            units=units,
            policy=Markup(_policy(scripts, plots)),
            css=Markup(_part("page.css")),
            template=_inert(template),
            scripts=[Markup(script) for script in scripts],
        )
    )
    return text.lstrip() + "\n"


def render_table(table: Table, most: int = PAGE_ROWS) -> str:
    """A table as HTML, its first rows at most; the first column heads its row."""
    parts: Any = _environment().get_template("parts.html").module
    return str(parts.table_of(table, most))


@functools.cache
def _environment() -> Environment:
    """Escape whatever is printed, and let no character steer the page."""
    env = jinja2.Environment(
        loader=jinja2.FunctionLoader(_part),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: value if isinstance(value, Markup) else printable(value),
    )
    env.filters["shortened"] = shortened
    return env


def _grouped(
    plots: Sequence[Plot], figures: Sequence[dict[str, Any]], template: dict[str, Any]
) -> Iterator[_Group]:
    """Figures under their headings, in the order in which those come."""
    groups: dict[str, list[_Figure]] = {}
    for plot, wide in zip(plots, figures, strict=True):
        narrow = None if plot.narrow is None else _changes(wide, json.loads(plot.narrow), template)
        shown = _without(wide, template) | {"narrow": narrow, "room": _room(wide)}
        figure = _Figure(plot.name, plot.title, plot.caption, plot.label, _inert(shown))
        groups.setdefault(plot.group, []).append(figure)
    for i, (title, members) in enumerate(groups.items()):
        yield _Group(f"group-{i + 1}", title, members)


def _without(figure: dict[str, Any], template: dict[str, Any]) -> dict[str, Any]:
    """A figure without the template that the page has once for all."""
    layout = figure["layout"]
    if layout.get("template") == template:
        layout = {key: value for key, value in layout.items() if key != "template"}
    return figure | {"layout": layout}


def _changes(
    wide: dict[str, Any], narrow: dict[str, Any], template: dict[str, Any]
) -> dict[str, Any]:
    """The narrow figure as its layout and what differs in traces and frames from the wide one."""
    # Sliders and menus are the page's own, made from the wide figure.
    layout = _without(narrow, template)["layout"]
    kept = {key: part for key, part in layout.items() if key not in ("sliders", "updatemenus")}
    out: dict[str, Any] = {"layout": kept}
    for part in ("data", "frames"):
        ours, theirs = wide.get(part, []), narrow.get(part, [])
        if len(ours) != len(theirs):
            out[part] = {"all": theirs}
            continue
        changed = {
            str(i): {key: b.get(key) for key in {**a, **b} if a.get(key) != b.get(key)}
            for i, (a, b) in enumerate(zip(ours, theirs, strict=True))
            if a != b
        }
        out[part] = {"changed": changed}
    return out


def _room(figure: dict[str, Any]) -> int:
    """Pixels under the plot that a slider of plotly has, which the page replaces by its own."""
    if not figure["layout"].get("sliders"):
        return 0
    from delphi.figures.overtraining import SLIDER

    return SLIDER


def _inert(value: object) -> Markup:
    """JSON that cannot end its script element; it reads the same."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def _part(name: str) -> str:
    return resources.files("delphi.report").joinpath(name).read_text(encoding="utf-8")


def _policy(scripts: Sequence[str], plots: Sequence[Plot]) -> str:
    """A policy under which only these very scripts run and nothing is ever fetched."""
    # Plotly compiles its WebGL programs in the browser; pages without such plots need no eval.
    webgl = " 'unsafe-eval'" if any('"scattergl"' in plot.json for plot in plots) else ""
    hashes = [
        "'sha256-" + base64.b64encode(hashlib.sha256(s.encode("utf-8")).digest()).decode() + "'"
        for s in scripts
    ]
    return (
        f"default-src 'none'; script-src {' '.join(hashes)}{webgl}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
