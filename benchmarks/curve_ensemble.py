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
from delphi.trajectories import Trajectories, read_trajectories

FROM = 0.3
PREFIXES = np.array([p for p in curves.PREFIXES if p >= FROM])
NAMES = ("LEVEL_POINTS", "AWAY", "SPAN", "RECENT", "STEEPER")
CHOSEN = {name: getattr(rule, name) for name in NAMES}
GRID = (
    [{"LEVEL_POINTS": p, "SPAN": s} for p in (1, 3, 5) for s in (1.5, 2.0, 2.5, 3.0, 4.0)]
    + [{"AWAY": a} for a in (1.0, 4.0)]
    + [{"RECENT": r} for r in (0.05, 0.2)]
    + [{"STEEPER": s} for s in (0.0, 2.0)]
)
SINCE = np.array([0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.7, 1.0])  # of a prefix, by bin


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
    """Fit the prefixes of a set; ``group`` is a column, or "since the cut"."""
    by = () if group == "since the cut" else (group,)
    runs = read_trajectories(frame, by=by, learning_rate=rate)
    starts, ends, halves = curves._slices(runs, PREFIXES, 0.0)
    options = {"delta": None, "n_threads": 1}
    forms, losses = list(curves.FORMS), list(curves.LOSSES)
    whole = curves._fit(runs, starts, ends, forms, losses, options, False)
    half = curves._fit(runs, halves, ends, forms, ["huber"], options, False)
    owner = np.repeat(np.arange(len(runs)), len(PREFIXES))
    prefix = np.tile(PREFIXES, len(runs))
    if by:
        groups, cells = runs.keys[group].to_numpy()[owner], prefix
    else:
        groups, cells = since_the_cut(runs, owner, ends), np.zeros(len(owner))
    last = runs.loss[np.maximum(ends - 1, 0)]
    return Fits(runs, starts, ends, whole, half, groups, cells, runs.actual[owner], last)


def since_the_cut(runs: Trajectories, owner: Any, ends: Any) -> np.ndarray:
    """Which part of the prefix has passed since the learning rate was last cut, by bin."""
    assert runs.rate is not None
    out = np.full(len(owner), "", object)
    for k, r in enumerate(owner):
        rows = slice(int(runs.offsets[r]), int(ends[k]))
        tau, rate = runs.tau[rows], runs.rate[rows]
        cut = np.flatnonzero(rate[1:] < 0.9 * rate[:-1]) + 1
        if len(cut):
            part = (tau[-1] - tau[cut[-1]]) / tau[-1]
            out[k] = f"{SINCE[np.searchsorted(SINCE, part, side='right') - 1]:g}"
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
    at = rule._at(z.whole, curves.FORMS, tau)
    stands = at[..., 0] + np.median(y[:, None, None, :] - at, axis=-1)
    drop = rule.median_of(at[..., 0] - z.whole["F"], some, 0.0)
    late = rule._at(z.half, curves.FORMS, tau[:, :1])[..., 0] - z.half["F"]
    return rule.median_of(stands, some, y[:, 0]), drop, rule.median_of(late, some, drop)


def ensemble(z: Fits) -> np.ndarray:
    """The rule as it stands."""
    return rule.ensemble_final(z.runs, z.starts, z.ends, z.whole, z.half, curves.FORMS)


def ratios(z: Fits, forecast: np.ndarray) -> pd.Series:
    """Error over that of the last value by group and prefix."""
    table = pd.DataFrame(
        {
            "group": z.group, "prefix": z.prefix, "error": np.abs(forecast - z.actual),
            "last": np.abs(z.last - z.actual),
        }
    )  # fmt: skip
    table = table[table["error"].notna() & table["last"].notna() & (table["group"] != "")]
    sums = table.groupby(["group", "prefix"])[["error", "last"]].sum()
    return sums["error"] / sums["last"]


def simulated(seed: int) -> dict[str, Fits]:
    """One half of the draws."""
    make = delphi.simulate.scheduled_curves
    cut = ["wsdcon", "multi-step"]
    forms = []
    for i, shape in enumerate(curves.FORMS):
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
            make(900, schedules=cut, n_points=(30, 200), rng=seed + 30),
            "since the cut", "learning_rate",
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


def tables(sets: dict[str, Fits]) -> pd.DataFrame:
    """One row a pair of constants, and the rules that it is set beside."""
    rows = {"no later half, no recent slope": row(sets, whole_only), "before": row(sets, earlier)}
    for change in GRID:
        for name, value in (CHOSEN | change).items():
            setattr(rule, name, value)
        use = CHOSEN | change
        mark = " *" if use == CHOSEN else ""
        rows[" / ".join(f"{v:g}" for v in use.values()) + mark] = row(sets, ensemble)
    for name, value in CHOSEN.items():
        setattr(rule, name, value)
    return pd.DataFrame(rows).T


def main() -> None:
    print("rows: " + " / ".join(NAMES))
    for title, seed in (("chosen on", 101), ("confirmed on", 404)):
        sets = simulated(seed)
        print(f"\n{title} (simulated, seed {seed}):\n\n{markdown(tables(sets), '{:.3f}')}")
        for name in ("schedules", "few points", "noisy", "cuts", "forms"):
            wide = ratios(sets[name], ensemble(sets[name])).unstack("prefix")
            print(f"\n{name}:\n\n{markdown(wide, '{:.2f}')}", flush=True)
    if "DELPHI_DATA" in os.environ:
        sets = real(Path(os.environ["DELPHI_DATA"]))
        print(f"\njudged on (real):\n\n{markdown(tables(sets), '{:.3f}')}")
        for name, z in sets.items():
            wide = ratios(z, ensemble(z)).unstack("prefix")
            print(f"\n{name}:\n\n{markdown(wide, '{:.2f}')}", flush=True)


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        main()
