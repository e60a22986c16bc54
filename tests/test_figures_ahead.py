"""Figures of over-training and of lucky seeds, and narrow layouts of all figures."""

import json
import math
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import delphi
from delphi import simulate

go = pytest.importorskip("plotly.graph_objects")

from delphi import figures  # noqa: E402
from delphi.figures import theme  # noqa: E402

NASTY = "<script>alert(1)</script> </script> $x$ %{y} & \x1b[31m\nend"
TIMES = "\N{MULTIPLICATION SIGN}"


@pytest.fixture(scope="module")
def fitted():
    runs = simulate.ladder(crashed=True, seeds=4, rng=0)
    ladder = delphi.fit_isoflops(runs)
    return runs, ladder, ladder.laws()


@pytest.fixture(scope="module")
def cost(fitted):
    return delphi.overtraining_cost(fitted[1], fitted[2], n_boot=200)


def seeds_of(fitted, suite, at=(1e21, 1e22, 1e23), **options):
    runs, ladder, laws = fitted
    band = ladder.posteriors()[suite].interval(list(at))
    return figures.lucky_seeds(runs, laws[suite], band, suite, **options), band


def everything(fitted, cost, **options):
    """Every figure of the simulated runs."""
    runs, ladder, laws = fitted
    held = delphi.score_held_out(runs, laws)
    posteriors = ladder.posteriors()
    suite = ladder.suites[0]
    bucket = ladder.runs[ladder.runs["budget"] == ladder.runs["budget"].iloc[0]]
    return {
        "isoflop": figures.isoflop_parabolas(ladder, **options),
        "law": figures.scaling_law_asymptote(ladder, laws, held, posteriors, **options),
        "ladder": figures.ladder(ladder, laws, suite, held, posteriors, **options),
        "over": figures.overtraining_forecast(ladder, laws[suite], cost, suite, **options),
        "seeds": seeds_of(fitted, suite, **options)[0],
        "back-test": figures.backtest_errors(delphi.backtest(runs), **options),
        "profile": figures.floor_profile(laws[suite], **options),
        "curve": figures.law_curve(laws[suite], **options),
        "parabola": figures.parabola_curve(
            delphi.fit_parabola(bucket["tokens"], bucket["loss"]), **options
        ),
    }


# --- over-training --------------------------------------------------------------------------------


def test_every_scale_is_a_step_with_a_frame(fitted, cost):
    _, ladder, laws = fitted
    fig = figures.overtraining_forecast(ladder, laws["Aster"], cost, "Aster")
    rows = cost.table[cost.table["suite"] == "Aster"]
    slider = fig.layout.sliders[0]
    assert [f.name for f in fig.frames] == [str(s) for s in rows["scale"]]
    assert [s.args[0] for s in slider.steps] == [(f.name,) for f in fig.frames]
    assert slider.steps[slider.active].label == f"2{TIMES}"
    assert [f.traces for f in fig.frames] == [fig.frames[0].traces] * len(rows)
    # What is drawn at first is the frame of the active step.
    for trace, moved in zip(fig.frames[0].traces, fig.frames[slider.active].data, strict=True):
        np.testing.assert_array_equal(fig.data[trace].x, moved.x)
        np.testing.assert_array_equal(fig.data[trace].y, moved.y)


