"""Joint fits over mix, learning rate and compute: terms, scopes, forecasts, left-out cells."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import delphi
from delphi.jointterms import run_terms
from delphi.trajectories import read_trajectories


def exact(theta_by_lr=0.0, scales=(1e18, 1e19, 1e20), noise=0.0, rng=0):
    """Runs whose F and A are linear in the terms exactly."""
    random = np.random.default_rng(rng)
    tau = np.arange(1, 41) / 40
    rows = []
    for m, mix in enumerate(("web", "code")):
        for scale in scales:
            for lr in (5e-4, 1e-3, 2e-3):
                c, v = np.log10(scale) - 19, np.log10(lr) + 3
                F = 2.5 - 0.3 * c + 0.05 * c * c + 0.1 * m + 0.4 * v * v + 0.02 * c * v
                A = 2.0 + 0.1 * c - 0.2 * m
                t = 0.6 * np.exp(theta_by_lr * v)
                y = delphi.curve_loss(tau, "rational", F, A, t, 20.0)
                rows.append(pd.DataFrame({
                    "run": f"{mix} {scale:g} {lr:g}", "mix": mix, "scale": scale, "lr": lr,
                    "step": tau, "loss": y + noise * random.normal(size=len(tau)), "final": F,
                }))  # fmt: skip
    return pd.concat(rows, ignore_index=True)


@pytest.mark.parametrize("loss", ["mae", "huber"])
@pytest.mark.parametrize("scope", ["global", "per-flop"])
def test_finals_of_linear_recipes_come_back(loss, scope):
    runs = exact()
    joint = delphi.fit_joint_curves(
        runs, prefixes=[0.5], forms="rational", losses=loss, scope=scope, ridge=0.0
    )
    assert joint.ok
    assert (joint.predictions["abs_error"] < 1e-6).all()
    assert len(joint.fits) == (1 if scope == "global" else 3)
    assert set(joint.fits["group"]) == ({"all"} if scope == "global" else {1e18, 1e19, 1e20})
    assert joint.predictions["method"].unique().tolist() == [
        f"joint-rational-{loss}", f"joint-rational-{loss}-anchored"
    ]  # fmt: skip


def test_a_run_that_ends_before_its_peers_marks_every_fit():
    runs = delphi.simulate.curves(rng=0)
    late = (runs["run"] == runs["run"].iloc[0]) & (runs["step"] > 0.5 * runs["total_steps"])
    options = {"prefixes": [0.3], "forms": "power", "losses": "huber"}
    with pytest.warns(delphi.FitWarning, match="1 of 1 joint fits: ends_early"):
        joint = delphi.fit_joint_curves(runs[~late], **options)
    assert joint.status == "ends_early"
    assert delphi.fit_joint_curves(runs[~late], total="total_steps", **options).status == "ok"


def test_recipes_that_were_not_seen_are_predicted_at_any_progress():
    runs = exact()
    away = (runs["lr"] == 1e-3) & (runs["scale"] == 1e19)
    joint = delphi.fit_joint_curves(
        runs[~away], prefixes=[1.0], forms="rational", losses="huber", ridge=0.0
    )
    new = runs[away].drop_duplicates("run").reset_index(drop=True)
    got = joint.predict(new, prefix=1.0, form="rational")
    np.testing.assert_allclose(got, new["final"], atol=1e-5)
    part = runs[away & (runs["step"] == 0.5)]
    np.testing.assert_allclose(
        joint.predict(part, 0.5, prefix=1.0, form="rational"), part["loss"], atol=1e-5
    )
    # two learning rates are left at that scale: a square is no term of its own there
    with pytest.warns(delphi.FitWarning, match="1 of 3 joint fits: terms_dropped"):
        each = delphi.fit_joint_curves(
            runs[~away], prefixes=[1.0], forms="rational", losses="huber", scope="per-flop"
        )
    assert each.fits["status"].tolist() == ["ok", "terms_dropped", "ok"]
    assert each.dropped["term"].tolist() == ["log lr^2"]
    unseen = new.assign(scale=1e21)
    assert np.isnan(each.predict(unseen, prefix=1.0, form="rational")).all()
    for bad in ({"prefix": 0.3}, {"prefix": 1.0, "loss": "mae"}, {"prefix": 1.0, "tau": 2.0}):
        with pytest.raises(delphi.DataError):
            joint.predict(new, **({"form": "rational"} | bad))


def test_theta_linear_in_the_terms_fits_where_a_shared_one_does_not():
    runs = exact(theta_by_lr=0.4)
    options = {"prefixes": [0.6], "forms": "rational", "losses": "huber", "ridge": 0.0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", delphi.FitWarning)
        shared = delphi.fit_joint_curves(runs, **options)
        own = delphi.fit_joint_curves(runs, theta="linear", **options)
    assert own.fits["objective"][0] < 1e-2 * shared.fits["objective"][0]
    assert own.predictions["abs_error"].max() < 2e-3
    slope = own.coefficients.set_index("parameter").loc["ln theta_0", "log lr"]
    spread = np.std(np.log10([5e-4, 1e-3, 2e-3]))
    assert slope == pytest.approx(0.4 * spread, abs=0.01)


def test_constant_and_dependent_terms_are_dropped_and_named():
    runs = exact()
    one = runs[(runs["mix"] == "web") & (runs["lr"] < 2e-3)]
    with pytest.warns(delphi.FitWarning, match="terms_dropped"):
        joint = delphi.fit_joint_curves(one, prefixes=[0.5], forms="log", losses="huber")
    reasons = joint.dropped.set_index("term")["reason"].to_dict()
    assert reasons["log lr^2"] == "follows from the others"
    assert "log lr" in joint.terms["all"].names
    assert not any(name.startswith("mix") for name in joint.terms["all"].names)
    same = one[one["lr"] == 1e-3]
    flat = delphi.fit_joint_curves(
        same.assign(mix=1.0), prefixes=[0.5], forms="log", losses="huber", lr=None
    )
    assert flat.dropped.set_index("term").loc["mix", "reason"] == "constant"


def test_too_many_terms_for_the_runs_are_dropped_not_guessed():
    runs = exact()
    few = runs[runs["run"].isin(runs["run"].unique()[:4])]
    with pytest.warns(delphi.FitWarning, match="terms_dropped"):
        joint = delphi.fit_joint_curves(few, prefixes=[0.5], forms="log", losses="huber")
    assert len(joint.terms["all"].names) <= 4


def test_numbers_as_mix_enter_as_they_are():
    table = pd.DataFrame({"mix": [0.0, 0.5, 1.0], "lr": [1e-3, 1e-3, 1e-3]})
    terms = run_terms(table, mix="mix", lr="lr", flops=None, interactions=True)
    assert terms.names == ("1", "mix")
    assert terms.dropped["log lr"] == "constant"
    np.testing.assert_allclose(terms(table)[:, 1], [-np.sqrt(1.5), 0, np.sqrt(1.5)])


def test_a_mix_that_was_not_seen_is_the_average_one():
    table = pd.DataFrame({"mix": ["a", "b", "c"]})
    terms = run_terms(table, mix="mix", lr=None, flops=None, interactions=False)
    known = terms(table)
    np.testing.assert_allclose(known[:, 1:].sum(axis=0), 0)
    assert terms(pd.DataFrame({"mix": ["new"]}))[0].tolist() == [1, 0, 0]


def test_diverged_runs_are_left_out_and_named():
    runs = exact(noise=0.002)
    bad = runs["run"] == runs["run"].iloc[0]
    runs.loc[bad & (runs["step"] > 0.7), "loss"] = np.nan
    with pytest.warns(delphi.FitWarning, match="runs_left_out"):
        joint = delphi.fit_joint_curves(runs, prefixes=[0.5], forms="log", losses="huber")
    assert joint.left_out["reason"].tolist() == ["diverged"]
    assert joint.left_out["run"].tolist() == [runs["run"].iloc[0]]
    assert runs["run"].iloc[0] not in joint.predictions["run"].tolist()


def test_the_order_of_rows_does_not_matter():
    runs = exact(noise=0.002)
    options = {"prefixes": [0.5], "forms": "power", "losses": "mae"}
    one = delphi.fit_joint_curves(runs, **options)
    two = delphi.fit_joint_curves(runs.sample(frac=1, random_state=0), **options)
    a, b = (j.predictions.sort_values(["run", "method"]) for j in (one, two))
    np.testing.assert_allclose(a["predicted_final"], b["predicted_final"], rtol=1e-9)


def test_intervals_are_conformal_over_runs():
    joint = delphi.fit_joint_curves(
        delphi.simulate.curves(rng=0), prefixes=[0.3], forms="power", losses="huber", level=0.8
    )
    part = joint.predictions[joint.predictions["method"] == "joint-power-huber"]
    assert (part["n_calibration"] == 35).all()
    errors = part["abs_error"].to_numpy()
    others = np.sort(np.delete(errors, 7))
    reach = (part["high"] - part["low"]).iloc[7] / 2
    assert reach == pytest.approx(others[int(np.ceil(36 * 0.8)) - 1])
    held = (part["low"] <= part["actual_final"]) & (part["actual_final"] <= part["high"])
    assert 0.7 <= held.mean() <= 0.9
    wide = joint.interval(level=0.95)
    assert (wide["high"] - wide["low"]).mean() > (part["high"] - part["low"]).mean()
    assert joint.interval(level=0.99)["low"].isna().all()


def test_predictions_are_scored_and_searched_like_those_of_single_runs():
    runs = delphi.simulate.curves(rng=0, n_points=50)
    joint = delphi.fit_joint_curves(runs, prefixes=[0.3, 0.6], forms="power", losses="huber")
    scores = delphi.score_curves(joint.predictions)
    part = joint.predictions[
        (joint.predictions["method"] == "joint-power-huber") & (joint.predictions["prefix"] == 0.3)
    ]
    row = scores[(scores["method"] == "joint-power-huber") & (scores["prefix"] == 0.3)].iloc[0]
    assert row["mae"] == pytest.approx(part["abs_error"].mean())
    assert delphi.search_configs(joint.predictions, target=0.5).ok


def test_left_out_cells_are_not_seen():
    runs = delphi.simulate.curves(scales=(3e18, 1e19, 3e19), mixes=("web", "math"), n_points=40)
    options = {"prefixes": [0.4], "forms": "power", "losses": "huber"}
    table = delphi.score_joint_curves(
        runs, kinds=["cut", "left out"], cells=["lr"], details=True, **options
    )
    for lr in runs["lr"].unique():
        with pytest.warns(delphi.FitWarning, match="terms_dropped"):  # two rates are left
            others = delphi.fit_joint_curves(runs[runs["lr"] != lr], **options)
        inside = runs[runs["lr"] == lr].drop_duplicates("run")
        want = pd.Series(
            others.predict(inside, prefix=0.4, form="power"), index=inside["run"].to_numpy()
        )
        got = table[
            (table["kind"] == "left out")
            & (table["method"] == "joint-power-huber")
            & table["run"].isin(want.index)
        ].set_index("run")["predicted_final"]
        np.testing.assert_allclose(got, want[got.index], rtol=1e-6)
    # what a cut cell does after its prefix is not seen either
    late = (runs["lr"] == 1e-3) & (runs["step"] > 0.4 * runs["total_steps"] + 1e-9)
    changed = runs.assign(loss=runs["loss"] + np.where(late & (runs["step"] < runs["total_steps"]),
                                                       0.2, 0.0))  # fmt: skip
    again = delphi.score_joint_curves(changed, kinds=["cut"], cells=["lr"], details=True, **options)
    names = runs.loc[runs["lr"] == 1e-3, "run"].unique()

    def forecasts(t):
        t = t[(t["kind"] == "cut") & (t["method"] == "joint-power-huber") & t["run"].isin(names)]
        return t.sort_values("run")["predicted_final"].to_numpy()

    np.testing.assert_allclose(forecasts(again), forecasts(table), rtol=1e-9)
    assert not table[table["kind"] == "left out"]["method"].str.endswith("-anchored").any()


def test_sharing_helps_at_small_prefixes():
    runs = delphi.simulate.curves(rng=1)
    table = delphi.score_joint_curves(
        runs, prefixes=[0.1], forms="power", losses="huber", kinds=["own prefix", "cut"]
    ).set_index(["kind", "cells", "method"])["mae"]
    alone = table["own prefix", "", "power-huber"]
    assert table["own prefix", "", "joint-power-huber"] < alone
    assert table["cut", "flops", "joint-power-huber"] < 0.7 * alone


def test_result_says_what_it_is():
    joint = delphi.fit_joint_curves(
        delphi.simulate.curves(rng=0, n_points=40), prefixes=[0.3], forms="power", losses="huber"
    )
    assert "F(z) + A(z) s(tau; theta)" in repr(joint)
    assert "lowest mae" in joint.summary()
    assert joint.to_dict()["scope"] == "global"
    assert len(joint.to_frame()) == 1
    card = joint.card()
    assert card.law == "joint learning curves"
    assert card.n_points == 12 * 36
    assert "<" not in joint._repr_html_().replace("<pre>", "").replace("</pre>", "")
    assert len(joint.plot().data) == 5
    with pytest.raises(delphi.DataError):
        joint.plot(prefix=0.9)


@pytest.mark.parametrize(
    "options",
    [
        {"scope": "some"}, {"theta": "free"}, {"ridge": -1.0}, {"ridge": "gcv"}, {"mix": "nothing"},
        {"forms": "cubic"}, {"prefixes": [0.0]}, {"min_progress": 1.0}, {"delta": -1.0},
        {"scope": "per-flop", "flops": None}, {"level": 2.0},
    ],
)  # fmt: skip
def test_bad_options_are_refused(options):
    with pytest.raises(delphi.DataError):
        delphi.fit_joint_curves(exact(), **options)


def test_bad_cells_are_named():
    runs = exact()
    with pytest.raises(delphi.DataError, match="lr"):
        delphi.fit_joint_curves(runs.assign(lr=0.0))
    missing = runs.assign(mix=runs["mix"].where(runs["scale"] > 1e18))
    with pytest.raises(delphi.DataError, match="mix"):
        delphi.fit_joint_curves(missing)
    with pytest.raises(delphi.DataError, match="unknown"):
        delphi.score_joint_curves(runs, kinds=["guess"])


def test_trajectories_are_read_once_for_all(monkeypatch):
    calls = []
    monkeypatch.setattr(
        "delphi.jointgroups.read_trajectories",
        lambda *a, **k: calls.append(1) or read_trajectories(*a, **k),
    )
    delphi.score_joint_curves(exact(), prefixes=[0.5], forms="log", losses="huber")
    assert len(calls) == 1
