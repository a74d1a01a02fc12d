"""Kinds of text files with events, recognized by their first lines."""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import pyarrow as pa

from batch.events.delimited import DelimitedParser
from batch.events.parsed import Parsed
from batch.events.stream import StreamParser


class EventKind(NamedTuple):
    """A kind of text file with events.

    Attributes:
        name: Name in messages and in the manifest.
        looks_like: Loose pattern of its lines; broken ones are rejected later, by `parse`.
        header: Pattern of a header line; None if the kind has no header.
        parse: Parser of a block of lines.
        min_line_bytes: Length of the shortest valid line, its end included.
        is_text: Whether lines are made UTF-8; a log's stay as they are, noise included.
    """

    name: str
    looks_like: re.Pattern[str]
    header: re.Pattern[str] | None
    parse: Callable[[pa.BinaryArray], Parsed]
    min_line_bytes: int
    is_text: bool = True

    def has_header(self, lines: Sequence[str]) -> bool:
        """Return whether the first of a file's lines is this kind's header."""
        return bool(self.header and lines and self.header.search(lines[0]))

    def n_matches(self, lines: Sequence[str]) -> int:
        """Return the number of lines that look like this kind's."""
        return self.has_header(lines) + sum(bool(self.looks_like.search(line)) for line in lines)


def stream_log(user_pattern: str, item_pattern: str) -> EventKind:
    """Return the kind of stream logs, which hold events of all types."""
    parser = StreamParser(user_pattern, item_pattern)
    looks_like = re.compile(r",GET /|,recommendation request ")
    return EventKind(
        "stream log",
        looks_like,
        None,
        parser,
        len("2022-11-14T12:24,1,GET /rate/x=1\n"),
        is_text=False,
    )


def event_kinds(user_pattern: str, item_pattern: str) -> tuple[EventKind, ...]:
    """Return all kinds of text files; of equally good matches the first one counts."""
    return (
        stream_log(user_pattern, item_pattern),
        EventKind(
            "MovieLens ratings.dat",
            re.compile(r"^[^:]+::[^:]+::[\d.]+(::\d+)?$"),
            None,
            DelimitedParser("::", has_rating=True),
            len("1::1::1\n"),
        ),
        EventKind(
            "MovieLens u.data",
            re.compile(r"^[^\t]+\t[^\t]+\t[\d.]+(\t\d+)?$"),
            _header(r"\t", "rating"),
            DelimitedParser(r"\t", has_rating=True),
            len("1\t1\t1\n"),
        ),
        EventKind(
            "MovieLens ratings.csv",
            re.compile(r"^[^,\t]+,[^,\t]+,[\d.]+(,\d+)?$"),
            _header(",", "rating"),
            DelimitedParser(",", has_rating=True),
            len("1,1,1\n"),
        ),
        EventKind(
            "user/item pairs",
            re.compile(r"^[^\t,]+\t[^\t,]+$"),
            _header(r"\t", "$"),
            DelimitedParser(r"\t", has_rating=False),
            len("1\t1\n"),
        ),
    )


def _header(separator: str, third: str) -> re.Pattern[str]:
    """Return the pattern of a header of a user, an item and a third column, or the line's end."""
    end = third if third == "$" else f"{separator}{third}"
    return re.compile(f"^user(_?id)?{separator}(movie|item)(_?id)?{end}", re.IGNORECASE)
