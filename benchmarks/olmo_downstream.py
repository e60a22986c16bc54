"""Two-step forecasts for every task of a published ladder: 190M to 3B models, 0.5x to 10x tokens.

Reads ``olmo_ladder/ladder_downstream_curves.csv`` under DELPHI_DATA (or ``../shared/data``), takes
the last checkpoint of every run, C = 6 N D with N = D / (20 multiples), fits bits per byte against
compute and accuracy against bits per byte, and prints a Markdown table of forecasts for 7B
parameters on 4T tokens and 13B on 5T. The accuracies of those models are not in the file.

    python -m benchmarks.olmo_downstream
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import pandas as pd

from delphi import FitWarning, fit_downstreams, read_evals

DATA = Path(os.environ.get("DELPHI_DATA", "../shared/data"))
FILE = DATA / "olmo_ladder" / "ladder_downstream_curves.csv"
TARGETS = {"7B x 4T": 6 * 7e9 * 4e12, "13B x 5T": 6 * 13e9 * 5e12}
CHANCE = {"boolq": 0.5, "csqa": 0.2, "piqa": 0.5, "socialiqa": 1 / 3, "winogrande": 0.5}
TOKENS_PER_PARAMETER = 20.0


COLUMNS = {
    "soft": "eval/downstream_bpb/{task}_rc_5shot_bpb",
    "hard": [
        "eval/downstream/{task}_rc_5shot_len_norm",
        "eval/downstream/{task}_rc_5shot_acc",  # a task of two choices has no other
    ],
    "model": "run",
    "step": "_step",
    "compute": "compute",
}


def evals() -> pd.DataFrame:
    """The last checkpoint of every run, C = 6 N D from its tokens and their ratio to 20 N."""
    curves = pd.read_csv(FILE)
    tokens = curves["throughput/total_tokens"]
    ratio = TOKENS_PER_PARAMETER * curves["chinchilla_mult"]
    last = tokens.groupby(curves["run"]).transform("max")  # N = D / ratio at the end of the run
    curves["compute"] = 6 * tokens * last / ratio
    return read_evals(curves, columns=COLUMNS, pool=False)


def forecasts() -> pd.DataFrame:
    """One row a task: both forecasts with 95% intervals for a new run, and what to think of it."""
    table = evals()
    floors = {t: CHANCE.get(t.split("_")[0], 0.25) for t in table["task"].unique()}
    rows = []
    for task, fit in fit_downstreams(table, floor=floors, fit_below=float("inf")).items():
        row = {"task": task, "runs": fit.law.n, "chance": floors[task]}
        frame = fit.forecast(list(TARGETS.values()), kind="new run", n_draws=1000)
        for i, target in enumerate(TARGETS):
            at = frame.loc[i]
            row[f"bits/byte, {target}"] = f"{at.soft:.3f} [{at.soft_low:.3f}, {at.soft_high:.3f}]"
            row[f"accuracy, {target}"] = f"{at.hard:.3f} [{at.low:.3f}, {at.high:.3f}]"
        row["predictable"] = "yes" if fit.predictability.ok else fit.predictability.reasons[0]
        row["status"] = frame["status"].iloc[-1].replace("_", " ")
        rows.append(row)
    return pd.DataFrame(rows)


def markdown(table: pd.DataFrame) -> str:
    """A frame as a Markdown table."""
    lines = [table.columns, ["---"] * table.shape[1], *table.astype(object).to_numpy()]
    return "\n".join("| " + " | ".join(_cell(v) for v in line) + " |" for line in lines)


def _cell(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    warnings.simplefilter("ignore", FitWarning)
    print(markdown(forecasts()))
