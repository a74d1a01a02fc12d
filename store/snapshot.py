"""Reading: one open snapshot, ready for lookups.

A lookup costs what py-lmdb's `get` costs: each table is one read transaction
that lives as long as the snapshot. That is safe only because the file never
changes.
"""

import contextlib
import fcntl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self, cast

import lmdb

from store.errors import CorruptSnapshotError
from store.layout import FACTORS, MANIFEST, RECS, SEEN, snapshot_folder
from store.manifest import Manifest, read_manifest, verify


class Table:
    """A named database of an open snapshot; iterating yields its records in key order.

    Attributes:
        get: Lookup of a key, None if it is missing; py-lmdb's own method, unwrapped.
    """

    __slots__ = ("_transaction", "get")

    def __init__(self, transaction: lmdb.Transaction) -> None:
        self._transaction = transaction
        self.get = cast(Callable[[bytes], bytes | None], transaction.get)

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        return cast(Iterator[tuple[bytes, bytes]], iter(self._transaction.cursor()))


class Snapshot:
    """An open snapshot. Open it after a fork, and only once in a process.

    Attributes:
        folder: Directory of the snapshot.
        manifest: Parsed manifest.
        users, spares, similar, fallback, profiles, items, rows: Tables of `recs.mdb`;
            `store/README.md` lists their keys and values.
        teams: Table of team bits, None in a snapshot that interleaves no others.
    """

    def __init__(self, folder: Path, manifest: Manifest, held: contextlib.ExitStack) -> None:
        self.folder = folder
        self.manifest = manifest
        self._held = held
        self._recs = held.enter_context(_open(folder / RECS))
        self.users = self._table("users")
        self.spares = self._table("spares")
        self.similar = self._table("similar")
        self.fallback = self._table("fallback")
        self.profiles = self._table("profiles")
        self.items = self._table("items")
        self.rows = self._table("rows")
        self.teams = self._table("teams") if f"{RECS}/teams" in manifest.counts else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def generation(self) -> int:
        """The snapshot's serial number."""
        return self.manifest.generation

    def close(self) -> None:
        """Close the files. A lookup afterwards raises `lmdb.Error`."""
        self._held.close()

    def _table(self, name: str) -> Table:
        try:
            return Table(self._recs.begin(db=self._recs.open_db(name.encode(), create=False)))
        except lmdb.Error as error:
            raise CorruptSnapshotError(self.folder / RECS, f"table {name}: {error}") from error


def open_snapshot(store: Path, generation: int, *, verified: bool = False) -> Snapshot:
    """Open one generation for reading.

    Args:
        store: Directory of the store.
        generation: Generation to open; `current(store)` is the served one.
        verified: Whether the caller has just verified it: only the manifest
            is read then.

    Raises:
        NoSnapshotError, CorruptSnapshotError, IncompatibleSnapshotError.
    """
    folder = snapshot_folder(store, generation)
    held = contextlib.ExitStack()
    try:
        _hold(folder, held)
        manifest = read_manifest(folder) if verified else verify(folder)
        return Snapshot(folder, manifest, held)
    except BaseException:
        held.close()
        raise


def _hold(folder: Path, held: contextlib.ExitStack) -> None:
    """Take a shared lock on the manifest: `prune` needs an exclusive one, so it skips this."""
    with contextlib.suppress(
        OSError
    ):  # missing or unreadable: `read_manifest` raises the right error
        file = held.enter_context((folder / MANIFEST).open("rb"))
        fcntl.flock(file, fcntl.LOCK_SH)


def open_factors(snapshot: Snapshot) -> lmdb.Environment:
    """Open the vectors of a snapshot; `store/README.md` lists the tables."""
    return _open(snapshot.folder / FACTORS)


@contextlib.contextmanager
def open_seen(snapshot: Snapshot) -> Iterator[Table]:
    """Open the items of each user; `store/README.md` describes the values.

    Raises:
        CorruptSnapshotError: The snapshot has no such file, or it is damaged.
    """
    path = snapshot.folder / SEEN
    with contextlib.closing(_open(path)) as seen:
        try:
            yield Table(seen.begin(db=seen.open_db(b"users", create=False)))
        except lmdb.Error as error:
            raise CorruptSnapshotError(path, f"table users: {error}") from error


def _open(path: Path) -> lmdb.Environment:
    try:
        return lmdb.open(
            str(path), subdir=False, readonly=True, lock=False, max_dbs=8, readahead=False
        )
    except lmdb.Error as error:
        raise CorruptSnapshotError(path, f"cannot be opened: {error}") from error
