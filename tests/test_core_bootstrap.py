"""The bootstrap kernels against one replicate at a time (tests/reference/bootstrap.py)."""

from __future__ import annotations

import gc
import math
import sys
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delphi import _core
from tests.reference import bootstrap as twin
from tests.reference import powerlaw, samples

AT = np.array([1e22, 1e24])
C7 = np.geomspace(3e18, 3e20, 7)
Y7 = 1.8 + 1600 * C7**-0.16 + 0.002 * np.random.default_rng(5).standard_normal(7)
KINDS = ("pairs", "residual", "wild")
NO_OPTIMUM = sum(
    code
    for code, (name, _) in _core.STATUS.items()
    if name in ("concave", "clipped", "unbracketed", "saturated")
)
NAMES = {code: name for code, (name, _) in _core.STATUS.items()}
FAILURES = {name for code, name in NAMES.items() if code < 0}
GRID = {"score": "log", "method": "grid", "n_grid": 100}


def core_fit(floor=None, **options):
    """fit(C, y) for the twin, by the kernel for single laws."""
    floors = None if floor is None else [floor]

    def fit(C, y):
        law = _core.powerlaw_fit(C, y, [0, len(C)], floors=floors, **options)[0]
        failure = NAMES[int(law["status"])] if law["status"] < 0 else None
        return failure, law["L_inf"], law["log_A"], law["alpha"]

    return fit


def brute_fit(n_grid):
    """The same by brute force, on the grid in log space."""

    def fit(C, y):
        (law,) = powerlaw.fit_set([(C, y)], score="log", method="grid", n_grid=n_grid)
        failures = law.words & FAILURES
        return next(iter(failures), None), law.L, law.log_A, law.alpha

    return fit


def draw(kind, n, n_boot, rng):
    if kind == "wild":
        return rng.choice([-1.0, 1.0], (n_boot, n))
    return rng.integers(0, max(n, 1), (n_boot, n))


def some(kind="pairs", n_boot=50, seed=0, **options):
    draws = draw(kind, 7, n_boot, np.random.default_rng(seed))
    residuals = None if kind == "pairs" else 0.003 * np.linspace(-1, 1, 7)
    return _core.bootstrap_law(C7, Y7, AT, draws, kind=kind, residuals=residuals, **options)


def some_ladder(n_boot=30, seed=0, **options):
    tokens, loss, _, offsets = samples.ladder(8, rng=3)
    sizes = np.repeat(np.diff(offsets), np.diff(offsets))
    draws = np.random.default_rng(seed).integers(0, sizes, (n_boot, len(tokens)))
    C = np.geomspace(1e18, 1e21, 8)
    return _core.bootstrap_ladder(
        tokens, loss + np.repeat(np.linspace(1, 0, 8) ** 2, np.diff(offsets)), offsets, C, AT,
        draws, **options,
    )  # fmt: skip


def as_bytes(answer):
    return b"".join(part.tobytes() for part in answer if part is not None)


# --- against the twin -----------------------------------------------------------------------------


@samples.examples(80)
@given(
    samples.suite(),
    st.sampled_from(KINDS),
    st.sampled_from(["loss", "log"]),
    st.sampled_from(["profile", "grid", "pinned"]),
    st.integers(0, 2**32),
)
def test_a_replicate_is_a_fit_of_its_points(group, kind, score, method, seed):
    C, y = (np.asarray(values, float) for values in group)
    rng = np.random.default_rng(seed)
    draws = draw(kind, len(C), 6, rng)
    residuals = None if kind == "pairs" else 0.01 * rng.standard_normal(len(C))
    # As many floors as keep pairs from the table: those are compared below, up to rounding.
    n_grid = 300_000 if kind == "pairs" and score == "log" and method == "grid" else 12
    if n_grid > 12 and len(C) > 4:
        return
    floor = 0.5 if method == "pinned" else None
    options = {
        "score": score,
        "n_grid": n_grid,
        "method": "grid" if method == "grid" else "profile",
    }
    forecasts, status, laws = _core.bootstrap_law(
        C, y, AT, draws, kind=kind, residuals=residuals, floor=floor, laws=True, **options
    )
    wanted = twin.suite(C, y, AT, draws, core_fit(floor, **options), kind, residuals)
    for b, (failure, ahead, law) in enumerate(wanted):
        assert (NAMES[int(status[b])] if status[b] < 0 else None) == failure
        assert laws[b].tobytes() == np.array(law, float).tobytes() or failure
        assert np.isnan(laws[b]).all() == bool(failure)
        np.testing.assert_allclose(forecasts[b], ahead, rtol=1e-12)


