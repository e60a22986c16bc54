"""Sweeps: cells, curves, rules, best settings, and the notebook's names for them."""

from __future__ import annotations

import json
import math
import warnings

import numpy as np
import pandas as pd
import pytest

import delphi
from delphi import CompletedAdamH, DataError, FitWarning, Hyperparameter, compat, figures
from delphi.card import Card
from delphi.figures.sweeps import axis_ticks
from delphi.partial import gp_partial_dependence
from delphi.trials import diverged
from tests.test_core_partial_dependence import GOLDEN

pytest.importorskip("sklearn")
CACHE = GOLDEN.parent.parent / "caches" / "hparam_sweep.json"
FIGURE = GOLDEN.parent / "figures" / "hparam-scaling.json"
KNOBS = {"lr": "log", "beta2": "log(1 - x)"}


def fit(trials, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        settings = {"hparams": KNOBS, "n_restarts": 1, "n_jobs": 1} | options
        return delphi.fit_sweep(trials, **settings)


@pytest.fixture(scope="module")
def simulated():
    return delphi.simulate_sweep(n_trials=100, cells=6, rng=11)


@pytest.fixture(scope="module")
def sweep(simulated):
    return fit(simulated.trials, hparams=simulated.hparams, by=["batch_size", "tokens"],
               rule=CompletedAdamH())  # fmt: skip


def errors(simulated, sweep):
    found, covered = [], []
    for c in sweep.cells:
        rows = c.trials[c.trials["used"]]
        cell = simulated.trials.iloc[int(rows["row"].iloc[0]) - 1]["cell"]
        for h in simulated.hparams:
            own = c.curves[(c.curves["hparam"] == h.name) & c.curves["supported"]]
            truth = simulated.partial_dependence(int(cell), h.name, own["x"], rows)
            gap = np.abs(own["mean"] - truth)
            found.append(gap.mean())
            covered.append((gap <= own["sd"]).mean())
    return float(np.mean(found)), float(np.mean(covered))


@pytest.mark.parametrize("nu", [1.5, 2.5, None])
def test_the_mean_of_a_process_and_its_gradient(nu):
    from sklearn.gaussian_process import GaussianProcessRegressor, kernels

    from delphi.partial import posterior_mean

    rng = np.random.default_rng(3)
    x = rng.normal(size=(20, 3))
    scale = [0.8, 1.5, 4.0]
    shape = kernels.RBF(scale) if nu is None else kernels.Matern(scale, nu=nu)
    form = kernels.ConstantKernel(2.0) * shape + kernels.WhiteKernel(0.1)
    gp = GaussianProcessRegressor(form, optimizer=None, normalize_y=True).fit(x, 5 + x[:, 0] ** 2)
    at = posterior_mean(gp)
    point = np.array([0.3, -0.2, 1.1])
    value, slope = at(point)
    assert value == pytest.approx(gp.predict(point[None])[0], rel=1e-10)
    for j in range(3):
        step = np.eye(3)[j] * 1e-6
        want = (at(point + step)[0] - at(point - step)[0]) / 2e-6
        assert slope[j] == pytest.approx(want, rel=1e-5)
    gp = GaussianProcessRegressor(kernels.Matern(1.0, nu=0.5), optimizer=None).fit(x, x[:, 0])
    with pytest.raises(DataError, match="gradient"):
        posterior_mean(gp)


def test_curves_are_near_the_truth_and_their_bands_honest(simulated, sweep):
    error, covered = errors(simulated, sweep)
    plain = fit(simulated.trials, hparams=simulated.hparams, by=["batch_size", "tokens"],
                kernel="notebook", diverged="quantile", n_restarts=3, seed=42)  # fmt: skip
    assert errors(simulated, plain)[0] > 3 * error
    assert 0.5 < covered < 0.85  # 30 curves; the study in docs/sweeps.md has more


def test_trials_that_diverged_are_those(simulated, sweep):
    for c in sweep.cells:
        rows = simulated.trials.iloc[c.trials["row"].to_numpy() - 1]
        out = ~c.trials["used"].to_numpy()
        assert c.n == c.n_used + c.n_diverged + c.n_unusable
        assert out.sum() == c.n_diverged
        assert (out & ~rows["bad"].to_numpy()).sum() == 0
        assert (~out & rows["bad"].to_numpy()).sum() <= 1
        assert "surface" in c.diverged_rule


def test_importance_best_and_rule(simulated, sweep):
    median = sweep.importance.groupby("hparam")["share"].median()
    assert median.idxmax() == "lr"
    for c in sweep.cells:
        assert c.importance["share"].sum() == pytest.approx(1)
        cell = int(simulated.trials.iloc[int(c.trials["row"].iloc[0]) - 1]["cell"])
        best = c.best.set_index("hparam")
        low = np.log([best.loc["lr", "low"], best.loc["lr", "high"]])
        assert low[0] - 0.5 < simulated.bowls[cell]["lowest"][0] < low[1] + 0.5
        assert c.best_loss < c.best_trial["loss"] + 0.02
        assert c.noise_sd == pytest.approx(0.008, rel=0.5)
    rules = sweep.rules
    assert set(rules["hparam"]) == {h.name for h in simulated.hparams}
    assert (rules.groupby("hparam")["inside"].all()["lr"]) in (True, False)
    beta2 = rules[rules["hparam"] == "beta2"]
    assert "rule_outside" in " ".join(c.status for c in sweep.cells) or beta2["inside"].all()


def bowls_with_best(cells, seed):
    """Fitted cells of a simulated sweep, with the true lowest point in the box of their trials."""
    from scipy.optimize import minimize

    sim = delphi.simulate_sweep(n_trials=100, cells=cells, rng=seed)
    sweep = fit(sim.trials, hparams=sim.hparams, by="cell")
    for c in sweep.cells:
        rows = c.trials[c.trials["used"]]
        x = np.column_stack([h.forward(rows[h.name]) for h in sim.hparams])
        box = list(zip(x.min(axis=0), x.max(axis=0), strict=True))
        found = minimize(lambda at, cell=c.key["cell"]: 100 * sim.loss(cell, at[None])[0],
                         x.mean(axis=0), bounds=box)  # fmt: skip
        yield c, {h.name: v for h, v in zip(sim.hparams, found.x, strict=True)}


def test_intervals_hold_the_best_setting_about_as_often_as_they_say():
    held, ends = [], []
    for c, true in bowls_with_best(12, seed=5):
        h = {knob.name: knob for knob in c.hparams}
        for row in c.best.itertuples():
            places = np.sort(h[row.hparam].forward([row.low, row.high]))
            held.append(places[0] - 1e-9 <= true[row.hparam] <= places[1] + 1e-9)
            ends.append(row.value in (row.low, row.high) and not row.at_edge)
    # 60 intervals of 68%, correlated in a cell; the study in docs/sweeps.md has 360
    assert 0.55 < np.mean(held) < 0.92
    assert np.mean(ends) < 0.05


def test_the_best_setting_of_a_known_parabola():
    from sklearn.gaussian_process import GaussianProcessRegressor, kernels

    from delphi.bestsetting import best_setting

    x = np.linspace(-1.5, 1.5, 25)[:, None]
    for shape in (kernels.RBF(1.5), kernels.Matern(1.5, nu=1.5), kernels.Matern(1.5, nu=2.5)):
        spreads = []
        for noise in (1e-6, 1e-2):
            form = kernels.ConstantKernel(4.0) * shape + kernels.WhiteKernel(noise)
            gp = GaussianProcessRegressor(form, optimizer=None, normalize_y=True)
            lowest, drawn = best_setting(gp.fit(x, (x[:, 0] - 0.4) ** 2), 0)
            assert lowest[0] == pytest.approx(0.4, abs=0.02 if noise < 1e-3 else 0.2)
            assert np.median(drawn) == pytest.approx(0.4, abs=0.02 if noise < 1e-3 else 0.2)
            spreads.append(drawn.std())
            np.testing.assert_array_equal(best_setting(gp, 0)[1], drawn)
        assert spreads[0] < spreads[1]  # less noise, better known
        # a slope is lowest at the edge, and so are the draws
        lowest, drawn = best_setting(gp.fit(x, x[:, 0]), 0)
        assert lowest[0] == -1.5
        assert np.mean(drawn == -1.5) > 0.5


def test_a_best_setting_that_reaches_the_edge_says_so():
    frame = trials(60)
    frame["loss"] += 0.02 * np.log(frame["lr"])  # lowest below the middle, but within
    inner = only(frame).best.set_index("hparam")
    assert not inner.loc["lr", "reaches_edge"]
    frame["loss"] = 3 + 0.1 * np.log(frame["lr"])
    cell = only(frame)
    edge = cell.best.set_index("hparam").loc["lr"]
    assert edge["at_edge"]
    assert edge["reaches_edge"]
    assert edge["value"] == pytest.approx(frame["lr"].min())
    assert "edge of the trials" in cell.summary()
    assert "best_at_edge" in cell.status


# --- the evidence ---------------------------------------------------------------------------------


def scikit_process(kernel, d):
    from sklearn.gaussian_process import kernels as k

    from delphi.processes import AMPLITUDE, LENGTH, NOISE

    if kernel == "notebook":
        return k.Matern(nu=2.5) + k.WhiteKernel(0.01), 1e-6
    nu = {"matern52": 2.5, "matern32": 1.5}.get(kernel)
    start = np.full(d, 2.0)
    shape = k.RBF(start, LENGTH) if nu is None else k.Matern(start, LENGTH, nu=nu)
    return k.ConstantKernel(1.0, AMPLITUDE) * shape + k.WhiteKernel(0.1, NOISE), 1e-10


def cell_data(seed, n=60, d=3):
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1.7, 1.7, (n, d))
    y = 3 + (x**2) @ np.linspace(0.03, 0.005, d) + 0.01 * x[:, 0] * x[:, -1]
    return x, y + 0.008 * rng.normal(size=n)


