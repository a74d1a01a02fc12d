"""Ingest into a database: events merged by key in one transaction, then old rows deleted.

    pieces of logs ─► folded, about 64 MiB at a time ─► staged ─► merged by key ─┐
                                                                    one COMMIT ◄─┘
    rows older than --keep-days ─► DELETE of 20,000, COMMIT ─► DELETE of 20,000, COMMIT …

Merging is a maximum, a minimum, or nothing where the row is there: the same lines twice
change nothing. A killed ingest leaves the database as it was, or with all of its events
and some old rows, which the next one deletes.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

import pyarrow as pa

from batch.events.event_types import EVENT_TYPES
from batch.events.fold import DAY_SECONDS
from batch.events.parsed import Parsed
from batch.sql.connection import Connection
from batch.sql.statements import names_statement
from batch.sql.tables import (
    EVENT_TABLES,
    EventTable,
    check_columns,
    create_statement,
    delete_statement,
    expired_statement,
    merge_statement,
)


@dataclass(frozen=True, slots=True)
class DatabaseSizes:
    """How much is held in memory or locked at a time; the rows do not depend on it.

    Attributes:
        run_bytes: Size of the events that are collected before they are merged.
        deleted_rows: Number of old rows that are deleted in one transaction.
    """

    run_bytes: int = 1 << 26
    deleted_rows: int = 20_000


DEFAULT_DATABASE_SIZES: Final = DatabaseSizes()


class DatabaseTarget:
    """Collects events, and merges them into the tables of a database.

    Args:
        connection: Connection to the database, whose tables are there.
        keep_days: Number of whole days before today that are kept; None for all.
        sizes: Bounds of memory and of transactions.
    """

    def __init__(self, connection: Connection, keep_days: int | None, sizes: DatabaseSizes) -> None:
        self._connection = connection
        self._dialect = connection.url.dialect
        self._keep_days = keep_days
        self._sizes = sizes
        self._collected: dict[str, list[pa.Table]] = {kind.name: [] for kind in EVENT_TYPES}
        self._n_bytes = 0
        self._n_rows = {kind.name: 0 for kind in EVENT_TYPES}

    def add(self, parsed: Parsed) -> None:
        """Add the events of one piece of a log.

        Raises:
            DatabaseError: They cannot be written.
        """
        for kind in EVENT_TYPES:
            table = getattr(parsed, kind.name)
            if table.num_rows:
                self._collected[kind.name].append(table)
                self._n_bytes += table.nbytes
        if self._n_bytes > self._sizes.run_bytes:
            self._merge()

    def commit(self) -> dict[str, int]:
        """Merge the collected events, commit, and delete rows that are too old.

        Returns:
            Number of merged rows by type of event, and of `expired` ones if there is a limit.

        Raises:
            DatabaseError: They cannot be written; the database is unchanged unless old rows
                were being deleted.
        """
        self._merge()
        self._connection.commit()
        if self._keep_days is None:
            return self._n_rows
        oldest_day = int(datetime.now(UTC).timestamp()) // DAY_SECONDS - self._keep_days
        return self._n_rows | {"expired": sum(self._expire(t, oldest_day) for t in EVENT_TABLES)}

    def _merge(self) -> None:
        for table in EVENT_TABLES:
            name = table.kind.name
            tables, self._collected[name] = self._collected[name], []
            if tables:
                folded = table.kind.fold(pa.concat_tables(tables))
                statement = merge_statement(table, self._dialect)
                self._connection.merge(statement, table.rows(folded))
                self._n_rows[name] += folded.num_rows
        self._n_bytes = 0

    def _expire(self, table: EventTable, oldest_day: int) -> int:
        """Delete the rows of days before `oldest_day`, and return their number."""
        oldest, n_rows = table.oldest(oldest_day), self._sizes.deleted_rows
        n_expired = self._connection.value(expired_statement(table, oldest, self._dialect))
        for _ in range(0, int(str(n_expired)), n_rows):
            self._connection.execute(delete_statement(table, oldest, n_rows, self._dialect))
            self._connection.commit()
        return int(str(n_expired))


@contextlib.contextmanager
def open_target(
    connection: Connection,
    keep_days: int | None = None,
    sizes: DatabaseSizes = DEFAULT_DATABASE_SIZES,
) -> Iterator[DatabaseTarget]:
    """Make the tables that are missing, and keep other writers out until the end.

    Without `commit` nothing is merged.

    Args:
        connection: Connection to the database, which is closed at the end.
        keep_days: Number of whole days before today that are kept; None for all.
        sizes: Bounds of memory and of transactions.

    Raises:
        DatabaseError: It cannot be written, another process is writing to it, or a table of
            events has other columns.
    """
    url = connection.url
    with connection:
        connection.lock()
        for table in EVENT_TABLES:
            connection.execute(create_statement(table, url.dialect))
            of_table = replace(url, table=table.kind.name)
            check_columns(table, url, connection.columns(names_statement(of_table)).names)
        yield DatabaseTarget(connection, keep_days, sizes)
