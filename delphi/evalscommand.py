"""``delphi report --evals``: the downstream part of a report, with runs or alone."""

from __future__ import annotations

import argparse
import json
import math
from typing import Any

__all__ = ["add_evals", "analysed", "report_evals"]


def add_evals(report: argparse.ArgumentParser) -> None:
    """Add the options about evaluations."""
    report.add_argument(
        "--evals", action="append", default=[], metavar="FILE",
        help="evaluations (task, model, compute, soft, hard, n_problems, pool) for two-step "
        "downstream forecasts; may be repeated, and stand without RUNS",
    )  # fmt: skip
    report.add_argument(
        "--eval-column", type=_named, action="append", default=[], metavar="NAME=COLUMN",
        help="what a column of the evaluations is called: task, model, compute, soft, hard, "
        "n_problems, pool, or step (then the last step of each model counts); where every task "
        "has columns of its own write {task} in the name, as soft=bpb/{task}; soft and hard may be "
        "repeated, the first that is there counts",
    )  # fmt: skip
    report.add_argument(
        "--chance", type=_chance, action="append", default=[], metavar="[TASK=]SHARE",
        help="what chance scores, on one task or on all; known for MMLU, HumanEval and GSM8K",
    )  # fmt: skip
    report.add_argument(
        "--fit-below", type=_flops, metavar="FLOPS",
        help="evaluated runs of this compute and beyond are held out (default: 5e20; inf: none)",
    )  # fmt: skip


def analysed(options: argparse.Namespace) -> Any:
    """The evaluations of the command line, fitted."""
    from delphi.evals import read_evals
    from delphi.report.downstream import analyse_evals

    said: dict[str, list[str]] = {}
    for name, column in options.eval_column:
        said.setdefault(name, []).append(column)
    columns = {name: names if len(names) > 1 else names[0] for name, names in said.items()}
    table = read_evals(
        options.evals if len(options.evals) > 1 else options.evals[0], columns=columns
    )
    named = {task: share for task, share in options.chance if task}
    every = next((share for task, share in reversed(options.chance) if not task), None)
    floor: Any = every
    if named:
        floor = {
            str(task): named.get(str(task), every if every is not None else _known(str(task)))
            for task in table["task"].unique()
        }
    return analyse_evals(
        table, floor=floor, fit_below=options.fit_below, forecast_at=options.at,
        level=options.level, kind=options.kind,
    )  # fmt: skip


def report_evals(options: argparse.Namespace) -> str:
    """``delphi report`` of evaluations alone; returns what is to be printed."""
    from delphi.cli import _check_output, _notes

    files: list[str] = []
    with _notes(options.quiet):
        _check_output(options)
        downstream = analysed(options)
        if options.output is not None:
            from delphi.report.downstream import write_evals_report

            report = write_evals_report(downstream, options.output, title=options.title)
            files = [str(report.page), *map(str, report.figures.values())]
    if options.json:
        from delphi._version import __version__

        value = {
            "version": __version__,
            "tables": {table.key: table.to_records() for table in downstream.tables},
            "reading": list(downstream.reading),
            "files": files,
        }
        return json.dumps(value, indent=1, allow_nan=False) + "\n"
    if options.quiet:
        return ""
    parts = [table.to_text() for table in downstream.tables]
    parts += [f"Wrote {', '.join(files)}."] if files else []
    return "\n\n".join(parts) + "\n"


def _known(task: str) -> float | None:
    from delphi.evals import BENCHMARKS

    return next((b["floor"] for name, b in BENCHMARKS.items() if task.startswith(name)), None)


def _chance(text: str) -> tuple[str, float]:
    task, _, share = text.rpartition("=")
    try:
        value = float(share)
    except ValueError:
        value = math.nan
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form SHARE or TASK=SHARE")
    return task, value


def _named(text: str) -> tuple[str, str]:
    name, sign, column = text.partition("=")
    if not (name and sign and column):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form NAME=COLUMN")
    return name, column


def _flops(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of FLOPs")
    return value
