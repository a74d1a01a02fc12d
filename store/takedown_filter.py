"""Takedowns at serving time: lists without the items that must not be shown.

    the user's 20 ─► hidden items removed ─► filled up from the user's 10 spares,
                                             then from the popular list and its reserve

The filter wraps the users' table only while a takedown is in force; otherwise the
hot path reads the table directly.
"""

from collections.abc import Collection, Iterable

from store.items import ItemIds, Items, split
from store.layout import POPULAR, RESERVE
from store.snapshot import Snapshot


class FilteredLists:
    """The users' lists of a snapshot without hidden items; same lookup as a table.

    Attributes:
        popular: Popular list without the hidden items.
    """

    def __init__(self, snapshot: Snapshot, hidden: Collection[bytes]) -> None:
        self._users = snapshot.users
        self._spares = snapshot.spares
        self._hidden = frozenset(hidden)
        popular = split(snapshot.fallback.get(POPULAR))
        items = Items(snapshot)
        more = [*popular, *split(snapshot.fallback.get(RESERVE))]
        # The list that is filled up may be a minor's: the profile is not looked up here.
        self._more = [name for name in more if not items.is_adult(name)]
        self.popular = self._filled(popular, self._more)

    def get(self, user_id: bytes) -> bytes | None:
        """Return the user's list, filled up to its length; None without a list or an item left."""
        body = self._users.get(user_id)
        if body is None or self._hidden.isdisjoint(body.split(b",")):
            return body
        return self.without_hidden(body, self._spares.get(user_id))

    def without_hidden(self, body: bytes, spares: bytes | None) -> bytes | None:
        """Return a list without hidden items, filled up from its spares; None if none is left."""
        return self._filled(body.split(b","), [*split(spares), *self._more])

    def _filled(self, names: ItemIds, more: Iterable[bytes]) -> bytes | None:
        kept = dict.fromkeys(name for name in names if name not in self._hidden)
        for name in more:
            if len(kept) == len(names):
                break
            if name not in self._hidden:
                kept.setdefault(name)
        return b",".join(kept) or None
