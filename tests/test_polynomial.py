"""Polynomial laws, their optima, and the Step Law form."""

from __future__ import annotations

import itertools
import json
import warnings

import numpy as np
import pandas as pd
import pytest

import delphi
from delphi import DataError, DataWarning, FitWarning, PolynomialLaw, compat
from delphi.card import Card
from delphi.polynomial import polynomial_terms
from tests.test_core_partial_dependence import GOLDEN

LAW = GOLDEN.parent / "law.json"
FOUR = ("lr", "bsz", "data_size", "non_embedding_param_size")


def bowl(n=200, noise=0.0, seed=0, sign=1.0):
    rng = np.random.default_rng(seed)
    lr, bsz = 10 ** rng.uniform(-4, -2, n), 10 ** rng.uniform(5, 7, n)
    u, v = np.log10(lr) + 3.1, np.log10(bsz) - 5.8
    loss = 2.5 + sign * (0.3 * u**2 + 0.1 * u * v + 0.2 * v**2) + noise * rng.normal(size=n)
    return pd.DataFrame({"lr": lr, "bsz": bsz, "loss": loss})


def fit(frame, **options):
    return delphi.fit_polynomial_law(
        frame, features=["lr", "bsz"], target="loss", **({"ridge": 0.0} | options)
    )


