"""SQLite: one table in one file, written once and then mapped."""

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from benchmarks.store.subjects import Get, Records
from store.durable import fsync_path

_PAGE_BYTES = 16_384  # the fastest of 4,096, 8,192 and 16,384, to load and to look up


class Sqlite:
    """A table WITHOUT ROWID; a rowid table with an index loads 5 % faster, with slower lookups."""

    name = "sqlite"
    version = f"SQLite {sqlite3.sqlite_version}"
    configuration = (
        "WITHOUT ROWID, pages of 16 KiB, one executemany in one transaction in key order, "
        "journal_mode=OFF, synchronous=OFF, fsync of file and directory at the end; "
        "immutable=1, mmap_size over the whole file, one prepared statement"
    )

    def missing(self) -> str | None:
        """Return None: it is part of Python."""
        return None

    def write(self, folder: Path, records: Records) -> dict[str, float]:
        """Insert all lists in one transaction without a journal, then fsync."""
        [path] = self.files(folder)
        start = time.perf_counter()
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.executescript(f"""
                PRAGMA page_size = {_PAGE_BYTES};
                PRAGMA journal_mode = OFF;
                PRAGMA synchronous = OFF;
                PRAGMA locking_mode = EXCLUSIVE;
                CREATE TABLE lists (user_id BLOB PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
                BEGIN;
            """)
            connection.executemany("INSERT INTO lists VALUES (?, ?)", records)
            connection.execute("COMMIT")
        loaded = time.perf_counter()
        fsync_path(path)
        fsync_path(folder)
        end = time.perf_counter()
        return {"write": end - start, "table": loaded - start, "sync": end - loaded}

    @contextlib.contextmanager
    def opened(self, folder: Path) -> Iterator[Get]:
        """Map the file; Python's module caches the prepared statement."""
        [path] = self.files(folder)
        uri = f"file:{path}?mode=ro&immutable=1"
        with contextlib.closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as connection:
            connection.execute(f"PRAGMA mmap_size = {2 * path.stat().st_size}")
            execute = connection.cursor().execute

            def get(key: bytes) -> bytes | None:
                row = execute("SELECT body FROM lists WHERE user_id = ?", (key,)).fetchone()
                return cast(bytes, row[0]) if row else None

            yield get

    def files(self, folder: Path) -> list[Path]:
        """Return the one file."""
        return [folder / "lists.sqlite"]
