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
from .powerlaw import PowerLaw, fit_power_law, fit_power_laws
from .runs import left_out_table, match_grid, read_runs

if TYPE_CHECKING:
    from . import compat, figures, report, simulate

__all__ = [
    "DataError",
    "DataWarning",
    "FitWarning",
    "IsoflopLadder",
    "Parabola",
    "PowerLaw",
    "__version__",
    "compat",
    "figures",
    "fit_isoflops",
    "fit_parabola",
    "fit_power_law",
    "fit_power_laws",
    "forecast",
    "left_out_table",
    "match_grid",
    "read_runs",
    "report",
    "score_held_out",
    "simulate",
]

# Imported on first use, so that `import delphi` stays quick and plotting stays optional.
_ON_USE = frozenset({"compat", "figures", "report", "simulate"})


def __getattr__(name: str) -> Any:
    if name in _ON_USE:
        return import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
