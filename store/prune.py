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

    Those that the gate refused do not count: they must not push out what one may go
    back to. Of them the newest is kept for a look. Never removed are the current one,
    the one that a pin holds, and one that somebody has open. The caller holds `writing`.

    Returns:
        The generations removed.

    Raises:
        WriteError: A snapshot could not be removed.
    """
    pin = pinned(store)
    spared = {current_or_none(store), pin.generation if pin else None}
    removed = []
    try:
        for generation in _surplus(store, keep):
            folder = snapshot_folder(store, generation)
            if generation in spared or _is_young(folder, keep_days) or _is_open(folder):
                continue
            _keep_manifest(store, folder)
            shutil.rmtree(folder)
            removed.append(generation)
    except OSError as error:
        where = error.filename or store
        raise WriteError(where, f"cannot be pruned: {error.strerror}") from error
    return removed


def _surplus(store: Path, keep: int) -> list[int]:
    """Return the generations that are too many, oldest first."""
    by_fate: dict[bool, list[int]] = {False: [], True: []}
    for generation in generations(store):
        by_fate[_is_refused(snapshot_folder(store, generation))].append(generation)
    good, refused = by_fate[False], by_fate[True]
    return sorted(good[: max(len(good) - keep, 0)] + refused[:-1])


def _is_refused(folder: Path) -> bool:
    try:
        return read_manifest(folder).gate.get("result") == "refused"
    except StoreError:
        return False


def _is_young(folder: Path, keep_days: float) -> bool:
    try:
        finished_at = datetime.fromisoformat(read_manifest(folder).finished_at)
    except (StoreError, ValueError):  # nobody can serve it, so its age is nobody's reason
        return False
    return datetime.now(UTC) - finished_at < timedelta(days=keep_days)


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
    manifests = manifests_folder(store)
    manifests.mkdir(exist_ok=True)
    if (folder / MANIFEST).exists():
        kept = manifests / f"{folder.name}.json"
        shutil.copyfile(folder / MANIFEST, kept)
        fsync_path(kept)
        fsync_path(manifests)
