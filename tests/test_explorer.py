"""The explorer without a browser: settings in, fits out; and the panel over it."""

import html
import os
import subprocess
import sys
import warnings
from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import delphi
from delphi import DataError, Explorer, FitWarning, simulate
from delphi.explorer.state import TOGETHER, WORK

NASTY = "<img src=x onerror=alert(1)>$x$ \u202e\x1b"
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def runs():
    return simulate.ladder(rng=0)


@pytest.fixture
def explorer(runs):
    return Explorer(runs, n_boot=200)


def test_first_state_is_the_librarys_own_fit(explorer, runs):
    ladder = delphi.fit_isoflops(runs)
    law = ladder.laws()["Aster"]
    state = explorer.state
    assert state.law.to_dict() == law.to_dict()
    band = delphi.bootstrap_ladder(ladder, "Aster", [state.settings.at], n=200, rng=0)
    assert state.forecast == (band.low[0], law.predict(state.settings.at), band.high[0])
    cost = delphi.overtraining_cost(
        ladder, law, suite="Aster", at=state.settings.at, scales=[2.0], n_boot=200
    )
    assert state.cost["percent_overhead"] == cost.table["percent_overhead"][0]
    assert state.cost["percent_overhead_high"] == cost.table["percent_overhead_high"][0]


@pytest.mark.filterwarnings("ignore::delphi.FitWarning")  # four optima say little of alpha
def test_cutoff_fits_what_is_below_it(explorer, runs):
    state = explorer.update(cutoff=3e19)
    ladder = delphi.fit_isoflops(runs[(runs["budget"] <= 3e19) | (runs["run_type"] == "optimal")])
    law = ladder.laws()["Aster"]
    assert state.law.to_dict() == law.to_dict()
    assert state.optima["fitted"].tolist() == [True] * 4 + [False] * 3
    said = law.predict(state.optima["compute"].to_numpy())
    np.testing.assert_allclose(
        state.optima["error_percent"], 100 * (state.optima["loss_star"] / said - 1)
    )
    assert "beyond the cutoff" in state.facts()
    assert explorer.state is state


@pytest.mark.parametrize("curve", ["windowed", "parabola", "joint", "cubic", "two-power"])
@pytest.mark.parametrize("floor", ["free", "shared", "pinned"])
def test_every_combination(explorer, runs, curve, floor):
    state = explorer.update(curve=curve, floor=floor, pinned=1.7, cutoff=9e19)
    ladder = delphi.fit_isoflops(runs[runs["budget"] <= 9e19], curve=curve)
    options = {"shared": {"shared_floor": True}, "pinned": {"floor": 1.7}}.get(floor, {})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)  # some curves leave the floor open
        law = ladder.laws(**options)["Aster"]
    assert state.law.L_inf == pytest.approx(law.L_inf, rel=1e-12)
    assert state.law.alpha == pytest.approx(law.alpha, rel=1e-12)
    low, mid, high = state.forecast
    assert low < high
    assert low - (high - low) < mid < high + (high - low)
    assert state.band.n_ok >= 190
    assert ("two-level" in state.band.kind) == (curve in ("windowed", "parabola"))
    assert ("shared" in state.band.kind) == (floor == "shared")


def test_equal_settings_give_equal_numbers_and_moves_can_be_undone(explorer):
    first = explorer.state.to_dict()
    explorer.update(cutoff=3e19, floor="shared")
    explorer.update(suite="Birch", curve="cubic")
    back = explorer.update(suite="Aster", curve="windowed", cutoff=3e20, floor="free").to_dict()
    assert str(back) == str(first)


def test_a_new_suite_keeps_the_cutoff_near():
    a = simulate.ladder(suites={"a": simulate.DEFAULT_SUITES["Aster"]}, rng=0)
    b = simulate.ladder(
        suites={"b": simulate.DEFAULT_SUITES["Birch"]}, budgets=(1e18, 1e19, 1e20, 1e21), rng=1
    )
    explorer = Explorer(pd.concat([a, b], ignore_index=True), n_boot=20, cutoff=9e19)
    assert explorer.update(suite="b").settings.cutoff == 1e20


