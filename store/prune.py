"""Pruning: remove old snapshots, and keep their manifests for provenance.

snapshots/000037/  ─►  manifests/000037.json
"""

import contextlib
import fcntl
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

from store.durable import fsync_path
from store.errors import StoreError, WriteError
from store.experiment import read_experiment
from store.journal import promoted_generations
from store.layout import MANIFEST, generations, manifests_folder, snapshot_folder
from store.manifest import read_manifest
from store.pointer import current_or_none, pinned


def prune(store: Path, keep: int, keep_days: float = 0.0) -> list[int]:
    """Remove all snapshots but the newest `keep` and those younger than `keep_days`.

    Snapshots that the gate refused do not count, nor do those of an experiment's arm, so
    that they cannot displace those that a rollback needs. The newest refused one is kept
    for inspection, and the newest `keep` of each arm. The current, the pinned, any open snapshot
    and those of a running experiment are never removed. The caller holds `writing`.

    Args:
        store: Directory of the store.
        keep: Number of newest snapshots to keep.
        keep_days: Age in days below which a snapshot is kept in any case.

    Returns:
        Generations that were removed.

    Raises:
        WriteError: A snapshot could not be removed.
        ExperimentError: `EXPERIMENT` cannot be read, so that its generations are unknown.
    """
    pin, experiment = pinned(store), read_experiment(store)
    spared = {current_or_none(store), pin.generation if pin else None}
    spared |= {*experiment.generations} if experiment else set()
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
    of_arms: dict[str, list[int]] = {}
    promoted = promoted_generations(store)
    for generation in generations(store):
        kind, arm = good, None
        with contextlib.suppress(StoreError):
            manifest = read_manifest(snapshot_folder(store, generation))
            kind, arm = refused if manifest.gate.is_refused else good, manifest.arm
        if kind is good and arm is not None and generation not in promoted:
            kind = of_arms.setdefault(arm, [])
        kind.append(generation)
    old_arms = [generation for found in of_arms.values() for generation in found[:-keep]]
    return sorted(good[: max(len(good) - keep, 0)] + refused[:-1] + old_arms)


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
