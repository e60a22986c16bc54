"""Plotly figures of fitted results. Nothing here fits; nothing here touches plotly's defaults."""

from delphi.figures.backtest import backtest_errors
from delphi.figures.export import write_json
from delphi.figures.isoflop import isoflop_parabolas, parabola_curve
from delphi.figures.ladder import ladder
from delphi.figures.powerlaw import law_curve, scaling_law_asymptote
from delphi.figures.profile import floor_profile
from delphi.figures.sweeps import hparam_scaling, polynomial_coefficients

__all__ = [
    "backtest_errors",
    "floor_profile",
    "hparam_scaling",
    "isoflop_parabolas",
    "ladder",
    "law_curve",
    "parabola_curve",
    "polynomial_coefficients",
    "scaling_law_asymptote",
    "write_json",
]
