"""What the snapshots say about answers: generation, source and segment, or the items.

    (user, time, items)              ─► generation that gave them, source, segment
    (user, generation, source=list)  ─► items, where the access log has the rest

The journal says which generation was current. For some seconds around a switch both are
served, and each arm of an experiment has a generation beside the current one, so the
answer's items decide among these. An answer that none of them gave is of the source `other`:
a fresh list, or one from recent views or a history in the request.
"""

import contextlib
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

import numpy as np

from batch.arrays import Times
from store.arms import generations_of_experiments
from store.errors import NoSnapshotError
from store.items import Items, backing_off, split
from store.journal import flips
from store.layout import LIST_LENGTH, POPULAR, RESERVE, generations, snapshot_folder
from store.manifest import read_manifest
from store.snapshot import Snapshot, open_snapshot
from store.team_draft import unpack_teams

LIST: Final = "list"
SEGMENT: Final = "segment"
DEFAULT: Final = "popular"
OTHER: Final = "other"
PRUNED: Final = "pruned"
NO_ANSWER: Final = ""
_OWN: Final = frozenset((LIST, "fresh", "history", "recent", OTHER))
_SWITCH_SECONDS: Final = 120  # around a flip in which either generation may answer


def is_personal(source: str) -> bool:
    """Return whether an answer of that source was made for its user."""
    return source in _OWN


class Origin(NamedTuple):
    """Origin of an answer.

    Attributes:
        generation: Generation that gave it; 0 before the first.
        source: LIST, SEGMENT, DEFAULT or OTHER; PRUNED where the snapshot is gone;
            NO_ANSWER for a failed request.
        segment: Segment of the user's profile, such as `25-34/F`; empty without one.
    """

    generation: int
    source: str
    segment: str


class ItemFacts(NamedTuple):
    """Facts of an item that figures need, None where unknown.

    Attributes:
        runtime: Minutes.
        cost: Licence fee of one play in USD.
    """

    runtime: float | None
    cost: float | None


class _FallbackPool(NamedTuple):
    """Items of the fallback lists of a segment.

    Attributes:
        body: The answer, if no item of it is hidden from the user.
        pool: Items of the segment's lists and the popular ones, best first.
        own: Items of the segment's lists.
    """

    body: bytes
    pool: Sequence[bytes]
    own: Collection[bytes]


class SnapshotLists:
    """Lists of one open snapshot."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._list = snapshot.users.get
        self._profile = snapshot.profiles.get
        self._fallback = snapshot.fallback.get
        self._popular = split(self._fallback(POPULAR)) + split(self._fallback(RESERVE))
        self._items = Items(snapshot)
        self._pools: dict[bytes, _FallbackPool] = {}

    def segment(self, user_id: bytes) -> bytes:
        """Return the segment of a user's profile, empty without one."""
        return (self._profile(user_id) or b"").partition(b" ")[0]

    def list_of(self, user_id: bytes, source: str) -> bytes | None:
        """Return the list that a source has for a user; None if the snapshot does not say."""
        if source == LIST:
            return self._list(user_id)
        return self._fallback(POPULAR) if source == DEFAULT else None

    def source(self, user_id: bytes, body: bytes) -> str:
        """Return the source of an answer; OTHER if this snapshot did not give it.

        A list may lack items that were taken down, and have spares in their place.
        """
        own = self._list(user_id)
        if own == body:
            return LIST
        names = split(body)
        if own is not None:
            pool = split(own) + split(self.snapshot.spares.get(user_id)) + self._popular
            return LIST if _is_subsequence(names, pool) else OTHER
        fallback = self._fallback_of(self.segment(user_id))
        if body != fallback.body and not _is_subsequence(names, fallback.pool):
            return OTHER
        return SEGMENT if names[0] in fallback.own else DEFAULT

    def answer(self, user_id: bytes) -> bytes:
        """Return the answer to a user from whom no item of it is hidden."""
        return self._list(user_id) or self._fallback_of(self.segment(user_id)).body

    def teams(self, user_id: bytes) -> dict[bytes, int]:
        """Return the team of each item of a user's list; none where nothing is interleaved."""
        teams = self.snapshot.teams
        packed = teams.get(user_id) if teams else None
        names = split(self._list(user_id))
        return dict(zip(names, unpack_teams(packed, len(names)), strict=True)) if packed else {}

    def _fallback_of(self, segment: bytes) -> _FallbackPool:
        found = self._pools.get(segment)
        if found is None:
            lists = [split(self._fallback(key)) for key in backing_off(segment)]
            own = [name for names in lists for name in names]
            pool = [*dict.fromkeys([*own, *self._popular])]
            body = b",".join(pool[:LIST_LENGTH])
            found = self._pools[segment] = _FallbackPool(body, pool, frozenset(own))
        return found

    def facts(self, item_id: str) -> ItemFacts:
        """Return the facts of an item."""
        about = self._items.about(item_id.encode()) or {}
        return ItemFacts(_number(about.get("runtime")), _number(about.get("cost")))