@pytest.mark.parametrize("kernel", ["matern52", "matern32", "rbf", "notebook"])
def test_the_evidence_and_its_slope_are_scikit_learn_s(kernel):
    from sklearn.gaussian_process import GaussianProcessRegressor

    from delphi import _core

    x, y = cell_data(0)
    form, alpha = scikit_process(kernel, 3)
    gp = GaussianProcessRegressor(form, alpha=alpha, optimizer=None,
                                  normalize_y=kernel != "notebook").fit(x, y)  # fmt: skip
    plain = kernel == "notebook"
    shape = "matern52" if plain else kernel
    rng = np.random.default_rng(1)
    for _ in range(8):
        theta = rng.uniform(-1.5, 1.5, len(gp.kernel_.theta))
        want, slope = gp.log_marginal_likelihood(theta, eval_gradient=True)
        values = np.exp(theta)
        scales = np.full(3, values[0]) if plain else values[1:-1]
        got, own, status = _core.process_evidence(
            x.ravel(), gp.y_train_, kernel=shape, amplitude=1.0 if plain else values[0],
            length_scale=scales, noise=values[-1] + alpha,
        )  # fmt: skip
        assert status == 0
        own = np.array([own[1:-1].sum(), own[-1]]) if plain else own
        own[-1] *= values[-1] / (values[-1] + alpha)
        assert got == pytest.approx(want, rel=1e-9)
        np.testing.assert_allclose(own, slope, rtol=1e-9, atol=1e-9 * np.abs(slope).max())


