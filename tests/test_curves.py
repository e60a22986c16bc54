"""Forecasts of final losses from prefixes: tables, statuses, ensemble, intervals."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import delphi
from delphi.curveforms import FORMS
from delphi.trajectories import read_trajectories


@pytest.fixture(autouse=True)
def _quiet():
    """Statuses are looked at where they matter; their one warning is tested on its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", delphi.FitWarning)
        yield


@pytest.fixture(scope="module")
def grid():
    return delphi.simulate.curves(rng=0)


@pytest.fixture(scope="module")
def fits(grid):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", delphi.FitWarning)
        return delphi.fit_curves(grid, by=["scale", "mix", "lr"], schedule="schedule")


def one_run(loss, **columns):
    loss = np.asarray(loss, float)
    return pd.DataFrame({"run": "a", "step": np.arange(1, len(loss) + 1), "loss": loss} | columns)


def falling(n=40, F=2.5):
    return delphi.curve_loss(np.arange(1, n + 1) / n, "log", F, 1.0, 50.0)


def said(table):
    return {word for text in table["status"] for word in text.split(", ")}


# --- the frame ------------------------------------------------------------------------------------


def test_one_row_a_run_prefix_and_method(grid, fits):
    n_methods = len(FORMS) * 2 + 3
    assert len(fits) == grid["run"].nunique() * 9 * n_methods
    assert list(fits.columns[:7]) == ["run", "scale", "mix", "lr", "schedule", "prefix", "method"]
    assert not fits.duplicated(["run", "prefix", "method"]).any()
    power = fits[fits["method"] == "power-huber"]
    assert (power["form"] == "power").all()
    assert (power["loss"] == "huber").all()
    assert (power["predicted_final"] == power["F"]).all()
    assert power["delta"].gt(0).all()
    assert fits.loc[fits["loss"] == "mae", "delta"].isna().all()
    baselines = fits[fits["form"] == ""]
    assert set(baselines["method"]) == {"last value", "best so far", "ensemble"}
    assert baselines["F"].isna().all()
    error = (fits["predicted_final"] - fits["actual_final"]).abs()
    pd.testing.assert_series_equal(fits["abs_error"], error, check_names=False)


def test_baselines_and_rows_are_those_of_the_run(grid, fits):
    run = grid[grid["run"] == grid["run"].iloc[0]]
    tau = run["step"] / run["step"].max()
    table = fits[(fits["run"] == run["run"].iloc[0]) & (fits["prefix"] == 0.4)]
    seen = run[tau <= 0.4 + 1e-9]
    value = table.set_index("method")["predicted_final"]
    assert value["last value"] == seen["loss"].iloc[-1]
    assert value["best so far"] == seen["loss"].min()
    assert (table["n"] == len(seen)).all()
    assert (table["actual_final"] == run["loss"].iloc[-1]).all()


def test_the_truth_is_found_without_noise():
    for shape in FORMS:
        runs = delphi.simulate.curves(scales=(1e18,), mixes=("web",), shape=shape, noise=0.0, rng=1)
        fits = delphi.fit_curves(runs, prefixes=[0.5, 0.8], forms=[shape])
        truth = fits["run"].map({k: v["final"] for k, v in runs.attrs["truth"].items()})
        own = fits["form"] == shape
        assert (fits["predicted_final"] - truth)[own].abs().max() < 1e-7


def test_any_order_of_rows_and_any_frame_library(grid, fits):
    pl = pytest.importorskip("polars")
    shuffled = grid.sample(frac=1, random_state=3)
    other = delphi.fit_curves(
        pl.from_pandas(shuffled.reset_index(drop=True)), by=["scale", "mix", "lr"],
        schedule="schedule", n_threads=3,
    )  # fmt: skip
    pd.testing.assert_frame_equal(other, fits)


def test_progress_total_and_min_progress(grid):
    run = grid[grid["run"] == grid["run"].iloc[0]].copy()
    run["progress"] = run["step"] / run["total_steps"]
    a = delphi.fit_curves(run, prefixes=[0.5], forms="log")
    b = delphi.fit_curves(run, prefixes=[0.5], forms="log", progress="progress")
    c = delphi.fit_curves(run, prefixes=[0.5], forms="log", total="total_steps")
    d = delphi.fit_curves(run, prefixes=[0.5], forms="log", total=float(run["step"].max()))
    for other in (b, c, d):
        pd.testing.assert_frame_equal(a, other)
    late = delphi.fit_curves(run, prefixes=[0.5], forms="log", min_progress=0.1)
    assert (late["n"] == a["n"] - 9).all()


