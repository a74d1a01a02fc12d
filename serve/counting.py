"""Counting answers, at the cost of one addition each.

A worker counts in plain integers, one row for each kind of answer:

    row[ANSWERS]         number of answers
    row[b], b = 0..64    number of timed answers below 2^b nanoseconds, at least 2^(b-1)
    row[SUM]             total nanoseconds of the timed answers

Of the answers of the hot path every 16th is timed, since two clock reads would cost
more than the rest of the counting; of the others each one.

A worker copies its rows onto the scoreboard ten times a second, where any worker
reads those of all others. A killed worker loses the last tenth of a second.
"""

from array import array
from collections.abc import Iterable
from typing import Final, NamedTuple

N_BUCKETS: Final = 65  # `int.bit_length` of 64 bits
SUM: Final = N_BUCKETS
ANSWERS: Final = N_BUCKETS + 1
N_ROW_WORDS: Final = N_BUCKETS + 2
UNTIMED_MASK: Final = 15  # an answer of the hot path is timed if its number has none of these bits

Row = list[int]


class AnswerKind(NamedTuple):
    """Kind of an answer.

    Attributes:
        source: Origin of the answer, as in `X-Marquee-Source`, or "error".
        status: HTTP status, or its class.
    """

    source: str
    status: str


ANSWER_KINDS: Final = (
    *(AnswerKind(source, "200") for source in ("list", "fresh", "history", "recent")),
    *(AnswerKind(source, "200") for source in ("segment", "popular", "static")),
    *(AnswerKind(source, "200") for source in ("similar", "predict", "other")),
    *(AnswerKind("error", status) for status in ("400", "404", "405", "4xx", "503", "5xx")),
)
N_WORDS: Final = len(ANSWER_KINDS) * N_ROW_WORDS
_ROW_OF: Final = {kind: number for number, kind in enumerate(ANSWER_KINDS)}


class Counts:
    """The counts of one worker, or of all workers together.

    Attributes:
        rows: One row for each of `ANSWER_KINDS`, in that order.
        own_lists: The row of users' own lists, in which the hot path counts.
        fresh_lists: The row of fresh lists, in which it counts as well.
    """

    def __init__(self, words: Iterable[int] = ()) -> None:
        flat = [*words] or [0] * N_WORDS
        self.rows = [flat[i : i + N_ROW_WORDS] for i in range(0, N_WORDS, N_ROW_WORDS)]
        self.own_lists, self.fresh_lists = self.rows[:2]

    def add(self, kind: AnswerKind, nanoseconds: int) -> None:
        """Count one answer and its time."""
        row = self.rows[_ROW_OF[kind]]
        row[ANSWERS] += 1
        _add_time(row, nanoseconds)

    def time_own_list(self, nanoseconds: int) -> None:
        """Add the time of an answer that the hot path has counted."""
        _add_time(self.own_lists, nanoseconds)

    def time_fresh_list(self, nanoseconds: int) -> None:
        """Add the time of a fresh list that the hot path has counted."""
        _add_time(self.fresh_lists, nanoseconds)

    def continue_from(self, before: "Counts") -> None:
        """Copy earlier counts into these rows; references to the rows stay valid."""
        for mine, theirs in zip(self.rows, before.rows, strict=True):
            mine[:] = theirs

    def words(self) -> "array[int]":
        """Return the counts as the scoreboard stores them."""
        return array("Q", [word for row in self.rows for word in row])


def answer_kind(source: str | None, status: int) -> AnswerKind:
    """Return the kind of an answer, one of `ANSWER_KINDS`."""
    if status < 400:
        named = AnswerKind(source or "other", "200")
        return named if named in _ROW_OF else AnswerKind("other", "200")
    exact = AnswerKind("error", str(status))
    return exact if exact in _ROW_OF else AnswerKind("error", f"{status // 100}xx")


def total(counts: Iterable[Counts]) -> Counts:
    """Return the sum of several workers' counts."""
    added = Counts()
    for one in counts:
        for mine, theirs in zip(added.rows, one.rows, strict=True):
            mine[:] = map(int.__add__, mine, theirs)
    return added


def _add_time(row: Row, nanoseconds: int) -> None:
    row[nanoseconds.bit_length()] += 1
    row[SUM] += nanoseconds
