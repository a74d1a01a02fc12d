"""Pulling: copy the snapshot that is current at a URL, and make it current here.

    CURRENT ─► TAKEDOWN ─► pulling/snapshots/000042/  SHA256SUMS, data files, verify
                           snapshots/000042/          after the rename
                           JOURNAL ─► CURRENT ─► prune

`pulling/` has the layout of a store, so that the files are verified like any
snapshot before they get their place. It outlives an interrupted pull, and the
next one fetches the files that are missing. (A `.building` folder would not: the
next writer removes it.) The checksums are fetched first, so the files in
`pulling/` are known to belong to the wanted snapshot.
"""

import contextlib
import fcntl
import logging
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Never

from store.config import StoreSettings
from store.durable import fsync_path, write_durable
from store.errors import CorruptSnapshotError, ReplicaError, StoreBusyError, StoreError
from store.layout import CHECKSUMS, DATA_FILES, MANIFEST, snapshot_folder, snapshots_folder
from store.manifest import read_manifest, verify
from store.parse import MAX_POINTER_BYTES, parse_generation
from store.pointer import current_or_none, pinned
from store.prune import prune
from store.publish import publish, rollback, writing
from store.push import remote_folder
from store.remote import CURRENT, Remote
from store.takedown import replace_takedowns, takedown_file

_ASIDE: Final = "pulling"
_PUSH_AGAIN: Final = "run `push` to it again"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PullResult:
    """The result of a pull.

    Attributes:
        generation: Generation that is current at the remote.
        is_current: Whether it is current here too; False if the store is pinned.
        has_changed: Whether the pull changed anything here.
    """

    generation: int
    is_current: bool
    has_changed: bool


def pull(store: Path, remote: Remote, settings: StoreSettings) -> PullResult:
    """Make what is current at `remote` current here, unless the store is pinned.

    Takedowns come first, for a snapshot may take long; then the missing files; then
    the flip, to a newer generation as by `publish`, to an older one as by
    `rollback`; then `prune` with the settings.

    Raises:
        ReplicaError: The remote cannot be reached, its snapshot is not complete, or
            this store has another snapshot of that number.
        IncompatibleSnapshotError, RefusedSnapshotError: It must not be served.
        StoreBusyError: Another process is writing to the store, or pulling.
        WriteError: The store cannot be written to.
    """
    generation = _current_of(remote)
    why = f"pulled from {remote.url}"
    has_changed = _pull_takedowns(store, remote, why)
    is_new = _fetch_snapshot(store, remote, generation)
    if current_or_none(store) != generation and (is_new or not pinned(store)):
        has_changed = _flip(store, generation, why) or has_changed
        with writing(store):
            prune(store, settings.keep, settings.keep_days)
    return PullResult(generation, current_or_none(store) == generation, has_changed or is_new)


def watch(store: Path, remote: Remote, settings: StoreSettings, poll_seconds: float) -> Never:
    """Pull repeatedly and without end; an error is logged, and the next poll tries again.

    Equal lines are logged once: a night without a network is one line.
    """
    last = ""
    while True:
        try:
            done = pull(store, remote, settings)
            line = f"generation {done.generation} of {remote.url} "
            line += "is current" if done.is_current else "is kept, not served: the store is pinned"
            level, is_new_line = logging.INFO, done.has_changed
        except (StoreError, OSError) as error:
            line, level, is_new_line = str(error), logging.ERROR, False
        if is_new_line or line != last:
            _log.log(level, line)
            last = line
        time.sleep(poll_seconds)


def _current_of(remote: Remote) -> int:
    data = remote.read(CURRENT)
    if data is None:
        raise ReplicaError(
            remote.url, "nothing has been pushed there yet", "check the URL, or push"
        )
    try:
        return parse_generation(data[:MAX_POINTER_BYTES].decode("ascii", "replace").strip())
    except ValueError as error:
        what = f"does not hold a generation, but {error}"
        raise ReplicaError(f"{remote.url}/{CURRENT}", what) from error


def _pull_takedowns(store: Path, remote: Remote, why: str) -> bool:
    name = takedown_file(store).name
    data = remote.read(name)
    try:
        text = None if data is None else data.decode()
    except ValueError:
        raise ReplicaError(
            f"{remote.url}/{name}", "is not a list of takedowns", _PUSH_AGAIN
        ) from None
    return replace_takedowns(store, text, why)


def _fetch_snapshot(store: Path, remote: Remote, generation: int) -> bool:
    """Copy a snapshot into this store; return False if it exists already."""
    there = remote_folder(generation)
    checksums = remote.read(f"{there}/{CHECKSUMS}")
    if checksums is None:
        raise ReplicaError(f"{remote.url}/{there}", "is not complete", _PUSH_AGAIN)
    here = snapshot_folder(store, generation)
    with _only_pull(snapshots_folder(store)):
        if here.exists():
            _compare(here, checksums, remote)
            return False
        aside = snapshot_folder(store / _ASIDE, generation)
        _fetch_files(remote, there, aside, checksums)
        with writing(store):
            aside.rename(here)
            fsync_path(here.parent)
        shutil.rmtree(store / _ASIDE)
    return True


@contextlib.contextmanager
def _only_pull(folder: Path) -> Iterator[None]:
    """Lock the directory itself, not `LOCK`: a download never delays a refresh."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise StoreBusyError(folder, "another process is pulling") from None
    finally:
        os.close(descriptor)


def _compare(here: Path, checksums: bytes, remote: Remote) -> None:
    if not (here / CHECKSUMS).exists() or (here / CHECKSUMS).read_bytes() != checksums:
        raise ReplicaError(
            here,
            f"differs from the snapshot of that number at {remote.url}",
            "pull into a store that nothing else writes to",
        )


def _fetch_files(remote: Remote, there: str, aside: Path, checksums: bytes) -> None:
    """Fetch the missing files, verify all of them, and force them to disk."""
    _prepare_aside(aside, checksums)
    try:
        for name in (MANIFEST, *DATA_FILES):
            if not (aside / name).exists():
                remote.fetch(f"{there}/{name}", aside / name)
            read_manifest(aside)  # an incompatible one is refused before its data files are fetched
        verify(aside)
    except CorruptSnapshotError as error:
        shutil.rmtree(aside)
        what = f"does not match its {CHECKSUMS}"
        name = Path(str(error.subject)).name
        raise ReplicaError(
            f"{remote.url}/{there}/{name}", what, f"remove it and {_PUSH_AGAIN}"
        ) from error
    for path in (*aside.iterdir(), aside):
        fsync_path(path)


def _prepare_aside(aside: Path, checksums: bytes) -> None:
    """Keep the files that an earlier pull fetched of this snapshot, and remove others."""
    path = aside / CHECKSUMS
    if path.exists() and path.read_bytes() == checksums:
        return
    shutil.rmtree(aside.parent, ignore_errors=True)
    aside.mkdir(parents=True)
    write_durable(path, checksums.decode("latin-1"))


def _flip(store: Path, generation: int, why: str) -> bool:
    """Make it current as `publish` or `rollback` does; return False if the store is pinned."""
    now = current_or_none(store)
    if now is not None and generation < now and not pinned(store):
        rollback(store, why, to=generation)
        return True
    with writing(store):
        return publish(store, generation, why)
