"""L(N, D) surfaces: scipy from a grid of starts, the exponents on a NumPy grid, and the core.

The published replication (240 runs) where the data are found (`DELPHI_DATA`), made-up runs
elsewhere. The five data sets of the package `vpnls` are fitted for its own loss by it, where it can
be imported, else by a NumPy twin of its published method (Czech et al. 2026, arXiv:2603.22339).

    python -m benchmarks.bench_surface [--full]

With --full L-BFGS-B runs from all 4,500 starts, about a minute; else from 45 of them.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import huber, logsumexp

import delphi
from benchmarks.timing import Timed, row, timed
from delphi import _core
from delphi.threads import thread_count

Column = NDArray[np.float64]
DELTA = 1e-3
N_STARTS = 4500
DATA = Path(os.environ.get("DELPHI_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
PEER_SETS = (
    "ml_scalefit__massivetext__chinchilla", "llama_3__raw_loss", "marin_202603__comma__llama_2",
    "marin_202603__dclm__llama_2", "marin_202603__nemotron__llama_2",
)  # fmt: skip


def runs() -> tuple[str, Column, Column, Column]:
    """Params, tokens and loss to fit, and what they are."""
    path = DATA / "chinchilla" / "svg_extracted_data.csv"
    if not path.is_file():
        made = delphi.simulate.surface_runs(rng=0)
        return "made-up", *(made[k].to_numpy() for k in ("params", "tokens", "loss"))
    table = pd.read_csv(path).sort_values("loss").iloc[:-5]
    N, C = table["Model Size"].to_numpy(), table["Training FLOP"].to_numpy()
    return "Chinchilla", N, C / (6 * N), table["loss"].to_numpy()


def starts() -> Column:
    """The grid of Hoffmann et al. 2022, appendix D.3: 4,500 starts (a, b, e, alpha, beta)."""
    axes = (np.arange(0, 30, 5), np.arange(0, 30, 5), np.arange(-1, 1.5, 0.5),
            np.arange(0, 2.5, 0.5), np.arange(0, 2.5, 0.5))  # fmt: skip
    return np.stack([g.ravel() for g in np.meshgrid(*axes, indexing="ij")], axis=1)


def scipy_fit(x: Column, z: Column, log_y: Column, grid: Column) -> tuple[float, Column]:
    """L-BFGS-B on the log-sum-exp form with its gradient, from every start of a grid."""

    def value(theta: Column) -> tuple[float, Column]:
        a, b, e, alpha, beta = theta
        terms = np.stack([a - alpha * x, b - beta * z, np.full_like(x, e)])
        model = logsumexp(terms, axis=0)
        r = log_y - model
        psi = np.clip(r, -DELTA, DELTA)
        share = np.exp(terms - model) * psi
        slope = np.array([share[0].sum(), share[1].sum(), share[2].sum(),
                          -(share[0] * x).sum(), -(share[1] * z).sum()])  # fmt: skip
        return float(huber(DELTA, r).sum()), -slope

    best: tuple[float, Column] = (np.inf, grid[0])
    for start in grid:
        done = minimize(value, start, jac=True, method="L-BFGS-B")
        if done.fun < best[0]:
            best = (float(done.fun), done.x)
    return best


def numpy_grid(N: Column, D: Column, y: Column, step: float = 0.01) -> float:
    """Variable projection by brute force: reweighted least squares for all pairs of exponents."""
    g = np.exp(-np.arange(0.05, 0.95, step)[:, None] * np.log(N / N.mean()))
    h = np.exp(-np.arange(0.05, 0.95, step)[:, None] * np.log(D / D.mean()))
    best = np.inf
    for left in g:
        X = np.stack(
            [np.broadcast_to(1 / y, h.shape), np.broadcast_to(left / y, h.shape), h / y], axis=2
        )
        w = np.ones((len(h), len(y)))
        for _ in range(8):
            gram = np.einsum("kni,kn,knj->kij", X, w, X)
            c = np.linalg.solve(gram, np.einsum("kni,kn->ki", X, w)[..., None])[..., 0]
            r = 1 - np.einsum("kni,ki->kn", X, c)
            w = np.minimum(1, DELTA / np.maximum(np.abs(r), 1e-300))
        with np.errstate(invalid="ignore", divide="ignore"):
            total = huber(DELTA, -np.log1p(-r)).sum(axis=1)
        total[(c < 0).any(axis=1) | ~np.isfinite(total)] = np.inf
        best = min(best, float(total.min()))
    return best


def published_method(N: Column, D: Column, y: Column, step: float = 0.01) -> float:
    """Our own twin of the method that vpnls publishes; its mean Huber loss.

    Exponents on a grid of 0.01 to 0.99, for each pair non-negative least squares of the losses
    (terms that come out negative are dropped), then ten rounds of Huber's weights.
    """
    exponents = np.arange(0.01, 0.99 + step / 2, step)
    right = np.exp(-exponents[:, None] * np.log(D / 1e9))
    best = np.inf
    for left in np.exp(-exponents[:, None] * np.log(N / 1e6)):
        X = np.stack([np.ones_like(right), np.broadcast_to(left, right.shape), right], axis=2)
        w = np.ones_like(right)
        for _ in range(11):
            c = _nonnegative(X, w, y)
            r = np.abs(y - np.einsum("kni,ki->kn", X, c))
            w = np.where(r <= DELTA, 1.0, DELTA / np.maximum(r, 1e-300))
        best = min(best, float(huber(DELTA, r).mean(axis=1).min()))
    return best


def _nonnegative(X: Column, w: Column, y: Column) -> Column:
    """Weighted least squares of each pair of exponents, negative coefficients set to 0 in turn."""
    on = np.ones((len(X), 3), bool)
    gram = np.einsum("kni,kn,knj->kij", X, w, X)
    rhs = np.einsum("kni,kn,n->ki", X, w, y)
    c = np.zeros_like(rhs)
    for _ in range(3):
        pairs = on[:, :, None] & on[:, None, :]
        system = np.where(pairs, gram, 0.0) + np.eye(3) * (~on)[:, :, None]
        c = np.linalg.solve(system, np.where(on, rhs, 0.0)[..., None])[..., 0]
        if (c >= 0).all():
            break
        on &= c >= 0
    return np.maximum(c, 0.0)


def peer() -> None:
    """Both on the data sets of vpnls, for its own loss: mean Huber of loss - law."""
    path = DATA / "isoflops" / "isoflops.csv"
    if not path.is_file():
        print("the data sets of vpnls are not here (DELPHI_DATA): no comparison with it")
        return
    try:
        from vpnls.api import fit_vpnls  # type: ignore[import-not-found]
        from vpnls.api import huber as vpnls_huber
    except ImportError:
        fit_vpnls = None
        print("vpnls cannot be imported: a NumPy twin of its published grid method stands in")
    table = pd.read_csv(path)
    for name in PEER_SETS:
        part = table[table["experiment"] == name]
        N, D, y = (part[k].to_numpy().copy() for k in ("params", "tokens", "loss"))
        scale = float(np.exp(np.log(y).mean()))  # delta in nats as a share of the mean loss

        def core(N: Column = N, D: Column = D, y: Column = y, scale: float = scale) -> Any:
            return _core.surface_fit(N, D, y, [0, len(y)], space="loss", delta=DELTA / scale)[0]

        begin = time.perf_counter()
        if fit_vpnls is None:
            who, theirs = "twin", published_method(N, D, y)
        else:
            who = "vpnls"
            law = fit_vpnls(N / 1e6, D / 1e9, y, resolution=0.01, loss=vpnls_huber(DELTA))
            fitted = law.E + law.A * (N / 1e6) ** -law.alpha + law.B * (D / 1e9) ** -law.beta
            theirs = float(huber(DELTA, y - fitted).mean())
        seconds = time.perf_counter() - begin
        ours = core()["objective"] / len(y)
        print(f"{name:40} mean Huber x 1e6: {who} {theirs * 1e6:.4f}, delphi {ours * 1e6:.4f}")
        row(name, Timed(seconds), Timed(seconds), timed(core))


def main() -> None:
    what, N, D, y = runs()
    x, z, log_y = np.log(N), np.log(D), np.log(y)
    grid = starts()
    full = "--full" in sys.argv[1:]
    some = np.random.default_rng(0).choice(len(grid), 45, replace=False)
    few = grid if full else grid[some]
    ours = _core.surface_fit(N, D, y, [0, len(y)])[0]
    begin = time.perf_counter()
    reached, _ = scipy_fit(x, z, log_y, few)
    loop = Timed(
        (time.perf_counter() - begin) * len(grid) / len(few),
        f"from {len(few)} of {len(grid)} starts",
    )
    numpy_value = numpy_grid(N, D, y)
    print(
        f"{what}, {len(y)} runs, sum of Huber: L-BFGS-B (best of {len(few)} starts) {reached:.9g}, "
        f"0.01 grid {numpy_value:.9g}, delphi {ours['objective']:.9g}"
    )
    vectorised = timed(lambda: numpy_grid(N, D, y), repeats=1)
    row(
        "surface, Huber, global search", loop, vectorised,
        timed(lambda: _core.surface_fit(N, D, y, [0, len(y)])),
    )  # fmt: skip
    n, count = len(y), 400
    weights = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), size=count).astype(float)
    for k in sorted({1, thread_count()}):
        boot = timed(
            lambda k=k: _core.surface_refit(N, D, y, weights=weights, n_threads=k),
            repeats=1, scale=4000 / count,
        )  # fmt: skip
        row(
            f"4,000 replicates, each searched, {k} thread(s)", Timed(loop.seconds * 4000),
            Timed(vectorised.seconds * 4000, "from one fit each"), boot,
        )  # fmt: skip
    peer()


if __name__ == "__main__":
    main()
