"""A progress bar around a call into the C core."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["progress_bar"]


@contextmanager
def progress_bar(show: bool, what: str) -> Iterator[Callable[[int, int], None] | None]:
    """Yield what the core's ``progress=`` takes: a callback that moves a tqdm bar, or None.

    Parameters
    ----------
    show : bool
        Whether to draw a bar at all.
    what : str
        The word beside it.
    """
    if not show:
        yield None
        return
    from tqdm.auto import tqdm

    with tqdm(desc=what, unit="fit", leave=False) as bar:

        def move(done: int, total: int) -> None:
            bar.total = total
            bar.n = done
            bar.refresh()

        yield move
