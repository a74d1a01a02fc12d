"""Recent views: what users have watched since the snapshot was made.

    recent.mdb      user_id → item ids, comma-separated, the newest first
    recent.mdb-lock LMDB's own: readers and the writer see each other through it
    CURRENT
    snapshots/…

The one LMDB file of a store that changes in place: whoever collects the events
writes it, every server reads it, and LMDB's own transactions keep the two
apart. It may be missing, and may be removed at any time: it only makes the
answer for a user without a list a better one.
"""

import contextlib
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import lmdb

from store.errors import CorruptRecentError, WriteError

RECENT_LENGTH: Final = 20  # item ids kept of a user

_FILE: Final = "recent.mdb"
_MAP_BYTES: Final = 1 << 34  # address space, not disk


def recent_file(store: Path) -> Path:
    """Where the recent views stand; it need not exist."""
    return store / _FILE


class RecentViews:
    """Reads `recent.mdb`. Open it after a fork, and only once in a process."""

    def __init__(self, store: Path) -> None:
        """Open the file.

        Raises:
            CorruptRecentError: It is no LMDB file, or not all of it is there.
        """
        path = recent_file(store)
        try:
            self._environment = lmdb.open(
                str(path),
                subdir=False,
                readonly=True,
                map_size=_MAP_BYTES,  # what the writer's may grow to
                max_readers=1024,
                readahead=False,
            )
            self._environment.reader_check()  # the places of servers that were killed
        except lmdb.Error as error:
            raise CorruptRecentError(path, f"cannot be opened: {error}") from error
        _refuse_if_cut(self._environment, path)

    def get(self, user_id: bytes) -> list[bytes]:
        """Return the items that the user watched, the newest first.

        Raises:
            lmdb.Error: The file cannot be read any more; open it again.
        """
        with self._environment.begin() as transaction:
            body = transaction.get(user_id)
        return body.split(b",") if body else []

    def close(self) -> None:
        """Give back the file."""
        self._environment.close()


class RecentWriter:
    """Adds views to `recent.mdb`; one process at a time, readers are never held up."""

    def __init__(self, store: Path) -> None:
        """Open the file, or make it.

        Raises:
            WriteError: The store cannot be written to.
            CorruptRecentError: The file is there, but not all of it.
        """
        self._path = recent_file(store)
        try:
            self._environment = lmdb.open(
                str(self._path), subdir=False, map_size=_MAP_BYTES, max_readers=1024
            )
            self._environment.reader_check()  # the places of servers that were killed
        except lmdb.Error as error:
            raise WriteError(self._path, f"cannot be opened: {error}") from error
        _refuse_if_cut(self._environment, self._path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._environment.close()

    def add(self, views: Iterable[tuple[str, str]]) -> None:
        """Write views down, durably and all or none.

        Args:
            views: User id and item id of each, the oldest first.

        Raises:
            WriteError: The disk is full or broken; none of them is written.
        """
        try:
            with self._environment.begin(write=True) as transaction:
                for user_id, item_id in views:
                    key, item = user_id.encode(), item_id.encode()
                    known = (transaction.get(key) or b"").split(b",")
                    latest = dict.fromkeys([item, *filter(None, known)])
                    transaction.put(key, b",".join([*latest][:RECENT_LENGTH]))
            self._environment.reader_check()
        except lmdb.Error as error:
            raise WriteError(self._path, f"cannot be written: {error}") from error


def open_recent(store: Path) -> RecentViews | None:
    """Return the recent views of a store, None where nobody collects them.

    Raises:
        CorruptRecentError: The file is there, but cannot be read.
    """
    with contextlib.suppress(FileNotFoundError):
        recent_file(store).stat()
        return RecentViews(store)
    return None


def _refuse_if_cut(environment: lmdb.Environment, path: Path) -> None:
    n_bytes = (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]
    if path.stat().st_size < n_bytes:  # reading behind the end would kill this process
        environment.close()
        raise CorruptRecentError(path, f"is cut off: it should have {n_bytes} bytes")
