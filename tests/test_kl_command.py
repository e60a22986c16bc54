"""`delphi kl`: what it prints, what it writes, how it ends."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from delphi import simulate
from delphi.cli import main

pytest.importorskip("plotly")
pytest.importorskip("matplotlib")

FILES = [
    "index.html", "kl-spaghetti.json", "kl_alive_spaghetti.png", "kl_alive_summary.md",
    "survival-curves.json", "survival.csv",
]  # fmt: skip


@pytest.fixture
def root(tmp_path):
    """Simulated rollouts as two cell folders, one of them with a name to be careful with."""
    made = simulate.rollouts((0.0, 2.0, 4.0), n_prompts=10, n_tokens=200, rng=5)
    base = tmp_path / "runs"
    for cell, part in (("model|a_cell0", range(5)), ("model<b>_cell1", range(5, 10))):
        kl, mass, lengths = {}, {}, {}
        for g, alpha in enumerate(made.alphas):
            rows = [made.groups[g] + k for k in part]
            kl[str(alpha)] = [made.kl[made.offsets[i] : made.offsets[i + 1]].tolist() for i in rows]
            mass[str(alpha)] = [
                made.pmass[made.fork_offsets[i] : made.fork_offsets[i + 1]].tolist() for i in rows
            ]
            lengths[str(alpha)] = made.rollouts["gen_len"].iloc[rows].tolist()
        folder = base / cell
        folder.mkdir(parents=True)
        forks = made.forks[: made.fork_offsets[1]].tolist()
        files = {
            "calib": {}, "trajectory": {"per_prompt_per_t_kl": kl},
            "pmass": {"fork_points": forks, "pmass_eval": mass, "gen_lens_eval": lengths},
        }  # fmt: skip
        for name, value in files.items():
            (folder / f"{name}.json").write_text(json.dumps(value))
    return base


def test_it_writes_all_its_files_and_says_so(root, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["kl", str(root), "-o", str(out), "--title", "A <b> | c", "--window", "200"]) == 0
    printed, notes = capsys.readouterr()
    assert sorted(p.name for p in out.iterdir()) == FILES
    assert printed.rstrip().endswith(f"in {out}.")
    assert "Log-rank tests" in printed
    assert "delphi: note:" in notes
    page = (out / "index.html").read_text()
    assert "A &lt;b&gt; | c" in page
    assert "A <b>" not in page
    assert "'unsafe-eval'" in page.split("</head>")[0]
    assert "compute in FLOPs" not in page
    summary = (out / "kl_alive_summary.md").read_text()
    assert "| alpha | n | died | censored |" in summary
    assert summary.startswith("# A &lt;b> \\| c")
    curves = pd.read_csv(out / "survival.csv")
    assert curves["alpha"].unique().tolist() == [0, 2, 4]
    assert (curves["survival"].between(0, 1)).all()
    assert (out / "kl_alive_spaghetti.png").stat().st_size > 20_000


def test_json_and_options(root, capsys):
    options = ["--json", "--quiet", "--alphas", "2", "4.0", "--threshold", "0.3", "--window", "50"]
    assert main(["kl", str(root), *options, "--model-contains", "cell0"]) == 0
    out, err = capsys.readouterr()
    value = json.loads(out)
    assert err == ""
    assert [row["alpha"] for row in value["tables"]["counts"]] == [2, 4]
    assert [row["n"] for row in value["tables"]["counts"]] == [5, 5]
    assert len(value["reading"]) >= 3
    assert value["files"] == []
    assert main(["kl", str(root), "--quiet", "--no-normalize", "--smooth-first", "--log"]) == 0
    assert capsys.readouterr().out == ""


def test_smoothing_first_is_the_notebooks_picture(root, tmp_path):
    shapes = {}
    for order in ([], ["--smooth-first"]):
        out = tmp_path / f"out{len(order)}"
        args = ["--alphas", "4", "--roll", "33", "--quiet", *order]
        assert main(["kl", str(root), "-o", str(out), *args]) == 0
        shapes[len(order)] = (out / "kl-spaghetti.json").read_text()
    assert shapes[0] != shapes[1]


def test_what_was_left_out_is_on_the_page(root, tmp_path, capsys):
    (root / "model<b>_cell1" / "calib.json").unlink()
    assert main(["kl", str(root), "-o", str(tmp_path / "out")]) == 0
    out, err = capsys.readouterr()
    assert "left out 1 cell: no calib.json" in err
    assert "Left out" in out
    assert "no calib.json" in (tmp_path / "out" / "kl_alive_summary.md").read_text()


@pytest.mark.parametrize(("options", "says"), [
    (["--threshold", "1.5"], "threshold"),
    (["--threshold", "nan"], "threshold"),
    (["--level", "1"], "level"),
    (["--alphas", "9"], "no alpha 9"),
    (["--model-contains", "zzz"], "no cell folder"),
])  # fmt: skip
def test_errors_are_one_line_and_write_nothing(root, tmp_path, capsys, options, says):
    out = tmp_path / "out"
    assert main(["kl", str(root), "-o", str(out), *options]) == 2
    err = capsys.readouterr().err
    assert says in err
    assert err.startswith("delphi: ")
    assert not out.exists()


def test_no_such_root(tmp_path, capsys):
    assert main(["kl", str(tmp_path / "none")]) == 2
    assert "no such folder" in capsys.readouterr().err


@pytest.mark.parametrize("args", [
    ["kl"], ["kl", "x", "--window", "0"], ["kl", "x", "--roll", "-3"], ["kl", "x", "--alphas", "a"],
    ["kl", "x", "--calib-tokens", "1.5"], ["kl", "x", "-o", ""],
])  # fmt: skip
def test_bad_arguments_end_with_2(args, capsys):
    with pytest.raises(SystemExit) as caught:
        main(args)
    assert caught.value.code == 2
    assert "usage: delphi" in capsys.readouterr().err


def test_help_imports_nothing_it_does_not_need():
    code = (
        "import sys\nfrom delphi.cli import main\n"
        "try: main(['kl', '--help'])\nexcept SystemExit: pass\n"
        "heavy = {'plotly', 'tqdm', 'matplotlib', 'scipy', 'delphi.report', 'delphi.kl'}\n"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_caches_of_the_notebook(caches_dir, tmp_path, capsys):
    out = tmp_path / "out"
    args = ["--model-contains", "Qwen3.5-0.8B", "--json", "--quiet"]
    assert main(["kl", str(caches_dir / "kl"), "-o", str(out), *args]) == 0
    tables = json.loads(capsys.readouterr().out)["tables"]
    assert [row["died"] for row in tables["counts"]] == [0, 0, 0, 0, 3, 14, 13, 24]
    assert [row["ended"] for row in tables["counts"]] == [9, 11, 12, 9, 8, 8, 12, 9]
    assert len(tables["logrank"]) == 28
    medians = [row["median"] for row in tables["survival"]]
    assert medians[-3:] == [480, 352, 288]
    assert np.isfinite(pd.read_csv(out / "survival.csv")["survival"]).all()
