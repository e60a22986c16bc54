"""The L(N, D) surface: loss = E + A/N^alpha + B/D^beta, by variable projection."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from . import _core
from .arrays import column, floats, frame_columns
from .errors import DataError
from .groups import group_rows
from .progress import progress_bar
from .provenance import from_arrays, with_origin
from .status import one_warning, status_texts, warn_about
from .surfacelaw import FITTED, PARAMETERS, SurfaceLaw
from .threads import thread_count

__all__ = ["fit_surface", "fit_surfaces"]

Objective = Literal["huber", "squared", "absolute"]
Space = Literal["log", "loss"]
Drop = Mapping[str, float] | Callable[..., Any] | ArrayLike | None
Column = NDArray[np.float64]

_RULES: dict[str, Callable[[Column, Column, Column, float], NDArray[np.bool_]]] = {
    "highest_loss": lambda N, D, y, k: _first(-y, k),
    "lowest_tokens_per_param": lambda N, D, y, k: _first(D / N, k),
    "highest_tokens_per_param": lambda N, D, y, k: _first(-D / N, k),
    "loss_above": lambda N, D, y, x: y > x,
    "params_below": lambda N, D, y, x: x > N,
    "params_above": lambda N, D, y, x: x < N,
    "tokens_below": lambda N, D, y, x: x > D,
    "tokens_above": lambda N, D, y, x: x < D,
    "flops_below": lambda N, D, y, x: x > 6 * N * D,
    "flops_above": lambda N, D, y, x: x < 6 * N * D,
}


def _first(values: Column, k: float) -> NDArray[np.bool_]:
    if k != int(k) or not 0 <= k < len(values):
        raise DataError(f"drop: expected a whole number from 0 to {len(values) - 1}, got {k!r}")
    mask = np.zeros(len(values), bool)
    mask[np.argsort(values, kind="stable")[: int(k)]] = True
    return mask


def _left_out(drop: Drop, N: Column, D: Column, y: Column) -> NDArray[np.object_]:
    """The rule that leaves each row out, '' for rows that stay."""
    why = np.full(len(y), "", dtype=object)
    if drop is None:
        return why
    if isinstance(drop, Mapping):
        for name, value in drop.items():
            if name not in _RULES:
                raise DataError(f"drop: no rule {name!r}; there are {', '.join(_RULES)}")
            mask = _RULES[name](N, D, y, float(value)) & (why == "")
            why[mask] = f"{name}={value:g}"
        return why
    mask = np.asarray(drop(N, D, y) if callable(drop) else drop)
    if mask.dtype != bool or mask.shape != y.shape:
        raise DataError(f"drop: expected {len(y)} booleans, got {mask.dtype} of {mask.shape}")
    why[mask] = getattr(drop, "__name__", "given") if callable(drop) else "given"
    return why


def _fixed(fixed: Mapping[str, float] | None, nonnegative: bool) -> dict[str, float]:
    values = dict(fixed or {})
    for name, value in values.items():
        if name not in PARAMETERS:
            raise DataError(f"fixed: no parameter {name!r}; there are {', '.join(PARAMETERS)}")
        number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
        if not number or not np.isfinite(value) or (name in ("alpha", "beta") and value <= 0):
            raise DataError(f"fixed: {name} must be a finite number (exponents > 0), got {value!r}")
        if nonnegative and value < 0:
            raise DataError(f"fixed: {name} is {value!r}, which nonnegative=True rules out")
    return {name: float(values[name]) for name in PARAMETERS if name in values}


def _core_fit(*columns: Any, **options: Any) -> Any:
    try:
        return _core.surface_fit(*columns, **options)
    except (ValueError, TypeError) as error:
        raise DataError(str(error)) from None


def fit_surface(
    params: ArrayLike,
    tokens: ArrayLike,
    loss: ArrayLike,
    *,
    objective: Objective = "huber",
    space: Space = "log",
    delta: float = 1e-3,
    weights: ArrayLike | None = None,
    fixed: Mapping[str, float] | None = None,
    nonnegative: bool = True,
    drop: Drop = None,
) -> SurfaceLaw:
    """Fit loss = E + A/N^alpha + B/D^beta.

    No start is needed: for given exponents the law is linear in (E, A, B), so both exponents are
    scanned with closed-form inner fits (variable projection; Golub and Pereyra 1973), and the best
    minima of the scan are polished by Newton steps on all five parameters, to rounding. The law
    does not depend on the units of N, D and loss.

    Parameters
    ----------
    params, tokens, loss : array_like, shape (n,)
        N, D and final losses, all > 0, in any units.
    objective : {"huber", "squared", "absolute"}
        What is summed over the residuals.
    space : {"log", "loss"}
        Residuals are ln(loss) - ln(law), or loss - law.
    delta : float
        Huber's threshold. In log space it is in units of ln(loss), about a relative error; in loss
        space it is a share of the geometric mean of the losses, so that nats or bits give the same
        law. No effect on the other objectives.
    weights : array_like, shape (n,), optional
        Weights >= 0; a whole number counts a point that often.
    fixed : dict, optional
        Parameters to hold, such as ``{"alpha": 0.5, "beta": 0.5}`` or ``{"E": 1.7}``.
    nonnegative : bool
        Hold E, A and B at 0 or above.
    drop : dict, callable or boolean array, optional
        Rows to leave out, by rule: highest_loss, lowest_tokens_per_param, highest_tokens_per_param
        (how many), loss_above, params_below, params_above, tokens_below, tokens_above, flops_below,
        flops_above (6 N D); a function of (N, D, loss) that gives booleans; or these booleans. They
        are listed in ``left_out``.

    Returns
    -------
    SurfaceLaw
        Always; look at ``status``. A fit that failed has NaN fields.

    Raises
    ------
    DataError
        Missing, infinite or non-positive values (named by row), unequal lengths, a bad option.

    Warns
    -----
    FitWarning
        The status is not "ok", for instance ``one_budget`` or ``E_at_zero``.

    References
    ----------
    Hoffmann et al. 2022, arXiv:2203.15556; Besiroglu et al. 2024, arXiv:2404.10102.

    Examples
    --------
    >>> import numpy as np
    >>> N, D = (g.ravel() for g in np.meshgrid([1e8, 3e8, 1e9, 3e9], [2e9, 1e10, 5e10, 2e11]))
    >>> law = fit_surface(N, D, 1.7 + 400 * N**-0.34 + 410 * D**-0.28)
    >>> round(law.E, 8), round(law.alpha, 8), round(law.beta, 8), law.status
    (1.7, 0.34, 0.28, 'ok')
    """
    N = column(params, "params")
    D = column(tokens, "tokens", n=len(N))
    y = column(loss, "loss", n=len(N))
    w = np.ones(len(N)) if weights is None else floats(weights, "weights")
    if w.shape != N.shape or not (np.isfinite(w) & (w >= 0)).all():
        raise DataError(f"weights: expected {len(N)} finite numbers of at least 0")
    held, why = _fixed(fixed, nonnegative), _left_out(drop, N, D, y)
    kept = np.flatnonzero(why == "")
    row = np.array([[held.get(name, np.nan) for name in PARAMETERS]])
    record = _core_fit(
        N[kept], D[kept], y[kept], [0, len(kept)], weights=w[kept], fixed=row,
        objective=objective, space=space, delta=delta, nonnegative=nonnegative,
    )[0]  # fmt: skip
    table = pd.DataFrame(
        {"row": np.arange(1, len(N) + 1), "params": N, "tokens": D, "loss": y, "weight": w}
    )
    gone = table[why != ""].drop(columns="weight").assign(rule=why[why != ""])
    law = SurfaceLaw(
        **{name: record[name].item() for name in FITTED},
        kind=objective,
        space=space,
        delta=float(delta),
        nonnegative=bool(nonnegative),
        status_code=record["status"].item(),
        standard_errors=dict(zip(PARAMETERS, record["se"].tolist(), strict=True)),
        fixed=held,
        covariance=record["covariance"].copy(),
        points=table.iloc[kept].reset_index(drop=True),
        left_out=gone.reset_index(drop=True),
    )
    one_warning(law.status_code, "fit_surface")
    used = {"params": N[kept], "tokens": D[kept], "loss": y[kept]}
    given = {"params": params, "tokens": tokens, "loss": loss}
    gone_by = {f"dropped: {rule}": int(k) for rule, k in gone["rule"].value_counts().items()}
    return with_origin(law, from_arrays(used, given, left_out=gone_by))


def fit_surfaces(
    frame: Any,
    *,
    params: str = "params",
    tokens: str = "tokens",
    loss: str = "loss",
    by: str | list[str] = "suite",
    objective: Objective = "huber",
    space: Space = "log",
    delta: float = 1e-3,
    fixed: Mapping[str, float] | None = None,
    nonnegative: bool = True,
    n_threads: int | None = None,
    progress: bool = False,
) -> pd.DataFrame:
    """Fit one surface a group, all groups in one call.

    Parameters
    ----------
    frame : DataFrame (pandas, polars, pyarrow)
        One row a run.
    params, tokens, loss : str
        Its columns.
    by : str or list of str
        Columns that name the group.
    objective, space, delta, fixed, nonnegative
        As in `fit_surface`.
    n_threads : int, optional
        Threads; the CPUs available by default.
    progress : bool
        Show a progress bar.

    Returns
    -------
    pandas.DataFrame
        One row a group, sorted: the ``by`` columns, the fields of `SurfaceLaw`, se_<parameter>,
        status, status_code. A group with bad values has the status "bad_value".

    Raises
    ------
    DataError
        A column is missing or holds text, a group label is missing, or an option is wrong.

    Warns
    -----
    FitWarning
        One count for every status that is not "ok".

    Examples
    --------
    >>> import delphi, pandas as pd
    >>> runs = pd.concat([delphi.simulate.surface_runs(rng=i).assign(suite=s)
    ...                   for i, s in enumerate("ab")])
    >>> laws = fit_surfaces(runs)
    >>> laws["suite"].tolist(), laws["status"].tolist()
    (['a', 'b'], ['ok', 'ok'])
    """
    names = [by] if isinstance(by, str) else list(by)
    table = frame_columns(frame, [*names, params, tokens, loss])
    order, offsets, keys = group_rows(*(table[name] for name in names), names=names)
    held = _fixed(fixed, nonnegative)
    row = np.array([held.get(name, np.nan) for name in PARAMETERS])
    columns = [
        column(table[name], name, least=0, strict=False)[order] for name in (params, tokens, loss)
    ]
    with progress_bar(progress, "surfaces") as bar:
        records = _core_fit(
            *columns, offsets, fixed=np.tile(row, (len(keys), 1)), objective=objective,
            space=space, delta=delta, nonnegative=nonnegative,
            n_threads=thread_count(n_threads), progress=bar,
        )  # fmt: skip
    out = keys.assign(**{name: records[name] for name in FITTED})
    for j, name in enumerate(PARAMETERS):
        out[f"se_{name}"] = records["se"][:, j]
    out["status"], out["status_code"] = status_texts(records["status"]), records["status"]
    warn_about(records["status"], "groups")
    return out
