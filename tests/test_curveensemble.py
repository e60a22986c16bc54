"""The ensemble of learning curves: its rule by hand, what it reads, what it is worth."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import delphi
from delphi.curveensemble import fastest_fall, median_of, recent_slope
from delphi.trajectories import read_trajectories


@pytest.fixture(autouse=True)
def _quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", delphi.FitWarning)
        yield


def forecast(frame, **options):
    fits = delphi.fit_curves(frame, **options)
    return fits[fits["method"] == "ensemble"].reset_index(drop=True)


def by_hand(tau, loss, fits, late):
    """The rule, one slice at a time."""
    last, at = loss[-1], tau[-1]
    values, drops = [], []
    for fit in fits.itertuples():
        curve = [
            delphi.curve_loss(t, fit.form, fit.F, fit.A, fit.theta_0, fit.theta_1)
            for t in tau[-3:]
        ]  # fmt: skip
        values.append(curve[-1] + np.median(loss[-3:] - curve))
        drops.append(curve[-1] - fit.F)
    stands = np.median(values)
    noise = fits["noise"].iloc[0]
    stands = min(max(stands, last - 2 * noise), last + 2 * noise)
    whole = np.median(drops)
    half = np.median(
        [
            delphi.curve_loss(at, f.form, f.F, f.A, f.theta_0, f.theta_1) - f.F
            for f in late.itertuples()
        ]
    )
    half = min(max(half, whole / 2.5), whole * 2.5)
    line, end = (line_at_the_end(tau, loss, part) for part in (0.1, 0.025))
    goes_on = max(-line.slope, 0) * 2 * at * (1 - np.sqrt(at))
    step = fastest(tau, loss) > 3.5 * max(-end.slope + end.stderr, 0)
    return stands - (min(whole, goes_on) if step else np.median([whole, half, goes_on])), step


def line_at_the_end(tau, loss, part):
    first = min(np.searchsorted(tau, (1 - part) * tau[-1]), len(tau) - 3)
    return stats.linregress(tau[first:], loss[first:])


def fastest(tau, loss):
    """Between medians of pieces of the later half."""
    late = tau >= tau[-1] / 2
    tau, loss = tau[late], loss[late]
    m = min(len(tau) // 3, 20)
    if m < 4:
        return np.nan
    edges = np.linspace(tau[-1] / 2, tau[-1], m + 1)
    piece = np.clip(np.searchsorted(edges, tau, side="right") - 1, 0, m - 1)
    x = [tau[piece == k].mean() for k in range(m)]
    y = [np.median(loss[piece == k]) for k in range(m)]
    return max(-np.diff(y) / np.diff(x))


@pytest.mark.parametrize("schedule", ["linear", "wsdcon", "multi-step", "cyclic"])
def test_the_rule_by_hand(schedule):
    runs = delphi.simulate.scheduled_curves(8, schedules=[schedule], n_points=(40, 90), rng=2)
    steps = []
    for prefix in (0.3, 0.5, 0.7):
        fits = delphi.fit_curves(runs, prefixes=[prefix], total="total_steps")
        start = runs[runs["step"] >= prefix / 2 * runs["total_steps"]]
        late = delphi.fit_curves(start, prefixes=[prefix], total="total_steps", losses=["huber"])
        for name, own in fits.groupby("run"):
            run = runs[runs["run"] == name]
            tau = (run["step"] / run["total_steps"]).to_numpy()
            seen = tau <= prefix + 1e-9
            half = late[(late["run"] == name) & (late["form"] != "")]
            found = own.set_index("method").loc["ensemble", "predicted_final"]
            slow, step = by_hand(
                tau[seen], run["loss"].to_numpy()[seen], own[own["form"] != ""], half
            )
            assert found == pytest.approx(slow, rel=1e-9)
            steps.append(step)
    assert any(steps) or schedule == "linear"  # both branches are seen
    assert np.mean(steps) < 0.7


def test_nothing_beyond_the_prefix_is_read():
    runs = delphi.simulate.scheduled_curves(9, n_points=(40, 60), rng=3)
    options = {"prefixes": [0.5], "total": "total_steps"}
    later = runs["step"] > 0.5 * runs["total_steps"]
    changed = runs.assign(loss=np.where(later, 1.0 + runs["loss"] % 0.3, runs["loss"]))
    a, b = forecast(runs, **options), forecast(changed, **options)
    assert (a["predicted_final"] == b["predicted_final"]).all()
    assert not (a["actual_final"] == b["actual_final"]).any()


def test_units_of_step_and_level_of_loss_do_not_matter():
    runs = delphi.simulate.scheduled_curves(9, n_points=(40, 60), rng=4)
    a = forecast(runs, prefixes=[0.6])
    b = forecast(runs.assign(step=runs["step"] * 1e6), prefixes=[0.6])
    np.testing.assert_allclose(a["predicted_final"], b["predicted_final"], rtol=1e-9)
    c = forecast(runs.assign(loss=runs["loss"] * 2), prefixes=[0.6])
    np.testing.assert_allclose(2 * a["predicted_final"], c["predicted_final"], rtol=1e-5)


def test_recent_slopes_are_those_of_least_squares():
    random = np.random.default_rng(5)
    frame = pd.DataFrame(
        {
            "run": np.repeat(["a", "b", "c"], [100, 4, 2]),
            "step": [*range(1, 101), 1, 2, 3, 4, 1, 2],
            "loss": random.uniform(2, 3, 106),
        }
    )
    runs = read_trajectories(frame)
    starts, ends = np.array([0, 0, 100, 104, 0]), np.array([100, 8, 104, 106, 0])
    slope, error = recent_slope(runs, starts, ends, 0.1)
    for k, rows in enumerate([slice(89, 100), slice(5, 8), slice(101, 104)]):
        line = stats.linregress(runs.tau[rows], runs.loss[rows])
        assert slope[k] == pytest.approx(line.slope, rel=1e-9)
        assert error[k] == pytest.approx(line.stderr, rel=1e-9)
    assert np.isnan(slope[3:]).all()
    same = read_trajectories(frame.assign(step=1).head(10))  # all at one tau
    slope, _ = recent_slope(same, np.array([0]), np.array([10]), 0.1)
    assert np.isnan(slope).all()


def test_the_fastest_fall_is_a_step_and_not_a_spike():
    tau = np.arange(1, 201) / 200
    smooth = 3 - 0.5 * tau
    spike = smooth.copy()
    spike[150] += 2
    frame = pd.DataFrame(
        {
            "run": np.repeat(["a smooth", "b spike", "c step", "d few"], [200, 200, 200, 20]),
            "step": np.concatenate((np.tile(np.arange(1, 201), 3), np.arange(1, 21))),
            "loss": np.concatenate((smooth, spike, smooth - (tau > 0.75), smooth[:20])),
        }
    )
    runs = read_trajectories(frame)
    found = fastest_fall(runs, runs.offsets[:-1], runs.offsets[1:])
    assert found[:2] == pytest.approx([0.5, 0.5], rel=0.1)
    assert found[2] == pytest.approx(40, rel=0.2)  # 1 within a twentieth of a half
    assert np.isnan(found[3])
    for k, name in enumerate(("a smooth", "b spike", "c step")):
        run = frame[frame["run"] == name]
        assert found[k] == pytest.approx(fastest(run["step"].to_numpy() / 200, run["loss"].values))
    assert np.isnan(fastest_fall(runs, np.array([5]), np.array([5]))).all()


def test_medians_of_what_is_finite():
    values = np.array([[1.0, np.nan, 3.0], [np.nan] * 3, [1.0, 2.0, 9.0]])
    out = median_of(values, np.array([True, True, False]), np.array([7.0, 8.0, 9.0]))
    np.testing.assert_array_equal(out, [2.0, 8.0, np.nan])


def test_a_cut_just_inside_the_prefix_is_survived():
    """Where the mean of whole and half did worse than the last value."""
    runs = delphi.simulate.scheduled_curves(
        60, schedules=["wsdcon"], n_points=(60, 200), noise=(5e-4, 2e-3), rng=6
    )
    cut = {name: truth["start"] for name, truth in runs.attrs["truth"].items()}
    total = {}
    for part in (0.05, 0.15, 0.25, 0.35):  # of the prefix, since the cut
        error = last = 0.0
        for name, run in runs.groupby("run"):
            prefix = cut[name] / (1 - part)
            if prefix < 0.95:
                row = forecast(run, prefixes=[prefix]).iloc[0]
                error += row["abs_error"]
                last += abs(row["last_value"] - row["actual_final"])
        total[part] = error / last
    assert max(total.values()) < 1


def test_it_beats_the_last_value_under_every_schedule():
    runs = delphi.simulate.scheduled_curves(135, n_points=(40, 120), rng=7)
    fits = delphi.fit_curves(runs, schedule="schedule", prefixes=[0.3, 0.6, 0.9])
    table = delphi.score_curves(fits, by=["schedule", "method", "prefix"])
    wide = table.pivot(index=["schedule", "prefix"], columns="method", values="mae")
    assert (wide["ensemble"] < 1.05 * wide["last value"]).all()
    everywhere = delphi.score_curves(fits).pivot(index="prefix", columns="method", values="mae")
    assert (everywhere["ensemble"] < 0.7 * everywhere["last value"]).all()


@pytest.mark.parametrize("n", range(1, 7))
def test_few_points_have_a_forecast(n):
    frame = pd.DataFrame({"run": "a", "step": np.arange(1, n + 1), "loss": 3 - 0.1 * np.arange(n)})
    value = forecast(frame, total=10.0, prefixes=[1.0])["predicted_final"].item()
    assert frame["loss"].min() - 0.1 * (10 - n) <= value <= frame["loss"].iloc[-1] + 1e-9
