"""`delphi figures --compat` against the notebook's own JSON, and the comparison itself."""

import base64
import copy
import json
import warnings

import numpy as np
import pytest

import delphi
from delphi import cli, simulate
from delphi.figureset import draw_figures, faithful
from tests.figure_json import differences

pytest.importorskip("plotly")

NAMES = (
    "isoflop-parabolas",
    "scaling-law-asymptote",
    "first-ladder",
    "first-ladder-mobile",
    "delphi-ladder",
    "delphi-ladder-mobile",
    "lucky-seeds",
    "overtraining-forecast",
)
# Of these the curves come from other optimisers than the notebook's, which stop where they stop:
# how far numbers may differ, relative and absolute.
FITTED = {
    "mmlu-emergence": (1e-4, 1e-4),
    "mmlu-emergence-mobile": (1e-4, 1e-4),
    "hparam-scaling": (1e-6, 1e-6),
}
EVALS = {
    f"--{name}{end}": f"{name}{'_external' if end else ''}.json"
    for name in ("mmlu", "humaneval", "gsm8k")
    for end in ("", "-pool")
}


@pytest.fixture(scope="module")
def written(caches_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("compat")
    options = ["-o", str(folder), "--compat", "--quiet"]
    options += ["--sweep", str(caches_dir / "hparam_sweep.json")]
    for option, name in EVALS.items():
        options += [option, str(caches_dir / name)]
    assert cli.main(["figures", str(caches_dir / "runs.json"), *options]) == 0
    return folder


def golden(golden_dir, name):
    return json.loads((golden_dir / "figures" / f"{name}.json").read_text())


@pytest.mark.parametrize("name", [*NAMES, *FITTED])
def test_each_figure_is_the_notebooks(written, golden_dir, name):
    ours = json.loads((written / f"{name}.json").read_text())
    assert differences(ours, golden(golden_dir, name), *FITTED.get(name, (1e-8, 1e-300))) == []
    # What a site gives to all its figures alike is left to it.
    assert not {"template", "width", "font"} & set(ours["layout"])
    assert ("height" in ours["layout"]) == name.endswith("-mobile")


def test_nothing_else_is_written(written):
    names = {*NAMES, *FITTED, "hparam-scaling-mobile"}
    assert {path.name for path in written.iterdir()} == {f"{n}.json" for n in names}


def test_the_narrow_sweep_is_the_wide_one_in_two_columns(written, golden_dir):
    ours = json.loads((written / "hparam-scaling-mobile.json").read_text())
    wide = golden(golden_dir, "hparam-scaling")
    assert differences(ours["data"], wide["data"], 1e-6, 1e-6) == []
    layout = ours["layout"]
    domains = [layout[f"{xy}axis{n}"]["domain"] for n in ("", "2", "3") for xy in "xy"]
    assert domains == [
        [0.0, 0.45], [0.72, 1.0], [0.55, 1.0], [0.72, 1.0], [0.0, 0.45], [0.36, 0.64],
    ]  # fmt: skip
    assert [layout[f"yaxis{n}"].get("title", {}).get("text") for n in ("", "2", "3", "4", "5")] == [
        "Paloma loss", None, "Paloma loss", None, "Paloma loss",
    ]  # fmt: skip
    assert layout["height"] == 900
    assert not {"template", "width", "font"} & set(layout)
    assert not layout.get("annotations")
    assert [menu["x"] for menu in layout["updatemenus"]] == [0.0, 0.36, 0.7]
    for ours_menu, theirs in zip(layout["updatemenus"], wide["layout"]["updatemenus"], strict=True):
        assert ours_menu["buttons"] == theirs["buttons"]
        assert ours_menu["active"] == theirs["active"]


CHANGES = {
    "a trace less": lambda f: f["data"].pop(),
    "another order": lambda f: f["data"].insert(0, f["data"].pop()),
    "a point": lambda f: f["data"][1]["y"].__setitem__(7, f["data"][1]["y"][7] * (1 + 1e-7)),
    "a point less": lambda f: f["data"][1]["x"].pop(),
    "a mode": lambda f: f["data"][1].update(mode="markers"),
    "a name": lambda f: f["data"][-3].update(name="Sub-optimal"),
    "a symbol": lambda f: f["data"][0]["marker"].update(symbol="square"),
    "no symbol": lambda f: f["data"][2]["marker"].pop("symbol"),
    "a dash": lambda f: f["data"][1]["line"].update(dash="solid"),
    "an axis type": lambda f: f["layout"]["yaxis"].pop("type"),
    "an axis title": lambda f: f["layout"]["xaxis"]["title"].update(text="Tokens"),
    "a range": lambda f: f["layout"]["xaxis"].update(range=[8.5, 13.1]),
    "no range": lambda f: f["layout"]["xaxis"].pop("range"),
    "an annotation": lambda f: f["layout"]["annotations"][0].update(text="2x overtrained"),
    "a step": lambda f: f["layout"]["sliders"][0]["steps"].pop(),
    "a step's label": lambda f: f["layout"]["sliders"][0]["steps"][0].update(label="0.2"),
    "the active step": lambda f: f["layout"]["sliders"][0].update(active=3),
    "a frame": lambda f: f["frames"].pop(),
    "a frame's point": lambda f: f["frames"][3]["data"][0].update(x=[1.0]),
    "a frame's text": lambda f: f["frames"][3]["layout"]["annotations"][0].update(text="?"),
    "a hidden legend": lambda f: f["data"][-3].update(showlegend=False),
}


@pytest.mark.parametrize("what", CHANGES)
def test_the_comparison_sees(golden_dir, what):
    figure = golden(golden_dir, "overtraining-forecast")
    changed = copy.deepcopy(figure)
    CHANGES[what](changed)
    assert differences(figure, figure) == []
    assert differences(changed, figure)
    assert differences(figure, changed)


def test_the_comparison_takes_numbers_that_are_near():
    a, b = {"data": [{"y": [1e-7, 2.0]}]}, {"data": [{"y": [2e-7, 2.00001]}]}
    assert len(differences(a, b)) == 2
    assert differences(a, b, 1e-4, 1e-6) == []
    assert len(differences(a, b, 1e-6, 1e-6)) == 1


def test_the_comparison_decodes_arrays_and_forgives_only_colours():
    values = np.array([1.0, 2.5, 4.0])
    coded = {"dtype": "f8", "bdata": base64.b64encode(values.tobytes()).decode()}
    ours = {"data": [{"x": coded, "marker": {"color": "red"}}], "layout": {"template": {"a": 1}}}
    theirs = {"data": [{"x": [1, 2.5, 4], "marker": {"color": "blue"}}], "layout": {}}
    assert differences(ours, theirs) == []
    assert differences(ours, {"data": [{"x": [1, 2.5, 4.1]}], "layout": {}}) == [
        "figure.data[0].x[2]: 4.0, not 4.1"
    ]
    assert differences({"x": [1.0 + 1e-9]}, {"x": [1.0]}) == []
    assert len(differences({"x": [None, True]}, {"x": [0, 1]})) == 2


def test_faithful_fits_are_those_of_compat(caches_dir):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", delphi.DataWarning)
        runs = delphi.read_runs(caches_dir / "runs.json")
    results = faithful(runs)
    table = delphi.compat.load_runs(caches_dir / "runs.json")
    table = delphi.compat.subsample_cadamc_to_adamh_grid(table)
    _, optima, _, suites = delphi.compat.compute_optima(table)
    assert results.ladder.suites == suites
    ours = results.ladder.optima
    for name, theirs in (("compute", "C_flops"), ("tokens_star", "T_star"), ("loss_star",) * 2):
        np.testing.assert_allclose(ours[name], optima[theirs], rtol=1e-12)
    laws = delphi.compat.fit_asymptotic_powerlaw_per_q(
        {q: (rows["C_flops"], rows["loss_star"]) for q, rows in optima.groupby("quantizer")}
    )
    for suite, law in laws.items():
        assert results.laws[suite].L_inf == pytest.approx(law["L_inf"], rel=1e-12)
        assert results.laws[suite].alpha == pytest.approx(law["alpha"], rel=1e-9)


def test_other_suites_and_a_suite_without_a_law():
    runs = simulate.ladder(seeds=2, rng=0)
    few = (runs["suite"] == "Birch") & (runs["budget"] > 9e18) & (runs["run_type"] == "isoflop")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        drawn = draw_figures(runs[~few].reset_index(drop=True), compat=True)
    assert {"ladder-aster", "ladder-birch", "lucky-seeds-aster"} <= set(drawn)
    assert "lucky-seeds-birch" in drawn  # two points still have a law there
    assert all(issubclass(w.category, delphi.DataWarning | delphi.FitWarning) for w in said)
    none = (runs["suite"] == "Birch") & (runs["run_type"] == "isoflop") & (runs["budget"] > 3e18)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        drawn = draw_figures(runs[~none].reset_index(drop=True), compat=True)
    assert "lucky-seeds-birch" not in drawn
    assert any("lucky-seeds-birch is not drawn: Birch has no law" in str(w.message) for w in said)
