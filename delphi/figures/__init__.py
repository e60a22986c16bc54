"""Plotly figures of fitted results. Nothing here fits; nothing here touches plotly's defaults.

`delphi.figures.mpl` has the printed ones, in matplotlib.
"""

from importlib import import_module
from typing import Any

from delphi.figures.backtest import backtest_errors
from delphi.figures.bootstrap import forecast_fan, law_fan
from delphi.figures.browser import suite_browser
from delphi.figures.configs import config_map
from delphi.figures.curves import best_forms, joint_forecasts
from delphi.figures.downstream import curve_figure, emergence, mobile
from delphi.figures.endpoints import endpoint_laws
from delphi.figures.export import site_json, write_images, write_json
from delphi.figures.isocurves import isocurve_shapes
from delphi.figures.isoflop import isoflop_parabolas, parabola_curve
from delphi.figures.ladder import ladder
from delphi.figures.overtraining import overtraining_forecast
from delphi.figures.powerlaw import law_curve, scaling_law_asymptote
from delphi.figures.profile import floor_profile
from delphi.figures.seeds import lucky_seeds
from delphi.figures.spaghetti import draw_spaghetti
from delphi.figures.speedup import speedup_curve
from delphi.figures.surface import (
    delta_sweep,
    surface_contours,
    surface_fit_quality,
    surface_residuals,
)
from delphi.figures.survival import kl_spaghetti, survival_curves
from delphi.figures.sweeps import hparam_scaling, polynomial_coefficients, polynomial_optimum

__all__ = [
    "backtest_errors",
    "best_forms",
    "config_map",
    "curve_figure",
    "delta_sweep",
    "draw_spaghetti",
    "emergence",
    "endpoint_laws",
    "floor_profile",
    "forecast_fan",
    "hparam_scaling",
    "isocurve_shapes",
    "isoflop_parabolas",
    "joint_forecasts",
    "kl_spaghetti",
    "ladder",
    "law_curve",
    "law_fan",
    "lucky_seeds",
    "mobile",
    "overtraining_forecast",
    "parabola_curve",
    "polynomial_coefficients",
    "polynomial_optimum",
    "scaling_law_asymptote",
    "site_json",
    "speedup_curve",
    "suite_browser",
    "surface_contours",
    "surface_fit_quality",
    "surface_residuals",
    "survival_curves",
    "write_images",
    "write_json",
]


def __getattr__(name: str) -> Any:
    if name == "mpl":  # matplotlib is slow to import, and few print
        return import_module("delphi.figures.mpl")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
