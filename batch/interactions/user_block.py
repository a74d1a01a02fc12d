"""What a few users have met: one block of the gathering.

views, ratings of these users ─► brought together ─► what was watched
                                                 └─► what was rated ─► what they tell
"""

from dataclasses import dataclass

import numpy as np

from batch.arrays import Floats, Integers
from batch.interactions.columns import Columns
from batch.interactions.evidence import BlockEvidence
from batch.interactions.pairs import UserItemPairs, group_by_pair
from batch.interactions.rated import AllRatings, last_on_scale
from batch.interactions.viewed import Viewed, furthest_views


@dataclass(frozen=True, slots=True)
class UserBlock:
    """What some users have met, whatever counts of it.

    Attributes:
        meetings: Of these users alone, with every item of any event.
        viewed: What they watched.
        given: What they rated.
    """

    meetings: UserItemPairs
    viewed: Viewed
    given: AllRatings

    def told(self, best: float) -> BlockEvidence:
        """Return what this tells if that is the best rating of the scale."""
        rated = last_on_scale(self.given, best)
        is_met = np.zeros(self.meetings.n_pairs, dtype=bool)
        is_met[self.viewed.place] = is_met[rated.place] = True
        return BlockEvidence(self.meetings, self.viewed, rated, is_met)


def aggregate_block(
    columns: Columns, users: range, view_rows: Integers, rating_rows: Integers, runtime: Floats
) -> UserBlock:
    """Bring together what there is of some users.

    Args:
        columns: Of all users.
        users: The rows of these, which follow each other.
        view_rows: (n,) their views.
        rating_rows: (n,) their ratings, the first of all ratings being 0.
        runtime: (n_items,) minutes.
    """
    n_views = len(view_rows)
    rows = np.concatenate((view_rows, rating_rows + np.int64(columns.n_views)))
    user_row = columns.user_row[rows] - np.int32(users.start)
    ordered = group_by_pair(user_row, columns.item_row[rows], (len(users), len(runtime)))
    place, rating = ordered.after(n_views)
    # rows first, places then: neither leaves the cache as going to places at once would
    given = AllRatings.of(
        place, columns.rated_at[rating_rows][rating], columns.rating[rating_rows][rating]
    )
    return UserBlock(ordered.meetings, furthest_views(columns, view_rows, ordered, runtime), given)
