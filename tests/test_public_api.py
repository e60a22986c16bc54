"""What `import delphi` offers: names, docstrings, runnable examples."""

from __future__ import annotations

import contextlib
import doctest
import importlib
import inspect
import pkgutil
import re
import types
import warnings

import pytest

import delphi

PUBLIC = [
    "DataError", "DataWarning", "FitWarning", "IsocurveComparison", "IsoflopLadder", "Parabola",
    "PowerLaw", "compare_isocurves", "fit_isoflops", "fit_parabola", "fit_power_law",
    "fit_power_laws", "forecast",
    "left_out_table", "match_grid", "read_runs", "score_held_out",
    "alive_mask", "calibrate_kl", "fit_survival", "read_kl", "rolling_mean",
]  # fmt: skip
MODULES = sorted(
    name
    for _, name, _ in pkgutil.walk_packages(delphi.__path__, "delphi.")
    if name not in ("delphi.__main__", "delphi._core")
)
RESULTS = [delphi.Parabola, delphi.PowerLaw, delphi.IsoflopLadder]
RESULTS += [delphi.KaplanMeier, delphi.SurvivalFit]


def module(name: str) -> types.ModuleType:
    """The module; skipped where an optional package is not installed."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and not error.name.startswith("delphi"):
            pytest.skip(f"needs {error.name}")
        raise


def public_functions():
    for name in MODULES:
        try:
            code = importlib.import_module(name)
        except ModuleNotFoundError:
            continue
        for word in getattr(code, "__all__", []):
            thing = getattr(code, word)
            if inspect.isfunction(thing) and thing.__module__ == name:
                yield pytest.param(thing, id=f"{name}.{word}")


def test_names():
    assert set(PUBLIC) <= set(delphi.__all__)
    assert dir(delphi) == sorted(delphi.__all__)
    for name in delphi.__all__:
        if name in ("figures", "report"):
            pytest.importorskip("plotly")
        assert getattr(delphi, name) is not None
    with pytest.raises(AttributeError, match="nothing_like_this"):
        delphi.nothing_like_this  # noqa: B018
    assert re.fullmatch(r"\d+\.\d+(\.\d+)?\S*", delphi.__version__)


def test_errors_and_warnings_have_the_right_parents():
    assert issubclass(delphi.DataError, ValueError)
    assert issubclass(delphi.DataWarning, UserWarning)
    assert issubclass(delphi.FitWarning, UserWarning)


@pytest.mark.parametrize("name", ["delphi", *MODULES])
def test_every_name_in_all_exists(name):
    code = module(name)
    assert code.__doc__
    for word in getattr(code, "__all__", []):
        assert hasattr(code, word), word


@pytest.mark.parametrize("name", ["delphi", *MODULES])
def test_examples_run(name):
    code = module(name)
    with warnings.catch_warnings(), contextlib.suppress(SystemExit):
        warnings.simplefilter("error")
        found = doctest.testmod(code, optionflags=doctest.NORMALIZE_WHITESPACE)
        assert found.failed == 0


@pytest.mark.parametrize("name", [n for n in PUBLIC if inspect.isfunction(getattr(delphi, n))])
def test_functions_users_call_have_a_full_docstring(name):
    doc = inspect.getdoc(getattr(delphi, name))
    for section in ("Parameters", "Returns", "Examples"):
        assert f"{section}\n{'-' * len(section)}" in doc, f"{name}: {section}"
    assert ">>> " in doc
    for argument in inspect.signature(getattr(delphi, name)).parameters:
        assert re.search(rf"\b{argument}\b", doc.split("Examples\n")[0]), f"{name}: {argument}"


@pytest.mark.parametrize("thing", list(public_functions()))
def test_every_public_function_has_a_docstring(thing):
    doc = inspect.getdoc(thing)
    assert doc
    assert doc.splitlines()[0].strip().endswith((".", ":")) or "\n\n" in doc


@pytest.mark.parametrize("name", ["compat"])
def test_compat_offers_the_names_of_the_notebook(name):
    compat = module(f"delphi.{name}")
    wanted = {
        "parse_quantizer", "parse_seed", "round_sig", "fmt_sci", "fmt_pct_err", "load_runs",
        "subsample_cadamc_to_adamh_grid", "Fit", "fit_parabola", "compute_optima",
        "fit_power_at_linf", "fit_asymptotic_powerlaw_per_q", "fit_asymptotic_powerlaw_shared_linf",
    }  # fmt: skip
    assert wanted <= set(compat.__all__)
    per_q = inspect.signature(compat.fit_asymptotic_powerlaw_per_q).parameters
    assert list(per_q) == ["per_q", "n_grid"]
    assert per_q["n_grid"].default == 400
    assert list(inspect.signature(compat.fit_power_at_linf).parameters) == ["C", "y", "Linf"]


@pytest.mark.parametrize("result", RESULTS, ids=lambda r: r.__name__)
def test_results_are_frozen_and_speak(result):
    assert result.__dataclass_params__.frozen
    for name in ("summary", "to_frame", "to_dict", "plot", "_repr_html_", "__repr__"):
        assert callable(getattr(result, name))
        if not name.startswith("_"):
            assert inspect.getdoc(getattr(result, name)), name


def test_functions_are_annotated():
    for name in PUBLIC:
        thing = getattr(delphi, name)
        if inspect.isfunction(thing):
            signature = inspect.signature(thing)
            assert signature.return_annotation is not inspect.Signature.empty, name
            for parameter in signature.parameters.values():
                assert parameter.annotation is not inspect.Parameter.empty, f"{name}: {parameter}"
