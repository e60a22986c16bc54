"""Bootstrap forecasts through the API: golden values, counts, memory, Ctrl-C, bad options."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

from delphi import DataError, FitWarning, _core, compat, fit_isoflops, simulate
from delphi.bootstrap import bootstrap_ladder, bootstrap_law
from delphi.draws import quantiles
from tests.reference import bootstrap as twin
from tests.reference import powerlaw

C7 = np.array([3e18, 9e18, 1.8e19, 3e19, 9e19, 1.8e20, 3e20])
Y7 = 1.8 + 1600 * C7**-0.16 + 0.002 * np.random.default_rng(5).standard_normal(7)
AT = [1e21, 1e22, 1e23]
KINDS = ("pairs", "residual", "wild")
ROOT = Path(__file__).resolve().parents[1]

pytestmark = pytest.mark.filterwarnings("ignore:.*replicates (skipped|failed)")


@pytest.fixture(scope="module")
def ladder():
    return fit_isoflops(simulate.ladder(rng=0))


# --- the notebook's bootstrap ---------------------------------------------------------------------


def test_compat_matches_the_golden_file(golden_dir):
    cases = json.loads((golden_dir / "bootstrap.json").read_text())["cases"]
    assert cases
    for case in cases:
        given = case["input"]
        intervals = compat.bootstrap_scaling_fit_ci(
            np.array(given["C"]), np.array(given["y"]), given["targets"],
            n_boot=given["n_boot"], rng_seed=given["rng_seed"], ci_levels=given["ci_levels"],
        )  # fmt: skip
        assert list(intervals) == given["targets"]
        for wanted in case["output"]:
            low, median, high = intervals[wanted["target"]]
            np.testing.assert_allclose(
                [low, median, high], [wanted[k] for k in ("low", "median", "high")], rtol=1e-12
            )


def test_replicates_match_the_golden_file(golden_dir):
    for case in json.loads((golden_dir / "bootstrap.json").read_text())["cases"]:
        given, draws = case["input"], np.array(case["resample_indices"])
        n = len(given["C"])
        rng = np.random.default_rng(given["rng_seed"])
        assert (draws == rng.integers(0, n, size=(len(draws), n))).all()
        _, status, laws = _core.bootstrap_law(
            given["C"], given["y"], AT, draws, score="log", method="grid", n_grid=100, laws=True
        )
        assert (status < 0).sum() == sum(
            case["info"][name] for name in ("skipped_lt3_unique", "failed")
        )
        ok = status >= 0
        assert (laws[ok, 0] == 0).sum() == case["info"]["at_linf_zero"]
        wanted = [
            law for law, good in zip(case["replicate_fit_Linf_A_alpha"], ok, strict=True) if good
        ]
        got = np.column_stack((laws[ok, 0], np.exp(laws[ok, 1]), laws[ok, 2]))
        np.testing.assert_allclose(got, np.array(wanted, float), rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("seed", [0, 1, 99])
@pytest.mark.parametrize("n", [1, 3, 7, 8, 40])
def test_one_block_of_indices_is_the_stream_of_the_notebook(seed, n):
    one, block = np.random.default_rng(seed), np.random.default_rng(seed)
    rows = [one.integers(0, n, size=n) for _ in range(101)]
    pieces = [block.integers(0, n, size=(k, n)) for k in (1, 13, 86, 1)]
    assert np.array_equal(np.concatenate(pieces), rows)
    assert one.integers(0, 2**40) == block.integers(0, 2**40)


def test_compat_by_a_loop_of_brute_force():
    rng = np.random.default_rng(3)
    draws = np.stack([rng.integers(0, 7, size=7) for _ in range(40)])

    def fit(C, y):
        (law,) = powerlaw.fit_set([(C, y)], score="log", method="grid", n_grid=100)
        return ("failed" if np.isnan(law.L) else None), law.L, law.log_A, law.alpha

    kept = [
        ahead for failure, ahead, _ in twin.suite(C7, Y7, np.array(AT), draws, fit) if not failure
    ]
    intervals = compat.bootstrap_scaling_fit_ci(
        C7, Y7, AT, n_boot=40, rng_seed=3, ci_levels=(5, 80)
    )
    for t, target in enumerate(AT):
        wanted = np.percentile(np.array(kept)[:, t], [5, 50, 80])
        np.testing.assert_allclose(intervals[target], wanted, rtol=1e-9)


def test_compat_where_nothing_is_left():
    for C, y in ((C7[:2], Y7[:2]), (C7, Y7[::-1]), (C7, np.full(7, 2.0))):
        triples = compat.bootstrap_scaling_fit_ci(C, y, [1e22, 1e23], n_boot=20)
        assert np.isnan(list(triples.values())).all()
        assert list(triples) == [1e22, 1e23]
    assert compat.bootstrap_scaling_fit_ci(C7, Y7, []) == {}
    assert np.isnan(compat.bootstrap_scaling_fit_ci(C7, Y7, [1e22], n_boot=0)[1e22]).all()


# --- the native one -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_percentiles_are_those_of_the_draws(kind):
    band = bootstrap_law(C7, Y7, AT, kind=kind, n=400, level=0.8)
    assert band.draws.shape == (band.n_ok, 3)
    wanted = np.quantile(band.draws, [0.1, 0.5, 0.9], axis=0)
    np.testing.assert_allclose([band.low, band.median, band.high], wanted, rtol=1e-14)
    assert np.all(band.low < band.median)
    assert np.all(band.median < band.high)
    frame = band.to_frame()
    assert list(frame) == ["compute", "low", "mid", "high", "level", "method"]
    assert frame["compute"].tolist() == AT
    assert (frame["level"] == 0.8).all()
    assert frame["method"].tolist() == [f"bootstrap ({kind})"] * 3
    assert kind in repr(band)
    assert "80%" in band.summary()
    assert band.to_dict()["n_requested"] == 400


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("options", [{}, {"score": "log", "method": "grid"}, {"floor": 1.6}])
def test_the_same_source_gives_the_same_bits(kind, options, monkeypatch):
    def run(**more):
        return bootstrap_law(C7, Y7, AT, kind=kind, n=300, **({"rng": 4} | more), **options)

    one = run(n_threads=1)
    for other in (
        run(n_threads=4), run(rng=np.random.default_rng(4)), run(rng=np.random.SeedSequence(4)),
        run(progress=True),
    ):  # fmt: skip
        assert other.draws.tobytes() == one.draws.tobytes()
        assert other.low.tobytes() == one.low.tobytes()
    assert run(rng=5).draws.tobytes() != one.draws.tobytes()
    monkeypatch.setattr("delphi.bootstrap.CHUNK", 50)
    small = run()
    assert small.draws.tobytes() == one.draws.tobytes()
    np.testing.assert_allclose(small.low, one.low, rtol=1e-14)
    monkeypatch.setattr("delphi.bootstrap._KEPT", 400)  # one target at a time
    generator = np.random.default_rng(4)
    apart = run(rng=generator)
    assert apart.draws is None
    np.testing.assert_allclose(apart.high, one.high, rtol=1e-14)
    again = np.random.default_rng(4)
    run(rng=again)
    assert generator.integers(0, 2**40) == again.integers(0, 2**40)


@pytest.mark.parametrize("resample", ["residual", "runs"])
def test_the_same_source_gives_the_same_bits_of_a_ladder(ladder, resample, monkeypatch):
    def run(**more):
        return bootstrap_ladder(ladder, ladder.suites[0], AT, resample=resample, n=120, **more)

    one = run(n_threads=1)
    assert one.n_ok > 100
    assert run(n_threads=4).draws.tobytes() == one.draws.tobytes()
    monkeypatch.setattr("delphi.bootstrap.CHUNK", 400)
    assert run().draws.tobytes() == one.draws.tobytes()
    assert one.kind == f"two-level {resample}"


@pytest.mark.parametrize("kind", ["residual", "wild"])
@pytest.mark.parametrize("floor", [None, 1.5])
def test_residuals_are_centred_and_inflated(kind, floor):
    """In log space residuals have a mean; the spread of the draws is that of the residuals."""
    taken = []
    real = _core.bootstrap_law

    def spy(C, y, at, draws, **options):
        taken.append((y, options["residuals"]))
        return real(C, y, at, draws, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_core, "bootstrap_law", spy)
        bootstrap_law(C7, Y7, AT, n=5, kind=kind, floor=floor, score="log")
    fitted, residuals = taken[0]
    law = _core.powerlaw_fit(
        C7, Y7, [0, 7], floors=None if floor is None else [floor], score="log"
    )[0]
    np.testing.assert_allclose(fitted, powerlaw.predict(law, C7), rtol=1e-12)
    wanted = Y7 - fitted
    wanted = (wanted - wanted.mean()) * np.sqrt(7 / (4 if floor is None else 5))
    np.testing.assert_allclose(residuals, wanted, atol=1e-12)


def test_a_ladder_is_resampled_about_its_parabolas(ladder):
    suite = ladder.suites[1]
    taken = []
    real = _core.bootstrap_ladder

    def spy(*columns, **options):
        taken.append((columns, options))
        return real(*columns, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_core, "bootstrap_ladder", spy)
        bootstrap_ladder(ladder, suite, AT, n=50)
        bootstrap_ladder(ladder, suite, AT, n=50, resample="runs", compute="budget")
    (tokens, fitted, offsets, C, _, draws), options = taken[0]
    fits = ladder.fits[ladder.fits["suite"] == suite]
    np.testing.assert_allclose(C, fits["compute"])
    np.testing.assert_allclose(taken[1][0][3], fits["budget"])
    assert taken[1][1]["residuals"] is None
    np.testing.assert_array_equal(np.diff(offsets), fits["n"])
    x = np.log10(tokens)
    for g, fit in enumerate(fits.itertuples()):
        rows = slice(offsets[g], offsets[g + 1])
        inside = (x[rows] >= fit.x_lo - 1e-9) & (x[rows] <= fit.x_hi + 1e-9)
        assert inside.sum() == fit.n_used
        assert draws[:, rows].max() == fit.n_used - 1  # none is drawn from outside
        wanted = fit.a * x[rows] ** 2 + fit.b * x[rows] + fit.c
        np.testing.assert_allclose(fitted[rows][inside], wanted[inside], rtol=1e-10)
        share = np.sum(options["residuals"][rows] ** 2)
        if fit.n_used > 3:
            np.testing.assert_allclose(share, fit.rss * fit.n_used / (fit.n_used - 3), rtol=1e-6)


def test_a_ladder_that_keeps_every_parabola():
    runs = simulate.ladder(rng=0)
    budget = runs.loc[runs["run_type"] == "isoflop", "budget"].min()
    bent = (runs["budget"] == budget) & (runs["run_type"] == "isoflop")
    runs.loc[bent, "loss"] = 6 - 0.1 * (np.log10(runs.loc[bent, "tokens"]) - 10) ** 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        good, every = (fit_isoflops(runs, keep=keep) for keep in ("good", "all"))
    suite = good.suites[0]
    bands = [bootstrap_ladder(ladder, suite, 1e23, n=100) for ladder in (good, every)]
    assert bands[0].median[0] != bands[1].median[0]
    assert all(band.n_ok > 90 for band in bands)


def test_two_level_and_law_agree_on_where_the_forecast_is(ladder):
    suite = ladder.suites[0]
    law = ladder.laws()[suite]
    for resample in ("residual", "runs"):
        band = bootstrap_ladder(ladder, suite, AT, n=500, resample=resample)
        assert np.all((band.low < law.predict(AT)) & (law.predict(AT) < band.high))


# --- counts and warnings --------------------------------------------------------------------------


@pytest.mark.filterwarnings("default")
def test_replicates_without_a_law_are_counted_once():
    C, y = [1e18, 1e19, 1e20, 1e21], [3.0, 2.5, 2.6, 2.9]
    with pytest.warns(FitWarning) as caught:
        band = bootstrap_law(C, y, 1e22, n=2000, score="log", method="grid", n_grid=50)
    assert len(caught) == 1
    text = str(caught[0].message)
    assert f"{band.n_skipped} of 2000 replicates skipped" in text
    assert f"{band.n_failed} of 2000 replicates failed: not_decreasing" in text
    assert caught[0].filename == __file__
    rng = np.random.default_rng(0)
    draws = rng.integers(0, 4, size=(2000, 4))
    assert band.n_skipped == sum(len(set(row)) < 3 for row in draws.tolist())
    assert band.n_failed > 0
    assert band.n_ok == len(band.draws) == 2000 - band.n_skipped - band.n_failed


@pytest.mark.filterwarnings("default")
def test_a_law_that_fails_fails_all_its_residuals():
    with pytest.warns(FitWarning, match="10 of 10 replicates failed: not_decreasing"):
        band = bootstrap_law(C7, Y7[::-1], AT, n=10, kind="residual")
    assert (band.n_failed, band.n_ok) == (10, 0)
    assert np.isnan(band.median).all()


def test_nothing_is_said_where_all_is_well():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bootstrap_law(C7, Y7, AT, n=50, kind="wild")


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"n": 0}, "n: expected"),
        ({"n": 2.5}, "n: expected"),
        ({"n": True}, "n: expected"),
        ({"kind": "block"}, "kind: expected"),
        ({"rng": -1}, "rng: expected"),
        ({"rng": "seed"}, "rng: expected"),
        ({"rng": 0.5}, "rng: expected"),
        ({"level": 1.0}, "level: expected"),
        ({"level": 95}, "level: expected"),
        ({"level": float("nan")}, "level: expected"),
        ({"floor": -1}, "floor"),
        ({"score": "rank"}, "score"),
        ({"method": "guess"}, "method"),
        ({"n_grid": 0}, "n_grid"),
        ({"n_threads": 0}, "n_threads"),
        ({"at": [1e22, -1.0]}, "at"),
        ({"at": []}, "at"),
        ({"compute": [1e18, np.nan] * 3}, "compute"),
        ({"loss": Y7[:3]}, "loss"),
    ],
)
def test_bad_arguments_are_named(change, words):
    with pytest.raises(DataError, match=words):
        bootstrap_law(**{"compute": C7, "loss": Y7, "at": AT} | change)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ladder": None, "suite": "Aster"}, "ladder: expected an IsoflopLadder, got NoneType"),
        ({"suite": "nobody"}, "suite: expected"),
        ({"resample": "optima"}, "resample: expected"),
        ({"compute": "flops"}, "compute: expected"),
        ({"at": "soon"}, "at"),
        ({"n": -1}, "n: expected"),
    ],
)
def test_bad_arguments_of_a_ladder_are_named(ladder, change, words):
    with pytest.raises(DataError, match=words):
        bootstrap_ladder(**{"ladder": ladder, "suite": ladder.suites[0], "at": AT} | change)


def test_too_few_points_for_residuals():
    with pytest.raises(DataError, match="residuals: 3 points"):
        bootstrap_law(C7[:3], Y7[:3], AT, kind="residual")


# --- percentiles of many --------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 3, 10, 999, 1000])
def test_quantiles_are_those_of_numpy(n):
    values = np.random.default_rng(n).normal(size=n)
    shares = np.array([0.0, 0.025, 0.3, 0.5, 0.77, 0.975, 1.0])
    np.testing.assert_array_equal(quantiles(values, shares), np.quantile(values, shares))
    assert np.isnan(quantiles(values[:0], shares)).all()


@pytest.mark.parametrize("kind", ["normal", "ties", "constant", "sorted", "cycle"])
def test_quantiles_of_a_long_column(kind, monkeypatch):
    monkeypatch.setattr("delphi.draws.CHUNK", 4096)
    rng = np.random.default_rng(1)
    values = {
        "normal": rng.normal(size=100_003),
        "ties": rng.integers(0, 5, 100_003).astype(float),
        "constant": np.ones(100_003),
        "sorted": np.arange(100_003.0),
        "cycle": np.arange(100_003.0) % (100_003 // 256),  # in step with the sample
    }[kind]
    before = values.copy()
    shares = np.array([0.0, 0.0005, 0.025, 0.5, 0.975, 1.0])
    np.testing.assert_array_equal(quantiles(values, shares), np.quantile(values, shares))
    assert values.tobytes() == before.tobytes()


# --- size and Ctrl-C ------------------------------------------------------------------------------

LARGE = """
import resource, warnings, numpy as np
from delphi.bootstrap import bootstrap_law
warnings.simplefilter("ignore")
C = np.geomspace(3e18, 3e20, 7)
y = 1.8 + 1600 * C**-0.16 + 0.002 * np.random.default_rng(0).standard_normal(7)
options = dict(score="log", method="grid", n_grid=10)
bootstrap_law(C, y, [1e22, 1e23], n=1000, **options)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
band = bootstrap_law(C, y, {at}, n={n}, **options)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024, band.draws is None)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ru_maxrss is in kB on Linux only")
@pytest.mark.parametrize(("at", "n"), [([1e23], 10_000_000), ([1e21, 1e22, 1e23], 8_000_000)])
def test_ten_million_replicates_need_little_memory(at, n):
    code = LARGE.format(at=at, n=n)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300,
        check=True,
    )  # fmt: skip
    grown, gone = done.stdout.split()
    assert float(grown) < 200
    assert (gone == "True") == (len(at) * n > 20_000_000)


