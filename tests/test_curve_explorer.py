"""The live panel of learning curves: settings in, fits out, and what the figure shows."""

from __future__ import annotations

import numpy as np
import pytest

import delphi

pytest.importorskip("ipywidgets")
pytest.importorskip("anywidget")
pytest.importorskip("plotly")

from delphi.curvepage.explorer import CurveExplorer


@pytest.fixture(scope="module")
def runs():
    return delphi.simulate.curves(
        scales=(3e18, 1e19, 3e19), mixes=("web", "math"), lrs=(1e-3, 2e-3), n_points=60, rng=5
    )


@pytest.fixture
def panel(runs):
    made = delphi.explore_curves(runs)
    yield made
    made.close()


def fits_of(runs, prefix, method, **options):
    fits = delphi.fit_curves(runs, prefixes=[prefix], by=["scale", "mix", "lr"], **options)
    return fits[fits["method"] == method].reset_index(drop=True)


def test_moves_fit_again_as_fit_curves_does(runs, panel):
    panel.controls["prefix"].value = 0.37
    panel.controls["form"].value = "rational"
    panel.controls["loss"].value = "mae"
    want = fits_of(runs, 0.37, "rational-mae", forms="rational", losses="mae")
    state = panel.explorer.state
    np.testing.assert_array_equal(state.fits["name"], want["run"])
    np.testing.assert_allclose(state.fits["predicted_final"], want["predicted_final"], rtol=1e-12)
    np.testing.assert_allclose(panel.figure.data[3].y, want["predicted_final"], rtol=1e-12)
    np.testing.assert_allclose(panel.figure.data[2].y, want["actual_final"], rtol=1e-12)
    assert panel.figure.layout.shapes[0].x0 == 0.37
    assert f"{want['abs_error'].mean():.4g}" in panel.words.value


def test_choices_of_runs(runs, panel):
    panel.controls["mix"].value = "math"
    panel.controls["scale"].value = 1e19
    names = panel.explorer.state.fits["name"].tolist()
    assert names == [n for n in sorted(runs["run"].unique()) if n.startswith("math-1e19")]
    curve = panel.figure.data[1]
    fit = panel.explorer.state.fits.iloc[0]
    assert np.isnan(curve.x[25])
    assert len(curve.x) == 26 * len(names)
    assert curve.y[24] == pytest.approx(fit["predicted_final"])


def test_ensemble_has_no_curve_and_no_choice_of_loss(panel):
    panel.controls["form"].value = "ensemble"
    assert panel.controls["loss"].disabled
    assert len(panel.figure.data[1].x) == 0
    assert panel.explorer.state.method == "ensemble"
    panel.controls["form"].value = "power"
    assert not panel.controls["loss"].disabled


def test_bad_settings_leave_the_state_alone(runs):
    explorer = CurveExplorer(runs)
    before = explorer.state
    for change in ({"prefix": 0.0}, {"form": "cubic"}, {"mix": "nothing"}, {"speed": 1}):
        with pytest.raises(delphi.DataError):
            explorer.update(**change)
        assert explorer.state is before
    with pytest.raises(delphi.DataError):
        CurveExplorer(runs.iloc[:0])


def test_a_choice_without_runs_is_said_and_the_next_one_builds_on_it(runs):
    holes = runs[(runs["mix"] == "web") | (runs["scale"] > 1e19)]
    panel = delphi.explore_curves(holes)
    try:
        panel.controls["scale"].value = 1e19
        panel.controls["mix"].value = "math"
        assert "no run with" in panel.words.value
        assert "still shows the settings before" in panel.words.value
        assert panel.explorer.state.where["mix"] == "all"
        panel.controls["scale"].value = 3e19
        assert panel.explorer.state.where == {"scale": 3e19, "mix": "math", "lr": "all"}
        assert len(panel.figure.data[2].x) == 2
    finally:
        panel.close()


def test_a_move_of_the_prefix_sends_no_point_again(panel, monkeypatch):
    sent = []
    monkeypatch.setattr(panel.figure, "_send_update_msg", lambda *a, **k: sent.append((a, k)))
    panel.controls["prefix"].value = 0.4
    (update,) = sent
    touched = update[1]["trace_indexes"]
    assert 0 not in touched
    assert {1, 3} <= set(touched)


def test_what_is_taken_for_the_end_is_said(runs):
    late = (runs["run"] == "web-1e19-0.001") & (runs["step"] > 0.5 * runs["total_steps"])
    panel = delphi.explore_curves(runs[~late])
    assert "web-1e19-0.001 ends before most runs like it" in panel.words.value
    panel.close()
    panel = delphi.explore_curves(runs[~late], total="total_steps")
    assert "planned length" not in panel.words.value
    panel.close()


def test_close_leaves_nothing(runs):
    widgets = pytest.importorskip("ipywidgets.widgets.widget")
    before = set(widgets._instances)
    made = delphi.explore_curves(runs)
    made.controls["form"].value = "log"
    made._repr_mimebundle_()
    made.close()
    assert set(widgets._instances) == before


def test_no_columns_of_mix_or_rate_are_needed(runs):
    bare = runs[["run", "step", "loss"]]
    explorer = CurveExplorer(bare)
    assert explorer.choices("mix") == ["all"]
    assert len(explorer.state.fits) == runs["run"].nunique()


def test_names_from_the_data_are_escaped(runs):
    hostile = runs.assign(run=runs["run"].replace("web-3e18-0.001", "<b onclick=x>&"))
    panel = delphi.explore_curves(hostile)
    texts = [t for t in panel.figure.data[0].text if "onclick" in t]
    assert texts
    assert not any("<b" in t for t in texts)
    panel.close()
