"""Recent views: items that users have watched since the snapshot was made.

    recent.mdb      user_id → item ids, comma-separated, the newest first
    recent.mdb-lock LMDB's lock file, shared by readers and the writer
    CURRENT
    snapshots/…

An LMDB file that changes in place, like `fresh.mdb`: the process that collects events
writes it, every server reads it, and LMDB's transactions isolate them. It is
optional and may be removed at any time: it only improves the answers to users
without a list.
"""

import contextlib
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import lmdb

from store.errors import CorruptRecentError, WriteError
from store.in_place import InPlace, checked_records

RECENT_LENGTH: Final = 20  # maximum number of item ids kept for a user

_FILE: Final = "recent.mdb"
_MAP_BYTES: Final = 1 << 34  # address space, not disk
_MAX_KEY_BYTES: Final = 511  # LMDB's own: a longer item id cannot be looked up anywhere
_MAX_BODY_BYTES: Final = RECENT_LENGTH * (_MAX_KEY_BYTES + 1)


def recent_file(store: Path) -> Path:
    """Return the path of the recent views, which need not exist."""
    return store / _FILE


class RecentViews:
    """Reads `recent.mdb`. Open it after a fork, and only once in a process."""

    def __init__(self, store: Path) -> None:
        """Open the file.

        Raises:
            CorruptRecentError: It is not an LMDB file, or is truncated.
        """
        self._environment = _in_place(recent_file(store)).open_to_read()

    def get(self, user_id: bytes) -> list[bytes]:
        """Return the items that the user watched, the newest first, as far as they can be item ids.

        Raises:
            lmdb.Error: The file cannot be read any more; reopen it.
        """
        with self._environment.begin() as transaction:
            body = transaction.get(user_id)
        if not body or len(body) > _MAX_BODY_BYTES:
            return []
        names = body.split(b",", RECENT_LENGTH)[:RECENT_LENGTH]
        return [name for name in names if 0 < len(name) <= _MAX_KEY_BYTES]

    def check(self) -> None:
        """Read every record, and find it again by its key.

        Raises:
            lmdb.Error: A page is damaged.
            ValueError: The records are not in the order of their keys, or not as many as counted.
        """
        with self._environment.begin() as transaction:
            for _ in checked_records(transaction, transaction.stat()["entries"]):
                pass

    def close(self) -> None:
        """Close the file."""
        self._environment.close()


class RecentWriter:
    """Adds views to `recent.mdb`: one process at a time, without blocking readers."""

    def __init__(self, store: Path) -> None:
        """Open the file, or create it.

        Raises:
            WriteError: The store cannot be written to.
            CorruptRecentError: The file is truncated.
        """
        self._path = recent_file(store)
        self._environment = _in_place(self._path).open_to_write()

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
        """Store views durably, all or none.

        Args:
            views: User id and item id of each view, the oldest first.

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


def remove_users(path: Path, user_ids: Iterable[str]) -> list[str]:
    """Remove users from a file of recent views, and return those that were in it.

    Other processes may read and write the file meanwhile. The bytes of removed records stay
    in free pages until LMDB uses these again; no reader can look them up.

    Raises:
        WriteError: The file cannot be written to.
        CorruptRecentError: It is truncated.
    """
    environment = _in_place(path).open_to_write()
    try:
        with environment.begin(write=True) as transaction:
            return [name for name in user_ids if transaction.delete(name.encode())]
    except lmdb.Error as error:
        raise WriteError(path, f"cannot be written: {error}") from error
    finally:
        environment.close()


def open_recent(store: Path) -> RecentViews | None:
    """Return the recent views of a store, None if the file does not exist.

    Raises:
        CorruptRecentError: The file exists, but cannot be read.
    """
    with contextlib.suppress(FileNotFoundError):
        recent_file(store).stat()
        return RecentViews(store)
    return None


def check_recent(store: Path) -> None:
    """Read all of `recent.mdb`, in a process of its own: a damaged page may crash it.

    Raises:
        CorruptRecentError: It is damaged.
    """
    views = RecentViews(store)
    try:
        views.check()
    except (lmdb.Error, ValueError) as error:
        raise CorruptRecentError(recent_file(store), f"is damaged: {error}") from error
    finally:
        views.close()


def _in_place(path: Path) -> InPlace:
    return InPlace(path, CorruptRecentError, _MAP_BYTES)
