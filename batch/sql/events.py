"""Events from a table or a query of a database, piece by piece."""

from collections.abc import Iterator
from contextlib import closing
from typing import Final

from batch.events.parquet import column_names, parsed_rows
from batch.events.parsed import Piece
from batch.sql.source import DatabaseInput

_KINDS: Final = {"postgresql": "PostgreSQL", "mysql": "MariaDB", "sqlite": "SQLite"}
_UNKNOWN_ROWS: Final = 1 << 40  # of a result whose length only its end tells


def kind_of_database(source: DatabaseInput) -> str:
    """Return the kind in messages and in the manifest."""
    return f"{_KINDS[source.url.dialect]} {'table' if source.url.table else 'query'}"


def read_database(source: DatabaseInput) -> Iterator[Piece]:
    """Yield the events of a table or a query in pieces.

    Args:
        source: Table or query.

    Raises:
        DatabaseError: It cannot be read, perhaps from the middle on.
        InputError: It has no column of users or of items.
    """
    have = source.columns().names
    names = stored_columns(have) or column_names(source, have)
    number = 1
    with closing(source.batches(list(names.values()))) as batches:
        for batch in batches:
            columns = {column: batch[name] for column, name in names.items()}
            parsed, rejected = parsed_rows(columns, number)
            number += len(batch)
            yield Piece(len(batch), parsed, rejected, _UNKNOWN_ROWS)


def stored_columns(have: list[str]) -> dict[str, str]:
    """Return the columns of a table of accounts or answers by themselves; empty for others."""
    from batch.sql.tables import EVENT_TABLES

    for table in EVENT_TABLES:
        stored = [column.name for column in table.table.columns]
        if set(have) == set(stored) and table.kind.name in ("accounts", "answers"):
            return {name: name for name in table.kind.columns}
    return {}
