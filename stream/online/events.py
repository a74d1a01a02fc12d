"""The events of some days, for one part of the users at a time, so that memory is bounded."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from batch.errors import InputError
from batch.events.day_files import DayFile, all_files, n_rows_of, read_rows, users_part
from batch.events.event_types import EVENT_TYPES
from batch.events.ids import whole
from batch.events.parsed import Parsed
from batch.events.positions import REMEDY
from batch.events.readers import reading

DAY_SECONDS: Final = 86_400
_PIECE_ROWS: Final = 100_000  # an answer has some hundred bytes
_KINDS: Final = {kind.name: kind for kind in EVENT_TYPES}


class DayFiles:
    """The files of a folder of partitions, by type of event and day.

    They are listed where the `with` begins. Until its end the collector folds and removes none.

    Args:
        folder: Directory of the partitions.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held = contextlib.ExitStack()
        self._files: dict[tuple[str, int], list[Path]] = {}

    def __enter__(self) -> Self:
        self._held.enter_context(reading([str(self._folder)]))
        for kind, path in all_files(self._folder):
            if file := DayFile.of(path):
                number = int(np.datetime64(file.day).astype(np.int64))
                self._files.setdefault((kind.name, number), []).append(path)
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def days(self, name: str) -> list[int]:
        """Return the days, counted from 1970, that have events of a type, ascending."""
        return sorted(day for kind, day in self._files if kind == name)

    def n_rows(self, name: str, days: Sequence[int]) -> int:
        """Return the number of rows of a type in some days, duplicates included."""
        return sum(n_rows_of(file) for file in self._of(name, days))

    def rows(self, name: str, days: Sequence[int], part: int, n_parts: int) -> pa.Table:
        """Return the folded rows of one of `n_parts` parts of the users.

        Raises:
            InputError: A file is damaged.
        """
        tables = [users_part(table, part, n_parts) for table in self.pieces(name, days)]
        return _KINDS[name].fold(pa.concat_tables([*tables, getattr(Parsed(), name)]))

    def state(self, name: str, days: Sequence[int]) -> list[tuple[str, int, int]]:
        """Return name, size and time of change of each file of a type in some days."""
        stats = [(path.name, path.stat()) for path in self._of(name, days)]
        return [(name, one.st_size, one.st_mtime_ns) for name, one in stats]

    def pieces(self, name: str, days: Sequence[int]) -> Iterator[pa.Table]:
        """Yield the rows of a type in some days, not folded.

        Raises:
            InputError: A file is damaged.
        """
        for file in self._of(name, days):
            yield from read_rows(_KINDS[name], file, _PIECE_ROWS)

    def users(self, names: Sequence[str], until: int) -> pa.Array:
        """Return the ids of the users with an event of some types before a time, each once.

        Raises:
            InputError: A file is damaged.
        """
        found = pa.array([], pa.string())
        for name in names:
            for day in self.days(name):
                for file in self._of(name, [day]) if day * DAY_SECONDS < until else ():
                    is_over = (day + 1) * DAY_SECONDS <= until
                    ids = _user_ids(file, _KINDS[name].day_column, None if is_over else until)
                    found = pa.concat_arrays([found, ids]).unique()
        return found

    def newest(self, limit: int) -> int:
        """Return the time of the newest event, by the statistics of the files; 0 without one.

        Args:
            limit: Time from which on a time is an error of the log.

        Raises:
            InputError: A file is damaged.
        """
        newest = 0
        for name, column in (("answers", "at"), ("views", "last_at")):
            for day in [day for day in self.days(name) if day * DAY_SECONDS < limit][-1:]:
                newest = max(newest, *(_maximum(file, column) for file in self._of(name, [day])))
        return min(newest, limit)

    def _of(self, name: str, days: Sequence[int]) -> list[Path]:
        return [path for day in days for path in self._files.get((name, day), [])]


def _user_ids(file: Path, time_column: str, until: int | None) -> pa.Array:
    """Return the ids of users in a file, each once; those before a time where it is given."""
    try:
        rows = pq.read_table(file, columns=["user_id", time_column], partitioning=None)
    except (pa.ArrowException, OSError) as error:
        raise InputError(file, f"cannot be read as Parquet: {error}", REMEDY) from error
    if until is not None:
        limit = pa.scalar(until, pa.timestamp("s")).cast(rows[time_column].type)
        rows = rows.filter(pc.less(rows[time_column], limit))
    return whole(rows["user_id"]).unique().cast(pa.string())


def _maximum(file: Path, column: str) -> int:
    """Return the largest time in a column, seconds since 1970; 0 without rows."""
    try:
        metadata = pq.read_metadata(file)
    except pa.ArrowException as error:
        raise InputError(file, f"cannot be read as Parquet: {error}", REMEDY) from error
    number = metadata.schema.names.index(column)
    groups = (metadata.row_group(group) for group in range(metadata.num_row_groups))
    found = [group.column(number).statistics for group in groups if group.num_rows]
    times = [one.max for one in found if one is not None and one.has_min_max]
    return max((int(np.datetime64(time, "s").astype(np.int64)) for time in times), default=0)
