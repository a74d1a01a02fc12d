"""Pruning: remove old snapshots, and keep their manifests for provenance.

snapshots/000037/  ─►  manifests/000037.json
"""

import fcntl
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

from store.durable import fsync_path
from store.errors import StoreError, WriteError
from store.layout import MANIFEST, generations, manifests_folder, snapshot_folder
from store.manifest import read_manifest
from store.pointer import current_or_none, pinned


def prune(store: Path, keep: int, keep_days: float = 0.0) -> list[int]:
    """Remove all snapshots but the newest `keep` and those younger than `keep_days`.

    Snapshots that the gate refused do not count, so that they cannot displace those
    that a rollback needs. The newest of them is kept for inspection. The current, the
    pinned and any open snapshot are never removed. The caller holds `writing`.

    Args:
        store: Directory of the store.
        keep: Number of newest snapshots to keep.
        keep_days: Age in days below which a snapshot is kept in any case.

    Returns:
        Generations that were removed.

    Raises:
        WriteError: A snapshot could not be removed.
    """
    pin = pinned(store)
    spared = {current_or_none(store), pin.generation if pin else None}
    removed = []
    try:
        for generation in _surplus(store, keep):
            folder = snapshot_folder(store, generation)
            if generation in spared or _is_young(folder, keep_days) or is_open(folder):
                continue
            remove_snapshot(store, generation)
            removed.append(generation)
    except OSError as error:
        where = error.filename or store
        raise WriteError(where, f"cannot be pruned: {error.strerror}") from error
    return removed


def remove_snapshot(store: Path, generation: int) -> None:
    """Remove a snapshot that no process has open, and keep its manifest.

    Raises:
        OSError: It could not be removed.
    """
    folder = snapshot_folder(store, generation)
    _keep_manifest(store, folder)
    shutil.rmtree(folder)


def _surplus(store: Path, keep: int) -> list[int]:
    """Return the generations beyond the newest `keep`, oldest first."""
    good: list[int] = []
    refused: list[int] = []
    for generation in generations(store):
        is_refused = _is_refused(snapshot_folder(store, generation))
        (refused if is_refused else good).append(generation)
    return sorted(good[: max(len(good) - keep, 0)] + refused[:-1])


def _is_refused(folder: Path) -> bool:
    try:
        return read_manifest(folder).gate.is_refused
    except StoreError:
        return False


def _is_young(folder: Path, keep_days: float) -> bool:
    try:
        finished_at = datetime.fromisoformat(read_manifest(folder).finished_at)
    except (StoreError, ValueError):  # it cannot be served, so its age does not protect it
        return False
    return datetime.now(UTC) - finished_at < timedelta(days=keep_days)


def is_open(folder: Path) -> bool:
    """Return whether a process has the snapshot in a directory open."""
    try:
        with (folder / MANIFEST).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _keep_manifest(store: Path, folder: Path) -> None:
    manifests = manifests_folder(store)
    manifests.mkdir(exist_ok=True)
    if (folder / MANIFEST).exists():
        kept = manifests / f"{folder.name}.json"
        shutil.copyfile(folder / MANIFEST, kept)
        fsync_path(kept)
        fsync_path(manifests)
