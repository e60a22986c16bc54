"""Write the page of learning curves and its tables, all of it or nothing."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from delphi.curveforms import LOSSES
from delphi.curvepage.content import CurveAnalysis, analyse_curves
from delphi.curvepage.payload import NAME, RUNS, payload, thinning_note
from delphi.report.build import CARD_FILE, CARDS, cards_json, cards_note, check_target, staged
from delphi.report.tables import PAGE_ROWS, Column, Table, from_frame
from delphi.shorthand import printable, shortened

if TYPE_CHECKING:
    from delphi.report.page import Plot

__all__ = ["CurvePage", "curve_tables", "render_curve_page", "write_curve_page"]

FEW = 3  # runs: fewer are not shown alone at first
PAGE = "curves.html"
UNITS = "Losses in the unit of the data; compute in FLOPs; errors are absolute."


@dataclass(frozen=True)
class CurvePage:
    """What was written.

    Attributes
    ----------
    directory, page : Path
    files : tuple of Path
        The page, the tables as CSV, and the fit cards as JSON.
    analysis : CurveAnalysis
    """

    directory: Path
    page: Path
    files: tuple[Path, ...]
    analysis: CurveAnalysis


def write_curve_page(
    runs: Any, out_dir: str | os.PathLike[str], *, title: str | None = None, **options: Any
) -> CurvePage:
    """Fit learning curves and write the interactive page and tables into a directory.

    Parameters
    ----------
    runs : DataFrame or CurveAnalysis
        One row a point, or what `analyse_curves` made of it.
    out_dir : path-like
        Made if it does not exist. Files of an earlier page are replaced, others left alone.
    title : str, optional
        Heading of the page.
    **options
        Of `analyse_curves`: the columns, prefixes, held_out, target, ...

    Returns
    -------
    CurvePage

    Raises
    ------
    DataError
        Runs that cannot be read.
    ImportError
        Without plotly or Jinja2.
    OSError
        If `out_dir` cannot be written; nothing half-written is left.

    Examples
    --------
    >>> import tempfile, delphi
    >>> runs = delphi.simulate.curves(mixes=("web",), lrs=(1e-3,), n_points=30, rng=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     done = write_curve_page(runs, folder, left_out=False, prefixes=[0.5])
    >>> done.page.name
    'curves.html'
    """
    from delphi.figures.export import write_text

    check_target(out_dir)
    a = runs if isinstance(runs, CurveAnalysis) else analyse_curves(runs, **options)
    out = Path(out_dir)
    with staged(out) as stage:
        for name, frame in _frames(a).items():
            write_text(str(frame.to_csv(index=False)), stage / f"{name}.csv")
        write_text(cards_json(a.cards | a.run_cards), stage / CARD_FILE)
        write_text(render_curve_page(a, title), stage / PAGE)
        names = sorted(path.name for path in stage.iterdir())
    return CurvePage(out, out / PAGE, tuple(out / name for name in names), a)


def render_curve_page(a: CurveAnalysis, title: str | None = None) -> str:
    """The page as one HTML text; the same analysis gives the same text."""
    from plotly.offline import get_plotlyjs

    from delphi._version import __version__
    from delphi.report.shell import Markup, environment, inert, part, policy

    data = payload(a)
    best = _best(a)
    joint = data["joint"] or []
    names = ("shell.js", "page.js", "curves.js", "search.js", "laws.js")
    scripts = [get_plotlyjs(), *(part(name) for name in names)]
    forms = list(dict.fromkeys(f for f in data["forms"].values() if f))
    losses = [k for k in LOSSES if any(m.endswith(f"-{k}") for m in data["methods"])]
    joint_forms = _words(joint, 1)
    text: str = (
        environment()
        .get_template("curves.html")
        .render(
            title=title or "Learning curves: how will these runs end?",
            subtitle=_subtitle(a),
            reading=a.reading,
            data=data,
            payload=inert(data),
            thinning=thinning_note(a),
            forms=[*forms, *(m for m in data["methods"] if not data["forms"][m])],
            first_form=forms.index("power") if "power" in forms else 0,
            losses=losses,
            first_scale=_first_scale(data),
            middle=len(data["prefixes"]) // 2,
            target=f"{a.target:g}",
            best=None if best is None else _figure(best),
            tables=curve_tables(a),
            most_rows=PAGE_ROWS,
            scopes=list(dict.fromkeys(row["scope"] for row in joint)),
            kinds=_kinds(joint),
            joint_forms=joint_forms,
            first_joint=joint_forms.index("power") if "power" in joint_forms else 0,
            joint_losses=sorted(_words(joint, 2)),
            ridges=[f"{ridge:g}" for ridge in dict.fromkeys(row["ridge"] for row in joint)],
            cards=dict(list(a.cards.items())[:CARDS]),
            cards_note=cards_note(len(a.cards)),
            **_run_cards(a),
            version=__version__,
            units=UNITS,
            policy=Markup(policy(scripts)),
            css=Markup(part("page.css") + part("curves.css")),
            template=inert(_template()),
            scripts=[Markup(script) for script in scripts],
        )
    )
    return text.lstrip() + "\n"


def curve_tables(a: CurveAnalysis) -> list[Table]:
    """Mean and worst errors by method and prefix, and runs that are no ordinary ones."""
    tables = []
    prefixes = sorted(a.scores["prefix"].unique())
    order = list(dict.fromkeys(a.fits["method"]))
    for key, title in (("mae", "Mean error by prefix"), ("worst", "Worst error by prefix")):
        wide = a.scores.pivot(index="method", columns="prefix", values=key).loc[order]
        wide.columns = [f"p{k}" for k in range(len(prefixes))]
        columns = [Column("method", "method")]
        columns += [Column(f"p{k}", f"{p:g}", "number") for k, p in enumerate(prefixes)]
        n = int(a.scores["n_runs"].max())
        note = f"Of the final losses of up to {n} finished runs, each fitted by itself."
        tables.append(from_frame(key, title, note, columns, wide.reset_index()))
    ends = a.scores[a.scores["method"] == "ensemble"]
    tables.append(
        from_frame(
            "coverage", "Intervals of the ensemble",
            f"Share of conformal intervals of level {a.level:g} that hold the final loss of a run "
            "that they have not seen.",
            [Column("prefix", "prefix", "number"), Column("n_intervals", "intervals", "integer"),
             Column("coverage", "coverage", "share")],
            ends,
        )
    )  # fmt: skip
    runs = a.runs
    said = pd.DataFrame({"run": runs.keys["run"], "left_out": runs.left_out})
    words = []
    for r in range(len(runs)):
        flags = (
            ("diverged", runs.diverged[r]), ("unfinished", not runs.finished[r]),
            ("ends before most runs like it", runs.early[r]),
            ("cut in its decay", runs.cut[r]), ("points left out", runs.left_out[r] > 0),
        )  # fmt: skip
        words.append(", ".join(word for word, true in flags if true))
    said["what"] = words
    odd = said[said["what"] != ""]
    if len(odd):
        tables.append(
            from_frame(
                "odd", "Runs to look at", "Runs without an ordinary end, or with points missing.",
                [Column("run", "run"), Column("what", "what"),
                 Column("left_out", "points left out", "integer")],
                odd.assign(run=[str(name) for name in odd["run"]]),
            )
        )  # fmt: skip
    return tables


def _frames(a: CurveAnalysis) -> dict[str, pd.DataFrame]:
    """What is written as CSV."""
    frames = {"fits": a.fits, "scores": a.scores, "scores_by_scale": a.by_scale}
    if a.endpoints:
        laws = [law.laws.assign(cutoff=law.cutoff) for law in a.endpoints]
        held = [law.held_out.assign(cutoff=law.cutoff) for law in a.endpoints]
        frames["endpoint_laws"] = pd.concat(laws, ignore_index=True)
        frames["endpoints_held_out"] = pd.concat(held, ignore_index=True)
    if a.joint is not None:
        frames["joint_scores"] = a.joint
    return frames


def _run_cards(a: CurveAnalysis) -> dict[str, Any]:
    """The cards of one fit of every run, as far as the page holds them, for its script."""
    from delphi.report.shell import inert

    shown = list(a.run_cards.items())[:RUNS]
    rows = [
        {
            "name": shortened(printable(name), NAME),
            "sections": [
                [section, fields[["field", "value"]].to_numpy().tolist()]
                for section, fields in card.to_frame().groupby("section", sort=False)
            ],
        }
        for name, card in shown
    ]
    some = f"; here are the first {RUNS} of {len(a.run_cards):,} runs" if len(a.run_cards) > RUNS \
        else ""  # fmt: skip
    return {
        "run_cards": inert(rows) if rows else "", "run_names": [row["name"] for row in rows],
        "run_cards_note": f"One fit of every run has its card in {CARD_FILE}{some}. For any other"
        " row of fits.csv: delphi.curve_card(row, frame).",
    }  # fmt: skip


def _first_scale(data: dict[str, Any]) -> int:
    """The largest scale, where it has runs enough to be looked at alone; else all (-1)."""
    last = len(data["scales"]) - 1
    return last if last > 0 and data["scale"].count(last) >= FEW else -1


def _best(a: CurveAnalysis) -> Plot | None:
    """The heat map, wide and narrow."""
    from delphi.figures.curves import best_forms
    from delphi.report.page import Plot

    if not a.by_scale["best"].any():
        return None
    return Plot(
        "best-forms", "Lowest mean error",
        "The fit (form and loss) with the lowest mean error of the final loss, and that error; "
        "the stronger the blue, the lower. Baselines and the ensemble are left out.",
        best_forms(a.by_scale).to_json(), best_forms(a.by_scale, mobile=True).to_json(),
    )  # fmt: skip


def _figure(plot: Plot) -> Any:
    from delphi.report.page import figures_of

    return figures_of([plot], _template())[0]


def _template() -> dict[str, Any]:
    import json

    import plotly.graph_objects as go

    from delphi.figures import theme

    blank: dict[str, Any] = json.loads(theme.finish(go.Figure(), 100, []).to_json())
    template: dict[str, Any] = blank["layout"]["template"]
    return template


def _words(joint: list[dict[str, Any]], place: int) -> list[str]:
    """Forms (1) or losses (2) in the names of joint methods."""
    names = (row["method"].split("-") for row in joint if row["method"].startswith("joint-"))
    return list(dict.fromkeys(name[place] for name in names))


def _kinds(joint: list[dict[str, Any]]) -> list[str]:
    return list(
        dict.fromkeys(
            row["kind"] if not row["cells"] else f"{row['kind']}: {row['cells']}" for row in joint
        )
    )


def _subtitle(a: CurveAnalysis) -> str:
    n = int(np.diff(a.runs.offsets).sum())
    return f"{len(a.runs)} runs, {n:,} points; forecasts of the final loss from a part of each run."
