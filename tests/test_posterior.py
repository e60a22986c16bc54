"""Forecast intervals: what they contain, what they say, and how often they are right."""

import warnings

import numpy as np
import pandas as pd
import pytest

import delphi
from delphi import DataError, FitWarning, simulate
from delphi.intervals import RunNoise
from delphi.posterior import LawPosterior, fit_posterior

C7 = np.geomspace(3e18, 3e20, 7)


def noisy(sd, seed):
    return 1.8 + 1600 * C7**-0.16 + np.random.default_rng(seed).normal(0, sd, 7)


def test_the_same_rng_gives_the_same_bits():
    one, two, other = (fit_posterior(C7, noisy(0.004, 0), rng=r) for r in (7, 7, 8))
    np.testing.assert_array_equal(one.draws["alpha"], two.draws["alpha"])
    assert not np.array_equal(one.draws["alpha"], other.draws["alpha"])
    pd.testing.assert_frame_equal(one.interval([1e21, 1e22]), two.interval([1e21, 1e22]))
    given = fit_posterior(C7, noisy(0.004, 0), rng=np.random.default_rng(7))
    np.testing.assert_array_equal(one.draws["alpha"], given.draws["alpha"])


def test_an_interval_says_what_it_is():
    law = fit_posterior(C7, noisy(0.004, 0))
    frame = law.interval([1e21, 1e22], level=0.8, kind="new run")
    assert frame["level"].tolist() == [0.8, 0.8]
    assert frame["method"].tolist() == ["posterior"] * 2
    assert frame["kind"].tolist() == ["new run"] * 2
    assert (frame["low"] < frame["mid"]).all()
    assert (frame["mid"] < frame["high"]).all()
    np.testing.assert_allclose(frame["extrapolation_decades"], np.log10(frame["compute"] / 3e20))


def test_wider_for_higher_levels_for_further_out_and_for_a_new_run():
    law = fit_posterior(C7, noisy(0.004, 0))

    def width(compute, **options):
        row = law.interval(compute, **options).iloc[0]
        return row["high"] - row["low"]

    assert width(1e22, level=0.5) < width(1e22) < width(1e22, level=0.99)
    assert width(1e21) < width(1e22) < width(1e24)
    assert width(1e21) < width(1e21, kind="new run", noise=RunNoise(0.02, 1e9))


def test_coverage_on_laws_of_the_family():
    """300 ladders, each a law with noise: the truth lies inside about 95 % of the time."""
    truth = 1.8 + 1600 * 1e22**-0.16
    inside = 0
    for seed in range(300):
        law = fit_posterior(C7, noisy(0.004, seed), n_draws=1000, noise=0.004)
        row = law.interval(1e22).iloc[0]
        inside += row["low"] <= truth <= row["high"]
    assert 0.91 <= inside / 300 <= 0.99  # binomial sd 1.3 %


def test_a_failure_is_a_status():
    with pytest.warns(FitWarning, match="not_decreasing"):
        law = fit_posterior([1e18, 1e19, 1e20], [1.0, 2.0, 3.0])
    assert not law.ok
    assert law.interval(1e22)[["low", "mid", "high"]].isna().all(axis=None)
    assert law.interval(1e22)["status"].tolist() == ["not_decreasing"]


@pytest.mark.parametrize("call", [
    lambda law: law.interval(-1.0),
    lambda law: law.interval("x"),
    lambda law: law.interval(1e22, level=1.0),
    lambda law: law.interval(1e22, level=0),
    lambda law: law.interval(1e22, kind="median"),
    lambda law: fit_posterior([1e18, -1], [3.0, 2.0]),
    lambda law: fit_posterior([1e18, 1e19], [3.0]),
    lambda law: fit_posterior(C7, C7**-0.1, n_draws=0),
    lambda law: fit_posterior(C7, C7**-0.1, n_draws=2.5),
])  # fmt: skip
def test_bad_arguments(call):
    law = fit_posterior(C7, noisy(0.004, 0), n_draws=50)
    with pytest.raises(DataError):
        call(law)


def test_a_posterior_describes_itself():
    law = fit_posterior(C7, noisy(0.004, 0), n_draws=500)
    assert isinstance(law, LawPosterior)
    assert "L_inf" in law.summary()
    assert "95%" in law._repr_html_()
    assert len(law.to_frame()) == 500
    assert law.predict([1e21, 1e22]).shape == (500, 2)


def test_a_ladder_forecasts():
    ladder = delphi.fit_isoflops(simulate.ladder(rng=1, noise=0.001))
    frame = ladder.forecast([1e21, 1e23], level=0.99)
    assert frame["suite"].tolist() == ["Aster", "Aster", "Birch", "Birch"]
    truths = {s: simulate.truth(surface) for s, surface in simulate.DEFAULT_SUITES.items()}
    for _, row in frame.iterrows():
        assert row["low"] <= truths[row["suite"]].predict(row["compute"]) <= row["high"]
    one = ladder.forecast(1e22, suite="Birch")
    assert one["suite"].tolist() == ["Birch"]
    with pytest.raises(DataError, match="Elm"):
        ladder.forecast(1e22, suite="Elm")


def test_forecasts_cover_held_out_runs_of_real_ladders(data_dir):
    runs = delphi.read_runs(sorted((data_dir / "marin").glob("*.csv")))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        ladder = delphi.fit_isoflops(runs)
    frame = ladder.forecast(1e21)
    assert (frame["low"] < frame["mid"]).all()
    assert (frame["high"] - frame["low"] < 0.2).all()


def test_a_new_run_scatters_as_seeds_do():
    """The simulator's seeds differ by their noise: a new run is that much wider than the law."""
    runs = simulate.ladder(rng=2, noise=0.02, seeds=8)
    ladder = delphi.fit_isoflops(runs)
    one = ladder.forecast(1e21, suite="Aster").iloc[0]
    new = ladder.forecast(1e21, suite="Aster", kind="new run").iloc[0]
    assert new["kind"] == "new run"
    extra = np.sqrt((new.high - new.low) ** 2 - (one.high - one.low) ** 2) / (2 * 1.96)
    assert extra == pytest.approx(0.02, rel=0.4)
    bare = delphi.fit_isoflops(runs.drop(columns=["state"]))
    assert np.isfinite(bare.forecast(1e21, suite="Aster", kind="new run")["low"]).all()
