"""What the snapshots say about answers: generation, source and segment, or the items.

    (user, time, items)              ─► generation that gave them, source, segment
    (user, generation, source=list)  ─► items, where the access log has the rest

The journal says which generation was current. For some seconds around a switch both are
served, and each arm of an experiment has a generation beside the current one, so the
answer's items decide among these. An answer that none of them gave is of the source `other`:
a fresh list, or one from recent views or a history in the request.
"""

import contextlib
from bisect import bisect_right
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

from store.errors import NoSnapshotError
from store.items import Items, backing_off, split
from store.journal import flips
from store.layout import POPULAR, RESERVE, generations, snapshot_folder
from store.manifest import read_manifest
from store.snapshot import Snapshot, open_snapshot

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


class SnapshotLists:
    """Lists of one open snapshot."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._list = snapshot.users.get
        self._profile = snapshot.profiles.get
        self._fallback = snapshot.fallback.get
        self._popular = split(self._fallback(POPULAR)) + split(self._fallback(RESERVE))
        self._items = Items(snapshot)

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
        segments = [split(self._fallback(key)) for key in backing_off(self.segment(user_id))]
        own_pool = [name for names in segments for name in names]
        if not _is_subsequence(names, [*dict.fromkeys([*own_pool, *self._popular])]):
            return OTHER
        return SEGMENT if names[0] in own_pool else DEFAULT

    def facts(self, item_id: str) -> ItemFacts:
        """Return the facts of an item."""
        about = self._items.about(item_id.encode()) or {}
        return ItemFacts(_number(about.get("runtime")), _number(about.get("cost")))


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

    def spans(self, generation: int) -> list[tuple[float, float]]:
        """Return the times from which and until which a generation was current."""
        ends = [*self._flips[1:], float("inf")]
        spans = zip(self._current, self._flips, ends, strict=True)
        return [(begin, end) for number, begin, end in spans if number == generation]

    def candidates(self, at: float) -> list[int]:
        """Return the generations that may have answered at a time, the current one first."""
        number = bisect_right(self._flips, at)
        first = bisect_right(self._flips, at - _SWITCH_SECONDS)
        last = bisect_right(self._flips, at + _SWITCH_SECONDS)
        current = self._current[number - 1 : number] if number else []
        around = self._current[max(first - 1, 0) : last]
        return [*dict.fromkeys([*current, *around, *self._beside])]

    def lists(self, generation: int) -> SnapshotLists | None:
        """Return the lists of a generation; None if its snapshot was pruned."""
        if generation not in self._open:
            self._open[generation] = self._opened(generation)
        return self._open[generation]

    def origin(self, user_id: bytes, at: float, body: bytes | None) -> Origin:
        """Return the origin of an answer.

        Args:
            user_id: User who asked.
            at: Time of the request.
            body: Items of the answer, joined by commas; None for a failed request.
        """
        candidates = self.candidates(at)
        opened = [(one, lists) for one in candidates if (lists := self.lists(one))]
        segment = opened[0][1].segment(user_id).decode() if opened else ""
        current = candidates[0] if candidates else 0
        if body is None:
            return Origin(current, NO_ANSWER, segment)
        for generation, lists in opened:
            source = lists.source(user_id, body)
            if source != OTHER:
                return Origin(generation, source, segment)
        is_open = bool(opened) and opened[0][0] == current
        return Origin(current, OTHER if is_open else PRUNED, segment)

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


def generations_of_arms(store: Path) -> dict[int, str]:
    """Return the arm of each generation in the store whose manifest names one."""
    arms = {}
    for generation in generations(store):
        with contextlib.suppress(NoSnapshotError):
            arm = read_manifest(snapshot_folder(store, generation)).parameters.get("arm")
            if isinstance(arm, str):
                arms[generation] = arm
    return arms


def _is_subsequence(names: Sequence[bytes], pool: Iterable[bytes]) -> bool:
    rest = iter(pool)
    return all(name in rest for name in names)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _seconds(at: str) -> float:
    return datetime.fromisoformat(at).timestamp()
