"""Publishing: make one finished snapshot the one that is served, and go back.

    verify ─► JOURNAL line ─► CURRENT.pending ─► rename ─► CURRENT ─► fsync of the directory

A crash at any point leaves one of the two generations current and complete. The
journal line is written first, so a crash can leave a line without its flip; the
next writer voids it. While the store is pinned, new snapshots are kept and not
made current. A flip to another generation than the control's ends an experiment.
"""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from store.errors import (
    ExperimentError,
    NoSnapshotError,
    PinnedError,
    RefusedSnapshotError,
    StoreError,
    WriteError,
)
from store.experiment import experiment_file, read_experiment, write_experiment
from store.journal import one_line, promoted_generations, recover_journal, write_journal
from store.layout import generations, snapshot_folder, snapshots_folder, unfinished
from store.locks import locked, make_store
from store.manifest import Manifest, read_manifest, verify
from store.partial import shards_in_place
from store.pointer import (
    Pin,
    clear_pending,
    current,
    current_or_none,
    is_pinned,
    pinned,
    point_at,
    write_pin,
)
from store.progress import Progress, silent

_LOCK: Final = "LOCK"


@contextlib.contextmanager
def writing(store: Path) -> Iterator[None]:
    """Lock the store for writing, and recover from a writer that crashed.

    Raises:
        StoreBusyError: Another process holds the lock.
        WriteError: The store's directory cannot be made or written to.
    """
    try:
        make_store(store)
    except OSError as error:
        raise WriteError(store, f"cannot be written to: {error.strerror}") from error
    with locked(store / _LOCK):
        try:
            _recover(store)
        except OSError as error:
            raise WriteError(store, f"cannot be recovered: {error.strerror}") from error
        yield


def check_writable(store: Path) -> None:
    """Fail early, before hours of work, if `writing` would fail; make nothing.

    Raises:
        WriteError: This process may not write there.
    """
    try:
        existing = next(path for path in (store, *store.absolute().parents) if path.exists())
    except OSError as error:  # a parent directory that this user may not enter
        raise WriteError(store, f"cannot be checked: {error.strerror}") from error
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise WriteError(store, f"{existing} is not a directory that this user may write to")


def publish(store: Path, generation: int, why: str, progress: Progress = silent) -> bool:
    """Verify `generation` and make it current, unless the store is pinned.

    The caller holds `writing`; `progress` shows how much of the snapshot is verified.

    Returns:
        Whether it is current now; False if the store is pinned.

    Raises:
        NoSnapshotError, CorruptSnapshotError, IncompatibleSnapshotError,
        RefusedSnapshotError: It must not be served; the old generation stays current.
        WriteError: The disk is full or broken.
    """
    if (pin := pinned(store)) is None:
        _flip(store, generation, "publish", why, progress)
        return True
    servable(store, generation, progress)
    write_journal(store, generation, "built", f"{why}; pinned to {pin.generation}: {pin.why}")
    return False


def rollback(store: Path, why: str, to: int | None = None, progress: Progress = silent) -> int:
    """Make the parent of the current snapshot, or generation `to`, current again.

    `progress` shows how much of the snapshot is verified.

    Returns:
        Generation that is current now.

    Raises:
        NoSnapshotError: The parent or the generation does not exist.
        PinnedError: The store is pinned.
    """
    _check_is_store(store)
    with writing(store):
        if pin := pinned(store):
            raise PinnedError(store, f"is pinned to generation {pin.generation}: {pin.why}")
        target = to if to is not None else _parent(store)
        _flip(store, target, "rollback", why, progress)
    return target


def pin(store: Path, why: str, to: int | None = None, progress: Progress = silent) -> int:
    """Pin the store to the current snapshot, or to generation `to`, until `unpin`.

    `progress` shows how much of the snapshot is verified.

    Returns:
        Generation that the store is pinned to.

    Raises:
        NoSnapshotError: Nothing is current, or the generation does not exist.
    """
    _check_is_store(store)
    target = to if to is not None else current(store)
    with writing(store):
        servable(store, target, progress)
        _end_experiment(store, f"pin: {why}")
        write_journal(store, target, "pin", why)
        with _explained(store):
            write_pin(store, Pin(target, one_line(why)))
            point_at(store, target)
    return target


