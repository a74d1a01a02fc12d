"""A partial snapshot: one of which a pull has fetched some shards alone.

    snapshots/000042/SHARDS      the text "0,1"; no such file where all are in place

Manifest and checksums are those of the whole snapshot. What is absent by choice is not
damage; what needs all users refuses a partial snapshot.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Final

from store.durable import replace_durable
from store.errors import CorruptSnapshotError, IncompatibleSnapshotError, PartialSnapshotError
from store.layout import shard_file
from store.parse import read_small
from store.shards import MAX_SHARDS, parse_shards, shards_in_words

_FILE: Final = "SHARDS"
_MAX_BYTES: Final = 4 * MAX_SHARDS


def shards_in_place(folder: Path) -> frozenset[int] | None:
    """Return the shards that a snapshot's directory has; None for all, or for an undivided one.

    Raises:
        CorruptSnapshotError: The file that names them cannot be read.
    """
    path = folder / _FILE
    try:
        return parse_shards(read_small(path, _MAX_BYTES).decode().strip())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise CorruptSnapshotError(path, f"cannot be read: {error}") from error


def check_whole(folder: Path) -> None:
    """Check that a snapshot's directory is not that of a partial snapshot.

    Raises:
        PartialSnapshotError: It is.
        CorruptSnapshotError: The file that names its shards cannot be read.
    """
    if (shards := shards_in_place(folder)) is not None:
        what = f"only shards {shards_in_words(shards)} were pulled to this machine"
        raise PartialSnapshotError(folder, what)


def record_shards(folder: Path, shards: Collection[int] | None) -> None:
    """Record durably which shards a snapshot's directory has; None for all."""
    if shards is None:
        (folder / _FILE).unlink(missing_ok=True)
    else:
        replace_durable(folder / _FILE, shards_in_words(shards) + "\n")


def other_shards(folder: Path, n_shards: int, shards: Collection[int] | None) -> frozenset[int]:
    """Return the shards that are not named; none of a snapshot without shards.

    Args:
        folder: Directory of the snapshot, for messages.
        n_shards: Number of its shards; 1 without any.
        shards: Numbers of shards; None for all.

    Raises:
        IncompatibleSnapshotError: A shard does not exist.
    """
    if shards is None or n_shards == 1:
        return frozenset()
    if unknown := set(shards) - set(range(n_shards)):
        what = f"has {n_shards} shards, from 0, and not shard {min(unknown)}"
        raise IncompatibleSnapshotError(folder, what, "correct `shards` in [serve] and [replica]")
    return frozenset(range(n_shards)) - set(shards)


def closed_shards(folder: Path, n_shards: int, shards: Collection[int] | None) -> frozenset[int]:
    """Return the shards that are neither checked nor opened where these are; arguments as above.

    Raises:
        IncompatibleSnapshotError: A shard does not exist.
        PartialSnapshotError: One was not pulled.
    """
    closed = other_shards(folder, n_shards, shards)
    absent = other_shards(folder, n_shards, shards_in_place(folder))
    if missing := absent - closed:
        raise PartialSnapshotError(
            folder, f"shard {min(missing)} was not pulled to this machine, of {n_shards}"
        )
    return closed


def absent_files(folder: Path, n_shards: int) -> frozenset[str]:
    """Return the names of the files that a snapshot's directory lacks by choice."""
    if n_shards == 1:
        return frozenset()
    absent = other_shards(folder, n_shards, shards_in_place(folder))
    return frozenset(map(shard_file, absent))
