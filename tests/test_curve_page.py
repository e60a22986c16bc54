"""The page of learning curves in a real browser: controls are moved and the numbers are read."""

from __future__ import annotations

import json
import re
import warnings

import numpy as np
import pandas as pd
import pytest

import delphi
from delphi import simulate

pytest.importorskip("plotly")
pytest.importorskip("jinja2")
pytest.importorskip("playwright.sync_api")

from delphi.curvepage.build import write_curve_page
from delphi.curvepage.content import analyse_curves
from delphi.curvepage.payload import payload
from tests import browser

pytestmark = [
    pytest.mark.skipif(browser.BROWSER is None, reason="no Chromium or Chrome here"),
    pytest.mark.slow,
]
HOSTILE = '<img src=x onerror="window.harmed=1">&amp;\u202e'


def grid():
    runs = simulate.curves(
        scales=(3e18, 1e19, 3e19, 1e20), mixes=("web", "math"), lrs=(1e-3, 2e-3), n_points=150,
        rng=3,
    )  # fmt: skip
    return runs.assign(run=runs["run"].replace("web-3e18-0.001", HOSTILE))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    analysis = analyse_curves(grid(), prefixes=[0.2, 0.4, 0.6, 0.8])
    return write_curve_page(analysis, tmp_path_factory.mktemp("curves") / "out")


class Visit(browser.Visit):
    """A page of learning curves, whose live figures are drawn."""

    def __init__(self, chromium, path, **options):
        super().__init__(chromium, path, **options)
        self.page.wait_for_selector("html[data-live]", state="attached")

    def slide(self, name, place):
        """Move a slider with the keyboard from its beginning."""
        self.page.locator(f"#{name}").focus()
        self.page.keyboard.press("Home")
        for _ in range(place):
            self.page.keyboard.press("ArrowRight")

    def pick(self, name, label):
        self.page.select_option(f"#{name}", label=label)

    def text(self, name):
        return self.page.inner_text(f"#{name}")

    def table(self, name):
        return self.run(
            "id => [...document.querySelectorAll('#' + id + ' tbody tr')].map("
            "r => [...r.children].map(c => c.textContent))",
            name,
        )

    def traces(self, name):
        self.run("() => new Promise(done => setTimeout(done, 200))")
        return self.run(
            "id => document.getElementById(id).data.map(t => ({name: t.name, meta: t.meta,"
            " mode: t.mode, x: Array.from(t.x), y: Array.from(t.y),"
            " symbol: t.marker && t.marker.symbol}))",
            name,
        )


@pytest.fixture
def visit(chromium, written):
    open_visits = []

    def start(path=written.page, **options):
        open_visits.append(Visit(chromium, path, **options))
        return open_visits[-1]

    yield start
    for one in open_visits:
        one.context.close()


def number(cell):
    return np.nan if cell == "-" else float(cell)


def numbers(text):
    return [float(v) for v in re.findall(r"-?\d+\.?\d*(?:e-?\d+)?", text)]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1300, 900), (360, 740)])
def test_page_is_drawn_fetches_nothing_and_does_not_scroll_sideways(visit, size, scheme):
    seen = visit(size=size, scheme=scheme)
    assert seen.said == []
    assert [url for url in seen.asked if not url.startswith(("file:", "data:"))] == []
    assert seen.run("document.documentElement.scrollWidth") <= size[0]
    assert seen.run(
        "() => [...document.querySelectorAll('.plot')].every(p => p.data.length > 0 &&"
        " p.getBoundingClientRect().height > 150 && p.getBoundingClientRect().right <= innerWidth)"
    )
    assert seen.run("document.querySelectorAll('.plot').length") == 4
    assert seen.run("window.harmed") is None


def test_every_control_has_a_name_and_every_figure_a_text(visit):
    seen = visit()
    bare = seen.run(
        "() => [...document.querySelectorAll('main select, main input')].filter("
        "c => !c.labels.length || !c.labels[0].textContent.trim()).map(c => c.id)"
    )
    assert [name for name in bare if not name.startswith("figure-")] == []
    assert seen.run(
        "() => [...document.querySelectorAll('.plot')].every("
        "p => p.getAttribute('aria-label') || p.querySelector('svg[aria-label]'))"
    )
    assert seen.run("new Set([...document.querySelectorAll('[id]')].map(e => e.id)).size") == (
        seen.run("document.querySelectorAll('[id]').length")
    )


