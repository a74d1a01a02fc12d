"""The snapshot that a worker serves, and those of an experiment's arms.

    state.served ─► Served of the current generation     all that concerns no user
                      └─ in_arm[arm_by_bucket[…]] ─► Served of the user's arm

A swap replaces the whole object, so the arms change together.
"""

import logging
from collections.abc import Callable, Sequence, Set
from typing import Final, Protocol
from zlib import crc32

from serve.counting import ArmRows, Counts
from serve.worker.fallback import Answer, Fallback
from serve.worker.fresh import FreshAnswers
from serve.worker.headers import Headers
from serve.worker.index import ItemIndex
from serve.worker.rating import RatingTables
from store.assignment import BUCKET_MASK
from store.experiment import Experiment
from store.fresh import FreshLists
from store.items import Items, split
from store.snapshot import Snapshot
from store.takedown_filter import FilteredLists

log = logging.getLogger(__name__)

_NOTHING_HIDDEN: Final[Set[bytes]] = frozenset()


class Lists(Protocol):
    """Lists by user id: the snapshot's table, or a filter of takedowns around it."""

    @property
    def get(self) -> Callable[[bytes], bytes | None]:
        """The lookup of a body by user id; None for an unknown user."""


class Served:
    """An open snapshot and the functions that answer from it.

    Attributes:
        snapshot: The snapshot; it stays open as long as this object is referenced.
        hidden: Items left out, encoded as in a list.
        has_index: Whether its item index may be used.
        get: Lookup of the body of a user's own list, None without one.
        headers: Response headers of such a body, by its length.
        fresh: Lists made since the snapshot, which come first; None without a speed layer.
        items: Catalogue data of each item.
        arm: Name of the arm that it serves; empty outside of an experiment.
        rows: Rows in which its lists and fresh lists are counted; a plain tuple of two, since
            the hot path unpacks it.
        other_row: Row in which an arm's other answers are counted.
        experiment: Experiment that divides the users; None without one.
        arm_by_bucket: Number of the arm for each bucket of users; None without an experiment.
        in_arm: What each arm is served, empty without an experiment.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        hidden: Set[bytes] = _NOTHING_HIDDEN,
        *,
        with_index: bool = True,
        hide_source: bool = False,
        arm: str = "",
        rows: ArmRows | None = None,
    ) -> None:
        lists = FilteredLists(snapshot, hidden) if hidden else None
        self.snapshot = snapshot
        self.hidden = hidden
        self.get = lists.get if lists else snapshot.users.get
        self.has_index = with_index
        self.arm = arm
        self.headers = Headers(snapshot.generation, "list", hide_source=hide_source, arm=arm)
        own, fresh, self.other_row = rows or Counts().lists
        self.rows = (own, fresh)
        self.experiment: Experiment | None = None
        self.arm_by_bucket: bytes | None = None
        self.in_arm: tuple[Served, ...] = ()
        self.fresh: FreshAnswers | None = None
        self._filtered = lists
        self._hide_source = hide_source
        self.items = Items(snapshot)
        index = _index(snapshot, self.items) if with_index else None
        self._fallback = Fallback(snapshot, self.items, index, hidden)
        self._ratings: RatingTables | None = None

    @property
    def generation(self) -> int:
        """Generation of the snapshot."""
        return self.snapshot.generation

    def divide(self, experiment: Experiment, in_arm: Sequence["Served"]) -> None:
        """Divide the users among the arms of an experiment."""
        self.experiment = experiment
        self.in_arm = tuple(in_arm)
        self.arm_by_bucket = experiment.arm_by_bucket()

    def of_user(self, user_id: bytes) -> "Served":
        """Return what the arm of a user is served; itself without an experiment."""
        arms = self.arm_by_bucket
        return self if arms is None else self.in_arm[arms[crc32(user_id) & BUCKET_MASK]]

    def answer(
        self, user_id: bytes, history: Sequence[bytes] = (), recent: Sequence[bytes] = ()
    ) -> Answer:
        """Return the list of any user; it is empty only if the snapshot has no item to offer."""
        own = self._own(user_id)
        if own:
            source, body, spares = own
            names = split(body)
            if history:
                names = self._unseen(user_id, [names, split(spares)], set(history))
            return Answer(source, names)
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

    def use_fresh(self, lists: FreshLists) -> None:
        """Answer from these lists first."""
        headers = Headers(self.generation, "fresh", hide_source=self._hide_source, arm=self.arm)
        self.fresh = FreshAnswers(lists, self.generation, self.hidden, self._filtered, headers)

    def _own(self, user_id: bytes) -> tuple[str, bytes, bytes | None] | None:
        """Return source, body and spares of a user's own list; None without one."""
        fresh = self.fresh.find(user_id) if self.fresh else None
        if fresh:
            return "fresh", fresh.body, fresh.spares
        body = self.get(user_id)
        return ("list", body, self.snapshot.spares.get(user_id)) if body else None

    def _unseen(self, user_id: bytes, lists: list[list[bytes]], seen: set[bytes]) -> list[bytes]:
        own, spares = lists
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
