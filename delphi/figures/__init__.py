"""Plotly figures of fitted results. Nothing here fits; nothing here touches plotly's defaults."""

from delphi.figures.backtest import backtest_errors
from delphi.figures.downstream import curve_figure, emergence, mobile
from delphi.figures.export import write_json
from delphi.figures.isoflop import isoflop_parabolas, parabola_curve
from delphi.figures.ladder import ladder
from delphi.figures.powerlaw import law_curve, scaling_law_asymptote
from delphi.figures.profile import floor_profile

__all__ = [
    "backtest_errors",
    "curve_figure",
    "emergence",
    "floor_profile",
    "isoflop_parabolas",
    "ladder",
    "law_curve",
    "mobile",
    "parabola_curve",
    "scaling_law_asymptote",
    "write_json",
]
