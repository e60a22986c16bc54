"""Forecasts of final losses on real learning curves: the tables of docs/curves.md.

    DELPHI_DATA=folder python -m benchmarks.curve_study

The folder holds multi_power_law/loss_curves.csv and olmo_ladder/ladder_learning_curves.csv.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import pandas as pd

import delphi

SHOWN = (0.1, 0.3, 0.5, 0.7, 0.9)


def multi_power_law(folder: Path) -> pd.DataFrame:
    """27 training-loss curves: three sizes, nine learning-rate schedules."""
    table = pd.read_csv(folder / "multi_power_law" / "loss_curves.csv")
    table["run"] = table["size"] + " " + table["schedule"]
    # the schedules fall into families: lengths and rates vary within each
    table["family"] = table["schedule"].str.extract(r"^([a-z]+)")
    return table.rename(columns={"size": "scale", "lr": "rate"})


def olmo_ladder(folder: Path) -> pd.DataFrame:
    """30 validation-loss curves: five sizes, six lengths, cosine."""
    table = pd.read_csv(folder / "olmo_ladder" / "ladder_learning_curves.csv")
    names = {
        "size": "scale", "_step": "step", "optim/learning_rate_group0": "rate",
        "eval/c4_en-validation/CrossEntropyLoss": "loss",
    }  # fmt: skip
    return table.rename(columns=names).assign(family="cosine")


def other_losses(folder: Path) -> pd.DataFrame:
    """The same runs under ten more validation losses; ``group`` names the loss."""
    table = pd.read_csv(folder / "olmo_ladder" / "ladder_learning_curves.csv")
    shared = {"size": "scale", "_step": "step", "optim/learning_rate_group0": "rate"}
    parts = []
    for column in table.columns:
        name = column.removeprefix("eval/").split("-validation")[0]
        if not column.startswith("eval/") or name == "c4_en":
            continue
        part = table.rename(columns=shared | {column: "loss"})[["run", *shared.values(), "loss"]]
        part = part.dropna().assign(group=name, run=lambda f, n=name: n + " " + f["run"])
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def markdown(table: pd.DataFrame, digits: str = "{:.4f}") -> str:
    """A frame as a Markdown table."""
    head = ["", *(f"{c:g}" if isinstance(c, float) else str(c) for c in table.columns)]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for name, row in table.iterrows():
        cells = [v if isinstance(v, str) else digits.format(v) for v in row]
        lines.append("| " + " | ".join([str(name), *cells]) + " |")
    return "\n".join(lines)


def study(name: str, runs: pd.DataFrame) -> None:
    """All tables of one set."""
    fits = delphi.fit_curves(
        runs, by=["scale"], schedule="family", learning_rate="rate", level=0.8, bar=False
    )
    scores = delphi.score_curves(fits)
    print(f"\n## {name}: {fits['run'].nunique()} runs\n")
    order = list(dict.fromkeys(fits["method"]))
    for value, title in (("mae", "Mean absolute error"), ("worst", "Worst error")):
        print(f"{title} of the final loss, nats, by prefix:\n")
        print(markdown(scores.pivot(index="method", columns="prefix", values=value).loc[order]))
        print()
    part = scores[scores["method"] == "ensemble"].set_index("prefix")
    print("Ensemble: coverage of its 80% intervals, and runs with one:\n")
    print(markdown(part[["coverage", "n_intervals"]].T, "{:.2f}"))
    families = delphi.score_curves(fits, by=["family", "method", "prefix"])
    if families["family"].nunique() > 1:
        print("\nEnsemble over last value, mean absolute error by schedule:\n")
        wide = families.pivot(index="family", columns=["method", "prefix"], values="mae")
        print(markdown(wide["ensemble"] / wide["last value"], "{:.2f}"))
    by_scale = delphi.score_curves(fits, by=["scale", "prefix", "method"])
    best = by_scale[by_scale["best"] & by_scale["prefix"].isin(SHOWN)]
    best = best.drop_duplicates(["scale", "prefix"])
    print("\nBest single form by scale:\n")
    print(markdown(best.pivot(index="scale", columns="prefix", values="method")))
    for target in (0.05, 0.02):
        print("\n" + delphi.search_configs(fits, target=target).summary())


def main() -> None:
    folder = Path(os.environ.get("DELPHI_DATA", "../shared/data"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", delphi.FitWarning)
        study("multi_power_law", multi_power_law(folder))
        study("olmo_ladder", olmo_ladder(folder))


if __name__ == "__main__":
    main()
