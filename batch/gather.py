"""Gathering: what all events say about each user and item that have met.

    views    7 heat  58 min                           heat             alien
    ratings  7 heat  4 stars    ─►  evidence  ─►   7  58 min, 4 stars  ·
             9 alien 2 stars                       9  ·                2 stars

Rows are in the order of the ids' bytes, so the same events give the same matrix
whatever order they came in.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch.errors import NothingToLearnError
from batch.events.ids import ID, codes_of, sort_ids, whole
from batch.events.read import Events
from batch.meetings import Codes, Flags, Integers, Meetings, Ordered, bring_together
from batch.rated import Rated, last_ratings
from batch.weights import LEAST, Evidence, Floats, Times

_USUAL_RUNTIME: Final = 100.0  # minutes, where no runtime at all is known
_MIN_USERS: Final = 2  # that must have touched an item to make it real without a catalogue
_OUTSIDE: Final = "item outside the catalogue"
_LONE: Final = f"item of fewer than {_MIN_USERS} users, without a catalogue"
_OFF_SCALE: Final = "rating off the scale"
_NEVER: Final = np.iinfo(np.int64).max

Runtimes = Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class Gathered:
    """What is known of each user and item that have met.

    Attributes:
        user_ids: (n_users,) sorted; each has at least one item.
        item_ids: (n_items,) sorted; each has at least one user.
        meetings: Who has met what, (n_interactions,) places.
        evidence: What is known of each.
        began_at: (n_interactions,) the first event, in seconds since 1970, 0 where
            that is not known; None if it is known of none.
        dropped: Events that were sound but are not used, by reason.
        n_users_without: Users whose every event was dropped.
    """

    user_ids: pa.StringArray
    item_ids: pa.StringArray
    meetings: Meetings
    evidence: Evidence
    began_at: Times | None
    dropped: Counter[str]
    n_users_without: int


def gather(
    events: Events, runtimes: Runtimes | None, max_rating: float, *, with_latest: bool = True
) -> Gathered:
    """Bring together what there is of each user and item.

    Args:
        events: Of any sources.
        runtimes: Minutes of each item of the catalogue, None where unknown; the
            keys are the items that exist. Without a catalogue (None) an item
            exists if at least 2 users touched it.
        max_rating: Best rating of the scale, 0 to tell it from the data.
        with_latest: Whether the evidence says when the latest event was: 8 bytes
            an interaction, of no use where weights do not age.

    Raises:
        NothingToLearnError: No event is left, or fewer than 2 users or items.
    """
    user_ids, user_row = _rows(events.views["user_id"], events.ratings["user_id"])
    item_ids, item_row = _rows(events.views["item_id"], events.ratings["item_id"])
    ordered = bring_together(user_row, item_row, (len(user_ids), len(item_ids)))
    del user_row, item_row
    runtime = _runtimes(item_ids, runtimes or {})
    viewed = _viewed(events.views, ordered, runtime, with_latest=with_latest)
    rated = last_ratings(events.ratings, *ordered.after(len(events.views)), max_rating)
    meetings = ordered.meetings
    del ordered  # it weighs as much as all that is left
    is_met = np.zeros(meetings.n_places, dtype=bool)
    is_met[viewed.place] = is_met[rated.place] = True  # what was off the scale is no meeting
    exists = _existing(item_ids, meetings.indices[is_met], runtimes)
    n_outside = sum(
        int(part.n_events[~exists[meetings.indices[part.place]]].sum()) for part in (viewed, rated)
    )
    outside = _LONE if runtimes is None else _OUTSIDE
    dropped = +Counter({_OFF_SCALE: rated.n_off_scale, outside: n_outside})

    is_kept = is_met & exists[meetings.indices]
    kept, has_item, has_user = meetings.only(is_kept).dense(len(item_ids))
    _check_enough(int(has_item.sum()), int(has_user.sum()), dropped)
    began_at = _first(len(is_kept), viewed, rated)[is_kept]
    last_at = _latest(len(is_kept), viewed, rated)[is_kept] if with_latest else began_at
    has_time = bool(began_at.any())
    return Gathered(
        user_ids=user_ids.filter(pa.array(has_item)),
        item_ids=item_ids.filter(pa.array(has_user)),
        meetings=kept,
        evidence=Evidence(
            # who rates without a view has watched all of it
            _placed(1, viewed.place, viewed.share, is_kept),
            _placed(0, rated.place, rated.rating, is_kept),
            rated.best,
            last_at if with_latest and has_time else None,
        ),
        began_at=began_at if has_time else None,
        dropped=dropped,
        n_users_without=len(user_ids) - int(has_item.sum()),
    )


class _Viewed(NamedTuple):
    """Views that have been brought together, (n_views,) each.

    Attributes:
        place: Ascending, where in the meetings.
        share: Of the item that was watched.
        first_at: In seconds since 1970, 0 if unknown.
        last_at: Likewise; None if nobody asks.
        n_events: Lines that it was made of.
    """

    place: Integers
    share: Floats
    first_at: Times
    last_at: Times | None
    n_events: Integers


def _rows(*columns: pa.ChunkedArray) -> tuple[pa.StringArray, Codes]:
    """Return the distinct ids in the order of their bytes, and the row of each id."""
    ids = sort_ids(pa.chunked_array([whole(column) for column in columns], ID))
    return ids.dictionary, codes_of(ids)


def _viewed(views: pa.Table, ordered: Ordered, runtime: Floats, *, with_latest: bool) -> _Viewed:
    place, view = ordered.before(len(views))
    minute = views["minute"].to_numpy()[view].astype(np.float32)  # NaN where unknown
    watched = (minute + 1) / runtime[ordered.meetings.indices[place]]
    share = np.clip(np.nan_to_num(watched, nan=1), LEAST, 1)
    first_at = pc.fill_null(views["first_at"], 0).to_numpy()[view]
    last_at = pc.fill_null(views["last_at"], 0).to_numpy()[view] if with_latest else None
    return _Viewed(place, share, first_at, last_at, views["n_events"].to_numpy()[view])


def _runtimes(item_ids: pa.StringArray, runtimes: Runtimes) -> Floats:
    """Return (n_items,) minutes; where they are unknown, the median of the others."""
    known = [runtimes.get(item_id) or np.nan for item_id in item_ids.to_pylist()]
    runtime = np.asarray(known, np.float32)
    is_known = np.isfinite(runtime) & (runtime > 0)
    runtime[~is_known] = np.median(runtime[is_known]) if is_known.any() else _USUAL_RUNTIME
    return runtime


def _existing(item_ids: pa.StringArray, met: Integers, runtimes: Runtimes | None) -> Flags:
    """Return (n_items,) which of them exist: the catalogue's, else those that 2 users met."""
    if not runtimes:
        return np.asarray(np.bincount(met, minlength=len(item_ids)) >= _MIN_USERS)
    is_listed = pc.is_in(item_ids, value_set=pa.array(runtimes, pa.string()))
    return np.asarray(is_listed.to_numpy(zero_copy_only=False), dtype=bool)


def _check_enough(n_users: int, n_items: int, dropped: Counter[str]) -> None:
    if n_users < 2 or n_items < 2:
        why = ", ".join(f"{n:,} × {reason}" for reason, n in dropped.items() if n)
        raise NothingToLearnError(
            "interactions",
            f"{n_users} user(s) and {n_items} item(s) are left"
            + (f" after dropping {why}" if why else ""),
            "recommending needs at least 2 of each: give more events, "
            "or a catalogue that lists their items",
        )


def _placed(usual: float, place: Integers, values: Floats, is_kept: Flags) -> Floats:
    placed = np.full(len(is_kept), usual, np.float32)
    placed[place] = values
    return placed[is_kept]


def _first(n_places: int, *parts: _Viewed | Rated) -> Times:
    first = np.full(n_places, _NEVER)
    for part in parts:
        known = np.where(part.first_at > 0, part.first_at, _NEVER)
        first[part.place] = np.minimum(first[part.place], known)
    first[first == _NEVER] = 0
    return first


def _latest(n_places: int, *parts: _Viewed | Rated) -> Times:
    latest = np.zeros(n_places, np.int64)
    for part in parts:
        if part.last_at is not None:
            latest[part.place] = np.maximum(latest[part.place], part.last_at)
    return latest
