"""The target search, by hand on small tables, and what cross-validation says about it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import delphi


def table(errors, mixes=None):
    """errors: {(method, prefix): [error of run 0, 1, ...]}."""
    rows = [
        {
            "run": f"r{i}", "scale": 1e18 * (1 + i % 2), "lr": 1e-3,
            "mix": (mixes or ["web"] * 9)[i], "method": method, "prefix": prefix,
            "actual_final": 2.5, "abs_error": e,
        }
        for (method, prefix), values in errors.items()
        for i, e in enumerate(values)
    ]  # fmt: skip
    return pd.DataFrame(rows)


ERRORS = {
    ("a", 0.3): [0.005, 0.03, 0.004, 0.006],
    ("a", 0.5): [0.004, 0.009, 0.004, 0.006],
    ("b", 0.5): [0.001, 0.002, 0.001, 0.002],
    ("b", 0.9): [0.001, 0.001, 0.001, np.nan],
}


def test_every_completed_run_counts():
    found = delphi.search_configs(table(ERRORS), target=0.01)
    good = found.table.set_index(["method", "prefix"])["qualifies"]
    assert good.to_dict() == {
        ("a", 0.3): False, ("a", 0.5): True, ("b", 0.5): True, ("b", 0.9): False
    }  # fmt: skip
    assert (found.best["method"], found.best["prefix"]) == ("b", 0.5)
    assert found.ok
    assert found.status == "ok"
    assert found.best["n_runs"] == 4
    assert found.best["worst"] == 0.002
    assert "b from prefix 0.5" in found.summary()
    assert "best=b from 0.5" in repr(found)
    assert found.to_dict()["best"] == found.best


def test_left_out_runs_are_judged_by_the_choice_of_the_others():
    cv = delphi.search_configs(table(ERRORS), target=0.01).cross_validated
    # without run 1, (a, 0.3) qualifies and misses on it; without the others, (b, 0.5) does
    assert cv["n_runs"] == cv["n_chosen"] == 4
    assert cv["hit_rate"] == 0.75
    assert cv["worst"] == 0.03
    assert cv["prefix"] == pytest.approx((0.3 + 3 * 0.5) / 4)


def test_regime_scale_and_reference():
    fits = table(ERRORS, mixes=["web", "code", "web", "web"])
    found = delphi.search_configs(fits, target=0.01, mix="web")
    assert (found.best["method"], found.best["prefix"]) == ("a", 0.3)
    assert found.regime == {"mix": "web"}
    whole = delphi.search_configs(fits, target=0.01)
    pd.testing.assert_frame_equal(found.reference, whole.table)
    assert set(found.per_scale["scale"]) == {1e18, 2e18}
    both = delphi.search_configs(fits, target=0.01, mix=["web", "code"], lr=1e-3)
    pd.testing.assert_frame_equal(both.table, whole.table)
    assert delphi.search_configs(fits.drop(columns="scale")).per_scale.empty


def test_nothing_qualifies():
    found = delphi.search_configs(table(ERRORS), target=1e-6)
    assert found.best is None
    assert found.status == "none_qualifies"
    assert not found.ok
    assert "no configuration qualifies" in found.summary()
    assert found.cross_validated["n_chosen"] == 0
    assert np.isnan(found.cross_validated["hit_rate"])


def test_unfinished_runs_do_not_count_and_one_run_has_no_cross_validation():
    fits = table(ERRORS)
    fits.loc[fits["run"] != "r0", "actual_final"] = np.nan
    found = delphi.search_configs(fits)
    assert (found.table["n_runs"] == 1).all()
    assert found.cross_validated["n_chosen"] == 0


def test_bad_arguments():
    with pytest.raises(delphi.DataError, match="target"):
        delphi.search_configs(table(ERRORS), target=0)
    with pytest.raises(delphi.DataError, match="no finished run"):
        delphi.search_configs(table(ERRORS), mix="prose")
    with pytest.raises(delphi.DataError, match="missing column 'mix'"):
        delphi.search_configs(table(ERRORS).drop(columns="mix"), mix="web")
