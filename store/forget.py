"""Forgetting: remove users from every snapshot, as a request for erasure demands.

    000041   000042 ◄─ CURRENT       both have a list of the user
       │        │
       ▼        ▼   copies without the user, equal to the byte for all others
    000043   000044 ◄─ CURRENT       then 000041 and 000042 are removed; their manifests stay

A snapshot never changes, so it is replaced. Every generation from the first one with the user
on is copied, in order: the newest stays the newest, and each parent is the copy of the parent.
A copy's manifest says when it was made, from which generation, and how many records it lacks.
It does not name the user.
"""

import contextlib
import shutil
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from store.arms import move_arms
from store.errors import StoreError, WriteError
from store.experiment import read_experiment
from store.ids import check_user_ids
from store.journal import flips, write_journal
from store.layout import (
    FACTORS,
    INDEX,
    RECS,
    SEEN,
    TABLES,
    generations,
    is_model_file,
    snapshot_folder,
)
from store.manifest import read_manifest, verify
from store.pointer import Pin, current_or_none, pinned, point_at, write_pin
from store.progress import RECORDS, Progress, Unit, counted, silent
from store.prune import is_open, remove_snapshot
from store.publish import publish, writing
from store.snapshot import Snapshot, Table, open_factors, open_seen, open_snapshot
from store.writer import SnapshotWriter

NOTE: Final = "forgotten"  # key in the parameters of a copy's manifest
_BIASES: Final = f"{FACTORS}/biases"
_USER_TABLES: Final = (
    f"{RECS}/users",
    f"{RECS}/spares",
    f"{RECS}/profiles",
    f"{RECS}/teams",
    f"{FACTORS}/users",
    f"{FACTORS}/rating_users",
    f"{SEEN}/users",
)
_ORDER: Final = [f"{file}/{name}" for file, name in TABLES]
_POLL_SECONDS: Final = 0.1
_GENERATIONS: Final = Unit("generations")


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What a store no longer holds, and what it still does.

    Attributes:
        n_records: Number of records that were removed from the snapshots, by user id.
        copies: Generation of each copy, by the generation that it replaces.
        removed: Generations that were removed.
        still_open: Generations with the users that a process has open; they stay.
        damaged: Generations that cannot be read, and may have the users; they stay.
    """

    n_records: dict[str, int] = field(default_factory=dict)
    copies: dict[int, int] = field(default_factory=dict)
    removed: list[int] = field(default_factory=list)
    still_open: list[int] = field(default_factory=list)
    damaged: list[int] = field(default_factory=list)


def forget(
    store: Path,
    user_ids: Collection[str],
    why: str,
    wait_seconds: float,
    progress: Progress = silent,
) -> Forgotten:
    """Replace every snapshot that holds one of the users by a copy without them.

    Args:
        store: Directory of the store.
        user_ids: Users to forget.
        why: Reason for the journal, without a user's id.
        wait_seconds: Time that servers have to close the old snapshots.
        progress: What shows what is verified, copied and waited for.

    Raises:
        StoreError: A user id is not valid, or the current snapshot is damaged.
        WriteError: The disk is full or broken; the store serves what it served.
    """
    check_user_ids(user_ids)
    with writing(store):
        pinned(store), read_experiment(store)  # raise before hours of work if one is damaged
        _finish_interrupted(store, wait_seconds, progress)
        n_records, holders, damaged = _found(store, user_ids, progress)
        if not holders:
            return Forgotten(n_records, damaged=damaged)
        later = (number for number in generations(store) if number >= min(holders))
        sources = [number for number in later if number not in damaged]
        copies = _copied(store, sources, user_ids, progress)
        _serve_copy(store, copies, why)
        removed, still_open = _removed(store, sources, wait_seconds, progress)
    return Forgotten(n_records, copies, removed, still_open, damaged)


def _found(
    store: Path, user_ids: Collection[str], progress: Progress
) -> tuple[dict[str, int], list[int], list[int]]:
    """Return the records of each user, the generations with any, and the damaged ones."""
    n_records = dict.fromkeys(user_ids, 0)
    holders, damaged = [], []
    for generation in generations(store):
        try:
            with (
                open_snapshot(store, generation, progress=progress) as snapshot,
                _tables(snapshot) as tables,
            ):
                for user_id in user_ids:
                    n_found = sum(
                        tables[name].get(key) is not None
                        for name, keys in _keys([user_id]).items()
                        if name in tables
                        for key in keys
                    )
                    n_records[user_id] += n_found
                    if n_found and generation not in holders:
                        holders.append(generation)
        except StoreError:
            if generation == current_or_none(store):
                raise
            damaged.append(generation)
    return n_records, holders, damaged


def _keys(user_ids: Collection[str]) -> dict[str, set[bytes]]:
    """Return the keys of the users' records, by table."""
    plain = {user_id.encode() for user_id in user_ids}
    return {**dict.fromkeys(_USER_TABLES, plain), _BIASES: {b"u/" + user_id for user_id in plain}}


@contextlib.contextmanager
def _tables(snapshot: Snapshot) -> Iterator[Mapping[str, Table]]:
    """Yield every table of a snapshot by file and name, such as `recs.mdb/users`."""
    with contextlib.closing(open_factors(snapshot)) as factors, contextlib.ExitStack() as held:
        tables = {}
        for path in sorted(snapshot.manifest.counts, key=_ORDER.index):
            file, _, name = path.partition("/")
            if file == RECS:
                tables[path] = getattr(snapshot, name)
            elif file == SEEN:
                tables[path] = held.enter_context(open_seen(snapshot))
            else:
                table = factors.open_db(name.encode(), create=False)
                tables[path] = Table(factors.begin(db=table))
        yield tables


