"""How far a run's loss is from that of the same run with another seed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from . import _core
from .arrays import checked_level, column, frame_columns, to_pandas
from .groups import group_rows
from .heldout import _points, is_crashed
from .runs import round_sig

__all__ = ["seed_noise"]

COLUMNS = [
    "scope", "kind", "suite", "budget", "n", "mean", "sd", "dof", "spread", "low", "high", "level",
    "method",
]  # fmt: skip
NUMBERS = ["budget", "mean", "sd", "spread"]
DESIGN = ["suite", "budget", "params", "tokens"]


def seed_noise(runs: Any, *, level: float = 0.95) -> pd.DataFrame:
    """Run-to-run standard deviation of the loss, from runs that differ in nothing but their seed.

    Two kinds of replicates are counted apart. "seeds": finished held-out runs
    (``run_type == "optimal"``) of one suite within 10% of each other's compute, as
    `delphi.score_held_out` averages them. "designs": finished isoflop runs of the same suite,
    budget, params and tokens under different names or seeds.

    Parameters
    ----------
    runs : DataFrame (pandas, polars, pyarrow)
        Standard columns, as from `delphi.read_runs`: suite, run_type, flops (FLOPs), loss; for
        "designs" also budget, params, tokens, name and seed; state where it is known.
    level : float
        Level of the intervals, between 0 and 1.

    Returns
    -------
    pandas.DataFrame
        Rows of three scopes: ``scope == "point"``, one a group of replicates (a held-out run
        without a second seed has a row with dof 0); "suite", all points of a suite pooled;
        "total", all points pooled. Columns: scope, kind ("seeds" or "designs"), suite (missing in
        the total), budget (FLOPs, to two digits for seeds; NaN where pooled), n (finished runs),
        mean (loss; NaN where pooled), sd (unit of the loss), dof, spread (largest compute over
        smallest, less one, at most 0.1: that part of the sd is not noise), low, high, level,
        method ("chi-square").
        ``attrs["left_out"]`` counts runs without a final loss (crashed or still running),
        ``attrs["repeated"]`` rows that repeat another's design, name and seed.

    Raises
    ------
    DataError
        A column is missing, a finished run's loss or flops is no positive number, or a bad level.

    Notes
    -----
    The pooled variance is the sum of squares within points over the sum of their dof, which
    supposes one noise for all budgets; with normal noise, dof sd^2 / sigma^2 is chi-square, which
    gives the interval.

    Examples
    --------
    >>> from delphi import simulate
    >>> noise = seed_noise(simulate.ladder(noise=0.002, seeds=6, rng=1))
    >>> total = noise[noise["scope"] == "total"].iloc[0]
    >>> int(total.dof), bool(total.low < 0.002 < total.high)
    (30, True)
    """
    level = checked_level(level)
    table = to_pandas(runs)
    frame_columns(table, ["suite", "run_type", "flops", "loss"])
    ended = (
        is_crashed(table["state"]).to_numpy(bool)
        if "state" in table
        else np.zeros(len(table), dtype=bool)
    )
    finished = table[~ended]
    kinds = finished["run_type"].astype(str)
    designs, repeated = _designs(finished[kinds == "isoflop"])
    points = [_seeds(finished[kinds == "optimal"]), designs]
    parts = [_with_pools(part) for part in points if len(part)]
    noise = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=COLUMNS)
    noise = noise.astype({"n": np.int64, "dof": np.int64} | dict.fromkeys(NUMBERS, np.float64))
    noise["low"], noise["high"] = _chi2_interval(
        noise["sd"].to_numpy(float), noise["dof"].to_numpy(float), level
    )
    noise["level"], noise["method"] = level, "chi-square"
    noise = noise[COLUMNS]
    noise.attrs["left_out"] = int(ended.sum())
    noise.attrs["repeated"] = repeated
    return noise


def _seeds(held: pd.DataFrame) -> pd.DataFrame:
    """One row a held-out point."""
    flops = column(held["flops"], "flops", least=0)
    loss = column(held["loss"], "loss", least=0)
    suite = held["suite"].to_numpy(object)
    rank = np.lexsort((flops, suite.astype(str)))
    suite, flops, loss = suite[rank], flops[rank], loss[rank]
    number = _points(suite, flops, np.zeros(len(suite), dtype=bool))
    order, offsets, keys = group_rows(suite, number, names=["suite", "point"])
    rows = _moments(keys[["suite"]], flops[order], loss[order], offsets)
    rows.insert(0, "budget", round_sig(rows.pop("compute").to_numpy(float), 2))
    return rows.assign(kind="seeds")


def _designs(sweep: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """One row a design that was run more than once, and how many rows were mere repetitions."""
    labels = [name for name in ("name", "seed") if name in sweep]
    if not labels or not set(DESIGN) <= set(sweep.columns):
        return pd.DataFrame(), 0
    once = sweep.drop_duplicates([*DESIGN, *labels])
    size = once.groupby(DESIGN, dropna=True)["loss"].transform("size")
    again = once[size > 1]
    flops = column(again["flops"], "flops", least=0)
    loss = column(again["loss"], "loss", least=0)
    order, offsets, keys = group_rows(*(again[name] for name in DESIGN), names=DESIGN)
    rows = _moments(keys[["suite", "budget"]], flops[order], loss[order], offsets)
    return rows.drop(columns="compute").assign(kind="designs"), len(sweep) - len(once)


def _moments(
    keys: pd.DataFrame,
    flops: NDArray[np.float64],
    loss: NDArray[np.float64],
    offsets: NDArray[np.int64],
) -> pd.DataFrame:
    """n, mean, sd, dof, sum of squares, compute and spread of every group; none of them empty."""
    starts, n = offsets[:-1], np.diff(offsets)
    rows = keys.reset_index(drop=True)
    if not len(n):
        return rows.reindex(
            columns=[*rows.columns, "n", "mean", "sd", "dof", "squares", "compute", "spread"]
        )
    mean = np.add.reduceat(loss, starts) / n
    squares = np.add.reduceat((loss - np.repeat(mean, n)) ** 2, starts)
    rows["n"], rows["mean"], rows["dof"], rows["squares"] = n, mean, n - 1, squares
    rows["sd"] = np.sqrt(squares / np.where(n > 1, n - 1, np.nan))
    rows["compute"] = np.exp(np.add.reduceat(np.log(flops), starts) / n)
    rows["spread"] = np.maximum.reduceat(flops, starts) / np.minimum.reduceat(flops, starts) - 1
    return rows


def _with_pools(points: pd.DataFrame) -> pd.DataFrame:
    """The points, a row for every suite and one for all."""
    suites = [(suite, rows) for suite, rows in points.groupby("suite", sort=True)]
    pools = [_pool(rows, "suite", suite) for suite, rows in suites]
    pools.append(_pool(points, "total", None))
    return pd.DataFrame(points.assign(scope="point").to_dict("records") + pools)


def _pool(points: pd.DataFrame, scope: str, suite: Any) -> dict[str, Any]:
    dof = int(points["dof"].sum())
    return {
        "scope": scope, "kind": points["kind"].iloc[0], "suite": suite, "budget": np.nan,
        "n": int(points["n"].sum()), "mean": np.nan, "dof": dof,
        "sd": float(np.sqrt(points["squares"].sum() / dof)) if dof else np.nan,
        "spread": float(points["spread"].max()),
    }  # fmt: skip


def _chi2_interval(
    sd: NDArray[np.float64], dof: NDArray[np.float64], level: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Interval of a standard deviation; NaN without degrees of freedom."""
    upper = _core.chi2_quantile((1 + level) / 2, dof)
    lower = _core.chi2_quantile((1 - level) / 2, dof)
    return sd * np.sqrt(dof / upper), sd * np.sqrt(dof / lower)
