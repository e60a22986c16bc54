"""The printed figures: what is in them, whose axes they take, and what they leave alone."""

import io
import sys

import numpy as np
import pytest

import delphi
from delphi import DataError, DataWarning, FitWarning, simulate

matplotlib = pytest.importorskip("matplotlib")
pytest.importorskip("plotly")

from matplotlib.figure import Figure  # noqa: E402

from delphi.figures import mpl  # noqa: E402

NASTY = "_$x_1$ <b>\\frac{"


@pytest.fixture(scope="module")
def best():
    return delphi.optimal_configurations(delphi.fit_isoflops(simulate.ladder(rng=0)))


@pytest.fixture
def chat(caches_dir):
    with pytest.warns(DataWarning):
        runs = delphi.read_runs(caches_dir / "nanochat" / "results.csv")
    with pytest.warns(FitWarning):
        return delphi.optimal_configurations(delphi.fit_isoflops(runs))


def rendered(fig):
    out = io.BytesIO()
    fig.savefig(out, dpi=50)
    return out.getvalue()


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def stars(ax):
    return [line for line in ax.lines if line.get_marker() == "*" and len(line.get_xdata())]


def test_one_star_a_budget_at_its_optimum(best):
    fig = mpl.isoflop_curves(best, suite="Aster")
    ax = fig.axes[0]
    table = best.table[best.table["suite"] == "Aster"]
    found = sorted((line.get_xdata()[0], line.get_ydata()[0]) for line in stars(ax))
    np.testing.assert_allclose(found, sorted(zip(table["params"], table["loss"], strict=True)))
    assert legend(ax)[0] == "3e18"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Parameters", "Loss")
    tokens = mpl.isoflop_curves(best, suite="Aster", against="tokens").axes[0]
    assert sorted(s.get_xdata()[0] for s in stars(tokens)) == sorted(table["tokens"])
    assert rendered(fig)


def test_curves_pass_through_their_star(best):
    ax = mpl.isoflop_curves(best, suite="Birch").axes[0]
    curves = [line for line in ax.lines if line.get_linestyle() == "--"]
    for star in stars(ax):
        x, y = star.get_xdata()[0], star.get_ydata()[0]
        gaps = [
            abs(np.interp(-np.log(x), -np.log(c.get_xdata()), c.get_ydata()) - y) for c in curves
        ]
        assert min(gaps) < 1e-3


def test_exponents_stand_in_the_legend(best):
    ax = mpl.optimum_growth(best, "params").axes[0]
    growth = best.ladder.exponents.set_index(["suite", "quantity"])
    for suite in ("Aster", "Birch"):
        row = growth.loc[suite, "params_star"]
        assert any(f"{suite}: N* \u221d C^{row.exponent:.2f}" in text for text in legend(ax))
    only = mpl.optimum_growth(best, "tokens", suite="Birch").axes[0]
    assert legend(only)[0].startswith("D* \u221d C^0.52")


def test_flagged_optima_are_hollow_and_feed_no_exponent(chat):
    ax = mpl.isoflop_curves(chat).axes[0]
    hollow = [s for s in stars(ax) if s.get_markerfacecolor() == "none"]
    assert (len(hollow), len(stars(ax))) == (3, 4)
    assert "flagged: not bracketed" in legend(ax)
    assert ax.get_ylabel() == "Loss (val_bpb, bits/byte)"
    text = legend(mpl.optimum_growth(chat).axes[0])
    assert "no exponent: 1 bracketed" in text


