"""KL trajectories in matplotlib, for paper: every rollout a thin line, alive over dead."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from delphi.figures.rollouts import Panel, Picture, picture
from delphi.figures.theme import INK, MUTED, SUITE_COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from delphi.kl import KLTrajectories

__all__ = ["draw_spaghetti", "write_png"]

ALIVE, DEAD = SUITE_COLOURS[0], SUITE_COLOURS[1]


def draw_spaghetti(
    rollouts: KLTrajectories,
    *,
    threshold: float = 0.8,
    most_lines: int | None = 2000,
    columns: int = 4,
    log: bool = False,
    title: str = "",
    line_width: float = 0.7,
    opacity: float | None = None,
    **options: Any,
) -> Figure:
    """KL of every rollout against tokens, one panel an alpha, all on one axis of KL.

    Parameters
    ----------
    rollouts : KLTrajectories
    threshold : float
        A probability mass below it is death.
    most_lines : int, optional
        Lines of a panel at most, evenly spaced by time of death; None draws all.
    columns : int
        Panels side by side.
    log : bool
        A symmetric logarithmic axis of KL, linear below 0.1.
    title : str
        Heading of the figure.
    line_width, opacity : float
        Of a rollout, in points; by default the more lines the lighter.
    **options
        Of `delphi.calibrate_kl`: roll, calib_tokens, percentile, normalize, order.

    Returns
    -------
    matplotlib.figure.Figure
        Made without pyplot: nothing is registered, nobody's defaults change.

    Raises
    ------
    ImportError
        matplotlib is missing.

    Examples
    --------
    >>> from delphi import simulate
    >>> fig = draw_spaghetti(simulate.rollouts([0.5, 2.0], n_prompts=5, rng=0))
    >>> [axes.get_title() for axes in fig.axes]
    ['alpha 0.5: n=5, died=0, censored=0', 'alpha 2: n=5, died=2, censored=3']
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            "this figure needs matplotlib: pip install 'delphi-scaling[plot]'", name="matplotlib"
        ) from error

    seen = picture(rollouts, threshold=threshold, most_lines=most_lines, **options)
    across = min(columns, len(seen.panels))
    down = -(-len(seen.panels) // across)
    fig = Figure(figsize=(max(3.1 * across, 5.2), 2.75 * down + 0.9), layout="constrained")
    grid = fig.subplots(down, across, sharey=True, squeeze=False).ravel()
    shade = seen.opacity if opacity is None else opacity
    for axes, panel in zip(grid, seen.panels, strict=False):
        _draw(axes, panel, seen, line_width, shade)
        axes.set_xlim(-0.01 * seen.n_tokens, 1.01 * seen.n_tokens)
        axes.tick_params(labelsize=8, colors=MUTED)
        axes.spines[["top", "right"]].set_visible(False)
        if log:
            axes.set_yscale("symlog", linthresh=0.1)
        axes.set_ylim(-0.04 * seen.y_max, seen.y_max)
    for axes in grid[len(seen.panels) :]:
        axes.set_visible(False)
    for axes in grid[max(len(seen.panels) - across, 0) : len(seen.panels)]:
        axes.set_xlabel("token", fontsize=9)
        axes.tick_params(labelbottom=True)
    for axes in grid[::across]:
        axes.set_ylabel(seen.y_title, fontsize=9)
    heading = "\n".join(text for text in (title, seen.note) if text)
    if heading:
        fig.suptitle(heading, fontsize=10, color=INK, parse_math=False)  # names may hold a dollar
    fig.legend(
        handles=_legend(seen), loc="outside lower center", ncols=3, fontsize=8, frameon=False
    )
    return fig


def _draw(axes: Axes, panel: Panel, seen: Picture, width: float, opacity: float) -> None:
    from matplotlib.collections import LineCollection

    def points(values: Any, at: int) -> Any:
        return np.column_stack((np.arange(at, at + len(values)), values))

    dead = [points(values[d:], d) for values, d in panel.lines if d < len(values)]
    alive = [points(values[: d + 1], 0) for values, d in panel.lines]
    for lines, colour, order in ((dead, DEAD, 1), (alive, ALIVE, 2)):
        if lines:
            axes.add_collection(
                LineCollection(
                    lines, colors=colour, alpha=opacity, linewidths=width, zorder=order,
                    capstyle="round", joinstyle="round",
                ),
                autolim=False,
            )  # fmt: skip
    if panel.drawn:
        tokens = np.arange(len(panel.median))
        axes.fill_between(tokens, *panel.band.T, color=INK, alpha=0.10, lw=0, zorder=3)
        axes.plot(tokens, panel.median, color=INK, lw=1.4, zorder=5)
    if len(panel.ticks):
        x, y = panel.ticks.T
        axes.scatter(x, y, s=28, color=INK, marker="|", linewidths=0.9, zorder=6)
    if 0 < panel.target <= seen.y_max:
        axes.axhline(panel.target, color=INK, lw=0.9, ls="--", zorder=4)
    elif panel.target > seen.y_max:
        axes.text(
            0.98, 0.97, f"target {panel.target:g} above the axis", transform=axes.transAxes,
            ha="right", va="top", fontsize=8, color=MUTED,
        )  # fmt: skip
    if panel.note:
        axes.text(
            0.5, 0.5, panel.note, transform=axes.transAxes, ha="center", fontsize=8, color=MUTED
        )
    axes.set_title(panel.title, fontsize=9, color=INK)


def _legend(seen: Picture) -> list[Any]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    return [
        Line2D([], [], color=ALIVE, lw=2, label=f"alive (mass >= {seen.threshold:g})"),
        Line2D([], [], color=DEAD, lw=2, label=f"dead (mass < {seen.threshold:g})"),
        Line2D([], [], color=INK, lw=0, marker="|", label="censored: generation ended"),
        Line2D([], [], color=INK, lw=1.4, label="median of all rollouts"),
        Patch(color=INK, alpha=0.10, lw=0, label="10% to 90%"),
        Line2D([], [], color=INK, lw=0.9, ls="--", label=seen.target_label),
    ]


def write_png(fig: Figure, path: str | os.PathLike[str], *, dpi: int = 160) -> Path:
    """Write a matplotlib figure as PNG, whole or not at all; the same figure gives the same bytes.

    Raises
    ------
    OSError
        If the file cannot be written; what stood at `path` before is then still there.
    """
    target = Path(path)
    draft = target.with_name(f".{target.name[:80]}.{secrets.token_hex(6)}.part")
    try:
        fig.savefig(draft, format="png", dpi=dpi, facecolor="white", metadata={"Software": None})
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    return target
