"""The table of optimal configurations, and bits/byte kept as such on the way to it."""

import re

import numpy as np
import pandas as pd
import pytest

import delphi
from delphi import DataError, DataWarning, FitWarning, simulate
from delphi.columns import loss_unit

NANOCHAT = {
    "flops_budget": 1e18, "depth": 8, "model_dim": 512, "num_scaling_params": 25e6,
    "tokens_trained": 6.6e9, "param_data_ratio": 264.0, "val_bpb": 0.69,
}  # fmt: skip


def nanochat(caches_dir):
    with pytest.warns(DataWarning, match="flops are the budget"):
        return delphi.read_runs(caches_dir / "nanochat" / "results.csv")


@pytest.fixture(scope="module")
def ladder():
    return delphi.fit_isoflops(simulate.ladder(rng=0))


@pytest.mark.filterwarnings("ignore::delphi.DataWarning")
def test_nanochat_columns_are_known():
    runs = delphi.read_runs([NANOCHAT, NANOCHAT | {"val_bpb": 0.7, "depth": None}])
    first = runs[["params", "tokens", "budget", "loss"]].iloc[0]
    assert first.tolist() == [25e6, 6.6e9, 1e18, 0.69]
    assert runs["depth"].tolist()[0] == 8
    assert np.isnan(runs["depth"][1])
    assert runs.attrs["delphi"]["loss_column"] == "val_bpb"


def test_a_depth_nobody_can_use_stops_nothing():
    rows = [NANOCHAT, NANOCHAT | {"val_bpb": 0.7, "depth": "deep"}]
    with pytest.warns(DataWarning, match="'depth' is left empty in 1 rows"):
        runs = delphi.read_runs(rows)
    assert len(runs) == 2
    assert runs["depth"].isna().tolist() == [False, True]


@pytest.mark.filterwarnings("ignore::delphi.DataWarning")
def test_a_table_without_depth_has_no_such_column():
    row = {k: v for k, v in NANOCHAT.items() if k != "depth"}
    assert "depth" not in delphi.read_runs([row])
    both = delphi.read_runs([pd.DataFrame([row]), pd.DataFrame([NANOCHAT | {"val_bpb": 0.5}])])
    assert both["depth"].isna().tolist() == [True, False]


def test_units_of_losses():
    for name in ("val_bpb", "bpb", "val/bpb", "eval/c4/bpb", "VAL_BPB"):
        assert loss_unit(name) == "bits/byte"
    for name in ("loss", "eval/loss", "bpbx", "abpb", "val_bpb, eval/loss", ""):
        assert loss_unit(name) == ""


def test_bits_per_byte_are_never_converted_nor_renamed(caches_dir):
    pytest.importorskip("plotly")
    from delphi.figures import theme

    runs = nanochat(caches_dir)
    source = pd.read_csv(caches_dir / "nanochat" / "results.csv")
    assert runs["loss"].tolist() == source["val_bpb"].tolist()
    assert theme.loss_title(runs) == "Loss (val_bpb, bits/byte)"
    with pytest.warns(FitWarning, match="unbracketed"):
        ladder = delphi.fit_isoflops(runs)
    best = delphi.optimal_configurations(ladder)
    assert "loss is val_bpb, bits/byte" in best.summary()
    assert best.to_dict()["loss_unit"] == "bits/byte"
    for text in (best.summary(), best._repr_html_(), theme.loss_title(runs)):
        assert "nat" not in text


def test_flagged_where_the_runs_do_not_bracket(caches_dir):
    with pytest.warns(FitWarning):
        ladder = delphi.fit_isoflops(nanochat(caches_dir), curve="parabola")
    table = delphi.optimal_configurations(ladder).table.set_index("budget")
    assert table["bracketed"].tolist() == [True, False, False, False]
    assert "unbracketed" in table["flag"][3e18]
    assert table["flag"][1e18] == ""
    # Beyond the last run the vertex is the parabola's own, not the run's.
    runs = ladder.runs[ladder.runs["budget"] == 1e19]
    x = np.log10(runs["tokens"].to_numpy())
    a, b, c = np.polyfit(x, runs["loss"], 2)
    row = table.loc[1e19]
    assert np.log10(row["tokens"]) == pytest.approx(-b / (2 * a), rel=1e-9)
    assert row["tokens"] < runs["tokens"].min()
    assert row["loss"] == pytest.approx(c - b * b / (4 * a), rel=1e-9)
    slope, intercept = np.polyfit(x, np.log10(runs["params"]), 1)
    params = 10 ** (intercept + slope * -b / (2 * a))
    assert row["params"] == pytest.approx(params, rel=1e-9)
    assert row["ratio"] == pytest.approx(row["tokens"] / params, rel=1e-9)


@pytest.mark.parametrize("curve", ["windowed", "parabola", "joint", "cubic", "two-power"])
def test_where_bracketed_it_is_the_ladders_optimum(curve):
    ladder = delphi.fit_isoflops(simulate.ladder(rng=3), curve=curve)
    table = delphi.optimal_configurations(ladder).table
    used = ladder.fits["used"].to_numpy()
    assert used.all()
    for name in ("params", "tokens", "loss"):
        np.testing.assert_allclose(table[name], ladder.fits[f"{name}_star"], rtol=1e-9)
    assert (table["flag"] == "").all()
    assert np.isfinite(table["tokens_low"]).all() == (curve in ("windowed", "parabola"))


