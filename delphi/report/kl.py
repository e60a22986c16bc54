"""The report of KL trajectories: picture, summary, survival table and a page, all or nothing."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from delphi.kl import left_out_text
from delphi.report.build import PAGE, check_target, staged
from delphi.report.tables import Column, Table, from_frame, plain_status

if TYPE_CHECKING:
    from delphi.kl import KLTrajectories
    from delphi.survival import SurvivalFit

__all__ = ["KLReport", "kl_tables", "write_kl_report"]

PICTURE, SUMMARY, CURVES = "kl_alive_spaghetti.png", "kl_alive_summary.md", "survival.csv"
UNITS = "KL in nats per token, or over its scale; tokens count from 0."


@dataclass(frozen=True)
class KLReport:
    """What was found and written.

    Attributes
    ----------
    directory : Path
        Where the files are.
    files : tuple of Path
        Picture, summary, survival table, page and figures as JSON.
    tables : dict of str to Table
        counts, survival, logrank, and left_out where something was.
    survival : SurvivalFit
    """

    directory: Path
    files: tuple[Path, ...]
    tables: dict[str, Table]
    survival: SurvivalFit


def kl_tables(rollouts: KLTrajectories, fit: SurvivalFit, threshold: float) -> dict[str, Table]:
    """Counts, survival, log-rank tests, and what was left out."""
    counts = rollouts.counts(threshold)
    columns = [Column("alpha", "alpha", "number")] + [
        Column(name, name.replace("_", " "), "integer") for name in counts.columns[1:]
    ]
    note = (
        f"Dead: a probability mass below {threshold:g} at a fork. Censored: alive when generation "
        "ended before the window did. Completed: alive at its end. Ended: generation ended before "
        "the window did, dead or alive."
    )
    tables = {"counts": from_frame("counts", "Rollouts", note, columns, counts)}
    survival = fit.table().rename(columns={"label": "alpha"})
    last = [curve.interval(curve.time[-1]).iloc[0] for curve in fit.curves.values()]
    for name in ("time", "survival", "low", "high"):
        survival[f"last_{name}"] = [row[name] for row in last]
    survival["status"] = [plain_status(status) for status in survival["status"]]
    tables["survival"] = from_frame(
        "survival",
        "Survival",
        f"Kaplan-Meier, {100 * fit.level:g}% {fit.band} bands (Greenwood). The median is the first "
        "token at which at most half are alive; a dash: not within what was watched.",
        [
            Column("alpha", "alpha", "number"),
            Column("n", "n", "integer"),
            Column("n_died", "died", "integer"),
            Column("median", "median token of death", "number"),
            Column("median_low", "low", "number"),
            Column("median_high", "high", "number"),
            Column("last_time", "last token", "integer"),
            Column("last_survival", "alive there", "fixed"),
            Column("last_low", "low", "fixed"),
            Column("last_high", "high", "fixed"),
            Column("status", "status"),
        ],
        survival,
    )
    if len(fit.logrank):
        tests = fit.logrank.assign(status=[plain_status(s) for s in fit.logrank["status"]])
        tables["logrank"] = from_frame(
            "logrank",
            "Log-rank tests",
            "Of every two alphas; z above 0: the first dies more. Holm: p adjusted for all pairs.",
            [
                Column("first", "alpha", "number"),
                Column("second", "against", "number"),
                Column("z", "z", "fixed"),
                Column("p", "p", "number"),
                Column("p_holm", "p (Holm)", "number"),
                Column("status", "status"),
            ],
            tests,
        )
    if len(rollouts.left_out):
        tables["left_out"] = from_frame(
            "left_out",
            "Left out",
            "What could not be used; no alpha and no prompt: the whole cell.",
            [
                Column("cell", "cell"),
                Column("alpha", "alpha", "number"),
                Column("prompt", "prompt", "integer"),
                Column("n", "n", "integer"),
                Column("reason", "reason"),
            ],
            rollouts.left_out,
        )
    return tables


def write_kl_report(
    rollouts: KLTrajectories,
    out_dir: str | os.PathLike[str],
    *,
    threshold: float = 0.8,
    level: float = 0.95,
    log: bool = False,
    title: str | None = None,
    **options: Any,
) -> KLReport:
    """Write picture, summary, survival table and page of some rollouts into a directory.

    Parameters
    ----------
    rollouts : KLTrajectories
    out_dir : path-like
        Made if it does not exist. Files of an earlier report are replaced, others left alone.
    threshold : float
        A probability mass below it is death.
    level : float
        Level of the bands.
    log : bool
        Logarithmic axes of KL.
    title : str, optional
        Heading of page and picture.
    **options
        Of `delphi.calibrate_kl`: roll, calib_tokens, percentile, normalize, order.

    Returns
    -------
    KLReport

    Raises
    ------
    OSError
        If `out_dir` cannot be written; nothing half-written is left.

    Examples
    --------
    >>> import tempfile
    >>> from delphi import simulate
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     done = write_kl_report(simulate.rollouts([2.0, 4.0], rng=0), folder)
    >>> sorted(path.name for path in done.files)[:3]
    ['index.html', 'kl-spaghetti.json', 'kl_alive_spaghetti.png']
    """
    from delphi import figures
    from delphi._version import __version__
    from delphi.figures.export import write_text
    from delphi.figures.spaghetti import write_png
    from delphi.report.page import Plot, render_page

    check_target(out_dir)
    out = Path(out_dir)
    heading = title or "KL trajectories and survival"
    fit = rollouts.survival(threshold, level=level)
    tables = kl_tables(rollouts, fit, threshold)
    drawn = figures.kl_spaghetti(rollouts, threshold=threshold, log=log, **options)
    shown = (
        ("kl-spaghetti", "KL trajectories", _caption(rollouts, options), drawn),
        (
            "survival-curves",
            "Survival",
            "Share of rollouts alive after each token (Kaplan-Meier); a tick: somebody was "
            "censored; light: the band.",
            figures.survival_curves(fit),
        ),
    )
    with staged(out) as stage:
        picture = figures.draw_spaghetti(
            rollouts, threshold=threshold, log=log, title=heading, **options
        )
        write_png(picture, stage / PICTURE)
        write_text(_markdown(tables, rollouts, heading), stage / SUMMARY)
        write_text(_csv(fit), stage / CURVES)
        plots = []
        for name, plot_title, caption, fig in shown:
            figures.write_json(fig, stage / f"{name}.json")
            json = (stage / f"{name}.json").read_text(encoding="utf-8")
            plots.append(Plot(name, plot_title, caption, json))
        page = render_page(
            heading, _subtitle(rollouts), reading(rollouts, fit, threshold), plots,
            list(tables.values()), __version__, UNITS,
        )  # fmt: skip
        write_text(page, stage / PAGE)
        names = sorted(path.name for path in stage.iterdir())
    return KLReport(out, tuple(out / name for name in names), tables, fit)


def reading(rollouts: KLTrajectories, fit: SurvivalFit, threshold: float) -> list[str]:
    """The result in sentences."""
    said = []
    counts = rollouts.counts(threshold)
    for alpha, curve in fit.curves.items():
        last = curve.interval(curve.time[-1]).iloc[0]
        if curve.n_died == 0:
            said.append(f"alpha {alpha:g}: none of {curve.n} died.")
            continue
        band = (
            f" ({100 * curve.level:g}% band {last.low:.2f} to {last.high:.2f})"
            if pd.notna(last.low) else ""
        )  # fmt: skip
        half = (
            f"half are dead by token {curve.median:g}"
            if pd.notna(curve.median)
            else "survival stays above one half"
        )
        said.append(
            f"alpha {alpha:g}: {curve.n_died} of {curve.n} died, {half}; "
            f"{last.survival:.0%} live beyond token {last.time:g}{band}."
        )
    tests = fit.logrank[fit.logrank["p_holm"] < 0.05] if len(fit.logrank) else fit.logrank
    if len(fit.logrank):
        said.append(
            f"{len(tests)} of {len(fit.logrank)} pairs of alphas differ in survival "
            "(log-rank, Holm-adjusted p below 0.05)."
        )
    unseen = int(counts["not_measured"].sum())
    if unseen:
        said.append(f"{unseen} rollouts have no measured fork and are in no survival curve.")
    if len(rollouts.left_out):
        said.append(f"Left out: {left_out_text(rollouts.left_out)}.")
    said += [f"Assumed: {note}." for note in rollouts.notes]
    return said


def _subtitle(rollouts: KLTrajectories) -> str:
    cells = rollouts.rollouts["cell"].nunique()
    window = f", first {rollouts.window} tokens" if rollouts.window else ""
    return f"{len(rollouts)} rollouts of {cells} cell{'s' if cells > 1 else ''}{window}."


def _caption(rollouts: KLTrajectories, options: dict[str, Any]) -> str:
    head, percentile = options.get("calib_tokens", 20), options.get("percentile", 95)
    smoothed = options.get("order", "calibrate") == "smooth"
    scale = (
        f"Each rollout over the {percentile:g}th percentile of its first {head} tokens"
        f"{', smoothed before' if smoothed else ''}."
        if options.get("normalize", True)
        else "KL in nats; dashed: alpha squared, what KL is for small steps."
    )
    return (
        f"{scale} Rolling mean of {options.get('roll', 65)} tokens. A line turns orange where its "
        "rollout dies."
    )


def _markdown(tables: dict[str, Table], rollouts: KLTrajectories, heading: str) -> str:
    parts = [f"# {_cell(heading)}", _cell(_subtitle(rollouts))]
    for table in tables.values():
        align = ["---:" if column.numeric else "---" for column in table.columns]
        lines = [[column.label for column in table.columns], align]
        lines += [
            [_cell(c.text(cell)) for c, cell in zip(table.columns, row, strict=True)]
            for row in table.rows
        ]
        body = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        parts.append(f"## {table.title}\n\n{_cell(table.note)}\n\n{body}")
    return "\n\n".join(parts) + "\n"


def _cell(text: str) -> str:
    """Text that neither ends a table cell nor begins a tag."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def _csv(fit: SurvivalFit) -> str:
    return str(fit.to_frame().rename(columns={"group": "alpha"}).to_csv(index=False))
