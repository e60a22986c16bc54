"""Learning curves as an interactive page, and live in Jupyter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from delphi.curvepage.build import CurvePage
    from delphi.curvepage.explorer import CurvePanel

__all__ = ["explore_curves", "write_curve_page"]


def write_curve_page(runs: Any, out_dir: Any, **options: Any) -> CurvePage:
    """Fit learning curves and write the interactive page and tables into a directory.

    Parameters
    ----------
    runs : DataFrame
        One row a point.
    out_dir : path-like
        Made if it does not exist.
    **options
        title, and what `delphi.curvepage.content.analyse_curves` takes.

    Returns
    -------
    CurvePage
        directory, page, files, analysis.

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
    ...     done = delphi.write_curve_page(runs, folder, left_out=False, prefixes=[0.5])
    >>> done.page.name
    'curves.html'
    """
    from delphi.curvepage import build

    return build.write_curve_page(runs, out_dir, **options)


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
