"""What the columns of a run table may be called, and in which units."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from .errors import DataError

# Standard name -> the column names it is known by, best first, each with the factor that turns its
# unit into raw counts or FLOPs. This table is the only place where a unit is converted.
ALIASES: dict[str, dict[str, float]] = {
    "name": dict.fromkeys(["name", "Name", "run_name", "exp_name", "display_name", "run"], 1.0),
    "suite": dict.fromkeys(["suite", "quantizer", "experiment", "exp"], 1.0),
    "run_type": {"run_type": 1.0},
    "seed": {"seed": 1.0},
    "params": {
        **dict.fromkeys(["params", "parameter_count", "n_params", "num_params", "parameters"], 1.0),
        **dict.fromkeys(["n_params_config", "Model Size", "opt_params", "N"], 1.0),
        "num_scaling_params": 1.0,
        "params_M": 1e6,
        "params_B": 1e9,
    },
    "tokens": {
        **dict.fromkeys(["tokens", "throughput/total_tokens", "total_tokens", "n_tokens"], 1.0),
        **dict.fromkeys(["num_tokens", "train_tokens", "training_tokens", "opt_tokens", "D"], 1.0),
        "tokens_trained": 1.0,
        "tokens_M": 1e6,
        "tokens_B": 1e9,
    },
    "flops": {
        **dict.fromkeys(["flops", "total_flops", "train_flops", "training_flops"], 1.0),
        **dict.fromkeys(["Training FLOP", "compute", "C"], 1.0),
        **dict.fromkeys(["total_gflops", "throughput/total_gflops", "gflops"], 1e9),
        "throughput/total_training_Gflops": 1e9,
    },
    "budget": {
        **dict.fromkeys(["budget", "flops_budget", "flop_budget", "compute_budget"], 1.0),
        "gflops_q": 1e9,
    },
    "loss": dict.fromkeys(
        (
            "loss",
            "eval/paloma/macro_loss",
            *("eval/loss", "val/loss", "eval_loss", "val_loss", "validation_loss"),
            *("final_loss", "val_bpb", "val/bpb", "eval/bpb", "bpb"),
        ),
        1.0,
    ),
    "state": dict.fromkeys(["state", "State"], 1.0),
    "depth": dict.fromkeys(["depth", "n_layer", "n_layers", "num_layers"], 1.0),
}
REQUIRED = ("params", "tokens", "flops", "loss")
# Kept where a source has them; a cell that cannot be used is empty and stops nothing.
OPTIONAL = ("depth",)


def loss_unit(loss_column: str) -> str:
    """What a loss is counted in, as far as the name of its column tells: "bits/byte" or "".

    Losses are never converted: how many bytes a token has is not in the table.

    Examples
    --------
    >>> loss_unit("val_bpb"), loss_unit("eval/loss"), loss_unit("loss, val_bpb")
    ('bits/byte', '', '')
    """
    names = loss_column.lower().split(", ")
    return "bits/byte" if all(re.search(r"(^|[^a-z])bpb$", name) for name in names) else ""


class Found(NamedTuple):
    """A source column and the factor to its standard unit."""

    column: str
    factor: float


def find_columns(
    where: str, present: Sequence[str], columns: Mapping[str, str] | None
) -> tuple[dict[str, Found], list[str]]:
    """Which source column stands for which standard name, and notes on choices made.

    The caller's mapping comes first, then the exact known names, then the same ignoring case
    (names of one letter only exactly: ``n`` is a count as often as a model size).
    """
    wanted = _checked_mapping(columns)
    found: dict[str, Found] = {}
    notes: list[str] = []
    absent: list[str] = []
    spoken_for = {hit.column for hit in wanted.values()}
    free = [c for c in present if c not in spoken_for]
    folded = {c.strip().lower(): c for c in reversed(free)}
    for standard, known in ALIASES.items():
        if standard in wanted:
            found[standard] = wanted[standard]
            if wanted[standard].column not in present:
                absent.append(wanted[standard].column)
            continue
        hits = [Found(c, f) for c, f in known.items() if c in free]
        if not hits:
            loose = [(c.lower(), f) for c, f in known.items() if len(c) > 1]
            hits = [Found(folded[c], f) for c, f in loose if c in folded]
        if not hits:
            continue
        found[standard] = hits[0]
        others = dict.fromkeys(repr(h.column) for h in hits if h.column != hits[0].column)
        if others and standard in ("params", "tokens", "loss"):
            notes.append(
                f"{standard} is read from {hits[0].column!r}, not from {', '.join(others)}"
            )
    if absent:
        raise DataError(
            f"{where}: no column {', '.join(map(repr, absent))}; it has {_listed(present, absent)}"
        )
    return found, notes


def _checked_mapping(columns: Mapping[str, str] | None) -> dict[str, Found]:
    """The caller's column names with their factors; ``gflops`` is flops in units of 1e9."""
    out: dict[str, Found] = {}
    if columns is not None and not isinstance(columns, Mapping):
        raise DataError(f"columns: expected a mapping of standard name to column, got {columns!r}")
    for standard, column in (columns or {}).items():
        target = "flops" if standard == "gflops" else standard
        if target not in ALIASES:
            raise DataError(
                f"columns={{{standard!r}: ...}}: the standard names are "
                f"{', '.join(ALIASES)} (or gflops for flops)"
            )
        if not isinstance(column, str):
            raise DataError(f"columns={{{standard!r}: {column!r}}}: a column name is a string")
        if target in out:
            raise DataError("columns names both flops and gflops: give one of them")
        factor = 1e9 if standard == "gflops" else ALIASES[target].get(column, 1.0)
        out[target] = Found(column, factor)
    return out


def missing_columns(where: str, absent: Iterable[str], present: Sequence[str]) -> DataError:
    """The error for columns that are neither there nor derivable."""
    absent = list(absent)
    lines = []
    for standard in absent:
        known = ", ".join(repr(c) for c in ALIASES[standard])
        lines.append(f"  no column for {standard}: looked for {known}")
    known_names = [alias for standard in absent for alias in ALIASES[standard]]
    example = "{" + ", ".join(f"{s!r}: '...'" for s in absent) + "}"
    return DataError(
        f"{where}: missing {', '.join(absent)}\n" + "\n".join(lines) + "\n"
        f"  it has {_listed(present, known_names)}; name yours with columns={example}"
    )


def _listed(present: Sequence[str], wanted: Sequence[str], most: int = 12) -> str:
    """The columns there are, those most like the wanted ones first."""

    def likeness(column: str) -> float:
        return max(difflib.SequenceMatcher(None, column.lower(), w.lower()).ratio() for w in wanted)

    ranked = sorted(present, key=likeness, reverse=True)
    more = f" and {len(ranked) - most} more" if len(ranked) > most else ""
    return ", ".join(repr(c) for c in ranked[:most]) + more
