"""Takedowns at serving time: lists without the items that must not be shown.

    the user's 20 ─► without them ─► topped up from the user's 10 spares,
                                     then from the popular list and its reserve

Only while a takedown is in force does this stand before the users' table; else
the hot path asks the table itself.
"""

from collections.abc import Collection, Iterable

from store.items import Items, Names, split
from store.layout import POPULAR, RESERVE
from store.snapshot import Snapshot


class FilteredLists:
    """The users' lists of a snapshot without some items; looks up as a table does.

    Attributes:
        popular: The popular list without them.
    """

    def __init__(self, snapshot: Snapshot, hidden: Collection[bytes]) -> None:
        self._users = snapshot.users
        self._spares = snapshot.spares
        self._hidden = frozenset(hidden)
        popular = split(snapshot.fallback.get(POPULAR))
        items = Items(snapshot)
        more = [*popular, *split(snapshot.fallback.get(RESERVE))]
        # Nobody looks here at whose list is topped up, and it may be a minor's.
        self._more = [name for name in more if not items.is_adult(name)]
        self.popular = self._filled(popular, self._more)

    def get(self, user_id: bytes) -> bytes | None:
        """Return the user's list, as long as it was; None if there is none or nothing is left."""
        body = self._users.get(user_id)
        if body is None:
            return None
        names = body.split(b",")
        if self._hidden.isdisjoint(names):
            return body
        return self._filled(names, [*split(self._spares.get(user_id)), *self._more])

    def _filled(self, names: Names, more: Iterable[bytes]) -> bytes | None:
        kept = dict.fromkeys(name for name in names if name not in self._hidden)
        for name in more:
            if len(kept) == len(names):
                break
            if name not in self._hidden:
                kept.setdefault(name)
        return b",".join(kept) or None
