"""The page in a real browser: drawn, usable with keys and on a phone, readable, and harmless."""

from __future__ import annotations

import dataclasses
import json
import re
import time
import warnings

import numpy as np
import pandas as pd
import pytest

import delphi
from delphi import simulate
from delphi.cli import main

go = pytest.importorskip("plotly.graph_objects")
pytest.importorskip("jinja2")
pytest.importorskip("playwright.sync_api")

from delphi import figures  # noqa: E402
from delphi.figures import theme  # noqa: E402
from delphi.report import build_report  # noqa: E402
from delphi.report.page import Plot, render_page  # noqa: E402
from delphi.shorthand import printable  # noqa: E402
from tests.browser import BROWSER, DRAWN, PHONE, WIDE, Visit  # noqa: E402

pytestmark = [
    pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome here"),
    pytest.mark.slow,
]
OVERTRAINING = "overtraining-forecast-aster"


@pytest.fixture
def visit(chromium):
    open_visits = []

    def start(*arguments, **options):
        open_visits.append(Visit(chromium, *arguments, **options))
        return open_visits[-1]

    yield start
    for one in open_visits:
        one.context.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    runs = simulate.ladder(crashed=True, seeds=2, rng=0)
    aster = (runs["suite"] == "Aster") & (runs["budget"] == 3e18)  # one bucket without an optimum
    best = simulate.truth(simulate.DEFAULT_SUITES["Aster"]).tokens(3e18)
    runs = runs[~(aster & (runs["tokens"] > 0.7 * best))].reset_index(drop=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", delphi.FitWarning)
        return build_report(runs, tmp_path_factory.mktemp("page") / "out")


@pytest.fixture(scope="module")
def opened(chromium, report):
    """The report as it is in a window of some size and scheme, for tests that change nothing."""
    pages = {}

    def of(size=WIDE, scheme="light"):
        if (size, scheme) not in pages:
            pages[size, scheme] = Visit(chromium, report.page, size=size, scheme=scheme)
        return pages[size, scheme]

    yield of
    for page in pages.values():
        page.context.close()


def expected(report):
    """How many traces the figures have on disk."""
    files = report.figures.items()
    return {name: len(json.loads(path.read_text())["data"]) for name, path in files}


def test_errors_and_fetches_are_heard(tmp_path, visit):
    page = tmp_path / "page.html"
    page.write_text(
        "<title>t</title><html data-drawn data-pending=0><img src='https://example.org/x.png'>"
        "<script>nothing()</script>"
    )
    seen = visit(page)
    seen.settled()
    assert any("nothing is not defined" in text for text in seen.said)
    assert "https://example.org/x.png" in seen.asked


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, PHONE])
def test_page_draws_every_figure_and_says_nothing(report, opened, size, scheme):
    seen = opened(size, scheme)
    assert seen.said == []
    assert [url for url in seen.asked if not url.startswith(("file:", "data:"))] == []
    assert seen.traces() == expected(report)
    drawn = seen.run(
        "() => [...document.querySelectorAll('.plot')].every(p => "
        "p.querySelectorAll('.main-svg').length > 1 && p.getBoundingClientRect().height > 150)"
    )
    assert drawn
    text = seen.page.inner_text("body")
    for said in ("Run Diverged", "extrapolation \u2192", "not used: clipped"):
        assert said in text
    if size == WIDE:
        assert "Truth beside estimate" in text
        assert re.search(r"\d\.\d% (worse|better)", text)


@pytest.fixture(scope="module")
def resized(chromium, report):
    """A window that is made wider and narrower."""
    seen = Visit(chromium, report.page, size=(360, 700))
    yield seen
    seen.context.close()


@pytest.mark.parametrize("width", [360, 320, 414, 641, 800, 1100, 1300])
def test_no_width_scrolls_sideways(resized, width):
    seen = resized
    if seen.page.viewport_size["width"] != width:
        seen.resize(width, 700)
    assert seen.run("document.documentElement.scrollWidth") <= width
    # A table is wider than a phone, and moves inside of its box.
    if width == 360:
        assert seen.run(
            "() => [...document.querySelectorAll('.table')].some("
            "t => t.scrollWidth > t.clientWidth)"
        )
        outside = seen.run(
            "() => [...document.querySelectorAll('.plot')].filter("
            "p => p.getBoundingClientRect().right > innerWidth || p.scrollWidth > p.clientWidth)"
            ".map(p => p.id)"
        )
        assert outside == []


