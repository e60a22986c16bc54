"""Every figure of `delphi.figures` has a layout for a screen 360 px wide."""

import inspect
import warnings

import numpy as np
import pandas as pd
import pytest

import delphi
from delphi import simulate

pytest.importorskip("plotly")
pytest.importorskip("sklearn")
from delphi import figures
from delphi.figures.theme import MOBILE_WIDTH

# What is public there and draws nothing by itself, or draws on paper.
NO_FIGURE = {"draw_spaghetti", "mobile", "site_json", "write_images", "write_json"}


def evaluations():
    C = np.geomspace(3e18, 1e22, 9)
    z = 0.36 + 193 * C**-0.1232
    hard = np.random.default_rng(0).binomial(2000, delphi.richards(-z, 6.7, -0.8, 1.0, 0.25, 0.86))
    return pd.DataFrame({
        "task": "MMLU", "model": "m", "compute": C, "soft": -z, "hard": hard / 2000,
        "n_problems": 2000, "pool": False,
    })  # fmt: skip


@pytest.fixture(scope="module")
def arguments():
    """Name of a figure function -> what it draws."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", delphi.FitWarning)
        runs = simulate.ladder(seeds=2, rng=0)
        ladder = delphi.fit_isoflops(runs)
        laws, posteriors = ladder.laws(), ladder.posteriors()
        held_out = delphi.heldout.score_held_out(runs, laws)
        law, posterior = laws["Aster"], posteriors["Aster"]
        own = runs[(runs["suite"] == "Aster") & (runs["run_type"] == "isoflop")]
        surface = delphi.fit_surface(own["params"], own["tokens"], own["loss"])
        cost = delphi.overtraining_cost(ladder, law, suite="Aster", at=1e23)
        band = posterior.interval(sorted(held_out["compute"].unique()))
        finished = runs[(runs["suite"] == "Aster") & (runs["run_type"] == "optimal")]
        downstream = delphi.fit_downstreams(evaluations())
        swept = delphi.simulate_sweep(n_trials=25, cells=2, rng=0)
        good = swept.trials[swept.trials["state"] == "finished"]
        sweep = delphi.fit_sweep(
            good, hparams=["lr", "adam_lr", "beta1"], by="batch_size", n_restarts=0, n_jobs=1
        )
        polynomial = delphi.fit_polynomial_law(
            good, features=["lr", "adam_lr"], target="loss", group="batch_size"
        )
        curves = simulate.curves(rng=0)
        fits = delphi.fit_curves(curves, by="scale", prefixes=[0.3, 0.6])
        scores = delphi.score_curves(fits, by=["scale", "prefix", "method"])
        finals = delphi.final_losses(curves, by=["scale", "mix", "lr"])
        ends = delphi.fit_endpoints(finals, compute="scale", held_out=1e20)
        bowl = delphi.PolynomialLaw.from_coefficients(
            {"1": 3, "log_lr": 3, "log_lr^2": 0.5}, ["lr"]
        )
        rollouts = simulate.rollouts([0.5, 2.0], n_prompts=8, rng=0)
        return {
            "backtest_errors": (delphi.backtest(runs),),
            "best_forms": (scores,),
            "config_map": (delphi.search_configs(fits, target=0.1),),
            "curve_figure": (downstream["MMLU"].curve,),
            "delta_sweep": (surface,),
            "emergence": (downstream,),
            "endpoint_laws": (ends,),
            "floor_profile": (law,),
            "forecast_fan": (delphi.bootstrap_ladder(ladder, "Aster", [1e21, 1e22], n=50),),
            "hparam_scaling": (sweep,),
            "isocurve_shapes": (delphi.compare_isocurves(runs, suite="Aster"),),
            "isoflop_parabolas": (ladder,),
            "joint_forecasts": (delphi.fit_joint_curves(curves, prefixes=[0.3], forms=["log"]),),
            "kl_spaghetti": (rollouts,),
            "ladder": (ladder, laws, "Aster", held_out, posteriors),
            "law_curve": (law,),
            "law_fan": (posterior,),
            "lucky_seeds": (finished, law, band, "Aster"),
            "overtraining_forecast": (ladder, law, cost, "Aster"),
            "parabola_curve": (delphi.fit_parabola(own["tokens"][:9], own["loss"][:9]),),
            "polynomial_coefficients": (polynomial,),
            "polynomial_optimum": (bowl.optimum(["lr"], {}),),
            "scaling_law_asymptote": (ladder, laws, held_out, posteriors),
            "speedup_curve": (
                delphi.effective_speedup(posterior, posteriors["Birch"], [1e21, 1e23]),
            ),
            "suite_browser": (ladder, laws, held_out, posteriors),
            "surface_contours": (surface,),
            "surface_fit_quality": (surface,),
            "surface_residuals": (surface,),
            "survival_curves": (rollouts.survival(),),
        }


def drawing():
    return [name for name in figures.__all__ if name not in NO_FIGURE]


def test_every_figure_function_is_looked_at(arguments):
    assert set(drawing()) == set(arguments)
    assert set(figures.__all__) >= NO_FIGURE


@pytest.mark.parametrize("name", drawing())
def test_every_figure_has_a_narrow_layout(arguments, name):
    draw = getattr(figures, name)
    option = inspect.signature(draw).parameters["mobile"]
    assert option.default is False
    assert option.kind is inspect.Parameter.KEYWORD_ONLY
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", delphi.FitWarning)
        wide, narrow = (draw(*arguments[name], mobile=mobile) for mobile in (False, True))
    assert wide.layout.template.layout.colorway == narrow.layout.template.layout.colorway
    assert len(wide.data) == len(narrow.data) > 0
    # It differs from the wide one, says how high it is, and its margins leave room to draw in.
    assert wide.layout.to_plotly_json() != narrow.layout.to_plotly_json()
    assert narrow.layout.height
    sides = narrow.layout.margin
    assert MOBILE_WIDTH - sides.l - sides.r > 240
    assert narrow.layout.height - sides.t - sides.b > 200
    # No two panels side by side but those of a grid of knobs, which says so.
    spans = {tuple(axis.domain or (0, 1)) for axis in narrow.select_xaxes()}
    assert len(spans) == (2 if name == "hparam_scaling" else 1)
