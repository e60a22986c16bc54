"""One IsoFLOP parabola: loss against log tokens at fixed compute, and its vertex."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from . import _core
from .arrays import column, floats
from .errors import DataError
from .markup import block
from .provenance import HasCard, from_arrays, with_origin
from .status import HasStatus, bits, one_warning

__all__ = ["NO_OPTIMUM", "Parabola", "checked_window", "fit_parabola"]

# A vertex is an optimum only if the data show both sides of it and could have said otherwise.
NO_OPTIMUM = ("concave", "clipped", "unbracketed", "saturated")


@dataclass(frozen=True)
class Parabola(HasStatus, HasCard):
    """One IsoFLOP parabola, loss = a x^2 + b x + c in x = log10(tokens).

    Attributes
    ----------
    n, n_used : int
        Points, and those of them that the parabola was fitted to: all, or the points of the window.
    a, b, c : float
        Coefficients; ``a`` is in loss per decade squared.
    x_vertex : float
        -b / 2a, log10 tokens, wherever it lies.
    x_star, tokens_star, params_star, loss_star : float
        The vertex moved into the observed range (status "clipped" if it had to be), tokens there,
        parameters there on the line log10(params) against x (NaN without params), and loss there.
    a_under, a_over : float
        Curvature below and above ``x_star``, each fitted by itself through (x_star, loss_star);
        ``a`` where that is not positive (status "a_under_fallback", "a_over_fallback").
    joint_x_star, joint_tokens_star, joint_loss_star, joint_a_under, joint_a_over : float
        The same from one fit with one vertex and two curvatures, value and slope continuous.
    rss, joint_rss : float
        Residual sums of squares.
    se_x_star, se_loss_star : float
        Standard errors of the vertex and of the loss at it (delta method, homoscedastic noise);
        NaN without degrees of freedom.
    x_min, x_max : float
        Observed range of x.
    x_lo, x_hi : float
        Range of x of the points used.
    status, status_code : str, int
        "ok", a failure (all numbers NaN), or the warnings that apply.
    """

    n: int
    n_used: int
    a: float
    b: float
    c: float
    x_vertex: float
    x_star: float
    tokens_star: float
    params_star: float
    loss_star: float
    a_under: float
    a_over: float
    rss: float
    se_x_star: float
    se_loss_star: float
    x_min: float
    x_max: float
    x_lo: float
    x_hi: float
    joint_x_star: float
    joint_tokens_star: float
    joint_loss_star: float
    joint_a_under: float
    joint_a_over: float
    joint_rss: float
    status_code: int

    @property
    def is_optimum(self) -> bool:
        """True if the vertex is a minimum that the data bracket."""
        return self.ok and not self.status_code & bits(*NO_OPTIMUM)

    def predict(self, tokens: ArrayLike) -> Any:
        """Loss of the parabola at some token counts (> 0); NaN elsewhere."""
        raw = floats(tokens, "tokens")
        x = np.log10(np.where(raw > 0, raw, np.nan))
        loss = (self.a * x + self.b) * x + self.c
        return float(loss) if loss.ndim == 0 else loss

    def to_dict(self) -> dict[str, Any]:
        """Fields and status as plain Python values."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return values | {"status": self.status}

    def to_frame(self) -> pd.DataFrame:
        """The same as a frame of one row."""
        return pd.DataFrame([self.to_dict()])

    def summary(self) -> str:
        """A few lines for a person."""
        used = "" if self.n_used in (0, self.n) else f"{self.n_used} of "
        lines = [f"IsoFLOP parabola through {used}{self.n} points, status: {self.status}"]
        if self.ok:
            lines += [
                f"  tokens at the optimum {self.tokens_star:.4g}  (log10 {self.x_star:.3f}"
                f", s.e. {self.se_x_star:.2g})",
                f"  params at the optimum {self.params_star:.4g}",
                f"  loss at the optimum   {self.loss_star:.5g}  (s.e. {self.se_loss_star:.2g})",
                f"  curvature {self.a:.4g} per decade^2; under {self.a_under:.4g}"
                f", over {self.a_over:.4g}",
            ]
        return "\n".join(lines)

    def plot(self) -> Any:
        """The parabola over its range, as a plotly figure."""
        from .figures import parabola_curve

        return parabola_curve(self)

    def __repr__(self) -> str:
        if not self.ok:
            return f"Parabola(no fit, n={self.n}, status={self.status!r})"
        return (
            f"Parabola(loss = {self.loss_star:.4g} at {self.tokens_star:.3g} tokens, "
            f"a={self.a:.3g}, n={self.n}, status={self.status!r})"
        )

    def _repr_html_(self) -> str:
        names = ("tokens_star", "params_star", "loss_star", "se_loss_star", "n_used", "n", "status")
        return block("IsoFLOP parabola", facts={name: getattr(self, name) for name in names})


def fit_parabola(
    tokens: ArrayLike,
    loss: ArrayLike,
    params: ArrayLike | None = None,
    *,
    window: float | None = None,
) -> Parabola:
    """Fit one IsoFLOP parabola, loss = a x^2 + b x + c in x = log10(tokens).

    Approach 2 of Hoffmann et al. (2022): runs of one compute budget, loss against log tokens; the
    vertex is the compute-optimal token count.

    Parameters
    ----------
    tokens : array_like, shape (n,)
        Training tokens, raw counts, > 0.
    loss : array_like, shape (n,)
        Final losses, > 0.
    params : array_like, shape (n,), optional
        Parameters, raw counts, > 0.
    window : float, optional
        Decades of tokens on each side of the vertex of all points. The parabola is fitted again
        to the points within; at least five distinct points are kept, the nearest ones (status
        "window_widened"). Default: all points. Why: on an additive law the loss at the
        vertex of a parabola over one decade to each side is 0.002 to 0.003 nats too low, over half
        a decade 0.0001 to 0.0002.

    Returns
    -------
    Parabola
        Always; look at ``status``. A fit that failed has NaN fields.

    Raises
    ------
    DataError
        Missing, infinite or non-positive values (named by row), unequal lengths, or a window that
        is not positive.

    Warns
    -----
    FitWarning
        The status is not "ok".

    Examples
    --------
    >>> import numpy as np
    >>> tokens = np.geomspace(1e9, 1e11, 9)
    >>> fit = fit_parabola(tokens, 3 + 0.2 * (np.log10(tokens) - 10.1) ** 2)
    >>> round(fit.x_star, 6), round(fit.loss_star, 6), fit.status
    (10.1, 3.0, 'ok')
    """
    T = column(tokens, "tokens")
    y = column(loss, "loss", n=len(T))
    N = None if params is None else column(params, "params", n=len(T))
    width = 0.0 if window is None else checked_window(window)
    record = _core.parabola_fit(T, y, N, [0, len(T)], joint=True, window=width, diagnose=True)[0]
    values = {name: record[name].item() for name in record.dtype.names or ()}
    code = values.pop("status")
    values["joint_tokens_star"] = 10.0 ** values["joint_x_star"]
    fit = Parabola(**values, status_code=code)
    one_warning(code, "fit_parabola")
    columns = {"tokens": T, "loss": y} | ({} if N is None else {"params": N})
    given = {"tokens": tokens, "loss": loss, "params": params}
    return with_origin(fit, from_arrays(columns, given, window=width or "all points"))


def checked_window(window: float) -> float:
    """A window in decades, > 0 (inf: all points)."""
    try:
        width = float(window)
    except (TypeError, ValueError):
        width = math.nan
    if not width > 0:
        raise DataError(f"window: expected decades > 0, got {window!r}")
    return width
