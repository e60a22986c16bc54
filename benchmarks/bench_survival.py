"""1,000 rollouts of 512 tokens: masks token by token, NumPy over all at once, the core."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from benchmarks.timing import row, timed
from delphi import _core, alive_mask, calibrate_kl, rolling_mean
from delphi.threads import thread_count

Column = NDArray[np.float64]
N, TOKENS, EVERY, WINDOW, THRESHOLD = 1000, 512, 32, 65, 0.8


def rollouts(seed: int = 0) -> tuple[Column, Column, NDArray[np.int64], NDArray[np.int64]]:
    """KL (N, TOKENS), masses (N, forks), forks, tokens generated."""
    rng = np.random.default_rng(seed)
    forks = np.arange(0, TOKENS, EVERY)
    mass = 1 - np.cumsum(rng.gamma(0.3, 0.04, (N, len(forks))), axis=1)
    mass = np.clip(mass, 0, 1)
    mass[rng.random(mass.shape) < 0.02] = np.nan
    return rng.gamma(2, 0.5, (N, TOKENS)), mass, forks, rng.integers(1, TOKENS + 1, N)


def loop_mask(mass: Column, forks: NDArray[np.int64], length: int) -> NDArray[np.bool_]:
    """One rollout as a notebook does it: a search in the forks for every token."""
    lowest = np.minimum.accumulate(np.where(np.isnan(mass), np.inf, mass))
    gone = lowest < THRESHOLD
    alive = np.ones(TOKENS, dtype=bool)
    for token in range(min(TOKENS, length)):
        last = int(np.searchsorted(forks, token, side="right")) - 1
        if last >= 0 and gone[last]:
            alive[token] = False
    return alive


def vectorised_mask(
    mass: Column, forks: NDArray[np.int64], lengths: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """All rollouts at once: the first fork below the threshold, and two comparisons."""
    below = mass < THRESHOLD
    death = np.where(below.any(axis=1), forks[below.argmax(axis=1)], TOKENS)[:, None]
    token = np.arange(TOKENS)
    return (token < death) | (token >= lengths[:, None])


def loop_mean(x: Column) -> Column:
    """One row by convolution."""
    padded = np.pad(x, WINDOW // 2, mode="edge")
    return np.convolve(padded, np.ones(WINDOW) / WINDOW, mode="valid")[: len(x)]


def vectorised_mean(x: Column) -> Column:
    """All rows by differences of running sums: quick, and it loses digits on long rows."""
    half = WINDOW // 2
    padded = np.pad(x, ((0, 0), (half + 1, half)), mode="edge")
    padded[:, 0] = 0
    total = np.cumsum(padded, axis=1)
    return (total[:, WINDOW:] - total[:, :-WINDOW]) / WINDOW


def loop_calibrated(x: Column) -> Column:
    """A percentile and a convolution for each row, then the median over rows."""
    out = np.empty_like(x)
    for i, values in enumerate(x):
        out[i] = loop_mean(values) / np.percentile(values[:20], 95)
    return np.array([np.nanmedian(out[:, t]) for t in range(out.shape[1])])


def vectorised_calibrated(x: Column) -> Column:
    """The same over all rows at once."""
    scale = np.percentile(x[:, :20], 95, axis=1, keepdims=True)
    return np.nanmedian(vectorised_mean(x) / scale, axis=0)


def main() -> None:
    kl, mass, forks, lengths = rollouts()
    offsets, fork_offsets = np.arange(N + 1) * TOKENS, np.arange(N + 1) * len(forks)
    flat_mass, flat_forks = mass.ravel(), np.tile(forks, N)
    wanted = vectorised_mask(mass, forks, lengths)
    assert (alive_mask(mass, forks, TOKENS, gen_lens=lengths) == wanted).all()
    windows = sliding_window_view(np.pad(kl[0], WINDOW // 2, mode="edge"), WINDOW)
    assert np.allclose(rolling_mean(kl, WINDOW)[0], windows.mean(axis=1), rtol=1e-12)

    loop = timed(lambda: [loop_mask(mass[i], forks, int(lengths[i])) for i in range(N)], repeats=3)
    numpy = timed(lambda: vectorised_mask(mass, forks, lengths))
    row(
        "alive masks, 1,000 x 512 (alive_mask)",
        loop,
        numpy,
        timed(lambda: alive_mask(mass, forks, TOKENS, gen_lens=lengths)),
    )
    row(
        "alive masks, 1,000 x 512 (core)",
        loop,
        numpy,
        timed(lambda: _core.survival_watch(flat_mass, flat_forks, fork_offsets, offsets, lengths)),
    )
    loop = timed(lambda: [loop_mean(x) for x in kl], repeats=5)
    numpy = timed(lambda: vectorised_mean(kl))
    row(
        "rolling mean of 65, 1,000 x 512 (rolling_mean)",
        loop,
        numpy,
        timed(lambda: rolling_mean(kl, WINDOW)),
    )
    loop = timed(lambda: loop_calibrated(kl), repeats=3)
    numpy = timed(lambda: vectorised_calibrated(kl), repeats=3)
    for n in sorted({1, thread_count()}):
        row(
            f"calibrate, smooth, median, {n} thread(s)",
            loop,
            numpy,
            timed(lambda n=n: _medians(kl, offsets, n)),
        )


def _medians(kl: Column, offsets: NDArray[np.int64], n_threads: int) -> Column:
    out = calibrate_kl(kl, roll=WINDOW, n_threads=n_threads)
    return _core.kl_quantiles(out.values, offsets, [0, N], [0.5], n_threads=n_threads)[0]


if __name__ == "__main__":
    main()
