"""From model to snapshot: the records of every table, streamed in key order.

The tables and who reads them stand in the README; here is only how each is made.
"""

import heapq
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from batch.cold_start.preference_lists import NO_PREFERENCE_LISTS, PreferenceLists
from batch.interactions.build import Interactions
from batch.models.least_squares import Model
from batch.ratings.model import RatingModel
from batch.ratings.tables import bias_records, vector_records
from batch.records.catalogue import Item
from batch.records.profiles import Profile, is_minor, segments
from batch.topk import NO_ITEM, TopK
from store.layout import FACTORS, LIST_LENGTH, POPULAR, RECS, RESERVE
from store.writer import SnapshotWriter

Records = Iterator[tuple[bytes, bytes]]

_CHUNK = 10_000
_NOT_SERVED = ("overview", "language")  # the batch learns from them, and that is all
_SERVED: Final = tuple(field.name for field in fields(Item) if field.name not in _NOT_SERVED)


@dataclass(frozen=True, slots=True)
class SnapshotTables:
    """Everything that goes into the tables; item rows are those of `interactions`.

    Attributes:
        interactions: Ids and their rows.
        model: Factors.
        lists: The best items of each user, spares included.
        similar: For each item row its neighbours.
        popular: The list for everybody.
        reserve: What comes after it.
        by_segment: The list of each segment.
        items: What the catalogue says, by item_id.
        profiles: By user_id.
        ratings: The rating model, if there are any ratings.
        is_minor: Whether adult titles are kept from users of a profile.
        liked: Lists of users who have no interactions, but have said what they like.
    """

    interactions: Interactions
    model: Model
    lists: TopK
    similar: Sequence[Sequence[int]]
    popular: Sequence[int]
    reserve: Sequence[int]
    by_segment: Mapping[str, Sequence[int]]
    items: Mapping[str, Item]
    profiles: Mapping[str, Profile]
    ratings: RatingModel | None
    is_minor: Callable[[Profile], bool] = is_minor
    liked: PreferenceLists = NO_PREFERENCE_LISTS


def write_tables(writer: SnapshotWriter, content: SnapshotTables) -> None:
    """Write every table of `recs.mdb` and `factors.mdb`.

    Raises:
        WriteError: The disk is full, or ids are not in order.
    """
    user_ids = _bytes(content.interactions.user_ids.to_pylist())
    item_ids = _bytes(content.interactions.item_ids.to_pylist())
    first, rest = slice(0, LIST_LENGTH), slice(LIST_LENGTH, None)
    own = (user_ids, content.lists.item_rows)
    liked = (_bytes(content.liked.user_ids), content.liked.item_rows)
    for table, part in (("users", first), ("spares", rest)):
        lists = (_lists(ids, rows[:, part], item_ids) for ids, rows in (own, liked))
        writer.table(RECS, table, heapq.merge(*lists))  # nobody is in both
    writer.table(
        RECS, "similar", _named_lists(zip(item_ids, content.similar, strict=True), item_ids)
    )
    writer.table(RECS, "fallback", _fallback(content, item_ids))
    writer.table(RECS, "profiles", _profiles(content.profiles, content.is_minor))
    writer.table(RECS, "items", _items(content))
    writer.table(RECS, "rows", sorted((b"%d" % row, name) for row, name in enumerate(item_ids)))
    writer.table(FACTORS, "users", _vectors(user_ids, content.model.user_factors))
    writer.table(FACTORS, "items", _vectors(item_ids, content.model.item_factors))
    ratings = content.ratings
    users, items = (ratings.users, ratings.items) if ratings else (None, None)
    writer.table(FACTORS, "biases", bias_records(ratings, user_ids, item_ids))
    writer.table(FACTORS, "rating_users", vector_records(users, user_ids))
    writer.table(FACTORS, "rating_items", vector_records(items, item_ids))


def _lists(
    user_ids: Sequence[bytes], item_rows: npt.NDArray[np.int32], item_ids: Sequence[bytes]
) -> Records:
    """Yield the body of each user's list; a user whose list is empty has no record.

    Arrow joins them three times as fast as Python does.
    """
    names = pa.array(item_ids, pa.binary())
    for begin in range(0, len(user_ids), _CHUNK):
        chunk = slice(begin, begin + _CHUNK)
        is_kept = item_rows[chunk] != NO_ITEM
        ends = np.cumsum([0, *is_kept.sum(axis=1)], dtype=np.int32)
        kept = pa.ListArray.from_arrays(ends, names.take(pa.array(item_rows[chunk][is_kept])))
        bodies = pc.binary_join(kept, b",").to_pylist()
        yield from (record for record in zip(user_ids[chunk], bodies, strict=True) if record[1])


def _named_lists(
    lists: Iterator[tuple[bytes, Sequence[int]]], item_ids: Sequence[bytes]
) -> Records:
    for key, item_rows in lists:
        yield key, b",".join(item_ids[row] for row in item_rows)


def _fallback(content: SnapshotTables, item_ids: Sequence[bytes]) -> Records:
    lists = {POPULAR: content.popular}
    if content.reserve:
        lists[RESERVE] = content.reserve
    lists |= {segment.encode(): rows for segment, rows in content.by_segment.items()}
    return _named_lists(iter(sorted(lists.items())), item_ids)


def _profiles(profiles: Mapping[str, Profile], is_minor: Callable[[Profile], bool]) -> Records:
    """Yield the most specific segment, with ` minor` after it for a minor."""
    for user_id in sorted(profiles):
        profile = profiles[user_id]
        if names := segments(profile):
            flag = " minor" if is_minor(profile) else ""
            yield user_id.encode(), f"{names[0]}{flag}".encode()


def _items(content: SnapshotTables) -> Records:
    row_of = {name: row for row, name in enumerate(content.interactions.item_ids.to_pylist())}
    for item_id in sorted(content.items.keys() | row_of.keys()):
        item = content.items.get(item_id)
        known = {name: getattr(item, name) for name in _SERVED} if item else {}
        about = {key: value for key, value in known.items() if value is not None and value != ()}
        if item_id in row_of:
            about["item_row"] = row_of[item_id]
        yield item_id.encode(), json.dumps(about, sort_keys=True).encode()


def _vectors(ids: Sequence[bytes], factors: npt.NDArray[np.float32]) -> Records:
    n_bytes = factors.shape[1] * np.dtype("<f4").itemsize
    for begin in range(0, len(ids), _CHUNK):
        chunk = slice(begin, begin + _CHUNK)
        vectors = np.ascontiguousarray(factors[chunk], "<f4").view(f"V{n_bytes}")[:, 0]
        yield from zip(ids[chunk], vectors.tolist(), strict=True)


def _bytes(ids: Sequence[str]) -> list[bytes]:
    return [name.encode() for name in ids]