def expected(analysis, method, prefix, **where):
    fits = analysis.fits
    part = fits[(fits["method"] == method) & np.isclose(fits["prefix"], prefix)]
    for name, value in where.items():
        part = part[part[name] == value]
    return part


@pytest.mark.parametrize(
    ("form", "loss", "place", "mix", "scale"),
    [("power", "huber", 1, "web", "1e19"), ("rational", "mae", 3, "all", "all"),
     ("ensemble", None, 0, "math", "all")],
)  # fmt: skip
def test_forecasts_are_those_of_fit_curves(visit, written, form, loss, place, mix, scale):
    seen = visit()
    seen.pick("pick-form", form)
    if loss is None:
        assert seen.page.locator("#pick-loss").is_disabled()
    else:
        seen.pick("pick-loss", loss)
    seen.pick("pick-mix", mix)
    seen.pick("pick-scale", scale)
    seen.slide("pick-prefix", place)
    prefix = [0.2, 0.4, 0.6, 0.8][place]
    assert seen.text("pick-prefix-value") == f"{prefix:g}"
    where = {} if mix == "all" else {"mix": mix}
    where |= {} if scale == "all" else {"scale": float(scale)}
    method = form if loss is None else f"{form}-{loss}"
    want = expected(written.analysis, method, prefix, **where)
    rows = seen.table("run-table")
    assert len(rows) == len(want)
    np.testing.assert_allclose([float(row[1]) for row in rows], want["predicted_final"], atol=6e-5)
    np.testing.assert_allclose([float(row[5]) for row in rows], want["abs_error"], rtol=6e-4)
    mean, worst, n = numbers(seen.text("trajectories-said"))[-3:]
    assert mean == pytest.approx(want["abs_error"].mean(), rel=1e-3)
    assert worst == pytest.approx(want["abs_error"].max(), rel=1e-3)
    assert n == len(want)

    traces = seen.traces("live-trajectories")
    lines = [t for t in traces if t["mode"] == "lines" and t["meta"] != "continuation"]
    assert len(lines) == len(want)
    finals = {t["symbol"]: t for t in traces if t["mode"] == "markers"}
    np.testing.assert_allclose(finals["diamond"]["y"], want["actual_final"])
    np.testing.assert_allclose(finals["x-thin"]["y"], want["predicted_final"])
    going_on = [t for t in traces if t["meta"] == "continuation"]
    assert len(going_on) == (0 if loss is None else len(want))
    for trace, fit in zip(going_on, want.itertuples(), strict=False):
        assert trace["x"][0] == pytest.approx(prefix)
        curve = delphi.curve_loss(trace["x"], form, fit.F, fit.A, fit.theta_0, fit.theta_1)
        np.testing.assert_allclose(trace["y"], curve, rtol=1e-6)


@pytest.mark.parametrize(
    ("target", "mix", "lr"), [(0.01, "all", "all"), (0.02, "web", "all"), (0.006, "math", "0.002")]
)
def test_search_is_that_of_search_configs(visit, written, target, mix, lr):
    seen = visit()
    seen.page.fill("#target", str(target))
    seen.pick("search-mix", mix)
    seen.pick("search-lr", lr)
    options = {} if mix == "all" else {"mix": mix}
    options |= {} if lr == "all" else {"lr": float(lr)}
    found = delphi.search_configs(written.analysis.fits, target=target, **options)
    for name, table in (("search-table", found.table), ("search-all", found.reference)):
        rows = seen.table(name)
        want = table.head(len(rows))
        assert len(rows) == min(12, len(table))
        assert [row[0] for row in rows] == want["method"].tolist()
        assert [float(row[1]) for row in rows] == want["prefix"].tolist()
        assert [row[5] == "yes" for row in rows] == want["qualifies"].tolist()
        np.testing.assert_allclose([float(row[4]) for row in rows], want["worst"], rtol=6e-4)
        np.testing.assert_allclose([float(row[3]) for row in rows], want["mae"], rtol=6e-4)
    cv = found.cross_validated
    said = seen.text("search-cv")
    if cv["n_chosen"]:
        hit, n, worst, prefix = numbers(said)
        assert (hit, n) == (pytest.approx(100 * cv["hit_rate"], rel=6e-3), cv["n_chosen"])
        assert worst == pytest.approx(cv["worst"], rel=1e-3)
        assert prefix == pytest.approx(cv["prefix"], rel=6e-3)
    else:
        assert "nothing qualifies" in said
    assert ("Earliest" in seen.text("search-said")) == found.ok
    for row in seen.table("search-scales"):
        part = found.per_scale[found.per_scale["scale"] == float(row[0])].iloc[0]
        assert (row[1] != "none") == bool(part["qualifies"])
        if part["qualifies"]:
            assert (row[1], float(row[2])) == (part["method"], part["prefix"])


