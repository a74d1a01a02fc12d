"""Day partitions: the events of logs as Parquet, one file for each type of event and day.

    var/events/
        views/date=2026-11-14/views-2026-11-14.parquet
                 user_id  item_id  minutes  first_at  last_at
        ratings  user_id  item_id  rating  at
        accounts user_id  at
        answers  user_id  at  host  status  items  result  milliseconds

A row of views sums up the views of one item by one user on that day. New events are
folded together with those on disk, so ingesting lines again does not change a byte.

Nothing is written in place. Runs of folded rows are written to a hidden folder, which
bounds the memory; at the end the days are merged there too, and only then renamed over
the old ones. A crash between two renames leaves some days old and some new, each whole:
ingesting the same logs again completes them.
"""

import contextlib
import fcntl
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from batch.errors import BatchError, InputError
from batch.events.event_types import EVENT_TYPES, EventType
from batch.events.fold import days
from batch.events.ids import ID, codes_of, sort_ids, whole
from batch.events.parsed import Parsed
from batch.events.partition_rows import read_partition
from store.durable import fsync_path

# Large enough for a dictionary of a million ids in the file: it is read in half the time.
_DICTIONARY_BYTES: Final = 1 << 26
_PENDING: Final = ".pending"
_LOCK: Final = ".lock"
_REMEDY: Final = "remove it and ingest the logs of its day again"
_TIMESTAMP: Final = pa.timestamp("s")


@dataclass(frozen=True, slots=True)
class PartitionSizes:
    """How much is held in memory at a time; the partitions do not depend on it.

    Attributes:
        run_bytes: Size of the rows that are collected before they are written to disk.
        merge_rows: Rows of a day that are folded at a time.
    """

    run_bytes: int = 1 << 26
    merge_rows: int = 2_000_000


DEFAULT_PARTITION_SIZES: Final = PartitionSizes()


class Partitions:
    """Collects events, and merges them into the partitions of a folder on `commit`.

    Args:
        folder: Directory of the partitions.
        sizes: Bounds of the memory.
    """

    def __init__(self, folder: Path, sizes: PartitionSizes) -> None:
        self._folder = folder
        self._sizes = sizes
        self._pending = folder / _PENDING
        self._collected: dict[str, list[pa.Table]] = {kind.name: [] for kind in EVENT_TYPES}
        self._n_bytes = 0
        self._n_runs = 0

    def add(self, parsed: Parsed) -> None:
        """Add the events of one piece of a log."""
        for kind in EVENT_TYPES:
            table = getattr(parsed, kind.name)
            if table.num_rows:
                self._collected[kind.name].append(table)
                self._n_bytes += table.nbytes
        if self._n_bytes > self._sizes.run_bytes:
            self._write_run()

    def commit(self) -> dict[str, int]:
        """Merge the collected events into the partitions.

        Returns:
            Number of rows, by type of event, in all days that were written.
        """
        self._write_run()
        merged: list[tuple[Path, Path]] = []
        n_rows: dict[str, int] = {}
        for kind in EVENT_TYPES:
            n_rows[kind.name] = 0
            for runs in sorted((self._pending / "runs" / kind.name).glob("*")):
                name = f"{kind.name}-{runs.name}.parquet"
                old = self._folder / kind.name / f"date={runs.name}" / name
                new = self._pending / name
                files = [*runs.iterdir(), old]
                tables = _merged(kind, files, self._sizes.merge_rows)
                n_rows[kind.name] += _write(kind, new, tables)
                fsync_path(new)
                merged.append((new, old))
        for new, old in merged:
            old.parent.mkdir(parents=True, exist_ok=True)
            new.replace(old)
        for folder in {folder for _, old in merged for folder in old.parents[:3]}:
            fsync_path(folder)
        return n_rows

    def forget(
        self, user_ids: Collection[str], on_found: Callable[[str], object]
    ) -> dict[str, int]:
        """Rewrite the days that have rows of users without these.

        Args:
            user_ids: Users whose rows are removed.
            on_found: Function that is called with each user who has rows.

        Returns:
            Number of removed rows, by type of event.
        """
        names = pa.array(list(user_ids), pa.string())
        n_removed = {kind.name: 0 for kind in EVENT_TYPES}
        self._pending.mkdir(exist_ok=True)
        for kind, old in _days(self._folder):
            found = _users_in(kind, old, names)
            for user_id in found:
                on_found(user_id)
            if found:
                n_removed[kind.name] += self._rewrite(kind, old, names)
        return {name: n for name, n in n_removed.items() if n}

    def _rewrite(self, kind: EventType, old: Path, names: pa.StringArray) -> int:
        """Replace a day by its rows of other users, and return the number of removed rows."""
        new = self._pending / old.name
        n_old = _n_rows(old)
        merged = _merged(kind, [old], self._sizes.merge_rows)
        kept = (table.filter(pc.invert(_is_in(table["user_id"], names))) for table in merged)
        n_new = _write(kind, new, (table for table in kept if table.num_rows))
        if n_new:
            fsync_path(new)
            new.replace(old)
        else:
            old.unlink()
        fsync_path(old.parent)
        return n_old - n_new

    def _write_run(self) -> None:
        """Fold the collected rows and write them to the hidden folder, one file a day."""
        for kind in EVENT_TYPES:
            tables, self._collected[kind.name] = self._collected[kind.name], []
            for day, rows in _by_day(kind, tables):
                folder = self._pending / "runs" / kind.name / day
                folder.mkdir(parents=True, exist_ok=True)
                _write(kind, folder / f"{self._n_runs}.parquet", [rows])
        self._n_runs += 1
        self._n_bytes = 0


