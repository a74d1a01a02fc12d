"""Pulling: bring what is current at a URL here, and make it current here too.

    CURRENT ─► TAKEDOWN ─► pulling/snapshots/000042/  SHA256SUMS, data files, verify
                           snapshots/000042/          after the rename
                           JOURNAL ─► CURRENT ─► prune

`pulling/` is laid out as a store of its own, so that what has come is verified
as any snapshot is, before it gets its place. It outlives a pull that breaks:
the next one goes on with the files that are missing. (A `.building` folder
would not: the next writer sweeps it.) The checksums come first, so what lies
there is known to be of the very snapshot that is wanted.
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
from store.pointer import current_or_none, pinned
from store.prune import prune
from store.publish import publish, rollback, writing
from store.push import remote_folder
from store.remote import CURRENT, Remote
from store.takedown import replace_takedowns, takedown_file

_ASIDE: Final = "pulling"
_AGAIN: Final = "run `push` to it again"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pulled:
    """What a pull found and did.

    Attributes:
        generation: Which one is current over there.
        is_current: Whether it is here too; False says that a pin holds another.
        has_changed: Whether anything is different here than before.
    """

    generation: int
    is_current: bool
    has_changed: bool


def pull(store: Path, remote: Remote, settings: StoreSettings) -> Pulled:
    """Make what is current at `remote` current here, unless the store is pinned.

    Takedowns come first, for a snapshot may take its time; then the files that
    are missing; then a flip, to a newer generation as by `publish`, to an older
    one as by `rollback`; then `prune`, as the settings say.

    Raises:
        ReplicaError: It cannot be reached, or what lies there is not whole, or
            is another snapshot than this store's of that number.
        IncompatibleSnapshotError, RefusedSnapshotError: It must not be served.
        StoreBusyError: Another process is writing to the store, or pulling.
        WriteError: The store cannot be written to.
    """
    wanted = _current_of(remote)
    why = f"pulled from {remote.url}"
    has_changed = _pull_takedowns(store, remote, why)
    is_new = _bring(store, remote, wanted)
    if current_or_none(store) != wanted and (is_new or not pinned(store)):
        has_changed = _flip(store, wanted, why) or has_changed
        with writing(store):
            prune(store, settings.keep, settings.keep_days)
    return Pulled(wanted, current_or_none(store) == wanted, has_changed or is_new)


def watch(store: Path, remote: Remote, settings: StoreSettings, every_seconds: float) -> Never:
    """Pull for ever; what fails is logged, and tried again the next time.

    Each line is logged once, not at every poll: a night without a network is
    one line.
    """
    last = ""
    while True:
        try:
            done = pull(store, remote, settings)
            line = f"generation {done.generation} of {remote.url} "
            line += "is current" if done.is_current else "is kept; a pin holds another"
            level, is_news = logging.INFO, done.has_changed
        except (StoreError, OSError) as error:
            line, level, is_news = str(error), logging.ERROR, False
        if is_news or line != last:
            _log.log(level, line)
            last = line
        time.sleep(every_seconds)


def _current_of(remote: Remote) -> int:
    data = remote.read(CURRENT)
    if data is None:
        raise ReplicaError(remote.url, "nothing has been pushed there yet", "see the URL, or push")
    text = data.decode("latin-1").strip()
    if not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise ReplicaError(f"{remote.url}/{CURRENT}", f"holds no generation, but {text[:20]!r}")
    return int(text)


def _pull_takedowns(store: Path, remote: Remote, why: str) -> bool:
    name = takedown_file(store).name
    data = remote.read(name)
    try:
        text = None if data is None else data.decode()
    except ValueError:
        raise ReplicaError(f"{remote.url}/{name}", "is no list of takedowns", _AGAIN) from None
    return replace_takedowns(store, text, why)


def _bring(store: Path, remote: Remote, generation: int) -> bool:
    """Put a snapshot in its place here; False says that it is there already."""
    there = remote_folder(generation)
    checksums = remote.read(f"{there}/{CHECKSUMS}")
    if checksums is None:
        raise ReplicaError(f"{remote.url}/{there}", "is not complete", _AGAIN)
    here = snapshot_folder(store, generation)
    with _alone(snapshots_folder(store)):
        if here.exists():
            _compare(here, checksums, remote)
            return False
        aside = snapshot_folder(store / _ASIDE, generation)
        _fetch(remote, there, aside, checksums)
        with writing(store):
            aside.rename(here)
            fsync_path(here.parent)
        shutil.rmtree(store / _ASIDE)
    return True


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the directory itself, not `LOCK`: a download never keeps a refresh waiting."""
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
            f"is another snapshot than that of {remote.url}",
            "pull into a store that nobody else writes to",
        )


def _fetch(remote: Remote, there: str, aside: Path, checksums: bytes) -> None:
    """Fetch the files that are not here yet, prove them all, and force them to disk."""
    _make_room(aside, checksums)
    try:
        for name in (MANIFEST, *DATA_FILES):
            if not (aside / name).exists():
                remote.fetch(f"{there}/{name}", aside / name)
            read_manifest(aside)  # an incompatible one is refused before its gigabytes come
        verify(aside)
    except CorruptSnapshotError as error:
        shutil.rmtree(aside)
        what = f"is not what its {CHECKSUMS} says"
        name = Path(str(error.subject)).name
        raise ReplicaError(
            f"{remote.url}/{there}/{name}", what, f"remove it and {_AGAIN}"
        ) from error
    for path in (*aside.iterdir(), aside):
        fsync_path(path)


def _make_room(aside: Path, checksums: bytes) -> None:
    """Keep what came of this very snapshot by an earlier pull, and nothing else."""
    path = aside / CHECKSUMS
    if path.exists() and path.read_bytes() == checksums:
        return
    shutil.rmtree(aside.parent, ignore_errors=True)
    aside.mkdir(parents=True)
    write_durable(path, checksums.decode("latin-1"))


def _flip(store: Path, generation: int, why: str) -> bool:
    """Make it current as `publish` or `rollback` does; False says that a pin holds another."""
    now = current_or_none(store)
    if now is not None and generation < now and not pinned(store):
        rollback(store, why, to=generation)
        return True
    with writing(store):
        return publish(store, generation, why)
