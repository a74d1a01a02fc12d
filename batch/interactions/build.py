"""Interactions: what each user has had to do with each item, as one sparse matrix of weights.

    events ─► aggregate_events ─► evidence of each user and item ─► weigh ─► weights

A bare pair of user and item counts as watched to the end. Rows are in the order of the
ids' bytes, so the same events give the same matrix whatever order they came in.
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

from batch.arrays import Rows, Times
from batch.events.events import Events
from batch.interactions.aggregate import AggregatedEvents, Runtimes, aggregate_events
from batch.interactions.weights import USUAL, Weighting, weigh


@dataclass(frozen=True, slots=True)
class Ratings:
    """Ratings as rows, the latest of each (user, item).

    Attributes:
        user_row, item_row: (n_ratings,) rows of the interactions' matrix.
        rating: (n_ratings,) on the data's scale.
        best: The best rating of that scale.
    """

    user_row: Rows
    item_row: Rows
    rating: npt.NDArray[np.float32]
    best: float


@dataclass(frozen=True, slots=True)
class Interactions:
    """Who has had to do with what.

    Attributes:
        user_ids: (n_users,) sorted; each has at least one item.
        item_ids: (n_items,) sorted; each has at least one user, but for those that
            `with_items` added.
        weights: (n_users, n_items), above 0 where they met.
        ratings: The ratings among them.
        dropped: Events that were sound but are not used, by reason.
        n_users_without: Users whose every event was dropped.
        began_at: (n_interactions,) when each began, in seconds since 1970, beside
            `weights.data`: a view with its first minute, a rating when it is given, and
            where there are both the earlier one. 0 where that is not known; None if
            it is known of none.
    """

    user_ids: pa.StringArray
    item_ids: pa.StringArray
    weights: sp.csr_matrix
    ratings: Ratings
    dropped: Counter[str]
    n_users_without: int
    began_at: Times | None = None


def build_interactions(
    events: Events,
    runtimes: Runtimes | None,
    max_rating: float,
    how: Weighting = USUAL,
    *,
    n_threads: int = 0,
) -> Interactions:
    """Turn events into weights.

    Args:
        events: Of any sources.
        runtimes: As `aggregate_events` has it, and so max_rating.
        max_rating: Best rating of the scale, 0 to tell it from the data.
        how: What weighs how much.
        n_threads: 0 means one for each processor that this process may use.

    Raises:
        NothingToLearnError: No event is left, or fewer than 2 users or items.
    """
    is_aged = how.half_life_days > 0
    gathered = aggregate_events(
        events, runtimes, max_rating, with_latest=is_aged, n_threads=n_threads
    )
    return weighed(gathered, how)


def weighed(gathered: AggregatedEvents, how: Weighting = USUAL) -> Interactions:
    """Return what was gathered with its weights."""
    weights = weigh(gathered.evidence, how)
    return Interactions(
        gathered.user_ids,
        gathered.item_ids,
        gathered.meetings.matrix(weights, len(gathered.item_ids)),
        _ratings(gathered),
        gathered.dropped,
        gathered.n_users_without,
        gathered.began_at,
    )


def with_items(interactions: Interactions, item_ids: Collection[str]) -> Interactions:
    """Return the same interactions with rows for further items, which nobody has.

    Args:
        interactions: As they were built; they stay as they are.
        item_ids: Some of them may be there already.
    """
    old = interactions.item_ids
    both = pa.concat_arrays([old, pa.array(sorted(item_ids), old.type)]).unique()
    wider = both.take(pc.sort_indices(both))
    row = pc.index_in(old, value_set=wider).to_numpy().astype(np.int64)  # ascending, as both are
    weights, ratings = interactions.weights, interactions.ratings
    return replace(
        interactions,
        item_ids=wider,
        weights=sp.csr_matrix(
            (weights.data, row[weights.indices], weights.indptr),
            shape=(weights.shape[0], len(wider)),
        ),
        ratings=replace(ratings, item_row=row[ratings.item_row]),
    )


def _ratings(gathered: AggregatedEvents) -> Ratings:
    evidence, meetings = gathered.evidence, gathered.meetings
    place = np.flatnonzero(evidence.rating)
    item_row = meetings.indices[place].astype(np.int64)
    return Ratings(meetings.user_rows(place), item_row, evidence.rating[place], evidence.best)
