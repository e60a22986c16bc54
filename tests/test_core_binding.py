"""The binding: what it takes and refuses, what it leaks, threads, signals, fork.

Low level on purpose (numpy, pytest, hypothesis only), so that it runs under sanitizers too.
"""

from __future__ import annotations

import ast
import gc
import inspect
import os
import re
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from delphi import _core
from tests.reference import samples

ROOT = Path(__file__).resolve().parents[1]
N = 6
X = np.geomspace(1e9, 1e11, N)
Y = np.array([3.4, 3.1, 2.95, 2.9, 3.0, 3.2])
P = 1e19 / X
OFFSETS = np.array([0, N])
FITS = ["parabola", "powerlaw", "line", "isocurve"]
SANITIZED = bool(os.environ.get("ASAN_OPTIONS") or os.environ.get("LD_PRELOAD"))


def call(law, x=X, y=Y, offsets=OFFSETS, **options):
    """Any of the three fits on one column of x."""
    if law == "parabola":
        return _core.parabola_fit(x, y, None, offsets, **options)
    if law == "isocurve":
        return _core.isocurve_fit(x, y, None, offsets, **options)
    if law == "powerlaw":
        return _core.powerlaw_fit(x, y, offsets, **options)
    return _core.line_fit(x, y, offsets)


def slow(**options):
    """A call that takes seconds, of many items."""
    n = 400
    C, y, offsets = samples.laws(n)
    options = {"method": "grid", "score": "loss", "n_grid": 4000} | options
    return _core.powerlaw_fit(C, y, offsets, **options)


# --- arrays ---------------------------------------------------------------------------------------

SAME = {
    "list": lambda a: a.tolist(),
    "tuple": lambda a: tuple(a.tolist()),
    "big-endian": lambda a: a.astype(">f8"),
    "strided": lambda a: np.repeat(a, 3)[::3],
    "reversed view": lambda a: a[::-1].copy()[::-1],
    "column of a table": lambda a: np.stack([a, a], axis=1)[:, 1],
    "unaligned": lambda a: np.frombuffer(b"x" + a.tobytes(), np.uint8)[1:].view(a.dtype),
}


def read_only(a):
    a = a.copy()
    a.flags.writeable = False
    return a


@pytest.mark.parametrize("law", FITS)
@pytest.mark.parametrize("change", [*SAME.values(), read_only], ids=[*SAME, "read-only"])
def test_the_memory_layout_makes_no_difference(law, change):
    clean = call(law)
    assert call(law, change(X), change(Y)).tobytes() == clean.tobytes()
    if not isinstance(change(X), (list, tuple)):
        assert call(law, offsets=change(OFFSETS.astype(float)).astype(">i8")).tobytes() == (
            clean.tobytes()
        )


@pytest.mark.parametrize("law", FITS)
@pytest.mark.parametrize("dtype", ["f4", "f2", "i8", "i4", "u2", "u8", "?"])
def test_other_number_types_are_their_float64_values(law, dtype):
    x = np.array([1, 2, 3, 5, 8, 13]).astype(dtype)
    y = np.array([9, 7, 6, 5, 6, 7]).astype(dtype)
    assert call(law, x, y).tobytes() == call(law, x.astype(float), y.astype(float)).tobytes()


@pytest.mark.parametrize("law", FITS)
@pytest.mark.parametrize("dtype", ["i4", "i2", "u4", "u1", ">i8"])
def test_offsets_of_any_safe_integer_type(law, dtype):
    assert call(law, offsets=OFFSETS.astype(dtype)).tobytes() == call(law).tobytes()


def test_input_is_never_written_to():
    columns = [X.copy(), Y.copy(), P.copy(), OFFSETS.copy()]
    before = [column.tobytes() for column in columns]
    _core.parabola_fit(*columns, joint=True)
    _core.powerlaw_fit(columns[0], columns[1], columns[3])
    assert [column.tobytes() for column in columns] == before


