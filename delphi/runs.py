"""Tables of training runs: read, check, name the columns, one unit each."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .budgets import budget_of, checked_budgets, round_sig
from .cells import MISSING, OK, UNKNOWN_WORD, WORDS, bad_cells, numbers, positive, words
from .columns import OPTIONAL, REQUIRED, Found, find_columns, missing_columns
from .errors import DataError, DataWarning
from .ledger import Ledger
from .readers import Table, open_tables

__all__ = [
    "ADAMH_LABEL",
    "CRASHED_STATES",
    "C_ADAMC_LABEL",
    "STANDARD_COLUMNS",
    "SUITE_KEYWORDS",
    "left_out_table",
    "match_grid",
    "read_runs",
    "round_sig",
]

ADAMH_LABEL = "Delphi Scaling Suite (AdamH)"
C_ADAMC_LABEL = "Initial Scaling Suite (Cautious AdamC)"

# First match wins: the AdamH optimal runs also carry "nemotron" in their names.
SUITE_KEYWORDS: dict[str, str] = {
    "adamh_scaling_v6": ADAMH_LABEL,
    "adamh-scaling-ladder": ADAMH_LABEL,
    "nemo": C_ADAMC_LABEL,
}

# States (lower case) of a run whose last loss is not its final loss.
CRASHED_STATES = frozenset({"crashed", "failed", "killed", "preempted"})

STANDARD_COLUMNS = (
    "name", "suite", "run_type", "seed", "params", "tokens", "flops", "budget", "loss", "state",
    "source", "row",
)  # fmt: skip

SourceLike = Any  # str | PathLike | DataFrame (pandas, polars, pyarrow) | list of any | row dicts
TEXT = ("name", "suite", "run_type", "seed", "state")
NUMBERS = (*REQUIRED, "budget")

Words = NDArray[Any]  # object array of str
SuiteRules = Mapping[str, str] | Callable[[str], "str | None"] | str | None


def read_runs(
    source: SourceLike,
    columns: Mapping[str, str] | None = None,
    suites: SuiteRules = None,
    *,
    budgets: int | Sequence[float] = 2,
    on_bad: str = "raise",
) -> pd.DataFrame:
    """Read training runs into one table with standard columns and units.

    Parameters
    ----------
    source : path, DataFrame, list of row dicts, or a list of any of these
        Files by suffix: ``.json`` (a list of row objects), ``.jsonl``, ``.csv``, ``.tsv``,
        ``.parquet``. Frames: pandas, polars, pyarrow. The caller's data are never changed.
    columns : mapping of standard name to source column, optional
        For example ``{"loss": "eval/my_set/loss"}``. Columns not named here are found by the
        names commonly used (the notebook cache's, a W&B export's and others, exact case first).
        ``"gflops"`` names a column of FLOPs counted in 1e9; a column known to be in another unit
        (``total_gflops``, ``tokens_B``) is converted whichever way it was named.
    suites : mapping, callable or str, optional
        A mapping from keyword to suite label: the first keyword that is part of the run's name,
        ignoring case, wins. A callable from name to label (None for "no opinion"). A str: one
        label for all runs. Where these say nothing: the suite column if there is one, then the
        file's stem (``"Unknown"`` for frames). Default: the suite column if there is one, else
        ``SUITE_KEYWORDS``, else the stem.
    budgets : int or sequence of float, default 2
        What FLOPs are grouped into: an int rounds to so many significant digits (of the number
        in the source, before its unit is converted); a sequence of budgets in FLOPs takes the
        nearest within 10 % on the log scale and rounds the rest to 2 digits, with a note.
        A budget column in the data is used as it is.
    on_bad : {"raise", "drop"}, default "raise"
        What to do about a cell that is no number, infinite, zero or negative in params, tokens,
        flops, budget or loss: raise an error that lists them, or leave the row out and count it.

    Returns
    -------
    pandas.DataFrame
        ``name, suite, run_type`` ("isoflop" or "optimal"), ``seed`` (str), ``params``, ``tokens``
        (counts), ``flops``, ``budget`` (FLOPs), ``loss`` (float64, as in the source), ``state``
        (lower case, empty where unknown), ``source``, ``row`` (data row there, from 1). Then
        ``depth`` (layers, NaN where unknown), if a source has it.
        ``attrs["delphi"]`` has ``sources``, ``read`` (rows seen), ``left_out`` (the first 1000
        rows left out, each with source, row, name and reason), ``left_out_counts`` (all of them,
        by reason), ``notes``, ``loss_column`` and ``columns`` (in words, which columns and units
        params, tokens, flops, budget and loss come from).

    Raises
    ------
    DataError
        A source that cannot be read, a column that is missing, or cells that cannot be used.

    Warns
    -----
    DataWarning
        Once, when rows were left out (a missing value, an exact duplicate) or a column was
        derived: flops from budget or as 6 params tokens, tokens as flops / (6 params) [1]_.

    References
    ----------
    .. [1] J. Kaplan et al., "Scaling Laws for Neural Language Models", 2020, section 2.1.

    Examples
    --------
    >>> rows = [
    ...     {"name": "iso-a", "params": 1e8, "tokens": 1.7e9, "gflops": 1.02e9, "loss": 3.9},
    ...     {"name": "iso-b", "params": 2e8, "tokens": 8.4e8, "gflops": 1.01e9, "loss": 3.8},
    ... ]
    >>> runs = read_runs(rows, suites="mine")
    >>> runs[["suite", "run_type", "budget"]].drop_duplicates().values.tolist()
    [['mine', 'isoflop', 1e+18]]
    """
    if on_bad not in ("raise", "drop"):
        raise DataError(f"on_bad is 'raise' or 'drop', not {on_bad!r}")
    buckets = checked_budgets(budgets)
    ledger = Ledger()
    tables = open_tables(source)
    parts = [_standard(table, columns, suites, buckets, ledger) for table in tables]
    if ledger.problems and on_bad == "raise":
        raise DataError(
            "values that cannot be used (data rows are counted from 1)\n"
            + "\n".join(ledger.problems)
            + "\non_bad='drop' leaves these rows out"
        )
    runs = _without_duplicates(pd.concat(parts, ignore_index=True), ledger)
    if runs.empty:
        raise DataError(f"{', '.join(t.where for t in tables)}: no usable run; {ledger.summary()}")
    if len(ledger.loss_columns) > 1:
        ledger.notes.append(f"loss comes from different columns: {', '.join(ledger.loss_columns)}")
    runs.attrs["delphi"] = {
        "sources": [table.label for table in tables],
        "read": ledger.read,
        "left_out": ledger.left_out,
        "left_out_counts": dict(ledger.counts),
        "notes": ledger.notes,
        "loss_column": ", ".join(ledger.loss_columns),
        "columns": ledger.columns,
    }
    if ledger.counts or ledger.notes:
        warnings.warn(ledger.summary(), DataWarning, stacklevel=2)
    return runs


def left_out_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Why rows were left out of a table of runs, and how many for each reason.

    Parameters
    ----------
    runs : pandas.DataFrame
        What ``read_runs`` or ``match_grid`` returned.

    Returns
    -------
    pandas.DataFrame
        ``reason`` (str) and ``rows`` (int64), the most frequent first; empty if none was left out.

    Examples
    --------
    >>> row = {"name": "a", "params": 1e8, "tokens": 2e9, "flops": 1.2e18, "loss": 3.5}
    >>> import warnings
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")
    ...     runs = read_runs([row, row])
    >>> left_out_table(runs).values.tolist()
    [['duplicate', 1]]
    """
    counts = Counter(runs.attrs.get("delphi", {}).get("left_out_counts", {})).most_common()
    return pd.DataFrame(
        {
            "reason": pd.Series([reason for reason, _ in counts], dtype="str"),
            "rows": pd.Series([n for _, n in counts], dtype=np.int64),
        }
    )


