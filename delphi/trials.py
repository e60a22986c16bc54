"""Trials of a sweep: axes of hyperparameters, and which trials diverged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import DataError

__all__ = ["Hyperparameter", "diverged", "hyperparameters"]

Column = NDArray[np.float64]
Scale = Literal["log", "linear", "log(1 - x)"]
SCALES = ("log", "linear", "log(1 - x)")
N_MAD = 6.0  # robust sds above the median
N_SURFACE = 8.0  # robust sds above a robust surface


@dataclass(frozen=True)
class Hyperparameter:
    """A column of a sweep and the axis it is looked at on.

    Parameters
    ----------
    name : str
        Its column.
    scale : {"log", "linear", "log(1 - x)"}
        Natural logarithm of the value, the value, or the natural logarithm of what it lacks to 1:
        for momenta such as beta2, where 0.99 and 0.999 are far apart.
    label : str
        What figures call it; the name by default.

    Examples
    --------
    >>> beta2 = Hyperparameter("beta2", "log(1 - x)")
    >>> round(float(beta2.inverse(beta2.forward(0.99))), 12)
    0.99
    """

    name: str
    scale: Scale = "log"
    label: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise DataError(f"a hyperparameter needs a column name, got {self.name!r}")
        if self.scale not in SCALES:
            raise DataError(f"{self.name}: scale must be one of {SCALES}, got {self.scale!r}")
        if not self.label:
            object.__setattr__(self, "label", self.name)

    def inside(self, values: ArrayLike) -> NDArray[np.bool_]:
        """Which values its axis has a place for."""
        numbers = np.asarray(values, float)
        if self.scale == "log":
            return np.asarray((numbers > 0) & np.isfinite(numbers))
        if self.scale == "log(1 - x)":
            return np.asarray((numbers < 1) & np.isfinite(numbers))
        return np.asarray(np.isfinite(numbers))

    def forward(self, values: ArrayLike) -> Any:
        """Values as places on the axis."""
        numbers = np.asarray(values, float)
        if self.scale == "log":
            return np.log(numbers)
        return np.log(1.0 - numbers) if self.scale == "log(1 - x)" else numbers

    def inverse(self, places: ArrayLike) -> Any:
        """Places on the axis as values."""
        x = np.asarray(places, float)
        if self.scale == "log":
            return np.exp(x)
        return 1.0 - np.exp(x) if self.scale == "log(1 - x)" else x


def hyperparameters(hparams: Any) -> tuple[Hyperparameter, ...]:
    """Names, (name, scale) pairs, a mapping of name to scale, or `Hyperparameter` objects.

    Raises
    ------
    DataError
        None, a name twice, or something else.
    """
    items: Sequence[Any]
    if isinstance(hparams, (str, Hyperparameter)):
        items = [hparams]
    elif isinstance(hparams, Mapping):
        items = list(hparams.items())
    else:
        items = list(hparams)
    found = []
    for item in items:
        if isinstance(item, str):
            found.append(Hyperparameter(item))
        elif isinstance(item, Hyperparameter):
            found.append(item)
        elif isinstance(item, (tuple, list)) and 2 <= len(item) <= 3:
            found.append(Hyperparameter(*item))
        else:
            raise DataError(f"hparams: expected names, pairs or Hyperparameter, got {item!r}")
    names = [h.name for h in found]
    if not names or len(set(names)) < len(names):
        raise DataError(f"hparams: expected one or more distinct columns, got {names!r}")
    return tuple(found)


def diverged(x: Column, loss: Column, rule: str | float | None) -> tuple[NDArray[np.bool_], str]:
    """Which trials diverged by a rule, and the rule in words.

    "surface": the loss lies more than 8 robust standard deviations above a robust surface (the sum
    of a parabola in each axis; least absolute deviations, then Tukey's biweight; the scale is the
    median absolute residual times 1.4826). With fewer than three trials a coefficient the rule is
    "mad" instead: 6 robust standard deviations above the median. "quantile": above the 95% quantile
    of the cell. A number: above it. None: none but infinite losses.
    """
    bad = ~np.isfinite(loss)
    good = loss[~bad]
    if rule is None or not len(good):
        return bad, "infinite loss"
    if isinstance(rule, (int, float)) and not isinstance(rule, bool):
        return bad | (loss > rule), f"loss above {rule:g}"
    if rule == "quantile":
        cap = float(np.quantile(good, 0.95))
        return bad | (loss > cap), "loss above the 95% quantile of the cell"
    varies = np.ptp(x[~bad], axis=0) > 0
    if rule == "surface" and len(good) >= 3 * (2 * int(varies.sum()) + 1):
        out = bad.copy()
        out[~bad] = _above_surface(x[~bad][:, varies], good)
        return out, f"loss more than {N_SURFACE:g} robust sd above a robust surface"
    if rule in ("surface", "mad"):
        spread = 1.4826 * float(np.median(np.abs(good - np.median(good))))
        cap = float(np.median(good)) + N_MAD * spread
        if not spread > 0:  # more than half of the losses are equal
            return bad, "infinite loss"
        return bad | (loss > cap), f"loss more than {N_MAD:g} robust sd above the median"
    raise DataError(
        f"diverged: expected 'surface', 'mad', 'quantile', a number or None, got {rule!r}"
    )


def _above_surface(x: Column, loss: Column) -> NDArray[np.bool_]:
    """Trials far above a robust additive quadratic surface, by reweighted least squares."""
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    design = np.column_stack([np.ones(len(z)), z, z**2])
    weight = np.ones(len(z))
    residual, scale = loss, 0.0
    tiny = 1e-9 * max(float(np.ptp(loss)), 1e-300)
    for step in range(50):
        root = np.sqrt(weight)
        solution = np.linalg.lstsq(design * root[:, None], loss * root, rcond=None)[0]
        before, residual = residual, loss - design @ solution
        scale = max(1.4826 * float(np.median(np.abs(residual))), tiny)
        if step < 15:
            weight = 1.0 / np.maximum(np.abs(residual), 1e-3 * scale)
        else:
            u = residual / (4.685 * scale)
            weight = np.where(np.abs(u) < 1, (1 - u**2) ** 2, 0.0)
            if np.max(np.abs(residual - before)) < 1e-10 * scale:
                break
    return residual > N_SURFACE * scale
