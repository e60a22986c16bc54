"""The command line: what it prints, what it writes, how it ends."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from delphi import fit_isoflops, read_runs, simulate
from delphi._version import __version__
from delphi.cli import main
from delphi.errors import DataError
from delphi.heldout import FORECAST_AT
from delphi.shorthand import flops

pytest.importorskip("plotly")


@pytest.fixture
def runs_file(tmp_path):
    path = tmp_path / "runs.csv"
    simulate.ladder(rng=0).to_csv(path, index=False)
    return path


def run(*args, **more):
    command = [sys.executable, "-m", "delphi", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **more)


def test_module_is_the_command(tmp_path):
    done = run("--version", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, f"delphi {__version__}\n")
    assert run(cwd=tmp_path).returncode == 2
    assert "report" in run("--help", cwd=tmp_path).stdout


def test_help_imports_nothing_it_does_not_need():
    code = (
        "import sys\nfrom delphi.cli import main\n"
        "try: main(['report', '--help'])\nexcept SystemExit: pass\n"
        "heavy = {'plotly', 'tqdm', 'matplotlib', 'scipy', 'delphi.report'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_demo_prints_truth_beside_estimate(tmp_path, capsys):
    assert main(["demo", "-o", str(tmp_path / "demo")]) == 0
    out, err = capsys.readouterr()
    for title in ("Compute-optimal points", "Scaling laws", "Truth beside estimate"):
        assert f"\n{title}\n" in out
    for quantity in ("L_inf", "log10 A", "alpha", "tokens exponent", "loss at 1e25"):
        assert f"Aster  {quantity}" in out
    assert "crashed" in out
    assert err == ""
    assert (tmp_path / "demo" / "index.html").stat().st_size > 1e6


def test_demo_without_output_writes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["demo", "--seed", "3"]) == 0
    assert "Wrote" not in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_report_prints_what_it_writes(runs_file, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["report", str(runs_file), "-o", str(out), "--title", "Ours"]) == 0
    printed = capsys.readouterr().out
    assert printed.rstrip().endswith(f"19 figures as JSON in {out}.")
    assert "Truth" not in printed
    assert "<h1>Ours</h1>" in (out / "index.html").read_text()


def test_report_as_json(runs_file, capsys):
    assert main(["report", str(runs_file), "--json", "--at", "1e22,2e22"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert [row["compute"] for row in value["tables"]["forecast"]] == [1e22, 2e22] * 2
    assert value["files"] == []
    assert value["version"] == __version__


def test_json_has_null_and_no_nan(tmp_path, capsys):
    runs = simulate.ladder(budgets=(1e19, 1e20), held_out=(1e21,), rng=0)
    runs.to_csv(tmp_path / "runs.csv", index=False)
    assert main(["report", str(tmp_path / "runs.csv"), "--json", "--quiet"]) == 0
    text = capsys.readouterr().out
    assert "NaN" not in text
    value = json.loads(text)
    assert value["tables"]["laws"][0]["L_inf"] is None
    assert value["tables"]["exponents"][0]["interval"] is None


def test_level_kind_and_curve_are_switches(runs_file, capsys):
    args = ["report", str(runs_file), "--json", "--quiet", "--at", "1e22"]
    options = ["--level", "0.8", "--kind", "new run", "--curve", "two-power"]
    assert main([*args, *options]) == 0
    tables = json.loads(capsys.readouterr().out)["tables"]
    row = tables["forecast"][0]
    assert (row["level"], row["kind"]) == (0.8, "new run")
    ladder = fit_isoflops(read_runs(runs_file), curve="two-power")
    want = ladder.forecast(1e22, level=0.8, kind="new run").iloc[0]
    assert row["high"] == pytest.approx(want["high"], rel=1e-12)


def test_quiet_prints_nothing(runs_file, tmp_path, capsys):
    assert main(["report", str(runs_file), "-o", str(tmp_path / "out"), "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


def test_columns_suites_and_budgets(tmp_path, capsys):
    runs = simulate.ladder(rng=0).drop(columns=["suite", "budget"])
    runs = runs.rename(columns={"loss": "score=x"})
    path = tmp_path / "mine.csv"
    runs.to_csv(path, index=False)
    command = ["report", str(path), "--json", "--column", "loss=score=x"]
    by_name = [*command, "--suite", "aster=A", "--suite", "birch=B", "--budgets", "3e18,9e18,3e19"]
    assert main(by_name) == 0
    rows = json.loads(capsys.readouterr().out)["tables"]["data"]
    assert [row["suite"] for row in rows] == ["A", "B"]
    assert main([*command, "--suite-by-file"]) == 0
    rows = json.loads(capsys.readouterr().out)["tables"]["data"]
    assert [row["suite"] for row in rows] == ["mine"]


def test_bad_rows_stop_the_report_or_are_counted(tmp_path, capsys):
    runs = simulate.ladder(rng=0)
    runs.loc[3, "tokens"] = -1.0
    path = tmp_path / "runs.csv"
    runs.to_csv(path, index=False)
    assert main(["report", str(path), "-o", str(tmp_path / "out")]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("delphi: ")
    assert "\n  tokens: row 4 is -1.0" in err
    assert not (tmp_path / "out").exists()
    assert main(["report", str(path), "--on-bad", "drop", "--json"]) == 0
    out, err = capsys.readouterr()
    assert any("tokens" in row["reason"] for row in json.loads(out)["tables"]["left_out"])
    assert err.startswith("delphi: note: ")


@pytest.mark.parametrize(
    "make",
    [
        lambda p: p / "absent.csv",
        lambda p: p,
        lambda p: (p / "x.csv").write_text("\n") and p / "x.csv",
        lambda p: (p / "x.json").write_text("{") and p / "x.json",
        lambda p: (p / "x.csv").write_bytes(b"name,loss\n\xff\xfe,1\n") and p / "x.csv",
    ],
    ids=["absent", "folder", "empty", "broken", "not-utf8"],
)
def test_unreadable_runs_end_in_one_line(make, tmp_path, capsys):
    assert main(["report", str(make(tmp_path)), "-o", str(tmp_path / "out")]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("delphi: ")
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_empty_output_names_the_option(runs_file, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["report", str(runs_file), "-o", ""])
    assert caught.value.code == 2
    assert "argument -o/--output: expected the name of a directory" in capsys.readouterr().err


def test_dangling_link_as_output_is_named(runs_file, tmp_path, capsys):
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "nowhere")
    assert main(["report", str(runs_file), "-o", str(link)]) == 2
    assert capsys.readouterr().err == f"delphi: {link}: is a link to what does not exist\n"
    assert link.is_symlink()
    assert not link.exists()


def test_errors_of_many_lines_keep_them(runs_file, monkeypatch, capsys):
    def fail(*_, **__):
        raise DataError("runs.csv: two problems\nrow 1: loss\x1b[31m\n\nrow 2: tokens")

    monkeypatch.setattr("delphi.runs.read_runs", fail)
    assert main(["report", str(runs_file)]) == 2
    assert capsys.readouterr().err == (
        "delphi: runs.csv: two problems\n  row 1: loss\\x1b[31m\n  row 2: tokens\n"
    )


BAD = {
    "one run": lambda runs: runs.head(1),
    "equal tokens": lambda runs: runs.assign(tokens=1e9),
    "equal flops": lambda runs: runs.assign(flops=1e19, budget=1e19),
    "equal losses": lambda runs: runs.assign(loss=3.0),
    "beside a good one": lambda runs: runs.assign(
        loss=runs["loss"].where(runs["suite"] != "Aster", 3.0)
    ),
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("more", [[], ["--shared-floor"]])
def test_without_an_optimum_the_page_comes_out_and_says_so(kind, more, tmp_path, capsys):
    path, out = tmp_path / "runs.csv", tmp_path / "out"
    BAD[kind](simulate.ladder(held_out=(), rng=0)).to_csv(path, index=False)
    assert main(["report", str(path), "-o", str(out), *more]) == 0
    printed, err = capsys.readouterr()
    page = (out / "index.html").read_text()
    for text in (printed, page):
        assert "Aster: no budget has an optimum that can be used." in " ".join(text.split())
    whole = kind in ("one run", "equal tokens", "equal losses")
    assert ("There is no optimum anywhere" in page) == whole
    assert ("No budget has an optimum, so there is no law to draw." in page) == whole
    assert "no optimum, so no law" in (out / "ladder-aster.json").read_text()
    assert "Traceback" not in err
    assert main(["report", str(path), "--json", "--quiet", *more]) == 0
    assert "NaN" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "name",
    ["nanochat/miniseries_v1.csv", "nanochat/isoflop_optima.csv", "steplaw/dense_lr_bs_loss.csv"],
)
def test_real_runs_without_an_optimum(name, data_dir, tmp_path, capsys):
    assert main(["report", str(data_dir / name), "-o", str(tmp_path / "out")]) == 0
    assert "There is no optimum anywhere" in capsys.readouterr().out


def test_default_computes_stand_in_one_place(capsys):
    with pytest.raises(SystemExit):
        main(["report", "--help"])
    listed = ",".join(flops(C) for C in FORECAST_AT)
    assert f"(default: {listed})" in " ".join(capsys.readouterr().out.split())


def test_output_that_is_a_file_ends_in_one_line(runs_file, tmp_path, capsys):
    (tmp_path / "out").write_text("mine")
    assert main(["report", str(runs_file), "-o", str(tmp_path / "out")]) == 2
    assert "not a directory" in capsys.readouterr().err.lower()
    assert (tmp_path / "out").read_text() == "mine"


def test_full_disk_ends_in_one_line(runs_file, tmp_path, capsys, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device", "index.html")

    monkeypatch.setattr("delphi.figures.export.write_text", full)
    assert main(["report", str(runs_file), "-o", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == "delphi: index.html: No space left on device\n"
    assert not (tmp_path / "out").exists()


def test_faults_of_our_own_are_not_hidden(runs_file, monkeypatch):
    def fail(*_, **__):
        raise ValueError("a bug")

    monkeypatch.setattr("delphi.isoflop.fit_isoflops", fail)
    with pytest.raises(ValueError, match="a bug"):
        main(["report", str(runs_file)])


def test_nothing_to_report_ends_with_2(capsys):
    assert main(["report"]) == 2
    assert capsys.readouterr().err == (
        "delphi: nothing to report: give RUNS, --evals FILE, or both\n"
    )


@pytest.mark.parametrize(
    "args",
    [
        ["report", "x.csv", "--at", "soon"],
        ["report", "x.csv", "--at", "-1e21"],
        ["report", "x.csv", "--column", "loss"],
        ["report", "x.csv", "--suite", "a=b", "--suite-by-file"],
        ["report", "x.csv", "--level", "95"],
        ["report", "x.csv", "--kind", "median"],
        ["report", "x.csv", "--curve", "quartic"],
        ["nonsense"],
    ],
)
def test_bad_arguments_end_with_2(args, capsys):
    with pytest.raises(SystemExit) as caught:
        main(args)
    assert caught.value.code == 2
    assert "usage: delphi" in capsys.readouterr().err


def test_interrupt_ends_with_130(runs_file, monkeypatch, capsys):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("delphi.isoflop.fit_isoflops", interrupt)
    assert main(["report", str(runs_file)]) == 130
    assert capsys.readouterr().err == "delphi: interrupted\n"


@pytest.mark.parametrize("module", ["delphi.cli", "delphi.report.build", "delphi.simulate"])
def test_interrupt_during_an_import_ends_with_130(module):
    code = (
        "import runpy, sys\n"
        "class Stop:\n"
        "    def find_spec(self, name, *_):\n"
        f"        if name == {module!r}: raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Stop())\n"
        "sys.argv = ['delphi', 'demo', '-o', 'never-written']\n"
        "runpy.run_module('delphi', run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "delphi: interrupted\n")


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_real_interrupt_leaves_nothing(tmp_path):
    code = (
        "import delphi.figures, sys, time\n"
        "def slow(*_, **__):\n    print('drawing', flush=True)\n    time.sleep(60)\n"
        "delphi.figures.ladder = slow\n"
        "from delphi.cli import main\nsys.exit(main(['demo', '-o', 'out']))\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert child.stdout.readline() == "drawing\n"
    time.sleep(0.1)
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=30)
    assert (child.returncode, err) == (130, "delphi: interrupted\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
def test_reader_that_leaves_early_is_no_error():
    # stdout is a pipe without a reader from the very start.
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe:
        done = subprocess.run(
            [sys.executable, "-m", "delphi", "demo"], stdout=pipe, stderr=subprocess.PIPE, text=True
        )
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_real_runs_give_three_suites(data_dir, tmp_path, capsys):
    files = sorted(str(path) for path in (data_dir / "marin").glob("*.csv"))
    assert main(["report", *files, "-o", str(tmp_path / "out"), "--json"]) == 0
    out, err = capsys.readouterr()
    tables = json.loads(out)["tables"]
    assert len(tables["data"]) == 3
    assert len(tables["laws"]) == 3
    unused = [row for row in tables["fits"] if not row["used"]]
    assert [(row["budget"], row["n"]) for row in unused] == [(1.8e18, 3)]
    assert "saturated" in unused[0]["status"]
    assert not [row for row in tables["optima"] if row["budget"] == 1.8e18]
    assert len(tables["held_out"]) == 14
    assert len([f for f in (tmp_path / "out").iterdir() if f.suffix == ".json"]) == 26 + 1
    assert "1 of 22 buckets" in err
