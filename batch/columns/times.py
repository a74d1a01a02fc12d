"""Times: seconds since 1970, whatever the column holds.

    1600000000            seconds; milliseconds from 10^11, µs from 10^14, ns from 10^17
    2020-09-13 12:26:40   ISO 8601, with T or a blank, fractions, `Z` or an offset
    2020-09-13 20200913   a date, its first second

A time without a zone is taken as UTC, and so are dates. What a column holds is decided from
its first values; a later one of another form or unit is rejected, never misread.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch.arrays import Doubles, Flags
from batch.columns.values import Values, by_distinct, faults, flags, is_text

_MAX_SECONDS: Final = 10.0**11  # the year 5138; in milliseconds it is 1973
_UNITS: Final = {"seconds": 1, "milliseconds": 10**3, "microseconds": 10**6, "nanoseconds": 10**9}
_DATES: Final = "days, YYYYMMDD"
_COMPACT: Final = r"^((?:19|20)\d\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])$"
_NUMBER: Final = r"^\d{1,19}(?:\.\d*)?$"
_ISO: Final = (
    r"^(?P<date>\d{4}-\d\d-\d\d)"
    r"(?:[T ](?P<clock>\d\d:\d\d)(?P<seconds>:\d\d)?(?:[.,]\d+)?"
    r" ?(?:Z|UTC|(?P<sign>[+-])(?P<hours>\d\d):?(?P<minutes>\d\d)?)?)?$"
)
_MAX_DIGITS: Final = 18  # of an int64
_PART_ROWS: Final = 4096
_MIN_READABLE_SHARE: Final = 0.5  # of the first values; else the column is not one of times


@dataclass(frozen=True, slots=True)
class TimeReader:
    """Reads a column of times.

    Attributes:
        name: Name of the column in messages.
        unit: Unit of its numbers; empty for dates and times in ISO 8601, or of Arrow.
        first: Earliest of the first times, seconds since 1970.
        last: Latest of them.
    """

    name: str
    unit: str
    first: int = 0
    last: int = -1

    @property
    def sentence(self) -> str:
        """What the column was read as, for the summary."""
        what = f"{self.name} read as times" + (f" in {self.unit}" if self.unit else "")
        if self.last < self.first:
            return what
        return f"{what}, {_day(self.first)} to {_day(self.last)}"

    def __call__(self, column: pa.Array) -> Values:
        """Return seconds since 1970, null where the column has no value."""
        return by_distinct(column, self._read)

    def _read(self, column: pa.Array) -> Values:
        if pa.types.is_temporal(column.type):
            return Values(_seconds_of(column))
        if self.unit == _DATES:
            texts = column.cast(pa.string())
            column = pc.replace_substring_regex(texts, _COMPACT, r"\1-\2-\3")
        if self.unit in ("", _DATES):
            return _read_iso(column)
        if is_text(column.type) or not pa.types.is_integer(column.type):
            column, is_bad = _whole_numbers(column)
        else:
            column, is_bad = column.cast(pa.int64()), np.zeros(len(column), dtype=bool)
        per_second = _UNITS[self.unit]
        numbers = column.fill_null(0).to_numpy(zero_copy_only=False)
        is_known = flags(column.is_valid()) & (numbers != 0)
        low = per_second / 1000 * _MAX_SECONDS if per_second > 1 else 0
        is_bad |= is_known & ((numbers < low) | (numbers / per_second >= _MAX_SECONDS))
        return Values(
            pa.array(numbers // per_second, mask=~flags(column.is_valid())),
            faults(("malformed time", is_bad)),
        )


def time_reader(name: str, first: pa.Array) -> TimeReader | None:
    """Return the reader of a column of times, by its first values; None if they are not times.

    Args:
        name: Name of the column in messages.
        first: First values; without any the column is taken as seconds.
    """
    if pa.types.is_dictionary(first.type):
        first = first.dictionary_decode()
    known = first.drop_null()
    if is_text(known.type):
        known = known.cast(pa.string())
        known = known.filter(pc.not_equal(known, ""))
    if not len(known):
        return TimeReader(name, "" if pa.types.is_temporal(first.type) else "seconds")
    reader = TimeReader(name, _unit(known))
    values, found = reader(known)
    is_bad = np.zeros(len(known), dtype=bool)
    for fault in found:
        is_bad |= fault.rows
    if is_bad.mean() > 1 - _MIN_READABLE_SHARE:
        return None
    seconds = values.filter(pa.array(~is_bad)).drop_null().to_numpy(zero_copy_only=False)
    if not len(seconds):
        return reader
    return TimeReader(name, reader.unit, int(seconds.min()), int(seconds.max()))


def look_like_times(values: Sequence[str]) -> bool:
    """Return whether most texts are ISO 8601, or numbers as large as seconds since 1973."""
    texts = pa.array(values, pa.string())
    is_large = pc.match_substring_regex(texts, r"^\d{9,19}(\.\d*)?$")
    are_times = pc.or_(pc.match_substring_regex(texts, _ISO), is_large)
    return bool(len(texts)) and pc.mean(are_times.cast(pa.int8())).as_py() > _MIN_READABLE_SHARE


def _unit(known: pa.Array) -> str:
    """Return the unit of numbers by their magnitude, empty for dates and times."""
    if pa.types.is_temporal(known.type):
        return ""
    if _are_compact_dates(known):
        return _DATES
    if is_text(known.type):
        is_number = pc.match_substring_regex(known, _NUMBER)
        if not pc.any(is_number).as_py() or pc.mean(is_number.cast(pa.int8())).as_py() < 0.5:
            return ""
        known = known.filter(is_number)
    numbers: Doubles = known.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    typical = float(np.nanmedian(np.abs(numbers))) if len(numbers) else 0.0
    for unit, per_second in _UNITS.items():
        if typical / per_second < _MAX_SECONDS:
            return unit
    return "nanoseconds"


def _are_compact_dates(known: pa.Array) -> bool:
    """Return whether all values are days such as 20200913."""
    if not (is_text(known.type) or pa.types.is_integer(known.type)):
        return False
    return bool(pc.all(pc.match_substring_regex(known.cast(pa.string()), _COMPACT)).as_py())


def _whole_numbers(column: pa.Array) -> tuple[pa.Int64Array, Flags]:
    """Return numbers without their fractions, null where empty, and which are not numbers."""
    if is_text(column.type):
        return _whole_texts(column.cast(pa.string()))
    numbers = column.cast(pa.float64(), safe=False)
    values = numbers.fill_null(np.nan).to_numpy(zero_copy_only=False)
    is_known = np.abs(values) < 2.0**63
    is_bad = ~is_known & ~np.isnan(values)
    return pa.array(np.where(is_known, values, 0).astype(np.int64), mask=~is_known), is_bad


def _whole_texts(texts: pa.StringArray) -> tuple[pa.Int64Array, Flags]:
    """The same of text; only the parts with a text that is not a whole number are matched."""
    try:
        return texts.cast(pa.int64()), np.zeros(len(texts), dtype=bool)
    except pa.ArrowInvalid:
        pass
    if len(texts) > _PART_ROWS:
        parts = [_whole_texts(texts[n : n + _PART_ROWS]) for n in range(0, len(texts), _PART_ROWS)]
        numbers, are_bad = zip(*parts, strict=True)
        return pa.concat_arrays(numbers), np.concatenate(are_bad)
    is_empty = flags(pc.equal(texts, ""), null=True)
    whole = pc.replace_substring_regex(texts, r"\..*$", "")
    is_number = flags(pc.match_substring_regex(texts, _NUMBER))
    is_number &= flags(pc.less_equal(pc.binary_length(whole), _MAX_DIGITS))
    numbers = pc.if_else(pa.array(is_number), whole, None).cast(pa.int64())
    return numbers, ~(is_empty | is_number)


def _read_iso(column: pa.Array) -> Values:
    if not is_text(column.type):
        unknown = pa.nulls(len(column), pa.int64())
        return Values(unknown, faults(("malformed time", flags(column.is_valid()))))
    texts = column.cast(pa.string())
    parts = pc.extract_regex(texts, _ISO)
    field = dict(zip((f.name for f in parts.type), parts.flatten(), strict=True))
    clock = pc.if_else(pc.equal(field["clock"], ""), "00:00", field["clock"])
    seconds = pc.if_else(pc.equal(field["seconds"], ""), ":00", field["seconds"])
    plain = pc.binary_join_element_wise(
        field["date"], pc.binary_join_element_wise(clock, seconds, ""), " "
    )
    at = _timestamps(plain)
    is_bad = flags(at.is_null()) & ~flags(pc.equal(texts, ""), null=True)
    if pc.any(pc.not_equal(field["sign"], "")).as_py():
        at = pc.subtract(at, _offsets(field))
    return Values(at, faults(("malformed time", is_bad)))


def _offsets(field: dict[str, pa.StringArray]) -> pa.Int64Array:
    def number(name: str) -> pa.Int64Array:
        digits = field[name]
        return pc.if_else(pc.equal(digits, ""), "0", digits).cast(pa.int64())

    minutes = pc.add(pc.multiply(number("hours"), 60), number("minutes"))
    sign = pc.if_else(pc.equal(field["sign"], "-"), -1, 1)
    return pc.multiply(pc.multiply(minutes, 60), sign).cast(pa.int64())


def _timestamps(plain: pa.StringArray) -> pa.Int64Array:
    """Return `2020-09-13 12:26:40` as seconds since 1970, null where there is no such time."""
    try:
        return plain.cast(pa.timestamp("s")).cast(pa.int64())
    except pa.ArrowInvalid:  # one impossible date makes the cast fail for all
        coded = plain.dictionary_encode()
    known = [None if text is None else _timestamp(text) for text in coded.dictionary.to_pylist()]
    return pa.array(known, pa.int64()).take(coded.indices)


def _timestamp(text: str) -> int | None:
    try:
        return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())
    except ValueError:
        return None


def _seconds_of(column: pa.Array) -> pa.Int64Array:
    if pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("ms"))
    return (
        pc.floor_temporal(column, unit="second")
        .cast(pa.timestamp("s"), safe=False)
        .cast(pa.int64())
    )


def _day(seconds: int) -> str:
    try:
        return str(np.datetime64(seconds, "s").astype("datetime64[D]"))
    except (ValueError, OverflowError):
        return str(seconds)
