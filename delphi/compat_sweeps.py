"""The notebook's names for sweeps and the polynomial law, thin over the rest of delphi."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .errors import DataWarning
from .rules import CompletedAdamH
from .sweeps import Sweep, fit_sweep
from .trials import Hyperparameter

__all__ = [
    "SWEEP_CELLS",
    "SWEEP_HPARAMS",
    "SWEEP_METRIC",
    "bucket_tokens",
    "compute_sweep_optima",
    "fit_sweep_cells",
    "gp_pdp",
    "law",
    "law_values",
    "load_sweep_runs",
    "theory_hparam",
]

SWEEP_METRIC = "eval/paloma/macro_loss"
SWEEP_CELLS = ("batch_size", "hidden_dim", "token_bucket")
NOMINAL_TOKENS = {"1B": 1e9, "2.5B": 2.5e9, "5B": 5e9}
SWEEP_HPARAMS = (
    Hyperparameter("lr", "log", "Hyperball LR"),
    Hyperparameter("adam_lr", "log", "Adam LR"),
    Hyperparameter("epsilon", "log", "AdamH \u03b5"),
    Hyperparameter("beta1", "log(1 - x)", "\u03b2\u2081"),
    Hyperparameter("beta2", "log(1 - x)", "\u03b2\u2082"),
)


def bucket_tokens(t: float) -> str:
    """The token horizon of a run: "1B" below 1.75e9, "2.5B" below 3e9, else "5B".

    Examples
    --------
    >>> bucket_tokens(1.01e9), bucket_tokens(2.4e9), bucket_tokens(5e9)
    ('1B', '2.5B', '5B')
    """
    tokens = float(t)
    return "1B" if tokens < 1.75e9 else "2.5B" if tokens < 3.0e9 else "5B"


def load_sweep_runs(cache_path: Path | str) -> pd.DataFrame | None:
    """Finished runs of a sweep cache with all columns, and their token bucket.

    Prints why and returns None where the file is absent, is empty, lacks a column or has no
    finished run.
    """
    path = Path(cache_path)
    without = "hparam-scaling figure left out"
    if not path.exists():
        print(f"no sweep cache at {path}: {without}")
        return None
    rows = json.loads(path.read_text(encoding="utf-8"))
    if not rows:
        print(f"sweep cache {path} is empty: {without}")
        return None
    table = pd.DataFrame(rows)
    need = ["state", SWEEP_METRIC, "batch_size", "hidden_dim", "tokens"]
    need += [h.name for h in SWEEP_HPARAMS]
    missing = [name for name in need if name not in table.columns]
    if missing:
        print(f"sweep cache lacks {missing}: {without}")
        return None
    table = table[table["state"] == "finished"].dropna(subset=need).copy()
    if table.empty:
        print(f"no finished run in the sweep cache: {without}")
        return None
    for name in ("batch_size", "hidden_dim"):
        table[name] = table[name].round().astype(int)
    table["token_bucket"] = table["tokens"].map(bucket_tokens)
    return table


def compute_sweep_optima(df: pd.DataFrame) -> pd.DataFrame:
    """The run with the lowest loss of every (batch_size, hidden_dim, token_bucket)."""
    best = df.groupby(list(SWEEP_CELLS))[SWEEP_METRIC].idxmin()
    return df.loc[best].reset_index(drop=True)


def theory_hparam(key: str, batch_size: int, tokens: float) -> float:
    """The value CompletedAdamH prescribes.

    Raises
    ------
    ValueError
        An unknown key.

    Examples
    --------
    >>> theory_hparam("lr", 64, 2.5e9)
    0.0063
    """
    value = CompletedAdamH().value(key, {"batch_size": batch_size, "tokens": tokens})
    if value is None:
        raise ValueError(f"unknown hparam key: {key}")
    return value


def gp_pdp(
    gp: Any,
    X: NDArray[np.float64],
    feature_idx: int,
    grid_resolution: int = 80,
    include_point: float | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Grid, mean and standard deviation of one curve; the band includes noise, as in the notebook.

    The grid runs over the column, and on to ``include_point`` where that lies outside.
    """
    from .partial import gp_partial_dependence

    X = np.asarray(X, float)
    lo, hi = float(X[:, feature_idx].min()), float(X[:, feature_idx].max())
    if include_point is not None:
        lo, hi = min(lo, float(include_point)), max(hi, float(include_point))
    grid = np.linspace(lo, hi, grid_resolution)
    drawn = gp_partial_dependence(
        gp, np.tile(grid, (X.shape[1], 1)), X, noise=True, features=[feature_idx]
    )
    return grid, drawn.mean[0], drawn.sd[0]