@pytest.mark.parametrize("kernel", ["matern52", "matern32", "rbf", "notebook"])
def test_the_evidence_found_is_at_least_scikit_learn_s(kernel):
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor

    from delphi.processes import fit_process

    for seed in range(3):
        x, y = cell_data(seed)
        form, alpha = scikit_process(kernel, 3)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            theirs = GaussianProcessRegressor(
                form, alpha=alpha, n_restarts_optimizer=2, normalize_y=kernel != "notebook",
                random_state=seed,
            ).fit(x, y)  # fmt: skip
            ours = fit_process(x, y, kernel, 2, seed)
        # ours in scikit-learn's own words
        value = theirs.log_marginal_likelihood(ours.gp.kernel_.theta)
        assert ours.evidence == pytest.approx(value, rel=1e-9)
        assert value >= theirs.log_marginal_likelihood_value_ - 1e-6


def test_results_speak(sweep):
    assert sweep.status == "ok"
    assert "5 " not in repr(sweep) or "Sweep(" in repr(sweep)
    assert "importance" in sweep.summary()
    assert "<pre>" in sweep._repr_html_()
    assert len(sweep.to_frame()) == len(sweep.cells)
    json.dumps(sweep.to_dict(), default=str)
    card = sweep.card()
    assert Card.from_json(card.to_json()) == card
    assert card.rows_used + sum(card.left_out.values()) == card.rows_read
    key = sweep.cells[0].key
    assert sweep.interval("lr", **key)["level"].iloc[0] == 0.6827
    best = {r.hparam: [r.value] for r in sweep.cells[0].best.itertuples()}
    table = sweep.predict(best, **key)
    assert table["mean"][0] == pytest.approx(sweep.cells[0].best_loss, abs=1e-9)
    with pytest.raises(DataError, match="match"):
        sweep.cell(batch_size=3)
    with pytest.raises(DataError, match="depth"):
        sweep.interval("depth", **key)
    with pytest.raises(DataError, match="lr"):
        sweep.predict({"adam_lr": [1.0]}, **key)


