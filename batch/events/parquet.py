"""Events from Parquet: columns of any type with the names that people use, and lists.

    columns ─► without lists ─► columns by role ─► views and ratings
               nested.py        columns/           table.py

What the columns mean is decided from the first rows. Day partitions are read by
`partition_rows`, where nothing is left to decide.
"""

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from batch.arrays import Rows
from batch.columns.ids import id_texts
from batch.columns.names import TIMES, USER
from batch.columns.values import is_text
from batch.errors import InputError
from batch.events.nested import FlatPlan, flatten, plan_flat
from batch.events.parquet_file import (
    PARQUET_ROWS,
    n_values,
    open_parquet,
    read_batches,
    text_leaves,
)
from batch.events.parsed import Parsed, Piece, Rejected
from batch.events.partition_rows import PartitionFile, is_partition
from batch.events.table import Table, TableParser, table_parser
from batch.files.input_file import AnyFile
from batch.settings import BatchSettings

_FIRST_ROWS: Final = 4096  # decide what the columns mean
_OTHER_COLUMN: Final = "name another column with --columns, or write this one as text or numbers"


class _FlatRows(NamedTuple):
    """Rows without lists.

    Attributes:
        columns: (n_rows,) values by role, text in UTF-8.
        numbers: (n_rows,) number of the row in the file, from 1.
    """

    columns: Table
    numbers: Rows


def open_events(file: AnyFile, settings: BatchSettings) -> "PartitionFile | ParquetEvents":
    """Recognize a Parquet file of events.

    Args:
        file: Parquet file.
        settings: Settings of the batch: given columns, and what numbers mean.

    Raises:
        InputError: It is damaged, or has no column of users or of items.
    """
    with open_parquet(file) as content:
        if is_partition(content.schema_arrow):
            return PartitionFile(file)
        return ParquetEvents(file, content, settings)