BAD_COLUMNS = {
    "a word": ("abcdef", (TypeError, ValueError)),
    "None": (None, (TypeError, ValueError)),
    "a number": (1.0, (TypeError, ValueError)),
    "two dimensions": (X[None].tolist(), (TypeError, ValueError)),
    "too short": (X[:-1], ValueError),
    "too long": (np.append(X, 1), ValueError),
    "empty": ([], ValueError),
    "complex": (X.astype(complex), TypeError),
    "objects": (X.astype(object), TypeError),
    "words": (X.astype(str), TypeError),
    "dates": (X.astype("M8[s]"), TypeError),
    "a dict": ({}, (TypeError, ValueError)),
    "ragged": ([[1.0], [2.0, 3.0], 1.0, 1.0, 1.0, 1.0], ValueError),
    "records": (np.zeros(N, [("a", "f8")]), TypeError),
}


@pytest.mark.parametrize("law", FITS)
@pytest.mark.parametrize("bad", BAD_COLUMNS)
def test_columns_that_are_none(law, bad):
    value, error = BAD_COLUMNS[bad]
    for place, name in (("y", "y" if law == "line" else "loss"), ("offsets", "offsets")):
        if place == "offsets" and bad in ("too short", "too long"):
            continue
        with pytest.raises(error, match=f"^{name}"):
            call(law, **{place: value})


@pytest.mark.parametrize(
    ("offsets", "words"),
    [
        ([1, N], r"offsets\[0\] is 1: .*start at 0"),
        ([-1, N], r"offsets\[0\] is -1"),
        ([0, N - 1], rf"offsets\[1\] is {N - 1}: .*end at n .*n = {N}"),
        ([0, N + 1], rf"offsets\[1\] is {N + 1}"),
        ([0, 4, 3, N], r"offsets\[2\] is 3: .*never decrease"),
        ([0, -2, N], r"offsets\[1\] is -2"),
        ([0, 2**62, N], r"offsets\[1\] is 4611686018427387904"),
        ([0, -(2**63), N], r"offsets\[1\] is -9223372036854775808"),
        ([0], r"offsets\[0\] is 0: .*end at n"),
        ([], "offsets: expected at least one value"),
        ([[0, N]], "offsets: expected one dimension, got 2"),
        (np.array([0.0, N]), "^offsets: "),
        (np.array([0, N], np.uint64), "^offsets: "),
        ([0, 2**63], "offsets: "),
    ],
)
@pytest.mark.parametrize("law", FITS)
def test_offsets_that_are_none(law, offsets, words):
    with pytest.raises((ValueError, TypeError, OverflowError), match=words):
        call(law, offsets=offsets)


@pytest.mark.parametrize("law", FITS)
def test_a_list_of_fractions_is_no_offsets(law):
    with pytest.raises((ValueError, TypeError), match="offsets"):
        call(law, offsets=[0.0, 2.7, float(N)])


@pytest.mark.parametrize("law", FITS)
def test_no_groups_and_empty_groups(law):
    none = call(law, [], [], [0])
    assert none.shape == (0,)
    assert none.dtype == call(law).dtype
    empty = call(law, [], [], [0, 0, 0])
    assert [_core.STATUS[code][0] for code in empty["status"].tolist()] == ["too_few_points"] * 2
    around = call(law, offsets=[0, 0, N, N])
    assert samples.bits(around[1:2]) == samples.bits(call(law))


def test_exceptions_from_inside_an_array_keep_their_type():
    class Picky(Exception):
        def __init__(self, one, two):
            super().__init__(one, two)

    class Refuses:
        def __init__(self, error):
            self.error = error

        def __array__(self, *args, **options):
            raise self.error

    for error in (
        KeyError("k"),
        RuntimeError("no"),
        MemoryError(),
        KeyboardInterrupt(),
        Picky(1, 2),
        UnicodeDecodeError("utf-8", b"x", 0, 1, "no"),
    ):
        with pytest.raises(type(error)):
            _core.parabola_fit(Refuses(error), Y, None, OFFSETS)


# --- options --------------------------------------------------------------------------------------


