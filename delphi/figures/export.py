"""Figures as files, whole or not at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["write_json", "write_text"]


def write_json(fig: go.Figure, path: str | os.PathLike[str]) -> Path:
    """Write a figure as plotly JSON; the same figure always gives the same bytes.

    Parameters
    ----------
    fig : plotly.graph_objects.Figure
    path : path-like
        The file to write. Its folder must exist.

    Returns
    -------
    pathlib.Path
        `path`.

    Raises
    ------
    OSError
        If the file cannot be written; what stood at `path` before is then still there.
    """
    return write_text(fig.to_json(), path)


def write_text(text: str, path: str | os.PathLike[str]) -> Path:
    """Write UTF-8 text to `path` through a temporary file in the same folder."""
    target = Path(path)
    draft = target.with_name(f".{target.name[:80]}.{secrets.token_hex(6)}.part")
    try:
        # open and not mkstemp(), so that the file gets the usual permissions.
        with draft.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    return target
