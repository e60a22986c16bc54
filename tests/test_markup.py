"""HTML of results: numbers in their own units, everything else escaped."""

import numpy as np
import pandas as pd

from delphi.markup import ROWS, block


def test_cells():
    table = pd.DataFrame(
        {"suite": ["<b>&"], "budget": [3e18], "tokens": [5.82e9], "loss": [3.14159265],
         "ok": [True], "n": [7], "bad": [np.nan], "p": [np.float32(0.5)]}
    )  # fmt: skip
    text = block("t", tables={"<c>": table})
    for cell in ("&lt;b&gt;&amp;", "3e18", "5.82B", "3.142", "yes", "7", "&ndash;", "0.5"):
        assert f"<td>{cell}</td>" in text
    assert "<caption>&lt;c&gt;</caption>" in text


def test_long_things_are_cut_and_counted():
    table = pd.DataFrame({"name": ["x" * 1000] * (ROWS + 5)})
    text = block("y" * 1000, tables={"": table}, notes=["a\x1b[31m<i>"])
    assert text.count("<tr>") == ROWS + 1
    assert "and 5 more rows" in text
    assert "x" * 161 not in text
    assert "y" * 161 not in text
    assert r"a\x1b[31m&lt;i&gt;" in text


def test_facts_and_empty_tables():
    text = block("t", facts={"compute": 1e21, "status": "ok"}, tables={"": pd.DataFrame()})
    assert "compute <strong>1e21</strong> &middot; status <strong>ok</strong>" in text
    assert "<tbody></tbody>" in text