# --- edges: a defined outcome for each ------------------------------------------------------------


def test_two_points():
    fits = delphi.fit_curves(one_run([3.0, 2.5]), prefixes=[1.0])
    method = fits.set_index("method")
    assert (method.loc[method["form"] != "", "status"] == "too_few_points").all()
    assert method.loc["last value", "predicted_final"] == 2.5
    assert method.loc["ensemble", "predicted_final"] == 2.5


def test_a_prefix_before_the_first_point():
    fits = delphi.fit_curves(one_run(falling(5)), prefixes=[0.1])
    assert (fits["status"] == "too_few_points").all()
    assert fits["predicted_final"].isna().all()
    assert (fits["n"] == 0).all()


def test_a_rising_curve_is_forecast_as_a_level():
    fits = delphi.fit_curves(one_run(np.linspace(2, 3, 30)), prefixes=[0.5])
    assert "does_not_fall" in said(fits[fits["form"] != ""])
    ensemble = fits.set_index("method").loc["ensemble", "predicted_final"]
    assert 2.3 < ensemble < 2.6


def test_a_spike_moves_nothing_much():
    loss = falling(100)
    loss[40] += 4
    fits = delphi.fit_curves(one_run(loss), prefixes=[0.5], forms=["log"])
    assert (fits.loc[fits["form"] == "log", "abs_error"] < 1e-3).all()
    assert fits.set_index("method").loc["ensemble", "abs_error"] < 0.01


@pytest.mark.parametrize("ending", [np.nan, np.inf, 9.0])
def test_a_diverged_run_says_so(ending):
    loss = falling(40)
    loss[-3:] = ending
    fits = delphi.fit_curves(one_run(loss), prefixes=[0.5, 1.0])
    assert fits["status"].str.contains("diverged").all()
    lost = not np.isfinite(ending)
    assert fits["actual_final"].isna().all() == lost
    assert (fits["left_out"] == (3 if lost else 0)).all()
    assert fits["status"].str.contains("points_left_out").all() == lost


def test_nan_in_the_middle_is_left_out_and_counted():
    loss = falling(40)
    loss[[5, 10]] = np.nan
    fits = delphi.fit_curves(one_run(loss), prefixes=[0.5], forms=["log"])
    assert (fits["left_out"] == 2).all()
    assert (fits["n"] == 18).all()
    assert fits["status"].str.contains("points_left_out").all()
    assert fits.loc[fits["form"] == "log", "abs_error"].max() < 1e-6


def test_duplicate_steps_count_twice_and_the_final_loss_is_their_mean():
    frame = one_run([*falling(40), 2.7])
    frame.loc[40, "step"] = 40
    fits = delphi.fit_curves(frame, prefixes=[1.0], forms=["log"])
    assert (fits["n"] == 41).all()
    np.testing.assert_allclose(fits["actual_final"], (2.5 + 2.7) / 2)


def shortened(grid, names, share=0.6):
    """The grid with some runs cut."""
    late = grid["run"].isin(names) & (grid["step"] > share * grid["total_steps"])
    return grid[~late]


def test_a_run_that_ends_before_its_peers_is_flagged_where_no_total_is_named(grid):
    names = grid["run"].unique()[[0, 7]].tolist()
    cut = shortened(grid, names)
    columns = {"by": ["scale", "mix", "lr"], "prefixes": [0.5], "forms": "log"}
    fits = delphi.fit_curves(cut, **columns)
    early = fits["status"].str.contains("ends_early")
    assert set(fits.loc[early, "run"]) == set(names)
    assert fits["actual_final"].notna().all()  # taken for finished, and said so
    fits = delphi.fit_curves(cut, total="total_steps", **columns)
    assert not fits["status"].str.contains("ends_early").any()
    unfinished = fits["status"].str.contains("unfinished")
    assert set(fits.loc[unfinished, "run"]) == set(names)
    with pytest.warns(delphi.FitWarning, match="8 of 144 forecasts: ends_early"):
        delphi.fit_curves(cut, **{**columns, "losses": "mae"})


