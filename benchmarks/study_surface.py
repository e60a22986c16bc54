"""How good the surface's global search is, in two studies that print their numbers.

    python -m benchmarks.study_surface [--seeds 5] [--noisy 60] [--starts 60]

Noise-free: 1,000 random truths a seed in random units, for every objective and space; a law is
right if E, both terms and both exponents come back to 1e-8. Noisy: random tables, some with
outliers, some with a term that is nothing or too steep to see; scipy tries many starts in all five
parameters and from the corners, and what it finds is compared with delphi's minimum.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from delphi import _core
from tests.reference.surface import geometric_mean, truths

Column = NDArray[np.float64]
Table = tuple[Column, Column, Column]
BOTH = [(o, s) for o in ("huber", "squared", "absolute") for s in ("log", "loss")]
INSIDE = ("E", "N_term", "D_term", "alpha", "beta")
BETTER = 1e-7  # relative: what a lower minimum is


def noise_free(seeds: list[int]) -> None:
    """Print, a seed and objective: how many come back, the largest error, what the others say."""
    words = {code: name for name, (code, _) in _statuses().items()}
    for seed in seeds:
        groups, wanted = truths(1000, seed)
        columns = [np.concatenate(c) for c in zip(*groups, strict=True)]
        offsets = np.concatenate(([0], np.cumsum([len(g[0]) for g in groups])))
        for objective, space in BOTH:
            got = _core.surface_fit(
                *columns, offsets, objective=objective, space=space, n_threads=2
            )
            error = np.abs(np.column_stack([got[k] for k in INSIDE]) / wanted - 1).max(axis=1)
            right = error < 1e-8
            others = sorted({words.get(s, hex(s)) for s in got["status"][~right].tolist()})
            print(
                f"seed {seed:3}  {objective:8} {space:4}  right {right.sum():4}  largest error"
                f" {error[right].max():.1e}  silently wrong"
                f" {int(np.sum(~right & (got['status'] == 0)))}  {', '.join(others)}",
                flush=True,
            )


def _statuses() -> dict[str, tuple[int, str]]:
    return {name: (code, text) for code, (name, text) in _core.STATUS.items()}


def noisy(rng: np.random.Generator) -> tuple[str, Table]:
    """One random table: 12 to 80 runs, noise of 0.1% to 3%."""
    n = int(rng.integers(12, 80))
    N, D = 10 ** rng.uniform(7.5, 10, n), 10 ** rng.uniform(9, 11.5, n)
    if rng.random() < 0.5:
        N = 10 ** rng.choice(np.linspace(7.5, 10, 6), n)
    what = str(rng.choice(["plain", "no N term", "no D term", "no E", "steep", "outliers"]))
    E = 0.0 if what == "no E" else rng.uniform(1, 2.5)
    a = 0.0 if what == "no N term" else rng.uniform(0.05, 1)
    b = 0.0 if what == "no D term" else rng.uniform(0.05, 1)
    alpha, beta = rng.uniform(0.2, 0.6, 2) * (8 if what == "steep" else 1)
    y = E + a * (N / geometric_mean(N)) ** -alpha + b * (D / geometric_mean(D)) ** -beta
    y *= np.exp(10 ** rng.uniform(-3, -1.5) * rng.standard_normal(n))
    if what == "outliers":
        y[: n // 8] *= rng.uniform(1.1, 2, n // 8)
    return what, (N, D, y)


def objective_of(theta: Column, u: Column, v: Column, y: Column, kind: str, space: str) -> float:
    """The objective of (e, a, b, alpha, beta) with amounts at the centres, losses about 1."""
    e, a, b, p, q = theta
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        law = e + a * np.exp(-p * u) + b * np.exp(-q * v)
        r = np.log(y / law) if space == "log" else y - law
        size = np.abs(r)
        if kind == "huber":
            total = np.where(size <= 1e-3, 0.5 * r * r, 1e-3 * (size - 0.5e-3)).sum()
        else:
            total = (r * r).sum() if kind == "squared" else size.sum()
    return float(total) if np.isfinite(total) else 1e30


def by_scipy(table: Table, kind: str, space: str, starts: int, rng: np.random.Generator) -> float:
    """Lowest objective from many starts: L-BFGS-B within the same bounds, then Nelder-Mead."""
    N, D, y = table
    u, v = (np.log(x / geometric_mean(x)) for x in (N, D))
    y = y / geometric_mean(y)
    spans = np.ptp(u), np.ptp(v)
    bounds = [(0, None)] * 3 + [(1e-3 / s, 100 / s) for s in spans]
    args = (u, v, y, kind, space)
    found: list[tuple[float, Column]] = []
    for i in range(starts):
        exponents = np.exp(rng.uniform(np.log(0.05), np.log(40), 2)) / spans
        amounts = rng.dirichlet(np.ones(3)) * y.min()
        if i < 6:  # corners: a term at zero, an exponent at an end
            exponents = np.array([[1e-3, 1], [1, 1e-3], [100, 1], [1, 100], [1, 1], [1, 1]][i])
            exponents = exponents / spans
            amounts = np.array([0.9, 0.05 * (i != 4), 0.05 * (i != 5)]) * y.min()
        theta = np.concatenate([amounts, exponents])
        unit = max(objective_of(theta, *args), 1e-300)
        done = minimize(
            lambda t, unit=unit: objective_of(t, *args) / unit, theta, method="L-BFGS-B",
            bounds=bounds, options={"maxiter": 300},
        )  # fmt: skip
        found.append((objective_of(done.x, *args), done.x))
    found.sort(key=lambda item: item[0])
    best, theta = found[0]
    for _, start in found[:3]:
        unit = max(objective_of(start, *args), 1e-300)
        done = minimize(
            lambda t, unit=unit: objective_of(t, *args) / unit, start, method="Nelder-Mead",
            bounds=bounds, options={"maxiter": 3000, "xatol": 1e-10, "fatol": 1e-12},
        )  # fmt: skip
        best = min(best, objective_of(done.x, *args))
    return best


def against_scipy(count: int, starts: int) -> None:
    """Print how often scipy finds a lower minimum than delphi, and how often a worse one."""
    for kind, space in BOTH:
        rng = np.random.default_rng(0)
        lower, higher, failed, worst, ours, theirs = 0, 0, 0, 0.0, 0.0, 0.0
        for _ in range(count):
            what, (N, D, y) = noisy(rng)
            unit = geometric_mean(y)
            begin = time.process_time()
            record = _core.surface_fit(N, D, y / unit, [0, len(y)], objective=kind, space=space)[0]
            ours += time.process_time() - begin
            begin = time.process_time()
            best = by_scipy((N, D, y), kind, space, starts, rng)
            theirs += time.process_time() - begin
            if record["status"] < 0:
                failed += 1
                print(f"  {what}: {_core.STATUS[int(record['status'])][0]}")
                continue
            gap = record["objective"] / best - 1
            lower += gap > BETTER
            higher += gap < -BETTER
            worst = max(worst, gap)
            if gap > BETTER:
                print(f"  {what}, {len(y)} runs: scipy is lower by {gap:.1e}")
        print(
            f"{kind:8} {space:4}  {count} tables, {starts} starts: scipy lower {lower}, higher"
            f" {higher}, no law {failed}; largest gap {worst:.1e}; CPU {ours:.2f} s against"
            f" {theirs:.0f} s",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5, help="noise-free: seeds of 1,000 truths")
    parser.add_argument("--noisy", type=int, default=60, help="noisy tables an objective")
    parser.add_argument("--starts", type=int, default=60, help="starts of scipy a table")
    options = parser.parse_args()
    noise_free(list(range(options.seeds)))
    if options.noisy:
        against_scipy(options.noisy, options.starts)


if __name__ == "__main__":
    main()
