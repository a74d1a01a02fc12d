"""What the served snapshot says about ids of events: who has a list, which items there are.

Each distinct id is looked up once in a column, whose dictionary holds it once.
"""

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import pyarrow as pa

from batch.arrays import Codes
from batch.events.ids import codes_of, whole
from store.items import Items
from store.snapshot import Snapshot

UNKNOWN: Final = "unknown"
NO_LIST: Final = "no list"


class KnownIds:
    """Labels of users and items by the served snapshot.

    Args:
        snapshot: Open snapshot, None if nothing is served: all ids are unknown then.
    """

    def __init__(self, snapshot: Snapshot | None) -> None:
        self._snapshot = snapshot
        self._items = None if snapshot is None else Items(snapshot)

    def has_list(self, user_id: str) -> str:
        """Return `list` or `no list`."""
        is_known = self._snapshot is not None and self._snapshot.users.get(user_id.encode())
        return "list" if is_known else NO_LIST

    def segment(self, user_id: str) -> str:
        """Return the segment of a user's profile, such as `25-34/F`."""
        profile = self._snapshot and self._snapshot.profiles.get(user_id.encode())
        return _segment(profile) if profile else UNKNOWN

    def is_item(self, item_id: str) -> str:
        """Return `known` or `unknown`."""
        return UNKNOWN if self._about(item_id) is None else "known"

    def genre(self, item_id: str) -> str:
        """Return the first genre of an item."""
        return (self.genres(item_id) or (UNKNOWN,))[0]

    def genres(self, item_id: str) -> tuple[str, ...]:
        """Return the genres of an item."""
        found = (self._about(item_id) or {}).get("genres")
        return tuple(str(genre) for genre in found) if isinstance(found, list) else ()

    def _about(self, item_id: str) -> Mapping[str, object] | None:
        return None if self._items is None else self._items.about(item_id.encode())


def labelled(column: pa.ChunkedArray, label: Callable[[str], str], seen: dict[str, int]) -> Codes:
    """Return (n,) number of the label of each row's id.

    Args:
        column: Ids, dictionary-encoded.
        label: Label of an id.
        seen: Number of each label, extended by those that are new.
    """
    ids = whole(column)
    numbers = [seen.setdefault(label(name), len(seen)) for name in ids.dictionary.to_pylist()]
    return np.array(numbers, np.int32)[codes_of(ids)]


def _segment(profile: bytes) -> str:
    return profile.partition(b" ")[0].decode() or UNKNOWN
