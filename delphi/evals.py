"""Evaluations of models as one plain table: compute, a soft metric, an accuracy."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .arrays import as_array
from .emergence import finite_column, shares
from .errors import DataError
from .readers import open_tables

__all__ = ["BENCHMARKS", "NAME_RULES", "pretty_name", "read_eval_caches", "read_evals"]

COLUMNS = ("task", "model", "compute", "soft", "hard", "n_problems", "pool")
MOST_LISTED = 12  # columns of a file in a message
# Names under which exports carry the standard columns; the standard name itself comes first.
ALIASES: dict[str, tuple[str, ...]] = {
    "task": ("task", "benchmark"),
    "model": ("model", "display_name", "run_name", "name"),
    "compute": ("compute", "budget", "flops"),
    "soft": ("soft", "choice_logprob", "macro_bpb", "logprob", "bpb"),
    "hard": ("hard", "accuracy", "pass_at_1", "exact_match_flex", "exact_match"),
    "n_problems": ("n_problems",),
    "pool": ("pool",),
}
# What chance scores, and how many problems there are.
BENCHMARKS: dict[str, dict[str, float]] = {
    "MMLU": {"floor": 0.25, "n_problems": 14042},
    "HumanEval": {"floor": 0.0, "n_problems": 164},
    "GSM8K": {"floor": 0.0, "n_problems": 1319},
}

Rule = tuple[str, Callable[[re.Match[str]], str]]


def _dotted(major: str, minor: str | None) -> str:
    return f"{major}.{minor}" if minor else major


def _marin(found: re.Match[str]) -> str:
    words = found[0].split("-")
    return " ".join(w.upper() if re.fullmatch(r"\d+b", w, re.I) else w.capitalize() for w in words)


# (pattern, label from the match), tried in order on the part of a run's name after "--".
NAME_RULES: tuple[Rule, ...] = (
    (r"Qwen3-(?:(\d)-)?(\d+B)", lambda m: f"Qwen 3 Base {m[1] + '.' if m[1] else ''}{m[2]}"),
    (r"Llama-(\d+)(?:-(\d+))?-(\d+[A-Za-z]+)",
     lambda m: f"Llama {_dotted(m[1], m[2])} {m[3].upper()}"),
    (r"OLMo-(\d+)-\d{4}-(\d+[A-Za-z]+)", lambda m: f"OLMo {m[1]} {m[2].upper()}"),
    (r"marin-.*", _marin),
)  # fmt: skip


def pretty_name(name: str, rules: Sequence[Rule] = NAME_RULES) -> str:
    """A label for people from the name of an evaluation run.

    Region, organisation, branch and hash are dropped; dashes that stand for dots become dots where
    a family is known to write them so.

    Parameters
    ----------
    name : str
        As logged by the evaluation harness, ``<region>-<organisation>--<model>--<hash>_lmeval...``.
    rules : sequence of (pattern, function of the match)
        Tried in order at the beginning of the model's part; put your own before `NAME_RULES`.

    Examples
    --------
    >>> pretty_name("marin-us-central1-Qwen--Qwen3-0-6B-Base--837037_lmeval_mmlu_5shot")
    'Qwen 3 Base 0.6B'
    >>> pretty_name("eu-x--Foo-7b--main", [(r"Foo-(\\d+)b", lambda m: f"Foo {m[1]}B"), *NAME_RULES])
    'Foo 7B'
    """
    mix = re.match(r"isoflop-(\d+e[+\-]\d+)-", name)
    if mix:
        return f"comma-mix @ {mix[1].replace('+', '')} FLOPs"
    parts = re.sub(r"_lmeval.*$", "", re.sub(r"^marin-us-\w+-", "", name)).split("--")
    if len(parts) < 2:
        return name
    for pattern, label in rules:
        found = re.match(pattern, parts[1])
        if found:
            return label(found)
    return re.sub(r"-(?:Base|hf)$", "", parts[1])


def read_evals(
    source: Any,
    *,
    task: str | None = None,
    pool: bool | None = None,
    n_problems: float | None = None,
    columns: Mapping[str, str] | None = None,
    leave_out: str | None = None,
    rules: Sequence[Rule] = NAME_RULES,
) -> pd.DataFrame:
    """Read evaluations from files or frames into one table.

    Parameters
    ----------
    source : path, DataFrame, list of row dicts, or a list of these
        CSV, JSON or parquet, one row an evaluation of a model on a task. A task may be said by a
        column; a ``shot`` column is added to its name.
    task : str, optional
        The task of rows that do not say it.
    pool : bool, optional
        Whether these are external models, whose compute does not count. By default rows without
        compute are.
    n_problems : float, optional
        Problems of the task, where no column says it; known for MMLU, HumanEval and GSM8K.
    columns : mapping, optional
        Standard name -> name in the source, for what the aliases do not cover. Standard names:
        task, model, compute, soft, hard, n_problems, pool.
    leave_out : str, optional
        Leave out models whose name holds this text; ``attrs["left_out"]`` counts them.
    rules : sequence
        For `pretty_name`.

    Returns
    -------
    pandas.DataFrame
        task, model, compute (FLOPs; NaN for the pool), soft (as logged: log-probability below 0,
        bits per byte above), hard (accuracy in [0, 1]; NaN where missing), n_problems (NaN where
        unknown), pool. Sorted by task, pool and compute. Rows without soft metric are left out;
        ``attrs["left_out"]`` counts them.

    Raises
    ------
    DataError
        No column of the soft metric or the accuracy, an unknown standard name, cells that are no
        numbers, accuracies outside [0, 1], or nothing left.

    Examples
    --------
    >>> rows = [{"budget": 1e18, "choice_logprob": -1.3, "accuracy": 0.26},
    ...         {"budget": 1e19, "choice_logprob": -1.1, "accuracy": 0.31}]
    >>> table = read_evals(rows, task="MMLU 5-Shot")
    >>> table["soft"].tolist(), table["n_problems"].tolist(), table["pool"].tolist()
    ([-1.3, -1.1], [14042, 14042], [False, False])
    """
    own = dict(columns or {})
    strange = set(own) - set(COLUMNS)
    if strange:
        raise DataError(f"columns: no standard name {sorted(strange)}; known: {', '.join(COLUMNS)}")
    frames = [
        _one_source(table, own, task, pool, n_problems, leave_out, rules)
        for table in open_tables(source)
    ]
    out = pd.concat(frames, ignore_index=True)
    left_out = sum(frame.attrs["left_out"] for frame in frames)
    if out.empty:
        raise DataError(f"no evaluation left: {left_out} rows without soft metric or left out")
    out = out.sort_values(["task", "pool", "compute"], kind="stable", ignore_index=True)
    out.attrs["left_out"] = left_out
    return out


def _find(table: Any, name: str, own: Mapping[str, str]) -> str | None:
    if name in own:
        if own[name] not in table.columns:
            listed = ", ".join(map(repr, table.columns))
            raise DataError(f"{table.where}: no column {own[name]!r} for {name}; it has {listed}")
        return own[name]
    return next((alias for alias in ALIASES[name] if alias in table.columns), None)


def _refuse(table: Any, found: Mapping[str, str | None]) -> None:
    """Says all that is missing at once, and what shape of table is wanted."""
    missing = [name for name in ("soft", "hard") if found[name] is None]
    if not missing:
        return
    if found["compute"] is None:
        missing.append("compute")
    wanted = "; ".join(f"no column for {n} (any of {', '.join(ALIASES[n])})" for n in missing)
    has = [repr(c) for c in table.columns]
    more = f" and {len(has) - MOST_LISTED} more" if len(has) > MOST_LISTED else ""
    raise DataError(
        f"{table.where}: {wanted}; it has {', '.join(has[:MOST_LISTED])}{more}. Wanted is one row "
        f"a model and task, with columns {', '.join(COLUMNS)}; other names by "
        f"read_evals(..., columns={{{missing[0]!r}: ...}})"
    )


def _one_source(
    table: Any,
    own: Mapping[str, str],
    task: str | None,
    pool: bool | None,
    n_problems: float | None,
    leave_out: str | None,
    rules: Sequence[Rule],
) -> pd.DataFrame:
    found = {name: _find(table, name, own) for name in COLUMNS}
    _refuse(table, found)
    names = {name: column for name, column in found.items() if column is not None}
    shot = "shot" if "shot" in table.columns else None
    wanted = list(dict.fromkeys([*names.values(), *([shot] if shot else [])]))
    text = {names[n] for n in ("task", "model") if n in names}
    raw = table.take(wanted, text)

    def numbers(name: str) -> np.ndarray[Any, Any]:
        return finite_column(raw[names[name]], f"{table.label}: {names[name]}", missing=True)

    soft = numbers("soft")
    n = len(soft)
    frame = pd.DataFrame({"soft": soft})
    frame["hard"] = shares(raw[names["hard"]], f"{table.label}: {names['hard']}", missing=True)
    frame["compute"] = numbers("compute") if "compute" in names else np.full(n, np.nan)
    external = frame["compute"].isna() if pool is None else np.full(n, pool)
    if "pool" in names:
        external = as_array(raw[names["pool"]], "pool").astype(bool)
    frame["pool"] = external
    frame.loc[frame["pool"], "compute"] = np.nan
    models = [str(m) for m in raw[names["model"]]] if "model" in names else [""] * n
    frame["model"] = [pretty_name(m, rules) for m in models]
    frame["task"] = [str(t) for t in raw[names["task"]]] if "task" in names else (task or "task")
    if shot:
        shots = [f" {int(s)}-Shot" for s in finite_column(raw[shot], "shot")]
        frame["task"] = frame["task"] + pd.Series(shots, dtype=object)
    if "n_problems" in names:
        frame["n_problems"] = numbers("n_problems")
    elif n_problems is not None:
        frame["n_problems"] = float(n_problems)
    else:
        frame["n_problems"] = [_known(t, "n_problems") for t in frame["task"]]
    unwanted = np.array([bool(leave_out) and str(leave_out).lower() in m.lower() for m in models])
    kept = frame[np.isfinite(soft) & ~unwanted][list(COLUMNS)]
    lost = kept["compute"].isna() & ~kept["pool"]
    if lost.any():
        raise DataError(f"{table.where}: {int(lost.sum())} rows of the ladder have no compute")
    kept.attrs["left_out"] = n - len(kept)
    return kept


def _known(task: str, what: str) -> float:
    """A number from `BENCHMARKS` by the beginning of a task's name, NaN if it is not there."""
    return next((b[what] for name, b in BENCHMARKS.items() if task.startswith(name)), np.nan)


