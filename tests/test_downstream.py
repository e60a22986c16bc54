"""Two-step forecasts: the held-out runs stay out, bad input is named, the caches are read."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import delphi
from delphi import DataError, FitWarning, compat, fit_downstream, fit_downstreams
from delphi.evals import NAME_RULES, pretty_name

CURVE = (6.7, -0.8, 1.05, 0.25, 0.86)


def soft(C):
    return 0.36 + 193.0 * np.asarray(C) ** -0.1232


def ladder(seed=0, noise=0.003, m=14042, bits=False):
    rng = np.random.default_rng(seed)
    C = np.concatenate((np.geomspace(3e18, 3e20, 7), [1e21, 1e22, 1e23]))
    z = soft(C) + noise * rng.standard_normal(len(C))
    hard = rng.binomial(m, delphi.richards(-z, *CURVE)) / m
    return pd.DataFrame({"compute": C, "soft": z if bits else -z, "hard": hard})


def pool(seed=1, m=14042, n=40, bits=False):
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1.3, -0.35, n)
    hard = rng.binomial(m, delphi.richards(x, *CURVE)) / m
    return pd.DataFrame({"soft": -x if bits else x, "hard": hard})


def fit(runs=None, others=None, **options):
    options = {"floor": 0.25, "n_problems": 14042, **options}
    return fit_downstream(ladder() if runs is None else runs, others, **options)


def test_forecasts_hold_the_truth():
    two = fit(others=pool())
    C = np.array([1e21, 1e22, 1e23])
    truth = delphi.richards(-soft(C), *CURVE)
    frame = two.forecast(C, n_draws=400)
    assert ((frame["low"] < truth) & (truth < frame["high"])).all()
    wide = two.forecast(C, n_draws=400, kind="new run")
    assert wide["high"][0] - wide["low"][0] > frame["high"][0] - frame["low"][0]
    pd.testing.assert_frame_equal(frame, two.forecast(C, n_draws=400))
    assert two.unit == "log-prob"
    assert (frame["soft"] < 0).all()
    assert (frame["soft_low"] <= frame["soft_high"]).all()


@pytest.mark.parametrize("asymptote", ["free", "pool", "saturation", 0.3])
def test_held_out_runs_enter_nothing(asymptote):
    warnings.simplefilter("ignore", FitWarning)
    runs = ladder()
    changed = runs.copy()
    late = changed["compute"] >= 5e20
    changed.loc[late, "soft"] = -0.05  # far better than every floor
    changed.loc[late, "hard"] = 0.99
    a, b = (fit(r, pool(), asymptote=asymptote) for r in (runs, changed))
    assert a.law.to_dict() == b.law.to_dict()
    assert a.curve.to_dict() == b.curve.to_dict()
    C = [1e22, 1e25]
    pd.testing.assert_frame_equal(a.forecast(C, n_draws=100), b.forecast(C, n_draws=100))
    assert a.predictability == b.predictability
    assert not a.held_out.equals(b.held_out)


def test_bits_per_byte_and_log_probability_agree():
    a = fit(ladder(), pool())
    b = fit(ladder(bits=True), pool(bits=True))
    assert (a.unit, b.unit) == ("log-prob", "bits/byte")
    assert a.predict(1e22) == b.predict(1e22)
    assert a.soft(1e22) == -b.soft(1e22)


def test_every_asymptote_of_the_law():
    warnings.simplefilter("ignore", FitWarning)
    both = np.concatenate((-ladder()["soft"][:7], -pool()["soft"]))
    assert fit(others=pool(), asymptote="pool").law.L_inf == both.min()
    assert fit(others=pool(), asymptote=0.2).law.L_inf == 0.2
    two = fit(others=pool(), asymptote="saturation")
    z = -two.curve.invert(two.curve.ceiling - 1 / 14042)
    usable = 0 < z < both.min()
    assert two.law.L_inf == (z if usable else both.min())
    assert ("floor_from_pool" in two.status) == (not usable)


def test_held_out_errors():
    two = fit(others=pool())
    out = two.held_out
    assert out["compute"].tolist() == [1e21, 1e22, 1e23]
    np.testing.assert_allclose(
        out["hard_error_pct"], 100 * (two.predict(out["compute"]) / out["hard"] - 1)
    )
    assert (out["hard_error_pct"].abs() < 10).all()
    assert (out["soft_error_pct"].abs() < 5).all()


def test_predictability():
    good = fit(others=pool()).predictability
    assert good.ok
    assert good.reasons == ()
    flat = pool()
    rng = np.random.default_rng(0)
    flat["hard"] = rng.binomial(200, 0.25, len(flat)) / 200
    runs = ladder()
    runs["hard"] = rng.binomial(200, 0.25, len(runs)) / 200
    with pytest.warns(FitWarning):
        bad = fit(runs, flat, n_problems=200)
    assert not bad.predictability.ok
    assert bad.predictability.reasons


def test_missing_accuracies_stay_in_the_first_step_only():
    runs = ladder()
    runs.loc[:2, "hard"] = np.nan
    two = fit(runs, pool())
    assert two.law.n == 7
    assert two.curve.n == 4 + 40


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"runs": ladder().assign(hard=lambda f: 100 * f["hard"])}, "percent"),
        ({"runs": ladder().drop(columns="soft")}, "missing column 'soft'"),
        ({"runs": ladder().assign(soft=lambda f: -f["soft"]), "unit": "log-prob"}, "wrong sign"),
        ({"runs": ladder(), "unit": "bits/byte"}, "bits per byte are positive"),
        ({"others": pool(bits=True)}, "both signs"),
        ({"others": pool().iloc[:0]}, "pool: no model"),
        ({"fit_below": 1e10}, "no run below"),
        ({"runs": ladder().assign(compute=-1.0)}, "not positive"),
        ({"runs": ladder().iloc[:0]}, "no run"),
        ({"asymptote": "notebook"}, "asymptote: expected"),
        ({"unit": "nats"}, "unit: expected"),
        ({"floor": 25}, "floor: expected"),
        ({"n_problems": -1}, "n_problems"),
    ],
)
def test_bad_input_is_named(change, words):
    with pytest.raises(DataError, match=words):
        fit(**change)


def test_too_little_is_a_status():
    with pytest.warns(FitWarning, match="too_few_points"):
        two = fit(ladder().iloc[:2])
    assert not two.ok
    with pytest.raises(DataError, match="no forecast"):
        two.forecast([1e22])
    flat = ladder().assign(hard=0.25)
    with pytest.warns(FitWarning, match="constant_accuracy"):
        assert not fit(flat).ok


def test_many_tasks_at_once():
    table = pd.concat(
        [
            part.assign(task=task, model="", n_problems=14042, pool=external)
            for task in ("MMLU a", "other")
            for part, external in ((ladder(), False), (pool(), True))
        ]
    )
    fits = fit_downstreams(table, floor={"MMLU a": 0.25, "other": 0.25})
    assert list(fits) == ["MMLU a", "other"]
    assert fits["other"].predict(1e22) == fits["MMLU a"].predict(1e22)
    with pytest.raises(DataError, match="other: what chance scores"):
        fit_downstreams(table)


def test_results_speak():
    two = fit(others=pool(), task="MMLU")
    assert "MMLU" in repr(two)
    assert "predictable" in two.summary()
    assert two.to_frame().loc[0, "status"] == two.status
    assert two.to_dict()["law"]["L_inf"] == two.law.L_inf
    assert two._repr_html_().startswith("<pre>")


# --- tables ---------------------------------------------------------------------------------------


def test_read_evals_standard_columns_and_counts():
    rows = [
        {"run_name": "x-comma-y", "choice_logprob": -1.0, "accuracy": 0.3},
        {"run_name": "marin-us-a1-b--Llama-3-2-1B--c_lmeval", "choice_logprob": -0.9,
         "accuracy": 0.4},
        {"run_name": "none", "choice_logprob": None, "accuracy": 0.4},
    ]  # fmt: skip
    table = delphi.read_evals(rows, task="MMLU", leave_out="comma")
    assert table["model"].tolist() == ["Llama 3.2 1B"]
    assert table.attrs["left_out"] == 2
    assert table["pool"].all()
    assert table["n_problems"].tolist() == [14042]


@pytest.mark.parametrize(
    ("rows", "options", "words"),
    [
        ([{"accuracy": 0.3}], {}, "no column for soft"),
        ([{"soft": -1.0}], {}, "no column for hard"),
        ([{"soft": -1.0, "hard": 41.0}], {}, "percent"),
        ([{"soft": "low", "hard": 0.4}], {}, "not a number"),
        ([{"soft": None, "hard": 0.4}], {}, "no evaluation left"),
        ([{"soft": -1.0, "hard": 0.4}], {"columns": {"softly": "soft"}}, "no standard name"),
        ([{"soft": -1.0, "hard": 0.4}], {"columns": {"soft": "lp"}}, "no column 'lp'"),
        ([{"soft": -1.0, "hard": 0.4, "budget": None}], {"pool": False}, "no compute"),
    ],
)
def test_read_evals_bad_input(rows, options, words):
    with pytest.raises(DataError, match=words):
        delphi.read_evals(rows, **options)


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("marin-us-central1-Qwen--Qwen3-0-6B-Base--837037_lmeval_mmlu_5shot", "Qwen 3 Base 0.6B"),
        ("marin-us-central1-Qwen--Qwen3-14B-Base--c4a97e_lmeval_mmlu", "Qwen 3 Base 14B"),
        ("marin-us-east5-meta-llama--Llama-3-1-8B--e21e33_lmeval", "Llama 3.1 8B"),
        ("marin-us-east5-meta-llama--Llama-2-7b-hf--1_lmeval", "Llama 2 7B"),
        ("marin-us-x1-allenai--OLMo-2-1124-13B--main_lmeval", "OLMo 2 13B"),
        ("marin-us-x1-marin-community--marin-8b-base--0_lmeval", "Marin 8B Base"),
        ("marin-us-x1-google--gemma-2-9b-hf--0_lmeval", "gemma-2-9b"),
        ("isoflop-3e+19-d1024-comma-mix-cceabc", "comma-mix @ 3e19 FLOPs"),
        ("plain", "plain"),
    ],
)
def test_pretty_names(name, label):
    assert pretty_name(name) == label


def test_rules_can_be_extended():
    rule = (r"gemma-(\d)-(\d+b)", lambda m: f"Gemma {m[1]} {m[2].upper()}")
    assert pretty_name("marin-us-x1-google--gemma-2-9b--0", [rule, *NAME_RULES]) == "Gemma 2 9B"


def test_caches(caches_dir):
    evals = delphi.read_eval_caches(caches_dir)
    assert evals["task"].unique().tolist() == [
        "GSM8K 5-Shot", "HumanEval 10-Shot", "MMLU 0-Shot", "MMLU 5-Shot",
    ]  # fmt: skip
    with pytest.warns(FitWarning, match="ceiling_vague"):  # 164 problems, few models near the top
        fits = fit_downstreams(evals)
    for task, two in fits.items():
        assert two.ok, task
        assert (two.status == "ok") == (task != "HumanEval 10-Shot")
        assert (two.held_out["hard_error_pct"].abs().iloc[1:] < 20).all(), task
    with pytest.raises(DataError, match=r"none of mmlu\.json"):
        delphi.read_eval_caches(caches_dir / "kl")


def test_compat_loaders(caches_dir, tmp_path, capsys):
    mmlu = compat.load_mmlu_runs(caches_dir / "mmlu.json")
    assert mmlu["shot"].tolist() == sorted(mmlu["shot"])
    assert len(compat.load_mmlu_external(caches_dir / "mmlu_external.json")) == 40
    human = compat.load_humaneval_runs(caches_dir / "humaneval.json")
    assert human["budget"].is_monotonic_increasing
    assert human["pass_at_1"].isna().sum() == 1
    for name in ("humaneval", "gsm8k"):
        pool_of = getattr(compat, f"load_{name}_external")
        assert len(pool_of(caches_dir / f"{name}_external.json")) == 30
        assert pool_of(tmp_path / "nothing.json") is None
    assert len(compat.load_gsm8k_runs(caches_dir / "gsm8k.json")) == 10
    empty = tmp_path / "empty.json"
    empty.write_text("[]")
    assert compat.load_mmlu_runs(empty) is None
    empty.write_text('[{"budget": 1e18}]')
    assert compat.load_gsm8k_runs(empty) is None
    assert "no column macro_bpb" in capsys.readouterr().out
    empty.write_text('[{"budget": 1e18, "macro_bpb": 1.0}]')
    assert compat.load_gsm8k_runs(empty)["exact_match_flex"].isna().all()


def test_a_wide_table_is_told_all_that_it_lacks():
    wide = {f"eval/bpb/task {i}": 1.0 for i in range(40)} | {"run": "a"}
    with pytest.raises(delphi.DataError) as error:
        delphi.read_evals([wide])
    for text in ("no column for soft", "no column for hard", "no column for compute", "29 more",
                 "one row a model and task, with columns task, model, compute, soft"):  # fmt: skip
        assert text in str(error.value)
    assert len(str(error.value)) < 900


WIDE = {"soft": "bpb/{task}_rc", "hard": ["norm/{task}_rc", "acc/{task}_rc"], "model": "run",
        "step": "_step"}  # fmt: skip


def wide_rows():
    """Two runs of two steps, two tasks; only one of them has a length-normalised accuracy."""
    rows = [
        {"run": run, "_step": step, "throughput/total_training_Gflops": 1e9 * k * step,
         "bpb/a_rc": 2.0 - 0.1 * k * step, "norm/a_rc": 0.2 + 0.1 * k, "acc/a_rc": 0.9,
         "bpb/b_rc": 3.0 - 0.1 * k * step, "acc/b_rc": 0.3 + 0.1 * k}
        for k, run in ((1, "small"), (2, "large"))
        for step in (1, 2)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_a_wide_table_by_patterns_keeps_the_last_step_of_each_run(tmp_path):
    rows = wide_rows()
    rows.loc[1, "bpb/b_rc"] = np.nan  # not evaluated on b at the end: the step before counts
    file = tmp_path / "wide.csv"
    rows.to_csv(file, index=False)
    for source in (file, rows):
        table = delphi.read_evals(source, columns=WIDE, n_problems=100)
        assert table.columns.tolist() == delphi.simulate.evals(rng=0).columns.tolist()
        assert table["task"].tolist() == ["a", "a", "b", "b"]
        assert table["model"].tolist() == ["small", "large", "small", "large"]
        assert table["compute"].tolist() == [2e18, 4e18, 1e18, 4e18]
        np.testing.assert_allclose(table["soft"], [1.8, 1.6, 2.9, 2.6])
        np.testing.assert_allclose(table["hard"], [0.3, 0.4, 0.4, 0.5])
        assert not table["pool"].any()
        assert table.attrs["account"] == {"an earlier step": 3, "no soft metric": 1}
        assert table.attrs["left_out"] == 4


def test_steps_of_a_long_table():
    rows = [{"model": m, "at": s, "compute": 1e18 * s, "soft": -1.0 / s, "hard": 0.3}
            for m in "xy" for s in (1, 3, 2)]  # fmt: skip
    table = delphi.read_evals(rows, columns={"step": "at"})
    assert table["compute"].tolist() == [3e18, 3e18]
    assert table.attrs["account"] == {"an earlier step": 4}
    assert "account" in delphi.read_evals(rows).attrs
    assert len(delphi.read_evals(rows)) == 6


@pytest.mark.parametrize(
    ("change", "columns", "words"),
    [
        ({}, {"soft": "nll/{task}"}, r"no column for soft matches 'nll/\{task\}'"),
        ({}, {"hard": "norm/{task}_rc"}, r"'bpb/b_rc' has no column for hard: no 'norm/b_rc'"),
        ({}, {"hard": "acc/a_rc"}, "both soft and hard"),
        ({}, {"hard": ["acc/{task}_rc", "x"]}, "both soft and hard"),
        ({}, {"task": "run"}, "exclude each other"),
        ({}, {"model": "{task}"}, "cannot stand in the name of model"),
        ({}, {"model": ["run", "name"]}, "expected one name"),
        ({}, {"soft": "{task}{task}"}, "once in each"),
        ({}, {"step": "steps"}, "no column 'steps' for step"),
        ({("_step", 2): np.nan}, {}, "_step: row 3 has no step"),
        ({("_step", 1): 1}, {}, r"rows 1 and 2 are both 'small' on a at step 1"),
        ({("acc/b_rc", 3): 44.0}, {}, r"acc/b_rc.*row 4 is 44"),
        ({("bpb/a_rc", 2): "low"}, {}, "bpb/a_rc: row 3 is 'low'"),
    ],
)
def test_a_wide_table_that_is_not_as_told(change, columns, words, tmp_path):
    rows = wide_rows().astype(object)
    for (column, row), value in change.items():
        rows.loc[row, column] = value
    file = tmp_path / "wide.csv"
    rows.to_csv(file, index=False)
    with pytest.raises(DataError, match=words) as error:
        delphi.read_evals(file, columns=WIDE | columns)
    told = str(error.value)
    assert "wide.csv" in told or told.startswith("columns:")


def test_a_wide_table_without_its_steps_is_no_table_of_models():
    columns = {name: column for name, column in WIDE.items() if name != "step"}
    with pytest.raises(DataError, match=r"rows 1 and 2 are both 'small' on a; name the column"):
        delphi.read_evals(wide_rows(), columns=columns)


def test_the_published_ladder_as_it_is(data_dir):
    file = data_dir / "olmo_ladder" / "ladder_downstream_curves.csv"
    columns = {
        "soft": "eval/downstream_bpb/{task}_rc_5shot_bpb",
        "hard": [f"eval/downstream/{{task}}_rc_5shot_{kind}" for kind in ("len_norm", "acc")],
        "model": "run", "step": "_step",
    }  # fmt: skip
    table = delphi.read_evals(file, columns=columns)
    assert table["task"].nunique() == 17
    assert (table.groupby("task").size() == 30).all()
    raw = pd.read_csv(file)
    last = raw.loc[raw.groupby("run")["_step"].idxmax()].set_index("run")
    own = table[table["task"] == "boolq_val"].set_index("model")
    assert own["hard"].to_dict() == last["eval/downstream/boolq_val_rc_5shot_acc"].to_dict()
    flops = 1e9 * last["throughput/total_training_Gflops"]
    np.testing.assert_allclose(own["compute"], flops[own.index])
    assert sum(table.attrs["account"].values()) == 17 * (len(raw) - 30)
