"""Day partitions: the events of logs as Parquet, one file a kind and day.

    var/events/
        views/date=2026-11-14/views-2026-11-14.parquet
                 user_id  item_id  minutes  first_at  last_at
        ratings  user_id  item_id  rating  at
        accounts user_id  at
        answers  user_id  at  host  status  items  result  milliseconds

A row of views is what one user saw of one item on that day. What is new is folded
together with what is there, so lines that come again change nothing, not a byte.

Nothing is written in place. Runs of folded rows are gathered in a hidden folder,
which bounds the memory; at the end the days are merged there too, and only then
renamed over the old ones. A crash between two renames leaves some days old and some
new, each whole: ingesting the same logs again makes up for it.
"""

import contextlib
import fcntl
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from batch.errors import BatchError, InputError
from batch.events.fold import days, fold_ratings, fold_rows, fold_views
from batch.events.ids import ID, codes_of, sort_ids, whole
from batch.events.parquet import read_parquet
from batch.events.parsed import ACCOUNTS, ANSWERS, RATINGS, VIEWS, Parsed
from store.durable import fsync_path

_RUN_BYTES: Final = 1 << 26  # of rows that are gathered before they are written aside
_MERGE_ROWS: Final = 2_000_000  # of a day that are folded at a time
# So that a million ids are a dictionary in the file as well: they are read in half the time.
_IDS_BYTES: Final = 1 << 26
_PENDING: Final = ".pending"
_LOCK: Final = ".lock"
_MEND: Final = "remove it and ingest the logs of its day again"
_MOMENT: Final = pa.timestamp("s")


class _Kind(NamedTuple):
    """A kind of event.

    Attributes:
        name: Of its folder, and of its table in `Parsed`.
        columns: Of its files.
        day_of: The column whose day is that of the row.
        fold: Makes one row of those that are one.
    """

    name: str
    columns: list[str]
    day_of: str
    fold: Callable[[pa.Table], pa.Table]


def _fold_days(views: pa.Table) -> pa.Table:
    in_order = {name: sort_ids(views[name]) for name in ("user_id", "item_id")}
    for name, ids in in_order.items():
        views = views.set_column(views.column_names.index(name), name, ids)
    return fold_views(views, by_day=True)


_VIEW_COLUMNS: Final = [name for name in VIEWS.names if name != "n_events"]
_KINDS: Final = (
    _Kind("views", _VIEW_COLUMNS, "first_at", _fold_days),
    _Kind("ratings", RATINGS.names, "at", fold_ratings),
    _Kind("accounts", ACCOUNTS.names, "at", fold_rows),
    _Kind("answers", ANSWERS.names, "at", fold_rows),
)