def trials(n=40, seed=0):
    rng = np.random.default_rng(seed)
    lr, beta2 = 10 ** rng.uniform(-4, -2, n), 1 - 10 ** rng.uniform(-4, -1, n)
    loss = 3 + 0.1 * (np.log10(lr) + 3) ** 2 + 0.01 * rng.normal(size=n)
    return pd.DataFrame({"lr": lr, "beta2": beta2, "loss": loss, "cell": 0})


def only(frame, **options):
    (cell,) = fit(frame, **options).cells
    return cell


def test_bad_cells_have_a_status_and_the_others_are_untouched():
    frames = [trials(seed=1), trials(3).assign(cell=1), trials().assign(cell=2, loss=np.inf),
              trials().assign(cell=3, beta2=0.99), trials().assign(cell=4, loss=3.0),
              trials(8).assign(cell=5)]  # fmt: skip
    frame = pd.concat(frames, ignore_index=True)
    frame.loc[0, "lr"] = np.nan
    with pytest.warns(FitWarning, match="1 of 6 cells: all_diverged"):
        sweep = delphi.fit_sweep(frame, hparams=KNOBS, by="cell", n_restarts=0, n_jobs=2)
    words = [c.status for c in sweep.cells]
    assert words[1] == "too_few_points"
    assert words[2] == "all_diverged"
    assert "constant_hparam" in words[3]
    assert words[4] == "constant_loss"
    assert "few_trials" in words[5]
    assert sweep.cells[0].n_unusable == 1
    assert sweep.cells[2].n_diverged == 40
    assert set(sweep.cells[3].curves["hparam"]) == {"lr"}
    for c in (sweep.cells[1], sweep.cells[2], sweep.cells[4]):
        assert c.curves.empty
        assert math.isnan(c.best_loss)
        with pytest.raises(DataError, match="no fit"):
            c.predict({"lr": [1e-3], "beta2": [0.9]})
    alone = only(frames[0].iloc[1:], n_restarts=0)
    np.testing.assert_allclose(alone.curves["mean"], sweep.cells[0].curves["mean"], rtol=1e-9)


