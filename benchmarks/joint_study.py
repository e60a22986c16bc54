"""Whether sharing pays: joint fits of learning curves beside fits of single runs.

    DELPHI_DATA=folder python -m benchmarks.joint_study

Prints the tables of docs/curves.md: simulated grids of scale, mix and learning rate with known
truth (two seeds of each shape), and the two public sets where the folder has them.
"""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path
from typing import Any

import pandas as pd

import delphi

from .curve_study import markdown, multi_power_law, olmo_ladder

PREFIXES = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7)
SEEDS = (1, 2)


def table(runs: list[pd.DataFrame], forms: list[str], **options: Any) -> pd.DataFrame:
    """Mean errors by kind, cells, method and prefix, over all sets of runs."""
    parts = [
        delphi.score_joint_curves(
            part, forms=forms, losses="huber", prefixes=PREFIXES, details=True, **options
        ).assign(set=k)
        for k, part in enumerate(runs)
    ]
    scores = pd.concat(parts)
    wide = scores.pivot_table(
        index=["kind", "cells", "method"], columns="prefix", values="abs_error", aggfunc="mean"
    )
    alone = wide[~wide.index.get_level_values("method").str.startswith("joint-")]
    joint = wide[wide.index.get_level_values("method").str.startswith("joint-")]
    first = alone.groupby("method", sort=False).first()  # the same in every kind
    first.index = [f"each run alone: {name}" for name in first.index]
    joint.index = [
        f"{kind}{' ' + cells if cells else ''}: {method}" for kind, cells, method in joint.index
    ]
    return pd.concat((first, joint))


def study(title: str, runs: list[pd.DataFrame], forms: list[str], **options: Any) -> None:
    """One table."""
    found = table(runs, forms, **options)
    print(f"\n### {title}\n")
    print(markdown(found))
    sys.stdout.flush()


def main() -> None:
    warnings.simplefilter("ignore", delphi.FitWarning)
    for shape in ("power", "rational", "exponential"):
        runs = [delphi.simulate.curves(shape=shape, rng=seed) for seed in SEEDS]
        study(f"Simulated, {shape}: 36 runs, twice", runs, [shape])
    folder = Path(os.environ.get("DELPHI_DATA", "../shared/data"))
    if (folder / "olmo_ladder").is_dir():
        runs = olmo_ladder(folder)
        last = runs.groupby("run")["throughput/total_training_Gflops"].transform("max")
        runs = runs.assign(flops=last * 1e9)
        study("olmo_ladder: 30 runs, cells are sizes", [runs], ["power", "rational"], mix="scale",
              lr="learning_rate_peak", flops="flops", cells=["mix"])  # fmt: skip
    if (folder / "multi_power_law").is_dir():
        runs = multi_power_law(folder)
        sizes = {name: float(name.rstrip("M")) * 1e6 for name in runs["scale"].unique()}
        runs = runs.assign(params=runs["scale"].map(sizes))
        study("multi_power_law: 27 runs, cells are schedules and sizes", [runs],
              ["power", "rational"], mix="schedule", lr=None, flops="params",
              interactions=False)  # fmt: skip


if __name__ == "__main__":
    main()