def match_grid(runs: pd.DataFrame, suite: str, reference: str) -> pd.DataFrame:
    """Leave out the isoflop runs of one suite that have no counterpart in another.

    Two ladders compare like with like when both have the same (params, budget) grid. Params are
    matched after rounding to 1e6. Held-out (optimal) runs and all other suites stay as they are.

    Parameters
    ----------
    runs : pandas.DataFrame
        Standard columns, as ``read_runs`` returns them.
    suite, reference : str
        The suite to thin out, and the suite whose grid is kept.

    Returns
    -------
    pandas.DataFrame
        The runs kept, with a fresh index; those left out are counted in ``attrs["delphi"]``.

    Raises
    ------
    DataError
        A suite that is not in ``runs``.

    Examples
    --------
    >>> row = {"tokens": 2e9, "flops": 1.2e18, "loss": 3.5}
    >>> runs = read_runs([
    ...     row | {"name": "new-1", "suite": "new", "params": 1e8},
    ...     row | {"name": "old-1", "suite": "old", "params": 1e8},
    ...     row | {"name": "old-2", "suite": "old", "params": 9e8},
    ... ])
    >>> match_grid(runs, "old", "new")["name"].tolist()
    ['new-1', 'old-1']
    """
    present = runs["suite"].unique().tolist()
    for wanted in (suite, reference):
        if wanted not in present:
            raise DataError(f"no suite {wanted!r} in these runs; they have {sorted(present)}")
    isoflop = (runs["run_type"] == "isoflop").to_numpy(bool)
    cell = pd.MultiIndex.from_arrays([(runs["params"] / 1e6).round(), runs["budget"]])
    on_grid = cell.isin(cell[isoflop & (runs["suite"] == reference).to_numpy(bool)])
    drop = isoflop & (runs["suite"] == suite).to_numpy(bool) & ~on_grid

    ledger = Ledger.of(runs)
    ledger.leave_out(runs, drop, f"not on the (params, budget) grid of {reference}")
    kept = runs[~drop].reset_index(drop=True)
    kept.attrs["delphi"] = runs.attrs.get("delphi", {}) | {
        "left_out": ledger.left_out,
        "left_out_counts": dict(ledger.counts),
    }
    return kept


