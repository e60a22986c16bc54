"""Joint fits of learning curves: SciPy with variable projection, NumPy on a grid, delphi."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize

import delphi
from delphi import _core
from delphi.jointterms import run_terms
from delphi.threads import thread_count
from delphi.trajectories import read_trajectories

from .bench_curve import GRID, shape
from .timing import row, timed

DELTA = 0.01
FORMS = ("log", "power")


def problem():
    """36 runs of 100 points with 13 terms, and nine cuts of them."""
    runs = read_trajectories(delphi.simulate.curves(rng=0), by=("scale", "mix", "lr"))
    terms = run_terms(runs.keys, mix="mix", lr="lr", flops="scale", interactions=True)
    first = np.repeat(runs.offsets[None, :-1], 9, axis=0)
    last = first + 10 * np.arange(1, 10)[:, None]
    return runs, terms(runs.keys), first, last


def design(form, tau, terms, theta):
    """Columns of F and A."""
    s = shape(form, tau, theta[0], theta[1])
    return np.hstack((terms, terms * s[:, None]))


def huber(r):
    """Mean of Huber's loss."""
    off = np.abs(r)
    return np.where(off <= DELTA, off**2 / 2, DELTA * (off - DELTA / 2)).mean()


def reweighted(X, y, rounds=10):
    """Huber's loss in F and A by reweighted least squares."""
    w = np.ones_like(y)
    for _ in range(rounds):
        root = np.sqrt(w)[:, None]
        b = np.linalg.lstsq(X * root, y * root[:, 0], rcond=None)[0]
        w = np.minimum(1, DELTA / np.maximum(np.abs(y - X @ b), 1e-12))
    return huber(y - X @ b)


def scipy_fit(form, tau, y, terms):
    """Nelder-Mead over ln theta, F and A inside: what a notebook does when it is careful."""
    k = 2 if form in ("power", "rational") else 1

    def value(p):
        theta = (*np.exp(p), 1.0)
        return reweighted(design(form, tau, terms, theta), y)

    start = min(GRID[form], key=lambda t: value(np.log(t[:k])))
    return minimize(value, np.log(start[:k]), method="Nelder-Mead").fun


def numpy_fit(form, tau, y, terms):
    """Least squares at every theta of a grid."""
    best = np.inf
    for theta in GRID[form]:
        X = design(form, tau, terms, theta)
        b = np.linalg.lstsq(X, y, rcond=None)[0]
        best = min(best, huber(y - X @ b))
    return best


def main() -> None:
    runs, terms, first, last = problem()
    on = np.r_[0.0, np.ones(terms.shape[1] - 1)]
    cut = 4
    rows = np.concatenate([np.arange(a, b) for a, b in zip(first[cut], last[cut], strict=True)])
    who = np.repeat(np.arange(len(runs)), last[cut] - first[cut])
    tau, y, x = runs.tau[rows], runs.loss[rows], terms[who]
    for form in FORMS:
        options = {"forms": form, "losses": "huber", "delta": DELTA}
        least = []
        loop = timed(lambda f=form, out=least: out.append(scipy_fit(f, tau, y, x)),
                     repeats=1, at_least=0.0)  # fmt: skip
        grid = timed(lambda f=form: numpy_fit(f, tau, y, x), repeats=1)
        ours = timed(
            lambda o=options: _core.jointcurve_fit(
                runs.tau, runs.loss, first[[cut]], last[[cut]], terms, on, **o
            ),
            repeats=1,
        )
        row(f"joint {form}-huber, 36 runs x {terms.shape[1]} terms", loop, grid, ours)
        record, _ = _core.jointcurve_fit(
            runs.tau, runs.loss, first[[cut]], last[[cut]], terms, on, **options
        )
        found = record["objective"].item()
        print(f"    objective over SciPy's: {found / min(least):.6f}", flush=True)
    ours = timed(
        lambda: _core.jointcurve_fit(
            runs.tau, runs.loss, first, last, terms, on, ridge=1e-6, n_threads=thread_count()
        ),
        repeats=1, at_least=0,
    )  # fmt: skip
    print(f"    9 cuts x 4 forms x 2 losses in one call: {ours.seconds:.2f} s")


if __name__ == "__main__":
    np.seterr(all="ignore")
    main()