def read_eval_caches(folder: str | Path) -> pd.DataFrame:
    """All evaluation caches of a folder: mmlu, humaneval and gsm8k ``.json`` with their pools.

    The MMLU pool has no shots of its own and serves every shot count of the ladder; its comma-mix
    runs are left out, since they are scaling runs and no released models.

    Returns
    -------
    pandas.DataFrame
        As `read_evals`, tasks "MMLU 0-Shot", "MMLU 5-Shot", "HumanEval 10-Shot", "GSM8K 5-Shot".

    Raises
    ------
    DataError
        No cache in the folder.
    """
    where = Path(folder)
    tasks = {"mmlu": "MMLU", "humaneval": "HumanEval 10-Shot", "gsm8k": "GSM8K 5-Shot"}
    frames = []
    for stem, task in tasks.items():
        ladder, external = where / f"{stem}.json", where / f"{stem}_external.json"
        if not ladder.exists():
            continue
        own = read_evals(ladder, task=task, pool=False)
        frames.append(own)
        if external.exists():
            others = read_evals(external, task=task, pool=True, leave_out="comma")
            frames += [others.assign(task=name) for name in own["task"].unique()]
    if not frames:
        raise DataError(f"{where}: none of {', '.join(f'{s}.json' for s in tasks)}")
    out = pd.concat(frames, ignore_index=True)
    return out.sort_values(["task", "pool", "compute"], kind="stable", ignore_index=True)
