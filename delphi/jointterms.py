"""What runs have in common as columns: mix, learning rate and compute, for fits over many runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .arrays import column
from .errors import DataError

__all__ = ["RunTerms", "run_terms"]

Floats = NDArray[np.float64]
DEPENDENT = 1e-9  # of its own length: what is left of a column that follows from others


@dataclass(frozen=True)
class _Axis:
    """One coordinate of a run: a scaled number, or effects of labels."""

    name: str
    column: str
    levels: tuple[Any, ...] = ()  # of labels; effects are those of all but the last
    log: bool = False
    middle: float = 0.0
    width: float = 1.0

    def values(self, table: pd.DataFrame) -> dict[str, Floats]:
        if self.levels:
            cells = table[self.column].to_numpy()
            last = (cells == self.levels[-1]).astype(float)
            return {
                f"{self.name} {level}": (cells == level).astype(float) - last
                for level in self.levels[:-1]
            }
        x = table[self.column].to_numpy(float)
        return {self.name: ((np.log(x) if self.log else x) - self.middle) / self.width}


@dataclass(frozen=True)
class RunTerms:
    """Terms of runs, scaled on the runs they were made from.

    Attributes
    ----------
    names : tuple of str
        Terms that are used, "1" first.
    n_main : int
        The first of them that are "1" and main effects: mix, log lr, log flops.
    dropped : dict of str to str
        Terms that are not, with why.
    """

    names: tuple[str, ...]
    n_main: int
    dropped: dict[str, str]
    axes: tuple[_Axis, ...]
    interactions: bool

    def __call__(self, table: pd.DataFrame) -> Floats:
        """Terms of other runs, float64[n_runs, n_terms].

        A label that was not there has no effect of its own: it counts as the average.
        """
        made, _ = _made(self.axes, table, self.interactions)
        return np.ascontiguousarray(np.column_stack([made[name] for name in self.names]))


def run_terms(
    table: pd.DataFrame,
    *,
    mix: str | Sequence[str] | None,
    lr: str | None,
    flops: str | None,
    interactions: bool,
) -> RunTerms:
    """Work out terms for runs: one row each.

    Raises
    ------
    DataError
        A learning rate or compute that is not positive, a missing or non-finite mix.

    Examples
    --------
    >>> table = pd.DataFrame({"mix": ["a", "a", "b", "b"], "lr": [1e-3, 2e-3, 1e-3, 2e-3]})
    >>> terms = run_terms(table, mix="mix", lr="lr", flops=None, interactions=False)
    >>> terms.names, terms.dropped
    (('1', 'mix a', 'log lr'), {'log lr^2': 'follows from the others'})
    >>> terms(table)[:, 2].round(6).tolist()
    [-1.0, 1.0, -1.0, 1.0]
    """
    axes = []
    for name in [] if mix is None else [mix] if isinstance(mix, str) else list(mix):
        axes.append(_mix_axis(table, name))
    for rate, title in ((lr, "log lr"), (flops, "log flops")):
        if rate is not None:
            logs = np.log(column(table[rate], rate, least=0))
            axes.append(_scaled(title, rate, logs, log=True))
    made, n_main = _made(tuple(axes), table, interactions)
    kept: list[str] = []
    dropped: dict[str, str] = {}
    basis: list[Floats] = []
    main = 0
    for place, (name, values) in enumerate(made.items()):
        rest = values.copy()
        for _ in range(2):  # twice is enough (Kahan): the second time takes back the rounding
            for q in basis:
                rest = rest - (q @ rest) * q
        size = float(np.linalg.norm(values))
        if not np.linalg.norm(rest) > DEPENDENT * max(size, 1e-300):
            constant = size < DEPENDENT or (place < n_main and np.ptp(values) == 0)
            dropped[name] = "constant" if constant else "follows from the others"
            continue
        basis.append(rest / np.linalg.norm(rest))
        kept.append(name)
        main += place < n_main
    return RunTerms(tuple(kept), main, dropped, tuple(axes), interactions)


def _mix_axis(table: pd.DataFrame, name: str) -> _Axis:
    cells = table[name]
    if cells.isna().any():
        raise DataError(f"{name}: run {table.iloc[int(cells.isna().argmax()), 0]!r} has none")
    if pd.api.types.is_numeric_dtype(cells) and not pd.api.types.is_bool_dtype(cells):
        x = cells.to_numpy(float)
        if not np.isfinite(x).all():
            raise DataError(f"{name}: expected finite numbers, or labels")
        return _scaled(name, name, x, log=False)
    levels = tuple(sorted(cells.unique(), key=str))
    return _Axis(name, name, levels)


def _scaled(title: str, name: str, x: Floats, *, log: bool) -> _Axis:
    width = float(np.std(x)) if len(x) else 0.0
    tiny = 1e-12 * (1 + (float(np.abs(x).max()) if len(x) else 0.0))
    middle = float(np.mean(x)) if len(x) else 0.0
    return _Axis(title, name, (), log, middle, width if width > tiny else 1.0)


def _made(
    axes: tuple[_Axis, ...], table: pd.DataFrame, interactions: bool
) -> tuple[dict[str, Floats], int]:
    """All terms by name: 1, main effects, squares, products; and how many come before squares."""
    mains = [axis.values(table) for axis in axes]
    made: dict[str, Floats] = {"1": np.ones(len(table))}
    for part in mains:
        made |= part
    n_main = len(made)
    for axis, part in zip(axes, mains, strict=True):
        if axis.log:
            made |= {f"{name}^2": x * x for name, x in part.items()}
    if interactions:
        for i, first in enumerate(mains):
            for second in mains[i + 1 :]:
                for a, x in first.items():
                    made |= {f"{a} x {b}": x * z for b, z in second.items()}
    return made, n_main
