"""The constants of the ensemble of learning curves: chosen on simulated curves, judged on others.

    python -m benchmarks.curve_ensemble

Chosen on one half of the draws of `delphi.simulate.scheduled_curves` (and of `curves`, whose forms
are those of the fits), confirmed on the other half. With DELPHI_DATA set it is then judged on the
real curves of benchmarks.curve_study, which have no part in the choice. Every number is the mean
absolute error of the ensemble over that of the last value: geometric mean over groups (schedules;
sizes of the cosine ladder) and prefixes from 0.3 on, or the worst of them.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import delphi
from benchmarks.curve_study import markdown, multi_power_law, olmo_ladder, other_losses
from delphi import curveensemble as rule
from delphi import curves
from delphi.curveforms import FORMS, LOSSES
from delphi.trajectories import PREFIXES as DEFAULTS
from delphi.trajectories import Trajectories, read_trajectories

FROM = 0.3
CHOOSE, CONFIRM = 101, 606  # seeds of the draws that the constants were chosen on, and of others
PREFIXES = np.array([p for p in DEFAULTS if p >= FROM])
NAMES = ("LEVEL_POINTS", "AWAY", "SPAN", "RECENT", "CUT")
CHOSEN = {name: getattr(rule, name) for name in NAMES}
GRID = (
    [{"LEVEL_POINTS": p, "SPAN": s} for p in (1, 3, 5) for s in (1.5, 2.0, 2.5, 3.0)]
    + [{"AWAY": a} for a in (1.0, 4.0)]
    + [{"RECENT": r} for r in (0.05, 0.2)]
    + [{"CUT": c} for c in (3.0, 4.0, 6.0, np.inf)]
)
CLOSE = np.arange(0.3, 0.97, 0.04).round(2)  # prefixes that do not step over what follows a cut
SINCE = np.array([0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4])  # parts of a prefix, lower edges of bins


@dataclass
class Fits:
    """All slices of a set, fitted once, and the group that each is judged in."""

    runs: Trajectories
    starts: Any
    ends: Any
    whole: Any
    half: Any
    group: Any
    prefix: Any
    actual: Any
    last: Any


def fitted(frame: pd.DataFrame, group: str, rate: str | None = None) -> Fits:
    """Fit the prefixes of a set; with a rate, cells are bins of what has passed since a cut."""
    prefixes = PREFIXES if rate is None else CLOSE
    runs = read_trajectories(frame, by=(group,), learning_rate=rate)
    starts, ends, halves = curves._slices(runs, prefixes, 0.0)
    options = {"delta": None, "n_threads": 1}
    forms, losses = list(FORMS), list(LOSSES)
    whole = curves._fit(runs, starts, ends, forms, losses, options, False)
    half = curves._fit(runs, halves, ends, forms, ["huber"], options, False)
    owner = np.repeat(np.arange(len(runs)), len(prefixes))
    cells = np.tile(prefixes, len(runs)) if rate is None else since_the_cut(runs, owner, ends)
    groups = runs.keys[group].to_numpy()[owner]
    last = runs.loss[np.maximum(ends - 1, 0)]
    return Fits(runs, starts, ends, whole, half, groups, cells, runs.actual[owner], last)


def since_the_cut(runs: Trajectories, owner: Any, ends: Any) -> np.ndarray:
    """Which part of the prefix has passed since the learning rate was last cut; NaN: no cut."""
    assert runs.rate is not None
    out = np.full(len(owner), np.nan)
    for k, r in enumerate(owner):
        rows = slice(int(runs.offsets[r]), int(ends[k]))
        tau, rate = runs.tau[rows], runs.rate[rows]
        cut = np.flatnonzero(rate[1:] < 0.9 * rate[:-1]) + 1
        if len(cut):
            part = (tau[-1] - tau[cut[-1]]) / tau[-1]
            out[k] = SINCE[np.searchsorted(SINCE, part, side="right") - 1]
    return out


def earlier(z: Fits) -> np.ndarray:
    """The rule before: mean of the drops of the whole and of its later half, within 1.5 of it."""
    stands, drop, late = parts(z)
    return stands - (drop + np.clip(late, drop / 1.5, drop * 1.5)) / 2


def whole_only(z: Fits) -> np.ndarray:
    """Where the run stands less what the fits to the whole prefix say."""
    stands, drop, _ = parts(z)
    return stands - drop


def parts(z: Fits) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where each run stands, and the drops that fits to the whole and to the half foresee."""
    last = np.maximum(z.ends - 1, 0)
    rows = np.maximum(last[:, None] - np.arange(3), np.minimum(z.starts, last)[:, None])
    tau, y = z.runs.tau[rows], z.runs.loss[rows]
    some = z.ends > z.starts
    at = rule._at(z.whole, FORMS, tau)
    stands = at[..., 0] + np.median(y[:, None, None, :] - at, axis=-1)
    drop = rule.median_of(at[..., 0] - z.whole["F"], some, 0.0)
    late = rule._at(z.half, FORMS, tau[:, :1])[..., 0] - z.half["F"]
    return rule.median_of(stands, some, y[:, 0]), drop, rule.median_of(late, some, drop)


