"""Provenance: which generation answered a user, now or at some time, and where it came from.

JOURNAL ─► the last flip before that time ─► snapshot, or its manifest in manifests/
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from store.errors import CorruptSnapshotError, NoSnapshotError, StoreError
from store.ids import USER_ID_RULE, is_user_id
from store.journal import JournalLine, flips
from store.layout import POPULAR, manifests_folder, snapshot_folder
from store.manifest import Manifest
from store.pointer import current
from store.snapshot import Snapshot, open_snapshot
from store.takedown import takedowns
from store.takedown_filter import FilteredLists

Names = list[str]


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a user was answered, and why.

    Attributes:
        user_id: Who asked.
        at: When, ISO 8601; None for now.
        generation: Which one answered.
        flip: The journal's line that made it current; None if the journal does not know.
        source: `list`, `popular`, or `none`; None if the snapshot is gone.
        items: The answer; None if the snapshot is gone.
        withheld: Items of the stored list that takedowns keep from the answer; now only.
        manifest: Inputs, code version, parameters, gate and the rest.
    """

    user_id: str
    at: str | None
    generation: int
    flip: JournalLine | None
    source: str | None
    items: Names | None
    withheld: Names
    manifest: Manifest


def explain(store: Path, user_id: str, at: datetime | None = None) -> Explanation:
    """Tell what `user_id` is answered now, or was answered at a time.

    The fallbacks that look at history or profile are not followed: they
    depend on the request.

    Raises:
        StoreError: That is no user id.
        NoSnapshotError: Nothing was served then, or nothing is known about it.
        CorruptSnapshotError, IncompatibleSnapshotError: The snapshot cannot be read.
    """
    if not is_user_id(user_id):
        raise StoreError(repr(user_id), "is no user id; it is answered 400", USER_ID_RULE)
    generation, flip = _served(store, at)
    source: str | None = None
    items: Names | None = None
    withheld: Names = []
    if snapshot_folder(store, generation).is_dir():
        hidden = set(takedowns(store)) if at is None else set()
        with open_snapshot(store, generation) as snapshot:
            source, stored, items = _answer(snapshot, user_id, hidden)
            manifest = snapshot.manifest
        withheld = [name for name in stored if name in hidden]
    else:
        manifest = _kept_manifest(store, generation)
    moment = at.isoformat() if at else None
    return Explanation(user_id, moment, generation, flip, source, items, withheld, manifest)


def _served(store: Path, at: datetime | None) -> tuple[int, JournalLine | None]:
    if at is None:
        generation, known = current(store), flips(store)
        return generation, known[-1] if known and known[-1].generation == generation else None
    if at > datetime.now(UTC):
        raise NoSnapshotError(store, f"{at.isoformat()} is still to come")
    before = [line for line in flips(store) if datetime.fromisoformat(line.at) <= at]
    if not before:
        raise NoSnapshotError(store, f"nothing was served yet at {at.isoformat()}")
    return before[-1].generation, before[-1]


def _kept_manifest(store: Path, generation: int) -> Manifest:
    path = manifests_folder(store) / f"{generation:06d}.json"
    try:
        return Manifest(**json.loads(path.read_bytes()))
    except FileNotFoundError:
        raise NoSnapshotError(store, f"generation {generation} is gone, its manifest too") from None
    except (ValueError, TypeError) as error:
        raise CorruptSnapshotError(path, f"cannot be read: {error}") from error


def _answer(snapshot: Snapshot, user_id: str, hidden: set[str]) -> tuple[str, Names, Names]:
    """Return source, stored list and answer, as a worker would find them."""
    lists = FilteredLists(snapshot, {name.encode() for name in hidden})
    stored = snapshot.users.get(user_id.encode())
    if kept := lists.get(user_id.encode()):
        return "list", _names(stored), _names(kept)
    popular = snapshot.fallback.get(POPULAR)
    source = "popular" if lists.popular else "none"
    return source, _names(stored or popular), _names(lists.popular)


def _names(body: bytes | None) -> Names:
    return body.decode().split(",") if body else []
