"""How many threads a fit may use, and that their number changes nothing but time."""

from __future__ import annotations

import os
from functools import partial

import numpy as np
import pandas as pd
import pytest

from delphi import DataError, _core, fit_isoflops, fit_power_laws, simulate
from delphi.threads import thread_count
from tests.reference import samples


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch):
    monkeypatch.delenv("DELPHI_NUM_THREADS", raising=False)


def test_what_is_asked_for_wins(monkeypatch):
    monkeypatch.setenv("DELPHI_NUM_THREADS", "5")
    assert thread_count(3) == 3
    assert thread_count() == 5
    assert thread_count(_core.MAX_THREADS) == _core.MAX_THREADS


def test_the_default_is_what_the_process_may_use():
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert thread_count() == min(allowed, _core.MAX_THREADS)


@pytest.mark.parametrize("bad", [0, -1, _core.MAX_THREADS + 1, 2.0, "2", True, [2], 10**30])
def test_numbers_that_are_none(bad):
    with pytest.raises(DataError, match="n_threads"):
        thread_count(bad)


def test_numpy_integers_count_as_whole_numbers():
    assert thread_count(np.int64(2)) == 2


@pytest.mark.parametrize("text", ["zero", "-1", "2.5", "0x2", " 2", "\u0663", "1e1"])
def test_an_environment_that_is_no_number(monkeypatch, text):
    monkeypatch.setenv("DELPHI_NUM_THREADS", text)
    with pytest.raises(DataError, match="DELPHI_NUM_THREADS"):
        thread_count()


@pytest.mark.parametrize("text", ["0", "100000"])
def test_an_environment_out_of_range(monkeypatch, text):
    monkeypatch.setenv("DELPHI_NUM_THREADS", text)
    with pytest.raises(DataError, match="1 to"):
        thread_count()


def test_frames_are_the_same_for_any_number():
    runs = simulate.ladder(rng=1)
    one = fit_isoflops(runs, n_threads=1)
    C, y, offsets = samples.laws(300)
    frame = pd.DataFrame({"suite": np.repeat(np.arange(300), 7), "compute": C, "loss": y})
    fit = partial(fit_power_laws, frame, floor=1.0)
    law = fit(n_threads=1)
    for n in (2, 8):
        pd.testing.assert_frame_equal(
            fit_isoflops(runs, n_threads=n).fits, one.fits, check_exact=True
        )
        pd.testing.assert_frame_equal(fit(n_threads=n), law, check_exact=True)
    assert offsets[-1] == len(frame)


def test_a_progress_bar_changes_nothing(capsys):
    runs = simulate.ladder(rng=1)
    quiet = fit_isoflops(runs)
    shown = fit_isoflops(runs, progress=True)
    pd.testing.assert_frame_equal(shown.fits, quiet.fits, check_exact=True)
    assert "parabolas" in capsys.readouterr().err
