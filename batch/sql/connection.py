"""What the connections to all databases can do, and how one is opened."""

from collections.abc import Generator
from typing import Protocol, Self

import pyarrow as pa

from batch.sql.drivers import import_drivers
from batch.sql.url import DatabaseUrl


class Connection(Protocol):
    """A connection in a transaction; its methods raise `DatabaseError`. A context manager.

    Attributes:
        url: Database, perhaps with a table or a query.
    """

    url: DatabaseUrl

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def execute(self, statement: str) -> None:
        """Execute a statement without a result."""

    def value(self, statement: str) -> object:
        """Return the first value of a statement's result, None without one."""

    def columns(self, statement: str) -> pa.Schema:
        """Return the columns of a statement's result."""

    def rows(self, columns: pa.Schema, max_rows: int | None = None) -> Generator[pa.RecordBatch]:
        """Yield columns of the table or query of the URL, in bounded memory."""

    def lock(self) -> None:
        """Keep another ingest out, at least until the first commit."""

    def merge(self, statement: str, rows: pa.Table) -> None:
        """Execute a `tables.merge_statement` with these rows."""

    def commit(self) -> None:
        """Commit the transaction, and begin the next one."""


def connect(url: DatabaseUrl, password: str, *, creates: bool = False) -> Connection:
    """Connect to a database.

    Args:
        url: Database.
        password: Password; empty for the driver's own ways.
        creates: Whether a missing SQLite file is made.

    Raises:
        DatabaseError: A driver is not installed, or the database cannot be reached.
    """
    import_drivers(url.dialect)
    from batch.sql.adbc import AdbcConnection
    from batch.sql.mariadb import MariadbConnection

    if url.dialect == "mysql":
        return MariadbConnection(url, password)
    return AdbcConnection(url, password, creates=creates)