def log_score(law, C, y):
    L, log_A, alpha = law
    return float(np.mean((np.log(y - L) - log_A + alpha * np.log(C)) ** 2))


@samples.examples(150)
@given(samples.suite(), st.sampled_from([1, 2, 15, 100]), st.integers(0, 2**32))
def test_the_table_of_logarithms_changes_nothing(group, n_grid, seed):
    C, y = (np.asarray(values, float) for values in group)
    draws = draw("pairs", len(C), 12, np.random.default_rng(seed))
    forecasts, status, laws = _core.bootstrap_law(
        C, y, AT, draws, score="log", method="grid", n_grid=n_grid, laws=True
    )
    for b, (failure, ahead, law) in enumerate(twin.suite(C, y, AT, draws, brute_fit(n_grid))):
        Cb, yb = C[draws[b]], y[draws[b]]
        got = NAMES[int(status[b])] if status[b] < 0 else None
        if {got, failure} == {None, "not_decreasing"}:  # flat to rounding
            assert abs((laws[b] if failure else law)[2]) < 1e-9
            continue
        assert got == failure
        assert np.isnan(forecasts[b]).all() == bool(failure)
        if failure:
            continue
        ours, theirs = log_score(laws[b], Cb, yb), log_score(law, Cb, yb)
        assert math.isclose(ours, theirs, rel_tol=1e-7, abs_tol=1e-22 * (1 + law[1] ** 2))
        if laws[b, 0] == law[0]:  # the same floor, not a tie with another
            np.testing.assert_allclose(laws[b, 1:], law[1:], rtol=1e-8, atol=1e-10)
            np.testing.assert_allclose(forecasts[b], ahead, rtol=1e-8)
        index = round(laws[b, 0] / max(0.95 * yb.min() / max(n_grid - 1, 1), 1e-300))
        assert laws[b, 0] == np.linspace(0, 0.95 * yb.min(), n_grid)[index]


def test_the_table_says_what_the_plain_fit_says():
    """Past the size of the table the law is fitted plainly; both find the same floors."""
    rng = np.random.default_rng(8)
    C = np.geomspace(1e18, 1e21, 30)
    y = 1.8 + 1600 * C**-0.16 + 0.002 * rng.standard_normal(30)
    draws = draw("pairs", 30, 40, rng)
    for n_grid in (480, 500):  # 252,000 numbers, and too many
        _, status, laws = _core.bootstrap_law(
            C, y, AT, draws, score="log", method="grid", n_grid=n_grid, laws=True
        )
        for b, row in enumerate(draws):
            one = _core.powerlaw_fit(
                C[row], y[row], [0, 30], score="log", method="grid", n_grid=n_grid
            )[0]
            assert status[b] == one["status"]
            assert laws[b, 0] == one["L_inf"]
            np.testing.assert_allclose(laws[b, 1], one["log_A"], rtol=1e-11)
            np.testing.assert_allclose(laws[b, 2], one["alpha"], rtol=1e-11)