@pytest.mark.parametrize(("change", "options", "says"), [
    ({"beta2": 1.0}, {}, "beta2.*row 1 is 1"), ({"lr": -1e-3}, {}, "lr.*row 1"),
    ({"lr": "fast"}, {}, "not a number"), ({}, {"metric": "bpb"}, "'bpb'"),
    ({}, {"by": "depth"}, "'depth'"), ({}, {"hparams": []}, "hparams"),
    ({}, {"hparams": ["lr", "lr"]}, "distinct"), ({}, {"hparams": {"lr": "sqrt"}}, "scale"),
    ({}, {"kernel": "cosine"}, "kernel"), ({}, {"diverged": "some"}, "diverged"),
    ({}, {"n_restarts": -1}, "n_restarts"), ({}, {"n_grid": 1}, "n_grid"),
    ({}, {"rule": "adam"}, "rule"), ({}, {"rule": CompletedAdamH()}, "'batch_size'"),
    ({}, {"rule_columns": {"tokens": "D"}}, "no rule"), ({}, {"by": "loss"}, "different"),
])  # fmt: skip
def test_bad_input(change, options, says):
    with pytest.raises(DataError, match=says):
        fit(trials(12).assign(**change), **options)


def test_a_cell_in_which_nothing_varies():
    assert only(trials().assign(lr=1e-3, beta2=0.9)).status == "equal_x"
    assert only(trials(1)).status == "too_few_points"
    assert only(trials().assign(loss=np.nan)).status == "too_few_points"


def test_hyperparameters_on_a_line_are_named():
    frame = trials()
    frame["beta2"] = 1 - frame["lr"] ** 0.5
    cell = only(frame)
    assert cell.ok
    assert "collinear_hparams" in cell.status
    assert "collinear_hparams" not in only(trials()).status


def test_losses_too_large_to_have_a_variance():
    frame = trials()
    frame.loc[5, "loss"] = 1e300
    assert only(frame, diverged=None).status == "bad_value"
    assert only(frame).n_diverged == 1


def test_a_constant_hyperparameter_has_no_curve_and_no_best_value():
    cell = only(trials().assign(beta2=0.9))
    for table in (cell.curves, cell.best, cell.importance):
        assert set(table["hparam"]) == {"lr"}
    assert np.isfinite(cell.predict({"lr": [1e-3]})["mean"]).all()


def test_an_empty_frame():
    with pytest.raises(DataError, match="no rows"):
        fit(trials(0))


def test_rules_of_divergence():
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (60, 2))
    loss = 3 + x[:, 0] ** 2 + 0.01 * rng.normal(size=60)
    loss[:3] = [3.5 + x[0, 0] ** 2, 8.0, np.inf]
    for rule, n in (("surface", 3), ("mad", 2), ("quantile", 4), (5.0, 2), (None, 1)):
        bad, words = diverged(x, loss, rule)
        assert bad.sum() == n, rule
        assert words
    few, words = diverged(x[:10], loss[:10], "surface")
    assert "median" in words
    assert few[1]
    assert few[2]


def test_any_object_can_be_a_rule():
    class Fixed:
        name, needs = "fixed", ()

        def value(self, hparam, given):
            return 1e-3 if hparam == "lr" else None

    cell = only(trials(), rule=Fixed())
    assert cell.rules["hparam"].tolist() == ["lr"]
    assert cell.rules["inside"].all()
    curve = cell.curves[cell.curves["hparam"] == "lr"]
    near = np.interp(cell.rules["x"], curve["x"], curve["mean"])
    assert cell.rules["mean"][0] == pytest.approx(near[0], abs=1e-4)


def test_completed_adamh_scales():
    rule = CompletedAdamH()
    at = {"batch_size": 64.0, "tokens": 2.5e9}
    assert rule.value("lr", at | {"batch_size": 256.0}) == pytest.approx(2 * rule.lr)
    assert rule.value("adam_lr", at | {"tokens": 1e10}) == pytest.approx(rule.adam_lr / 2)
    assert rule.value("epsilon", at | {"tokens": 1e10}) == pytest.approx(rule.epsilon * 2)
    assert rule.value("beta2", at | {"batch_size": 1e6}) == rule.beta2_min
    assert rule.value("depth", at) is None
    for wrong in ({"batch_size": 8.0}, at | {"tokens": 0.0}, at | {"tokens": math.nan}):
        with pytest.raises(DataError, match="tokens"):
            rule.value("lr", wrong)


# --- partial dependence of any process ------------------------------------------------------------


