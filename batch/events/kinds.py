"""Kinds of text that events come in, told apart by what stands in their first lines."""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import pyarrow as pa

from batch.events.delimited import DelimitedParser
from batch.events.parsed import Parsed
from batch.events.stream import StreamParser


class Kind(NamedTuple):
    """A kind of text file.

    Attributes:
        name: For people.
        looks_like: What a line of it holds, read loosely: noise is told later.
        header: What its first line holds if that is a header.
        parse: Block of lines to events.
    """

    name: str
    looks_like: re.Pattern[str]
    header: re.Pattern[str] | None
    parse: Callable[[pa.BinaryArray], Parsed]

    def has_header(self, lines: Sequence[str]) -> bool:
        """Tell whether the first of a file's lines is this kind's header."""
        return bool(self.header and lines and self.header.search(lines[0]))

    def n_hits(self, lines: Sequence[str]) -> int:
        """Count the lines that look like this kind's."""
        return self.has_header(lines) + sum(bool(self.looks_like.search(line)) for line in lines)


def stream_log(user_pattern: str, item_pattern: str) -> Kind:
    """The one kind of text that holds all kinds of events."""
    parser = StreamParser(user_pattern, item_pattern)
    return Kind("stream log", re.compile(r",GET /|,recommendation request "), None, parser)


def kinds(user_pattern: str, item_pattern: str) -> tuple[Kind, ...]:
    """The kinds of text that events come in; the first that looks right is taken."""
    return (
        stream_log(user_pattern, item_pattern),
        Kind(
            "MovieLens ratings.dat",
            re.compile(r"^[^:]+::[^:]+::[\d.]+(::\d+)?$"),
            None,
            DelimitedParser("::", has_rating=True),
        ),
        Kind(
            "MovieLens u.data",
            re.compile(r"^[^\t]+\t[^\t]+\t[\d.]+(\t\d+)?$"),
            None,
            DelimitedParser(r"\t", has_rating=True),
        ),
        Kind(
            "MovieLens ratings.csv",
            re.compile(r"^[^,\t]+,[^,\t]+,[\d.]+(,\d+)?$"),
            re.compile(r"^user_?id,(movie|item)_?id,rating", re.IGNORECASE),
            DelimitedParser(",", has_rating=True),
        ),
        Kind(
            "user/item pairs",
            re.compile(r"^[^\t,]+\t[^\t,]+$"),
            re.compile(r"^user_?id\t(movie|item)_?id$", re.IGNORECASE),
            DelimitedParser(r"\t", has_rating=False),
        ),
    )