def test_missing_too_many_and_unknown_arguments():
    with pytest.raises(TypeError, match=r"parabola_fit\(\) missing required argument 'tokens'"):
        _core.parabola_fit()
    with pytest.raises(TypeError, match="missing required argument 'params'"):
        _core.parabola_fit(X, Y, offsets=OFFSETS)
    with pytest.raises(TypeError, match="missing required argument 'offsets'"):
        _core.powerlaw_fit(X, Y)
    with pytest.raises(TypeError, match="at most 4 positional arguments"):
        _core.parabola_fit(X, Y, P, OFFSETS, True)
    with pytest.raises(TypeError, match="at most 3 positional arguments"):
        _core.powerlaw_fit(X, Y, OFFSETS, None)
    with pytest.raises(TypeError, match="unexpected keyword argument 'weight'"):
        _core.powerlaw_fit(X, Y, OFFSETS, weight=1)
    with pytest.raises(TypeError, match="multiple values for argument 'loss'"):
        _core.powerlaw_fit(X, Y, OFFSETS, loss=Y)
    with pytest.raises(TypeError):
        _core.line_fit(X, Y, OFFSETS, **{"\udc80": 1})


def test_arguments_by_keyword_in_any_order():
    by_keyword = _core.parabola_fit(offsets=OFFSETS, params=None, loss=Y, tokens=X)
    assert by_keyword.tobytes() == call("parabola").tobytes()


@pytest.mark.parametrize("law", ["parabola", "powerlaw"])
@pytest.mark.parametrize(
    ("n_threads", "error"),
    [
        (0, ValueError),
        (-1, ValueError),
        (_core.MAX_THREADS + 1, ValueError),
        (2**70, (OverflowError, ValueError)),
        ("2", TypeError),
        (2.0, TypeError),
        ([2], TypeError),
    ],
)
def test_n_threads_out_of_range(law, n_threads, error):
    with pytest.raises(error, match="n_threads"):
        call(law, n_threads=n_threads)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"score": "Loss"}, ValueError, "score: expected 'loss' or 'log', got 'Loss'"),
        ({"score": None}, ValueError, "score"),
        ({"score": b"loss"}, ValueError, "score"),
        ({"method": 1}, ValueError, "method: expected 'profile' or 'grid'"),
        ({"method": "\ud800"}, ValueError, "method"),
        ({"weigh": ""}, ValueError, "weigh: expected 'points' or 'suites'"),
        ({"n_grid": 0}, ValueError, "n_grid"),
        ({"n_grid": -5}, ValueError, "n_grid"),
        ({"n_grid": 10**9}, ValueError, "n_grid"),
        ({"n_grid": 1.0}, TypeError, "n_grid"),
        ({"floors": []}, ValueError, "floors: expected 1 values, got 0"),
        ({"floors": [1.0, 1.0]}, ValueError, "floors: expected 1 values, got 2"),
        ({"floors": 1.0}, ValueError, "floors: expected one dimension, got 0"),
        ({"floors": ["x"]}, (TypeError, ValueError), "floors"),
        ({"sets": []}, ValueError, "sets: expected at least one value"),
        ({"sets": [0]}, ValueError, r"sets\[0\] is 0: .*n = 1"),
        ({"sets": [0, 2]}, ValueError, r"sets\[1\] is 2"),
        ({"sets": [1, 1]}, ValueError, r"sets\[0\] is 1"),
        ({"sets": np.array([0.0, 1.0])}, TypeError, "sets"),
        ({"sets": [0, 1], "floors": [1.0, 2.0]}, ValueError, "floors: expected 1 values"),
    ],
)
def test_power_law_options_out_of_range(options, error, words):
    with pytest.raises(error, match=words):
        call("powerlaw", **options)


@pytest.mark.parametrize("law", ["parabola", "isocurve"])
@pytest.mark.parametrize(
    ("window", "error"), [(-1, ValueError), (np.nan, ValueError), ("wide", TypeError)]
)
def test_window_out_of_range(law, window, error):
    with pytest.raises(error, match=r"window|must be real number"):
        call(law, window=window)
    assert call(law, window=None)["status"] == call(law, window=np.inf)["status"]


def test_shape_out_of_range():
    words = "shape: expected 'parabola', 'windowed', 'joint', 'cubic' or 'two-power', got 'quartic'"
    with pytest.raises(ValueError, match=words):
        call("isocurve", shape="quartic")


@pytest.mark.parametrize("law", ["parabola", "powerlaw", "isocurve"])
@pytest.mark.parametrize("progress", [5, "a", [print]])
def test_progress_that_cannot_be_called(law, progress):
    with pytest.raises(TypeError):
        call(law, progress=progress)


