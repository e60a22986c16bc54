"""Where to put a text beside a point so that it covers neither data nor other texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Panel", "Spot", "place_labels"]

CHAR_WIDTH, LINE_HEIGHT = 6.3, 14.0  # pixels, at font size 11
# Beside the point first, then farther out with a leader line.
RINGS = (9.0, 24.0, 44.0)
# A decreasing curve leaves room up and right of its points, and down and left.
DIRECTIONS = (
    (1, 0.5),
    (1, 0),
    (1, 1),
    (0, 1),
    (-1, 0),
    (-1, -0.5),
    (-1, -1),
    (0, -1),
    (-1, 1),
    (1, -1),
)


@dataclass(frozen=True)
class Panel:
    """A plotting area: axis ranges (as drawn, so log10 on a log axis) and size in pixels."""

    x: tuple[float, float]
    y: tuple[float, float]
    width: float
    height: float

    def pixels(self, x: object, y: object) -> np.ndarray:
        """Points in pixels from the lower left corner, shape (n, 2)."""
        px = (np.atleast_1d(np.asarray(x, float)) - self.x[0]) / (self.x[1] - self.x[0])
        py = (np.atleast_1d(np.asarray(y, float)) - self.y[0]) / (self.y[1] - self.y[0])
        return np.column_stack([px * self.width, py * self.height])


@dataclass(frozen=True)
class Spot:
    """A place for a text: pixels from its point, which of its edges lies there, leader or not."""

    dx: float
    dy: float
    xanchor: str
    yanchor: str
    leader: bool

    def annotation(self) -> dict[str, object]:
        """As plotly annotation keywords; plotly counts `ay` downwards."""
        anchors: dict[str, object] = {"xanchor": self.xanchor, "yanchor": self.yanchor}
        if self.leader:
            return {
                "showarrow": True,
                "arrowhead": 0,
                "arrowwidth": 1,
                "ax": self.dx,
                "ay": -self.dy,
            } | anchors
        return {"showarrow": False, "xshift": self.dx, "yshift": self.dy} | anchors


def place_labels(
    panel: Panel,
    points: np.ndarray,
    texts: Sequence[str],
    obstacles: np.ndarray,
) -> list[Spot]:
    """Choose a spot for every text, greedily, in the order given.

    Parameters
    ----------
    panel : Panel
    points : (n, 2) array
        The labelled points, in pixels of the panel.
    texts : sequence of str
    obstacles : (m, 2) array
        What a text should not cover, in pixels: markers, and curves as points.

    Returns
    -------
    list of Spot
        One for each text.
    """
    taken: list[tuple[float, float, float, float]] = []
    spots = []
    for (px, py), text in zip(points, texts, strict=True):
        width = CHAR_WIDTH * len(text) + 4
        best: tuple[float, Spot, tuple[float, float, float, float]] | None = None
        for ring, gap in enumerate(RINGS):
            for rank, (ux, uy) in enumerate(DIRECTIONS):
                dx, dy = ux * gap, uy * gap
                left = px + dx - width * (0.0 if ux > 0 else 1.0 if ux < 0 else 0.5)
                bottom = py + dy - LINE_HEIGHT * (0.0 if uy > 0 else 1.0 if uy < 0 else 0.5)
                box = (left, bottom, left + width, bottom + LINE_HEIGHT)
                cost = 0.01 * rank + 0.5 * ring
                cost += 20 * _outside(panel, box) + 10 * sum(_meet(box, b) for b in taken)
                cost += _covered(box, obstacles)
                if best is None or cost < best[0]:
                    xanchor = "left" if ux > 0 else "right" if ux < 0 else "center"
                    yanchor = "bottom" if uy > 0 else "top" if uy < 0 else "middle"
                    best = (cost, Spot(dx, dy, xanchor, yanchor, ring > 0), box)
        assert best is not None
        spots.append(best[1])
        taken.append(best[2])
    return spots


def _outside(panel: Panel, box: tuple[float, float, float, float]) -> bool:
    return box[0] < 0 or box[1] < 0 or box[2] > panel.width + 8 or box[3] > panel.height


def _meet(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _covered(box: tuple[float, float, float, float], obstacles: np.ndarray) -> int:
    if not len(obstacles):
        return 0
    x, y = obstacles[:, 0], obstacles[:, 1]
    inside = (x > box[0] - 3) & (x < box[2] + 3) & (y > box[1] - 2) & (y < box[3] + 2)
    return int(inside.sum())
