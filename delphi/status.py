"""The words behind status codes, and one warning that sums up many of them."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _core
from .errors import FitWarning

__all__ = [
    "HasStatus",
    "bits",
    "failed",
    "failure",
    "status_names",
    "status_sentences",
    "status_text",
    "warn_about",
]

_CODES = {name: code for code, (name, _) in _core.STATUS.items()}


def bits(*names: str) -> int:
    """The OR of the named warnings, which must be of one law's family.

    Raises
    ------
    KeyError
        For a name that is no status.
    ValueError
        For names of different families.

    Examples
    --------
    >>> bits("concave", "clipped")
    3
    """
    total = 0
    for name in names:
        if total and _CODES[name] >> _FAMILY_SHIFT != total >> _FAMILY_SHIFT:
            raise ValueError(f"{name} belongs to another law than {names[0]}")
        total |= _CODES[name]
    return total


def failure(name: str) -> int:
    """The code of a named failure."""
    return _CODES[name]


_FAMILY_SHIFT = 24  # warnings: which law's words in the high bits, the words in the low ones


def _words(code: int, which: int) -> tuple[str, ...]:
    if code <= 0:
        return (_core.STATUS[code][which],)
    family, said = code >> _FAMILY_SHIFT, code & ((1 << _FAMILY_SHIFT) - 1)
    return tuple(
        words[which]
        for bit, words in sorted(_core.STATUS.items())
        if bit > 0 and bit >> _FAMILY_SHIFT == family and bit & said
    )


def status_names(code: int) -> tuple[str, ...]:
    """Names in a status: ``("ok",)``, one failure, or every warning that applies.

    Examples
    --------
    >>> status_names(0), status_names(3)
    (('ok',), ('concave', 'clipped'))
    """
    return _words(int(code), 0)


def status_sentences(code: int) -> tuple[str, ...]:
    """What each name in a status means, in the same order."""
    return _words(int(code), 1)


def status_text(code: int) -> str:
    """Names joined by a comma.

    Examples
    --------
    >>> status_text(3)
    'concave, clipped'
    """
    return ", ".join(status_names(code))


def status_texts(codes: ArrayLike) -> NDArray[np.object_]:
    """`status_text` of many codes, each distinct one worked out once."""
    distinct, place = np.unique(np.asarray(codes), return_inverse=True)
    texts = np.empty(len(distinct), dtype=object)
    texts[:] = [status_text(int(code)) for code in distinct]
    return texts[place]


def failed(code: int) -> bool:
    """True for a fit without a result."""
    return bool(code < 0)


class HasStatus:
    """A result with a ``status_code``, and what follows from it."""

    status_code: int

    @property
    def status(self) -> str:
        """The status in words."""
        return status_text(self.status_code)

    @property
    def ok(self) -> bool:
        """True if there is a result, be it with warnings."""
        return not failed(self.status_code)


def warn_about(codes: ArrayLike, what: str, stacklevel: int = 3) -> None:
    """One `FitWarning` with a count for every status that is not ok; nothing if all are.

    Parameters
    ----------
    codes : array_like of int
        Statuses of all fits.
    what : str
        Plural noun for the fits, such as ``"groups"``.
    """
    codes = np.asarray(codes)
    counts: dict[str, int] = {}
    for code, count in zip(*np.unique(codes[codes != 0], return_counts=True), strict=True):
        for name in status_names(int(code)):
            counts[name] = counts.get(name, 0) + int(count)
    if counts:
        listed = "; ".join(f"{n} of {len(codes)} {what}: {name}" for name, n in counts.items())
        warnings.warn(listed, FitWarning, stacklevel=stacklevel)


def one_warning(code: int, what: str, stacklevel: int = 3) -> None:
    """A `FitWarning` that spells out the status of a single fit; nothing if it is ok."""
    if code != 0:
        words: list[Any] = [
            f"{name} ({sentence})"
            for name, sentence in zip(status_names(code), status_sentences(code), strict=True)
        ]
        warnings.warn(f"{what}: {'; '.join(words)}", FitWarning, stacklevel=stacklevel)
