"""The notebook's names and numbers of runs: suites, seeds, rounding, the cache of runs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from . import budgets
from .runs import ADAMH_LABEL, C_ADAMC_LABEL, SUITE_KEYWORDS, run_type_of, seed_of

__all__ = [
    "ADAMH_LABEL",
    "C_ADAMC_LABEL",
    "QUANTIZER_KEYWORDS",
    "fmt_pct_err",
    "fmt_sci",
    "load_runs",
    "parse_quantizer",
    "parse_seed",
    "round_sig",
    "subsample_cadamc_to_adamh_grid",
]

QUANTIZER_KEYWORDS = SUITE_KEYWORDS


def parse_quantizer(name: str) -> str:
    """Suite label of a run: that of the first keyword in its name, else ``"Unknown"``.

    Examples
    --------
    >>> parse_quantizer("adamh-scaling-ladder-nemotron-optimal-1e+21-v5-e5a694")
    'Delphi Scaling Suite (AdamH)'
    """
    lowered = name.lower()
    return next((label for word, label in QUANTIZER_KEYWORDS.items() if word in lowered), "Unknown")


def parse_seed(name: str) -> str:
    """Digits of ``-seed<digits>-`` in a run's name, else ``"default"``.

    Examples
    --------
    >>> parse_seed("optimal-1e+22-v5-seed42-3bd9c9"), parse_seed("optimal-1e+22-v5-fb22ab")
    ('42', 'default')
    """
    return seed_of(name)


def round_sig(x: float, sig: int = 2) -> float:
    """Round a number to ``sig`` significant digits; zero and NaN come back as they are.

    Examples
    --------
    >>> round_sig(2996073051.4)
    3000000000.0
    """
    return float(budgets.round_sig(float(x), max(sig, 1)))


def fmt_sci(x: float) -> str:
    """A number as ``1.8e+18``: at most three digits, no trailing zeros.

    A mantissa that rounds up to 10 reads as 1 of the same exponent, as in the notebook.

    Examples
    --------
    >>> fmt_sci(1.8e18), fmt_sci(0.0)
    ('1.8e+18', '0.0')
    """
    if x == 0 or np.isnan(x):
        return str(x)
    power = int(np.floor(np.log10(abs(x))))
    mantissa = f"{x / 10**power:.3g}"
    return f"{mantissa.rstrip('0').rstrip('.')}e{power:+d}"


def fmt_pct_err(pct: float) -> str:
    """A percent residual in words: above the fit is worse, below is better, NaN is empty.

    Examples
    --------
    >>> fmt_pct_err(1.25), fmt_pct_err(-0.31)
    ('1.2% worse', '0.3% better')
    """
    if np.isnan(pct):
        return ""
    return f"{abs(pct):.1f}% {'worse' if pct >= 0 else 'better'}"


def load_runs(cache_path: Path) -> pd.DataFrame:
    """Read a cache of runs and add ``quantizer``, ``run_type`` and the bucket ``gflops_q``.

    Parameters
    ----------
    cache_path : Path
        JSON list of rows with name, loss, tokens, total_gflops (GFLOPs), params and state.

    Returns
    -------
    pandas.DataFrame
        The rows that have loss, tokens, total_gflops and params, under their original index.

    Raises
    ------
    SystemExit
        The file does not exist.
    """
    path = Path(cache_path)
    if not path.exists():
        raise SystemExit(f"no cache of runs at {path}: export the runs first")
    df = pd.DataFrame(json.loads(path.read_text()))
    df["quantizer"] = df["name"].map(parse_quantizer)
    df["run_type"] = df["name"].map(run_type_of)
    df = df.dropna(subset=["loss", "tokens", "total_gflops", "params"]).copy()
    df["gflops_q"] = budgets.round_sig(df["total_gflops"].to_numpy(float), 2)
    return df


def subsample_cadamc_to_adamh_grid(df: pd.DataFrame) -> pd.DataFrame:
    """Drop C-AdamC isoflop runs whose (params, gflops_q) has no AdamH isoflop run.

    Params are matched after rounding to 1e6. ``delphi.match_grid`` does this for any two suites.

    Parameters
    ----------
    df : pandas.DataFrame
        What ``load_runs`` returns.

    Returns
    -------
    pandas.DataFrame
        The rows kept, with a fresh index.
    """
    cell = pd.MultiIndex.from_arrays([(df["params"] / 1e6).round(), df["gflops_q"]])
    isoflop = (df["run_type"] == "isoflop").to_numpy(bool)
    on_grid = cell.isin(cell[isoflop & (df["quantizer"] == ADAMH_LABEL).to_numpy(bool)])
    cadamc = isoflop & (df["quantizer"] == C_ADAMC_LABEL).to_numpy(bool)
    return df[~cadamc | on_grid].reset_index(drop=True)
