"""The tables of events in a database, with the columns and the meaning of day partitions.

    views     day  user_id  item_id  minutes  first_at  last_at     one row a key
    ratings   at   user_id  item_id  rating
    accounts  at   user_id
    answers   at   user_id  digest   host  status  items  result  milliseconds

The key of each begins with the day or the time: it is the index by which old rows are
deleted, and new rows go to its end. Times are seconds since 1970 by the wall clock of the
log; a day is their number divided by 86,400.
"""

from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.dialects.mysql import insert as mysql_insert
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.schema import CreateTable

from batch.errors import DatabaseError
from batch.events.event_types import EVENT_TYPES, EventType
from batch.events.fold import DAY_SECONDS
from batch.sql.digest import row_hashes
from batch.sql.statements import STAGING, dialect
from batch.sql.url import DatabaseUrl

_MAX_USER_CHARACTERS: Final = 64
_MAX_ITEM_CHARACTERS: Final = 200
_NUL: Final = "\x00"  # PostgreSQL's text cannot hold it
_REPLACEMENT: Final = "\ufffd"


class EventTable(NamedTuple):
    """The table of one type of event.

    Attributes:
        kind: Type of event.
        table: Table of SQLAlchemy.
        largest: Columns of which the largest value of a key is kept.
        smallest: Columns of which the smallest value of a key is kept.
    """

    kind: EventType
    table: sa.Table
    largest: Sequence[str] = ()
    smallest: Sequence[str] = ()

    @property
    def columns(self) -> list[str]:
        """Names of the columns, without those that only make rows distinct."""
        return ["minutes" if name == "minute" else name for name in self.kind.columns]

    @property
    def time_column(self) -> str:
        """Name of the first column of the key: a day or a time."""
        return next(iter(self.table.primary_key.columns)).name

    def rows(self, events: pa.Table) -> pa.Table:
        """Return events, folded, as rows of this table in the order of its key."""
        columns = {name: _plain(events[name]) for name in self.kind.columns}
        if "minute" in columns:
            columns["minutes"] = columns.pop("minute")
        if "day" in self.table.columns:
            columns["day"] = pa.chunked_array([_days(columns["first_at"])])
        if "digest" in self.table.columns:
            hashes = row_hashes(column.combine_chunks() for column in columns.values())
            columns["digest"] = pa.chunked_array([pa.array(hashes.view(np.int64))])
        table = pa.table({column.name: columns[column.name] for column in self.table.columns})
        key = [(column.name, "ascending") for column in self.table.primary_key.columns]
        return table.sort_by(key)

    def oldest(self, day: int) -> int:
        """Return the value of the time column with which a day since 1970 begins."""
        return day * (1 if self.time_column == "day" else DAY_SECONDS)


def _ids(n_characters: int) -> sa.types.TypeEngine[str]:
    """Return the type of ids: ASCII, compared by their bytes."""
    in_mariadb = mysql.VARCHAR(n_characters, charset="ascii", collation="ascii_bin")
    return (
        sa.String(n_characters)
        .with_variant(postgresql.TEXT(collation="C"), "postgresql")
        .with_variant(in_mariadb, "mysql", "mariadb")
    )


def _text() -> sa.types.TypeEngine[str]:
    return sa.Text().with_variant(mysql.MEDIUMTEXT(charset="utf8mb4"), "mysql", "mariadb")


def _table(name: str, key: dict[str, Any], others: dict[str, Any]) -> sa.Table:
    keys = (sa.Column(n, t, primary_key=True, autoincrement=False) for n, t in key.items())
    rest = (sa.Column(n, t, nullable=n in ("items", "result")) for n, t in others.items())
    return sa.Table(name, sa.MetaData(), *keys, *rest)


_USER: Final = {"user_id": _ids(_MAX_USER_CHARACTERS)}
_ITEM: Final = {"item_id": _ids(_MAX_ITEM_CHARACTERS)}
_DAY: Final = {"day": sa.Integer()}
_AT: Final = {"at": sa.BigInteger()}
_VIEWS, _RATINGS, _ACCOUNTS, _ANSWERS = EVENT_TYPES

EVENT_TABLES: Final = (
    EventTable(
        _VIEWS,
        _table(
            "views",
            _DAY | _USER | _ITEM,
            {"minutes": sa.Integer(), "first_at": sa.BigInteger(), "last_at": sa.BigInteger()},
        ),
        largest=("minutes", "last_at"),
        smallest=("first_at",),
    ),
    EventTable(_RATINGS, _table("ratings", _AT | _USER | _ITEM | {"rating": sa.Double()}, {})),
    EventTable(_ACCOUNTS, _table("accounts", _AT | _USER, {})),
    EventTable(
        _ANSWERS,
        _table(
            "answers",
            _AT | _USER | {"digest": sa.BigInteger()},
            {
                "host": _text(),
                "status": sa.Integer(),
                "items": _text(),
                "result": _text(),
                "milliseconds": sa.Integer(),
            },
        ),
    ),
)


