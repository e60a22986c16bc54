"""What a picture of KL trajectories shows, worked out once for plotly and matplotlib."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from delphi.errors import DataError, FitWarning
from delphi.figures.thin import spread
from delphi.klcalibration import calibrate_kl
from delphi.status import bits

if TYPE_CHECKING:
    from delphi.kl import KLTrajectories

__all__ = ["Panel", "Picture", "picture"]

PANELS = 24  # of a figure
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Panel:
    """The rollouts of one alpha.

    `lines` holds, for each rollout that is drawn, its values and the token of its death (its length
    if it lives); `ticks` the last points of those that were censored before the window ended.
    """

    alpha: float
    n: int
    n_died: int
    n_censored: int
    n_without: int
    lines: list[tuple[Floats, int]]
    ticks: Floats
    median: Floats
    band: Floats
    count: NDArray[np.int64]
    target: float

    @property
    def title(self) -> str:
        """Alpha and counts."""
        return f"alpha {self.alpha:g}: n={self.n}, died={self.n_died}, censored={self.n_censored}"

    @property
    def note(self) -> str:
        """What is not drawn, and why; empty if nothing."""
        return f"{self.n_without} not drawn: no scale" if self.n_without else ""

    @property
    def drawn(self) -> bool:
        """Whether there is anything to see."""
        return bool(self.lines)


@dataclass(frozen=True)
class Picture:
    """All panels and what they share."""

    panels: list[Panel]
    y_max: float
    n_tokens: int
    threshold: float
    y_title: str
    target_label: str
    note: str

    @property
    def opacity(self) -> float:
        """Of a line: the more of them, the lighter."""
        most = max((len(panel.lines) for panel in self.panels), default=1)
        return float(np.clip(3 / np.sqrt(max(most, 1)), 0.08, 0.7))


def picture(
    rollouts: KLTrajectories,
    *,
    threshold: float = 0.8,
    most_lines: int | None = None,
    points: int | None = None,
    **options: Any,
) -> Picture:
    """Calibrate, smooth and watch the rollouts, and sort them into panels.

    Parameters
    ----------
    rollouts : KLTrajectories
    threshold : float
        A mass below it is death.
    most_lines : int, optional
        Lines of a panel at most; medians and bands are always of all rollouts.
    points : int, optional
        Points of all lines together, about; takes lines away evenly.
    **options
        Of `delphi.calibrate_kl`.
    """
    if not len(rollouts):
        raise DataError("no rollouts to draw")
    with warnings.catch_warnings():  # the panels say how many have no scale
        warnings.simplefilter("ignore", FitWarning)
        calibrated = calibrate_kl(rollouts, **options)
    seen = rollouts.watch(threshold)
    counts = rollouts.counts(threshold)
    groups = rollouts.groups
    bands = calibrated.quantiles([0.1, 0.5, 0.9], groups)
    n_tokens = int(np.diff(rollouts.offsets).max())
    n_panels = min(len(groups) - 1, PANELS)
    if points is not None:
        most = max(points // (n_panels * max(n_tokens, 1)), 10)
        most_lines = most if most_lines is None else min(most, most_lines)
    window = rollouts.window or int(seen["gen_len"].max())
    n, time = seen["n"].to_numpy(), seen["time"].to_numpy()
    died, ended = seen["died"].to_numpy(), seen["gen_len"].to_numpy() < window
    panels, visible, left = [], [], 0
    for g in range(n_panels):
        rows = np.arange(groups[g], groups[g + 1])
        fine = rows[calibrated.ok[rows]]
        shown = _thinned(fine, died, time, most_lines)
        left = max(left, len(fine) - len(shown))
        lines, ticks = [], []
        for i in shown.tolist():
            begin = calibrated.offsets[i]
            values = calibrated.values[begin : begin + n[i]]
            lines.append((values, int(time[i]) if died[i] else int(n[i])))
            if ended[i] and not died[i]:
                ticks.append((n[i] - 1, values[-1]))
        visible += [values[np.isfinite(values)] for values, _ in lines]
        alpha, band = rollouts.alphas[g], bands[g]
        panels.append(
            Panel(
                alpha=alpha,
                n=len(rows),
                n_died=int(counts["died"].iat[g]),
                n_censored=int(counts["censored"].iat[g]),
                n_without=len(rows) - len(fine),
                lines=lines,
                ticks=np.array(ticks, dtype=np.float64).reshape(-1, 2),
                median=band["0.5"].to_numpy(),
                band=band[["0.1", "0.9"]].to_numpy(),
                count=band["count"].to_numpy(),
                target=1.0 if calibrated.normalize else alpha * alpha,
            )
        )
    p, head = calibrated.percentile, calibrated.calib_tokens
    rough = int((calibrated.rows["status_code"].to_numpy() == bits("not_smoothed")).sum())
    notes = [
        f"{rough} shorter than the rolling window, not smoothed" if rough else "",
        f"{most_lines} lines of a panel at most are drawn" if left else "",
        f"the first {n_panels} of {len(groups) - 1} alphas" if len(groups) - 1 > n_panels else "",
    ]
    return Picture(
        panels=panels,
        y_max=_top(visible),
        n_tokens=n_tokens,
        threshold=threshold,
        y_title=f"KL / p{p:g}(KL[:{head}])" if calibrated.normalize else "KL per token (nats)",
        target_label=f"calibration p{p:g} = 1" if calibrated.normalize else "target alpha^2",
        note="; ".join(note for note in notes if note),
    )


def _thinned(
    rows: NDArray[np.int64], died: NDArray[np.bool_], time: NDArray[np.int64], most: int | None
) -> NDArray[np.int64]:
    """At most so many of the rows, evenly spaced by fate and time: the share of dead stays."""
    if most is None or len(rows) <= most:
        return rows
    order = rows[np.lexsort((time[rows], died[rows]))]
    return np.sort(order[spread(len(order), most)])


def _top(visible: Sequence[Floats]) -> float:
    """Upper end of the common axis: room above nearly all values, whatever a few of them do."""
    values = np.concatenate(visible) if visible else np.empty(0)
    values = values[values >= 0]
    return max(1.4 * float(np.percentile(values, 99)), 1e-3) if len(values) else 1.1
