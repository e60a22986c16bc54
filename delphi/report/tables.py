"""Tables as the report shows them: one source for the console, the page and JSON."""

from __future__ import annotations

import math
import textwrap
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from delphi.shorthand import count, flops, percent, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd

__all__ = ["Column", "Table", "from_frame", "plain_status"]

Cell = str | int | float | bool | None
NOTHING = "-"
WIDEST = 72  # characters of a name in the console; the page shows all of it
CONSOLE_ROWS, PAGE_ROWS = 60, 300  # of a table; JSON has them all


_NUMBERS: dict[str, Callable[[Any], str]] = {
    "flops": flops,
    "count": count,
    "integer": lambda v: f"{v:d}" if isinstance(v, int) else f"{v:.0f}",
    "loss": lambda v: f"{v:.4f}",
    "number": lambda v: f"{v:.4g}",
    "tenths": lambda v: f"{v:.1f}",
    "fixed": lambda v: f"{v:.2f}",
    "percent": lambda v: "as predicted" if abs(v) < 0.005 else percent(v, 2),
    "share": lambda v: f"{100 * v:.3g}%",
    "decades": lambda v: "within" if abs(v) < 0.005 else f"{v:.2f}" if v > 0 else f"{-v:.2f} below",
}


@dataclass(frozen=True)
class Column:
    """A column: its key in JSON, its heading, and how its cells are written.

    `kind` is one of "text", "bool", "flops", "count", "integer", "loss", "number" (4 digits),
    "tenths", "fixed" (1 and 2 decimals), "percent" (in words: better or worse), "share" (as %),
    "decades" (beyond the data; within; below).
    """

    key: str
    label: str
    kind: str = "text"

    def text(self, cell: Cell) -> str:
        """The cell as shown; missing and NaN as a dash."""
        if cell is None or (isinstance(cell, float) and math.isnan(cell)):
            return NOTHING
        if self.kind == "bool":
            return "yes" if cell else "no"
        if self.kind == "text":
            return printable(cell)
        return _NUMBERS[self.kind](cell)

    @property
    def numeric(self) -> bool:
        """Whether the column is set flush right."""
        return self.kind not in ("text", "bool")


@dataclass(frozen=True)
class Table:
    """A table with a title and a note on what it holds.

    Attributes
    ----------
    key : str
        Its name in JSON and in the page.
    title, note : str
    columns : tuple of Column
    rows : tuple of tuple
        Raw cells: str, int, float, bool or None.
    """

    key: str
    title: str
    note: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def to_records(self) -> list[dict[str, Cell]]:
        """Rows as dicts, ready for JSON: whatever is not finite becomes None."""
        return [
            {
                column.key: None if isinstance(cell, float) and not math.isfinite(cell) else cell
                for column, cell in zip(self.columns, row, strict=True)
            }
            for row in self.rows
        ]

    def shown(self, most: int) -> tuple[str, tuple[tuple[Cell, ...], ...]]:
        """The note and the first rows; where there are more, the note says so."""
        if len(self.rows) <= most:
            return self.note, self.rows
        cut = f"The first {most:,} of {len(self.rows):,} rows; delphi report --json gives all."
        return f"{self.note} {cut}".strip(), self.rows[:most]

    def to_text(self, most: int = CONSOLE_ROWS) -> str:
        """The table for a console, in aligned columns, at most so many rows of it."""
        note, rows = self.shown(most)
        lines = [self.title, *textwrap.wrap(note, 96)]
        if not self.rows:
            return "\n".join([*lines, "  (none)"])
        head = [column.label for column in self.columns]
        body = [
            [_cut(c.text(cell)) for c, cell in zip(self.columns, row, strict=True)] for row in rows
        ]
        widths = [max(_width(line[i]) for line in [head, *body]) for i in range(len(head))]
        rule = ["-" * width for width in widths]
        for line in [head, rule, *body]:
            cells = [
                _pad(text, width, right=column.numeric)
                for text, width, column in zip(line, widths, self.columns, strict=True)
            ]
            lines.append("  " + "  ".join(cells).rstrip())
        return "\n".join(lines)


def from_frame(
    key: str, title: str, note: str, columns: Sequence[Column], frame: pd.DataFrame
) -> Table:
    """A table of the columns of `frame` that carry the keys of `columns`."""
    cells = [frame[column.key].tolist() for column in columns]
    rows = tuple(tuple(_plain(cell) for cell in row) for row in zip(*cells, strict=True))
    return Table(key, title, note, tuple(columns), rows)


def plain_status(*statuses: str) -> str:
    """Statuses in words, each said once: "floor_at_zero", "ok" -> "floor at zero".

    Examples
    --------
    >>> plain_status("ok", "floor_at_zero, saturated", "saturated"), plain_status("ok", "ok")
    ('floor at zero, saturated', 'ok')
    """
    words = [word for status in statuses for word in status.split(", ") if word]
    said = dict.fromkeys(word.replace("_", " ") for word in words if word != "ok")
    return ", ".join(said) or "ok"


def _plain(cell: Any) -> Cell:
    value = cell.item() if hasattr(cell, "item") else cell
    return value if isinstance(value, str | int | float | bool) else None


def _width(text: str) -> int:
    """Columns of a terminal: wide characters take two, combining marks none."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def _pad(text: str, width: int, *, right: bool) -> str:
    gap = " " * (width - _width(text))
    return gap + text if right else text + gap


def _cut(text: str) -> str:
    return text if len(text) <= WIDEST else text[: WIDEST - 3] + "..."