def test_truth_of_joint():
    class Undecided:
        def __bool__(self):
            raise RuntimeError("undecided")

    with pytest.raises(RuntimeError, match="undecided"):
        call("parabola", joint=Undecided())
    assert np.isfinite(call("parabola", joint=1)["joint_rss"]).all()


# --- records, names, signatures -------------------------------------------------------------------

FIELDS = {
    "line": "n slope intercept x_mean y_mean sxx rss se_slope se_intercept status",
    "parabola": (
        "n n_used a b c x_vertex x_star tokens_star params_star loss_star a_under a_over rss "
        "se_x_star se_loss_star x_min x_max x_lo x_hi joint_x_star joint_loss_star joint_a_under "
        "joint_a_over joint_rss status"
    ),
    "isocurve": (
        "n n_used x_star tokens_star params_star loss_star se_loss_star rss aicc loo x_min x_max "
        "x_lo x_hi x_centre coefficients shape n_coefficients status"
    ),
    "powerlaw": "n L_inf A alpha log_A rss score grid_index status",
}
INTEGERS = {"n": np.int64, "n_used": np.int64, "grid_index": np.int64, "status": np.int32}
INTEGERS |= {"shape": np.int32, "n_coefficients": np.int32}


@pytest.mark.parametrize("law", FITS)
def test_record_fields(law):
    dtype = getattr(_core, f"{law}_dtype")
    assert dtype.names == tuple(FIELDS[law].split())
    for name in dtype.names:
        assert dtype[name].base == INTEGERS.get(name, np.float64), name
        assert dtype[name].shape == ((5,) if name == "coefficients" else ())
    assert dtype.itemsize % 8 == 0
    records = call(law)
    assert records.dtype == dtype
    assert records.flags.owndata
    assert records.flags.writeable
    header = (ROOT / f"csrc/{'base' if law == 'line' else 'laws'}/{law}.h").read_text()
    struct = header[header.index("typedef struct") :]
    places = [re.search(rf" {name}(\[\w+\])?;", struct).start() for name in dtype.names]
    assert places == sorted(places)


def test_status_table():
    names = [name for name, _ in _core.STATUS.values()]
    assert len(set(names)) == len(names)
    assert _core.STATUS[0][0] == "ok"
    for code, (name, sentence) in _core.STATUS.items():
        bit = code & 0xFFFFFF  # the family stands above
        assert code <= 0 or bit & (bit - 1) == 0 < bit, "a warning is one bit"
        assert name.isidentifier()
        assert sentence
    assert len(set(_core.STATUS)) == len(names)


def stub():
    tree = ast.parse((ROOT / "delphi/_core.pyi").read_text())
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    values = {node.target.id for node in tree.body if isinstance(node, ast.AnnAssign)}
    return functions, values


def test_the_stub_names_what_the_module_has():
    functions, values = stub()
    public = {name for name in dir(_core) if not name.startswith("_")}
    assert public == set(functions) | values


