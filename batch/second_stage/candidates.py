"""Candidates: the lists of all sources, merged into about a hundred items for each user.

    model      12 40  7 …                              12  40   7   3  …
    recent     40  3 12 …     ─►   rank in model        1   2   3   ·
    …                              rank in recent       3   1   ·   2

A source proposes its best items down to a depth of its own. Where there are too many, those
with the best rank in proportion to the depth are kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from batch.arrays import Floats, ItemRows, Rows
from batch.rules.lists import standardised
from batch.second_stage.sources import MODEL
from batch.topk import NO_ITEM, TopK

DEPTHS: Final[Mapping[str, int]] = {
    MODEL: 100, "item_knn": 50, "popularity": 20, "last_items": 30, "recent": 30, "segment": 20,
    "genres": 20,
}  # fmt: skip

_NO_KEY: Final = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class CandidateItems:
    """Candidates of some users.

    Attributes:
        item_rows: (n_users, n_candidates) item rows, NO_ITEM behind the last.
        scores: (n_users, n_candidates, n_sources) score by each source of `DEPTHS`, of mean
            0 and deviation 1 within a user's list; NaN where a source does not propose it.
        ranks: (n_users, n_candidates, n_sources) rank by each source, from 1; NaN in the same
            places.
    """

    item_rows: ItemRows
    scores: Floats
    ranks: Floats


def merge(lists: Mapping[str, TopK], n_candidates: int) -> CandidateItems:
    """Merge the lists of the same users.

    Args:
        lists: (n_users, depth) list of each source that there is; the keys are names in `DEPTHS`.
        n_candidates: Maximum candidates of a user.
    """
    proposed = _Proposals.of(lists)
    n_users, n_columns = proposed.item_rows.shape
    # Sorted by item, and by priority among the proposals of the same item.
    key = proposed.item_rows.astype(np.int64) * n_columns + np.arange(n_columns)
    key[proposed.item_rows == NO_ITEM] = _NO_KEY
    key.sort(axis=1)
    item, column = key // n_columns, key % n_columns
    is_first = np.ones(key.shape, np.bool_)
    is_first[:, 1:] = item[:, 1:] != item[:, :-1]
    priority = np.where(is_first & (key != _NO_KEY), column, n_columns)
    chosen = np.argsort(priority, axis=1, kind="stable")[:, :n_candidates]
    is_item = np.take_along_axis(priority, chosen, axis=1) < n_columns
    item_rows = np.where(is_item, np.take_along_axis(item, chosen, axis=1), NO_ITEM)
    number = np.cumsum(is_first, axis=1) - 1  # of the item of each proposal
    place_of = np.full((n_users, n_columns + 1), n_candidates)
    places = np.broadcast_to(np.arange(chosen.shape[1]), chosen.shape)
    numbers = np.where(is_item, np.take_along_axis(number, chosen, axis=1), n_columns)
    np.put_along_axis(place_of, numbers, places, axis=1)
    place = np.where(key == _NO_KEY, n_candidates, np.take_along_axis(place_of, number, axis=1))
    user, at = np.nonzero(place < n_candidates)
    column = column[user, at]
    cells = (user, place[user, at], proposed.source[column])
    shape = (*item_rows.shape, len(DEPTHS))
    scores, ranks = np.full(shape, np.nan, np.float32), np.full(shape, np.nan, np.float32)
    scores[cells], ranks[cells] = proposed.scores[user, column], proposed.rank[column]
    return CandidateItems(item_rows.astype(np.int32), scores, ranks)


@dataclass(frozen=True, slots=True)
class _Proposals:
    """The lists of all sources side by side, columns of high priority first.

    Attributes:
        item_rows: (n_users, n_columns).
        scores: (n_users, n_columns) standardised scores.
        source: (n_columns,) number of the source in `DEPTHS`.
        rank: (n_columns,) rank in its list.
    """

    item_rows: ItemRows
    scores: Floats
    source: Rows
    rank: Rows

    @classmethod
    def of(cls, lists: Mapping[str, TopK]) -> "_Proposals":
        """Put the lists side by side."""
        widths = [found.item_rows.shape[1] for found in lists.values()]
        numbers = [list(DEPTHS).index(name) for name in lists]
        rank = np.concatenate([np.arange(1, width + 1) for width in widths])
        order = np.argsort(rank / np.repeat(widths, widths), kind="stable")
        scores = [standardised(found).scores for found in lists.values()]
        return cls(
            np.concatenate([found.item_rows for found in lists.values()], axis=1)[:, order],
            np.concatenate(scores, axis=1)[:, order],
            np.repeat(numbers, widths)[order],
            rank[order],
        )
