"""The files of a day: folded rows of one type of event, and segments beside them.

    views/date=2026-11-14/views-2026-11-14.parquet               the day's file
    views/date=2026-11-14/views-2026-11-14.s000000042.parquet    a segment, one a flush

A segment holds rows that the collector wrote since the day's file was. Readers take both
together, folded as one, so it makes no difference when a segment is merged into the
day's file, or whether a crash left it beside a file that contains it already.
"""

import contextlib
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from batch.errors import InputError
from batch.events.event_types import EVENT_TYPES, EventType
from batch.events.fold import days
from batch.events.folded import FileVersion, as_metadata
from batch.events.ids import ID, codes_of, sort_ids, whole
from batch.events.parquet_file import PARQUET_ROWS
from batch.events.parsed import VIEWS, Parsed, Piece, Rejected
from batch.events.partition_rows import read_partition
from batch.events.positions import REMEDY, Positions

# Large enough for a dictionary of a million ids in the file: it is read in half the time.
_DICTIONARY_BYTES: Final = 1 << 26
_TIMESTAMP: Final = pa.timestamp("s")
_NAME: Final = re.compile(
    r"(views|ratings|accounts|answers)-(\d{4}-\d\d-\d\d)(?:\.s(\d{9,}))?\.parquet"
)
MERGE_ROWS: Final = 2_000_000  # rows of a day that are folded at a time
NO_POSITIONS: Final = Positions()
_TYPES: Final = {kind.name: kind for kind in EVENT_TYPES}

Source = TypeVar("Source")  # a path, or what stands in its place


class DayFile(NamedTuple):
    """What the name of a file in the partitions says.

    Attributes:
        kind: Type of its events.
        day: Day, such as `2026-11-14`.
        segment: Number of the flush that wrote it; None for the day's own file.
    """

    kind: EventType
    day: str
    segment: int | None = None

    @classmethod
    def of(cls, path: Path) -> "DayFile | None":
        """Return the meaning of a path; None if it is not one of a partition."""
        name = _NAME.fullmatch(path.name)
        if not name or path.parent.name != f"date={name[2]}":
            return None
        return cls(_TYPES[name[1]], name[2], int(name[3]) if name[3] else None)

    def path(self, folder: Path) -> Path:
        """Return the path in a folder of partitions."""
        segment = "" if self.segment is None else f".s{self.segment:09d}"
        name = f"{self.kind.name}-{self.day}{segment}.parquet"
        return folder / self.kind.name / f"date={self.day}" / name


def all_files(folder: Path) -> Iterator[tuple[EventType, Path]]:
    """Yield the days' files and segments of a folder of partitions, each with its type."""
    for kind in EVENT_TYPES:
        for path in sorted((folder / kind.name).glob(f"date=*/{kind.name}-*.parquet")):
            yield kind, path


def is_segment_file(path: Path) -> bool:
    """Return whether a file is a segment beside a day's file."""
    file = DayFile.of(path)
    return file is not None and file.segment is not None


def grouped_by_day(files: Iterable[Source]) -> Iterator[list[Source]]:
    """Yield a day's file and its segments together, any other source alone, in their order."""
    for day, group in itertools.groupby(files, _day_of):
        if day is None:
            yield from ([source] for source in group)
        else:
            yield [*group]


def _day_of(source: object) -> tuple[Path, str] | None:
    if not isinstance(source, Path):
        return None
    file = DayFile.of(source)
    return None if file is None else (source.parent, file.day)


def read_day(files: Sequence[Path]) -> Iterator[Piece]:
    """Yield the rows of a day's file and its segments, folded as one file.

    Raises:
        InputError: A file is damaged.
    """
    file = DayFile.of(files[0])
    assert file is not None
    for table in merged_rows(file.kind, files):
        if file.kind.name == "views":  # as in the day's file, where a row is one event
            once = pa.repeat(pa.scalar(1, pa.int32()), len(table))
            table = table.set_column(VIEWS.names.index("n_events"), VIEWS.field("n_events"), once)
        no_lines = Rejected([], np.zeros(0, np.int64), [])
        yield Piece(len(table), Parsed(**{file.kind.name: table}), no_lines, 0)


