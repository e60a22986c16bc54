"""Random ragged input for the comparisons: realistic ladders, and everything that goes wrong."""

from __future__ import annotations

import os

import numpy as np
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

# Same examples every time, so that a red run is a change in the code; DELPHI_FUZZ=1000 explores.
_FUZZ = int(os.environ.get("DELPHI_FUZZ", "0"))


def examples(n: int) -> settings:
    """Settings for n examples, or for DELPHI_FUZZ fresh ones."""
    return settings(
        max_examples=_FUZZ or n,
        derandomize=not _FUZZ,
        deadline=None,
        database=None,
        phases=(Phase.explicit, Phase.generate),  # data come from seeds: there is nothing to shrink
        suppress_health_check=list(HealthCheck),
    )


def offsets_of(groups) -> np.ndarray:
    """Offsets of a list of (columns...) groups."""
    sizes = [len(group[0]) for group in groups]
    return np.concatenate(([0], np.cumsum(sizes, dtype=np.int64))).astype(np.int64)


def stacked(groups, n_columns: int) -> list[np.ndarray]:
    """The groups' columns end to end."""
    return [
        np.concatenate([np.asarray(group[k], float) for group in groups] or [np.empty(0)])
        for k in range(n_columns)
    ]


def bits(records) -> bytes:
    """Every bit of every field; the padding between fields means nothing and may differ."""
    return b"".join(np.ascontiguousarray(records[name]).tobytes() for name in records.dtype.names)


_seed = st.integers(0, 2**32 - 1)
_NUMBER = st.one_of(
    st.floats(1e-3, 1e30),
    st.sampled_from([1e9, 1e10, 1e11, 3e10, 1e60, 1e-60]),
)
_BAD = st.sampled_from([0.0, -1.0, np.nan, np.inf, -np.inf])


@st.composite
def _raw(draw, n):
    """n positive numbers of any size; now and then one that is not."""
    values = draw(st.lists(_NUMBER, min_size=n, max_size=n))
    if n and draw(st.integers(0, 9)) == 0:
        values[draw(st.integers(0, n - 1))] = draw(_BAD)
    return np.array(values, float)


@st.composite
def bucket(draw):
    """tokens, loss, params of one budget: 0 to 12 runs."""
    n = draw(st.integers(0, 12))
    kind = draw(
        st.sampled_from(["ladder"] * 4 + ["concave", "line", "few", "narrow", "raw", "lot"])
    )
    if kind == "raw":
        return tuple(draw(_raw(n)) for _ in range(3))
    rng = np.random.default_rng(draw(_seed))
    if kind == "lot":
        n = 40
    centre = rng.uniform(8, 12)
    width = 10 ** rng.uniform(-6, -3) if kind == "narrow" else 10 ** rng.uniform(-1.5, 0.5)
    x = centre + width * rng.uniform(-1, 1, n)
    if kind == "few":  # two to four distinct tokens, many duplicates
        x = rng.choice(centre + width * np.linspace(-1, 1, draw(st.integers(1, 4))), n)
    noise = draw(st.sampled_from([0, 0.003, 0.03, 0.3]))
    curve = rng.uniform(0.05, 1.0) * {"concave": -1, "line": 0}.get(kind, 1) / width**2
    vertex = centre + width * rng.uniform(-1.5, 1.5)
    loss = 3 + width**2 * curve * ((x - vertex) / width) ** 2 + 0.1 * (x - centre) / width
    loss = loss + noise * rng.standard_normal(n)
    if draw(st.booleans()):
        loss = loss * 10 ** rng.uniform(-6, 6)
    if draw(st.booleans()):
        loss = np.round(loss, 2)  # ties
    tokens = 10**x
    params = 1e19 / tokens * np.exp(0.01 * rng.standard_normal(n))
    return tokens, loss, params


