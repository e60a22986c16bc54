"""Every notebook runs from top to bottom, shows its figures, and is stored without outputs."""

from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")
pytest.importorskip("plotly")

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
PLOT = "application/vnd.plotly.v1+json"


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_there_are_notebooks():
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook_is_stored_clean(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in code_cells(notebook):
        assert cell.outputs == []
        assert cell.execution_count is None


@pytest.mark.slow
# Jupyter's own packages warn about each other.
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook_runs(path, monkeypatch):
    monkeypatch.setenv("PLOTLY_RENDERER", "plotly_mimetype")
    monkeypatch.setenv("PYTHONWARNINGS", "error::UserWarning:__main__")
    notebook = nbformat.read(path, as_version=4)
    done = nbclient.NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(FOLDER)}}
    ).execute()
    outputs = [output for cell in code_cells(done) for output in cell.outputs]
    assert not [o for o in outputs if o.output_type == "error"]
    assert not [o for o in outputs if o.get("name") == "stderr"]
    # Every cell that ends in a figure shows one, with something in it.
    drawn = [o.data[PLOT] for o in outputs if PLOT in o.get("data", {})]
    asked = [c for c in code_cells(done) if c.source.splitlines()[-1].startswith("delphi.figures.")]
    assert len(drawn) == len(asked) > 0
    assert all(plot["data"] for plot in drawn)


def test_the_main_job_takes_under_ten_cells():
    notebook = nbformat.read(FOLDER / "01_isoflop.ipynb", as_version=4)
    assert len(code_cells(notebook)) < 10