def _copied(
    store: Path, sources: list[int], user_ids: Collection[str], progress: Progress
) -> dict[int, int]:
    """Copy generations without the users; return the copies, none of them if one fails."""
    n_bytes = sum(
        sum(read_manifest(snapshot_folder(store, number)).files.values()) for number in sources
    )
    if shutil.disk_usage(store).free < n_bytes:
        problem = f"the copies need {n_bytes / 1e6:,.1f} MB of free disk space"
        raise WriteError(store, problem, "make room, or `python -m store prune --keep 2`")
    copies: dict[int, int] = {}
    at = datetime.now(UTC).isoformat()
    try:
        for number in sources:
            copies[number] = _copy(store, number, copies, user_ids, at, progress)
    except BaseException:
        for number in copies.values():
            shutil.rmtree(snapshot_folder(store, number), ignore_errors=True)
        raise
    return copies


def _copy(
    store: Path,
    generation: int,
    copies: Mapping[int, int],
    user_ids: Collection[str],
    at: str,
    progress: Progress,
) -> int:
    """Copy a generation without the users, at a time that all copies of a run share."""
    keys = _keys(user_ids)
    with (
        open_snapshot(store, generation, verified=True) as snapshot,
        _tables(snapshot) as tables,
        SnapshotWriter(store, snapshot.manifest.n_shards) as writer,
    ):
        manifest = snapshot.manifest
        n_read = sum(manifest.counts.values())
        with progress(f"copy of {generation}", n_read, RECORDS) as advance:
            for path, table in tables.items():
                file, _, name = path.partition("/")
                gone = keys.get(path, set())
                records = counted(table, advance)
                writer.table(file, name, ((key, body) for key, body in records if key not in gone))
        for name in (INDEX, *filter(is_model_file, manifest.data_files)):
            shutil.copyfile(snapshot.folder / name, writer.path(name))
        parent = manifest.parent
        writer.parent = copies.get(parent, parent) if parent is not None else None
        note = {
            "at": at,
            "from_generation": generation,
            "n_users": len(user_ids),
            "n_records": n_read - sum(writer.counts.values()),
        }
        notes = [*_notes(manifest.parameters), note]
        return writer.finish(
            began_at=manifest.began_at,
            finished_at=manifest.finished_at,
            code_version=manifest.code_version,
            inputs=manifest.inputs,
            parameters=manifest.parameters | {NOTE: notes},
            metrics=manifest.metrics,
            gate=manifest.gate,
            arm=manifest.arm,
        ).generation


def _serve_copy(store: Path, copies: Mapping[int, int], why: str) -> None:
    """Make the copies of what is served, or pinned, current, those of an experiment too."""
    served, pin = current_or_none(store), pinned(store)
    if (experiment := read_experiment(store)) and experiment.moved(copies) != experiment:
        move_arms(store, experiment.moved(copies), why)
    if served is None or served not in copies:
        return
    target = copies[served]
    if pin is None:
        if experiment is None:
            publish(store, target, why)
        return
    verify(snapshot_folder(store, target))
    write_journal(store, target, "pin", why)
    try:
        write_pin(store, Pin(target, pin.why))
        point_at(store, target)
    except OSError as error:
        problem = f"CURRENT or PIN cannot be written: {error.strerror}"
        raise WriteError(store, problem) from error


def _removed(
    store: Path, sources: list[int], wait_seconds: float, progress: Progress
) -> tuple[list[int], list[int]]:
    """Remove generations once no process has them open; return those removed and those not."""
    deadline = time.monotonic() + wait_seconds
    removed, waiting = [], list(sources)
    with progress("old snapshots removed", len(sources), _GENERATIONS) as advance:
        while waiting:
            for number in [one for one in waiting if not is_open(snapshot_folder(store, one))]:
                _remove(store, number)
                waiting.remove(number)
                removed.append(number)
                advance(1)
            if waiting and time.monotonic() > deadline:
                break
            if waiting:
                time.sleep(_POLL_SECONDS)
                advance(0)  # the seconds
    return sorted(removed), waiting


def _remove(store: Path, generation: int) -> None:
    try:
        remove_snapshot(store, generation)
    except OSError as error:
        folder = snapshot_folder(store, generation)
        raise WriteError(folder, f"cannot be removed: {error.strerror}") from error


def _finish_interrupted(store: Path, wait_seconds: float, progress: Progress) -> None:
    """Complete a run that was killed: without its flip undo it, else remove what it replaced."""
    notes = {}  # the last note of each copy, by generation
    for number in generations(store):
        with contextlib.suppress(StoreError):
            if of_copy := _notes(read_manifest(snapshot_folder(store, number)).parameters):
                notes[number] = of_copy[-1]
    flipped = {line.generation for line in flips(store)}
    runs = {note.get("at") for number, note in notes.items() if number in flipped}
    replaced = {number: note.get("from_generation") for number, note in notes.items()}
    known = set(generations(store))
    left = {
        source if notes[number].get("at") in runs else number
        for number, source in replaced.items()
        if source in known
    }
    _removed(store, sorted(left), wait_seconds, progress)


def _notes(parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    notes = parameters.get(NOTE, [])
    is_list = isinstance(notes, list) and all(isinstance(note, dict) for note in notes)
    return list(notes) if is_list else []
