"""Interactions: one sparse matrix of weights, users by items.

    events ─► aggregate_events ─► evidence of each user and item ─► weigh ─► weights

A bare pair of user and item counts as watched to the end. Rows are in the byte order of
the ids, so the same events give the same matrix in whatever order they are read.
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

from batch.arrays import Floats, Rows, Times
from batch.events.events import Events
from batch.interactions.aggregate import AggregatedEvents, Runtimes, aggregate_events
from batch.interactions.weights import DEFAULT_WEIGHTING, Evidence, Weighting, weigh


@dataclass(frozen=True, slots=True)
class Ratings:
    """Ratings as rows, the latest of each (user, item).

    Attributes:
        user_row, item_row: (n_ratings,) rows of the interactions' matrix.
        rating: (n_ratings,) on the data's scale.
        best: Best rating of that scale.
    """

    user_row: Rows
    item_row: Rows
    rating: Floats
    best: float


@dataclass(frozen=True, slots=True)
class Interactions:
    """Interactions of all users and items.

    Attributes:
        user_ids: (n_users,) sorted; each has at least one item.
        item_ids: (n_items,) sorted; each has at least one user, except those that
            `with_items` added.
        weights: (n_users, n_items), above 0 where there is an interaction.
        ratings: Ratings among the interactions.
        dropped: Number of valid events that are not used, by reason.
        n_users_without: Number of users whose every event was dropped.
        began_at: (n_interactions,) time of each interaction's first event, in seconds since
            1970, in the order of `weights.data`: the first minute of a view or the first
            rating, whichever is earlier. 0 where it is unknown; None if all are unknown.
        evidence: What the weights were made from, in the same order; None if it is unknown.
        n_elsewhere: Number of further users, whose interactions are in partitions of a cluster.
        elsewhere: Ids of those among them that have a vector from outside.
    """

    user_ids: pa.StringArray
    item_ids: pa.StringArray
    weights: sp.csr_matrix
    ratings: Ratings
    dropped: Counter[str]
    n_users_without: int
    began_at: Times | None = None
    evidence: Evidence | None = None
    n_elsewhere: int = 0
    elsewhere: frozenset[str] = frozenset()


def build_interactions(
    events: Events,
    runtimes: Runtimes | None,
    max_rating: float,
    weighting: Weighting = DEFAULT_WEIGHTING,
    *,
    n_threads: int = 0,
) -> Interactions:
    """Turn events into weights.

    Args:
        events: Views and ratings from any files, which are taken out of it; see
            `aggregate_events`.
        runtimes: Minutes of each item of the catalogue, None without a catalogue; see
            `aggregate_events`.
        max_rating: Best rating of the scale, 0 to infer it from the data.
        weighting: Parameters of the weights.
        n_threads: Number of threads, 0 for one a usable processor.

    Raises:
        NothingToLearnError: No event is left, or fewer than 2 users or items.
    """
    is_aged = weighting.half_life_days > 0
    aggregated = aggregate_events(
        events, runtimes, max_rating, with_latest=is_aged, n_threads=n_threads
    )
    return weighted(aggregated, weighting)


def weighted(
    aggregated: AggregatedEvents, weighting: Weighting, latest: int | None = None
) -> Interactions:
    """Turn evidence into weights.

    Args:
        aggregated: Evidence of all users, or of some.
        weighting: Parameters of the weights.
        latest: Time that ages count from, in seconds since 1970; None: that of these events.
    """
    weights = weigh(aggregated.evidence, weighting, latest)
    return Interactions(
        aggregated.user_ids,
        aggregated.item_ids,
        aggregated.pairs.matrix(weights, len(aggregated.item_ids)),
        _ratings(aggregated),
        aggregated.dropped,
        aggregated.n_users_without,
        aggregated.began_at,
        aggregated.evidence,
    )


def with_items(interactions: Interactions, item_ids: Collection[str]) -> Interactions:
    """Return the same interactions with rows for further items, which have no users.

    Args:
        interactions: Interactions of the known items; not modified.
        item_ids: Ids of the items to add; known ones among them are ignored.
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


def _ratings(aggregated: AggregatedEvents) -> Ratings:
    evidence, pairs = aggregated.evidence, aggregated.pairs
    rated = np.flatnonzero(evidence.rating)
    item_row = pairs.indices[rated].astype(np.int64)
    return Ratings(pairs.user_rows(rated), item_row, evidence.rating[rated], evidence.best)
