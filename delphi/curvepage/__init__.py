"""Learning curves as an interactive page, and live in Jupyter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from delphi.curvepage.explorer import CurvePanel

__all__ = ["explore_curves"]


def explore_curves(frame: Any, **options: Any) -> CurvePanel:
    """Show a panel in which the prefix, the form, the loss and the choice of runs move.

    Every move fits the chosen runs again.

    Parameters
    ----------
    frame : DataFrame (pandas, polars, pyarrow)
        One row a point.
    **options
        What `CurveExplorer` takes: the columns, and where the controls stand at first.

    Returns
    -------
    CurvePanel
        A Jupyter widget; the last line of a cell shows it. ``panel.explorer.state`` holds what is
        on show, ``panel.close()`` takes it away.

    Raises
    ------
    DataError
        Runs that cannot be read, or an option that is wrong.
    ImportError
        Without ipywidgets, anywidget and plotly: ``pip install 'delphi-scaling[notebook]'``.

    Examples
    --------
    >>> import pytest
    >>> _ = pytest.importorskip("ipywidgets")
    >>> import delphi
    >>> panel = delphi.explore_curves(delphi.simulate.curves(rng=0, n_points=40))
    >>> panel.controls["prefix"].value = 0.3
    >>> panel.explorer.state.prefix
    0.3
    >>> panel.close()
    """
    from delphi.curvepage.explorer import CurveExplorer, CurvePanel

    return CurvePanel(CurveExplorer(frame, **options))