def _standard(
    table: Table,
    columns: Mapping[str, str] | None,
    suites: SuiteRules,
    budgets: int | NDArray[np.float64],
    ledger: Ledger,
) -> pd.DataFrame:
    """The usable rows of one table in the standard columns."""
    found, notes = find_columns(table.where, table.columns, columns)
    derived, derivations = _derivations(table, found)
    as_text = {hit.column for standard, hit in found.items() if standard in TEXT}
    raw = table.take(list(dict.fromkeys(hit.column for hit in found.values())), as_text)
    n = len(next(iter(raw.values())))
    ledger.read += n
    ledger.notes += [f"{table.label}: {note}" for note in notes + derivations]
    flagged = [c for c in table.columns if c.lower() in ("outlier", "is_outlier")]
    ledger.notes += [
        f"{table.label}: column {c!r} is not used: runs it flags are kept" for c in flagged
    ]
    ledger.loss_columns.setdefault(found["loss"].column)
    for standard in NUMBERS:
        ledger.came_from(standard, _origin_of(standard, found, derived, budgets))

    text = {s: words(raw[found[s].column]) for s in TEXT if s in found}
    names = text.get("name", np.full(n, "", dtype=object))
    rows = pd.DataFrame({"name": names, "source": table.label, "row": np.arange(1, n + 1)})

    cells = {s: raw[hit.column] for s, hit in found.items()}
    values, why, flops_given = _numbers(found, cells)
    for standard, formula in derived.items():
        with np.errstate(over="ignore", under="ignore"):
            cells[standard] = values[standard] = formula(values)
        why[standard] = np.zeros(n, dtype=np.int8)
        positive(values[standard], why[standard])
        why[standard][np.isnan(values[standard])] = OK  # the cell it comes from is to blame
    if "run_type" in found:
        text["run_type"] = _mapped(str.lower, text["run_type"])
        known = np.isin(text["run_type"], ["", "isoflop", "optimal"])
        why["run_type"] = np.where(known, OK, UNKNOWN_WORD).astype(np.int8)
    for standard in OPTIONAL:
        if standard in found:
            values[standard], note = _optional(found[standard], cells[standard])
            ledger.notes += [f"{table.label}: {note}"] if note else []
    if "budget" in found and "flops" in found:  # then a missing budget is made up for below
        why["budget"][why["budget"] == MISSING] = OK

    usable = _usable(table, rows, found, cells, why, ledger)
    if not usable.all():
        rows, names = rows[usable], names[usable]
        values = {standard: column[usable] for standard, column in values.items()}
        text = {standard: column[usable] for standard, column in text.items()}
        flops_given = None if flops_given is None else flops_given[usable]
    for standard in REQUIRED:
        rows[standard] = values[standard]
    if flops_given is None:
        rows["budget"], n_far = budget_of(values["flops"], values["flops"], 1.0, budgets)
    else:
        factor = found["flops"].factor
        rows["budget"], n_far = budget_of(values["flops"], flops_given, factor, budgets)
    if "budget" in found:
        own = values["budget"]
        rows["budget"] = np.where(np.isnan(own), rows["budget"], own)
    elif n_far:
        ledger.notes.append(
            f"{table.label}: {n_far} runs are more than 10 % from every named budget; "
            "theirs is rounded to 2 digits"
        )
    by_name = {
        "suite": _suite(names, text.get("suite"), suites, table.suite),
        "run_type": _mapped(run_type_of, names),
        "seed": _mapped(seed_of, names),
        "state": _mapped(str.lower, text.get("state", np.full(len(names), "", dtype=object))),
    }
    for standard in ("run_type", "seed"):
        if standard in text:
            by_name[standard] = _or(text[standard], by_name[standard])
    for standard, column in (by_name | {"name": names}).items():
        rows[standard] = pd.Series(column, index=rows.index, dtype="str")
    extra = [standard for standard in OPTIONAL if standard in found]
    for standard in extra:
        rows[standard] = values[standard]
    return rows[[*STANDARD_COLUMNS, *extra]]


