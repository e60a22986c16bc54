"""Draw every figure, for wide and for narrow screens, into docs/gallery.

    python tools/gallery.py [RUNS ...] [-o DIR]

The runs are simulated unless files are named. Needs kaleido and Chromium or Chrome.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
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
LAYOUTS = ((False, ""), (True, MOBILE))


def figures(runs):
    """Name -> figure: the set that `delphi figures` writes, and those of single results."""
    drawn = draw_figures(runs, mobile=True)
    ladder = delphi.fit_isoflops(runs)
    suite = ladder.suites[0]
    laws, posteriors = ladder.laws(), ladder.posteriors()
    law = laws[suite]
    held_out = delphi.heldout.score_held_out(runs, laws)
    test = delphi.backtest(runs)
    bucket = ladder.fits[ladder.fits["suite"] == suite].iloc[-1]
    points = ladder.runs[(ladder.runs["suite"] == suite) & (ladder.runs["run_type"] == "isoflop")]
    points = points[points["budget"] == bucket["budget"]]
    surface = delphi.fit_surface(*(points_of(runs, suite)[name] for name in NAMES))
    parabola = delphi.fit_parabola(points["tokens"], points["loss"], window=0.5)
    ahead = delphi.bootstrap_ladder(ladder, suite, AHEAD)
    one = delphi.bootstrap_ladder(ladder, suite, AHEAD[-1:])
    shapes = delphi.compare_isocurves(runs, suite=suite)
    figure = delphi.figures
    for mobile, end in LAYOUTS:
        narrow = {"mobile": mobile}
        drawn[f"back-test{end}"] = figure.backtest_errors(test, **narrow)
        drawn[f"floor-profile{end}"] = figure.floor_profile(law, **narrow)
        drawn[f"law-curve{end}"] = figure.law_curve(law, **narrow)
        drawn[f"parabola-curve{end}"] = figure.parabola_curve(parabola, **narrow)
        drawn[f"surface{end}"] = figure.surface_contours(surface, **narrow)
        drawn[f"surface-residuals{end}"] = figure.surface_residuals(surface, **narrow)
        drawn[f"surface-fit-quality{end}"] = figure.surface_fit_quality(surface, **narrow)
        drawn[f"surface-delta-sweep{end}"] = figure.delta_sweep(surface, **narrow)
        drawn[f"forecast-fan{end}"] = figure.forecast_fan(ahead, **narrow)
        drawn[f"forecast-histogram{end}"] = figure.forecast_fan(one, **narrow)
        drawn[f"law-fan{end}"] = figure.law_fan(posteriors[suite], **narrow)
        drawn[f"isocurve-shapes{end}"] = figure.isocurve_shapes(shapes, **narrow)
        drawn[f"suite-browser{end}"] = figure.suite_browser(
            ladder, laws, held_out, posteriors, **narrow
        )
        if len(ladder.suites) > 1:
            against = delphi.effective_speedup(
                *(posteriors[s] for s in ladder.suites[:2]), [1e20, *AHEAD]
            )
            drawn[f"speed-up{end}"] = figure.speedup_curve(against, **narrow)
    return drawn


def simulated():
    """Name -> figure of what runs say nothing of: evaluations, sweeps, rollouts, laws of knobs."""
    figure, drawn = delphi.figures, {}
    evals = delphi.fit_downstreams(evaluations())
    swept = delphi.simulate_sweep(n_trials=60, cells=4, rng=0)
    sweep = delphi.fit_sweep(
        swept.trials, hparams=swept.hparams, by=["batch_size", "tokens"],
        rule=delphi.CompletedAdamH(),
    )  # fmt: skip
    finished = swept.trials[swept.trials["state"] == "finished"]
    law = delphi.fit_polynomial_law(
        finished, features=["lr", "adam_lr", "epsilon"], target="loss", group="batch_size"
    )
    curves = delphi.simulate.curves(rng=0)
    fits = delphi.fit_curves(curves, by=["scale", "mix", "lr"])
    scores = delphi.score_curves(fits, by=["scale", "prefix", "method"])
    found = delphi.search_configs(fits)
    finals = delphi.final_losses(curves, by=["scale", "mix", "lr"])
    ends = delphi.fit_endpoints(finals, compute="scale", held_out=1e20)
    joint = delphi.fit_joint_curves(curves, prefixes=[0.3])
    rollouts = delphi.simulate.rollouts([0.5, 1.0, 1.5, 2.0], n_prompts=60, rng=0)
    lives = rollouts.survival()
    for mobile, end in LAYOUTS:
        narrow = {"mobile": mobile}
        drawn[f"mmlu-emergence{end}"] = figure.emergence(evals, **narrow)
        drawn[f"richards-curve{end}"] = figure.curve_figure(evals["MMLU 5-Shot"].curve, **narrow)
        drawn[f"hparam-scaling{end}"] = figure.hparam_scaling(sweep, **narrow)
        drawn[f"polynomial-law{end}"] = figure.polynomial_coefficients(law, **narrow)
        drawn[f"curve-forms{end}"] = figure.best_forms(scores, **narrow)
        drawn[f"curve-configs{end}"] = figure.config_map(found, **narrow)
        drawn[f"endpoint-laws{end}"] = figure.endpoint_laws(ends, **narrow)
        drawn[f"joint-forecasts{end}"] = figure.joint_forecasts(joint, **narrow)
        drawn[f"survival-curves{end}"] = figure.survival_curves(lives, **narrow)
        drawn[f"kl-spaghetti{end}"] = figure.kl_spaghetti(rollouts, columns=2, **narrow)
    return drawn


def evaluations():
    """Two tasks of a ladder of ten runs and of thirty other models, from known curves."""
    rng = np.random.default_rng(0)
    C = np.geomspace(3e18, 1e23, 10)
    tables = []
    for task, n, floor, curve in (
        ("MMLU 5-Shot", 14042, 0.25, (6.7, -0.8, 1.0, 0.25, 0.86)),
        ("GSM8K 5-Shot", 1319, 0.0, (15.0, -0.55, 1.0, 0.0, 0.85)),
    ):
        sign = -1.0 if floor else 1.0
        ladder, others = 0.36 + 193 * C**-0.1232, rng.uniform(0.4, 1.3, 30)
        for z, compute in ((ladder * rng.lognormal(0, 0.01, 10), C), (others, np.nan)):
            right = delphi.richards(-z, *curve)
            tables.append(pd.DataFrame({
                "task": task, "model": [f"model {i + 1}" for i in range(len(z))],
                "compute": compute, "soft": sign * z, "hard": rng.binomial(n, right) / n,
                "n_problems": n, "pool": np.isnan(compute),
            }))  # fmt: skip
    return pd.concat(tables, ignore_index=True)


def printed(runs):
    """Name -> matplotlib figure: the twins for paper."""
    ladder = delphi.fit_isoflops(runs)
    suite = ladder.suites[0]
    rollouts = delphi.simulate.rollouts([0.5, 1.0, 1.5, 2.0], n_prompts=60, rng=0)
    return {
        "printed-isoflop": mpl.isoflop_summary(delphi.optimal_configurations(ladder), suite=suite),
        "printed-spaghetti": delphi.figures.draw_spaghetti(rollouts, columns=2),
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
    drawn = dict(sorted((figures(runs) | simulated()).items()))
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