def test_a_bad_target_is_said_and_breaks_nothing(visit):
    seen = visit()
    seen.page.fill("#target", "-1")
    assert "must be a number above 0" in seen.text("search-said")
    assert seen.page.get_attribute("#target", "aria-invalid") == "true"
    seen.page.fill("#target", "0.5")
    assert "Earliest" in seen.text("search-said")
    assert seen.said == []


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("line", [False, True])
def test_endpoint_laws_are_those_of_fit_endpoints(visit, written, place, line):
    seen = visit()
    seen.slide("end-cutoff", place)
    if line:
        seen.page.check("#end-line")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", delphi.FitWarning)
        a = written.analysis
        ends = a.runs.keys.assign(loss=a.runs.actual)
        laws = delphi.fit_endpoints(
            ends, compute="scale", cutoff=[1e19, 3e19][place], held_out=1e20
        )
    key = "line_percent_error" if line else "percent_error"
    said = seen.text("endpoints-said")
    errors = laws.held_out[key].abs()
    if errors.notna().any():
        assert f"mean error {errors.mean():.3g}%" in said
        assert f"worst {errors.max():.3g}%" in said
    else:  # two scales do not determine a law with a floor
        assert (place, line) == (0, False)
        assert "No held-out run with a forecast" in said
    rows = seen.table("law-table")
    np.testing.assert_allclose([number(r[2]) for r in rows], laws.laws["E"], rtol=6e-4, atol=1e-6)
    np.testing.assert_allclose([number(r[4]) for r in rows], laws.laws["alpha"], rtol=6e-4)
    held = seen.table("held-table")
    np.testing.assert_allclose(
        np.sort([number(r[4]) for r in held]), np.sort(laws.held_out["percent_error"]), rtol=6e-3
    )
    traces = seen.traces("live-endpoints")
    used = laws.points["used"].value_counts()
    for kind, symbol in (("fit", "circle"), ("cut", "circle-open"), ("held out", "triangle-up")):
        points = [t for t in traces if t["meta"] == kind]
        assert sum(len(t["x"]) for t in points) == used.get(kind, 0)
        assert all(t["symbol"] == symbol for t in points)
    for trace in traces:
        if trace["meta"] == "law":
            mix, lr = trace["name"].split(", lr ")
            want = laws.predict(trace["x"][:3], line=line)
            want = want[(want["mix"] == mix) & (want["lr"] == float(lr))]["predicted"]
            np.testing.assert_allclose(trace["y"][:3], want, rtol=1e-6)


def test_joint_scores_are_those_of_score_joint_curves(visit, written):
    seen = visit()
    joint = written.analysis.joint
    for kind, cells in (("own prefix", ""), ("cut", "mix"), ("left out", "flops")):
        seen.pick("joint-kind", kind if not cells else f"{kind}: {cells}")
        part = joint[
            (joint["scope"] == "global") & (joint["kind"] == kind) & (joint["cells"] == cells)
            & (joint["ridge"] == 1e-6)
        ].set_index(["method", "prefix"])  # fmt: skip
        rows = seen.table("joint-table")
        assert {row[0] for row in rows} >= {"joint-power-huber", "power-huber", "last value"}
        for row in rows:
            want = part.loc[(row[0], float(row[1]))]
            assert float(row[3]) == pytest.approx(want["mae"], rel=1e-3)
            assert float(row[4]) == pytest.approx(want["worst"], rel=1e-3)


