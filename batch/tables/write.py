"""Writing: the records of every table of a snapshot, streamed in key order.

The formats of the tables are described in the documentation of the store.
"""

import heapq
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Final

from batch.cold_start.preference_lists import NO_PREFERENCE_LISTS, PreferenceLists
from batch.interactions.build import Interactions
from batch.models.factors import Factors
from batch.ratings.model import RatingModel
from batch.ratings.tables import bias_records, vector_records
from batch.records.catalogue import Item
from batch.records.profiles import Profile, is_minor
from batch.served.files import ServedModel, write_served
from batch.tables.users import (
    CHUNK,
    HISTORIES,
    LISTS,
    PROFILES,
    SPARES,
    VECTORS,
    Records,
    UserRows,
    UserTable,
    UserTables,
    list_records,
    vector_rows,
)
from batch.topk import TopK
from batch.unavailable import Unavailable
from store.layout import FACTORS, LIST_LENGTH, POPULAR, RECS, RESERVE
from store.writer import SnapshotWriter

_NOT_SERVED_MODEL: Final = Unavailable("the tables were made without a model")
_NOT_SERVED: Final = ("overview",)  # fields that only the batch uses
_SERVED: Final = tuple(field.name for field in fields(Item) if field.name not in _NOT_SERVED)


@dataclass(frozen=True, slots=True)
class SnapshotTables:
    """Contents of all tables; item rows are those of `interactions`.

    Attributes:
        interactions: Ids of users and items, in the order of their rows.
        factors: Factors of users and items.
        lists: Best items of each user, spares included.
        similar: Neighbours of each item row.
        popular: List for users without any other.
        reserve: Item rows behind the popular list, for takedowns.
        by_segment: List of each segment.
        items: Catalogue entries by item_id.
        profiles: Profiles by user_id; where users are elsewhere, those that the driver needs.
        ratings: Rating model; None without ratings.
        is_minor: Predicate of the profiles whose users get no adult titles.
        liked: Lists of users who have no interactions, but stated preferences or a vector.
        served: Model that made the lists of the users, and their histories.
    """

    interactions: Interactions
    factors: Factors
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
    served: ServedModel | Unavailable = _NOT_SERVED_MODEL

    def users(self, chunk: int = CHUNK) -> UserRows:
        """Return the tables of the users of `interactions`.

        Args:
            chunk: Users converted at a time.
        """
        interactions = self.interactions
        return UserRows(
            _bytes(interactions.user_ids.to_pylist()),
            _bytes(interactions.item_ids.to_pylist()),
            interactions.weights.nnz,
            self.lists,
            self.factors.user_factors,
            self.served,
            self.profiles,
            self.is_minor,
            chunk,
        )


def write_tables(
    writer: SnapshotWriter, tables: SnapshotTables, users: UserTables | None = None
) -> None:
    """Write every table, and the arrays of the served model.

    Args:
        writer: Writer of the snapshot.
        tables: Contents of the tables.
        users: Tables of the users, where they are not those of `tables`; None: they are.

    Raises:
        WriteError: The disk is full, or ids are not in order.
    """
    users = users or tables.users()
    user_ids = _bytes(tables.interactions.user_ids.to_pylist())
    item_ids = _bytes(tables.interactions.item_ids.to_pylist())
    others = _of_others(tables, item_ids)
    is_done = users.write_shards(writer, others)
    for table in () if is_done else (LISTS, SPARES):
        # No user is in both.
        writer.table(*table, heapq.merge(users.records(table), others[table]))
    writer.table(
        RECS, "similar", _named_lists(zip(item_ids, tables.similar, strict=True), item_ids)
    )
    writer.table(RECS, "fallback", _fallback(tables, item_ids))
    if not is_done:
        writer.table(*PROFILES, users.records(PROFILES))
    writer.table(RECS, "items", _items(tables))
    writer.table(RECS, "rows", sorted((b"%d" % row, name) for row, name in enumerate(item_ids)))
    writer.table(*VECTORS, users.records(VECTORS))
    writer.table(FACTORS, "items", vector_rows(item_ids, tables.factors.item_factors))
    ratings = tables.ratings
    of_users, of_items = (ratings.users, ratings.items) if ratings else (None, None)
    writer.table(FACTORS, "biases", bias_records(ratings, user_ids, item_ids))
    writer.table(FACTORS, "rating_users", vector_records(of_users, user_ids))
    writer.table(FACTORS, "rating_items", vector_records(of_items, item_ids))
    if isinstance(tables.served, ServedModel):
        write_served(writer, tables.served.model, users.records(HISTORIES))


def _of_others(tables: SnapshotTables, item_ids: Sequence[bytes]) -> dict[UserTable, Records]:
    """Return the lists of users without interactions."""
    user_ids, rows = _bytes(tables.liked.user_ids), tables.liked.item_rows
    return {
        LISTS: list_records(user_ids, rows[:, :LIST_LENGTH], item_ids),
        SPARES: list_records(user_ids, rows[:, LIST_LENGTH:], item_ids),
    }


def _named_lists(
    lists: Iterator[tuple[bytes, Sequence[int]]], item_ids: Sequence[bytes]
) -> Records:
    for key, item_rows in lists:
        yield key, b",".join(item_ids[row] for row in item_rows)


def _fallback(tables: SnapshotTables, item_ids: Sequence[bytes]) -> Records:
    lists = {POPULAR: tables.popular}
    if tables.reserve:
        lists[RESERVE] = tables.reserve
    lists |= {segment.encode(): rows for segment, rows in tables.by_segment.items()}
    return _named_lists(iter(sorted(lists.items())), item_ids)


def _items(tables: SnapshotTables) -> Records:
    row_of = {name: row for row, name in enumerate(tables.interactions.item_ids.to_pylist())}
    for item_id in sorted(tables.items.keys() | row_of.keys()):
        item = tables.items.get(item_id)
        known = {name: getattr(item, name) for name in _SERVED} if item else {}
        about = {key: value for key, value in known.items() if value is not None and value != ()}
        if item_id in row_of:
            about["item_row"] = row_of[item_id]
        yield item_id.encode(), json.dumps(about, sort_keys=True).encode()


def _bytes(ids: Sequence[str]) -> list[bytes]:
    return [name.encode() for name in ids]
