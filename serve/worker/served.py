"""The snapshot that a worker serves; a swap replaces the whole object."""

import logging
from collections.abc import Callable, Sequence, Set
from typing import Final, Protocol

import falcon

from serve.worker.fallback import Answer, Fallback
from serve.worker.index import ItemIndex
from serve.worker.rating import RatingTables
from store.items import Items, split
from store.snapshot import Snapshot
from store.takedown_filter import FilteredLists

log = logging.getLogger(__name__)

Header = tuple[str, str]
_NOTHING_HIDDEN: Final[Set[bytes]] = frozenset()


class Lists(Protocol):
    """Lists by user id: the snapshot's table, or a filter of takedowns around it."""

    @property
    def get(self) -> Callable[[bytes], bytes | None]:
        """The lookup of a body by user id; None for an unknown user."""


class Headers(dict[int, list[Header]]):
    """Headers of a user's own list by body length; a million users share a thousand lengths."""

    def __init__(self, generation: int, *, hide_source: bool = False) -> None:
        self._common: tuple[Header, ...] = (
            ("Content-Type", falcon.MEDIA_TEXT),
            ("X-Marquee-Source", "list"),
            ("X-Marquee-Generation", str(generation)),
        )
        self._length = "Content-Length"
        if hide_source:  # in the order and letters of Falcon, which answers unknown users
            self._common = (
                ("x-marquee-generation", str(generation)),
                ("content-type", falcon.MEDIA_TEXT),
            )
            self._length = "content-length"

    def __missing__(self, n_bytes: int) -> list[Header]:
        made = self[n_bytes] = [*self._common, (self._length, str(n_bytes))]
        return made


class Served:
    """An open snapshot and the functions that answer from it.

    Attributes:
        snapshot: The snapshot; it stays open as long as this object is referenced.
        hidden: Items left out, encoded as in a list.
        has_index: Whether its item index may be used.
        get: Lookup of the body of a user's own list, None without one.
        headers: Response headers of such a body, by its length.
        items: Catalogue data of each item.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        hidden: Set[bytes] = _NOTHING_HIDDEN,
        *,
        with_index: bool = True,
        hide_source: bool = False,
    ) -> None:
        lists = FilteredLists(snapshot, hidden) if hidden else None
        self.snapshot = snapshot
        self.hidden = hidden
        self.get = lists.get if lists else snapshot.users.get
        self.has_index = with_index
        self.headers = Headers(snapshot.generation, hide_source=hide_source)
        self.items = Items(snapshot)
        index = _index(snapshot, self.items) if with_index else None
        self._fallback = Fallback(snapshot, self.items, index, hidden)
        self._ratings: RatingTables | None = None

    @property
    def generation(self) -> int:
        """Generation of the snapshot."""
        return self.snapshot.generation

    def answer(
        self, user_id: bytes, history: Sequence[bytes] = (), recent: Sequence[bytes] = ()
    ) -> Answer:
        """Return the list of any user; it is empty only if the snapshot has no item to offer."""
        if body := self.get(user_id):
            names = split(body)
            if history:
                names = self._unseen(user_id, names, set(history))
            return Answer("list", names)
        return self._fallback.answer(user_id, history, recent)

    def similar(self, item_id: bytes) -> list[bytes] | None:
        """Return an item's neighbours, nearest first; None for an unknown item."""
        body = self.snapshot.similar.get(item_id)
        if body is None and self.items.about(item_id) is None:
            return None
        return [name for name in split(body) if name not in self.hidden]

    def ratings(self) -> RatingTables:
        """Return the rating model, opened at the first call.

        Raises:
            CorruptSnapshotError: `factors.mdb` cannot be opened.
        """
        if self._ratings is None:
            self._ratings = RatingTables(self.snapshot)
        return self._ratings

    def _unseen(self, user_id: bytes, own: list[bytes], seen: set[bytes]) -> list[bytes]:
        spares = split(self.snapshot.spares.get(user_id))
        unseen = [n for n in [*own, *spares] if n not in seen and n not in self.hidden]
        if len(unseen) < len(own):
            unseen += self._fallback.answer(user_id, [*seen]).names
        return [*dict.fromkeys(unseen)][: len(own)]


def _index(snapshot: Snapshot, items: Items) -> ItemIndex | None:
    try:
        return ItemIndex(snapshot, items)
    except (ValueError, OverflowError) as error:
        log.warning("generation %d: lists by history disabled: %s", snapshot.generation, error)
        return None
