"""Numbers and names as short text, the same in figures, tables and on the console."""

from __future__ import annotations

import math
import unicodedata

__all__ = ["count", "flops", "percent", "printable", "shortened"]


def flops(value: float) -> str:
    """Compute with up to three digits.

    Examples
    --------
    >>> flops(1.8e18), flops(1e21), flops(5.4789e20)
    ('1.8e18', '1e21', '5.48e20')
    """
    if not math.isfinite(value):
        return "n/a"
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def count(value: float) -> str:
    """Tokens or parameters with up to three digits.

    Examples
    --------
    >>> count(21.44e9), count(999.96e6), count(3e13)
    ('21.4B', '1B', '30T')
    """
    if not math.isfinite(value):
        return "n/a"
    # Round first, so that 999.96M becomes 1B and not 1e+03M.
    value = float(f"{value:.3g}")
    for unit, size in (("T", 1e12), ("B", 1e9), ("M", 1e6), ("K", 1e3)):
        if abs(value) >= size:
            return f"{value / size:.10g}{unit}"
    return f"{value:.10g}"


def percent(value: float, digits: int = 1) -> str:
    """A loss against its forecast, in words: higher is worse.

    Examples
    --------
    >>> percent(1.23), percent(-0.4)
    ('1.2% worse', '0.4% better')
    """
    if not math.isfinite(value):
        return ""
    return f"{abs(value):.{digits}f}% {'worse' if value >= 0 else 'better'}"


def printable(value: object) -> str:
    """A name from the data on one line; characters that cannot be seen stand as escapes.

    Examples
    --------
    >>> printable("a\\tb\\x1b[31m")
    'a b\\\\x1b[31m'
    """
    return "".join(c if c.isprintable() else _visible(c) for c in str(value))


def shortened(value: object, limit: int = 64) -> str:
    """A name as :func:`printable`, cut in the middle where it is longer than `limit`.

    Examples
    --------
    >>> shortened("x" * 100 + "end", 12)
    'xxxxxxx\u2026xend'
    """
    text = printable(value)
    if len(text) <= limit:
        return text
    head = (limit - 1) * 2 // 3
    return text[:head] + "\u2026" + text[len(text) - (limit - 1 - head) :]


def _visible(c: str) -> str:
    """White space as a space, the joiners of emoji and scripts as they are, others in ASCII."""
    if c in "\t\n\v\f\r" or unicodedata.category(c) == "Zs":
        return " "
    return c if c in "\u200c\u200d" else c.encode("unicode_escape").decode()
