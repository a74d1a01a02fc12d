"""The drivers of databases: imported when a database is named, their errors in our words.

postgresql   ADBC: a stream of Arrow batches
sqlite       ADBC
mysql        connectorx reads into Arrow, PyMySQL writes
"""

import contextlib
import importlib
import os
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Final

import pyarrow as pa

from batch.errors import DatabaseError
from batch.sql.url import DatabaseUrl

_MODULES: Final = {
    "postgresql": ("sqlalchemy", "adbc_driver_postgresql.dbapi"),
    "sqlite": ("sqlalchemy", "adbc_driver_sqlite.dbapi"),
    "mysql": ("sqlalchemy", "connectorx", "pymysql"),
}
_PACKAGES: Final = {
    "postgresql": "adbc-driver-manager adbc-driver-postgresql",
    "sqlite": "adbc-driver-manager adbc-driver-sqlite",
    "mysql": "connectorx pymysql",
}
_BUSY: Final = ("database is locked", "could not obtain lock", "lock wait timeout")
_LOST: Final = (
    "server closed the connection", "no connection to the server", "connection reset",
    "lost connection", "gone away", "codecerror", "broken pipe", "terminating connection",
)  # fmt: skip
_SLOW: Final = ("statement timeout", "max_statement_time", "maximum statement execution time")
_MAX_CHARACTERS: Final = 300


def import_drivers(dialect: str) -> Sequence[ModuleType]:
    """Return SQLAlchemy and the drivers of a dialect.

    Raises:
        DatabaseError: One of them is not installed.
    """
    os.environ.setdefault("RUST_LOG", "off")  # connectorx repeats each error on standard error
    try:
        return [importlib.import_module(name) for name in _MODULES[dialect]]
    except ImportError as error:
        raise DatabaseError(
            dialect,
            f"its driver is not installed: {error}",
            f"install the extra `sql`: pip install sqlalchemy {_PACKAGES[dialect]}",
        ) from error


@contextlib.contextmanager
def explained(url: DatabaseUrl, password: str) -> Iterator[None]:
    """Raise what a driver raises inside as a `DatabaseError` of one line without the password."""
    import_drivers(url.dialect)
    try:
        yield
    except _errors_of(url.dialect) as error:
        text = " ".join(str(error.args[-1] if error.args else error).split())
        text = text.replace(password, "…") if password else text
        problem, remedy = text[:_MAX_CHARACTERS], None
        if any(word in text.lower() for word in _LOST):
            problem = f"the connection was lost: {problem}"
            remedy = "check the server, and run it again: what was there before is unchanged"
        elif any(word in text.lower() for word in _BUSY):
            problem = f"another process is writing to it: {problem}"
            remedy = "wait until it has ended"
        elif any(word in text.lower() for word in _SLOW):
            problem, remedy = f"takes too long: {problem}", "allow it more time"
        raise DatabaseError(url, problem, remedy) from error


def _errors_of(dialect: str) -> tuple[type[Exception], ...]:
    if dialect == "mysql":
        import pymysql

        return (pymysql.Error, RuntimeError, OSError)
    import adbc_driver_manager

    return (adbc_driver_manager.Error, pa.ArrowException, OSError)
