"""Files and frames as tables of named columns; nothing here knows what a run is."""

from __future__ import annotations

import csv
import io
import json
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .cells import MISSING_WORDS
from .errors import DataError

Columns = dict[str, Any]  # column name -> array or Series of cells


@dataclass(frozen=True)
class Table:
    """One source: what it is called, which columns it has, and how to take some of them."""

    label: str  # short name, for tables
    where: str  # full name, for messages
    suite: str  # what its runs are called where nothing else says it
    columns: tuple[str, ...]
    take: Callable[
        [Sequence[str], Collection[str]], Columns
    ]  # names, those of them to keep as text


def open_tables(source: Any) -> list[Table]:
    """Open a path, a frame, a list of row dicts, or a list of any of these."""
    if not isinstance(source, (list, tuple)):
        tables = [_open(source)]
    elif not source:
        raise DataError("no runs to read: the list of sources is empty")
    elif any(isinstance(item, dict) for item in source):
        tables = [_rows_table(list(source), "rows", "rows", "Unknown")]
    else:
        tables = [table for item in source for table in open_tables(item)]
    return _distinct_labels(tables)


def _distinct_labels(tables: list[Table]) -> list[Table]:
    """Files of one name are told apart by their path, frames by their place in the list."""
    count = Counter(table.label for table in tables)
    seen: Counter[str] = Counter()
    out = []
    for table in tables:
        if count[table.label] > 1:
            seen[table.label] += 1
            if table.label in ("frame", "rows"):
                name = f"{table.label} {seen[table.label]}"
                table = replace(table, label=name, where=name)
            else:
                table = replace(table, label=table.where)
        out.append(table)
    return out


def _open(source: Any) -> Table:
    if isinstance(source, (str, os.PathLike)):
        return _open_file(Path(source).expanduser())
    if isinstance(source, pd.DataFrame):
        return _pandas_table(source, "frame", "frame", "Unknown")
    import narwhals as nw  # 20 ms, and only other frame libraries need it

    try:
        frame = nw.from_native(source, eager_only=True)
    except TypeError:
        kind = f"{type(source).__module__}.{type(source).__qualname__}"
        hint = "; collect it first" if hasattr(source, "collect") else ""
        raise DataError(
            f"cannot read runs from a {kind}: give a path, a DataFrame (pandas, polars, pyarrow), "
            f"a list of row dicts, or a list of these{hint}"
        ) from None
    if frame.shape[0] == 0:
        raise DataError("frame: no rows")

    def take(names: Sequence[str], as_text: Collection[str]) -> Columns:
        return {name: frame[name].to_numpy() for name in names}

    return Table("frame", "frame", "Unknown", _checked("frame", frame.columns), take)


def _open_file(path: Path) -> Table:
    where = str(path)
    if path.is_dir():
        raise DataError(f"{where}: is a directory; give the files in it")
    if not path.exists():
        raise DataError(f"{where}: no such file")
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        known = ", ".join(READERS)
        raise DataError(f"{where}: unknown suffix {path.suffix!r}; the known ones are {known}")
    try:
        return reader(path)
    except OSError as error:
        raise DataError(f"{where}: cannot be read: {error.strerror or error}") from None


def _text(path: Path) -> str:
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: not UTF-8 text: byte 0x{raw[error.start]:02x} at offset {error.start}"
        ) from None
    text = text.removeprefix("\ufeff")
    if not text.strip():
        raise DataError(f"{path}: the file is empty")
    return text


def _checked(where: str, names: Sequence[Any]) -> tuple[str, ...]:
    """Column names as str; a name that stands twice (other than a blank one) is an error."""
    columns = tuple(str(name) for name in names)
    twice = [name for name, n in Counter(columns).items() if n > 1 and name]
    if twice:
        raise DataError(f"{where}: duplicated column {', '.join(map(repr, twice))}")
    return columns


