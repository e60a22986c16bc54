"""How long a move of `delphi.explore` takes in Python: `python -m benchmarks.explore`.

Fits, a bootstrap of 1000 replicates, the over-training cost with its own 1000, and handing the
figure over; what the browser then needs to draw is not in it.
"""

from __future__ import annotations

import os
import time
from statistics import median

import delphi
from delphi.explorer.state import FLOORS

MOVES = 20


def latencies(panel: delphi.explorer.panel.Panel) -> tuple[list[float], list[float]]:
    """Milliseconds of each move of the cutoff: wall, and of the processor."""
    slider = panel.controls["cutoff"]
    budgets = [value for _, value in slider.options][2:]
    wall, processor = [], []
    for i in range(MOVES):
        start, spent = time.perf_counter(), time.process_time()
        slider.value = budgets[i % len(budgets)]
        wall.append(1000 * (time.perf_counter() - start))
        processor.append(1000 * (time.process_time() - spent))
    return wall, processor


def main() -> None:
    """A line a curve and floor: median, worst, processor time."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    print(f"a move of the cutoff, ms; load {load:.1f}")
    print(f"{'curve':12} {'floor':8} {'median':>8} {'worst':>8} {'cpu':>8}")
    panel = delphi.explore(delphi.simulate.ladder(rng=0), n_boot=1000)
    for curve in panel.explorer.curves:
        for floor in FLOORS:
            panel.controls["curve"].value = curve
            panel.controls["floor"].value = floor
            wall, processor = latencies(panel)
            print(
                f"{curve:12} {floor:8} {median(wall):8.0f} {max(wall):8.0f}"
                f" {median(processor):8.0f}",
                flush=True,
            )
    panel.close()


if __name__ == "__main__":
    main()
