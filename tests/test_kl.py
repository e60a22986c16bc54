"""KL trajectories: plain arrays, cell folders good and bad, compat, calibration."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest

import delphi
from delphi import DataError, DataWarning, FitWarning, compat
from delphi.simulate import rollouts
from tests.reference import survival as twin


def number(value):
    return float(value) if isinstance(value, str) else value


# --- the notebook's own numbers -------------------------------------------------------------------


def test_golden_alive_masks(golden_dir):
    cases = json.loads((golden_dir / "alive_mask.json").read_text())["cases"]
    assert cases
    for case in cases:
        given = case["input"]
        mass = [number(p) for p in given["pmass"]]
        wanted = np.array(case["alive"], bool)
        got = compat.alive_mask_for_t(
            mass, given["fork"], given["T"], given["threshold"], given["gen_len"]
        )
        assert got.dtype == bool
        np.testing.assert_array_equal(got, wanted)
        np.testing.assert_array_equal(
            delphi.alive_mask(
                mass, given["fork"], given["T"], threshold=given["threshold"],
                gen_lens=given["gen_len"],
            ),
            wanted,
        )  # fmt: skip


def test_golden_rolling_means(golden_dir):
    cases = json.loads((golden_dir / "rolling_mean.json").read_text())["cases"]
    assert cases
    for case in cases:
        x, w = np.array([number(v) for v in case["input"]["x"]]), case["input"]["w"]
        wanted = [number(v) for v in case["output"]]
        np.testing.assert_allclose(compat.rolling_mean(x, w), wanted, rtol=1e-12, atol=1e-12)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FitWarning)
            np.testing.assert_allclose(delphi.rolling_mean(x, w), wanted, rtol=1e-12, atol=1e-12)


def test_compat_keeps_the_habits_of_the_notebook():
    x = np.arange(5.0)
    assert compat.rolling_mean(x, 1) is x
    assert compat.rolling_mean(x, 6) is x
    # more masses than forks, masses that are none, and nothing generated
    assert compat.alive_mask_for_t([0.9, 0.1, 0.1], [0], 3, 0.8, 3).all()
    assert not compat.alive_mask_for_t([-7.0], [0], 3, 0.8, 3).any()
    assert compat.alive_mask_for_t([0.1], [0], 3, 0.8, 0).all()
    assert compat.alive_mask_for_t([np.nan, np.nan], [0, 1], 3, 0.8, 3).all()


@pytest.mark.parametrize(("args", "says"), [
    (([0.9], [0, 5], 9, 0.8, 9), "1 values for 2 forks"),
    (([0.9, 0.9], [5, 0], 9, 0.8, 9), "never decrease"),
    (([0.9, 0.9], [0, 5], 9, 1.8, 9), "threshold"),
    (([0.9, 0.9], [0, 5], 9, np.nan, 9), "threshold"),
    (([0.9, 0.9], [0, 5], -1, 0.8, 9), "T"),
    (([0.9, 0.9], [0, 5], 9, 0.8, -9), "gen_len"),
    ((["a", 0.9], [0, 5], 9, 0.8, 9), "pmass"),
    (([0.9, 0.9], [0, 5.5], 9, 0.8, 9), "fork"),
])  # fmt: skip
def test_compat_refuses_what_has_no_mask(args, says):
    with pytest.raises(DataError, match=says):
        compat.alive_mask_for_t(*args)


# --- plain arrays ---------------------------------------------------------------------------------


def test_masks_of_many_rollouts_are_those_of_each():
    rng = np.random.default_rng(1)
    mass, forks = 1 - 0.3 * rng.random((50, 9)), np.arange(0, 90, 10)
    lengths = rng.integers(1, 95, 50)
    got = delphi.alive_mask(mass, forks, 95, gen_lens=lengths)
    assert got.shape == (50, 95)
    for i in range(50):
        wanted = twin.rollout(mass[i].tolist(), forks.tolist(), 95, int(lengths[i]), 0.8)[0]
        assert got[i].tolist() == wanted
    np.testing.assert_array_equal(got, delphi.alive_mask(mass, np.tile(forks, (50, 1)), 95,
                                                         gen_lens=lengths))  # fmt: skip
    assert delphi.alive_mask(mass, forks, gen_lens=lengths).shape == (50, lengths.max())


@pytest.mark.parametrize(("args", "options", "says"), [
    (([0.9], [0, 5], 9), {}, "forks: expected 1"),
    (([0.9, 0.9], [5, 0], 9), {}, "pmass row 1: forks"),
    (([[0.9, 0.9], [0.9, 1.9]], [0, 5], 9), {}, "pmass row 2: a probability mass"),
    (([0.9, 0.9], [0, 5], 9), {"threshold": 2}, "threshold"),
    (([0.9, 0.9], [0, 5], 9), {"threshold": True}, "threshold"),
    (([0.9, 0.9], [0, 5], 9), {"gen_lens": [1, 2]}, "gen_lens"),
    (([0.9, 0.9], [0, 5], 9), {"gen_lens": -2}, "gen_lens"),
    (([0.9, 0.9], [0, 5]), {}, "n_tokens"),
    (([[[0.9]]], [0], 9), {}, "dimensions"),
    ((["x"], [0], 9), {}, "pmass"),
])  # fmt: skip
def test_masks_refuse_bad_input(args, options, says):
    with pytest.raises(DataError, match=says):
        delphi.alive_mask(*args, **options)


def test_rolling_means_come_back_as_they_came():
    table = np.arange(12.0).reshape(2, 6)
    assert delphi.rolling_mean(table, 3).shape == (2, 6)
    ragged = delphi.rolling_mean([[1.0, 2.0, 3.0], [4.0, 4.0, 4.0, 4.0]], 3)
    assert [row.tolist() for row in ragged] == [[4 / 3, 2.0, 8 / 3], [4.0] * 4]
    with pytest.warns(FitWarning, match="1 of 2 rows: not_smoothed"):
        delphi.rolling_mean([[1.0, 2.0, 3.0], [4.0]], 2)
    with pytest.raises(DataError, match="window"):
        delphi.rolling_mean([1.0], 0)


def test_calibrating_before_smoothing_is_the_default_and_smoothing_first_the_notebook():
    """A rise right after the calibration tokens must not move the scale."""
    kl = np.concatenate((np.ones(20), np.full(100, 5.0)))
    default = delphi.calibrate_kl(kl, roll=65)
    assert default.rows["scale"].tolist() == [1.0]
    notebook = delphi.calibrate_kl(kl, roll=65, order="smooth")
    smooth = twin.rolling_mean(kl.tolist(), 65)
    assert notebook.rows["scale"].item() == pytest.approx(np.percentile(smooth[:20], 95), rel=1e-12)
    assert notebook.rows["scale"].item() > 2
    np.testing.assert_allclose(default.values, smooth, rtol=1e-12)
    np.testing.assert_allclose(notebook.values, smooth / notebook.rows["scale"].item(), rtol=1e-12)
    plain = delphi.calibrate_kl(kl, roll=65, normalize=False)
    np.testing.assert_allclose(plain.values, smooth, rtol=1e-12)


def test_rollouts_without_a_scale_are_counted():
    with pytest.warns(FitWarning, match="1 of 2 rollouts: no_scale"):
        out = delphi.calibrate_kl([np.zeros(30), np.ones(30)], roll=1)
    assert out.ok.tolist() == [False, True]
    assert np.isnan(out.to_list()[0]).all()
    assert out.median()[0].tolist() == [1.0] * 30
    assert out.quantiles([0.1, 0.9])[0]["count"].tolist() == [1] * 30


@pytest.mark.parametrize(("options", "says"), [
    ({"roll": 0}, "roll"), ({"roll": 1.5}, "roll"), ({"calib_tokens": 0}, "calib_tokens"),
    ({"percentile": 101}, "percentile"), ({"percentile": "x"}, "percentile"),
    ({"order": "both"}, "order"), ({"scale_min": -1}, "scale_min"),
])  # fmt: skip
def test_calibration_refuses_bad_options(options, says):
    with pytest.raises(DataError, match=says):
        delphi.calibrate_kl([1.0, 2.0], **options)
    with pytest.raises(DataError, match="kl"):
        delphi.calibrate_kl("abc")


def test_trajectories_from_arrays():
    made = delphi.KLTrajectories.from_arrays(
        [[0.1] * 8, [0.2] * 4, [0.3] * 8], [[0.9, 0.5], [0.9, np.nan], [0.9, 0.9]], [0, 5],
        alpha=[2, 1, 1],
    )  # fmt: skip
    assert made.alphas == (1.0, 2.0)
    assert made.groups.tolist() == [0, 2, 3]
    assert made.rollouts["prompt"].tolist() == [1, 2, 0]
    assert made.kl[:4].tolist() == [0.2] * 4
    seen = made.watch()
    assert seen["died"].tolist() == [False, False, True]
    assert seen["time"].tolist() == [3, 7, 5]
    assert made.alive().tolist() == [True] * 12 + [True] * 5 + [False] * 3
    short = made.first(5)
    assert short.watch()["time"].tolist() == [3, 4, 4]
    assert short.counts()["completed"].tolist() == [1, 1]
    assert short.counts()["censored"].tolist() == [1, 0]
    assert "3 rollouts" in made.summary()
    assert "&lt;" not in made._repr_html_()


@pytest.mark.parametrize(("changes", "says"), [
    ({"pmass": [[0.9, 0.9]]}, "pmass: expected 2 rollouts"),
    ({"pmass": [[0.9, 0.9], [0.9]]}, "pmass row 2: 1 values for 2 forks"),
    ({"pmass": [[0.9, 0.9], [0.9, -0.9]]}, "rollout 2: a probability mass"),
    ({"forks": [5, 0]}, "rollout 1: forks"),
    ({"forks": [-5, 0]}, "rollout 1: forks"),
    ({"forks": [0, 0.5]}, "forks"),
    ({"gen_lens": [3, 0]}, "rollout 2: the rollout has no tokens"),
    ({"gen_lens": [3]}, "gen_lens"),
    ({"kl": [[0.1], []]}, "rollout 2: the rollout has no tokens"),
    ({"alpha": np.nan}, "alpha"),
])  # fmt: skip
def test_trajectories_refuse_bad_arrays(changes, says):
    good = {"kl": [[0.1] * 3, [0.1] * 3], "pmass": [[0.9, 0.9]] * 2, "forks": [0, 1]}
    with pytest.raises(DataError, match=says):
        delphi.KLTrajectories.from_arrays(**good | changes)


def test_windows_that_are_none():
    for window in (0, -1, 2.5, True, "5"):
        with pytest.raises(DataError, match="window"):
            rollouts(n_prompts=2).first(window)


def test_unmeasured_rollouts_are_counted_and_in_no_curve():
    made = delphi.KLTrajectories.from_arrays(
        np.ones((4, 9)), [[0.9, 0.5], [0.9, 0.9], [np.nan, np.nan], [0.9, np.nan]], [0, 5]
    )
    assert made.watch()["status"].tolist() == ["ok", "ok", "never_measured", "tail_not_measured"]
    assert made.counts()["not_measured"].tolist() == [1]
    curve = made.survival().curves[1.0]
    assert curve.n == 3
    # the last one was seen up to token 4 and is not at risk at 5
    assert curve.at_risk.tolist() == [3, 2, 1]
    assert curve.survival[1] == 0.5
    blind = made.pick([2])
    with pytest.raises(DataError, match="measured"):
        blind.survival()


# --- folders --------------------------------------------------------------------------------------


@pytest.fixture
def cell(tmp_path):
    """Write a cell, with parts of its files changed; a value of None leaves the file out."""

    def write(name="m_cell0", **changes):
        folder = tmp_path / name
        folder.mkdir()
        parts = {
            "calib": {},
            "trajectory": {"per_prompt_per_t_kl": {"0.5": [[0.1] * 6] * 2, "1.0": [[0.2] * 6] * 2}},
            "pmass": {
                "computed": True, "fork_points": [0, 3],
                "pmass_eval": {"0.5": [[0.9, 0.9]] * 2, "1.0": [[0.9, 0.9], [0.9, 0.5]]},
                "gen_lens_eval": {"0.5": [6, 6], "1.0": [6, 6]},
            },
        }  # fmt: skip
        for part, change in changes.items():
            if change is None or isinstance(change, str):
                parts[part] = change
            else:
                parts[part] = {k: v for k, v in {**parts[part], **change}.items() if v is not None}
        for part, value in parts.items():
            if value is not None:
                text = value if isinstance(value, str) else json.dumps(value)
                (folder / f"{part}.json").write_text(text)
        return folder

    return write


def test_a_good_cell_and_what_is_no_cell(cell, tmp_path):
    cell()
    cell("_skipped", calib=None)
    (tmp_path / "notes.txt").write_text("")
    got = delphi.read_kl(tmp_path)
    assert len(got) == 4
    assert len(got.left_out) == 0
    assert got.alphas == (0.5, 1.0)
    assert got.watch()["died"].tolist() == [False, False, False, True]
    assert delphi.read_kl(tmp_path, alphas=["1"]).alphas == (1.0,)
    assert delphi.read_kl(tmp_path, "cell0", alphas=0.5).alphas == (0.5,)


PM = {"0.5": [[0.9, 0.9]] * 2}
BAD = {
    "no trajectory.json": {"trajectory": None},
    "no pmass.json": {"pmass": None},
    "no calib.json": {"calib": None},
    "trajectory.json is not JSON": {"trajectory": "{"},
    "pmass.json is not a JSON object": {"pmass": "[1]"},
    "pmass.json was not computed": {"pmass": {"computed": False}},
    "pmass.json has no fork_points": {"pmass": {"fork_points": None}},
    "fork_points is not a list": {"pmass": {"fork_points": 3}},
    "fork_points are not whole": {"pmass": {"fork_points": [0, 1.5]}},
    "not sorted": {"pmass": {"fork_points": [3, 0]}},
    "negative or": {"pmass": {"fork_points": [-3, 0]}},
    "trajectory.json has no per_prompt_per_t_kl": {"trajectory": {"per_prompt_per_t_kl": None}},
    "per_prompt_per_t_kl is not an object": {"trajectory": {"per_prompt_per_t_kl": [1]}},
    "pmass_eval is not an object": {"pmass": {"pmass_eval": []}},
    "gen_lens_eval is not an object": {"pmass": {"gen_lens_eval": 5}},
}


@pytest.mark.parametrize("reason", BAD)
def test_unusable_cells_are_reported(cell, tmp_path, reason):
    cell("m_bad", **BAD[reason])
    with pytest.raises(DataError, match=reason):
        delphi.read_kl(tmp_path)
    cell()
    with pytest.warns(DataWarning, match=f"left out 1 cell: .*{reason}"):
        got = delphi.read_kl(tmp_path)
    assert len(got) == 4
    assert got.left_out["cell"].tolist() == ["m_bad"]
    assert reason in got.left_out["reason"].item()
    assert reason in got.summary()


def masses(*rows):
    return {"pmass": {"pmass_eval": {"1.0": list(rows)}}}


def kl_rows(*rows):
    return {"trajectory": {"per_prompt_per_t_kl": {"1.0": list(rows)}}}


ROWS = {
    "pmass has fewer values than there are forks": masses([0.9], [0.9, 1]),
    "pmass has more values": masses([0.9, 0.9, 0.9], [0.9, 1]),
    "outside": masses([0.9, 7], [0.9, 1]),
    "a pmass row is not a list": masses(3, [0.9, 1]),
    "KL row holds what is no number": kl_rows(["a"], [1.0]),
    "KL row is not flat": kl_rows([[1.0]], [1.0]),
    "no tokens generated": {"pmass": {"gen_lens_eval": {"1.0": [0, 6]}}},
    "gen_lens_eval is not a whole": {"pmass": {"gen_lens_eval": {"1.0": [-2, 6]}}},
    "a KL row without a pmass row": masses([0.9, 0.9]),
}


@pytest.mark.parametrize("reason", ROWS)
def test_unusable_rollouts_are_counted(cell, tmp_path, reason):
    cell(**ROWS[reason])
    with pytest.warns(DataWarning, match=f"1 rollout: .*{reason}"):
        got = delphi.read_kl(tmp_path, alphas=[1.0])
    assert len(got) == 1
    row = got.left_out.iloc[0]
    assert (row["cell"], row["alpha"], row["n"]) == ("m_cell0", 1.0, 1)


def test_whole_alphas_that_are_missing(cell, tmp_path):
    cell(pmass={"pmass_eval": PM})
    with pytest.warns(DataWarning, match="2 rollouts: no pmass rows"):
        assert delphi.read_kl(tmp_path).alphas == (0.5,)
    with pytest.warns(DataWarning, match="no usable rollout of alpha 3"):
        assert delphi.read_kl(tmp_path, alphas=[0.5, 3]).alphas == (0.5,)
    with pytest.raises(DataError, match="no alpha 3"):
        delphi.read_kl(tmp_path, alphas=[3])


def test_lengths_that_are_not_given_are_said_to_be_taken(cell, tmp_path):
    cell(pmass={"gen_lens_eval": None})
    with pytest.warns(DataWarning, match="4 rollouts"):
        got = delphi.read_kl(tmp_path)
    assert got.rollouts["gen_len"].tolist() == [6] * 4
    assert "gen_lens_eval" in got.notes[0]


def test_missing_values_are_kept_and_named(cell, tmp_path):
    row = [0.1, None, float("nan"), 0.1, 0.1, 0.1]
    cell(trajectory={"per_prompt_per_t_kl": {"1.0": [row, row]}})
    got = delphi.read_kl(tmp_path)
    assert np.isnan(got.kl).sum() == 4
    with pytest.warns(FitWarning, match="2 of 2 rollouts: kl_missing"):
        assert got.calibrate(roll=1).rows["n_head"].tolist() == [4, 4]


def test_folders_that_hold_nothing(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        delphi.read_kl(tmp_path / "none")
    with pytest.raises(DataError, match="no cell folders"):
        delphi.read_kl(tmp_path)
    (tmp_path / "a").mkdir()
    with pytest.raises(DataError, match="no cell folder with 'b'"):
        delphi.read_kl(tmp_path, "b")
    for alphas in (["x"], [float("nan")], []):
        with pytest.raises(DataError, match="alphas"):
            delphi.read_kl(tmp_path, alphas=alphas)


def test_the_caches_of_the_notebook(caches_dir):
    got = delphi.read_kl(caches_dir / "kl", "Qwen3.5-0.8B").first(512)
    assert len(got) == 256
    assert got.alphas == (0, 0.25, 0.5, 0.75, 1, 1.5, 2, 4)
    counts = got.counts()
    assert counts["died"].tolist() == [0, 0, 0, 0, 3, 14, 13, 24]
    # one file counted by hand: below 0.8 at a fork that the rollout reached
    masses = json.loads((caches_dir / "kl" / "Qwen3.5-0.8B_cell1" / "pmass.json").read_text())
    forks = masses["fork_points"]
    for alpha in ("1.0", "4.0"):
        died = [
            any(p < 0.8 and s < n for p, s in zip(row, forks, strict=True))
            for row, n in zip(
                masses["pmass_eval"][alpha], masses["gen_lens_eval"][alpha], strict=True
            )
        ]
        seen = got.watch()
        own = seen[(seen["cell"] == "Qwen3.5-0.8B_cell1") & (seen["alpha"] == float(alpha))]
        assert own["died"].tolist() == died
    assert pd.api.types.is_bool_dtype(got.watch()["died"])
