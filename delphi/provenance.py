"""What a fit was made from: kept by reference at fit time, worked out when a card asks for it."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ._version import __version__

if TYPE_CHECKING:
    from .card import Card
    from .isoflop import IsoflopLadder

__all__ = [
    "NOT_APPLICABLE",
    "NOT_STATED",
    "HasCard",
    "Origin",
    "fingerprint",
    "from_arrays",
    "from_ladder",
    "from_runs",
    "here",
    "of_suites",
    "rng_words",
    "with_origin",
]

NOT_STATED = "not stated"
NOT_APPLICABLE = "not applicable"
Facts = dict[str, Any]
Result = TypeVar("Result")

# Standard columns of runs: the letter of each, and what a column's name leaves open about it.
SYMBOLS = {"params": "N", "tokens": "D", "flops": "FLOPs", "compute": "C", "budget": "budget"}
OPEN = {
    "params": f"whether embeddings count is {NOT_STATED}",
    "tokens": f"whether repeated tokens count again is {NOT_STATED}",
    "flops": f"which operations count is {NOT_STATED}",
}
RUN_COLUMNS = ("tokens", "params", "flops", "budget", "loss")
GONE = f"taken out after reading: why is {NOT_STATED}"


class Origin:
    """What the result of a fit does not keep itself.

    Costs a fit nothing: ``find`` is called when a card is asked for, or when the result is
    pickled, which then carries the facts and not the data.

    Parameters
    ----------
    find : callable
        Gives the fields of a card that describe the data.
    how : dict
        Options of the fit, plain values.
    """

    __slots__ = ("_facts", "_find", "how")

    def __init__(self, find: Callable[[], Facts], how: Mapping[str, Any]) -> None:
        self._find: Callable[[], Facts] | None = find
        self._facts: Facts | None = None
        self.how = dict(how)

    @property
    def facts(self) -> Facts:
        """Fields of a card: sources, rows, reasons, definitions, ranges, hashes, versions."""
        if self._facts is None and self._find is not None:
            self._facts = {"versions": here(), **self._find()}
            self._find = None  # lets go of the data
        return dict(self._facts or {})

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (self.facts, self.how)


def _restored(facts: Facts, how: dict[str, Any]) -> Origin:
    origin = Origin(dict, how)
    origin._facts = facts
    return origin


class HasCard:
    """A result that can say what it was fitted to and how."""

    # No field of the dataclasses below: it takes no part in repr, ==, to_dict or replace.
    _origin: Origin | None = None

    def card(self) -> Card:
        """What the law is, what it was fitted to and how, as a `delphi.Card`."""
        from .describe import card_of

        return card_of(self)


def with_origin(result: Result, origin: Origin | None) -> Result:
    """The same (frozen) result, with its origin."""
    object.__setattr__(result, "_origin", origin)
    return result


def here() -> dict[str, str]:
    """Versions of the code that runs."""
    return {
        "delphi": __version__,
        "numpy": np.__version__,
        "pandas": pd.__version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
    }


def rng_words(rng: Any) -> str:
    """What can be said of an ``rng`` argument, before it is used."""
    if isinstance(rng, (int, np.integer)) and not isinstance(rng, bool):
        return f"seed {int(rng)}"
    if isinstance(rng, np.random.SeedSequence):
        return f"SeedSequence with entropy {rng.entropy} and spawn_key {rng.spawn_key}"
    if rng is None:
        return "fresh entropy from the operating system: not repeatable"
    return "the caller's generator: its state was not recorded"


def fingerprint(columns: Mapping[str, Any]) -> Facts:
    """Which data these are: columns, rows, and a sha256 that anybody can work out again.

    Rows are sorted by the columns in alphabetical order before they are hashed: the order of the
    rows is no part of the data, and neither is the dtype or the kind of frame they came in.

    Parameters
    ----------
    columns : mapping of name to array_like, shape (n,)
        Numbers or texts.

    Returns
    -------
    dict
        columns (names in alphabetical order), rows, sha256.

    Notes
    -----
    The bytes: the number of rows; then for each column its name in UTF-8 after its length in
    bytes, and its values. Numbers are IEEE doubles, -0 as 0 and any NaN as the quiet NaN
    0x7ff8000000000000; a text is its UTF-8 bytes after their number; every integer takes eight
    bytes; all is little-endian.

    Examples
    --------
    >>> one = fingerprint({"tokens": [1e9, 2e9], "loss": [3.5, 3.25]})
    >>> one == fingerprint({"loss": [3.25, 3.5], "tokens": [2_000_000_000, 1e9]})
    True
    """
    names = sorted(columns)
    arrays = [_canonical(columns[name]) for name in names]
    n = len(arrays[0]) if arrays else 0
    if n:
        keys = [np.unique(a, return_inverse=True)[1] if a.dtype == object else a for a in arrays]
        order = np.lexsort(keys[::-1])
        arrays = [a[order] for a in arrays]
    digest = hashlib.sha256(_integer(n))
    for name, values in zip(names, arrays, strict=True):
        digest.update(_text(name))
        if values.dtype == object:
            digest.update(b"".join(map(_text, values)))
        else:
            digest.update(values.astype("<f8").tobytes())
    return {"columns": names, "rows": n, "sha256": digest.hexdigest()}


def _canonical(values: Any) -> NDArray[Any]:
    array = np.asarray(values)
    if array.dtype.kind in "iufb":
        numbers = array.astype(np.float64) + 0.0
        numbers[np.isnan(numbers)] = np.nan
        return numbers
    words = np.empty(len(array), dtype=object)
    words[:] = [str(word) for word in array]
    return words


def _integer(value: int) -> bytes:
    return value.to_bytes(8, "little")


def _text(word: str) -> bytes:
    raw = word.encode("utf-8", "surrogatepass")
    return _integer(len(raw)) + raw


# --- facts ----------------------------------------------------------------------------------------


def from_arrays(
    columns: Mapping[str, NDArray[Any]],
    given: Mapping[str, Any] | None = None,
    *,
    left_out: Mapping[str, int] | None = None,
    n_read: int | None = None,
    **how: Any,
) -> Origin:
    """The origin of a fit to columns.

    Parameters
    ----------
    columns : mapping of name to array, shape (n,)
        What entered the fit, by standard names (params, tokens, flops or compute, loss); kept by
        reference, so they must be nobody else's.
    given : mapping of name to anything, optional
        The arguments as the caller gave them: a pandas Series knows its name, and the table it
        came from.
    left_out : mapping of reason to rows, optional
        Rows of the arguments that the fit left out.
    n_read : int, optional
        Rows of the arguments; by default those of the columns and those left out.
    **how
        Options of the fit, plain values.
    """
    series = {name: arg for name, arg in (given or {}).items() if isinstance(arg, pd.Series)}
    named = {name: str(arg.name) for name, arg in series.items() if arg.name is not None}
    pasts = [_ledger(arg) for arg in series.values()]
    out = dict(left_out or {})

    def find() -> Facts:
        past = pasts[0] if pasts and all(p == pasts[0] for p in pasts) else None
        n_used = len(next(iter(columns.values())))
        n_given = n_used + sum(out.values()) if n_read is None else n_read
        facts = _reading(past, n_given)
        facts["left_out"] |= {reason: n for reason, n in out.items() if n}
        definitions = _definitions(past, [name for name in columns if name != "loss"], named)
        loss = named.get("loss")
        facts |= _loss(past, None if loss is None else f"column {loss!r}")
        return facts | {
            "definitions": definitions,
            "ranges": _ranges(columns),
            "rows_used": n_used,
            "hashes": {"points": fingerprint(columns)},
        }

    return Origin(find, how)


def from_runs(runs: pd.DataFrame, suites: Sequence[str] | None = None, **how: Any) -> Origin:
    """The origin of fits to the IsoFLOP runs of a table, all of its suites or some."""
    return Origin(lambda: run_facts(runs, suites), how)


def from_ladder(ladder: IsoflopLadder, suites: Sequence[str] | None = None, **how: Any) -> Origin:
    """The origin of what follows from the optima of a ladder, of all its suites or some."""
    return Origin(lambda: ladder_facts(ladder, suites), how)


def of_suites(
    laws: dict[str, Result], ladder: IsoflopLadder, *, optima: str, tied: bool = False, **how: Any
) -> dict[str, Result]:
    """The laws through the optima of each suite of a ladder, with their origins.

    Parameters
    ----------
    optima : {"compute", "budget"}
        What the laws were fitted against.
    tied : bool
        Whether the suites share a parameter, so that each law rests on all of them.
    """
    shared = tuple(laws) if tied else ()

    def find(suite: str) -> Facts:
        facts = ladder_facts(ladder, None if tied else [suite])
        own = ladder.optima[(ladder.optima["suite"] == suite).to_numpy(bool)]
        points = {"compute": own[optima].to_numpy(), "loss": own["loss_star"].to_numpy()}
        facts["hashes"] = facts["hashes"] | {"points": fingerprint(points)}
        return facts

    told = {**how, "optima": optima, "curve": ladder.curve, "shared_with": shared}
    return {
        suite: with_origin(law, Origin(partial(find, suite), told)) for suite, law in laws.items()
    }


def run_facts(runs: pd.DataFrame, suites: Sequence[str] | None = None) -> Facts:
    """What a table of runs, and its ledger, say about the IsoFLOP runs of some suites."""
    from .buckets import sweep_runs

    past = _ledger(runs)
    facts = _reading(past, len(runs))
    own = runs
    if suites is not None:
        own = runs[runs["suite"].isin(list(suites)).to_numpy(bool)]
        if len(own) < len(runs):
            facts["left_out"]["of another suite"] = len(runs) - len(own)
    _, sweep, held = sweep_runs(own)
    facts["left_out"] |= dict(zip(held["reason"], held["rows"].tolist(), strict=True))
    columns = {name: sweep[name].to_numpy() for name in RUN_COLUMNS}
    if suites is None or len(suites) > 1:
        columns["suite"] = sweep["suite"].to_numpy(object)
    facts |= _loss(past, "column 'loss' of the table")
    return facts | {
        "definitions": _definitions(past, RUN_COLUMNS[:-1], {n: n for n in RUN_COLUMNS}),
        "ranges": _ranges(columns),
        "rows_used": len(sweep),
        "hashes": {"runs": fingerprint(columns)},
    }


def ladder_facts(ladder: IsoflopLadder, suites: Sequence[str] | None = None) -> Facts:
    """The same for the optima of a ladder: rows of budgets without one are not used."""
    facts = run_facts(ladder.runs, suites)
    fits, unused = ladder.fits, ladder.unused
    if suites is not None:
        fits, unused = fits[fits["suite"].isin(suites)], unused[unused["suite"].isin(suites)]
    out = facts["left_out"]
    for reason, rows in unused.groupby("reason", sort=True)["n"]:
        out[f"in a budget without an optimum ({reason})"] = int(rows.sum())
    used = fits[fits["used"]]
    beyond = int(used["n"].sum() - used["n_used"].sum())
    if beyond:
        where = "" if ladder.window is None else f" of {ladder.window:g} decades"
        out[f"outside the window{where} to each side of its budget's vertex"] = beyond
    return facts | {"rows_used": int(used["n_used"].sum())}


def _ledger(data: pd.DataFrame | pd.Series) -> Mapping[str, Any] | None:
    """What `read_runs` said of the table that these data come from."""
    past = data.attrs.get("delphi")
    return past if isinstance(past, Mapping) else None


def _reading(past: Mapping[str, Any] | None, n: int) -> Facts:
    """Sources, rows and reasons of a table that now has n rows, from its ledger."""
    if past is None:
        return {"rows_read": n, "left_out": {}}
    counts = {str(reason): int(rows) for reason, rows in past.get("left_out_counts", {}).items()}
    notes = [str(note) for note in past.get("notes", [])]
    read = int(past.get("read", n))
    gone = read - sum(counts.values()) - n
    if gone < 0:  # tables put together: the ledger is not of this one
        notes.append(f"the ledger counts {read} rows read, the table has more: it is not used")
        read, counts, gone = n, {}, 0
    if gone:
        counts[GONE] = gone
    return {
        "sources": [str(source) for source in past.get("sources", [])] or NOT_STATED,
        "rows_read": read,
        "left_out": counts,
        "reading_notes": notes,
    }


def _definitions(
    past: Mapping[str, Any] | None, names: Sequence[str], known: Mapping[str, str]
) -> dict[str, str]:
    """What each column is: read from which column, in which unit, or derived."""
    read = (past or {}).get("columns", {})
    found = {}
    for name in names:
        source = "flops" if name == "compute" and known.get(name) == "flops" else name
        if read.get(source):
            said = "; or ".join(map(str, read[source]))
        elif name in known:
            said = f"column {known[name]!r} of the table"
        else:
            said = f"the argument {name}: what it counts, in which unit, is {NOT_STATED}"
        opened = OPEN.get(source) if "derived" not in said and "argument" not in said else None
        found[SYMBOLS.get(name, name)] = f"{said}; {opened}" if opened else said
    for symbol in ("N", "D") if "C" in found else ("N", "D", "FLOPs"):
        found.setdefault(symbol, f"{NOT_APPLICABLE}: it did not enter the fit")
    return found


def _loss(past: Mapping[str, Any] | None, column: str | None) -> Facts:
    """The column of the loss, and its unit where the column's name says it."""
    name = str((past or {}).get("loss_column", "")) or column
    if name is None:
        return {"loss": f"the argument loss: which metric is {NOT_STATED}"}
    folded = name.lower()
    said = f"column {name!r}" if past and past.get("loss_column") else name
    for unit, words in (("bits per byte", ("bpb", "bits_per_byte", "bits per byte", "bits/byte")),
                        ("nats", ("nats",))):  # fmt: skip
        if any(word in folded for word in words):
            return {"loss": said, "loss_unit": f"{unit} (by the name of its column)"}
    return {"loss": said}


def _ranges(columns: Mapping[str, NDArray[Any]]) -> Facts:
    """Rows, and of each number its distinct values, the smallest and the largest."""
    found: Facts = {"rows": len(next(iter(columns.values())))}
    for name, values in columns.items():
        if values.dtype == object:
            found[name] = {"distinct": len(set(values.tolist()))}
            continue
        good = values[np.isfinite(values)].astype(float)
        found[SYMBOLS.get(name, name)] = {
            "distinct": len(np.unique(good)),
            "from": float(good.min()) if len(good) else None,
            "to": float(good.max()) if len(good) else None,
        }
    return found