def test_figures_stack_when_the_screen_gets_narrow(report, resized):
    seen = resized
    seen.resize(*WIDE)
    domain = "() => document.getElementById('figure-ladder-aster')._fullLayout.xaxis2.domain"
    beside = seen.run(domain)
    seen.resize(*PHONE)
    stacked = seen.run(domain)
    assert beside[0] > 0.4
    assert stacked[0] == 0
    assert seen.traces() == expected(report)
    assert seen.said == []


@pytest.mark.parametrize("size", [WIDE, PHONE])
def test_slider_moves_the_forecast_by_key(report, visit, size):
    seen = visit(report.page, size=size)
    slider = seen.page.locator(f"#figure-{OVERTRAINING}-controls input[type=range]")
    before = json.loads(seen.data(OVERTRAINING))
    assert seen.page.locator(f"#figure-{OVERTRAINING}-controls output").inner_text() == "2\u00d7"
    slider.focus()
    seen.page.keyboard.press("End")
    seen.settled()
    after = json.loads(seen.data(OVERTRAINING))
    frames = json.loads(report.figures[OVERTRAINING].read_text())["frames"]
    want = frames[-1]
    assert frames[-1]["name"] == "10.0"
    assert slider.get_attribute("aria-valuetext") == "10\u00d7"
    moved = [i for i, (a, b) in enumerate(zip(before, after, strict=True)) if a["x"] != b["x"]]
    assert moved
    assert set(moved) <= set(want["traces"])
    for i, part in zip(want["traces"], want["data"], strict=True):
        assert after[i]["x"] == part["x"]
        assert after[i]["y"] == part["y"]
    note = seen.run(
        "id => document.getElementById(id).layout.annotations.map(a => a.text).join()",
        f"figure-{OVERTRAINING}",
    )
    assert "10\u00d7 overtrained" in note
    assert seen.page.locator(f"#figure-{OVERTRAINING} .slider-container").count() == 0
    # The step outlives a change of the theme.
    seen.page.click("#theme")
    seen.settled()
    assert json.loads(seen.data(OVERTRAINING))[want["traces"][0]]["x"] == want["data"][0]["x"]
    assert seen.said == []


def test_menus_of_figures_work(tmp_path, visit):
    fig = go.Figure(go.Scatter(x=[1, 2], y=[1, 2]))
    buttons = [
        {"label": "up", "method": "restyle", "args": [{"y": [[1, 2]]}]},
        {"label": "down", "method": "restyle", "args": [{"y": [[2, 1]]}]},
    ]
    fig.update_layout(updatemenus=[{"buttons": buttons}], height=300)
    path = tmp_path / "page.html"
    plot = Plot("menu", "Menu", "Up or down.", fig.to_json())
    path.write_text(render_page("t", "s", ["r"], [plot], [], "1"))
    seen = visit(path)
    assert json.loads(seen.data("menu"))[0]["y"] == [1, 2]
    seen.page.select_option("#figure-menu-controls select", label="down")
    seen.settled()
    assert json.loads(seen.data("menu"))[0]["y"] == [2, 1]
    assert seen.said == []


