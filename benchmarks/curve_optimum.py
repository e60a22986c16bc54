"""How good the optima of learning-curve fits are: against SciPy from many starts.

    python -m benchmarks.curve_optimum [--fits N] [--starts N] [--seed N] [--workers N]
                                       [--reference FILE]

Absolute error: the best of Nelder-Mead and L-BFGS-B from every start; Huber: least_squares. Starts
are drawn over theta, with F and A by least squares. Prints, for every form and loss, how often
delphi's objective is within 1 + 1e-4 of SciPy's best, how often it is lower by as much, how often
SciPy's single runs are more than 1% above the best, and how often delphi failed; then the worst
fits. SciPy's answers do not depend on delphi and take seconds a fit: they are kept in the reference
file, one line a fit, and a second call goes on from there.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Iterator
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from scipy.optimize import least_squares, minimize

from delphi import _core
from delphi.curveforms import FORMS, LOSSES

TRUTH = {
    "log": [(0, 3)],
    "exponential": [(0, 1.2)],
    "power": [(-3, -0.3), (-1, 0.3)],
    "rational": [(-0.5, 0.3), (-1, 2)],
}
START = {
    "log": [(-1, 4)],
    "exponential": [(-1, 2)],
    "power": [(-3, 1), (-1, 1.5)],
    "rational": [(-1, 1), (-2, 3)],
}
EDGE = 6.0  # of log10 theta
CLOSE = 1e-4  # what counts as the same objective
POINTS = (10, 100)
SHOWN = 10
STEP = 1e-8  # of L-BFGS-B's differences, SciPy's default
MODEL = {form: getattr(_core, f"curve_{form}") for form in FORMS}
CELLS = [(form, loss) for form in FORMS for loss in LOSSES]


def draw(seed: int, i: int) -> tuple[np.ndarray, np.ndarray]:
    """Prefix i: a part of a noisy curve of any form, one in five with heavy tails."""
    rng = np.random.default_rng([seed, i])
    form = FORMS[rng.integers(4)]
    theta = [10 ** rng.uniform(a, b) for a, b in TRUTH[form]] + [1.0]
    n = int(np.exp(rng.uniform(*np.log(POINTS))))
    tau = rng.uniform(0.1, 0.9) * np.arange(1, n + 1) / n
    y = MODEL[form](tau, rng.uniform(2, 3), rng.uniform(0.3, 3), theta[0], theta[1])
    e = rng.normal(size=n)
    if rng.random() < 0.2:
        e *= np.where(rng.random(n) < 0.1, 8, 1)
    return tau, y + 10 ** rng.uniform(-3.5, -1.5) * e


def ours(tau: np.ndarray, y: np.ndarray, form: str, loss: str) -> np.void:
    """Delphi's record of one fit."""
    return _core.curve_fit(tau, y, [0], [len(y)], forms=[form], losses=[loss])[0, 0, 0]


def nelder_mead(f, start, low, high, maxiter=2000, xatol=1e-8, fatol=1e-12) -> np.ndarray:
    """SciPy's bounded Nelder-Mead from all rows of ``start`` at once; the objectives reached.

    The same simplex, moves, bounds and stopping rule as scipy.optimize's (main checks that), but
    ``f`` takes many points a call, without which the study would take days.
    """
    m, k = start.shape
    sim = np.repeat(start[:, None, :], k + 1, axis=1)
    for j in range(k):
        sim[:, j + 1, j] = np.where(start[:, j] != 0, 1.05 * start[:, j], 0.00025)
    sim = np.clip(np.where(sim > high, 2 * high - sim, sim), low, high)
    value = f(sim.reshape(-1, k), np.repeat(np.arange(m), k + 1)).reshape(m, k + 1)
    final = np.empty(m)
    who = np.arange(m)  # the run that a simplex belongs to
    for iteration in range(maxiter + 1):
        order = np.argsort(value, axis=1, kind="stable")
        sim = np.take_along_axis(sim, order[:, :, None], axis=1)
        value = np.take_along_axis(value, order, axis=1)
        small = np.abs(sim[:, 1:] - sim[:, :1]).max(axis=(1, 2)) <= xatol
        done = small & (np.abs(value[:, 1:] - value[:, :1]).max(axis=1) <= fatol)
        if iteration == maxiter:
            done[:] = True
        if done.any():
            final[who[done]] = value[done, 0]
            sim, value, who = sim[~done], value[~done], who[~done]
            if not len(who):
                break
        mean, worst = sim[:, :-1].mean(axis=1), sim[:, -1]
        x = np.clip(2 * mean - worst, low, high)
        fx = f(x, who)
        best, second, last = value[:, 0], value[:, -2], value[:, -1]
        expand = fx < best
        outside = ~expand & (fx >= second) & (fx < last)
        inside = ~expand & (fx >= second) & ~(fx < last)
        share = np.select([expand, outside, inside], [-2.0, -0.5, 0.5])[:, None]
        second_try = expand | outside | inside
        fy = np.full(len(who), np.inf)
        y = np.clip((1 - share) * mean + share * worst, low, high)
        if second_try.any():
            fy[second_try] = f(y[second_try], who[second_try])
        take = (expand & (fy < fx)) | (outside & (fy <= fx)) | (inside & (fy < last))
        shrink = (outside | inside) & ~take
        new, fnew = np.where(take[:, None], y, x), np.where(take, fy, fx)
        sim[~shrink, -1], value[~shrink, -1] = new[~shrink], fnew[~shrink]
        if shrink.any():
            part = sim[shrink]
            part[:, 1:] = np.clip(part[:, :1] + 0.5 * (part[:, 1:] - part[:, :1]), low, high)
            sim[shrink] = part
            value[shrink, 1:] = f(part[:, 1:].reshape(-1, k), np.repeat(who[shrink], k)).reshape(
                -1, k
            )
    return final


