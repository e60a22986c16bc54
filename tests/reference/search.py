"""One-dimensional minimisation to read at a glance: the best of a grid, then golden sections."""

from __future__ import annotations

import math

import numpy as np

_GOLDEN = (math.sqrt(5) - 1) / 2


def minimise(f, grid, steps: int = 80) -> tuple[float, float]:
    """Lowest point of f over [grid[0], grid[-1]]: (x, f(x)). Ends of the grid are candidates."""
    values = np.array([f(x) for x in grid])
    best = int(np.nanargmin(values))
    x, value = float(grid[best]), float(values[best])
    a, b = float(grid[max(best - 1, 0)]), float(grid[min(best + 1, len(grid) - 1)])
    for _ in range(steps):
        u, v = b - _GOLDEN * (b - a), a + _GOLDEN * (b - a)
        fu, fv = f(u), f(v)
        if fu <= fv:
            b = v
        else:
            a = u
        for at, height in ((u, fu), (v, fv)):
            if height < value:
                x, value = float(at), float(height)
    return x, value
