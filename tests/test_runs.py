"""read_runs and what goes with it: columns, units, suites, budgets, rows left out."""

from __future__ import annotations

import copy
import json
from collections import Counter
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from delphi.errors import DataError, DataWarning
from delphi.runs import (
    ADAMH_LABEL,
    C_ADAMC_LABEL,
    CRASHED_STATES,
    STANDARD_COLUMNS,
    left_out_table,
    match_grid,
    read_runs,
    round_sig,
)

ROWS = [
    {"name": "a", "params": 1e8, "tokens": 2e9, "flops": 1.2e18, "loss": 3.9, "state": "finished"},
    {"name": "b", "params": 2e8, "tokens": 1e9, "flops": 1.21e18, "loss": 3.8, "state": "crashed"},
    {"name": "c", "params": 4e8, "tokens": 5e8, "flops": 1.19e18, "loss": 3.85, "state": None},
]


def frame(**changes):
    return pd.DataFrame(ROWS).assign(**changes)


# --- the standard table ---------------------------------------------------------------------------


def test_standard_columns_types_and_attrs():
    runs = read_runs(frame())
    assert tuple(runs.columns) == STANDARD_COLUMNS
    assert isinstance(runs.index, pd.RangeIndex)
    for column in ("params", "tokens", "flops", "budget", "loss"):
        assert runs[column].dtype == np.float64
    for column in ("name", "suite", "run_type", "seed", "state", "source"):
        assert runs[column].dtype == pd.Series(["x"], dtype="str").dtype
    assert runs["state"].tolist() == ["finished", "crashed", ""]
    assert runs["source"].tolist() == ["frame"] * 3
    assert runs["row"].tolist() == [1, 2, 3]
    assert runs["suite"].tolist() == ["Unknown"] * 3
    assert runs.attrs["delphi"] == {
        "sources": ["frame"],
        "read": 3,
        "left_out": [],
        "left_out_counts": {},
        "notes": [],
        "loss_column": "loss",
        "columns": {
            "params": ["column 'params'"],
            "tokens": ["column 'tokens'"],
            "flops": ["column 'flops'"],
            "loss": ["column 'loss'"],
            "budget": ["derived as flops rounded to 2 digits"],
        },
    }


def write(path: Path, df: pd.DataFrame) -> Path:
    if path.suffix == ".json":
        path.write_text(df.to_json(orient="records"))
    elif path.suffix == ".jsonl":
        path.write_text(df.to_json(orient="records", lines=True))
    elif path.suffix == ".parquet":
        df.to_parquet(path)
    else:
        df.to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")
    return path


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".csv", ".tsv", ".parquet", ".CSV"])
def test_every_file_format_reads_the_same(tmp_path, suffix):
    path = write(tmp_path / f"ladder{suffix}", frame())
    runs = read_runs(str(path) if suffix == ".csv" else path)
    expected = read_runs(frame(), suites="ladder").assign(source=path.name)
    pd.testing.assert_frame_equal(runs, expected.astype(runs.dtypes), check_exact=True)
    assert json.loads(json.dumps(runs.attrs["delphi"])) == runs.attrs["delphi"]


@pytest.mark.parametrize(
    "convert",
    [
        lambda df: df.to_dict("records"),
        pl.from_pandas,
        pa.Table.from_pandas,
        lambda df: df.convert_dtypes(),
        lambda df: df.convert_dtypes(dtype_backend="pyarrow"),
        lambda df: df.astype({"loss": object, "name": "category"}),
        lambda df: df.assign(loss=[Decimal(str(x)) for x in df["loss"]]),
        lambda df: df.assign(loss=df["loss"].astype(str)),
        lambda df: df.assign(tokens=df["tokens"].astype(np.int64)),
        lambda df: df.set_index(pd.Index([5, 5, 1])),
        lambda df: pl.from_pandas(df).with_columns(pl.col("params").cast(pl.Int64)),
        lambda df: pl.from_pandas(df).with_columns(pl.col("name").cast(pl.Categorical)),
    ],
)
def test_every_kind_of_frame_reads_the_same(convert):
    runs = read_runs(convert(frame()))
    expected = read_runs(frame())
    pd.testing.assert_frame_equal(runs.drop(columns="source"), expected.drop(columns="source"))


def test_small_floats_are_widened():
    runs = read_runs(frame(loss=np.array([3.9, 3.8, 3.85], dtype=np.float32)))
    assert runs["loss"].tolist() == np.array([3.9, 3.8, 3.85], np.float32).astype(float).tolist()


