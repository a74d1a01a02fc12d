"""The types of events that are stored: views, ratings, accounts, answers.

Each has a folder of day partitions, or a table of a database, and a fold that merges
duplicate rows.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

import pyarrow as pa

from batch.events.fold import fold_ratings, fold_rows, fold_views
from batch.events.ids import sort_ids
from batch.events.parsed import ACCOUNTS, ANSWERS, RATINGS, VIEWS


class EventType(NamedTuple):
    """A type of event.

    Attributes:
        name: Name of its folder, of its table in a database, and of its table in `Parsed`.
        columns: Columns that are stored.
        day_column: Column of the time that decides the day of a row.
        fold: Function that merges duplicate rows of a table.
    """

    name: str
    columns: list[str]
    day_column: str
    fold: Callable[[pa.Table], pa.Table]


def _fold_days(views: pa.Table) -> pa.Table:
    in_order = {name: sort_ids(views[name]) for name in ("user_id", "item_id")}
    for name, ids in in_order.items():
        views = views.set_column(views.column_names.index(name), name, ids)
    return fold_views(views, by_day=True)


_VIEW_COLUMNS: Final = [name for name in VIEWS.names if name != "n_events"]

EVENT_TYPES: Final = (
    EventType("views", _VIEW_COLUMNS, "first_at", _fold_days),
    EventType("ratings", RATINGS.names, "at", fold_ratings),
    EventType("accounts", ACCOUNTS.names, "at", fold_rows),
    EventType("answers", ANSWERS.names, "at", fold_rows),
)
