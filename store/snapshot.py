"""Reading: one open snapshot, ready for lookups.

A lookup costs what py-lmdb's `get` costs: each table is one read transaction
that lives as long as the snapshot. That is safe only because the file never
changes.
"""

import contextlib
import fcntl
import heapq
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Self, cast

import lmdb

from store.errors import CorruptSnapshotError, PartialSnapshotError
from store.layout import FACTORS, MANIFEST, RECS, SEEN, shard_file, snapshot_folder
from store.manifest import Manifest, read_manifest, verify
from store.partial import closed_shards, shards_in_place
from store.progress import Progress, silent
from store.shards import by_shard, shard_function, shard_of


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


class ShardedTable(Table):
    """A table by user that is divided among shards; iterating merges them in key order.

    Args:
        tables: Table of each shard; None for a shard that is not open, whose users have
            no record.
    """

    __slots__ = ("_tables",)

    def __init__(self, tables: Sequence[Table | None]) -> None:
        self._tables = tables
        self.get = by_shard([table.get if table else _no_record for table in tables])

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        return heapq.merge(*filter(None, self._tables))  # no key is in two of them

    def misplaced(self) -> Iterator[bytes]:
        """Yield the keys of records that no lookup finds: they are in another user's shard."""
        shard_of = shard_function(len(self._tables))
        for shard, table in enumerate(self._tables):
            for key, _ in table or ():
                if shard_of(key) != shard:
                    yield key


class Snapshot:
    """An open snapshot. Open it after a fork, and only once in a process.

    Attributes:
        folder: Directory of the snapshot.
        manifest: Parsed manifest.
        closed_shards: Shards that were not opened: their users have no record.
        users, spares, similar, fallback, profiles, items, rows: Tables of `recs.mdb` and
            its shards; `store/README.md` lists their keys and values.
        teams: Table of team bits, None in a snapshot that interleaves no others.
    """

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        held: contextlib.ExitStack,
        shards: Collection[int] | None = None,
    ) -> None:
        self.folder = folder
        self.manifest = manifest
        self.closed_shards = closed_shards(folder, manifest.n_shards, shards)
        self._held = held
        self._recs = held.enter_context(_open(folder / RECS))
        self._shards = [
            held.enter_context(_open(folder / shard_file(shard)))
            if shard not in self.closed_shards
            else None
            for shard in range(manifest.n_shards if manifest.shards else 0)
        ]
        self.users = self._user_table("users")
        self.spares = self._user_table("spares")
        self.similar = self._table(self._recs, "similar")
        self.fallback = self._table(self._recs, "fallback")
        self.profiles = self._user_table("profiles")
        self.items = self._table(self._recs, "items")
        self.rows = self._table(self._recs, "rows")
        self.teams = self._user_table("teams") if f"{RECS}/teams" in manifest.counts else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def generation(self) -> int:
        """The snapshot's serial number."""
        return self.manifest.generation

    def closed_shard_of(self, user_id: bytes) -> int | None:
        """Return the user's shard if it was not opened: a list may exist on another machine."""
        if not self.closed_shards:
            return None
        shard = shard_of(user_id, self.manifest.n_shards)
        return shard if shard in self.closed_shards else None

    def check_user(self, user_id: str) -> None:
        """Check that the user's shard is open.

        Raises:
            PartialSnapshotError: It is not.
        """
        if (shard := self.closed_shard_of(user_id.encode())) is not None:
            raise PartialSnapshotError(self.folder, f"shard {shard} of user {user_id} is not here")

    def close(self) -> None:
        """Close the files. A lookup afterwards raises `lmdb.Error`."""
        self._held.close()

    def _user_table(self, name: str) -> Table:
        if not self._shards:
            return self._table(self._recs, name)
        tables = (self._table(shard, name) if shard else None for shard in self._shards)
        return ShardedTable([*tables])

    def _table(self, environment: lmdb.Environment, name: str) -> Table:
        try:
            return Table(environment.begin(db=environment.open_db(name.encode(), create=False)))
        except lmdb.Error as error:
            raise CorruptSnapshotError(environment.path(), f"table {name}: {error}") from error


def open_snapshot(
    store: Path,
    generation: int,
    *,
    verified: bool = False,
    shards: Collection[int] | None = None,
    progress: Progress = silent,
) -> Snapshot:
    """Open one generation for reading.

    Args:
        store: Directory of the store.
        generation: Generation to open; `current(store)` is the served one.
        verified: Whether the caller has just verified it: only the manifest
            is read then.
        shards: Shards to verify and to open of a snapshot that has any; None means all.
        progress: What shows how much is verified.

    Raises:
        NoSnapshotError, CorruptSnapshotError, IncompatibleSnapshotError.
        PartialSnapshotError: One of the shards was not pulled.
    """
    folder = snapshot_folder(store, generation)
    held = contextlib.ExitStack()
    try:
        _hold(folder, held)
        manifest = read_manifest(folder) if verified else verify(folder, shards, progress)
        return Snapshot(folder, manifest, held, shards)
    except BaseException:
        held.close()
        raise


def open_what_is_here(store: Path, generation: int, *, progress: Progress = silent) -> Snapshot:
    """Verify and open one generation; a partial one with the shards that were pulled.

    `progress` shows how much of it is verified.

    Raises:
        NoSnapshotError, CorruptSnapshotError, IncompatibleSnapshotError.
    """
    shards = shards_in_place(snapshot_folder(store, generation))
    return open_snapshot(store, generation, shards=shards, progress=progress)


def _no_record(_: bytes) -> None:
    """Return the record of a user whose shard is not open."""


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