Formula = Callable[[dict[str, NDArray[np.float64]]], NDArray[np.float64]]
DERIVED = {"tokens": "derived as flops / (6 params)", "flops": "derived as 6 params tokens"}


def _origin_of(
    standard: str, found: Mapping[str, Found], derived: Mapping[str, Formula], budgets: Any
) -> str:
    """Where the values of a standard column come from, in words."""
    if standard in found:
        column, factor = found[standard]
        return f"column {column!r}" + ("" if factor == 1 else f" times {factor:g}")
    if standard == "flops" and "budget" in found:
        return f"derived as the budget, {_origin_of('budget', found, derived, budgets)}"
    if standard in derived:
        return DERIVED[standard]
    if isinstance(budgets, int):
        return f"derived as flops rounded to {budgets} digits"
    return "derived as the nearest of the budgets named"


def _derivations(table: Table, found: Mapping[str, Found]) -> tuple[dict[str, Formula], list[str]]:
    """How to get the required columns that are not there, in order; an error if there is no way."""
    derived: dict[str, Formula] = {}
    notes = []
    if "flops" not in found and "budget" in found:
        derived["flops"] = lambda v: v["budget"].copy()
        notes.append(f"flops are the budget ({found['budget'].column!r})")
    if "tokens" not in found and "params" in found and ("flops" in found or "flops" in derived):
        derived["tokens"] = lambda v: v["flops"] / (6.0 * v["params"])
        notes.append("tokens are derived as flops / (6 params)")
    if "flops" not in found and "flops" not in derived and {"params", "tokens"} <= set(found):
        derived["flops"] = lambda v: 6.0 * v["params"] * v["tokens"]
        notes.append("flops are derived as 6 params tokens")
    absent = [
        standard for standard in REQUIRED if standard not in found and standard not in derived
    ]
    if absent:
        raise missing_columns(table.where, absent, table.columns)
    return derived, notes


def _numbers(
    found: Mapping[str, Found], cells: Mapping[str, Any]
) -> tuple[dict[str, NDArray[np.float64]], dict[str, NDArray[np.int8]], NDArray[np.float64] | None]:
    """Standard units (NaN where unusable), why, and the FLOPs in the unit of the source."""
    values, why = {}, {}
    flops_given = None
    for standard in ("loss", "tokens", "params", "flops", "budget"):
        if standard not in found:
            continue
        given, why[standard] = numbers(cells[standard])
        with np.errstate(over="ignore"):
            values[standard] = given * found[standard].factor
        positive(values[standard], why[standard])
        values[standard][why[standard] != OK] = np.nan
        if standard == "flops":
            flops_given = given
    return values, why, flops_given


