"""Provenance: which generation answered a user at a time, and how it was built.

JOURNAL ─► the last flip before that time ─► snapshot, or its manifest in manifests/
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from store.errors import CorruptSnapshotError, NoSnapshotError, StoreError
from store.ids import USER_ID_RULE, is_user_id
from store.journal import JournalLine, flips
from store.layout import POPULAR, manifests_folder, snapshot_folder
from store.manifest import Manifest, read_json_object
from store.model_files import history_of
from store.pointer import current
from store.snapshot import Snapshot, open_snapshot
from store.takedown import takedowns
from store.takedown_filter import FilteredLists


@dataclass(frozen=True, slots=True)
class Explanation:
    """The answer to a user at a time, and its provenance.

    Attributes:
        user_id: User of the request.
        at: Time of the request, ISO 8601; None for now.
        generation: Generation that answered.
        flip: Journal line that made it current; None if the journal has none.
        source: `list`, `popular` or `none`; None if the snapshot was pruned.
        items: Item ids of the answer; None if the snapshot was pruned.
        history: Item ids that the user's list was made from, in no order; None if the snapshot
            does not say.
        withheld: Items of the stored list that takedowns remove from the answer; only for now.
        manifest: Manifest of the generation: inputs, code version, parameters, gate.
    """

    user_id: str
    at: str | None
    generation: int
    flip: JournalLine | None
    source: str | None
    items: list[str] | None
    history: list[str] | None
    withheld: list[str]
    manifest: Manifest


def explain(store: Path, user_id: str, at: datetime | None = None) -> Explanation:
    """Return the answer to `user_id` now or at a past time.

    The fallbacks by history and profile are left out: they depend on the request.

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
    source: str | None = None
    items: list[str] | None = None
    history: list[str] | None = None
    withheld: list[str] = []
    if snapshot_folder(store, generation).is_dir():
        hidden = set(takedowns(store)) if at is None else set()
        with open_snapshot(store, generation) as snapshot:
            source, stored, items = _answer(snapshot, user_id, hidden)
            history = history_of(snapshot, user_id)
            manifest = snapshot.manifest
        withheld = [name for name in stored if name in hidden]
    else:
        manifest = kept_manifest(store, generation)
    moment = at.isoformat() if at else None
    return Explanation(
        user_id, moment, generation, flip, source, items, history, withheld, manifest
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


def kept_manifest(store: Path, generation: int) -> Manifest:
    """Return the manifest of a pruned generation.

    Raises:
        NoSnapshotError: It is missing.
        CorruptSnapshotError: It cannot be read.
    """
    path = manifests_folder(store) / f"{generation:06d}.json"
    try:
        return Manifest.from_json(read_json_object(path))
    except FileNotFoundError:
        raise NoSnapshotError(
            store, f"generation {generation} was pruned, and its manifest is missing"
        ) from None
    except (OSError, ValueError) as error:
        raise CorruptSnapshotError(path, f"cannot be read: {error}") from error


def _answer(snapshot: Snapshot, user_id: str, hidden: set[str]) -> tuple[str, list[str], list[str]]:
    """Return source, stored list and answer as a worker computes them."""
    lists = FilteredLists(snapshot, {name.encode() for name in hidden})
    stored = snapshot.users.get(user_id.encode())
    if kept := lists.get(user_id.encode()):
        return "list", _names(stored), _names(kept)
    popular = snapshot.fallback.get(POPULAR)
    source = "popular" if lists.popular else "none"
    return source, _names(stored or popular), _names(lists.popular)


def _names(body: bytes | None) -> list[str]:
    return body.decode().split(",") if body else []