@pytest.mark.parametrize("form", ["matern", "product", "sum", "quadratic", "alpha"])
def test_what_the_core_knows_agrees_with_predict(form):
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process import kernels as k

    x = np.random.default_rng(0).normal(size=(20, 2))
    y = x[:, 0] ** 2 + x[:, 1] + 4
    kernel = {
        "matern": k.Matern(1.3, nu=1.5) + k.WhiteKernel(0.1),
        "product": k.ConstantKernel(2.0) * k.RBF([1.0, 2.0]) + k.WhiteKernel(0.1),
        "sum": k.RBF(1.0) + k.Matern(2.0) + k.WhiteKernel(0.1),
        "quadratic": k.RationalQuadratic() + k.WhiteKernel(0.1),
        "alpha": k.RBF(1.0) + k.WhiteKernel(0.1),
    }[form]
    alpha = np.full(20, 0.01) if form == "alpha" else 1e-10
    gp = GaussianProcessRegressor(kernel, optimizer=None, normalize_y=True, alpha=alpha).fit(x, y)
    grid = np.array([[-1.0, 0.0, 1.0], [0.5, 0.6, 0.7]])
    quick = gp_partial_dependence(gp, grid)
    slow = gp_partial_dependence(gp, grid, x + 1e-15)
    known = form in ("matern", "product")
    assert (quick.method == "core") == known
    assert slow.method.startswith("predict: ") or known
    moved = gp_partial_dependence(gp, grid, x[:10])
    assert moved.method == "predict: X is not what the process was fitted to" or not known
    np.testing.assert_allclose(quick.mean, slow.mean, rtol=1e-9)
    np.testing.assert_allclose(quick.sd, slow.sd, rtol=1e-6)
    with pytest.raises(DataError, match="grid"):
        gp_partial_dependence(gp, grid[0])
    with pytest.raises(DataError, match="fitted"):
        gp_partial_dependence(GaussianProcessRegressor(), grid)
    with pytest.raises(DataError, match="features"):
        gp_partial_dependence(gp, grid, features=[2])


# --- the notebook ---------------------------------------------------------------------------------


def test_buckets_and_missing_caches(tmp_path, capsys):
    edges = (1.0e9, 1.75e9, 2.99e9, 3.0e9)
    assert [compat.bucket_tokens(t) for t in edges] == ["1B", "2.5B", "2.5B", "5B"]
    assert compat.load_sweep_runs(tmp_path / "none.json") is None
    for text in ("[]", '[{"state": "finished"}]'):
        (tmp_path / "c.json").write_text(text)
        assert compat.load_sweep_runs(tmp_path / "c.json") is None
    assert capsys.readouterr().out.count("left out") == 3
    with pytest.raises(ValueError, match="depth"):
        compat.theory_hparam("depth", 64, 1e9)
    assert compat.theory_hparam("beta1", 8, 1e9) == 0.9


@pytest.mark.skipif(not CACHE.is_file(), reason=f"needs {CACHE}")
def test_the_notebook_s_figure():
    runs = compat.load_sweep_runs(CACHE)
    assert len(compat.compute_sweep_optima(runs)) == 24
    with pytest.warns(FitWarning, match="best_at_edge"):  # planes, with length scales of 100
        sweep = compat.fit_sweep_cells(runs)
    fig = json.loads(figures.hparam_scaling(sweep, compat=True).to_json())["data"]
    golden = json.loads(FIGURE.read_text())["data"]
    assert len(fig) >= 24 * 5 * 4
    for i in range(0, 480, 4):
        for got, want in zip(fig[i : i + 4], golden[i : i + 4], strict=True):
            y = np.array(want["y"], float)
            assert got["x"] == pytest.approx(want["x"], abs=1e-9)
            if want.get("mode") == "markers" and len(y) > 1:
                continue  # the rug: where the panel ends is the figure's own affair
            assert got["y"] == pytest.approx(want["y"], abs=1e-5)
    gp = sweep.cells[-1].gp
    grid, mean, sd = compat.gp_pdp(gp, gp.X_train_, 0)
    cell = sweep.cells[-1]
    own = cell.curves[cell.curves["hparam"] == "lr"]
    if own["supported"].all():
        np.testing.assert_allclose(mean, own["mean"], rtol=1e-9)
        np.testing.assert_allclose(sd, own["sd"], rtol=1e-6)
    assert len(grid) == 80


