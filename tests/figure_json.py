"""Compare plotly figures as JSON: every difference, by its place."""

from __future__ import annotations

import base64
import math

import numpy as np

# What may differ: colours, hover texts, how exactly a line is drawn, and what older versions of
# plotly do not know.
COLOURS = {"arrowcolor", "bgcolor", "color", "fillcolor", "paper_bgcolor", "plot_bgcolor"}
HOVER = {"customdata", "hoverinfo", "hovertemplate"}
UNKNOWN = {"entrywidth", "entrywidthmode"}
IGNORED = COLOURS | HOVER | UNKNOWN | {"simplify", "template"}
# Absent means the same as plotly's default.
DEFAULTS = {
    "symbol": "circle", "dash": "solid", "showlegend": True, "type": "scatter", "visible": True,
}  # fmt: skip


def decoded(value):
    """Nested lists and dicts, plotly's base64 arrays as lists of numbers."""
    if isinstance(value, dict) and {"dtype", "bdata"} <= set(value):
        array = np.frombuffer(base64.b64decode(value["bdata"]), np.dtype(value["dtype"]))
        shape = [int(n) for n in str(value.get("shape", len(array))).split(",")]
        return array.reshape(shape).tolist()
    if isinstance(value, dict):
        return {name: decoded(part) for name, part in value.items() if name not in IGNORED}
    return [decoded(part) for part in value] if isinstance(value, list) else value


def empty(value):
    return value is None or value == {} or value == []


def differences(ours, golden, rel=1e-8, near=1e-300):
    """Every place where two figures differ, in words; an empty list if they agree.

    Numbers agree within ``rel`` of themselves, or within ``near``.
    """
    found = []
    compare(decoded(ours), decoded(golden), "figure", (rel, near), found)
    return found


def compare(ours, golden, place, within, found):
    if isinstance(ours, dict) and isinstance(golden, dict):
        for name in sorted(ours.keys() | golden.keys()):
            pair = [side.get(name, DEFAULTS.get(name)) for side in (ours, golden)]
            if not (empty(pair[0]) and empty(pair[1])):
                compare(*pair, f"{place}.{name}", within, found)
    elif isinstance(ours, list) and isinstance(golden, list):
        if len(ours) != len(golden):
            found.append(f"{place}: {len(ours)} of them, not {len(golden)}")
        for i, pair in enumerate(zip(ours, golden, strict=False)):
            compare(*pair, f"{place}[{i}]", within, found)
    elif is_number(ours) and is_number(golden):
        if not math.isclose(ours, golden, rel_tol=within[0], abs_tol=within[1]):
            found.append(f"{place}: {ours!r}, not {golden!r}")
    elif type(ours) is not type(golden) or ours != golden:
        found.append(f"{place}: {shown(ours)}, not {shown(golden)}")


def is_number(value):
    return isinstance(value, int | float) and not isinstance(value, bool)


def shown(value):
    text = repr(value)
    return text if len(text) < 90 else text[:87] + "..."
