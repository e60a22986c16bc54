"""What live panels share: controls above a figure and a few words, over an object that fits."""

from __future__ import annotations

import html
import time
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from delphi.errors import DataError
from delphi.shorthand import printable

try:
    import anywidget  # noqa: F401  # plotly's FigureWidget is built on it
    import ipywidgets as widgets
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots
except ImportError as error:
    raise ModuleNotFoundError(
        "the panel needs ipywidgets, anywidget and plotly: pip install 'delphi-scaling[notebook]'",
        name=error.name,
    ) from error

__all__ = ["LivePanel", "go", "make_subplots", "put", "widgets"]  # what panels are made of


def put(
    figure: Any, order: tuple[str, ...], wanted: Mapping[tuple[str, str], Any], last: dict[Any, Any]
) -> None:
    """Set what differs from the last time, and nothing else: a message holds what is set.

    Parameters
    ----------
    figure : plotly.graph_objects.Figure or FigureWidget
    order : tuple of str
        Names of its traces.
    wanted : mapping of (name, key) to value
        Every value of every trace that ever changes.
    last : dict
        What the last call set; updated.
    """
    traces = {name: i for i, name in enumerate(order)}
    new = {k: v for k, v in wanted.items() if k not in last or not _same(last[k], v)}
    data = figure.data
    for (name, key), value in new.items():
        data[traces[name]][key] = value
    last |= new


class LivePanel(widgets.VBox):  # type: ignore[misc]
    """Controls, a figure and a few words; every move of a control fits and draws again.

    Parameters
    ----------
    explorer : object
        Has ``state`` (with facts(), notes and seconds) and ``update(**changes)``, which raises
        `DataError` and keeps its state where a change makes no sense.

    Attributes
    ----------
    explorer : object
        ``panel.explorer.state`` is what is on show.
    controls : dict of str to widget
    figure : plotly.graph_objects.FigureWidget
    seconds : float
        Wall time of the last move in Python: fits, and handing over the figure.
    """

    children: Any
    rows: ClassVar[tuple[tuple[str, ...], ...]] = ()  # names of the controls, line by line
    mark: ClassVar[str] = ""  # its class on the page

    def __init__(self, explorer: Any) -> None:
        self.explorer = explorer
        self.seconds = explorer.state.seconds
        self._busy = False
        self._late = False  # the figure has got messages before anybody saw it
        self._seen = False
        self.figure = self._new_figure()
        self.controls = self._make_controls()
        self.words = widgets.HTML()
        for name, control in self.controls.items():
            control.observe(lambda change, n=name: self._moved(n, change["new"]), names="value")
        lines = [
            widgets.HBox([self.controls[n] for n in names], layout={"flex_flow": "row wrap"})
            for names in self.rows
        ]
        super().__init__([*lines, self.figure, self.words])
        self.add_class(self.mark)
        self._say(explorer.state)

    # ---- what each panel has of its own
    def _empty(self) -> Any:
        """The figure with its axes and traces, without data."""
        raise NotImplementedError

    def _draw(self, figure: Any, state: Any, last: dict[Any, Any]) -> None:
        """Put a state into a figure; ``last`` is what the last call put there."""
        raise NotImplementedError

    def _make_controls(self) -> dict[str, Any]:
        raise NotImplementedError

    def _changes(self, name: str, value: Any) -> dict[str, Any]:
        """The settings that follow from a move of one control."""
        return {name: value}

    def _follow(self, name: str, state: Any) -> None:
        """Move the controls that depend on others."""

    # ---- what all of them do
    def _new_figure(self) -> Any:
        """A widget of what is on show, drawn before it becomes one."""
        figure = self._empty()
        self._last: dict[Any, Any] = {}
        self._draw(figure, self.explorer.state, self._last)
        return go.FigureWidget(figure)

    def _repr_mimebundle_(self, **options: Any) -> Any:
        """What Jupyter asks for when it shows the panel."""
        if self._late and not self._seen:
            # plotly's page side stumbles over changes that are older than itself.
            old, self.figure = self.figure, self._new_figure()
            self.children = [self.figure if child is old else child for child in self.children]
            _close(old)
        self._seen = True
        return super()._repr_mimebundle_(**options)

    def _moved(self, name: str, value: Any) -> None:
        if self._busy:
            return
        start = time.perf_counter()
        try:
            state = self.explorer.update(**self._changes(name, value))
        except DataError as error:
            self.words.value = (
                f"<p>{html.escape(printable(error))}</p>"
                "<p>The figure still shows the settings before.</p>"
            )
            return
        self._busy = True  # what follows moves controls of its own
        try:
            self._follow(name, state)
        finally:
            self._busy = False
        self._show(state)
        self.seconds = time.perf_counter() - start

    def _show(self, state: Any) -> None:
        self._late = True
        with self.figure.batch_update():
            self._draw(self.figure, state, self._last)
        self._say(state)

    def _say(self, state: Any) -> None:
        rows = "".join(
            f'<tr><th scope="row" style="text-align:left;padding-right:1em">{html.escape(k)}</th>'
            f"<td>{html.escape(printable(v))}</td></tr>"
            for k, v in state.facts().items()
        )
        notes = "".join(f"<p>{html.escape(printable(note))}</p>" for note in state.notes)
        took = f"<p><small>fitted in {1000 * state.seconds:.0f} ms</small></p>"
        self.words.value = f'<table class="delphi-facts">{rows}</table>{notes}{took}'

    def close(self) -> None:
        """Close every widget of the panel; nothing of it is left in the kernel or on the page."""
        for box in self.children:
            for child in getattr(box, "children", ()):
                _close(child)
            _close(box)
        _close(self, super().close)


def _same(old: Any, new: Any) -> bool:
    """Equal values; NaN, which parts the lines of a trace, is equal to itself."""
    if old is new:
        return True
    a, b = np.asarray(old), np.asarray(new)
    return a.shape == b.shape and bool(((a == b) | ((a != a) & (b != b))).all())


def _close(widget: Any, itself: Any = None) -> None:
    """Close a widget with its layout and style, which are widgets of their own."""
    for part in ("layout", "style"):
        own = getattr(widget, part, None)
        if isinstance(own, widgets.Widget):
            own.close()
    (itself or widget.close)()