def test_runs_of_lengths_that_peers_share_are_not_flagged(grid):
    # the lengths differ from scale to scale: only the column says that this is as it should be
    assert not read_trajectories(grid, by=("scale",)).early.any()
    assert not read_trajectories(grid, by=("mix", "lr")).early.any()
    curves = read_trajectories(grid)
    assert curves.end_assumed
    assert not curves.early.any()
    given = read_trajectories(shortened(grid, grid["run"].unique()[:1]), total="total_steps")
    assert not given.end_assumed
    assert not given.early.any()


@pytest.mark.parametrize(
    ("lengths", "early"),
    [([100, 100, 60], [0, 0, 1]), ([100, 60], [0, 0]), ([100, 100, 50, 50], [0] * 4),
     ([100, 99.5, 100, 98], [0, 0, 0, 1]), ([60, 60, 100], [0, 0, 0]), ([100], [0]),
     ([100, 100, 70, 50], [0, 0, 1, 1]), ([100, 90, 80], [0, 0, 0])],
)  # fmt: skip
def test_the_common_end_is_that_of_half_the_runs_and_more(lengths, early):
    frame = pd.concat(
        pd.DataFrame({"run": f"r{i}", "step": [1.0, n], "loss": [3.0, 2.0]})
        for i, n in enumerate(lengths)
    )
    assert read_trajectories(frame).early.astype(int).tolist() == early


def test_a_run_at_the_common_end_of_any_group_is_at_its_end():
    rows = [("a", "x", 100), ("b", "x", 100), ("c", "x", 100), ("d", "y", 50), ("e", "y", 50)]
    frame = pd.concat(
        pd.DataFrame({"run": name, "mix": mix, "step": [1.0, n], "loss": [3.0, 2.0]})
        for name, mix, n in rows
    )
    assert read_trajectories(frame).early.tolist() == [False, False, False, True, True]
    assert not read_trajectories(frame, by=("mix",)).early.any()


def test_final_losses_say_which_runs_may_be_unfinished(grid):
    name = grid["run"].iloc[0]
    with pytest.warns(delphi.DataWarning, match=f"{name} ends before most runs like it"):
        table = delphi.final_losses(shortened(grid, [name]), by=["scale"])
    assert name in table["run"].tolist()


def test_an_unfinished_run_has_no_final_loss_to_compare_with():
    fits = delphi.fit_curves(one_run(falling(40)), total=80, prefixes=[0.4, 0.9], forms=["log"])
    assert fits["actual_final"].isna().all()
    assert fits["status"].str.contains("unfinished").all()
    assert fits.groupby("prefix")["status"].agg(
        lambda s: s.str.contains("short_prefix").all()
    ).tolist() == [False, True]
    assert np.isfinite(fits["predicted_final"]).all()


def test_runs_of_different_length_do_not_touch_each_other():
    a, b = one_run(falling(40)), one_run(falling(91, F=2.0)).assign(run="b")
    both = delphi.fit_curves(pd.concat([b, a]), prefixes=[0.5])
    alone = delphi.fit_curves(a, prefixes=[0.5])
    part = both[both["run"] == "a"].reset_index(drop=True)
    pd.testing.assert_frame_equal(part, alone)


def test_no_rows_at_all():
    fits = delphi.fit_curves(one_run([]), prefixes=[0.5])
    assert len(fits) == 0
    assert "abs_error" in fits


def test_decay_is_marked_and_a_cut_in_it_flagged():
    n = 50
    tau = np.arange(1, n + 1) / n
    rate = np.where(tau <= 0.6, 1e-3, 1e-3 * (1 - (tau - 0.6)))
    fits = delphi.fit_curves(
        one_run(falling(n), lr_now=rate), learning_rate="lr_now", prefixes=[0.5, 0.8]
    )
    assert fits.groupby("prefix")["decaying"].all().tolist() == [False, True]
    assert fits["status"].str.contains("mid_decay").all()
    constant = delphi.fit_curves(one_run(falling(n), lr_now=1e-3), learning_rate="lr_now")
    assert not constant["decaying"].any()
    assert "mid_decay" not in said(constant)


def test_one_warning_counts_them_all():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        delphi.fit_curves(one_run([3.0, 2.5]), prefixes=[1.0])
    assert [str(w.message) for w in caught] == ["8 of 11 forecasts: too_few_points"]