def event_table_of(names: Collection[str]) -> EventTable | None:
    """Return the table of events that has exactly these columns; None for another table."""
    by_columns = {frozenset(t.table.columns.keys()): t for t in EVENT_TABLES}
    return by_columns.get(frozenset(names))


def create_statement(event_table: EventTable, name: str) -> str:
    """Return the statement that makes a table unless it exists, in a dialect."""
    statement = CreateTable(event_table.table, if_not_exists=True)
    return str(statement.compile(dialect=dialect(name)))


def check_columns(event_table: EventTable, url: DatabaseUrl, names: Collection[str]) -> None:
    """Check that a table of a database is one that ingest made.

    Args:
        event_table: Table as ingest makes it.
        url: Database.
        names: Names of the columns that the table has.

    Raises:
        DatabaseError: It has other columns.
    """
    wanted = [column.name for column in event_table.table.columns]
    if set(names) != set(wanted):
        raise DatabaseError(
            url,
            f"its table {event_table.kind.name} has the columns {', '.join(names)} "
            f"and not {', '.join(wanted)}",
            "give a database, or a schema, of its own",
        )


def merge_statement(event_table: EventTable, name: str) -> str:
    """Return the statement that merges rows into a table: the staged ones, or parameters.

    In MariaDB the rows are parameters in the order of the columns.
    """
    table = event_table.table
    columns = [column.name for column in table.columns]
    if name == "mysql":
        inserted = mysql_insert(table)
        merged = _merged(event_table, inserted.inserted, sa.func.greatest, sa.func.least)
        first = next(iter(table.primary_key.columns)).name  # an update that changes nothing
        merged = merged or {first: table.c[first]}
        return str(inserted.on_duplicate_key_update(merged).compile(dialect=dialect(name)))
    staged = sa.table(STAGING, *map(sa.column, columns))
    rows = sa.select(staged).where(sa.true())  # else SQLite takes ON for a join's
    is_sqlite = name == "sqlite"
    insert = (sqlite_insert if is_sqlite else postgresql_insert)(table).from_select(columns, rows)
    largest = sa.func.max if is_sqlite else sa.func.greatest
    smallest = sa.func.min if is_sqlite else sa.func.least
    merged = _merged(event_table, insert.excluded, largest, smallest)
    key = table.primary_key.columns
    statement = (
        insert.on_conflict_do_update(index_elements=key, set_=merged)
        if merged
        else insert.on_conflict_do_nothing(index_elements=key)
    )
    return str(statement.compile(dialect=dialect(name)))


def expired_statement(event_table: EventTable, oldest: int, name: str) -> str:
    """Return the statement that counts rows older than a time or day."""
    table = event_table.table
    is_old = table.c[event_table.time_column] < oldest
    return _literal(sa.select(sa.func.count()).select_from(table).where(is_old), name)


def delete_statement(event_table: EventTable, oldest: int, n_rows: int, name: str) -> str:
    """Return the statement that deletes at most `n_rows` rows older than a time or day."""
    table = event_table.table
    is_old = table.c[event_table.time_column] < oldest
    if name == "mysql":
        limited = sa.delete(table).where(is_old).with_dialect_options(mysql_limit=n_rows)
        return _literal(limited, name)
    row: sa.ColumnElement[Any] = sa.literal_column("rowid" if name == "sqlite" else "ctid")
    old = sa.select(row).select_from(table).where(is_old).limit(n_rows)
    return _literal(sa.delete(table).where(row.in_(old)), name)


def of_user_statements(event_table: EventTable, user_id: str, name: str) -> tuple[str, str]:
    """Return the statements that count and that delete the rows of a user."""
    table = event_table.table
    is_of_user = table.c.user_id == user_id
    count = sa.select(sa.func.count()).select_from(table).where(is_of_user)
    return _literal(count, name), _literal(sa.delete(table).where(is_of_user), name)


def _merged(event_table: EventTable, new: Any, largest: Any, smallest: Any) -> dict[str, Any]:
    table = event_table.table
    return {name: largest(table.c[name], new[name]) for name in event_table.largest} | {
        name: smallest(table.c[name], new[name]) for name in event_table.smallest
    }


def _literal(statement: sa.ClauseElement, name: str) -> str:
    options = {"literal_binds": True}
    return str(statement.compile(dialect=dialect(name), compile_kwargs=options))


def _days(seconds: pa.ChunkedArray) -> pa.Array:
    return pa.array(seconds.to_numpy() // DAY_SECONDS)


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column that any database stores: ids as text, text without NUL, doubles."""
    if pa.types.is_dictionary(column.type) or pa.types.is_string(column.type):
        return pc.replace_substring(column.cast(pa.string()), _NUL, _REPLACEMENT)
    is_float = pa.types.is_floating(column.type)
    return column.cast(pa.float64() if is_float else pa.int64())
