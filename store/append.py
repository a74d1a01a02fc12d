"""Appending: records in key order to a table of a new LMDB file, by LMDB's bulk path."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import lmdb

CHUNK_RECORDS: Final = 10_000  # in LMDB transactions at a time, of all shards together
_MAP_BYTES: Final = 1 << 40  # address space, not disk: the file grows with its content
_MAX_TABLES: Final = 8

Records = Iterable[tuple[bytes, bytes]]


def new_environment(path: Path) -> lmdb.Environment:
    """Return a new file, not synced by its transactions: the caller does it once.

    It is not read before it is complete, and a crash discards it.
    """
    return lmdb.open(
        str(path),
        subdir=False,
        lock=False,
        map_size=_MAP_BYTES,
        max_dbs=_MAX_TABLES,
        sync=False,
        metasync=False,
        meminit=True,  # unwritten bytes of a page are zeros: same input, same file
    )


def append(environment: lmdb.Environment, table: Any, chunk: list[tuple[bytes, bytes]]) -> int:
    """Append records to a table; return their number without those out of order."""
    # One transaction a chunk: LMDB keeps its pages in memory until it ends.
    with environment.begin(write=True, db=table) as transaction:
        _, n_added = transaction.cursor().putmulti(chunk, dupdata=False, append=True)
    return int(n_added)


def n_entries(environment: lmdb.Environment, table: Any) -> int:
    """Return the number of records of a table."""
    with environment.begin(db=table) as transaction:
        return int(transaction.stat(table)["entries"])
