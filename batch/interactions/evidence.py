"""Evidence of one block of users, before and after items are checked against the catalogue."""

from dataclasses import dataclass

import numpy as np

from batch.arrays import Flags, Floats, Integers, Times
from batch.interactions.columns import NEVER
from batch.interactions.pairs import UserItemPairs
from batch.interactions.rated import LatestRatings
from batch.interactions.viewed import FurthestViews


@dataclass(frozen=True, slots=True)
class BlockEvidence:
    """Views and ratings of a block of users, of items in the catalogue or not.

    Attributes:
        pairs: Pairs of these users alone.
        views: Furthest view of each pair that has one.
        ratings: Latest rating on the scale of each pair that has one.
        has_evidence: (n_pairs,) False where all of a pair's events are ratings off the scale.
    """

    pairs: UserItemPairs
    views: FurthestViews
    ratings: LatestRatings
    has_evidence: Flags

    def users_per_item(self, n_items: int) -> Integers:
        """Return (n_items,) number of these users with evidence of each item."""
        return np.bincount(self.pairs.indices[self.has_evidence], minlength=n_items)

    def select_items(self, exists: Flags, *, with_latest: bool) -> "CatalogueEvidence":
        """Return the evidence of the items that exist.

        Args:
            exists: (n_items,) flags of the items that exist.
            with_latest: Whether the time of the latest event is needed.
        """
        indices = self.pairs.indices
        is_selected = self.has_evidence & exists[indices]
        n_pairs, parts = len(is_selected), (self.views, self.ratings)
        return CatalogueEvidence(
            pairs=self.pairs.select(is_selected),
            watched=_spread(np.nan, self.views.pair_row, self.views.share, is_selected),
            rating=_spread(0, self.ratings.pair_row, self.ratings.rating, is_selected),
            rated_at=self.ratings.last_at[is_selected[self.ratings.pair_row]],
            began_at=_first(n_pairs, *parts)[is_selected],
            last_at=_latest(n_pairs, *parts)[is_selected] if with_latest else None,
            n_outside=sum(
                int(part.n_events[~exists[indices[part.pair_row]]].sum()) for part in parts
            ),
        )


@dataclass(frozen=True, slots=True)
class CatalogueEvidence:
    """Evidence of a block of users for items that exist, (n_pairs,) each.

    Attributes:
        pairs: Pairs of these users alone.
        watched: Share of the item that was watched, NaN where it is unknown.
        rating: Rating on the scale, 0 without one.
        rated_at: (n_rated,) times of the ratings above 0, in seconds since 1970, 0 if unknown.
        began_at: Time of the first event, in seconds since 1970, 0 if unknown.
        last_at: Time of the latest event; None if not needed.
        n_outside: Number of events of items that do not exist.
    """

    pairs: UserItemPairs
    watched: Floats
    rating: Floats
    rated_at: Times
    began_at: Times
    last_at: Times | None
    n_outside: int


def _spread(default: float, pair_row: Integers, values: Floats, is_selected: Flags) -> Floats:
    """Return the values in the rows of their pairs, `default` elsewhere, of selected pairs."""
    spread = np.full(len(is_selected), default, np.float32)
    spread[pair_row] = values
    return spread[is_selected]


def _first(n_pairs: int, *parts: FurthestViews | LatestRatings) -> Times:
    first = np.full(n_pairs, NEVER)
    for part in parts:
        known = np.where(part.first_at > 0, part.first_at, NEVER)
        first[part.pair_row] = np.minimum(first[part.pair_row], known)
    first[first == NEVER] = 0
    return first


def _latest(n_pairs: int, *parts: FurthestViews | LatestRatings) -> Times:
    latest = np.zeros(n_pairs, np.int64)
    for part in parts:
        if part.last_at is not None:
            latest[part.pair_row] = np.maximum(latest[part.pair_row], part.last_at)
    return latest
