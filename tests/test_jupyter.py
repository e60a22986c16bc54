"""JupyterLab in a real browser: the controls of the live panels are moved and the fits change."""

from __future__ import annotations

import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import warnings
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
pytest.importorskip("jupyterlab")
pytest.importorskip("ipywidgets")
pytest.importorskip("anywidget")
psutil = pytest.importorskip("psutil")
pytest.importorskip("playwright.sync_api")

import delphi  # noqa: E402
from tests.browser import BROWSER  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
pytestmark = [
    pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome here"),
    pytest.mark.slow,
]

CELLS = {
    "explore": """import delphi
panel = delphi.explore(delphi.simulate.ladder(rng=0), n_boot=200)
panel.controls["curve"].value = "parabola"  # before anything is on the page
panel""",
    "curves": """import delphi
runs = delphi.simulate.curves(
    scales=(3e18, 1e19, 3e19), mixes=("web", "math"), lrs=(1e-3, 2e-3), n_points=60, rng=5
)
panel = delphi.explore_curves(runs, total="total_steps")
panel.controls["form"].value = "log"  # before anything is on the page
panel""",
}
PATIENCE = 60_000  # ms: a busy machine is slow, not broken


class Lab:
    """A JupyterLab server of its own: own folders, own port, own token."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.token = folder, secrets.token_hex(16)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        home = folder / "home"
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("JUPYTER", "COV_"))}
        environment |= {
            "HOME": str(home), "JUPYTER_CONFIG_DIR": str(home / "config"),
            "JUPYTER_DATA_DIR": str(home / "data"), "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
            "IPYTHONDIR": str(home / "ipython"), "PYTHONPATH": str(ROOT),
        }  # fmt: skip
        home.mkdir()
        self.log = (folder / "lab.log").open("wb")
        options = {
            "ServerApp.token": self.token, "ServerApp.port": self.port,
            "ServerApp.port_retries": 0, "ServerApp.ip": "127.0.0.1",
            "ServerApp.open_browser": False, "ServerApp.allow_root": True,
            "ServerApp.answer_yes": True, "ServerApp.root_dir": folder,
            "LabApp.expose_app_in_browser": True, "LanguageServerManager.autodetect": False,
            "LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
        }  # fmt: skip
        self.process = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *(f"--{k}={v}" for k, v in options.items())],
            cwd=folder, env=environment, stdout=self.log, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}/{path}?token={self.token}"

    def wait(self) -> None:
        deadline = time.monotonic() + PATIENCE / 1000
        while time.monotonic() < deadline:
            try:
                urllib.request.urlopen(self.url("api/status"), timeout=5).close()
            except OSError:
                assert self.process.poll() is None, self.said()
                time.sleep(0.1)
            else:
                return
        raise AssertionError(f"no answer from JupyterLab\n{self.said()}")

    def said(self) -> str:
        return (self.folder / "lab.log").read_text(errors="replace")[-3000:]

    def family(self) -> list:
        """The server's process and its kernels."""
        own = psutil.Process(self.process.pid)
        return [own, *own.children(recursive=True)]

    def kill(self) -> None:
        """Whatever a failed test left: the session that this server leads, nothing else."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)
        self.log.close()


@pytest.fixture
def lab(tmp_path):
    for name, cell in CELLS.items():
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)])
        # Without a kernel named JupyterLab would ask for one.
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
        nbformat.write(notebook, tmp_path / f"{name}.ipynb")
    server = Lab(tmp_path)
    try:
        server.wait()
        yield server
    finally:
        server.kill()


@pytest.fixture
def page(lab, chromium):
    context = chromium.new_context(viewport={"width": 1400, "height": 1300})
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    yield page
    context.close()


def facts(page) -> dict[str, str]:
    """The table under the figure."""
    cells = page.locator(".delphi-facts tr").all()
    return {row.locator("th").inner_text(): row.locator("td").inner_text() for row in cells}


def drawn(page) -> dict:
    """What plotly holds in the browser: the law and the band."""
    return page.evaluate(
        """() => {
            const plot = document.querySelector('.delphi-explorer .js-plotly-plot');
            const of = name => plot.data.find(trace => trace.name === name);
            const count = trace => trace.x.length;
            return {law: Array.from(of('law').y), optima: count(of('optima')),
                    interval: count(of('interval'))};
        }"""
    )


def run_notebook(lab, page, name, panel):
    """Open a notebook, run it, and wait for its panel to be drawn; what the page complained of."""
    wrong = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(lab.url(f"lab/tree/{name}.ipynb"))
    page.wait_for_function("() => window.jupyterapp !== undefined")
    page.locator(".jp-Notebook .jp-Cell").first.wait_for()
    # Too early, and JupyterLab asks which kernel is meant.
    page.wait_for_function(
        "() => jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
    )
    # Not waited for: what it waits for could be a dialog, and evaluate() has no time limit.
    page.evaluate("() => { void window.jupyterapp.commands.execute('notebook:run-all-cells'); }")
    page.locator(f".{panel} .js-plotly-plot .main-svg").first.wait_for()
    page.locator(".delphi-facts").wait_for()
    return wrong


def test_moving_a_slider_changes_the_fit(lab, page):
    wrong = run_notebook(lab, page, "explore", "delphi-explorer")
    before, was = facts(page), drawn(page)
    assert before["optima fitted"] == "7 of 7 budgets"
    assert was["optima"] == 7
    assert was["interval"] > 10
    assert page.locator(".delphi-explorer select").nth(1).input_value() == "parabola"

    handle = page.locator(".delphi-explorer .widget-hslider:has-text('cutoff') .noUi-handle").first
    handle.focus()
    page.keyboard.press("ArrowLeft")
    page.wait_for_function(
        "() => document.querySelector('.delphi-facts').innerText.includes('6 of 7 budgets')"
    )
    page.wait_for_function(
        """() => document.querySelector('.delphi-explorer .js-plotly-plot').data
                .find(trace => trace.name === 'optima').x.length === 6"""
    )
    after, now = facts(page), drawn(page)
    assert after["law"] != before["law"]
    assert re.fullmatch(r"loss = \d.* C\^-0\.\d+", after["law"])
    assert now["law"] != was["law"]
    assert "beyond the cutoff" in after
    assert not wrong

    family = lab.family()
    assert len(family) > 1, "a kernel runs"
    page.close()
    os.kill(lab.process.pid, signal.SIGINT)
    assert lab.process.wait(30) == 0, lab.said()
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive, "the server or a kernel is left"
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", lab.port)) != 0


def curves_drawn(page) -> dict:
    """What plotly holds in the browser of the panel of learning curves."""
    return page.evaluate(
        """() => {
            const plot = document.querySelector('.delphi-curves .js-plotly-plot');
            const of = name => plot.data.find(trace => trace.name === name);
            const list = values => Array.from(values, v => Number.isFinite(v) ? v : null);
            return {prefix: plot.layout.shapes[0].x0, actual: list(of('observed final').y),
                    forecast: list(of('forecast').y), names: Array.from(of('forecast').text),
                    fitted: list(of('fitted').y), observed: list(of('observed').y)};
        }"""
    )


def test_every_control_of_the_curve_panel_shows_what_fit_curves_says(lab, page):
    wrong = run_notebook(lab, page, "curves", "delphi-curves")
    runs = delphi.simulate.curves(
        scales=(3e18, 1e19, 3e19), mixes=("web", "math"), lrs=(1e-3, 2e-3), n_points=60, rng=5
    )
    where = {"scale": "all", "mix": "all", "lr": "all"}

    def checked(prefix, form, loss):
        """The figure and the words, against the library."""
        method = form if form == "ensemble" else f"{form}-{loss}"
        own = runs
        for noun, value in where.items():
            own = own if value == "all" else own[own[noun] == value]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", delphi.FitWarning)
            fits = delphi.fit_curves(own, total="total_steps", prefixes=[prefix])
        want = fits[fits["method"] == method].reset_index(drop=True)
        said = f"{method} from prefix {prefix:g}"
        page.wait_for_function(
            "([said, n]) => { const text = document.querySelector('.delphi-facts').innerText;"
            " return text.includes(said) && new RegExp('runs\\\\s+' + n + '\\\\b').test(text); }",
            arg=[said, len(want)],
        )  # fmt: skip
        first = float(want["predicted_final"][0])
        page.wait_for_function(
            """([n, y]) => { const plot = document.querySelector('.delphi-curves .js-plotly-plot');
            const trace = plot.data.find(trace => trace.name === 'forecast');
            return trace.y.length === n && Math.abs(trace.y[0] - y) < 1e-9; }""",
            arg=[len(want), first],
        )
        got = curves_drawn(page)
        assert got["prefix"] == pytest.approx(prefix)
        assert got["names"] == want["run"].tolist()
        assert got["forecast"] == pytest.approx(want["predicted_final"].tolist(), abs=1e-9)
        assert got["actual"] == pytest.approx(want["actual_final"].tolist())
        assert len(got["observed"]) == 61 * len(want)
        assert len(got["fitted"]) == (0 if form == "ensemble" else 26 * len(want))
        if form != "ensemble":
            assert got["fitted"][24] == pytest.approx(first)
            assert got["fitted"][25] is None
        words = facts(page)
        assert words["mean error"] == f"{want['abs_error'].mean():.4g}"
        assert words["worst error"] == f"{want['abs_error'].max():.4g}"

    def pick(description, label):
        box = page.locator(f".delphi-curves .widget-dropdown:has(label:text-is('{description}'))")
        box.locator("select").select_option(label=label)

    checked(0.5, "log", "huber")
    pick("form", "rational")
    checked(0.5, "rational", "huber")
    pick("loss", "mae")
    checked(0.5, "rational", "mae")
    handle = page.locator(".delphi-curves .widget-hslider .noUi-handle").first
    handle.focus()
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    checked(0.47, "rational", "mae")
    picks = (("scale", 1e19, "1e19"), ("mix", "math", "math"), ("lr", 2e-3, "0.002"))
    for noun, value, label in picks:
        pick(noun, label)
        where[noun] = value
        checked(0.47, "rational", "mae")
    pick("lr", "all")
    where["lr"] = "all"
    pick("form", "ensemble")
    checked(0.47, "ensemble", "mae")
    loss = page.locator(".delphi-curves .widget-dropdown:has(label:text-is('loss')) select")
    page.wait_for_function("box => box.disabled", arg=loss.element_handle())
    assert not wrong
