"""The command ``delphi``: a report of runs, their figures, and a demo whose truth is known."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import textwrap
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from delphi.report import Analysis, Report
    from delphi.trials import Scale

__all__ = ["main"]

FAILED, INTERRUPTED = 2, 130
SWEEP_OPTIONS = ("sweep_knob", "sweep_by", "sweep_metric", "sweep_completed_adamh")
KNOB_SCALES = {"log": "log", "linear": "linear", "momentum": "log(1 - x)"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the name of the program; those of the process by default.

    Returns
    -------
    int
        0; 2 after an error, with what is wrong on stderr; 130 after Ctrl-C.
    """
    try:
        # All the heavy imports are inside, so that Ctrl-C ends them in one line as well.
        options = _parser().parse_args(argv)
        # Output goes to the console only when all of it is known.
        print(options.run(options), end="")
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("delphi: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has left; keep Python from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, OSError, ImportError) as error:
        if not _expected(error):
            raise
        print(f"delphi: {_message(error)}", file=sys.stderr)
        return FAILED
    return 0


def _expected(error: Exception) -> bool:
    """Whether an error is about the input, the disk or a missing extra, and not ours."""
    from delphi.errors import DataError

    if isinstance(error, ImportError):
        return not (error.name or "").startswith("delphi")
    return isinstance(error, DataError | OSError)


def _message(error: Exception) -> str:
    """What went wrong: one line, or as many as the error has, the later ones indented."""
    from delphi.shorthand import printable

    if isinstance(error, OSError) and error.strerror:
        where = f"{printable(error.filename)}: " if error.filename else ""
        return f"{where}{error.strerror}"
    lines = [" ".join(printable(line).split()) for line in str(error).splitlines()]
    return "\n  ".join(line for line in lines if line)


def _report(options: argparse.Namespace) -> str:
    from delphi.errors import DataError
    from delphi.isoflop import fit_isoflops

    if options.evals and not options.runs:
        from delphi.evalscommand import report_evals

        return report_evals(options)
    if not options.runs:
        raise DataError("nothing to report: give RUNS, --evals FILE, or both")
    with _notes(options.quiet):
        _check_output(options)
        ladder = fit_isoflops(_read(options), curve=options.curve, progress=_watched(options))
        source, sweep = _sweep(options), None
        if source is not None:
            from delphi.figureinputs import fit_sweep_file

            sweep = fit_sweep_file(source)
        return _deliver(ladder, options, sweep)


def _read(options: argparse.Namespace) -> Any:
    """The runs of some files, by the options that say how to read them."""
    from delphi.runs import read_runs

    suites = dict(options.suite) if options.suite else {} if options.suite_by_file else None
    return read_runs(
        options.runs if len(options.runs) > 1 else options.runs[0],
        columns=dict(options.column) or None,
        suites=suites,
        budgets=options.budgets,
        on_bad=options.on_bad,
    )


def _figures(options: argparse.Namespace) -> str:
    from delphi.figureset import write_figures

    with _notes(options.quiet):
        _check_output(options)
        files = write_figures(
            _read(options),
            options.output,
            mobile=options.mobile,
            compat=options.compat,
            sweep=_sweep(options),
            evals=dict(options.evals),
            formats=options.formats or (),
            progress=_watched(options),
        )
    written = [*files.figures.values(), *files.images]
    if options.json:
        return json.dumps({"files": [str(path) for path in written]}, indent=1) + "\n"
    return "" if options.quiet else "".join(f"{path}\n" for path in written)


def _sweep(options: argparse.Namespace) -> Any:
    """The sweep and what is said of its columns; None without one."""
    from delphi.errors import DataError
    from delphi.figureinputs import SweepFile

    if options.sweep is None:
        said = [o for o in SWEEP_OPTIONS if getattr(options, o)]
        if said:
            names = ", ".join(f"--{o.replace('_', '-')}" for o in said)
            raise DataError(f"{names}: says something of a sweep, and there is none (--sweep)")
        return None
    return SweepFile(
        options.sweep,
        knobs=tuple(options.sweep_knob),
        by=tuple(options.sweep_by or ()),
        metric=options.sweep_metric or "",
        completed_adamh=options.sweep_completed_adamh,
    )


def _demo(options: argparse.Namespace) -> str:
    from delphi import simulate
    from delphi.isoflop import fit_isoflops

    with _notes(options.quiet):
        _check_output(options)
        ladder = fit_isoflops(simulate.ladder(crashed=True, rng=options.seed), curve=options.curve)
        return _deliver(ladder, options)


def _check_output(options: argparse.Namespace) -> None:
    """Find out before the work whether its result can be written."""
    if options.output is not None:
        from delphi.report.build import check_target

        check_target(options.output)


def _deliver(ladder: Any, options: argparse.Namespace, sweep: Any = None) -> str:
    """Write what is to be written; returns what is to be printed."""
    from delphi.report.build import write_report
    from delphi.report.content import analyse

    analysis = analyse(
        ladder,
        shared_floor=options.shared_floor,
        forecast_at=options.at,
        level=options.level,
        kind=options.kind,
    )
    if sweep is not None:
        analysis = analysis.with_sweep(sweep)
    if getattr(options, "evals", None):
        from delphi.evalscommand import analysed

        analysis = analysis.with_downstream(analysed(options))
    report = None
    if options.output is not None:
        watched = _watched(options)
        report = write_report(analysis, options.output, title=options.title, progress=watched)
    if options.json:
        return _as_json(analysis, report)
    return "" if options.quiet else _as_text(analysis, report)


def _as_text(analysis: Analysis, report: Report | None) -> str:
    parts = [table.to_text() for table in analysis.tables]
    wrap = textwrap.TextWrapper(96, initial_indent="  ", subsequent_indent="    ")
    parts.append("\n".join(["What this says", *(wrap.fill(line) for line in analysis.reading)]))
    if report is not None:
        n = len(report.figures)
        parts.append(f"Wrote {report.page} and {n} figures as JSON in {report.directory}.")
    return "\n\n".join(parts) + "\n"


def _as_json(analysis: Analysis, report: Report | None) -> str:
    from delphi._version import __version__

    value = {
        "version": __version__,
        "tables": {table.key: table.to_records() for table in analysis.tables},
        "reading": list(analysis.reading),
        "files": []
        if report is None
        else [str(report.page), *map(str, report.figures.values()), str(report.cards)],
    }
    return json.dumps(value, indent=1, allow_nan=False) + "\n"


@contextmanager
def _notes(quiet: bool) -> Iterator[None]:
    """Say what delphi warns about in one line each on stderr, once each."""
    from delphi.errors import DataWarning, FitWarning

    with warnings.catch_warnings():
        for category in (DataWarning, FitWarning):
            warnings.simplefilter("ignore" if quiet else "always", category)
        before, said = warnings.showwarning, set()

        def show(message: Any, category: type[Warning], *rest: Any, **more: Any) -> None:
            text = " ".join(str(message).split())
            if not issubclass(category, DataWarning | FitWarning):
                before(message, category, *rest, **more)
            elif text not in said:
                said.add(text)
                print(f"delphi: note: {text}", file=sys.stderr)

        warnings.showwarning = show
        yield


def _watched(options: argparse.Namespace) -> bool:
    return not options.quiet and sys.stderr.isatty()


def _pair(text: str) -> tuple[str, str]:
    left, sign, right = text.partition("=")
    if not (left and sign and right):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form NAME=VALUE")
    return left, right


def _knob(text: str) -> Any:
    """NAME, or NAME=log, linear or momentum."""
    from delphi.trials import Hyperparameter

    name, sign, scale = text.rpartition("=")
    if not sign:
        name, scale = text, "log"
    if not name or scale not in KNOB_SCALES:
        known = ", ".join(KNOB_SCALES)
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME or NAME=SCALE (one of {known})")
    return Hyperparameter(name, cast("Scale", KNOB_SCALES[scale]))


def _names(text: str) -> tuple[str, ...]:
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    if not names:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of columns")
    return names


class _Evals(argparse.Action):
    """Collect (evaluation, file) pairs; the second file of a name is an error."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        pairs = list(getattr(namespace, self.dest))
        name = str(option_string).removeprefix("--").replace("-", "_")
        if name in dict(pairs):
            parser.error(f"{option_string}: may be given once")
        setattr(namespace, self.dest, [*pairs, (name, values)])


def _directory(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("expected the name of a directory, got an empty one")
    return text


def _computes(text: str) -> tuple[float, ...]:
    try:
        values = tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError:
        values = ()
    if not values or not all(0 < value < math.inf for value in values):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of FLOPs such as 1e21,1e22")
    return values


def _level(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number between 0 and 1")
    return value


def _budgets(text: str) -> int | tuple[float, ...]:
    return int(text) if text.isdecimal() and len(text) < 3 else _computes(text)


class _Version(argparse.Action):
    """Print the version, looked up only when asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any, **__: Any) -> None:
        from delphi._version import __version__

        print(f"delphi {__version__}")
        parser.exit()


