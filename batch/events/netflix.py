"""The Netflix Prize's blocks: a line names a film, and the lines behind it its raters.

    1:                          film 1
    1488844,3,2005-09-06        user, rating, date
    822109,5,2005-05-13
    2:
    30878,2005-12-26            user, date: the set whose ratings were withheld
    2647871                     user

Published as `mv_*.txt`, `combined_data_*.txt`, `qualifying.txt` and `probe.txt` (Bennett and
Lanning, "The Netflix Prize", KDD Cup 2007). A block may be larger than a block of lines.
"""

import re
from collections.abc import Sequence
from functools import partial
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch.arrays import Flags
from batch.events.kinds import EventKind, TextReader
from batch.events.parsed import Cause, reasons_for
from batch.events.rows import EventRows, rows_parser
from batch.files.input_file import InputFile
from batch.settings import BatchSettings
from store.ids import ITEM_ID_PATTERN, USER_ID_PATTERN

_KIND: Final = "Netflix Prize blocks"
_MIN_LINE_BYTES: Final = len("1\n")
_FILM: Final = rf"^(?P<item>{ITEM_ID_PATTERN}):\s*$"
_ANY_FILM: Final = r":\s*$"
_USER: Final = rf"^(?P<user>{USER_ID_PATTERN})"
_RATING: Final = r"(?:,(?P<rating>[0-9.]+))?"
_TIME: Final = r"(?:,(?P<time>\d{4}-\d\d-\d\d))?"
_CAUSES: Final = (
    Cause("blank line", r"^\s*$", None),
    Cause("malformed item id", _ANY_FILM, _FILM),
    Cause("malformed user id", None, rf"{_USER}(?:[,\s]|$)"),
    Cause("malformed rating", None, rf"{_USER}(?:,(?:[0-9.]+|[^,]*-[^,]*)(?:,.*)?)?\s*$"),
    Cause("malformed time", None, None),
)
_NO_FILM: Final = "no valid film line above"
_FILM_LINE: Final = re.compile(r"^\d{1,9}:\s*$")
_RATER_LINE: Final = re.compile(r"^\d{1,19}(,[0-9.]+)?(,\d{4}-\d\d-\d\d)?\s*$")


class NetflixReader:
    """Reads the blocks of lines of one file, in order: the last film's raters may follow later.

    Args:
        has_ratings: Whether the file has ratings; one without has no such column.
    """

    def __init__(self, *, has_ratings: bool) -> None:
        self._has_ratings = has_ratings
        self._film: bytes | None = None

    def __call__(self, lines: pa.BinaryArray) -> EventRows:
        """Return a row of user, item, rating and time for each rater; missing ones are null."""
        films = pc.extract_regex(lines, pattern=_FILM)
        raters = pc.extract_regex(lines, pattern=f"{_USER}{_RATING}{_TIME}\\s*$")
        is_film_line = pc.match_substring_regex(lines, _ANY_FILM).to_numpy(zero_copy_only=False)
        is_film, is_rater = (
            found.is_valid().to_numpy(zero_copy_only=False) for found in (films, raters)
        )
        is_rater &= ~is_film_line
        item = self._films_above(films, is_film_line)
        has_film = item.is_valid().to_numpy(zero_copy_only=False)
        rows = pa.array(np.flatnonzero(is_rater & has_film))
        user, rating, time = (_or_null(field) for field in raters.take(rows).flatten())
        broken = np.flatnonzero(~is_film & ~(is_rater & has_film))
        reasons = reasons_for(lines.take(pa.array(broken)), _CAUSES)
        reasons = [
            _NO_FILM if is_rater[line] else reason
            for line, reason in zip(broken, reasons, strict=True)
        ]
        ratings = {"rating": rating} if self._has_ratings else {}
        columns = {"user": user, "item": item.take(rows), **ratings, "time": time}
        return EventRows(pa.table(columns), rows.to_numpy(), broken, reasons)

    def _films_above(self, films: pa.StructArray, is_film_line: Flags) -> pa.StringArray:
        """Return the film that each line belongs to; null behind a broken film line."""
        names = pa.concat_arrays([pa.array([self._film], pa.binary()), films.flatten()[0]])
        at = np.where(is_film_line, np.arange(1, len(films) + 1), 0)
        last = np.maximum.accumulate(at)
        if len(last):
            self._film = names[int(last[-1])].as_py()
        return names.take(pa.array(last)).cast(pa.string())


def netflix(settings: BatchSettings) -> EventKind:
    """Return the kind of the Netflix Prize's files."""

    def n_matches(lines: Sequence[str]) -> int:
        n_films = sum(bool(_FILM_LINE.match(line)) for line in lines)
        return n_films and n_films + sum(bool(_RATER_LINE.match(line)) for line in lines)

    def open_blocks(file: InputFile, lines: Sequence[str]) -> TextReader:
        has_ratings = any((found := _RATER_LINE.match(line)) and found[1] for line in lines)
        parser = rows_parser(file, partial(NetflixReader, has_ratings=has_ratings), lines, settings)
        return TextReader(_KIND, parser, _MIN_LINE_BYTES, notes=parser.notes)

    return EventKind(_KIND, "1: and then 1488844,3,2005-09-06", n_matches, open_blocks)


def _or_null(field: pa.BinaryArray) -> pa.StringArray:
    return pc.if_else(pc.equal(field, b""), None, field).cast(pa.string())
