"""Kinds of text files with events, recognized by their first lines.

first lines ─► each kind: how many lines look like it ─► the first kind with enough of them
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import pyarrow as pa

from batch.events.parsed import Parsed
from batch.events.stream import StreamParser

_STREAM_LINE: Final = re.compile(r",GET /|,recommendation request ")
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
    """

    kind: str
    parse: Callable[[pa.BinaryArray], Parsed]
    min_line_bytes: int
    n_header_lines: int = 0
    is_quoted: bool = False
    notes: tuple[str, ...] = ()


class EventKind(NamedTuple):
    """A kind of text file with events.

    Attributes:
        name: Name in messages.
        example: One of its lines, for messages.
        n_matches: Function that returns how many of a file's first lines look like this kind;
            broken lines among them do not hide it.
        open: Function that returns the reader of a file with these first lines; it raises
            `InputError` if the file is of this kind, but has no events.
    """

    name: str
    example: str
    n_matches: Callable[[Sequence[str]], int]
    open: Callable[[Path, Sequence[str]], TextReader]


def kind_of(kinds: Sequence[EventKind], lines: Sequence[str]) -> EventKind | None:
    """Return the kind of a text; None if no line looks like any.

    Args:
        kinds: Kinds, the stricter ones first: nearly any text is a table in some dialect.
        lines: First lines.
    """
    n_lines = sum(bool(line.strip()) for line in lines)
    matches = [(kind, kind.n_matches(lines)) for kind in kinds]
    enough = (kind for kind, n in matches if n > _MIN_SHARE * n_lines)
    some = (kind for kind, n in matches if n)
    return next(enough, None) or next(some, None)


def stream_log(user_pattern: str, item_pattern: str) -> EventKind:
    """Return the kind of stream logs, which hold events of all types."""
    example = "2022-11-14T12:24,1,GET /rate/x=1"
    reader = TextReader("stream log", StreamParser(user_pattern, item_pattern), len(example) + 1)
    return EventKind(
        "stream log",
        example,
        lambda lines: sum(bool(_STREAM_LINE.search(line)) for line in lines),
        lambda *_: reader,
    )
