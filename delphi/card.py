"""The fit card: what a law is, what it was fitted to and how, on one page."""

from __future__ import annotations

import html
import json
import math
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import pandas as pd

from .errors import DataError
from .provenance import NOT_APPLICABLE, NOT_STATED, here

__all__ = ["NOT_APPLICABLE", "NOT_STATED", "QUESTIONS", "STATEMENTS", "Card"]

FORMAT = "delphi fit card 1"
MOST_SHOWN = 40  # entries of one mapping in the text; JSON has them all

# The questions of the checklist of Li et al. (2025), in our words, and the fields that answer them.
# Every field stands here once; the order is that of the text.
QUESTIONS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("hypothesis", "which law, and in which form", ("law", "form", "equation")),
    ("hypothesis", "which variables it relates", ("variables",)),
    ("hypothesis", "which parameters are fitted, which are fixed", ("parameters", "fixed")),
    ("hypothesis", "what it assumes", ("assumptions",)),
    ("training", "how many models, at which sizes, on how much data", ("ranges",)),
    ("training", "how size, data and compute are counted", ("definitions",)),
    ("training", "on which data, and whether any repeat", ("training_data", "repeated_data")),
    ("training", "how hyperparameters were chosen", ("hyperparameters", "architecture")),
    ("training", "whether the training code is open", ("training_code",)),
    ("data", "where the points come from", ("sources", "hashes")),
    ("data", "which checkpoints, and whether they are open", ("checkpoints",)),
    ("data", "which metric, on which data", ("loss", "loss_unit", "evaluation_data")),
    ("data", "whether the metric was changed before the fit", ("loss_changes",)),
    ("data", "which rows were read and used", ("rows_read", "rows_used", "reading_notes")),
    ("data", "which rows were left out, and why", ("left_out",)),
    ("fit", "which points the law goes through", ("points", "n_points")),
    ("fit", "which objective", ("objective", "space", "aggregate", "delta", "weights")),
    ("fit", "which algorithm", ("search", "tolerance", "iterations")),
    ("fit", "with which options and bounds", ("options", "bounds")),
    ("fit", "from which start", ("start",)),
    ("fit", "whether it is right", ("status", "at_bound", "goodness", "uncertainty", "validation")),
    ("software", "which code", ("versions", "stated_by_author", "card_format")),
)
HEADINGS = {
    "hypothesis": "Hypothesis",
    "training": "Training setup",
    "data": "Data collection",
    "fit": "Fit",
    "software": "Software",
}
# What no table of runs knows, and `Card.with_statements` takes.
STATEMENTS = (
    "training_data", "repeated_data", "hyperparameters", "architecture", "training_code",
    "checkpoints", "evaluation_data", "loss_unit", "validation",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a law is, what it was fitted to, and how: answers to a reporting checklist.

    Every fitted law gives its own with ``card()``. Values are plain (str, numbers, bool, None,
    lists, dicts); NaN is kept as None. What nobody told the library reads "not stated", what has
    no meaning for a law "not applicable"; no field is left empty instead.

    Attributes
    ----------
    law, form, equation : str
        Name, formula, and formula with the fitted numbers.
    variables : dict of str to str
        What each symbol stands for.
    parameters : dict
        Fitted values, in full precision.
    fixed : dict or str
        Parameters that were not free, and their values; "none".
    assumptions : list of str
        What the form and the fit take for granted.
    ranges : dict or str
        Counts and ranges of the runs: rows, distinct sizes, smallest and largest N, D, FLOPs.
    definitions : dict of str to str
        What N, D and FLOPs are, as far as the table of runs knows: the column each came from, and
        conversions.
    training_data, repeated_data, hyperparameters, architecture, training_code : str
        "not stated" unless `with_statements` says so.
    sources : list of str
        Files or frames.
    hashes : dict
        For "runs" and "points": columns, rows and sha256; see `delphi.provenance.fingerprint`.
    checkpoints, evaluation_data, validation : str
        "not stated" unless `with_statements` says so.
    loss, loss_unit, loss_changes : str
        Column of the loss, its unit, and what was done to it before the fit.
    rows_read, rows_used : int or str
        Rows of the sources, and those of them that the law rests on.
    left_out : dict of str to int
        Rows by the reason that left them out; with rows_used they add up to rows_read.
    reading_notes : list of str
        What was noted while the table was read.
    points, n_points : str, int
        What the law itself was fitted to.
    objective, space, aggregate, delta, weights : str or float
        The objective; delta is that of Huber.
    search, start, tolerance, iterations : str, float or int
        The algorithm.
    options, bounds : dict
        Other options of the fit, bounds of the parameters.
    status : list of str
        Names of the status.
    at_bound : list of str
        Those of them that say a value sits at a bound; empty if none does.
    goodness : dict
        Residuals.
    uncertainty : str or dict
        Which intervals there are, and by which method.
    versions : dict of str to str
        delphi, numpy, pandas, python, machine.
    stated_by_author : list of str
        Fields that `with_statements` filled.
    card_format : str
        Version of these fields.

    References
    ----------
    M. Li, S. Kudugunta and L. Zettlemoyer, "(Mis)Fitting Scaling Laws: A Survey of Scaling Law
    Fitting Techniques in Deep Learning", ICLR 2025 (arXiv:2502.18969), the checklist.

    Examples
    --------
    >>> import delphi
    >>> law = delphi.fit_isoflops(delphi.simulate.ladder(rng=0)).laws()["Aster"]
    >>> card = law.card()
    >>> card.law, card.objective, card.n_points
    ('asymptotic power law', 'squared error', 7)
    >>> Card.from_json(card.to_json()) == card
    True
    >>> card.with_statements(training_data="a web crawl").training_data
    'a web crawl'
    """

    law: str
    form: str
    equation: str
    variables: Mapping[str, str]
    parameters: Mapping[str, Any]
    objective: str
    space: str
    aggregate: str
    weights: Any
    search: str
    start: str
    tolerance: Any
    iterations: Any
    bounds: Any
    status: Any
    points: str
    n_points: int
    uncertainty: Any
    goodness: Any
    fixed: Any = "none"
    assumptions: Any = NOT_STATED
    delta: Any = NOT_APPLICABLE
    options: Any = "none"
    at_bound: Any = field(default_factory=list)
    ranges: Any = NOT_STATED
    definitions: Any = NOT_STATED
    training_data: str = NOT_STATED
    repeated_data: str = NOT_STATED
    hyperparameters: str = NOT_STATED
    architecture: str = NOT_STATED
    training_code: str = NOT_STATED
    sources: Any = NOT_STATED
    hashes: Any = NOT_STATED
    checkpoints: str = NOT_STATED
    loss: str = NOT_STATED
    loss_unit: str = NOT_STATED
    evaluation_data: str = NOT_STATED
    loss_changes: str = "none"
    rows_read: Any = NOT_STATED
    rows_used: Any = NOT_STATED
    left_out: Any = NOT_STATED
    reading_notes: Any = field(default_factory=list)
    validation: Any = NOT_STATED
    versions: Mapping[str, str] = field(default_factory=here)
    stated_by_author: Any = field(default_factory=list)
    card_format: str = FORMAT

    def __post_init__(self) -> None:
        for f in fields(self):
            object.__setattr__(self, f.name, _plain(getattr(self, f.name), f.name))

    def to_dict(self) -> dict[str, Any]:
        """Every field, as plain values that JSON can hold."""
        return {name: _plain(getattr(self, name), name) for _, _, n in QUESTIONS for name in n}

    def to_json(self, *, indent: int | None = 2) -> str:
        """The same as JSON text (RFC 8259: no NaN in it)."""
        return json.dumps(self.to_dict(), indent=indent, allow_nan=False)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Card:
        """The card that `to_dict` wrote.

        Raises
        ------
        DataError
            Another format, or fields that are missing or unknown.
        """
        if values.get("card_format") != FORMAT:
            raise DataError(f"card_format: expected {FORMAT!r}, got {values.get('card_format')!r}")
        wrong = sorted(set(values) ^ {f.name for f in fields(cls)})
        if wrong:
            raise DataError(f"not a fit card: missing or unknown {', '.join(map(repr, wrong))}")
        return cls(**values)

    @classmethod
    def from_json(cls, text: str) -> Card:
        """The card that `to_json` wrote; raises `DataError` for anything else."""
        try:
            values = json.loads(text)
        except ValueError as error:
            raise DataError(f"not a fit card: {error}") from None
        if not isinstance(values, dict):
            raise DataError(f"not a fit card: {type(values).__name__}")
        return cls.from_dict(values)

    def with_statements(self, **statements: str) -> Card:
        """A copy in which the author says what the table of runs does not.

        Parameters
        ----------
        **statements : str
            training_data, repeated_data, hyperparameters, architecture, training_code,
            checkpoints, evaluation_data, loss_unit, validation; and N, D, FLOPs or another key of
            ``definitions``, to which the text is added.

        Returns
        -------
        Card
            Its ``stated_by_author`` lists them.

        Raises
        ------
        DataError
            Another field: what the fit knows is not for the author to say.

        Examples
        --------
        >>> import delphi
        >>> law = delphi.fit_isoflops(delphi.simulate.ladder(rng=0)).laws()["Aster"]
        >>> card = law.card().with_statements(N="without embeddings", loss_unit="nats per token")
        >>> card.loss_unit, card.stated_by_author
        ('nats per token', ['N', 'loss_unit'])
        """
        keys = dict(self.definitions) if isinstance(self.definitions, Mapping) else {}
        unknown = [name for name in statements if name not in STATEMENTS and name not in keys]
        if unknown:
            allowed = ", ".join((*STATEMENTS, *keys))
            raise DataError(f"{', '.join(unknown)}: an author may state {allowed}")
        for name, text in statements.items():
            if not isinstance(text, str) or not text.strip():
                raise DataError(f"{name}: expected a sentence, got {text!r}")
            if name in keys:
                keys[name] = f"{keys[name]}; the author states: {text}"
        own: dict[str, Any] = {n: text for n, text in statements.items() if n in STATEMENTS}
        said = list(dict.fromkeys([*self.stated_by_author, *statements]))
        return replace(self, **own, definitions=keys or self.definitions, stated_by_author=said)

    @property
    def unstated(self) -> list[str]:
        """Fields, and keys of definitions, in which something is not stated."""
        found = []
        for name, value in self.to_dict().items():
            if name == "definitions" and isinstance(value, dict):
                found += [key for key, text in value.items() if _open(text)]
            elif _open(value):
                found.append(name)
        return found

    def checklist(self) -> pd.DataFrame:
        """The questions of the checklist: section, question, answer, stated.

        ``stated`` is False where a part of the answer is "not stated".
        """
        rows = [
            (HEADINGS[section], question, "; ".join(self._answers(names)),
             not any(_open(getattr(self, name)) for name in names))
            for section, question, names in QUESTIONS
        ]  # fmt: skip
        return pd.DataFrame(rows, columns=["section", "question", "answer", "stated"])

    def to_frame(self) -> pd.DataFrame:
        """One row a field: section, field, value (as text)."""
        return pd.DataFrame(self._rows(), columns=["section", "field", "value"])

    def _answers(self, names: tuple[str, ...]) -> Iterator[str]:
        for name in names:
            text = "; ".join(_lines(getattr(self, name)))
            yield text if len(names) == 1 else f"{_label(name)}: {text}"

    def _rows(self) -> list[tuple[str, str, str]]:
        return [
            (HEADINGS[section], _label(name), "\n".join(_lines(getattr(self, name))))
            for section, _, names in QUESTIONS
            for name in names
        ]

    def summary(self) -> str:
        """The card as text, a paragraph a section."""
        lines, before = [f"fit card: {_printable(self.law)}"], None
        for section, label, value in self._rows():
            if section != before:
                lines.append(section)
                before = section
            first = True
            for part in value.split("\n"):
                for piece in textwrap.wrap(part, 78, subsequent_indent="  ") or [""]:
                    lines.append(f"  {label if first else '':18}{piece}")
                    first = False
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.summary()

    def __repr__(self) -> str:
        return f"Card({self.equation}, n_points={self.n_points}, {len(self.unstated)} not stated)"

    def _repr_html_(self) -> str:
        parts, before = [], None
        for section, label, value in self._rows():
            if section != before:
                parts.append(f'<tr><th colspan="2">{html.escape(section)}</th></tr>')
                before = section
            cell = "<br>".join(html.escape(line) for line in value.split("\n"))
            parts.append(f"<tr><td>{html.escape(label)}</td><td>{cell}</td></tr>")
        return f'<table class="delphi-card"><tbody>{"".join(parts)}</tbody></table>'


def _plain(value: Any, name: str) -> Any:
    """A value as JSON has it: str, int, float, bool, None, list, dict; NaN as None."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (str, bool, int)):
        return str(value) if isinstance(value, str) else value
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return value if math.isfinite(value) else ("inf" if value > 0 else "-inf")
    if isinstance(value, Mapping):
        return {str(key): _plain(part, name) for key, part in value.items()}
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [_plain(part, name) for part in value]
    raise DataError(f"{name}: a card holds plain values, got {type(value).__name__}")


def _open(value: Any) -> bool:
    """True if a text in it says that something is not stated."""
    if isinstance(value, Mapping):
        return any(_open(part) for part in value.values())
    if isinstance(value, list):
        return any(_open(part) for part in value)
    return isinstance(value, str) and NOT_STATED in value


def _label(name: str) -> str:
    return name.replace("_", " ")


def _printable(text: str) -> str:
    """Names come from data: no line break or terminal escape code in one may take effect."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _word(value: Any) -> str:
    """A value on one line."""
    if isinstance(value, str):
        return _printable(value)
    if value is None:
        return "none: NaN"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return format(value, ".6g")
    if isinstance(value, Mapping):
        parts = (f"{_printable(key)} {_word(part)}" for key, part in value.items())
        return ", ".join(parts) or "none"
    if isinstance(value, list):
        return ", ".join(map(_word, value)) or "none"
    return str(value)


def _lines(value: Any) -> list[str]:
    """A value as lines: one an entry of a mapping or of a list."""
    if isinstance(value, Mapping):
        entries = [f"{_printable(key)}: {_word(part)}" for key, part in value.items()]
    elif isinstance(value, list):
        entries = [_word(part) for part in value]
    else:
        return [_word(value)]
    more = len(entries) - MOST_SHOWN
    return [*entries[:MOST_SHOWN], *([f"and {more} more"] if more > 0 else [])] or ["none"]
