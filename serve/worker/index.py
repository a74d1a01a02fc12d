"""The item index: items similar to those that a user has watched."""

import signal
from collections.abc import Sequence
from itertools import islice
from typing import Final

import annoy

from serve.worker.index_check import check_index
from store.items import ItemIds, Items, split
from store.layout import INDEX, LIST_LENGTH
from store.parse import is_count
from store.snapshot import Snapshot

_MAX_FACTORS: Final = 1 << 20
_MAX_SEARCH_SECONDS: Final = 10  # of the first search, in the process that verifies
_MAX_HISTORY_ITEMS: Final = 20  # the latest of a history, whose mean vector is searched for


def verify_index(snapshot: Snapshot) -> None:
    """Check every number of an index, then search in it once; for the verifying process alone.

    Raises:
        ValueError: The index cannot be used.
        OSError: It cannot be read.
    """
    check_index(snapshot.folder / INDEX, _n_factors(snapshot))
    ItemIndex(snapshot, Items(snapshot)).search_once()


def has_vectors(snapshot: Snapshot) -> bool:
    """Return whether the manifest says that there is an index of vectors."""
    return "n_factors" in snapshot.manifest.parameters


class ItemIndex:
    """The Annoy index of a snapshot, mapped into memory and shared by all workers."""

    def __init__(self, snapshot: Snapshot, items: Items) -> None:
        """Map the index of a verified snapshot.

        Annoy does not validate its input, so the number of items is checked here.

        Raises:
            ValueError: The index does not fit the snapshot.
        """
        self._index = annoy.AnnoyIndex(_n_factors(snapshot), "angular")
        try:
            self._index.load(str(snapshot.folder / INDEX))
        except OSError as error:
            raise ValueError(f"{INDEX}: {error}") from error
        self._n_items = self._index.get_n_items()
        n_rows = snapshot.manifest.counts.get("recs.mdb/rows")
        n_indexed = snapshot.manifest.parameters.get("n_indexed", n_rows)
        if self._n_items != n_indexed:  # fewer than the rows if rules hide the last of them
            raise ValueError(f"{INDEX}: {self._n_items} items instead of {n_indexed}")
        self._items = items
        self._name_of = snapshot.rows.get
        self._similar = snapshot.similar.get

    def similar_to(self, history: Sequence[bytes], n: int) -> ItemIds:
        """Return the items nearest to the mean vector of a history, nearest first.

        Args:
            history: Item ids; only the first 20 that have a vector are used.
            n: Number of items; those of the history may be among them.
        """
        vectors = [*islice(filter(None, map(self._vector, history)), _MAX_HISTORY_ITEMS)]
        if not vectors:
            return []
        total = [sum(axis) for axis in zip(*vectors, strict=True)]  # its angle is the mean's
        # Enough for a whole list behind the items of the history, which are nearest; bounded.
        search_k = (LIST_LENGTH + len(vectors)) * self._index.get_n_trees()
        nearest = self._index.get_nns_by_vector(total, n, search_k)
        return [name for row in nearest if (name := self._name_of(b"%d" % row))]

    def search_once(self) -> None:
        """Search for the first item; a search that does not end ends this process instead."""
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(_MAX_SEARCH_SECONDS)
        self._index.get_nns_by_item(0, min(LIST_LENGTH, self._n_items))
        signal.alarm(0)

    def _vector(self, name: bytes) -> list[float]:
        """Return an item's vector, its neighbour's if rules hide it, an empty one if unknown."""
        row = self._items.row(name)
        vector = self._at(row)
        if row is None or any(vector):
            return vector
        return next((self._at(self._items.row(near)) for near in split(self._similar(name))), [])

    def _at(self, row: int | None) -> list[float]:
        if row is None or not 0 <= row < self._n_items:
            return []
        return self._index.get_item_vector(row)


def _n_factors(snapshot: Snapshot) -> int:
    n_factors = snapshot.manifest.parameters.get("n_factors")
    if not is_count(n_factors, 1, _MAX_FACTORS):
        raise ValueError(f"{INDEX}: n_factors is missing in the manifest, or out of range")
    assert isinstance(n_factors, int)
    return n_factors
