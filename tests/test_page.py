"""The page in a real browser: no complaint on the console, every figure drawn, no harm done."""

import html.parser
import re
import shutil
import subprocess

import pytest

from delphi import simulate
from delphi.cli import main
from delphi.report import build_report

pytest.importorskip("plotly")

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = [
    pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome here"),
    pytest.mark.slow,
]


class Dom(html.parser.HTMLParser):
    """The page as the browser has it after its scripts ran."""

    def __init__(self, text):
        super().__init__()
        self.plots, self.tables, self.title, self.body, self.tag = {}, [], "", "", ""
        self.stack = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if "js-plotly-plot" in (attrs.get("class") or ""):
            self.plots[attrs["id"]] = 0
            self.stack.append(attrs["id"])
        if tag == "svg" and "main-svg" in (attrs.get("class") or "") and self.stack:
            self.plots[self.stack[-1]] += 1
        if tag == "table":
            self.tables.append(attrs["id"])
        self.tag = tag

    def handle_endtag(self, tag):
        self.tag = ""

    def handle_data(self, data):
        if self.tag == "title":
            self.title += data
        elif self.tag not in ("script", "style"):
            self.body += data


def browse(path, tmp_path, size="1100,900"):
    """Open a file without a network; returns the page and what was said on the console."""
    command = [
        BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
        f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={size}",
        "--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=30000",
        "--enable-logging=stderr", "--dump-dom", path.resolve().as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, timeout=180, check=True)
    said = [line for line in done.stderr.decode(errors="replace").splitlines() if "CONSOLE" in line]
    return Dom(done.stdout.decode()), said


def test_console_is_heard(tmp_path):
    page = tmp_path / "page.html"
    page.write_text("<title>t</title><script>nothing()</script>")
    dom, said = browse(page, tmp_path)
    assert dom.title == "t"
    assert "nothing is not defined" in said[0]


@pytest.mark.parametrize("size", ["1100,900", "500,800"])
def test_page_draws_every_figure(tmp_path, size):
    report = build_report(simulate.ladder(crashed=True, rng=0), tmp_path / "out")
    dom, said = browse(report.page, tmp_path, size)
    assert said == []
    assert list(dom.plots) == [f"figure-{name}" for name in report.figures]
    assert all(n >= 2 for n in dom.plots.values())
    assert dom.tables == [f"table-{key}" for key in report.tables]
    for text in ("Run Diverged", "extrapolation \u2192", "Truth beside estimate"):
        assert text in dom.body
    assert re.search(r"\d\.\d% (worse|better)", dom.body)


def test_hostile_names_do_nothing(tmp_path):
    harm = "document.title='harmed'"
    surfaces = {
        f"<script>{harm}</script>": simulate.DEFAULT_SUITES["Aster"],
        f'"><img src=x onerror="{harm}"></script>': simulate.DEFAULT_SUITES["Birch"],
        f'<a href="javascript:{harm}">$x^2$ %{{y}}</a>': simulate.DEFAULT_SUITES["Birch"],
    }
    runs = simulate.ladder(suites=surfaces, crashed=True, rng=0)
    runs["name"] = f"</script><svg onload={harm}>"
    report = build_report(runs, tmp_path / "out", title="Calm <b>title</b>")
    dom, said = browse(report.page, tmp_path)
    assert said == []
    assert dom.title == "Calm <b>title</b>"
    assert len(dom.plots) == 5
    assert all(n >= 2 for n in dom.plots.values())
    # In the legend the names stand as they are.
    assert f"<script>{harm}</script>" in dom.body


def test_real_runs_page(data_dir, tmp_path):
    files = sorted(str(path) for path in (data_dir / "marin").glob("*.csv"))
    assert main(["report", *files, "-o", str(tmp_path / "out"), "--quiet"]) == 0
    dom, said = browse(tmp_path / "out" / "index.html", tmp_path)
    assert said == []
    assert len(dom.plots) == 5
    assert all(n >= 2 for n in dom.plots.values())
    assert "not used in the law" in dom.body