@pytest.mark.parametrize(
    ("change", "options", "match"),
    [
        ({}, {"loss": "nothing"}, "missing column 'nothing'"),
        ({}, {"prefixes": [0.5, 1.5]}, "prefixes"),
        ({}, {"prefixes": []}, "prefixes"),
        ({}, {"prefixes": [0.5, 0.5]}, "each once"),
        ({}, {"forms": ["cubic"]}, "forms: expected 'log'"),
        ({}, {"losses": ["l2"]}, "losses: expected 'mae'"),
        ({}, {"delta": -1}, "delta"),
        ({}, {"level": 1}, "level"),
        ({}, {"min_progress": 1}, "min_progress"),
        ({}, {"total": 5}, r"step: row 6: step over total is 1.2"),
        ({}, {"total": "long"}, "missing column 'long'"),
        ({"step": [-1, 2, 3, 4, 5, 6, 7, 8, 9, 10]}, {}, "row 1"),
        ({"lr": range(10)}, {"by": "lr"}, "lr: changes within a run, first in row 2"),
        ({"loss": ["a"] * 10}, {}, "not a number"),
        ({"method": 1}, {"by": "method"}, "names of results"),
        ({"run": [None] * 10}, {}, "no value"),
    ],
)
def test_bad_input_is_named(change, options, match):
    with pytest.raises(delphi.DataError, match=match):
        delphi.fit_curves(one_run(np.linspace(3, 2, 10)).assign(**change), **options)


# --- ensemble and intervals -----------------------------------------------------------------------


@pytest.mark.parametrize("schedule", ["constant", "cosine", "wsd"])
@pytest.mark.parametrize("shape", FORMS)
def test_the_ensemble_beats_the_last_value(shape, schedule):
    runs = delphi.simulate.curves(mixes=("web",), shape=shape, schedule=schedule, rng=2)
    table = delphi.score_curves(delphi.fit_curves(runs, prefixes=[0.3, 0.5, 0.7]))
    mae = table.pivot(index="prefix", columns="method", values="mae")
    assert (mae["ensemble"] < mae["last value"]).all()


def test_intervals_hold_as_often_as_they_say():
    runs = delphi.simulate.curves(
        scales=np.geomspace(1e18, 1e20, 12), noise=0.01, schedule="cosine", rng=4
    )
    fits = delphi.fit_curves(runs, level=0.8, prefixes=[0.4, 0.7], forms=["power", "log"])
    table = delphi.score_curves(fits)
    assert table["n_intervals"].eq(108).all()
    assert table["coverage"].between(0.7, 0.9).all()
    assert (fits["n_calibration"] == 107).all()
    # the other way to hold out: whole scales that the calibration has not seen
    low = runs[runs["scale"] < 3e19]
    part = delphi.fit_curves(low, level=0.8, prefixes=[0.7], forms=["power"])
    assert part["n_calibration"].eq(low["run"].nunique() - 1).all()


def test_an_interval_is_the_conformal_one():
    runs = delphi.simulate.curves(rng=5)
    fits = delphi.fit_curves(runs, level=0.75, prefixes=[0.5], forms=["power"], losses=["mae"])
    table = fits[fits["method"] == "last value"].reset_index(drop=True)
    ensemble = fits[fits["method"] == "ensemble"].reset_index(drop=True)
    noise = fits[fits["method"] == "power-mae"]["noise"].reset_index(drop=True)
    unit = np.maximum((table["last_value"] - ensemble["predicted_final"]).abs(), noise)
    ratio = (table["abs_error"] / unit).to_numpy()
    n = len(ratio)
    for i in range(n):
        others = np.sort(np.delete(ratio, i))
        width = others[int(np.ceil(n * 0.75)) - 1] * unit[i]
        assert table["high"][i] - table["predicted_final"][i] == pytest.approx(width)


def test_too_few_runs_have_no_interval():
    fits = delphi.fit_curves(one_run(falling()), prefixes=[0.5])
    assert fits["low"].isna().all()
    assert (fits["n_calibration"] == 0).all()


def test_a_schedule_with_enough_runs_is_calibrated_by_itself():
    runs = pd.concat(
        [delphi.simulate.curves(schedule=s, rng=6).assign(run=lambda f, s=s: s + f["run"])
         for s in ("constant", "wsd")]
    )  # fmt: skip
    fits = delphi.fit_curves(runs, schedule="schedule", prefixes=[0.7], forms=["power"])
    alone = delphi.fit_curves(runs[runs["schedule"] == "wsd"], prefixes=[0.7], forms=["power"])
    part = fits[fits["schedule"] == "wsd"].reset_index(drop=True)
    np.testing.assert_allclose(part["low"], alone["low"])
    assert part["n_calibration"].eq(35).all()


