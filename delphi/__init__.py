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
    from .downstream import DownstreamFit, fit_downstream, fit_downstreams
    from .emergence import RichardsCurve, fit_richards
    from .evals import read_eval_caches, read_evals
    from .isocurves import IsocurveComparison, compare_isocurves
    from .overtraining import OvertrainingCost, overtraining_cost
    from .seeds import seed_noise
    from .speedup import Speedup, effective_speedup

__all__ = [
    "Backtest",
    "BootstrapResult",
    "DataError",
    "DataWarning",
    "DownstreamFit",
    "FitWarning",
    "IsocurveComparison",
    "IsoflopLadder",
    "LawPosterior",
    "OvertrainingCost",
    "Parabola",
    "PowerLaw",
    "RichardsCurve",
    "Speedup",
    "__version__",
    "backtest",
    "bootstrap_ladder",
    "bootstrap_law",
    "compare_isocurves",
    "compat",
    "effective_speedup",
    "figures",
    "fit_downstream",
    "fit_downstreams",
    "fit_isoflops",
    "fit_parabola",
    "fit_posterior",
    "fit_power_law",
    "fit_power_laws",
    "fit_richards",
    "forecast",
    "left_out_table",
    "match_grid",
    "overtraining_cost",
    "read_eval_caches",
    "read_evals",
    "read_runs",
    "report",
    "richards",
    "richards_inverse",
    "score_held_out",
    "seed_noise",
    "simulate",
]

# Imported on first use, so that `import delphi` stays quick and plotting stays optional. No module
# here may be called like a function it gives: the module would take the name over.
_ON_USE = {
    "Backtest": "backtesting",
    "BootstrapResult": "bootstrap",
    "DownstreamFit": "downstream",
    "IsocurveComparison": "isocurves",
    "OvertrainingCost": "overtraining",
    "RichardsCurve": "emergence",
    "Speedup": "speedup",
    "backtest": "backtesting",
    "bootstrap_ladder": "bootstrap",
    "bootstrap_law": "bootstrap",
    "compare_isocurves": "isocurves",
    "effective_speedup": "speedup",
    "fit_downstream": "downstream",
    "fit_downstreams": "downstream",
    "fit_richards": "emergence",
    "overtraining_cost": "overtraining",
    "read_eval_caches": "evals",
    "read_evals": "evals",
    "richards": "_core",
    "richards_inverse": "_core",
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
