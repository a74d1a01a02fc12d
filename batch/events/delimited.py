"""Delimited text with events, in any dialect and any order of columns.

196	242	3	881250949            ml-100k u.data       no header: the columns are guessed
1::1193::5::978300760            ml-1m ratings.dat
userId,movieId,rating,timestamp  ratings.csv          columns by the header's names
42	the+matrix+1999              pairs                a view without time or minute

Each line becomes a row of tokens (`columns.tokens`), and rows become events (`table`). A line
that repeats the header is skipped; one that is another header ends the reading.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch.columns.dialect import Dialect, find_dialect
from batch.columns.header import Head, looks_like_table, read_head
from batch.columns.names import ITEM, TIMES, USER, VALUES
from batch.columns.roles import is_header, roles_by_name, shown_names
from batch.columns.tokens import Tokenizer, Tokens
from batch.errors import InputError, UnreadKindError
from batch.events.kinds import EventKind, TextReader
from batch.events.parsed import Parsed
from batch.events.table import TableParser, table_parser
from batch.files.input_file import InputFile
from batch.settings import BatchSettings

_BLANK_LINE: Final = "blank line"
_FEW_LINES: Final = 20  # of so few, most may be noise
_MIN_TABLE_SHARE: Final = 0.5  # of more lines have the same number of fields; other text has not
_MAX_HEADERS: Final = 100  # rejected lines without a digit, of a block, that may be other headers


class DelimitedParser:
    """Parses blocks of lines of one table.

    Args:
        file: File, for messages.
        dialect: Dialect of the lines.
        head: Header and columns.
        settings: Settings of the batch.
    """

    def __init__(
        self, file: InputFile, dialect: Dialect, head: Head, settings: BatchSettings
    ) -> None:
        self._file = file
        self._dialect = dialect
        self._head = head
        self._roles = [*head.choice.columns]
        self._tokens = Tokenizer(
            dialect, [*head.choice.columns.values()], [role not in TIMES for role in self._roles]
        )
        first = {
            role: pa.array([row[column].strip() for row in head.rows], pa.string())
            for role, column in head.choice.columns.items()
        }
        self._table: TableParser = table_parser(head.choice, first, settings)

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences about what the columns were read as."""
        return (*self._head.notes, *self._table.notes)

    def __call__(self, lines: pa.BinaryArray) -> Parsed:
        """Parse whole lines, line ends included.

        Raises:
            InputError: A line is a header with other columns than the first.
        """
        tokens, n_headers = self._without_headers(self._tokens(lines))
        parsed = self._table(dict(zip(self._roles, tokens.columns, strict=True)))
        rejected = np.concatenate((tokens.rows[parsed.rejected], tokens.uneven))
        reasons = [*parsed.reasons, *[self._uneven] * len(tokens.uneven)]
        order = np.argsort(rejected)
        rejected = rejected[order]
        reasons = [reasons[place] for place in order]
        if len(rejected):
            broken = lines.take(pa.array(rejected))
            is_blank = pc.match_substring_regex(broken, r"^\s*$").to_numpy(zero_copy_only=False)
            for place in np.flatnonzero(is_blank):
                reasons[place] = _BLANK_LINE
            self._check_headers(broken.filter(pa.array(~is_blank)))
        return Parsed(
            views=parsed.views, ratings=parsed.ratings, rejected=rejected, reasons=reasons,
            n_headers=n_headers, largest_off_scale=parsed.largest_off_scale,
        )  # fmt: skip

    @property
    def _uneven(self) -> str:
        return f"not {self._dialect.n_columns} fields"

    def _without_headers(self, tokens: Tokens) -> tuple[Tokens, int]:
        """Return the tokens without the rows that repeat the header, and their number."""
        if self._head.names is None:
            return tokens, 0
        is_name = np.ones(len(tokens.rows), dtype=bool)
        for role in (USER, ITEM):
            column = tokens.columns[self._roles.index(role)]
            name = self._head.names[self._head.choice.columns[role]]
            code = pc.index(column.dictionary, name).as_py()
            if code < 0:
                return tokens, 0
            is_name &= column.indices.to_numpy(zero_copy_only=False) == code
        kept = pa.array(~is_name)
        columns = tuple(column.filter(kept) for column in tokens.columns)
        return Tokens(columns, tokens.rows[~is_name], tokens.uneven), int(is_name.sum())

    def _check_headers(self, broken: pa.BinaryArray) -> None:
        """Raise if a rejected line is a header of events whose columns are others."""
        if self._head.names is None:
            return
        is_wordy = pc.match_substring_regex(broken, r"^[^0-9]*$")
        for line in broken.filter(is_wordy)[:_MAX_HEADERS].to_pylist():
            fields = self._dialect.fields(line.decode("utf-8", "replace").rstrip("\r\n"))
            if is_header(fields) and {USER, ITEM} <= roles_by_name(fields).keys():
                problem = f"has a second header in it, with other columns: {shown_names(fields)}"
                raise InputError(self._file, problem, "give each table as a file of its own")


def delimited(settings: BatchSettings) -> EventKind:
    """Return the kind of delimited text, in any dialect."""

    def n_matches(lines: Sequence[str]) -> int:
        lines = [line for line in lines if "\0" not in line]  # of another encoding, or binary
        dialect = find_dialect(lines)
        if dialect is None or not looks_like_table(dialect, lines):
            return 0
        n_matches = dialect.n_matches(lines)
        is_table = len(lines) < _FEW_LINES or n_matches > _MIN_TABLE_SHARE * len(lines)
        return n_matches if is_table else 0

    def open_table(file: InputFile, lines: Sequence[str]) -> TextReader:
        dialect = find_dialect(lines)
        if dialect is None:
            raise UnreadKindError(file, "is not a table", "give delimited text")
        head = read_head(file, lines, dialect, settings.columns)
        parser = DelimitedParser(file, dialect, head, settings)
        return TextReader(
            kind=dialect.name,
            parse=parser,
            min_line_bytes=dialect.n_columns + 2,  # two ids, separators, line end
            n_header_lines=head.n_lines,
            is_quoted=dialect.is_quoted,
            notes=parser.notes,
            has_values=any(role in VALUES for role in head.choice.columns),
        )

    return EventKind("delimited text", "userId,movieId,rating,timestamp", n_matches, open_table)