def unpin(store: Path, why: str, progress: Progress = silent) -> int:
    """Remove the pin, and make the newest snapshot that may be served current.

    Snapshots that were built for an arm of an experiment do not count, unless promoted.
    `progress` shows how much of the snapshot is verified.

    Returns:
        Generation that is current now.

    Raises:
        PinnedError: The store is not pinned.
    """
    _check_is_store(store)
    with writing(store):
        if not is_pinned(store):
            raise PinnedError(store, "is not pinned", "nothing has to be done")
        target = _newest_servable(store, progress)
        write_journal(store, target, "unpin", why)
        with _explained(store):
            write_pin(store, None)
            point_at(store, target)
    return target


def _recover(store: Path) -> None:
    for folder in unfinished(store):
        shutil.rmtree(folder)
    clear_pending(store)
    held = None
    with contextlib.suppress(
        PinnedError
    ):  # damaged: raising here would keep `unpin` from removing it
        held = pinned(store)
    if held and held.generation != current_or_none(store):
        point_at(store, held.generation)  # the pin was written, its flip was not
    with contextlib.suppress(ExperimentError):  # damaged: `stop` removes it
        experiment = read_experiment(store)
        if experiment and experiment.control.generation in generations(store):
            point_at(store, experiment.control.generation)  # its flip may be missing, or undone
    recover_journal(store, current_or_none(store))


def _check_is_store(store: Path) -> None:
    """Refuse a mistyped path before `writing` makes a store there."""
    if not snapshots_folder(store).is_dir():
        raise NoSnapshotError(store, "nothing has been published yet")


def _flip(store: Path, generation: int, what: str, why: str, progress: Progress) -> None:
    servable(store, generation, progress)
    _end_experiment(store, f"{what}: {why}", unless_control=generation)
    write_journal(store, generation, what, why)
    with _explained(store):
        point_at(store, generation)


def servable(store: Path, generation: int, progress: Progress = silent) -> Manifest:
    """Verify a snapshot that is to be served, and return its manifest.

    `progress` shows how much of it is verified.

    Raises:
        NoSnapshotError, CorruptSnapshotError, IncompatibleSnapshotError,
        RefusedSnapshotError: It must not be served.
    """
    folder = snapshot_folder(store, generation)
    manifest = verify(folder, shards_in_place(folder), progress)
    if manifest.gate.is_refused:
        raise RefusedSnapshotError(folder, "the gate refused it")
    return manifest


def _end_experiment(store: Path, why: str, unless_control: int = 0) -> None:
    """End the experiment, if one runs; not if that generation is its control."""
    if not experiment_file(store).exists():
        return
    name = "damaged"
    with contextlib.suppress(ExperimentError):
        if experiment := read_experiment(store):
            if experiment.control.generation == unless_control:
                return
            name = experiment.name
    write_journal(store, current_or_none(store), "stop", f"{name}: {why}")
    write_experiment(store, None)


def _newest_servable(store: Path, progress: Progress) -> int:
    promoted = promoted_generations(store)
    for generation in reversed(generations(store)):
        with contextlib.suppress(StoreError):
            manifest = read_manifest(snapshot_folder(store, generation))
            if manifest.arm is None or generation in promoted:
                return servable(store, generation, progress).generation
    raise NoSnapshotError(store, "does not hold a snapshot that may be served")


def _parent(store: Path) -> int:
    generation = current(store)
    parent = read_manifest(snapshot_folder(store, generation)).parent
    if parent is None:
        raise NoSnapshotError(store, f"generation {generation} is the first: it has no parent")
    return parent


@contextlib.contextmanager
def _explained(store: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WriteError(store, f"CURRENT or PIN cannot be written: {error.strerror}") from error