def test_two_power_minimum_outside_the_runs():
    D = np.geomspace(1e9, 1e10, 9)
    N = 1e19 / (6 * D)
    runs = pd.DataFrame({"suite": "s", "budget": 1e19, "flops": 1e19, "tokens": D, "params": N,
                         "loss": 1.8 + 400 * N**-0.34 + 900 * D**-0.30})  # fmt: skip
    lowest = simulate.truth({"E": 1.8, "A": 400, "B": 900, "a": 0.34, "b": 0.30})
    assert lowest.tokens(1e19) > D.max()
    with pytest.warns(FitWarning):
        ladder = delphi.fit_isoflops(runs, curve="two-power")
    row = delphi.optimal_configurations(ladder).table.iloc[0]
    assert not row["bracketed"]
    assert row["tokens"] == pytest.approx(lowest.tokens(1e19), rel=1e-4)
    assert row["loss"] == pytest.approx(lowest.predict(1e19), rel=1e-7)


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    hits, n = 0, 0
    for seed in range(12):
        runs = simulate.ladder(rng=seed, noise=0.004)
        ladder = delphi.fit_isoflops(runs, window=0.4)
        table = delphi.optimal_configurations(ladder, level=0.9).table
        for suite, surface in simulate.DEFAULT_SUITES.items():
            rows = table[table["suite"] == suite]
            best = simulate.truth(surface)
            ratio = best.tokens(rows["compute"]) / best.params(rows["compute"])
            hits += int(((rows["ratio_low"] < ratio) & (ratio < rows["ratio_high"])).sum())
            n += len(rows)
    assert 0.8 < hits / n < 0.99


def test_no_minimum_is_no_number(ladder):
    runs = simulate.ladder(rng=0)
    runs.loc[runs["budget"] == 3e18, "loss"] = 4 - 0.01 * np.log(runs["tokens"])
    with pytest.warns(FitWarning):
        bad = delphi.fit_isoflops(runs, curve="parabola")
    table = delphi.optimal_configurations(bad).table.set_index(["suite", "budget"])
    row = table.loc["Aster", 3e18]
    assert not row["bracketed"]
    assert row["flag"]
    assert np.isnan(row["ratio"]) or row["tokens"] > runs["tokens"][runs["budget"] == 3e18].max()


def test_words(ladder):
    best = delphi.optimal_configurations(ladder)
    assert repr(best) == "OptimalConfigurations(14 of 14 optima bracketed)"
    assert re.search(r"Aster: .*\n\s+FLOPs .*\n\s+3e18 +85.9M +5.82B +67.7 +3.6079", best.summary())
    assert "params ~ C^0.4" in best.summary()
    assert best.to_frame().equals(best.table)
    assert best.to_dict()["table"][0]["suite"] == "Aster"
    assert best._repr_html_().count("<tr>") == 15


def test_bad_options(ladder):
    with pytest.raises(DataError, match="expected an IsoflopLadder"):
        delphi.optimal_configurations(ladder.runs)
    with pytest.raises(DataError, match="level"):
        delphi.optimal_configurations(ladder, level=1)


@pytest.mark.filterwarnings("ignore::delphi.DataWarning")
def test_published_optima_in_their_own_conventions(data_dir):
    path = data_dir / "nanochat" / "isoflop_optima.csv"
    runs = delphi.read_runs(path, columns={"suite": "param_convention"})
    laws = delphi.fit_power_laws(runs, compute="flops", floor=0.5)
    assert (laws["n"] >= 3).all()
    assert laws["alpha"].between(0.02, 0.5).all()
    assert runs.attrs["delphi"]["loss_column"] == "val_bpb"


@pytest.mark.filterwarnings("ignore::delphi.FitWarning")
def test_growth_of_all_vertices_is_a_line_through_what_the_table_has(caches_dir):
    ladder = delphi.fit_isoflops(nanochat(caches_dir), curve="parabola", keep="all")
    best = delphi.optimal_configurations(ladder)
    assert "clipped" in " ".join(best.table["status"])
    for quantity in ("params", "tokens"):
        row = best.exponents.set_index("quantity").loc[f"{quantity}_star"]
        x, y = np.log10(best.table["compute"]), np.log10(best.table[quantity])
        assert row["exponent"] == pytest.approx(np.polyfit(x, y, 1)[0])
        assert row["n"] == len(best.table)
        assert f"{quantity} ~ C^{row['exponent']:.3f}" in best.summary()
    # The vertices of the notebook's own parabolas in log params grow alike.
    vertices = []
    for budget, rows in ladder.runs.groupby("budget"):
        a, b, _ = np.polyfit(np.log10(rows["params"]), rows["loss"], 2)
        vertices.append((np.log10(budget), -b / (2 * a)))
    slope = np.polyfit(*np.array(vertices).T, 1)[0]
    growth = best.exponents.set_index("quantity")
    assert growth.loc["params_star", "exponent"] == pytest.approx(slope, abs=0.01)


def test_growth_is_the_ladders_where_nothing_is_clipped(ladder):
    best = delphi.optimal_configurations(ladder)
    pd.testing.assert_frame_equal(best.exponents, ladder.exponents)
