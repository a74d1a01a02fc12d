"""Publishing: make one finished snapshot the one that is served.

    JOURNAL line ─► CURRENT.pending ─► rename ─► CURRENT ─► fsync of the directory

`CURRENT` is a text file, and its rename is atomic: a reader finds the old
generation or the new one. The journal line comes first, so a crash can leave a
line without its flip; the next writer sees that and voids the line.
"""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from store.durable import append_durable, fsync_path, replace_durable
from store.errors import NoSnapshotError, StoreBusyError, WriteError
from store.layout import MANIFEST, generations, snapshot_folder, unfinished
from store.manifest import read_manifest, verify

_CURRENT: Final = "CURRENT"
_JOURNAL: Final = "JOURNAL"
_LOCK: Final = "LOCK"
FLIPS: Final = ("publish", "rollback")


class JournalLine(NamedTuple):
    """One line of `JOURNAL`; its fields are parted by tabs."""

    at: str
    generation: int
    what: str
    why: str


@contextlib.contextmanager
def writing(store: Path) -> Iterator[None]:
    """Hold the store for writing, and mend what a crashed writer left.

    Raises:
        StoreBusyError: Another process holds it.
        WriteError: The store's directory cannot be made or written to.
    """
    try:
        store.mkdir(parents=True, exist_ok=True)
        lock = (store / _LOCK).open("a")
    except OSError as error:
        raise WriteError(store, f"cannot be written to: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreBusyError(store, "another process is writing to it") from None
        for folder in unfinished(store):
            shutil.rmtree(folder)
        _void_unflipped(store)
        yield


def check_writable(store: Path) -> None:
    """Tell early, before hours of work, that `writing` would fail; make nothing.

    Raises:
        WriteError: This process may not write there.
    """
    try:
        place = next(path for path in (store, *store.absolute().parents) if path.exists())
    except OSError as error:  # a folder on the way that this user may not enter
        raise WriteError(store, f"cannot be looked at: {error.strerror}") from error
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        raise WriteError(store, f"{place} is no directory that this user may write to")


def current(store: Path) -> int:
    """Return the generation that readers should open.

    Raises:
        NoSnapshotError: Nothing has been published, or `CURRENT` is unreadable.
    """
    path = store / _CURRENT
    try:
        text = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        raise NoSnapshotError(store, "nothing has been published yet") from None
    except (OSError, ValueError) as error:
        raise NoSnapshotError(path, f"does not hold a generation: {error}") from error
    if not text.isdecimal() or int(text) < 1:
        raise NoSnapshotError(path, f"does not hold a generation, but {text[:20]!r}")
    return int(text)


def current_or_none(store: Path) -> int | None:
    """Return the generation that readers should open, None before the first."""
    try:
        return current(store)
    except NoSnapshotError:
        return None


def publish(store: Path, generation: int, why: str, what: str = "publish") -> None:
    """Verify `generation`, make it current, and keep it so through a power cut.

    The caller holds `writing`.

    Raises:
        NoSnapshotError, CorruptSnapshotError, IncompatibleSnapshotError: It
            cannot be served, and the old one stays current.
        WriteError: The disk is full or broken.
    """
    verify(snapshot_folder(store, generation))
    try:
        _write_journal(store, generation, what, why)
        replace_durable(store / _CURRENT, f"{generation}\n")
    except OSError as error:
        raise WriteError(store, f"{generation} cannot be published: {error.strerror}") from error


def rollback(store: Path, why: str, to: int | None = None) -> int:
    """Make the parent of the current snapshot, or generation `to`, current again.

    Returns:
        The generation that is current now.

    Raises:
        NoSnapshotError: There is no parent, or no such generation.
    """
    current(store)  # raises before `writing` makes a store at a mistyped path
    with writing(store):
        target = to if to is not None else _parent(store)
        publish(store, target, why, what="rollback")
    return target


def sweep(store: Path, keep: int) -> list[int]:
    """Remove the oldest snapshots but `keep`; never the current or an open one.

    The manifest of what goes is kept in `manifests/`, for provenance. The
    caller holds `writing`.

    Returns:
        The generations removed.
    """
    served = current_or_none(store)
    removed = []
    for generation in generations(store)[:-keep]:
        folder = snapshot_folder(store, generation)
        if generation != served and not _is_open(folder):
            _keep_manifest(store, folder)
            shutil.rmtree(folder)
            removed.append(generation)
    return removed


def journal(store: Path) -> list[JournalLine]:
    """Return the lines of `JOURNAL`, oldest first."""
    path = store / _JOURNAL
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8", errors="replace")  # a cut may go through a character
    lines = (line.split("\t", 3) for line in text.splitlines())
    return [JournalLine(f[0], int(f[1]), f[2], f[3]) for f in lines if len(f) == 4]


def _parent(store: Path) -> int:
    generation = current(store)
    parent = read_manifest(snapshot_folder(store, generation)).parent
    if parent is None:
        raise NoSnapshotError(store, f"generation {generation} is the first: it has no parent")
    return parent


def _write_journal(store: Path, generation: int, what: str, why: str) -> None:
    at = datetime.now(UTC).isoformat(timespec="seconds")
    reason = " ".join(why.split()).encode(errors="replace").decode()  # argv need not be UTF-8
    append_durable(store / _JOURNAL, f"{at}\t{generation}\t{what}\t{reason}\n")


def _void_unflipped(store: Path) -> None:
    path = store / _JOURNAL
    if path.exists() and not path.read_bytes().endswith(b"\n"):
        append_durable(path, "\n")  # the power went in the middle of a line
    lines = journal(store)
    if lines and lines[-1].what in FLIPS and lines[-1].generation != current_or_none(store):
        _write_journal(store, lines[-1].generation, "void", f"no flip followed {lines[-1].at}")


def _is_open(folder: Path) -> bool:
    try:
        with (folder / MANIFEST).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _keep_manifest(store: Path, folder: Path) -> None:
    manifests = store / "manifests"
    manifests.mkdir(exist_ok=True)
    if (folder / MANIFEST).exists():
        shutil.copyfile(folder / MANIFEST, manifests / f"{folder.name}.json")
        fsync_path(manifests / f"{folder.name}.json")
        fsync_path(manifests)