def _add_reading(command: argparse.ArgumentParser, needed: str = "+") -> None:
    """The arguments that say which runs to read, and how."""
    command.add_argument(
        "runs", nargs=needed, metavar="RUNS", help="JSON, CSV, TSV or Parquet file"
    )
    command.add_argument(
        "--column",
        type=_pair,
        action="append",
        default=[],
        metavar="STANDARD=SOURCE",
        help="which column holds what, for example loss=eval/my_loss; may be repeated",
    )
    naming = command.add_mutually_exclusive_group()
    naming.add_argument(
        "--suite",
        type=_pair,
        action="append",
        default=[],
        metavar="KEYWORD=LABEL",
        help="runs with KEYWORD in their name belong to suite LABEL; may be repeated",
    )
    naming.add_argument(
        "--suite-by-file",
        action="store_true",
        help="name suites by file where there is no suite column, whatever the runs are called",
    )
    command.add_argument(
        "--budgets",
        type=_budgets,
        default=2,
        metavar="DIGITS|FLOPS,...",
        help="round compute to this many digits, or to the nearest of these budgets (default: 2)",
    )
    command.add_argument(
        "--on-bad",
        choices=("raise", "drop"),
        default="raise",
        help="stop at rows with bad values, or leave them out and count them (default: raise)",
    )


