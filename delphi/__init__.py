"""delphi: scaling laws for people who train language models.

A table of runs goes in; compute-optimal points, asymptotic laws, forecasts and figures come out.

>>> import delphi
>>> ladder = delphi.fit_isoflops(delphi.simulate.ladder(rng=0))
>>> laws = ladder.laws()
>>> sorted(laws) == ladder.suites
True
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._version import __version__
from .errors import DataError, DataWarning, FitWarning
from .heldout import forecast, score_held_out
from .isoflop import IsoflopLadder, Parabola, fit_isoflops, fit_parabola
from .posterior import LawPosterior, fit_posterior
from .powerlaw import PowerLaw, fit_power_law, fit_power_laws
from .runs import left_out_table, match_grid, read_runs

if TYPE_CHECKING:
    from . import compat, figures, report, simulate
    from ._core import richards, richards_inverse
    from .backtesting import Backtest, backtest
    from .bootstrap import BootstrapResult, bootstrap_ladder, bootstrap_law
    from .bowls import SimulatedSweep, simulate_sweep
    from .card import Card
    from .configs import ConfigSearch, search_configs
    from .configurations import OptimalConfigurations, optimal_configurations
    from .curvecard import curve_card
    from .curveforms import curve_loss
    from .curvepage import explore_curves
    from .curvepage.build import write_curve_page
    from .curves import fit_curves, score_curves
    from .downstream import DownstreamFit, fit_downstream, fit_downstreams
    from .emergence import RichardsCurve, fit_richards
    from .endpoints import EndpointLaws, fit_endpoints
    from .evals import read_eval_caches, read_evals
    from .explorer import Explorer, explore
    from .figureset import draw_figures, write_figures
    from .intervals import RunNoise
    from .isocurves import IsocurveComparison, compare_isocurves
    from .jointcurves import JointCurves, fit_joint_curves
    from .jointscores import score_joint_curves
    from .kl import KLTrajectories, alive_mask
    from .klcalibration import CalibratedKL, calibrate_kl, rolling_mean
    from .klcells import read_kl
    from .optimum import Optimum
    from .overtraining import OvertrainingCost, overtraining_cost
    from .partial import gp_partial_dependence
    from .polynomial import PolynomialLaw, fit_polynomial_law
    from .rules import CompletedAdamH, ScalingRule
    from .seeds import seed_noise
    from .speedup import Speedup, effective_speedup
    from .steplaw import StepLaw, fit_step_law
    from .surface import fit_surface, fit_surfaces
    from .surfacedraws import SurfaceBootstrap
    from .surfacelaw import SurfaceLaw
    from .survival import KaplanMeier, SurvivalFit, fit_survival
    from .sweeps import Sweep, SweepCell, fit_sweep
    from .trajectories import final_losses
    from .trials import Hyperparameter

__all__ = [
    "Backtest",
    "BootstrapResult",
    "CalibratedKL",
    "Card",
    "CompletedAdamH",
    "ConfigSearch",
    "DataError",
    "DataWarning",
    "DownstreamFit",
    "EndpointLaws",
    "Explorer",
    "FitWarning",
    "Hyperparameter",
    "IsocurveComparison",
    "IsoflopLadder",
    "JointCurves",
    "KLTrajectories",
    "KaplanMeier",
    "LawPosterior",
    "OptimalConfigurations",
    "Optimum",
    "OvertrainingCost",
    "Parabola",
    "PolynomialLaw",
    "PowerLaw",
    "RichardsCurve",
    "RunNoise",
    "ScalingRule",
    "SimulatedSweep",
    "Speedup",
    "StepLaw",
    "SurfaceBootstrap",
    "SurfaceLaw",
    "SurvivalFit",
    "Sweep",
    "SweepCell",
    "__version__",
    "alive_mask",
    "backtest",
    "bootstrap_ladder",
    "bootstrap_law",
    "calibrate_kl",
    "compare_isocurves",
    "compat",
    "curve_card",
    "curve_loss",
    "draw_figures",
    "effective_speedup",
    "explore",
    "explore_curves",
    "figures",
    "final_losses",
    "fit_curves",
    "fit_downstream",
    "fit_downstreams",
    "fit_endpoints",
    "fit_isoflops",
    "fit_joint_curves",
    "fit_parabola",
    "fit_polynomial_law",
    "fit_posterior",
    "fit_power_law",
    "fit_power_laws",
    "fit_richards",
    "fit_step_law",
    "fit_surface",
    "fit_surfaces",
    "fit_survival",
    "fit_sweep",
    "forecast",
    "gp_partial_dependence",
    "left_out_table",
    "match_grid",
    "optimal_configurations",
    "overtraining_cost",
    "read_eval_caches",
    "read_evals",
    "read_kl",
    "read_runs",
    "report",
    "richards",
    "richards_inverse",
    "rolling_mean",
    "score_curves",
    "score_held_out",
    "score_joint_curves",
    "search_configs",
    "seed_noise",
    "simulate",
    "simulate_sweep",
    "write_curve_page",
    "write_figures",
]

# Imported on first use, so that `import delphi` stays quick and plotting stays optional. No module
# here may be called like a function it gives: the module would take the name over.
_ON_USE = {
    "simulate_sweep": "bowls",
    "gp_partial_dependence": "partial",
    "fit_sweep": "sweeps",
    "fit_step_law": "steplaw",
    "fit_polynomial_law": "polynomial",
    "SweepCell": "sweeps",
    "Sweep": "sweeps",
    "StepLaw": "steplaw",
    "SimulatedSweep": "bowls",
    "ScalingRule": "rules",
    "PolynomialLaw": "polynomial",
    "Optimum": "optimum",
    "Hyperparameter": "trials",
    "CompletedAdamH": "rules",
    "search_configs": "configs",
    "score_curves": "curves",
    "JointCurves": "jointcurves",
    "explore_curves": "curvepage",
    "fit_endpoints": "endpoints",
    "fit_joint_curves": "jointcurves",
    "score_joint_curves": "jointscores",
    "fit_curves": "curves",
    "final_losses": "trajectories",
    "curve_card": "curvecard",
    "curve_loss": "curveforms",
    "EndpointLaws": "endpoints",
    "ConfigSearch": "configs",
    "richards_inverse": "_core",
    "richards": "_core",
    "read_evals": "evals",
    "read_eval_caches": "evals",
    "fit_richards": "emergence",
    "fit_downstreams": "downstream",
    "fit_downstream": "downstream",
    "RichardsCurve": "emergence",
    "DownstreamFit": "downstream",
    "Backtest": "backtesting",
    "BootstrapResult": "bootstrap",
    "Explorer": "explorer",
    "IsocurveComparison": "isocurves",
    "OptimalConfigurations": "configurations",
    "Card": "card",
    "CalibratedKL": "klcalibration",
    "KLTrajectories": "kl",
    "KaplanMeier": "survival",
    "OvertrainingCost": "overtraining",
    "RunNoise": "intervals",
    "Speedup": "speedup",
    "SurvivalFit": "survival",
    "alive_mask": "kl",
    "SurfaceBootstrap": "surfacedraws",
    "SurfaceLaw": "surfacelaw",
    "backtest": "backtesting",
    "bootstrap_ladder": "bootstrap",
    "bootstrap_law": "bootstrap",
    "calibrate_kl": "klcalibration",
    "compare_isocurves": "isocurves",
    "draw_figures": "figureset",
    "effective_speedup": "speedup",
    "explore": "explorer",
    "optimal_configurations": "configurations",
    "fit_survival": "survival",
    "fit_surface": "surface",
    "fit_surfaces": "surface",
    "overtraining_cost": "overtraining",
    "read_kl": "klcells",
    "rolling_mean": "klcalibration",
    "seed_noise": "seeds",
    "write_curve_page": "curvepage.build",
    "write_figures": "figureset",
}
_MODULES = frozenset({"compat", "figures", "report", "simulate"})


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f".{name}", __name__)
    if name in _ON_USE:
        return getattr(import_module(f".{_ON_USE[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
