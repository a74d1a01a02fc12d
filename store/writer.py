"""Writing: build one snapshot in a directory of its own, then rename it into place.

    snapshots/000042.building/     tables in key order, appended by LMDB's bulk path
        recs.mdb factors.mdb items.ann, and optional files
        recs.00.mdb recs.01.mdb …  in shards: the tables by user of recs.mdb, divided
        apart/                     shard files that other processes write, until they are taken
        MANIFEST.json SHA256SUMS   then every file and the directory to disk
    snapshots/000042/              after the rename; it never changes again

A build that fails removes its files, so the store is unchanged. The files of a
build that was killed are removed by the next writer.
"""

import itertools
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import lmdb

from store.append import CHUNK_RECORDS, Records, append, n_entries, new_environment
from store.durable import fsync_path
from store.errors import WriteError
from store.journal import journal
from store.layout import (
    DATA_FILES,
    FACTORS,
    FORMAT_VERSION,
    FORMAT_VERSIONS,
    RECS,
    USER_TABLES,
    building_folder,
    generations,
    is_optional_file,
    is_shard_file,
    shard_file,
    snapshot_folder,
)
from store.manifest import Manifest, write_manifest
from store.pointer import current_or_none
from store.shards import Shards, shards_of
from store.written_shard import WrittenShard

_APART: Final = "apart"
_FULL_DISK_BYTES: Final = 1 << 20  # LMDB allocates pages, and fails shortly before the last one

ShardsOf = Callable[[Sequence[bytes], int], Iterable[int]]


