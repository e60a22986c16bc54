"""What every page has: templates that escape, a policy, scripts and data that cannot break out."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
from importlib import resources
from typing import TYPE_CHECKING

from delphi.shorthand import printable, shortened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jinja2 import Environment

try:
    import jinja2
    from markupsafe import Markup
except ImportError as error:  # an extra
    raise ImportError(
        "the page needs Jinja2: pip install 'delphi-scaling[report]'", name="jinja2"
    ) from error

__all__ = ["Markup", "environment", "inert", "part", "policy"]

ROOMS = ("delphi.report", "delphi.curvepage")


@functools.cache
def environment() -> Environment:
    """Escape whatever is printed, and let no character steer the page."""
    env = jinja2.Environment(
        loader=jinja2.FunctionLoader(part),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: value if isinstance(value, Markup) else printable(value),
    )
    env.filters["shortened"] = shortened
    return env


def inert(value: object) -> Markup:
    """JSON that cannot end its script element; it reads the same."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def part(name: str) -> str:
    """The text of a template, style or script, from whichever room has it."""
    for room in ROOMS:
        file = resources.files(room).joinpath(name)
        if file.is_file():
            return file.read_text(encoding="utf-8")
    raise jinja2.TemplateNotFound(name)


def policy(scripts: Sequence[str], *, webgl: bool = False) -> str:
    """A policy under which only these very scripts run and nothing is ever fetched.

    Plotly compiles its WebGL programs in the browser; pages without such plots need no eval.
    """
    hashes = [
        "'sha256-" + base64.b64encode(hashlib.sha256(s.encode("utf-8")).digest()).decode() + "'"
        for s in scripts
    ]
    return (
        f"default-src 'none'; script-src {' '.join(hashes)}{' ' + UNSAFE if webgl else ''}; "
        "style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


UNSAFE = "'unsafe-eval'"
