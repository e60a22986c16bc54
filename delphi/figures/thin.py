"""How much of a large table a figure draws: every cap in one place, and what stays."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from delphi.heldout import is_crashed

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from delphi.isoflop import IsoflopLadder

__all__ = ["drawn", "drawn_note", "law_note", "spread", "sweep_runs", "thinned"]

SUITES = 12  # of a figure: panels, or laws in one panel
BUDGETS = 24  # of a suite
POINTS = 150  # of a budget, or optima of a law
LABELS = 24  # texts beside points of a panel


def spread(n: int, most: int) -> NDArray[np.int64]:
    """At most `most` of the ranks 0 to n - 1, evenly spaced, both ends among them."""
    if n <= most:
        return np.arange(n)
    return np.unique(np.rint(np.linspace(0, n - 1, most)).astype(np.int64))


def thinned(points: pd.DataFrame, by: str, loss: str, most: int = POINTS) -> pd.DataFrame:
    """Rows evenly spaced by rank of a column, with those of lowest and highest loss."""
    if len(points) <= most:
        return points
    values = points[loss].to_numpy(float)
    order = np.argsort(points[by].to_numpy(float), kind="stable")
    keep = set(order[spread(len(points), most - 2)].tolist())
    if np.isfinite(values).any():
        keep |= {int(np.nanargmin(values)), int(np.nanargmax(values))}
    return points.iloc[sorted(keep)]


def sweep_runs(ladder: IsoflopLadder, suite: str | None = None) -> pd.DataFrame:
    """The runs behind the parabolas, of all suites or of one: finished and not held out."""
    runs = ladder.runs
    if suite is not None:
        runs = runs[(runs["suite"] == suite).to_numpy(bool)]
    shown = np.ones(len(runs), dtype=bool)
    if "run_type" in runs:
        shown &= (runs["run_type"] == "isoflop").to_numpy(bool)
    if "state" in runs:
        shown &= ~is_crashed(runs["state"]).to_numpy(bool)
    return runs[shown]


def drawn(ladder: IsoflopLadder, suite: str | None = None) -> IsoflopLadder:
    """What of a ladder its parabolas are drawn from; the ladder itself where that is all of it.

    Of the first suites (or of one), budgets evenly spaced by rank, and of each budget runs evenly
    spaced by rank of tokens, with those of fewest and most tokens, lowest and highest loss.
    """
    suites = (ladder.suites if suite is None else [suite])[:SUITES]
    own = ladder.fits[ladder.fits["suite"].isin(suites)]
    rank = own.groupby("suite")["budget"].rank(method="first").to_numpy(int) - 1
    size = own.groupby("suite")["budget"].transform("size").to_numpy(int)
    kept = {n: set(spread(n, BUDGETS).tolist()) for n in np.unique(size).tolist()}
    shown = np.array([r in kept[n] for r, n in zip(rank, size, strict=True)], dtype=bool)
    fits = own[shown]
    if len(fits) == len(ladder.fits) and not (fits["n"] > POINTS).any():
        return ladder
    runs = sweep_runs(ladder, suite)
    runs = runs[runs["suite"].isin(suites).to_numpy(bool)]
    buckets = runs.groupby(["suite", "budget"]).indices
    rows = []
    for key in fits[["suite", "budget"]].itertuples(index=False, name=None):
        if key in buckets:
            at = buckets[key]
            few = thinned(
                runs[["tokens", "loss"]].iloc[at].reset_index(drop=True), "tokens", "loss"
            )
            rows.append(at[few.index.to_numpy()])
    return replace(ladder, runs=runs.iloc[np.concatenate(rows)] if rows else runs, fits=fits)


def drawn_note(ladder: IsoflopLadder, suite: str | None = None) -> str:
    """What :func:`drawn` leaves out, in a sentence; empty if nothing."""
    suites = (ladder.suites if suite is None else [suite])[:SUITES]
    own = ladder.fits[ladder.fits["suite"].isin(suites)]
    said = []
    if suite is None:
        said.append(_of(len(suites), len(ladder.suites), "the first {} of {} suites"))
    budgets = int(own.groupby("suite").size().max()) if len(own) else 0
    said.append(_of(BUDGETS, budgets, "{} of up to {} budgets of a suite"))
    said.append(_of(POINTS, int(own["n"].max()) if len(own) else 0, "{} of up to {} runs a budget"))
    return _sentence(said)


def law_note(ladder: IsoflopLadder, held_out: pd.DataFrame, suite: str | None = None) -> str:
    """The same for the laws: suites, optima and held-out runs that are not drawn."""
    suites = (ladder.suites if suite is None else [suite])[:SUITES]
    most = {}
    for name, rows in (("optima", ladder.optima), ("held-out points", held_out)):
        sizes = rows[rows["suite"].isin(suites)].groupby("suite").size()
        most[name] = int(sizes.max()) if len(sizes) else 0
    said = [] if suite is not None else [
        _of(len(suites), len(ladder.suites), "the first {} of {} suites")
    ]  # fmt: skip
    said += [_of(POINTS, n, f"{{}} of up to {{}} {name} of a suite") for name, n in most.items()]
    return _sentence(said)


def first_suites(ladder: IsoflopLadder) -> Sequence[str]:
    """The suites of a figure with all suites in it."""
    return ladder.suites[:SUITES]


def _of(shown: int, there: int, text: str) -> str:
    return text.format(f"{shown:,}", f"{there:,}") if there > shown else ""


def _sentence(parts: Sequence[str]) -> str:
    said = [part for part in parts if part]
    return f"Drawn: {'; '.join(said)}, evenly spaced." if said else ""
