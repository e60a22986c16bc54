"""Draw every figure, for wide and for narrow screens, into docs/gallery.

    python tools/gallery.py [RUNS ...] [-o DIR]

The runs are simulated unless files are named. Needs kaleido and Chromium or Chrome.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from PIL import Image

import delphi
from delphi.figures import mpl
from delphi.figures.export import WIDTH, write_images, write_text
from delphi.figures.theme import MOBILE_WIDTH
from delphi.figureset import MOBILE, draw_figures

ROOT = Path(__file__).resolve().parents[1]
COLOURS = 96  # of a picture: enough for lines and text, and a third of the bytes
AHEAD = [1e21, 1e22, 1e23, 1e24]
NAMES = ("params", "tokens", "loss")
MOST = 3_000_000  # bytes in all


def figures(runs):
    """Name -> figure: the set that `delphi figures` writes, and those of single results."""
    drawn = draw_figures(runs, mobile=True)
    ladder = delphi.fit_isoflops(runs)
    suite = ladder.suites[0]
    law = ladder.laws()[suite]
    test = delphi.backtest(runs)
    bucket = ladder.fits[ladder.fits["suite"] == suite].iloc[-1]
    points = ladder.runs[(ladder.runs["suite"] == suite) & (ladder.runs["run_type"] == "isoflop")]
    points = points[points["budget"] == bucket["budget"]]
    surface = delphi.fit_surface(*(points_of(runs, suite)[name] for name in NAMES))
    parabola = delphi.fit_parabola(points["tokens"], points["loss"], window=0.5)
    for mobile in (False, True):
        end = MOBILE if mobile else ""
        drawn[f"back-test{end}"] = delphi.figures.backtest_errors(test, mobile=mobile)
        drawn[f"floor-profile{end}"] = delphi.figures.floor_profile(law, mobile=mobile)
        drawn[f"law-curve{end}"] = delphi.figures.law_curve(law, mobile=mobile)
        drawn[f"parabola-curve{end}"] = delphi.figures.parabola_curve(parabola, mobile=mobile)
        drawn[f"surface{end}"] = delphi.figures.surface_contours(surface, mobile=mobile)
        drawn[f"surface-residuals{end}"] = delphi.figures.surface_residuals(surface, mobile=mobile)
        quality = delphi.figures.surface_fit_quality(surface, mobile=mobile)
        drawn[f"surface-fit-quality{end}"] = quality
        drawn[f"surface-delta-sweep{end}"] = delphi.figures.delta_sweep(surface, mobile=mobile)
    drawn["forecast-fan"] = delphi.bootstrap_ladder(ladder, suite, AHEAD).plot()
    drawn["law-fan"] = ladder.posteriors()[suite].plot()
    drawn["isocurve-shapes"] = delphi.compare_isocurves(runs, suite=suite).plot()
    return drawn


def printed(runs):
    """Name -> matplotlib figure: the twins for paper."""
    ladder = delphi.fit_isoflops(runs)
    suite = ladder.suites[0]
    return {
        "printed-isoflop": mpl.isoflop_summary(delphi.optimal_configurations(ladder), suite=suite)
    }


def points_of(runs, suite):
    """The IsoFLOP runs of a suite."""
    return runs[(runs["suite"] == suite) & (runs["run_type"] == "isoflop")]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="*", metavar="RUNS")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "docs" / "gallery")
    options = parser.parse_args()
    runs = (
        delphi.read_runs(options.runs)
        if options.runs
        else delphi.simulate.ladder(crashed=True, seeds=4, rng=0)
    )
    drawn = dict(sorted(figures(runs).items()))
    options.output.mkdir(parents=True, exist_ok=True)
    for old in options.output.glob("*.png"):
        old.unlink()
    with tempfile.TemporaryDirectory() as folder:
        jobs = []
        for name, fig in drawn.items():
            fig.update_layout(paper_bgcolor="white")  # a picture of its own has no page behind it
            width = MOBILE_WIDTH if name.endswith(MOBILE) else WIDTH
            jobs.append((fig, Path(folder) / f"{name}.png", width))
        for path in write_images(jobs):
            picture = Image.open(path).convert("RGB")
            picture.quantize(COLOURS).save(options.output / path.name, optimize=True)
    for name, fig in printed(runs).items():
        fig.savefig(options.output / f"{name}.png", dpi=120)
        drawn[name] = fig
    size = sum(path.stat().st_size for path in options.output.glob("*.png"))
    assert size < MOST, f"{size} bytes of pictures are too many"
    write_text(page(drawn, bool(options.runs)), options.output / "README.md")
    print(f"{len(drawn)} pictures, {size / 1e6:.1f} MB, in {options.output}")


def page(drawn, real):
    """A page with every figure, the wide one beside the narrow one where there is one."""
    source = "the runs given" if real else "simulated runs"
    lines = ["# Gallery", "", f"Every figure of delphi, from {source}, by `make gallery`.", ""]
    for name in drawn:
        if not name.endswith(MOBILE):
            lines += [f"## {name}", ""]
            if f"{name}{MOBILE}" in drawn:
                lines += [
                    f'<img src="{name}.png" alt="{name}" width="620"> '
                    f'<img src="{name}{MOBILE}.png" alt="{name}, narrow" width="300">',
                    "",
                ]
            else:
                lines += [f'<img src="{name}.png" alt="{name}" width="620">', ""]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
