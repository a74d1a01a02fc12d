"""UserBlock: the events of one block of users, grouped by pair.

views, ratings of these users ─► grouped by pair ─┬─► furthest view
                                                  └─► distinct ratings ─► latest on the scale
"""

from dataclasses import dataclass

import numpy as np

from batch.arrays import Floats, Integers
from batch.interactions.columns import Columns
from batch.interactions.evidence import BlockEvidence
from batch.interactions.pairs import UserItemPairs, group_by_pair
from batch.interactions.rated import DistinctRatings, latest_on_scale
from batch.interactions.viewed import FurthestViews, furthest_views


@dataclass(frozen=True, slots=True)
class UserBlock:
    """Aggregated events of a block of users, before the rating scale is known.

    Attributes:
        pairs: Pairs of these users, with every item of any event.
        views: Furthest view of each pair that has one.
        ratings: All distinct ratings.
    """

    pairs: UserItemPairs
    views: FurthestViews
    ratings: DistinctRatings

    def evidence(self, best: float) -> BlockEvidence:
        """Return the evidence of these events if `best` is the best rating of the scale."""
        ratings = latest_on_scale(self.ratings, best)
        has_evidence = np.zeros(self.pairs.n_pairs, dtype=bool)
        has_evidence[self.views.pair_row] = has_evidence[ratings.pair_row] = True
        return BlockEvidence(self.pairs, self.views, ratings, has_evidence)


def aggregate_block(
    columns: Columns, users: range, view_rows: Integers, rating_rows: Integers, runtime: Floats
) -> UserBlock:
    """Aggregate the events of one block of users.

    Args:
        columns: Events of all users.
        users: User rows of the block, contiguous.
        view_rows: (n_views,) rows of their views.
        rating_rows: (n_ratings,) rows of their ratings, the first of all ratings being 0.
        runtime: (n_items,) minutes.
    """
    n_views = len(view_rows)
    rows = np.concatenate((view_rows, rating_rows + np.int64(columns.n_views)))
    user_row = columns.user_row[rows] - np.int32(users.start)
    grouped = group_by_pair(user_row, columns.item_row[rows], (len(users), len(runtime)))
    pair_row, rating = grouped.after(n_views)
    # first by row, then by pair: each of the two gathers stays within the cache
    ratings = DistinctRatings.of(
        pair_row, columns.rated_at[rating_rows][rating], columns.rating[rating_rows][rating]
    )
    return UserBlock(grouped.pairs, furthest_views(columns, view_rows, grouped, runtime), ratings)