def _read_delimited(path: Path) -> Table:
    where = str(path)
    text = _text(path)
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","

    def rows() -> Iterator[list[str]]:
        cells = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        try:
            yield from filter(None, cells)  # a blank line is no row
        except csv.Error as error:
            raise DataError(f"{where}: line {cells.line_num} is not valid CSV: {error}") from None

    columns = _checked(where, next(rows()))

    def take(names: Sequence[str], as_text: Collection[str]) -> Columns:
        # csv finds the rows that are too short or too long, pandas parses numbers fast
        n_rows = -1  # the header
        for n_rows, row in enumerate(rows()):
            if len(row) != len(columns):
                raise DataError(
                    f"{where}: data row {n_rows} has {len(row)} cells, "
                    f"the header has {len(columns)}"
                )
        if n_rows < 1:
            raise DataError(f"{where}: a header but no rows")
        place = {name: str(columns.index(name)) for name in names}  # blank names may stand twice
        try:
            frame: pd.DataFrame = pd.read_csv(
                io.StringIO(text, newline=""),
                sep=delimiter,
                header=0,
                names=[str(i) for i in range(len(columns))],
                index_col=False,
                usecols=list(place.values()),
                dtype={place[name]: "str" for name in as_text},
                keep_default_na=False,
                na_values={place[name]: list(MISSING_WORDS) for name in set(names) - set(as_text)},
                low_memory=False,
                **EXACT_FLOATS,
            )
        except pd.errors.ParserError as error:
            raise DataError(f"{where}: not valid CSV: {error}") from None
        if len(frame) != n_rows:
            raise DataError(f"{where}: {n_rows} rows by its quotes, {len(frame)} by its lines")
        return {name: frame[place[name]] for name in names}

    return Table(path.name, where, path.stem, columns, take)


# Older pandas reads decimals to the nearest float only on request; newer pandas always does.
EXACT_FLOATS: dict[str, Any] = (
    {"float_precision": "round_trip"}
    if tuple(map(int, pd.__version__.split(".")[:2])) < (3, 1)
    else {}
)


def _read_json(path: Path) -> Table:
    rows = _parse_json(str(path), _text(path), 1)
    return _rows_table(rows, path.name, str(path), path.stem)


def _read_json_lines(path: Path) -> Table:
    lines = _text(path).split("\n")
    rows = [_parse_json(str(path), s, k) for k, s in enumerate(lines, 1) if s.strip()]
    return _rows_table(rows, path.name, str(path), path.stem)


def _parse_json(where: str, text: str, first_line: int) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        line = first_line + error.lineno - 1
        raise DataError(
            f"{where}: broken JSON at line {line}, column {error.colno}: {error.msg}"
        ) from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: JSON that cannot be read: {error}") from None


def _rows_table(rows: Any, label: str, where: str, suite: str) -> Table:
    if not isinstance(rows, list):
        raise DataError(f"{where}: expected a JSON list of row objects, found {_kind(rows)}")
    if not rows:
        raise DataError(f"{where}: the list has no rows")
    names: dict[str, None] = {}  # an ordered set
    for k, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise DataError(f"{where}: row {k} is {_kind(row)}, not an object of named values")
        names.update(dict.fromkeys(row))

    def take(wanted: Sequence[str], as_text: Collection[str]) -> Columns:
        out = {}
        for name in wanted:
            out[name] = np.empty(len(rows), dtype=object)
            out[name][:] = [row.get(name) for row in rows]
        return out

    return Table(label, where, suite, tuple(map(str, names)), take)


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean"}
    names |= {int: "a number", float: "a number", type(None): "null"}
    return names.get(type(value), f"a {type(value).__name__}")


def _read_parquet(path: Path) -> Table:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise DataError(f"{path}: reading Parquet needs pyarrow (pip install pyarrow)") from None
    if path.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty")
    try:
        with parquet.ParquetFile(path) as file:
            _checked(str(path), file.schema_arrow.names)
            frame = file.read().to_pandas(ignore_metadata=True)
    except (pa.ArrowException, OSError) as error:
        first_line = str(error).partition("\n")[0]
        raise DataError(f"{path}: not a readable Parquet file: {first_line}") from None
    return _pandas_table(frame, path.name, str(path), path.stem)


def _pandas_table(frame: pd.DataFrame, label: str, where: str, suite: str) -> Table:
    columns = _checked(where, list(frame.columns))
    if len(frame) == 0:
        raise DataError(f"{where}: no rows")

    def take(names: Sequence[str], as_text: Collection[str]) -> Columns:
        return {name: frame.iloc[:, columns.index(name)] for name in names}

    return Table(label, where, suite, columns, take)


READERS: dict[str, Callable[[Path], Table]] = {
    ".json": _read_json,
    ".jsonl": _read_json_lines,
    ".csv": _read_delimited,
    ".tsv": _read_delimited,
    ".parquet": _read_parquet,
}
