"""Reuse: files of a snapshot that another one has, byte for byte, are not moved again.

    SHA256SUMS of 41   3f…  recs.02.mdb  ─┐
    SHA256SUMS of 42   3f…  recs.02.mdb  ─┴─ copied where both lie, at the remote or here

After a `forget` most shards are the same, and after a refresh of few users.
"""

import contextlib
import shutil
from collections.abc import Collection
from pathlib import Path

from store.layout import CHECKSUMS, generations, snapshot_folder
from store.manifest import sha256


def same_files(names: Collection[str], checksums: bytes, other: bytes) -> list[str]:
    """Return those of the names that have the same checksum in two `SHA256SUMS`."""
    sums, others = (dict(map(_entry, lines.splitlines())) for lines in (checksums, other))
    return [name for name in names if sums.get(name.encode(), 0) == others.get(name.encode())]


def reuse_files(store: Path, aside: Path, names: Collection[str], checksums: bytes) -> list[str]:
    """Copy files of the store's snapshots that are the same; return the names of those copied.

    Args:
        store: Directory of the store.
        aside: Directory of the snapshot that is being pulled.
        names: Files that it lacks.
        checksums: Content of its `SHA256SUMS`.
    """
    reused: list[str] = []
    for generation in reversed(generations(store)):
        folder = snapshot_folder(store, generation)
        missing = [name for name in names if name not in reused]
        same: list[str] = []
        with contextlib.suppress(OSError):  # pruned now
            same = same_files(missing, checksums, (folder / CHECKSUMS).read_bytes())
        for name in same:
            part = aside / f"{name}.part"
            with contextlib.suppress(OSError):  # damaged, or absent by choice: fetched instead
                shutil.copyfile(folder / name, part)
                if f"{sha256(part)}  {name}".encode() in checksums.splitlines():
                    part.replace(aside / name)
                    reused.append(name)
    return reused


def _entry(line: bytes) -> tuple[bytes, bytes]:
    checksum, _, name = line.partition(b"  ")
    return name, checksum