@pytest.mark.parametrize(
    "bad",
    [
        {"cutoff": 0}, {"cutoff": float("nan")}, {"cutoff": "big"}, {"pinned": -1}, {"scale": 0},
        {"scale": True}, {"at": float("inf")}, {"suite": "none"}, {"curve": "line"},
        {"floor": "none"}, {"colour": "red"},
    ],
)  # fmt: skip
def test_a_bad_setting_changes_nothing(explorer, bad):
    before = explorer.state
    with pytest.raises(DataError, match=next(iter(bad))):
        explorer.update(**bad)
    assert explorer.state is before


def test_bad_options(runs):
    for options in ({"n_boot": 0}, {"level": 2}, {"suite": "none"}, {"curve": "line"},
                    {"rng": np.random.default_rng(0)}, {"rng": None}):  # fmt: skip
        with pytest.raises(DataError):
            Explorer(runs, **options)
    with pytest.raises(FrozenInstanceError):
        Explorer(runs, n_boot=5).state.settings.suite = "x"


def test_too_few_optima_are_said_not_raised(explorer):
    state = explorer.update(cutoff=9e18)
    assert state.band is None
    assert "law" in state.facts()
    assert np.isnan(state.forecast[0])
    none = explorer.update(cutoff=1e10)
    assert none.law is None
    assert none.facts()["law"] == "none: too few optima"
    assert explorer.update(cutoff=3e20).law.ok


def test_a_floor_above_the_losses_is_a_status(explorer):
    state = explorer.update(floor="pinned", pinned=3.0)
    assert not state.law.ok
    assert state.law.status in state.facts()["law"]


def test_large_suites_get_fewer_replicates_and_a_note():
    big = simulate.ladder(
        suites={"s": simulate.DEFAULT_SUITES["Aster"]}, n_runs=120, rng=0, held_out=()
    )
    state = Explorer(big, n_boot=1000).state
    n = WORK // (120 * 7)
    assert state.band.n_requested == n
    assert f"{n} of 1,000 replicates" in state.notes[0]


def test_many_suites_share_a_floor_among_twelve():
    names = [f"s{i:02d}" for i in range(15)]
    runs = simulate.ladder(
        suites=dict.fromkeys(names, simulate.DEFAULT_SUITES["Aster"]), rng=0, n_runs=7
    )
    state = Explorer(runs, floor="shared", suite="s14", n_boot=100).state
    assert state.law.ok
    assert f"the floor is shared among {TOGETHER} of 15 suites" in state.notes[0]
    alone = Explorer(runs[runs["suite"] == "s00"], floor="shared", n_boot=20).state
    assert "its floor is its own" in alone.notes[0]


def test_the_tables_of_the_caller_are_left_alone(runs):
    before = runs.copy(deep=True)
    Explorer(runs, n_boot=10).update(cutoff=3e19)
    pd.testing.assert_frame_equal(runs, before)
    assert "truth" in runs.attrs


def test_no_widgets_no_panel():
    code = (
        "import sys; sys.modules['ipywidgets'] = None\n"
        "import delphi\n"
        "delphi.Explorer(delphi.simulate.ladder(rng=0), n_boot=5)\n"
        "try: delphi.explore(delphi.simulate.ladder(rng=0), n_boot=5)\n"
        "except ImportError as error: print(error)\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=60, check=True,
    ).stdout  # fmt: skip
    assert "pip install 'delphi-scaling[notebook]'" in said


# --- the panel ------------------------------------------------------------------------------------


@pytest.fixture
def panel(runs):
    pytest.importorskip("ipywidgets")
    pytest.importorskip("anywidget")
    pytest.importorskip("plotly")
    made = delphi.explore(runs, n_boot=100)
    yield made
    made.close()


def trace(panel, name):
    return next(t for t in panel.figure.data if t.name == name)


def test_a_move_redraws(panel):
    law = list(trace(panel, "law").y)
    assert len(trace(panel, "optima").x) == 7
    words = panel.words.value
    panel.controls["cutoff"].value = 3e19
    assert panel.explorer.state.law.n == 4
    assert len(trace(panel, "optima").x) == 4
    assert len(trace(panel, "optima not fitted").x) == 3
    assert list(trace(panel, "law").y) != law
    assert panel.words.value != words
    assert panel.figure.layout.shapes[0].x0 == 3e19
    assert panel.seconds > 0


def test_one_message_a_move(panel, monkeypatch):
    sent = []
    for name in ("_send_update_msg", "_send_restyle_msg", "_send_relayout_msg"):
        monkeypatch.setattr(panel.figure, name, lambda *a, n=name, **k: sent.append(n))
    panel.controls["curve"].value = "cubic"
    assert sent == ["_send_update_msg"]


