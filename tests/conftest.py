"""Where the real data are: ``DELPHI_DATA``, else ``../shared/data`` beside the project."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("delphi", deadline=None)  # no test asserts on time
settings.load_profile("delphi")

_ROOT = Path(__file__).resolve().parents[1]
_DATA = Path(os.environ.get("DELPHI_DATA", _ROOT.parent / "shared" / "data"))


def _there(path: Path) -> Path:
    if not path.is_dir():
        pytest.skip(f"needs {path}; set DELPHI_DATA to the folder with the real data")
    return path


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Published runs, one folder a source."""
    return _there(_DATA)


@pytest.fixture(scope="session")
def caches_dir() -> Path:
    """Caches in the notebook's layout, made up from a known truth."""
    return _there(_DATA.parent / "caches")


@pytest.fixture(scope="session")
def golden_dir() -> Path:
    """Inputs and outputs of the notebook's code."""
    return _there(_DATA.parent / "golden")


@pytest.fixture(scope="session")
def chromium():
    """One headless browser for all tests that look at a page."""
    from tests.browser import BROWSER

    playwright = pytest.importorskip("playwright.sync_api")
    if BROWSER is None:
        pytest.skip("no Chromium or Chrome here")
    options = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    with playwright.sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=BROWSER, args=options)
        yield browser
        browser.close()