class ParquetEvents:
    """A Parquet file of events.

    Args:
        file: Parquet file.
        content: The same file, open.
        settings: Settings of the batch: given columns, and what numbers mean.

    Raises:
        InputError: It is damaged, or has no column of users or of items.
    """

    def __init__(self, file: AnyFile, content: pq.ParquetFile, settings: BatchSettings) -> None:
        self._file = file
        self._settings = settings
        self._plan = _plan(file, content.schema_arrow, settings)
        coded = [name for role, name in self._plan.sources.items() if role not in TIMES]
        self._coded = text_leaves(content, coded)
        self._n_values = n_values(content, self._plan.columns)
        self._n_rows = content.metadata.num_rows

    @property
    def columns(self) -> dict[str, str]:
        """Name of the column of each role that is read."""
        return self._plan.choice.shown

    def pieces(self, piece_rows: int = PARQUET_ROWS) -> Iterator[Piece]:
        """Yield the file in pieces; a rejected row is written as its columns with tabs between.

        The first piece has the notes about what the columns were read as.

        Args:
            piece_rows: Number of rows that are read at a time, elements of lists included; the
                elements of one list stay together.

        Raises:
            InputError: The file is damaged, or a column is nested in a way that is not read.
        """
        n_left = self._n_values
        with self._opened(piece_rows) as (table, blocks):
            notes = table.notes
            for rows in blocks:
                with _named(self._file, rows.numbers):
                    parsed = table(rows.columns)
                n_left -= len(rows.numbers)
                rejected = _rejected(rows, parsed)
                yield Piece(len(rows.numbers), parsed, rejected, max(n_left, 0), notes)
                notes = ()

    def users(self) -> Iterator[pa.Array]:
        """Yield the ids of users in each piece, of rejected rows too."""
        with self._opened(PARQUET_ROWS) as (table, blocks):
            for rows in blocks:
                with _named(self._file, rows.numbers):
                    yield table.ids[USER](rows.columns[USER]).values.unique()

    @contextlib.contextmanager
    def _opened(self, n_rows: int) -> Iterator[tuple[TableParser, Iterator[_FlatRows]]]:
        """Open the file; return the parser that its first rows decide on, and all rows."""
        n_rows = max(1, n_rows * self._n_rows // max(self._n_values, 1))
        with open_parquet(self._file, self._coded) as content:
            blocks = self._rows(content, n_rows)
            first = list(_first_blocks(blocks))
            columns = _first_rows(first) or self._no_rows(content)
            with _named(self._file, first[0].numbers if first else np.zeros(0, np.int64)):
                table = table_parser(self._plan.choice, columns, self._settings)
            yield table, itertools.chain(first, blocks)

    def _rows(self, content: pq.ParquetFile, n_rows: int) -> Iterator[_FlatRows]:
        n_read = 0
        for batch in read_batches(self._file, content, n_rows, self._plan.columns):
            numbers = n_read + 1 + np.arange(len(batch))
            n_read += len(batch)
            flat = flatten(self._file, pa.Table.from_batches([batch]), numbers, self._plan)
            columns = {role: _in_utf8(column) for role, column in flat.columns.items()}
            yield _FlatRows(columns, numbers[flat.positions])

    def _no_rows(self, content: pq.ParquetFile) -> Table:
        nothing = content.schema_arrow.empty_table()
        return flatten(self._file, nothing, np.zeros(0, np.int64), self._plan).columns


def _first_blocks(blocks: Iterator[_FlatRows]) -> Iterator[_FlatRows]:
    """Yield blocks until they have the rows that decide what the columns mean."""
    n_rows = 0
    while n_rows < _FIRST_ROWS and (block := next(blocks, None)):
        yield block
        n_rows += len(block.numbers)


def _first_rows(blocks: Sequence[_FlatRows]) -> Table | None:
    """Return the first rows of blocks; None without blocks."""
    if not blocks:
        return None
    columns = {}
    for role in blocks[0].columns:
        parts = [block.columns[role][:_FIRST_ROWS] for block in blocks]
        is_coded = pa.types.is_dictionary(parts[0].type)
        plain = [part.dictionary_decode() for part in parts] if is_coded else parts
        columns[role] = pa.concat_arrays(plain)[:_FIRST_ROWS]
    return columns


def _plan(file: AnyFile, schema: pa.Schema, settings: BatchSettings) -> FlatPlan:
    plan = plan_flat(file, schema, settings.columns)
    for name in plan.columns:
        if schema.names.count(name) > 1:
            raise InputError(file, f"has two columns {name}", "give each a name of its own")
    return plan


def _in_utf8(column: pa.Array) -> pa.Array:
    """Return text as UTF-8, with a replacement character for other bytes; others as they are."""
    if pa.types.is_dictionary(column.type):
        return pa.DictionaryArray.from_arrays(column.indices, _in_utf8(column.dictionary))
    if not is_text(column.type):
        return column
    data = column.cast(pa.binary())
    try:
        return data.cast(pa.string())
    except pa.ArrowInvalid:
        texts = [
            None if value is None else value.decode("utf-8", "replace")
            for value in data.to_pylist()
        ]
        return pa.array(texts, pa.string())


def _rejected(rows: _FlatRows, parsed: Parsed) -> Rejected:
    """Return the rejected rows, with the values that were read."""
    positions = pa.array(parsed.rejected)
    texts = [_shown(column.take(positions)) for column in rows.columns.values()]
    return Rejected(parsed.reasons, rows.numbers[parsed.rejected], texts)


def _shown(column: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        return pa.DictionaryArray.from_arrays(column.indices, id_texts(column.dictionary))
    return id_texts(column)


@contextlib.contextmanager
def _named(file: AnyFile, numbers: Rows) -> Iterator[None]:
    """Turn Arrow's errors about values into those of an input file."""
    try:
        yield
    except (pa.ArrowException, OverflowError, UnicodeDecodeError) as error:
        first = int(numbers[0]) if len(numbers) else 0
        raise InputError(file, f"row {first:,} or later: {error}", _OTHER_COLUMN) from error
