"""What the lists show, and what is watched: how much both concentrate on few items.

Popularity is counted in views of all days that are compared; shown items in the answers of
the last 24 hours, by the generation that gave them.

Sources:
    Gini index: Adomavicius and Kwon, "Improving aggregate recommendation diversity using
    ranking-based techniques", IEEE TKDE 2012. Amplification: share of the shown items in the
    most watched tenth of the catalogue, divided by the share of the views there.
"""

from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch.arrays import Doubles, Integers, Rows
from batch.events.ids import codes_of, whole
from stream.online.served_lists import ServedLists
from stream.user_hashes import user_hashes
from stream.watch.calibration import PairSample

_TOP_SHARE: Final = 0.1


class Concentration(NamedTuple):
    """How the items of some lists, or some views, are spread over the catalogue.

    Attributes:
        coverage: Share of the catalogue that occurs at all.
        gini: Gini index over the catalogue: 0 all alike, 1 one item only.
        top_share: Share of them in the most watched tenth of the catalogue.
        mean_rank: Mean rank of their popularity, 1 for the most watched item.
        correlation: Pearson's correlation over the items with the number of views.
    """

    coverage: float
    gini: float
    top_share: float
    mean_rank: float
    correlation: float


class ItemCounts:
    """Counts items of a catalogue in views and in answers.

    Args:
        item_ids: The catalogue; other items are left out.
        served: Lists of the generations, by which that of an answer is found.

    Attributes:
        watched: (n_items,) views.
        shown: (n_items,) times in a list, by generation.
        pairs: User–item pairs of a sample of the users: `watched`, and `shown GENERATION`.
    """

    def __init__(self, item_ids: list[str], served: ServedLists) -> None:
        self._item_row = {name: row for row, name in enumerate(item_ids)}
        self._served = served
        self.watched = np.zeros(len(item_ids), np.int64)
        self.shown: dict[int, Rows] = {}
        self.pairs = PairSample()

    def add_views(self, views: pa.Table) -> None:
        """Count the items of views."""
        rows = self._rows_of(views["item_id"])
        self.watched += np.bincount(rows[rows >= 0], minlength=len(self.watched))
        self.pairs.add("watched", user_hashes(views["user_id"]), rows)

    def add_answers(self, answers: pa.Table) -> None:
        """Count the items of lists."""
        lists = pc.split_pattern(answers["items"].combine_chunks(), ",")
        answer = pc.list_parent_indices(lists).to_numpy()
        rows = self._rows_of(pa.chunked_array([pc.list_flatten(lists).dictionary_encode()]))
        generation = self._generations(answers)[answer]
        user = user_hashes(answers["user_id"])[answer]
        for number in np.unique(generation).tolist():
            is_in = (generation == number) & (rows >= 0)
            found = np.bincount(rows[is_in], minlength=len(self.watched))
            self.shown[number] = self.shown.get(number, 0) + found
            self.pairs.add(f"shown {number}", user[is_in], rows[is_in])

    def _generations(self, answers: pa.Table) -> Rows:
        """Return (n,) generation that gave each answer: that of the user's arm in an experiment."""
        users = [user_id.encode() for user_id in answers["user_id"].to_pylist()]
        bodies = answers["items"].cast(pa.binary()).to_pylist()
        origins = self._served.origins(users, answers["at"].to_numpy(), bodies)
        return np.array([origin.generation for origin in origins], np.int64)

    def _rows_of(self, items: pa.ChunkedArray) -> Rows:
        """Return (n,) row of each item in the catalogue, -1 for others."""
        ids = whole(items)
        rows = [self._item_row.get(name, -1) for name in ids.dictionary.to_pylist()]
        return np.array(rows, np.int64)[codes_of(ids)]


def concentration(counts: Integers, watched: Integers) -> Concentration | None:
    """Return how counts of items concentrate; None without any.

    Args:
        counts: (n_items,) times that each item was shown, or watched.
        watched: (n_items,) views, the measure of popularity.
    """
    n_items, total = len(counts), int(counts.sum())
    if not total:
        return None
    order = np.argsort(-watched, kind="stable")
    rank = np.empty(n_items, np.int64)
    rank[order] = np.arange(1, n_items + 1)
    top = order[: max(int(n_items * _TOP_SHARE), 1)]
    return Concentration(
        coverage=float((counts > 0).mean()),
        gini=gini(counts),
        top_share=float(counts[top].sum() / total),
        mean_rank=float(rank @ counts / total),
        correlation=_correlation(counts, watched),
    )


def gini(counts: Integers) -> float:
    """Return the Gini index of counts, of which one at least is not 0."""
    ascending: Doubles = np.sort(counts).astype(np.float64)
    n_items = len(ascending)
    place = np.arange(1, n_items + 1)
    return float((2 * place - n_items - 1) @ ascending / (n_items * ascending.sum()))


def _correlation(one: Integers, other: Integers) -> float:
    if one.std() == 0 or other.std() == 0:
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])
