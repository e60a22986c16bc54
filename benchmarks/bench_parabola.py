"""Parabolas: the notebook's call per bucket, segment sums in NumPy, and the core."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.timing import row, timed
from delphi import _core, compat
from delphi.threads import thread_count

Column = NDArray[np.float64]


def ragged(n_groups: int, seed: int = 0) -> tuple[Column, Column, Column, NDArray[np.int64]]:
    """tokens, loss, params and offsets of buckets of 5 to 15 runs."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(5, 16, n_groups)
    offsets = np.concatenate(([0], np.cumsum(sizes)))
    n = int(offsets[-1])
    tokens = 10 ** rng.uniform(9, 11, n)
    loss = 3 + 0.3 * (np.log10(tokens) - 10) ** 2 + rng.normal(0, 0.003, n)
    return tokens, loss, 1e20 / (6 * tokens), offsets


def loop_fit(tokens: Column, loss: Column, params: Column) -> tuple[float, ...]:
    """One bucket as a notebook fits it: two polyfits, a clip, and a curvature for each side."""
    x = np.log10(tokens)
    a, b, c = np.polyfit(x, loss, 2)
    star = float(np.clip(-b / (2 * a), x.min(), x.max()))
    loss_star = float(a * star**2 + b * star + c)
    slope, intercept = np.polyfit(x, np.log10(params), 1)
    sides = []
    for rows in (x < star, x > star):
        squares = (x[rows] - star) ** 2
        total = float(squares @ squares)
        side = float(squares @ (loss[rows] - loss_star)) / total if total > 0 else a
        sides.append(side if side > 0 else a)
    return a, b, c, star, 10**star, loss_star, 10 ** (slope * star + intercept), *sides


def vectorised_fit(
    tokens: Column, loss: Column, params: Column, offsets: NDArray[np.int64]
) -> Column:
    """All buckets at once: centred segment sums (reduceat) and the 2x2 systems in closed form."""
    starts, sizes = offsets[:-1], np.diff(offsets)

    def mean(v: Column) -> Column:
        return np.add.reduceat(v, starts) / sizes

    def spread(v: Column) -> Column:
        return np.repeat(v, sizes)

    x, p = np.log10(tokens), np.log10(params)
    centre = mean(x)
    t = x - spread(centre)
    y = loss - spread(mean(loss))
    q = t * t
    q_mean = mean(q)
    r = q - spread(q_mean)
    tt, tr, rr = q_mean, mean(t * r), mean(r * r)
    ty, ry = mean(t * y), mean(r * y)
    det = tt * rr - tr * tr
    slope, a = (ty * rr - ry * tr) / det, (ry * tt - ty * tr) / det
    base = mean(loss) - a * q_mean
    b = slope - 2 * a * centre
    c = base - slope * centre + a * centre**2
    lo, hi = np.minimum.reduceat(x, starts), np.maximum.reduceat(x, starts)
    star = np.clip(centre - slope / (2 * a), lo, hi)
    d = star - centre
    loss_star = base + slope * d + a * d * d
    params_star = 10 ** (mean(p) + mean(t * p) / tt * d)
    dx, dy = x - spread(star), loss - spread(loss_star)
    dx2 = dx * dx
    sides = []
    for rows in (dx < 0, dx > 0):
        num = np.add.reduceat(np.where(rows, dx2 * dy, 0), starts)
        den = np.add.reduceat(np.where(rows, dx2 * dx2, 0), starts)
        side = np.divide(num, den, out=np.zeros_like(num), where=den > 0)
        sides.append(np.where(side > 0, side, a))
    return np.array([a, b, c, star, 10**star, loss_star, params_star, *sides])


def main() -> None:
    threads = thread_count()
    tokens, loss, params, offsets = ragged(10_000)
    spans = list(zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True))
    first = slice(0, spans[0][1])
    frame = pd.DataFrame({"tokens": tokens[first], "loss": loss[first], "params": params[first]})

    def loop_frame() -> tuple[float, ...]:
        return loop_fit(*(frame[name].to_numpy(float) for name in ("tokens", "loss", "params")))

    ends = np.array([0, len(frame)])
    one = timed(lambda: vectorised_fit(tokens[first], loss[first], params[first], ends))
    row(
        "parabola, 1 bucket (frame in)",
        timed(loop_frame),
        one,
        timed(lambda: compat.fit_parabola(frame)),
    )
    row(
        "parabola, 1 bucket (arrays in)",
        timed(lambda: loop_fit(tokens[first], loss[first], params[first])),
        one,
        timed(lambda: _core.parabola_fit(tokens[first], loss[first], params[first], ends)),
    )

    whole = pd.DataFrame({"tokens": tokens, "loss": loss, "params": params})
    frames = [whole.iloc[begin:end] for begin, end in spans[:1000]]

    def loop_all() -> None:
        """A notebook hands each bucket over as a frame."""
        for sub in frames:
            loop_fit(*(sub[name].to_numpy(float) for name in ("tokens", "loss", "params")))

    loop = timed(loop_all, scale=10)
    numpy = timed(lambda: vectorised_fit(tokens, loss, params, offsets))
    for joint in (False, True):
        for n in sorted({1, threads}):
            ours = timed(
                lambda n=n, joint=joint: _core.parabola_fit(
                    tokens, loss, params, offsets, joint=joint, n_threads=n
                )
            )
            extra = " + joint fit" if joint else ""
            row(f"parabola, 10,000 buckets{extra}, {n} thread(s)", loop, numpy, ours)


if __name__ == "__main__":
    main()
