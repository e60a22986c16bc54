"""The emergence figure: the notebook's traces from its caches, and any tasks with intervals."""

from __future__ import annotations

import base64
import json
import warnings

import numpy as np
import pandas as pd
import pytest

import delphi
from delphi import FitWarning, compat

pytest.importorskip("plotly")
from delphi.emergence_views import notebook_views
from delphi.figures import curve_figure, emergence, mobile


def numbers(cell):
    """An axis of a trace as floats, whether it is a list or packed."""
    if isinstance(cell, dict):
        return np.frombuffer(base64.b64decode(cell["bdata"]), cell["dtype"]).astype(float)
    return np.array([np.nan if v is None else float(v) for v in cell])


def load(caches_dir):
    frames = [
        getattr(compat, f"load_{name}")(caches_dir / f"{file}.json")
        for name, file in (
            ("mmlu_runs", "mmlu"), ("mmlu_external", "mmlu_external"),
            ("humaneval_runs", "humaneval"), ("gsm8k_runs", "gsm8k"),
            ("humaneval_external", "humaneval_external"),
            ("gsm8k_external", "gsm8k_external"),
        )
    ]  # fmt: skip
    return notebook_views(*frames)


@pytest.mark.parametrize("name", ["mmlu-emergence", "mmlu-emergence-mobile"])
def test_the_notebook_figure(caches_dir, golden_dir, name):
    golden = json.loads((golden_dir / "figures" / f"{name}.json").read_text())
    fig = emergence(load(caches_dir))
    ours = json.loads((mobile(fig) if name.endswith("mobile") else fig).to_json())
    assert len(ours["data"]) == len(golden["data"]) == 40
    for got, want in zip(ours["data"], golden["data"], strict=True):
        for key in ("name", "mode", "xaxis", "yaxis", "visible", "legendgroup", "text"):
            assert got.get(key) == want.get(key), key
        for axis in "xy":
            np.testing.assert_allclose(
                numbers(got[axis]),
                numbers(want[axis]),
                rtol=1e-4,
                atol=1e-4,
                err_msg=str(want.get("name")),
            )
    for got, want in zip(
        ours["layout"]["annotations"], golden["layout"]["annotations"], strict=True
    ):
        for key in ("text", "x", "y", "xref", "yref", "xanchor", "yanchor"):
            assert got.get(key) == pytest.approx(want.get(key)), key
    assert len(ours["layout"]["shapes"]) == len(golden["layout"]["shapes"])
    for key in ("xaxis", "yaxis", "xaxis2", "yaxis2"):
        got, want = ours["layout"][key], golden["layout"][key]
        assert got["domain"] == pytest.approx(want["domain"])
        assert got["range"] == pytest.approx(want["range"], abs=1e-4)
        assert got["title"] == want["title"]
        assert got.get("ticktext") == want.get("ticktext")
    menus = ours["layout"]["updatemenus"][0], golden["layout"]["updatemenus"][0]
    assert menus[0]["active"] == menus[1]["active"]
    for got, want in zip(menus[0]["buttons"], menus[1]["buttons"], strict=True):
        assert got["label"] == want["label"]
        assert got["args"][0] == want["args"][0]
        for key, value in want["args"][1].items():
            if key.endswith("range"):
                assert got["args"][1][key] == pytest.approx(value, abs=1e-4)
            else:
                assert got["args"][1][key] == value, key


