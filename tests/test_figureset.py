"""The whole set of figures: names, files, images, and what is said where one is missing."""

import json
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import delphi
from delphi import cli, simulate
from delphi.figureset import draw_figures, write_figures

pytest.importorskip("plotly")

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
ONE = {"Aster": simulate.DEFAULT_SUITES["Aster"]}
WIDE = {
    "isoflop-parabolas",
    "scaling-law-asymptote",
    "ladder-aster",
    "lucky-seeds",
    "overtraining-forecast",
}


@pytest.fixture(scope="module")
def one():
    return simulate.ladder(suites=ONE, seeds=2, rng=0)


@pytest.fixture(scope="module")
def csv(one, tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "runs.csv"
    one.to_csv(path, index=False)
    return path


def test_names(one, tmp_path):
    files = write_figures(one, tmp_path / "wide")
    assert set(files.figures) == WIDE | {"ladder-aster-mobile"}
    files = write_figures(one, tmp_path / "both", mobile=True)
    assert set(files.figures) == WIDE | {f"{name}-mobile" for name in WIDE}
    for name, path in files.figures.items():
        figure = json.loads(path.read_text())
        assert figure["data"]
        assert ("height" in figure["layout"]) == name.endswith("-mobile")


def test_several_suites_have_names_of_their_own():
    runs = simulate.ladder(seeds=2, rng=0)
    drawn = draw_figures(runs)
    own = {"ladder", "ladder-mobile", "lucky-seeds", "overtraining-forecast"}
    for slug in ("aster", "birch"):
        for name in own:
            stem, _, end = name.partition("-mobile")
            assert f"{stem}-{slug}" + ("-mobile" if _ else end) in drawn


def test_a_fitted_ladder_is_not_fitted_again(one):
    ladder = delphi.fit_isoflops(one, curve="cubic")
    drawn = draw_figures(ladder)
    curve = drawn["isoflop-parabolas"].data[1]
    assert max(np.log10(curve.x)) == pytest.approx(ladder.fits["x_max"].iloc[0])
    # The bootstrap refits parabolas: another curve has the interval of its posterior.
    assert drawn["lucky-seeds"].data[-2].name == "95% interval by posterior"


def test_what_cannot_be_drawn_is_said():
    runs = simulate.ladder(suites=ONE, held_out=(), rng=0)
    with pytest.warns(delphi.DataWarning, match="lucky-seeds is not drawn: Aster has no finished"):
        drawn = draw_figures(runs)
    assert "lucky-seeds" not in drawn
    assert "overtraining-forecast" in drawn
    few = runs[runs["budget"] == runs["budget"].min()].reset_index(drop=True)
    for compat in (False, True):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert "isoflop-parabolas" in draw_figures(few, compat=compat)


def test_a_diverged_run_shares_the_row_of_its_point():
    runs = simulate.ladder(crashed=True, seeds=3, rng=0)
    ticks = draw_figures(runs)["lucky-seeds-birch"].layout.yaxis.ticktext
    assert len(set(ticks)) == len(ticks)


# Pictures that no narrow layout exists for.
ONE_WIDTH = {
    "printed-isoflop",
    "printed-spaghetti",
}


def test_the_gallery_has_every_figure_wide_and_narrow():
    folder = Path(__file__).resolve().parents[1] / "docs" / "gallery"
    pictures = {path.stem: path.stat().st_size for path in folder.glob("*.png")}
    named = set(re.findall(r'src="(.*?)\.png"', (folder / "README.md").read_text()))
    assert named == set(pictures)
    wide = {name for name in named if not name.endswith("-mobile")}
    assert {f"{name}-mobile" for name in wide} >= named - wide
    assert wide - {name for name in wide if f"{name}-mobile" in named} == ONE_WIDTH
    assert {"back-test", "floor-profile", "law-curve", "parabola-curve"} <= named
    assert {"isoflop-parabolas", "scaling-law-asymptote", "ladder-aster"} <= named
    assert {"lucky-seeds-aster", "overtraining-forecast-aster"} <= named
    assert {"mmlu-emergence", "hparam-scaling", "survival-curves", "kl-spaghetti"} <= named
    assert {"polynomial-law", "speed-up", "suite-browser", "forecast-histogram"} <= named
    assert sum(pictures.values()) < 3_000_000


@pytest.mark.filterwarnings("ignore::delphi.FitWarning")
@pytest.mark.parametrize("compat", [False, True])
def test_figures_of_very_many_suites_say_which_are_drawn(monkeypatch, compat):
    monkeypatch.setattr("delphi.figures.thin.SUITES", 1)
    with pytest.warns(delphi.DataWarning, match="figures show the first 1 of 2 suites"):
        drawn = draw_figures(simulate.ladder(seeds=1, rng=0), compat=compat)
    assert set(drawn) == WIDE | {"ladder-aster-mobile"}


def test_console(csv, tmp_path, capsys):
    out = tmp_path / "out"
    assert cli.main(["figures", str(csv), "-o", str(out), "--mobile", "--json"]) == 0
    files = [Path(p) for p in json.loads(capsys.readouterr().out)["files"]]
    assert sorted(files) == sorted(out.iterdir())
    assert len(files) == 2 * len(WIDE)
    assert cli.main(["figures", str(csv), "-o", str(out), "--compat"]) == 0
    assert str(out / "lucky-seeds.json") in capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("options", [[], ["-o", ""]])
def test_console_wants_a_folder(csv, options, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["figures", str(csv), *options])
    assert stop.value.code == 2
    assert "-o" in capsys.readouterr().err


def test_console_errors_are_one_line(tmp_path, capsys):
    assert cli.main(["figures", str(tmp_path / "none.json"), "-o", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert said.startswith("delphi: ")
    assert len(said.splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome here")
def test_images(csv, tmp_path):
    pytest.importorskip("kaleido")
    out = tmp_path / "out"
    # In a process of its own: kaleido's event loop may leave warnings to whoever comes next.
    command = ["-m", "delphi", "figures", str(csv), "-o", str(out), "--png", "--svg", "--quiet"]
    subprocess.run([sys.executable, *command], check=True, timeout=120)
    wide, narrow = (out / f"ladder-aster{end}.png" for end in ("", "-mobile"))
    sizes = {int.from_bytes(p.read_bytes()[16:20], "big") for p in (wide, narrow)}
    assert sizes == {1400, 720}
    assert wide.read_bytes().startswith(b"\x89PNG")
    drawing = (out / "lucky-seeds.svg").read_text()
    assert drawing.startswith("<svg")
    assert "held-out runs, one a seed" in drawing
    assert not list(out.glob(".*"))


def test_without_a_browser_it_says_what_to_install(one, tmp_path, monkeypatch):
    pytest.importorskip("kaleido")
    from choreographer.browsers.chromium import ChromeNotFoundError

    def no_browser(*_, **__):
        raise ChromeNotFoundError

    monkeypatch.setattr("kaleido.write_fig_from_object_sync", no_browser)
    with pytest.raises(OSError, match="install Chromium or Chrome"):
        write_figures(one, tmp_path / "out", formats=["png"])
    assert not (tmp_path / "out").exists()


def test_without_kaleido_it_says_what_to_install(csv, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "kaleido", None)
    assert cli.main(["figures", str(csv), "-o", str(tmp_path / "out"), "--png", "--quiet"]) == 2
    assert "pip install 'delphi-scaling[images]'" in capsys.readouterr().err