@st.composite
def realistic_bucket(draw, least=4):
    """tokens, loss, params of a sweep as people run them: spread tokens, a minimum among them."""
    n = draw(st.integers(least, 12))
    rng = np.random.default_rng(draw(_seed))
    width = rng.uniform(0.2, 1)
    centre = rng.uniform(8.5, 11.5)
    x = centre + width * (np.linspace(-1, 1, n) + 0.3 / n * rng.uniform(-1, 1, n))
    under, over = rng.uniform(0.05, 0.6, 2)
    vertex = centre + width * rng.uniform(-0.6, 0.6)
    loss = 3 + np.where(x < vertex, under, over) * (x - vertex) ** 2
    loss = loss + draw(st.sampled_from([0.0003, 0.003, 0.01])) * rng.standard_normal(n)
    return 10**x, loss, 1e19 / 10**x * np.exp(0.01 * rng.standard_normal(n))


@st.composite
def suite(draw, falling=False):
    """C, loss of one suite: 0 to 12 points (falling=True: 4 to 12 of a law with noise)."""
    n = draw(st.integers(4 if falling else 0, 12))
    kinds = ["law"] * 5 + ["noise", "few", "narrow", "raw", "exact", "convex", "rising", "step"]
    kind = "law" if falling else draw(st.sampled_from(kinds))
    if kind == "raw":
        return tuple(draw(_raw(n)) for _ in range(2))
    rng = np.random.default_rng(draw(_seed))
    decades = 10 ** rng.uniform(-4, -1) if kind == "narrow" else rng.uniform(0.5, 5)
    s = np.sort(rng.uniform(0, 1, n))
    if kind == "few":
        s = rng.choice(np.linspace(0, 1, draw(st.integers(1, 4))), n)
    C = 10 ** (rng.uniform(-3, 20) + decades * s)
    L = rng.choice([0.0, 0.3, 1.7, 2.5])
    fall = rng.uniform(0.2, 4)
    y = L + fall * np.exp(-s * rng.uniform(0.05, 6))
    if kind == "noise":
        y = rng.uniform(1, 3, n)
    if kind == "convex":  # falls faster the further it gets: the floor wants to be below zero
        y = 3 - 2 * s**2
    if kind == "rising":
        y = 5 - y / 2 if n else y
    if kind == "step":
        y = np.where(s > 0.5, 2.0, 4.0) if n else y
    if kind != "exact":
        y = y * np.exp(draw(st.sampled_from([1e-4, 3e-3, 0.03])) * rng.standard_normal(n))
    y = np.maximum(y, 0.05) * 10 ** (rng.uniform(-3, 3) if draw(st.booleans()) else 0)
    if draw(st.booleans()):
        order = rng.permutation(n)
        C, y = C[order], y[order]
    return C, y


def ragged(one, most: int = 8):
    """A list of groups."""
    return st.lists(one, min_size=0, max_size=most)


def ladder(n_groups: int, rng=0, noise=0.003):
    """Many realistic buckets at once, flat: tokens, loss, params, offsets."""
    rng = np.random.default_rng(rng)
    sizes = rng.integers(3, 13, n_groups)
    offsets = np.concatenate(([0], np.cumsum(sizes)))
    n = int(offsets[-1])
    group = np.repeat(np.arange(n_groups), sizes)
    vertex = rng.uniform(9, 11, n_groups)[group]
    x = vertex + rng.uniform(-0.8, 0.8, n)
    loss = 3 + 0.2 * (x - vertex) ** 2 + noise * rng.standard_normal(n)
    tokens = 10**x
    return tokens, loss, 1e19 / tokens, offsets


def laws(n_suites: int, rng=0, noise=0.003, n_points=7):
    """Many realistic suites at once, flat: compute, loss, offsets."""
    rng = np.random.default_rng(rng)
    C = np.tile(np.geomspace(1e18, 1e21, n_points), n_suites)
    L = np.repeat(rng.uniform(1.5, 2.2, n_suites), n_points)
    alpha = np.repeat(rng.uniform(0.08, 0.3, n_suites), n_points)
    y = L + 1.6 * (C / 1e18) ** -alpha
    y = y * (1 + noise * rng.standard_normal(len(C)))
    return C, y, np.arange(n_suites + 1) * n_points