@contextlib.contextmanager
def open_partitions(
    folder: Path, sizes: PartitionSizes = DEFAULT_PARTITION_SIZES
) -> Iterator[Partitions]:
    """Lock a folder of partitions for writing; without `commit` it is not changed.

    Args:
        folder: Directory of the partitions, which is made if it does not exist.
        sizes: Bounds of the memory.

    Raises:
        BatchError: It cannot be written, or another process is writing to it.
    """
    pending = folder / _PENDING
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / _LOCK).open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(pending, ignore_errors=True)  # left by a killed run
            try:
                yield Partitions(folder, sizes)
            finally:
                shutil.rmtree(pending, ignore_errors=True)
    except BlockingIOError:
        raise BatchError(
            folder, "another process is writing to it", "wait until it has ended"
        ) from None
    except OSError as error:
        raise BatchError(
            folder,
            f"events cannot be written: {error.strerror or error}",
            "make room there, or choose another --out; the partitions are unchanged",
        ) from error


def partition_files(folder: Path) -> list[Path]:
    """Return the files of all days in a folder of partitions."""
    return [file for _, file in _days(folder)]


def _days(folder: Path) -> Iterator[tuple[EventType, Path]]:
    for kind in EVENT_TYPES:
        for file in sorted((folder / kind.name).glob(f"date=*/{kind.name}-*.parquet")):
            yield kind, file


def _users_in(kind: EventType, file: Path, names: pa.StringArray) -> set[str]:
    tables = (table["user_id"] for table in _read(kind, file))
    return {name for ids in tables for name in ids.filter(_is_in(ids, names)).unique().to_pylist()}


def _is_in(ids: pa.ChunkedArray, names: pa.StringArray) -> pa.ChunkedArray:
    return pc.is_in(ids.cast(pa.string()), value_set=names)


def _by_day(kind: EventType, tables: list[pa.Table]) -> Iterator[tuple[str, pa.Table]]:
    """Yield each day, such as `2026-11-14`, and its folded rows."""
    if not tables:
        return
    rows = kind.fold(pa.concat_tables(tables))
    day = days(rows[kind.day_column])
    order = np.argsort(day, kind="stable")
    distinct, first = np.unique(day[order], return_index=True)
    for number, of_day in zip(distinct, np.split(order, first[1:]), strict=True):
        yield str(np.datetime64(int(number), "D")), rows.take(pa.array(of_day))


def _merged(kind: EventType, files: list[Path], merge_rows: int) -> Iterator[pa.Table]:
    """Yield the folded rows of files of one day, a part of the users at a time."""
    files = [file for file in files if file.exists()]
    n_parts = -(-sum(_n_rows(file) for file in files) // merge_rows)
    for part in range(n_parts):
        tables = [_part(table, part, n_parts) for file in files for table in _read(kind, file)]
        yield kind.fold(pa.concat_tables(tables))


def _n_rows(file: Path) -> int:
    try:
        return int(pq.read_metadata(file).num_rows)
    except pa.ArrowException as error:
        raise InputError(file, f"cannot be read as Parquet: {error}", _REMEDY) from error


def _read(kind: EventType, file: Path) -> Iterator[pa.Table]:
    for piece in read_partition(file):
        if piece.rejected.reasons:
            reason, row = piece.rejected.reasons[0], piece.rejected.numbers[0]
            raise InputError(file, f"row {row}: {reason}", _REMEDY)
        yield getattr(piece.parsed, kind.name)


def _part(table: pa.Table, part: int, n_parts: int) -> pa.Table:
    """Return the rows of one of `n_parts` parts of all users."""
    if n_parts == 1:
        return table
    users = whole(table["user_id"])
    names = users.dictionary.to_numpy(zero_copy_only=False)
    is_in = pd.util.hash_array(names, categorize=False) % n_parts == part
    return table.filter(pa.array(is_in[codes_of(users)]))


def _write(kind: EventType, path: Path, tables: Iterable[pa.Table]) -> int:
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
                        dictionary_pagesize_limit=_DICTIONARY_BYTES,
                    )
                )
            writer.write_table(rows)
            n_rows += len(rows)
    return n_rows


def _as_file(kind: EventType, table: pa.Table) -> pa.Table:
    columns = {}
    for name in kind.columns:
        column = table[name]
        if column.type == ID:
            column = sort_ids(column)  # the file's dictionary has no unused ids
        elif name.endswith("at"):
            column = column.cast(_TIMESTAMP)
        columns["minutes" if name == "minute" else name] = column
    return pa.table(columns)