def test_what_is_drawn_is_the_state(panel):
    state = panel.explorer.update(floor="shared", scale=4.0)
    panel._show(state)
    s = state.settings
    over = trace(panel, "over-trained")
    assert tuple(over.x) == (s.at, state.cost["compute_to_match"])
    assert over.y[0] == over.y[1] == pytest.approx(state.law.predict(s.at))
    band = trace(panel, "interval")
    n = len(state.band.at) - 1
    top = 100 * (state.band.high[:-1] / state.law.predict(state.band.at[:-1]) - 1)
    np.testing.assert_allclose(band.y[:n], top)
    for k, v in state.facts().items():
        assert html.escape(k) in panel.words.value
        assert html.escape(v) in panel.words.value


def test_controls_follow_each_other(panel):
    pinned = panel.controls["pinned"]
    assert pinned.disabled
    panel.controls["floor"].value = "pinned"
    assert not pinned.disabled
    pinned.value = 1.5
    assert panel.explorer.state.law.L_inf == 1.5
    panel.controls["cutoff"].value = 9e19
    panel.controls["suite"].value = "Birch"
    assert panel.explorer.state.settings.suite == "Birch"
    assert panel.controls["cutoff"].value == panel.explorer.state.settings.cutoff == 9e19
    assert trace(panel, "optima").y[0] == panel.explorer.state.optima["loss_star"][0]


def test_an_error_is_shown_and_the_old_fit_stays(panel, monkeypatch):
    def fail(**changes):
        raise DataError("<b>no</b>")

    before = list(trace(panel, "law").y)
    monkeypatch.setattr(panel.explorer, "update", fail)
    panel.controls["scale"].value = 4.0
    assert "&lt;b&gt;no&lt;/b&gt;" in panel.words.value
    assert list(trace(panel, "law").y) == before


def test_close_leaves_nothing(runs):
    widgets = pytest.importorskip("ipywidgets.widgets.widget")
    pytest.importorskip("anywidget")
    before = set(widgets._instances)
    made = delphi.explore(runs, n_boot=10)
    assert set(widgets._instances) > before
    made.controls["curve"].value = "cubic"
    made._repr_mimebundle_()
    made.close()
    assert set(widgets._instances) == before


def test_names_from_the_data_are_text():
    pytest.importorskip("ipywidgets")
    pytest.importorskip("anywidget")
    surface = simulate.DEFAULT_SUITES["Aster"]
    runs = simulate.ladder(suites=dict.fromkeys([NASTY, NASTY + "\x07", "b" * 500], surface), rng=0)
    runs["name"] = NASTY
    runs.attrs["delphi"]["loss_column"] = NASTY
    panel = delphi.explore(runs, n_boot=20)
    try:
        shown = [text for text, _ in panel.controls["suite"].options]
        assert len(set(shown)) == 3
        assert all(text.isprintable() and len(text) < 80 for text in shown)
        panel.controls["suite"].value = NASTY
        assert "<img" not in panel.words.value
        assert "<img" not in panel.figure.to_json()
        assert "$x$" not in panel.figure.layout.yaxis.title.text
    finally:
        panel.close()


def test_a_large_table_is_drawn_in_part():
    pytest.importorskip("ipywidgets")
    pytest.importorskip("anywidget")
    names = [f"s{i:02d}" for i in range(40)]
    runs = simulate.ladder(
        suites=dict.fromkeys(names, simulate.DEFAULT_SUITES["Aster"]), n_runs=30,
        budgets=tuple(np.geomspace(1e18, 1e21, 30)), rng=0, held_out=(),
    )  # fmt: skip
    panel = delphi.explore(runs, n_boot=100)
    try:
        assert len(trace(panel, "runs").x) == 24 * 30
        panel.controls["suite"].value = "s39"
        assert panel.explorer.state.law.ok
    finally:
        panel.close()


def test_nothing_usable_is_shown_as_such():
    pytest.importorskip("ipywidgets")
    pytest.importorskip("anywidget")
    runs = simulate.ladder(suites={"one": simulate.DEFAULT_SUITES["Aster"]}, n_runs=2, rng=0)
    with pytest.warns(FitWarning):
        delphi.fit_isoflops(runs)
    panel = delphi.explore(runs, n_boot=10)
    try:
        assert len(trace(panel, "law").x) == 0
        assert "none: too few optima" in panel.words.value
    finally:
        panel.close()
