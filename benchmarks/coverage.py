"""How often 95% forecast intervals hold the truth: simulated ladders, well specified and not.

Each ladder has 7 budgets from 3e18 to 3e20 FLOPs and 8 to 12 runs a budget. Three worlds: the
additive law L = E + A/N^a + B/D^b (its optimum is a power law with a floor); a floor and a sum of
two powers of compute; and a law whose exponent falls around 6e19 FLOPs. The truth is the noise-free
loss at the optimum 3x, 30x and 300x beyond the largest budget. Beside the default stand the
notebook's recipe and interval; "warned" is the share of forecasts whose status is not ok, and
"beyond distance" of those that warn of more than the distance alone ("extrapolated").

    python -m benchmarks.coverage [ladders per row, default 400]
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from delphi import compat, fit_isoflops, simulate
from delphi.posterior import posteriors_of_optima

BUDGETS = np.geomspace(3e18, 3e20, 7)
HORIZONS = (3, 30, 300)
LEVEL = 0.95
NOISES = (0.001, 0.003, 0.01)
TRUTH = simulate.truth(simulate.DEFAULT_SUITES["Aster"])
SURFACE = simulate.DEFAULT_SUITES["Aster"]

Law = Callable[[np.ndarray], np.ndarray]


def additive(compute: np.ndarray) -> np.ndarray:
    """The optimum of the additive law."""
    return np.asarray(TRUTH.predict(compute))


def two_powers(compute: np.ndarray) -> np.ndarray:
    """A sum of two powers and a floor: no single exponent holds."""
    x = compute / 1e19
    return 1.2 + 1.2 * x**-0.25 + 0.8 * x**-0.05


def broken(compute: np.ndarray) -> np.ndarray:
    """A power law with a floor whose exponent falls smoothly from 0.20 to 0.14 around 6e19."""
    x = compute / 6e19
    return 1.8 + 1.1 * x**-0.20 * (1 + x**2) ** 0.03


WORLDS: dict[str, Law] = {"additive": additive, "two powers": two_powers, "broken": broken}


def ladder(law: Law, noise: float, rng: np.random.Generator) -> pd.DataFrame:
    """Runs of one ladder in standard columns: the additive law's own shape about the optimum."""
    rows = []
    for budget in BUDGETS:
        n = int(rng.integers(8, 13))
        offset = np.linspace(-0.55, 0.55, n) + rng.uniform(-0.05, 0.05)
        tokens = TRUTH.tokens(budget) * 10**offset
        params = budget / (6 * tokens)
        shape = SURFACE.E + SURFACE.A * params**-SURFACE.a + SURFACE.B * tokens**-SURFACE.b
        loss = law(np.full(n, budget)) + shape - TRUTH.predict(budget) + rng.normal(0, noise, n)
        rows.append(pd.DataFrame({"tokens": tokens, "params": params, "loss": loss}))
        rows[-1]["budget"] = rows[-1]["flops"] = budget
    return pd.concat(rows, ignore_index=True)


def study(n_ladders: int, seed: int = 0) -> pd.DataFrame:
    """Coverage, median width and error in percent: a row a (world, noise, horizon)."""
    rng = np.random.default_rng(seed)
    at = BUDGETS[-1] * np.array(HORIZONS)
    rows = []
    jobs = [(world, noise) for world in WORLDS for noise in NOISES]
    with tqdm(total=len(jobs) * n_ladders, unit="ladder") as bar:
        for world, noise in jobs:
            truth = WORLDS[world](at)
            tables = [
                ladder(WORLDS[world], noise, rng).assign(suite=f"{i:06d}") for i in range(n_ladders)
            ]
            runs = pd.concat(tables, ignore_index=True)
            fits = fit_isoflops(runs)
            laws = posteriors_of_optima(fits.fits[fits.fits["used"]])
            plain = fit_isoflops(runs, curve="parabola", keep="all").fits
            for suite, own in plain.groupby("suite"):
                law = laws[suite]
                frame = law.interval(at, level=LEVEL)
                C, y = own["budget"].to_numpy(), own["loss_star"].to_numpy()
                old = compat.bootstrap_scaling_fit_ci(C, y, at.tolist(), n_boot=200)
                old_rows = np.array([old[c] for c in at.tolist()])
                for i, horizon in enumerate(HORIZONS):
                    for method, (low, mid, high) in (
                        ("delphi", frame.loc[i, ["low", "mid", "high"]].to_numpy(float)),
                        ("notebook", old_rows[i]),
                    ):
                        rows.append(
                            {
                                "world": world,
                                "noise": noise,
                                "horizon": horizon,
                                "method": method,
                                "inside": low <= truth[i] <= high,
                                "width": 100 * (high - low) / truth[i],
                                "error": 100 * abs(mid / truth[i] - 1),
                                "warned": method == "delphi" and frame.loc[i, "status"] != "ok",
                                "beyond": method == "delphi" and law.status != "ok",
                            }
                        )
                bar.update()
    table = pd.DataFrame(rows).groupby(["world", "noise", "horizon", "method"], sort=False)
    out = table.agg(
        coverage=("inside", "mean"),
        width=("width", "median"),
        error=("error", "median"),
        warned=("warned", "mean"),
        beyond_distance=("beyond", "mean"),
    )
    told = ["warned", "beyond_distance"]
    return out.unstack("method").drop(columns=[(name, "notebook") for name in told])


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    print(study(count).round(3).to_string())
