"""Aggregation: all events of a user and an item become one row of evidence.

    views    7 heat  58 min                           heat             alien
    ratings  7 heat  4 stars    ─►  evidence  ─►   7  58 min, 4 stars  ·
             9 alien 2 stars                       9  ·                2 stars

Rows are in the byte order of the ids, so the same events give the same matrix in
whatever order they are read.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch.arrays import Codes, Flags, Floats, Times
from batch.errors import NothingToLearnError
from batch.events.events import Events
from batch.events.ids import ID, codes_of, sort_ids, whole
from batch.interactions.blocks import BLOCK_EVENTS, blocks_of
from batch.interactions.columns import Columns
from batch.interactions.evidence import BlockEvidence, CatalogueEvidence
from batch.interactions.pairs import UserItemPairs, concat_users
from batch.interactions.rated import best_rating_of
from batch.interactions.user_block import UserBlock, aggregate_block
from batch.interactions.weights import DEFAULT_RUNTIME, Evidence
from batch.memory import release_free_memory
from batch.threads import usable

MIN_USERS_OF_ITEM: Final = 2  # without a catalogue, an item exists from so many users on
OUTSIDE_CATALOGUE: Final = "item outside the catalogue"
TOO_FEW_USERS: Final = f"item of fewer than {MIN_USERS_OF_ITEM} users, without a catalogue"
_OFF_SCALE: Final = "rating off the scale"
_IDS: Final = ["user_id", "item_id"]

T = TypeVar("T")
Runtimes = Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class AggregatedEvents:
    """Evidence of each pair of a user and an item.

    Attributes:
        user_ids: (n_users,) sorted; each has at least one item.
        item_ids: (n_items,) sorted; each has at least one user.
        pairs: The (n_interactions,) pairs.
        evidence: Evidence of each pair.
        began_at: (n_interactions,) time of the first event, in seconds since 1970, 0 where
            it is unknown; None if all are unknown.
        dropped: Number of valid events that are not used, by reason.
        n_users_without: Users whose every event was dropped.
    """

    user_ids: pa.StringArray
    item_ids: pa.StringArray
    pairs: UserItemPairs
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
    block_events: int = BLOCK_EVENTS,
) -> AggregatedEvents:
    """Aggregate the events of all users by user and item.

    Args:
        events: Views and ratings from any files. They are taken out of it, and freed before
            the result is complete.
        runtimes: Minutes of each item of the catalogue, None where unknown; the
            keys are the items that exist. Without a catalogue (None) an item
            exists if at least 2 users have an event of it.
        max_rating: Best rating of the scale, 0 to infer it from the data.
        with_latest: Whether the evidence has the time of the latest event: 8 bytes
            an interaction, needed only where weights age.
        n_threads: Number of threads, 0 for one a usable processor.
        block_events: Average number of events in a block of users; the result does not
            depend on it.

    Raises:
        NothingToLearnError: No event is left, or fewer than 2 users or items.
    """
    aggregated = aggregate_users(
        events,
        runtimes,
        max_rating,
        with_latest=with_latest,
        n_threads=n_threads,
        block_events=block_events,
    )
    check_enough(len(aggregated.user_ids), len(aggregated.item_ids), aggregated.dropped)
    return aggregated


def aggregate_users(
    events: Events,
    runtimes: Runtimes | None,
    max_rating: float,
    *,
    with_latest: bool = True,
    n_threads: int = 0,
    block_events: int = BLOCK_EVENTS,
) -> AggregatedEvents:
    """Aggregate the events of some users, of whom perhaps none is left; see `aggregate_events`."""
    user_ids, item_ids, blocks, default_runtime = _aggregate_blocks(
        events, runtimes or {}, n_threads, block_events, with_latest=with_latest
    )
    best = max_rating or best_rating_of([block.ratings for block in blocks])
    in_blocks = [block.evidence(best) for block in _taken(blocks)]  # half is not needed any more
    release_free_memory()
    n_off_scale = sum(block.ratings.n_off_scale for block in in_blocks)
    exists = _existing(item_ids, in_blocks, runtimes)
    parts = [block.select_items(exists, with_latest=with_latest) for block in _taken(in_blocks)]
    outside = TOO_FEW_USERS if runtimes is None else OUTSIDE_CATALOGUE
    dropped = Counter({_OFF_SCALE: n_off_scale, outside: sum(part.n_outside for part in parts)})
    release_free_memory()  # more than the arrays of all users take
    found = _concatenated(user_ids, item_ids, parts, best, +dropped)
    return replace(found, evidence=replace(found.evidence, default_runtime=default_runtime))


def _aggregate_blocks(
    events: Events, runtimes: Runtimes, n_threads: int, block_events: int, *, with_latest: bool
) -> tuple[pa.StringArray, pa.StringArray, list[UserBlock], float]:
    """Return the sorted ids of users and items, the blocks in user order, a default runtime."""

    def in_threads(make: Callable[..., T], *arguments: Iterable[Any]) -> list[T]:
        with ThreadPoolExecutor(usable(n_threads)) as pool:
            return list(pool.map(make, *arguments))

    views, ratings = events.pop_tables()
    n_views = len(views)
    id_columns = [(views[name], ratings[name]) for name in _IDS]
    views, ratings = views.drop_columns(_IDS), ratings.drop_columns(_IDS)
    (user_ids, user_row), (item_ids, item_row) = in_threads(
        ids_and_rows, *zip(*id_columns, strict=True)
    )
    del id_columns
    columns = Columns.of(user_row, item_row, views, ratings, with_latest=with_latest)
    del views, ratings
    release_free_memory()
    blocks = blocks_of(len(user_ids), len(user_row), block_events)
    users = [blocks.users(block) for block in range(blocks.n_blocks)]
    rows = in_threads(blocks.rows, (user_row[:n_views], user_row[n_views:]))
    runtime, default = runtimes_and_default(item_ids, runtimes)
    release_free_memory()
    aggregate = partial(aggregate_block, columns, runtime=runtime)
    return user_ids, item_ids, in_threads(aggregate, users, *rows), default


def _taken(values: list[T]) -> Iterator[T]:
    """Yield the values in order; none of them is kept, so each is freed after its use."""
    values.reverse()
    while values:
        yield values.pop()


def _concatenated(
    user_ids: pa.StringArray,
    item_ids: pa.StringArray,
    parts: Sequence[CatalogueEvidence],
    best: float,
    dropped: Counter[str],
) -> AggregatedEvents:
    """Concatenate the parts in user order; users and items without a pair are left out."""
    all_pairs = concat_users([part.pairs for part in parts])
    pairs, has_item, has_user = all_pairs.without_empty(len(item_ids))
    began_at = np.concatenate([part.began_at for part in parts])
    has_time = bool(began_at.any())
    last_at = [part.last_at for part in parts if part.last_at is not None]
    return AggregatedEvents(
        user_ids=user_ids.filter(pa.array(has_item)),
        item_ids=item_ids.filter(pa.array(has_user)),
        pairs=pairs,
        evidence=Evidence(
            np.concatenate([part.watched for part in parts]),
            np.concatenate([part.rating for part in parts]),
            best,
            np.concatenate(last_at) if last_at and has_time else None,
            np.concatenate([part.rated_at for part in parts]),
        ),
        began_at=began_at if has_time else None,
        dropped=dropped,
        n_users_without=len(user_ids) - int(has_item.sum()),
    )


def ids_and_rows(*columns: pa.ChunkedArray) -> tuple[pa.StringArray, Codes]:
    """Return the distinct ids in byte order, and the row of each value's id among them."""
    ids = sort_ids(pa.chunked_array([whole(column) for column in columns], ID))
    return ids.dictionary, codes_of(ids)


