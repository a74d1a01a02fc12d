"""Files that change in place: one process writes, every server reads.

    fresh.mdb, recent.mdb ─► a regular file? ─► LMDB opens it ─► complete? ─► environment

LMDB's transactions isolate the processes, but it has no checksums and maps what it is given:
a file that is shorter than its last page says would kill its reader.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast

import lmdb

from store.errors import StoreError, WriteError


class InPlace(NamedTuple):
    """One such file.

    Attributes:
        path: Path of the file.
        corrupt: Error for a file that cannot be read.
        map_bytes: Maximum size of the file: address space, not disk.
        max_readers: Maximum number of processes that read it at a time.
        n_tables: Number of named tables, 0 for one without a name.
    """

    path: Path
    corrupt: type[StoreError]
    map_bytes: int
    max_readers: int = 1024
    n_tables: int = 0

    def open_to_read(self) -> lmdb.Environment:
        """Open the file.

        Raises:
            StoreError: Of type `corrupt`: it is not an LMDB file, or is truncated.
        """
        if not _is_regular(self.path):  # opening a pipe would wait for ever
            raise self.corrupt(self.path, "cannot be opened: it is not a regular file")
        return self._open(self.corrupt, readonly=True, readahead=False)

    def open_to_write(self) -> lmdb.Environment:
        """Open the file, or create it.

        Raises:
            WriteError: It cannot be written to.
            StoreError: Of type `corrupt`: it is truncated.
        """
        return self._open(WriteError)

    def _open(self, failed: type[StoreError], **more: Any) -> lmdb.Environment:
        try:
            environment = lmdb.open(
                str(self.path),
                subdir=False,
                map_size=self.map_bytes,
                max_readers=self.max_readers,
                max_dbs=self.n_tables,
                **more,
            )
            environment.reader_check()  # frees the reader slots of killed servers
        except lmdb.Error as error:
            raise failed(self.path, f"cannot be opened: {error}") from error
        n_bytes = (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]
        if self.path.stat().st_size < n_bytes:
            environment.close()
            raise self.corrupt(self.path, f"is truncated: it should have {n_bytes} bytes")
        return environment


def checked_records(
    transaction: lmdb.Transaction, n_expected: int
) -> Iterator[tuple[bytes, bytes]]:
    """Yield every record of the transaction's table, after finding it again by its key.

    Raises:
        lmdb.Error: A page is damaged.
        ValueError: The records are not in the order of their keys, or not as many as counted.
    """
    last, n_records = b"", 0
    for key, value in cast(Iterator[tuple[bytes, bytes]], iter(transaction.cursor())):
        n_records += 1
        if key <= last or n_records > n_expected or transaction.get(key) != value:
            raise ValueError(f"record {n_records} is out of order")
        yield key, value
        last = key
    if n_records != n_expected:
        raise ValueError(f"{n_records} records instead of {n_expected}")


def _is_regular(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False
