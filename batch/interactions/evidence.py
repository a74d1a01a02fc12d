"""What is kept of a few users' events, once it is known which items exist."""

from dataclasses import dataclass

import numpy as np

from batch.arrays import Flags, Floats, Integers, Times
from batch.interactions.columns import NEVER
from batch.interactions.pairs import UserItemPairs
from batch.interactions.rated import Rated
from batch.interactions.viewed import Viewed


@dataclass(frozen=True, slots=True)
class BlockEvidence:
    """What some users' events tell of what they have met.

    Attributes:
        meetings: Of these users alone.
        viewed: What they watched.
        rated: What they rated.
        is_met: (n_pairs,) what was but rated off the scale is no meeting.
    """

    meetings: UserItemPairs
    viewed: Viewed
    rated: Rated
    is_met: Flags

    def n_users(self, n_items: int) -> Integers:
        """Return (n_items,) how many of these users have met each item."""
        return np.bincount(self.meetings.indices[self.is_met], minlength=n_items)

    def kept(self, exists: Flags, *, with_latest: bool) -> "CatalogueEvidence":
        """Return what there is of the items that exist.

        Args:
            exists: (n_items,).
            with_latest: Whether anybody asks for the latest event.
        """
        indices = self.meetings.indices
        is_kept = self.is_met & exists[indices]
        n_pairs, parts = len(is_kept), (self.viewed, self.rated)
        return CatalogueEvidence(
            meetings=self.meetings.only(is_kept),
            # who rates without a view has watched all of it
            watched=_placed(1, self.viewed.place, self.viewed.share, is_kept),
            rating=_placed(0, self.rated.place, self.rated.rating, is_kept),
            began_at=_first(n_pairs, *parts)[is_kept],
            last_at=_latest(n_pairs, *parts)[is_kept] if with_latest else None,
            n_outside=sum(int(part.n_events[~exists[indices[part.place]]].sum()) for part in parts),
        )


@dataclass(frozen=True, slots=True)
class CatalogueEvidence:
    """Some users' meetings with items that exist, (n_pairs,) each.

    Attributes:
        meetings: Of these users alone.
        watched: Share of the item.
        rating: On the scale, 0 without one.
        began_at: The first event, in seconds since 1970, 0 if unknown.
        last_at: The latest; None if nobody asks.
        n_outside: Events of items that do not exist.
    """

    meetings: UserItemPairs
    watched: Floats
    rating: Floats
    began_at: Times
    last_at: Times | None
    n_outside: int


def _placed(usual: float, place: Integers, values: Floats, is_kept: Flags) -> Floats:
    placed = np.full(len(is_kept), usual, np.float32)
    placed[place] = values
    return placed[is_kept]


def _first(n_pairs: int, *parts: Viewed | Rated) -> Times:
    first = np.full(n_pairs, NEVER)
    for part in parts:
        known = np.where(part.first_at > 0, part.first_at, NEVER)
        first[part.place] = np.minimum(first[part.place], known)
    first[first == NEVER] = 0
    return first


def _latest(n_pairs: int, *parts: Viewed | Rated) -> Times:
    latest = np.zeros(n_pairs, np.int64)
    for part in parts:
        if part.last_at is not None:
            latest[part.place] = np.maximum(latest[part.place], part.last_at)
    return latest
