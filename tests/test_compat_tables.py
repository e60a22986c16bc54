"""The notebook's table functions, against expectations written out here."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delphi import compat


def bucket(x):
    return float(f"{x:.2g}")


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("adamh_scaling_v6-3e+18-d512", "Delphi Scaling Suite (AdamH)"),
        ("ADAMH-scaling-ladder-nemotron-optimal-1e+21", "Delphi Scaling Suite (AdamH)"),
        ("isoflop-NEMO-wider", "Initial Scaling Suite (Cautious AdamC)"),
        ("isoflop-comma", "Unknown"),
        ("", "Unknown"),
    ],
)
def test_parse_quantizer(name, label):
    assert compat.parse_quantizer(name) == label


@pytest.mark.parametrize(
    ("name", "seed"),
    [
        ("optimal-1e+22-v5-seed42-abc", "42"),
        ("optimal-1e+22-v5-abc", "default"),
        ("x-seed42", "default"),
        ("x-seed-1-y", "default"),
        ("x-seed1-seed2-y", "1"),
    ],
)
def test_parse_seed(name, seed):
    assert compat.parse_seed(name) == seed


@given(st.floats(allow_nan=False), st.integers(0, 20))
def test_round_sig_formats(x, sig):
    out = compat.round_sig(x, sig)
    assert type(out) is float
    assert out == (x if x == 0 else float(f"{x:.{sig}g}"))


def test_round_sig_keeps_nan_and_takes_numpy_scalars():
    assert math.isnan(compat.round_sig(float("nan")))
    assert type(compat.round_sig(np.float32(2.56))) is float


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (1.8e18, "1.8e+18"),
        (3e20, "3e+20"),
        (1.2345e-7, "1.23e-7"),
        (-2.5e3, "-2.5e+3"),
        (1, "1e+0"),
        (0, "0"),
        (0.0, "0.0"),
        (float("nan"), "nan"),
        (9.999e5, "1e+5"),  # the notebook loses the carry of a mantissa that rounds to 10
    ],
)
def test_fmt_sci(x, text):
    assert compat.fmt_sci(x) == text


@pytest.mark.parametrize(
    ("pct", "text"),
    [(1.26, "1.3% worse"), (-0.31, "0.3% better"), (0.0, "0.0% worse"), (float("nan"), "")],
)
def test_fmt_pct_err(pct, text):
    assert compat.fmt_pct_err(pct) == text


def test_load_runs_on_a_small_cache(tmp_path):
    row = {"tokens": 1e9, "total_gflops": 2996073051.4, "params": 1e8, "state": "finished"}
    rows = [
        {"name": "nemo-a", "loss": None} | row,
        {"name": "adamh_scaling_v6-b", "loss": 3.5} | row,
        {"name": "c-Optimal-1", "loss": 3.0} | row | {"total_gflops": 1.04e9},
    ]
    path = tmp_path / "runs.json"
    path.write_text(json.dumps(rows))
    df = compat.load_runs(path)
    assert df.index.tolist() == [1, 2]
    assert df.columns.tolist() == [
        *("name", "loss", "tokens", "total_gflops", "params", "state"),
        *("quantizer", "run_type", "gflops_q"),
    ]
    assert df["quantizer"].tolist() == [compat.ADAMH_LABEL, "Unknown"]
    assert df["run_type"].tolist() == ["isoflop", "optimal"]
    assert df["gflops_q"].tolist() == [3e9, 1e9]
    assert df["gflops_q"].dtype == np.float64


def test_load_runs_without_a_cache_exits(tmp_path):
    with pytest.raises(SystemExit, match=r"none\.json"):
        compat.load_runs(tmp_path / "none.json")


def test_load_runs_on_the_cache(caches_dir):
    path = caches_dir / "runs.json"
    rows = json.loads(path.read_text())
    expected = pd.DataFrame(rows)
    expected["quantizer"] = [compat.parse_quantizer(r["name"]) for r in rows]
    expected["run_type"] = ["optimal" if "optimal" in r["name"] else "isoflop" for r in rows]
    kept = [i for i, r in enumerate(rows) if r["loss"] is not None]
    expected = expected.loc[kept]
    expected["gflops_q"] = [bucket(g) for g in expected["total_gflops"]]
    pd.testing.assert_frame_equal(compat.load_runs(path), expected, check_exact=True)


def test_subsample_on_the_cache(caches_dir):
    df = compat.load_runs(caches_dir / "runs.json")
    before = df.copy(deep=True)
    out = compat.subsample_cadamc_to_adamh_grid(df)
    grid = {
        (round(r.params / 1e6), r.gflops_q)
        for r in df.itertuples()
        if r.run_type == "isoflop" and r.quantizer == compat.ADAMH_LABEL
    }
    kept = [
        r.Index
        for r in df.itertuples()
        if r.run_type != "isoflop"
        or r.quantizer != compat.C_ADAMC_LABEL
        or (round(r.params / 1e6), r.gflops_q) in grid
    ]
    assert 0 < len(kept) < len(df)
    pd.testing.assert_frame_equal(out, df.loc[kept].reset_index(drop=True), check_exact=True)
    pd.testing.assert_frame_equal(df, before)


def test_subsample_without_a_reference_drops_the_whole_suite():
    df = pd.DataFrame(
        {
            "name": ["nemo-a", "nemo-optimal"],
            "params": [1e8, 1e8],
            "gflops_q": [3e9, 3e9],
            "run_type": ["isoflop", "optimal"],
            "quantizer": [compat.C_ADAMC_LABEL] * 2,
        }
    )
    assert compat.subsample_cadamc_to_adamh_grid(df)["name"].tolist() == ["nemo-optimal"]