def runtimes_and_default(item_ids: pa.StringArray, runtimes: Runtimes) -> tuple[Floats, float]:
    """Return (n_items,) minutes, and those of unknown items: the median of the others."""
    runtime = runtimes_of(item_ids.to_pylist(), runtimes, np.nan)
    is_known = np.isfinite(runtime)
    default = float(np.median(runtime[is_known])) if is_known.any() else DEFAULT_RUNTIME
    runtime[~is_known] = default
    return runtime, default


def runtimes_of(item_ids: Iterable[str], runtimes: Runtimes, default: float) -> Floats:
    """Return (n_items,) minutes of items, `default` where they are unknown."""
    known = [runtimes.get(item_id) or np.nan for item_id in item_ids]
    runtime = np.asarray(known, np.float32)
    runtime[~(np.isfinite(runtime) & (runtime > 0))] = default
    return runtime


def _existing(
    item_ids: pa.StringArray, blocks: Sequence[BlockEvidence], runtimes: Runtimes | None
) -> Flags:
    """Return (n_items,) which items exist: the catalogue's, else those with 2 users."""
    if runtimes is None:
        n_users = np.zeros(len(item_ids), np.int64)
        for block in blocks:
            n_users += block.users_per_item(len(item_ids))
        return n_users >= MIN_USERS_OF_ITEM
    is_listed = pc.is_in(item_ids, value_set=pa.array(runtimes, pa.string()))
    return np.asarray(is_listed.to_numpy(zero_copy_only=False), dtype=bool)


def check_enough(n_users: int, n_items: int, dropped: Counter[str]) -> None:
    """Check that there are users and items to learn from.

    Raises:
        NothingToLearnError: There are fewer than 2 users or items.
    """
    if n_users < 2 or n_items < 2:
        why = ", ".join(f"{n:,} × {reason}" for reason, n in dropped.items() if n)
        raise NothingToLearnError(
            "interactions",
            f"{n_users} user(s) and {n_items} item(s) are left"
            + (f" after dropping {why}" if why else ""),
            "at least 2 of each are needed: give more events, "
            "or a catalogue that lists their items",
        )
