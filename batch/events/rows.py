"""Rows of text files whose lines are no delimited table: JSON, and the forms of two publishers.

lines ─► a table of named columns ─► without lists ─► columns by role ─► views and ratings
         read_steam, JsonReader …    nested.py        columns/           table.py
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from batch.arrays import Rows
from batch.events.nested import FlatPlan, flatten, plan_flat
from batch.events.parsed import Parsed
from batch.events.table import TableParser, table_parser
from batch.settings import BatchSettings


class EventRows(NamedTuple):
    """Rows of a block of lines, and its broken lines.

    Attributes:
        table: (n_rows, n_columns) values; text, numbers, flags, lists and structs as they are.
        positions: (n_rows,) position of each row's line in the block, ascending.
        rejected: (n_rejected,) positions of the lines that are not rows, ascending.
        reasons: Reason of each of them.
    """

    table: pa.Table
    positions: Rows
    rejected: Rows
    reasons: list[str]


RowReader = Callable[[pa.BinaryArray], EventRows]


class RowsParser:
    """Parses consecutive blocks of lines of one file.

    Args:
        source: File, for messages.
        read: Reader of a block of lines.
        plan: Columns that are read.
        table: Parser of these columns.
    """

    def __init__(self, source: object, read: RowReader, plan: FlatPlan, table: TableParser) -> None:
        self._source = source
        self._read = read
        self._plan = plan
        self._table = table
        self._n_lines = 0

    @property
    def columns(self) -> dict[str, str]:
        """Name of the column of each role that is read."""
        return self._plan.choice.shown

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences about what the columns were read as."""
        return self._table.notes

    def __call__(self, lines: pa.BinaryArray) -> Parsed:
        """Parse whole lines; a line with a broken row is rejected, with one reason.

        Raises:
            InputError: A column is nested in a way that is not read.
        """
        rows = self._read(lines)
        numbers = self._n_lines + 1 + rows.positions
        self._n_lines += len(lines)
        flat = flatten(self._source, rows.table, numbers, self._plan)
        parsed = self._table(flat.columns)
        line = rows.positions[flat.positions[parsed.rejected]]
        broken, first = np.unique(line, return_index=True)
        rejected = np.concatenate((broken, rows.rejected))
        reasons = [*(parsed.reasons[at] for at in first), *rows.reasons]
        order = np.argsort(rejected, kind="stable")
        return Parsed(
            views=parsed.views,
            ratings=parsed.ratings,
            rejected=rejected[order],
            reasons=[reasons[at] for at in order],
            largest_off_scale=parsed.largest_off_scale,
        )


def rows_parser(
    source: object,
    make_reader: Callable[[], RowReader],
    lines: Iterable[str],
    settings: BatchSettings,
) -> RowsParser:
    """Return the parser of a file, by its first lines.

    Args:
        source: File, for messages.
        make_reader: Function that makes a reader of a block of lines; one may have a state.
        lines: First lines of the file.
        settings: Settings of the batch: given columns, and what numbers mean.

    Raises:
        InputError: There is no column of users or of items, or one is nested in another way.
    """
    first = make_reader()(pa.array([line.encode() for line in lines], pa.binary()))
    plan = plan_flat(source, first.table.schema, settings.columns)
    flat = flatten(source, first.table, 1 + first.positions, plan)
    table = table_parser(plan.choice, flat.columns, settings)
    return RowsParser(source, make_reader(), plan, table)
