"""Snapshots that the pages read: the last two that were asked for stay open.

An open snapshot is not pruned, so no more are kept.
"""

import contextlib
import json
from collections import OrderedDict
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from serve.pages.scores import FactorScores
from serve.worker.rating import RatingTables
from store.items import Items, split
from store.layout import LIST_COUNTS
from store.parse import is_counts, parse_json_object, read_small
from store.snapshot import Snapshot, open_what_is_here

_N_OPEN: Final = 2
_MAX_COUNTS_BYTES: Final = 1 << 26
_MAX_TITLE_CHARACTERS: Final = 200


class OpenedSnapshot:
    """One snapshot and what is derived from it at the first use."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._items = Items(snapshot)

    def about(self, item_id: str) -> dict[str, Any]:
        """Return id, title, year and genres of an item."""
        known = self._items.about(item_id.encode()) or {}
        return {"item_id": item_id} | {key: known.get(key) for key in ("title", "year", "genres")}

    def neighbours(self, item_id: str) -> list[str]:
        """Return the ids of the nearest items, nearest first."""
        return [name.decode() for name in split(self.snapshot.similar.get(item_id.encode()))]

    @cached_property
    def ratings(self) -> RatingTables:
        """The rating model."""
        return RatingTables(self.snapshot)

    @cached_property
    def scores(self) -> FactorScores:
        """Scores of items, by the snapshot's factors."""
        return FactorScores(self.snapshot, self.ratings.environment)

    def n_lists(self, item_id: str) -> int | None:
        """Return the number of users' lists that hold an item; None if no report counted them."""
        return None if self._list_counts is None else self._list_counts.get(item_id, 0)

    @cached_property
    def _list_counts(self) -> dict[str, int] | None:
        with contextlib.suppress(OSError, ValueError):
            content = read_small(self.snapshot.folder / LIST_COUNTS, _MAX_COUNTS_BYTES)
            if is_counts(found := parse_json_object(content)):
                return found
        return None

    @cached_property
    def titles(self) -> list[tuple[str, str]]:
        """Searchable text in lower case, and id, of each item."""
        found = []
        for name, text in self.snapshot.items:
            try:
                title = str(json.loads(text).get("title") or "")
            except (ValueError, AttributeError):
                title = ""  # a damaged entry counts as an empty one
            item_id = name.decode()
            found.append((f"{title[:_MAX_TITLE_CHARACTERS]} {item_id}".lower(), item_id))
        return found


class OpenedSnapshots:
    """The opened snapshots of a store, by generation."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self._opened: OrderedDict[int, OpenedSnapshot] = OrderedDict()

    def get(self, generation: int) -> OpenedSnapshot:
        """Open a generation, or return it as it was opened.

        Raises:
            NoSnapshotError, CorruptSnapshotError, IncompatibleSnapshotError.
        """
        if generation not in self._opened:
            while len(self._opened) >= _N_OPEN:
                self._opened.popitem(last=False)[1].snapshot.close()
            self._opened[generation] = OpenedSnapshot(open_what_is_here(self._store, generation))
        self._opened.move_to_end(generation)
        return self._opened[generation]