def test_the_ridge_of_joint_fits_is_chosen(visit, written):
    seen = visit()
    for label, ridge in (("1e-06", 1e-6), ("0.01", 1e-2)):
        seen.pick("joint-ridge", label)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", delphi.FitWarning)
            want = delphi.score_joint_curves(
                grid(), kinds=["own prefix"], forms="power", losses="huber", ridge=ridge,
                prefixes=[0.2, 0.4, 0.6, 0.8],
            ).set_index(["method", "prefix"])  # fmt: skip
        rows = seen.table("joint-table")
        assert len(rows) == 16
        for row in rows:
            one = want.loc[(row[0], float(row[1]))]
            assert float(row[3]) == pytest.approx(one["mae"], rel=1e-3)
            assert float(row[5]) == pytest.approx(one["bias"], rel=1e-3)
    seen.pick("joint-kind", "cut: mix")
    assert "No joint fit of this kind" in seen.text("joint-said")
    assert seen.said == []


def test_cards_stand_on_the_page_and_in_the_file(visit, written):
    seen = visit()
    cards = json.loads((written.directory / "cards.json").read_text())
    laws = seen.run(
        "() => [...document.querySelectorAll('section[aria-labelledby=cards] summary')]"
        ".map(s => s.innerText)"
    )
    assert laws == [name for name in cards if name.startswith(("joint", "endpoint"))]
    assert laws[0] == "joint fits, global, ridge 1e-06"
    assert "endpoint laws up to 3e19 FLOPs" in laws
    seen.page.click(".card >> nth=0")
    assert "joint learning curves" in seen.page.inner_text(".card >> nth=0")
    runs = [name for name in cards if name.endswith(", power-huber from prefix 0.6")]
    assert len(runs) == 16
    fits = written.analysis.fits
    row = fits[(fits["method"] == "power-huber") & (fits["prefix"] == 0.6)]
    row = row[row["run"] == "math-1e19-0.001"].iloc[0]
    card = delphi.curve_card(row, grid())
    name = "math-1e19-0.001, power-huber from prefix 0.6"
    assert cards[name] == card.to_dict()

    for place, name in enumerate(runs):
        seen.page.select_option("#card-run", index=place)
        got = seen.run(
            "() => Object.fromEntries([...document.querySelectorAll('#run-card tr')].filter("
            "r => r.cells.length === 2).map(r => [...r.cells].map(c => c.textContent)))"
        )
        want = cards[name]
        assert got["law"] == "learning curve, power"
        assert got["n points"] == str(want["n_points"])
        assert want["hashes"]["points"]["sha256"] in got["hashes"]
        assert f"F: {want['parameters']['F']:.6g}" in got["parameters"]
    assert seen.run("window.harmed") is None
    assert seen.said == []


def test_heat_map_shows_the_best_fit_of_every_scale(visit, written):
    seen = visit()
    drawn = seen.run(
        "() => { const t = document.getElementById('figure-best-forms').data[0];"
        " return {x: t.x, y: t.y, c: JSON.parse(JSON.stringify(t.customdata))}; }"
    )
    best = written.analysis.by_scale
    best = best[best["best"]]
    assert drawn["x"] == ["0.2", "0.4", "0.6", "0.8"]
    for i, scale in enumerate(sorted(best["scale"].unique())):
        for k, prefix in enumerate((0.2, 0.4, 0.6, 0.8)):
            rows = best[(best["scale"] == scale) & np.isclose(best["prefix"], prefix)]
            assert drawn["c"][i][k][0] == rows["method"].iloc[0]


def test_page_hides_nothing_and_data_are_thinned_for_drawing_only(written):
    data = payload(written.analysis)
    assert max(map(len, data["tau"])) == 120
    assert "120 of up to 150 points" in written.page.read_text()
    assert len(data["run"]) == written.analysis.fits["run"].nunique()
    names = {path.name for path in written.files}
    assert {"curves.html", "fits.csv", "scores.csv", "endpoint_laws.csv"} <= names
    fits = pd.read_csv(written.directory / "fits.csv")
    assert len(fits) == len(written.analysis.fits)
    json.dumps(data, allow_nan=False)


def test_theme_is_switched_and_colours_follow(visit):
    seen = visit()
    colour = "() => document.getElementById('live-trajectories').data[0].line.color"
    before = seen.run(colour)
    seen.page.click("#theme")
    seen.run("() => new Promise(done => setTimeout(done, 300))")
    assert seen.run("document.documentElement.dataset.theme") == "dark"
    assert seen.run(colour) != before
