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
    from .configs import ConfigSearch, search_configs
    from .curves import curve_loss, fit_curves, score_curves
    from .endpoints import EndpointLaws, fit_endpoints
    from .isocurves import IsocurveComparison, compare_isocurves
    from .overtraining import OvertrainingCost, overtraining_cost
    from .seeds import seed_noise
    from .speedup import Speedup, effective_speedup
    from .trajectories import final_losses

__all__ = [
    "Backtest",
    "BootstrapResult",
    "ConfigSearch",
    "DataError",
    "DataWarning",
    "EndpointLaws",
    "FitWarning",
    "IsocurveComparison",
    "IsoflopLadder",
    "LawPosterior",
    "OvertrainingCost",
    "Parabola",
    "PowerLaw",
    "Speedup",
    "__version__",
    "backtest",
    "bootstrap_ladder",
    "bootstrap_law",
    "compare_isocurves",
    "compat",
    "curve_loss",
    "effective_speedup",
    "figures",
    "final_losses",
    "fit_curves",
    "fit_endpoints",
    "fit_isoflops",
    "fit_parabola",
    "fit_posterior",
    "fit_power_law",
    "fit_power_laws",
    "forecast",
    "left_out_table",
    "match_grid",
    "overtraining_cost",
    "read_runs",
    "report",
    "score_curves",
    "score_held_out",
    "search_configs",
    "seed_noise",
    "simulate",
]

# Imported on first use, so that `import delphi` stays quick and plotting stays optional. No module
# here may be called like a function it gives: the module would take the name over.
_ON_USE = {
    "Backtest": "backtesting",
    "BootstrapResult": "bootstrap",
    "ConfigSearch": "configs",
    "EndpointLaws": "endpoints",
    "IsocurveComparison": "isocurves",
    "OvertrainingCost": "overtraining",
    "Speedup": "speedup",
    "backtest": "backtesting",
    "bootstrap_ladder": "bootstrap",
    "bootstrap_law": "bootstrap",
    "compare_isocurves": "isocurves",
    "curve_loss": "curves",
    "effective_speedup": "speedup",
    "final_losses": "trajectories",
    "fit_curves": "curves",
    "fit_endpoints": "endpoints",
    "overtraining_cost": "overtraining",
    "score_curves": "curves",
    "search_configs": "configs",
    "seed_noise": "seeds",
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
