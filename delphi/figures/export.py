"""Figures as files, whole or not at all: plotly JSON, JSON for a site, PNG and SVG."""

from __future__ import annotations

import errno
import json
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

from delphi.figures import theme

if TYPE_CHECKING:
    from collections.abc import Iterable

    import plotly.graph_objects as go

__all__ = ["site_json", "write_images", "write_json", "write_text"]

WIDTH, HEIGHT = 700, 450  # pixels
SCALE = 2  # pixels of a PNG for each of the figure
# What a site gives to all its figures alike.
SITE = ("template", "width", "font")


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


def site_json(fig: go.Figure, *, keep_height: bool = False) -> str:
    """A figure as JSON for a site with a template of its own.

    Parameters
    ----------
    fig : plotly.graph_objects.Figure
    keep_height : bool
        Keep the height, as a layout of stacked panels needs.

    Returns
    -------
    str
        Without template, width, font and height; the background stays transparent. The same figure
        always gives the same text.

    Examples
    --------
    >>> import delphi, json
    >>> fig = delphi.fit_power_law([1e18, 1e19, 1e20, 1e21], [4.0, 3.25, 2.75, 2.42]).plot()
    >>> "template" in json.loads(delphi.figures.site_json(fig))["layout"]
    False
    """
    drop = SITE if keep_height else (*SITE, "height")
    figure: dict[str, Any] = json.loads(fig.to_json())
    layout = {name: value for name, value in figure["layout"].items() if name not in drop}
    for ground in ("paper_bgcolor", "plot_bgcolor"):
        layout.setdefault(ground, theme.CLEAR)
    return json.dumps(figure | {"layout": layout}, allow_nan=False)


def write_images(
    figures: Iterable[tuple[go.Figure, str | os.PathLike[str], int]],
) -> list[Path]:
    """Draw figures as PNG, SVG, PDF, JPEG or WebP with a headless browser, by their suffix.

    Parameters
    ----------
    figures : iterable of (Figure, path, width)
        Widths are in pixels, such as `WIDTH` and `theme.MOBILE_WIDTH`. The folders must exist. One
        browser draws them all.

    Returns
    -------
    list of pathlib.Path
        The files written.

    Raises
    ------
    ImportError
        Without kaleido.
    OSError
        Without Chromium or Chrome, or if a file cannot be written; what stood at a
        path before is then still there.
    RuntimeError
        If the browser cannot draw a figure.
    """
    try:
        import kaleido
        from choreographer.browsers.chromium import ChromeNotFoundError
    except ImportError as error:
        raise ImportError(
            "PNG and SVG need kaleido: pip install 'delphi-scaling[images]'", name="kaleido"
        ) from error
    jobs, drafts = [], []
    try:
        for fig, path, width in figures:
            target = Path(path)
            kind = target.suffix.removeprefix(".").lower()
            draft = target.with_name(f".{secrets.token_hex(6)}.part.{kind}")
            height = fig.layout.height or HEIGHT
            size = {"format": kind, "width": width, "height": height, "scale": SCALE}
            jobs.append({"fig": fig, "path": str(draft), "opts": size})
            drafts.append((draft, target))
        try:
            # Without MathJax, for which it would ask the network.
            errors = kaleido.write_fig_from_object_sync(jobs, kopts={"mathjax": False})
        except ChromeNotFoundError:
            raise FileNotFoundError(
                errno.ENOENT,
                "no browser to draw it with; install Chromium or Chrome (on Debian: apt install "
                "chromium), or set BROWSER_PATH to one",
                "PNG and SVG",
            ) from None
        if errors:
            raise RuntimeError(f"{len(errors)} of {len(jobs)} pictures failed: {errors[0]}")
        for draft, target in drafts:
            draft.replace(target)
    finally:
        for draft, _ in drafts:
            draft.unlink(missing_ok=True)
    return [target for _, target in drafts]


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