def test_strided_and_read_only_arrays_and_the_callers_frame_stays():
    loss = np.array([3.9, 0.0, 3.8, 0.0, 3.85])[::2]
    loss.flags.writeable = False
    df = pd.DataFrame({"loss": loss}, copy=False).join(frame().drop(columns="loss"))
    before, attrs = df.copy(deep=True), copy.deepcopy(df.attrs)
    runs = read_runs(df)
    runs["loss"] = 0.0
    pd.testing.assert_frame_equal(df, before)
    assert df.attrs == attrs
    assert read_runs(df)["loss"].tolist() == [3.9, 3.8, 3.85]


def test_a_standard_table_reads_as_itself():
    runs = read_runs(frame(), suites="mine")
    again = read_runs(runs)
    pd.testing.assert_frame_equal(again, runs)


def test_numbers_in_csv_are_read_to_the_last_bit(tmp_path):
    loss = np.random.default_rng(0).uniform(2, 4, 500)
    df = pd.DataFrame({"params": 1e8, "tokens": 1e9, "flops": 6e17, "loss": loss})
    text = df.to_csv(index=False)
    (tmp_path / "r.csv").write_text(text)
    assert np.array_equal(read_runs(tmp_path / "r.csv")["loss"], loss)


def test_csv_with_bom_quotes_blank_lines_and_blank_columns(tmp_path):
    text = '\ufeff\n"name",params,,tokens,flops,loss,\n"a, ""x""\n1",1e8,,1e9,6e17,3.5,\n\n'
    (tmp_path / "r.csv").write_text(text + "b,1e8,,1e9,6e17,3.6,\n", encoding="utf-8")
    runs = read_runs(tmp_path / "r.csv")
    assert runs["name"].tolist() == ['a, "x"\n1', "b"]
    assert runs["row"].tolist() == [1, 2]


def test_text_columns_keep_their_spelling(tmp_path):
    (tmp_path / "r.csv").write_text(
        "name,seed,exp,params,tokens,flops,loss\n007,042,1e18,1e8,1e9,6e17,3\n"
    )
    run = read_runs(tmp_path / "r.csv").iloc[0]
    assert (run["name"], run["seed"], run["suite"]) == ("007", "042", "1e18")


def test_one_run_is_a_table():
    assert len(read_runs(ROWS[:1])) == 1


# --- columns and units ----------------------------------------------------------------------------


def test_gflops_are_converted_once():
    df = frame().drop(columns="flops").assign(total_gflops=[1.2e9, 1.21e9, 1.19e9])
    assert read_runs(df)["flops"].tolist() == [1.2e9 * 1e9, 1.21e9 * 1e9, 1.19e9 * 1e9]
    mine = df.rename(columns={"total_gflops": "work"})
    expected = read_runs(df)["flops"]
    assert read_runs(mine, {"gflops": "work"})["flops"].equals(expected)
    assert read_runs(df, {"flops": "total_gflops"})["flops"].equals(expected)
    assert read_runs(mine, {"flops": "work"})["flops"].tolist() == mine["work"].tolist()


def test_names_are_found_ignoring_case_but_single_letters_are_not():
    df = frame().rename(columns={"loss": "Loss", "tokens": " TOKENS ", "params": "N"})
    assert read_runs(df)["params"].tolist() == [1e8, 2e8, 4e8]
    with pytest.raises(DataError, match="missing params"):
        read_runs(df.rename(columns={"N": "n"}))


def test_exact_case_comes_first():
    runs = read_runs(frame(LOSS=[9.0, 9.0, 9.0]))
    assert runs["loss"].tolist() == [3.9, 3.8, 3.85]
    assert runs.attrs["delphi"]["notes"] == []


def test_a_choice_between_losses_is_noted():
    with pytest.warns(DataWarning, match=r"loss is read from 'loss', not from 'val_loss'"):
        runs = read_runs(frame(val_loss=1.0))
    assert runs["loss"].tolist() == [3.9, 3.8, 3.85]
    assert read_runs(frame(val_loss=1.0), {"loss": "val_loss"})["loss"].tolist() == [1.0] * 3


def test_a_column_named_by_the_caller_serves_only_there():
    df = frame(compute=[1e18] * 3).drop(columns="flops")
    with pytest.warns(DataWarning, match="flops are the budget"):
        assert read_runs(df, {"budget": "compute"})["flops"].tolist() == [1e18] * 3


