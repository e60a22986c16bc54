"""Evaluations of models as one plain table: compute, a soft metric, an accuracy."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .arrays import as_array
from .columns import ALIASES as RUN_ALIASES
from .emergence import finite_column, shares
from .errors import DataError
from .readers import open_tables

__all__ = ["BENCHMARKS", "NAME_RULES", "pretty_name", "read_eval_caches", "read_evals"]

TASK = "{task}"  # stands for the task in the name of a column
COLUMNS = ("task", "model", "compute", "soft", "hard", "n_problems", "pool")
PER_TASK = ("soft", "hard", "n_problems")  # what a wide table may have a column of for every task
MOST_LISTED = 12  # columns of a file in a message
MOST_ALIASES = 6
# Names under which exports carry the standard columns; the standard name itself comes first.
ALIASES: dict[str, tuple[str, ...]] = {
    "task": ("task", "benchmark"),
    "model": ("model", "display_name", "run_name", "name"),
    "compute": ("compute", "budget", *RUN_ALIASES["flops"]),
    "soft": ("soft", "choice_logprob", "macro_bpb", "logprob", "bpb"),
    "hard": ("hard", "accuracy", "pass_at_1", "exact_match_flex", "exact_match"),
    "n_problems": ("n_problems",),
    "pool": ("pool",),
    "step": (),  # taken only where the caller names it
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
    columns: Mapping[str, str | Sequence[str]] | None = None,
    leave_out: str | None = None,
    rules: Sequence[Rule] = NAME_RULES,
) -> pd.DataFrame:
    """Read evaluations from files or frames into one table.

    Parameters
    ----------
    source : path, DataFrame, list of row dicts, or a list of these
        CSV, JSON or parquet, one row an evaluation of a model on a task, or one row a model (and
        step) with columns for each task: then ``columns`` says how these are called. A task may be
        said by a column; a ``shot`` column is added to its name.
    task : str, optional
        The task of rows that do not say it.
    pool : bool, optional
        Whether these are external models, whose compute does not count. By default rows without
        compute are.
    n_problems : float, optional
        Problems of the task, where no column says it; known for MMLU, HumanEval and GSM8K.
    columns : mapping, optional
        Standard name -> name in the source, for what the aliases do not cover. Standard names:
        task, model, compute (FLOPs; GFLOPs where the column is a known one of these), soft, hard,
        n_problems, pool, and step. With a step, only the last step of each model on which a task
        was evaluated is kept. Of a wide table soft and hard (and n_problems) are patterns in which
        ``{task}`` stands for the task, or lists of patterns, of which the first that is there
        counts.
    leave_out : str, optional
        Leave out models whose name holds this text.
    rules : sequence
        For `pretty_name`.

    Returns
    -------
    pandas.DataFrame
        task, model, compute (FLOPs; NaN for the pool), soft (as logged: log-probability below 0,
        bits per byte above), hard (accuracy in [0, 1]; NaN where missing), n_problems (NaN where
        unknown), pool. Sorted by task, pool and compute. Evaluations without soft metric, by name
        and of earlier steps are left out: ``attrs["left_out"]`` counts them, ``attrs["account"]``
        by reason.

    Raises
    ------
    DataError
        No column of the soft metric or the accuracy (of a task, in a wide table), an unknown
        standard name, cells that are no numbers, accuracies outside [0, 1], two rows of one model
        and step, or nothing left.

    Examples
    --------
    >>> rows = [{"budget": 1e18, "choice_logprob": -1.3, "accuracy": 0.26},
    ...         {"budget": 1e19, "choice_logprob": -1.1, "accuracy": 0.31}]
    >>> table = read_evals(rows, task="MMLU 5-Shot")
    >>> table["soft"].tolist(), table["n_problems"].tolist(), table["pool"].tolist()
    ([-1.3, -1.1], [14042, 14042], [False, False])

    A wide table: a row a run and step, two columns a task.

    >>> wide = [{"run": "a", "step": 1, "gflops": 1e9, "bpb/quiz": 1.4, "acc/quiz": 0.26},
    ...         {"run": "a", "step": 2, "gflops": 2e9, "bpb/quiz": 1.2, "acc/quiz": 0.31}]
    >>> table = read_evals(wide, columns={"soft": "bpb/{task}", "hard": "acc/{task}",
    ...                                   "model": "run", "step": "step"})
    >>> table[["task", "compute", "soft", "hard"]].to_numpy().tolist(), table.attrs["account"]
    ([['quiz', 2e+18, 1.2, 0.31]], {'an earlier step': 1})
    """
    own = dict(columns or {})
    strange = set(own) - set(ALIASES)
    if strange:
        raise DataError(f"columns: no standard name {sorted(strange)}; known: {', '.join(ALIASES)}")
    frames = [
        _one_source(table, own, task, pool, n_problems, leave_out, rules)
        for table in open_tables(source)
    ]
    out = pd.concat(frames, ignore_index=True)
    account: dict[str, int] = {}
    for frame in frames:
        for why, n in frame.attrs["account"].items():
            account[why] = account.get(why, 0) + n
    if out.empty:
        reasons = "; ".join(f"{n} are left out: {why}" for why, n in account.items())
        raise DataError(f"no evaluation left: {reasons}")
    out = out.sort_values(["task", "pool", "compute"], kind="stable", ignore_index=True)
    out.attrs["left_out"] = sum(account.values())
    out.attrs["account"] = account
    return out


def _find(table: Any, name: str, own: Mapping[str, Any]) -> str | None:
    if name in own:
        if own[name] not in table.columns:
            listed = _listed(table.columns)
            raise DataError(f"{table.where}: no column {own[name]!r} for {name}; it has {listed}")
        return str(own[name])
    return next((alias for alias in ALIASES[name] if alias in table.columns), None)


def _listed(columns: Sequence[str]) -> str:
    """The first columns of a table, for messages."""
    more = f" and {len(columns) - MOST_LISTED} more" if len(columns) > MOST_LISTED else ""
    return ", ".join(map(repr, columns[:MOST_LISTED])) + more


def _refuse(table: Any, found: Mapping[str, str | None]) -> None:
    """Says all that is missing at once, and what shape of table is wanted."""
    missing = [name for name in ("soft", "hard") if found[name] is None]
    if not missing:
        return
    if found["compute"] is None:
        missing.append("compute")
    wanted = "; ".join(
        f"no column for {n} (any of {', '.join(ALIASES[n][:MOST_ALIASES])})" for n in missing
    )
    raise DataError(
        f"{table.where}: {wanted}; it has {_listed(table.columns)}. Wanted is one row "
        f"a model and task, with columns {', '.join(COLUMNS)}; other names by "
        f"read_evals(..., columns={{{missing[0]!r}: ...}}), with {TASK} in them where every task "
        "has columns of its own"
    )


def _patterns(own: Mapping[str, Any], name: str) -> list[str]:
    """What the caller says of a column, as a list."""
    said = own.get(name, [])
    patterns = [said] if isinstance(said, str) else list(said)
    if any(not isinstance(p, str) or p.count(TASK) > 1 for p in patterns):
        raise DataError(f"columns: {name} is {said!r}; expected names with {TASK} once in each")
    return patterns


def _wide_columns(table: Any, own: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Task -> its columns, of a table in which every task has columns of its own; else nothing."""
    patterns = {name: _patterns(own, name) for name in PER_TASK}
    wide = {name: ps for name, ps in patterns.items() if any(TASK in p for p in ps)}
    many = [name for name in own if name not in wide and len(_patterns(own, name)) != 1]
    if many:
        raise DataError(f"columns: {many[0]} is {own[many[0]]!r}; expected one name")
    if not wide:
        return {}
    for name in ("soft", "hard"):
        if not patterns[name] or any(TASK not in p for p in patterns[name]):
            raise DataError(f"columns: {TASK} must stand in the names of both soft and hard")
    strange = [name for name in set(own) - set(PER_TASK) if TASK in own[name]]
    if strange:
        raise DataError(f"columns: {TASK} cannot stand in the name of {strange[0]}")
    if "task" in own:
        raise DataError(f"columns: task and {TASK} exclude each other")
    columns: dict[str, dict[str, str]] = {}
    for pattern in patterns["soft"]:
        head, _, tail = pattern.partition(TASK)
        for column in table.columns:
            inside = len(column) > len(head) + len(tail)
            if inside and column.startswith(head) and column.endswith(tail):
                columns.setdefault(column[len(head) : len(column) - len(tail)], {"soft": column})
    if not columns:
        told = " or ".join(map(repr, patterns["soft"]))
        raise DataError(
            f"{table.where}: no column for soft matches {told}; it has {_listed(table.columns)}"
        )
    for task, names in columns.items():
        for name in set(wide) - {"soft"}:
            tried = [p.replace(TASK, task) for p in wide[name]]
            there = next((c for c in tried if c in table.columns), None)
            if there is None:
                told = " or ".join(map(repr, tried))
                raise DataError(
                    f"{table.where}: {names['soft']!r} has no column for {name}: no {told}"
                )
            names[name] = there
    return columns


