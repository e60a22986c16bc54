"""Bootstrap of an L(N, D) surface: every replicate is fitted with a search of its own."""

from __future__ import annotations

import html
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from . import _core
from .arrays import checked_count, checked_level, column
from .draws import generator_from
from .errors import DataError, FitWarning
from .progress import progress_bar
from .status import status_text
from .surfaceplan import Flops, Laws, exponents_of, loss_of, optimum_of
from .threads import thread_count

if TYPE_CHECKING:
    from .surfacelaw import SurfaceLaw

__all__ = ["SurfaceBootstrap", "bootstrap_surface"]

Kind = Literal["pairs", "residual", "wild"]
PARAMETERS = ("E", "A", "B", "alpha", "beta")
_COLUMNS = (
    *PARAMETERS, "log_A", "log_B", "N_term", "D_term", "N_centre", "D_centre", "objective",
    "status",
)  # fmt: skip
_CHUNK = 1 << 21  # numbers drawn at a time


@dataclass(frozen=True, repr=False)
class SurfaceBootstrap:
    """Laws refitted to resampled data.

    Attributes
    ----------
    laws : pandas.DataFrame
        One row a replicate that gave a law: E, A, B, alpha, beta, log_A, log_B, objective, status
        (the code) and the internals the forecasts are made of.
    kind : str
        "pairs", "residual" or "wild".
    n_requested : int
        Replicates asked for; those missing from ``laws`` failed.
    """

    laws: pd.DataFrame
    kind: str
    n_requested: int
    _columns: Laws = field(compare=False)

    @property
    def n_failed(self) -> int:
        """Replicates without a law."""
        return self.n_requested - len(self.laws)

    @property
    def standard_errors(self) -> dict[str, float]:
        """Standard deviation of each parameter over the replicates."""
        return {name: float(self.laws[name].std(ddof=1)) for name in PARAMETERS}

    def interval(self, level: float = 0.95) -> pd.DataFrame:
        """Percentile interval of each parameter and of the exponents a and b of N* and D*.

        Returns
        -------
        pandas.DataFrame
            parameter, low, mid (the median), high, level, method.
        """
        values = {name: self.laws[name].to_numpy() for name in PARAMETERS}
        shares = exponents_of(self._columns)
        values |= {"a": shares[:, 0], "b": shares[:, 1]}
        return _table({"parameter": list(values)}, list(values.values()), level, self.kind)

    def predict(self, params: ArrayLike, tokens: ArrayLike, *, level: float = 0.95) -> pd.DataFrame:
        """Percentile interval of the loss of the surface at each (N, D)."""
        N = column(np.atleast_1d(np.asarray(params)), "params")
        D = column(np.atleast_1d(np.asarray(tokens)), "tokens", n=len(N))
        draws = [loss_of(self._columns, n, d) for n, d in zip(N, D, strict=True)]
        return _table({"params": N, "tokens": D}, draws, level, self.kind)

    def optimum(self, compute: ArrayLike, *, flops: Flops = 6.0) -> tuple[NDArray[Any], ...]:
        """Params, tokens and loss of every replicate at its own optimum: (n_laws, n_compute)."""
        C = column(np.atleast_1d(np.asarray(compute)), "compute")
        laws = {name: values[:, None] for name, values in self._columns.items()}
        return optimum_of(laws, C, flops)

    def summary(self) -> str:
        """A few lines for a person."""
        lines = [
            f"{self.kind} bootstrap: {len(self.laws)} of {self.n_requested} replicates gave a law"
        ]
        lines += [
            f"  {row.parameter:6} {row.mid:.4g} [{row.low:.4g}, {row.high:.4g}] 95%"
            for row in self.interval().itertuples()
        ]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"SurfaceBootstrap({self.kind}, n={self.n_requested}, failed={self.n_failed})"

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self.summary())}</pre>"


def _table(keys: dict[str, Any], draws: list[Any], level: float, kind: str) -> pd.DataFrame:
    level = checked_level(level)
    tails = [(1 - level) / 2, 0.5, (1 + level) / 2]
    bounds = np.array([np.nanquantile(values, tails) for values in draws])
    return pd.DataFrame(
        keys
        | {"low": bounds[:, 0], "mid": bounds[:, 1], "high": bounds[:, 2]}
        | {"level": level, "method": f"bootstrap ({kind})"}
    )


def bootstrap_surface(
    law: SurfaceLaw,
    n: int,
    rng: Any,
    kind: Kind,
    n_threads: int | None,
    progress: bool,
) -> SurfaceBootstrap:
    """The work behind `SurfaceLaw.bootstrap`."""
    if kind not in ("pairs", "residual", "wild"):
        raise DataError(f"kind: expected 'pairs', 'residual' or 'wild', got {kind!r}")
    n = checked_count(n, "n")
    N, D, y, w = law.data()
    generator, threads, size = generator_from(rng), thread_count(n_threads), len(y)
    fitted = law.predict(N, D)
    residual = np.log(y / fitted) if law.space == "log" else y - fitted
    spare = size - law.n_free
    if kind != "pairs" and spare < 1:
        raise DataError(f"residuals: {size} points leave none to {law.n_free} parameters")
    scaled = residual * np.sqrt(size / max(spare, 1))
    parts, rows = [], max(1, _CHUNK // size)
    with progress_bar(progress, "bootstrap") as bar:
        for first in range(0, n, rows):
            count = min(rows, n - first)
            callback = None if bar is None else (lambda done, _, first=first: bar(first + done, n))
            weights: Any = None
            losses: Any = None
            if kind == "pairs":
                index = generator.integers(0, size, size=(count, size))
                weights = _counts(index, size) * w
            else:
                if kind == "wild":
                    noise = scaled * (1.0 - 2.0 * generator.integers(0, 2, size=(count, size)))
                else:
                    centred = scaled - scaled.mean()
                    noise = centred[generator.integers(0, size, size=(count, size))]
                losses = fitted * np.exp(noise) if law.space == "log" else fitted + noise
                weights = np.broadcast_to(w, losses.shape)
            parts.append(
                _core.surface_refit(
                    N, D, y, weights=weights, losses=losses, fixed=law.fixed_row(),
                    n_threads=threads, progress=callback, **law.options(),
                )
            )  # fmt: skip
    records = np.concatenate(parts)
    bad = records["status"] < 0
    if bad.any():
        counts = zip(*np.unique(records["status"][bad], return_counts=True), strict=True)
        listed = "; ".join(f"{m} of {n} replicates failed: {status_text(c)}" for c, m in counts)
        warnings.warn(listed, FitWarning, stacklevel=3)
    kept = records[~bad]
    columns = {name: np.ascontiguousarray(kept[name]) for name in _COLUMNS}
    return SurfaceBootstrap(pd.DataFrame(columns), kind, int(n), columns)


def _counts(index: NDArray[np.int64], size: int) -> NDArray[np.float64]:
    """How often each row of draws takes each point."""
    flat = index + np.arange(len(index))[:, None] * size
    return np.bincount(flat.ravel(), minlength=len(index) * size).reshape(-1, size).astype(float)
