"""The fallback chain: a list for a user who has none of their own.

    history in the request ─► views since the snapshot ─► segment ─► popular
      items near to them        items near to them         25-34/F ─► 25-34 ─► F

A step that comes up short is topped up by the next; the first one that gave an
item names the answer. None of them gives what the user has just seen, what is
taken down or, to a minor, an adult title.
"""

from collections.abc import Iterator, Sequence, Set
from typing import Final, NamedTuple

from serve.worker.index import ItemIndex
from store.items import ItemIds, Items, split
from store.layout import LIST_LENGTH, POPULAR, RESERVE
from store.snapshot import Snapshot

_MORE: Final = 20  # neighbours asked for besides, since some will be left out
_MINOR: Final = b"minor"


class Answer(NamedTuple):
    """A list, and what made it.

    Attributes:
        source: As in `X-Marquee-Source`.
        names: Item ids, best first.
    """

    source: str
    names: ItemIds


class Fallback:
    """The chain over one snapshot."""

    def __init__(
        self, snapshot: Snapshot, items: Items, index: ItemIndex | None, hidden: Set[bytes]
    ) -> None:
        self._segment_list = snapshot.fallback.get
        self._profile = snapshot.profiles.get
        self._unknown = b" minor" if _are_unknown_minors(snapshot) else b""
        self._items = items
        self._index = index
        self._hidden = hidden
        self._popular = split(snapshot.fallback.get(POPULAR))
        self._popular += split(snapshot.fallback.get(RESERVE))

    def answer(
        self, user_id: bytes, history: Sequence[bytes] = (), recent: Sequence[bytes] = ()
    ) -> Answer:
        """Return up to 20 items; fewer, or none, only where the snapshot has no more.

        Args:
            user_id: One without a list of their own.
            history: What the request says they watched, the latest first.
            recent: What they watched since the snapshot was made, the latest first.
        """
        segment, _, flag = (self._profile(user_id) or self._unknown).partition(b" ")
        seen = {*history, *recent}
        source, kept = "popular", dict[bytes, None]()
        for step, names in self._steps(history, recent, segment, len(seen)):
            for name in names:
                if name in seen or name in self._hidden or name in kept:
                    continue
                if flag == _MINOR and self._items.is_adult(name):
                    continue
                source = source if kept else step
                kept[name] = None
                if len(kept) == LIST_LENGTH:
                    return Answer(source, [*kept])
        return Answer(source, [*kept])

    def _steps(
        self, history: Sequence[bytes], recent: Sequence[bytes], segment: bytes, n_seen: int
    ) -> Iterator[tuple[str, ItemIds]]:
        for step, watched in (("history", history), ("recent", recent)):
            if watched and self._index:
                yield step, self._index.near(watched, LIST_LENGTH + n_seen + _MORE)
        for key in backing_off(segment):
            yield "segment", split(self._segment_list(key))
        yield "popular", self._popular


def _are_unknown_minors(snapshot: Snapshot) -> bool:
    """Tell whether adult titles are kept from users of whom nothing is known."""
    rules = snapshot.manifest.parameters.get("rules", {})
    return bool(rules.get("adult_filter") and rules.get("unknown_age_is_minor"))


def backing_off(segment: bytes) -> list[bytes]:
    """Return a segment's key and the wider ones behind it: `a/b/c`, `a/b`, `a`, `b`, `c`."""
    parts = segment.split(b"/") if segment else []
    prefixes = [b"/".join(parts[:n]) for n in range(len(parts), 0, -1)]
    return [*prefixes, *parts[1:]]