def test_theme_follows_the_system_and_the_button_and_is_kept_nowhere(report, visit):
    seen = visit(report.page, scheme="dark")
    paper = "() => getComputedStyle(document.querySelector('figure')).backgroundColor"
    ink = "() => getComputedStyle(document.querySelector('#figure-ladder-aster .xtick text')).fill"
    button = seen.page.locator("#theme")
    dark = seen.run(paper), seen.run(ink)
    assert button.get_attribute("aria-pressed") == "true"
    button.click()
    seen.settled()
    light = seen.run(paper), seen.run(ink)
    assert button.get_attribute("aria-pressed") == "false"
    assert light == ("rgb(255, 255, 255)", "rgb(34, 37, 43)")
    assert dark[0] != light[0]
    assert dark[1] != light[1]
    button.click()
    seen.settled()
    assert (seen.run(paper), seen.run(ink)) == dark
    seen.page.emulate_media(color_scheme="light")  # whoever chose keeps the choice
    seen.settled()
    assert seen.run(paper) == dark[0]
    seen.page.reload()
    seen.page.wait_for_selector(DRAWN, state="attached")
    assert seen.run(paper) == light[0]
    assert seen.run("document.cookie") == ""
    assert seen.said == []


# Contrast of every text with what is behind it, of pages and of figures alike.
FAINT = """() => {
  const parse = c => { const m = /rgba?\\(([^)]+)\\)/.exec(c);
    const v = m[1].split(',').map(Number); return v.length < 4 ? [...v, 1] : v; };
  const over = (top, base) => top.slice(0, 3).map((v, i) => v * top[3] + base[i] * (1 - top[3]));
  const lum = rgb => { const c = rgb.map(v => { v /= 255;
    return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * c[0] + 0.7152 * c[1] + 0.0722 * c[2]; };
  const ground = e => { const stack = [];
    for (let n = e; n; n = n.parentElement) {
      const c = parse(getComputedStyle(n).backgroundColor);
      if (c[3] > 0) { stack.push(c); if (c[3] === 1) break; } }
    return stack.reverse().reduce((base, c) => over(c, base), [255, 255, 255]); };
  const found = [], folded = [...document.querySelectorAll('details')].filter(d => !d.open);
  folded.forEach(d => { d.open = true; });
  let looked = 0;
  for (const e of document.querySelectorAll('body *')) {
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
    if (!own || /SCRIPT|STYLE|NOSCRIPT|OPTION/.test(e.tagName)) continue;
    const style = getComputedStyle(e), svg = e.namespaceURI.includes('svg');
    const paint = svg ? style.fill : style.color;
    if (!paint.startsWith('rgb') || style.visibility === 'hidden') continue;
    const base = ground(e), text = parse(paint);
    if (text[3] === 0 || style.opacity === '0') continue;
    const a = lum(over(text, base)), b = lum(base);
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const size = parseFloat(style.fontSize), bold = +style.fontWeight >= 700;
    looked += 1;
    if (ratio < (size >= 24 || (bold && size >= 18.66) ? 3 : 4.5))
      found.push([e.textContent.slice(0, 40), paint, ratio.toFixed(2)]);
  }
  folded.forEach(d => { d.open = false; });
  return [looked, found];
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_contrast(opened, scheme):
    looked, faint = opened(scheme=scheme).run(FAINT)
    assert looked > 800
    assert faint == []


def test_keys_reach_everything_in_the_order_of_the_page(report, visit):
    seen = visit(report.page)
    here = (
        "() => { const e = document.activeElement, s = getComputedStyle(e); return {id: e.id, "
        "tag: e.tagName, cls: String(e.className), top: e.getBoundingClientRect().top + scrollY, "
        "left: e.getBoundingClientRect().left, outline: s.outlineStyle, width: s.outlineWidth}; }"
    )
    seen.page.keyboard.press("Tab")
    first = seen.run(here)
    assert first["cls"] == "skip"
    assert first["left"] >= 0
    seen.page.keyboard.press("Enter")
    assert seen.run("document.activeElement.id") == "main"
    seen.page.reload()
    seen.page.wait_for_selector(DRAWN, state="attached")
    stops = []
    for _ in range(400):
        seen.page.keyboard.press("Tab")
        stop = seen.run(here)
        if stop["tag"] == "BODY":
            break
        stops.append(stop)
    assert all(s["outline"] not in ("none", "") and s["width"] != "0px" for s in stops)
    order = [s["cls"] if s["cls"] == "skip" else s["id"] or s["tag"] for s in stops]
    assert order[:2] == ["skip", "theme"]
    ranges = [i for i, s in enumerate(stops) if s["tag"] == "INPUT"]
    tables = [i for i, s in enumerate(stops) if s["cls"] == "table"]
    assert len(ranges) == 2
    assert len(tables) == len(report.tables)
    assert max(ranges) < min(tables)
    tops = [s["top"] for s in stops if s["tag"] == "INPUT" or s["cls"] == "table"]
    assert tops == sorted(tops)
    # Nothing inside of a picture can be reached: it is one image with a text.
    labels = seen.run(
        "() => [...document.querySelectorAll('.plot')].map(p => "
        "p.querySelector('svg[role=img]').getAttribute('aria-label'))"
    )
    assert len(labels) == len(report.figures)
    assert all(len(label) > 40 for label in labels)
    assert seen.run(
        "() => [...document.querySelectorAll('button')].every(b => "
        "(b.getAttribute('aria-label') || b.textContent).trim())"
    )
    assert not seen.run(
        "() => [...document.querySelectorAll('[role=img] *')].some(e => e.tabIndex >= 0 "
        "&& (e.tagName === 'A' && e.hasAttribute('href') || e.hasAttribute('tabindex') "
        "|| /BUTTON|INPUT|SELECT/.test(e.tagName)))"
    )


def test_contents_unfold_on_a_phone_and_lead_somewhere(report, visit):
    seen = visit(report.page, size=PHONE)
    link = seen.page.get_by_role("link", name="Scaling laws", exact=True)
    assert not link.is_visible()
    seen.page.click("nav summary")
    assert link.is_visible()
    link.click()
    assert not link.is_visible()
    top = "document.getElementById('laws-title').getBoundingClientRect().top"
    bar = "document.querySelector('.bar').getBoundingClientRect().bottom"
    seen.page.wait_for_function(f"() => {top} < {bar} + 60")  # it scrolls smoothly
    assert seen.run(f"{top} > {bar}")


HARM = "window.harmed=1;document.title='harmed'"


def hostile():
    """Fifty names that try to be more than text."""
    names = [
        f"<script>{HARM}</script>", f"</script><script>{HARM}</script>", f"]]></script>{HARM}",
        f"<img src=x onerror=\"{HARM}\">", f"'\"><img src=x onerror={HARM}>",
        "<svg/onload=alert(1)>",
        f"<svg><script>{HARM}</script></svg>", f"<a href=\"javascript:{HARM}\">click</a>",
        f"javascript:{HARM}", "<iframe srcdoc='<script>alert(1)</script>'>",
        "<!-- never closed",
        "--><b>", "<![CDATA[x]]>", "</style><style>body{display:none}", "</title><b>",
        "</textarea>",
        "<base href=https://example.org>", "<meta http-equiv=refresh content=0;url=//example.org>",
        "<form action=//example.org><button>", "<body onload=alert(1)>", "&lt;b&gt;",
        "&amp;nbsp;",
        "&#60;script&#62;", "%3Cscript%3E", "{{ 7 * 7 }}", "{% raw %}", "{# no #}", "${7*7}",
        "#{7}",
        "$x^2$", "$$\\frac{1}{2}$$", "\\(\\alpha\\)", "%{y} %{customdata[0]}", "%{x|%Y}",
        "<br><b>bold</b><sup>2</sup>", "x" * 10_000, "<b>" * 400, "\u202eright to left\u202c",
        "\u05d0\u05d1\u05d2 \u0627\u0644\u0639", "\u200f\u200e\u2066\u2069", "a\x00b", "a\x01\x08b",
        "\x1b[31mred", "\U0001f469\u200d\U0001f4bb \U0001f9d1\U0001f3ff",
        "e\u0301\u0301\u0301\u0301",
        "\ufeffbom \ufffe", "line\nbreak\ttab\r", "__proto__", "constructor",
        "'; DROP TABLE runs; --",
    ]  # fmt: skip
    assert len(set(names)) == len(names) == 50
    return names


def table_of(names):
    """A run table with a suite and run names for each of them."""
    surface = simulate.DEFAULT_SUITES["Aster"]
    runs = simulate.ladder(
        suites=dict.fromkeys(names, surface), budgets=(1e18, 1e19, 1e20), held_out=(1e21,), rng=0
    )
    runs["name"] = [names[i % len(names)] for i in range(len(runs))]
    return runs


@pytest.fixture(scope="module")
def hostile_report(tmp_path_factory):
    names = hostile()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", delphi.FitWarning)
        out = tmp_path_factory.mktemp("hostile") / "out"
        return build_report(table_of(names), out, title=names[0])


@pytest.mark.parametrize("size", [WIDE, PHONE])
def test_fifty_hostile_names_do_nothing_and_are_all_there(hostile_report, visit, size):
    names, report = hostile(), hostile_report
    seen = visit(report.page, size=size)
    assert seen.said == []
    assert [url for url in seen.asked if not url.startswith(("file:", "data:"))] == []
    assert seen.run("window.harmed === undefined && !document.querySelector('[onerror],[onload]')")
    assert seen.page.title() == names[0]
    assert seen.run("document.documentElement.scrollWidth") <= size[0]
    assert seen.run("document.querySelectorAll('main a, iframe, object, form, base').length") == 0
    # All of every name is in the table, be it folded.
    cells = seen.run(
        "() => [...document.querySelectorAll('#table-data tbody th')].map("
        "c => (c.querySelector('.long') ? c.querySelector('.long').lastChild : c).textContent)"
    )
    assert sorted(cells) == sorted(printable(name) for name in names)
    assert sorted(json.loads(report.cards.read_text())) == sorted(names)
    assert seen.traces() == expected(report)
    drawn = list(dict.fromkeys(row["suite"] for row in report.tables["data"].to_records()))[:12]
    assert len(report.figures) >= 2 + 4 * len(drawn)
    headings = seen.run("() => [...document.querySelectorAll('main h3')].map(h => h.textContent)")
    for name in drawn:
        assert any(h[:60] == printable(name)[:60].strip() or len(name) > 100 for h in headings)
    # The menu has all of them, as text, and draws them.
    menu = seen.page.get_by_label("Suite", exact=True)
    offered = menu.locator("option").all_text_contents()
    assert [re.sub(r"\s", "", text) for text in offered] == [
        plain(theme.safe(row["suite"])) for row in report.tables["data"].to_records()
    ]
    for at in (1, len(offered) // 2, len(offered) - 1):
        menu.select_option(index=at)
        seen.settled()
    assert seen.run("window.harmed === undefined && !document.querySelector('[onerror],[onload]')")
    # The runs of the drawn suites bear all of the names.
    assert hovered(seen) == {plain(theme.safe(name)) for name in names}
    assert seen.said == []
    assert seen.page.title() == names[0]


def plain(text):
    """What plotly shows of an escaped text, but for white space."""
    text = re.sub(r"&#(\d+);", lambda m: chr(int(m[1])), text)
    for entity, sign in (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
        text = text.replace(entity, sign)
    return re.sub(r"\s", "", text)


def hovered(seen):
    """Hover over a run of each name in the ladders; the names that were read there."""
    found = seen.run(
        """async () => {
          const said = [], seen = new Set();
          for (const plot of document.querySelectorAll('.plot[id*=ladder-]')) {
            for (const [at, trace] of plot.data.entries()) {
              if (trace.mode !== 'markers' || !/<br>budget/.test(trace.hovertemplate)) continue;
              for (const i of trace.x.keys()) {
                const name = trace.customdata[i][0];
                if (typeof name !== 'string' || seen.has(name)) continue;
                seen.add(name);
                // Plotly takes 50 ms a hover: what the last one wrote goes, then it is awaited.
                plot.querySelectorAll('.hoverlayer > *').forEach(old => old.remove());
                Plotly.Fx.hover(plot, [{curveNumber: at, pointNumber: i}], ['xy']);
                for (let t = 0; t < 400 && !plot.querySelector('.hoverlayer .nums .line'); t++)
                  await new Promise(done => setTimeout(done, 5));
                const line = plot.querySelector('.hoverlayer .nums .line');
                const links = plot.querySelectorAll('.hoverlayer a, .infolayer a').length;
                said.push([line ? line.textContent : '', links]);
              }
            }
          }
          return said;
        }"""
    )
    assert not any(links for _, links in found)
    return {re.sub(r"\s", "", text) for text, _ in found}


def test_fifty_hostile_suites_are_drawn_as_they_are_called(tmp_path, visit):
    names = hostile()
    ladder = delphi.fit_isoflops(table_of(names))
    plots = []
    for i in range(0, len(names), 10):
        few = ladder.suites[i : i + 10]
        part = dataclasses.replace(
            ladder,
            runs=ladder.runs[ladder.runs["suite"].isin(few)].reset_index(drop=True),
            fits=ladder.fits[ladder.fits["suite"].isin(few)].reset_index(drop=True),
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", delphi.FitWarning)
            fig = figures.scaling_law_asymptote(part, part.laws())
        plots.append(Plot(f"laws-{i}", few[0], few[1], fig.to_json(), group=few[2]))
    path = tmp_path / "page.html"
    path.write_text(render_page(names[0], names[1], names, plots, [], names[2], names[3]))
    seen = visit(path)
    assert seen.said == []
    assert seen.asked == [path.as_uri()] or all(
        u.startswith(("file:", "data:")) for u in seen.asked
    )
    legend = seen.run(
        "() => [...document.querySelectorAll('.legendtext')].map("
        "t => [...t.querySelectorAll('.line')].length ? t.querySelector('.line').textContent "
        ": t.textContent)"
    )
    assert {re.sub(r"\s", "", text) for text in legend} == {plain(theme.safe(n)) for n in names}
    assert seen.run("window.harmed === undefined && !document.querySelector('[onerror],[onload]')")
    assert seen.run("document.querySelectorAll('main a, svg a, iframe, base').length") == 0
    assert seen.page.title() == names[0]
    said = seen.run(
        "() => [...document.querySelectorAll('.reading li')].map("
        "c => (c.querySelector('.long') ? c.querySelector('.long').lastChild : c).textContent)"
    )
    assert said == [printable(name) for name in names]


def many_runs():
    """200 suites, 5,000 buckets, 200,000 runs."""
    rng = np.random.default_rng(0)
    n_suites, n_budgets, n_runs = 200, 25, 40
    suite = np.repeat([f"suite {i:03d}" for i in range(n_suites)], n_budgets * n_runs)
    budget = np.tile(np.repeat(10 ** np.linspace(18, 21, n_budgets), n_runs), n_suites)
    budget = np.array([float(f"{b:.2g}") for b in budget])
    surface = simulate.truth(simulate.DEFAULT_SUITES["Aster"])
    scale = np.tile(10 ** np.linspace(-0.8, 0.8, n_runs), n_suites * n_budgets)
    tokens = surface.tokens(budget) * scale
    loss = surface.L_inf + surface.A * budget**-surface.alpha + 0.1 * np.log10(scale) ** 2
    return pd.DataFrame(
        {
            "name": np.arange(len(suite)).astype(str), "suite": suite, "run_type": "isoflop",
            "params": budget / (6 * tokens), "tokens": tokens, "flops": budget, "budget": budget,
            "loss": loss * rng.lognormal(0, 0.001, len(suite)), "state": "finished",
        }
    )  # fmt: skip


def test_two_hundred_suites_open_and_each_can_be_looked_at(tmp_path, visit):
    runs = many_runs()
    assert len(runs) == 200_000
    assert len(runs.drop_duplicates(["suite", "budget"])) == 5_000
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", delphi.FitWarning)
        ladder = delphi.fit_isoflops(runs)
        report = build_report(ladder, tmp_path / "out")
    size = report.page.stat().st_size
    assert size < 25e6
    start = time.perf_counter()
    seen = visit(report.page)
    print(f"page of {size / 1e6:.1f} MB, drawn in {time.perf_counter() - start:.1f} s")
    assert seen.said == []
    assert seen.traces() == expected(report)
    text = seen.page.inner_text("main")
    for said in (
        "the first 12 of 200 suites", "24 of up to 25 budgets of a suite",
        "Of 200 suites the first 12 have such a figure.", "The first 300 of 5,000 rows",
        "Here are the first 12 of 200.", "Each of the 200 suites by the menu.",
        "Drawn: 12 of up to 25 budgets of a suite; 12 of up to 40 runs a budget, evenly spaced.",
    ):  # fmt: skip
        assert said in text, said
    assert len(json.loads(report.cards.read_text())) == 200
    assert seen.run("document.documentElement.scrollWidth") <= WIDE[0]
    # The menu by keyboard: the last suite, then one in the middle.
    menu = seen.page.get_by_label("Suite", exact=True)
    assert menu.locator("option").count() == 200
    menu.focus()
    seen.page.keyboard.press("End")
    seen.settled()
    assert drawn_optima(seen) == pytest.approx(rounded(ladder, "suite 199"))
    label = "#figure-suite-browser svg[role=img]"
    assert seen.page.get_attribute(label, "aria-label").endswith("Shown: suite 199")
    menu.select_option(label="suite 107")
    seen.settled()
    assert drawn_optima(seen) == pytest.approx(rounded(ladder, "suite 107"))
    assert seen.traces() == expected(report)
    assert seen.said == []


def test_the_menu_of_suites_keeps_its_choice(tmp_path, visit):
    surface = simulate.DEFAULT_SUITES["Aster"]
    runs = simulate.ladder(suites={f"s{i}": surface for i in range(15)}, rng=0)
    ladder = delphi.fit_isoflops(runs)
    laws, posteriors = ladder.laws(), ladder.posteriors()
    wide, narrow = (
        figures.suite_browser(ladder, laws, None, posteriors, mobile=mobile)
        for mobile in (False, True)
    )
    path = tmp_path / "page.html"
    plot = Plot("suite-browser", "Any suite", "One of them.", wide.to_json(), narrow.to_json())
    text = render_page("t", "s", ["r"], [plot], [], "1")
    # What the menu draws is there once, whatever the width of the screen.
    last = ladder.suites[-1]
    assert text.count(f'"label":"{last}"') == 1
    path.write_text(text)
    seen = visit(path)
    menu = seen.page.get_by_label("Suite", exact=True)
    menu.focus()
    seen.page.keyboard.press("End")
    seen.settled()
    assert drawn_optima(seen) == pytest.approx(rounded(ladder, last))
    seen.page.click("#theme")
    seen.settled()
    assert drawn_optima(seen) == pytest.approx(rounded(ladder, last))
    seen.resize(*PHONE)
    assert drawn_optima(seen) == pytest.approx(rounded(ladder, last))
    domain = "document.getElementById('figure-suite-browser')._fullLayout.xaxis2.domain[0]"
    assert seen.run(domain) == 0
    assert seen.run("document.documentElement.scrollWidth") <= PHONE[0]
    assert seen.run("document.getElementById('figure-suite-browser').data.length") == len(wide.data)
    assert seen.said == []


def drawn_optima(seen):
    """Losses of the optima on the right of the figure that the menu changes."""
    return seen.run(
        "() => document.getElementById('figure-suite-browser').data"
        ".find(t => t.name === 'optima').y"
    )


def rounded(ladder, suite):
    """The same from the ladder, to the digits that are drawn."""
    optima = ladder.optima[ladder.optima["suite"] == suite].sort_values("compute")
    return [float(f"{y:.5g}") for y in optima["loss_star"]]


def test_real_runs_page(data_dir, tmp_path, visit):
    files = sorted(str(path) for path in (data_dir / "marin").glob("*.csv"))
    assert main(["report", *files, "-o", str(tmp_path / "out"), "--quiet"]) == 0
    seen = visit(tmp_path / "out" / "index.html")
    assert seen.said == []
    traces = seen.traces()
    assert len(traces) == 26
    assert all(traces.values())
    text = seen.page.inner_text("body")
    for said in ("not used: concave", "optimum off centre", "floor not identified"):
        assert said in text