def _optional(hit: Found, given: Any) -> tuple[NDArray[np.float64], str]:
    """A column nobody needs: NaN where it is no positive number, and a note on such cells."""
    column, why = numbers(given)
    column = column * hit.factor
    positive(column, why)
    column[why != OK] = np.nan
    bad = int((why > MISSING).sum())
    return column, f"{hit.column!r} is left empty in {bad} rows: no positive number" if bad else ""


def _usable(
    table: Table,
    rows: pd.DataFrame,
    found: Mapping[str, Found],
    cells: Mapping[str, Any],
    why: Mapping[str, NDArray[np.int8]],
    ledger: Ledger,
) -> NDArray[np.bool_]:
    """Which rows have every value; the others go to the ledger under their first reason."""
    usable = np.ones(len(rows), dtype=bool)

    def leave_out(standard: str, kind: int) -> None:
        hit = usable & (why[standard] == kind)
        ledger.leave_out(rows, hit, f"{standard} {WORDS[kind]}")
        usable[hit] = False

    for standard in why:
        leave_out(standard, MISSING)
    lines = []
    for standard in why:
        bad = np.where(usable, why[standard], OK)
        if (bad != OK).any():
            column = found[standard].column if standard in found else None
            lines.append(bad_cells(standard, column, cells[standard], bad))
    if lines:
        ledger.problems.append("\n".join([f"{table.where}:", *lines]))
    for standard in why:
        for kind in np.unique(why[standard][why[standard] > MISSING]).tolist():
            leave_out(standard, kind)
    return usable


def _suite(names: Words, column: Words | None, rules: SuiteRules, fallback: str) -> Words:
    """The suite of each run: the caller's rules, then the column, then the file."""
    if isinstance(rules, str):
        return np.full(len(names), rules, dtype=object)
    if rules is None:
        rules = SUITE_KEYWORDS if column is None else {}
    if callable(rules):
        labels = [rules(name) for name in names]
        out = np.array(["" if label is None else str(label) for label in labels], dtype=object)
    elif isinstance(rules, Mapping) and all(isinstance(keyword, str) for keyword in rules):
        out = np.full(len(names), "", dtype=object)
        lowered = [name.lower() for name in names]
        for keyword, label in reversed(list(rules.items())):  # the first match has the last word
            key = keyword.lower()
            out[np.array([key in name for name in lowered], dtype=bool)] = str(label)
    else:
        raise DataError(f"suites={rules!r}: a mapping from keyword to label, a function or a str")
    if column is not None:
        out = _or(out, column)
    return _or(out, fallback)


def _or(first: Words, second: Words | str) -> Words:
    """``first`` where it says something, else ``second``."""
    return np.where(first == "", second, first)


def _mapped(rule: Callable[[str], str], text: Words) -> Words:
    out = np.empty(len(text), dtype=object)
    out[:] = [rule(word) for word in text]
    return out


def seed_of(name: str) -> str:
    """The digits of ``-seed<digits>-`` in a run's name, else ``default``."""
    match = _SEED.search(name)
    return match.group(1) if match else "default"


_SEED = re.compile(r"-seed(\d+)-")


def run_type_of(name: str) -> str:
    """``optimal`` for a held-out run, by its name; else ``isoflop``."""
    return "optimal" if "optimal" in name.lower() else "isoflop"


def _without_duplicates(runs: pd.DataFrame, ledger: Ledger) -> pd.DataFrame:
    """Keep the first of rows that agree in every standard value; then name the nameless."""
    values = [c for c in runs.columns if c not in ("source", "row")]
    twins = runs[runs["loss"].duplicated(keep=False)]  # cheap; only these need a full look
    again = twins.index[twins.duplicated(values)]
    if len(again):
        place = pd.Series(twins.index, index=twins.index)
        first = place.groupby([twins[c] for c in values], sort=False).transform("first")[again]
        copies, originals = runs.loc[again], runs.loc[first]
        detail = [
            f"of row {row}" + ("" if source == own else f" of {source}")
            for row, source, own in zip(
                originals["row"], originals["source"], copies["source"], strict=True
            )
        ]
        ledger.leave_out(copies, np.ones(len(copies), dtype=bool), "duplicate", detail)
        runs = runs.drop(again).reset_index(drop=True)
    nameless = runs["name"] == ""
    if nameless.any():
        runs["name"] = runs["name"].mask(nameless, "row " + runs["row"].astype("str"))
    return runs
