"""Endpoint laws: final loss against compute, one recipe (mix, learning rate) at a time."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from . import _core
from .arrays import column, frame_columns
from .errors import DataError
from .groups import group_rows
from .powerlaw import fit_frame
from .provenance import HasCard, from_arrays, with_origin
from .status import bits, warn_about

__all__ = ["EndpointLaws", "fit_endpoints"]

_OPEN = bits("alpha_weak", "floor_not_identified")

UNIT = 1e18


@dataclass(frozen=True)
class EndpointLaws(HasCard):
    """Laws L(C) = E + A (C / 1e18)^-alpha and log L = a + b log(C / 1e18), one a recipe.

    Attributes
    ----------
    by : tuple of str
        Columns that name a recipe.
    laws : pandas.DataFrame
        One row a recipe: the ``by`` columns, n, E, A, alpha, rmse, r2, a, b, line_rmse, line_r2
        (both in loss), compute_min, compute_max, status, status_code.
    points : pandas.DataFrame
        Every run: the ``by`` columns, compute, loss, used ("fit", "cut" or "held out").
    held_out : pandas.DataFrame
        Runs no fit has seen: the ``by`` columns, compute, loss, predicted, percent_error,
        line_predicted, line_percent_error; 100 (predicted - loss) / loss.
    cutoff : float
        Largest compute that fits may use.
    """

    by: tuple[str, ...]
    laws: pd.DataFrame
    points: pd.DataFrame
    held_out: pd.DataFrame
    cutoff: float

    @property
    def ok(self) -> bool:
        """True if every recipe has a law."""
        return bool((self.laws["status_code"] >= 0).all())

    @property
    def status(self) -> str:
        """ "ok", or the distinct statuses of the recipes that are not."""
        others = sorted(set(self.laws["status"]) - {"ok"})
        return "; ".join(others) if others else "ok"

    def predict(self, compute: Any, *, line: bool = False) -> pd.DataFrame:
        """Loss of every recipe at each compute, with the rank of the recipes at it.

        Examples
        --------
        >>> import delphi
        >>> ends = delphi.final_losses(delphi.simulate.curves(rng=0), by=["scale", "mix", "lr"])
        >>> laws = fit_endpoints(ends, compute="scale")
        >>> float(laws.predict(1e22)["rank"].min())
        1.0
        """
        at = column(np.atleast_1d(np.asarray(compute)), "compute")
        blocks = []
        for C in at:
            block = self.laws[list(self.by)].copy()
            block["compute"] = C
            block["predicted"] = _predict(self.laws, np.full(len(self.laws), C), line)
            block["rank"] = block["predicted"].rank(method="min")
            blocks.append(block)
        return pd.concat(blocks, ignore_index=True)

    def _card_fields(self) -> dict[str, Any]:
        from .forecastcard import endpoint_fields

        return endpoint_fields(self)

    def to_frame(self) -> pd.DataFrame:
        """The laws."""
        return self.laws.copy()

    def to_dict(self) -> dict[str, Any]:
        """Cutoff, status, laws and held-out errors as plain values."""
        return {
            "cutoff": self.cutoff, "status": self.status,
            "laws": self.laws.to_dict("records"), "held_out": self.held_out.to_dict("records"),
        }  # fmt: skip

    def summary(self) -> str:
        """A few lines for a person."""
        used = self.points["used"].value_counts()
        lines = [
            f"{len(self.laws)} recipes, fitted to C <= {self.cutoff:.3g}: "
            + ", ".join(f"{used.get(k, 0)} runs {k}" for k in ("fit", "cut", "held out")),
            f"  status: {self.status}",
        ]
        if len(self.held_out):
            for name, label in (("percent_error", "E + A C^-alpha"),
                                ("line_percent_error", "log-log line")):  # fmt: skip
                errors = self.held_out[name].abs()
                lines.append(
                    f"  held out, {label}: mean |error| {errors.mean():.3g}%, "
                    f"worst {errors.max():.3g}%"
                )
        return "\n".join(lines)

    def plot(self, *, line: bool = False, mobile: bool = False) -> Any:
        """Laws, runs and held-out runs of every recipe, as a plotly figure.

        Parameters
        ----------
        line : bool
            The log-log lines instead of the laws with a floor.
        mobile : bool
            For a screen 360 px wide.

        Returns
        -------
        plotly.graph_objects.Figure
        """
        from .figures.endpoints import endpoint_laws

        return endpoint_laws(self, line=line, mobile=mobile)

    def __repr__(self) -> str:
        return (
            f"EndpointLaws({len(self.laws)} recipes by {', '.join(self.by)}, "
            f"L = E + A (C/1e18)^-alpha, C <= {self.cutoff:.3g}, status={self.status!r})"
        )

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self.summary())}</pre>"


def fit_endpoints(
    frame: Any,
    *,
    compute: str = "flops",
    loss: str = "loss",
    by: str | Sequence[str] = ("mix", "lr"),
    cutoff: float | None = None,
    held_out: float | None = None,
) -> EndpointLaws:
    """Fit how the final loss of every recipe falls with compute, and test it on larger runs.

    Parameters
    ----------
    frame : DataFrame (pandas, polars, pyarrow)
        One row a finished run, as `delphi.final_losses` gives it.
    compute, loss : str
        Its columns of compute (FLOPs) and final loss, both > 0.
    by : str or sequence of str
        Columns that name a recipe.
    cutoff : float, optional
        Largest compute a fit may use. Default: everything below ``held_out``.
    held_out : float, optional
        Runs with at least this compute are held out: no fit ever uses them, whatever the cutoff.
        Default: all beyond the cutoff.

    Returns
    -------
    EndpointLaws

    Raises
    ------
    DataError
        Bad columns or values, a cutoff at or above ``held_out``, no run left to fit.

    Warns
    -----
    FitWarning
        One count for every status that is not "ok".

    Notes
    -----
    E + A (C / 1e18)^-alpha with 0 <= E < the lowest loss and A, alpha > 0 is the global least
    squares of `delphi.fit_power_laws`; the log-log line has no floor and so forecasts too little at
    compute far beyond the data.

    Examples
    --------
    >>> import delphi
    >>> runs = delphi.simulate.curves(scales=(1e18, 3e18, 1e19, 3e19, 1e21), rng=0)
    >>> ends = delphi.final_losses(runs, by=["scale", "mix", "lr"])
    >>> laws = delphi.fit_endpoints(ends, compute="scale", held_out=1e21)
    >>> bool(laws.held_out["percent_error"].abs().max() < 2)
    True
    """
    labels = [by] if isinstance(by, str) else list(by)
    table = frame_columns(frame, [*labels, compute, loss]).reset_index(drop=True)
    C, y = column(table[compute], compute), column(table[loss], loss)
    for name, value in (("cutoff", cutoff), ("held_out", held_out)):
        if value is not None and not (np.isreal(value) and 0 < value < np.inf):
            raise DataError(f"{name}: expected a positive number, got {value!r}")
    if cutoff is not None and held_out is not None and not cutoff < held_out:
        raise DataError(f"cutoff {cutoff:g} must lie below held_out {held_out:g}")
    away = held_out <= C if held_out is not None else (np.inf if cutoff is None else cutoff) < C
    inside = ~away & ((np.inf if cutoff is None else cutoff) >= C)
    if not inside.any():
        raise DataError("no run lies within the cutoff")
    used = np.where(away, "held out", np.where(inside, "fit", "cut"))
    points = table[labels].assign(compute=C, loss=y, used=used)

    fitted = points[inside]
    laws = fit_frame(fitted, compute="compute", loss="loss", by=labels)
    laws = _with_line(laws, fitted, labels)
    test = points[away].drop(columns="used").reset_index(drop=True)
    seen = test.merge(laws, on=labels, how="left", suffixes=("", "_law"))
    for line, start in ((False, ""), (True, "line_")):
        predicted = _predict(seen, test["compute"].to_numpy(), line)
        test[f"{start}predicted"] = predicted
        test[f"{start}percent_error"] = 100 * (predicted - test["loss"]) / test["loss"]
    # four or five scales leave floor and exponent open more often than not: that is in the status
    code = laws["status_code"].to_numpy()
    warn_about(np.where(code > 0, code & ~_OPEN, code), "recipes")
    top = float(cutoff) if cutoff is not None else float(C[inside].max())
    result = EndpointLaws(tuple(labels), laws, points, test, top)
    gone = {"held out": int(away.sum()), "beyond the cutoff": int((~away & ~inside).sum())}
    columns = {"compute": C[inside].copy(), "loss": y[inside].copy()}
    given = {"compute": table[compute], "loss": table[loss]}
    return with_origin(result, from_arrays(columns, given, left_out=gone))


def _predict(laws: pd.DataFrame, compute: Any, line: bool) -> Any:
    x = np.log(compute / UNIT)
    if line:
        return np.exp(laws["a"].to_numpy() + laws["b"].to_numpy() * x)
    return laws["E"].to_numpy() + laws["A"].to_numpy() * np.exp(-laws["alpha"].to_numpy() * x)


def _with_line(laws: pd.DataFrame, points: pd.DataFrame, labels: list[str]) -> pd.DataFrame:
    """The laws at C / 1e18 with the log-log line and both fits' quality."""
    order, offsets, _ = group_rows(*(points[label] for label in labels), names=labels)
    C, y = points["compute"].to_numpy()[order], points["loss"].to_numpy()[order]
    lines = _core.line_fit(np.log(C / UNIT), np.log(y), offsets)
    out = laws[labels].copy()
    out["n"] = laws["n"]
    out["E"] = laws["L_inf"]
    out["A"] = np.exp(laws["log_A"] - laws["alpha"] * np.log(UNIT))
    out["alpha"] = laws["alpha"]
    out["a"], out["b"] = lines["intercept"], lines["slope"]
    group = np.repeat(np.arange(len(laws)), np.diff(offsets))
    mean = np.bincount(group, y) / np.diff(offsets)
    total = np.bincount(group, (y - mean[group]) ** 2)
    for name, line in (("", False), ("line_", True)):
        off = y - _predict(out.iloc[group], C, line)
        rss = np.bincount(group, off**2)
        out[f"{name}rmse"] = np.sqrt(rss / np.diff(offsets))
        with np.errstate(divide="ignore", invalid="ignore"):
            out[f"{name}r2"] = np.where(total > 0, 1 - rss / total, np.nan)
    for name in ("compute_min", "compute_max", "status", "status_code"):
        out[name] = laws[name]
    return out
