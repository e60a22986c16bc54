"""What the emergence figure shows of a task, from fits or as the notebook fits them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from . import compat
from .downstream import DownstreamFit

__all__ = ["View", "notebook_views", "views_of_fits"]

Column = NDArray[np.float64]
FORECAST_AT = 1e25
HELD_FROM = 5e20
NOTEBOOK_TASKS = {
    "HumanEval 10-Shot": ("pass_at_1", "pass@1", 164),
    "GSM8K 5-Shot": ("exact_match_flex", "exact-match", 1319),
}
MMLU_PROBLEMS = 14042


@dataclass(frozen=True)
class View:
    """One task of the figure. z is the distance of the soft metric from 0; x = -z.

    Attributes
    ----------
    label, ladder : str
        The task, and what its ladder is called.
    soft_title, hard_title, hard_name : str
        Axis titles, and the accuracy's own name.
    log_prob : bool
        Whether the soft metric is a log-probability (drawn with a minus sign).
    chance : float
        What chance scores; no line at 0.
    law : (L_inf, A, alpha) or None
    curve : (k, x0, v, floor, ceiling) or None
    fitted, held, pool : pandas.DataFrame
        compute, z, hard, model.
    z_ladder, z_span : (low, high)
        Of what the first and the second panel should hold.
    floor_z : float
        The floor of the law, which both should show.
    interval : (z_low, z_high, low, high) or None
        Of the forecast, at ``level``.
    """

    label: str
    ladder: str
    soft_title: str
    hard_title: str
    hard_name: str
    log_prob: bool
    chance: float
    law: tuple[float, float, float] | None
    curve: tuple[float, float, float, float, float] | None
    fitted: pd.DataFrame
    held: pd.DataFrame
    pool: pd.DataFrame
    z_ladder: tuple[float, float]
    z_span: tuple[float, float]
    floor_z: float
    interval: tuple[float, float, float, float] | None = None
    level: float = 0.95


def _rows(
    compute: object, z: object, hard: object, model: object = "", order: str | None = None
) -> pd.DataFrame:
    frame = pd.DataFrame({"compute": compute, "z": z, "hard": hard, "model": model})
    return frame.sort_values(order, ignore_index=True) if order else frame


def _span(*frames: pd.DataFrame) -> tuple[float, float]:
    values = np.concatenate([f["z"].to_numpy(float) for f in frames])
    return float(values.min()), float(values.max())


def views_of_fits(
    fits: Mapping[str, DownstreamFit], *, at: float = FORECAST_AT, n_draws: int = 1000
) -> list[View]:
    """Views of `delphi.fit_downstreams`, with the forecast's interval."""
    views = []
    for task, fit in fits.items():
        runs = fit.runs.assign(z=fit.sign * fit.runs["soft"])
        pool = fit.pool.assign(z=fit.sign * fit.pool["soft"])
        parts = (runs[~runs["held_out"]], runs[runs["held_out"]], pool[pool["hard"].notna()])
        kept = [part[["compute", "z", "hard", "model"]] for part in parts]
        interval = None
        if fit.ok:
            row = fit.forecast(at, n_draws=n_draws).iloc[0]
            ends = sorted(fit.sign * v for v in (row.soft_low, row.soft_high))
            interval = (ends[0], ends[1], float(row.low), float(row.high))
        law, c = fit.law, fit.curve
        log_prob = fit.unit == "log-prob"
        views.append(
            View(
                label=task, ladder="ladder", log_prob=log_prob, hard_name="accuracy",
                soft_title=f"{task} {'choice log-prob' if log_prob else 'bits/byte'}",
                hard_title=f"{task} accuracy", chance=fit.floor,
                law=(law.L_inf, law.A, law.alpha) if law.ok else None,
                curve=(c.k, c.x0, c.v, c.floor, c.ceiling) if c.ok else None,
                fitted=kept[0], held=kept[1], pool=kept[2], z_ladder=_span(runs),
                z_span=_span(runs, pool),
                floor_z=float(law.L_inf) if law.ok else np.inf, interval=interval,
            )
        )  # fmt: skip
    return views


def _law(frame: pd.DataFrame, floor: float) -> tuple[float, float, float] | None:
    law = compat.fit_power_at_linf(frame["compute"], frame["z"], floor)
    return None if law is None else (law["L_inf"], law["A"], law["alpha"])