def test_different_losses_in_one_table_are_noted():
    other = frame(name=["d", "e", "f"]).rename(columns={"loss": "val_bpb"})
    with pytest.warns(DataWarning, match="loss comes from different columns: loss, val_bpb"):
        runs = read_runs([frame(), other])
    assert runs.attrs["delphi"]["loss_column"] == "loss, val_bpb"
    assert runs.attrs["delphi"]["sources"] == ["frame 1", "frame 2"]


def test_flops_are_derived_from_params_and_tokens():
    with pytest.warns(DataWarning, match=r"frame: flops are derived as 6 params tokens"):
        runs = read_runs(frame().drop(columns="flops"))
    assert runs["flops"].tolist() == [6.0 * 1e8 * 2e9, 6.0 * 2e8 * 1e9, 6.0 * 4e8 * 5e8]
    assert runs.attrs["delphi"]["notes"] == ["frame: flops are derived as 6 params tokens"]


def test_tokens_are_derived_from_flops_and_params():
    with pytest.warns(DataWarning, match=r"tokens are derived as flops / \(6 params\)"):
        runs = read_runs(frame().drop(columns="tokens"))
    assert runs["tokens"].tolist() == [1.2e18 / 6e8, 1.21e18 / 12e8, 1.19e18 / 24e8]


def test_budget_stands_in_for_flops_and_tokens_follow():
    df = frame(budget=1.2e18).drop(columns=["flops", "tokens"])
    with pytest.warns(DataWarning, match="flops are the budget.*tokens are derived"):
        runs = read_runs(df)
    assert runs["flops"].tolist() == runs["budget"].tolist() == [1.2e18] * 3
    assert runs["tokens"].tolist() == [1.2e18 / 6e8, 1.2e18 / 12e8, 1.2e18 / 24e8]


def test_the_notebooks_frame_reads_with_its_own_suites_and_buckets():
    df = pd.DataFrame(
        {"name": "x", "loss": [3.0, 3.1], "tokens": 1e9, "params": 1e8, "total_gflops": 1.04e9}
    ).assign(quantizer="q", run_type="optimal", gflops_q=1.0e9)
    runs = read_runs(df)
    assert runs["suite"].tolist() == ["q", "q"]
    assert runs["run_type"].tolist() == ["optimal"] * 2
    assert runs["budget"].tolist() == [1e18, 1e18]


# --- suite, run type, seed ------------------------------------------------------------------------

NAMES = ["ADAMH_scaling_v6-x", "adamh-scaling-ladder-nemotron-optimal-1-seed7-z", "comma-NEMO"]


def test_default_suites_come_from_the_name(tmp_path):
    path = write(tmp_path / "stem.csv", frame(name=NAMES))
    runs = read_runs(path)
    assert runs["suite"].tolist() == [ADAMH_LABEL, ADAMH_LABEL, C_ADAMC_LABEL]
    assert runs["run_type"].tolist() == ["isoflop", "optimal", "isoflop"]
    assert runs["seed"].tolist() == ["default", "7", "default"]
    assert read_runs(write(path, frame()))["suite"].tolist() == ["stem"] * 3


def test_a_suite_column_comes_before_the_name():
    runs = read_runs(frame(name=NAMES, experiment=["e", None, "f"]))
    assert runs["suite"].tolist() == ["e", "Unknown", "f"]


def test_suites_by_keyword_first_match_wins():
    rules = {"ladder": "L", "ADAMH": "A", "": "rest"}
    assert read_runs(frame(name=NAMES), suites=rules)["suite"].tolist() == ["A", "L", "rest"]
    runs = read_runs(frame(name=NAMES, suite=["s", "t", "u"]), suites={"comma": "C"})
    assert runs["suite"].tolist() == ["s", "t", "C"]


def test_suites_by_function_and_by_label():
    runs = read_runs(frame(), suites=lambda name: "first" if name == "a" else None)
    assert runs["suite"].tolist() == ["first", "Unknown", "Unknown"]
    assert read_runs(frame(suite="s"), suites="one")["suite"].tolist() == ["one"] * 3


def test_run_type_and_seed_columns_are_used():
    runs = read_runs(frame(run_type=["Optimal", "", None], seed=[3.0, np.nan, 4.0]))
    assert runs["run_type"].tolist() == ["optimal", "isoflop", "isoflop"]
    assert runs["seed"].tolist() == ["3", "default", "4"]


