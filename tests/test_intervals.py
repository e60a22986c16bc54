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
        with pytest.raises(DataError, match="a free floor takes 'profile'"):
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


# --- what strict users found ----------------------------------------------------------------------


def test_a_ladder_without_held_out_runs_knows_the_noise_of_its_runs():
    runs = simulate.ladder(noise=0.005, rng=2)
    ladder = fit_isoflops(runs[runs["run_type"] == "isoflop"].reset_index(drop=True))
    noise = ladder.run_noise()
    assert all(0.0035 < own.sd < 0.0065 for own in noise.values())
    assert all(own.dof > 20 for own in noise.values())
    by_hand = ladder.fits[(ladder.fits["suite"] == "Aster") & ladder.fits["used"]]
    dof = (by_hand["n_used"] - 3).sum()
    assert noise["Aster"].sd == pytest.approx(np.sqrt(by_hand["rss"].sum() / dof))
    wide = ladder.forecast(1e20, kind="new run").set_index("suite").loc["Aster"]
    assert wide["high"] - wide["low"] > 2 * 1.9 * noise["Aster"].sd
    law = ladder.laws()["Aster"]
    own = law.interval(1e20, kind="new run", method="posterior").iloc[0]
    assert own["high"] - own["low"] == pytest.approx(wide["high"] - wide["low"], rel=0.05)


def test_a_shared_floor_was_estimated_too():
    """Intervals of a shared floor cover, and are wider than if the floor were known."""
    inside, total = 0, 0
    surface = simulate.DEFAULT_SUITES["Aster"]
    for seed in range(40):
        runs = simulate.ladder(suites={"a": surface, "b": surface}, noise=0.005, rng=seed)
        laws = fit_isoflops(runs).laws(shared_floor=True)
        truth = simulate.truth(surface)
        for law in laws.values():
            row = law.interval(3e22, method="t").iloc[0]
            inside += row["low"] <= float(truth.predict(3e22)) <= row["high"]
            total += 1
    assert law.method == "shared"
    assert inside / total > 0.85
    known = fit_power_law(*law.points, floor=law.L_inf).interval(3e22, method="t").iloc[0]
    assert row["high"] - row["low"] > 1.5 * (known["high"] - known["low"])
    for method in ("profile", "posterior", "bootstrap", "two-level"):
        with pytest.raises(DataError, match="a shared floor takes 't'"):
            law.interval(3e22, method=method)


def test_the_linearised_shared_floor_is_the_joint_jacobian():
    from delphi.profile import shared_floor, t_interval

    rng = np.random.default_rng(4)
    suites = [(C7, noisy(1)), (C7[1:], 1.8 + 2500 * C7[1:] ** -0.17 + rng.normal(0, 0.003, 6))]
    laws = [(1.8, np.log(1600.0), 0.16), (1.8, np.log(2500.0), 0.17)]
    shared = shared_floor(suites, laws)
    rows, residuals = [], []
    for s, ((C, y), (L, log_A, alpha)) in enumerate(zip(suites, laws, strict=True)):
        term = np.exp(log_A - alpha * np.log(C))
        block = np.zeros((len(C), 5))
        block[:, 0] = 1
        block[:, 1 + 2 * s], block[:, 2 + 2 * s] = term, -term * np.log(C)
        rows.append(block)
        residuals.append(y - L - term)
    J, r = np.concatenate(rows), np.concatenate(residuals)
    sigma = np.sqrt(r @ r / (len(r) - 5))
    at = 1e22
    ahead = np.exp(laws[0][1] - 0.16 * np.log(at))
    g = np.array([1, ahead, -ahead * np.log(at), 0, 0])
    _, upper = np.linalg.qr(J)
    half = stats.t.ppf(0.975, len(r) - 5) * sigma * np.linalg.norm(np.linalg.solve(upper.T, g))
    low, high = t_interval(*suites[0], laws[0], np.array([at]), 0.95, shared)
    assert (high - low)[0] == pytest.approx(2 * half, rel=1e-6)


