"""The whole figure set: the notebook's bootstrap before the same drawing, vectorised, and ours."""

from __future__ import annotations

import tempfile
import warnings

from benchmarks.bench_bootstrap import loop_bootstrap, vectorised_bootstrap
from benchmarks.timing import Timed, row, timed
from delphi import DataWarning, FitWarning, simulate
from delphi.figureset import faithful, write_figures

N_BOOT, PART = 1000, 10


def main() -> None:
    """Time reading nothing, fitting, drawing and writing; drawing is alike in all three columns."""
    warnings.simplefilter("ignore", DataWarning)
    warnings.simplefilter("ignore", FitWarning)
    suites = {"Aster": simulate.DEFAULT_SUITES["Aster"]}
    runs = simulate.ladder(suites=suites, seeds=3, rng=0)
    optima = faithful(runs).ladder.optima
    C, y = (optima[name].to_numpy(float) for name in ("compute", "loss_star"))
    loop = timed(lambda: loop_bootstrap(C, y, N_BOOT // PART), repeats=1, scale=PART)
    vectorised = timed(lambda: vectorised_bootstrap(C, y, N_BOOT), repeats=3)
    with tempfile.TemporaryDirectory() as folder:
        ours = timed(lambda: write_figures(runs, folder, compat=True), repeats=5)
        default = timed(lambda: write_figures(runs, folder, mobile=True), repeats=3)
    drawn = [Timed(part.seconds + ours.seconds, part.note) for part in (loop, vectorised)]
    row("figure set as the notebook's, 1 suite", *drawn, ours)
    drawn = [Timed(part.seconds + default.seconds, part.note) for part in (loop, vectorised)]
    row("our figure set, wide and narrow, 1 suite", *drawn, default)


if __name__ == "__main__":
    main()
