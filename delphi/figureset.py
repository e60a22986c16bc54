"""The whole set of figures of some runs: fit, draw, and write them for a site."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from delphi.errors import DataWarning
from delphi.figureinputs import SweepFile, draw_evals, draw_sweep
from delphi.report.build import as_ladder, check_target, slugs, staged
from delphi.report.drawings import N_BOOT, held_out_band
from delphi.runs import ADAMH_LABEL, C_ADAMC_LABEL, match_grid, read_runs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    import plotly.graph_objects as go

    from delphi.isoflop import IsoflopLadder
    from delphi.powerlaw import PowerLaw

__all__ = ["Faithful", "FigureFiles", "draw_figures", "faithful", "write_figures"]

# What the notebook calls the ladders of its own two suites.
LADDERS = {C_ADAMC_LABEL: "first-ladder", ADAMH_LABEL: "delphi-ladder"}
MOBILE = "-mobile"
FORECAST = 1e23  # compute of the over-training forecast
COMPAT_AT = (1e21, 1e22, 1e23)
COMPAT_SCALES = (0.2, 1 / 3, 0.5, 2 / 3, 2.0, 3.0, 4.0, 5.0, 10.0)


@dataclass(frozen=True)
class FigureFiles:
    """What was written.

    Attributes
    ----------
    directory : Path
    figures : mapping of str to Path
        The JSON file of each figure.
    images : tuple of Path
        PNG and SVG files.
    """

    directory: Path
    figures: Mapping[str, Path]
    images: tuple[Path, ...]


@dataclass(frozen=True)
class Faithful:
    """Results as the notebook has them.

    Attributes
    ----------
    ladder : IsoflopLadder
        A parabola through all runs of each budget; each run's compute is its budget, that of a
        held-out run the nearest power of ten.
    laws : mapping of suite to PowerLaw
        By the notebook's grid over the floor and its score.
    held_out : DataFrame
        What :func:`delphi.score_held_out` says of them.
    """

    ladder: IsoflopLadder
    laws: Mapping[str, PowerLaw]
    held_out: pd.DataFrame


def faithful(runs: pd.DataFrame) -> Faithful:
    """Fit runs exactly as the notebook does.

    Parameters
    ----------
    runs : DataFrame
        Standard columns, as from :func:`delphi.read_runs`.

    Returns
    -------
    Faithful

    Notes
    -----
    Where both of its suites are there, the older one is thinned out to the grid of the newer one.
    Sweep runs count whatever became of them. Buckets are kept whether or not their vertex is a
    minimum; those with fewer than three distinct token counts have none.

    Examples
    --------
    >>> import delphi
    >>> laws = faithful(delphi.simulate.ladder(rng=0)).laws
    >>> laws["Aster"].method, laws["Aster"].score
    ('grid', 'log')
    """
    from delphi.heldout import score_held_out
    from delphi.isoflop import fit_isoflops

    if {C_ADAMC_LABEL, ADAMH_LABEL} <= set(runs["suite"]):
        runs = match_grid(runs, C_ADAMC_LABEL, ADAMH_LABEL)
    sweep = (runs["run_type"] == "isoflop").to_numpy(bool)
    crashed = (runs["state"] == "crashed").to_numpy(bool) & ~sweep
    decade = 10.0 ** np.rint(np.log10(runs["flops"].to_numpy(float)))
    runs = runs.assign(
        state=np.where(crashed, "crashed", "finished"),
        flops=np.where(sweep, runs["budget"].to_numpy(float), decade),
    )
    ladder = fit_isoflops(runs, curve="parabola", keep="all")
    laws = ladder.laws(score="log", method="grid")
    return Faithful(ladder, laws, score_held_out(runs, laws))


def draw_figures(
    runs_or_ladder: Any,
    *,
    mobile: bool = False,
    compat: bool = False,
    sweep: SweepFile | str | os.PathLike[str] | None = None,
    evals: Mapping[str, str | os.PathLike[str]] | None = None,
    progress: bool = False,
) -> dict[str, go.Figure]:
    """Fit what is not fitted yet and draw every figure.

    Parameters
    ----------
    runs_or_ladder : IsoflopLadder, DataFrame, path, or list of those
        A fitted ladder, or runs as :func:`delphi.read_runs` takes or returns them.
    mobile : bool
        Draw all figures a second time for a screen 360 px wide, named ``...-mobile``. The ladders,
        evaluations and the sweep always have such a figure.
    compat : bool
        Fit and draw as the notebook does; of the narrow figures it has no others.
    sweep : SweepFile or path, optional
        Trials of hyperparameters; see :class:`delphi.figureinputs.SweepFile`.
    evals : mapping of str to path, optional
        Evaluations of the ladder under ``mmlu``, ``humaneval`` and ``gsm8k``, of other models under
        the same with ``_pool`` at the end.
    progress : bool
        Show a progress bar.

    Returns
    -------
    dict of str to plotly.graph_objects.Figure
        ``isoflop-parabolas``, ``scaling-law-asymptote``, then for each suite ``ladder-<suite>``
        (the notebook's suites: ``first-ladder``, ``delphi-ladder``), ``lucky-seeds`` and
        ``overtraining-forecast``, with ``-<suite>`` after the last two where there are several;
        ``mmlu-emergence`` and ``hparam-scaling`` where there are evaluations and a sweep.

    Raises
    ------
    DataError
        Runs, evaluations or a sweep that cannot be read.

    Warns
    -----
    DataWarning
        A figure has nothing to show and is not drawn.
    FitWarning
        As the fits do.

    Examples
    --------
    >>> import delphi
    >>> sorted(delphi.draw_figures(delphi.simulate.ladder(seeds=2, rng=0)))[:2]
    ['isoflop-parabolas', 'ladder-aster']
    """
    if compat:
        drawn = _draw_compat(faithful(_complete(_runs(runs_or_ladder))))
    else:
        drawn = _draw(_capped(as_ladder(runs_or_ladder, progress=progress)), mobile)
    drawn |= draw_evals(evals or {}, compat=compat)
    if sweep is not None:
        trials = sweep if isinstance(sweep, SweepFile) else SweepFile(sweep)
        drawn |= draw_sweep(trials, compat=compat)
    return drawn


def write_figures(
    runs_or_ladder: Any,
    out_dir: str | os.PathLike[str],
    *,
    mobile: bool = False,
    compat: bool = False,
    sweep: SweepFile | str | os.PathLike[str] | None = None,
    evals: Mapping[str, str | os.PathLike[str]] | None = None,
    formats: Sequence[str] = (),
    progress: bool = False,
) -> FigureFiles:
    """Draw every figure of some runs and write it as JSON for a site, and as images.

    Parameters
    ----------
    runs_or_ladder, mobile, compat, sweep, evals, progress
        As in :func:`draw_figures`.
    out_dir : path-like
        Made if it does not exist. Files of the same names are replaced, others left alone.
    formats : sequence of {"png", "svg"}
        Images to write beside the JSON; needs kaleido and Chromium or Chrome.

    Returns
    -------
    FigureFiles

    Raises
    ------
    DataError
        If runs, evaluations or the sweep cannot be read.
    ImportError
        If images are asked for and kaleido is missing.
    OSError
        If `out_dir` cannot be written, or there is no browser to draw images with. Whatever ends
        it early, nothing half-written is left.

    Examples
    --------
    >>> import tempfile, delphi
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     files = delphi.write_figures(delphi.simulate.ladder(seeds=2, rng=0), folder)
    >>> files.figures["ladder-aster-mobile"].name
    'ladder-aster-mobile.json'
    """
    from delphi.figures.export import WIDTH, site_json, write_images, write_text
    from delphi.figures.theme import MOBILE_WIDTH

    check_target(out_dir)
    figures = draw_figures(
        runs_or_ladder, mobile=mobile, compat=compat, sweep=sweep, evals=evals, progress=progress
    )
    out = Path(out_dir)
    with staged(out) as stage:
        for name, fig in figures.items():
            narrow = name.endswith(MOBILE)
            write_text(site_json(fig, keep_height=narrow), stage / f"{name}.json")
        jobs = [
            (fig, stage / f"{name}.{kind}", MOBILE_WIDTH if name.endswith(MOBILE) else WIDTH)
            for name, fig in figures.items()
            for kind in formats
        ]
        images = write_images(jobs) if jobs else []
    return FigureFiles(
        out,
        {name: out / f"{name}.json" for name in figures},
        tuple(out / image.name for image in images),
    )


def _capped(ladder: IsoflopLadder) -> IsoflopLadder:
    """The ladder of the suites that figures have room for."""
    from delphi.figures.thin import SUITES

    suites = ladder.suites
    if len(suites) <= SUITES:
        return ladder
    warnings.warn(
        f"figures show the first {SUITES} of {len(suites)} suites", DataWarning, stacklevel=3
    )
    return replace(
        ladder,
        runs=ladder.runs[ladder.runs["suite"].isin(suites[:SUITES])].reset_index(drop=True),
        fits=ladder.fits[ladder.fits["suite"].isin(suites[:SUITES])].reset_index(drop=True),
    )


def _draw(ladder: IsoflopLadder, mobile: bool) -> dict[str, go.Figure]:
    """The figures as we would draw them."""
    from delphi import figures
    from delphi.figures import theme
    from delphi.heldout import score_held_out
    from delphi.overtraining import overtraining_cost

    laws, posteriors = ladder.laws(), ladder.posteriors()
    runs = _complete(ladder.runs)
    held_out = score_held_out(runs, laws)
    colours = theme.suite_colours(ladder.suites)
    names = _Names(ladder.suites)
    layouts = (False, True) if mobile else (False,)
    out: dict[str, go.Figure] = {}
    for narrow in layouts:
        end = MOBILE if narrow else ""
        out[f"isoflop-parabolas{end}"] = figures.isoflop_parabolas(ladder, mobile=narrow)
        out[f"scaling-law-asymptote{end}"] = figures.scaling_law_asymptote(
            ladder, laws, held_out, posteriors, mobile=narrow
        )
    for suite in ladder.suites:
        for narrow in (False, True):
            out[names.ladder(suite) + (MOBILE if narrow else "")] = figures.ladder(
                ladder, laws, suite, held_out, posteriors, mobile=narrow
            )
        if suite not in laws:
            _not_drawn(names.of("overtraining-forecast", suite), f"{suite} has no optimum")
            continue
        law = laws[suite]
        cost = overtraining_cost(ladder, law, suite=suite, at=FORECAST)
        own = held_out[held_out["suite"] == suite]
        finished = own[own["state"] == "finished"]
        band = None
        if finished.empty or not law.ok:
            why = "no law" if len(finished) else "no finished held-out run"
            _not_drawn(names.of("lucky-seeds", suite), f"{suite} has {why}")
        else:
            band = held_out_band(ladder, suite, own["compute"].to_numpy(float))
        for narrow in layouts:
            end = MOBILE if narrow else ""
            if band is not None:
                out[names.of("lucky-seeds", suite) + end] = figures.lucky_seeds(
                    runs, law, band, suite, colour=colours[suite], mobile=narrow
                )
            out[names.of("overtraining-forecast", suite) + end] = figures.overtraining_forecast(
                ladder, law, cost, suite, mobile=narrow
            )
    return out


def _draw_compat(results: Faithful) -> dict[str, go.Figure]:
    """The figures as the notebook has them."""
    from delphi.bootstrap import bootstrap_law
    from delphi.compat import overtraining_for_scale
    from delphi.figures import compat, theme

    ladder, laws, held_out = _capped(results.ladder), results.laws, results.held_out
    held_out = held_out[held_out["suite"].isin(ladder.suites)]
    names = _Names(ladder.suites)
    out = {
        "isoflop-parabolas": compat.isoflop_parabolas(ladder),
        "scaling-law-asymptote": compat.scaling_law_asymptote(ladder, laws, held_out),
    }
    for suite in ladder.suites:
        if suite not in laws:
            _not_drawn(names.ladder(suite), f"{suite} has no bucket of three runs")
            continue
        wide = compat.ladder(ladder, laws, suite, held_out)
        out[names.ladder(suite)] = wide
        out[names.ladder(suite) + MOBILE] = compat.stacked(wide)
    every = ladder.runs.assign(state="finished")  # it draws the diverged ones among the seeds
    known = every["flops"].isin(np.array(COMPAT_AT)) | (every["run_type"] == "isoflop")
    for suite in [names.main] if names.main else ladder.suites:
        if suite not in laws or not laws[suite].ok:
            _not_drawn(names.of("lucky-seeds", suite), f"{suite} has no law")
            continue
        fits = ladder.fits[(ladder.fits["suite"] == suite) & ladder.fits["used"]]
        C, y = fits["compute"].to_numpy(float), fits["loss_star"].to_numpy(float)
        band = bootstrap_law(
            C, y, COMPAT_AT, n=N_BOOT, kind="pairs", score="log", method="grid", n_grid=100
        ).to_frame()
        colour = theme.suite_colours(ladder.suites)[suite]
        out[names.of("lucky-seeds", suite)] = compat.lucky_seeds(
            every[known], laws[suite], band, suite, colour
        )
        arrays = {
            "C_arr": C,
            "T_opt_arr": fits["tokens_star"],
            "loss_opt_arr": y,
            "a_under_arr": fits["a_under"],
            "a_over_arr": fits["a_over"],
        }
        costs = {s: overtraining_for_scale(s, **arrays, forecast_C=FORECAST) for s in COMPAT_SCALES}
        out[names.of("overtraining-forecast", suite)] = compat.overtraining_forecast(
            ladder, laws[suite], costs, suite, at=FORECAST
        )
    return out


@dataclass(frozen=True)
class _Names:
    """What the figures of each suite are called."""

    suites: Sequence[str]

    @property
    def main(self) -> str | None:
        """The suite whose figures need no name of their own: the notebook's, or the only one."""
        if ADAMH_LABEL in self.suites:
            return ADAMH_LABEL
        return self.suites[0] if len(self.suites) == 1 else None

    def ladder(self, suite: str) -> str:
        return LADDERS.get(suite) or f"ladder-{slugs(self.suites)[suite]}"

    def of(self, figure: str, suite: str) -> str:
        return figure if suite == self.main else f"{figure}-{slugs(self.suites)[suite]}"


def _runs(source: Any) -> pd.DataFrame:
    """The runs themselves, from whatever was given."""
    from delphi.isoflop import IsoflopLadder

    if isinstance(source, IsoflopLadder):
        return source.runs
    return source if "delphi" in getattr(source, "attrs", {}) else read_runs(source)


def _complete(runs: pd.DataFrame) -> pd.DataFrame:
    """Runs with the columns that a table made by hand may lack."""
    missing = {"run_type": "isoflop", "state": ""}
    return runs.assign(**{name: value for name, value in missing.items() if name not in runs})


def _not_drawn(name: str, why: str) -> None:
    warnings.warn(f"{name} is not drawn: {why}", DataWarning, stacklevel=4)
