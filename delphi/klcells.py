"""Folders of KL measurements, one a cell, as trajectories: nothing is skipped without a word."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .errors import DataError, DataWarning
from .kl import KLTrajectories, left_out_text, no_rows_left_out

__all__ = ["read_kl"]

FILES = ("calib.json", "trajectory.json", "pmass.json")
Row = tuple[str, float, int, int, NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]


@dataclass
class _Account:
    """Rollouts read so far, and what was left out and assumed."""

    rows: list[Row] = field(default_factory=list)
    out: list[dict[str, Any]] = field(default_factory=list)
    assumed: dict[str, int] = field(default_factory=dict)
    n_rollouts: int = 0

    def leave_out(
        self, cell: str, reason: str, alpha: float | None = None, prompt: int | None = None,
        n: int = 1,
    ) -> None:  # fmt: skip
        self.out.append({"cell": cell, "alpha": alpha, "prompt": prompt, "n": n, "reason": reason})


class _Unusable(Exception):
    """A cell, an alpha or a rollout that cannot be read; the text says why."""


def read_kl(
    root: str | os.PathLike[str],
    model_contains: str | None = None,
    alphas: Iterable[float | str] | None = None,
) -> KLTrajectories:
    """Read the KL trajectories of every cell folder below a root.

    A cell is a folder with ``calib.json``, ``trajectory.json`` (``per_prompt_per_t_kl``: KL per
    token by alpha and prompt) and ``pmass.json`` (``fork_points``, and by alpha and prompt
    ``pmass_eval`` and ``gen_lens_eval``). Folders whose name begins with an underscore or a dot are
    no cells.

    Parameters
    ----------
    root : path-like
        The folder with the cells.
    model_contains : str, optional
        Only cells with this in their name.
    alphas : iterable of float or str, optional
        Only these strengths; "1" and "1.0" are the same.

    Returns
    -------
    KLTrajectories
        Sorted by alpha, then cell, then prompt; ``left_out`` lists what could not be used.

    Raises
    ------
    DataError
        No such folder, no cell in it, or not one usable rollout (the reasons are listed).

    Warns
    -----
    DataWarning
        Cells or rollouts were left out, or the length of a generation was not given.

    Examples
    --------
    >>> import json, pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     cell = pathlib.Path(folder) / "model_cell0"
    ...     cell.mkdir()
    ...     parts = {"calib": {}, "trajectory": {"per_prompt_per_t_kl": {"1.0": [[0.1, 0.2]]}},
    ...              "pmass": {"fork_points": [0], "pmass_eval": {"1.0": [[0.99]]},
    ...                        "gen_lens_eval": {"1.0": [2]}}}
    ...     for name, part in parts.items():
    ...         _ = (cell / f"{name}.json").write_text(json.dumps(part))
    ...     read_kl(folder)
    KLTrajectories(1 rollouts, 1 alphas)
    """
    wanted = _wanted(alphas)
    cells = _cells(Path(root), model_contains)
    account = _Account()
    for cell in cells:
        try:
            _read_cell(cell, wanted, account)
        except _Unusable as error:
            account.leave_out(cell.name, str(error))
    left_out = pd.DataFrame(account.out) if account.out else no_rows_left_out()
    if not account.rows:
        reasons = left_out_text(left_out) or f"no cell has alpha {_listed(wanted)}"
        raise DataError(f"{root}: no usable rollout in {len(cells)} cells: {reasons}")
    notes = [f"{what}: {n} rollouts" for what, n in account.assumed.items()]
    if wanted is not None:
        absent = sorted(wanted - {row[1] for row in account.rows})
        notes += [f"no usable rollout of alpha {_listed(absent)}"] if absent else []
    said = [f"left out {left_out_text(left_out)}"] if len(left_out) else []
    if said or notes:
        warnings.warn(f"{root}: " + "; ".join(said + notes), DataWarning, stacklevel=2)
    return _trajectories(account.rows, left_out, tuple(notes))


def _wanted(alphas: Iterable[float | str] | None) -> set[float] | None:
    if alphas is None:
        return None
    listed = [alphas] if isinstance(alphas, (str, int, float)) else list(alphas)
    values = set()
    for alpha in listed:
        value = _number(alpha)
        if value is None:
            raise DataError(f"alphas: expected finite numbers, got {alpha!r}")
        values.add(value)
    if not values:
        raise DataError("alphas: expected at least one")
    return values


def _number(text: Any) -> float | None:
    try:
        value = float(text)
    except (TypeError, ValueError):
        return None
    return value if np.isfinite(value) and not isinstance(text, bool) else None


def _listed(values: Iterable[float] | None) -> str:
    return ", ".join(f"{value:g}" for value in sorted(values or ()))


def _cells(root: Path, model_contains: str | None) -> list[Path]:
    if not root.is_dir():
        raise DataError(f"{root}: {'not a folder' if root.exists() else 'no such folder'}")
    every = [p for p in sorted(root.iterdir()) if p.is_dir() and p.name[0] not in "_."]
    cells = [p for p in every if model_contains is None or model_contains in p.name]
    if not cells:
        what = "no cell folders" if not every else f"no cell folder with {model_contains!r} in it"
        raise DataError(f"{root}: {what}; expected folders with {', '.join(FILES)}")
    return cells


def _load(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise _Unusable(f"no {path.name}") from None
    except OSError as error:
        raise _Unusable(f"{path.name}: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise _Unusable(f"{path.name} is not JSON") from None
    if not isinstance(value, dict):
        raise _Unusable(f"{path.name} is not a JSON object")
    return value


def _part(whole: dict[str, Any], name: str, file: str, kind: type) -> Any:
    value = whole.get(name)
    if not isinstance(value, kind):
        words = "an object" if kind is dict else "a list"
        raise _Unusable(f"{file} has no {name}" if value is None else
                        f"{file}: {name} is not {words}")  # fmt: skip
    return value


def _read_cell(cell: Path, wanted: set[float] | None, account: _Account) -> None:
    _, trajectory, masses = (_load(cell / name) for name in FILES)
    if not masses.get("computed", True):
        raise _Unusable("pmass.json was not computed")
    forks = _forks(_part(masses, "fork_points", "pmass.json", list))
    kl = _part(trajectory, "per_prompt_per_t_kl", "trajectory.json", dict)
    pmass = _part(masses, "pmass_eval", "pmass.json", dict)
    lengths = masses.get("gen_lens_eval", {})
    if not isinstance(lengths, dict):
        raise _Unusable("pmass.json: gen_lens_eval is not an object")
    found = 0
    for key, rows in kl.items():
        alpha = _number(key)
        if alpha is None:
            n = max(len(rows), 1) if isinstance(rows, list) else 1
            account.leave_out(cell.name, "an alpha is not a number", prompt=-1, n=n)
        elif wanted is None or alpha in wanted:
            found += 1
            _read_alpha(cell.name, alpha, rows, pmass.get(key), lengths.get(key), forks, account)
    if not found:
        raise _Unusable(f"no alpha {_listed(wanted)}" if wanted else "no alpha")


def _forks(values: list[Any]) -> NDArray[np.int64]:
    if not all(isinstance(v, int) and not isinstance(v, bool) for v in values):
        raise _Unusable("pmass.json: fork_points are not whole numbers")
    forks = np.array(values, dtype=np.int64)
    if not len(forks):
        raise _Unusable("pmass.json has no fork_points")
    if forks.min() < 0 or (np.diff(forks) < 0).any():
        raise _Unusable("pmass.json: fork_points are negative or not sorted")
    return forks


def _read_alpha(
    cell: str, alpha: float, kl: Any, pmass: Any, lengths: Any, forks: NDArray[np.int64],
    account: _Account,
) -> None:  # fmt: skip
    if not isinstance(kl, list) or not kl:
        account.leave_out(cell, "no KL rows", alpha)
        return
    account.n_rollouts += len(kl)
    if not isinstance(pmass, list):
        account.leave_out(cell, "no pmass rows for its alpha", alpha, n=len(kl))
        return
    if len(pmass) > len(kl):
        account.leave_out(cell, "a pmass row without a KL row", alpha, n=len(pmass) - len(kl))
    given = lengths if isinstance(lengths, list) else []
    for i, row in enumerate(kl):
        try:
            if i >= len(pmass):
                raise _Unusable("a KL row without a pmass row")
            values, mass = _values(row, "KL"), _values(pmass[i], "pmass")
            if len(mass) != len(forks):
                raise _Unusable(f"pmass has {'fewer' if len(mass) < len(forks) else 'more'} values "
                                "than there are forks")  # fmt: skip
            off = (mass < -0.01) | (mass > 1.01)
            if off.any():
                raise _Unusable("a probability mass is outside [0, 1]")
            n = _length(given[i]) if i < len(given) else len(values)
            if i >= len(given):
                what = "no gen_lens_eval, the length of the KL row was taken"
                account.assumed[what] = account.assumed.get(what, 0) + 1
            if n == 0 or not len(values):
                raise _Unusable("no tokens generated")
        except _Unusable as error:
            account.leave_out(cell, str(error), alpha, i)
        else:
            account.rows.append((cell, alpha, i, n, values, mass, forks))


def _values(row: Any, what: str) -> NDArray[np.float64]:
    if not isinstance(row, list):
        raise _Unusable(f"a {what} row is not a list")
    try:
        array = np.array(row, dtype=np.float64)  # None becomes NaN
    except (TypeError, ValueError):
        raise _Unusable(f"a {what} row holds what is no number") from None
    if array.ndim != 1:
        raise _Unusable(f"a {what} row is not flat")
    return array


def _length(value: Any) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise _Unusable("gen_lens_eval is not a whole number of at least 0")
    return value


def _trajectories(
    rows: list[Row], left_out: pd.DataFrame, notes: tuple[str, ...]
) -> KLTrajectories:
    rows = sorted(rows, key=lambda row: row[1])
    cell, alpha, prompt, gen_len, kl, pmass, forks = zip(*rows, strict=True)

    def offsets(parts: Iterable[NDArray[Any]]) -> NDArray[np.int64]:
        return np.concatenate(([0], np.cumsum([len(p) for p in parts]))).astype(np.int64)

    rollouts = pd.DataFrame({"cell": cell, "alpha": alpha, "prompt": prompt, "gen_len": gen_len})
    return KLTrajectories(
        np.concatenate(kl), offsets(kl), np.concatenate(pmass), np.concatenate(forks),
        offsets(pmass), rollouts, left_out, notes,
    )  # fmt: skip
