"""The report as one HTML file that needs nothing else, no network above all."""

from __future__ import annotations

import base64
import hashlib
import html
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

from delphi.shorthand import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from delphi.report.tables import Table

__all__ = ["Plot", "render_page"]


@dataclass(frozen=True)
class Plot:
    """A figure of the page: its name, a title and a sentence about it, and its plotly JSON."""

    name: str
    title: str
    caption: str
    json: str


def render_page(
    title: str,
    subtitle: str,
    reading: Sequence[str],
    plots: Sequence[Plot],
    tables: Sequence[Table],
    version: str,
    units: str = "Losses in the unit of the data; compute in FLOPs.",
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

    Returns
    -------
    str
        The same input gives the same text. Names may hold anything: all of it is escaped, and the
        page's own policy lets no script run but its own two.
    """
    from plotly.offline import get_plotlyjs

    scripts = [get_plotlyjs(), _part("page.js")]
    said = "\n".join(f"<li>{_text(sentence)}</li>" for sentence in reading)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_policy(scripts, plots)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{_text(title)}</title>
<link rel="icon" href="data:,">
<style>
{_part("page.css")}</style>
</head>
<body>
<header>
<h1>{_text(title)}</h1>
<p>{_text(subtitle)}</p>
<nav aria-label="Sections"><a href="#reading">What this says</a><a href="#figures">Figures</a>\
<a href="#tables">Tables</a></nav>
</header>
<main>
<section aria-labelledby="reading">
<h2 id="reading">What this says</h2>
<ul class="reading">
{said}
</ul>
</section>
<section aria-labelledby="figures">
<h2 id="figures">Figures</h2>
<noscript><p>The figures are drawn by a script; the tables below say the same.</p></noscript>
{"".join(_plot(plot) for plot in plots)}</section>
<section aria-labelledby="tables">
<h2 id="tables">Tables</h2>
{"".join(_table(table) for table in tables)}</section>
</main>
<footer>Made by delphi {_text(version)}. {_text(units)}</footer>
{"".join(f"<script>{script}</script>{chr(10)}" for script in scripts)}</body>
</html>
"""


def _plot(plot: Plot) -> str:
    label = html.escape(printable(f"{plot.title}. {plot.caption}"))
    return (
        f"<figure>\n<figcaption><strong>{_text(plot.title)}.</strong> {_text(plot.caption)}"
        f'</figcaption>\n<div class="scroll" tabindex="0" role="group" aria-label="{label}">'
        f'<div class="plot" id="figure-{plot.name}"></div></div>\n'
        f'<script type="application/json" id="figure-{plot.name}-json">{_inert(plot.json)}'
        "</script>\n</figure>\n"
    )


def _table(table: Table) -> str:
    label = html.escape(table.title)
    return (
        f'<div class="table" tabindex="0" role="region" aria-label="{label}">'
        f"{table.to_html()}</div>\n"
    )


def _text(text: str) -> str:
    return html.escape(printable(text))


def _inert(json: str) -> str:
    """JSON that cannot end its script element; it reads the same."""
    return json.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


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