def quiet(call, *args, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        return call(*args, **options)


def test_names_of_terms():
    assert list(polynomial_terms(["a", "b"])) == ["log_a", "log_b", "log_a^2", "log_b^2",
                                                   "log_a log_b"]  # fmt: skip
    assert len(polynomial_terms(FOUR)) == 14
    assert len(polynomial_terms(FOUR, 3)) == 34


def test_exact_coefficients_and_optimum():
    law = fit(bowl())
    assert law.status == "ok"
    row = law.coefficients.iloc[0]
    assert row["log_lr^2"] == pytest.approx(0.3, rel=1e-9)
    assert row["log_lr log_bsz"] == pytest.approx(0.1, rel=1e-9)
    best = law.optimum(["lr", "bsz"], {})
    assert best.status == "ok"
    assert best.values["lr"] == pytest.approx(10**-3.1, rel=1e-6)
    assert best.values["bsz"] == pytest.approx(10**5.8, rel=1e-6)
    assert best.loss == pytest.approx(2.5, rel=1e-9)
    one = law.optimum(["lr"], {"bsz": 1e6})
    assert np.log10(one.values["lr"]) == pytest.approx(-3.1 - 0.1 * 0.2 / 0.6, abs=1e-8)


def test_a_hill_has_no_minimum():
    best = fit(bowl(sign=-1.0)).optimum(["lr", "bsz"], {})
    assert best.status == "no_minimum"
    assert not best.ok
    assert np.isnan(best.values["lr"])
    with pytest.raises(DataError, match="region"):
        best.region()


def test_an_optimum_beyond_the_data_is_named():
    frame = bowl(noise=1e-3)
    best = fit(frame[frame["lr"] < 3e-4]).optimum(["lr", "bsz"], {})
    assert "optimum_outside_data" in best.status
    assert not best.inside


def test_intervals_and_regions_cover():
    truth, inside, region = np.array([-3.1, 5.8]), [], []
    for seed in range(60):
        law = fit(bowl(80, 0.05, seed))
        best = law.optimum(["lr", "bsz"], {}, level=0.9)
        low, high = np.log10(best.intervals[["low", "high"]].to_numpy()).T
        inside.append((low <= truth) & (truth <= high))
        gap = np.log10(list(best.values.values())) - truth
        region.append(gap @ np.linalg.solve(best.covariance, gap) < 4.605)
        assert best.p_minimum == 1.0
    assert 0.8 < np.mean(inside) < 0.98
    assert 0.78 < np.mean(region) < 0.99


def test_prediction_intervals_cover_new_runs():
    frame, new = bowl(150, 0.05, 1), bowl(2000, 0.05, 2)
    table = fit(frame, ridge="gcv").interval(new, level=0.8)
    hit = (table["low"] <= new["loss"]) & (new["loss"] <= table["high"])
    assert 0.75 < hit.mean() < 0.85
    assert not table["outside_hull"].all()


def test_what_lies_outside_is_flagged():
    law = fit(bowl(noise=0.01))
    at = pd.DataFrame({"lr": [1e-3, 1e-1], "bsz": [1e6, 1e6]})
    flags = law.check(at, falling=["bsz"])
    assert flags["outside_box"].tolist() == [False, True]
    assert flags["rises_with_bsz"].tolist() == [True, True]
    with pytest.raises(DataError, match="falling"):
        law.check(at, falling=["depth"])


def test_groups_share_the_form_and_not_the_numbers():
    frame = pd.concat([bowl(seed=1).assign(g="a"), bowl(seed=2, sign=2.0).assign(g="b")])
    law = fit(frame, group="g")
    assert law.coefficients.loc["b", "log_lr^2"] == pytest.approx(0.6, rel=1e-8)
    one = {"lr": [1e-3], "bsz": [1e6]}
    assert law.predict(one, "a") != law.predict(one, "b")
    for group in (None, "c"):
        with pytest.raises(DataError, match="group"):
            law.predict(one, group)


def test_the_penalty_by_folds():
    frame = bowl(60, 0.3, 5).assign(size=np.repeat(["s", "m", "l"], 20))
    law = fit(frame, folds="size")
    assert law.fits["ridge"].iloc[0] > 0
    with pytest.raises(DataError, match="folds"):
        fit(frame.assign(size="s"), folds="size")


def test_collinear_and_constant_features_have_names():
    frame = bowl(50, 0.01)
    with pytest.warns(FitWarning, match="constant_feature"):
        law = fit(frame.assign(bsz=1e6), ridge="gcv")
    assert np.isfinite(law.coefficients.to_numpy()).all()
    twin = frame.assign(bsz=frame["lr"])
    assert quiet(fit, twin).status == "rank"
    with pytest.warns(FitWarning, match="collinear"):
        assert fit(twin, ridge="gcv").ok


@pytest.mark.parametrize(("change", "options", "says"), [
    ({"lr": 0.0}, {}, "lr.*row 1"), ({"lr": np.nan}, {}, "lr"), ({"loss": np.nan}, {}, "loss"),
    ({}, {"degree": 0}, "degree"), ({}, {"degree": True}, "degree"),
    ({}, {"ridge": "aic"}, "ridge"),
    ({}, {"ridge": -1.0}, "ridge"), ({}, {"group": "g"}, "'g'"), ({}, {"group": "lr"}, "different"),
])  # fmt: skip
def test_bad_input(change, options, says):
    with pytest.raises(DataError, match=says):
        fit(bowl(10).assign(**change), **options)


def test_law_from_coefficients_refuses_what_it_does_not_know():
    with pytest.raises(DataError, match="log_depth"):
        PolynomialLaw.from_coefficients({"log_depth": 1.0}, ["lr"])
    law = PolynomialLaw.from_coefficients({"1": 3, "log_lr^2": 0.5}, ["lr"])
    with pytest.raises(DataError, match="residuals"):
        law.interval({"lr": [1.0]})
    best = law.optimum(["lr"], {})
    assert best.values["lr"] == 1.0
    assert np.isnan(best.intervals["low"][0])
    for result in (law, fit(bowl(30, 0.01))):
        assert json.loads(result.card().to_json())["law"] == "polynomial law in logarithms"
        assert Card.from_json(result.card().to_json()) == result.card()
        assert result.summary()
        assert "<pre>" in result._repr_html_()
        assert result.to_frame().shape[0] == 1
        assert set(result.to_dict()) >= {"features", "coefficients"}


@pytest.mark.parametrize(("free", "given", "says"), [
    (["depth"], {}, "free"), (["lr"], {}, "given"), (["lr"], {"bsz": -1.0}, "bsz"),
    (["lr", "lr"], {}, "free"),
])  # fmt: skip
def test_bad_questions_for_an_optimum(free, given, says):
    with pytest.raises(DataError, match=says):
        fit(bowl(20, 0.01)).optimum(free, given)


def test_an_optimum_shows_itself():
    rng = np.random.default_rng(5)
    lr, bsz = 10 ** rng.uniform(-4, -2, 80), 10 ** rng.uniform(1, 4, 80)
    loss = 3 + 0.2 * (np.log10(lr) + 3) ** 2 + 0.1 * (np.log10(bsz) - 2.5) ** 2
    table = pd.DataFrame({"lr": lr, "bsz": bsz, "loss": loss + 0.01 * rng.normal(size=80)})
    law = delphi.fit_polynomial_law(table, features=["lr", "bsz"], target="loss")
    for free, given in ((["lr", "bsz"], {}), (["lr"], {"bsz": 300.0})):
        best = law.optimum(free, given)
        assert json.loads(json.dumps(best.to_dict()))["values"] == best.values
        assert best.equation in repr(best)
        assert "95%" in best.summary()
        assert best._repr_html_().startswith("<pre>")
        assert best.to_frame()["feature"].tolist() == free
        fig = best.plot()
        mark = fig.data[-1]
        assert mark.x[0] == pytest.approx(best.values["lr"])
        assert mark.error_x.array[0] > 0
        assert len(fig.data) == len(free)
    hill = PolynomialLaw.from_coefficients({"1": 3, "log_lr^2": -0.5}, ["lr"]).optimum(["lr"], {})
    assert "no minimum" in repr(hill)
    with pytest.raises(DataError, match="no_minimum"):
        hill.plot()


# --- the published law ----------------------------------------------------------------------------


@pytest.mark.skipif(not LAW.is_file(), reason=f"needs {LAW}")
def test_the_published_law():
    golden = json.loads(LAW.read_text())
    rows = [case["input"] for case in golden["cases"]]
    want = [case["lm_loss"] for case in golden["cases"]]
    got = compat.law(rows, "all_data")
    np.testing.assert_allclose([row["lm_loss"] for row in got], want, rtol=1e-13)
    table = np.array([[row[name] for name in FOUR] for row in rows])
    np.testing.assert_array_equal(compat.law_values(table), [row["lm_loss"] for row in got])
    general = PolynomialLaw.from_coefficients(golden["meta"]["coefficients"], FOUR)
    np.testing.assert_allclose(general.predict(pd.DataFrame(rows)), want, rtol=1e-12)
    for edge in golden["meta"]["edge_cases"]:
        row = {k: float(v) if v in ("nan", "inf") else v for k, v in edge["input"].items()}
        if "error" in edge:
            with pytest.raises((KeyError, ValueError)) as caught:
                compat.law([row], "all_data")
            assert type(caught.value).__name__ == edge["error"]
            assert str(caught.value) == edge["message"]
        else:
            value = compat.law([row], "all_data")[0]["lm_loss"]
            assert value == pytest.approx(float(edge["result"][0]["lm_loss"]), nan_ok=True)


def test_an_unknown_group_warns():
    row = dict.fromkeys(FOUR, 2.0)
    with pytest.warns(DataWarning, match="elsewhere"):
        got = compat.law([row], "elsewhere")
    assert got == compat.law([row], "all_data")
    assert compat.law([], "all_data") == []


# --- the Step Law form ----------------------------------------------------------------------------


def grid(noise=0.0, seed=0):
    rng = np.random.default_rng(seed)
    rows = []
    for N, D in itertools.product((1e8, 4e8, 2e9), (2e9, 1e10, 5e10)):
        best_lr, best_b = 0.5 * N**-0.4, D**0.5
        for lr, b in itertools.product(np.geomspace(1e-4, 1e-3, 4), np.geomspace(4e4, 4e5, 4)):
            u, v = np.log(lr / best_lr), np.log(b / best_b)
            q = 0.05 * u**2 + 0.02 * u * v + 0.04 * v**2
            loss = 1.7 + 50 * N**-0.3 + 60 * D**-0.25 * (1 + q)
            rows.append({"lr": lr, "batch": b, "tokens": D, "params": N,
                         "loss": loss + noise * rng.normal()})  # fmt: skip
    return pd.DataFrame(rows)


def test_step_law_recovers_its_truth_and_falls_with_data():
    law = delphi.fit_step_law(grid())
    assert law.status == "ok"
    p = law.parameters
    for name, want in {"E": 1.7, "alpha": 0.3, "beta": 0.25, "lr_N": -0.4, "batch_D": 0.5}.items():
        assert p[name] == pytest.approx(want, rel=1e-4), name
    assert law.best(1e9, 1e11)["lr"] == pytest.approx(0.5 * 1e9**-0.4, rel=1e-4)
    lower = [law.best(1e9, D)["loss"] for D in np.geomspace(1e8, 1e16, 30)]
    assert (np.diff(lower) < 0).all()
    assert Card.from_json(law.card().to_json()) == law.card()


def test_step_law_intervals_hold_the_truth():
    law = delphi.fit_step_law(grid(0.003, 1))
    table = law.exponents().set_index("exponent")
    for name, want in {"alpha": 0.3, "beta": 0.25, "lr_N": -0.4, "batch_D": 0.5}.items():
        assert table.loc[name, "low"] - 0.02 <= want <= table.loc[name, "high"] + 0.02, name
    inside = law.interval(grid()).eval("low <= mid <= high")
    assert inside.all()


@pytest.mark.parametrize("rows", [slice(0, 10), slice(0, 16)])
def test_step_law_needs_cells(rows):
    with pytest.warns(FitWarning, match="too_few_points"):
        law = delphi.fit_step_law(grid().iloc[rows])
    assert not law.ok
    with pytest.raises(DataError, match="no law"):
        law.predict(grid())


def test_step_law_names_bad_rows():
    with pytest.raises(DataError, match="batch"):
        delphi.fit_step_law(grid().assign(batch=-1.0))


@pytest.mark.parametrize("method", ["best runs", "bowls"])
def test_step_law_by_regression_of_cells(method):
    law = delphi.fit_step_law(grid())
    assert len(law.cells) == law.n_cells == 9
    table = law.exponents(method=method).set_index("exponent")
    assert list(table.index) == ["lr_N", "lr_D", "batch_D"]
    assert (table["low"] <= table["value"]).all()
    assert (table["value"] <= table["high"]).all()
    if method == "best runs":  # a grid of factor 2.2 is all they can be told to
        lowest = law.cells["lr"].to_numpy() / (0.5 * law.cells["params"].to_numpy() ** -0.4)
        assert (np.abs(np.log(np.clip(lowest, 1e-4, 1e4))) < 1.5).any()
    with pytest.raises(DataError, match="method"):
        law.exponents(method="guess")


def test_bowls_of_cells_find_the_truth_between_grid_points():
    rows = []
    for N, D in itertools.product((1e8, 4e8, 2e9), (2e9, 1e10, 5e10)):
        best_lr, best_b = 0.5 * N**-0.4 * (D / 1e10) ** 0.2, D**0.5
        for i, j in itertools.product(range(-3, 4), range(-3, 4)):
            lr, b = best_lr * 1.5**i * 1.1, best_b * 1.5**j * 0.9
            u, v = np.log(lr / best_lr), np.log(b / best_b)
            rows.append({"lr": lr, "batch": b, "tokens": D, "params": N,
                         "loss": 1.7 + 50 * N**-0.3 + 30 * D**-0.25 + 0.01 * u**2 + 0.004 * u * v
                         + 0.01 * v**2})  # fmt: skip
    law = quiet(delphi.fit_step_law, pd.DataFrame(rows))
    table = law.exponents(method="bowls").set_index("exponent")["value"]
    assert table["lr_N"] == pytest.approx(-0.4, abs=1e-6)
    assert table["lr_D"] == pytest.approx(0.2, abs=1e-6)
    assert table["batch_D"] == pytest.approx(0.5, abs=1e-6)


def test_step_law_without_a_floor_and_with_wild_runs():
    law = delphi.fit_step_law(grid().assign(loss=lambda t: t["loss"] - 1.7), floor=False)
    assert law.parameters["E"] == 0
    assert law.parameters["alpha"] == pytest.approx(0.3, rel=1e-4)
    frame = grid(0.003, 2)
    wild = frame.assign(loss=frame["loss"] + np.where(np.arange(len(frame)) % 29 == 0, 0.3, 0))
    got, want = delphi.fit_step_law(wild), delphi.fit_step_law(frame)
    assert want.scale < got.scale < 0.03  # a tenth of what the wild runs are off
    typical = float(np.median(np.abs(got.predict(frame) - want.predict(frame))))
    assert typical < 0.02


def test_the_published_runs(data_dir):
    frame = pd.read_csv(data_dir / "steplaw" / "dense_lr_bs_loss.csv")
    frame = frame[frame["smooth loss"] <= 4].assign(B=lambda t: t["bs"] * 2048.0)
    held = (frame["D"] == frame["D"].max()) | (frame["N"] == frame["N"].max())
    train, test = frame[~held], frame[held]
    names = {"lr": "lr", "batch": "B", "tokens": "D", "params": "N", "loss": "smooth loss"}
    y = test["smooth loss"]

    def r2(predicted):
        return 1 - ((y - predicted) ** 2).sum() / ((y - y.mean()) ** 2).sum()

    safe = quiet(delphi.fit_step_law, train, **names)
    plain = delphi.fit_polynomial_law(train, features=["lr", "B", "D", "N"], target="smooth loss")
    assert r2(safe.predict(test)) >= 0.95
    assert r2(safe.predict(test)) > r2(plain.predict(test)) + 0.02
