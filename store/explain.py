"""Provenance: which generation answered a user at a time, and how it was built.

JOURNAL    ─► the last flip before that time ─► snapshot, or its manifest in manifests/
EXPERIMENT ─► now: the generation of the user's arm
fresh.mdb  ─► the list made since, where the server answers it: of this generation, sound, recent
"""

import contextlib
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import lmdb

from store.errors import CorruptFreshError, ExperimentError, NoSnapshotError, StoreError
from store.experiment import Arm, experiment_beside
from store.fresh import FRESH_HOURS, FreshList, decode, open_fresh
from store.ids import USER_ID_RULE, is_user_id
from store.journal import JournalLine, flips
from store.layout import POPULAR, snapshot_folder
from store.manifest import Manifest, kept_manifest
from store.model_files import history_of
from store.pointer import current
from store.progress import Progress, silent
from store.snapshot import Snapshot, open_what_is_here
from store.takedown import takedowns
from store.takedown_filter import FilteredLists

_HOUR_SECONDS: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Explanation:
    """The answer to a user at a time, and its provenance.

    Attributes:
        user_id: User of the request.
        at: Time of the request, ISO 8601; None for now.
        generation: Generation that answered.
        arm: Arm of the user; None outside of an experiment, and for a past time.
        flip: Journal line that made it current; None if the journal has none.
        source: `fresh`, `list`, `popular` or `none`; None if the snapshot was pruned.
        made_at: Time when a fresh list was made, seconds since 1970; None for another one.
        items: Item ids of the answer; None if the snapshot was pruned.
        history: Item ids that the user's list was made from, in no order; None if the snapshot
            does not say.
        withheld: Items of the stored list that takedowns remove from the answer; only for now.
        manifest: Manifest of the generation: inputs, code version, parameters, gate.
    """

    user_id: str
    at: str | None
    generation: int
    arm: str | None
    flip: JournalLine | None
    source: str | None
    made_at: float | None
    items: list[str] | None
    history: list[str] | None
    withheld: list[str]
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class ListInSnapshot:
    """What one snapshot answers a user; the fields are those of `Explanation`."""

    source: str
    made_at: float | None
    items: list[str]
    history: list[str] | None
    withheld: list[str]


@dataclass(frozen=True, slots=True)
class _OwnList:
    """A user's own list, and the history that it was made from.

    Attributes:
        fresh: List made since the snapshot; None: that of the snapshot.
        history: Value of its history; None where it is unknown.
    """

    fresh: FreshList | None
    history: bytes | None


def explain(
    store: Path,
    user_id: str,
    at: datetime | None = None,
    *,
    fresh_hours: float = FRESH_HOURS,
    progress: Progress = silent,
) -> Explanation:
    """Return the answer to `user_id` now or at a past time.

    The fallbacks by history and profile are left out: they depend on the request. Fresh lists
    are not kept, so for a past time the list of the snapshot is returned, in an experiment
    the control's: `python -m stream explain` finds the arm of a logged answer.

    Args:
        store: Directory of the store.
        user_id: User of the request.
        at: Time of the request; None: now.
        fresh_hours: Age in hours from which the server does not use a fresh list.
        progress: What shows how much of the snapshot is verified.

    Raises:
        StoreError: The user id is not valid.
        NoSnapshotError: Nothing was served then, or its snapshot and manifest are gone.
        CorruptSnapshotError, IncompatibleSnapshotError: The snapshot cannot be read.
    """
    if not is_user_id(user_id):
        raise StoreError(
            repr(user_id), "is not a valid user id; the server answers 400", USER_ID_RULE
        )
    generation, flip = _served(store, at)
    arm = arm_of(store, user_id, generation) if at is None else None
    generation = arm.generation if arm else generation
    found: ListInSnapshot | None = None
    if snapshot_folder(store, generation).is_dir():
        with open_what_is_here(store, generation, progress=progress) as snapshot:
            snapshot.check_user(user_id)
            found = list_in(store, snapshot, user_id, fresh_hours if at is None else None)
            manifest = snapshot.manifest
    else:
        manifest = kept_manifest(store, generation)
    return Explanation(
        user_id=user_id,
        at=at.isoformat() if at else None,
        generation=generation,
        arm=arm.name if arm else None,
        flip=flip,
        source=found.source if found else None,
        made_at=found.made_at if found else None,
        items=found.items if found else None,
        history=found.history if found else None,
        withheld=found.withheld if found else [],
        manifest=manifest,
    )