def test_any_tasks_with_intervals():
    warnings.simplefilter("ignore", FitWarning)
    rng = np.random.default_rng(0)
    C = np.geomspace(3e18, 1e22, 9)
    z = 0.36 + 193 * C**-0.1232
    tasks = []
    for task, floor in (("<b>one</b>", 0.25), ("two", 0.0)):
        hard = rng.binomial(2000, delphi.richards(-z, 6.7, -0.8, 1.0, floor, 0.86)) / 2000
        tasks.append(pd.DataFrame({"task": task, "model": "m", "compute": C, "soft": -z,
                                   "hard": hard, "n_problems": 2000, "pool": False}))  # fmt: skip
    fits = delphi.fit_downstreams(pd.concat(tasks), floor={"<b>one</b>": 0.25, "two": 0.0})
    fig = emergence(fits, shown="two")
    bars = [t for t in fig.data if t.error_y.array is not None]
    assert len(bars) == 4
    assert [b.label for b in fig.layout.updatemenus[0].buttons][1] == "two"
    assert "<b>" not in fig.layout.updatemenus[0].buttons[0].label
    assert not fig.layout.shapes[1].visible  # no line of chance at 0
    assert fits["two"].plot().data
    assert len(curve_figure(fits["two"].curve).data) == 2
    with pytest.raises(ValueError, match="no task"):
        emergence([])


def test_a_floor_of_zero_leaves_the_panels_as_they_are():
    """A law in which every loss reaches 0 must not stretch its axis without end."""
    warnings.simplefilter("ignore", FitWarning)
    C = np.geomspace(3e18, 1e23, 10)
    z = 1.35 * (C / 3e18) ** -0.08
    frame = pd.DataFrame({"task": "GSM8K", "model": "m", "compute": C, "soft": z,
                          "hard": delphi.richards(-z, 9.0, -0.8, 1.0, 0.0, 0.9),
                          "n_problems": 1319, "pool": False})  # fmt: skip
    fits = delphi.fit_downstreams(frame)
    assert fits["GSM8K"].law.L_inf < 0.02
    for narrow in (False, True):
        fig = emergence(fits, mobile=narrow)
        for axis in (fig.layout.yaxis, fig.layout.xaxis2):
            low, high = sorted(axis.range)
            assert np.isfinite([low, high]).all()
            assert 10**low > 0.2 * z.min()
            assert 10**high >= z.max()
        # Held-out runs half a decade apart have their labels on both sides.
        sides = next(t.textposition for t in fig.data if t.mode == "lines+text")
        assert {"middle left", "middle right"} <= set(sides)
        assert fig.layout.updatemenus[0].direction == "down"
        assert fig.layout.template.layout.font.family


def test_names_from_the_data_are_drawn_as_they_are():
    warnings.simplefilter("ignore", FitWarning)
    hostile = "<a href='javascript:harm()'>$x$ %{y} {curly}</a>"
    C = np.geomspace(3e18, 1e22, 9)
    z = 0.36 + 193 * C**-0.1232
    hard = delphi.richards(-z, 6.7, -0.8, 1.0, 0.25, 0.86)
    frame = pd.DataFrame({"task": hostile, "model": hostile, "compute": C, "soft": -z,
                          "hard": hard, "n_problems": 2000, "pool": False})  # fmt: skip
    fits = delphi.fit_downstreams(frame, floor=0.25)
    for narrow in (False, True):
        fig = emergence(fits, shown=hostile, mobile=narrow)
        text = json.dumps(json.loads(fig.to_json()))
        assert "javascript:harm()" in text
        for sign in ("<a", "$x", "{curly}", "%{y} "):
            assert sign not in text


def test_with_nothing_held_out_the_divider_stands_upright_past_the_largest_run():
    warnings.simplefilter("ignore", FitWarning)
    C = np.geomspace(3e18, 1e22, 9)
    z = 0.36 + 193 * C**-0.1232
    hard = delphi.richards(-z, 6.7, -0.8, 1.0, 0.25, 0.86)
    frame = pd.DataFrame({"task": "t", "model": "m", "compute": C, "soft": -z, "hard": hard,
                          "n_problems": 2000, "pool": False})  # fmt: skip
    fits = delphi.fit_downstreams(frame, floor=0.25, fit_below=np.inf)
    fig = emergence(fits, fit_below=np.inf)
    line = fig.layout.shapes[0]
    assert C.max() < line.x0 == line.x1 < 2 * C.max()
    words = [a for a in fig.layout.annotations if "extrapolation" in a.text]
    assert [a.x for a in words] == [pytest.approx(np.log10(line.x0))]