def ensemble(z: Fits) -> np.ndarray:
    """The rule as it stands."""
    return rule.ensemble_final(z.runs, z.starts, z.ends, z.whole, z.half, FORMS)


def ratios(z: Fits, forecast: np.ndarray) -> pd.Series:
    """Error over that of the last value by group and prefix."""
    table = pd.DataFrame(
        {
            "group": z.group, "prefix": z.prefix, "error": np.abs(forecast - z.actual),
            "last": np.abs(z.last - z.actual),
        }
    )  # fmt: skip
    table = table.dropna()
    sums = table.groupby(["group", "prefix"])[["error", "last"]].sum()
    return sums["error"] / sums["last"]


def simulated(seed: int) -> dict[str, Fits]:
    """One half of the draws."""
    make = delphi.simulate.scheduled_curves
    cut = make(300, schedules=["wsdcon", "multi-step"], n_points=(60, 250), rng=seed + 30)
    forms = []
    for i, shape in enumerate(FORMS):
        for schedule in ("constant", "cosine", "wsd"):
            for noise in (0.002, 0.01):
                part = delphi.simulate.curves(
                    scales=(1e18, 1e19, 1e20), mixes=("web", "code"), shape=shape,
                    schedule=schedule, noise=noise, rng=seed + i,
                )  # fmt: skip
                name = f"{shape} {schedule}"
                forms.append(part.assign(run=f"{name} {noise} " + part["run"], group=name))
    return {
        "schedules": fitted(make(540, rng=seed), "schedule"),
        "few points": fitted(make(270, n_points=(10, 30), rng=seed + 10), "schedule"),
        "noisy": fitted(make(270, noise=(5e-3, 3e-2), rng=seed + 20), "schedule"),
        "cuts": fitted(
            cut.assign(group=cut["schedule"] + ", " + cut["law"]), "group", "learning_rate"
        ),
        "forms": fitted(pd.concat(forms, ignore_index=True), "group"),
    }  # fmt: skip


def real(folder: Path) -> dict[str, Fits]:
    """The real curves."""
    ladder = olmo_ladder(folder)
    return {
        "multi_power_law": fitted(multi_power_law(folder), "family"),
        "olmo_ladder": fitted(ladder, "scale"),
        "its other losses": fitted(other_losses(folder), "group"),
    }


def row(sets: dict[str, Fits], forecast: Callable[[Fits], np.ndarray]) -> dict[str, float]:
    """Geometric mean of every set, that of all of them, and the worst cell."""
    found = {name: ratios(z, forecast(z)) for name, z in sets.items()}
    means = {name: float(np.exp(np.log(r).mean())) for name, r in found.items()}
    return means | {
        "all": float(np.exp(np.mean(np.log(list(means.values()))))),
        "worst": max(float(r.max()) for r in found.values()),
    }


def table(sets: dict[str, Fits]) -> pd.DataFrame:
    """One row a choice of constants, under the rules that it is set beside."""
    rows = {"whole only": row(sets, whole_only), "mean of both": row(sets, earlier)}
    for change in GRID:
        use = CHOSEN | change
        for name, value in use.items():
            setattr(rule, name, value)
        label = " ".join(f"{value:g}" for value in use.values())
        rows[label + (" *" if use == CHOSEN else "")] = row(sets, ensemble)
    for name, value in CHOSEN.items():
        setattr(rule, name, value)
    return pd.DataFrame(rows).T


def main() -> None:
    sets = {f"simulated, seed {seed}": simulated(seed) for seed in (CHOOSE, CONFIRM)}
    chosen, confirmed = (table(part) for part in sets.values())
    whole = chosen.drop(columns="all").join(confirmed[["all", "worst"]], rsuffix=" ")
    if "DELPHI_DATA" in os.environ:
        sets["real"] = real(Path(os.environ["DELPHI_DATA"]))
        whole = whole.join(table(sets["real"]).drop(columns="all"), rsuffix="  ")
    print(f"Rows: {' '.join(NAMES)}; * as they stand.")
    print("Columns: chosen on the first 6, confirmed on 2, judged on the rest.\n")
    print(markdown(whole, "{:.3f}"))
    for title, part in sets.items():
        for name, z in part.items():
            wide = ratios(z, ensemble(z)).unstack("prefix")
            print(f"\n{title}: {name}:\n\n{markdown(wide, '{:.2f}')}", flush=True)
    z = sets[f"simulated, seed {CONFIRM}"]["cuts"]
    for title, forecast in (("whole only", whole_only), ("mean of both", earlier)):
        wide = ratios(z, forecast(z)).unstack("prefix")
        print(f"\n{title}: cuts:\n\n{markdown(wide, '{:.2f}')}")


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        main()
