"""Titles of items, and the history of a user, as the report names them."""

import contextlib
import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np

from batch.arrays import Rows
from store.layout import SEEN
from store.model_files import SERVED_MODEL
from store.snapshot import Snapshot, Table, open_seen

_WORD_BYTES: Final = 4
_CHUNK: Final = 20_000  # histories counted at a time


def title(snapshots: Sequence[Snapshot], item_id: str) -> str:
    """Return title and year of an item, from the first snapshot with them; else its id."""
    for snapshot in snapshots:
        about = json.loads(snapshot.items.get(item_id.encode()) or b"{}")
        if about.get("title"):
            return f"{about['title']} ({about['year']})" if about.get("year") else about["title"]
    return item_id


def list_of(snapshot: Snapshot, user_id: str) -> list[str]:
    """Return the items of a user's list."""
    body = snapshot.users.get(user_id.encode()) or b""
    return body.decode().split(",") if body else []


@contextlib.contextmanager
def histories(snapshot: Snapshot) -> Iterator["StoredHistories | None"]:
    """Open the items that the lists left out; None for a snapshot without them."""
    if SEEN not in snapshot.manifest.files:
        yield None
        return
    columns = snapshot.manifest.parameters[SERVED_MODEL]["history"]
    with open_seen(snapshot) as table:
        yield StoredHistories(snapshot, table, columns)


class StoredHistories:
    """The histories of a snapshot; `store/README.md` describes the columns.

    Args:
        snapshot: Open snapshot.
        table: Table of the histories.
        columns: Names of the columns of each value.
    """

    def __init__(self, snapshot: Snapshot, table: Table, columns: Sequence[str]) -> None:
        self._item_of = {int(row): item.decode() for row, item in snapshot.rows}
        self._table = table
        self._columns = list(columns)

    def latest(self, user_id: str, n_items: int) -> list[str]:
        """Return the user's items, the latest first where their times are stored."""
        value = self._table.get(user_id.encode()) or b""
        words = np.frombuffer(value, "<u4").reshape(len(self._columns), -1)
        times = next((c for c in ("last_at", "began_at") if c in self._columns), None)
        rows = words[0] if len(words) else words
        if times is not None:
            rows = rows[np.argsort(-words[self._columns.index(times)].astype(np.int64))]
        return [self._item_of[int(row)] for row in rows[:n_items]]

    def n_viewers(self, number_of: dict[str, int]) -> Rows:
        """Return (n_items,) users that have each item, by the numbers of the items."""
        n_users = np.zeros(max(self._item_of, default=0) + 1, np.int64)
        rows: list[bytes] = []
        for _, value in self._table:
            n_items = len(value) // (_WORD_BYTES * len(self._columns))
            rows.append(value[: _WORD_BYTES * n_items])
            if len(rows) == _CHUNK:
                n_users += _counted(rows, len(n_users))
                rows.clear()
        n_users += _counted(rows, len(n_users))
        found = np.zeros(len(number_of), np.int64)
        for row, item in self._item_of.items():
            found[number_of[item]] = n_users[row]
        return found


def _counted(rows: Sequence[bytes], n_rows: int) -> Rows:
    return np.bincount(np.frombuffer(b"".join(rows), "<u4"), minlength=n_rows)


def named(snapshots: Sequence[Snapshot], items: Sequence[str]) -> list[dict[str, Any]]:
    """Return id and title of each item."""
    return [{"item_id": item, "title": title(snapshots, item)} for item in items]
