"""KL trajectories of rollouts: who is alive at which token."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from . import _core
from .arrays import as_array, checked_count
from .errors import DataError
from .ragged import fork_tokens, gathered, number_array, ragged, whole, whole_array
from .status import bits, status_texts, warn_about
from .threads import thread_count

if TYPE_CHECKING:
    from .klcalibration import CalibratedKL
    from .survival import Band, SurvivalFit

__all__ = ["KLTrajectories", "alive_mask"]

Floats = NDArray[np.float64]
Offsets = NDArray[np.int64]
NEVER_MEASURED = bits("never_measured")


@dataclass(frozen=True)
class KLTrajectories:
    """Rollouts of a model at several strengths alpha, sorted by alpha.

    Attributes
    ----------
    kl : numpy.ndarray, shape (n_tokens,)
        KL per token (nats), one rollout after the other.
    offsets : numpy.ndarray of int64, shape (n + 1,)
        Rollout i owns tokens offsets[i] to offsets[i + 1].
    pmass, forks : numpy.ndarray, shape (n_forks,)
        Probability mass of the answers that make sense, NaN where it was not measured, and the
        token (from 0) at which it was.
    fork_offsets : numpy.ndarray of int64, shape (n + 1,)
        The same for the forks.
    rollouts : pandas.DataFrame
        One row a rollout: cell, alpha, prompt, gen_len (tokens generated).
    left_out : pandas.DataFrame
        What could not be used: cell, alpha, prompt (missing where all of them), n, reason.
    notes : tuple of str
        What was assumed while reading.
    window : int or None
        Tokens that `first` kept.
    """

    kl: Floats
    offsets: Offsets
    pmass: Floats
    forks: Offsets
    fork_offsets: Offsets
    rollouts: pd.DataFrame
    left_out: pd.DataFrame = field(default_factory=lambda: no_rows_left_out())
    notes: tuple[str, ...] = ()
    window: int | None = None

    @classmethod
    def from_arrays(
        cls,
        kl: Any,
        pmass: Any,
        forks: ArrayLike | Sequence[ArrayLike],
        *,
        alpha: ArrayLike = 1.0,
        gen_lens: ArrayLike | None = None,
        cell: ArrayLike = "arrays",
    ) -> KLTrajectories:
        """Rollouts from plain arrays.

        Parameters
        ----------
        kl : sequence of array_like, or array_like of shape (n, n_tokens)
            KL per token of each rollout (nats).
        pmass : sequence of array_like, or array_like of shape (n, n_forks)
            Probability mass at the forks; NaN where it was not measured.
        forks : array_like of int, or one for each rollout
            Tokens of the forks, from 0, never decreasing.
        alpha : float or array_like, shape (n,)
            Strength of each rollout.
        gen_lens : array_like of int, shape (n,), optional
            Tokens generated; the length of each KL row by default.
        cell : str or array_like, shape (n,)
            What each rollout belongs to.

        Raises
        ------
        DataError
            Lengths that do not match, forks that decrease, empty rollouts, masses outside [0, 1]:
            names argument and rollout.

        Examples
        --------
        >>> both = KLTrajectories.from_arrays(
        ...     [[0.1, 0.2, 0.4], [0.1, 0.1]], [[0.99, 0.4], [0.98, 0.97]], [0, 2], alpha=[2, 1])
        >>> both.alphas, both.watch()["died"].tolist()
        ((1.0, 2.0), [False, True])
        """
        values, offsets, _ = ragged(kl, "kl")
        n = len(offsets) - 1
        mass, fork_offsets, _ = ragged(pmass, "pmass")
        if len(fork_offsets) - 1 != n:
            raise DataError(f"pmass: expected {n} rollouts, got {len(fork_offsets) - 1}")
        at = fork_tokens(forks, fork_offsets)
        lengths = np.diff(offsets) if gen_lens is None else whole(gen_lens, "gen_lens", n)
        strengths = np.broadcast_to(as_array(alpha, "alpha"), (n,)).astype(np.float64)
        if not np.isfinite(strengths).all():
            raise DataError("alpha: expected finite numbers")
        rollouts = pd.DataFrame(
            {
                "cell": np.broadcast_to(np.asarray(cell, dtype=object), (n,)),
                "alpha": strengths,
                "prompt": np.arange(n),
                "gen_len": lengths,
            }
        )
        made = cls(values, offsets, mass, at, fork_offsets, rollouts)
        records = made._watch(0.5)
        refuse(records["status"], "rollout")
        return made.pick(np.argsort(strengths, kind="stable"))

    @property
    def alphas(self) -> tuple[float, ...]:
        """The strengths, from low to high."""
        return tuple(self.rollouts["alpha"].drop_duplicates().tolist())

    @property
    def groups(self) -> Offsets:
        """Offsets into the rollouts, one group an alpha."""
        starts = np.flatnonzero(~self.rollouts["alpha"].duplicated().to_numpy())
        return np.append(starts, len(self.rollouts)).astype(np.int64)

    def __len__(self) -> int:
        return len(self.rollouts)

    def pick(self, which: ArrayLike) -> KLTrajectories:
        """Some of the rollouts, by position or mask; their alphas must not decrease."""
        rows = np.asarray(which)
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows.astype(np.int64)
        token, offsets = gathered(self.offsets, rows)
        fork, fork_offsets = gathered(self.fork_offsets, rows)
        rollouts = self.rollouts.iloc[rows].reset_index(drop=True)
        return replace(
            self, kl=self.kl[token], offsets=offsets, pmass=self.pmass[fork],
            forks=self.forks[fork], fork_offsets=fork_offsets, rollouts=rollouts,
        )  # fmt: skip

    def first(self, window: int) -> KLTrajectories:
        """The first `window` tokens of every rollout; those that go on are censored there."""
        window = checked_count(window, "window")
        lengths = np.minimum(np.diff(self.offsets), window)
        offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
        token = np.arange(offsets[-1]) + np.repeat(self.offsets[:-1] - offsets[:-1], lengths)
        rollouts = self.rollouts.assign(gen_len=np.minimum(self.rollouts["gen_len"], window))
        return replace(
            self, kl=self.kl[token], offsets=offsets, rollouts=rollouts, window=int(window)
        )

    def _watch(self, threshold: float) -> NDArray[np.void]:
        return cast("NDArray[np.void]", self._core_watch(threshold, mask=False)[1])

    def _core_watch(self, threshold: float, mask: bool) -> Any:
        return _core.survival_watch(
            self.pmass, self.forks, self.fork_offsets, self.offsets,
            self.rollouts["gen_len"].to_numpy(np.int64), threshold=checked_threshold(threshold),
            mask=mask, n_threads=thread_count(),
        )  # fmt: skip

    def alive(self, threshold: float = 0.8) -> NDArray[np.bool_]:
        """For every token, whether its rollout is alive there; in the order of ``kl``."""
        return cast("NDArray[np.bool_]", self._core_watch(threshold, mask=True)[0])

    def watch(self, threshold: float = 0.8) -> pd.DataFrame:
        """What became of every rollout.

        Parameters
        ----------
        threshold : float
            A probability mass below it is death; in [0, 1].

        Returns
        -------
        pandas.DataFrame
            ``rollouts`` and n (tokens watched), time (token of death, or the last token at which a
            death would have been seen), died, n_forks, pmass_min, status, status_code.

        Examples
        --------
        >>> from delphi import simulate
        >>> seen = simulate.rollouts(n_prompts=20, rng=0).watch()
        >>> bool((seen["time"] < seen["n"]).all())
        True
        """
        records = self._watch(threshold)
        seen = self.rollouts.assign(
            n=records["n"], time=records["time"], died=records["died"] != 0,
            n_forks=records["n_forks"], pmass_min=records["pmass_min"],
        )  # fmt: skip
        seen["status"] = status_texts(records["status"])
        seen["status_code"] = records["status"]
        return seen

    def counts(self, threshold: float = 0.8) -> pd.DataFrame:
        """How many died and how many were lost from sight, one row an alpha.

        Returns
        -------
        pandas.DataFrame
            alpha, n, died, censored (alive when generation ended before the window did), completed
            (alive at the end of the window), ended (generation ended before the window did, dead or
            alive), not_measured (no fork was measured: in no survival curve).
        """
        seen = self.watch(threshold)
        window = self.window if self.window is not None else int(seen["gen_len"].max())
        ended = (seen["gen_len"] < window).to_numpy()
        died = seen["died"].to_numpy()
        unseen = unmeasured(seen["status_code"].to_numpy())
        table = pd.DataFrame(
            {
                "alpha": seen["alpha"],
                "n": 1,
                "died": died,
                "censored": ended & ~died & ~unseen,
                "completed": ~ended & ~died & ~unseen,
                "ended": ended,
                "not_measured": unseen,
            }
        )
        return table.astype(dict.fromkeys(table.columns[1:], np.int64)).groupby(
            "alpha", as_index=False).sum()  # fmt: skip

    def calibrate(self, **options: Any) -> CalibratedKL:
        """`calibrate_kl` of these rollouts."""
        from .klcalibration import calibrate_kl

        return calibrate_kl(self, **options)

    def survival(
        self, threshold: float = 0.8, *, level: float = 0.95, band: Band = "log-log"
    ) -> SurvivalFit:
        """Kaplan-Meier curves, one an alpha, and log-rank tests between them.

        Rollouts without a measured fork are left out and counted by `counts`. Level and band are
        those of `delphi.fit_survival`.
        """
        from .survival import survival_of

        seen = self.watch(threshold)
        seen = seen[~unmeasured(seen["status_code"].to_numpy())]
        if seen.empty:
            raise DataError("no rollout has a fork that was measured: there is nothing to survive")
        fit = survival_of(seen["time"], seen["died"], by=seen["alpha"], level=level, band=band)
        warn_about([curve.status_code for curve in fit.curves.values()], "alphas")
        return fit

    def to_frame(self) -> pd.DataFrame:
        """The rollouts, one row each."""
        return self.rollouts.copy()

    def summary(self) -> str:
        """A few lines for a person."""
        words = ", ".join(f"{alpha:g}" for alpha in self.alphas)
        cells = self.rollouts["cell"].nunique()
        lines = [
            f"{len(self)} rollouts of {cells} cell{'s' if cells != 1 else ''}",
            f"  alpha {words}",
            f"  {len(self.kl)} tokens, {len(self.forks)} forks",
        ]
        if len(self.left_out):
            lines.append(f"  left out: {left_out_text(self.left_out)}")
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])

    def plot(self, **options: Any) -> Any:
        """All trajectories, one panel an alpha, as a plotly figure."""
        from .figures import kl_spaghetti

        return kl_spaghetti(self, **options)

    def __repr__(self) -> str:
        return f"KLTrajectories({len(self)} rollouts, {len(self.alphas)} alphas)"

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self.summary())}</pre>"


def alive_mask(
    pmass: ArrayLike,
    forks: ArrayLike,
    n_tokens: int | None = None,
    *,
    threshold: float = 0.8,
    gen_lens: ArrayLike | None = None,
    n_threads: int | None = None,
) -> NDArray[np.bool_]:
    """Whether rollouts are alive at each token: dead from the first fork below the threshold on.

    A token is judged by the last fork at or before it. Death is for good. Forks that were not
    measured (NaN) say nothing.

    Parameters
    ----------
    pmass : array_like, shape (n_forks,) or (n, n_forks)
        Probability mass at each fork, in [0, 1] (one percent beyond is taken for rounding).
    forks : array_like of int, shape (n_forks,) or (n, n_forks)
        Token of each fork, from 0, never decreasing.
    n_tokens : int, optional
        Tokens of the mask; the largest of ``gen_lens`` by default.
    threshold : float
        A mass below it is death; in [0, 1].
    gen_lens : int or array_like of int, shape (n,), optional
        Tokens generated; ``n_tokens`` by default. Tokens after them are True: nothing died there.
        `KLTrajectories.watch` and survival curves know that they were never generated.
    n_threads : int, optional
        Threads; the CPUs available by default.

    Returns
    -------
    numpy.ndarray of bool, shape (n_tokens,) or (n, n_tokens)

    Raises
    ------
    DataError
        Shapes that do not match, forks that decrease, masses outside [0, 1], a threshold outside
        [0, 1]; names argument and row.

    Examples
    --------
    >>> alive_mask([0.95, 0.6, 0.9], [0, 2, 4], 6).tolist()
    [True, True, False, False, False, False]
    """
    mass = number_array(pmass, "pmass")
    if mass.ndim not in (1, 2):
        raise DataError(f"pmass: expected one or two dimensions, got {mass.ndim}")
    rows = np.atleast_2d(mass)
    n, n_forks = rows.shape
    at = whole_array(forks, "forks")
    if at.shape not in ((n_forks,), (n, n_forks)):
        raise DataError(f"forks: expected {n_forks} as in pmass, got shape {at.shape}")
    if gen_lens is None and n_tokens is None:
        raise DataError("n_tokens: needed where there are no gen_lens")
    lengths = whole(gen_lens if gen_lens is not None else n_tokens, "gen_lens", n)
    longest = int(lengths.max(initial=0)) if n_tokens is None else n_tokens
    length = int(whole(longest, "n_tokens", 1)[0])
    mask, records = _core.survival_watch(
        np.ascontiguousarray(rows).ravel(),
        np.ascontiguousarray(np.broadcast_to(at, rows.shape)).ravel(),
        np.arange(n + 1) * n_forks, np.arange(n + 1) * length, lengths,
        threshold=checked_threshold(threshold), n_threads=thread_count(n_threads),
    )  # fmt: skip
    assert mask is not None
    refuse(records["status"], "pmass row", but="empty_rollout")
    return mask if mass.ndim == 1 else mask.reshape(n, length)


# --- statuses and accounts ------------------------------------------------------------------------


def no_rows_left_out() -> pd.DataFrame:
    """An empty account of what was left out."""
    return pd.DataFrame(
        {"cell": [], "alpha": [], "prompt": [], "n": np.empty(0, np.int64), "reason": []}
    )


def left_out_text(left_out: pd.DataFrame) -> str:
    """Reasons with their counts, most frequent first."""
    whole_cells = left_out["alpha"].isna() & left_out["prompt"].isna()
    said = []
    for kind, rows in (("cells", left_out[whole_cells]), ("rollouts", left_out[~whole_cells])):
        sums = rows.groupby("reason", sort=False)["n"].sum().sort_values(ascending=False)
        said += [f"{n} {kind if n > 1 else kind[:-1]}: {reason}" for reason, n in sums.items()]
    return "; ".join(said)


def unmeasured(codes: NDArray[Any]) -> NDArray[np.bool_]:
    """Which statuses mean that a rollout says nothing about survival."""
    return (codes < 0) | ((codes > 0) & (codes & NEVER_MEASURED == NEVER_MEASURED))


def refuse(codes: NDArray[Any], what: str, but: str = "") -> None:
    """DataError for the first failed status, counted from 1, other than the one named."""
    for i in np.flatnonzero(codes < 0):
        name, sentence = _core.STATUS[int(codes[i])]
        if name != but:
            raise DataError(f"{what} {i + 1}: {sentence}")


def checked_threshold(threshold: float) -> float:
    """The threshold as a float in [0, 1], or a DataError."""
    number = isinstance(threshold, (int, float, np.number)) and not isinstance(threshold, bool)
    if not number or not 0 <= threshold <= 1:
        raise DataError(f"threshold: expected a number from 0 to 1, got {threshold!r}")
    return float(threshold)
