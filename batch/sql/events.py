"""Events from a table or a query of a database, piece by piece.

    views, ratings, accounts, answers    as ingest wrote them: nothing is guessed
    any other table, or a query          columns by their names and first rows, as in a file

The first rows are those that the server returns first, of which there are enough to tell
what numbers and times mean.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa

from batch.columns.ids import IdForm, IdReader
from batch.columns.roles import choose_columns
from batch.errors import InputError
from batch.events.event_types import EventType
from batch.events.parsed import (
    ACCOUNTS,
    ANSWERS,
    RATINGS,
    Parsed,
    Piece,
    Rejected,
    to_table,
    view_table,
)
from batch.events.table import table_parser
from batch.sql.source import DatabaseInput
from store.ids import ITEM_ID_PATTERN, USER_ID_PATTERN

_KINDS: Final = {"postgresql": "PostgreSQL", "mysql": "MariaDB", "sqlite": "SQLite"}
_UNKNOWN_ROWS: Final = 1 << 40  # of a result whose length only its end tells
_SAMPLE_ROWS: Final = 1 << 14
_ID_READERS: Final = {
    "user_id": IdReader("user", USER_ID_PATTERN, IdForm.TEXT),
    "item_id": IdReader("item", ITEM_ID_PATTERN, IdForm.TEXT),
}

_Columns = Mapping[str, pa.Array]


class DatabaseEvents(NamedTuple):
    """A table or a query whose columns have their roles.

    Attributes:
        kind: Kind in messages and in the manifest.
        pieces: Events, which are read on request.
        notes: Sentences about what the columns were read as.
    """

    kind: str
    pieces: Iterator[Piece]
    notes: tuple[str, ...]


class _Reading(NamedTuple):
    """How rows become events.

    Attributes:
        columns: Name of each column that is read, by its name in the parser.
        parse: Parser of the columns.
        notes: Sentences about what the columns were read as.
    """

    columns: Mapping[str, str]
    parse: Callable[[_Columns], Parsed]
    notes: tuple[str, ...] = ()


def open_table(source: DatabaseInput) -> DatabaseEvents:
    """Find out which columns a table or query has, and what they mean.

    Args:
        source: Table or query.

    Raises:
        DatabaseError: It cannot be read.
        InputError: It has no column of users or of items, or a list in one.
    """
    reading = _reading(source)
    kind = f"{_KINDS[source.url.dialect]} {'table' if source.url.table else 'query'}"
    return DatabaseEvents(kind, _pieces(source, reading), reading.notes)


def _pieces(source: DatabaseInput, reading: _Reading) -> Iterator[Piece]:
    number = 1
    with closing(source.batches(list(reading.columns.values()))) as batches:
        for batch in batches:
            columns = {role: batch[name] for role, name in reading.columns.items()}
            try:
                parsed = reading.parse(columns)
            except pa.ArrowException as error:
                problem = f"a value cannot be read: {error}"
                raise InputError(source, problem, "cast the column in a ?query=") from error
            broken = pa.array(parsed.rejected)
            texts = [_text(column.take(broken)) for column in columns.values()]
            rejected = Rejected(parsed.reasons, number + parsed.rejected, texts)
            number += len(batch)
            yield Piece(len(batch), parsed, rejected, _UNKNOWN_ROWS)


def _reading(source: DatabaseInput) -> _Reading:
    from batch.sql.tables import event_table_of

    names = source.columns().names
    if stored := event_table_of(names):
        columns = {name: name for name in stored.columns}
        return _Reading(columns, _StoredParser(stored.kind))
    choice = choose_columns(source, names, source.settings.columns)
    columns = {role: names[column] for role, column in choice.columns.items()}
    sample = source.first(list(columns.values()), _SAMPLE_ROWS)
    for name in columns.values():
        if pa.types.is_nested(sample.schema.field(name).type):
            problem = f'"{name}" holds lists or objects'
            raise InputError(source, problem, "unnest it in a ?query=")
    first = {role: sample[name].combine_chunks() for role, name in columns.items()}
    parser = table_parser(choice, first, source.settings)
    return _Reading(columns, parser, parser.notes)


class _StoredParser:
    """Parses rows of a table that ingest made.

    Args:
        kind: Type of event.
    """

    def __init__(self, kind: EventType) -> None:
        self._name = kind.name

    def __call__(self, columns: _Columns) -> Parsed:
        """Return the events of rows; those with a malformed id are rejected."""
        columns = dict(columns)
        reasons = np.full(len(columns["user_id"]), "", dtype=object)
        for name, read in _ID_READERS.items():
            if name in columns:
                columns[name], faults = read(columns[name])
                for fault in faults:
                    reasons[fault.rows] = fault.reason
        rejected = np.flatnonzero(reasons != "")
        if len(rejected):
            is_sound = pa.array(reasons == "")
            columns = {name: column.filter(is_sound) for name, column in columns.items()}
        events = {self._name: self._table(columns)}
        return Parsed(**events, rejected=rejected, reasons=reasons[rejected].tolist())

    def _table(self, columns: _Columns) -> pa.Table:
        if self._name == "views":
            names = ("user_id", "item_id", "minutes", "first_at", "last_at")
            return view_table(*(columns[name] for name in names))
        schema = {"ratings": RATINGS, "accounts": ACCOUNTS, "answers": ANSWERS}[self._name]
        return to_table([columns[name] for name in schema.names], schema)


def _text(column: pa.Array) -> pa.Array:
    """Return values as text for the quarantine."""
    return pa.array([str(value) for value in column.to_pylist()], pa.string())