def _one_source(
    table: Any,
    own: Mapping[str, Any],
    task: str | None,
    pool: bool | None,
    n_problems: float | None,
    leave_out: str | None,
    rules: Sequence[Rule],
) -> pd.DataFrame:
    wide = _wide_columns(table, own)
    per_task = set(next(iter(wide.values()), ()))
    found = {name: None if name in per_task else _find(table, name, own) for name in ALIASES}
    if not wide:
        _refuse(table, found)
    shared = {name: column for name, column in found.items() if column is not None}
    if wide:
        shared.pop("task", None)
        shared = {name: column for name, column in shared.items() if name not in ("soft", "hard")}
    shot = "shot" if "shot" in table.columns else None
    tasks = wide or {"": {}}
    wanted = [*shared.values(), *(c for names in tasks.values() for c in names.values())]
    wanted = list(dict.fromkeys([*wanted, *([shot] if shot else [])]))
    raw = table.take(wanted, {shared[n] for n in ("task", "model") if n in shared})
    parts = []
    for name, own_columns in tasks.items():
        names = shared | own_columns
        frame = _one_task(table, raw, names, name or task, pool, rules)
        if shot:
            shots = [f" {int(s)}-Shot" for s in finite_column(raw[shot], "shot")]
            frame["task"] = frame["task"] + pd.Series(shots, dtype=object)
        if "n_problems" not in names:
            frame["n_problems"] = (
                [_known(t, "n_problems") for t in frame["task"]]
                if n_problems is None
                else float(n_problems)
            )
        parts.append(frame)
    frame = pd.concat(parts, ignore_index=True)
    reason = np.where(np.isfinite(frame["soft"]), "", "no soft metric").astype(object)
    if leave_out:
        named = frame["raw_name"].str.lower().str.contains(str(leave_out).lower(), regex=False)
        reason[(reason == "") & named.to_numpy()] = f"a model with {str(leave_out)!r} in its name"
    open_rows = frame[reason == ""]
    if "step" in shared:
        latest = _latest(table, open_rows, shared)
        reason[open_rows.index.difference(latest)] = "an earlier step"
    elif wide and "model" in shared:
        _one_row_each(table, open_rows, ["task", "raw_name"], "name the column of their step")
    kept = frame[reason == ""][list(COLUMNS)]
    lost = kept["compute"].isna() & ~kept["pool"]
    if lost.any():
        raise DataError(f"{table.where}: {int(lost.sum())} rows of the ladder have no compute")
    why, counts = np.unique(reason[reason != ""].astype(str), return_counts=True)
    kept.attrs["account"] = {str(w): int(n) for w, n in zip(why, counts, strict=True)}
    return kept


