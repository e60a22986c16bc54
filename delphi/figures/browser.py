"""Any suite of a very large table, one at a time, by a menu: its parabolas and its law."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from delphi.errors import DataError
from delphi.figures import theme
from delphi.figures.isoflop import curve_pieces
from delphi.figures.lawparts import FINISHED, N_BAND, compute_range, law_words, loss_extremes
from delphi.figures.thin import spread, sweep_runs, thinned
from delphi.isoflop import curve_values
from delphi.shorthand import count, flops

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from delphi.isoflop import IsoflopLadder
    from delphi.posterior import LawPosterior
    from delphi.powerlaw import PowerLaw

__all__ = ["browser_note", "suite_browser"]

BUDGETS = 12  # of a suite
POINTS = 12  # of a budget
OPTIMA = 40  # of a suite; held-out runs too
N_CURVE = 14
N_LAW = 24
DIGITS = 5  # significant, of what is drawn
MOST = 2000  # suites in one menu
HEIGHT, STACKED, TOP = 330, 660, 96
RUNS = "%{fullData.name} FLOPs<br>loss %{y:.4f}<br>tokens %{x:.3s}<extra></extra>"

State = dict[str, list[Any]]  # attribute -> one value a trace


def suite_browser(
    ladder: IsoflopLadder,
    laws: Mapping[str, PowerLaw],
    held_out: pd.DataFrame | None = None,
    posteriors: Mapping[str, LawPosterior] | None = None,
    *,
    mobile: bool = False,
) -> go.Figure:
    """Every suite in one figure, chosen from a menu.

    Parameters
    ----------
    ladder : IsoflopLadder
        What :func:`delphi.fit_isoflops` returned.
    laws : mapping of suite to PowerLaw
        What ``ladder.laws()`` returned.
    held_out : DataFrame, optional
        What :func:`delphi.heldout.score_held_out` returned.
    posteriors : mapping of suite to LawPosterior, optional
        For the 95% interval of each law.
    mobile : bool
        The right panel under the left one, for a screen 360 px wide.

    Returns
    -------
    plotly.graph_objects.Figure
        Left the parabolas of at most twelve budgets, twelve runs each, evenly spaced (dotted and
        hollow where a budget feeds no law), right the law through the optima with its interval and
        held-out runs. What a menu entry draws is kept in a few kilobytes.

    Raises
    ------
    DataError
        More than 2,000 suites.

    Examples
    --------
    >>> import delphi
    >>> ladder = delphi.fit_isoflops(delphi.simulate.ladder(rng=0))
    >>> fig = suite_browser(ladder, ladder.laws())
    >>> [button.label for button in fig.layout.updatemenus[0].buttons]
    ['Aster', 'Birch']
    """
    suites = list(ladder.suites)
    if len(suites) > MOST:
        raise DataError(f"a menu holds {MOST:,} suites, got {len(suites):,}")
    colours = list(theme.budget_colours(range(BUDGETS)).values())
    parts = _parts(ladder, held_out)
    buttons: list[dict[str, Any]] = []
    for suite in suites:
        state, layout = _state(parts, suite, laws.get(suite), (posteriors or {}).get(suite))
        buttons.append(
            {"label": theme.safe(suite), "method": "update", "args": [state, layout]}
        )  # fmt: skip
    first, layout = buttons[0]["args"]
    titles = ("IsoFLOP parabolas", layout["annotations[1].text"])
    fig = make_subplots(rows=1, cols=2, horizontal_spacing=0.13, subplot_titles=titles)
    traces = [
        {key: values[i] for key, values in first.items()} | look
        for i, look in enumerate(_looks(colours))
    ]
    grid = {k: v for k, v in fig.layout.to_plotly_json().items() if k != "template"}
    fig = go.Figure({"data": traces, "layout": grid})
    fig.update_annotations(font={"size": 13, "color": theme.INK})
    axis = theme.compute_axis(1e18, 1e22)
    del axis["range"]
    fig.update_layout(
        xaxis=_token_axis(ladder.runs["tokens"]),
        yaxis={"type": "log", "title": {"text": theme.loss_title(ladder.runs)}, "nticks": 8},
        yaxis2={"type": "log", "nticks": 8,
                "title": {"text": theme.loss_title(ladder.runs, "Loss at the optimum")}},
        legend_title_text="Compute (FLOPs)",
    )  # fmt: skip
    fig.layout.xaxis2.update(axis)
    fig.update_layout(
        {key.replace(".", "_"): value for key, value in layout.items() if "axis" in key}
    )
    names = [name for name, shown in zip(first["name"], first["visible"], strict=True) if shown]
    names = (names * BUDGETS)[:BUDGETS]  # room for the suite with the most budgets
    theme.finish(fig, HEIGHT, names, TOP)
    fig.update_layout(
        updatemenus=[
            {
                "name": "Suite", "buttons": buttons, "active": 0, "showactive": True,
                "direction": "down", "x": 0.0, "xanchor": "left", "y": 1.0, "yanchor": "bottom",
                "pad": {"b": 50}, "bgcolor": "rgba(255, 255, 255, 0.9)", "bordercolor": theme.GRID,
            }
        ]
    )  # fmt: skip
    return stacked(fig) if mobile else fig


def stacked(fig: go.Figure) -> go.Figure:
    """The figure of :func:`suite_browser` with the right panel under the left one."""
    tall = go.Figure(fig)
    names = [t.name for t in tall.data if t.legendgroup and t.mode == "markers" and t.visible]
    theme.finish(tall, STACKED, (names * BUDGETS)[:BUDGETS], TOP, mobile=True)
    tall.update_layout(
        xaxis_domain=[0.0, 1.0], xaxis2_domain=[0.0, 1.0], yaxis_domain=[0.6, 1.0],
        yaxis2_domain=[0.0, 0.4],
    )  # fmt: skip
    for title, top in zip(tall.layout.annotations, (1.0, 0.4), strict=True):
        title.update(x=0.5, y=top)
    return tall


def _token_axis(tokens: pd.Series) -> dict[str, Any]:
    """A log axis that reads well for every suite: two ticks a decade, in M, B and T."""
    good = tokens[np.isfinite(tokens) & (tokens > 0)]
    decades = range(int(np.log10(good.min())) - 1, int(np.log10(good.max())) + 2)
    ticks = [step * 10.0**d for d in decades for step in (1, 3)]
    texts = [count(t) for t in ticks]
    return theme.token_axis("Training tokens", good) | {"tickvals": ticks, "ticktext": texts}


def browser_note(ladder: IsoflopLadder) -> str:
    """What :func:`suite_browser` leaves out of the suites, in a sentence; empty if nothing."""
    said = []
    n = int(ladder.fits.groupby("suite").size().max()) if len(ladder.fits) else 0
    runs = int(ladder.fits["n"].max()) if len(ladder.fits) else 0
    for shown, there, what in ((BUDGETS, n, "budgets of a suite"), (POINTS, runs, "runs a budget")):
        if there > shown:
            said.append(f"{shown} of up to {there:,} {what}")
    return f"Drawn: {'; '.join(said)}, evenly spaced." if said else ""


def _looks(colours: Sequence[str]) -> list[dict[str, Any]]:
    """What stays of every trace: two a budget, then those of the law."""
    out: list[dict[str, Any]] = []
    for rank, colour in enumerate(colours):
        group = {"legendgroup": str(rank), "legendrank": rank + 1, "type": "scatter"}
        out.append(group | {
            "mode": "markers", "marker": {"size": 6, "color": colour}, "hovertemplate": RUNS,
        })  # fmt: skip
        out.append(group | {
            "mode": "lines", "showlegend": False, "hoverinfo": "skip",
            "line": {"color": colour, "width": 2, "simplify": False},
        })  # fmt: skip
    ink, plain = theme.SUITE_COLOURS[0], {"type": "scatter", "showlegend": False}
    second = plain | {"xaxis": "x2", "yaxis": "y2"}
    out.append(plain | {
        "mode": "markers", "hovertemplate": "optimum<br>loss %{y:.4f}<br>tokens %{x:.3s}"
        "<extra></extra>",
        "marker": {"symbol": "x", "size": 10, "color": theme.INK,
                   "line": {"width": 1, "color": "white"}},
    })  # fmt: skip
    out.append(second | {
        "mode": "lines", "line": {"width": 0}, "fill": "toself", "hoverinfo": "skip",
        "fillcolor": theme.light(ink),
    })  # fmt: skip
    out.append(second | {
        "mode": "lines", "line": {"color": ink, "width": 2, "dash": "dash", "simplify": False},
        "hovertemplate": "law<br>%{x:.3e} FLOPs<br>loss %{y:.4f}<extra></extra>",
    })  # fmt: skip
    out.append(second | {
        "mode": "markers", "marker": {"size": 8, "color": ink},
        "hovertemplate": "optimum<br>%{x:.3e} FLOPs<br>loss %{y:.4f}<extra></extra>",
    })  # fmt: skip
    out.append(second | {
        "mode": "markers", "marker": {"size": 11, "color": ink, "symbol": "circle-open",
                                      "line": {"width": 2.5, "color": ink}},
        "hovertemplate": "held out<br>%{x:.3e} FLOPs<br>loss %{y:.4f}<extra></extra>",
    })  # fmt: skip
    return out


def _parts(ladder: IsoflopLadder, held_out: pd.DataFrame | None) -> dict[str, dict[str, Any]]:
    """Runs, fits, optima and held-out points of each suite, looked up once."""
    out: dict[str, dict[str, Any]] = {
        "runs": dict(tuple(sweep_runs(ladder).groupby("suite"))),
        "fits": dict(tuple(ladder.fits.groupby("suite"))),
        "optima": dict(tuple(ladder.optima.groupby("suite"))),
    }
    kept = None if held_out is None else held_out[held_out["state"] == FINISHED]
    out["held_out"] = {} if kept is None else dict(tuple(kept.groupby("suite")))
    out["none"] = {
        "optima": ladder.optima.iloc[:0], "held_out": None if kept is None else kept.iloc[:0],
        "runs": ladder.runs.iloc[:0],
    }  # fmt: skip
    return out


def _state(
    parts: dict[str, dict[str, Any]], suite: str, law: PowerLaw | None,
    posterior: LawPosterior | None,
) -> tuple[State, dict[str, Any]]:  # fmt: skip
    """What a suite puts into the traces and the axes."""
    none = parts["none"]
    state: State = {"x": [], "y": [], "name": [], "visible": []}

    def put(x: Any, y: Any, name: str, there: bool = True) -> None:
        for key, value in zip(state, (x, y, name, there), strict=True):
            state[key].append(value)

    fits = parts["fits"][suite].sort_values("budget")
    runs = parts["runs"].get(suite, none["runs"])
    fits = fits.iloc[spread(len(fits), BUDGETS)]
    slots = np.rint(np.linspace(0, BUDGETS - 1, len(fits))) if len(fits) > 1 else np.array([0])
    own = dict(zip(slots.astype(int).tolist(), fits.itertuples(index=False), strict=True))
    by_budget = dict(tuple(runs[["budget", "tokens", "loss"]].groupby("budget")))
    for slot in range(BUDGETS):
        fit = own.get(slot)
        points = None if fit is None else by_budget.get(fit.budget)
        if fit is None or points is None:
            put([], [], "", False)
            put([], [], "", False)
            continue
        points = thinned(points.reset_index(drop=True), "tokens", "loss", POINTS)
        name = flops(fit.budget) + ("" if fit.used else " (not used)")
        put(_short(points["tokens"]), _short(points["loss"]), name)
        pieces = curve_pieces(fit, N_CURVE)[:1]
        tokens = pieces[0][0] if pieces else np.empty(0)
        put(_short(tokens), _short(curve_values(fit, tokens)), name, bool(len(tokens)))
    shown = fits[fits["used"]]
    put(_short(shown["tokens_star"]), _short(shown["loss_star"]), "optimum")
    optima = thinned(parts["optima"].get(suite, none["optima"]), "compute", "loss_star", OPTIMA)
    held = parts["held_out"].get(suite, none["held_out"])
    laws = {} if law is None or not law.ok else {suite: law}
    bands = {} if posterior is None or not posterior.ok else {suite: posterior}
    lo, hi = compute_range(optima, laws, held)
    compute = np.geomspace(lo, hi, N_LAW)
    if bands:
        interval = bands[suite].interval(compute[:: max(1, N_LAW // N_BAND)])
        low, high = (np.maximum(interval[name].to_numpy(float), 1e-9) for name in ("low", "high"))
        x = interval["compute"].to_numpy(float)
        put(_short([*x, *x[::-1]]), _short([*high, *low[::-1]]), "95% interval")
    else:
        put([], [], "95% interval")
    if laws:
        put(_short(compute), _short(laws[suite].predict(compute)), "law")
    else:
        put([], [], "law")
    put(_short(optima["compute"]), _short(optima["loss_star"]), "optima")
    if held is None or held.empty:
        put([], [], "held out")
    else:
        few = thinned(held, "compute", "loss", OPTIMA)
        put(_short(few["compute"]), _short(few["loss"]), "held out")
    return state, _layout(optima, laws, held, bands, (lo, hi), _words(law, posterior))


def _layout(
    optima: pd.DataFrame, laws: Mapping[str, PowerLaw], held: pd.DataFrame | None,
    bands: Mapping[str, LawPosterior], ends: tuple[float, float], words: str,
) -> dict[str, Any]:  # fmt: skip
    """Title and range of the right panel; a wide band must not squeeze the points."""
    low, high = loss_extremes(optima, laws, held, *ends, bands)
    room = 0.06 * np.log10(high / low) if high > low else 0.02
    pad = 0.04 * np.log10(ends[1] / ends[0]) + 0.05
    return {
        "annotations[1].text": words,
        "xaxis2.range": _short([np.log10(ends[0]) - pad, np.log10(ends[1]) + pad]),
        "yaxis2.range": _short([np.log10(low) - room, np.log10(high) + room]),
        "xaxis.autorange": True,
        "yaxis.autorange": True,
    }


def _words(law: PowerLaw | None, posterior: LawPosterior | None) -> str:
    """The law over its panel: the equation, and what is to be known of it."""
    if law is None or not law.ok:
        return "no law"
    said = textwrap.wrap(law_words(law, posterior), 46)[:2]
    small = "".join(f'<br><span style="font-size:11px">{line}</span>' for line in said)
    return f"{theme.safe(law.equation)}{small}"


def _short(values: Any) -> list[float | None]:
    """Numbers as they are drawn: five digits, None where there is none."""
    return [float(f"{v:.{DIGITS}g}") if np.isfinite(v) else None for v in np.asarray(values, float)]
