"""What a snapshot knows about an item."""

import contextlib
import json
from typing import Any

from store.snapshot import Snapshot

Names = list[bytes]


class Items:
    """The `items` table, decoded."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._get = snapshot.items.get

    def about(self, item_id: bytes) -> dict[str, Any] | None:
        """Return title, year, genres, adult, cost, item_row and the like, as far as they are known.

        None means that there is no such item.
        """
        text = self._get(item_id)
        if text is None:
            return None
        with contextlib.suppress(ValueError):  # a broken one is as good as an empty one
            about = json.loads(text)
            return about if isinstance(about, dict) else {}
        return {}

    def row(self, item_id: bytes) -> int | None:
        """Return the item's number in the index, None if it has none."""
        row = (self.about(item_id) or {}).get("item_row")
        return row if type(row) is int else None

    def is_adult(self, item_id: bytes) -> bool:
        """Tell whether an item must be kept from minors."""
        return bool((self.about(item_id) or {}).get("adult"))


def split(body: bytes | None) -> Names:
    """Return the item ids of a list as it stands in a table."""
    return body.split(b",") if body else []
