"""The core's rollouts against the slow twins, and its manners as a binding."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delphi import _core
from delphi.status import status_names
from tests.reference import survival as twin
from tests.reference.samples import examples

SEEDS = st.integers(0, 2**32 - 1)


def offsets_of(rows):
    return np.concatenate(([0], np.cumsum([len(row) for row in rows]))).astype(np.int64)


def flat(rows, dtype=float):
    return np.concatenate([np.asarray(row, dtype) for row in rows] or [np.empty(0, dtype)])


def names(code):
    return set(status_names(int(code)))


def random_rollouts(rng, n):
    """Forks, masses, rows and generations of n rollouts, some of them impossible."""
    forks, pmass, rows, lengths = [], [], [], []
    for _ in range(n):
        m = int(rng.integers(0, 9))
        at = np.sort(rng.integers(0, 60, m))
        mass = rng.choice([0.99, 0.8, 0.79, 0.3, 1.0, np.nan], m, p=[0.5, 0.1, 0.1, 0.1, 0.1, 0.1])
        kind = rng.integers(0, 20)
        if kind == 0:
            at = at[::-1]
        if kind == 1 and m:
            mass[rng.integers(0, m)] = rng.choice([-0.5, 1.5, np.inf])
        if kind == 2 and m:
            at = at - 5
        forks.append(at)
        pmass.append(mass)
        rows.append(np.zeros(int(rng.integers(0, 70))))
        lengths.append(int(rng.choice([len(rows[-1]), 0, rng.integers(0, 80)], p=[0.6, 0.1, 0.3])))
    return forks, pmass, rows, np.array(lengths, np.int64)


@given(SEEDS)
@examples(150)
def test_masks_and_fates_are_those_of_the_twin(seed):
    rng = np.random.default_rng(seed)
    forks, pmass, rows, lengths = random_rollouts(rng, int(rng.integers(0, 12)))
    threshold = float(rng.choice([0.0, 0.5, 0.8, 1.0]))
    tokens = offsets_of(rows)
    mask, out = _core.survival_watch(
        flat(pmass), flat(forks, np.int64), offsets_of(pmass), tokens, lengths, threshold=threshold
    )
    bare, same = _core.survival_watch(
        flat(pmass), flat(forks, np.int64), offsets_of(pmass), tokens, lengths,
        threshold=threshold, mask=False, n_threads=2,
    )  # fmt: skip
    assert bare is None
    for name in out.dtype.names:
        np.testing.assert_array_equal(out[name], same[name])
    for i, record in enumerate(out):
        wanted, time, died, n_forks, word = twin.rollout(
            pmass[i].tolist(), forks[i].tolist(), len(rows[i]), int(lengths[i]), threshold
        )
        assert mask[tokens[i] : tokens[i + 1]].tolist() == wanted
        assert (record["time"], bool(record["died"]), record["n_forks"]) == (time, died, n_forks)
        said = names(int(record["status"])) - {"lengths_differ"} or {"ok"}
        assert said == {word}
        if record["status"] >= 0:
            assert ("lengths_differ" in names(int(record["status"]))) == (
                len(rows[i]) != lengths[i]
            )


@given(SEEDS)
@examples(60)
def test_rolling_means_are_those_of_the_twin(seed):
    rng = np.random.default_rng(seed)
    rows = [rng.normal(rng.choice([0, 5, 1e6]), 1, int(rng.integers(0, 200))) for _ in range(4)]
    window = int(rng.choice([1, 2, 3, 64, 65, rng.integers(1, 220)]))
    got = _core.rolling_mean(flat(rows), offsets_of(rows), window)
    for i, row in enumerate(rows):
        at = offsets_of(rows)
        wanted = twin.rolling_mean(row.tolist(), window)
        np.testing.assert_allclose(
            got[at[i] : at[i + 1]], wanted, rtol=1e-12, atol=1e-12 * np.abs(row).max(initial=0)
        )


@pytest.mark.parametrize("window", [2, 65, 1024, 9999])
def test_rolling_means_of_long_rows_do_not_drift(window):
    """A million values, one of them huge: windows without it know nothing of it."""
    rng = np.random.default_rng(window)
    x = rng.gamma(0.5, size=1_000_000)
    x[1000] = 1e15
    got = _core.rolling_mean(x, [0, len(x)], window)
    for i in (5_000 + window, 500_000, 999_999 - window):
        part = x[i - window // 2 : i - window // 2 + window]
        assert got[i] == pytest.approx(math.fsum(part) / window, rel=1e-12)
    assert got[-1] == pytest.approx(
        math.fsum([*x[len(x) - 1 - window // 2 :], *[x[-1]] * (window - window // 2 - 1)]) / window,
        rel=1e-12,
    )


@given(SEEDS)
@examples(60)
def test_calibration_is_that_of_the_twin(seed):
    rng = np.random.default_rng(seed)
    rows = [rng.gamma(2, 0.5, int(rng.integers(1, 90))) for _ in range(4)]
    for row in rows:
        row[rng.random(len(row)) < rng.choice([0, 0.1])] = np.nan
    rows.append(np.zeros(30))
    window, head = int(rng.choice([1, 2, 9, 65])), int(rng.integers(1, 30))
    percentile, order = (
        float(rng.choice([0, 50, 95, 100])),
        str(rng.choice(["calibrate", "smooth"])),
    )
    at = offsets_of(rows)
    values, out = _core.kl_calibrate(
        flat(rows), at, window=window, head=head, q=percentile / 100, order=order
    )
    for i, row in enumerate(rows):
        wanted, scale = twin.calibrated(row.tolist(), window, head, percentile, order == "smooth")
        # fsum makes NaN of NaN as well
        np.testing.assert_allclose(values[at[i] : at[i + 1]], wanted, rtol=1e-12)
        if scale is None:
            assert _core.STATUS[int(out["status"][i])][0] == "no_scale"
            assert np.isnan(out["scale"][i])
        else:
            assert out["scale"][i] == pytest.approx(scale, rel=1e-12)


@given(SEEDS)
@examples(60)
def test_quantiles_over_rollouts_are_those_of_the_twin(seed):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(0, 30, 4)
    rows = [rng.normal(size=int(rng.integers(0, 40))).round(1) for _ in range(sizes.sum())]
    for row in rows:
        row[rng.random(len(row)) < 0.05] = np.nan
    groups = np.concatenate(([0], np.cumsum(sizes)))
    q = np.array([0.1, 0.5, 0.9])
    got, count, at = _core.kl_quantiles(flat(rows), offsets_of(rows), groups, q)
    again = _core.kl_quantiles(flat(rows), offsets_of(rows), groups, q, n_threads=2)[0]
    np.testing.assert_array_equal(got, again)
    for g in range(4):
        wanted, n = twin.token_quantiles([r.tolist() for r in rows[groups[g] : groups[g + 1]]], q)
        np.testing.assert_allclose(got[at[g] : at[g + 1]], wanted, rtol=1e-14, atol=1e-14)
        np.testing.assert_array_equal(count[at[g] : at[g + 1]], n)


def test_any_number_of_threads_gives_the_same_bits():
    rng = np.random.default_rng(0)
    n, T = 4000, 300
    x, at = rng.gamma(1, size=n * T), np.arange(n + 1) * T
    masses = 1 - 0.3 * rng.random(n * 8)
    forks = np.tile(np.arange(8) * 40, n)
    calls = (
        lambda k: _core.rolling_mean(x, at, 65, n_threads=k),
        lambda k: _core.kl_calibrate(x, at, window=65, n_threads=k)[0],
        lambda k: _core.kl_quantiles(x, at, [0, 1500, n], [0.5], n_threads=k)[0],
        lambda k: _core.survival_watch(
            masses, forks, np.arange(n + 1) * 8, at, np.full(n, T), n_threads=k
        )[0],
    )
    for call in calls:
        np.testing.assert_array_equal(call(1), call(7))


GOOD = {
    "pmass": [0.9, 0.9], "forks": [0, 5], "fork_offsets": [0, 2], "token_offsets": [0, 9],
    "gen_lens": [9],
}  # fmt: skip


@pytest.mark.parametrize(("changes", "says"), [
    ({"pmass": [0.9]}, "forks"),
    ({"pmass": "ab"}, "pmass"),
    ({"forks": [0.0, 5.5]}, "forks"),
    ({"forks": [0]}, "forks"),
    ({"forks": [[0, 5]]}, "forks"),
    ({"forks": np.array([0, 5], np.uint64)}, "forks"),
    ({"fork_offsets": [0, 1]}, "fork_offsets"),
    ({"token_offsets": [0, 9, 9]}, "token_offsets"),
    ({"token_offsets": [1, 9]}, "token_offsets"),
    ({"token_offsets": [0, -4]}, "token_offsets"),
    ({"gen_lens": [9, 9]}, "gen_lens"),
    ({"gen_lens": [-1]}, r"gen_lens\[0\] is -1"),
    ({"threshold": 1.5}, "threshold"),
    ({"threshold": -0.1}, "threshold"),
    ({"threshold": float("nan")}, "threshold"),
    ({"threshold": "x"}, "threshold"),
    ({"slack": -1}, "slack"),
    ({"n_threads": 0}, "n_threads"),
    ({"nonsense": 0}, "nonsense"),
])  # fmt: skip
def test_bad_arguments_are_named(changes, says):
    with pytest.raises((TypeError, ValueError), match=says):
        _core.survival_watch(**GOOD | changes)


@pytest.mark.parametrize(("call", "says"), [
    (lambda: _core.rolling_mean([1.0], [0, 1], 0), "window"),
    (lambda: _core.rolling_mean([1.0], [0, 1], 2.5), "window"),
    (lambda: _core.rolling_mean([1.0], [0, 2], 2), "offsets"),
    (lambda: _core.kl_calibrate([1.0], [0, 1], head=0), "head"),
    (lambda: _core.kl_calibrate([1.0], [0, 1], q=1.1), "q"),
    (lambda: _core.kl_calibrate([1.0], [0, 1], scale_min=-1.0), "scale_min"),
    (lambda: _core.kl_calibrate([1.0], [0, 1], order="both"), "order"),
    (lambda: _core.kl_quantiles([1.0], [0, 1], [0, 2], [0.5]), "groups"),
    (lambda: _core.kl_quantiles([1.0], [0, 1], [0, 1], [0.5, 0.4]), r"q\[1\]"),
    (lambda: _core.kl_quantiles([1.0], [0, 1], [0, 1], [np.nan]), r"q\[0\]"),
])  # fmt: skip
def test_bad_arguments_of_the_others_are_named(call, says):
    with pytest.raises((TypeError, ValueError), match=says):
        call()


def test_nothing_at_all():
    mask, out = _core.survival_watch([], [], [0], [0], [])
    assert mask.shape == out.shape == (0,)
    assert _core.rolling_mean([], [0], 5).shape == (0,)
    assert _core.rolling_mean([], [0, 0, 0], 5).shape == (0,)
    assert _core.kl_calibrate([], [0, 0])[1]["status"].tolist() == [-62]
    got, count, at = _core.kl_quantiles([], [0], [0], [0.5])
    assert got.shape == (0, 1)
    assert count.shape == (0,)
    assert at.tolist() == [0]


def test_an_exception_in_progress_comes_out_as_it_is():
    x, at = np.ones(20_000_000), np.arange(2001) * 10_000

    def stop(done, total):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        _core.rolling_mean(x, at, 65, progress=stop)
