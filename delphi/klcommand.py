"""``delphi kl``: KL trajectories and survival of the rollouts below a folder."""

from __future__ import annotations

import argparse
import json
import math
from typing import Any

__all__ = ["add_command"]


def add_command(commands: Any) -> None:
    """Add ``kl`` to the subcommands of the parser."""
    from delphi.cli import _directory

    kl = commands.add_parser(
        "kl",
        help="draw KL trajectories by survival, with Kaplan-Meier curves",
        description="Read cell folders with calib.json, trajectory.json and pmass.json; print who "
        "died and when; write a picture, a summary, the survival table and a page.",
    )
    kl.add_argument("root", metavar="ROOT", help="folder with one folder a cell")
    kl.add_argument(
        "-o", "--output", type=_directory, metavar="DIR",
        help="write kl_alive_spaghetti.png, kl_alive_summary.md, survival.csv and index.html there",
    )  # fmt: skip
    kl.add_argument("--window", type=_positive, default=512, metavar="N",
                    help="tokens of every rollout to look at (default: 512)")  # fmt: skip
    kl.add_argument("--alphas", type=_alpha, nargs="+", metavar="A",
                    help="only these strengths (default: all)")  # fmt: skip
    kl.add_argument("--threshold", type=float, default=0.8, metavar="P",
                    help="a probability mass below it is death (default: 0.8)")  # fmt: skip
    kl.add_argument("--model-contains", metavar="TEXT", help="only cells with this in their name")
    kl.add_argument("--roll", type=_positive, default=65, metavar="N",
                    help="window of the rolling mean, tokens (default: 65)")  # fmt: skip
    kl.add_argument("--calib-tokens", type=_positive, default=20, metavar="N",
                    help="first tokens that make the scale of a rollout (default: 20)")  # fmt: skip
    kl.add_argument("--no-normalize", action="store_true", help="leave KL in nats")
    kl.add_argument(
        "--smooth-first", action="store_true",
        help="take the scale from smoothed KL, as the notebook does, and not from KL as measured",
    )  # fmt: skip
    kl.add_argument("--log", action="store_true", help="logarithmic axes of KL")
    kl.add_argument("--level", type=float, default=0.95, metavar="L",
                    help="level of the bands (default: 0.95)")  # fmt: skip
    kl.add_argument("--title", help="heading of the page")
    kl.add_argument("--json", action="store_true", help="print the tables as JSON")
    kl.add_argument("--quiet", action="store_true", help="print nothing but errors")
    kl.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> str:
    from delphi.cli import _check_output, _notes
    from delphi.klcells import read_kl
    from delphi.report.kl import kl_tables, reading, write_kl_report

    calibration = {
        "roll": options.roll,
        "calib_tokens": options.calib_tokens,
        "normalize": not options.no_normalize,
        "order": "smooth" if options.smooth_first else "calibrate",
    }
    files: tuple[Any, ...] = ()
    with _notes(options.quiet):
        _check_output(options)
        rollouts = read_kl(options.root, options.model_contains, options.alphas)
        rollouts = rollouts.first(options.window)
        if options.output is None:
            fit = rollouts.survival(options.threshold, level=options.level)
            tables = kl_tables(rollouts, fit, options.threshold)
        else:
            report = write_kl_report(
                rollouts, options.output, threshold=options.threshold, level=options.level,
                log=options.log, title=options.title, **calibration,
            )  # fmt: skip
            tables, fit, files = report.tables, report.survival, report.files
    if options.json:
        return _as_json(tables, reading(rollouts, fit, options.threshold), files)
    if options.quiet:
        return ""
    parts = [table.to_text() for table in tables.values()]
    if files:
        parts.append(f"Wrote {', '.join(path.name for path in files)} in {options.output}.")
    return "\n\n".join(parts) + "\n"


def _as_json(tables: dict[str, Any], said: list[str], files: tuple[Any, ...]) -> str:
    from delphi._version import __version__

    value = {
        "version": __version__,
        "tables": {key: table.to_records() for key, table in tables.items()},
        "reading": said,
        "files": [str(path) for path in files],
    }
    return json.dumps(value, indent=1, allow_nan=False) + "\n"


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 2**40):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def _alpha(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return value