class SnapshotWriter:
    """Builds one generation; use it in a `with` inside `writing(store)`.

    Args:
        store: Directory of the store.
        n_shards: Number of files that the tables by user of RECS are divided among.
        shards_of: Function that returns the shards of user ids, as `store.shards.shards_of`.

    Attributes:
        generation: Serial number of the new snapshot.
        parent: Generation that is current now, if any.
        n_shards: Number of files that the tables by user of RECS are divided among.
        counts: Number of entries by table written so far, such as `recs.mdb/users`.
    """

    def __init__(self, store: Path, n_shards: int = 1, shards_of: ShardsOf = shards_of) -> None:
        try:
            known = [*generations(store), *(line.generation for line in journal(store))]
        except OSError as error:
            raise WriteError(store, f"cannot be read: {error.strerror}") from error
        self.generation = max(known, default=0) + 1
        self.parent = current_or_none(store)
        self.counts: dict[str, int] = {}
        self._store = store
        self._folder = building_folder(store, self.generation)
        self._environments: dict[str, lmdb.Environment] = {}
        self._checksums: dict[str, str] = {}
        self.n_shards = n_shards
        self._shards_of = shards_of

    def __enter__(self) -> Self:
        try:
            self._folder.mkdir(parents=True)
            for name in (RECS, FACTORS):
                self._environments[name] = new_environment(self._folder / name)
        except (OSError, lmdb.Error) as error:
            self._discard()
            raise WriteError(self._folder, f"cannot be written: {self._why(error)}") from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._discard()  # does nothing after `finish`

    def path(self, name: str) -> Path:
        """Return where to write a data file that is not LMDB's, such as `items.ann`."""
        return self._folder / name

    def table(self, file: str, name: str, records: Records) -> int:
        """Write one named database and return its entries.

        Args:
            file: RECS, FACTORS, or SEEN, which is made with its first table. The shards
                get the tables by user of RECS.
            name: Name of the database.
            records: Keys and values in ascending byte order of keys, no key twice.

        Raises:
            WriteError: The disk is full, or the keys are out of order. (LMDB
                itself would drop such a record without an error.)
        """
        is_divided = self.n_shards > 1 and file == RECS and name in USER_TABLES
        files = [shard_file(shard) for shard in range(self.n_shards)] if is_divided else [file]
        n_records = 0
        try:
            tables = [self._open_table(one, name) for one in files]
            for shard, chunk in _chunks(records, len(files), self._shards_of):
                n_added = append(*tables[shard], chunk)
                if n_added != len(chunk):
                    raise WriteError(
                        self._folder / files[shard],
                        f"{name}: keys out of order after {n_records + n_added} records",
                        "report this bug: the batch must sort by key",
                    )
                n_records += n_added
            n_stored = sum(n_entries(*table) for table in tables)
        except (OSError, lmdb.Error) as error:
            raise WriteError(self._folder / file, f"{name}: {self._why(error)}") from error
        if n_stored != n_records:
            raise WriteError(
                self._folder / file, f"{name}: {n_stored} of {n_records} records were stored"
            )
        self.counts[f"{file}/{name}"] = n_records
        return n_records

    def _open_table(self, file: str, name: str) -> tuple[lmdb.Environment, Any]:
        if file not in self._environments:
            self._environments[file] = new_environment(self._folder / file)
        environment = self._environments[file]
        return environment, environment.open_db(name.encode())

    def folder_apart(self) -> Path:
        """Return the folder, from the root, for shard files that other processes write.

        Raises:
            WriteError: The folder cannot be made.
        """
        folder = self._folder.absolute() / _APART
        try:
            folder.mkdir()
        except OSError as error:
            raise WriteError(folder, f"cannot be made: {self._why(error)}") from error
        return folder

    def take_shards(self, written: Collection[WrittenShard]) -> None:
        """Rename the shard files that other processes have written into place.

        Everything else in the folder for them is removed.

        Args:
            written: One completed attempt for each shard.

        Raises:
            WriteError: A shard is missing or there twice, or a file is not here.
        """
        folder = self._folder / _APART
        if sorted(one.shard for one in written) != list(range(self.n_shards)):
            what = f"shards {sorted(one.shard for one in written)} of {self.n_shards} were written"
            raise WriteError(folder, what)
        for one in written:
            name = shard_file(one.shard)
            try:
                one.found_in(folder).rename(self._folder / name)
            except OSError as error:
                raise WriteError(folder, f"{name}: {self._why(error)}") from error
            self._checksums[name] = one.sha256
            for table, n_records in one.counts.items():
                key = f"{RECS}/{table}"
                self.counts[key] = self.counts.get(key, 0) + n_records
        shutil.rmtree(folder, ignore_errors=True)

    def finish(self, **about: Any) -> Manifest:
        """Force everything to disk, write the manifest, and rename into place.

        Args:
            about: Fields of `Manifest` that the caller provides.

        Raises:
            WriteError: Something could not be written; nothing is left behind.
        """
        try:
            for environment in self._environments.values():
                environment.sync(True)
                environment.close()
            self._environments.clear()
            optional = [path.name for path in self._folder.iterdir() if is_optional_file(path.name)]
            names = sorted((*DATA_FILES, *optional))
            for name in names:
                fsync_path(self._folder / name)
            manifest = Manifest(
                # The lowest that describes it, so that older code reads what it can.
                format_version=_format_version(optional, about.get("arm")),
                shards=Shards(self.n_shards) if self.n_shards > 1 else None,
                generation=self.generation,
                parent=self.parent,
                counts=self.counts,
                files={name: (self._folder / name).stat().st_size for name in names},
                **about,
            )
            write_manifest(self._folder, manifest, self._checksums)
            fsync_path(self._folder)
            self._folder.rename(snapshot_folder(self._store, self.generation))
            fsync_path(self._folder.parent)
            fsync_path(self._store)
        except (OSError, lmdb.Error) as error:
            shutil.rmtree(snapshot_folder(self._store, self.generation), ignore_errors=True)
            raise WriteError(self._folder, f"cannot be written: {self._why(error)}") from error
        return manifest

    def _why(self, error: Exception) -> str:
        """Return the cause: LMDB reports a full disk as "Input/output error"."""
        is_full = shutil.disk_usage(self._store).free < _FULL_DISK_BYTES
        return f"{error}; the disk is full" if is_full else str(error)

    def _discard(self) -> None:
        for environment in self._environments.values():
            environment.close()
        self._environments.clear()
        shutil.rmtree(self._folder, ignore_errors=True)


def _format_version(optional: list[str], arm: str | None) -> int:
    if any(map(is_shard_file, optional)):
        return FORMAT_VERSION
    if arm is not None:
        return FORMAT_VERSIONS[2]
    return FORMAT_VERSIONS[1] if optional else FORMAT_VERSIONS[0]


def _chunks(
    records: Records, n_shards: int, shards_of: ShardsOf
) -> Iterator[tuple[int, list[tuple[bytes, bytes]]]]:
    """Yield shard and records of each transaction.

    A shard's chunks are those that it would get alone, so its file does not depend on the others.
    """
    rest = iter(records)
    waiting: list[list[tuple[bytes, bytes]]] = [[] for _ in range(n_shards)]
    n_chunk = CHUNK_RECORDS // n_shards
    while chunk := list(itertools.islice(rest, CHUNK_RECORDS)):
        if n_shards == 1:
            yield 0, chunk
            continue
        shards = shards_of([key for key, _ in chunk], n_shards)
        for record, shard in zip(chunk, shards, strict=True):
            waiting[shard].append(record)
        for shard, part in enumerate(waiting):
            while len(part) >= n_chunk:
                yield shard, part[:n_chunk]
                del part[:n_chunk]
    yield from ((shard, part) for shard, part in enumerate(waiting) if part)
