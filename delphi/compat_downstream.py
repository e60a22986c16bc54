"""The notebook's downstream functions: Richards curves and the caches of evaluations."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from . import _core
from .emergence import finite_column

__all__ = [
    "fit_richards",
    "invert_richards",
    "load_gsm8k_external",
    "load_gsm8k_runs",
    "load_humaneval_external",
    "load_humaneval_runs",
    "load_mmlu_external",
    "load_mmlu_runs",
]


def fit_richards(
    x: ArrayLike, y: ArrayLike, *, floor: float, ceiling: float | None = None
) -> tuple[float, float, float, float] | None:
    """Fit y = floor + (C - floor) sigma(k (x - x0))^v in the notebook's bounds.

    k in [0.1, 50], x0 within 2 of the data, v in [0.1, 20], C in [floor + 0.05, 1] unless given.
    Nothing in it says what sits at a bound; `delphi.fit_richards` does.

    Returns
    -------
    (k, x0, v, C), or None where no curve can be fitted.

    Examples
    --------
    >>> x = np.linspace(-1.4, -0.3, 12)
    >>> k, x0, v, C = fit_richards(x, _core.richards(x, 8.0, -0.8, 1.5, 0.25, 0.85), floor=0.25)
    >>> round(C, 4)
    0.85
    """
    a = finite_column(x, "x")
    b = finite_column(y, "y", n=len(a))
    if len(a) == 0:
        return None
    box = [0.1, a.min() - 2, 0.1, floor + 0.05, 50.0, a.max() + 2, 20.0, 1.0]
    record = _core.richards_fit(
        a, b, [0, len(a)], [floor], ceilings=None if ceiling is None else [ceiling], boxes=box
    )[0]
    if record["status"] < 0:
        return None
    k, x0, v, C = (float(record[name]) for name in ("k", "x0", "v", "ceiling"))
    return k, x0, v, C


def invert_richards(
    k: float, x0: float, v: float, *, target: float, floor: float, ceiling: float
) -> float:
    """The x at which a Richards curve reaches ``target``; NaN outside (floor, ceiling).

    Examples
    --------
    >>> round(invert_richards(5.0, -0.8, 1.0, target=0.6, floor=0.25, ceiling=0.95), 6)
    -0.8
    """
    return float(_core.richards_inverse(target, k, x0, v, floor, ceiling))


def _load(cache_path: Path, what: str, need: list[str]) -> pd.DataFrame | None:
    """Rows of a cache, or None (and a line that says why) where there is nothing to use."""
    path = Path(cache_path)
    rows = json.loads(path.read_text()) if path.exists() else None
    if not rows:
        print(f"{what}: {path} {'is empty' if rows is not None else 'does not exist'}, left out")
        return None
    df = pd.DataFrame(rows)
    missing = [name for name in need if name not in df.columns]
    if missing:
        print(f"{what}: {path} has no column {', '.join(missing)}, left out")
        return None
    return df


def load_mmlu_runs(cache_path: Path) -> pd.DataFrame | None:
    """MMLU evaluations of the ladder: budget, shot, accuracy, choice_logprob; None if not there.

    Rows with a missing value are dropped; sorted by shot and budget.
    """
    need = ["budget", "shot", "accuracy", "choice_logprob"]
    df = _load(cache_path, "MMLU", need)
    if df is None:
        return None
    df = df.dropna(subset=need).copy()
    df["shot"] = df["shot"].astype(int)
    return df.sort_values(["shot", "budget"]).reset_index(drop=True)


def load_mmlu_external(cache_path: Path) -> pd.DataFrame | None:
    """MMLU evaluations of other models, without comma-mix runs; None if not there."""
    need = ["accuracy", "choice_logprob"]
    df = _load(cache_path, "MMLU pool", need)
    if df is None:
        return None
    df = df.dropna(subset=need).copy()
    if "run_name" in df.columns:
        df = df[~df["run_name"].str.contains("comma", case=False, na=False)]
    return df.reset_index(drop=True)


def _ladder(cache_path: Path, what: str, hard: str) -> pd.DataFrame | None:
    need = ["budget", "macro_bpb"]
    df = _load(cache_path, what, need)
    if df is None:
        return None
    df = df.dropna(subset=need).copy()
    if hard not in df.columns:
        df[hard] = np.nan
    return df.sort_values("budget").reset_index(drop=True)


def _pool(cache_path: Path, what: str, hard: str) -> pd.DataFrame | None:
    df = _load(cache_path, what, ["display_name", "macro_bpb", hard])
    return None if df is None else df.dropna(subset=["macro_bpb"]).copy().reset_index(drop=True)


def load_humaneval_runs(cache_path: Path) -> pd.DataFrame | None:
    """HumanEval evaluations of the ladder, ``pass_at_1`` NaN where missing; None if not there."""
    return _ladder(cache_path, "HumanEval", "pass_at_1")


def load_humaneval_external(cache_path: Path) -> pd.DataFrame | None:
    """HumanEval evaluations of other models; None if not there."""
    return _pool(cache_path, "HumanEval pool", "pass_at_1")


def load_gsm8k_runs(cache_path: Path) -> pd.DataFrame | None:
    """GSM8K evaluations of the ladder, accuracy NaN where missing; None if not there."""
    return _ladder(cache_path, "GSM8K", "exact_match_flex")


def load_gsm8k_external(cache_path: Path) -> pd.DataFrame | None:
    """GSM8K evaluations of other models; None if not there."""
    return _pool(cache_path, "GSM8K pool", "exact_match_flex")
