"""Counts of the data that a refresh's memory and disk depend on.

files of Parquet, before they are read   rows; users and items of the served snapshot
events in memory                         rows that are left of them, distinct ids
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from batch.columns.names import RATING
from batch.events.events import Events
from batch.events.parquet import open_events
from batch.events.parquet_file import open_parquet
from batch.events.read import files_below
from batch.files.input_file import InputFile
from batch.files.open import is_parquet
from batch.settings import BatchSettings
from batch.sql.url import is_database_url
from store.layout import RECS

_USERS: Final = f"{RECS}/users"
_ITEMS: Final = f"{RECS}/items"


class DataSize(NamedTuple):
    """Counts of the data of a refresh.

    Attributes:
        users: Users with an event.
        items: Items with an event, or in the catalogue.
        views: Rows of views, one for each pair where folding is effective.
        ratings: Rows of ratings.
    """

    users: int
    items: int
    views: int
    ratings: int


def size_of_files(settings: BatchSettings, served: Mapping[str, int] | None) -> DataSize | None:
    """Return the most rows that the files of Parquet may hold in memory; None without any.

    Several rows of a user and an item become one, so fewer may be left. Text and databases
    are not counted.

    Args:
        settings: Settings of the batch: events and their columns.
        served: Number of records in the served snapshot's tables; None without a snapshot.

    Raises:
        InputError: A file is missing, damaged, or not one of events.
    """
    rows = {True: 0, False: 0}
    for file in _files(settings):
        if is_parquet(file):
            with open_parquet(file) as content:
                n_rows, names = content.metadata.num_rows, content.schema_arrow.names
            is_rated = RATING in (open_events(file, settings).columns or names)
            rows[is_rated] += n_rows
    counts = served or {}
    size = DataSize(counts.get(_USERS, 0), counts.get(_ITEMS, 0), rows[False], rows[True])
    return size if size.views + size.ratings else None


def size_of_events(events: Events, n_catalogue: int) -> DataSize:
    """Return the counts of events in memory.

    Args:
        events: Views and ratings.
        n_catalogue: Number of items of the catalogue.
    """
    users, items = (_n_distinct(events, name) for name in ("user_id", "item_id"))
    n_items = max(items, n_catalogue)
    return DataSize(users, n_items, events.views.num_rows, events.ratings.num_rows)


def _files(settings: BatchSettings) -> list[InputFile]:
    names = [Path(name) for name in settings.events if not is_database_url(name)]
    return [InputFile(path) for name in names for path in files_below(name)]


def _n_distinct(events: Events, name: str) -> int:
    """Return the number of distinct ids; chunks of one table often share a dictionary."""
    chunks = [chunk for table in (events.views, events.ratings) for chunk in table[name].chunks]
    distinct: list[pa.Array] = []
    for chunk in chunks:
        if not distinct or not chunk.dictionary.equals(distinct[-1]):
            distinct.append(chunk.dictionary)
    return int(pc.count_distinct(pa.chunked_array(distinct, pa.string())).as_py())
