"""Counting answers, at the price of one addition each.

A worker counts in plain integers, one row of them for each outcome:

    row[ANSWERS]         answers
    row[b], b = 0..64    of the timed ones: took less than 2^b nanoseconds, at least 2^(b-1)
    row[SUM]             nanoseconds of the timed ones

Of the answers that are one lookup every 16th is timed, for two looks at the clock
would cost more than all the rest of the counting; of the others every one.

A worker copies its rows onto the shared page ten times a second, where any worker
finds those of all the others. A worker that is killed takes the last tenth of a
second with it.
"""

from array import array
from collections.abc import Iterable
from typing import Final, NamedTuple

N_BUCKETS: Final = 65  # `int.bit_length` of 64 bits
SUM: Final = N_BUCKETS
ANSWERS: Final = N_BUCKETS + 1
N_ROW_WORDS: Final = N_BUCKETS + 2
NOT_TIMED: Final = 15  # an own list's answer is timed where none of these bits is in its number

Row = list[int]


class Outcome(NamedTuple):
    """What became of a request.

    Attributes:
        source: What made the answer.
        status: HTTP status, or its class.
    """

    source: str
    status: str


OUTCOMES: Final = (
    *(Outcome(source, "200") for source in ("list", "history", "recent", "segment", "popular")),
    *(Outcome(source, "200") for source in ("static", "similar", "predict", "other")),
    *(Outcome("error", status) for status in ("400", "404", "405", "4xx", "503", "5xx")),
)
N_WORDS: Final = len(OUTCOMES) * N_ROW_WORDS
_ROW_OF: Final = {outcome: number for number, outcome in enumerate(OUTCOMES)}


class Counts:
    """The counts of one worker, or the sum of all.

    Attributes:
        rows: In the order of `OUTCOMES`.
        own_lists: The row that the hot path counts in.
    """

    def __init__(self, words: Iterable[int] = ()) -> None:
        flat = [*words] or [0] * N_WORDS
        self.rows = [flat[i : i + N_ROW_WORDS] for i in range(0, N_WORDS, N_ROW_WORDS)]
        self.own_lists = self.rows[0]

    def add(self, outcome: Outcome, nanoseconds: int) -> None:
        """Count one answer and the time that it took."""
        row = self.rows[_ROW_OF[outcome]]
        row[ANSWERS] += 1
        _time(row, nanoseconds)

    def time_own_list(self, nanoseconds: int) -> None:
        """Note the time of an answer that the hot path has counted."""
        _time(self.own_lists, nanoseconds)

    def go_on_from(self, before: "Counts") -> None:
        """Take over what has been counted before, in the rows that others hold already."""
        for mine, theirs in zip(self.rows, before.rows, strict=True):
            mine[:] = theirs

    def words(self) -> "array[int]":
        """Return them as the shared page holds them."""
        return array("Q", [word for row in self.rows for word in row])


def _time(row: Row, nanoseconds: int) -> None:
    row[nanoseconds.bit_length()] += 1
    row[SUM] += nanoseconds


def outcome(source: str | None, status: int) -> Outcome:
    """Return the row's name for an answer of any source and status."""
    if status < 400:
        named = Outcome(source or "other", "200")
        return named if named in _ROW_OF else Outcome("other", "200")
    exact = Outcome("error", str(status))
    return exact if exact in _ROW_OF else Outcome("error", f"{status // 100}xx")


def summed(counts: Iterable[Counts]) -> Counts:
    """Return the counts of several workers as one."""
    total = Counts()
    for one in counts:
        for mine, theirs in zip(total.rows, one.rows, strict=True):
            mine[:] = map(int.__add__, mine, theirs)
    return total
