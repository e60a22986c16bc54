"""Results as HTML for a notebook: facts, tables and notes, all of it escaped."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from .shorthand import count, flops, printable

__all__ = ["block"]

ROWS = 30
_FLOPS = frozenset(
    {"budget", "compute", "cutoff", "compute_min", "compute_max", "compute_to_match"}
)
_COUNTS = frozenset({"tokens", "params", "tokens_star", "params_star"})
_LONG = 160  # characters of a text that are shown


def block(
    title: str,
    *,
    facts: Mapping[str, Any] | None = None,
    tables: Mapping[str, pd.DataFrame] | None = None,
    notes: Sequence[str] = (),
) -> str:
    """One result as HTML.

    Parameters
    ----------
    title : str
        A line above everything.
    facts : mapping of name to value, optional
        Single numbers and words.
    tables : mapping of caption to DataFrame, optional
        The first thirty rows of each; more are counted under it.
    notes : sequence of str
        Lines under everything.

    Returns
    -------
    str
        No script, no style sheet, nothing loaded; every text is escaped, so that names from the
        data stay names.

    Examples
    --------
    >>> print(block("a < b"))
    <div class="delphi-result"><p><strong>a &lt; b</strong></p></div>
    """
    parts = [f"<p><strong>{_text(title)}</strong></p>"]
    if facts:
        said = [f"{_text(k)} <strong>{_cell(k, v)}</strong>" for k, v in facts.items()]
        parts.append(f"<p>{' &middot; '.join(said)}</p>")
    for caption, table in (tables or {}).items():
        parts.append(_table(caption, table))
    parts += [f"<p><small>{_text(note)}</small></p>" for note in notes]
    return f'<div class="delphi-result">{"".join(parts)}</div>'


def _table(caption: str, table: pd.DataFrame) -> str:
    shown = table.head(ROWS)
    names = [str(name) for name in shown.columns]
    head = "".join(f'<th scope="col">{_text(name)}</th>' for name in names)
    rows = "".join(
        f"<tr>{''.join(f'<td>{_cell(n, v)}</td>' for n, v in zip(names, row, strict=True))}</tr>"
        for row in shown.itertuples(index=False, name=None)
    )
    above = f"<caption>{_text(caption)}</caption>" if caption else ""
    left = len(table) - len(shown)
    below = f"<p><small>and {left:,} more rows; to_frame() has all</small></p>" if left else ""
    return f"<table>{above}<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{below}"


def _cell(name: str, value: Any) -> str:
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, (float, np.floating)):
        if math.isnan(value):
            return "&ndash;"
        if name == "level":
            return f"{value:.0%}"
        if name in _FLOPS:
            return html.escape(flops(float(value)))
        return html.escape(count(float(value)) if name in _COUNTS else f"{value:.4g}")
    return _text(value)


def _text(value: Any) -> str:
    text = printable(value)
    return html.escape(text if len(text) <= _LONG else text[: _LONG - 1] + "\u2026")