def test_nameless_runs_are_named_by_row_and_not_by_file(tmp_path):
    path = write(tmp_path / "nemo-optimal.csv", frame().drop(columns="name"))
    runs = read_runs(path)
    assert runs["name"].tolist() == ["row 1", "row 2", "row 3"]
    assert set(runs["suite"]) == {"nemo-optimal"}
    assert set(runs["run_type"]) == {"isoflop"}


def test_files_of_one_name_are_told_apart(tmp_path):
    paths = []
    for k, folder in enumerate(["x", "y"]):
        (tmp_path / folder).mkdir()
        paths.append(write(tmp_path / folder / "r.csv", frame(loss=[3.0 + k, 3.1, 3.2])))
    with pytest.warns(DataWarning, match=r"duplicate \(2\)"):
        runs = read_runs(paths)
    assert runs["source"].unique().tolist() == [str(p) for p in paths]
    assert runs.attrs["delphi"]["left_out"][0] == {
        "source": str(paths[1]),
        "row": 2,
        "name": "b",
        "reason": f"duplicate of row 2 of {paths[0]}",
    }


# --- budgets --------------------------------------------------------------------------------------

POSITIVE = st.floats(min_value=0, exclude_min=True, allow_infinity=False)


@settings(max_examples=300)
@given(
    st.lists(st.floats() | st.integers(-(10**6), 10**6).map(lambda i: i / 1000), max_size=20),
    st.integers(1, 18),
)
@example([1.15, 2.5, 12.5, 1.25e18, 1.35e25, 9.99e22, 5e-324, 1.7e308, 999.9999999999999], 2)
@example([0.5, 1.5, 2.5, 1e23, 9.5e22, 0.25, -2.5], 1)
def test_round_sig_is_the_formatted_number(values, sig):
    out = round_sig(np.array(values, dtype=float), sig)
    expected = [float(f"{v:.{sig}g}") for v in values]
    np.testing.assert_array_equal(out, np.array(expected, dtype=float))
    numbers = ~np.isnan(out)  # zeros keep their sign; that of a NaN means nothing
    assert np.array_equal(np.signbit(out)[numbers], np.signbit(expected)[numbers])


def test_round_sig_on_a_million_values():
    rng = np.random.default_rng(1)
    x = np.concatenate([10 ** rng.uniform(-30, 40, 100_000), rng.integers(1, 10**6, 50_000) / 1e3])
    assert round_sig(x, 2).tolist() == [float(f"{v:.2g}") for v in x.tolist()]


def test_round_sig_keeps_scalars_and_shapes():
    assert type(round_sig(1.26e18)) is float
    assert round_sig(1.26e18) == 1.3e18
    assert round_sig(np.full((2, 3), 1.26), 2).tolist() == [[1.3] * 3] * 2
    with pytest.raises(DataError, match="at least 1 digit"):
        round_sig(1.0, 0)


@given(st.lists(st.floats(1e5, 1e18) | st.integers(1, 999).map(lambda i: i * 1e8 + 5e7)))
def test_budgets_split_runs_as_the_notebook_splits_gflops(gflops):
    gflops = [*gflops, 1.15, 1.25e9]  # 1.15 GFLOPs round down, 1.15e9 FLOPs would round up
    df = pd.DataFrame({"total_gflops": gflops, "params": 1e8, "tokens": 1e9, "loss": 3.0})
    df["name"] = [str(i) for i in range(len(df))]
    budgets = read_runs(df)["budget"].tolist()
    notebook = [float(f"{g:.2g}") for g in gflops]
    assert budgets == [float(f"{b * 1e9:.2g}") for b in notebook]
    assert len(set(budgets)) == len(set(notebook))


def test_budget_digits():
    df = frame(flops=[1.234e18, 1.236e18, 1.4e18])
    assert read_runs(df, budgets=3)["budget"].tolist() == [1.23e18, 1.24e18, 1.4e18]
    assert read_runs(df, budgets=1)["budget"].tolist() == [1e18] * 3


def test_named_budgets_take_the_nearest_within_a_tenth():
    df = frame(flops=[1.2e18, 1.3e18, 2e18])
    with pytest.warns(DataWarning, match=r"1 runs are more than 10 % from every named budget"):
        runs = read_runs(df, budgets=[1e19, 1.25e18])
    assert runs["budget"].tolist() == [1.25e18, 1.25e18, 2e18]


def test_a_budget_column_is_used_as_it_is():
    runs = read_runs(frame(budget=[1.234e18, 1.234e18, None]))
    assert runs["budget"].tolist() == [1.234e18, 1.234e18, 1.2e18]


# --- rows left out --------------------------------------------------------------------------------