def _saturation(
    theta: tuple[float, float, float, float] | None, floor: float, n: int, best: float
) -> float:
    """Where a curve is within one problem of its ceiling, or the best z where that is no use."""
    if theta is None:
        return best
    k, x0, v, C = theta
    z = -compat.invert_richards(k, x0, v, target=C - 1.0 / n, floor=floor, ceiling=C)
    return z if 0.0 < z < best else best


def notebook_views(
    mmlu: pd.DataFrame,
    mmlu_pool: pd.DataFrame | None = None,
    humaneval: pd.DataFrame | None = None,
    gsm8k: pd.DataFrame | None = None,
    humaneval_pool: pd.DataFrame | None = None,
    gsm8k_pool: pd.DataFrame | None = None,
) -> list[View]:
    """Views fitted as the notebook does, from the frames that the compat loaders give.

    One curve of the pool serves all shots of MMLU, and its floor is capped by the best run of all,
    held-out ones too: a leak that `delphi.fit_downstream` does not have.
    """
    early = mmlu["budget"] < HELD_FROM
    has_pool = mmlu_pool is not None and len(mmlu_pool) > 0
    source = mmlu_pool if has_pool and mmlu_pool is not None else mmlu[early]
    theta = compat.fit_richards(source["choice_logprob"], source["accuracy"], floor=0.25)
    pool = _rows([], [], [])
    if has_pool and mmlu_pool is not None:
        pool = _rows(np.nan, -mmlu_pool["choice_logprob"], mmlu_pool["accuracy"])
    everything = _rows(mmlu["budget"], -mmlu["choice_logprob"], mmlu["accuracy"])
    span = _span(everything, pool) if len(pool) else _span(everything)
    floor = _saturation(theta, 0.25, MMLU_PROBLEMS, span[0])
    views = []
    for shot in sorted(mmlu["shot"].unique()):
        own = everything[(mmlu["shot"] == shot).to_numpy()]
        own = own.sort_values("compute", ignore_index=True)
        fitted, held = own[own["compute"] < HELD_FROM], own[own["compute"] >= HELD_FROM]
        views.append(
            View(
                label=f"MMLU {int(shot)}-Shot", ladder="Delphi", log_prob=True, chance=0.25,
                soft_title="MMLU choice log-prob", hard_title="MMLU accuracy",
                hard_name="accuracy", law=_law(fitted, floor),
                curve=None if theta is None else (*theta[:3], 0.25, theta[3]),
                fitted=fitted, held=held, pool=pool, z_ladder=_span(everything),
                z_span=span, floor_z=floor,
            )
        )  # fmt: skip
    for (label, (column, name, n)), frame, others in zip(
        NOTEBOOK_TASKS.items(), (humaneval, gsm8k), (humaneval_pool, gsm8k_pool), strict=True
    ):
        if frame is not None and len(frame):
            views.append(_bits_view(label, column, name, n, frame, others))
    return views


def _bits_view(
    label: str, column: str, name: str, n: int, frame: pd.DataFrame, others: pd.DataFrame | None
) -> View:
    own = _rows(frame["budget"], frame["macro_bpb"], frame[column], order="compute")
    fitted, held = own[own["compute"] < HELD_FROM], own[own["compute"] >= HELD_FROM]
    floor, theta, pool = 0.2, None, _rows([], [], [])
    whole = pool
    if others is not None and len(others):
        whole = _rows(np.nan, others["macro_bpb"], others[column], others["display_name"])
        pool = whole[whole["hard"].notna()].sort_values("z", ignore_index=True)
        both = pd.concat([f[f["hard"].notna()] for f in (fitted, whole)])
        if len(both) >= 4:
            theta = compat.fit_richards(-both["z"], both["hard"], floor=0.0)
        floor = _saturation(theta, 0.0, n, float(both["z"].min())) if len(both) else 0.2
    task = label.split(" ", maxsplit=1)[0]
    return View(
        label=label, ladder="Delphi", log_prob=False, chance=0.0, soft_title=f"{task} bits/byte",
        hard_title=f"{task} {name}", hard_name=name, law=_law(fitted, floor),
        curve=None if theta is None else (*theta[:3], 0.0, theta[3]),
        fitted=fitted, held=held, pool=pool,
        z_ladder=_span(own), z_span=_span(own, whole) if len(whole) else _span(own), floor_z=floor,
    )  # fmt: skip
