"""Tables that cannot be used: each ends in a DataError that names source, column and row."""

from __future__ import annotations

import json
import re
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest

from delphi.errors import DataError, DataWarning
from delphi.runs import left_out_table, read_runs

HEADER = "name,params,tokens,flops,loss\n"
GOOD = "a,1e8,1e9,6e17,3.5\n"


@pytest.fixture
def table(tmp_path):
    """Write text or bytes to a file and return its path."""

    def write(content, name="runs.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def message(source, **options):
    """The text of the DataError that reading ends in, without any warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DataError) as caught:
            read_runs(source, **options)
    return str(caught.value)


# --- files ----------------------------------------------------------------------------------------


def test_no_such_file(tmp_path):
    path = tmp_path / "none.csv"
    assert message(path) == f"{path}: no such file"


def test_a_directory(tmp_path):
    assert message(tmp_path) == f"{tmp_path}: is a directory; give the files in it"


def test_unknown_suffix(table):
    text = message(table("x", "runs.xlsx"))
    assert "runs.xlsx: unknown suffix '.xlsx'" in text
    assert ".json, .jsonl, .csv" in text


@pytest.mark.parametrize("name", ["r.csv", "r.tsv", "r.json", "r.jsonl", "r.parquet"])
@pytest.mark.parametrize("content", ["", " \n\n"])
def test_empty_file(table, name, content):
    path = table("" if name == "r.parquet" else content, name)
    assert message(path) == f"{path}: the file is empty"


def test_header_only(table):
    path = table(HEADER)
    assert message(path) == f"{path}: a header but no rows"


@pytest.mark.parametrize("name", ["r.csv", "r.json"])
def test_not_utf8(table, name):
    path = table(HEADER.encode() + b"caf\xe9,1,1,1,1\n", name)
    assert message(path) == f"{path}: not UTF-8 text: byte 0xe9 at offset {len(HEADER) + 3}"


def test_ragged_rows(table):
    path = table(HEADER + GOOD + "\n" + "b,1e8,1e9\n")
    assert message(path) == f"{path}: data row 2 has 3 cells, the header has 5"
    assert "data row 1 has 6 cells" in message(table(HEADER + "a,1e8,1e9,6e17,3,5\n"))


def test_broken_quotes(table):
    path = table(HEADER + '"a"x,1e8,1e9,6e17,3.5\n')
    assert message(path).startswith(f"{path}: line 2 is not valid CSV: ")


def test_duplicated_columns(table):
    path = table("loss,params,tokens,flops,loss\n3,1,1,1,4\n")
    assert message(path) == f"{path}: duplicated column 'loss'"
    df = pd.DataFrame([[1.0, 2.0]], columns=["loss", "loss"])
    assert message(df) == "frame: duplicated column 'loss'"


def test_broken_json(table):
    path = table('[{"loss": 3.5},\n {"loss": }]', "r.json")
    assert message(path) == f"{path}: broken JSON at line 2, column 11: Expecting value"


def test_broken_json_lines(table):
    path = table('{"loss": 3.5}\n\n{"loss": \n', "r.jsonl")
    assert message(path).startswith(f"{path}: broken JSON at line 3, column ")


def test_json_too_deep_or_too_long_to_read(table):
    assert "JSON that cannot be read" in message(table("[" * 100_000, "r.json"))
    assert "JSON that cannot be read" in message(table("[" + "9" * 5000 + "]", "r.json"))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"loss": [3.5]}', "expected a JSON list of row objects, found an object"),
        ("3", "expected a JSON list of row objects, found a number"),
        ("[]", "the list has no rows"),
        ('[{"loss": 1}, [1]]', "row 2 is a list, not an object of named values"),
        ("[null]", "row 1 is null, not an object of named values"),
    ],
)
def test_json_of_another_shape(table, content, expected):
    path = table(content, "r.json")
    assert message(path) == f"{path}: {expected}"


def test_unreadable_parquet(table):
    path = table(b"PAR1 but not really", "r.parquet")
    assert message(path).startswith(f"{path}: not a readable Parquet file: ")


# --- sources in memory ----------------------------------------------------------------------------


def test_empty_frames():
    assert message(pd.DataFrame({"loss": []})) == "frame: no rows"
    assert message(pl.DataFrame({"loss": []})) == "frame: no rows"


def test_no_sources():
    assert message([]) == "no runs to read: the list of sources is empty"


@pytest.mark.parametrize("source", [3, None, {"loss": [1.0]}, np.ones(3), pd.Series([1.0])])
def test_not_a_source(source):
    assert message(source).startswith("cannot read runs from a ")


def test_a_lazy_frame_must_be_collected():
    assert message(pl.LazyFrame({"loss": [1.0]})).endswith("; collect it first")


def test_rows_mixed_with_other_sources():
    assert message([{"loss": 1.0}, "runs.csv"]).startswith("rows: row 2 is a string")


# --- columns --------------------------------------------------------------------------------------


def test_missing_columns_are_all_named_with_the_nearest_there_are(table):
    path = table("name,zzz,Param_count,my_loss,flops\na,1,1,1,1\n")
    text = message(path)
    assert text.startswith(f"{path}: missing params, tokens, loss\n")
    assert "no column for loss: looked for 'loss', 'eval/paloma/macro_loss'" in text
    assert "it has 'Param_count', 'my_loss'" in text
    assert "columns={'params': '...', 'tokens': '...', 'loss': '...'}" in text


def test_a_mapped_column_that_is_not_there(table):
    path = table(HEADER + GOOD)
    text = message(path, columns={"loss": "eval/los"})
    assert text.startswith(f"{path}: no column 'eval/los'; it has 'loss', ")


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"lose": "loss"}, "the standard names are name, suite"),
        ({"loss": 3}, "a column name is a string"),
        ({"flops": "flops", "gflops": "flops"}, "names both flops and gflops"),
    ],
)
def test_wrong_mappings(table, columns, expected):
    assert expected in message(table(HEADER + GOOD), columns=columns)


# --- cells ----------------------------------------------------------------------------------------


def test_every_bad_column_and_the_first_five_rows(table):
    rows = "".join(f"r{i},abc{i},-1,1e18,inf\n" for i in range(7))
    path = table(HEADER + GOOD + rows)
    text = message(path)
    assert text.splitlines()[:2] == [
        "values that cannot be used (data rows are counted from 1)",
        f"{path}:",
    ]
    assert (
        "  params: row 2 is 'abc0' (not a number), row 3 is 'abc1' (not a number), "
        "row 4 is 'abc2' (not a number), row 5 is 'abc3' (not a number), "
        "row 6 is 'abc4' (not a number); 7 bad rows in all"
    ) in text
    assert "  tokens: row 2 is -1" in text
    assert "(not positive)" in text
    assert "  loss: row 2 is inf (infinite)" in text
    assert "row 7" not in text
    assert "flops" not in text


def test_bad_cells_in_all_sources_are_listed(table):
    first = table(HEADER + "a,x,1e9,6e17,3.5\n", "one.csv")
    second = table(HEADER + GOOD + "a,1e8,1e9,6e17,y\n", "two.csv")
    text = message([first, second])
    assert f"{first}:\n  params: row 1 is 'x' (not a number)" in text
    assert f"{second}:\n  loss: row 2 is 'y' (not a number)" in text


@pytest.mark.parametrize("column", ["params", "tokens", "flops", "loss"])
@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("abc", "not a number"),
        ("0", "not positive"),
        ("-2.5", "not positive"),
        ("inf", "infinite"),
        ("-inf", "infinite"),
        ("Infinity", "infinite"),
        ("1e999", "infinite"),
        ("True", "not a number"),
        ("1_000", "not a number: write it without thousands separators"),
        ('"1,000"', "not a number: write it without thousands separators"),
        ("1 000", "not a number: write it without thousands separators"),
        ("0x10", "not a number"),
    ],
)
def test_bad_cell_in_csv(table, column, cell, reason):
    names = HEADER.strip().split(",")
    cells = GOOD.strip().split(",")
    cells[names.index(column)] = cell
    path = table(HEADER + GOOD + ",".join(cells) + "\n")
    text = message(path)
    assert re.search(rf"\n  {column}: row 2 is .* \({reason}\)\n", text), text


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        (True, r"True \(not a number\)"),
        ("3.5x", r"'3.5x' \(not a number\)"),
        ([3.5], r"\[3.5\] \(not a number\)"),
        ({"v": 1}, r"\{'v': 1\} \(not a number\)"),
        (0, r"0 \(not positive\)"),
        (float("inf"), r"inf \(infinite\)"),
        (10**400, r"10{38}\.\.\. \(infinite\)"),
        ("x" * 100, r"'x{38}\.\.\. \(not a number\)"),
    ],
)
def test_bad_cell_in_json(table, cell, shown):
    row = {"params": 1e8, "tokens": 1e9, "flops": 6e17}
    path = table(json.dumps([row | {"loss": 3.5}, row | {"loss": cell}]), "r.json")
    assert re.search(rf"{path}:\n  loss: row 2 is {shown}", message(path))


@pytest.mark.parametrize(
    ("cells", "shown"),
    [
        (np.array([True, False]), "row 1 is True (not a number), row 2 is False (not a number)"),
        (pd.array([True, None], dtype="boolean"), "row 1 is True (not a number)"),
        (pd.to_datetime(["2024-01-01", "2024-01-02"]), "row 1 is Timestamp("),
        (np.array([1 + 2j, 1]), "row 1 is (1+2j) (not a number)"),
        (np.array([3.5, 0.0], dtype=np.float32), "row 2 is 0.0 (not positive)"),
        (np.array([3, -1]), "row 2 is -1 (not positive)"),
        (pd.array([3, -1], dtype="Int64"), "row 2 is -1 (not positive)"),
        (pd.Categorical(["a", "b"]), "row 1 is 'a' (not a number)"),
    ],
)
def test_bad_cell_in_a_frame(cells, shown):
    df = pd.DataFrame({"params": 1e8, "tokens": 1e9, "flops": 6e17, "eval/loss": cells})
    assert f"frame:\n  loss (column 'eval/loss'): {shown}" in message(df)


def test_a_derived_value_out_of_range_is_reported():
    df = pd.DataFrame({"params": [1e300], "tokens": [1e300], "loss": [3.0]})
    assert "  flops (derived): row 1 is inf (infinite)" in message(df)


def test_an_unknown_run_type():
    df = pd.DataFrame({"params": [1e8], "tokens": 1e9, "flops": 6e17, "loss": 3.0})
    assert "run_type: row 1 is 'sweep' (neither isoflop nor optimal)" in message(
        df.assign(run_type="sweep")
    )


def test_a_bad_budget():
    df = pd.DataFrame({"params": [1e8], "tokens": 1e9, "flops": 6e17, "loss": 3.0, "budget": 0})
    assert "budget: row 1 is 0 (not positive)" in message(df)


def test_bad_rows_can_be_dropped_and_are_counted(table):
    path = table(HEADER + "x,abc,-1,6e17,3.5\n" + GOOD + "y,1e8,1e9,6e17,inf\nz,1e8,1e9,6e17,\n")
    with pytest.warns(DataWarning, match="left out 3 of 4 runs"):
        runs = read_runs(path, on_bad="drop")
    assert runs["row"].tolist() == [2]
    assert {(e["row"], e["name"], e["reason"]) for e in runs.attrs["delphi"]["left_out"]} == {
        (1, "x", "tokens not positive"),
        (3, "y", "loss infinite"),
        (4, "z", "loss missing"),
    }
    assert left_out_table(runs)["rows"].sum() == 3


def test_no_usable_run(table):
    path = table(HEADER + "a,1e8,1e9,6e17,\n")
    expected = f"{path}: no usable run; left out 1 of 1 runs: loss missing (1)"
    assert message(path) == expected


# --- options --------------------------------------------------------------------------------------


@pytest.mark.parametrize("budgets", [0, -1, True, 2.0, "2", [], [1e18, -1.0], [np.inf], None])
def test_wrong_budgets(table, budgets):
    assert message(table(HEADER + GOOD), budgets=budgets).startswith("budgets=")


def test_wrong_on_bad(table):
    assert "'raise' or 'drop', not 'skip'" in message(table(HEADER + GOOD), on_bad="skip")


@pytest.mark.parametrize("suites", [3, {3: "x"}, ["a"]])
def test_wrong_suites(table, suites):
    assert message(table(HEADER + GOOD), suites=suites).startswith("suites=")
