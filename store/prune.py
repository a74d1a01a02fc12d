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

    Never the current one, the one that a pin holds, or one that somebody has
    open. The caller holds `writing`.

    Returns:
        The generations removed.

    Raises:
        WriteError: A snapshot could not be removed.
    """
    pin = pinned(store)
    spared = {current_or_none(store), pin.generation if pin else None}
    removed = []
    try:
        kept = generations(store)
        for generation in kept[: max(len(kept) - keep, 0)]:
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
