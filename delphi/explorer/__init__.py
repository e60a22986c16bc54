"""A live look at a ladder: move a control, and everything is fitted again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from delphi.explorer.state import Explorer, ExplorerState

if TYPE_CHECKING:
    from delphi.explorer.panel import Panel

__all__ = ["Explorer", "ExplorerState", "explore"]


def explore(runs: Any, **options: Any) -> Panel:
    """Show a panel in which the cutoff, the curve, the floor and the over-training scale move.

    Every move fits the suite again up to the cutoff, with a whole bootstrap, and redraws the
    IsoFLOP curves, the law with its band, and what lies beyond the cutoff.

    Parameters
    ----------
    runs : DataFrame or IsoflopLadder
        Standard columns, as from `delphi.read_runs`.
    **options
        What `Explorer` takes: where the controls stand at first, n_boot, level, rng.

    Returns
    -------
    Panel
        A Jupyter widget; the last line of a cell shows it. ``panel.explorer.state`` holds what is
        on show, ``panel.close()`` takes it away.

    Raises
    ------
    DataError
        Runs that cannot be fitted, or an option that is wrong.
    ImportError
        Without ipywidgets, anywidget and plotly: ``pip install 'delphi-scaling[notebook]'``.

    Examples
    --------
    >>> import pytest
    >>> _ = pytest.importorskip("ipywidgets")
    >>> from delphi import simulate
    >>> panel = explore(simulate.ladder(rng=0), n_boot=50)
    >>> panel.controls["curve"].value
    'windowed'
    >>> panel.close()
    """
    from delphi.explorer.panel import Panel

    return Panel(Explorer(runs, **options))
