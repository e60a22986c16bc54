"""delphi.compat.overtraining_for_scale against the notebook's own numbers and a plain copy."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delphi import DataError, compat
from tests.reference import overtraining as twin

KEYS = [
    "shifted_xs", "shifted_ys", "T_shift_grid", "loss_shift_grid", "T_shift_end", "y_shift_end",
    "T_cross", "C_equiv", "overtrain_label", "excess_label", "x_mid", "y_mid",
]  # fmt: skip
INPUTS = ("C_arr", "T_opt_arr", "loss_opt_arr", "a_under_arr", "a_over_arr")
C7 = np.geomspace(3e18, 3e20, 7)


@pytest.fixture(scope="session")
def cases(golden_dir):
    return json.loads((golden_dir / "overtraining.json").read_text())["cases"]


def inputs(**changes):
    given_ = {
        "C_arr": C7,
        "T_opt_arr": 0.3 * C7**0.53,
        "loss_opt_arr": 1.8 + 1600 * C7**-0.16,
        "a_under_arr": 0.5 * (C7 / 3e18) ** -0.15,
        "a_over_arr": 0.4 * (C7 / 3e18) ** -0.17,
        "forecast_C": 1e23,
    }
    return given_ | changes


def test_the_golden_cases(cases):
    n = 0
    for case in cases:
        for text, wanted in case["output"].items():
            arrays = {name: case["input"][name] for name in INPUTS}
            out = compat.overtraining_for_scale(
                float(text), **arrays, forecast_C=case["forecast_C"]
            )
            assert list(out) == KEYS
            assert len(out["T_shift_grid"]) == len(out["loss_shift_grid"]) == wanted["grid_len"]
            for name in ("overtrain_label", "excess_label"):
                assert out[name] == wanted[name]
            for name in ("T_shift_end", "y_shift_end", "T_cross", "C_equiv", "x_mid", "y_mid"):
                assert out[name] == pytest.approx(wanted[name], rel=1e-12), name
            for name in ("shifted_xs", "shifted_ys"):
                np.testing.assert_allclose(out[name], wanted[name], rtol=1e-14)
            for name in ("T_shift_grid", "loss_shift_grid"):
                np.testing.assert_allclose(out[name][:3], wanted[f"{name}_first3"], rtol=1e-12)
            last = wanted["loss_shift_grid_last"]
            assert out["loss_shift_grid"][-1] == pytest.approx(last, rel=1e-12)
            n += 1
    assert n == 27


def test_types():
    out = compat.overtraining_for_scale(2, **inputs())
    kinds = {
        "shifted_xs": list, "shifted_ys": list, "T_shift_grid": np.ndarray,
        "loss_shift_grid": np.ndarray, "overtrain_label": str, "excess_label": str,
    }  # fmt: skip
    for name, value in out.items():
        assert type(value) is kinds.get(name, float), name


@given(
    s=st.floats(0.05, 20),
    L_inf=st.floats(0, 3),
    alpha=st.floats(0.05, 0.4),
    curvature=st.floats(1e-3, 5),
    slope=st.floats(-0.5, 0.3),
    decades=st.floats(0, 4),
)
def test_against_the_plain_copy(s, L_inf, alpha, curvature, slope, decades):
    bend = 1 + 1e-3 * np.cos(np.arange(7))
    loss = L_inf + 1.5 * (C7 / 1e19) ** -alpha * bend
    over = curvature * (C7 / 1e19) ** slope * bend
    at = 3e20 * 10**decades
    out = compat.overtraining_for_scale(
        s, **inputs(loss_opt_arr=loss, a_over_arr=over, forecast_C=at)
    )
    arrays = inputs()
    law = compat.fit_asymptotic_powerlaw_per_q({"": (C7, loss)})[""]
    plain = twin.notebook_scale(
        s, (law["L_inf"], law["A"], law["alpha"]), C7, arrays["T_opt_arr"], loss,
        arrays["a_under_arr"], over, at,
    )  # fmt: skip
    ends = abs(len(out["loss_shift_grid"]) - len(plain["loss_shift_grid"]))
    assert ends <= 1, "at most a tie at the crossing"
    for name, value in plain.items():
        if not name.endswith("grid"):
            np.testing.assert_allclose(out[name], value, rtol=1e-8, err_msg=name)


def test_its_law_is_the_best_of_the_grid():
    loss = np.array([3.61, 3.32, 3.16, 3.06, 2.85, 2.75, 2.67])
    L_inf, A, alpha = twin.notebook_law(C7, loss)
    out = compat.overtraining_for_scale(1, **inputs(loss_opt_arr=loss))
    assert out["y_mid"] == pytest.approx(L_inf + A * 1e23**-alpha, rel=1e-9)


@pytest.mark.parametrize(
    ("s", "label"),
    [
        (1, "compute-optimal"),
        (10, "10\N{MULTIPLICATION SIGN} overtrained"),
        (2 / 3, "1.5\N{MULTIPLICATION SIGN} undertrained"),
    ],
)
def test_labels(s, label):
    assert compat.overtraining_for_scale(s, **inputs())["overtrain_label"] == label


def test_no_crossing_is_the_end_of_its_grid_here():
    out = compat.overtraining_for_scale(10, **inputs(a_over_arr=0.4 * (C7 / 3e18) ** 0.2))
    assert out["C_equiv"] == pytest.approx(1e26)
    assert len(out["T_shift_grid"]) == 800
    assert out["excess_label"] == "+99900.0% compute to match"


def test_errors_name_the_argument():
    with pytest.raises(DataError, match="loss_opt_arr: no falling law"):
        compat.overtraining_for_scale(2, **inputs(loss_opt_arr=np.linspace(2, 3, 7)))
    with pytest.raises(DataError, match="forecast_C"):
        compat.overtraining_for_scale(2, **inputs(forecast_C=-1.0))
    with pytest.raises(DataError, match="a_over_arr: expected 7 values"):
        compat.overtraining_for_scale(2, **inputs(a_over_arr=[0.1]))
    with pytest.raises(DataError, match=r"\bs\b"):
        compat.overtraining_for_scale(0, **inputs())
