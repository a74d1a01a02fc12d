"""What a few users have met: one block of the gathering.

views, ratings of these users ─► brought together ─► what was watched
                                                 └─► what was rated ─► what they tell
"""

from dataclasses import dataclass

import numpy as np

from batch.gathering.columns import Columns
from batch.gathering.counting import Integers
from batch.gathering.kept import Told
from batch.gathering.meetings import Meetings, bring_together
from batch.gathering.rated import AllRatings, last_on_scale
from batch.gathering.viewed import Viewed, furthest_views
from batch.weights import Floats


@dataclass(frozen=True, slots=True)
class Met:
    """What some users have met, whatever counts of it.

    Attributes:
        meetings: Of these users alone, with every item of any event.
        viewed: What they watched.
        given: What they rated.
    """

    meetings: Meetings
    viewed: Viewed
    given: AllRatings

    def told(self, best: float) -> Told:
        """Return what this tells if that is the best rating of the scale."""
        rated = last_on_scale(self.given, best)
        is_met = np.zeros(self.meetings.n_places, dtype=bool)
        is_met[self.viewed.place] = is_met[rated.place] = True
        return Told(self.meetings, self.viewed, rated, is_met)


def meet(
    columns: Columns, users: range, view_rows: Integers, rating_rows: Integers, runtime: Floats
) -> Met:
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
    ordered = bring_together(user_row, columns.item_row[rows], (len(users), len(runtime)))
    place, rating = ordered.after(n_views)
    # rows first, places then: neither leaves the cache as going to places at once would
    given = AllRatings.of(
        place, columns.rated_at[rating_rows][rating], columns.rating[rating_rows][rating]
    )
    return Met(ordered.meetings, furthest_views(columns, view_rows, ordered, runtime), given)
