"""How often 95% downstream intervals hold the truth: simulated ladders and pools.

A ladder of 7 runs (3e18 to 3e20 FLOPs) whose soft metric follows a power law with noise, a pool of
40 external models spread over the soft metric, accuracies with binomial noise about a Richards
curve. "curve" is the second step alone, at soft metrics inside the pool; "forecast" is both steps,
3, 30 and 300 times beyond the ladder. The truth is the noise-free accuracy. "warned" is the share
of fits whose curve has a status; in the last two worlds the pool ends at half height or before, or
scatters at chance, and the coverage of fits without a warning stands beside that of all.

    python -m benchmarks.downstream_coverage [ladders per world, default 300] [file]

Ladder i of every world has seeds of its own, and the worlds take turns: with a file every ladder is
appended to it as soon as it is done, those in it are not repeated, and the table may be made of it
at any time (0 ladders).
"""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from delphi import FitWarning, fit_downstream, richards

LADDER = np.geomspace(3e18, 3e20, 7)
FORECAST = LADDER[-1] * np.array([3.0, 30.0, 300.0])
LEVEL = 0.95
COLUMNS = ("world", "ladder", "step", "at", "low", "high", "truth", "warned")


@dataclass(frozen=True)
class World:
    """One truth: curve, soft law, size of the benchmark, and what the pool covers."""

    floor: float
    k: float
    x0: float
    v: float
    ceiling: float
    n_problems: int
    pool: tuple[float, float]
    scatter: float = 0.0  # sd of a model's own accuracy about the curve, beyond binomial noise

    def hard(self, x: np.ndarray) -> np.ndarray:
        """True accuracy at x."""
        return np.asarray(richards(x, self.k, self.x0, self.v, self.floor, self.ceiling))


def soft(compute: np.ndarray) -> np.ndarray:
    """True -log p of the ladder."""
    return 0.36 + 193.0 * compute**-0.1232


WORLDS = {
    "four choices, 14,042": World(0.25, 6.7, -0.8, 1.05, 0.86, 14042, (-1.3, -0.35)),
    "four choices, 1,000": World(0.25, 6.7, -0.8, 1.05, 0.86, 1000, (-1.3, -0.35)),
    "pass@1, 164": World(0.0, 12.0, -0.75, 0.7, 0.7, 164, (-1.2, -0.3)),
    "exact match, 1,319": World(0.0, 14.0, -0.7, 1.5, 0.8, 1319, (-1.2, -0.3)),
    "scatter beyond binomial": World(0.25, 6.7, -0.8, 1.05, 0.86, 14042, (-1.3, -0.35), 0.01),
    "pool ends at half height": World(0.25, 6.7, -0.8, 1.05, 0.86, 1000, (-1.3, -0.8)),
    "pool at chance": World(0.25, 6.7, -0.8, 1.05, 0.86, 1000, (-1.4, -1.15)),
}


def scores(world: World, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Observed accuracies."""
    p = np.clip(world.hard(x) + world.scatter * rng.standard_normal(len(x)), 0, 1)
    return rng.binomial(world.n_problems, p) / world.n_problems


def one(world: World, noise: float, rng: np.random.Generator, seed: int) -> list[dict[str, object]]:
    """Intervals of one simulated ladder and pool."""
    z = soft(LADDER) + noise * rng.standard_normal(len(LADDER))
    ladder = pd.DataFrame({"compute": LADDER, "soft": -z, "hard": scores(world, -z, rng)})
    x = rng.uniform(*world.pool, 40)
    pool = pd.DataFrame({"soft": x, "hard": scores(world, x, rng)})
    fit = fit_downstream(ladder, pool, floor=world.floor, n_problems=world.n_problems)
    if not fit.ok:
        return []
    rows: list[dict[str, object]] = []
    inside = np.quantile(x, [0.1, 0.5, 0.9])
    frame = fit.curve.interval(inside, level=LEVEL, n_boot=500, rng=seed)
    truth = world.hard(inside)
    for i, at in enumerate(("10%", "50%", "90%")):
        low, high = frame.loc[i, "low"], frame.loc[i, "high"]
        rows.append({"step": "curve", "at": at, "low": low, "high": high, "truth": truth[i]})
    frame = fit.forecast(FORECAST, level=LEVEL, n_draws=500, rng=seed)
    truth = world.hard(-soft(FORECAST))
    for i, at in enumerate(("3x", "30x", "300x")):
        low, high = frame.loc[i, "low"], frame.loc[i, "high"]
        rows.append({"step": "forecast", "at": at, "low": low, "high": high, "truth": truth[i]})
    for row in rows:
        row["warned"] = fit.curve.status_code != 0
    return rows


def study(n: int, noise: float = 0.005, path: Path | None = None) -> pd.DataFrame:
    """Intervals of the first n ladders of every world: a row a (world, ladder, step, place)."""
    told = pd.DataFrame(columns=list(COLUMNS))
    if path is not None and path.exists():
        told = pd.read_csv(path)
    frames = [told] if len(told) else []
    done = set(zip(told["world"], told["ladder"], strict=True))
    todo = [(i, w) for i in range(n) for w in WORLDS if (w, i) not in done]
    for i, name in tqdm(todo, unit="ladder"):
        rng = np.random.default_rng([list(WORLDS).index(name), i])
        rows = [{"world": name, "ladder": i, **row} for row in one(WORLDS[name], noise, rng, i)]
        frame = pd.DataFrame(rows, columns=list(COLUMNS))
        frames.append(frame)
        if path is not None:
            frame.to_csv(path, mode="a", header=not path.exists(), index=False)
    return pd.concat(frames, ignore_index=True)


def coverage(table: pd.DataFrame) -> pd.DataFrame:
    """Coverage with its standard error and median width: a row a (world, step, place)."""
    table = table.assign(
        inside=(table["low"] <= table["truth"]) & (table["truth"] <= table["high"]),
        width=table["high"] - table["low"],
    )
    table["quiet"] = table["inside"].where(~table["warned"].astype(bool)).astype(float)
    groups = table.groupby(["world", "step", "at"], sort=False)
    out = groups.agg(
        ladders=("inside", "size"),
        coverage=("inside", "mean"),
        unwarned=("quiet", "mean"),
        width=("width", "median"),
        warned=("warned", "mean"),
    )
    se = np.sqrt(out["coverage"] * (1 - out["coverage"]) / out["ladders"])
    out.insert(2, "se", se)
    return out


if __name__ == "__main__":
    warnings.simplefilter("ignore", FitWarning)
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    print(
        coverage(study(count, path=Path(sys.argv[2]) if len(sys.argv) > 2 else None))
        .round(3)
        .reset_index()
        .to_string(index=False)
    )