def test_the_two_figures_of_a_nanochat_sweep(chat):
    fig = mpl.isoflop_summary(chat)
    assert [ax.get_title() for ax in fig.axes] == [
        "IsoFLOP curves: results", "Optimal model size", "Optimal training tokens"
    ]  # fmt: skip
    shape = mpl.loss_by_shape(chat.ladder)
    depth, ratio = shape.axes
    assert depth.get_xlabel() == "Depth (layers)"
    rings = [line for line in depth.lines if line.get_markerfacecolor() == "none"]
    runs = chat.ladder.runs
    lowest = runs.loc[runs.groupby("budget")["loss"].idxmin(), ["depth", "loss"]].to_numpy()
    np.testing.assert_allclose([r.get_xydata()[0] for r in rings], lowest)
    source = runs["tokens"] / runs["params"]
    drawn = np.concatenate([li.get_xdata() for li in ratio.lines if li.get_linestyle() == "-"])
    np.testing.assert_allclose(np.sort(drawn), np.sort(source))
    assert "20 tokens per parameter" in legend(ratio)
    assert rendered(fig) != rendered(shape)


def test_a_series_of_single_runs_is_one_line(data_dir):
    with pytest.warns(DataWarning):
        runs = delphi.read_runs(data_dir / "nanochat" / "miniseries_v1.csv")
    with pytest.warns(FitWarning):
        ladder = delphi.fit_isoflops(runs)
    ax = mpl.loss_by_shape(ladder).axes[0]
    assert legend(ax) == ["miniseries_v1"]
    assert ax.lines[0].get_xdata().tolist() == list(range(10, 21))


def test_takes_the_axes_it_is_given_and_leaves_matplotlib_alone(best):
    before = dict(matplotlib.rcParams)
    had = "matplotlib.pyplot" in sys.modules
    fig = Figure()
    axes = fig.subplots(1, 2)
    assert mpl.isoflop_curves(best, suite="Aster", ax=axes[0]) is fig
    assert mpl.optimum_growth(best, ax=axes[1]) is fig
    other = Figure(figsize=(12, 4))
    assert mpl.isoflop_summary(best, suite="Aster", fig=other) is other
    assert len(other.axes) == 3
    with pytest.raises(DataError, match="expected an empty figure"):
        mpl.isoflop_summary(best, suite="Aster", fig=other)
    assert dict(matplotlib.rcParams) == before
    assert ("matplotlib.pyplot" in sys.modules) == had


def test_nothing_is_fitted_again(best, monkeypatch):
    import delphi._core as core

    best.ladder.exponents  # noqa: B018  # worked out once, by the ladder
    for name in ("parabola_fit", "powerlaw_fit", "line_fit", "isocurve_fit"):
        monkeypatch.setattr(core, name, lambda *a, **k: pytest.fail("a figure fits"))
    mpl.isoflop_summary(best, suite="Aster")
    mpl.loss_against(best.ladder, "tokens", suite="Aster")


def test_names_are_drawn_as_they_are():
    runs = simulate.ladder(suites={NASTY: simulate.DEFAULT_SUITES["Aster"]}, rng=0)
    runs.attrs["delphi"]["loss_column"] = NASTY
    best = delphi.optimal_configurations(delphi.fit_isoflops(runs))
    fig = mpl.isoflop_summary(best)
    assert NASTY in fig.axes[0].get_title()
    assert not fig.axes[0].title.get_parse_math()
    assert rendered(fig)
    runs["depth"] = runs["params"]
    single = runs.groupby("budget").head(1)
    with pytest.warns(FitWarning):
        ladder = delphi.fit_isoflops(single)
    ax = mpl.loss_against(ladder, "depth").axes[0]
    assert NASTY in legend(ax)[0]
    assert rendered(ax.get_figure())


def test_bad_options(best):
    for call in (
        lambda: mpl.isoflop_curves(best),
        lambda: mpl.isoflop_curves(best, suite="none"),
        lambda: mpl.isoflop_curves(best, suite="Aster", against="loss"),
        lambda: mpl.optimum_growth(best, "loss"),
        lambda: mpl.loss_against(best.ladder, "width", suite="Aster"),
        lambda: mpl.loss_against(best.ladder, "depth", suite="Aster"),
    ):
        with pytest.raises(DataError):
            call()
