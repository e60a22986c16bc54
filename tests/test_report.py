"""Reports: complete, reproducible, escaped, and never half-written."""

import dataclasses
import html.parser
import itertools
import json
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import delphi
from delphi import fit_isoflops, simulate
from delphi.card import Card
from delphi.heldout import FORECAST_AT
from delphi.isoflop import CURVES
from delphi.report import Column, Table, analyse, build_report, reading
from delphi.report import build as building
from delphi.status import bits

pytest.importorskip("plotly")
pytest.importorskip("jinja2")

from delphi import figures
from delphi.report.page import render_table

TABLES = [
    "data", "left_out", "fits", "optima", "exponents", "laws", "forecast", "held_out", "curves",
    "surface", "surface_exponents", "backtest", "off_optimum", "seeds", "truth",
]  # fmt: skip
NASTY = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def runs():
    return simulate.ladder(crashed=True, rng=0)


@pytest.fixture(scope="module")
def report(runs, tmp_path_factory):
    return build_report(runs, tmp_path_factory.mktemp("report") / "out")


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_report_is_complete(report):
    assert list(report.tables) == TABLES
    assert sorted(snapshot(report.directory)) == [
        "backtest-errors.json", "cards.json", "floor-profile-aster.json",
        "floor-profile-birch.json", "index.html", "isoflop-parabolas.json", "ladder-aster.json",
        "ladder-birch.json", "lucky-seeds-aster.json", "lucky-seeds-birch.json",
        "overtraining-forecast-aster.json", "overtraining-forecast-birch.json",
        "scaling-law-asymptote.json", *(
            f"surface-{suite}{end}.json" for suite in ("aster", "birch")
            for end in ("-delta-sweep", "-fit-quality", "-residuals", "")
        ),
    ]  # fmt: skip
    for path in report.figures.values():
        frames = {"frames"} if "forecast" in path.name else set()
        assert set(json.loads(path.read_text())) == {"data", "layout"} | frames
    page = report.page.read_text()
    assert [page.count(f'id="table-{key}"') for key in TABLES] == [1] * len(TABLES)
    assert page.count('class="plot"') == len(report.figures) == 19
    assert page.count("plotly.js v") == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.page = None


def test_interval_has_level_and_method_beside_it(report):
    cells = [row["interval"] for row in report.tables["exponents"].to_records()]
    assert len(cells) == 4
    assert all(re.fullmatch(r"0\.\d+ to 0\.\d+ \(95%, t\)", cell) for cell in cells)


def test_forecast_says_how_far_it_reaches(report):
    rows = report.tables["forecast"].to_records()
    assert [row["compute"] for row in rows[:5]] == [1e21, 1e22, 1e23, 1e24, 1e25]
    assert rows[4]["extrapolation_decades"] == pytest.approx(4.52, abs=0.01)


def test_every_forecast_has_its_interval_and_the_law_beside_it(runs, report):
    ladder = delphi.fit_isoflops(runs)
    expected = ladder.forecast(FORECAST_AT)
    rows = report.tables["forecast"].to_records()
    assert len(rows) == len(expected) == 10
    laws = ladder.laws()
    for row, own in zip(rows, expected.to_dict("records"), strict=True):
        for name in ("suite", "compute", "low", "mid", "high", "level", "method", "kind"):
            assert row[name] == own[name]
        assert row["low"] < row["mid"] < row["high"]
        assert row["least_squares"] == laws[row["suite"]].predict(row["compute"])
    assert "95%" in report.tables["forecast"].to_text()
    far = next(line for line in report.reading if "Aster: it expects" in line)
    assert re.search(
        r"expects 1\.99 \[1\.96, 2\.03\] \(95%, posterior, mean\) at 1e25 FLOPs, "
        r"4\.5 decades beyond the data\.$",
        far,
    )