def scipy_runs(form, loss, tau, y, delta, n_starts, rng, check=False) -> np.ndarray:
    """The objectives of all single runs; with ``check``, those of SciPy's own Nelder-Mead."""
    k = len(START[form])
    top = y.max()
    low = np.array([0, 0] + [-EDGE] * k)
    high = np.array([top, 2 * top] + [EDGE] * k)
    box = list(zip(low, high, strict=True))

    def s(p):
        return MODEL[form](tau, 0.0, 1.0, 10 ** p[2], 10 ** p[3] if k == 2 else 1.0)

    def residuals(p):
        return y - p[0] - p[1] * s(p)

    def mae(p):
        return mae_many(p[None], None)[0]

    def mae_many(p, _):
        theta = 10 ** p[:, 2:, None]
        second = theta[:, 1] if k == 2 else 1.0
        fitted = MODEL[form](tau, p[:, :1], p[:, 1:2], theta[:, 0], second)
        return np.abs(y - fitted).mean(axis=1)

    def mae_slope(p):
        """With the forward differences that SciPy would take, all in one call."""
        h = np.where(p + STEP > high, -STEP, STEP)
        value = mae_many(np.vstack((p, p + np.diag(h))), None)
        return value[0], (value[1:] - value[0]) / h

    def huber(p):
        a = np.abs(residuals(p))
        return np.where(a <= delta, 0.5 * a * a, delta * (a - 0.5 * delta)).mean() / delta

    starts = []
    for _ in range(n_starts):
        x = np.array([0, 0, *(rng.uniform(a, b) for a, b in START[form])])
        rows = np.column_stack((np.ones(len(y)), s(x)))
        x[:2] = np.clip(np.linalg.lstsq(rows, y, rcond=None)[0], low[:2], high[:2])
        starts.append(x)

    def huber_run(x):
        """Infinite where SciPy gives up: rounding takes its trust region from under it."""
        inside = np.clip(x, low + 1e-9, high - 1e-9)
        try:
            end = least_squares(
                residuals, inside, bounds=(low, high), loss="huber", f_scale=delta, x_scale="jac"
            )
        except ValueError:
            return np.inf
        return huber(end.x)

    if loss == "huber":
        return np.array([huber_run(x) for x in starts])
    if check:
        options = {"maxiter": 2000, "maxfev": 10**9, "xatol": 1e-8, "fatol": 1e-12}
        return np.array(
            [
                minimize(mae, x, method="Nelder-Mead", bounds=box, options=options).fun
                for x in starts
            ]
        )
    newton = [minimize(mae_slope, x, jac=True, method="L-BFGS-B", bounds=box).fun for x in starts]
    return np.concatenate((nelder_mead(mae_many, np.array(starts), low, high), newton))


def reference(i: int, seed: int, n_starts: int) -> dict:
    """SciPy's answer to fit i."""
    warnings.simplefilter("ignore", RuntimeWarning)
    tau, y = draw(seed, i)
    form, loss = CELLS[i % len(CELLS)]
    delta = float(ours(tau, y, form, "huber")["delta"])
    rng = np.random.default_rng([seed, i, 1])
    single = scipy_runs(form, loss, tau, y, delta, n_starts, rng)
    best = float(single.min())
    return {
        "i": i, "seed": seed, "starts": n_starts, "best": best, "runs": len(single),
        "off": int((single > 1.01 * best).sum()),
    }  # fmt: skip


