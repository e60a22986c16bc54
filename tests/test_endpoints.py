"""Endpoint laws per recipe: what they use, what they never see, and their errors."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import delphi

SCALES = (3e18, 1e19, 3e19, 1e20, 3e20, 1e21, 1e22)


@pytest.fixture(scope="module")
def ends():
    runs = delphi.simulate.curves(scales=SCALES, lrs=(1e-3,), noise=0.0, n_points=20, rng=0)
    truth = runs.attrs["truth"]
    table = delphi.final_losses(runs, by=["scale", "mix", "lr"])
    # the law itself: the learning rate off its best adds what no power law has
    laws = runs.attrs["mixes"]
    E, A, alpha = np.array([laws[m] for m in table["mix"]]).T
    assert len(truth) == len(table)
    return table.assign(loss=E + A * (table["scale"] / 1e18) ** -alpha)


def test_the_law_comes_back_and_forecasts_what_it_has_not_seen(ends):
    laws = delphi.fit_endpoints(ends, compute="scale", held_out=1e21)
    assert laws.ok
    web = laws.laws.set_index("mix").loc["web"]
    assert web["E"] == pytest.approx(1.75, abs=1e-6)
    assert web["A"] == pytest.approx(1.55, abs=1e-6)
    assert web["alpha"] == pytest.approx(0.155, abs=1e-6)
    assert web["r2"] == pytest.approx(1)
    assert web["line_r2"] < web["r2"]
    assert len(laws.held_out) == 6
    assert laws.held_out["percent_error"].abs().max() < 1e-4
    # no floor: too low, and more so the further out
    line = laws.held_out.pivot(index="mix", columns="compute", values="line_percent_error")
    assert (line[1e22] < line[1e21]).all()
    assert (line[1e22] < 0).all()
    got = laws.predict(1e21).set_index("mix")["predicted"]
    want = ends[ends["scale"] == 1e21].set_index("mix")["loss"]
    np.testing.assert_allclose(got, want[got.index], rtol=1e-6)


def test_held_out_runs_have_no_part_in_any_fit(ends):
    spoiled = ends.copy()
    spoiled.loc[spoiled["scale"] >= 1e21, "loss"] = 9.0
    for cutoff in (None, 1e20):
        a = delphi.fit_endpoints(ends, compute="scale", held_out=1e21, cutoff=cutoff)
        b = delphi.fit_endpoints(spoiled, compute="scale", held_out=1e21, cutoff=cutoff)
        pd.testing.assert_frame_equal(a.laws, b.laws)
    used = a.points.groupby("compute")["used"].first().to_dict()
    assert used == {3e18: "fit", 1e19: "fit", 3e19: "fit", 1e20: "fit", 3e20: "cut",
                    1e21: "held out", 1e22: "held out"}  # fmt: skip
    assert (a.laws["n"] == 4).all()
    assert "3 runs cut" in a.summary()


def test_a_cutoff_alone_holds_out_what_lies_beyond(ends):
    laws = delphi.fit_endpoints(ends, compute="scale", cutoff=3e20)
    assert set(laws.held_out["compute"]) == {1e21, 1e22}
    assert laws.cutoff == 3e20
    everything = delphi.fit_endpoints(ends, compute="scale")
    assert everything.held_out.empty
    assert everything.cutoff == 1e22
    assert "EndpointLaws(3 recipes by mix, lr" in repr(everything)
    assert everything.to_dict()["held_out"] == []


def test_too_few_or_rising_points_fail_their_recipe_only(ends):
    bad = ends.copy()
    code = (bad["mix"] == "code") & (bad["scale"] > 1e19)
    bad = bad[~code]
    rising = bad["mix"] == "math"
    bad.loc[rising, "loss"] = 2 + np.arange(rising.sum())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        laws = delphi.fit_endpoints(bad, compute="scale")
    assert len(caught) == 1
    assert laws.laws.set_index("mix")["status"].to_dict() == {
        "code": "too_few_points", "math": "not_decreasing", "web": "ok"
    }  # fmt: skip
    assert not laws.ok
    assert laws.status == "not_decreasing; too_few_points"


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"cutoff": 1e21, "held_out": 1e20}, "must lie below"),
        ({"cutoff": -1}, "cutoff"),
        ({"held_out": 1e18}, "no run lies within"),
        ({"compute": "flops"}, "missing column 'flops'"),
        ({"by": "recipe"}, "missing column 'recipe'"),
    ],
)
def test_bad_arguments(ends, options, match):
    with pytest.raises(delphi.DataError, match=match):
        delphi.fit_endpoints(ends, **({"compute": "scale"} | options))