def test_digits_follow_the_interval():
    assert reading._decimals(2.31234, 0.2) == "2.31"
    assert reading._decimals(2.31234, 0.06) == "2.31"
    assert reading._decimals(2.31234, 0.5) == "2.3"
    assert reading._decimals(2.31234, 0.002) == "2.3123"
    assert reading._decimals(2.31234, 1e-9) == "2.3123"
    assert reading._decimals(2.31234, float("nan")) == "2.312"
    assert reading._rounded(2345.0, 0.2) == 2300.0
    assert reading._rounded(2345.0, 0.005) == 2340.0


def test_status_of_law_and_posterior_in_words(runs, monkeypatch):
    ladder = delphi.fit_isoflops(runs)
    drawn = {
        s: dataclasses.replace(p, status_code=bits("floor_not_identified", "alpha_at_bound"))
        for s, p in ladder.posteriors().items()
    }
    laws = {
        s: dataclasses.replace(law, status_code=bits("floor_at_zero", "saturated"))
        for s, law in ladder.laws().items()
    }
    monkeypatch.setattr(delphi.IsoflopLadder, "posteriors", lambda *_, **__: drawn)
    monkeypatch.setattr(delphi.IsoflopLadder, "laws", lambda *_, **__: laws)
    analysis = analyse(ladder)
    words = ("floor not identified", "alpha at bound", "floor at zero", "saturated")
    line = next(line for line in analysis.reading if "Aster: it expects" in line)
    assert all(word in line for word in words)
    for key in ("laws", "forecast"):
        rows = next(t for t in analysis.tables if t.key == key).to_records()
        assert all(word in row["status"] for row in rows for word in words)


def test_held_out_below_the_data_is_said_so():
    table = Table("t", "T", "", (Column("d", "decades", "decades"),), ((-0.4771,), (0.0,), (2.5,)))
    assert [line.strip() for line in table.to_text().splitlines()[-3:]] == [
        "0.48 below", "within", "2.50",
    ]  # fmt: skip
    assert reading._where(-0.4771) == "0.5 decades below the data"
    assert reading.decades_from(1e18, (3e18, 3e20)) == pytest.approx(-0.4771, abs=1e-4)
    assert reading.decades_from(1e19, (3e18, 3e20)) == 0


@pytest.mark.parametrize(("error", "said"), [(-0.04, "on its law"), (0.26, "0.3% worse than")])
def test_what_rounds_to_nothing_came_out_on_the_law(runs, error, said):
    analysis = analyse(delphi.fit_isoflops(runs))
    rows = analysis.held_out.assign(percent_error=error)
    lines = reading._held_out("A", rows[rows["state"] == "finished"], analysis.laws["Aster"])
    assert len(lines) == 1
    assert said in lines[0]
    assert "2.5 decades beyond the data" in lines[0]


def test_left_out_rows_name_the_suite(runs, report):
    rows = report.tables["left_out"].to_records()
    held = [row for row in rows if row["what"] == "parabolas"]
    assert [(row["suite"], row["number"]) for row in held] == [("Aster", 9), ("Birch", 9)]


