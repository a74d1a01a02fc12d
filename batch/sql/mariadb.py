"""MariaDB and MySQL: connectorx reads into Arrow, in parts; PyMySQL does everything else.

    rows by the partition's column:   ──── 500,000 ────┤──── 500,000 ────┤── rest ──
                                      one query each, held in memory one after the other

connectorx holds the whole result of a query: its stream has no limit of batches that wait.
The bound of each part is found by the index of the column, so the server reads every row
once.
"""

from collections.abc import Generator, Iterator
from typing import Any, Final, Self
from urllib.parse import quote

import pyarrow as pa
from sqlalchemy import ColumnElement

from batch.errors import DatabaseError
from batch.sql.drivers import explained, import_drivers
from batch.sql.statements import (
    between,
    key_statement,
    next_bound_statement,
    select_statement,
)
from batch.sql.url import DatabaseUrl

PART_ROWS: Final = 500_000  # rows that are held at a time
_MERGED_ROWS: Final = 100_000  # rows that are Python objects at a time
_MAX_LOCK_CHARACTERS: Final = 64
_TIMEOUT_SECONDS: Final = 10


class MariadbConnection:
    """A connection to MariaDB or MySQL, in a transaction. Used as a context manager.

    Args:
        url: Database.
        password: Password; empty for none.

    Raises:
        DatabaseError: The database cannot be reached.
    """

    def __init__(self, url: DatabaseUrl, password: str = "") -> None:
        self.url = url
        self._password = password
        *_, pymysql = import_drivers("mysql")
        with explained(url, password):
            self._connection = pymysql.connect(
                host=url.host or "localhost",
                port=url.port or 0,
                user=url.user or None,
                password=password,
                database=url.database,
                connect_timeout=_TIMEOUT_SECONDS,
                **dict(url.options),
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._connection.open:
            self._connection.close()

    def execute(self, statement: str) -> None:
        """Execute a statement without a result.

        Raises:
            DatabaseError: It fails.
        """
        with explained(self.url, self._password), self._connection.cursor() as cursor:
            cursor.execute(statement)

    def value(self, statement: str) -> object:
        """Return the first value of a statement's result, None without one.

        Raises:
            DatabaseError: It fails.
        """
        with explained(self.url, self._password), self._connection.cursor() as cursor:
            cursor.execute(statement)
            row = cursor.fetchone()
            return row[0] if row else None

    def columns(self, statement: str) -> pa.Schema:
        """Return the columns of a statement's result.

        Raises:
            DatabaseError: It fails.
        """
        return self._table(statement).schema

    def rows(self, columns: pa.Schema, max_rows: int | None = None) -> Generator[pa.RecordBatch]:
        """Yield columns of the table or query of the URL; one part of it is held here.

        Raises:
            DatabaseError: It fails, perhaps in the middle.
        """
        for condition in [None] if max_rows else self._parts():
            statement = select_statement(self.url, columns, condition, max_rows)
            yield from self._table(statement).to_batches()

    def lock(self) -> None:
        """Keep another ingest out until the connection is closed.

        Raises:
            DatabaseError: Another ingest is writing.
        """
        name = self._connection.escape(f"marquee {self.url.database}"[:_MAX_LOCK_CHARACTERS])
        if self.value(f"SELECT GET_LOCK({name}, 0)") != 1:
            raise DatabaseError(self.url, "another process is writing to it", "wait for its end")

    def merge(self, statement: str, rows: pa.Table) -> None:
        """Insert rows, of which many are sent together.

        Raises:
            DatabaseError: It fails.
        """
        with explained(self.url, self._password), self._connection.cursor() as cursor:
            for batch in rows.to_batches(_MERGED_ROWS):
                columns = (column.to_pylist() for column in batch.columns)
                cursor.executemany(statement, list(zip(*columns, strict=True)))

    def commit(self) -> None:
        """Commit the transaction, and begin the next one.

        Raises:
            DatabaseError: It fails; the transaction is rolled back.
        """
        with explained(self.url, self._password):
            self._connection.commit()

    def _table(self, statement: str) -> pa.Table:
        """Return the whole result of a statement."""
        connectorx: Any
        _, connectorx, _ = import_drivers("mysql")
        with explained(self.url, self._password):
            self._connection.ping(reconnect=False)  # connectorx would try for 30 seconds
            uri = _uri(self.url, self._password)
            return connectorx.read_sql(uri, statement, return_type="arrow")

    def _parts(self) -> Iterator[ColumnElement[bool] | None]:
        """Yield conditions that split the table or query into parts of about `PART_ROWS` rows.

        Without a column to split by, there is one part.
        """
        column = self.url.partition or self._first_of_key()
        after = until = None
        while column:
            until = self.value(next_bound_statement(self.url, column, after, PART_ROWS))
            if until is None:
                break
            yield between(column, after, until)
            after = until
        yield between(column, after, None) if column else None

    def _first_of_key(self) -> str:
        """Return the first column of the table's primary key; empty without one."""
        return str(self.value(key_statement(self.url)) or "") if self.url.table else ""


def _uri(url: DatabaseUrl, password: str) -> str:
    login = quote(url.user, safe="") + (f":{quote(password, safe='')}" if password else "")
    address = quote(url.host or "localhost") + (f":{url.port}" if url.port else "")
    socket = dict(url.options).get("unix_socket")
    options = f"?socket={quote(socket, safe='/')}" if socket else ""
    return f"mysql://{login}@{address}/{quote(url.database)}{options}"