# Published coefficients of the quadratic law of the language-model loss in log10 of learning rate,
# batch size, data size and non-embedding parameters.
LAW_FEATURES = ("lr", "bsz", "data_size", "non_embedding_param_size")
LAW_COEFFICIENTS: dict[str, dict[str, float]] = {
    "all_data": {
        "1": 16.497915,
        "log_lr": 0.266742,
        "log_bsz": 0.907321,
        "log_data_size": -2.112344,
        "log_non_embedding_param_size": -0.308876,
        "log_lr^2": 0.148389,
        "log_bsz^2": 0.126924,
        "log_data_size^2": 0.134987,
        "log_non_embedding_param_size^2": 0.077240,
        "log_lr log_bsz": -0.081928,
        "log_lr log_data_size": -0.024850,
        "log_lr log_non_embedding_param_size": 0.121794,
        "log_bsz log_data_size": -0.123098,
        "log_bsz log_non_embedding_param_size": -0.053240,
        "log_data_size log_non_embedding_param_size": -0.082462,
    }
}
_VALUES = itemgetter(*LAW_FEATURES)


def law_values(x: NDArray[np.float64], group: str = "all_data") -> NDArray[np.float64]:
    """The published law at rows of (lr, bsz, data_size, non_embedding_param_size).

    Parameters
    ----------
    x : array_like, shape (n, 4)
        Positive values; NaN and infinity give NaN.
    group : str
        An unknown one warns, and takes the coefficients of all data.

    Returns
    -------
    numpy.ndarray, shape (n,)

    Raises
    ------
    ValueError
        A value of 0 or below.
    """
    values = np.asarray(x, np.float64)
    if np.any(values <= 0):
        raise ValueError("All inputs must be positive to compute logarithms.")
    if group not in LAW_COEFFICIENTS:
        warnings.warn(
            f"no coefficients for group {group!r}: those of 'all_data' are used", DataWarning,
            stacklevel=2,
        )  # fmt: skip
        group = "all_data"
    named = LAW_COEFFICIENTS[group]
    linear = np.array([named[f"log_{f}"] for f in LAW_FEATURES])
    square = np.zeros((4, 4))
    for i, a in enumerate(LAW_FEATURES):
        square[i, i] = named[f"log_{a}^2"]
        for j in range(i + 1, 4):
            square[i, j] = named[f"log_{a} log_{LAW_FEATURES[j]}"]
    logs = np.log10(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(named["1"] + np.einsum("ij,ij->i", logs @ square + linear, logs))


def law(input_data: Sequence[Mapping[str, float]], group: str) -> list[dict[str, float]]:
    """The published law at rows given as mappings, one ``{"lm_loss": ...}`` each.

    Raises
    ------
    KeyError
        A row without one of the four keys.
    ValueError
        A value of 0 or below, or one that is no number.

    Warns
    -----
    DataWarning
        An unknown group.

    Examples
    --------
    >>> row = {"lr": 1e-3, "bsz": 256, "data_size": 1e10, "non_embedding_param_size": 1e8}
    >>> round(law([row], "all_data")[0]["lm_loss"], 6)
    2.629138
    """
    rows = list(input_data)
    try:
        flat = np.fromiter(chain.from_iterable(map(_VALUES, rows)), np.float64, 4 * len(rows))
        table = flat.reshape(-1, 4)
        bad = bool(np.any(table <= 0))
    except (KeyError, TypeError, ValueError):
        bad = True
    if bad:  # row by row, for the first thing that is wrong; texts that are numbers pass
        table = np.array([_one_row(row) for row in rows], np.float64).reshape(-1, 4)
    return [{"lm_loss": value} for value in law_values(table, group).tolist()]


def _one_row(row: Mapping[str, float]) -> list[float]:
    found = []
    for name in LAW_FEATURES:
        if name not in row:
            raise KeyError(f"Missing required key: {name}")
        found.append(float(row[name]))
    if any(value <= 0 for value in found):
        raise ValueError("All inputs must be positive to compute logarithms.")
    return found


def fit_sweep_cells(df: pd.DataFrame, *, n_jobs: int | None = None) -> Sweep:
    """The notebook's fits of all cells: its kernel, its 95% quantile, its rule at nominal tokens.

    Parameters
    ----------
    df : pandas.DataFrame
        From `load_sweep_runs`.
    """
    runs = df.assign(nominal_tokens=df["token_bucket"].map(NOMINAL_TOKENS))
    columns: Mapping[str, str] = {"tokens": "nominal_tokens"}
    return fit_sweep(
        runs, hparams=SWEEP_HPARAMS, metric=SWEEP_METRIC, by=SWEEP_CELLS, rule=CompletedAdamH(),
        rule_columns=columns, diverged="quantile", kernel="notebook", n_restarts=3, seed=42,
        n_jobs=n_jobs,
    )  # fmt: skip