class Partitions:
    """Takes events and, when all is told, brings them into the partitions of a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pending = folder / _PENDING
        self._gathered: dict[str, list[pa.Table]] = {kind.name: [] for kind in _KINDS}
        self._n_bytes = 0
        self._n_runs = 0

    def take(self, parsed: Parsed) -> None:
        """Take the events of one piece of a log."""
        for kind in _KINDS:
            table = getattr(parsed, kind.name)
            if table.num_rows:
                self._gathered[kind.name].append(table)
                self._n_bytes += table.nbytes
        if self._n_bytes > _RUN_BYTES:
            self._write_run()

    def commit(self) -> dict[str, int]:
        """Merge what was taken into the partitions.

        Returns:
            By kind, the rows of all days that were touched.
        """
        self._write_run()
        merged: list[tuple[Path, Path]] = []
        n_rows: dict[str, int] = {}
        for kind in _KINDS:
            n_rows[kind.name] = 0
            for runs in sorted((self._pending / "runs" / kind.name).glob("*")):
                name = f"{kind.name}-{runs.name}.parquet"
                old = self._folder / kind.name / f"date={runs.name}" / name
                new = self._pending / name
                n_rows[kind.name] += _write(kind, new, _merged(kind, [*runs.iterdir(), old]))
                fsync_path(new)
                merged.append((new, old))
        for new, old in merged:
            old.parent.mkdir(parents=True, exist_ok=True)
            new.replace(old)
        for place in {place for _, old in merged for place in old.parents[:3]}:
            fsync_path(place)
        return n_rows

    def _write_run(self) -> None:
        """Fold what has been gathered and put it aside, one file a day."""
        for kind in _KINDS:
            tables, self._gathered[kind.name] = self._gathered[kind.name], []
            for day, rows in _by_day(kind, tables):
                folder = self._pending / "runs" / kind.name / day
                folder.mkdir(parents=True, exist_ok=True)
                _write(kind, folder / f"{self._n_runs}.parquet", [rows])
        self._n_runs += 1
        self._n_bytes = 0


@contextlib.contextmanager
def partitions(folder: Path) -> Iterator[Partitions]:
    """Hold a folder of partitions for writing; without `commit` it stays as it was.

    Raises:
        BatchError: It cannot be written, or another process is writing to it.
    """
    pending = folder / _PENDING
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / _LOCK).open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(pending, ignore_errors=True)  # of a run that was killed
            try:
                yield Partitions(folder)
            finally:
                shutil.rmtree(pending, ignore_errors=True)
    except BlockingIOError:
        raise BatchError(folder, "another process is writing to it", "wait for it") from None
    except OSError as error:
        raise BatchError(
            folder,
            f"events cannot be written: {error.strerror or error}",
            "make room there, or choose another --out; the events there are as they were",
        ) from error


def _by_day(kind: _Kind, tables: list[pa.Table]) -> Iterator[tuple[str, pa.Table]]:
    """Yield days as `2026-11-14`, and their folded rows."""
    if not tables:
        return
    rows = kind.fold(pa.concat_tables(tables))
    day = days(rows[kind.day_of])
    order = np.argsort(day, kind="stable")
    distinct, first = np.unique(day[order], return_index=True)
    for number, places in zip(distinct, np.split(order, first[1:]), strict=True):
        yield str(np.datetime64(int(number), "D")), rows.take(pa.array(places))


def _merged(kind: _Kind, files: list[Path]) -> Iterator[pa.Table]:
    """Yield the folded rows of files of one day, as many users at a time as memory is meant for."""
    files = [file for file in files if file.exists()]
    n_parts = -(-sum(_n_rows(file) for file in files) // _MERGE_ROWS)
    for part in range(n_parts):
        tables = [_part(table, part, n_parts) for file in files for table in _read(kind, file)]
        yield kind.fold(pa.concat_tables(tables))


def _n_rows(file: Path) -> int:
    try:
        return int(pq.read_metadata(file).num_rows)
    except pa.ArrowException as error:
        raise InputError(file, f"cannot be read as Parquet: {error}", _MEND) from error


def _read(kind: _Kind, file: Path) -> Iterator[pa.Table]:
    for piece in read_parquet(file):
        if piece.rejected:
            reason, row, _ = piece.rejected[0]
            raise InputError(file, f"row {row}: {reason}", _MEND)
        yield getattr(piece.parsed, kind.name)


def _part(table: pa.Table, part: int, n_parts: int) -> pa.Table:
    """Return the rows of one of `n_parts` parts of all users."""
    if n_parts == 1:
        return table
    users = whole(table["user_id"])
    names = users.dictionary.to_numpy(zero_copy_only=False)
    is_in = pd.util.hash_array(names, categorize=False) % n_parts == part
    return table.filter(pa.array(is_in[codes_of(users)]))


def _write(kind: _Kind, path: Path, tables: Iterable[pa.Table]) -> int:
    """Write tables as row groups of one file, and return the number of rows."""
    n_rows = 0
    with contextlib.ExitStack() as stack:
        writer = None
        for table in tables:
            rows = _as_file(kind, table)
            if writer is None:
                writer = stack.enter_context(
                    pq.ParquetWriter(
                        path,
                        rows.schema,
                        compression="zstd",
                        dictionary_pagesize_limit=_IDS_BYTES,
                    )
                )
            writer.write_table(rows)
            n_rows += len(rows)
    return n_rows


def _as_file(kind: _Kind, table: pa.Table) -> pa.Table:
    columns = {}
    for name in kind.columns:
        column = table[name]
        if column.type == ID:
            column = sort_ids(column)  # the file's dictionary has what is used, and no more
        elif name.endswith("at"):
            column = column.cast(_MOMENT)
        columns["minutes" if name == "minute" else name] = column
    return pa.table(columns)
