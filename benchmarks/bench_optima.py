"""A table of 100,000 runs to its optima: a mask and a call per bucket, sorted sums, delphi."""

from __future__ import annotations

import numpy as np
import pandas as pd

from benchmarks.bench_parabola import loop_fit, vectorised_fit
from benchmarks.timing import row, timed
from delphi import compat, fit_isoflops

COLUMNS = ("tokens", "loss", "params")


def table(n_suites: int = 50, n_budgets: int = 50, n_runs: int = 40, seed: int = 0) -> pd.DataFrame:
    """Shuffled isoflop runs in the notebook's columns."""
    rng = np.random.default_rng(seed)
    shape = (n_suites, n_budgets, n_runs)
    suite, budget, _ = np.indices(shape).reshape(3, -1)
    gflops = 1e9 * 1.3**budget
    tokens = np.sqrt(gflops * 1e9 / 120) * 10 ** rng.uniform(-0.6, 0.6, gflops.size)
    x = np.log10(tokens) - np.log10(np.sqrt(gflops * 1e9 / 120))
    loss = 1.8 + 1600 * (gflops * 1e9) ** -0.16 + 0.2 * x**2 + rng.normal(0, 0.003, x.size)
    frame = pd.DataFrame(
        {
            "quantizer": np.char.add("suite-", suite.astype(str)),
            "run_type": "isoflop",
            "gflops_q": gflops,
            "tokens": tokens,
            "params": gflops * 1e9 / (6 * tokens),
            "loss": loss,
        }
    )
    return frame.sample(frac=1, random_state=seed, ignore_index=True)


def loop_optima(frame: pd.DataFrame, n_suites: int) -> list[tuple[object, ...]]:
    """The first suites of the table as a notebook works them off: a mask and a fit per bucket."""
    sweep = frame[frame["run_type"] == "isoflop"]
    rows = []
    for suite in sorted(sweep["quantizer"].unique())[:n_suites]:
        for bucket in sorted(sweep["gflops_q"].unique()):
            sub = sweep[(sweep["quantizer"] == suite) & (sweep["gflops_q"] == bucket)]
            if len(sub) >= 3:
                fit = loop_fit(*(sub[name].to_numpy(float) for name in COLUMNS))
                rows.append((suite, bucket, *fit))
    return rows


def vectorised_optima(frame: pd.DataFrame) -> pd.DataFrame:
    """Sort once by (suite, bucket), then segment sums over the sorted columns."""
    sweep = frame[frame["run_type"] == "isoflop"].sort_values(["quantizer", "gflops_q"])
    grouped = sweep.groupby(["quantizer", "gflops_q"], sort=True)
    sizes = grouped.size()
    offsets = np.concatenate(([0], np.cumsum(sizes.to_numpy())))
    fits = vectorised_fit(*(sweep[name].to_numpy(float) for name in COLUMNS), offsets)
    out = sizes.index.to_frame(index=False)
    out[["tokens_star", "loss_star", "params_star"]] = fits[[4, 5, 6]].T
    return out


def main() -> None:
    frame = table()
    runs = frame.rename(columns={"quantizer": "suite", "gflops_q": "budget"})
    runs["budget"] *= 1e9
    runs["flops"] = runs["budget"]
    loop = timed(lambda: loop_optima(frame, 5), scale=10, repeats=1)
    numpy = timed(lambda: vectorised_optima(frame))
    row(
        "100,000 runs to optima (compute_optima)",
        loop,
        numpy,
        timed(lambda: compat.compute_optima(frame)),
    )
    row(
        "100,000 runs to optima (fit_isoflops, joint)",
        loop,
        numpy,
        timed(lambda: fit_isoflops(runs, keep="all")),
    )


if __name__ == "__main__":
    main()
