"""The `items` table of a snapshot, decoded."""

import contextlib
import json
from typing import Any

from store.snapshot import Snapshot

ItemIds = list[bytes]


class Items:
    """Reads fields of items; a damaged entry counts as an empty one."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._get = snapshot.items.get

    def about(self, item_id: bytes) -> dict[str, Any] | None:
        """Return the known fields of an item: title, year, genres, adult, cost, item_row and so on.

        None means that the item does not exist.
        """
        text = self._get(item_id)
        if text is None:
            return None
        with contextlib.suppress(ValueError):  # a damaged entry counts as an empty one
            about = json.loads(text)
            return about if isinstance(about, dict) else {}
        return {}

    def row(self, item_id: bytes) -> int | None:
        """Return the item's row in the index, None if it has none."""
        row = (self.about(item_id) or {}).get("item_row")
        return row if type(row) is int else None

    def is_adult(self, item_id: bytes) -> bool:
        """Return whether an item must not be shown to minors."""
        return bool((self.about(item_id) or {}).get("adult"))


def split(body: bytes | None) -> ItemIds:
    """Return the item ids of a list in a table."""
    return body.split(b",") if body else []


def backing_off(segment: bytes) -> list[bytes]:
    """Return a segment's key, followed by wider segments: `a/b/c`, `a/b`, `a`, `b`, `c`."""
    parts = segment.split(b"/") if segment else []
    prefixes = [b"/".join(parts[:n]) for n in range(len(parts), 0, -1)]
    return [*prefixes, *parts[1:]]
