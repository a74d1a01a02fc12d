"""PostgreSQL and SQLite by ADBC: statements, and results as a stream of Arrow batches."""

from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import quote

import pyarrow as pa

from batch.errors import DatabaseError
from batch.sql.drivers import explained, import_drivers
from batch.sql.statements import STAGING, select_statement
from batch.sql.url import DatabaseUrl

_BATCH_ROWS: Final = 1 << 16
# The last connection to close locks SQLite's file for a moment, others in their statements.
_WAIT: Final = "PRAGMA busy_timeout = 10000"  # milliseconds
_TRY_LOCK: Final = "SELECT pg_try_advisory_xact_lock(hashtext('marquee ingest'))"


class AdbcConnection:
    """A connection to PostgreSQL or SQLite, in a transaction. Used as a context manager.

    Args:
        url: Database.
        password: Password; empty for the driver's own ways.
        creates: Whether a missing SQLite file is made.

    Raises:
        DatabaseError: The database cannot be reached.
    """

    def __init__(self, url: DatabaseUrl, password: str = "", *, creates: bool = False) -> None:
        self.url = url
        self._password = password
        *_, driver = import_drivers(url.dialect)
        if url.dialect == "sqlite" and not creates and not Path(url.database).is_file():
            raise DatabaseError(url, "no such file", "check the path: sqlite:////x is absolute")
        with explained(url, password):
            if url.dialect == "sqlite" and creates:
                _enable_reading_while_writing(driver, _uri(url, password))
            self._connection = driver.connect(_uri(url, password))
            if url.dialect == "sqlite":
                self.execute(_WAIT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def execute(self, statement: str) -> None:
        """Execute a statement without a result.

        Raises:
            DatabaseError: It fails.
        """
        with explained(self.url, self._password), self._cursor() as cursor:
            cursor.execute(statement)

    def value(self, statement: str) -> object:
        """Return the first value of a statement's result, None without one.

        Raises:
            DatabaseError: It fails.
        """
        with explained(self.url, self._password), self._cursor() as cursor:
            cursor.execute(statement)
            row = cursor.fetchone()
            return row[0] if row else None

    def columns(self, statement: str) -> pa.Schema:
        """Return the columns of a statement's result.

        Raises:
            DatabaseError: It fails.
        """
        with closing(self._batches(statement)) as batches:
            return next(batches).schema

    def rows(self, columns: pa.Schema, max_rows: int | None = None) -> Generator[pa.RecordBatch]:
        """Yield columns of the table or query of the URL; one batch is held here.

        Raises:
            DatabaseError: It fails, perhaps in the middle.
        """
        if self.url.dialect == "postgresql":
            self.execute("SET synchronize_seqscans = off")  # each read begins at the same row
        yield from self._batches(select_statement(self.url, columns, max_rows=max_rows))

    def lock(self) -> None:
        """Keep another ingest out until the first commit; SQLite does so at the first row.

        Raises:
            DatabaseError: Another ingest is writing.
        """
        if self.url.dialect == "postgresql" and not self.value(_TRY_LOCK):
            raise DatabaseError(self.url, "another process is writing to it", "wait for its end")

    def merge(self, statement: str, rows: pa.Table) -> None:
        """Put rows into a temporary table, from which the statement takes them.

        Raises:
            DatabaseError: It fails.
        """
        with explained(self.url, self._password), self._cursor() as cursor:
            cursor.adbc_ingest(STAGING, rows, mode="replace", temporary=True)
            cursor.execute(statement)

    def commit(self) -> None:
        """Commit the transaction, and begin the next one.

        Raises:
            DatabaseError: It fails; the transaction is rolled back.
        """
        with explained(self.url, self._password):
            self._connection.commit()

    def _batches(self, statement: str) -> Generator[pa.RecordBatch]:
        """Yield the result of a statement in batches, which are not held here.

        The first batch may have no rows, but has the columns.

        Raises:
            DatabaseError: It fails, perhaps in the middle of the result.
        """
        with self._cursor() as cursor:
            with explained(self.url, self._password):
                if self.url.dialect == "sqlite":
                    rows = {"adbc.sqlite.query.batch_rows": str(_BATCH_ROWS)}
                    cursor.adbc_statement.set_options(**rows)
                cursor.execute(statement)
                reader = cursor.fetch_record_batch()
            yield pa.RecordBatch.from_pylist([], reader.schema)
            while True:
                with explained(self.url, self._password):
                    batch = next(reader, None)
                if batch is None:
                    return
                yield batch

    def _cursor(self) -> Any:
        return closing(self._connection.cursor())


def _enable_reading_while_writing(driver: Any, uri: str) -> None:
    """Set SQLite's write-ahead log, outside a transaction."""
    with closing(driver.connect(uri, autocommit=True)) as once, closing(once.cursor()) as cursor:
        cursor.execute(_WAIT)
        cursor.execute("PRAGMA journal_mode=WAL")


def _uri(url: DatabaseUrl, password: str) -> str:
    if url.dialect == "sqlite":
        return f"file:{quote(str(Path(url.database).absolute()))}"
    login = quote(url.user, safe="") + (f":{quote(password, safe='')}" if password else "")
    address = quote(url.host, safe="[]:") + (f":{url.port}" if url.port else "")
    options = "&".join(f"{name}={quote(value, safe='')}" for name, value in url.options)
    return f"postgresql://{login}{'@' if login else ''}{address}/{quote(url.database)}?{options}"