def _add_inputs(command: argparse.ArgumentParser) -> None:
    """The arguments that name evaluations and a sweep."""
    files = command.add_argument_group("evaluations and a sweep")
    for name, title in (("mmlu", "MMLU"), ("humaneval", "HumanEval"), ("gsm8k", "GSM8K")):
        files.add_argument(
            f"--{name}", dest="evals", action=_Evals, default=[], metavar="FILE",
            help=f"{title} of the ladder: budget, soft metric and accuracy of each run",
        )  # fmt: skip
        files.add_argument(
            f"--{name}-pool", dest="evals", action=_Evals, default=[], metavar="FILE",
            help=f"{title} of other models, for the curve of the accuracy",
        )  # fmt: skip
    _add_sweep(files)


def _add_sweep(files: Any) -> None:
    """The arguments that name a sweep and say what its columns are."""
    files.add_argument("--sweep", metavar="FILE", help="trials of hyperparameters")
    files.add_argument(
        "--sweep-knob", type=_knob, action="append", default=[], metavar="COLUMN[=SCALE]",
        help="a hyperparameter of the sweep, on a log, linear or momentum axis; may be repeated "
        "(default: the columns with usual names)",
    )  # fmt: skip
    files.add_argument(
        "--sweep-by", type=_names, metavar="COLUMN,...",
        help="columns whose values name a cell of the sweep (default: those of batch_size, "
        "hidden_dim, params and tokens that are there)",
    )  # fmt: skip
    files.add_argument("--sweep-metric", metavar="COLUMN", help="the loss of the sweep")
    files.add_argument(
        "--sweep-completed-adamh", action="store_true",
        help="mark what the CompletedAdamH rule prescribes",
    )  # fmt: skip