def test_frames_say_what_the_table_says(fitted, cost):
    _, ladder, laws = fitted
    law = laws["Aster"]
    fig = figures.overtraining_forecast(ladder, law, cost, "Aster")
    rows = cost.table[cost.table["suite"] == "Aster"].reset_index(drop=True)
    optima = ladder.optima[ladder.optima["suite"] == "Aster"]
    fits = ladder.fits[ladder.fits["suite"] == "Aster"].reset_index(drop=True)
    for row, frame in zip(rows.itertuples(), fig.frames, strict=True):
        shifted, (line, cross, connector) = frame.data[: len(optima)], frame.data[-3:]
        np.testing.assert_allclose(
            [s.x[0] for s in shifted], row.scale * optima["tokens_star"], rtol=1e-12
        )
        side = fits["a_over" if row.scale > 1 else "a_under"]
        expected = fits["loss_star"] + side * math.log10(row.scale) ** 2
        np.testing.assert_allclose([s.y[0] for s in shifted], expected, rtol=1e-12)
        assert cross.customdata[0][0] == pytest.approx(row.compute_to_match)
        assert cross.y[0] == pytest.approx(float(law.predict(cost.at)))
        # The dashed line ends where it reaches that loss.
        assert line.customdata[-1] == pytest.approx(row.compute_to_match)
        assert line.y[-1] == pytest.approx(cross.y[0], rel=1e-9)
        assert line.x[-1] == pytest.approx(cross.x[0], rel=1e-9)
        assert connector.x[0] == pytest.approx(
            rows.loc[rows["scale"] == 1, "tokens"].item(), rel=1e-9
        )
        text = frame.layout.annotations[0].text
        if row.scale != 1:
            assert f"{row.percent_overhead:+.1f}% compute to match 1e23 FLOPs" in text
            assert f"95% interval {row.percent_overhead_low:+.1f}% to" in text
        assert ("further out than any run" in text) == ("outside_swept_range" in row.status)
    kinds = [frame.layout.annotations[0].text.split("<br>")[0] for frame in fig.frames]
    assert kinds[0] == f"5{TIMES} undertrained"
    assert kinds[4:6] == ["compute-optimal", f"2{TIMES} overtrained"]


def test_everything_stays_in_view_wherever_the_slider_stands(fitted, cost):
    _, ladder, laws = fitted
    fig = figures.overtraining_forecast(ladder, laws["Aster"], cost, "Aster")
    (x_lo, x_hi), (y_lo, y_hi) = fig.layout.xaxis.range, fig.layout.yaxis.range
    for trace in [*fig.data, *(t for frame in fig.frames for t in frame.data)]:
        x, y = np.log10(np.array(trace.x, float)), np.log10(np.array(trace.y, float))
        assert np.all((x > x_lo) & (x < x_hi) & (y > y_lo) & (y < y_hi))


def test_what_never_matches_is_said_and_has_no_crossing(fitted, cost):
    _, ladder, laws = fitted
    table = cost.table.copy()
    lost = table["scale"] == 10
    for name in ("compute_to_match", "percent_overhead", "percent_overhead_high"):
        table.loc[lost, name] = np.inf
    never = replace(cost, table=table)
    fig = figures.overtraining_forecast(ladder, laws["Aster"], never, "Aster")
    frame = fig.frames[-1]
    assert "no compute matches 1e23 FLOPs" in frame.layout.annotations[0].text
    assert frame.data[-2].x == (None,)
    assert frame.data[-3].customdata[-1] == pytest.approx(1e26)
    json.loads(figures.site_json(fig))  # which refuses numbers that JSON does not have


def test_a_side_without_curvature_is_said(fitted, cost):
    _, ladder, laws = fitted
    table = cost.table.copy()
    over = table["scale"] > 1
    table.loc[over, [c for c in table if "penalty" in c or "match" in c or "percent" in c]] = np.nan
    fig = figures.overtraining_forecast(
        ladder, laws["Aster"], replace(cost, table=table), "Aster", start=0.5
    )
    assert "its curvature is not known" in fig.frames[-1].layout.annotations[0].text
    assert fig.frames[-1].data[-3].x == ()


def test_no_law_gives_axes_that_say_so(fitted, cost):
    _, ladder, _ = fitted
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", delphi.FitWarning)
        law = delphi.fit_power_law([1e18, 1e19, 1e20], [2.0, 3.0, 4.0])
    assert not law.ok
    fig = figures.overtraining_forecast(ladder, law, cost, "Aster")
    assert [a.text for a in fig.layout.annotations] == ["no law could be fitted"]


def test_the_suite_must_be_clear(fitted, cost):
    _, ladder, laws = fitted
    for suite in (None, "Cedar"):
        with pytest.raises(KeyError, match="there are"):
            figures.overtraining_forecast(ladder, laws["Aster"], cost, suite)


# --- lucky seeds ----------------------------------------------------------------------------------


