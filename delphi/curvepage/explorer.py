"""Learning curves live in Jupyter: every move of the prefix fits all runs again."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from delphi.curveforms import FORMS, LOSSES, curve_loss
from delphi.curvepage.content import ALL, end_notes, read_grid
from delphi.curvepage.payload import name_of
from delphi.curves import fit_trajectories
from delphi.errors import DataError, FitWarning
from delphi.explorer.live import LivePanel, go, put, widgets
from delphi.figures import theme
from delphi.figures.thin import spread
from delphi.shorthand import printable, shortened
from delphi.trajectories import CurveColumns

__all__ = ["CurveExplorer", "CurvePanel", "CurveState"]

RUNS, POINTS = 60, 120  # drawn
ENSEMBLE = "ensemble"
LEAST = 0.05  # where the slider of the prefix begins
TRACES = ("observed", "fitted", "observed final", "forecast")


@dataclass(frozen=True)
class CurveState:
    """What is on show.

    Attributes
    ----------
    prefix, form, loss : float, str, str
        Settings; the form may be "ensemble", which takes all forms and both losses.
    where : dict
        scale, mix and lr that runs are restricted to; "all" for no restriction.
    fits : pandas.DataFrame
        Of `delphi.fit_curves` over these runs, the method on show only.
    seconds : float
        What the fit took.
    notes : tuple of str
        What was taken for the end of the runs, where nobody said it.
    """

    prefix: float
    form: str
    loss: str
    where: dict[str, Any]
    fits: pd.DataFrame
    seconds: float
    notes: tuple[str, ...] = ()

    @property
    def method(self) -> str:
        """Name of the method on show."""
        return ENSEMBLE if self.form == ENSEMBLE else f"{self.form}-{self.loss}"

    def facts(self) -> dict[str, str]:
        """The state in words."""
        error = self.fits["abs_error"].dropna()
        out = {"method": f"{self.method} from prefix {self.prefix:g}", "runs": f"{len(self.fits)}"}
        if len(error):
            out["mean error"] = f"{error.mean():.4g}"
            out["worst error"] = f"{error.max():.4g}"
        failed = int(self.fits["predicted_final"].isna().sum())
        if failed:
            out["without a forecast"] = f"{failed}"
        return out


class CurveExplorer:
    """Settings in, fits out; no widget anywhere.

    Parameters
    ----------
    frame : DataFrame
        One row a point.
    run, progress, step, total, loss
        As in `delphi.fit_curves`.
    scale, mix, lr : str, optional
        Columns to choose runs by; those of these names by default, where they are there.
    prefix, form, loss_kind
        Where the settings stand at first; the form may be "ensemble".

    Raises
    ------
    DataError
        Runs that cannot be read, or a bad setting.
    """

    def __init__(
        self,
        frame: Any,
        *,
        run: str = "run",
        progress: str | None = None,
        step: str = "step",
        total: str | float | None = None,
        loss: str = "loss",
        scale: str | None = "scale",
        mix: str | None = "mix",
        lr: str | None = "lr",
        prefix: float = 0.5,
        form: str = "power",
        loss_kind: str = "huber",
    ) -> None:
        grid = read_grid(frame, CurveColumns(run, progress, step, total, loss), scale, mix, lr)
        if not len(grid.runs.tau):
            raise DataError("no run has a point")
        self.notes = tuple(end_notes(grid.runs))
        self.keys = grid.runs.keys
        # runs by number: names are for people
        numbered = pd.DataFrame({"run": np.arange(len(self.keys)), "name": self.keys["run"]})
        self.runs = replace(grid.runs, keys=numbered)
        self._observed: tuple[Any, Any] = (None, None)
        self.state = self._fitted(prefix, form, loss_kind, dict.fromkeys(grid.names, ALL))

    def choices(self, noun: str) -> list[Any]:
        """ "all" and the values of scale, mix or lr."""
        values = sorted(self.keys[noun].unique(), key=lambda v: (isinstance(v, str), v))
        return [ALL, *(v for v in values if v != ALL)]

    def update(self, **changes: Any) -> CurveState:
        """Change settings and fit again.

        Parameters
        ----------
        **changes
            prefix, form, loss, scale, mix, lr.

        Raises
        ------
        DataError
            Unknown settings, a prefix outside (0, 1], no run left; the state stays as it was.
        """
        s = self.state
        now = {"prefix": s.prefix, "form": s.form, "loss": s.loss, **s.where}
        unknown = [name for name in changes if name not in now]
        if unknown:
            raise DataError(f"unknown setting {unknown[0]!r}; they are {', '.join(now)}")
        now |= changes
        where = {noun: now[noun] for noun in s.where}
        self.state = self._fitted(now["prefix"], now["form"], now["loss"], where)
        return self.state

    def chosen(self, where: dict[str, Any]) -> Any:
        """Which runs a restriction leaves, as a mask."""
        keep = np.ones(len(self.keys), bool)
        for noun, value in where.items():
            if value != ALL:
                keep &= (self.keys[noun] == value).to_numpy(bool)
        return keep

    def observed(self, shown: Any) -> tuple[Any, Any, list[str], list[str]]:
        """Progress, loss and name at the points of some runs, thinned, NaN between runs; names.

        The same objects while the runs on show are the same: a panel sends them once.
        """
        key = tuple(shown.tolist())
        if self._observed[0] != key:
            x, y, text, names = [], [], [], []
            for r in shown:
                rows = self.runs.offsets[r] + spread(int(np.diff(self.runs.offsets)[r]), POINTS)
                name = theme.safe(shortened(printable(self.keys["run"].iloc[r]), 40))
                x += [*self.runs.tau[rows], np.nan]
                y += [*self.runs.loss[rows], np.nan]
                text += [name] * (len(rows) + 1)
                names.append(name)
            self._observed = key, (np.array(x), np.array(y), text, names)
        return self._observed[1]

    def _fitted(self, prefix: float, form: str, loss: str, where: dict[str, Any]) -> CurveState:
        if form not in (*FORMS, ENSEMBLE) or loss not in LOSSES:
            raise DataError(f"form {form!r} with loss {loss!r}: there is no such fit")
        keep = self.chosen(where)
        if not keep.any():
            raise DataError(f"no run with {where}")
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FitWarning)
            fits = fit_trajectories(
                self.runs.only(keep), prefixes=[prefix],
                forms=FORMS if form == ENSEMBLE else (form,),
                losses=LOSSES if form == ENSEMBLE else (loss,),
            )  # fmt: skip
        took = time.perf_counter() - start
        method = ENSEMBLE if form == ENSEMBLE else f"{form}-{loss}"
        fits = fits[fits["method"] == method].reset_index(drop=True)
        return CurveState(float(prefix), form, loss, where, fits, took, self.notes)


class CurvePanel(LivePanel):
    """Controls, a figure and a few words; see `delphi.explore_curves`.

    Attributes
    ----------
    explorer : CurveExplorer
        ``panel.explorer.state`` is what is on show.
    controls : dict of str to widget
        "prefix", "form", "loss", "scale", "mix", "lr".
    figure : plotly.graph_objects.FigureWidget
    seconds : float
        Wall time of the last move in Python, fit and hand-over of the figure.
    """

    explorer: CurveExplorer
    rows = (("form", "loss", "scale", "mix", "lr"), ("prefix",))
    mark = "delphi-curves"

    def _empty(self) -> Any:
        figure = go.Figure()
        looks: tuple[dict[str, Any], ...] = (
            {"mode": "lines", "line": {"width": 1.2, "color": theme.SUITE_COLOURS[0]}},
            {"mode": "lines", "hoverinfo": "skip",
             "line": {"width": 1.5, "dash": "dash", "color": theme.SUITE_COLOURS[1]}},
            {"mode": "markers", "marker": {"symbol": "diamond", "size": 9, "color": theme.INK}},
            # a thin cross leaves the diamond under it to be seen
            {"mode": "markers", "marker": {"symbol": "x-thin", "size": 9, "line": {
                "width": 2.2, "color": theme.SUITE_COLOURS[1]}}},
        )  # fmt: skip
        for name, look in zip(TRACES, looks, strict=True):
            figure.add_trace(go.Scatter(x=[], y=[], name=name, **look))
        figure.add_vline(x=0.5, line={"color": theme.MUTED, "dash": "dot", "width": 1.5})
        figure.update_xaxes(title_text="progress of the run", range=[0, 1.03])
        figure.update_yaxes(title_text="loss")
        return theme.finish(figure, 400, TRACES, 24)

    def _draw(self, figure: Any, state: CurveState, last: dict[Any, Any]) -> None:
        draw(figure, self.explorer, last)

    def _make_controls(self) -> dict[str, Any]:
        s, e = self.explorer.state, self.explorer

        def menu(options: Any, value: Any, name: str) -> Any:
            return widgets.Dropdown(options=options, value=value, description=name,
                                    layout={"width": "220px"})  # fmt: skip

        controls = {
            "prefix": widgets.FloatSlider(
                min=min(LEAST, s.prefix), max=1.0, step=0.01, value=s.prefix, description="prefix",
                readout_format=".2f", layout={"width": "460px"},
            ),
            "form": menu([*FORMS, ENSEMBLE], s.form, "form"),
            "loss": menu(list(LOSSES), s.loss, "loss"),
        }  # fmt: skip
        controls["loss"].disabled = s.form == ENSEMBLE
        for noun in s.where:
            options = [(name_of(v), v) for v in e.choices(noun)]
            controls[noun] = menu(options, s.where[noun], noun)
        return controls

    def _changes(self, name: str, value: Any) -> dict[str, Any]:
        # all of them: a choice that left no run is still on show, and the next one builds on it
        return {n: control.value for n, control in self.controls.items()} | {name: value}

    def _follow(self, name: str, state: CurveState) -> None:
        self.controls["loss"].disabled = state.form == ENSEMBLE


def draw(figure: Any, explorer: CurveExplorer, last: dict[Any, Any]) -> None:
    """Put the state of an explorer into a figure of the panel; only what differs."""
    state = explorer.state
    shown = np.flatnonzero(explorer.chosen(state.where))
    shown = shown[spread(len(shown), RUNS)]
    x, y, text, names = explorer.observed(shown)
    fits = state.fits.set_index("run").reindex(shown)
    tau = np.append(np.linspace(state.prefix, 1, 25), np.nan)
    fitted: tuple[Any, Any] = (np.empty(0), np.empty(0))
    if state.form != ENSEMBLE and len(fits):
        curves = curve_loss(
            tau[None, :], state.form,
            *(fits[k].to_numpy(float)[:, None] for k in ("F", "A", "theta_0", "theta_1")),
        )  # fmt: skip
        fitted = (np.tile(tau, len(fits)), np.asarray(curves).ravel())
    one = np.ones(len(shown))
    actual, forecast = (fits[k].to_numpy(float) for k in ("actual_final", "predicted_final"))
    parts = (
        {"x": x, "y": y, "text": text}, {"x": fitted[0], "y": fitted[1]},
        {"x": one, "y": actual, "text": names}, {"x": one, "y": forecast, "text": names},
    )  # fmt: skip
    wanted = {
        (name, key): value
        for name, part in zip(TRACES, parts, strict=True)
        for key, value in part.items()
    }
    put(figure, TRACES, wanted, last)
    figure.layout.shapes[0].x0 = figure.layout.shapes[0].x1 = state.prefix
    seen = np.concatenate((y[x >= 0.05], actual, forecast))
    seen = seen[np.isfinite(seen)]
    if len(seen):
        room = 0.04 * (np.ptp(seen) or 1)
        figure.layout.yaxis.range = [float(seen.min() - room), float(seen.max() + room)]
