"""How the two constants of the ensemble of learning curves were chosen: on simulated curves.

    python -m benchmarks.curve_ensemble

Prints, for each pair of constants, the ensemble's mean absolute error over that of the last value,
averaged over prefixes from 0.3 on (geometric mean) and over shapes, schedules and noises of
`delphi.simulate.curves`; then the same on the real curves of benchmarks.curve_study if DELPHI_DATA
is set, which had no part in the choice.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

import delphi
from benchmarks.curve_study import multi_power_law, olmo_ladder
from delphi import curves
from delphi.curveforms import FORMS

POINTS, CORRECTIONS = (1, 3, 5, 9), (1.0, 1.25, 1.5, 2.0, 4.0)
FROM = 0.3
SIMULATED = [
    {"shape": shape, "schedule": schedule, "noise": noise}
    for shape in FORMS
    for schedule in ("constant", "cosine", "wsd")
    for noise in (0.002, 0.01)
]


def ratio(runs: pd.DataFrame) -> float:
    """Mean absolute error of the ensemble over that of the last value."""
    fits = delphi.fit_curves(runs, prefixes=[p for p in curves.PREFIXES if p >= FROM])
    scores = delphi.score_curves(fits).pivot(index="prefix", columns="method", values="mae")
    return float(np.exp(np.log(scores["ensemble"] / scores["last value"]).mean()))


def main() -> None:
    sets = {f"{o['schedule']}": [] for o in SIMULATED}  # type: dict[str, list[pd.DataFrame]]
    for seed, options in enumerate(SIMULATED):
        sets[options["schedule"]].append(
            delphi.simulate.curves(
                scales=(1e18, 1e19, 1e20), mixes=("web", "code"), rng=seed, **options
            )
        )
    real: dict[str, pd.DataFrame] = {}
    if "DELPHI_DATA" in os.environ:
        folder = Path(os.environ["DELPHI_DATA"])
        real = {"multi_power_law": multi_power_law(folder), "olmo_ladder": olmo_ladder(folder)}
    chosen = curves.LEVEL_POINTS, curves.CORRECTION
    print("points correction " + " ".join(f"{k:>9}" for k in [*sets, "simulated", *real]))
    for points in POINTS:
        for correction in CORRECTIONS:
            curves.LEVEL_POINTS, curves.CORRECTION = points, correction
            row = [
                float(np.exp(np.mean([np.log(ratio(runs)) for runs in some])))
                for some in sets.values()
            ]
            row.append(float(np.exp(np.mean(np.log(row)))))
            row += [ratio(runs) for runs in real.values()]
            mark = " *" if (points, correction) == chosen else ""
            print(
                f"{points:6} {correction:10g} " + " ".join(f"{v:9.3f}" for v in row) + mark,
                flush=True,
            )


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        main()