# --- the figure -----------------------------------------------------------------------------------


def test_a_cell_shows_itself(sweep):
    cell = sweep.cells[0]
    values = cell.to_dict()
    assert values["n_used"] == cell.n_used
    assert len(values["curves"]) == len(cell.curves)
    assert "best loss" in cell.summary()
    assert cell._repr_html_().startswith("<pre>")
    assert repr(cell).startswith("SweepCell(")
    fig = cell.plot()
    assert sum(t.mode == "lines" and t.fill is None and t.visible is True for t in fig.data) >= 5
    assert not fig.layout.updatemenus


def test_ticks_that_would_touch_are_left_out():
    at, text = axis_ticks(Hyperparameter("b", "log(1 - x)"), math.log(1e-5), math.log(0.1))
    gaps = np.abs(np.diff(at)) / (math.log(0.1) - math.log(1e-5)) * 40
    for gap, left, right in zip(gaps, text, text[1:], strict=False):
        assert gap >= (len(left) + len(right)) / 2 + 1
    assert len(at) >= 3


def test_menus_keep_each_other_s_choice(sweep):
    fig = sweep.plot()
    menus = fig.layout.updatemenus
    assert [m.buttons[0].method for m in menus] == ["restyle", "relayout"]
    touched = [set(b.args[0]) for m in menus for b in m.buttons]
    assert touched[0] == {"visible"}
    assert all(key.startswith("yaxis") for key in touched[-1])
    # windows of two levels do not touch, and each holds the curves of its own cells
    first, second = (menus[1].buttons[i].args[0]["yaxis.range"] for i in (0, 1))
    assert first[1] < second[0]
    own = [c for c in sweep.cells if c.key["tokens"] == sweep.cells[0].key["tokens"]]
    curves = pd.concat([c.curves[c.curves["hparam"] == sweep.hparams[0].name] for c in own])
    low, high = curves["low"].min(), curves["high"].max()
    assert first[0] == pytest.approx(low - 0.07 * 1.04 * (high - low), rel=1e-3)
    assert first[1] == pytest.approx(high + 0.04 * (high - low), rel=1e-3)
    # marks of the rule are within their panel, not half cut off by its side
    for p, h in enumerate(sweep.hparams):
        window = fig.layout[f"xaxis{p + 1 if p else ''}"].range
        at = sweep.rules.loc[sweep.rules["hparam"] == h.name, "x"]
        room = 0.02 * (window[1] - window[0])
        assert window[0] + room < at.min() <= at.max() < window[1] - room
    seen = [t for t in fig.data if t.visible and t.showlegend is False]
    assert len(seen) == 5 * 4 * len(
        {
            c.key["tokens"]
            for c in sweep.cells
            if c.key["batch_size"] == sweep.cells[-1].key["batch_size"]
        }
    )
    mobile = figures.hparam_scaling(sweep, mobile=True)
    assert mobile.layout.height > fig.layout.height
    with pytest.raises(DataError, match="start"):
        sweep.plot(batch_size=3)


@pytest.mark.parametrize(("scale", "ends", "want"), [
    ("log", (1e-4, 1e-2), ["1e-4", "5e-4", "1e-3", "5e-3", "0.01"]),
    ("log(1 - x)", (0.9, 0.9995), None),
    ("linear", (0, 1), []),
])  # fmt: skip
def test_ticks_are_values_people_write(scale, ends, want):
    h = Hyperparameter("x", scale)
    places = np.sort(h.forward(ends))
    at, text = axis_ticks(h, *places)
    assert len(at) == len(text) <= 5
    if want:
        assert len(text) >= 3
    np.testing.assert_allclose(h.inverse(at), [float(t) for t in text], rtol=1e-9)


def test_a_figure_of_nothing_says_so():
    sweep = fit(trials(2))
    with pytest.raises(DataError, match="fitted cells"):
        sweep.plot()
