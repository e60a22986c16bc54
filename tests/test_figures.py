"""Figures: what is drawn, what is written beside it, and that names do no harm."""

import dataclasses
import json
import math
import re
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest

import delphi
from delphi import simulate
from delphi.status import bits

go = pytest.importorskip("plotly.graph_objects")

from plotly import io as pio  # noqa: E402

from delphi import figures  # noqa: E402
from delphi.figures import lawparts, place, powerlaw, theme, thin  # noqa: E402

NASTY = "<script>alert(1)</script> </script> $x$ %{y} & \x1b[31m\nend"


def fitted(runs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", delphi.FitWarning)
        ladder = delphi.fit_isoflops(runs)
        laws = ladder.laws()
    return ladder, laws, delphi.score_held_out(runs, laws)


@pytest.fixture(scope="module")
def two():
    return fitted(simulate.ladder(crashed=True, rng=0))


def names(fig):
    return [t.name for t in fig.data if t.showlegend is not False]


def texts(fig):
    return [a.text for a in fig.layout.annotations]


def test_importing_delphi_imports_no_plotly():
    code = "import sys, delphi, delphi.cli; sys.exit('plotly' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_template_is_registered_and_never_the_default(two):
    before = pio.templates.default
    fig = figures.isoflop_parabolas(two[0])
    assert "delphi" in pio.templates
    assert pio.templates.default == before != "delphi"
    assert fig.layout.template == pio.templates["delphi"]
    assert fig.layout.template.layout.paper_bgcolor == theme.CLEAR


def test_isoflop_draws_points_curve_and_optimum_of_every_bucket(two):
    ladder = two[0]
    fig = figures.isoflop_parabolas(ladder)
    assert [t.mode for t in fig.data[:4]] == ["markers", "lines", "lines", "markers"]
    narrowed = (ladder.fits["n_used"] < ladder.fits["n"]).sum()
    assert len(fig.data) == 3 * len(ladder.fits) + narrowed
    assert fig.layout.xaxis.type == "log"
    budgets = sorted(ladder.fits["budget"].unique())
    assert names(fig) == [delphi.shorthand.flops(b) for b in budgets]
    bucket = ladder.fits.iloc[0]
    assert fig.data[3].x[0] == bucket.tokens_star
    assert fig.data[3].marker.symbol == "x"
    window = (10**bucket.x_lo, 10**bucket.x_hi)
    assert (min(fig.data[1].x), max(fig.data[1].x)) == pytest.approx(window)
    assert [t.line.dash for t in fig.data[1:3]] == ["solid", "dot"]
    assert fig.data[2].line.width < fig.data[1].line.width
    assert min(fig.data[1].y) == pytest.approx(bucket.loss_star, rel=1e-4)


def test_flagged_bucket_is_hollow_dotted_and_says_why():
    runs = simulate.ladder(rng=0)
    aster = (runs["suite"] == "Aster") & (runs["budget"] == 3e18)
    low = runs["tokens"] < simulate.truth(simulate.DEFAULT_SUITES["Aster"]).tokens(3e18) * 0.7
    ladder, laws, held = fitted(runs[~aster | low].reset_index(drop=True))
    assert not ladder.fits.iloc[0].used
    for fig in (
        figures.isoflop_parabolas(ladder),
        figures.ladder(ladder, laws, "Aster", held),
    ):
        points, curve = fig.data[0], fig.data[1]
        assert points.marker.symbol == "square-open"
        assert curve.line.dash == "dot"
        assert ladder.fits.iloc[0].status in points.hovertemplate
        assert fig.data[2].mode == "markers"
        assert fig.data[2].marker.symbol == "circle"  # no optimum of the flagged bucket
        key = next(trace for trace in fig.data if trace.name == "not used: clipped")
        assert key.marker.symbol == "square-open"
    # The budget's entry in the legend is that of the suite where it is used.
    entry = next(t for t in figures.isoflop_parabolas(ladder).data if t.showlegend)
    assert entry.legendrank != 1


@pytest.mark.parametrize("mobile", [False, True])
def test_status_words_stand_on_the_figures(two, mobile):
    ladder, laws, held = two
    code = bits("floor_not_identified", "misfit")
    laws = {suite: dataclasses.replace(law, status_code=code) for suite, law in laws.items()}
    said = re.compile("floor not identified,( |<br>)misfit")
    law = laws["Aster"]
    legends = [
        figures.scaling_law_asymptote(ladder, laws, held, mobile=mobile),
        figures.overtraining_forecast(
            ladder, law, delphi.overtraining_cost(ladder, law, suite="Aster", n_boot=0),
            mobile=mobile,
        ),
        figures.lucky_seeds(
            ladder.runs, law, ladder.posteriors()["Aster"].interval([1e21]), "Aster", mobile=mobile
        ),
    ]  # fmt: skip
    for fig in legends:
        shown = [t.name for t in fig.data if t.showlegend is not False and said.search(t.name)]
        assert shown, [t.name for t in fig.data]
    for fig in (
        figures.ladder(ladder, laws, "Aster", held, mobile=mobile),
        figures.floor_profile(law, mobile=mobile),
    ):
        texts = " ".join(a.text for a in fig.layout.annotations).replace("<br>", " ")
        assert said.search(re.sub("<[^>]*>", "", texts)), texts
    # A law that is well has no words.
    assert lawparts.law_words(two[1]["Aster"]) == ""


def test_off_centre_optimum_is_hollow_and_in_the_legend():
    runs = simulate.ladder(rng=0)
    cut = (runs["suite"] == "Aster") & (runs["budget"] == 3e18)
    best = simulate.truth(simulate.DEFAULT_SUITES["Aster"]).tokens(3e18)
    ladder, _, _ = fitted(runs[~(cut & (runs["tokens"] > 1.3 * best))].reset_index(drop=True))
    first = ladder.fits.iloc[0]
    assert first.used
    assert "off_centre" in first.status
    fig = figures.isoflop_parabolas(ladder)
    stars = [
        t.marker.symbol
        for t in fig.data
        if t.mode == "markers" and "optimum" in (t.hovertemplate or "")
    ]
    assert stars.count("x-open") == 1
    assert "optimum off centre" in names(fig)


def test_crashed_sweep_runs_are_not_drawn():
    runs = simulate.ladder(suites={"One": simulate.DEFAULT_SUITES["Aster"]}, rng=0)
    runs.loc[0, "state"] = "crashed"
    ladder, _, _ = fitted(runs)
    fig = figures.isoflop_parabolas(ladder)
    assert len(fig.data[0].x) == ladder.fits.iloc[0].n


def test_asymptote_draws_law_to_1e23_and_marks_the_divide(two):
    ladder, laws, held = two
    fig = figures.scaling_law_asymptote(ladder, laws, held)
    curve = fig.data[1]
    assert curve.mode == "lines"
    assert curve.line.dash == "dash"
    assert max(curve.x) >= 1e23
    assert curve.y[0] == pytest.approx(laws["Aster"].predict(curve.x[0]))
    divider = fig.layout.shapes[0]
    assert ladder.optima["compute"].max() == divider.x0
    assert {"\u2190 fit", "extrapolation \u2192", "Run Diverged"} <= set(texts(fig))
    floors = [s for s in fig.layout.shapes if s.y0 == s.y1]
    assert sorted(s.y0 for s in floors) == sorted(law.L_inf for law in laws.values())
    for law in laws.values():
        assert any(f"{law.L_inf:.3f}" in text for text in texts(fig))
    cross = next(t for t in fig.data if t.marker.symbol == "x-thin")
    assert cross.y[0] == pytest.approx(held[held["state"] == "crashed"]["loss"].item())


def test_diverged_run_far_off_does_not_squeeze_the_figure(two):
    ladder, laws, held = two
    held = held.copy()
    held.loc[held["state"] == "crashed", "loss"] = 50.0
    fig = figures.scaling_law_asymptote(ladder, laws, held)
    low, high = fig.layout.yaxis.range
    assert high < 5
    cross = next(t for t in fig.data if t.marker.symbol == "x-thin")
    assert low < cross.y[0] < high
    assert cross.customdata[0] == 50.0


@pytest.mark.parametrize("suite", ["Aster", "Birch"])
def test_ladder_labels_every_held_out_run(two, suite):
    ladder, laws, held = two
    fig = figures.ladder(ladder, laws, suite, held)
    own = held[held["suite"] == suite]
    for row in own[own["state"] == "finished"].itertuples():
        assert theme.error_text(row.percent_error) in texts(fig)
    assert ("Run Diverged" in texts(fig)) == (suite == "Birch")
    assert fig.layout.yaxis2.type == "log"
    with pytest.raises(KeyError):
        figures.ladder(ladder, laws, "Cedar", held)


def test_suite_colours_are_the_same_in_every_figure(two):
    ladder, laws, held = two
    fig = figures.scaling_law_asymptote(ladder, laws, held)
    law_colour = {t.legendgroup.lstrip("="): t.line.color for t in fig.data if t.mode == "lines"}
    for suite in ladder.suites:
        own = figures.ladder(ladder, laws, suite, held)
        lines = [t for t in own.data if t.mode == "lines" and t.xaxis == "x2"]
        assert [t.line.color for t in lines] == [law_colour[suite]]
    assert len(set(law_colour.values())) == 2


def test_budget_colours_darken_with_compute():
    for n in (1, 2, 7, 15):
        colours = theme.budget_colours(np.geomspace(1e18, 1e22, n))
        weight = {1: 0.30, 3: 0.59, 5: 0.11}  # of red, green and blue in lightness
        light = [
            sum(w * int(c[i : i + 2], 16) for i, w in weight.items()) for c in colours.values()
        ]
        assert light == sorted(light, reverse=True)
        assert len(set(colours.values())) == n


def every_figure(runs):
    ladder, laws, held = fitted(runs)
    yield figures.isoflop_parabolas(ladder)
    yield figures.scaling_law_asymptote(ladder, laws, held)
    yield figures.scaling_law_asymptote(ladder, laws)
    for suite in ladder.suites:
        yield figures.ladder(ladder, laws, suite, held)


def surfaces(*labels):
    return dict.fromkeys(labels, simulate.DEFAULT_SUITES["Aster"])


@pytest.mark.parametrize(
    "options",
    [
        {"suites": surfaces("one")},
        {"suites": surfaces(*"abcdefgh")},
        {"suites": surfaces("a" * 60, "a" * 59 + "b"), "crashed": True},
        {"suites": surfaces("x" * 10_000)},
        {"suites": surfaces("one"), "budgets": tuple(np.geomspace(1e18, 1e22, 15))},
        {"suites": surfaces("one"), "budgets": (1e20,)},
        {"suites": surfaces("one"), "budgets": (1e19, 1e20)},
        {"suites": surfaces("one"), "held_out": ()},
        {"suites": surfaces("one"), "held_out": (5e18, 3e19, 3.1e20), "seeds": 1},
        {"suites": surfaces("one"), "n_runs": 2},
        {"suites": surfaces("one"), "n_runs": 1},
        {"suites": surfaces("one"), "budgets": (1e24, 1e25, 1e26, 1e27)},
    ],
    ids=lambda o: ",".join(f"{k}" for k in o),
)
def test_ugly_inputs_make_valid_figures(options):
    for fig in every_figure(simulate.ladder(**({"rng": 1} | options))):
        value = json.loads(fig.to_json())
        assert value["data"]
        assert "NaN" not in json.dumps(value)
        assert len(fig.to_json()) < 400_000


def test_nothing_usable_still_gives_figures_that_say_so():
    runs = simulate.ladder(suites=surfaces("one"), rng=0)
    best = simulate.truth(simulate.DEFAULT_SUITES["Aster"]).tokens(runs["budget"])
    half = runs[(runs["run_type"] == "optimal") | (runs["tokens"] < 0.6 * best)]
    ladder, laws, held = fitted(half.reset_index(drop=True))
    assert not ladder.fits["used"].any()
    for score in (held, None):
        for fig in (
            figures.scaling_law_asymptote(ladder, laws, score, ladder.posteriors()),
            figures.ladder(ladder, laws, "one", score, ladder.posteriors()),
        ):
            assert "no optimum, so no law" in texts(fig)
            assert all(math.isfinite(v) for v in fig.layout.yaxis.range or [])


def test_names_are_drawn_as_they_are():
    runs = simulate.ladder(suites=surfaces(NASTY, "plain"), rng=0)
    runs["name"] = NASTY
    for fig in every_figure(runs):
        text = fig.to_json()
        for bad in ("<script", "</script", "$x$", "%{y} &", "\\u001b"):
            assert bad not in text, bad
        assert "&lt;script&gt;" in text or "plain" in text


def test_long_names_are_cut_in_the_middle():
    assert theme.safe("a" * 100, 20) == "a" * 12 + "\u2026" + "a" * 7
    assert theme.safe("a" * 20, 20) == "a" * 20


def test_divider_stands_at_the_largest_fitted_compute(two):
    ladder, laws, _ = two
    last = ladder.optima["compute"].max()
    assert powerlaw.divider_place(ladder.optima, laws) == last
    assert last == max(law.compute_range[1] for law in laws.values())
    assert powerlaw.divider_place(ladder.optima, {}) is None
    assert powerlaw.divider_place(ladder.optima.head(0), laws) is None


@pytest.mark.parametrize("suite", ["Aster", "Birch"])
def test_posterior_is_a_band_behind_the_law(two, suite):
    ladder, laws, held = two
    posteriors = ladder.posteriors()
    both = figures.scaling_law_asymptote(ladder, laws, held, posteriors)
    one = figures.ladder(ladder, laws, suite, held, posteriors)
    at = ladder.suites.index(suite)
    for fig, first_law in ((both, 3), (one, None)):
        bands = [(i, t) for i, t in enumerate(fig.data) if t.fill == "toself"]
        i, band = bands[at if fig is both else 0]
        law = next(j for j, t in enumerate(fig.data) if (t.name or "") == f"{suite}: law")
        assert i < law
        assert first_law is None or law >= first_law
        assert band.fillcolor == theme.light(theme.suite_colours(ladder.suites)[suite])
        ends = posteriors[suite].interval([band.x[0], max(band.x)])
        assert band.y[0] == pytest.approx(ends["high"].iloc[0])
        assert band.y[-1] == pytest.approx(ends["low"].iloc[0])
        assert band.y[len(band.y) // 2] == pytest.approx(ends["low"].iloc[1])
    plain = figures.scaling_law_asymptote(ladder, laws, held)
    assert not [t for t in plain.data if t.fill]


def test_what_rounds_to_nothing_is_on_the_law():
    assert theme.error_text(-0.049) == theme.error_text(0.0) == "on the law"
    assert theme.error_text(-0.051) == "0.1% better"
    assert theme.error_text(math.nan) == ""


def test_spread_keeps_both_ends():
    for n in (0, 1, 2, 23, 24, 25, 26, 1000):
        ranks = thin.spread(n, 24)
        assert len(ranks) == min(n, 24)
        assert n < 1 or (ranks[0], ranks[-1]) == (0, n - 1)
        assert (np.diff(ranks) > 0).all()


def test_large_tables_are_thinned_and_the_note_says_how():
    names = [f"s{i:02d}" for i in range(15)]
    budgets = tuple(np.geomspace(1e18, 1e21, 30))
    runs = simulate.ladder(suites=surfaces(*names), budgets=budgets, held_out=(), n_runs=6, rng=0)
    big = simulate.ladder(
        suites=surfaces("s00"), budgets=budgets[:1], held_out=(), n_runs=900, rng=1
    )
    first = (runs["suite"] == "s00") & (runs["budget"] == runs["budget"].min())
    big["budget"] = runs["budget"].min()
    runs = pd.concat([runs[~first], big], ignore_index=True)
    ladder, laws, held = fitted(runs)
    fig = figures.isoflop_parabolas(ladder)
    points = [t for t in fig.data if t.mode == "markers" and t.marker.symbol != "x" and t.x[0]]
    assert len(points) == thin.SUITES * thin.BUDGETS
    many = max(points, key=lambda t: len(t.x))
    assert thin.POINTS - 2 <= len(many.x) <= thin.POINTS
    assert min(many.x) == big["tokens"].min()
    assert max(many.x) == big["tokens"].max()
    assert min(many.y) == big["loss"].min()
    assert max(many.y) == big["loss"].max()
    note = thin.drawn_note(ladder)
    for text in ("12 of 15 suites", "24 of up to 30 budgets", f"150 of up to {len(big)} runs"):
        assert text in note
    laws_seen = [t for t in figures.scaling_law_asymptote(ladder, laws).data if t.mode == "lines"]
    assert len(laws_seen) == thin.SUITES
    assert "12 of 15 suites" in thin.law_note(ladder, held)
    own = figures.ladder(ladder, laws, "s14")
    assert own.data
    assert "24 of up to 30 budgets" in thin.drawn_note(ladder, "s14")
    small, _, _ = fitted(simulate.ladder(rng=0))
    assert thin.drawn(small) is small
    assert thin.drawn_note(small) == thin.law_note(small, held) == ""


def test_labels_avoid_each_other_and_the_data():
    panel = place.Panel((0, 1), (0, 1), 300, 300)
    points = panel.pixels([0.5, 0.5, 0.52, 0.98], [0.5, 0.52, 0.5, 0.5])
    spots = place.place_labels(panel, points, ["1.2% worse"] * 4, points)
    boxes = []
    for (x, y), spot in zip(points, spots, strict=True):
        width, height = place.CHAR_WIDTH * 10 + 4, place.LINE_HEIGHT
        left = x + spot.dx - {"left": 0, "center": width / 2, "right": width}[spot.xanchor]
        low = y + spot.dy - {"bottom": 0, "middle": height / 2, "top": height}[spot.yanchor]
        boxes.append((left, low, left + width, low + height))
    for i, a in enumerate(boxes):
        assert a[2] <= 308
        for b in boxes[:i]:
            assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]


def test_curves_of_single_fits():
    law = delphi.fit_power_law([1e18, 1e19, 1e20, 1e21], [4.0, 3.25, 2.75, 2.42])
    fig = law.plot()
    assert max(fig.data[0].x) == pytest.approx(1e23)
    fit = delphi.fit_parabola([1e9, 3e9, 9e9, 27e9, 8e10], [3.4, 3.2, 3.15, 3.2, 3.3])
    assert fit.plot().data[1].x[0] == pytest.approx(fit.tokens_star)
    with pytest.warns(delphi.FitWarning):
        failed = delphi.fit_parabola([1e9, 3e9], [3.4, 3.2])
    assert not failed.plot().data
    with pytest.warns(delphi.FitWarning):
        nothing = delphi.fit_power_law([1e18, 1e19], [4.0, 3.2])
    if not nothing.ok:
        assert "no law could be fitted" in texts(nothing.plot())


def test_write_json_is_whole_or_not_at_all(tmp_path, two, monkeypatch):
    fig = figures.isoflop_parabolas(two[0])
    path = figures.write_json(fig, tmp_path / "fig.json")
    again = go.Figure(json.loads(path.read_text()))
    assert len(again.data) == len(fig.data)
    before = path.read_bytes()
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "disk full")))
    with pytest.raises(OSError, match="disk full"):
        figures.write_json(fig, path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["fig.json"]


def test_real_runs_inside_the_fitted_range(data_dir):
    runs = delphi.read_runs(sorted((data_dir / "marin").glob("*.csv")), suites={})
    ladder, laws, held = fitted(runs)
    for fig in (
        figures.isoflop_parabolas(ladder),
        figures.scaling_law_asymptote(ladder, laws, held),
        figures.ladder(ladder, laws, ladder.suites[0], held),
    ):
        assert fig.data
        assert all(math.isfinite(a.y) for a in fig.layout.annotations)
