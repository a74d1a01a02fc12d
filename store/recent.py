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

RECENT_LENGTH: Final = 20  # maximum number of item ids kept for a user

_FILE: Final = "recent.mdb"
_MAP_BYTES: Final = 1 << 34  # address space, not disk
_MAX_READERS: Final = 1024
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
        path = recent_file(store)
        try:
            is_regular = path.is_file()  # opening a pipe would wait for ever
        except OSError:
            is_regular = False
        if not is_regular:
            raise CorruptRecentError(path, "cannot be opened: it is not a regular file")
        try:
            self._environment = lmdb.open(
                str(path),
                subdir=False,
                readonly=True,
                map_size=_MAP_BYTES,  # the writer's limit
                max_readers=_MAX_READERS,
                readahead=False,
            )
            self._environment.reader_check()  # frees the reader slots of killed servers
        except lmdb.Error as error:
            raise CorruptRecentError(path, f"cannot be opened: {error}") from error
        _refuse_if_cut(self._environment, path)

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
        last, n_records = b"", 0
        with self._environment.begin() as transaction:
            n_expected = transaction.stat()["entries"]
            for key, body in transaction.cursor():
                n_records += 1
                if key <= last or n_records > n_expected or transaction.get(key) != body:
                    raise ValueError(f"record {n_records} is out of order")
                last = key
        if n_records != n_expected:
            raise ValueError(f"{n_records} records instead of {n_expected}")

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
        try:
            self._environment = lmdb.open(
                str(self._path), subdir=False, map_size=_MAP_BYTES, max_readers=_MAX_READERS
            )
            self._environment.reader_check()  # frees the reader slots of killed servers
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
    try:
        environment = lmdb.open(
            str(path), subdir=False, map_size=_MAP_BYTES, max_readers=_MAX_READERS
        )
    except lmdb.Error as error:
        raise WriteError(path, f"cannot be opened: {error}") from error
    _refuse_if_cut(environment, path)
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


def _refuse_if_cut(environment: lmdb.Environment, path: Path) -> None:
    n_bytes = (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]
    if path.stat().st_size < n_bytes:  # reading past the end would kill this process
        environment.close()
        raise CorruptRecentError(path, f"is truncated: it should have {n_bytes} bytes")
