"""Kinds of text files with events, recognized by their first lines.

first lines ─► each kind: how many lines look like it ─► the first kind with enough of them
"""

import re
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import pyarrow as pa

from batch.events.parsed import Parsed
from batch.events.stream import StreamParser
from batch.files.input_file import InputFile

_STREAM_LINE: Final = re.compile(r",GET /|,recommendation request ")
_MAX_LINES: Final = 512  # that are looked at
_MIN_SHARE: Final = 0.1  # of the first lines look like a kind, or a later kind has the file


class TextReader(NamedTuple):
    """How the lines of one file are read.

    Attributes:
        kind: Name of the file's kind, for messages and the manifest.
        parse: Parser of a block of lines.
        min_line_bytes: Length of the shortest valid line, its end included.
        n_header_lines: Number of lines before the first event.
        is_quoted: Whether a field in quotes may hold line ends.
        notes: Sentences about what the file was read as, warnings among them.
        has_values: Whether lines have ratings, minutes, counts or the like.
        keeps_bytes: Whether lines stay as they are where they are not UTF-8: noise in a log.
    """

    kind: str
    parse: Callable[[pa.BinaryArray], Parsed]
    min_line_bytes: int
    n_header_lines: int = 0
    is_quoted: bool = False
    notes: tuple[str, ...] = ()
    has_values: bool = True
    keeps_bytes: bool = False


class EventKind(NamedTuple):
    """A kind of text file with events.

    Attributes:
        name: Name in messages.
        example: One of its lines, for messages.
        n_matches: Function that returns how many of a file's first lines look like this kind;
            broken lines among them do not hide it.
        open: Function that returns the reader of a file with these first lines; it raises
            `UnreadKindError` if the file is of this kind, but has no events.
    """

    name: str
    example: str
    n_matches: Callable[[Sequence[str]], int]
    open: Callable[[InputFile, Sequence[str]], TextReader]


def kind_of(kinds: Sequence[EventKind], lines: Sequence[str]) -> EventKind | None:
    """Return the kind of a text; None if no line looks like any.

    Args:
        kinds: Kinds, the stricter ones first: nearly any text is a table in some dialect.
        lines: First lines.
    """
    lines = [line for line in lines if line.strip()][:_MAX_LINES]
    some = None
    for kind in kinds:
        n_matches = kind.n_matches(lines)
        if n_matches > _MIN_SHARE * len(lines):
            return kind
        some = some or (kind if n_matches else None)
    return some


def stream_log(user_pattern: str, item_pattern: str) -> EventKind:
    """Return the kind of stream logs, which hold events of all types."""
    example = "2022-11-14T12:24,1,GET /rate/x=1"
    parser = StreamParser(user_pattern, item_pattern)
    reader = TextReader("stream log", parser, len(example) + 1, keeps_bytes=True)
    return EventKind(
        "stream log",
        example,
        lambda lines: sum(bool(_STREAM_LINE.search(line)) for line in lines),
        lambda *_: reader,
    )
