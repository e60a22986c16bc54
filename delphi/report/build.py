"""Build a report: figures as JSON and one page, all of it or nothing."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import unicodedata
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from delphi.heldout import FORECAST_AT
from delphi.report.content import Analysis, analyse
from delphi.shorthand import flops

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import plotly.graph_objects as go

    from delphi.isoflop import IsoflopLadder
    from delphi.report.tables import Table

__all__ = ["Report", "build_report", "write_report"]

PAGE = "index.html"


@dataclass(frozen=True)
class Report:
    """What was written.

    Attributes
    ----------
    directory, page : Path
        Where the report is, and its page.
    figures : mapping of str to Path
        Plotly JSON files by figure name.
    tables : mapping of str to Table
        The tables by key; ``print(report.tables["laws"].to_text())``.
    reading : tuple of str
        The result in sentences.
    """

    directory: Path
    page: Path
    figures: Mapping[str, Path]
    tables: Mapping[str, Table]
    reading: tuple[str, ...]


def build_report(
    runs_or_ladder: Any,
    out_dir: str | os.PathLike[str],
    *,
    title: str | None = None,
    shared_floor: bool = False,
    forecast_at: Sequence[float] = FORECAST_AT,
    progress: bool = False,
) -> Report:
    """Fit what is not fitted yet and write figures, tables and a page into a directory.

    Parameters
    ----------
    runs_or_ladder : IsoflopLadder, DataFrame, path, or list of those
        A fitted ladder, or runs as :func:`delphi.read_runs` takes or returns them.
    out_dir : path-like
        Made if it does not exist. Files of an earlier report are replaced, others left alone.
    title : str, optional
        Heading of the page.
    shared_floor : bool
        Fit one L_inf for all suites.
    forecast_at : sequence of float
        Compute to forecast at, FLOPs.
    progress : bool
        Show a progress bar.

    Returns
    -------
    Report

    Raises
    ------
    DataError
        If the runs cannot be read.
    OSError
        If `out_dir` cannot be written. Whatever ends it early, an existing report stays as it was
        and nothing half-written is left.

    Examples
    --------
    >>> import tempfile, delphi
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     report = delphi.report.build_report(delphi.simulate.ladder(rng=0), folder)
    >>> sorted(report.figures)[0]
    'isoflop-parabolas'
    """
    check_target(out_dir)
    ladder = as_ladder(runs_or_ladder, progress=progress)
    analysis = analyse(ladder, shared_floor=shared_floor, forecast_at=forecast_at)
    return write_report(analysis, out_dir, title=title, progress=progress)


def as_ladder(runs_or_ladder: Any, *, progress: bool = False) -> IsoflopLadder:
    """Read and fit whatever of it is still to be done."""
    from delphi.isoflop import IsoflopLadder, fit_isoflops
    from delphi.runs import read_runs

    if isinstance(runs_or_ladder, IsoflopLadder):
        return runs_or_ladder
    attrs = getattr(runs_or_ladder, "attrs", {})
    runs = runs_or_ladder if "delphi" in attrs else read_runs(runs_or_ladder)
    return fit_isoflops(runs, progress=progress)


def check_target(out_dir: str | os.PathLike[str]) -> None:
    """Raise OSError early, before minutes of fitting, where nothing could be written."""
    if not os.fspath(out_dir):
        raise FileNotFoundError(errno.ENOENT, "the name of the output directory is empty")
    out = Path(out_dir)
    for place in (out, *out.parents):
        if place.is_symlink() and not place.exists():
            raise FileNotFoundError(errno.ENOENT, "is a link to what does not exist", str(place))
    base = out if out.exists() else _nearest(out)
    if not base.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(base))
    if not os.access(base, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, "is not writable", str(base))


def write_report(
    analysis: Analysis,
    out_dir: str | os.PathLike[str],
    *,
    title: str | None = None,
    progress: bool = False,
) -> Report:
    """Write an analysis into a directory; see :func:`build_report`."""
    from delphi import figures
    from delphi._version import __version__
    from delphi.figures.export import write_text
    from delphi.report.page import Plot, render_page

    out = Path(out_dir)
    heading = title or "Scaling laws of " + _listed(analysis.ladder.suites)
    with _staged(out) as stage:
        plots = []
        for name, caption_title, caption, fig in _bar(_figures(analysis), analysis, progress):
            figures.write_json(fig, stage / f"{name}.json")
            json = (stage / f"{name}.json").read_text(encoding="utf-8")
            plots.append(Plot(name, caption_title, caption, json))
        page = render_page(
            heading,
            analysis.tables[0].note,
            analysis.reading,
            plots,
            analysis.tables,
            __version__,
        )
        write_text(page, stage / PAGE)
    return Report(
        directory=out,
        page=out / PAGE,
        figures={plot.name: out / f"{plot.name}.json" for plot in plots},
        tables={table.key: table for table in analysis.tables},
        reading=analysis.reading,
    )


def _figures(analysis: Analysis) -> Iterator[tuple[str, str, str, go.Figure]]:
    """Name, title, caption and figure, one after the other; captions say what is in the figure."""
    from delphi import figures
    from delphi.figures.thin import SUITES, drawn_note, law_note

    ladder, laws, held_out = analysis.ladder, analysis.laws, analysis.held_out
    posteriors = analysis.posteriors
    yield (
        "isoflop-parabolas",
        "IsoFLOP parabolas",
        _said(
            "Loss against tokens at fixed compute; a cross marks each optimum."
            if len(ladder.optima)
            else "Loss against tokens at fixed compute. No budget has an optimum.",
            ""
            if ladder.fits["used"].all()
            else "Hollow points and dotted curves are budgets that feed no law.",
            "Dotted beyond the runs that a curve was fitted to." if ladder.window else "",
            drawn_note(ladder),
        ),
        figures.isoflop_parabolas(ladder),
    )
    fig = figures.scaling_law_asymptote(ladder, laws, held_out, posteriors)
    yield (
        "scaling-law-asymptote",
        "Scaling laws",
        _said(*_law_caption(analysis, fig), law_note(ladder, held_out)),
        fig,
    )
    for suite, slug in list(slugs(ladder.suites).items())[:SUITES]:
        own = held_out[held_out["suite"] == suite]
        compared = ", and how held-out runs compare with it" if len(own) else ""
        fitted = suite in set(ladder.optima["suite"])
        last = len(ladder.suites) > SUITES and suite == ladder.suites[SUITES - 1]
        yield (
            f"ladder-{slug}",
            f"Ladder of {suite}",
            _said(
                "Left: the parabolas.",
                f"Right: the law through their optima, light its 95% interval{compared}."
                if fitted
                else "Right: nothing, for no budget has an optimum.",
                drawn_note(ladder, suite),
                law_note(ladder, own, suite),
                f"Of {len(ladder.suites)} suites the first {SUITES} have such a figure."
                if last
                else "",
            ),
            figures.ladder(ladder, laws, suite, held_out, posteriors),
        )


def _law_caption(analysis: Analysis, fig: go.Figure) -> list[str]:
    """What is seen in the figure of the laws."""
    from delphi.figures.thin import first_suites

    if analysis.ladder.optima.empty:
        return ["No budget has an optimum, so there is no law to draw."]
    traces = fig.data
    without = [
        s for s in first_suites(analysis.ladder) if s not in set(analysis.ladder.optima["suite"])
    ]
    curve = any(t.mode == "lines" and t.fill is None for t in traces)
    rule = [shape.x0 for shape in fig.layout.shapes if shape.x0 == shape.x1]
    return [
        "Loss at the optimum against compute.",
        "Dashed: the law by least squares." if curve else "",
        "Light: its 95% interval (posterior)." if any(t.fill for t in traces) else "",
        "Dotted: its floor L_inf." if any(s.y0 == s.y1 for s in fig.layout.shapes) else "",
        "Hollow: held-out runs, which no fit has seen." if len(analysis.held_out) else "",
        f"Fitting ends at {flops(rule[0])} FLOPs, the largest fitted compute." if rule else "",
        f"Without an optimum: {_listed(without)}." if without else "",
    ]


def _said(*sentences: str) -> str:
    return " ".join(sentence for sentence in sentences if sentence)


def _bar(
    items: Iterable[tuple[str, str, str, go.Figure]], analysis: Analysis, progress: bool
) -> Iterable[tuple[str, str, str, go.Figure]]:
    if not progress:
        return items
    from tqdm.auto import tqdm

    from delphi.figures.thin import SUITES

    total = 2 + min(len(analysis.ladder.suites), SUITES)
    bar: Iterable[tuple[str, str, str, go.Figure]] = tqdm(
        items, total=total, desc="figures", unit="figure", leave=False
    )
    return bar


def slugs(names: Sequence[str]) -> dict[str, str]:
    """A distinct file name part for each name: lower-case ASCII, digits and hyphens."""
    out: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        ascii_name = unicodedata.normalize("NFKD", str(name)).encode("ascii", "ignore").decode()
        stem = re.sub(r"[^a-z0-9]+", "-", ascii_name.lower()).strip("-")[:60].strip("-") or "suite"
        slug, n = stem, 1
        while slug in taken:
            n += 1
            slug = f"{stem}-{n}"
        out[name] = slug
        taken.add(slug)
    return out


def _listed(names: Sequence[str]) -> str:
    shown = list(names[:3]) + ([f"{len(names) - 3} more"] if len(names) > 3 else [])
    return shown[0] if len(shown) == 1 else ", ".join(shown[:-1]) + " and " + shown[-1]


def _nearest(path: Path) -> Path:
    """The closest folder above `path` that exists."""
    return next(parent for parent in path.absolute().parents if parent.exists())


@contextmanager
def _staged(out: Path) -> Iterator[Path]:
    """A folder to write into; its files reach `out` together, at the end, or not at all."""
    check_target(out)
    base = out if out.exists() else _nearest(out)
    stage = base / f".delphi-{secrets.token_hex(6)}"
    try:
        stage.mkdir()
        yield stage
        if out.exists():
            _move_in(stage, out)
        else:
            out.parent.mkdir(parents=True, exist_ok=True)
            stage.replace(out)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _move_in(stage: Path, out: Path) -> None:
    """Replace files of `out` by those of `stage`, and put the old ones back if that fails."""
    names = sorted(path.name for path in stage.iterdir())
    kept = stage / "replaced"
    kept.mkdir()
    for name in names:
        if (out / name).exists():
            shutil.copy2(out / name, kept / name)
    try:
        for name in names:
            (stage / name).replace(out / name)
    except BaseException:
        # Judged by what is on disk, so that it is right wherever Ctrl-C struck.
        for name in names:
            if (kept / name).exists():
                (kept / name).replace(out / name)
            elif not (stage / name).exists():
                (out / name).unlink(missing_ok=True)
        raise
