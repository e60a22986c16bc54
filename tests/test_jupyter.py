"""JupyterLab in a real browser: a slider of `delphi.explore` is moved and the fit changes."""

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
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
pytest.importorskip("jupyterlab")
pytest.importorskip("ipywidgets")
pytest.importorskip("anywidget")
psutil = pytest.importorskip("psutil")
pytest.importorskip("playwright.sync_api")

from tests.browser import BROWSER  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
pytestmark = [
    pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome here"),
    pytest.mark.slow,
]

CELL = """import delphi
panel = delphi.explore(delphi.simulate.ladder(rng=0), n_boot=200)
panel.controls["curve"].value = "parabola"  # before anything is on the page
panel"""
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
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    # Without a kernel named JupyterLab would ask for one.
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, tmp_path / "explore.ipynb")
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


def test_moving_a_slider_changes_the_fit(lab, page):
    wrong = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(lab.url("lab/tree/explore.ipynb"))
    page.wait_for_function("() => window.jupyterapp !== undefined")
    page.locator(".jp-Notebook .jp-Cell").first.wait_for()
    # Too early, and JupyterLab asks which kernel is meant.
    page.wait_for_function(
        "() => jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
    )
    # Not waited for: what it waits for could be a dialog, and evaluate() has no time limit.
    page.evaluate("() => { void window.jupyterapp.commands.execute('notebook:run-all-cells'); }")
    page.locator(".delphi-explorer .js-plotly-plot .main-svg").first.wait_for()
    page.locator(".delphi-facts").wait_for()
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