def _one_task(
    table: Any,
    raw: Mapping[str, Any],
    names: Mapping[str, str],
    task: str | None,
    pool: bool | None,
    rules: Sequence[Rule],
) -> pd.DataFrame:
    """All rows of a source on the task that its columns are of, with the row's number and step."""

    def numbers(name: str) -> np.ndarray[Any, Any]:
        return finite_column(raw[names[name]], f"{table.label}: {names[name]}", missing=True)

    soft = numbers("soft")
    n = len(soft)
    frame = pd.DataFrame({"soft": soft, "row": np.arange(1, n + 1)})
    frame["hard"] = shares(raw[names["hard"]], f"{table.label}: {names['hard']}", missing=True)
    unit = RUN_ALIASES["flops"].get(names.get("compute", ""), 1.0)
    frame["compute"] = unit * numbers("compute") if "compute" in names else np.full(n, np.nan)
    external = frame["compute"].isna() if pool is None else np.full(n, pool)
    if "pool" in names:
        external = as_array(raw[names["pool"]], "pool").astype(bool)
    frame["pool"] = external
    frame.loc[frame["pool"], "compute"] = np.nan
    models = [str(m) for m in raw[names["model"]]] if "model" in names else [""] * n
    frame["raw_name"] = pd.Series(models, dtype=object)
    frame["model"] = [pretty_name(m, rules) for m in models]
    frame["task"] = [str(t) for t in raw[names["task"]]] if "task" in names else (task or "task")
    if "n_problems" in names:
        frame["n_problems"] = numbers("n_problems")
    if "step" in names:
        frame["step"] = numbers("step")
    return frame


def _latest(table: Any, rows: pd.DataFrame, names: Mapping[str, str]) -> pd.Index[Any]:
    """Index of the last step of each model and task."""
    if "model" not in names:
        raise DataError(f"{table.where}: steps need a column for model, to tell runs apart")
    blank = rows[rows["step"].isna()]
    if len(blank):
        row = int(blank["row"].iloc[0])
        raise DataError(f"{table.label}: {names['step']}: row {row} has no step")
    _one_row_each(table, rows, ["task", "raw_name", "step"], "another column has to be the model")
    return pd.Index(rows.groupby(["task", "raw_name"])["step"].idxmax())


def _one_row_each(table: Any, rows: pd.DataFrame, key: list[str], hint: str) -> None:
    """An error where two rows have the same key."""
    twice = rows[rows.duplicated(key, keep=False)]
    if twice.empty:
        return
    first = twice.iloc[0]
    same = twice[(twice[key] == first[key]).all(axis=1)]["row"].tolist()
    at = f" at step {first['step']:g}" if "step" in key else ""
    raise DataError(
        f"{table.label}: rows {same[0]} and {same[1]} are both {first['raw_name']!r} on "
        f"{first['task']}{at}; {hint}"
    )


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