@samples.examples(40)
@given(
    st.lists(samples.realistic_bucket(), min_size=0, max_size=7),
    st.booleans(),
    st.sampled_from([0.0, 0.4]),
    st.sampled_from([NO_OPTIMUM, 0]),
    st.integers(0, 2**32),
)
def test_a_replicate_of_a_ladder_is_its_parabolas_and_their_law(
    groups, runs, window, unusable, seed
):
    rng = np.random.default_rng(seed)
    groups = [(t, y + 2.0 * (len(groups) - g) ** -0.5, p) for g, (t, y, p) in enumerate(groups)]
    tokens, loss, _ = samples.stacked(groups, 3)
    offsets = samples.offsets_of(groups)
    C = 1e18 * 3.0 ** np.arange(len(groups))
    residuals = None if runs else 0.01 * rng.standard_normal(len(tokens))
    sizes = np.repeat(np.diff(offsets), np.diff(offsets))
    draws = rng.integers(0, sizes, (4, len(tokens)))

    def optimum(x, y):
        fit = _core.parabola_fit(x, y, None, [0, len(x)], window=window)[0]
        return fit["loss_star"] if fit["status"] >= 0 and not fit["status"] & unusable else None

    forecasts, status, laws = _core.bootstrap_ladder(
        tokens, loss, offsets, C, AT, draws,
        residuals=residuals, window=window, unusable=unusable, laws=True,
    )  # fmt: skip
    wanted = twin.ladder(tokens, loss, offsets, C, AT, draws, optimum, core_fit(), residuals)
    for b, (failure, ahead, law) in enumerate(wanted):
        assert (NAMES[int(status[b])] if status[b] < 0 else None) == failure
        assert failure or laws[b].tobytes() == np.array(law, float).tobytes()
        np.testing.assert_allclose(forecasts[b], ahead, rtol=1e-12)


# --- the same bits --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("options", [{}, GRID, {"score": "log"}, {"floor": 1.5}])
def test_threads_and_chunks_change_no_bit(kind, options):
    draws = draw(kind, 7, 3000, np.random.default_rng(1))
    residuals = None if kind == "pairs" else 0.003 * np.linspace(-1, 1, 7)

    def run(rows, n_threads):
        return _core.bootstrap_law(
            C7, Y7, AT, rows, kind=kind, residuals=residuals, laws=True, n_threads=n_threads,
            **options,
        )  # fmt: skip

    whole = run(draws, 1)
    for n_threads in (2, 5):
        assert as_bytes(run(draws, n_threads)) == as_bytes(whole)
    pieces = [run(rows, 2) for rows in np.split(draws, [1, 64, 1000, 2999])]
    for part, everything in zip(zip(*pieces, strict=True), whole, strict=True):
        assert np.concatenate(part).tobytes() == everything.tobytes()


def test_threads_change_no_bit_of_a_ladder():
    whole = some_ladder(2000, laws=True)
    for n_threads in (2, 5):
        assert as_bytes(some_ladder(2000, laws=True, n_threads=n_threads)) == as_bytes(whole)
    assert (whole[1] >= 0).any()


def test_laws_are_given_when_asked_for():
    forecasts, status, laws = some()
    assert laws is None
    again = some(laws=True)
    assert again[0].tobytes() == forecasts.tobytes()
    assert again[1].tobytes() == status.tobytes()
    L, log_A, alpha = again[2].T
    np.testing.assert_allclose(
        forecasts, L[:, None] + np.exp(log_A[:, None] - alpha[:, None] * np.log(AT)), rtol=1e-14
    )


def test_empty_calls():
    forecasts, status, _ = _core.bootstrap_law(C7, Y7, [], np.zeros((3, 7), int))
    assert forecasts.shape == (3, 0)
    assert (status == -10).all()
    forecasts, status, _ = _core.bootstrap_law(C7, Y7, AT, np.zeros((0, 7), int), **GRID)
    assert forecasts.shape == (0, 2)
    assert len(status) == 0
    forecasts, status, _ = _core.bootstrap_law([], [], AT, np.zeros((2, 0), int))
    assert np.isnan(forecasts).all()
    _, status, _ = _core.bootstrap_ladder([], [], [0], [], AT, np.zeros((2, 0), int))
    assert (status == -10).all()


# --- arguments ------------------------------------------------------------------------------------

