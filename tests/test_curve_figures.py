"""Pictures of a search for a configuration and of endpoint laws."""

from __future__ import annotations

import numpy as np
import pytest

import delphi

pytestmark = pytest.mark.filterwarnings("ignore::delphi.FitWarning")


@pytest.fixture(scope="module")
def found():
    runs = delphi.simulate.curves(scales=(1e18, 3e18, 1e19), lrs=(1e-3,), rng=0)
    fits = delphi.fit_curves(runs, by=["scale", "mix"], prefixes=[0.3, 0.6, 0.9])
    return delphi.search_configs(fits, target=0.02)


@pytest.mark.parametrize("mobile", [False, True])
def test_a_map_shows_the_worst_error_of_every_configuration(found, mobile):
    fig = found.plot(mobile=mobile)
    heat = fig.data[0]
    wide = found.table.pivot(index="method", columns="prefix", values="worst")
    assert list(heat.x) == ["0.3", "0.6", "0.9"]
    assert np.array_equal(np.array(heat.customdata)[:, :, 0], wide.loc[list(heat.y)])
    bold = np.char.startswith(np.array(heat.text, str), "<b>")
    assert bold.sum() == found.table["qualifies"].sum() > 0
    frame = fig.layout.shapes[0]
    assert heat.y[round((frame.y0 + frame.y1) / 2)] == found.best["method"]
    assert heat.x[round((frame.x0 + frame.x1) / 2)] == f"{found.best['prefix']:g}"


def test_a_map_without_a_choice_has_no_frame():
    runs = delphi.simulate.curves(scales=(1e18, 3e18), mixes=("web",), lrs=(1e-3,), rng=0)
    fits = delphi.fit_curves(runs, by=["scale"], prefixes=[0.3], forms="log")
    none = delphi.search_configs(fits, target=1e-6)
    assert not none.plot().layout.shapes


@pytest.mark.parametrize("line", [False, True])
@pytest.mark.parametrize("mobile", [False, True])
def test_endpoint_laws_show_every_run_and_what_it_was_used_for(line, mobile):
    runs = delphi.simulate.curves(scales=(1e18, 3e18, 1e19, 3e19, 1e20, 1e21), rng=0)
    ends = delphi.final_losses(runs, by=["scale", "mix", "lr"])
    laws = delphi.fit_endpoints(ends, compute="scale", cutoff=3e19, held_out=1e21)
    fig = laws.plot(line=line, mobile=mobile)
    for used, n in laws.points["used"].value_counts().items():
        drawn = [t for t in fig.data if t.mode == "markers" and t.name.endswith(f", {used}")]
        assert sum(len(t.x) for t in drawn) == n
    first = next(t for t in fig.data if t.mode == "lines")
    at = laws.predict(float(first.x[5]), line=line)
    assert first.y[5] == pytest.approx(at["predicted"].iloc[0])
    assert fig.layout.yaxis.type == ("log" if line else "linear")
