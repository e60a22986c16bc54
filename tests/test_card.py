"""Fit cards: what a law was fitted to and how, with nothing missing and nothing made up."""

from __future__ import annotations

import copy
import dataclasses
import gc
import hashlib
import html.parser
import json
import pickle
import struct
import warnings
import weakref

import numpy as np
import pandas as pd
import pytest

import delphi
from delphi.card import HEADINGS, NOT_APPLICABLE, NOT_STATED, QUESTIONS, STATEMENTS, Card
from delphi.describe import card_of, status_fields
from delphi.provenance import HasCard, Origin, fingerprint, from_arrays, rng_words, with_origin
from delphi.status import HasStatus

C = np.geomspace(1e18, 1e21, 9)
Y = 1.8 + 1600 * C**-0.16 + 1e-3 * np.array([1, -1, 0.5, -0.5, 1, -1, 0.2, 0.1, -0.3])
X = np.linspace(-1.4, -0.3, 12)
ACCURACY = 0.25 + 0.6 / (1 + np.exp(-7 * (X + 0.8))) + 0.004 * (-1.0) ** np.arange(12)
FIELDS = [f.name for f in dataclasses.fields(Card)]


@pytest.fixture(scope="module")
def runs():
    """Two suites with two crashed runs, one budget that gives no optimum, a duplicate, a gap."""
    table = delphi.simulate.ladder(rng=0).drop(columns=["source", "row"])
    table.attrs.clear()
    table = table.rename(columns={"loss": "val_bpb", "params": "n_params_config"})
    table["total_gflops"] = table.pop("flops") / 1e9
    iso = np.flatnonzero((table["run_type"] == "isoflop") & (table["suite"] == "Aster"))
    table.loc[iso[[3, 30]], "state"] = "crashed"
    first = iso[table["budget"].to_numpy()[iso] == table["budget"].to_numpy()[iso[0]]]
    tokens = np.log10(table.loc[first, "tokens"].to_numpy())
    table.loc[first, "val_bpb"] = 4.0 - 0.1 * (tokens - tokens.mean()) ** 2  # opens downwards
    table.loc[iso[50], "val_bpb"] = np.nan
    table = pd.concat([table, table.iloc[[20]]], ignore_index=True)
    with pytest.warns(delphi.DataWarning, match="left out 2"):
        return delphi.read_runs(table)


