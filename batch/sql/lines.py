"""A table of a catalogue or of profiles as lines of CSV under a header, as files are read.

    id | genres            {Drama,Crime}        id,genres
    ───┼────────────   ─►                  ─►   heat+1995,"[""Drama"", ""Crime""]"

NULL is an empty field, a list or an object is JSON, a time is ISO 8601.
"""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Final

from batch.sql.source import DatabaseInput

_CHUNK_ROWS: Final = 1_000


def header_line(source: DatabaseInput) -> str:
    """Return the line of the columns' names.

    Raises:
        DatabaseError: The table or query cannot be read.
    """
    return _line(source.columns().names)


def csv_lines(source: DatabaseInput) -> Iterator[str]:
    """Yield the line of the columns' names, then one for each row.

    Args:
        source: Table or query; some thousand rows of it are text at a time.

    Raises:
        DatabaseError: It cannot be read, perhaps from the middle on.
    """
    yield header_line(source)
    with closing(source.batches()) as batches:
        for batch in batches:
            for begin in range(0, len(batch), _CHUNK_ROWS):
                columns = batch.slice(begin, _CHUNK_ROWS).columns
                for values in zip(*(column.to_pylist() for column in columns), strict=True):
                    yield _line([_text(value) for value in values])


def _line(fields: Sequence[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(fields)
    return line.getvalue()


def _text(value: object) -> str:
    if isinstance(value, list | dict):
        return json.dumps(value, default=str)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return "" if value is None else str(value)