def rows_by_day(kind: EventType, tables: list[pa.Table]) -> Iterator[tuple[str, pa.Table]]:
    """Yield each day, such as `2026-11-14`, and its folded rows."""
    tables = [table for table in tables if table.num_rows]
    if not tables:
        return
    rows = kind.fold(pa.concat_tables(tables))
    day = days(rows[kind.day_column])
    order = np.argsort(day, kind="stable")
    distinct, first = np.unique(day[order], return_index=True)
    for number, of_day in zip(distinct, np.split(order, first[1:]), strict=True):
        yield str(np.datetime64(int(number), "D")), rows.take(pa.array(of_day))


def merged_rows(
    kind: EventType, files: Sequence[Path], merge_rows: int = MERGE_ROWS
) -> Iterator[pa.Table]:
    """Yield the folded rows of files of one day, a part of the users at a time.

    Args:
        kind: Type of the events.
        files: Files; those that do not exist have no rows.
        merge_rows: Rows that are folded at a time.

    Raises:
        InputError: A file is damaged.
    """
    files = [file for file in files if file.exists()]
    n_parts = -(-sum(n_rows_of(file) for file in files) // merge_rows)
    for part in range(n_parts):
        pieces = (table for file in files for table in read_rows(kind, file))
        tables = [users_part(table, part, n_parts) for table in pieces]
        yield kind.fold(pa.concat_tables(tables))


def n_rows_of(file: Path) -> int:
    """Return the number of rows of a file.

    Raises:
        InputError: It cannot be read as Parquet.
    """
    try:
        return int(pq.read_metadata(file).num_rows)
    except pa.ArrowException as error:
        raise InputError(file, f"cannot be read as Parquet: {error}", REMEDY) from error


def read_rows(kind: EventType, file: Path, piece_rows: int = PARQUET_ROWS) -> Iterator[pa.Table]:
    """Yield the rows of one file.

    Args:
        kind: Type of the events.
        file: File of a day.
        piece_rows: Rows that are read at a time.

    Raises:
        InputError: It is damaged, or has a row that is not valid.
    """
    for piece in read_partition(file, piece_rows):
        if piece.rejected.reasons:
            reason, row = piece.rejected.reasons[0], piece.rejected.numbers[0]
            raise InputError(file, f"row {row}: {reason}", REMEDY)
        yield getattr(piece.parsed, kind.name)


def users_part(table: pa.Table, part: int, n_parts: int) -> pa.Table:
    """Return the rows of one of `n_parts` parts of all users, by a hash of their ids."""
    if n_parts == 1:
        return table
    users = whole(table["user_id"])
    names = users.dictionary.to_numpy(zero_copy_only=False)
    is_in = pd.util.hash_array(names, categorize=False) % n_parts == part
    return table.filter(pa.array(is_in[codes_of(users)]))


def write_rows(
    kind: EventType,
    path: Path,
    tables: Iterable[pa.Table],
    positions: Positions = NO_POSITIONS,
    versions: Iterable[FileVersion] = (),
) -> int:
    """Write tables as row groups of one file, and return the number of rows.

    Without a table no file is made.

    Args:
        kind: Type of the events.
        path: File to write.
        tables: Rows, folded, of the parser's columns.
        positions: Parts of logs that the rows come from, for the metadata.
        versions: Files that the rows were folded from, for the metadata.
    """
    n_rows, metadata = 0, positions.as_metadata() | as_metadata(versions)
    with contextlib.ExitStack() as stack:
        writer = None
        for table in tables:
            rows = _as_file(kind, table)
            if writer is None:
                schema = rows.schema.with_metadata(metadata or None)
                writer = stack.enter_context(
                    pq.ParquetWriter(
                        path,
                        schema,
                        compression="zstd",
                        dictionary_pagesize_limit=_DICTIONARY_BYTES,
                    )
                )
            writer.write_table(rows.replace_schema_metadata(schema.metadata))
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
