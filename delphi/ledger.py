"""What became of every row while a table was read."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

MOST_LISTED = 1000  # rows listed one by one; pandas copies attrs at every step


@dataclass
class Ledger:
    """What happened to every row while reading: nothing is lost without an entry."""

    read: int = 0
    left_out: list[dict[str, Any]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    loss_columns: dict[str, None] = field(default_factory=dict)  # an ordered set
    columns: dict[str, list[str]] = field(default_factory=dict)  # where each number comes from

    @classmethod
    def of(cls, runs: pd.DataFrame) -> Ledger:
        past = runs.attrs.get("delphi", {})
        counts = Counter(past.get("left_out_counts", {}))
        return cls(left_out=list(past.get("left_out", [])), counts=counts)

    def leave_out(
        self, rows: pd.DataFrame, drop: NDArray[np.bool_], reason: str, detail: Any = None
    ) -> None:
        """Enter the rows marked in ``drop``; ``detail`` (one str a row) ends each one's reason."""
        if not drop.any():
            return
        self.counts[reason] += int(drop.sum())
        listed = np.flatnonzero(drop)[: max(MOST_LISTED - len(self.left_out), 0)]
        for i in listed.tolist():
            source, name = str(rows["source"].iat[i]), str(rows["name"].iat[i])
            row = rows["row"].to_numpy()[i].item()
            why = reason if detail is None else f"{reason} {detail[i]}"
            entry = {"source": source, "row": row, "name": name or f"row {row}", "reason": why}
            self.left_out.append(entry)

    def came_from(self, standard: str, origin: str) -> None:
        """Enter where the values of a standard column come from, in words, once."""
        known = self.columns.setdefault(standard, [])
        if origin not in known:
            known.append(origin)

    def summary(self) -> str:
        n_out = sum(self.counts.values())
        reasons = ", ".join(f"{reason} ({n})" for reason, n in self.counts.most_common())
        said = [f"left out {n_out} of {self.read} runs: {reasons}"] if n_out else []
        return "; ".join(said + self.notes)
