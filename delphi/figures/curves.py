"""Learning curves: best form by scale and prefix, and joint forecasts against what came."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from delphi.errors import DataError
from delphi.figures import theme
from delphi.figures.thin import SUITES, spread

if TYPE_CHECKING:
    from delphi.jointcurves import JointCurves

__all__ = ["best_forms", "joint_forecasts"]

POINTS = 600  # of a figure of forecasts
SCALES = 24  # rows of the heat map
# From little error to much; light enough that dark texts are readable on all of it.
HEAT = [[0.0, "#8DB9E3"], [0.5, "#C5DCF1"], [1.0, "#F6F9FC"]]


def best_forms(scores: pd.DataFrame, *, scale: str = "scale", mobile: bool = False) -> go.Figure:
    """The fit with the lowest mean error at every scale and prefix, as a heat map.

    Parameters
    ----------
    scores : DataFrame
        Of `delphi.score_curves` by scale, prefix and method.
    scale : str
        Its column of scales.
    mobile : bool
        For a screen 360 px wide.

    Returns
    -------
    plotly.graph_objects.Figure

    Raises
    ------
    DataError
        No column ``best``, or no fit that is best anywhere.

    Examples
    --------
    >>> import delphi
    >>> runs = delphi.simulate.curves(mixes=("web",), rng=0)
    >>> fits = delphi.fit_curves(runs, by="scale", prefixes=[0.3, 0.6], forms="rational")
    >>> fig = best_forms(delphi.score_curves(fits, by=["scale", "prefix", "method"]))
    >>> len(fig.data[0].y), len(fig.data[0].x)
    (4, 2)
    """
    if "best" not in scores or not scores["best"].any():
        raise DataError("scores: expected those by scale, prefix and method, with a best fit")
    best = scores[scores["best"]].drop_duplicates([scale, "prefix"])
    scales = sorted(best[scale].unique())
    scales = [scales[i] for i in spread(len(scales), SCALES)]
    prefixes = sorted(best["prefix"].unique())
    table = best.set_index([scale, "prefix"])
    mae = table["mae"].unstack().reindex(index=scales, columns=prefixes).to_numpy(float)
    method = table["method"].unstack().reindex(index=scales, columns=prefixes).to_numpy(object)
    names = [scale_name(s) for s in scales]
    text = [
        [_cell(m, v, mobile) if isinstance(m, str) else "" for m, v in zip(*row, strict=True)]
        for row in zip(method, mae, strict=True)
    ]
    logs = np.log10(np.where(mae > 0, mae, np.nan))
    fig = go.Figure(
        go.Heatmap(
            z=logs, x=[f"{p:g}" for p in prefixes], y=names, text=text, colorscale=HEAT,
            texttemplate="%{text}", xgap=2, ygap=2,
            textfont={"size": 8 if mobile else 11, "color": theme.INK},
            customdata=np.dstack((np.where(pd.isna(method), "", method), mae)),
            hovertemplate="scale %{y}, prefix %{x}<br>%{customdata[0]}<br>"
            "mae %{customdata[1]:.4g}<extra></extra>",
            colorbar=None, showscale=False,
        )
    )  # fmt: skip
    fig.update_xaxes(title_text="prefix (share of the run seen)", type="category", showgrid=False)
    fig.update_yaxes(title_text="scale", type="category", showgrid=False)
    return theme.finish(fig, max(160, (44 if not mobile else 56) * len(scales)), [], 20,
                        mobile=mobile)  # fmt: skip


def scale_name(value: Any) -> str:
    """A scale as text: FLOPs in powers of ten, anything else as it is."""
    if isinstance(value, (float, np.floating)):
        return f"{value:.3g}".replace("e+", "e")
    return theme.safe(str(value), 24)


def _cell(method: str, mae: float, mobile: bool) -> str:
    form, _, loss = method.partition("-")
    if mobile:  # nine cells share 280 px
        return f"{form[:3]}<br>{loss[:3]}<br>{f'{mae:.2g}'.removeprefix('0')}"
    return f"{form}<br>{loss}<br>{mae:.3g}"


def joint_forecasts(
    joint: JointCurves,
    *,
    prefix: float | None = None,
    form: str | None = None,
    mobile: bool = False,
) -> go.Figure:
    """Forecasts of a joint fit against the final losses that came, by compute.

    Parameters
    ----------
    joint : JointCurves
    prefix : float, optional
        Of the forecasts; the middle one by default.
    form : str, optional
        Shape; the one of lowest mean error at that prefix by default.
    mobile : bool
        For a screen 360 px wide.

    Returns
    -------
    plotly.graph_objects.Figure

    Raises
    ------
    DataError
        No such fit, or no finished run.

    Examples
    --------
    >>> import delphi
    >>> runs = delphi.simulate.curves(rng=0)
    >>> fig = joint_forecasts(delphi.fit_joint_curves(runs, prefixes=[0.3], forms=["log"]))
    >>> fig.data[0].name
    'as it came'
    """
    table = joint.predictions
    table = table[~table["method"].str.endswith("-anchored") & table["abs_error"].notna()]
    cuts = sorted(table["prefix"].unique())
    if not cuts:
        raise DataError("no finished run with a forecast")
    chosen = cuts[len(cuts) // 2] if prefix is None else prefix
    table = table[np.isclose(table["prefix"], chosen)]
    if form is not None:
        table = table[table["form"] == form]
    if table.empty:
        raise DataError(f"no forecast of prefix {prefix!r} and form {form!r}")
    best = table.groupby("method")["abs_error"].mean().idxmin()
    table = table[table["method"] == best]
    shown = table.iloc[spread(len(table), POINTS)]
    group = joint.by["flops"]
    labels = shown[group] if group is not None else pd.Series("all runs", index=shown.index)
    groups = sorted(labels.unique())
    groups = [groups[i] for i in spread(len(groups), SUITES)]
    colours = (
        theme.budget_colours(groups) if group is not None else {groups[0]: theme.SUITE_COLOURS[0]}
    )
    fig = go.Figure()
    low = float(min(shown["actual_final"].min(), shown["predicted_final"].min()))
    high = float(max(shown["actual_final"].max(), shown["predicted_final"].max()))
    fig.add_trace(
        go.Scatter(x=[low, high], y=[low, high], mode="lines", name="as it came",
                   line={"color": theme.RULE, "width": 1.5, "dash": "dot"}, hoverinfo="skip")
    )  # fmt: skip
    for value in groups:
        part = shown[labels == value]
        fig.add_trace(
            go.Scatter(
                x=part["actual_final"], y=part["predicted_final"], mode="markers",
                name=scale_name(value), marker={"size": 8, "color": colours[value]},
                text=[theme.safe(str(name)) for name in part[joint.by["run"]]],
                hovertemplate="%{text}<br>came %{x:.4f}<br>forecast %{y:.4f}<extra></extra>",
            )
        )  # fmt: skip
    fig.update_xaxes(title_text="final loss as it came")
    fig.update_yaxes(title_text=f"forecast from {chosen:g} of the run")
    names = ["as it came", *(scale_name(v) for v in groups)]
    fig.update_layout(title={"text": f"{best}", "font": {"size": 14}})
    return theme.finish(fig, 300 if mobile else 380, names, 44, mobile=mobile)
