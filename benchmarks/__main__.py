"""`make bench`: every benchmark, three columns each: notebook loop, vectorised NumPy, delphi."""

from __future__ import annotations

import os
import platform
import warnings

import numpy as np

from benchmarks import (
    bench_bootstrap,
    bench_optima,
    bench_parabola,
    bench_powerlaw,
    bench_ridge,
    bench_sweeps,
)
from benchmarks.timing import header
from delphi import FitWarning
from delphi.threads import thread_count

warnings.simplefilter("ignore", FitWarning)
load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
print(
    f"Python {platform.python_version()}, NumPy {np.__version__}, {thread_count()} threads, "
    f"load {load:.1f}\nmedian wall times of one run on this machine, then ratios\n"
)
header()
for benchmark in (
    bench_parabola,
    bench_powerlaw,
    bench_optima,
    bench_bootstrap,
    bench_sweeps,
    bench_ridge,
):
    benchmark.main()
