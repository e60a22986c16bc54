"""``delphi curves``: how runs will end, as tables and an interactive page."""

from __future__ import annotations

import argparse
import json
import math
from typing import Any

__all__ = ["add_command"]

COLUMNS = ("run", "loss", "step", "progress", "total", "scale", "mix", "lr", "schedule")


def add_command(commands: Any) -> None:
    """Add ``curves`` to the subcommands of the parser."""
    from delphi.cli import _directory, _level, _pair

    curves = commands.add_parser(
        "curves",
        help="forecast final losses from prefixes of runs, and write an interactive page",
        description="Read learning curves (one row a point), fit every run on its prefixes, all "
        "runs jointly and endpoint laws; print scores, write the page and tables as CSV.",
    )
    curves.add_argument("runs", nargs="*", metavar="RUNS", help="JSON, CSV, TSV or Parquet file")
    curves.add_argument("--demo", action="store_true", help="simulated runs with known truth")
    curves.add_argument("-o", "--output", type=_directory, metavar="DIR",
                        help="write curves.html and the tables there")  # fmt: skip
    curves.add_argument(
        "--column", type=_pair, action="append", default=[], metavar="STANDARD=SOURCE",
        help=f"which column holds what ({', '.join(COLUMNS)}), for example loss=eval/loss; may be "
        "repeated",
    )  # fmt: skip
    curves.add_argument("--held-out", type=float, metavar="FLOPS",
                        help="endpoint laws never see runs of this compute or more (default: the"
                        " largest scale)")  # fmt: skip
    curves.add_argument("--target", type=float, default=0.01, metavar="LOSS",
                        help="largest error the search allows (default: 0.01)")  # fmt: skip
    curves.add_argument("--min-progress", type=float, default=0.0, metavar="P",
                        help="leave out points before it, as warm-up (default: 0)")  # fmt: skip
    curves.add_argument("--level", type=_level, default=0.9,
                        help="level of the intervals (default: 0.9)")  # fmt: skip
    curves.add_argument("--ridge", type=float, action="append", metavar="R",
                        help="of the joint fits, for the page to choose among (may be repeated;"
                        " cells are left out under the first)")  # fmt: skip
    curves.add_argument("--card", type=_card, metavar="METHOD@PREFIX",
                        help="which fit of each run gets a card in cards.json, for example"
                        " ensemble@0.5 (default: power-huber at the middle prefix)")  # fmt: skip
    curves.add_argument("--no-left-out", action="store_true",
                        help="score joint fits on their own runs only: quicker")  # fmt: skip
    curves.add_argument("--title", help="heading of the page")
    curves.add_argument("--json", action="store_true", help="print the tables as JSON")
    curves.add_argument("--quiet", action="store_true", help="print nothing but errors")
    curves.set_defaults(run=_run)


def _card(text: str) -> tuple[str, float]:
    """Method and prefix of ``METHOD@PREFIX``."""
    method, _, prefix = text.rpartition("@")
    try:
        number = float(prefix)
    except ValueError:
        number = math.nan
    if not method or not 0 < number <= 1:
        raise argparse.ArgumentTypeError(f"expected METHOD@PREFIX, got {text!r}")
    return method, number


def _run(options: argparse.Namespace) -> str:
    from delphi.cli import _check_output, _notes, _watched
    from delphi.curvepage.build import curve_tables, write_curve_page
    from delphi.curvepage.content import analyse_curves

    more = {} if options.ridge is None else {"ridge": options.ridge}
    with _notes(options.quiet):
        _check_output(options)
        frame, columns = _table(options)
        analysis = analyse_curves(
            frame, **columns, held_out=options.held_out, target=options.target,
            min_progress=options.min_progress, level=options.level,
            left_out=not options.no_left_out, card=options.card, bar=_watched(options), **more,
        )  # fmt: skip
        page = None
        if options.output is not None:
            page = write_curve_page(analysis, options.output, title=options.title)
    tables = curve_tables(analysis)
    if options.json:
        return _as_json(tables, analysis, page)
    if options.quiet:
        return ""
    parts = [table.to_text() for table in tables]
    parts.append("\n".join(["What this says", *(f"  {line}" for line in analysis.reading)]))
    if page is not None:
        parts.append(f"Wrote {', '.join(p.name for p in page.files)} in {options.output}.")
    return "\n\n".join(parts) + "\n"


def _table(options: argparse.Namespace) -> tuple[Any, dict[str, Any]]:
    """The points of all files in one frame, and the columns by what they hold."""
    from delphi.curvepage.reading import demo_curves, read_curves
    from delphi.errors import DataError

    named = dict(options.column)
    unknown = [name for name in named if name not in COLUMNS]
    if unknown:
        raise DataError(f"--column: unknown {unknown[0]!r}; it is one of {', '.join(COLUMNS)}")
    if options.demo == bool(options.runs):
        raise DataError(
            "--demo takes no files" if options.demo
            else "no file of runs given; `delphi curves --demo -o DIR` shows simulated ones"
        )  # fmt: skip
    if options.demo:
        return demo_curves(), {"total": "total_steps"}
    return read_curves(options.runs, named)


def _as_json(tables: Any, analysis: Any, page: Any) -> str:
    from delphi._version import __version__

    value = {
        "version": __version__,
        "tables": {table.key: table.to_records() for table in tables},
        "reading": list(analysis.reading),
        "files": [] if page is None else [str(path) for path in page.files],
    }
    return json.dumps(value, indent=1, allow_nan=False) + "\n"
