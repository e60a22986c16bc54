"""Write docs/nist.md: digits on the NIST nonlinear regression problems, from the C test itself.

python tools/nist_table.py        after `make build/ctest`, with DELPHI_DATA set or the data
                                  folder beside the project
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "docs" / "nist.md"
HEAD = """# The nonlinear solver on the NIST reference problems

The 27 nonlinear regression problems of the NIST Statistical Reference Datasets, each from both
published starts, through `csrc/base/nlls.c`. Digits are -log10 of the relative error against the
certified values, the fewest over a problem's parameters (or standard errors); NIST certifies 11.
This page is written by `tools/nist_table.py` from the C test suite `nlls`, which also fails where
a parameter has fewer than 9 digits or a standard error fewer than 7.

{summary}

The solver has eight strategies for every start, one of its own (bounded Levenberg-Marquardt in
column-scaled coordinates, `csrc/base/lm.c`) and seven that begin with a trust-region method of
GSL (Levenberg-Marquardt, with geodesic acceleration, dogleg, double dogleg, two-dimensional
subspace), finishes each by undamped Gauss-Newton steps, and keeps the lowest sum of squares.
"agree" counts the strategies that ended at that sum, and four of them at one sharp optimum end
the search: below 4 the others found a worse minimum or none, which is why one strategy is not
enough. An answer counts as an optimum only if the Jacobian has full rank there and a Gauss-Newton
step would no longer move it. Residuals are computed in extended precision, and in quadruple
precision for Lanczos1, whose misfit is 1e-13 of its data.

What this says about other fits: Richards curves do not go through this search. They call the
solver of `csrc/base/lm.c` directly, from starts of their own, without GSL and without the last
Gauss-Newton steps. "lm.c alone" is that solver by itself on these problems, from the published
start only, stopped at a relative offset of 1e-10 (or 2000 steps) and finished by Gauss-Newton
steps; "unfinished" is without those.
{alone}

{header}
"""
COLUMNS = (
    "problem", "start", "parameters", "points", "digits", "digits of errors", "found by", "agree",
    "status", "lm.c alone", "unfinished",
)  # fmt: skip
HEADER = f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}"


def main() -> None:
    """Run the suite and write the page."""
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "nist.tsv"
        subprocess.run(
            [ROOT / "build" / "ctest", "nlls"], check=True, cwd=ROOT,
            env={**os.environ, "DPH_NIST_TABLE": str(table)},
        )  # fmt: skip
        rows = [line.split("\t") for line in table.read_text().splitlines()]
    if len(rows) != 54:
        raise SystemExit(f"expected 54 runs, got {len(rows)}: is DELPHI_DATA set?")
    least = min(float(row[4]) for row in rows)
    least_errors = min(float(row[5]) for row in rows)
    own = sum(row[7] == "projected Levenberg-Marquardt" for row in rows)
    silent = sum(row[9] == "ok" and float(row[4]) < 4 for row in rows)
    summary = (
        f"**54 of 54 runs: at least {least:.1f} digits in every parameter and {least_errors:.1f} "
        f"in every standard error; {silent} silently wrong.** {own} of them end where the "
        "project's own method ended by itself."
    )
    solved = [sum(float(row[i]) >= 9 for row in rows) for i in (10, 11)]
    lost = ", ".join(f"{row[0]} from start {row[1]}" for row in rows if float(row[10]) < 9)
    alone = f"It solves {solved[0]} of the 54 runs to at least 9 digits, {solved[1]} unfinished" + (
        f"; not {lost}." if lost else "."
    )
    shown = (0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11)
    lines = [f"| {' | '.join(row[i] for i in shown)} |" for row in rows]
    TARGET.write_text(
        HEAD.format(summary=summary, alone=alone, header=HEADER) + "\n".join(lines) + "\n"
    )


if __name__ == "__main__":
    main()
