"""Gathering: what all events say about each user and item that have met.

    views    7 heat  58 min                           heat             alien
    ratings  7 heat  4 stars    ─►  evidence  ─►   7  58 min, 4 stars  ·
             9 alien 2 stars                       9  ·                2 stars

Rows are in the order of the ids' bytes, so the same events give the same matrix
whatever order they came in.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch.arrays import Codes, Flags, Floats, Times
from batch.errors import NothingToLearnError
from batch.events.events import Events
from batch.events.ids import ID, codes_of, sort_ids, whole
from batch.interactions.blocks import blocks_of
from batch.interactions.columns import Columns
from batch.interactions.evidence import BlockEvidence, CatalogueEvidence
from batch.interactions.pairs import UserItemPairs, concat_users
from batch.interactions.rated import best_of
from batch.interactions.user_block import UserBlock, aggregate_block
from batch.interactions.weights import Evidence
from batch.threads import usable

_USUAL_RUNTIME: Final = 100.0  # minutes, where no runtime at all is known
_MIN_USERS: Final = 2  # that must have touched an item to make it real without a catalogue
_OUTSIDE: Final = "item outside the catalogue"
_LONE: Final = f"item of fewer than {_MIN_USERS} users, without a catalogue"
_OFF_SCALE: Final = "rating off the scale"

T = TypeVar("T")
Runtimes = Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class AggregatedEvents:
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
    meetings: UserItemPairs
    evidence: Evidence
    began_at: Times | None
    dropped: Counter[str]
    n_users_without: int


def aggregate_events(
    events: Events,
    runtimes: Runtimes | None,
    max_rating: float,
    *,
    with_latest: bool = True,
    n_threads: int = 0,
) -> AggregatedEvents:
    """Bring together what there is of each user and item.

    Args:
        events: Of any sources.
        runtimes: Minutes of each item of the catalogue, None where unknown; the
            keys are the items that exist. Without a catalogue (None) an item
            exists if at least 2 users touched it.
        max_rating: Best rating of the scale, 0 to tell it from the data.
        with_latest: Whether the evidence says when the latest event was: 8 bytes
            an interaction, of no use where weights do not age.
        n_threads: 0 means one for each processor that this process may use.

    Raises:
        NothingToLearnError: No event is left, or fewer than 2 users or items.
    """
    user_ids, item_ids, met = _meet(events, runtimes or {}, n_threads, with_latest=with_latest)
    best = max_rating or best_of([one.given for one in met])
    told = [one.told(best) for one in met]
    del met  # gigabytes, of which the half is not needed any more
    exists = _existing(item_ids, told, runtimes)
    parts = [one.kept(exists, with_latest=with_latest) for one in told]
    outside = _LONE if runtimes is None else _OUTSIDE
    dropped = Counter(
        {
            _OFF_SCALE: sum(one.rated.n_off_scale for one in told),
            outside: sum(part.n_outside for part in parts),
        }
    )
    del told
    return _gathered(user_ids, item_ids, parts, best, +dropped)


def _meet(
    events: Events, runtimes: Runtimes, n_threads: int, *, with_latest: bool
) -> tuple[pa.StringArray, pa.StringArray, list[UserBlock]]:
    """Return all ids, sorted, and what users have met, a block of users at a time."""

    def each(make: Callable[..., T], *given: Iterable[Any]) -> list[T]:
        with ThreadPoolExecutor(usable(n_threads)) as pool:
            return list(pool.map(make, *given))

    views, ratings = events.views, events.ratings
    sides = [(views[name], ratings[name]) for name in ("user_id", "item_id")]
    (user_ids, user_row), (item_ids, item_row) = each(_rows, *zip(*sides, strict=True))
    columns = Columns.of(user_row, item_row, views, ratings, with_latest=with_latest)
    blocks = blocks_of(len(user_ids), len(user_row))
    users = [blocks.users(block) for block in range(blocks.n_blocks)]
    rows = each(blocks.rows, (user_row[: len(views)], user_row[len(views) :]))
    meet_some = partial(aggregate_block, columns, runtime=_runtimes(item_ids, runtimes))
    return user_ids, item_ids, each(meet_some, users, *rows)


def _gathered(
    user_ids: pa.StringArray,
    item_ids: pa.StringArray,
    parts: Sequence[CatalogueEvidence],
    best: float,
    dropped: Counter[str],
) -> AggregatedEvents:
    """Put the parts of all users behind each other, without users and items that have nothing."""
    kept, has_item, has_user = concat_users([p.meetings for p in parts]).dense(len(item_ids))
    _check_enough(int(has_item.sum()), int(has_user.sum()), dropped)
    began_at = np.concatenate([part.began_at for part in parts])
    has_time = bool(began_at.any())
    last_at = [part.last_at for part in parts if part.last_at is not None]
    return AggregatedEvents(
        user_ids=user_ids.filter(pa.array(has_item)),
        item_ids=item_ids.filter(pa.array(has_user)),
        meetings=kept,
        evidence=Evidence(
            np.concatenate([part.watched for part in parts]),
            np.concatenate([part.rating for part in parts]),
            best,
            np.concatenate(last_at) if last_at and has_time else None,
        ),
        began_at=began_at if has_time else None,
        dropped=dropped,
        n_users_without=len(user_ids) - int(has_item.sum()),
    )


def _rows(*columns: pa.ChunkedArray) -> tuple[pa.StringArray, Codes]:
    """Return the distinct ids in the order of their bytes, and the row of each id."""
    ids = sort_ids(pa.chunked_array([whole(column) for column in columns], ID))
    return ids.dictionary, codes_of(ids)


def _runtimes(item_ids: pa.StringArray, runtimes: Runtimes) -> Floats:
    """Return (n_items,) minutes; where they are unknown, the median of the others."""
    known = [runtimes.get(item_id) or np.nan for item_id in item_ids.to_pylist()]
    runtime = np.asarray(known, np.float32)
    is_known = np.isfinite(runtime) & (runtime > 0)
    runtime[~is_known] = np.median(runtime[is_known]) if is_known.any() else _USUAL_RUNTIME
    return runtime


def _existing(
    item_ids: pa.StringArray, told: Sequence[BlockEvidence], runtimes: Runtimes | None
) -> Flags:
    """Return (n_items,) which of them exist: the catalogue's, else those that 2 users met."""
    if runtimes is None:
        n_users = np.zeros(len(item_ids), np.int64)
        for one in told:
            n_users += one.n_users(len(item_ids))
        return n_users >= _MIN_USERS
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
