"""What a worker serves at one moment; a swap replaces it whole."""

import logging
from collections.abc import Callable, Sequence, Set
from typing import Final, Protocol

import falcon

from serve.worker.fallback import Answer, Fallback
from serve.worker.index import ItemIndex
from serve.worker.rating import Ratings
from store.items import Items, split
from store.snapshot import Snapshot
from store.takedown_filter import FilteredLists

log = logging.getLogger(__name__)

Header = tuple[str, str]
_NOTHING_HIDDEN: Final[Set[bytes]] = frozenset()


class Lists(Protocol):
    """Lists by user id: a snapshot's own table, or one that withholds items."""

    @property
    def get(self) -> Callable[[bytes], bytes | None]:
        """Return the body for a user id, or None."""


class Headers(dict[int, list[Header]]):
    """The headers of a list by the length of its body: a thousand lengths serve a million users."""

    def __init__(self, generation: int) -> None:
        self._common = (
            ("Content-Type", falcon.MEDIA_TEXT),
            ("X-Marquee-Source", "list"),
            ("X-Marquee-Generation", str(generation)),
        )

    def __missing__(self, n_bytes: int) -> list[Header]:
        made = self[n_bytes] = [*self._common, ("Content-Length", str(n_bytes))]
        return made


class Served:
    """An open snapshot, and all that answers out of it.

    Attributes:
        snapshot: ChildProcess open as long as anybody answers from it.
        hidden: Items left out, as they stand in a list.
        get: The body of a user's own list, or None; one lookup.
        headers: Of such an answer, by the length of its body.
        items: What is known about each item.
    """

    def __init__(self, snapshot: Snapshot, hidden: Set[bytes] = _NOTHING_HIDDEN) -> None:
        lists = FilteredLists(snapshot, hidden) if hidden else None
        self.snapshot = snapshot
        self.hidden = hidden
        self.get = lists.get if lists else snapshot.users.get
        self.headers = Headers(snapshot.generation)
        self.items = Items(snapshot)
        self._fallback = Fallback(snapshot, self.items, _index(snapshot, self.items), hidden)
        self._ratings: Ratings | None = None

    @property
    def generation(self) -> int:
        """Of the snapshot."""
        return self.snapshot.generation

    def answer(
        self, user_id: bytes, history: Sequence[bytes] = (), recent: Sequence[bytes] = ()
    ) -> Answer:
        """Return the list of any user; an empty one only if the snapshot has nothing to give."""
        if body := self.get(user_id):
            names = split(body)
            if history:
                names = self._unseen(user_id, names, set(history))
            return Answer("list", names)
        return self._fallback.answer(user_id, history, recent)

    def similar(self, item_id: bytes) -> list[bytes] | None:
        """Return an item's neighbours, nearest first; None if there is no such item."""
        body = self.snapshot.similar.get(item_id)
        if body is None and self.items.about(item_id) is None:
            return None
        return [name for name in split(body) if name not in self.hidden]

    def ratings(self) -> Ratings:
        """Return the rating model, opened by the first who asks.

        Raises:
            CorruptSnapshotError: It cannot be opened.
        """
        if self._ratings is None:
            self._ratings = Ratings(self.snapshot)
        return self._ratings

    def _unseen(self, user_id: bytes, own: list[bytes], seen: set[bytes]) -> list[bytes]:
        spares = split(self.snapshot.spares.get(user_id))
        left = [n for n in [*own, *spares] if n not in seen and n not in self.hidden]
        if len(left) < len(own):
            left += self._fallback.answer(user_id, [*seen]).names
        return [*dict.fromkeys(left)][: len(own)]


def _index(snapshot: Snapshot, items: Items) -> ItemIndex | None:
    try:
        return ItemIndex(snapshot, items)
    except (ValueError, OverflowError) as error:
        log.warning("generation %d, no answers by history: %s", snapshot.generation, error)
        return None
