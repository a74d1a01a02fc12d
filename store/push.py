"""Pushing: bring one snapshot, and the takedowns, to the other side of a URL.

    TAKEDOWN ─► SHA256SUMS.pending ─► data files ─► SHA256SUMS ─► JOURNAL ─► CURRENT ─► prune

Whoever reads `CURRENT` there finds a whole snapshot, for `SHA256SUMS` gets its
name when all else has arrived, and `CURRENT` after that. A push that breaks is
run again: the checksums that are pending say that what lies beside them is of
the very same snapshot, so a file of the right size is not sent twice. One
machine pushes to one URL; several would overwrite each other's pointer.
"""

import contextlib
import fcntl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from store.errors import RefusedSnapshotError, ReplicaError, StoreBusyError
from store.layout import (
    CHECKSUMS,
    DATA_FILES,
    MANIFEST,
    generations,
    manifests_folder,
    snapshot_folder,
    snapshots_folder,
)
from store.manifest import read_manifest, verify
from store.pointer import current
from store.remote import CURRENT, JOURNAL, Remote
from store.takedown import takedown_file

_NOWHERE = Path()  # a store at the root of the URL: its names are those over there


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push did.

    Attributes:
        generation: Which one is current over there now.
        n_bytes: Sent, of data files.
        pruned: Generations removed over there.
    """

    generation: int
    n_bytes: int
    pruned: list[int]


def push(store: Path, remote: Remote, generation: int | None = None) -> Pushed:
    """Make the current snapshot, or `generation`, the current one of `remote`.

    Takedowns go first: they hold whatever is served. Snapshots that were pruned
    here are removed there, after the pointer; nothing else there is touched.

    Raises:
        NoSnapshotError, CorruptSnapshotError, IncompatibleSnapshotError,
        RefusedSnapshotError: It must not be served; only takedowns were sent.
        ReplicaError: The other side cannot be written to, or holds another
            snapshot of that number.
        StoreBusyError: It is being pushed already.
    """
    if remote.is_read_only:
        raise ReplicaError(remote.url, "can only be pulled from", "push to where it is served from")
    wanted = current(store) if generation is None else generation
    _bring(remote, takedown_file(store), takedown_file(store).name)
    folder = snapshot_folder(store, wanted)
    with _held(folder):
        if verify(folder).gate.get("result") == "refused":
            raise RefusedSnapshotError(folder, "the gate refused it")
        n_bytes = _send_snapshot(remote, folder)
    _send_manifests(store, remote)
    _bring(remote, store / JOURNAL, JOURNAL)
    pointer = f"{wanted}\n".encode()
    if remote.read(CURRENT) != pointer:
        remote.write(CURRENT, pointer)
    return Pushed(wanted, n_bytes, _prune(store, remote, wanted))


def remote_folder(generation: int) -> str:
    """The name of a snapshot's folder over there, as it is here."""
    return snapshot_folder(_NOWHERE, generation).as_posix()


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Keep `prune` from a snapshot, and a second push of it, which would truncate files."""
    read_manifest(folder)  # says best that there is none
    with (folder / MANIFEST).open("rb") as manifest, (folder / CHECKSUMS).open("rb") as checksums:
        fcntl.flock(manifest, fcntl.LOCK_SH)
        try:
            fcntl.flock(checksums, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreBusyError(folder, "another process is pushing it") from None
        yield


def _send_snapshot(remote: Remote, folder: Path) -> int:
    """Send what is missing over there, the checksums last, and return the bytes sent."""
    there = remote_folder(int(folder.name))
    checksums = f"{there}/{CHECKSUMS}"
    ours, theirs = (folder / CHECKSUMS).read_bytes(), remote.read(checksums)
    if theirs not in (None, ours):
        raise ReplicaError(
            f"{remote.url}/{there}", "is another snapshot of that number", "push to another URL"
        )
    if theirs is None and remote.staged(checksums) != ours:
        remote.remove(there)  # the rest of some other snapshot that never got its name
        remote.stage(checksums, ours)
    n_bytes = 0
    for name in (*DATA_FILES, MANIFEST):
        size = (folder / name).stat().st_size
        if remote.size(f"{there}/{name}") != size:
            remote.send(folder / name, f"{there}/{name}")
            n_bytes += size
    if theirs is None:
        remote.commit(checksums)
    return n_bytes


def _send_manifests(store: Path, remote: Remote) -> None:
    """Send the manifests of what was pruned here: provenance does not end with a snapshot."""
    folder = manifests_folder(_NOWHERE).as_posix()
    there = set(remote.names(folder))
    for path in sorted(manifests_folder(store).glob("*.json")):
        if path.name not in there:
            remote.write(f"{folder}/{path.name}", path.read_bytes())


def _bring(remote: Remote, file: Path, name: str) -> None:
    """Make a small file over there what it is here, or is not."""
    ours = file.read_bytes() if file.exists() else None
    if ours == remote.read(name):
        return
    if ours is not None:
        remote.write(name, ours)
    else:
        remote.remove(name)


def _prune(store: Path, remote: Remote, current: int) -> list[int]:
    """Remove over there what was pruned here, which is what has left only its manifest."""
    kept = {current, *generations(store)}
    manifests = {path.stem for path in manifests_folder(store).glob("*.json")}
    removed = []
    for name in remote.names(snapshots_folder(_NOWHERE).as_posix()):
        if name in manifests and int(name) not in kept:
            remote.remove(f"{remote_folder(int(name))}/{CHECKSUMS}")  # no longer whole, first
            remote.remove(remote_folder(int(name)))
            removed.append(int(name))
    return removed
