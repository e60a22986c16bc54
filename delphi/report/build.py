"""Build a report: figures as JSON and one page, all of it or nothing."""

from __future__ import annotations

import errno
import json
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
from delphi.report.drawings import drawings, listed
from delphi.shorthand import shortened

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from delphi.card import Card
    from delphi.isoflop import IsoflopLadder
    from delphi.report.drawings import Drawing
    from delphi.report.tables import Table
    from delphi.sweeps import Sweep

__all__ = ["Report", "build_report", "write_report"]

PAGE, CARD_FILE = "index.html", "cards.json"
CARDS = 12  # on the page; the file has them all


@dataclass(frozen=True)
class Report:
    """What was written.

    Attributes
    ----------
    directory, page : Path
        Where the report is, and its page.
    figures : mapping of str to Path
        Plotly JSON files by figure name.
    cards : Path
        The fit cards of all laws, by suite, as JSON.
    tables : mapping of str to Table
        The tables by key; ``print(report.tables["laws"].to_text())``.
    reading : tuple of str
        The result in sentences.
    """

    directory: Path
    page: Path
    figures: Mapping[str, Path]
    cards: Path
    tables: Mapping[str, Table]
    reading: tuple[str, ...]


def build_report(
    runs_or_ladder: Any,
    out_dir: str | os.PathLike[str],
    *,
    title: str | None = None,
    shared_floor: bool = False,
    forecast_at: Sequence[float] = FORECAST_AT,
    sweep: Sweep | None = None,
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
    sweep : Sweep, optional
        A fitted sweep of hyperparameters, to be shown beside the runs.
    progress : bool
        Show a progress bar.

    Returns
    -------
    Report

    Raises
    ------
    DataError
        If the runs cannot be read.
    ImportError
        Without plotly or Jinja2.
    OSError
        If `out_dir` cannot be written. Whatever ends it early, an existing report stays as it was
        and nothing half-written is left.

    Examples
    --------
    >>> import tempfile, delphi
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     report = delphi.report.build_report(delphi.simulate.ladder(rng=0), folder)
    >>> list(report.figures)[0]
    'isoflop-parabolas'
    """
    check_target(out_dir)
    ladder = as_ladder(runs_or_ladder, progress=progress)
    analysis = analyse(ladder, shared_floor=shared_floor, forecast_at=forecast_at)
    if sweep is not None:
        analysis = analysis.with_sweep(sweep)
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
    from delphi._version import __version__
    from delphi.figures.export import write_text
    from delphi.report.page import Plot, render_page

    out = Path(out_dir)
    suites = analysis.ladder.suites
    heading = title or "Scaling laws of " + listed([shortened(suite) for suite in suites])
    cards = _cards(analysis)
    with staged(out) as stage:
        plots = []
        for drawing in _bar(drawings(analysis, slugs(suites)), progress):
            wide, narrow = drawing.draw(False), drawing.draw(True)
            text = wide.to_json()
            write_text(text, stage / f"{drawing.name}.json")
            plots.append(
                Plot(
                    drawing.name, drawing.title, drawing.caption, text,
                    narrow=narrow.to_json(), group=drawing.group,
                )
            )  # fmt: skip
        page = render_page(
            heading,
            analysis.tables[0].note,
            analysis.reading,
            plots,
            analysis.tables,
            __version__,
            cards=dict(list(cards.items())[:CARDS]),
            cards_note=cards_note(len(cards)),
        )
        write_text(cards_json(cards), stage / CARD_FILE)
        write_text(page, stage / PAGE)
    return Report(
        directory=out,
        page=out / PAGE,
        figures={plot.name: out / f"{plot.name}.json" for plot in plots},
        cards=out / CARD_FILE,
        tables={table.key: table for table in analysis.tables},
        reading=analysis.reading,
    )


def _bar(items: Iterable[Drawing], progress: bool) -> Iterable[Drawing]:
    if not progress:
        return items
    from tqdm.auto import tqdm

    known = list(items)
    bar: Iterable[Drawing] = tqdm(known, desc="figures", unit="figure", leave=False)
    return bar


def _cards(analysis: Analysis) -> dict[str, Card]:
    """The fit card of each law."""
    return {suite: law.card() for suite, law in analysis.laws.items() if law.ok}


def cards_json(cards: Mapping[str, Card]) -> str:
    """Cards by name, as JSON text."""
    values = {name: card.to_dict() for name, card in cards.items()}
    return json.dumps(values, indent=1, allow_nan=False) + "\n"


def cards_note(n: int) -> str:
    """What the cards of a page are, and how many are in the file only."""
    shown = f" Here are the first {CARDS} of {n:,}." if n > CARDS else ""
    return f"What each law is, what it was fitted to and how; also in {CARD_FILE}.{shown}"


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


def _nearest(path: Path) -> Path:
    """The closest folder above `path` that exists."""
    return next(parent for parent in path.absolute().parents if parent.exists())


@contextmanager
def staged(out: Path) -> Iterator[Path]:
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
