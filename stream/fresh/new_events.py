"""New events as evidence, some users at a time.

rows of one file ─► those of known items ─► sorted by user ─► blocks ─► `UserEvidence`

The evidence is aggregated by the functions of the batch. Events of items that the model does
not have are left out: they can be neither weighed nor listed.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch.arrays import Codes, Floats
from batch.events.ids import codes_of, whole
from batch.events.parsed import RATINGS, VIEWS
from batch.interactions.aggregate import ids_and_rows
from batch.interactions.columns import Columns
from batch.interactions.user_block import aggregate_block
from batch.served.evidence import UserEvidence


class KnownItems(NamedTuple):
    """Items of a model.

    Attributes:
        ids: (n_items,) item id of each row.
        runtime: (n_items,) minutes.
        best: Best rating of the scale.
    """

    ids: pa.StringArray
    runtime: Floats
    best: float


class NewEvidence(NamedTuple):
    """Evidence of some users.

    Attributes:
        user_ids: (n_users,) ids, ascending.
        evidence: Evidence of these users.
    """

    user_ids: list[bytes]
    evidence: UserEvidence


def new_evidence(
    kind: str, table: pa.Table, items: KnownItems, batch_users: int, not_after: int
) -> Iterator[NewEvidence]:
    """Yield the evidence of the events of one table.

    Args:
        kind: `views` or `ratings`.
        table: Events with the columns of that kind.
        items: Items of the model.
        batch_users: Maximum number of users at a time.
        not_after: Time in seconds since 1970; first events after it have an unknown time.
    """
    table, item_row = _of_known_items(table, items.ids)
    if not len(table):
        return
    user_ids, user_row = ids_and_rows(table["user_id"])
    views = table if kind == "views" else VIEWS.empty_table()
    ratings = table if kind == "ratings" else RATINGS.empty_table()
    columns = Columns.of(user_row, item_row, views, ratings, with_latest=True)
    order = np.argsort(user_row, kind="stable")
    begins = np.searchsorted(user_row[order], np.arange(0, len(user_ids), batch_users))
    nothing = order[:0]
    for number, rows in enumerate(np.split(order, begins[1:])):
        first = number * batch_users
        users = range(first, min(first + batch_users, len(user_ids)))
        of_kind = (rows, nothing) if kind == "views" else (nothing, rows)
        block = aggregate_block(columns, users, *of_kind, items.runtime).evidence(items.best)
        found = block.select_items(np.ones(len(items.ids), np.bool_), with_latest=True)
        names = user_ids.slice(users.start, len(users)).cast(pa.binary()).to_pylist()
        yield NewEvidence(names, UserEvidence.of_events(found, not_after=not_after))


def own_rows(table: pa.Table, is_own: Callable[[bytes], bool] | None) -> pa.Table:
    """Return the rows of a part of the users; None for all of them."""
    if is_own is None:
        return table
    ids = whole(table["user_id"])
    own = np.array([is_own(name.encode()) for name in ids.dictionary.to_pylist()], np.bool_)
    return table.filter(pa.array(own[codes_of(ids)]))


def _of_known_items(table: pa.Table, item_ids: pa.StringArray) -> tuple[pa.Table, Codes]:
    """Return the rows of these items, and the row of each row's item."""
    ids = whole(table["item_id"])
    found = pc.fill_null(pc.index_in(ids.dictionary, value_set=item_ids), -1)
    item_row = found.to_numpy().astype(np.int32)[codes_of(ids)]
    is_known = item_row >= 0
    return table.filter(pa.array(is_known)), item_row[is_known]