Candidate = tuple[int, SnapshotLists | None]  # a generation, None if its snapshot was pruned


class ServedLists:
    """The lists that a store's generations served, opened when they are needed.

    Args:
        store: Directory of the store.
        utc_offset_seconds: Seconds by which times given here are ahead of UTC.
        beside: Generations that may answer beside the current one, as those of arms do.
    """

    def __init__(
        self, store: Path, utc_offset_seconds: int = 0, beside: Collection[int] = ()
    ) -> None:
        self._store = store
        self._beside = tuple(beside)
        self._open: dict[int, SnapshotLists | None] = {}
        self._resources = contextlib.ExitStack()
        lines = flips(store)
        self._flips = [_seconds(line.at) + utc_offset_seconds for line in lines]
        self._current = [line.generation for line in lines]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._resources.close()

    def lists(self, generation: int) -> SnapshotLists | None:
        """Return the lists of a generation; None if its snapshot was pruned."""
        if generation not in self._open:
            self._open[generation] = self._opened(generation)
        return self._open[generation]

    def origins(
        self, user_ids: Sequence[bytes], at: Times, bodies: Sequence[bytes | None]
    ) -> list[Origin]:
        """Return the origin of each answer.

        Args:
            user_ids: (n,) users who asked.
            at: (n,) times of the requests.
            bodies: (n,) items of the answers, joined by commas; None for a failed request.
        """
        times = np.array(self._flips)
        shifts = (0, -_SWITCH_SECONDS, _SWITCH_SECONDS)
        keys = np.stack([np.searchsorted(times, at + one, side="right") for one in shifts], axis=1)
        distinct, inverse = np.unique(keys, axis=0, return_inverse=True)
        around = [self._candidates(*key) for key in distinct.tolist()]
        rows = zip(user_ids, bodies, inverse.ravel().tolist(), strict=True)
        return [_origin(user_id, body, around[number]) for user_id, body, number in rows]

    def _candidates(self, number: int, first: int, last: int) -> list[Candidate]:
        """Return the generations that may have answered, the current one first.

        Args:
            number: Number of flips until the request.
            first: Number of flips until some seconds before.
            last: Number of flips until some seconds after.
        """
        current = self._current[number - 1 : number] if number else []
        around = self._current[max(first - 1, 0) : last]
        candidates = dict.fromkeys([*current, *around, *self._beside])
        return [(one, self.lists(one)) for one in candidates]

    def is_interleaved(self, generation: int) -> bool:
        """Return whether the lists of a generation are drafted from those of two others."""
        lists = self.lists(generation)
        return lists is not None and lists.snapshot.teams is not None

    def segment(self, user_id: bytes, generation: int) -> str:
        """Return the segment of a user's profile in a generation, empty without one."""
        lists = self.lists(generation)
        return lists.segment(user_id).decode() if lists else ""

    def facts(self, generation: int, item_id: str) -> ItemFacts:
        """Return the facts of an item by the snapshot of a generation."""
        lists = self.lists(generation)
        return lists.facts(item_id) if lists else ItemFacts(None, None)

    def _opened(self, generation: int) -> SnapshotLists | None:
        if not snapshot_folder(self._store, generation).is_dir():
            return None
        try:
            snapshot = open_snapshot(self._store, generation, verified=True)
        except NoSnapshotError:  # pruned just now
            return None
        return SnapshotLists(self._resources.enter_context(snapshot))


def _origin(user_id: bytes, body: bytes | None, candidates: Sequence[Candidate]) -> Origin:
    current, current_lists = candidates[0] if candidates else (0, None)
    segment = current_lists.segment(user_id).decode() if current_lists else ""
    if body is None:
        return Origin(current, NO_ANSWER, segment)
    for generation, lists in candidates:
        if lists and lists.list_of(user_id, LIST) == body:
            return Origin(generation, LIST, segment)
    for generation, lists in candidates:
        source = lists.source(user_id, body) if lists else OTHER
        if source != OTHER:
            return Origin(generation, source, segment)
    return Origin(current, OTHER if current_lists else PRUNED, segment)


def generations_beside(store: Path) -> list[int]:
    """Return the generations that may have answered beside the current one: those of arms."""
    return sorted(generations_of_arms(store).keys() | generations_of_experiments(store))


def generations_of_arms(store: Path) -> dict[int, str]:
    """Return the arm of each generation in the store whose manifest names one."""
    arms = {}
    for generation in generations(store):
        with contextlib.suppress(NoSnapshotError):
            arm = read_manifest(snapshot_folder(store, generation)).arm
            if arm is not None:
                arms[generation] = arm
    return arms


def _is_subsequence(names: Sequence[bytes], pool: Iterable[bytes]) -> bool:
    rest = iter(pool)
    return all(name in rest for name in names)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _seconds(at: str) -> float:
    return datetime.fromisoformat(at).timestamp()
