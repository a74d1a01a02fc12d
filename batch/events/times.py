"""The stream's times, read from the fixed positions of their digits, millions at once.

    2022-11-14T12:23            seconds are left out when they are 00
    2022-11-14T12:23:12
    2022-11-14T12:23:12.426     1 to 9 digits, which are ignored

A log is in time order, so nearly every line has the minute of the line before: a run
of equal minutes is parsed once.
"""

from typing import Final, NamedTuple

import numpy as np

from batch.arrays import Characters, Flags, Rows

MIN_LINE_BYTES: Final = 31  # bytes from a line's first one on that are read
_STAMP: Final = len("2022-11-14T12:23")
_MARKS: Final = {4: "-", 7: "-", 10: "T", 13: ":"}
_DIGITS: Final = [position for position in range(_STAMP) if position not in _MARKS]
_MAX_FRACTION_DIGITS: Final = 9


class Times(NamedTuple):
    """Times at the beginning of lines.

    Attributes:
        seconds: (n,) seconds since 1970 by the wall clock.
        ends: (n,) positions of the comma after the time.
        is_real: (n,) whether there is a time, followed by a comma, and such a date and time
            exist; where False, the other fields are undefined.
    """

    seconds: Rows
    ends: Rows
    is_real: Flags


def read_times(characters: Characters, begins: Rows) -> Times:
    """Read the time at the beginning of each line.

    Args:
        characters: All bytes of the lines' buffer.
        begins: (n,) positions of the lines' first bytes, each followed by at least
            `MIN_LINE_BYTES`.
    """
    if not len(begins):
        return Times(begins, begins, begins > 0)
    minutes, is_real = _minutes(characters, begins)
    behind, tens, ones, after = words_at(characters, begins + _STAMP).T[:4].copy()
    tens, ones = tens - ord("0"), ones - ord("0")
    has_seconds = behind == ord(":")
    is_second = (tens <= 5) & (ones <= 9) & ((after == ord(",")) | (after == ord(".")))
    is_real &= np.where(has_seconds, is_second, behind == ord(","))
    seconds = minutes * 60 + has_seconds * (tens * np.int64(10) + ones)
    ends = begins + _STAMP + has_seconds * 3
    rows = np.flatnonzero(has_seconds & (after == ord(".")))
    if len(rows):
        n_digits, is_ended = _fractions(characters, ends[rows] + 1)
        ends[rows] += 1 + n_digits
        is_real[rows] &= is_ended
    return Times(seconds, ends, is_real)


def words_at(characters: Characters, positions: Rows) -> Characters:
    """Return (n, 8) characters from each position on, read as 64-bit words."""
    if not len(positions):
        return np.zeros((0, 8), np.uint8)
    words = np.ndarray((len(characters) - 7,), np.uint64, characters.data, strides=(1,))
    return words[positions].view(np.uint8).reshape(-1, 8)


def _fractions(characters: Characters, positions: Rows) -> tuple[Rows, Flags]:
    """Return the number of digits at positions, and whether they are 1 to 9 before a comma."""
    windows = np.lib.stride_tricks.sliding_window_view(characters, _MAX_FRACTION_DIGITS + 1)
    is_digit = windows[positions] - ord("0") <= 9
    n_digits = is_digit.argmin(axis=1)  # 0 too where all ten are digits
    return n_digits, (n_digits > 0) & (characters[positions + n_digits] == ord(","))


def _minutes(characters: Characters, begins: Rows) -> tuple[Rows, Flags]:
    """Return minutes since 1970, and whether each such minute exists."""
    halves = (words_at(characters, begins + half).view(np.uint64)[:, 0] for half in (0, 8))
    is_new = np.ones(len(begins), dtype=bool)
    is_new[1:] = np.logical_or.reduce([half[1:] != half[:-1] for half in halves])
    windows = np.lib.stride_tricks.sliding_window_view(characters, _STAMP)
    minutes, is_real = _read_stamps(windows[begins[is_new]])
    run = np.cumsum(is_new) - 1
    return minutes[run], is_real[run]


def _read_stamps(stamps: Characters) -> tuple[Rows, Flags]:
    """Return minutes since 1970 of (n, 16) characters, and whether each such minute exists.

    Not a cast: one impossible date among millions would make it fail for all.
    """
    digits = stamps - ord("0")

    def number(first: int, n_digits: int) -> Rows:
        value: Rows = digits[:, first : first + n_digits] @ 10 ** np.arange(n_digits)[::-1]
        return value

    year, month, day = number(0, 4), number(5, 2), number(8, 2)
    hour, minute = number(11, 2), number(14, 2)
    month_start = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
    n_days = (month_start + 1).astype("datetime64[D]") - month_start.astype("datetime64[D]")
    is_real = (digits[:, _DIGITS] <= 9).all(axis=1)
    is_real &= (stamps[:, list(_MARKS)] == [ord(mark) for mark in _MARKS.values()]).all(axis=1)
    is_real &= (year >= 1) & (month >= 1) & (month <= 12) & (day >= 1) & (day <= n_days.astype(int))
    is_real &= (hour <= 23) & (minute <= 59)
    days = month_start.astype("datetime64[D]").astype(np.int64) + day - 1
    return (days * 24 + hour) * 60 + minute, is_real
