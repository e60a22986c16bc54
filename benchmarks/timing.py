"""Median wall time of a call, and a table of ratios."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Timed:
    """Median seconds of a call, scaled up where only a part of the work was timed."""

    seconds: float
    note: str = ""


def timed(
    call: Callable[[], Any], *, repeats: int = 7, at_least: float = 0.02, scale: float = 1.0
) -> Timed:
    """Time a call: one warm-up, then the median of `repeats` samples of `at_least` seconds each.

    `scale` multiplies the result when the call does only a part of the work, and the note says so.
    """
    call()
    start = time.perf_counter()
    call()
    once = time.perf_counter() - start
    number = max(1, int(at_least / max(once, 1e-9)))
    samples = []
    gc.disable()
    try:
        for _ in range(1 if once > 5 else repeats):
            start = time.perf_counter()
            for _ in range(number):
                call()
            samples.append((time.perf_counter() - start) / number)
    finally:
        gc.enable()
    note = f"from 1/{scale:g} of the work" if scale != 1 else ""
    return Timed(median(samples) * scale, note)


def show(seconds: float) -> str:
    """A time in the unit that suits it."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def row(task: str, loop: Timed, vectorised: Timed, ours: Timed) -> None:
    """One line: three times, then how many times faster delphi is than the other two."""
    to_loop, to_numpy = loop.seconds / ours.seconds, vectorised.seconds / ours.seconds
    print(
        f"{task:44} {show(loop.seconds):>9} {show(vectorised.seconds):>9} {show(ours.seconds):>9}"
        f" {to_loop:>8,.0f}x {to_numpy:>6.1f}x  {loop.note}",
        flush=True,
    )


def header() -> None:
    """The names of the columns of `row`."""
    print(
        f"{'':44} {'loop':>9} {'NumPy':>9} {'delphi':>9} {'vs loop':>9} {'vs NumPy':>7}",
        flush=True,
    )