def test_missing_values_are_left_out_and_counted():
    df = frame(loss=[3.9, None, "NaN"], tokens=["null", 1e9, 5e8])
    df.loc[3] = ROWS[0]
    with pytest.warns(DataWarning) as record:
        runs = read_runs(df)
    assert [str(w.message) for w in record] == [
        "left out 3 of 4 runs: loss missing (2), tokens missing (1)"
    ]
    assert runs["row"].tolist() == [4]
    assert runs.index.tolist() == [0]
    assert runs.attrs["delphi"]["read"] == 4
    assert runs.attrs["delphi"]["left_out"] == [
        {"source": "frame", "row": 2, "name": "b", "reason": "loss missing"},
        {"source": "frame", "row": 3, "name": "c", "reason": "loss missing"},
        {"source": "frame", "row": 1, "name": "a", "reason": "tokens missing"},
    ]
    table = left_out_table(runs)
    assert table.values.tolist() == [["loss missing", 2], ["tokens missing", 1]]
    assert table["rows"].dtype == np.int64


@pytest.mark.parametrize("missing", ["", " ", "NaN", "nan", "null", "None"])
def test_every_word_for_missing(tmp_path, missing):
    path = tmp_path / "r.csv"
    path.write_text(f"params,tokens,flops,loss\n1e8,1e9,6e17,{missing}\n1e8,1e9,6e17,3.5\n")
    with pytest.warns(DataWarning, match=r"left out 1 of 2 runs: loss missing \(1\)"):
        assert read_runs(path)["row"].tolist() == [2]


def test_a_crashed_run_without_loss_is_not_an_error_for_its_zeros():
    with pytest.warns(DataWarning, match="loss missing"):
        assert len(read_runs(frame(loss=[None, 3.8, 3.85], tokens=[0, 1e9, 5e8]))) == 2


def test_duplicates_are_left_out_and_point_to_the_first():
    df = pd.concat([frame(), frame().iloc[[1]], frame(loss=[3.9, 3.8, 1.0])], ignore_index=True)
    with pytest.warns(DataWarning, match=r"left out 3 of 7 runs: duplicate \(3\)"):
        runs = read_runs(df)
    assert runs["row"].tolist() == [1, 2, 3, 7]
    reasons = [entry["reason"] for entry in runs.attrs["delphi"]["left_out"]]
    assert reasons == ["duplicate of row 2", "duplicate of row 1", "duplicate of row 2"]
    assert left_out_table(runs).values.tolist() == [["duplicate", 3]]


def test_equal_values_under_other_names_or_seeds_are_no_duplicates():
    df = frame(params=1e8, tokens=1e9, flops=6e17, loss=3.0, state="", name=["a", "b", "b"])
    assert len(read_runs(df.assign(seed=[1, 1, 2]))) == 3


def test_the_list_of_rows_is_capped_but_the_count_is_not():
    loss = np.where(np.arange(3000) < 2500, np.nan, 3.0)
    df = pd.DataFrame({"params": 1e8, "tokens": 1e9, "flops": 6e17, "loss": loss})
    df["name"] = np.arange(3000)
    with pytest.warns(DataWarning, match=r"left out 2500 of 3000 runs"):
        runs = read_runs(df)
    assert len(runs.attrs["delphi"]["left_out"]) == 1000
    assert left_out_table(runs)["rows"].tolist() == [2500]


def test_left_out_table_of_a_clean_or_foreign_frame_is_empty():
    for table in (read_runs(frame()), frame()):
        assert left_out_table(table).shape == (0, 2)


def test_match_grid():
    df = pd.DataFrame(
        [
            ("new", 1.0e8, 3e18, "isoflop"),
            ("new", 4.0e8, 3e18, "optimal"),
            ("old", 1.0004e8, 3e18, "isoflop"),  # same to 1e6
            ("old", 1.0e8, 9e18, "isoflop"),
            ("old", 4.0e8, 3e18, "isoflop"),  # only an optimal run of `new` is there
            ("old", 7.0e8, 3e18, "optimal"),
            ("third", 7.0e8, 3e18, "isoflop"),
        ],
        columns=["suite", "params", "flops", "run_type"],
    ).assign(tokens=1e9, loss=3.0)
    runs = read_runs(df)
    before = copy.deepcopy(runs.attrs)
    kept = match_grid(runs, "old", "new")
    assert kept["row"].tolist() == [1, 2, 3, 6, 7]
    assert kept.index.tolist() == list(range(5))
    assert runs.attrs == before
    assert len(runs) == 7
    reason = "not on the (params, budget) grid of new"
    assert left_out_table(kept).values.tolist() == [[reason, 2]]
    assert [entry["row"] for entry in kept.attrs["delphi"]["left_out"]] == [4, 5]
    with pytest.raises(DataError, match=r"no suite 'nope' in these runs; they have \['new'"):
        match_grid(runs, "old", "nope")