def list_in(
    store: Path, snapshot: Snapshot, user_id: str, fresh_hours: float | None
) -> ListInSnapshot:
    """Return the answer of one open snapshot to a user.

    Args:
        store: Directory of the store.
        snapshot: Open snapshot of it.
        user_id: Valid user id.
        fresh_hours: Age in hours from which a fresh list is not used; None: the snapshot's own
            list, without today's takedowns.

    Raises:
        CorruptSnapshotError: The file of the histories is damaged.
    """
    hidden, own = set[str](), _OwnList(None, None)
    if fresh_hours is not None:
        hidden = set(takedowns(store))
        own = _fresh(store, user_id.encode(), snapshot.manifest.generation, fresh_hours)
    source, stored, items = _answer(snapshot, user_id, hidden, own.fresh)
    return ListInSnapshot(
        source=source,
        made_at=own.fresh.made_at if own.fresh else None,
        items=items,
        history=history_of(snapshot, user_id, own.history),
        withheld=[name for name in stored if name in hidden],
    )


def _served(store: Path, at: datetime | None) -> tuple[int, JournalLine | None]:
    if at is None:
        generation, known = current(store), flips(store)
        return generation, known[-1] if known and known[-1].generation == generation else None
    if at > datetime.now(UTC):
        raise NoSnapshotError(
            store, f"{at.isoformat()} is in the future", "name a time in the past"
        )
    before = [line for line in flips(store) if datetime.fromisoformat(line.at) <= at]
    if not before:
        raise NoSnapshotError(store, f"nothing was served at {at.isoformat()}")
    return before[-1].generation, before[-1]


def arm_of(store: Path, user_id: str, current: int) -> Arm | None:
    """Return the arm of a user in the experiment of the current generation, None without one."""
    with contextlib.suppress(ExperimentError):  # the server does without it, too
        if experiment := experiment_beside(store, current):
            return experiment.arms[experiment.arm_function()(user_id.encode())]
    return None


def _fresh(store: Path, user_id: bytes, generation: int, fresh_hours: float) -> _OwnList:
    """Return the fresh list of a user, if a worker would answer it."""
    none = _OwnList(None, None)
    with contextlib.suppress(CorruptFreshError, lmdb.Error):  # a worker does without it
        if (lists := open_fresh(store)) is None:
            return none
        with contextlib.closing(lists):
            made = decode(user_id, lists.get(user_id) or b"")
            if made is None or made.generation != generation:
                return none
            if made.made_at < time.time() - _HOUR_SECONDS * fresh_hours:
                return none
            return _OwnList(made, lists.history(user_id))
    return none


def _answer(
    snapshot: Snapshot, user_id: str, hidden: set[str], fresh: FreshList | None
) -> tuple[str, list[str], list[str]]:
    """Return source, stored list and answer as a worker computes them."""
    lists = FilteredLists(snapshot, {name.encode() for name in hidden})
    if fresh and (body := lists.without_hidden(fresh.body, fresh.spares)):
        return "fresh", _names(fresh.body), _names(body)
    stored = snapshot.users.get(user_id.encode())
    if kept := lists.get(user_id.encode()):
        return "list", _names(stored), _names(kept)
    popular = snapshot.fallback.get(POPULAR)
    source = "popular" if lists.popular else "none"
    return source, _names(stored or popular), _names(lists.popular)


def _names(body: bytes | None) -> list[str]:
    return body.decode().split(",") if body else []
