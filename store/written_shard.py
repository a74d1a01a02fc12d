"""A shard file that is written apart: by another process, perhaps on another machine.

    000042.building/apart/recs.03.mdb.5f0c…   one attempt; others have other names
                    recs.03.mdb               the attempt that was completed, renamed

Attempts that failed, or that came second, leave files in `apart` that nobody reads.
The writer of the snapshot removes them with the folder: see `SnapshotWriter.take_shards`.
"""

import contextlib
import itertools
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import lmdb

from store.append import CHUNK_RECORDS, Records, append, n_entries, new_environment
from store.durable import fsync_path
from store.errors import WriteError
from store.layout import shard_file
from store.manifest import sha256

_SHARED: Final = (
    "let all machines that write have the store under the same path, such as a mounted NFS volume"
)


@dataclass(frozen=True, slots=True)
class WrittenShard:
    """One completed attempt to write a shard file.

    Attributes:
        shard: Number of the shard.
        name: Name of the file in the folder for attempts.
        n_bytes: Size of the file.
        sha256: SHA-256 of the file in hexadecimal.
        counts: Number of records by name of a table.
    """

    shard: int
    name: str
    n_bytes: int
    sha256: str
    counts: dict[str, int]

    def found_in(self, folder: Path) -> Path:
        """Return where the file is.

        Raises:
            WriteError: The folder has no such file of this size.
        """
        path = folder / self.name
        n_bytes = path.stat().st_size if path.is_file() else None
        if n_bytes is None:
            raise WriteError(path, "was written elsewhere, and is not here", _SHARED)
        if n_bytes != self.n_bytes:
            what = f"was written with {self.n_bytes} bytes elsewhere, and has {n_bytes} here"
            raise WriteError(path, what, _SHARED)
        return path


def write_shard(
    folder: Path, shard: int, n_shards: int, tables: Iterable[tuple[str, Records]]
) -> WrittenShard:
    """Write all tables of a shard file under a name of its own, and force it to disk.

    Its bytes are those that `SnapshotWriter` writes of the same records.

    Args:
        folder: Folder for attempts, which exists: see `SnapshotWriter.folder_apart`.
        shard: Number of the shard.
        n_shards: Number of all shards.
        tables: Names and records, ascending by key, of users of this shard.

    Raises:
        WriteError: The folder is not there, the disk is full, or the keys are out of order.
    """
    path = folder / f"{shard_file(shard)}.{secrets.token_hex(8)}"
    if not folder.is_dir():
        raise WriteError(folder, "does not exist on this machine", _SHARED)
    try:
        with contextlib.closing(new_environment(path)) as environment:
            counts = {
                name: _write_table(environment, name, records, CHUNK_RECORDS // n_shards)
                for name, records in tables
            }
            environment.sync(True)
        fsync_path(path)
        return WrittenShard(shard, path.name, path.stat().st_size, sha256(path), counts)
    except (OSError, lmdb.Error) as error:
        raise WriteError(path, f"cannot be written: {error}") from error


def _write_table(environment: lmdb.Environment, name: str, records: Records, n_chunk: int) -> int:
    table, n_records, rest = environment.open_db(name.encode()), 0, iter(records)
    while chunk := list(itertools.islice(rest, n_chunk)):
        n_records += len(chunk)
        append(environment, table, chunk)
    if n_entries(environment, table) != n_records:
        remedy = "report this bug: the batch must sort by key"
        raise WriteError(environment.path(), f"{name}: keys out of order or twice", remedy)
    return n_records
