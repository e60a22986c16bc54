"""Curve shapes through one budget, and how far the optimum moves with the shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from delphi.errors import DataError
from delphi.figures import theme
from delphi.figures.thin import BUDGETS, spread, thinned
from delphi.isoflop import CURVES, curve_values
from delphi.shorthand import flops

if TYPE_CHECKING:
    from delphi.isocurves import IsocurveComparison

__all__ = ["isocurve_shapes"]

N_CURVE = 120
NARROW = 760
# From top to bottom: curves, curves less the base, loss and tokens of all budgets.
STACK = ((0.81, 1.0), (0.58, 0.78), (0.23, 0.43), (0.0, 0.2))
REFERENCE = "two-power"  # the shape an additive law has at fixed compute
DASHES = ("solid", "dash", "dot", "dashdot", "longdash")


def isocurve_shapes(
    compared: IsocurveComparison,
    suite: str | None = None,
    budget: float | None = None,
    *,
    mobile: bool = False,
) -> go.Figure:
    """One budget under every curve, and what each curve makes of the optimum of every budget.

    Parameters
    ----------
    compared : IsocurveComparison
        What `delphi.compare_isocurves` returned; nothing is fitted again.
    suite : str, optional
        Which suite; the first by default.
    budget : float, optional
        The budget of the left panel, FLOPs; by default the middle one of those that every curve
        has an optimum of, else of all.
    mobile : bool
        The right panels under the left ones, for a screen 360 px wide.

    Returns
    -------
    plotly.graph_objects.Figure
        Left: runs, curves over the range they were fitted on, a cross at each minimum; under it
        the same less the base curve: the two-power curve, or where that failed the first that did
        not. Right: loss and tokens at the optimum against those of the two-power curve, budget by
        budget.

    Raises
    ------
    DataError
        No such suite or budget.

    Examples
    --------
    >>> import delphi
    >>> compared = delphi.compare_isocurves(delphi.simulate.ladder(rng=0))
    >>> fig = isocurve_shapes(compared, "Aster")
    """
    suites = sorted(compared.table["suite"].unique())
    suite = suites[0] if suite is None else suite
    if suite not in suites:
        raise DataError(f"no suite {suite!r} in this comparison; it has {suites[:12]}")
    table = compared.table[compared.table["suite"] == suite]
    budgets = np.sort(table["budget"].unique())
    if budget is None:
        whole = table.groupby("budget")["loss_star"].count() == len(CURVES)
        likely = np.sort(whole.index[whole].to_numpy(float)) if whole.any() else budgets
        budget = float(likely[len(likely) // 2])
    elif budget not in budgets:
        known = ", ".join(flops(b) for b in budgets[:BUDGETS])
        raise DataError(f"no budget {budget:g} in suite {suite!r}; it has {known}")
    titles = [f"{theme.wrapped(suite, 26, 1)}, {flops(budget)} FLOPs", "optima of all budgets"]
    fig = _panels(titles, mobile)
    curves = compared.curves[_rows(compared.curves, suite, budget)].set_index("curve")
    fitted = [c for c in (REFERENCE, *CURVES) if np.isfinite(curves.loc[c, ["x_lo", "k0"]]).all()]
    base = fitted[0] if fitted else None
    under = None if base is None else curves.loc[base].copy()
    if under is not None:
        under["curve"] = base
    _add_runs(fig, compared, suite, budget, under)
    looks = dict(zip(CURVES, zip(theme.SUITE_COLOURS, DASHES, strict=False), strict=True))
    reference = table[table["curve"] == REFERENCE].set_index("budget")
    kept = set(budgets[spread(len(budgets), BUDGETS)].tolist())
    for curve, (colour, dash) in looks.items():
        rows = table[table["curve"] == curve]
        own = rows[rows["budget"] == budget].iloc[0]
        _add_curve(fig, own, curves.loc[curve], under, curve, colour, dash)
        _add_shift(fig, rows[rows["budget"].isin(kept)], reference, curve, colour, dash)
    tokens = compared.runs.loc[_rows(compared.runs, suite, budget), "tokens"]
    ticks = theme.token_axis("Training tokens", tokens)
    fig.update_xaxes(**ticks, row=2, col=1)
    fig.update_xaxes(**ticks | {"title_text": ""}, row=1, col=1)
    fig.update_yaxes(title_text=f"loss - {base}" if base else "", row=2, col=1)
    fig.update_yaxes(title_text=theme.loss_title(compared.runs), row=1, col=1)
    fig.update_yaxes(title_text=f"loss - {REFERENCE}", row=1, col=2)
    fig.update_yaxes(title_text=f"tokens / {REFERENCE}", row=2, col=2)
    axis = theme.compute_axis(budgets.min() / 1.3, budgets.max() * 1.3)
    left = f", {len(kept)} of {len(budgets)} budgets" if len(kept) < len(budgets) else ""
    title = axis.pop("title_text")
    for row in (1, 2):
        fig.update_xaxes(**axis, row=row, col=2)
    fig.update_xaxes(title_text=f"{title}{left}", row=2, col=2)
    fig.update_annotations(font={"size": 14, "color": theme.INK})
    theme.finish(fig, NARROW if mobile else 420, ["runs", *CURVES], mobile=mobile)
    return _stacked(fig) if mobile else fig


def _panels(titles: list[str], mobile: bool) -> go.Figure:
    """Two panels above one another, twice."""
    across = 0.05 if mobile else 0.13
    return make_subplots(
        rows=2, cols=2, shared_xaxes=True, horizontal_spacing=across, vertical_spacing=0.06,
        subplot_titles=titles,
    )  # fmt: skip


def _stacked(fig: go.Figure) -> go.Figure:
    """The right panels under the left ones, each pair with its title and its axis of x."""
    for axis, (lo, hi) in zip(("yaxis", "yaxis3", "yaxis2", "yaxis4"), STACK, strict=True):
        fig.layout[axis].domain = [lo, hi]
    for n in ("", "2", "3", "4"):
        fig.layout[f"xaxis{n}"].domain = [0.0, 1.0]
    for title, (_, top) in zip(fig.layout.annotations[:2], (STACK[0], STACK[2]), strict=True):
        title.update(x=0.5, y=top)
    return fig


def _rows(frame: pd.DataFrame, suite: str, budget: float) -> pd.Series:
    return (frame["suite"] == suite) & (frame["budget"] == budget)


def _add_runs(
    fig: go.Figure, compared: IsocurveComparison, suite: str, budget: float, under: Any
) -> None:
    runs = compared.runs[_rows(compared.runs, suite, budget)].reset_index(drop=True)
    runs = thinned(runs, "tokens", "loss")
    losses = runs["loss"].to_numpy(float)
    panels = [losses]
    if under is not None:
        panels.append(losses - curve_values(under, runs["tokens"]))
    for row, y in enumerate(panels, 1):
        fig.add_trace(
            go.Scatter(
                x=runs["tokens"].tolist(), y=y.tolist(), mode="markers", name="runs",
                legendgroup="runs", showlegend=row == 1, customdata=losses.tolist(),
                marker={"size": 7, "color": theme.INK},
                hovertemplate="tokens %{x:.3s}<br>loss %{customdata:.4f}<extra></extra>",
            ), row=row, col=1,
        )  # fmt: skip


def _add_curve(
    fig: go.Figure, own: Any, fit: Any, under: Any, curve: str, colour: str, dash: str
) -> None:
    """A curve over its own range and its minimum; a failed one stays in the legend, and says so."""
    note = "" if own.status == "ok" else f"<br>{theme.safe(own.status.replace('_', ' '), 120)}"
    look: dict[str, Any] = {"legendgroup": curve}
    if under is None or not np.isfinite(own.loss_star):
        line = {"width": 2, "color": colour, "dash": dash}
        empty = go.Scatter(x=[None], y=[None], mode="lines", line=line, name=f"{curve} (none)")
        fig.add_trace(empty.update(look), row=1, col=1)
        return
    fit = fit.copy()
    fit["curve"] = curve
    tokens = np.logspace(fit.x_lo, fit.x_hi, N_CURVE)
    at = np.append(tokens, own.tokens_star)
    losses = curve_values(fit, at)
    for row, y in ((1, losses), (2, losses - curve_values(under, at))):
        hover = f"<br>tokens %{{x:.3s}}<br>loss %{{customdata:.4f}}{note}<extra></extra>"
        fig.add_trace(
            go.Scatter(
                x=tokens.tolist(), y=y[:-1].tolist(), customdata=losses[:-1].tolist(),
                mode="lines", name=curve, showlegend=row == 1,
                line={"width": 2, "color": colour, "dash": dash, "simplify": False},
                hovertemplate=curve + hover, **look,
            ), row=row, col=1,
        )  # fmt: skip
        fig.add_trace(
            go.Scatter(
                x=[own.tokens_star], y=[float(y[-1])], customdata=[float(losses[-1])],
                mode="markers", name=f"{curve}: optimum", showlegend=False,
                marker={"symbol": "x-thin", "size": 10, "line": {"width": 2.5, "color": colour}},
                hovertemplate=f"{curve}: optimum{hover}", **look,
            ), row=row, col=1,
        )  # fmt: skip


def _add_shift(
    fig: go.Figure, rows: pd.DataFrame, reference: pd.DataFrame, curve: str, colour: str, dash: str
) -> None:
    rows = rows.sort_values("budget")
    truth = reference.loc[rows["budget"]]
    shifts = (
        rows["loss_star"].to_numpy(float) - truth["loss_star"].to_numpy(float),
        rows["tokens_star"].to_numpy(float) / truth["tokens_star"].to_numpy(float),
    )
    for row, shift in enumerate(shifts, 1):
        fig.add_trace(
            go.Scatter(
                x=rows["budget"].tolist(),
                y=[float(v) if np.isfinite(v) else None for v in shift],
                mode="lines+markers", name=curve, legendgroup=curve, showlegend=False,
                line={"width": 1.5, "color": colour, "dash": dash},
                marker={"size": 5, "color": colour},
                hovertemplate=f"{curve}<br>%{{x:.3e}} FLOPs<br>%{{y:.4g}}<extra></extra>",
            ), row=row, col=2,
        )  # fmt: skip