@pytest.fixture(scope="module")
def ladder(runs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", delphi.FitWarning)
        return delphi.fit_isoflops(runs)


@pytest.fixture(scope="module")
def results(runs, ladder):
    """One of everything that has a card."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", delphi.FitWarning)
        laws = ladder.laws()
        x = np.linspace(9, 10, 9)
        return {
            "parabola": delphi.fit_parabola(10**x, 3 + 0.1 * (x - 9.4) ** 2, 1e20 / 10**x),
            "parabola window": delphi.fit_parabola(10**x, 3 + 0.1 * (x - 9.4) ** 2, window=0.3),
            "parabola failed": delphi.fit_parabola([1e9, 1e9], [3.0, 3.1]),
            "ladder": ladder,
            **{
                f"ladder {curve}": delphi.fit_isoflops(runs, curve=curve)
                for curve in ("parabola", "joint", "cubic", "two-power")
            },
            "ladder all": delphi.fit_isoflops(runs, keep="all"),
            "law": delphi.fit_power_law(C, Y),
            "law log grid": delphi.fit_power_law(C, Y, score="log", method="grid", n_grid=50),
            "law pinned": delphi.fit_power_law(C, Y, floor=1.8),
            "law failed": delphi.fit_power_law(C, Y[::-1]),
            "law of ladder": laws["Aster"],
            "law shared": ladder.laws(shared_floor=True)["Birch"],
            "law by budget": ladder.laws(compute="budget", floor=1.7)["Birch"],
            "posterior": delphi.fit_posterior(C, Y, n_draws=200, rng=3),
            "posterior failed": delphi.fit_posterior(C[:2], Y[:2], n_draws=20),
            "posterior of ladder": ladder.posteriors(rng=1)["Aster"],
            "bootstrap": delphi.bootstrap_law(C, Y, [1e22, 1e23], n=50, kind="residual"),
            "bootstrap pinned": delphi.bootstrap_law(C, Y, 1e22, n=50, floor=1.8),
            "bootstrap of ladder": delphi.bootstrap_ladder(ladder, "Aster", 1e23, n=50),
            "comparison": delphi.compare_isocurves(runs),
            "comparison of one": delphi.compare_isocurves(runs, suite="Birch"),
            "over-training": delphi.overtraining_cost(ladder, n_boot=20),
            **with_hyperparameters(),
            "richards": delphi.fit_richards(X, ACCURACY, floor=0.25),
            "richards binomial": delphi.fit_richards(
                pd.Series(X, name="logp"), ACCURACY, floor=0.25, ceiling=0.9, n_problems=1000
            ),
            "richards failed": delphi.fit_richards(X[:2], ACCURACY[:2], floor=0.25),
            "end points": delphi.fit_endpoints(
                pd.DataFrame({"mix": "a", "lr": 1.0, "flops": C, "loss": Y}), held_out=1e21
            ),
            "back-test": delphi.backtest(delphi.simulate.ladder(rng=0), n_boot=0),
            "speed-up": delphi.effective_speedup(
                delphi.fit_posterior(C, Y, n_draws=200),
                delphi.fit_posterior(C, Y, n_draws=200),
                at=1e21,
            ),
            "downstream": delphi.fit_downstreams(delphi.simulate.evals())["MMLU 5-Shot"],
            "joint curves": delphi.fit_joint_curves(
                curves(), prefixes=[0.3, 0.6], forms=["log", "power"], min_progress=0.02
            ),
            "joint curves per flop": delphi.fit_joint_curves(
                curves(), prefixes=[0.5], forms="power", scope="per-flop", theta="linear"
            ),
            **with_survival(),
        }


def curves():
    """A grid of learning curves with a run that diverged and a point without a loss."""
    runs = delphi.simulate.curves(rng=0, n_points=40)
    names = runs["run"].unique()
    runs.loc[(runs["run"] == names[0]) & (runs["step"] == runs["total_steps"]), "loss"] = np.nan
    runs.loc[runs.index[runs["run"] == names[1]][3], "loss"] = np.nan
    return runs


def with_survival():
    """Kaplan-Meier curves: one of several groups, all groups, and one without a death."""
    pytest.importorskip("scipy")
    rng = np.random.default_rng(0)
    time, died = rng.integers(1, 200, 60).astype(float), rng.random(60) < 0.7
    fit = delphi.fit_survival(time, died, by=np.repeat([0.1, 0.2, 0.3], 20))
    alone = delphi.fit_survival(time[:5], np.zeros(5, bool))
    return {"survival": fit, "Kaplan-Meier": fit.curves[0.2], "survival of one": alone}


def with_hyperparameters():
    """Laws over what is tuned."""
    pytest.importorskip("sklearn")
    rng = np.random.default_rng(0)
    trials = delphi.simulate_sweep(n_trials=40, cells=2, rng=0).trials
    table = pd.DataFrame(
        [(lr, b, N, D) for N in (1e8, 4e8, 2e9) for D in (2e9, 1e10, 5e10)
         for lr in (1e-4, 3e-4, 1e-3) for b in (4e4, 1e5, 4e5)],
        columns=["lr", "batch", "params", "tokens"],
    )  # fmt: skip
    u = np.log(table["lr"] / (0.5 * table["params"] ** -0.4))
    v = np.log(table["batch"] / table["tokens"] ** 0.5)
    base = 1.7 + 50 * table["params"] ** -0.3
    excess = 60 * table["tokens"] ** -0.25 * (1 + 0.05 * u**2 + 0.04 * v**2)
    table["loss"] = base + excess + 0.002 * rng.normal(size=len(table))
    features = ["lr", "batch", "params", "tokens"]
    return {
        "sweep": delphi.fit_sweep(trials, hparams=["lr", "adam_lr"], by="cell", n_restarts=0),
        "sweep notebook": delphi.fit_sweep(
            trials, hparams=["lr", "beta2"], by="cell", kernel="notebook", diverged="quantile",
            n_restarts=0,
        ),
        "polynomial": delphi.fit_polynomial_law(table, features=features, target="loss"),
        "step law": delphi.fit_step_law(table),
        "step law failed": delphi.fit_step_law(table.iloc[:10]),
    }  # fmt: skip


KINDS = [
    "parabola", "parabola window", "parabola failed", "ladder", "ladder parabola", "ladder joint",
    "ladder cubic", "ladder two-power", "ladder all", "law", "law log grid", "law pinned",
    "law failed", "law of ladder", "law shared", "law by budget", "posterior", "posterior failed",
    "posterior of ladder", "bootstrap", "bootstrap pinned", "bootstrap of ladder", "comparison",
    "comparison of one", "over-training", "sweep", "sweep notebook", "polynomial", "step law",
    "step law failed", "richards", "richards binomial", "richards failed", "end points",
    "back-test", "speed-up", "downstream", "joint curves", "joint curves per flop", "survival",
    "Kaplan-Meier", "survival of one",
]  # fmt: skip


def empty(value) -> bool:
    if isinstance(value, dict):
        return any(empty(part) for part in value.values())
    return isinstance(value, str) and not value.strip()


# --- every result ---------------------------------------------------------------------------------


def test_the_kinds_are_those_that_are_made(results):
    assert list(results) == KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_every_result_has_a_card_with_every_field(results, kind):
    card = results[kind].card()
    values = card.to_dict()
    assert set(values) == set(FIELDS)
    assert not [name for name, value in values.items() if empty(value)]
    absent = [name for name, value in values.items() if value is None]
    assert not absent
    assert json.loads(card.to_json()) == values
    assert Card.from_json(card.to_json()) == card
    assert "NaN" not in card.to_json()
    assert card.versions["delphi"] == delphi.__version__
    for name in ("rows_read", "rows_used"):
        assert isinstance(values[name], int), name
    assert values["rows_used"] + sum(values["left_out"].values()) == values["rows_read"]
    assert all(len(h["sha256"]) == 64 and h["rows"] > 0 for h in values["hashes"].values())
    assert set(card.unstated) >= set(STATEMENTS) - {"loss_unit", "validation"}


@pytest.mark.parametrize("kind", KINDS)
def test_the_text_names_every_field_and_the_checklist_every_question(results, kind):
    card = results[kind].card()
    text = card.summary()
    assert str(card) == text
    assert max(map(len, text.splitlines())) <= 100
    for name in FIELDS:
        assert f"\n  {name.replace('_', ' '):18}" in text, name
    for heading in HEADINGS.values():
        assert f"\n{heading}\n" in text
    table = card.checklist()
    assert table["question"].tolist() == [question for _, question, _ in QUESTIONS]
    assert table["answer"].str.len().min() > 0
    assert not table.set_index("question").loc["on which data, and whether any repeat", "stated"]
    assert table.set_index("question").loc["which rows were left out, and why", "stated"]
    assert card.to_frame()["field"].tolist() == [n.replace("_", " ") for n in order()]
    assert "Card(" in repr(card)


@pytest.mark.parametrize("kind", KINDS)
def test_a_pickle_carries_the_card_and_not_the_data(results, kind):
    result = results[kind]
    card = result.card()
    assert pickle.loads(pickle.dumps(result)).card() == card
    assert copy.copy(result).card() == card
    assert copy.deepcopy(result).card() == card


def order():
    return [name for _, _, names in QUESTIONS for name in names]


def test_every_field_answers_one_question_and_is_documented():
    assert sorted(order()) == sorted(FIELDS)
    assert {section for section, _, _ in QUESTIONS} == set(HEADINGS)
    documented = Card.__doc__.split("References")[0]
    assert not [name for name in FIELDS if name not in documented]


def test_cards_leave_results_as_they_were():
    law = delphi.fit_power_law(C, Y)
    bare = with_origin(copy.copy(law), None)
    assert law == bare
    assert repr(law) == repr(bare)
    assert law.to_dict() == bare.to_dict()
    assert "_origin" not in law.to_dict()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parabola = delphi.fit_parabola([1e9, 2e9, 4e9, 8e9], [3.2, 3.0, 3.0, 3.3])
    assert set(parabola.to_dict()) == {f.name for f in dataclasses.fields(parabola)} | {"status"}
    assert "_origin" not in parabola.to_frame().columns


def test_nothing_is_worked_out_before_a_card_is_asked_for(monkeypatch):
    called = []
    monkeypatch.setattr("delphi.provenance.fingerprint", lambda columns: called.append(1) or {})
    law = delphi.fit_power_law(C, Y)
    law.interval(1e22)
    law.summary()
    assert not called
    law.card()
    law.card()
    assert called == [1]


def test_a_card_lets_go_of_the_ladder_behind_a_posterior():
    ladder = delphi.fit_isoflops(delphi.simulate.ladder(rng=0))
    law, seen = ladder.posteriors()["Birch"], weakref.ref(ladder)
    del ladder
    gc.collect()
    assert seen() is not None
    law.card()
    gc.collect()
    assert seen() is None


def test_a_law_that_no_fit_made_says_so():
    made = dataclasses.replace(delphi.fit_power_law(C, Y), L_inf=1.7)
    card = made.card()
    assert card.parameters["L_inf"] == 1.7
    for name in ("sources", "hashes", "rows_read", "rows_used", "left_out", "definitions"):
        assert getattr(card, name) == NOT_STATED
    assert NOT_STATED in card.versions["note"]


def test_what_has_no_card_says_so():
    with pytest.raises(TypeError, match="dict has no fit card"):
        card_of({})


# --- what the cards say ---------------------------------------------------------------------------


def test_the_card_of_a_law_of_a_ladder(runs, ladder, results):
    card = results["law of ladder"].card()
    law = results["law of ladder"]
    assert card.parameters["alpha"] == law.alpha
    assert card.n_points == len(ladder.optima.query("suite == 'Aster'"))
    assert card.rows_read == runs.attrs["delphi"]["read"] == len(runs) + 2
    birch = int((runs["suite"] == "Birch").sum())
    assert card.left_out["of another suite"] == birch
    assert card.left_out["duplicate"] == 1
    assert card.left_out["loss missing"] == 1
    assert card.left_out["no final loss (crashed or still running)"] == 2
    assert card.left_out["in a budget without an optimum (concave, unbracketed)"] > 5
    assert card.left_out["held out (run_type is not isoflop)"] == 9
    assert "outside the window of 0.5 decades to each side of its budget's vertex" in card.left_out
    assert card.definitions["FLOPs"].startswith("column 'total_gflops' times 1e+09")
    assert card.definitions["N"].startswith("column 'n_params_config'")
    assert NOT_STATED in card.definitions["N"]
    assert card.loss == "column 'val_bpb'"
    assert card.loss_unit.startswith("bits per byte")
    assert "vertices" in card.loss_changes
    assert card.sources == ["frame"]
    assert set(card.hashes) == {"runs", "points"}
    assert card.hashes["points"]["rows"] == card.n_points


def test_options_reach_the_card(results):
    assert results["law pinned"].card().fixed == {"L_inf": 1.8}
    assert results["law pinned"].card().bounds["L_inf"] == "given"
    grid = results["law log grid"].card()
    assert grid.space == "log(loss - L_inf)"
    assert "grid of 50 values" in grid.search
    assert grid.options["n_grid"] == 50
    assert NOT_APPLICABLE in grid.tolerance
    shared = results["law shared"].card()
    assert shared.fixed == {"L_inf": "one value for Aster, Birch"}
    assert "of another suite" not in shared.left_out  # the floor rests on both
    assert "labels of the budgets" in results["law by budget"].card().loss_changes
    assert results["posterior"].card().options["rng"] == "seed 3"
    assert results["posterior of ladder"].card().options["rng"] == "seed 1"
    drawn = results["bootstrap pinned"].card()
    assert drawn.fixed == {"L_inf": 1.8}
    assert drawn.n_points == 9
    window = results["parabola window"].card()
    assert window.options["window"] == 0.3
    assert window.left_out == {"outside the window of 0.3 decades to each side of the vertex": 4}
    assert results["parabola"].card().options["window"] == "all points"
    assert results["ladder all"].card().options["optima"] == "every curve"
    assert results["ladder"].card().options["optima"] == "bracketed minima only"
    assert "two scanned" in results["ladder two-power"].card().search
    assert results["over-training"].card().fixed["law of Birch"].startswith("loss =")


def test_status_and_bounds_reach_the_card(results):
    failed = results["law failed"].card()
    assert failed.status == ["not_decreasing"]
    assert failed.equation == "no law"
    assert failed.parameters["alpha"] is None
    with pytest.warns(delphi.FitWarning, match="floor_at_zero"):
        law = delphi.fit_power_law([1, 2, 4, 8, 16], [10, 7, 4.8, 3.2, 2.0])
    assert law.card().at_bound == ["floor_at_zero"]
    counted = results["ladder"].card().status
    assert counted["concave"] == "1 of 14 budgets"


def test_series_bring_their_table_along(runs):
    aster = runs[runs["suite"] == "Aster"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", delphi.FitWarning)
        law = delphi.fit_power_law(aster["flops"], aster["loss"])
    card = law.card()
    assert card.sources == ["frame"]
    assert card.definitions["C"].startswith("column 'total_gflops' times 1e+09")
    assert card.loss == "column 'val_bpb'"
    gone = "taken out after reading: why is not stated"
    assert card.left_out[gone] == int((runs["suite"] == "Birch").sum())
    assert card.rows_used == len(aster)


def test_series_of_two_tables_have_no_table(runs):
    other = runs["loss"].copy()
    other.attrs["delphi"] = {"sources": ["elsewhere"], "read": 1}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", delphi.FitWarning)
        card = delphi.fit_power_law(runs["flops"], other).card()
    assert card.sources == NOT_STATED
    assert card.rows_read == len(runs)


def test_tables_put_together_do_not_use_the_ledger_of_one(runs):
    renamed = runs.assign(suite=runs["suite"] + "2")
    both = pd.concat([runs, renamed], ignore_index=True)
    both.attrs = dict(runs.attrs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", delphi.FitWarning)
        card = delphi.fit_isoflops(both).card()
    assert card.rows_read == len(both)
    assert "the table has more" in card.reading_notes[-1]
    assert card.rows_used + sum(card.left_out.values()) == card.rows_read


def test_derived_columns_are_said_to_be_derived():
    table = delphi.simulate.ladder(rng=0)[["name", "suite", "params", "tokens", "loss"]]
    with pytest.warns(delphi.DataWarning, match="derived"):
        runs = delphi.read_runs(table, budgets=1)
    assert runs.attrs["delphi"]["columns"] == {
        "params": ["column 'params'"],
        "tokens": ["column 'tokens'"],
        "flops": ["derived as 6 params tokens"],
        "loss": ["column 'loss'"],
        "budget": ["derived as flops rounded to 1 digits"],
    }
    card = delphi.compare_isocurves(runs).card()
    assert card.definitions["FLOPs"] == "derived as 6 params tokens"


def test_rng_words():
    assert rng_words(7) == rng_words(np.int64(7)) == "seed 7"
    assert rng_words(np.random.SeedSequence(5)) == "SeedSequence with entropy 5 and spawn_key ()"
    assert "not recorded" in rng_words(np.random.default_rng(0))
    assert "not repeatable" in rng_words(None)


# --- statements -----------------------------------------------------------------------------------


def test_authors_may_state_what_the_table_does_not_know(results):
    card = results["law of ladder"].card()
    more = card.with_statements(N="no embeddings", training_data="a web crawl, one epoch")
    assert more.training_data == "a web crawl, one epoch"
    assert more.definitions["N"] == card.definitions["N"] + "; the author states: no embeddings"
    assert more.stated_by_author == ["N", "training_data"]
    assert "training_data" in card.unstated
    assert "training_data" not in more.unstated
    again = more.with_statements(training_code="https://example.org")
    assert again.stated_by_author == ["N", "training_data", "training_code"]
    assert Card.from_json(again.to_json()) == again


@pytest.mark.parametrize("name", ["objective", "sha256", "parameters", "left_out"])
def test_authors_may_not_state_what_the_fit_knows(results, name):
    with pytest.raises(delphi.DataError, match="an author may state training_data"):
        results["law"].card().with_statements(**{name: "something else"})


@pytest.mark.parametrize("text", ["", "  ", None, 3])
def test_statements_are_sentences(results, text):
    with pytest.raises(delphi.DataError, match="expected a sentence"):
        results["law"].card().with_statements(validation=text)


# --- JSON -----------------------------------------------------------------------------------------


def test_json_that_is_no_card_is_refused(results):
    values = results["law"].card().to_dict()
    with pytest.raises(delphi.DataError, match="not a fit card: Expecting"):
        Card.from_json("{")
    with pytest.raises(delphi.DataError, match="not a fit card: list"):
        Card.from_json("[]")
    with pytest.raises(delphi.DataError, match="card_format"):
        Card.from_dict({})
    with pytest.raises(delphi.DataError, match="missing or unknown 'delta', 'extra'"):
        Card.from_dict({k: v for k, v in values.items() if k != "delta"} | {"extra": 1})


def plain_card(**changes) -> Card:
    """As a law of another module would make one, from plain keyword fields."""
    values = {
        "law": "a law", "form": "y = k", "equation": "y = 1", "variables": {"y": "loss"},
        "parameters": {"k": 1.0}, "objective": "Huber", "space": "log loss", "aggregate": "sum",
        "weights": "every point counts the same", "search": "scan", "start": "none",
        "tolerance": 1e-12, "iterations": 3, "bounds": {}, "status": ["ok"], "points": "runs",
        "n_points": 1, "uncertainty": "none", "goodness": {}, "delta": 1e-3,
    }  # fmt: skip
    return Card(**(values | changes))


def test_a_card_from_plain_keywords():
    card = plain_card()
    assert card.delta == 1e-3
    assert card.hashes == card.sources == card.training_data == NOT_STATED
    with pytest.raises(TypeError, match="objective"):
        Card(law="a law")
    with pytest.raises(dataclasses.FrozenInstanceError):
        card.law = "another"


@dataclasses.dataclass(frozen=True)
class Mean(HasStatus, HasCard):
    """A law of another module, with a card of its own."""

    value: float
    status_code: int = 0

    def _card_fields(self):
        fields = plain_card().to_dict() | {"law": "mean", "parameters": {"value": self.value}}
        own = ("law", "form", "equation", "variables", "parameters", "objective", "space",
               "aggregate", "weights", "search", "start", "tolerance", "iterations", "bounds",
               "points", "n_points", "uncertainty", "goodness", "delta")  # fmt: skip
        return {name: fields[name] for name in own} | status_fields(self.status_code)


def test_a_new_law_needs_its_own_fields_only():
    law = with_origin(Mean(float(Y.mean())), from_arrays({"flops": C, "loss": Y}, rule="none"))
    card = law.card()
    assert card.law == "mean"
    assert card.parameters == {"value": Y.mean()}
    assert card.status == ["ok"]
    assert card.hashes["points"] == fingerprint({"flops": C, "loss": Y})
    assert law._origin.how == {"rule": "none"}
    assert Mean(1.0).card().hashes == NOT_STATED


def test_values_become_plain():
    card = plain_card(
        parameters={"a": np.float64(2.5), "b": np.nan, "c": np.inf, "d": -np.inf, 5: np.int32(4)},
        bounds={"a": (np.float32(0.5), np.array([1.0, np.nan]))},
        n_points=np.int64(7),
        weights=np.True_,
    )
    assert card.parameters == {"a": 2.5, "b": None, "c": "inf", "d": "-inf", "5": 4}
    assert card.bounds == {"a": [0.5, [1.0, None]]}
    assert type(card.n_points) is int
    assert card.weights is True
    assert Card.from_json(card.to_json()) == card
    with pytest.raises(delphi.DataError, match="goodness: a card holds plain values, got set"):
        plain_card(goodness={1})


def test_a_long_mapping_is_cut_in_the_text_only():
    card = plain_card(parameters={f"p{i}": float(i) for i in range(100)})
    assert "and 60 more" in card.summary()
    assert len(card.to_dict()["parameters"]) == 100


# --- hostile names --------------------------------------------------------------------------------

HOSTILE = "</td></table><script>alert(1)</script>&\"'\n  status            ok\x1b[31m"


class Tags(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.seen = set()

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)


def test_names_from_the_data_are_escaped():
    table = delphi.simulate.ladder(rng=0)
    table["suite"] = table["suite"].replace("Aster", HOSTILE)
    table = table.rename(columns={"loss": "loss<script>"})
    with pytest.raises(delphi.DataError):
        delphi.read_runs(table)
    runs = delphi.read_runs(table, columns={"loss": "loss<script>"})
    ladder = delphi.fit_isoflops(runs)
    cards = [ladder.card(), ladder.laws(shared_floor=True)["Birch"].card()]
    cards += [card.with_statements(training_data=HOSTILE) for card in cards]
    for card in cards:
        page = card._repr_html_()
        tags = Tags()
        tags.feed(page)
        assert tags.seen <= {"table", "tbody", "tr", "th", "td", "br"}
        assert "<script>" not in page
        assert "\x1b" not in card.summary() + page
        lines = card.summary().splitlines()
        assert not [line for line in lines if line.startswith("  status            ok\\x1b")]
        assert Card.from_json(card.to_json()) == card
    assert any("\\x1b[31m" in card.summary() for card in cards)


# --- fingerprints ---------------------------------------------------------------------------------


def by_hand(columns: dict[str, list]) -> str:
    """The bytes as the docstring of `fingerprint` has them, spelled out."""
    names = sorted(columns)
    rows = sorted(zip(*(columns[name] for name in names), strict=True))
    raw = struct.pack("<q", len(rows))
    for i, name in enumerate(names):
        raw += struct.pack("<q", len(name.encode())) + name.encode()
        for row in rows:
            if isinstance(row[i], str):
                raw += struct.pack("<q", len(row[i].encode())) + row[i].encode()
            else:
                raw += struct.pack("<d", row[i])
    return hashlib.sha256(raw).hexdigest()


def test_the_fingerprint_is_what_its_docstring_says():
    columns = {"loss": [3.0, 2.5, 3.0], "tokens": [2e9, 1e9, 1e9], "suite": ["b", "é", "a"]}
    assert fingerprint(columns) == {
        "columns": ["loss", "suite", "tokens"], "rows": 3, "sha256": by_hand(columns),
    }  # fmt: skip
    assert fingerprint({"a": []})["sha256"] == by_hand({"a": []})


def test_the_fingerprint_is_of_the_data_not_of_their_order_or_type():
    rng = np.random.default_rng(0)
    a, b = np.round(rng.normal(size=50), 1), rng.integers(0, 5, 50)
    one = fingerprint({"a": a, "b": b})
    shuffled = rng.permutation(50)
    assert fingerprint({"b": b[shuffled].astype(float), "a": a[shuffled]}) == one
    assert fingerprint({"a": a.astype(">f8"), "b": b.astype(np.int8)}) == one
    assert fingerprint({"a": a, "b": b[shuffled]}) != one
    assert fingerprint({"a": b, "b": a}) != one
    assert fingerprint({"a": np.nextafter(a, 9), "b": b}) != one
    assert fingerprint({"a": [0.0, np.nan]}) == fingerprint({"a": [-np.nan, -0.0]})
    assert fingerprint({"a": ["x", "yz"]}) != fingerprint({"a": ["xy", "z"]})


def frames(table: pd.DataFrame):
    yield "pandas", table
    yield "shuffled", table.sample(frac=1, random_state=0)
    yield "object", table.astype({"loss": object, "params": object})
    yield "arrow types", table.convert_dtypes(dtype_backend="pyarrow")
    polars = pytest.importorskip("polars")
    yield "polars", polars.from_pandas(table)
    pyarrow = pytest.importorskip("pyarrow")
    yield "pyarrow", pyarrow.Table.from_pandas(table)


def test_the_same_runs_have_the_same_hash_in_any_frame_and_order():
    table = delphi.simulate.ladder(rng=0).drop(columns=["source", "row"])
    table["params"] = table["params"].round()
    table.attrs.clear()
    hashes, through = {}, {}
    for kind, frame in frames(table):
        runs = delphi.read_runs(frame)
        ladder = delphi.fit_isoflops(runs)
        hashes[kind] = ladder.card().hashes["runs"]["sha256"]
        direct = delphi.fit_isoflops(frame).card() if kind != "object" else ladder.card()
        hashes[f"{kind}, not read"] = direct.hashes["runs"]["sha256"]
        through[kind] = ladder.laws()["Aster"].card().hashes
    assert len(set(hashes.values())) == 1, hashes
    assert len({h["runs"]["sha256"] for h in through.values()}) == 1
    assert through["polars"] == through["pandas"] == through["pyarrow"]
    changed = table.assign(loss=table["loss"].where(table.index != 5, table["loss"] + 1e-12))
    other = delphi.fit_isoflops(delphi.read_runs(changed)).card().hashes["runs"]["sha256"]
    assert other not in hashes.values()


@pytest.mark.parametrize("kind", [list, np.asarray, pd.Series, lambda v: np.asarray(v, object)])
def test_the_same_points_have_the_same_hash_in_any_container(kind):
    one = delphi.fit_power_law(C, Y).card().hashes
    assert delphi.fit_power_law(kind(C), kind(Y)).card().hashes == one
    order = np.argsort(Y)
    assert delphi.fit_power_law(kind(C[order]), kind(Y[order])).card().hashes == one
    assert delphi.fit_posterior(kind(C), kind(Y), n_draws=20).card().hashes == one
    drawn = delphi.bootstrap_law(kind(C), kind(Y), 1e22, n=20, kind="residual")
    assert drawn.card().hashes == one


def test_arrays_that_change_after_the_fit_do_not_change_the_card():
    compute, loss = C.copy(), Y.copy()
    law, posterior = delphi.fit_power_law(compute, loss), delphi.fit_posterior(compute, loss)
    compute *= 2
    loss += 1
    one = delphi.fit_power_law(C, Y).card().hashes
    assert law.card().hashes == posterior.card().hashes == one


def test_rows_a_fit_leaves_out_are_counted():
    origin = from_arrays(
        {"params": C, "tokens": C, "loss": Y}, left_out={"above the cut": 5, "none such": 0}
    )
    assert isinstance(origin, Origin)
    facts = origin.facts
    assert (facts["rows_read"], facts["rows_used"]) == (14, 9)
    assert facts["left_out"] == {"above the cut": 5}
    card = plain_card(**facts)
    assert card.ranges["N"] == {"distinct": 9, "from": 1e18, "to": 1e21}
    assert card.definitions["FLOPs"].startswith(NOT_APPLICABLE)


# --- rows of fit_curves ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def curve_fits():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", delphi.FitWarning)
        return delphi.fit_curves(curves(), prefixes=[0.02, 0.5], min_progress=0.05)


ROWS = [
    *(f"{form}-{loss}" for form in ("log", "exponential", "power", "rational")
      for loss in ("mae", "huber")),
    "last value", "best so far", "ensemble",
]  # fmt: skip


@pytest.mark.parametrize("method", ROWS)
@pytest.mark.parametrize("place", [0, 1, 5])  # diverged, a point missing, an ordinary one
def test_every_row_of_fit_curves_has_a_card(curve_fits, method, place):
    runs = curves()
    name = runs["run"].unique()[place]
    one = curve_fits[(curve_fits["run"] == name) & (curve_fits["method"] == method)]
    for _, row in one.iterrows():
        card = delphi.curve_card(row, runs, min_progress=0.05)
        values = card.to_dict()
        assert not [name for name, value in values.items() if empty(value) or value is None]
        assert Card.from_json(card.to_json()) == card
        assert card.rows_used == card.n_points == row["n"]
        assert card.rows_read == len(runs)
        assert card.rows_used + sum(card.left_out.values()) == card.rows_read
        assert card.definitions["progress"] == "column 'step' over the last one of its run"
        assert card.options == {"prefix": row["prefix"], "min_progress": 0.05}
        assert card.status == row["status"].split(", ")
        if row["form"] and row["status_code"] >= 0:
            assert card.parameters["F"] == row["F"]
            assert (card.delta == NOT_APPLICABLE) == (row["loss"] == "mae")
            assert card.goodness["objective"] == row["objective"]
        if np.isfinite(row["low"]):
            assert card.uncertainty["final loss"] == [row["low"], row["high"]]


def test_the_data_of_a_curve_card_are_those_of_its_fit(curve_fits):
    runs = curves()
    name = runs["run"].unique()[5]
    row = curve_fits.query("run == @name and method == 'power-huber' and prefix == 0.5")
    card = delphi.curve_card(row, runs, min_progress=0.05)
    own = runs[runs["run"] == name]
    tau = own["step"] / own["step"].max()
    inside = (tau <= 0.5) & (tau >= 0.05)
    points = {"progress": tau[inside].to_numpy(), "loss": own.loc[inside, "loss"].to_numpy()}
    assert card.hashes == {"points": fingerprint(points)}
    assert card.left_out == {
        "of another run": len(runs) - 40, "before min_progress": 1, "beyond the prefix": 20,
    }  # fmt: skip
    shuffled = delphi.curve_card(row, runs.sample(frac=1, random_state=0), min_progress=0.05)
    assert shuffled == card
    bare = delphi.curve_card(row.iloc[0])
    assert bare.hashes == bare.rows_read == NOT_STATED
    assert bare.parameters == card.parameters


def test_a_curve_card_of_other_points_is_refused(curve_fits):
    runs = curves()
    row = curve_fits[curve_fits["method"] == "power-mae"].iloc[-1]
    with pytest.raises(delphi.DataError, match="the row was fitted to 19 points"):
        delphi.curve_card(row, runs)
    with pytest.raises(delphi.DataError, match="have no run"):
        delphi.curve_card(row, runs[runs["run"] != row["run"]], min_progress=0.05)
    with pytest.raises(delphi.DataError, match="not one of fit_curves: no F, A"):
        delphi.curve_card(row.drop(["F", "A"]), runs)
    with pytest.raises(delphi.DataError, match="expected one row, got 2"):
        delphi.curve_card(curve_fits.iloc[:2], runs)
    with pytest.raises(delphi.DataError, match="expected a row of fit_curves, got int"):
        delphi.curve_card(3, runs)


def test_joint_fits_say_which_points_they_saw(results):
    card = results["joint curves"].card()
    runs = curves()
    assert card.rows_read == len(runs)
    assert card.left_out == {
        "of a run that diverged": 39, "without a finite step or loss": 2,
        "beyond the last prefix": 35 * 16,
    }  # fmt: skip
    assert card.options == {"scope": "global", "theta": "shared", "ridge": 1e-6}
    assert "all, prefix 0.3, power-mae, ln theta_1" in card.parameters


def test_survival_cards_count_the_other_groups(results):
    one = results["Kaplan-Meier"].card()
    assert (one.rows_read, one.rows_used, one.left_out) == (60, 20, {"of another group": 40})
    whole = results["survival"].card()
    assert whole.rows_used == 60
    assert len(whole.validation) == 3
    assert whole.hashes["points"]["columns"] == ["died", "group", "time"]
    assert results["survival of one"].card().status == {"no_deaths": "1 of 1 groups"}


def test_a_surface_has_a_card():
    runs = delphi.simulate.surface_runs(rng=0)
    law = delphi.fit_surface(
        runs["params"], runs["tokens"], runs["loss"], drop={"highest_loss": 2}, fixed={"E": 1.8}
    )
    card = law.card()
    assert card.law == "L(N, D) surface"
    assert card.fixed == {"E": 1.8}
    assert card.left_out == {"dropped: highest_loss=2": 2}
    assert (card.rows_read, card.rows_used, card.n_points) == (30, 28, 28)
    assert card.delta == 1e-3
    assert card.objective.startswith("Huber")
    assert Card.from_json(card.to_json()) == card
    squared = delphi.fit_surface(
        runs["params"], runs["tokens"], runs["loss"], objective="squared"
    )  # fmt: skip
    assert squared.card().delta == NOT_APPLICABLE