def test_captions_say_what_is_in_the_figure(runs, report, tmp_path):
    page = report.page.read_text()
    assert "Dotted: its floor L_inf." in page
    assert "Hollow: held-out runs" in page
    assert "Light: its 95% interval" in page
    assert "not the noise inside a budget" in page
    flat = runs[runs["run_type"] == "isoflop"].assign(loss=3.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", delphi.FitWarning)
        page = build_report(flat, tmp_path / "flat").page.read_text()
    assert "floor L_inf." not in page
    assert "Hollow: held-out runs" not in page
    assert "No budget has an optimum, so there is no law to draw." in page
    assert "There is no optimum anywhere" in page


def test_long_tables_are_cut_and_say_so():
    columns = (Column("a", "name"),)
    table = Table("t", "T", "Note.", columns, tuple((f"row {i}",) for i in range(1234)))
    text = table.to_text()
    assert text.count("\n  row") == 60
    assert "The first 60 of 1,234 rows; delphi report --json gives all." in text
    html = render_table(table)
    assert html.count("<tr>") == 301
    assert "The first 300 of 1,234 rows" in html
    assert len(table.to_records()) == 1234


def test_many_suites_and_budgets_stay_within_bounds(tmp_path):
    names = [f"s{i:02d}" for i in range(14)]
    surfaces = dict.fromkeys(names, simulate.DEFAULT_SUITES["Aster"])
    budgets = tuple(10 ** (18 + 0.1 * i) for i in range(28))
    runs = simulate.ladder(suites=surfaces, budgets=budgets, held_out=(), n_runs=6, rng=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", delphi.FitWarning)
        report = build_report(runs, tmp_path / "out")
    assert len(report.figures) == 3 + 7 * 12
    page = report.page.read_text()
    for text in (
        "the first 12 of 14 suites", "24 of up to 28 budgets of a suite",
        "Of 14 suites the first 12 have such a figure.", "The first 300 of 392 rows",
        "Skipped: 350 cutoffs",
    ):  # fmt: skip
        assert text in page, text
    assert "2 more suites: see the tables." in report.reading
    assert len(page) < 17e6  # plotly.js is 5e6 of it


def test_backtest_is_skipped_in_words_without_enough_budgets(tmp_path):
    runs = simulate.ladder(budgets=(1e18, 1e19, 1e20), rng=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", delphi.FitWarning)
        report = build_report(runs, tmp_path / "out")
    table = report.tables["backtest"]
    assert table.rows == ()
    assert table.note == "Skipped: no suite has more than 4 budgets."


def test_every_curve_stands_beside_the_one_used(report):
    rows = report.tables["curves"].to_records()
    assert [row["curve"] for row in rows[:5]] == list(CURVES)
    by_curve = {row["curve"]: row for row in rows if row["suite"] == "Aster"}
    assert abs(by_curve["two-power"]["bias"]) < abs(by_curve["parabola"]["bias"])
    assert all(1.5 < row["loss"] < 3 for row in rows)
    assert "(windowed is the one used)" in report.tables["curves"].note


def test_the_surface_stands_beside_the_isoflop_route(report):
    """Runs of an additive law: both routes say the same."""
    for row in report.tables["surface"].to_records():
        assert row["status"] == "ok"
        assert abs(row["loss"] - row["loss_isoflop"]) < 0.02
    rows = report.tables["surface_exponents"].to_records()
    assert [row["quantity"] for row in rows] == ["optimal params", "optimal tokens"] * 2
    for row in rows:
        assert row["low"] < row["surface"] < row["high"]
        assert row["isoflop_low"] < row["isoflop"] < row["isoflop_high"]
        assert abs(row["surface"] - row["isoflop"]) < 0.03
        apart = row["low"] > row["isoflop_high"] or row["high"] < row["isoflop_low"]
        assert row["verdict"] == ("differ" if apart else "agree")


def test_level_and_kind_reach_the_tables(runs):
    ladder = fit_isoflops(runs)
    plain, wide = analyse(ladder), analyse(ladder, level=0.5, kind="new run")
    tables = {table.key: table for table in wide.tables}
    row = tables["forecast"].to_records()[0]
    want = ladder.forecast(row["compute"], suite=row["suite"], level=0.5, kind="new run").iloc[0]
    assert [row[name] for name in ("low", "mid", "high")] == want[["low", "mid", "high"]].tolist()
    assert "one new run" in tables["forecast"].note
    assert [c.label for c in tables["laws"].columns].count("50% posterior") == 2
    assert "(50%, posterior)" in " ".join(wide.reading)
    assert "(95%, posterior)" in " ".join(plain.reading)


def test_backtest_cost_and_seeds_are_tables(runs, report):
    scores = report.tables["backtest"].to_records()
    assert {row["method"] for row in scores} >= {"posterior", "least squares", "last value"}
    assert all(row["n"] > 0 for row in scores)
    cost = report.tables["off_optimum"].to_records()
    assert {row["scale"] for row in cost} == {0.25, 0.5, 2.0, 4.0, 10.0}
    total = [row for row in report.tables["seeds"].to_records() if row["scope"] == "total"]
    assert [row["n"] for row in total] == [17]


def test_truth_is_close_to_the_estimate(report):
    for row in report.tables["truth"].to_records():
        assert abs(row["off"]) < 10, row
        if row["quantity"].startswith("loss at"):
            assert abs(row["off"]) < 1.5, row


def test_reading_names_what_matters(report):
    said = "\n".join(report.reading)
    assert "3e20 FLOPs" in said
    assert "tokens per parameter" in said
    assert "decades beyond the data" in said
    assert "ended without a final loss (crashed)" in said


def test_same_input_same_bytes(runs, report, tmp_path):
    again = build_report(runs.copy(), tmp_path / "again")
    assert snapshot(again.directory) == snapshot(report.directory)


def test_accepts_ladder_frame_and_files(runs, report, tmp_path):
    ladder = delphi.fit_isoflops(runs)
    from_ladder = build_report(ladder, tmp_path / "ladder")
    assert snapshot(from_ladder.directory) == snapshot(report.directory)
    runs.to_csv(tmp_path / "runs.csv", index=False)
    from_file = build_report([tmp_path / "runs.csv"], tmp_path / "file", title="Mine")
    assert list(from_file.tables) == TABLES[:-1]
    assert "<h1>Mine</h1>" in from_file.page.read_text()


def test_hand_made_table_without_states_and_names(tmp_path):
    runs = simulate.ladder(suites={"One": simulate.DEFAULT_SUITES["Aster"]}, rng=0)
    bare = runs[runs["run_type"] == "isoflop"]
    bare = bare[["suite", "params", "tokens", "flops", "budget", "loss"]]
    bare.attrs.clear()
    report = build_report(delphi.fit_isoflops(bare), tmp_path / "out")
    assert report.tables["held_out"].rows == ()
    assert "(none)" in report.tables["held_out"].to_text()


def test_shared_floor_is_shared(runs, tmp_path):
    report = build_report(runs, tmp_path / "out", shared_floor=True, forecast_at=(1e22,))
    floors = {row["L_inf"] for row in report.tables["laws"].to_records()}
    assert len(floors) == 1
    assert "shared by all suites" in report.tables["laws"].note
    assert len(report.tables["forecast"].rows) == 2


def test_flagged_buckets_are_named_with_their_reason(runs, tmp_path):
    cut = runs[~((runs["suite"] == "Aster") & (runs["budget"] == 3e18) & (runs["tokens"] > 4e9))]
    with pytest.warns(delphi.FitWarning):
        report = build_report(cut.reset_index(drop=True), tmp_path / "out")
    assert any("budget of 3e18 FLOPs" in line and "not used" in line for line in report.reading)
    unused = [row for row in report.tables["fits"].to_records() if not row["used"]]
    assert [(row["suite"], row["budget"]) for row in unused] == [("Aster", 3e18)]
    rows = report.tables["left_out"].to_records()
    assert any(r["suite"] == "Aster" and r["reason"].startswith("budget 3e18: ") for r in rows)


class Page(html.parser.HTMLParser):
    """Collects tags, and what stands in scripts."""

    def __init__(self):
        super().__init__()
        self.tags, self.scripts, self.inside = [], [], None

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.inside = dict(attrs)
            self.scripts.append((self.inside, ""))

    def handle_endtag(self, tag):
        if tag == "script":
            self.inside = None

    def handle_data(self, data):
        if self.inside is not None:
            attrs, text = self.scripts[-1]
            self.scripts[-1] = (attrs, text + data)


def test_hostile_names_stay_text(tmp_path):
    surfaces = {
        NASTY: simulate.DEFAULT_SUITES["Aster"],
        '"><img src=x onerror=alert(2)>': simulate.DEFAULT_SUITES["Birch"],
    }
    runs = simulate.ladder(suites=surfaces, crashed=True, rng=0)
    runs["name"] = NASTY + "]]></script><!--"
    runs.loc[runs["state"] == "crashed", "state"] = "killed"
    report = build_report(runs, tmp_path / "out", title=NASTY)
    assert sorted(name for name in report.figures if name.startswith("ladder")) == [
        "ladder-img-src-x-onerror-alert-2", "ladder-script-alert-1-script",
    ]  # fmt: skip
    page = Page()
    page.feed(report.page.read_text())
    assert {tag for tag, _ in page.tags} & {"img", "iframe", "object"} == set()
    # Every figure as JSON, the template, plotly, ours.
    assert len(page.scripts) == len(report.figures) + 4
    for attrs, text in page.scripts[:-4]:
        assert attrs["type"] == "application/json"
        assert json.loads(text)["data"]
    assert not any(key.startswith("on") for _, attrs in page.tags for key in attrs)
    shown = [row["suite"] for row in report.tables["optima"].to_records()]
    assert NASTY in shown
    assert NASTY in json.loads(report.cards.read_text())


def test_page_needs_no_network(report):
    page = Page()
    page.feed(report.page.read_text())
    for tag, attrs in page.tags:
        assert "src" not in attrs, tag
        assert attrs.get("href", "#").startswith(("#", "data:")), attrs
    policy = next(a["content"] for t, a in page.tags if a.get("http-equiv"))
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-inline" not in policy.split("style-src")[0]


def test_tables_are_accessible(report):
    page = Page()
    text = report.page.read_text()
    page.feed(text)
    heads = [attrs for tag, attrs in page.tags if tag == "th"]
    assert all(attrs["scope"] in ("col", "row", "rowgroup") for attrs in heads)
    assert text.count("<caption>") == text.count("<table") == len(TABLES) + 2
    assert ("html", {"lang": "en"}) in page.tags
    regions = [attrs for _, attrs in page.tags if attrs.get("role") == "region"]
    assert len(regions) == len(TABLES) + 2  # and the fit cards
    assert all(r["tabindex"] == "0" and {"aria-label", "aria-labelledby"} & set(r) for r in regions)


def test_headings_go_down_one_at_a_time_and_landmarks_are_there(report):
    page = Page()
    page.feed(report.page.read_text())
    tags = [tag for tag, _ in page.tags]
    levels = [int(tag[1]) for tag in tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))
    assert [tags.count(tag) for tag in ("nav", "header", "main", "footer")] == [1, 1, 1, 1]
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    links = [attrs["href"] for tag, attrs in page.tags if tag == "a"]
    assert links[0] == "#main"
    assert all(link[1:] in ids for link in links)
    figures = [attrs for _, attrs in page.tags if attrs.get("class") == "plot"]
    assert all(attrs["role"] == "img" and len(attrs["aria-label"]) > 40 for attrs in figures)


def test_each_law_has_its_card(runs, report):
    laws = fit_isoflops(runs).laws()
    cards = json.loads(report.cards.read_text())
    assert {suite: Card.from_dict(card).parameters for suite, card in cards.items()} == {
        suite: law.card().parameters for suite, law in laws.items()
    }
    page = report.page.read_text()
    assert page.count('<details class="card">') == 2
    assert "Fit card of Aster" in page


def test_crashed_runs_are_counted_beside_the_seeds(runs, report):
    lost = int((runs["state"] == "crashed").sum())
    assert lost
    note = report.tables["seeds"].note
    assert f"Left out: {lost} run{'s' if lost > 1 else ''} without a final loss" in note
    calm = analyse(fit_isoflops(simulate.ladder(rng=0)))
    assert "Left out" not in next(t for t in calm.tables if t.key == "seeds").note


def test_narrow_figures_are_kept_as_what_differs(runs, report):
    ladder = fit_isoflops(runs)
    parts = Page()
    parts.feed(report.page.read_text())
    kept = {attrs.get("id"): text for attrs, text in parts.scripts}
    template = json.loads(kept["delphi-template"])
    for name, fig in (
        ("isoflop-parabolas", figures.isoflop_parabolas(ladder, mobile=True)),
        ("floor-profile-birch", figures.floor_profile(ladder.laws()["Birch"], mobile=True)),
    ):
        stored = json.loads(kept[f"figure-{name}-json"])
        want = json.loads(fig.to_json())
        assert stored["narrow"]["layout"] | {"template": template} == want["layout"]
        assert want["layout"] != stored["layout"] | {"template": template}
        changed = stored["narrow"]["data"]["changed"]
        assert [
            {**trace, **changed.get(str(i), {})} for i, trace in enumerate(stored["data"])
        ] == want["data"]


def test_without_jinja_it_says_what_to_install(tmp_path):
    code = (
        "import sys; sys.modules['jinja2'] = None\n"
        "from delphi.cli import main; sys.exit(main(['demo', '-o', 'out', '--quiet']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(Path(delphi.__file__).parents[1])},
    )  # fmt: skip
    assert done.returncode == 2
    assert "the page needs Jinja2: pip install 'delphi-scaling[report]'" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("existing", [True, False])
def test_failure_leaves_everything_as_it_was(runs, tmp_path, monkeypatch, error, existing):
    out = tmp_path / "out"
    if existing:
        build_report(simulate.ladder(rng=9), out)
        (out / "mine.txt").write_text("keep me")
    before = snapshot(tmp_path)

    def fail(*_, **__):
        raise error("stop")

    monkeypatch.setattr("delphi.figures.ladder", fail)
    with pytest.raises(error):
        build_report(runs, out)
    assert snapshot(tmp_path) == before
    assert [p.name for p in tmp_path.iterdir()] == (["out"] if existing else [])


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
@pytest.mark.parametrize("after", [0, 1, 3])
def test_failure_while_moving_in_restores_the_old_files(runs, tmp_path, monkeypatch, error, after):
    out = tmp_path / "out"
    build_report(simulate.ladder(rng=9), out)
    (out / "isoflop-parabolas.json").unlink()  # so that one of the files is new
    before = snapshot(tmp_path)
    replace, moved = Path.replace, []

    def replace_some(self, target):
        if Path(target).parent == out and self.parent.name.startswith(".delphi-"):
            if len(moved) == after:
                moved.append(None)
                raise error("stop")
            moved.append(target)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", replace_some)
    with pytest.raises(error):
        build_report(runs, out)
    assert len(moved) == after + 1
    assert snapshot(tmp_path) == before


def test_existing_directory_keeps_files_that_are_not_ours(runs, tmp_path):
    out = tmp_path / "deep" / "out"
    build_report(runs, out)
    (out / "mine.txt").write_text("keep me")
    build_report(runs, out)
    assert (out / "mine.txt").read_text() == "keep me"
    assert not [p for p in out.iterdir() if p.name.startswith(".")]


@pytest.mark.parametrize("deep", [False, True])
def test_dangling_link_is_refused_by_its_name(tmp_path, deep):
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError) as caught:
        build_report("no-such-runs.csv", link / "out" if deep else link)
    assert caught.value.filename == str(link)


def test_directory_that_is_a_file_is_refused_before_any_work(tmp_path):
    (tmp_path / "out").write_text("I am a file")
    with pytest.raises(NotADirectoryError):
        build_report("no-such-runs.csv", tmp_path / "out")
    assert (tmp_path / "out").read_text() == "I am a file"


def test_slugs_are_distinct_plain_names():
    names = ["A b", "a-B", "a_b", "\u00c9t\u00e9", "\u4e2d\u6587", "../../etc", "x" * 500]
    slugs = building.slugs(names)
    assert list(slugs.values())[:6] == ["a-b", "a-b-2", "a-b-3", "ete", "suite", "etc"]
    assert len(slugs["x" * 500]) <= 60


def test_table_text_is_aligned_and_tame():
    columns = (Column("a", "name"), Column("b", "FLOPs", "flops"), Column("c", "ok", "bool"))
    rows = (("x\x1b[31m\u4e2d", 1.8e18, True), ("y" * 100, float("nan"), None))
    table = Table("t", "Title", "Note.", columns, rows)
    lines = table.to_text().splitlines()
    assert lines[0] == "Title"
    assert "\x1b" not in table.to_text()
    assert lines[4].rstrip().endswith("1.8e18  yes")
    assert "..." in lines[5]
    assert table.to_records()[1] == {"a": "y" * 100, "b": None, "c": None}


def test_every_bucket_flagged_still_reports(tmp_path):
    runs = simulate.ladder(suites={"One": simulate.DEFAULT_SUITES["Aster"]}, rng=0)
    best = simulate.truth(simulate.DEFAULT_SUITES["Aster"]).tokens(runs["budget"])
    half = runs[(runs["run_type"] == "optimal") | (runs["tokens"] < 0.6 * best)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", delphi.FitWarning)
        report = build_report(half.reset_index(drop=True), tmp_path / "out")
    assert report.tables["optima"].rows == ()
    assert any("no budget has an optimum" in line for line in report.reading)


def test_a_sweep_beside_the_runs(tmp_path):
    pytest.importorskip("sklearn")
    drawn = delphi.simulate_sweep(n_trials=40, cells=2, rng=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", delphi.FitWarning)
        sweep = delphi.fit_sweep(drawn.trials, hparams=drawn.hparams, by="cell", n_restarts=0,
                                 rule=delphi.CompletedAdamH())  # fmt: skip
        runs = delphi.simulate.ladder(rng=0)
        report = delphi.report.build_report(runs, tmp_path, sweep=sweep)
    assert "hparam-scaling" in report.figures
    cells = report.tables["sweep"].to_records()
    assert [row["n"] for row in cells] == [c.n for c in sweep.cells]
    assert [row["n_diverged"] for row in cells] == [c.n_diverged for c in sweep.cells]
    whole = {row.hparam: [row.value] for row in sweep.cells[0].rules.itertuples()}
    there = sweep.cells[0].predict(whole)["mean"].iloc[0]
    assert cells[0]["cost"] == pytest.approx(there - sweep.cells[0].best_loss)
    shares = [row["share"] for row in report.tables["sweep_importance"].to_records()]
    assert shares == sorted(shares, reverse=True)
    assert len(report.tables["sweep_best"].rows) == 10
    assert any("diverged and were left out" in line for line in report.reading)
    assert any("matters most" in line for line in report.reading)
    assert "Importance" in report.page.read_text()


def test_a_sweep_on_the_command_line(tmp_path, capsys):
    pytest.importorskip("sklearn")
    from delphi.cli import main

    runs, trials = tmp_path / "runs.csv", tmp_path / "sweep.csv"
    delphi.simulate.ladder(rng=0).to_csv(runs, index=False)
    delphi.simulate_sweep(n_trials=40, cells=1, rng=0).trials.to_csv(trials, index=False)
    assert main(["report", str(runs), "--sweep", str(trials), "--sweep-knob", "lr", "--json"]) == 0
    tables = json.loads(capsys.readouterr().out)["tables"]
    assert tables["sweep_importance"][0]["hparam"] == "lr"
    assert main(["report", str(runs), "--sweep-knob", "lr"]) == 2
    assert "there is none" in capsys.readouterr().err
