"""Folding: many rows of one user and one item become one, whatever their order.

    user  item  minute  n_events  first_at  last_at
    7     heat      58        41     12:03    12:58
    7     heat       3         1     12:01    12:01   ─►   7  heat  58  42  12:01  12:58

Folding again changes nothing, and neither does the order of the rows: duplicates and
late lines do no harm. Rows are grouped by a sort of integers, the codes of their ids:
90 ns a row, where Arrow's hash took 360.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from batch.arrays import Flags, Integers, Rows
from batch.events.ids import codes_of, sort_ids, whole
from batch.events.parsed import RATINGS, VIEWS

DAY_SECONDS: Final = 86_400
_INT64_MAX: Final = np.iinfo(np.int64).max

_FOLDED: Final = (  # column, aggregate of a group, and the value that stands for null
    ("minute", np.maximum, -1),
    ("n_events", np.add, None),
    ("first_at", np.minimum, _INT64_MAX),
    ("last_at", np.maximum, -_INT64_MAX),
)


def fold_views(views: pa.Table, *, by_day: bool = False) -> pa.Table:
    """Return one row a (user, item), in the order of their codes.

    A row has the furthest minute, the sum of events, the first and the last time.

    Args:
        views: Table with the columns of `VIEWS`.
        by_day: Whether to return one row a (user, item, day) instead; both times of a row
            must lie on one day.
    """
    columns = dict(zip(views.column_names, views.columns, strict=True))
    del views  # each column is freed once it is folded, unless the caller keeps it
    user, item = (whole(columns.pop(name)) for name in ("user_id", "item_id"))
    keys: list[Integers] = [codes_of(user), codes_of(item)]
    if by_day:
        keys.append(days(columns["first_at"]))
    order, first = _groups(keys)
    rows = pa.array(order[first])
    folded = [user.take(rows), item.take(rows)]
    del keys, user, item, rows
    for name, reduce, unknown in _FOLDED:
        column = columns.pop(name)
        values = (column if unknown is None else pc.fill_null(column, unknown)).to_numpy()[order]
        del column
        if len(first):
            values = reduce.reduceat(values, first)
        folded.append(
            pa.array(
                values, VIEWS.field(name).type, mask=None if unknown is None else values == unknown
            )
        )
    return pa.table(folded, schema=VIEWS)


def fold_ratings(ratings: pa.Table) -> pa.Table:
    """Return the distinct ratings in the order of user, item, time, rating.

    All times are kept: which rating is the latest on the scale is not known before the
    scale is.
    """
    user, item = sort_ids(ratings["user_id"]), sort_ids(ratings["item_id"])
    columns = [
        *(codes_of(ids) for ids in (user, item)),
        *(ratings[name].to_numpy() for name in ("at", "rating")),
    ]
    order = np.lexsort(columns[::-1])
    rows = pa.array(order[_is_new([column[order] for column in columns])])
    return pa.table(
        [user.take(rows), item.take(rows), *(ratings[n].take(rows) for n in ("rating", "at"))],
        schema=RATINGS,
    )


def fold_rows(table: pa.Table) -> pa.Table:
    """Return the distinct rows of a table, in the order of their columns."""
    names = table.column_names
    distinct = table.unify_dictionaries().group_by(names, use_threads=False).aggregate([])
    plain = pa.table(  # a dictionary sorts by its codes
        [c.cast(c.type.value_type) if pa.types.is_dictionary(c.type) else c for c in distinct],
        names=names,
    )
    rows = pc.sort_indices(plain, sort_keys=[(name, "ascending") for name in names])
    return distinct.take(rows).cast(table.schema)


def days(seconds: pa.ChunkedArray) -> Rows:
    """Return the days since 1970 of known times."""
    number: Rows = seconds.to_numpy() // DAY_SECONDS
    return number


def _groups(keys: Sequence[Integers]) -> tuple[Rows, Rows]:
    """Return an order that groups equal keys, and the position of each group's first row."""
    sizes = [int(np.ptp(key)) + 1 if len(key) else 1 for key in keys]
    if np.prod(sizes, dtype=object) > _INT64_MAX:
        order = np.lexsort(keys[::-1])
        return order, np.flatnonzero(_is_new([key[order] for key in keys]))
    joined = np.zeros(len(keys[0]), np.int64)
    for key, size in zip(keys, sizes, strict=True):
        joined *= size
        joined += key
        joined -= key.min() if len(key) else 0
    order = np.argsort(joined)
    return order, np.flatnonzero(_is_new([joined[order]]))


def _is_new(columns: Sequence[npt.NDArray[np.generic]]) -> Flags:
    """Return which rows of sorted columns differ from the row before."""
    is_new = np.ones(len(columns[0]), dtype=bool)
    is_new[1:] = np.logical_or.reduce([column[1:] != column[:-1] for column in columns])
    return is_new
