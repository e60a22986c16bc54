"""Survival curves: exact, as lifelines has them, and right about simulated rollouts."""

import warnings
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import delphi
from delphi import DataError, FitWarning, fit_survival, simulate
from delphi.figures import survival_curves
from tests.reference import survival as twin
from tests.reference.samples import examples


def censored_sample(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 60))
    time = rng.integers(0, rng.choice([3, 12, 512]), n).astype(float)
    return time, rng.random(n) < rng.choice([0.1, 0.5, 0.9, 1.0])


def quiet(*args, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        return fit_survival(*args, **options)


@given(st.integers(0, 2**32 - 1))
@examples(150)
def test_kaplan_meier_is_the_product_of_exact_shares(seed):
    time, died = censored_sample(seed)
    curve = quiet(time, died).curves["all"]
    rows = twin.kaplan_meier(time.tolist(), died.tolist())
    assert curve.time.tolist() == [row[0] for row in rows]
    assert curve.at_risk.tolist() == [row[1] for row in rows]
    assert curve.deaths.tolist() == [row[2] for row in rows]
    assert curve.censored.sum() == (~died).sum()
    shares = np.array([float(row[3]) for row in rows])
    np.testing.assert_allclose(curve.survival, shares, rtol=0, atol=1e-12)
    half = [t for t, *_, share in rows if share <= Fraction(1, 2)]
    assert curve.median == (half[0] if half else pytest.approx(np.nan, nan_ok=True))
    # Greenwood by hand, where it is defined
    total = 0.0
    for (_, at_risk, deaths, share), low, high in zip(rows, curve.low, curve.high, strict=True):
        if share in (0, 1):
            assert np.isnan([low, high]).all()
            continue
        total += deaths / (at_risk * (at_risk - deaths))
        spread = 1.959963984540054 * np.sqrt(total) / abs(np.log(float(share)))
        assert low == pytest.approx(float(share) ** np.exp(spread), abs=1e-12)
        assert high == pytest.approx(float(share) ** np.exp(-spread), abs=1e-12)


@pytest.fixture(scope="module")
def lifelines():
    # It uses pandas in ways that pandas warns about.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("lifelines", reason="the peer: pip install '.[peers]'")


@pytest.mark.filterwarnings("ignore")
def test_curves_bands_and_medians_equal_those_of_lifelines(lifelines):
    for seed in range(120):
        time, died = censored_sample(seed)
        theirs = lifelines.KaplanMeierFitter().fit(time, died)
        curve = quiet(time, died).curves["all"]
        at = curve.time
        np.testing.assert_allclose(curve.survival, np.ravel(theirs.predict(at)), rtol=0, atol=1e-12)
        band = theirs.confidence_interval_.loc[at].to_numpy()
        good = np.isfinite(curve.low)
        np.testing.assert_allclose(curve.low[good], band[good, 0], rtol=0, atol=1e-12)
        np.testing.assert_allclose(curve.high[good], band[good, 1], rtol=0, atol=1e-12)
        if (np.abs(curve.survival - 0.5) < 1e-9).any():  # exactly one half, which they round past
            continue
        assert np.nan_to_num(curve.median, nan=np.inf) == theirs.median_survival_time_


@pytest.mark.filterwarnings("ignore")
def test_logrank_tests_equal_those_of_lifelines(lifelines):
    from lifelines.statistics import logrank_test

    n = 0
    for seed in range(60):
        a, b = censored_sample(seed), censored_sample(seed + 1000)
        if not (a[1].any() or b[1].any()):
            continue
        theirs = logrank_test(a[0], b[0], a[1], b[1])
        row = quiet(
            np.concatenate((a[0], b[0])), np.concatenate((a[1], b[1])),
            by=[1] * len(a[0]) + [2] * len(b[0]),
        ).logrank.iloc[0]  # fmt: skip
        if np.isnan(row["chi2"]):  # all deaths at a token where nobody is left to compare with
            continue
        assert row["chi2"] == pytest.approx(theirs.test_statistic, rel=1e-9, abs=1e-12)
        assert row["p"] == pytest.approx(theirs.p_value, rel=1e-9, abs=1e-12)
        n += 1
    assert n > 40


def test_a_known_hazard_lies_within_the_band():
    """Point by point at the forks: 95% bands, where there is one, hold the truth about 95%."""
    alphas, forks, n_sims = [1.0, 2.0, 4.0], np.array([64, 160, 320]), 150
    truth = simulate.survival_truth(forks, alphas)
    inside, banded = (np.zeros((3, 3)) for _ in range(2))
    estimates = np.empty((n_sims, 3, 3))
    for seed in range(n_sims):
        made = simulate.rollouts(alphas, n_prompts=80, n_tokens=352, noise=0.0, rng=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FitWarning)  # medians lie beyond 352 tokens
            fit = made.survival()
        for k, alpha in enumerate(alphas):
            found = fit.curves[alpha].interval(forks)
            estimates[seed, k] = found["survival"]
            inside[k] += (found["low"] <= truth[alpha].values) & (
                truth[alpha].values <= found["high"]
            )
            banded[k] += found["low"].notna()
    assert (banded > 0.8 * n_sims).all()
    share = inside / banded
    assert (share > 0.88).all()
    assert 0.92 < share.mean() < 0.98
    off = estimates.mean(axis=0) - truth.to_numpy().T
    assert (np.abs(off) < 4.5 * estimates.std(axis=0) / np.sqrt(n_sims)).all()


def test_equal_hazards_are_found_different_no_more_often_than_the_level():
    found = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        death, lost = rng.exponential(100, 60), rng.exponential(150, 60)
        fit = fit_survival(np.minimum(death, lost), death < lost, by=np.arange(60) % 2)
        found += fit.logrank["p"].item() < 0.05
    assert 2 <= found <= 22  # 10 expected, sd 3.1


def test_the_censored_leave_the_risk_set():
    """Counting those who ended early as alive to the end would double the estimate."""
    time = [10] * 50 + [99] * 25 + [100] * 25
    died = [False] * 50 + [True] * 25 + [False] * 25
    curve = fit_survival(time, died).curves["all"]
    assert curve.predict(99) == 0.5
    assert curve.at_risk.tolist() == [100, 50, 25]
    assert np.isnan(curve.predict(101))
    assert curve.predict(0) == 1


def test_no_deaths_are_no_band():
    with pytest.warns(FitWarning, match="1 of 2 groups: no_deaths; 1 of 2 groups: median_beyond"):
        fit = fit_survival([5, 5, 9, 9, 9], [0, 0, 1, 0, 0], by=[*"aabbb"])
    assert fit.curves["a"].status == "no_deaths"
    assert np.isnan(fit.curves["a"].low).all()
    assert fit.curves["a"].survival.tolist() == [1.0]
    assert fit.ok
    assert fit.status == "no_deaths, median_beyond"
    with pytest.warns(FitWarning):
        fit = fit_survival([5, 5], [0, 0], by=[1, 2])
    assert fit.logrank["status"].tolist() == ["no_deaths"]
    assert np.isnan(fit.logrank["p"].item())


def test_holm_adjusts_for_all_pairs():
    rng = np.random.default_rng(0)
    group = np.repeat([1, 2, 3], 40)
    fit = fit_survival(rng.exponential(100 / group), np.ones(120, bool), by=group)
    p, adjusted = fit.logrank["p"].to_numpy(), fit.logrank["p_holm"].to_numpy()
    order = np.argsort(p)
    np.testing.assert_allclose(
        adjusted[order], np.maximum.accumulate(np.minimum(p[order] * [3, 2, 1], 1))
    )
    assert (fit.logrank["z"] < 0).all()  # the first of each pair dies less


def test_bands_of_both_kinds_and_levels():
    rng = np.random.default_rng(1)
    time, died = rng.integers(1, 50, 80), rng.random(80) < 0.7
    wide = fit_survival(time, died, level=0.99).curves["all"].interval(20).iloc[0]
    narrow = fit_survival(time, died, level=0.5).curves["all"].interval(20).iloc[0]
    linear = fit_survival(time, died, band="linear").curves["all"].interval(20).iloc[0]
    assert wide["low"] < narrow["low"] < narrow["survival"] < narrow["high"] < wide["high"]
    assert linear["survival"] - linear["low"] == pytest.approx(linear["high"] - linear["survival"])
    assert (linear["method"], wide["level"]) == ("linear", 0.99)


def test_results_speak():
    fit = simulate.rollouts([2.0, 4.0], rng=0).survival()
    curve = fit.curves[4.0]
    assert "KaplanMeier(4.0, n=32" in repr(curve)
    assert "median token of death" in curve.summary()
    assert fit.table()["label"].tolist() == [2.0, 4.0]
    assert set(fit.to_frame()["group"]) == {2.0, 4.0}
    assert fit.to_dict()["groups"][1]["n_died"] == curve.n_died
    assert fit.predict([0, 100]).shape == (2, 2)
    assert fit.interval([50, 100])["group"].tolist() == [2.0, 2.0, 4.0, 4.0]
    assert len(fit.plot().data) == len(survival_curves(fit).data)
    assert curve.plot().data
    evil = quiet([1, 2], [1, 1], by=["<b>", "$x$"])
    assert "<b>" not in evil._repr_html_()
    with pytest.raises(AttributeError):
        curve.n = 5


@pytest.mark.parametrize(("args", "options", "says"), [
    (([], []), {}, "time"),
    (([[1]], [[1]]), {}, "time"),
    (([1, -1], [1, 1]), {}, "time: row 2"),
    (([1, np.nan], [1, 1]), {}, "time: row 2"),
    (([1, np.inf], [1, 1]), {}, "time: row 2"),
    (([1, 2], [1]), {}, "died: expected 2"),
    (([1, 2], [1, 2]), {}, "died: row 2"),
    (([1, 2], ["a", "b"]), {}, "died"),
    (([1, 2], [1, 1]), {"by": [1]}, "by"),
    (([1, 2], [1, 1]), {"by": [1, None]}, "group"),
    (([1, 2], [1, 1]), {"level": 1.0}, "level"),
    (([1, 2], [1, 1]), {"band": "wald"}, "band"),
    ((np.arange(65), np.ones(65)), {"by": np.arange(65)}, "65 groups"),
])  # fmt: skip
def test_bad_input_is_named(args, options, says):
    with pytest.raises(DataError, match=says):
        quiet(*args, **options)


def test_scipy_is_named_where_it_is_missing(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(ImportError, match=r"delphi-scaling\[survival\]"):
        fit_survival([1, 2], [1, 1])


@pytest.mark.parametrize("changes", [
    {"n_prompts": 0}, {"n_tokens": 0}, {"fork_every": 0}, {"stop": 1.0}, {"noise": -1.0},
    {"hazard": lambda alpha: -1.0}, {"alphas": []}, {"alphas": [np.nan]},
])  # fmt: skip
def test_simulations_that_make_no_sense(changes):
    with pytest.raises(ValueError, match=r"needed|bad"):
        simulate.rollouts(**changes)


def test_simulations_repeat_themselves():
    one, other = (simulate.rollouts(n_prompts=5, rng=7) for _ in range(2))
    np.testing.assert_array_equal(one.kl, other.kl)
    np.testing.assert_array_equal(one.pmass, other.pmass)
    rates = simulate.rollouts([1.0], n_prompts=5, hazard={1.0: 0.0}, rng=0)
    assert rates.counts()["died"].tolist() == [0]
    assert delphi.simulate.hazard_of_alpha(0) == 0
