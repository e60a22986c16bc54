"""The shapes that learning curves are fitted with, and their forward models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from . import _core
from .arrays import floats
from .errors import DataError

__all__ = ["FORMS", "LOSSES", "MODELS", "SHAPES", "curve_loss"]

FORMS = ("log", "exponential", "power", "rational")
LOSSES = ("mae", "huber")
MODELS: Mapping[str, Any] = {form: getattr(_core, f"curve_{form}") for form in FORMS}
SHAPES: Mapping[str, str] = {  # s(tau; theta) in words, for a person
    "log": "1 - ln(1 + theta_0 tau) / ln(1 + theta_0)",
    "exponential": "(exp(-theta_0 tau) - exp(-theta_0)) / (1 - exp(-theta_0))",
    "power": "((1 + tau / theta_0)^-theta_1 - (1 + 1 / theta_0)^-theta_1)"
    " / (1 - (1 + 1 / theta_0)^-theta_1)",
    "rational": "(1 - tau^theta_0) / (1 + theta_1 tau^theta_0)",
}


def curve_loss(
    progress: ArrayLike, form: str, F: Any, A: Any, theta_0: Any, theta_1: Any = np.nan
) -> Any:
    """Loss of a fitted curve at a progress, by broadcasting.

    Parameters
    ----------
    progress : array_like
        In [0, 1].
    form : str
        "log", "exponential", "power" or "rational".
    F, A, theta_0, theta_1 : array_like
        As `fit_curves` gives them; theta_1 has no effect where a form has one parameter.

    Returns
    -------
    float or numpy.ndarray
        F at progress 1, F + A at 0.

    Raises
    ------
    DataError
        Unknown form, or something that is no number.

    Examples
    --------
    >>> curve_loss([0.0, 1.0], "log", 2.5, 1.5, 30.0).tolist()
    [4.0, 2.5]
    """
    if form not in MODELS:
        raise DataError(f"form: expected one of {', '.join(map(repr, FORMS))}, got {form!r}")
    with np.errstate(invalid="ignore"):
        value = MODELS[form](
            floats(progress, "progress"), floats(F, "F"), floats(A, "A"),
            floats(theta_0, "theta_0"), floats(theta_1, "theta_1"),
        )  # fmt: skip
    return float(value) if np.ndim(value) == 0 else value
