"""Profiles and likelihood intervals of a law."""

import numpy as np
import pytest

from delphi import DataError, fit_isoflops, fit_power_law, simulate

C7 = np.geomspace(3e18, 3e20, 7)


def noisy(seed, sd=0.003):
    return 1.8 + 1600 * C7**-0.16 + np.random.default_rng(seed).normal(0, sd, 7)


def test_the_profile_has_its_lowest_point_at_the_law():
    law = fit_power_law(C7, noisy(0))
    table = law.profile(at=[1e22], n=201)
    lowest = table.loc[table["rss"].idxmin()]
    assert lowest["L_inf"] == pytest.approx(law.L_inf, abs=0.02)
    assert (table["rss"] >= law.rss * (1 - 1e-9)).all()
    assert table["L_inf"].iloc[0] == 0
    assert table["L_inf"].is_monotonic_increasing
    # a higher floor means a faster fall towards it and a higher forecast
    assert table["alpha"].is_monotonic_increasing
    assert table["loss_at_1e+22"].is_monotonic_increasing


def test_every_row_of_the_profile_is_the_pinned_law():
    y = noisy(1)
    row = fit_power_law(C7, y).profile(n=51).iloc[20]
    pinned = fit_power_law(C7, y, floor=row["L_inf"])
    assert (row["alpha"], row["A"], row["rss"]) == (pinned.alpha, pinned.A, pinned.rss)


def test_the_profile_interval_is_the_likelihood_region():
    """Against brute force: the extreme forecasts of all (L, alpha, A) inside the F bound."""
    law = fit_power_law(C7, noisy(2))
    row = law.interval(1e22).iloc[0]
    t2 = 2.7764451051977987**2  # t(0.975, 4) squared
    bound = law.rss * (1 + t2 / 4)
    y = noisy(2)
    floors = np.linspace(0, y.min() * (1 - 1e-9), 1500)[:, None]
    alphas = np.geomspace(0.01, 1, 1500)[None, :]
    e = (C7 / 1e20)[:, None, None] ** -alphas
    z = y[:, None, None] - floors
    B = (e * z).sum(0) / (e * e).sum(0)
    rss = ((z - B * e) ** 2).sum(0)
    # along the amplitude the region is rss + (B' - B)^2 sum e^2 <= bound
    slack = np.sqrt(np.maximum(bound - rss, 0) / (e * e).sum(0))
    ahead = (1e22 / 1e20) ** -alphas
    inside = rss <= bound
    low = np.where(inside, floors + (B - slack) * ahead, np.inf).min()
    high = np.where(inside, floors + (B + slack) * ahead, -np.inf).max()
    assert row["low"] == pytest.approx(low, abs=1e-3)
    assert row["high"] == pytest.approx(high, abs=1e-3)
    assert row["low"] <= low + 1e-6
    assert row["high"] >= high - 1e-6


def test_an_interval_that_runs_into_a_bound_says_so():
    y = 4 * (C7 / C7[0]) ** -0.05 + np.random.default_rng(0).normal(0, 0.01, 7)
    with pytest.warns(match="floor_not_identified"):
        law = fit_power_law(C7, y)
    assert "floor_at_zero" in law.interval(1e24)["status"].iloc[0]


@pytest.mark.parametrize("method", ["profile", "posterior"])
def test_coverage(method):
    truth = 1.8 + 1600 * 1e22**-0.16
    inside = 0
    for seed in range(200):
        row = fit_power_law(C7, noisy(seed)).interval(1e22, method=method).iloc[0]
        inside += row["low"] <= truth <= row["high"]
    assert 0.9 <= inside / 200 <= 0.99  # binomial sd 1.5 %


def test_t_intervals_of_pinned_and_shared_floors_cover():
    truth = 1.8 + 1600 * 1e22**-0.16
    inside = 0
    for seed in range(200):
        row = fit_power_law(C7, noisy(seed), floor=1.8).interval(1e22, method="t").iloc[0]
        inside += row["low"] <= truth <= row["high"]
    assert 0.9 <= inside / 200 <= 0.99
    laws = fit_isoflops(simulate.ladder(rng=0)).laws(shared_floor=True)
    row = laws["Aster"].interval(1e22, method="t").iloc[0]
    assert row["low"] < row["mid"] < row["high"]


@pytest.mark.parametrize(("floor", "options"), [
    (None, {"method": "t"}),
    (1.8, {"method": "profile"}),
    (None, {"method": "two-level"}),
    (None, {"level": 1.0}),
])  # fmt: skip
def test_methods_that_do_not_fit(floor, options):
    law = fit_power_law(C7, noisy(0), floor=floor)
    with pytest.raises(DataError):
        law.interval(1e22, **options)


def test_laws_without_points_or_dof():
    with pytest.warns(match="saturated"):
        law = fit_power_law(C7[:3], noisy(0)[:3])
    with pytest.raises(DataError, match="four points"):
        law.interval(1e22)
    with pytest.raises(DataError, match="loss space"):
        fit_power_law(C7, noisy(0), score="log").profile()