def references(file: Path, fits: int, seed: int, starts: int, workers: int) -> Iterator[dict]:
    """SciPy's answers: those on file, then the missing ones, which are added to it."""
    known = {}
    if file.exists():
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        known = {d["i"]: d for d in lines if (d["seed"], d["starts"]) == (seed, starts)}
    yield from (known[i] for i in range(fits) if i in known)
    missing = [i for i in range(fits) if i not in known]
    if not missing:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    job = partial(reference, seed=seed, n_starts=starts)
    with get_context("spawn").Pool(workers) as pool, file.open("a") as out:
        for answer in pool.imap_unordered(job, missing):
            out.write(json.dumps(answer) + "\n")
            out.flush()
            yield answer


def report(answers: list[dict]) -> None:
    """Delphi's fits against these answers."""
    cells: dict[tuple[str, str], dict[str, float]] = {
        cell: dict.fromkeys(("fits", "good", "lower", "failed", "runs", "off"), 0.0)
        for cell in CELLS
    }
    excess = []
    for answer in answers:
        tau, y = draw(answer["seed"], answer["i"])
        cell = CELLS[answer["i"] % len(CELLS)]
        fit = ours(tau, y, *cell)
        value = fit["objective"] / (fit["delta"] if cell[1] == "huber" else 1.0)
        best, tally = answer["best"], cells[cell]
        tally["fits"] += 1
        tally["failed"] += fit["status"] < 0
        tally["good"] += bool(value <= best * (1 + CLOSE) + 1e-15)
        tally["lower"] += bool(value < best * (1 - CLOSE))
        tally["runs"] += answer["runs"]
        tally["off"] += answer["off"]
        excess.append((value / best - 1 if fit["status"] >= 0 else np.inf, answer["i"], len(y)))
    print(
        f"{'':20} {'fits':>6} {'within 1e-4':>12} {'lower':>7} {'failed':>7} "
        f"{'SciPy run > 1% off':>19}"
    )
    for cell, t in cells.items():
        n = max(t["fits"], 1)
        print(
            f"{'-'.join(cell):20} {t['fits']:6.0f} {t['good'] / n:12.3%} {t['lower'] / n:7.1%} "
            f"{t['failed']:7.0f} {t['off'] / max(t['runs'], 1):19.0%}"
        )
    n, good = len(answers), sum(t["good"] for t in cells.values())
    print(f"{'all':20} {n:6} {good / max(n, 1):12.3%}  ({n - good:.0f} beyond)")
    for e, i, points in sorted(excess, reverse=True)[:SHOWN]:
        print(f"  fit {i}: {'-'.join(CELLS[i % len(CELLS)])}, {points} points: {e:+.2e}")


def check_nelder_mead(seed: int, starts: int = 3) -> None:
    """The batched Nelder-Mead against SciPy's own, one fit a form."""
    for i in (0, 2, 4, 6):
        tau, y = draw(seed, i)
        both = [
            scipy_runs(CELLS[i][0], "mae", tau, y, 1.0, starts, np.random.default_rng(i), check=c)
            for c in (False, True)
        ]
        off = np.abs(both[0][:starts] / both[1] - 1).max()
        print(f"Nelder-Mead in batch against SciPy's, {CELLS[i][0]}: {off:.1e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--fits", type=int, default=10_000)
    parser.add_argument("--starts", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--reference", type=Path, default=Path("build/curve_optimum.jsonl"))
    parser.add_argument("--known", action="store_true", help="only the fits on file")
    a = parser.parse_args()
    check_nelder_mead(a.seed)
    answers = []
    if a.known:
        lines = a.reference.read_text().splitlines()
        answers = [
            d for d in map(json.loads, lines) if (d["seed"], d["starts"]) == (a.seed, a.starts)
        ]
    else:
        from tqdm.auto import tqdm

        found = references(a.reference, a.fits, a.seed, a.starts, a.workers)
        answers.extend(tqdm(found, total=a.fits, unit="fit", smoothing=0.02))
    print(f"{len(answers)} fits, SciPy from {a.starts} starts, seed {a.seed}")
    report(answers)


if __name__ == "__main__":
    main()
