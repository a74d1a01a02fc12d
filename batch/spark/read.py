"""Reading: a task reads the files of one group with the readers of the local engine.

day's file and segments │ archive │ log │ table    groups, one task each
          │
          ├─► blocks of rows: views, ratings; new accounts
          └─► report: files, rejected lines, or the error that ends the refresh

Profiles have rows of the same columns; see `profiles`.
"""

import pickle
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from batch.events.day_files import grouped_by_day
from batch.events.events import EventCollector, Events
from batch.events.read import FilesRead, event_files, read_pieces
from batch.records.profiles import Profiles
from batch.settings import BatchSettings
from batch.spark.blocks import (
    OF_ACCOUNTS,
    OF_USERS,
    REPORT,
    about_blocks,
    read_blocks,
    sampled_ids,
)
from batch.sql.url import is_database_url
from store.errors import MarqueeError

VIEW, RATING, PROFILE = range(3)
ROWS: Final = pa.schema(
    [("kind", pa.int8()), ("user_id", pa.string()), ("item_id", pa.string()),
     ("minute", pa.int32()), ("n_events", pa.int32()), ("first_at", pa.int64()),
     ("last_at", pa.int64()), ("rating", pa.float32()), ("content", pa.large_binary())]
)  # fmt: skip
ACCOUNT_ROWS: Final = pa.schema([("user_id", pa.string()), ("at", pa.int64())])
_SAMPLED_IDS: Final = 50_000  # of all groups
_MIN_IDS: Final = 20  # of a group


@dataclass(frozen=True, slots=True)
class Report:
    """What a task has read of events, beside its rows.

    Attributes:
        files: Files, rejected lines and the quarantine.
        n_accounts: Number of new accounts.
        n_answers: Number of answered or failed recommendation requests.
    """

    files: FilesRead
    n_accounts: int
    n_answers: int


def groups_of(settings: BatchSettings) -> list[tuple[str, ...]]:
    """Return the names of the inputs that are read together, one group a task.

    Raises:
        InputError: No file is named, or a directory holds none.
    """
    urls = [name for name in settings.events if is_database_url(name)]
    files = [path for path in event_files(settings) if isinstance(path, Path)]
    days = [tuple(map(str, day)) for day in grouped_by_day(files)]
    return [*days, *((url,) for url in urls)]


def read_group(
    number: int, names: Sequence[str], n_groups: int, settings: BatchSettings, began_at: datetime
) -> Iterator[pa.RecordBatch]:
    """Yield the blocks of a group, and a report behind them.

    An error of the input is the report, so that the driver raises it as it is.

    Args:
        number: Number of the group, which makes the name of its quarantine file its own.
        names: Files of a group, or the URL of a database.
        n_groups: Number of all groups.
        settings: Settings of the batch.
        began_at: Time when the refresh began.
    """
    collector = EventCollector()
    of_group = replace(settings, events=tuple(names), n_threads=1)
    try:
        files = read_pieces(of_group, collector.add, began_at + timedelta(microseconds=number))
    except MarqueeError as error:
        yield report_block(number, error)
        return
    events = collector.events(files.files, files.not_read)
    rows = pa.concat_tables([_views(events), _ratings(events)])
    yield from user_blocks(number, n_groups, rows)
    yield from read_blocks(number, OF_ACCOUNTS, events.accounts.cast(ACCOUNT_ROWS))
    yield report_block(number, Report(files, events.n_accounts, events.n_answers))


def user_blocks(number: int, n_groups: int, rows: pa.Table) -> Iterator[pa.RecordBatch]:
    """Yield the blocks of a group's rows, and some of its user ids.

    Args:
        number: Number of the group.
        n_groups: Number of all groups.
        rows: Rows with the columns of `ROWS`.
    """
    yield from read_blocks(number, OF_USERS, rows)
    yield sampled_ids(number, rows, max(_SAMPLED_IDS // n_groups, _MIN_IDS))


def reports_of(pickled: Iterable[bytes]) -> list[Any]:
    """Return the reports of all tasks: `Report` of events, `Profiles` of profiles.

    Raises:
        BatchError: An input is missing, broken or empty.
    """
    found = [pickle.loads(one) for one in pickled]  # noqa: S301 - of our own tasks
    for one in found:
        if isinstance(one, MarqueeError):
            raise one
    return found


def _views(events: Events) -> pa.Table:
    return rows_of(VIEW, events.views, {})


def _ratings(events: Events) -> pa.Table:
    return rows_of(RATING, events.ratings, {"first_at": "at", "last_at": "at"})


def rows_of(kind: int, table: pa.Table, sources: dict[str, str]) -> pa.Table:
    """Return a table with the columns of `ROWS`, null where it has no such column.

    Args:
        kind: Kind of all rows.
        table: Columns that there are.
        sources: Names of columns that stand for columns of `ROWS`.
    """
    n_rows = table.num_rows
    columns: list[Any] = [pa.repeat(pa.scalar(kind, pa.int8()), n_rows)]
    for column in list(ROWS)[1:]:
        name = sources.get(column.name, column.name)
        found = table[name].cast(column.type) if name in table.column_names else None
        columns.append(pa.nulls(n_rows, column.type) if found is None else found)
    return pa.table(columns, schema=ROWS)


def report_block(number: int, found: Report | Profiles | MarqueeError) -> pa.RecordBatch:
    """Return the block behind those of a group: what was read, or the error."""
    return about_blocks(number, REPORT, pickle.dumps(found))