def test_crashed_states_are_lower_case():
    assert {"crashed", "failed", "killed", "preempted"} == CRASHED_STATES


def test_a_million_rows():
    n = 1_000_000
    rng = np.random.default_rng(0)
    df = pd.DataFrame(
        {
            "name": np.char.add("nemo-", np.arange(n).astype(str)),
            "params": 1e8,
            "tokens": 1e9,
            "flops": rng.choice([3e18, 9e18], n) * rng.uniform(0.99, 1.01, n),
            "loss": rng.uniform(2, 4, n),
        }
    )
    runs = read_runs(df)
    assert len(runs) == n
    assert set(runs["budget"]) == {3e18, 8.9e18, 9e18, 9.1e18}
    assert set(runs["suite"]) == {C_ADAMC_LABEL}


# --- published runs -------------------------------------------------------------------------------


def test_marin_ladders_are_three_suites(data_dir):
    runs = read_runs(sorted((data_dir / "marin").glob("*.csv")))
    assert Counter(runs["suite"]) == {C_ADAMC_LABEL: 95, "isoflop-comma": 92, "isoflop-dclm": 85}
    assert Counter(runs["run_type"]) == {"isoflop": 258, "optimal": 14}
    assert runs.attrs["delphi"]["loss_column"] == "eval/paloma/macro_loss"
    assert runs.attrs["delphi"]["left_out"] == []
    nemotron = runs[(runs["suite"] == C_ADAMC_LABEL) & (runs["run_type"] == "isoflop")]
    assert Counter(nemotron["budget"])[1.8e18] == 3
    raw = pd.read_csv(data_dir / "marin" / "isoflop-dclm.csv")
    dclm = runs[runs["suite"] == "isoflop-dclm"]
    assert dclm["flops"].tolist() == (raw["throughput/total_gflops"] * 1e9).tolist()
    assert dclm["params"].tolist() == raw["parameter_count"].tolist()


def test_the_notebook_cache(caches_dir):
    with pytest.warns(DataWarning, match=r"left out 1 of 151 runs: loss missing \(1\)"):
        runs = read_runs(caches_dir / "runs.json")
    assert set(runs["suite"]) == {ADAMH_LABEL, C_ADAMC_LABEL}
    assert set(runs.loc[runs["run_type"] == "optimal", "seed"]) == {"default", "42", "62746"}
    entry = runs.attrs["delphi"]["left_out"][0]
    assert (entry["source"], entry["row"], entry["reason"]) == ("runs.json", 151, "loss missing")
    thinned = match_grid(runs, C_ADAMC_LABEL, ADAMH_LABEL)
    assert 0 < len(thinned) < len(runs)


@pytest.mark.parametrize(
    ("path", "n_runs", "n_suites", "note"),
    [
        ("isoflops/isoflops.csv", 771, 7, "flops are the budget"),
        ("chinchilla/svg_extracted_data.csv", 245, 1, "tokens are derived"),
        ("nanochat/isoflop_optima.csv", 15, 1, "flops are the budget"),
        ("nanochat/miniseries_v1.csv", 11, 1, "flops are derived"),
        ("steplaw/dense_lr_bs_loss.csv", 1911, 1, "flops are derived"),
    ],
)
def test_published_tables_with_a_derived_column(data_dir, path, n_runs, n_suites, note):
    with pytest.warns(DataWarning, match=note):
        runs = read_runs(data_dir / path)
    assert (len(runs), runs["suite"].nunique()) == (n_runs, n_suites)


def test_porian_experiments_are_suites(data_dir):
    runs = read_runs(data_dir / "porian" / "porian_isoflop_points.csv")
    assert (len(runs), runs["suite"].nunique()) == (1745, 15)
    assert runs["name"].iloc[-1] == "row 1745"


def test_units_in_a_column_name_are_read(data_dir):
    with pytest.warns(DataWarning):
        runs = read_runs(data_dir / "nanochat" / "miniseries_v1.csv")
    assert (runs["params"].iloc[0], runs["tokens"].iloc[0]) == (91e6, 0.73e9)