@pytest.mark.parametrize("after", [0.1, 0.6])
@pytest.mark.parametrize(
    "options", [{"score": "log", "method": "grid", "n_grid": 100}, {}, {"kind": "wild"}]
)
def test_ctrl_c_ends_ten_million_replicates(after, options):
    pressed = []

    def press():
        pressed.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(after, press)
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            bootstrap_law(C7, Y7, AT[:1], n=10_000_000, **options)
        late = time.perf_counter() - pressed[0]
    finally:
        timer.cancel()
        signal.signal(signal.SIGINT, before)
    assert late < 1.0  # some 30 ms on an idle machine
    one, two = (bootstrap_law(C7, Y7, AT, n=100, **options) for _ in range(2))
    assert one.draws.tobytes() == two.draws.tobytes()


def test_one_bar_over_all_chunks(monkeypatch):
    monkeypatch.setattr("delphi.bootstrap.CHUNK", 700)
    monkeypatch.setattr("delphi.bootstrap._KEPT", 2000)
    seen = []

    class Bar:
        def __enter__(self):
            return lambda done, total: seen.append((done, total))

        def __exit__(self, *_):
            return None

    monkeypatch.setattr("delphi.bootstrap.progress_bar", lambda show, what: Bar())
    bootstrap_law(C7, Y7, AT, n=1000)
    done = [one for one, _ in seen]
    assert {total for _, total in seen} == {2000}  # two passes: two targets, then one
    assert done == sorted(done)
    assert done[-1] == 2000
