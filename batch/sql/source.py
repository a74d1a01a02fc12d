"""A table or a query of a database in the place of a file.

    events = ["postgresql://reader@db/shop?table=views"]
                     │ columns, then the needed ones in batches
                     ▼
    Arrow batches ─► events, or rows of a catalogue ─► number and digest of the rows

A URL without a table or query stands for the tables that `python -m batch ingest --to`
writes, as a directory stands for its files.
"""

import os
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from batch.errors import InputError
from batch.events.event_types import EVENT_TYPES
from batch.settings import BatchSettings
from batch.sql.connection import connect
from batch.sql.digest import RowDigest
from batch.sql.passwords import password_of
from batch.sql.url import DatabaseUrl, is_database_url, parse_url

if TYPE_CHECKING:
    from batch.sql.target import DatabaseTarget


@dataclass(frozen=True, slots=True)
class DatabaseInput:
    """A table or a query to read.

    Attributes:
        url: Database with a table or a query.
        settings: Settings of the batch: what columns mean.
        password: Password; empty for the driver's own ways.
        digest: Number and digest of the rows that were read.
    """

    url: DatabaseUrl
    settings: BatchSettings = field(repr=False)
    password: str = field(default="", repr=False)
    digest: RowDigest = field(default_factory=RowDigest, compare=False)

    def __str__(self) -> str:
        """Return the URL, which has no password."""
        return str(self.url)

    @property
    def name(self) -> str:
        """The URL, which has no password."""
        return str(self.url)

    @property
    def path(self) -> "DatabaseInput":
        """The input itself, where a file has its path."""
        return self

    @property
    def member_name(self) -> str:
        """An empty text: no member of an archive."""
        return ""

    def columns(self) -> pa.Schema:
        """Return the columns of the table or query.

        Raises:
            DatabaseError: It cannot be read.
            InputError: Two columns have one name.
        """
        from batch.sql.statements import names_statement

        with connect(self.url, self.password) as connection:
            columns = connection.columns(names_statement(self.url))
        twice = [name for name in columns.names if columns.names.count(name) > 1]
        if twice:
            raise InputError(self, f"has two columns {twice[0]}", "name them apart with AS")
        return columns

    def batches(self, names: Sequence[str] = ()) -> Generator[pa.RecordBatch]:
        """Yield the rows in batches, and count them in `digest`.

        Args:
            names: Columns to read; none for all.

        Raises:
            DatabaseError: It cannot be read, perhaps from the middle on.
        """
        columns = self._chosen(names)
        with (
            connect(self.url, self.password) as connection,
            closing(connection.rows(columns)) as batches,
        ):
            for batch in batches:
                plain = _plain(batch)
                self.digest.add(plain.columns)
                yield plain

    def first(self, names: Sequence[str], n_rows: int) -> pa.Table:
        """Return the rows that the server returns first.

        Args:
            names: Columns to read.
            n_rows: Maximum number of rows.

        Raises:
            DatabaseError: It cannot be read.
        """
        columns = self._chosen(names)
        with (
            connect(self.url, self.password) as connection,
            closing(connection.rows(columns, n_rows)) as batches,
        ):
            found = list(map(_plain, batches))
        return pa.Table.from_batches(found or [pa.RecordBatch.from_pylist([], columns)])

    def _chosen(self, names: Sequence[str]) -> pa.Schema:
        columns = self.columns()
        return pa.schema([columns.field(name) for name in names]) if names else columns


def database_inputs(text: str, settings: BatchSettings) -> list[DatabaseInput]:
    """Return the table or query that a URL names, or the tables of events of its database.

    Args:
        text: URL of a database.
        settings: Settings of the batch: the file of passwords.

    Raises:
        InputError: The URL is not valid, or the database has no tables of events.
    """
    url = parse_url(text)
    password = password_of(url, settings.database_password_file, os.environ)
    if url.table or url.query:
        return [DatabaseInput(url, settings, password)]
    with connect(url, password) as connection:
        from batch.sql.statements import exists_statement

        counts = {kind.name: exists_statement(url, kind.name) for kind in EVENT_TYPES}
        found = [name for name, count in counts.items() if connection.value(count)]
    if not found:
        problem = "names no table, and has no tables of events"
        raise InputError(url, problem, "add ?table=NAME or ?query=SELECT …")
    return [DatabaseInput(replace(url, table=name), settings, password) for name in found]


@contextmanager
def open_database(
    text: str, settings: BatchSettings, keep_days: int | None = None
) -> Iterator["DatabaseTarget"]:
    """Open a database for an ingest; see `target.open_target`.

    Args:
        text: URL of a database, without a table or a query.
        settings: Settings of the batch: the file of passwords.
        keep_days: Number of whole days before today that are kept; None for all.

    Raises:
        BatchError: The URL is not valid, or the database cannot be written.
    """
    if not is_database_url(text):
        remedy = "write e.g. sqlite:///events.db, or name a directory with --out"
        raise InputError(text, "is not the URL of a database", remedy)
    url = parse_url(text)
    if url.table or url.query:
        problem = "names a table or a query"
        raise InputError(url, problem, "leave it out: ingest writes to tables of its own")
    password = password_of(url, settings.database_password_file, os.environ)
    connection = connect(url, password, creates=True)
    from batch.sql.target import open_target

    with open_target(connection, keep_days) as target:
        yield target


def record_input(text: str, settings: BatchSettings) -> Path | DatabaseInput:
    """Return the file, table or query of a catalogue or of profiles.

    Args:
        text: Path, or URL of a database with a table or a query.
        settings: Settings of the batch: the file of passwords.

    Raises:
        InputError: The URL is not valid, or names no table or query.
    """
    if not is_database_url(text):
        return Path(text)
    url = parse_url(text)
    if not (url.table or url.query):
        raise InputError(url, "names no table", "add ?table=NAME or ?query=SELECT …")
    password = password_of(url, settings.database_password_file, os.environ)
    return DatabaseInput(url, settings, password)


def _plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return columns without extension types, such as that of PostgreSQL's decimals."""
    columns = [c.storage if isinstance(c, pa.ExtensionArray) else c for c in batch.columns]
    return pa.RecordBatch.from_arrays(columns, batch.schema.names)