@pytest.mark.parametrize("decades", [3, 8, 16, 18])
def test_profile_intervals_hold_their_law_over_any_span(decades):
    C = np.geomspace(1e20 / 10.0**decades, 1e20, 8)
    y = 2 + 3 * (C / C[0]) ** -0.1 + np.random.default_rng(decades).normal(0, 1e-3, 8)
    law = fit_power_law(C, y)
    row = law.interval(1e21).iloc[0]
    assert row["low"] < law.predict(1e21) < row["high"]
    assert np.isfinite(row["high"])


def test_profile_intervals_of_exact_data_close():
    C = np.geomspace(1e18, 1e21, 5)
    law = fit_power_law(C, 1.8 + 1e12 * C**-0.7)
    row = law.interval(1e22).iloc[0]
    assert row["low"] <= law.predict(1e22) <= row["high"]
    assert row["high"] - row["low"] < 1e-6


def test_a_pinned_interval_stays_above_its_floor():
    C = np.geomspace(1e18, 1e20, 6)
    law = fit_power_law(C, [4, 2.9, 3.1, 2.2, 2.6, 2.1], floor=1.8)
    assert (law.interval([1e20, 1e22, 1e24], method="t")["low"] > 1.8).all()


def test_resampling_that_runs_into_a_bound_says_so():
    y = 0.3 + 40 * C7**-0.06 + np.random.default_rng(3).normal(0, 0.01, 7)
    with pytest.warns(FitWarning):
        law = fit_power_law(C7, y)
    assert "floor_at_zero" in law.interval(1e26, method="bootstrap")["status"].iloc[0]


def test_the_posterior_is_of_the_law_s_own_compute():
    runs = simulate.ladder(rng=0)
    runs["budget"] = runs["budget"] / 1.3
    law = fit_isoflops(runs).laws(compute="budget")["Aster"]
    row = law.interval(1e22, method="posterior").iloc[0]
    assert row["low"] < law.predict(1e22) < row["high"]
    assert law.posterior().compute_max == law.compute_max


def test_a_suite_without_enough_optima_keeps_its_rows(ladder):
    runs = simulate.ladder(rng=0)
    few = (runs["suite"] == "Birch") & (runs["budget"] > 1.5e19)
    none = runs["suite"].eq("Birch") & runs["budget"].lt(4e18)
    runs = runs[~few].copy()
    runs.loc[none, "suite"] = "Cedar"
    runs.loc[none, "loss"] = 8 - runs.loc[none, "loss"]
    with pytest.warns(FitWarning, match="concave"):
        ladder = fit_isoflops(runs)
    for method in ("posterior", "profile", "bootstrap", "two-level"):
        with pytest.warns(FitWarning, match=r"no forecast for .*Cedar \(too_few_points\)"):
            frame = ladder.forecast([1e21, 1e22], method=method).set_index("suite")
        assert frame.index.unique().tolist() == ["Aster", "Birch", "Cedar"]
        assert frame.loc["Aster", "low"].notna().all()
        assert frame.loc["Cedar", ["low", "mid", "high"]].isna().all(axis=None)
        assert set(frame.loc["Cedar", "status"]) == {"too_few_points"}


def test_far_below_the_data_is_far_too(law):
    frame = law.interval([1e12, 2e18])
    assert ["extrapolated" in status for status in frame["status"]] == [True, False]


@pytest.mark.parametrize(
    "noise", [0.01, "junk", (0.01, 3)], ids=["number", "text", "pair"]
)  # fmt: skip
@pytest.mark.parametrize("kind", ["mean", "new run"])
def test_noise_is_a_run_noise(law, noise, kind):
    with pytest.raises(DataError, match="noise: expected"):
        law.interval(1e22, kind=kind, noise=noise)


@pytest.mark.parametrize("pair", [(-1, 3), (np.nan, 3), (0.1, 0), (0.1, np.nan), ("a", 3)])
def test_run_noise_is_checked(pair):
    with pytest.raises(DataError, match="RunNoise"):
        RunNoise(*pair)
