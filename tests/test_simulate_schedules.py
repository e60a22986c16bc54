"""Learning curves under learning-rate schedules: the laws as printed, their limits, the draws."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import delphi
from delphi.simulate_schedules import LAWS, NOISES, SCHEDULES, annealed_loss, scheduled_curves

FORWARD = {"L0": 2.6, "A": 0.6, "alpha": 0.45}
ANNEALING = {
    "multi-power": {"B": 440.0, "C": 2.1, "beta": 0.6, "gamma": 0.65},
    "momentum": {"C": 0.4, "decay": 0.99},
}


def step_by_step(rate, law, L0, A, alpha, warmup_sum=0.0, **p):
    """The laws as their papers print them, one step and one change after the other."""
    out = []
    for t in range(len(rate)):
        forward = warmup_sum
        for i in range(t + 1):
            forward += rate[i]
        gain = 0.0
        if law == "multi-power":
            for k in range(1, t + 1):
                S_k = sum(rate[k : t + 1])
                G = 1 - (1 + p["C"] * rate[k] ** -p["gamma"] * S_k) ** -p["beta"]
                gain += p["B"] * (rate[k - 1] - rate[k]) * G
        else:
            m = 0.0
            for i in range(1, t + 1):
                m = p["decay"] * m + (rate[i - 1] - rate[i])
                gain += p["C"] * m
        out.append(L0 + A * forward**-alpha - gain)
    return np.array(out)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("steps", [1, 7])
def test_the_laws_are_those_of_the_papers(law, steps):
    random = np.random.default_rng(3)
    treads = 3e-4 * random.uniform(0.1, 1, 12)  # falls and rises
    treads[4] = treads[3]  # and a tread without a change
    shape = FORWARD | ANNEALING[law] | {"warmup_sum": 0.05}
    slow = step_by_step(np.repeat(treads, steps), law, **shape)[steps - 1 :: steps]
    np.testing.assert_allclose(annealed_loss(treads, law, steps=steps, **shape), slow, rtol=1e-12)
    some = annealed_loss(treads, law, steps=steps, at=[11, 4], **shape)
    np.testing.assert_allclose(some, slow[[11, 4]], rtol=1e-12)


@pytest.mark.parametrize("law", LAWS)
def test_a_constant_rate_anneals_nothing(law):
    rate = np.full(50, 2e-4)
    loss = annealed_loss(rate, law, steps=100, **FORWARD, **ANNEALING[law])
    np.testing.assert_allclose(loss, 2.6 + 0.6 * (2e-2 * np.arange(1, 51)) ** -0.45, rtol=1e-14)


def test_what_a_cut_takes_off_in_the_end():
    rate = np.r_[3e-4, np.full(4000, 3e-5)]
    steps = 10_000
    for law, all_of_it in (("multi-power", 440 * 2.7e-4), ("momentum", 0.4 * 2.7e-4 / 0.01)):
        shape = FORWARD | ANNEALING[law]
        gain = 2.6 + 0.6 * (steps * np.cumsum(rate)) ** -0.45 - annealed_loss(
            rate, law, steps=steps, **shape
        )  # fmt: skip
        assert (np.diff(gain) >= -1e-12).all()
        assert gain[0] == pytest.approx(0, abs=1e-12)
        assert gain[-1] == pytest.approx(all_of_it, rel=0.01)
    lower = ANNEALING["multi-power"] | {"B": 0.0}
    np.testing.assert_allclose(
        annealed_loss(rate, **FORWARD, **lower), 2.6 + 0.6 * np.cumsum(rate) ** -0.45
    )


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"law": "chinchilla"}, "law: expected one of"),
        ({"rate": [1e-4, 0.0]}, "rates must be above 0"),
        ({"rate": [1e-4, np.nan]}, "rates must be above 0"),
        ({"rate": []}, "rates must be above 0"),
        ({"steps": 0}, "steps at least 1"),
        ({"alpha": -0.1}, "bad: .'alpha'"),
        ({"decay": 1.0}, "decay must be below 1"),
        ({"at": [2]}, "treads 0 to 1"),
        ({"gamma": 0.5}, "momentum takes C, decay"),
    ],
)
def test_bad_arguments_of_a_law_are_refused(change, match):
    good = {"rate": [1e-4, 5e-5], "law": "momentum"} | FORWARD | ANNEALING["momentum"]
    with pytest.raises(ValueError, match=match):
        annealed_loss(**(good | change))


def test_the_table_and_its_truth():
    runs = delphi.simulate.scheduled_curves(36, n_points=(20, 60), rng=5)
    assert runs.columns.tolist() == [
        "run", "law", "schedule", "noise", "step", "total_steps", "learning_rate", "loss",
    ]  # fmt: skip
    assert set(runs["schedule"]) == set(SCHEDULES)
    assert set(runs["law"]) == set(LAWS)
    assert set(runs["noise"]) == set(NOISES)
    ends = runs.groupby("run")[["step", "total_steps"]].max()
    assert (ends["step"] == ends["total_steps"]).all()
    assert ends["total_steps"].between(2400, 1.1e5).all()
    counts = runs.groupby("run").size()
    assert counts.between(18, 60).all()
    assert (runs["learning_rate"] > 0).all()
    assert np.isfinite(runs["loss"]).all()
    peak = runs["run"].map(lambda r: runs.attrs["truth"][r]["peak"])
    assert (runs["learning_rate"] <= peak * (1 + 1e-12)).all()
    json.dumps(runs.attrs, allow_nan=False)
    pd.testing.assert_frame_equal(runs, scheduled_curves(36, n_points=(20, 60), rng=5))


def test_without_noise_runs_follow_their_law():
    runs = scheduled_curves(27, n_points=(40, 40), noise=(0.0, 0.0), rng=8)
    for name, truth in runs.attrs["truth"].items():
        run = runs[runs["run"] == name]
        if (run["noise"] != "smoothed").all():
            assert run["loss"].iloc[-1] == pytest.approx(truth["final"], abs=1e-12)
        constant = run["schedule"].iloc[0] == "constant"
        rise = np.diff(run["loss"]).max()
        assert rise < 0 or not constant
        if constant and (run["step"] > truth["warmup_steps"]).all():
            # an equal sum of learning rates a step: the power law of what is left
            left = run["loss"].to_numpy() - truth["L0"]
            sums = truth["peak"] * (run["step"].to_numpy() - truth["warmup_steps"])
            offset = (left[0] / truth["A"]) ** (-1 / truth["alpha"]) - sums[0]
            if (run["noise"] != "smoothed").all():
                np.testing.assert_allclose(
                    left, truth["A"] * (offset + sums) ** -truth["alpha"], rtol=1e-9
                )


def test_schedules_are_what_they_are_called():
    runs = scheduled_curves(90, n_points=(300, 300), rng=11)
    for name, truth in runs.attrs["truth"].items():
        run = runs[(runs["run"] == name) & (runs["step"] > truth["warmup_steps"])]
        rate = run["learning_rate"].to_numpy() / truth["peak"]
        schedule = run["schedule"].iloc[0]
        if schedule == "constant":
            np.testing.assert_allclose(rate, 1)
        elif schedule == "wsdcon":
            assert rate[0] == pytest.approx(1)
            assert rate[-1] == pytest.approx(truth["level"])
            assert len(np.unique(rate.round(9))) == 2
        elif schedule == "cyclic":
            assert (np.diff(rate) > 0.2).sum() == truth["cycles"] - 1
        else:
            assert (np.diff(rate) <= 1e-12).all()
            assert rate[-1] == pytest.approx(truth["floor"])


@pytest.mark.parametrize(
    "bad",
    [
        {"n_runs": 0}, {"laws": ()}, {"laws": ("chinchilla",)}, {"schedules": ("cosine", "x")},
        {"n_points": (0, 5)}, {"n_points": (9, 5)}, {"n_points": (5, 5000)},
        {"total_steps": (100, 1e4)}, {"noise": (-1e-3, 1e-3)}, {"noise": (1e-3, np.inf)},
    ],
)  # fmt: skip
def test_bad_options_are_refused(bad):
    with pytest.raises(ValueError, match=next(iter(bad)).split("_")[0]):
        scheduled_curves(**({"n_runs": 3} | bad))
