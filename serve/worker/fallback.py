"""The fallback chain: a list for a user without one.

    history in the request ─► views since the snapshot ─► segment ─► popular
      items similar to them     items similar to them      25-34/F ─► 25-34 ─► F

A short list is completed by the next step. The first step that contributes an item
is the source of the answer. No step returns an item that the user has just watched,
an item taken down or, to a minor, an adult title.
"""

from collections.abc import Iterator, Sequence, Set
from typing import Final, NamedTuple

from serve.worker.index import ItemIndex
from store.items import ItemIds, Items, backing_off, split
from store.layout import LIST_LENGTH, POPULAR, RESERVE
from store.snapshot import Snapshot

_N_EXTRA_NEIGHBOURS: Final = 20  # in place of those that are filtered out
_MINOR: Final = b"minor"


class Answer(NamedTuple):
    """A list and its source.

    Attributes:
        source: Source of the list, the value of `X-Marquee-Source`.
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
        self._closed_shard_of = snapshot.closed_shard_of
        rules = snapshot.manifest.parameters.get("rules", {})
        self._is_filtered = bool(rules.get("adult_filter"))
        self._unknown_are_minors = bool(rules.get("unknown_age_is_minor"))
        self._items = items
        self._index = index
        self._hidden = hidden
        self._popular = split(snapshot.fallback.get(POPULAR))
        self._popular += split(snapshot.fallback.get(RESERVE))

    def answer(
        self, user_id: bytes, history: Sequence[bytes] = (), recent: Sequence[bytes] = ()
    ) -> Answer:
        """Return up to 20 items; fewer, or none, only if the snapshot has no more.

        Args:
            user_id: A user without a list.
            history: Items watched according to the request, the latest first.
            recent: Items watched since the snapshot was made, the latest first.
        """
        segment, _, flag = self._profile_of(user_id).partition(b" ")
        seen = {*history, *recent}
        source, names = "popular", dict[bytes, None]()
        for step, candidates in self._steps(history, recent, segment, len(seen)):
            for name in candidates:
                if name in seen or name in self._hidden or name in names:
                    continue
                if flag == _MINOR and self._items.is_adult(name):
                    continue
                source = source if names else step
                names[name] = None
                if len(names) == LIST_LENGTH:
                    return Answer(source, [*names])
        return Answer(source, [*names])

    def _profile_of(self, user_id: bytes) -> bytes:
        """Return a profile; one that another machine has may be a minor's."""
        if profile := self._profile(user_id):
            return profile
        is_minor = self._unknown_are_minors or self._closed_shard_of(user_id) is not None
        return b" minor" if is_minor and self._is_filtered else b""

    def _steps(
        self, history: Sequence[bytes], recent: Sequence[bytes], segment: bytes, n_seen: int
    ) -> Iterator[tuple[str, ItemIds]]:
        for step, watched in (("history", history), ("recent", recent)):
            if watched and self._index:
                n = LIST_LENGTH + n_seen + _N_EXTRA_NEIGHBOURS
                yield step, self._index.similar_to(watched, n)
        for key in backing_off(segment):
            yield "segment", split(self._segment_list(key))
        yield "popular", self._popular
