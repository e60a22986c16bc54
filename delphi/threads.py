"""How many threads a fit may use."""

from __future__ import annotations

import operator
import os

from . import _core
from .errors import DataError

__all__ = ["thread_count"]


def thread_count(n_threads: int | None = None) -> int:
    """The number asked for, else ``DELPHI_NUM_THREADS``, else the CPUs this process may use.

    Raises
    ------
    DataError
        Not a whole number from 1 to ``_core.MAX_THREADS``.

    Examples
    --------
    >>> thread_count(3)
    3
    """
    if n_threads is None:
        text = os.environ.get("DELPHI_NUM_THREADS", "")
        if not text:
            return min(_available(), _core.MAX_THREADS)
        if not text.isascii() or not text.isdigit():
            raise DataError(f"DELPHI_NUM_THREADS={text!r} is not a whole number")
        n_threads = int(text)
    try:
        if isinstance(n_threads, bool):
            raise TypeError
        n_threads = operator.index(n_threads)
    except TypeError:
        raise DataError(f"n_threads: expected a whole number, got {n_threads!r}") from None
    if not 1 <= n_threads <= _core.MAX_THREADS:
        raise DataError(f"n_threads: expected 1 to {_core.MAX_THREADS}, got {n_threads}")
    return n_threads


def _available() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
