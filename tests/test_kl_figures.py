"""Pictures of KL trajectories and survival: what is in them, and how little of 10,000."""

import warnings

import numpy as np
import pytest

import delphi
from delphi import DataError, FitWarning, simulate

pytest.importorskip("plotly")
pytest.importorskip("matplotlib")

from delphi import figures
from delphi.figures import rollouts as prepared
from delphi.figures.spaghetti import write_png

ALPHAS = (0.0, 1.0, 4.0)


@pytest.fixture(scope="module")
def made():
    return simulate.rollouts(ALPHAS, n_prompts=12, rng=3)


def fitted(rollouts):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        return rollouts.survival()


def test_every_rollout_is_drawn_once_and_turns_where_it_dies(made):
    seen = made.watch()
    picture = prepared.picture(made)
    calibrated = delphi.calibrate_kl(made.pick(made.rollouts["alpha"] > 0), roll=1)
    assert calibrated.ok.all()
    for panel in picture.panels[1:]:
        own = seen[seen["alpha"] == panel.alpha]
        assert [len(values) for values, _ in panel.lines] == own["n"].tolist()
        turns = [at if at < len(values) else None for values, at in panel.lines]
        wanted = [t if d else None for t, d in zip(own["time"], own["died"], strict=True)]
        assert turns == wanted
        assert len(panel.ticks) == panel.n_censored
        assert (panel.n, panel.n_died) == (12, int(own["died"].sum()))
    assert picture.panels[0].note == "12 not drawn: no scale"
    assert not picture.panels[0].drawn


def test_the_traces_hold_the_lines_with_gaps_between(made):
    fig = figures.kl_spaghetti(made, roll=1)
    by_name = {}
    for trace in fig.data:
        by_name.setdefault(trace.name.split()[0], []).append(trace)
    alive, dead = by_name["alive"], by_name["dead"]
    assert {t.type for t in alive + dead} == {"scattergl"}
    assert np.isnan(alive[0].y).sum() == 11
    seen = made.watch()
    dying = seen["died"].sum()
    assert sum(np.isnan(t.y).sum() + 1 for t in dead) == dying
    # living parts reach the token of death, dead parts begin there: no hole between them
    n_alive = sum(np.isfinite(t.y).sum() for t in alive)
    n_dead = sum(np.isfinite(t.y).sum() for t in dead)
    drawn = seen[seen["alpha"] > 0]
    assert n_alive + n_dead == drawn["n"].sum() + dying
    names = [t.name for t in fig.data if t.showlegend]
    assert len(names) == len(set(names)) == 6
    assert len({tuple(axis.range) for axis in fig.select_yaxes()}) == 1
    titles = [a.text for a in fig.layout.annotations]
    assert any("alpha 4" in t and "n=12" in t and "died=" in t and "censored=" in t for t in titles)


def test_not_normalising_shows_nats_and_alpha_squared(made):
    fig = figures.kl_spaghetti(made, normalize=False)
    targets = [t.y[0] for t in fig.data if t.name == "target alpha^2"]
    assert targets[1:] == [1.0, 16.0]
    assert fig.layout.yaxis.title.text == "KL per token (nats)"
    assert figures.kl_spaghetti(made, log=True).layout.yaxis.type == "log"


def test_ten_thousand_rollouts_stay_small():
    made = simulate.rollouts((1.0, 4.0), n_prompts=5000, rng=0)
    fig = figures.kl_spaghetti(made)
    assert len(fig.data) < 20
    assert sum(len(t.x) for t in fig.data) < 1.2 * 400_000
    assert len(fig.to_json()) < 8e6
    assert "lines of a panel at most are drawn" in fig.layout.legend.title.text
    # thinning keeps the share of the dead, and the median is of all
    panel = prepared.picture(made, points=400_000).panels[0]
    dead = np.mean([at < len(values) for values, at in panel.lines])
    assert dead == pytest.approx(panel.n_died / panel.n, abs=0.01)
    assert panel.count[0] == 5000


def test_many_alphas_and_none(made):
    many = simulate.rollouts(np.linspace(0.1, 4, 30), n_prompts=2, n_tokens=40, rng=0)
    fig = figures.kl_spaghetti(many, roll=1)
    assert "the first 24 of 30 alphas" in fig.layout.legend.title.text
    curves = figures.survival_curves(fitted(many))
    assert sum(bool(t.showlegend) for t in curves.data) == 12
    assert "12 of 30 drawn" in curves.layout.legend.title.text
    with pytest.raises(DataError, match="no rollouts"):
        figures.kl_spaghetti(made.pick([]))
    with pytest.raises(DataError, match="no survival curve"):
        figures.survival_curves({})


def test_survival_curves_step_down_where_somebody_dies(made):
    fit = fitted(made)
    fig = figures.survival_curves(fit)
    lines = [t for t in fig.data if t.showlegend]
    assert [t.line.shape for t in lines] == ["hv"] * 3
    for trace, curve in zip(lines, fit.curves.values(), strict=True):
        assert trace.x[0] == 0
        assert trace.y[0] == 1
        assert list(trace.y[1:]) == curve.survival.tolist()
    bands = [t for t in fig.data if t.fill == "toself"]
    assert len(bands) == sum(np.isfinite(c.low).any() for c in fit.curves.values())
    assert "95% bands, log-log" in fig.layout.legend.title.text
    harmless = figures.survival_curves(
        delphi.fit_survival([1, 2, 3, 4], [1, 1, 1, 1], by=["<b>$x$", "<b>$x$", "b", "b"])
    )
    assert "<b>" not in harmless.to_json()


def test_the_paper_figure(made, tmp_path):
    import matplotlib.pyplot as plt
    from matplotlib.collections import LineCollection
    from matplotlib.colors import to_hex

    before = dict(plt.rcParams)
    fig = figures.draw_spaghetti(made, title="costs $5 to $6", roll=1)
    shown = [axes for axes in fig.axes if axes.get_visible()]
    assert [axes.get_title().split(":")[0] for axes in shown] == ["alpha 0", "alpha 1", "alpha 4"]
    assert len({axes.get_ylim() for axes in shown}) == 1
    seen = made.watch()
    lines = [c for c in shown[2].collections if isinstance(c, LineCollection)]
    own = seen[seen["alpha"] == 4]
    assert [len(c.get_segments()) for c in lines] == [own["died"].sum(), 12]
    assert lines[0].get_zorder() < lines[1].get_zorder()
    assert to_hex(lines[1].get_colors()[0]).upper() == "#2F55B0"
    target = write_png(fig, tmp_path / "x.png")
    first = target.read_bytes()
    assert first[:4] == b"\x89PNG"
    assert write_png(figures.draw_spaghetti(made, title="costs $5 to $6", roll=1), target)
    assert target.read_bytes() == first
    assert [p.name for p in tmp_path.iterdir()] == ["x.png"]
    assert dict(plt.rcParams) == before
    assert not plt.get_fignums()
    wide = figures.draw_spaghetti(made, normalize=False, log=True)
    assert wide.axes[0].get_yscale() == "symlog"


def test_plot_methods(made):
    assert made.plot(roll=1).data
