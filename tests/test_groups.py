"""group_rows against a slow, readable twin."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delphi.errors import DataError
from delphi.groups import group_rows


def slow_groups(*labels):
    """Row numbers of every distinct tuple of labels, tuples sorted."""
    rows = list(zip(*labels, strict=True))
    return {key: [i for i, row in enumerate(rows) if row == key] for key in sorted(set(rows))}


def as_dict(order, offsets, keys):
    names = keys.itertuples(index=False, name=None)
    return {key: order[offsets[g] : offsets[g + 1]].tolist() for g, key in enumerate(names)}


LABEL = st.tuples(
    st.sampled_from(["a", "b", "suite c", "\u00e9", ""]),
    st.sampled_from([1e18, 1.8e18, 3e20]),
    st.integers(-3, 3),
)


@given(st.lists(LABEL, min_size=1, max_size=60))
def test_matches_the_slow_twin(rows):
    labels = [list(column) for column in zip(*rows, strict=True)]
    order, offsets, keys = group_rows(*labels)
    expected = slow_groups(*labels)
    assert list(as_dict(order, offsets, keys)) == list(expected)
    assert as_dict(order, offsets, keys) == expected
    assert order.dtype == offsets.dtype == np.int64
    assert order.flags.c_contiguous
    assert offsets[0] == 0
    assert offsets[-1] == len(rows)


def test_many_groups_use_the_wide_sort():
    labels = np.random.default_rng(0).permutation(np.arange(200_000) // 2)
    order, offsets, keys = group_rows(labels)
    assert np.array_equal(labels[order], np.sort(labels))
    assert np.array_equal(order, np.argsort(labels, kind="stable"))
    assert np.array_equal(np.diff(offsets), np.full(100_000, 2))
    assert len(keys) == 100_000


def test_names_come_from_series_arrays_or_the_caller():
    series = pd.Series(["x", "y"], name="suite", index=[7, 9])
    assert list(group_rows(series, np.array([1, 2])).keys.columns) == ["suite", "key_1"]
    assert list(group_rows(series, [1, 2], names=["s", "b"]).keys.columns) == ["s", "b"]


def test_keys_keep_the_dtype():
    keys = group_rows(pd.Series(["x", "y"], name="s"), np.array([2.5, 1.5])).keys
    assert keys.dtypes.astype(str).to_dict() == {
        "s": str(pd.Series(["x"]).dtype),
        "key_1": "float64",
    }


def test_categories_are_sorted_by_value_and_unused_ones_make_no_group():
    label = pd.Series(["b", "a", "b"], dtype=pd.CategoricalDtype(["b", "a", "unused"]), name="s")
    order, offsets, keys = group_rows(label)
    assert keys["s"].tolist() == ["a", "b"]
    assert order.tolist() == [1, 0, 2]
    assert offsets.tolist() == [0, 1, 3]


def test_no_rows_make_no_groups():
    order, offsets, keys = group_rows(np.empty(0), np.empty(0, dtype=str))
    assert order.shape == (0,)
    assert offsets.tolist() == [0]
    assert keys.shape == (0, 2)


def test_labels_may_be_strided_and_read_only():
    labels = np.array([3, 0, 1, 0, 3, 0])[::2]
    labels.flags.writeable = False
    assert as_dict(*group_rows(labels)) == {(1,): [1], (3,): [0, 2]}


def test_a_missing_label_is_an_error():
    with pytest.raises(DataError, match=r"'suite' has no value in row 2"):
        group_rows(pd.Series(["a", None, "b"], name="suite"))
    with pytest.raises(DataError, match=r"'key_0' has no value in row 1"):
        group_rows(np.array([np.nan, 1.0]))


def test_labels_of_different_lengths_are_an_error():
    with pytest.raises(DataError, match=r"'key_1' has 1 rows, 'key_0' has 2"):
        group_rows([1, 2], [1])


def test_labels_without_an_order_are_an_error():
    with pytest.raises(DataError, match="'key_0' mixes values that have no order"):
        group_rows(np.array([1 + 2j, "a", (1,)], dtype=object))


def test_no_labels_and_wrong_names_are_errors():
    with pytest.raises(DataError, match="at least one label"):
        group_rows()
    with pytest.raises(DataError, match="as many distinct names"):
        group_rows([1], [2], names=["x", "x"])
