"""One suite against another, where the answer is known."""

import json

import numpy as np
import pytest

from delphi import DataError, effective_speedup, fit_posterior

C7 = np.geomspace(3e18, 3e20, 7)


def law(scale=1.0, alpha=0.16, floor=1.8, n_draws=1000):
    """A nearly noise-free law; `scale` multiplies compute."""
    noise = 1e-5 * np.array([1, -1, 0.5, -0.5, 1, -1, 0.2])
    return fit_posterior(C7, floor + 1600 * (C7 * scale) ** -alpha + noise, n_draws=n_draws)


def test_a_known_factor_comes_back():
    row = effective_speedup(law(2.0), law(), at=1e21).table.iloc[0]
    assert row["mid"] == pytest.approx(2.0, rel=0.01)
    assert row["low"] < row["mid"] < row["high"]
    assert row["p_better"] == 1.0
    assert row["unreachable"] == 0.0
    back = effective_speedup(law(), law(2.0), at=1e21).table.iloc[0]
    assert back["mid"] == pytest.approx(0.5, rel=0.01)
    assert back["p_better"] == 0.0


def test_a_floor_above_the_other_loss_is_never_reached():
    row = effective_speedup(law(floor=1.2), law(floor=2.2), at=1e24).table.iloc[0]
    assert row["unreachable"] == 1.0
    assert np.isinf(row["mid"])


def test_laws_cross_where_they_do():
    steep = law(alpha=0.17, floor=1.8)
    flat = law(alpha=0.16, floor=1.8)
    # 1600 C^-0.17 is always below 1600 C^-0.16: no crossing
    assert effective_speedup(steep, flat, at=1e21).crossing["share"] < 0.05
    noise = 1e-5 * np.array([1, -1, 0.5, -0.5, 1, -1, 0.2])
    other = fit_posterior(C7, 1.8 + 1600 * 1e22**0.01 * C7**-0.17 + noise, n_draws=1000)
    crossing = effective_speedup(other, flat, at=1e21).crossing
    assert crossing["share"] > 0.9
    assert crossing["mid"] == pytest.approx(1e22, rel=0.2)
    assert crossing["low"] < 1e22 < crossing["high"]


def test_a_suite_against_itself_is_even():
    row = effective_speedup(law(), law(), at=1e22).table.iloc[0]
    assert row["low"] <= 1 <= row["high"]
    assert 0.4 < row["p_better"] < 0.6


def test_bad_arguments():
    good = law()
    for arguments in ((good, "b", 1e21), (good, law(n_draws=10), 1e21), (good, good, -1.0)):
        with pytest.raises(DataError):
            effective_speedup(*arguments)
    with pytest.raises(DataError, match="level"):
        effective_speedup(good, good, 1e21, level=95)


def test_the_figure_has_the_factor_and_the_probability():
    pytest.importorskip("plotly")
    result = effective_speedup(law(2.0), law(), at=[1e22, 1e21])
    fig = result.plot()
    first, second = fig.data
    assert list(first.x) == [1e21, 1e22]  # in order, whatever was asked for
    table = result.table.sort_values("compute")
    assert list(first.y) == table["mid"].tolist()
    np.testing.assert_allclose(first.error_y.array, table["high"] - table["mid"])
    np.testing.assert_allclose(first.error_y.arrayminus, table["mid"] - table["low"])
    assert list(second.y) == [1.0, 1.0]
    assert result.plot(mobile=True).layout.margin.l < fig.layout.margin.l


def test_the_figure_says_what_is_never_reached():
    pytest.importorskip("plotly")
    fig = effective_speedup(law(floor=1.2), law(floor=2.2), at=[1e19, 1e24]).plot()
    never = next(trace for trace in fig.data if trace.name == "not reached")
    assert list(never.x) == [1e24]
    assert all(np.isfinite(trace.y).all() for trace in fig.data if len(trace.y))
    top = 10 ** fig.layout.yaxis.range[1]
    assert never.y[0] < top


def test_a_crossing_is_shaded():
    pytest.importorskip("plotly")
    noise = 1e-5 * np.array([1, -1, 0.5, -0.5, 1, -1, 0.2])
    steep = fit_posterior(C7, 1.8 + 1600 * 1e22**0.01 * C7**-0.17 + noise, n_draws=1000)
    result = effective_speedup(steep, law(), at=1e21)
    fig = result.plot()
    areas = [shape for shape in fig.layout.shapes if shape.type == "rect"]
    if result.crossing["share"] >= 0.5:
        assert [(a.x0, a.x1) for a in areas] == [
            (result.crossing["low"], result.crossing["high"])
        ] * 2
    else:
        assert areas == []


def test_a_posterior_as_a_dict():
    posterior = law(n_draws=50)
    plain = posterior.to_dict()
    assert plain["n"] == 7
    assert plain["status"] == posterior.status
    assert plain["draws"]["alpha"] == posterior.draws["alpha"].tolist()
    assert set(plain["draws"]) == set(posterior.draws.dtype.names)
    assert json.loads(json.dumps(plain))["compute_min"] == C7[0]
