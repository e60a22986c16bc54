"""`make bench`: every benchmark, three columns each: notebook loop, vectorised NumPy, delphi."""

from __future__ import annotations

import os
import platform
import warnings
from importlib import import_module

import numpy as np

from benchmarks.timing import header
from delphi import FitWarning
from delphi.threads import thread_count

BENCHMARKS = (
    "parabola",
    "powerlaw",
    "optima",
    "bootstrap",
    "figures",
    "surface",
    "survival",
    "richards",
    "curve",
    "jointcurve",
    "ridge",
    "sweeps",
)

warnings.simplefilter("ignore", FitWarning)
load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
print(
    f"Python {platform.python_version()}, NumPy {np.__version__}, {thread_count()} threads, "
    f"load {load:.1f}\nmedian wall times of one run on this machine, then ratios\n"
)
header()
for name in BENCHMARKS:
    import_module(f"benchmarks.bench_{name}").main()
