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
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from batch.errors import BatchError
from batch.events.day_files import (
    EVENT_TYPES,
    MERGE_ROWS,
    NO_POSITIONS,
    EventType,
    all_files,
    is_segment_file,
    merged_rows,
    n_rows_of,
    read_rows,
    rows_by_day,
    write_rows,
)
from batch.events.parsed import Parsed
from batch.events.positions import Positions
from store.durable import fsync_path

_PENDING: Final = ".pending"
_LOCK: Final = ".lock"


@dataclass(frozen=True, slots=True)
class PartitionSizes:
    """How much is held in memory at a time; the partitions do not depend on it.

    Attributes:
        run_bytes: Size of the rows that are collected before they are written to disk.
        merge_rows: Rows of a day that are folded at a time.
    """

    run_bytes: int = 1 << 26
    merge_rows: int = MERGE_ROWS


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
                tables = merged_rows(kind, files, self._sizes.merge_rows)
                n_rows[kind.name] += write_rows(kind, new, tables, _positions(old))
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
        for kind, old in all_files(self._folder):
            found = _users_in(kind, old, names)
            for user_id in found:
                on_found(user_id)
            if found:
                n_removed[kind.name] += self._rewrite(kind, old, names)
        return {name: n for name, n in n_removed.items() if n}

    def _rewrite(self, kind: EventType, old: Path, names: pa.StringArray) -> int:
        """Replace a day by its rows of other users, and return the number of removed rows."""
        new = self._pending / old.name
        n_old = n_rows_of(old)
        merged = merged_rows(kind, [old], self._sizes.merge_rows)
        filtered = (table.filter(pc.invert(_is_in(table["user_id"], names))) for table in merged)
        kept = [table for table in filtered if table.num_rows]
        is_segment = is_segment_file(old)
        if is_segment and not kept:  # the ledger of the collector names it
            kept = [getattr(Parsed(), kind.name)]
        n_new = write_rows(kind, new, kept, _positions(old))
        if n_new or is_segment:
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
            for day, rows in rows_by_day(kind, tables):
                folder = self._pending / "runs" / kind.name / day
                folder.mkdir(parents=True, exist_ok=True)
                write_rows(kind, folder / f"{self._n_runs}.parquet", [rows])
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
        with locked_for_writing(folder):
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


@contextlib.contextmanager
def locked_for_writing(folder: Path) -> Iterator[None]:
    """Hold the lock of those who replace the days' files.

    Raises:
        BlockingIOError: Another process holds it.
        OSError: It cannot be made.
    """
    with (folder / _LOCK).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def partition_files(folder: Path) -> list[Path]:
    """Return the files of all days in a folder of partitions, segments too."""
    return [file for _, file in all_files(folder)]


def _positions(old: Path) -> Positions:
    return Positions.of_file(old) if old.exists() else NO_POSITIONS


def _users_in(kind: EventType, file: Path, names: pa.StringArray) -> set[str]:
    tables = (table["user_id"] for table in read_rows(kind, file))
    return {name for ids in tables for name in ids.filter(_is_in(ids, names)).unique().to_pylist()}


def _is_in(ids: pa.ChunkedArray, names: pa.StringArray) -> pa.ChunkedArray:
    return pc.is_in(ids.cast(pa.string()), value_set=names)