INDICES = np.zeros((2, 7), int)
BAD = [
    ({"draws": INDICES[0]}, ValueError, "draws: expected two dimensions, the second of 7"),
    ({"draws": INDICES[:, :6]}, ValueError, "draws: .*second of 7"),
    ({"draws": INDICES - 1}, ValueError, r"draws\[0, 0\] is -1"),
    ({"draws": INDICES + 7 * np.array([[0], [1]])}, ValueError, r"draws\[1, 0\] is 7"),
    ({"draws": INDICES.astype(float)}, TypeError, "draws: expected whole numbers"),
    ({"draws": "none"}, (TypeError, ValueError), "draws"),
    ({"kind": "jackknife"}, ValueError, "kind"),
    ({"kind": "residual"}, (TypeError, ValueError), "residuals"),
    ({"kind": "residual", "residuals": Y7[:3]}, ValueError, "residuals"),
    ({"residuals": Y7}, ValueError, "residuals"),
    ({"loss": Y7[:3]}, ValueError, "loss"),
    ({"at": 1e22}, ValueError, "at"),
    ({"floor": "low"}, TypeError, "floor"),
    ({"score": "rank"}, ValueError, "score"),
    ({"method": "guess"}, ValueError, "method"),
    ({"n_grid": 0}, ValueError, "n_grid"),
    ({"n_threads": 0}, ValueError, "n_threads"),
    ({"colour": 1}, TypeError, "colour"),
]


@pytest.mark.parametrize(("change", "error", "words"), BAD)
def test_bad_arguments_are_named(change, error, words):
    arguments = {"compute": C7, "loss": Y7, "at": AT, "draws": INDICES} | change
    with pytest.raises(error, match=words):
        _core.bootstrap_law(**arguments)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"offsets": [0, 6]}, ValueError, "offsets"),
        ({"compute": C7[:3]}, ValueError, "compute"),
        ({"draws": np.full((1, 7), 3)}, ValueError, r"draws\[0, 0\] is 3"),
        ({"residuals": [1.0]}, ValueError, "residuals"),
        ({"window": -1.0}, ValueError, "window"),
        ({"unusable": -1}, ValueError, "unusable"),
    ],
)
def test_bad_arguments_of_a_ladder_are_named(change, error, words):
    arguments = {
        "tokens": C7, "loss": Y7, "offsets": [0, 3, 7], "compute": [1e18, 1e19], "at": AT,
        "draws": INDICES,
    }  # fmt: skip
    with pytest.raises(error, match=words):
        _core.bootstrap_ladder(**arguments | change)


# --- manners --------------------------------------------------------------------------------------


def test_an_exception_in_progress_stops_it():
    class StopError(Exception):
        pass

    def stop(done, total):
        raise StopError

    with pytest.raises(StopError):
        some(n_boot=200_000, progress=stop)
    seen = []
    some(n_boot=20_000, n_threads=2, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (20_000, 20_000)


def test_calls_keep_no_references():
    draws = draw("pairs", 7, 20, np.random.default_rng(0))
    things = [C7, Y7, AT, draws]

    def all_calls():
        _core.bootstrap_law(C7, Y7, AT, draws, laws=True, **GRID)
        _core.bootstrap_law(C7, Y7, AT, draws)
        some_ladder(3)
        for change, error, _ in BAD:
            with pytest.raises(error):
                _core.bootstrap_law(
                    **{"compute": C7, "loss": Y7, "at": AT, "draws": draws} | change
                )

    all_calls()
    before = [sys.getrefcount(thing) for thing in things]
    for _ in range(20):
        all_calls()
    gc.collect()
    assert [sys.getrefcount(thing) for thing in things] == before


def test_python_memory_does_not_grow():
    tracemalloc.start()
    try:
        some(n_boot=500, laws=True)
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(50):
            some(n_boot=500, laws=True, **GRID)
            some_ladder(20)
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] - before < 50_000
    finally:
        tracemalloc.stop()
