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
    from .backtesting import Backtest, backtest
    from .bootstrap import BootstrapResult, bootstrap_ladder, bootstrap_law
    from .bowls import SimulatedSweep, simulate_sweep
    from .card import Card
    from .intervals import RunNoise
    from .isocurves import IsocurveComparison, compare_isocurves
    from .optimum import Optimum
    from .overtraining import OvertrainingCost, overtraining_cost
    from .partial import gp_partial_dependence
    from .polynomial import PolynomialLaw, fit_polynomial_law
    from .rules import CompletedAdamH, ScalingRule
    from .seeds import seed_noise
    from .speedup import Speedup, effective_speedup
    from .steplaw import StepLaw, fit_step_law
    from .sweeps import Sweep, SweepCell, fit_sweep
    from .trials import Hyperparameter

__all__ = [
    "Backtest",
    "BootstrapResult",
    "Card",
    "CompletedAdamH",
    "DataError",
    "DataWarning",
    "FitWarning",
    "Hyperparameter",
    "IsocurveComparison",
    "IsoflopLadder",
    "LawPosterior",
    "Optimum",
    "OvertrainingCost",
    "Parabola",
    "PolynomialLaw",
    "PowerLaw",
    "RunNoise",
    "ScalingRule",
    "SimulatedSweep",
    "Speedup",
    "StepLaw",
    "Sweep",
    "SweepCell",
    "__version__",
    "backtest",
    "bootstrap_ladder",
    "bootstrap_law",
    "compare_isocurves",
    "compat",
    "effective_speedup",
    "figures",
    "fit_isoflops",
    "fit_parabola",
    "fit_polynomial_law",
    "fit_posterior",
    "fit_power_law",
    "fit_power_laws",
    "fit_step_law",
    "fit_sweep",
    "forecast",
    "gp_partial_dependence",
    "left_out_table",
    "match_grid",
    "overtraining_cost",
    "read_runs",
    "report",
    "score_held_out",
    "seed_noise",
    "simulate",
    "simulate_sweep",
]

# Imported on first use, so that `import delphi` stays quick and plotting stays optional. No module
# here may be called like a function it gives: the module would take the name over.
_ON_USE = {
    "Backtest": "backtesting",
    "BootstrapResult": "bootstrap",
    "Card": "card",
    "CompletedAdamH": "rules",
    "Hyperparameter": "trials",
    "IsocurveComparison": "isocurves",
    "Optimum": "optimum",
    "OvertrainingCost": "overtraining",
    "PolynomialLaw": "polynomial",
    "RunNoise": "intervals",
    "ScalingRule": "rules",
    "SimulatedSweep": "bowls",
    "Speedup": "speedup",
    "StepLaw": "steplaw",
    "Sweep": "sweeps",
    "SweepCell": "sweeps",
    "backtest": "backtesting",
    "bootstrap_ladder": "bootstrap",
    "bootstrap_law": "bootstrap",
    "compare_isocurves": "isocurves",
    "effective_speedup": "speedup",
    "fit_polynomial_law": "polynomial",
    "fit_step_law": "steplaw",
    "fit_sweep": "sweeps",
    "gp_partial_dependence": "partial",
    "overtraining_cost": "overtraining",
    "seed_noise": "seeds",
    "simulate_sweep": "bowls",
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