def test_runs_are_percent_off_the_law_at_their_own_compute(fitted):
    runs, _, laws = fitted
    fig, band = seeds_of(fitted, "Aster")
    held = runs[(runs["suite"] == "Aster") & (runs["run_type"] == "optimal")]
    off = 100 * (held["loss"] / laws["Aster"].predict(held["flops"]) - 1)
    drawn = [x for trace in fig.data[:-2] for x in trace.x]
    np.testing.assert_allclose(sorted(drawn), sorted(off), rtol=1e-12)
    forecast = laws["Aster"].predict(band["compute"])
    bands = [(s.x0, s.x1) for s in fig.layout.shapes if s.type == "rect"]
    np.testing.assert_allclose(
        bands, 100 * (band[["low", "high"]].to_numpy() / forecast[:, None] - 1), rtol=1e-9
    )
    assert list(fig.layout.yaxis.ticktext) == ["1e21", "1e22", "1e23"]
    assert fig.data[-2].name == "95% interval by posterior"
    left, right = fig.layout.xaxis.range
    assert left < min(*drawn, *np.ravel(bands))
    assert right > max(*drawn, *np.ravel(bands))


def test_runs_without_a_final_loss_are_counted_not_drawn(fitted):
    runs = fitted[0]
    fig, _ = seeds_of(fitted, "Birch")
    held = runs[(runs["suite"] == "Birch") & (runs["run_type"] == "optimal")]
    assert sum(len(t.x) for t in fig.data[:-2]) == (held["state"] == "finished").sum()
    assert "1 run without a final loss" in [a.text for a in fig.layout.annotations]


def test_runs_far_from_every_row_are_counted_not_drawn(fitted):
    fig, _ = seeds_of(fitted, "Aster", at=(1e21, 1e22))
    assert sum(len(t.x) for t in fig.data[:-2]) == 8
    assert "4 runs at other computes" in [a.text for a in fig.layout.annotations]


def test_no_band_no_seeds(fitted):
    runs, _, laws = fitted
    nothing = pd.DataFrame(columns=["compute", "low", "high", "level", "method"], dtype=float)
    fig = figures.lucky_seeds(runs, laws["Aster"], nothing, "Aster")
    assert [t.name for t in fig.data] == ["no forecast", "held-out runs, one a seed"]


# --- narrow layouts and names ---------------------------------------------------------------------


def test_narrow_figures_show_the_same_stacked(fitted, cost):
    wide, narrow = everything(fitted, cost), everything(fitted, cost, mobile=True)
    for name, fig in narrow.items():
        assert len(fig.data) == len(wide[name].data), name
        for ours, theirs in zip(fig.data, wide[name].data, strict=True):
            np.testing.assert_array_equal(np.array(ours.y, float), np.array(theirs.y, float))
        starts = {axis.domain[0] for axis in fig.select_xaxes() if axis.domain}
        assert starts <= {0.0}, name
        assert fig.layout.width is None, "the site sets it"
        assert fig.layout.margin.l + fig.layout.margin.r < 80
    panels = [a.domain for a in narrow["ladder"].select_yaxes()]
    assert panels[0][0] > panels[1][1]


def test_names_do_no_harm():
    runs = simulate.ladder(seeds=2, rng=0)
    runs["suite"] = NASTY
    runs["seed"] = NASTY
    ladder = delphi.fit_isoflops(runs)
    law = ladder.laws()[NASTY]
    cost = delphi.overtraining_cost(ladder, law, suite=NASTY, n_boot=0)
    band = ladder.posteriors()[NASTY].interval([1e21, 1e22, 1e23])
    band["method"] = NASTY
    for mobile in (False, True):
        for fig in (
            figures.overtraining_forecast(ladder, law, cost, mobile=mobile),
            figures.lucky_seeds(runs, law, band, NASTY, mobile=mobile),
        ):
            text = fig.to_json()
            assert "<script" not in json.loads(text).__repr__()
            assert "$x$" not in text
            assert "%{y} &" not in text


def test_templates_and_backgrounds_leave_with_the_site(fitted, cost):
    for name, fig in everything(fitted, cost).items():
        layout = json.loads(figures.site_json(fig))["layout"]
        assert not {"template", "width", "height", "font"} & set(layout), name
        assert layout["paper_bgcolor"] == layout["plot_bgcolor"] == theme.CLEAR
    kept = json.loads(figures.site_json(fig, keep_height=True))["layout"]
    assert kept["height"] == fig.layout.height