def _add_figures(commands: Any) -> None:
    """The command ``delphi figures``."""
    command = commands.add_parser(
        "figures",
        help="fit runs and write every figure as JSON for a site",
        description=(
            "Fit the runs in some files and write every figure as plotly JSON, without template, "
            "width and font, which a site gives to all its figures alike."
        ),
    )
    _add_reading(command)
    command.add_argument(
        "-o",
        "--output",
        type=_directory,
        metavar="DIR",
        required=True,
        help="write the figures there",
    )
    command.add_argument(
        "--mobile",
        action="store_true",
        help="write all figures for narrow screens too, as NAME-mobile (the ladders, evaluations "
        "and the sweep always are)",
    )
    command.add_argument(
        "--compat",
        action="store_true",
        help="fit and draw exactly as the notebook does, which has no other narrow figures",
    )
    for kind in ("png", "svg"):
        command.add_argument(
            f"--{kind}",
            dest="formats",
            action="append_const",
            const=kind,
            help=f"write {kind.upper()} images too (needs kaleido, and Chromium or Chrome)",
        )
    _add_inputs(command)
    command.add_argument("--json", action="store_true", help="print the names of the files as JSON")
    command.add_argument("--quiet", action="store_true", help="print nothing but errors")
    command.set_defaults(run=_figures)


def _parser() -> argparse.ArgumentParser:
    from delphi.heldout import FORECAST_AT
    from delphi.shorthand import flops

    parser = argparse.ArgumentParser(
        prog="delphi",
        description="Scaling laws from a table of training runs: fits, forecasts and figures.",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument(
        "-o",
        "--output",
        type=_directory,
        metavar="DIR",
        help="write index.html and the figures as JSON there",
    )
    shared.add_argument("--title", help="heading of the page")
    shared.add_argument("--shared-floor", action="store_true", help="fit one L_inf for all suites")
    shared.add_argument(
        "--at",
        type=_computes,
        default=FORECAST_AT,
        metavar="FLOPS,...",
        help=f"compute to forecast at (default: {','.join(map(flops, FORECAST_AT))})",
    )
    shared.add_argument(
        "--level",
        type=_level,
        default=0.95,
        help="level of the intervals in the tables (default: 0.95)",
    )
    shared.add_argument(
        "--kind",
        choices=("mean", "new run"),
        default="mean",
        help="forecast the law itself, or one new run on it (default: mean)",
    )
    shared.add_argument(
        "--curve",
        choices=("windowed", "parabola", "joint", "cubic", "two-power"),
        default="windowed",
        help="the curve through a budget's runs (default: windowed, a parabola near its vertex)",
    )
    shared.add_argument("--json", action="store_true", help="print the tables as JSON")
    shared.add_argument("--quiet", action="store_true", help="print nothing but errors")

    report = commands.add_parser(
        "report",
        parents=[shared],
        help="fit runs, print the tables, write figures and a page",
        description="Fit the runs in some files, print the tables, write figures and a page.",
    )
    _add_reading(report, "*")
    from delphi.evalscommand import add_evals

    add_evals(report)
    _add_sweep(report.add_argument_group("a sweep"))
    report.set_defaults(run=_report)

    _add_figures(commands)

    demo = commands.add_parser(
        "demo",
        parents=[shared],
        help="the same on simulated runs, with the truth beside the estimates",
        description="Simulate two suites, fit them, and print the truth beside the estimates.",
    )
    demo.add_argument("--seed", type=int, default=0, help="of the simulation (default: 0)")
    demo.set_defaults(run=_demo)

    from delphi.klcommand import add_command as add_kl

    add_kl(commands)

    from delphi.curvescommand import add_command as add_curves

    add_curves(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
