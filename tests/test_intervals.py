"""One frame of intervals, whatever the method and the kind."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from delphi import DataError, FitWarning, RunNoise, fit_isoflops, fit_power_law, simulate
from delphi.status import status_names

C7 = np.geomspace(3e18, 3e20, 7)
COLUMNS = [
    "compute", "low", "mid", "high", "level", "method", "kind", "extrapolation_decades", "status",
]  # fmt: skip
FREE = ["profile", "bootstrap", "two-level", "posterior"]


@pytest.fixture(scope="module")
def ladder():
    return fit_isoflops(simulate.ladder(rng=0))


@pytest.fixture(scope="module")
def law(ladder):
    return ladder.laws()["Aster"]


def noisy(seed, sd=0.003):
    return 1.8 + 1600 * C7**-0.16 + np.random.default_rng(seed).normal(0, sd, 7)


@pytest.mark.parametrize("kind", ["mean", "new run"])
@pytest.mark.parametrize("method", FREE)
def test_every_method_gives_the_same_frame(law, method, kind):
    frame = law.interval([1e20, 1e22], method=method, kind=kind, level=0.9)
    assert list(frame) == COLUMNS
    assert (frame["low"] < frame["mid"]).all()
    assert (frame["mid"] < frame["high"]).all()
    assert (frame["level"] == 0.9).all()
    assert set(frame["method"]) == {method}
    assert set(frame["kind"]) == {kind}
    truth = 1.8 < frame["low"].iloc[1] < frame["high"].iloc[1] < 3.2
    assert truth
    assert ["extrapolated" in status for status in frame["status"]] == [False, True]
    inside = law.interval([1e20, 1e22], method=method, level=0.5)
    assert (inside["high"] < frame["high"]).all()


@pytest.mark.parametrize("method", FREE)
def test_a_new_run_scatters_more_than_the_law(law, method):
    mean = law.interval(1e21, method=method).iloc[0]
    run = law.interval(1e21, method=method, kind="new run", noise=RunNoise(0.05, np.inf)).iloc[0]
    assert run["high"] - run["low"] == pytest.approx(
        np.hypot(2 * 1.96 * 0.05, mean["high"] - mean["low"]), rel=0.1
    )


def test_seeds_of_the_ladder_are_the_noise_of_a_new_run(ladder, law):
    noise = ladder.run_noise()["Aster"]
    assert noise.dof == 6  # three held-out budgets with three seeds
    given = law.interval(1e22, kind="new run", noise=noise)
    pd.testing.assert_frame_equal(law.interval(1e22, kind="new run"), given)
    forecast = ladder.forecast(1e22, suite="Aster", kind="new run", method="profile")
    pd.testing.assert_frame_equal(forecast.drop(columns="suite"), given)


def test_little_known_noise_is_student_t():
    z = np.linspace(-3, 3, 13)
    spread = RunNoise(2.0, 4.0).spread(z)
    np.testing.assert_allclose(spread, 2 * stats.t.ppf(stats.norm.cdf(z), 4), rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(RunNoise(2.0, np.inf).spread(z), 2 * z)


@pytest.mark.parametrize("method", ["profile", "t", "bootstrap", "two-level", "posterior"])
def test_the_ladder_forecasts_by_any_method(ladder, method):
    if method == "t":
        with pytest.raises(DataError, match="a free floor 'profile'"):
            ladder.forecast(1e22, method=method)
        return
    frame = ladder.forecast([1e21, 1e22], method=method)
    assert list(frame) == ["suite", *COLUMNS]
    assert frame.groupby("suite").size().tolist() == [2, 2]
    again = ladder.forecast([1e21, 1e22], method=method)
    pd.testing.assert_frame_equal(frame, again)


def test_two_levels_see_the_noise_inside_budgets():
    """Optima that line up by luck: resampling them finds no noise, resampling runs does."""
    runs = simulate.ladder(rng=3, noise=0.01)
    ladder = fit_isoflops(runs)
    law = ladder.laws()["Aster"]
    fits = ladder.fits.copy()
    rows = fits["suite"] == "Aster"
    fits.loc[rows, "loss_star"] = law.predict(fits.loc[rows, "compute"].to_numpy())
    from dataclasses import replace

    lucky = replace(ladder, fits=fits)
    law = lucky.laws()["Aster"]
    width = {
        method: np.ptp(law.interval(1e22, method=method)[["low", "high"]].to_numpy())
        for method in ("bootstrap", "two-level")
    }
    assert width["bootstrap"] < 1e-6 < 0.005 < width["two-level"]


def test_words_of_the_law_stand_in_its_intervals():
    y = 4 * (C7 / C7[0]) ** -0.05 + np.random.default_rng(0).normal(0, 0.01, 7)
    with pytest.warns(FitWarning, match="alpha_weak"):
        law = fit_power_law(C7, y)
    assert {"alpha_weak", "floor_not_identified"} <= set(status_names(law.status_code))
    for method in ("profile", "bootstrap", "posterior"):
        assert "alpha_weak" in law.interval(1e22, method=method)["status"].iloc[0]


@pytest.mark.parametrize(
    ("floor", "options", "words"),
    [
        (None, {"method": "t"}, "'profile'"),
        (1.8, {"method": "profile"}, "'t'"),
        (1.8, {"method": "posterior"}, "'t'"),
        (None, {"method": "two-level"}, "IsoflopLadder.laws"),
        (None, {"method": "delta"}, "method: expected one of"),
        (None, {"kind": "median"}, "kind: expected"),
        (None, {"level": 1.0}, "level"),
        (None, {"rng": 0.5, "method": "bootstrap"}, "rng"),
    ],
)
def test_what_does_not_fit_is_refused(floor, options, words):
    law = fit_power_law(C7, noisy(0), floor=floor)
    with pytest.raises(DataError, match=words):
        law.interval(1e22, **options)
