"""What a few users have met, and what is known of it: one block of the gathering.

views, ratings of these users ─► brought together ─► what was watched
                                                 └─► what was rated ─► evidence
"""

from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from batch.blocks import Codes, Rows
from batch.meetings import Flags, Integers, Meetings, Ordered, bring_together
from batch.rated import Given, Rated, last_on_scale
from batch.weights import LEAST, Floats, Times

_NEVER: Final = np.iinfo(np.int64).max


class Columns(NamedTuple):
    """Views and ratings as arrays; views are rows 0 to n_views - 1 of the codes.

    Attributes:
        user_row, item_row: (n_views + n_ratings,).
        minute: (n_views,) NaN where unknown.
        first_at: (n_views,) in seconds since 1970; below 1, or never, if unknown.
        last_at: (n_views,) below 1 if unknown; None if nobody asks.
        n_events: (n_views,) lines that each was made of.
        rating: (n_ratings,) on or off the scale.
        rated_at: (n_ratings,) below 1 if unknown.
    """

    user_row: Codes
    item_row: Codes
    minute: Floats
    first_at: Times
    last_at: Times | None
    n_events: Integers
    rating: Floats
    rated_at: Times

    @classmethod
    def of(
        cls,
        user_row: Codes,
        item_row: Codes,
        views: pa.Table,
        ratings: pa.Table,
        *,
        with_latest: bool,
    ) -> Self:
        """Take the columns of tables, whose ids have these rows."""
        return cls(
            user_row,
            item_row,
            pc.cast(views["minute"], pa.float32(), safe=False).to_numpy(),
            pc.fill_null(views["first_at"], _NEVER).to_numpy(),
            pc.fill_null(views["last_at"], 0).to_numpy() if with_latest else None,
            views["n_events"].to_numpy(),
            ratings["rating"].to_numpy(),
            pc.fill_null(ratings["at"], 0).to_numpy(),
        )

    @property
    def n_views(self) -> int:
        """Views among the rows."""
        return len(self.minute)


class Viewed(NamedTuple):
    """Views that have been brought together, (n,) each.

    Attributes:
        place: Ascending, where in the meetings.
        share: Of the item that was watched.
        first_at: In seconds since 1970; below 1, or never, if unknown.
        last_at: Below 1 if unknown; None if nobody asks.
        n_events: Lines that it was made of.
    """

    place: Integers
    share: Floats
    first_at: Times
    last_at: Times | None
    n_events: Integers


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
    given: Given

    def told(self, best: float) -> "Told":
        """Return what this tells if that is the best rating of the scale."""
        rated = last_on_scale(self.given, best)
        is_met = np.zeros(self.meetings.n_places, dtype=bool)
        is_met[self.viewed.place] = is_met[rated.place] = True
        return Told(self.meetings, self.viewed, rated, is_met)


@dataclass(frozen=True, slots=True)
class Told:
    """What some users' events tell of what they have met.

    Attributes:
        meetings: Of these users alone.
        viewed: What they watched.
        rated: What they rated.
        is_met: (n_places,) what was but rated off the scale is no meeting.
    """

    meetings: Meetings
    viewed: Viewed
    rated: Rated
    is_met: Flags

    def n_users(self, n_items: int) -> Integers:
        """Return (n_items,) how many of these users have met each item."""
        return np.bincount(self.meetings.indices[self.is_met], minlength=n_items)

    def kept(self, exists: Flags, *, with_latest: bool) -> "Kept":
        """Return what there is of the items that exist.

        Args:
            exists: (n_items,).
            with_latest: Whether anybody asks for the latest event.
        """
        indices = self.meetings.indices
        is_kept = self.is_met & exists[indices]
        n_places, parts = len(is_kept), (self.viewed, self.rated)
        return Kept(
            meetings=self.meetings.only(is_kept),
            # who rates without a view has watched all of it
            watched=_placed(1, self.viewed.place, self.viewed.share, is_kept),
            rating=_placed(0, self.rated.place, self.rated.rating, is_kept),
            began_at=_first(n_places, *parts)[is_kept],
            last_at=_latest(n_places, *parts)[is_kept] if with_latest else None,
            n_outside=sum(int(part.n_events[~exists[indices[part.place]]].sum()) for part in parts),
        )


@dataclass(frozen=True, slots=True)
class Kept:
    """Some users' meetings with items that exist, (n_places,) each.

    Attributes:
        meetings: Of these users alone.
        watched: Share of the item.
        rating: On the scale, 0 without one.
        began_at: The first event, in seconds since 1970, 0 if unknown.
        last_at: The latest; None if nobody asks.
        n_outside: Events of items that do not exist.
    """

    meetings: Meetings
    watched: Floats
    rating: Floats
    began_at: Times
    last_at: Times | None
    n_outside: int


def meet(
    columns: Columns, users: range, view_rows: Rows, rating_rows: Rows, runtime: Floats
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
    rows = np.concatenate((view_rows, rating_rows + columns.n_views))
    user_row = columns.user_row[rows] - np.int32(users.start)
    ordered = bring_together(user_row, columns.item_row[rows], (len(users), len(runtime)))
    place, rating = ordered.after(n_views)
    # rows first, places then: neither leaves the cache as going to places at once would
    given = Given.of(
        place, columns.rated_at[rating_rows][rating], columns.rating[rating_rows][rating]
    )
    return Met(ordered.meetings, _viewed(columns, view_rows, ordered, runtime), given)


def _viewed(columns: Columns, rows: Rows, ordered: Ordered, runtime: Floats) -> Viewed:
    place, view = ordered.before(len(rows))
    is_first = np.ones(len(place), dtype=bool)
    is_first[1:] = place[1:] != place[:-1]
    first = np.flatnonzero(is_first)

    def of_each(column: npt.NDArray[Any], reduce: np.ufunc) -> npt.NDArray[Any]:
        values = column[rows][view]
        return values if len(first) == len(values) else reduce.reduceat(values, first)

    place = place[first]
    minute = of_each(columns.minute, np.fmax)
    watched = (minute + 1) / runtime[ordered.meetings.indices[place]]
    return Viewed(
        place,
        np.clip(np.nan_to_num(watched, nan=1), LEAST, 1),
        of_each(columns.first_at, np.minimum),
        None if columns.last_at is None else of_each(columns.last_at, np.maximum),
        of_each(columns.n_events, np.add),
    )


def _placed(usual: float, place: Integers, values: Floats, is_kept: Flags) -> Floats:
    placed = np.full(len(is_kept), usual, np.float32)
    placed[place] = values
    return placed[is_kept]


def _first(n_places: int, *parts: Viewed | Rated) -> Times:
    first = np.full(n_places, _NEVER)
    for part in parts:
        known = np.where(part.first_at > 0, part.first_at, _NEVER)
        first[part.place] = np.minimum(first[part.place], known)
    first[first == _NEVER] = 0
    return first


def _latest(n_places: int, *parts: Viewed | Rated) -> Times:
    latest = np.zeros(n_places, np.int64)
    for part in parts:
        if part.last_at is not None:
            latest[part.place] = np.maximum(latest[part.place], part.last_at)
    return latest