@pytest.mark.parametrize("name", ["isocurve_fit", "line_fit", "parabola_fit", "powerlaw_fit"])
def test_the_stub_has_the_signature_of_the_function(name):
    wanted = stub()[0][name].args
    got = inspect.signature(getattr(_core, name)).parameters.values()
    positional = [p.name for p in got if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert positional == [arg.arg for arg in wanted.args]
    keywords = {p.name: p.default for p in got if p.kind is p.KEYWORD_ONLY}
    defaults = [ast.literal_eval(value) for value in wanted.kw_defaults]
    assert keywords == dict(zip((arg.arg for arg in wanted.kwonlyargs), defaults, strict=True))
    assert len(positional) + len(keywords) == len(got)


def test_docstrings_name_every_argument():
    for name, node in stub()[0].items():
        doc = getattr(_core, name).__doc__
        for arg in [*node.args.args, *node.args.kwonlyargs]:
            assert arg.arg in doc, f"{name}: {arg.arg}"


def test_defaults_are_what_the_signature_says():
    C, y, offsets = samples.laws(20)
    spelt_out = _core.powerlaw_fit(
        C, y, offsets, sets=None, floors=None, score="loss", method="profile", n_grid=400,
        weigh="points", n_threads=1, progress=None,
    )  # fmt: skip
    assert _core.powerlaw_fit(C, y, offsets).tobytes() == spelt_out.tobytes()


# --- leaks ----------------------------------------------------------------------------------------


def good_and_bad_calls():
    """One of everything, succeeding and failing; outlives no object."""
    _core.parabola_fit(X, Y, P, OFFSETS, joint=True)
    _core.parabola_fit(X.astype("f4"), Y, None, OFFSETS)
    _core.powerlaw_fit(X, Y, OFFSETS, sets=[0, 1], floors=[np.nan])
    _core.powerlaw_fit(X, Y, OFFSETS, progress=lambda done, total: None)
    _core.line_fit(X, Y, OFFSETS)
    _core.isocurve_fit(X, Y, P, OFFSETS, shape="two-power", loo=True)
    _core.powerlaw(X, 1.0, 2.0, 0.1)
    for bad in (
        lambda: _core.parabola_fit(X, Y[:-1], P, OFFSETS),
        lambda: _core.parabola_fit(X, Y, P[:-1], OFFSETS),
        lambda: _core.parabola_fit(X, Y, P, [0, 99]),
        lambda: _core.parabola_fit(X, Y, P, OFFSETS, n_threads=0),
        lambda: _core.parabola_fit(X, "y", P, OFFSETS),
        lambda: _core.isocurve_fit(X, Y, P, OFFSETS, shape="x"),
        lambda: _core.isocurve_fit(X, Y[:-1], P, OFFSETS),
        lambda: _core.powerlaw_fit(X, Y, OFFSETS, score="x"),
        lambda: _core.powerlaw_fit(X, Y, OFFSETS, floors=[1.0, 2.0]),
        lambda: _core.powerlaw_fit(X, Y, OFFSETS, sets=[0, 5]),
        lambda: _core.powerlaw_fit(X, Y, OFFSETS, progress=lambda done, total: 1 / 0),
        lambda: _core.powerlaw_fit(X, Y, OFFSETS, wrong=1),
        lambda: _core.line_fit(X, Y),
        lambda: _core.line_fit(X[None], Y, OFFSETS),
    ):
        with pytest.raises((TypeError, ValueError, ZeroDivisionError)):
            bad()


def test_calls_keep_no_references():
    watched = [X, Y, P, OFFSETS, _core.parabola_dtype, _core.powerlaw_dtype, _core.line_dtype]
    good_and_bad_calls()
    gc.collect()
    before = [sys.getrefcount(thing) for thing in watched]
    for _ in range(20):
        good_and_bad_calls()
    gc.collect()
    assert [sys.getrefcount(thing) for thing in watched] == before


def test_results_let_go_of_their_type():
    # Counted outside of assert, which holds references of its own.
    before = sys.getrefcount(_core.powerlaw_dtype)
    kept = [call("powerlaw") for _ in range(50)]
    during = sys.getrefcount(_core.powerlaw_dtype)
    del kept
    after = sys.getrefcount(_core.powerlaw_dtype)
    assert (during - before, after - before) == (50, 0)


def test_python_memory_does_not_grow():
    good_and_bad_calls()
    tracemalloc.start()
    try:
        for _ in range(5):
            good_and_bad_calls()
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(100):
            good_and_bad_calls()
        gc.collect()
        after = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    # A lost object per call would be 100 x 50 bytes and more; pytest keeps a little of its own.
    assert after - before < 4000


def resident() -> int:
    """Bytes of this process in memory (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
@pytest.mark.skipif(SANITIZED, reason="the sanitizer keeps freed memory in quarantine")
def test_c_memory_does_not_grow():
    C, y, offsets = samples.laws(200)
    T, loss, params, at = samples.ladder(500)

    def work():
        _core.powerlaw_fit(C, y, offsets, n_threads=4)
        _core.parabola_fit(T, loss, params, at, joint=True, n_threads=4)
        with pytest.raises(ZeroDivisionError):
            _core.powerlaw_fit(C, y, offsets, n_threads=4, progress=lambda done, total: 1 / 0)

    for _ in range(20):
        work()
    before = resident()
    for _ in range(80):
        work()
    # One call's scratch and results are 0.5 MB: losing it 80 times could not hide.
    assert resident() - before < 8e6


# --- progress, Ctrl-C, the GIL --------------------------------------------------------------------


@pytest.mark.parametrize("n_threads", [1, 2])
def test_progress_counts_up_to_all(n_threads):
    calls = []
    C, y, offsets = samples.laws(100)
    _core.powerlaw_fit(
        C, y, offsets, method="grid", score="loss", n_grid=2000, n_threads=n_threads,
        progress=lambda done, total: calls.append((done, total)),
    )  # fmt: skip
    done = [d for d, _ in calls]
    assert done == sorted(done)
    assert done[0] >= 0
    assert done[-1] == 100
    assert {total for _, total in calls} == {100}
    assert len(calls) > 1


@pytest.mark.parametrize("law", ["parabola", "powerlaw"])
def test_progress_of_little_and_no_work(law):
    calls = []
    call(law, progress=lambda *args: calls.append(args))
    assert calls[-1] == (1, 1)
    call(law, [], [], [0], progress=lambda *args: calls.append(args))
    assert calls[-1] == (0, 0)


def raiser(error):
    def progress(done, total):
        raise error

    return progress


@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt(), SystemExit(3)])
@pytest.mark.parametrize("n_threads", [1, 2])
def test_an_exception_in_progress_comes_out_as_it_is(error, n_threads):
    began = time.monotonic()
    with pytest.raises(type(error)) as caught:
        slow(n_threads=n_threads, progress=raiser(error))
    assert caught.value is error
    assert time.monotonic() - began < (10 if SANITIZED else 1)
    assert (call("powerlaw")["n"] == N).all(), "the module works afterwards"


@pytest.mark.parametrize("n_threads", [1, 2])
def test_an_exception_in_progress_while_items_take_long(n_threads):
    """Workers finish their item first: meanwhile nobody may be called with the exception set."""
    C, y, offsets = samples.laws(8)
    error = ValueError("mine")
    calls = []

    def progress(done, total):
        calls.append(done)
        raise error

    with pytest.raises(ValueError, match="mine") as caught:
        _core.powerlaw_fit(
            C, y, offsets, method="grid", score="loss", n_grid=40_000, n_threads=n_threads,
            progress=progress,
        )  # fmt: skip
    assert caught.value is error
    assert len(calls) == 1


def test_progress_may_call_the_core_itself():
    inner = []
    slow(n_grid=200, progress=lambda done, total: inner.append(call("parabola", joint=True)))
    assert all(record.tobytes() == inner[0].tobytes() for record in inner)


class Interrupt:
    """Sends this process a real SIGINT after a while."""

    def __init__(self, after: float):
        self.timer = threading.Timer(after, lambda: os.kill(os.getpid(), signal.SIGINT))

    def __enter__(self):
        self.began = time.monotonic()
        self.before = signal.signal(signal.SIGINT, signal.default_int_handler)
        self.timer.start()
        return self

    def __exit__(self, *exc):
        self.took = time.monotonic() - self.began
        self.timer.join()
        signal.signal(signal.SIGINT, self.before)


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("progress", [None, lambda done, total: None])
def test_ctrl_c_ends_a_long_batch(n_threads, progress):
    C, y, offsets = samples.laws(100_000 if not SANITIZED else 20_000)

    def work():
        while True:
            _core.powerlaw_fit(
                C, y, offsets, method="grid", score="log", n_grid=2000, n_threads=n_threads,
                progress=progress,
            )  # fmt: skip

    with pytest.raises(KeyboardInterrupt), Interrupt(0.2) as wait:
        work()
    assert wait.took < 0.2 + (3 if SANITIZED else 0.3), "0.2 s on an idle machine"
    assert (call("powerlaw")["n"] == N).all(), "the module works afterwards"


LONG_ITEMS = {
    "one suite, fine grid": lambda: _core.powerlaw_fit(
        *samples.laws(1), method="grid", score="loss", n_grid=1_000_000
    ),
    "one floor for many suites": lambda: _core.powerlaw_fit(
        *samples.laws(20_000), sets=[0, 20_000]
    ),
}


@pytest.mark.parametrize("long", LONG_ITEMS)
def test_ctrl_c_ends_a_single_long_item(long):
    with pytest.raises(KeyboardInterrupt), Interrupt(0.2) as wait:
        LONG_ITEMS[long]()
    assert wait.took < 0.2 + (3 if SANITIZED else 0.5)


def test_other_python_threads_run_meanwhile():
    ticks = []
    stop = threading.Event()

    def tick():
        while not stop.is_set():
            ticks.append(time.monotonic())
            time.sleep(0.001)

    thread = threading.Thread(target=tick)
    thread.start()
    try:
        C, y, offsets = samples.laws(20_000)
        began = time.monotonic()
        _core.powerlaw_fit(C, y, offsets, method="grid", score="log", n_grid=1000)
        ended = time.monotonic()
    finally:
        stop.set()
        thread.join()
    inside = [t for t in ticks if began < t < ended]
    # Holding the GIL would allow one or two ticks at the ends; a free one some 500 a second.
    assert len(inside) > 20 * (ended - began)


def test_many_python_threads_at_once():
    C, y, offsets = samples.laws(300)
    wanted = _core.powerlaw_fit(C, y, offsets).tobytes()
    got = [b""] * 8

    def work(i):
        got[i] = _core.powerlaw_fit(C, y, offsets, n_threads=1 + i % 3).tobytes()

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(got))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(got) == {wanted}


# --- threads change nothing -----------------------------------------------------------------------


@pytest.mark.parametrize("n_threads", [2, 3, 8, _core.MAX_THREADS])
def test_any_number_of_threads_gives_the_same_bits(n_threads):
    T, loss, params, at = samples.ladder(1000)
    C, y, offsets = samples.laws(600)
    sets = np.arange(0, 601, 3)
    runs = [
        lambda n: _core.parabola_fit(T, loss, params, at, joint=True, n_threads=n),
        lambda n: _core.parabola_fit(
            T, loss, params, at, joint=True, window=0.5, diagnose=True, n_threads=n
        ),
        lambda n: _core.isocurve_fit(
            T[:999], loss[:999], None, np.arange(0, 1000, 9), shape="two-power", n_threads=n
        ),
        lambda n: _core.powerlaw_fit(C, y, offsets, n_threads=n),
        lambda n: _core.powerlaw_fit(C, y, offsets, method="grid", score="log", n_threads=n),
        lambda n: _core.powerlaw_fit(C, y, offsets, sets=sets, score="log", n_threads=n),
    ]
    for run in runs:
        assert run(n_threads).tobytes() == run(1).tobytes()


# --- fork, subinterpreters, fresh processes -------------------------------------------------------


def in_a_fresh_process(code: str, timeout: float = 60) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:delphi", "-c", code],
        cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False,
    )  # fmt: skip


FORK = """
import os, sys
sys.path.insert(0, ".")
from delphi import _core
from tests.reference import samples
C, y, offsets = samples.laws(2000)
fit = lambda: _core.powerlaw_fit(C, y, offsets, method="grid", score="log", n_threads=4).tobytes()
wanted = fit()
pid = os.fork()
if pid == 0:
    os._exit(0 if fit() == wanted else 1)
code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
assert fit() == wanted
sys.exit(code)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_can_fit_with_threads():
    done = in_a_fresh_process(FORK)
    assert done.returncode == 0, done.stderr


SUBINTERPRETER = """
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
from delphi import _core
code = '''
try:
    import sys
    sys.path.insert(0, ".")
    import delphi._core as core
    core.line_fit([1.0, 2.0], [1.0, 2.0], [0, 2])
except ImportError as error:
    pass
'''
other = interpreters.create()
try:
    interpreters.run_string(other, code)
except Exception as error:
    print("refused", type(error).__name__)
interpreters.destroy(other)
assert _core.line_fit([1.0, 2.0], [1.0, 2.0], [0, 2])["slope"][0] == 1.0
"""


def test_a_subinterpreter_is_served_or_refused_but_never_crashes():
    done = in_a_fresh_process(SUBINTERPRETER)
    if "ModuleNotFoundError: No module named '_xxsubinterpreters'" in done.stderr:
        pytest.skip("this Python has no subinterpreters")
    assert done.returncode == 0, done.stderr


REIMPORT = """
import sys
from delphi import _core as first
del sys.modules["delphi._core"]
import delphi
del delphi._core
import importlib
second = importlib.import_module("delphi._core")
assert second is not first
for core in (first, second):
    assert core.line_fit([1.0, 2.0], [1.0, 2.0], [0, 2])["slope"][0] == 1.0
    assert core.powerlaw(1.0, 1.0, 0.0, 0.5) == 2.0
del first, core
import gc
gc.collect()
assert second.parabola_fit([1.0, 2, 4], [2.0, 1, 2], None, [0, 3])["status"][0] >= 0
"""


def test_a_second_copy_of_the_module_works_and_the_first_can_go():
    done = in_a_fresh_process(REIMPORT)
    assert done.returncode == 0, done.stderr


# --- ufuncs ---------------------------------------------------------------------------------------


def test_ufuncs_broadcast():
    C = np.geomspace(1e18, 1e20, 5)
    alpha = np.array([[0.1], [0.2]])
    out = _core.powerlaw(C, 1.5, 3.0, alpha)
    assert out.shape == (2, 5)
    np.testing.assert_allclose(out, 1.5 + np.exp(3.0 - alpha * np.log(C)), rtol=1e-14)
    back = _core.powerlaw_inverse(out, 1.5, 3.0, alpha)
    np.testing.assert_allclose(back, np.broadcast_to(C, (2, 5)), rtol=1e-10)


def test_ufuncs_take_out_where_and_strides():
    C = np.geomspace(1.0, 10.0, 6)
    plain = _core.powerlaw(C, 1.0, 0.0, 0.5)
    out = np.full(12, -1.0)
    assert _core.powerlaw(C, 1.0, 0.0, 0.5, out=out[::2]).base is out
    assert out[::2].tobytes() == plain.tobytes()
    assert (out[1::2] == -1).all()
    masked = np.full(6, -1.0)
    _core.powerlaw(C, 1.0, 0.0, 0.5, out=masked, where=C > 3)
    assert ((masked == -1) == (C <= 3)).all()
    np.testing.assert_array_equal(_core.powerlaw(C[::-1], 1.0, 0.0, 0.5), plain[::-1])
    table = np.stack([C, C], axis=1)
    np.testing.assert_array_equal(_core.powerlaw(table, 1.0, 0.0, 0.5)[:, 1], plain)
    again = C.copy()
    _core.powerlaw(again, 1.0, 0.0, 0.5, out=again)
    np.testing.assert_array_equal(again, plain)


def test_ufuncs_on_other_types():
    C = np.array([1, 2, 4], np.float32)
    assert _core.powerlaw(C, 1, 0, 0.5).dtype == np.float64
    np.testing.assert_array_equal(_core.powerlaw(C, 1, 0, 0.5), 1 + C.astype(float) ** -0.5)
    assert isinstance(_core.powerlaw(1.0, 1.0, 0.0, 0.5), float)
    assert _core.powerlaw(np.empty(0), 1.0, 0.0, 0.5).shape == (0,)
    with pytest.raises(TypeError):
        _core.powerlaw(np.array([1j]), 1.0, 0.0, 0.5)
    with pytest.raises(TypeError):
        _core.powerlaw("a", 1.0, 0.0, 0.5)
    with pytest.raises((TypeError, ValueError)):
        _core.powerlaw(1.0, 1.0)


def test_ufuncs_pass_nan_on_quietly():
    assert np.isnan(_core.powerlaw([np.nan, 1.0], [1.0, np.nan], 0.0, 0.5)).all()
    assert np.isnan(_core.powerlaw_inverse([1.0, 0.5, np.nan], 1.0, 0.0, 0.5)).all()
    assert np.isnan(
        _core.t_quantile([np.nan, 0.0, 1.0, 0.9, 0.9, 2.0], [3, 3, 3, 0, np.nan, 3])
    ).all()


def test_t_quantile_against_tables():
    # Two-sided 95 % points of Student's t, as in any statistics book.
    dof = np.array([1, 2, 3, 5, 10, 30, 1e9])
    wanted = [12.7062, 4.30265, 3.18245, 2.57058, 2.22814, 2.04227, 1.95996]
    np.testing.assert_allclose(_core.t_quantile(0.975, dof), wanted, rtol=3e-6)
    np.testing.assert_allclose(_core.t_quantile(0.025, dof), -np.array(wanted), rtol=3e-6)
    assert _core.t_quantile(0.5, 4.0) == 0
