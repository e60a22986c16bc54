"""What delphi raises and warns about."""

from __future__ import annotations

__all__ = ["DataError", "DataWarning", "FitWarning"]


class DataError(ValueError):
    """The data given cannot be used; the message names the source, the column and the row."""


class DataWarning(UserWarning):
    """Rows were left out, or a column was derived from others."""


class FitWarning(UserWarning):
    """Some fits failed or need care, summed up once: ``17 of 10000 groups: concave``."""
