"""IsoFLOP ladders: a parabola in log tokens for every budget, and what their vertices say."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from . import _core
from .arrays import column, frame_columns, to_pandas
from .errors import DataError
from .groups import group_rows
from .heldout import is_crashed
from .powerlaw import Method, PowerLaw, Score, fit_frame, laws_of_frame
from .progress import progress_bar
from .status import bits, failed, one_warning, status_text, status_texts, warn_about
from .threads import thread_count

__all__ = ["IsoflopLadder", "Parabola", "fit_isoflops", "fit_parabola"]

# A vertex is an optimum only if the data show both sides of it and could have said otherwise.
NO_OPTIMUM = ("concave", "clipped", "unbracketed", "saturated")
LEVEL = 0.95


@dataclass(frozen=True)
class Parabola:
    """One IsoFLOP parabola, loss = a x^2 + b x + c in x = log10(tokens).

    Attributes
    ----------
    n : int
        Points.
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
    status, status_code : str, int
        "ok", a failure (all numbers NaN), or the warnings that apply.
    """

    n: int
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
    joint_x_star: float
    joint_tokens_star: float
    joint_loss_star: float
    joint_a_under: float
    joint_a_over: float
    joint_rss: float
    status_code: int

    @property
    def status(self) -> str:
        """The status in words."""
        return status_text(self.status_code)

    @property
    def ok(self) -> bool:
        """True if there is a parabola, be it with warnings."""
        return not failed(self.status_code)

    @property
    def is_optimum(self) -> bool:
        """True if the vertex is a minimum that the data bracket."""
        return self.ok and not self.status_code & bits(*NO_OPTIMUM)

    def predict(self, tokens: ArrayLike) -> Any:
        """Loss of the parabola at some token counts (> 0); NaN elsewhere."""
        raw = np.asarray(tokens, float)
        x = np.log10(np.where(raw > 0, raw, np.nan))
        loss = (self.a * x + self.b) * x + self.c
        return float(loss) if loss.ndim == 0 else loss

    def to_dict(self) -> dict[str, Any]:
        """Fields and status as plain Python values."""
        return {**self.__dict__, "status": self.status}

    def to_frame(self) -> pd.DataFrame:
        """The same as a frame of one row."""
        return pd.DataFrame([self.to_dict()])

    def summary(self) -> str:
        """A few lines for a person."""
        lines = [f"IsoFLOP parabola through {self.n} points, status: {self.status}"]
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
        return f"<pre>{html.escape(self.summary())}</pre>"


# What of a parabola stands in a ladder's frame, in order.
_FIT_COLUMNS = tuple(
    name for name in Parabola.__dataclass_fields__ if name not in ("n", "status_code")
)


def fit_parabola(tokens: ArrayLike, loss: ArrayLike, params: ArrayLike | None = None) -> Parabola:
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

    Returns
    -------
    Parabola
        Always; look at ``status``. A fit that failed has NaN fields.

    Raises
    ------
    DataError
        Missing, infinite or non-positive values (named by row), or unequal lengths.

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
    record = _core.parabola_fit(T, y, N, [0, len(T)], joint=True)[0]
    values = {name: record[name].item() for name in record.dtype.names or ()}
    code = values.pop("status")
    values["joint_tokens_star"] = 10.0 ** values["joint_x_star"]
    fit = Parabola(**values, status_code=code)
    one_warning(code, "fit_parabola")
    return fit


@dataclass(frozen=True)
class IsoflopLadder:
    """Parabolas of every (suite, budget) and what follows from them.

    Attributes
    ----------
    runs : pandas.DataFrame
        The runs as given, held-out ones included.
    fits : pandas.DataFrame
        One row a (suite, budget): suite, budget (FLOPs, the label), compute (geometric mean of
        its runs' FLOPs), n, the fields of `Parabola`, status, status_code, used.
    left_out : pandas.DataFrame
        reason, rows: what was not fitted, by why.
    """

    runs: pd.DataFrame
    fits: pd.DataFrame
    left_out: pd.DataFrame

    @property
    def suites(self) -> list[str]:
        """Suite labels, sorted."""
        return sorted(self.fits["suite"].unique().tolist())

    @cached_property
    def optima(self) -> pd.DataFrame:
        """Vertices of the buckets used: suite, budget, compute, tokens_star, params_star,
        loss_star."""
        names = ["suite", "budget", "compute", "tokens_star", "params_star", "loss_star"]
        return self.fits.loc[self.fits["used"], names].reset_index(drop=True)

    @cached_property
    def unused(self) -> pd.DataFrame:
        """Buckets that feed no law: suite, budget, n, reason (what keeps them out, in words)."""
        table = self.fits.loc[~self.fits["used"], ["suite", "budget", "n", "status_code"]]
        codes = table.pop("status_code")
        table["reason"] = [
            status_text(code if failed(code) else code & bits(*NO_OPTIMUM)).replace("_", " ")
            for code in codes
        ]
        return table.reset_index(drop=True)

    @cached_property
    def exponents(self) -> pd.DataFrame:
        """How optimal parameters and tokens grow with compute, with 95% t intervals.

        Ordinary least squares of log10(quantity) on log10(compute) over the optima of a suite:
        suite, quantity, exponent, se, low, high, level, method, n, coefficient, status;
        quantity = coefficient compute^exponent. The intervals see the scatter of the optima about
        the line, not the noise inside a budget.
        """
        return _exponents(self.optima, self.suites)

    def laws(
        self,
        *,
        floor: float | None = None,
        shared_floor: bool = False,
        score: Score = "loss",
        method: Method = "profile",
        compute: Literal["compute", "budget"] = "compute",
    ) -> dict[str, PowerLaw]:
        """A law loss = L_inf + A C^-alpha through the optima of each suite.

        Parameters
        ----------
        floor, shared_floor, score, method
            As in `fit_power_laws`.
        compute : {"compute", "budget"}
            Fit against the runs' actual compute or against the budget's label.

        Returns
        -------
        dict of suite to PowerLaw
            Suites without a used optimum are absent; one with too few has a failed law.

        Warns
        -----
        FitWarning
            One count for every status that is not "ok".
        """
        frame = fit_frame(
            self.optima, compute=compute, loss="loss_star", by="suite", floor=floor,
            shared_floor=shared_floor, score=score, method=method,
        )  # fmt: skip
        warn_about(frame["status_code"], "suites")
        return laws_of_frame(frame, "suite", score, "pinned" if floor is not None else method)

    def summary(self) -> str:
        """A paragraph a suite."""
        lines = []
        for suite in self.suites:
            fits = self.fits[self.fits["suite"] == suite]
            used = fits[fits["used"]]
            lines.append(f"{suite}: {len(used)} of {len(fits)} budgets give an optimum")
            for _, bucket in used.iterrows():
                lines.append(
                    f"  {bucket.budget:8.3g} FLOPs: {bucket.tokens_star:.3g} tokens, "
                    f"{bucket.params_star:.3g} params, loss {bucket.loss_star:.4f}"
                )
            for _, bucket in self.unused[self.unused["suite"] == suite].iterrows():
                lines.append(f"  {bucket.budget:8.3g} FLOPs: left out ({bucket.reason})")
            for _, row in self.exponents[self.exponents["suite"] == suite].iterrows():
                lines.append(
                    f"  {row.quantity} ~ C^{row.exponent:.3f}"
                    f" [{row.low:.3f}, {row.high:.3f}] {row.level:.0%} {row.method}"
                )
        for _, row in self.left_out.iterrows():
            lines.append(f"left out: {row.rows} rows, {row.reason}")
        return "\n".join(lines)

    def to_frame(self) -> pd.DataFrame:
        """The fits, one row a (suite, budget)."""
        return self.fits.copy()

    def to_dict(self) -> dict[str, Any]:
        """fits, optima, exponents and left_out as lists of plain rows."""
        tables = ("fits", "optima", "exponents", "left_out")
        return {name: getattr(self, name).to_dict("records") for name in tables}

    def plot(self) -> Any:
        """Runs, parabolas and optima, one panel a suite, as a plotly figure."""
        from .figures import isoflop_parabolas

        return isoflop_parabolas(self)

    def __repr__(self) -> str:
        used = int(self.fits["used"].sum())
        return f"IsoflopLadder({len(self.suites)} suites, {used} of {len(self.fits)} optima used)"

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self.summary())}</pre>"


def fit_isoflops(
    runs: Any,
    by: str = "suite",
    *,
    keep: Literal["good", "all"] = "good",
    n_threads: int | None = None,
    progress: bool = False,
) -> IsoflopLadder:
    """Fit a parabola to the runs of every (suite, budget).

    Parameters
    ----------
    runs : DataFrame (pandas, polars, pyarrow)
        Standard columns, as from `delphi.read_runs`: tokens, params, flops, budget, loss, the
        ``by`` column and, if present, run_type (only "isoflop" runs are fitted) and state (runs
        that crashed or still run are left out).
    by : str
        The column that names the suite.
    keep : {"good", "all"}
        Which buckets feed ``.optima``: those whose vertex is a bracketed minimum of four or more
        distinct points, or every bucket with a parabola.
    n_threads : int, optional
        Threads; the CPUs available by default.
    progress : bool
        Show a progress bar.

    Returns
    -------
    IsoflopLadder

    Raises
    ------
    DataError
        A column is missing or holds what is not a number, no run is left to fit, or an option is
        wrong.

    Warns
    -----
    FitWarning
        One count for every bucket status that is not "ok".

    Examples
    --------
    >>> from delphi import simulate
    >>> ladder = fit_isoflops(simulate.ladder(rng=0))
    >>> bool(ladder.fits["used"].all()), list(ladder.optima.columns)[:3]
    (True, ['suite', 'budget', 'compute'])
    """
    if keep not in ("good", "all"):
        raise DataError(f"keep: expected 'good' or 'all', got {keep!r}")
    numbers = ["tokens", "params", "flops", "budget", "loss"]
    if by in numbers:
        raise DataError(f"by={by!r}: a number of each run cannot name its suite")
    runs = to_pandas(runs)
    table = frame_columns(runs, [by, *numbers]).rename(columns={by: "suite"})
    for name in ("run_type", "state"):
        if name in runs:
            table[name] = runs[name].astype(object).where(runs[name].notna(), "")
    sweep, left_out = _sweep_runs(table)
    fits = _fit_buckets(sweep, thread_count(n_threads), progress)
    unusable = bits(*NO_OPTIMUM) if keep == "good" else 0
    code = fits["status_code"].to_numpy()
    fits["used"] = (code >= 0) & (code & unusable == 0)
    warn_about(code, "buckets")
    return IsoflopLadder(runs=runs.assign(suite=runs[by]), fits=fits, left_out=left_out)


def _sweep_runs(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The runs that belong into parabolas, and a count of the others by reason."""
    keep = np.ones(len(table), dtype=bool)
    counts = []
    if "run_type" in table:
        held = (table["run_type"] != "isoflop").to_numpy()
        counts.append(("held out (run_type is not isoflop)", int(held.sum())))
        keep &= ~held
    if "state" in table:
        ended = is_crashed(table["state"]).to_numpy() & keep
        counts.append(("no final loss (crashed or still running)", int(ended.sum())))
        keep &= ~ended
    if not keep.any():
        raise DataError("no IsoFLOP run to fit: the table has none that finished")
    left_out = pd.DataFrame([(reason, n) for reason, n in counts if n], columns=["reason", "rows"])
    return table[keep], left_out


def _fit_buckets(sweep: pd.DataFrame, n_threads: int, progress: bool) -> pd.DataFrame:
    """One row a (suite, budget) from one call into the core."""
    columns = {
        name: column(sweep[name], name, strict=False)
        for name in ("tokens", "params", "flops", "loss")
    }
    order, offsets, keys = group_rows(sweep["suite"], sweep["budget"], names=["suite", "budget"])
    tokens, params, flops, loss = (values[order] for values in columns.values())
    with progress_bar(progress, "parabolas") as callback:
        records = _core.parabola_fit(
            tokens, loss, params, offsets, joint=True, n_threads=n_threads, progress=callback
        )
    fits = {"suite": keys["suite"], "budget": keys["budget"].astype(float)}
    with np.errstate(divide="ignore", invalid="ignore"):
        log_flops = np.log(flops)
    fits["compute"] = np.exp(np.add.reduceat(log_flops, offsets[:-1]) / np.diff(offsets))
    fits["n"] = records["n"]
    for name in _FIT_COLUMNS:
        fits[name] = (
            10.0 ** records["joint_x_star"] if name == "joint_tokens_star" else records[name]
        )
    fits["status"] = status_texts(records["status"])
    fits["status_code"] = records["status"]
    return pd.DataFrame(fits)


def _exponents(optima: pd.DataFrame, suites: Sequence[str]) -> pd.DataFrame:
    quantities = ("params_star", "tokens_star")
    order, offsets, keys = group_rows(optima["suite"], names=["suite"])
    ordered = optima.iloc[order]
    log_c = np.log10(ordered["compute"].to_numpy(float))
    frames = []
    for quantity in quantities:
        lines = _core.line_fit(log_c, np.log10(ordered[quantity].to_numpy(float)), offsets)
        frame = pd.DataFrame({"suite": keys["suite"], "quantity": quantity})
        frame["exponent"], frame["se"] = lines["slope"], lines["se_slope"]
        half = lines["se_slope"] * _t_quantile(lines["n"] - 2)
        frame["low"], frame["high"] = lines["slope"] - half, lines["slope"] + half
        frame["level"], frame["method"] = LEVEL, "t"
        frame["n"], frame["coefficient"] = lines["n"], 10.0 ** lines["intercept"]
        frame["status"] = status_texts(lines["status"])
        frames.append(frame)
    table = pd.concat(frames, ignore_index=True)
    return table.sort_values(["suite", "quantity"], ignore_index=True)


def _t_quantile(dof: NDArray[np.int64]) -> NDArray[np.float64]:
    quantile: NDArray[np.float64] = _core.t_quantile(0.5 + LEVEL / 2, dof.astype(float))
    return quantile