def test_small_schedules_are_calibrated_together():
    runs = delphi.simulate.curves(rng=6)
    names = runs["run"].unique()
    of = {name: "ab"[i % 2] if i < 8 else "c" for i, name in enumerate(names)}
    runs = runs.assign(schedule=runs["run"].map(of))
    fits = delphi.fit_curves(runs, schedule="schedule", prefixes=[0.7], forms=["log"], level=0.8)
    count = fits.groupby("schedule")["n_calibration"].unique()
    assert {k: v.tolist() for k, v in count.items()} == {"a": [7], "b": [7], "c": [27]}
    few = runs[runs["run"].isin([*names[:2], *names[8:]])]
    fits = delphi.fit_curves(few, schedule="schedule", prefixes=[0.7], forms=["log"], level=0.8)
    count = fits.groupby("schedule")["n_calibration"].unique()
    assert {k: v.tolist() for k, v in count.items()} == {"a": [29], "b": [29], "c": [27]}


def test_scores(fits):
    table = delphi.score_curves(fits, by=["scale", "prefix", "method"])
    cell = table[(table["scale"] == 3e18) & (table["prefix"] == 0.5)]
    rows = fits[(fits["scale"] == 3e18) & (fits["prefix"] == 0.5)]
    mae = rows.groupby("method")["abs_error"].mean()
    np.testing.assert_allclose(cell.set_index("method")["mae"], mae.sort_index())
    assert cell["n_runs"].eq(9).all()
    best = cell.loc[cell["best"], "method"]
    assert len(best) == 1
    fitted = rows.loc[rows["form"] != "", "method"].unique()
    assert best.iloc[0] == mae[fitted].idxmin()
    assert delphi.score_curves(fits, by="method")["best"].sum() == 1
    with pytest.raises(delphi.DataError, match="missing column 'width'"):
        delphi.score_curves(fits, by="width")


def test_curve_loss_refuses_unknown_forms():
    with pytest.raises(delphi.DataError, match="form: expected one of"):
        delphi.curve_loss(0.5, "cubic", 1, 1, 1)


# --- trajectories, simulator ----------------------------------------------------------------------


def test_final_losses_leave_the_unfinished_out_by_name():
    good, cut = one_run(falling(40)), one_run(falling(20)).assign(run="cut")
    bad = one_run([*falling(39), np.nan]).assign(run="bad")
    frame = pd.concat([good, cut, bad]).assign(total=40)
    table = delphi.final_losses(frame, total="total")
    assert table["run"].tolist() == ["a"]
    assert table.attrs["left_out"] == {"cut": "unfinished", "bad": "diverged"}


def test_trajectories_sort_within_runs_and_keep_ties_in_order():
    frame = pd.DataFrame({"run": list("babab"), "step": [2, 1, 1, 3, 2], "loss": [1, 2, 3, 4, 5.0]})
    curves = read_trajectories(frame)
    assert curves.offsets.tolist() == [0, 2, 5]
    assert curves.loss.tolist() == [2, 4, 3, 1, 5]
    np.testing.assert_allclose(curves.tau, [1 / 3, 1, 0.5, 1, 1])
    assert curves.actual.tolist() == [4, 3]


def test_the_simulated_grid_ends_where_its_law_says():
    runs = delphi.simulate.curves(noise=0.0, schedule="cosine", lrs=(1e-3,), rng=7)
    last = runs.groupby("run")["loss"].last()
    truth = pd.Series({k: v["final"] for k, v in runs.attrs["truth"].items()})
    np.testing.assert_allclose(last, truth[last.index], atol=1e-12)
    again = delphi.simulate.curves(noise=0.0, schedule="cosine", lrs=(1e-3,), rng=7)
    pd.testing.assert_frame_equal(runs, again)
    for bad in ({"shape": "cubic"}, {"schedule": "x"}, {"n_points": 0}, {"noise": -1},
                {"scales": [0]}, {"mixes": {}}):  # fmt: skip
        with pytest.raises(ValueError):
            delphi.simulate.curves(**bad)
