"""Counting answers, at the cost of one addition each.

A worker counts in plain integers, one row for each kind of answer:

    row[ANSWERS]         number of answers
    row[b], b = 0..64    number of timed answers below 2^b nanoseconds, at least 2^(b-1)
    row[SUM]             total nanoseconds of the timed answers

Of the answers of the hot path every 16th is timed, since two clock reads would cost
more than the rest of the counting; of the others each one.

In an experiment each arm has three rows more, `ArmRows`: its lists and fresh lists count
there instead, and its other answers there as well.

A worker copies its rows onto the scoreboard ten times a second, where any worker
reads those of all others. A killed worker loses the last tenth of a second.
"""

from array import array
from collections.abc import Iterable
from typing import Final, NamedTuple

from store.experiment import MAX_ARMS

N_BUCKETS: Final = 65  # `int.bit_length` of 64 bits
SUM: Final = N_BUCKETS
ANSWERS: Final = N_BUCKETS + 1
N_ROW_WORDS: Final = N_BUCKETS + 2
UNTIMED_MASK: Final = 15  # an answer of the hot path is timed if its number has none of these bits

Row = list[int]


class AnswerKind(NamedTuple):
    """Kind of an answer.

    Attributes:
        source: Origin of the answer, as in `X-Marquee-Source`; "closed_shard" for a fallback in
            place of a list that another machine has; or "error".
        status: HTTP status, or its class.
    """

    source: str
    status: str


ANSWER_KINDS: Final = (
    *(AnswerKind(source, "200") for source in ("list", "fresh", "history", "recent")),
    *(AnswerKind(source, "200") for source in ("segment", "popular", "static")),
    *(AnswerKind(source, "200") for source in ("similar", "predict", "closed_shard", "other")),
    *(AnswerKind("error", status) for status in ("400", "404", "405", "4xx", "503", "5xx")),
)
ARM_SOURCES: Final = ("list", "fresh", "other")
_EXPERIMENT_WORD: Final = len(ANSWER_KINDS) * N_ROW_WORDS
N_WORDS: Final = _EXPERIMENT_WORD + 1 + MAX_ARMS * len(ARM_SOURCES) * N_ROW_WORDS
_ROW_OF: Final = {kind: number for number, kind in enumerate(ANSWER_KINDS)}


class ArmRows(NamedTuple):
    """The rows of one arm of an experiment, by source.

    Attributes:
        own: Users' own lists.
        fresh: Fresh lists.
        other: All other answers to its users.
    """

    own: Row
    fresh: Row
    other: Row


class Counts:
    """The counts of one worker, or of all workers together.

    Attributes:
        rows: One row for each of `ANSWER_KINDS`, in that order.
        own_lists: The row of users' own lists, in which the hot path counts.
        fresh_lists: The row of fresh lists, in which it counts as well.
        experiment: Identity of the experiment whose arms are counted, 0 for none.
        arms: Rows of each arm.
    """

    def __init__(self, words: Iterable[int] = ()) -> None:
        flat = [*words] or [0] * N_WORDS
        self.rows = _rows(flat[:_EXPERIMENT_WORD])
        self.own_lists, self.fresh_lists = self.rows[:2]
        self.experiment = flat[_EXPERIMENT_WORD]
        of_arms = _rows(flat[_EXPERIMENT_WORD + 1 :])
        self.arms = [ArmRows(*of_arms[n : n + 3]) for n in range(0, len(of_arms), 3)]

    def add(self, kind: AnswerKind, nanoseconds: int) -> None:
        """Count one answer and its time."""
        row = self.rows[_ROW_OF[kind]]
        row[ANSWERS] += 1
        add_time(row, nanoseconds)

    @property
    def lists(self) -> ArmRows:
        """The rows of lists outside of an experiment; other answers have their own kinds."""
        return ArmRows(self.own_lists, self.fresh_lists, [])

    def begin(self, experiment: int) -> None:
        """Count the arms of another experiment; what was counted of the last one stays.

        Args:
            experiment: Identity of that experiment, 0 for none.
        """
        if experiment == self.experiment:
            return
        self.experiment = experiment
        for arm in self.arms:
            self._add_lists_of(arm)
            for row in arm:
                row[:] = [0] * N_ROW_WORDS

    def continue_from(self, before: "Counts") -> None:
        """Copy earlier counts into these rows; references to the rows stay valid."""
        self.experiment = before.experiment
        for mine, theirs in zip(self.all_rows(), before.all_rows(), strict=True):
            mine[:] = theirs

    def words(self) -> "array[int]":
        """Return the counts as the scoreboard stores them."""
        words = [word for row in self.rows for word in row]
        of_arms = [word for arm in self.arms for row in arm for word in row]
        return array("Q", [*words, self.experiment, *of_arms])

    def add_all(self, other: "Counts") -> None:
        """Add the counts of another worker; of its arms only those of this experiment."""
        for mine, theirs in zip(self.rows, other.rows, strict=True):
            _add_row(mine, theirs)
        for mine_of_arm, arm in zip(self.arms, other.arms, strict=True):
            self._add_lists_of(arm)
            if other.experiment == self.experiment:
                for mine, theirs in zip(mine_of_arm, arm, strict=True):
                    _add_row(mine, theirs)

    def _add_lists_of(self, arm: ArmRows) -> None:
        _add_row(self.own_lists, arm.own)
        _add_row(self.fresh_lists, arm.fresh)

    def all_rows(self) -> list[Row]:
        """Return the rows of all kinds, and those of all arms."""
        return [*self.rows, *(row for arm in self.arms for row in arm)]


def answer_kind(source: str | None, status: int) -> AnswerKind:
    """Return the kind of an answer, one of `ANSWER_KINDS`."""
    if status < 400:
        named = AnswerKind(source or "other", "200")
        return named if named in _ROW_OF else AnswerKind("other", "200")
    exact = AnswerKind("error", str(status))
    return exact if exact in _ROW_OF else AnswerKind("error", f"{status // 100}xx")


def total(counts: Iterable[Counts], experiment: int = 0) -> Counts:
    """Return the sum of several workers' counts, with the arms of one experiment.

    Lists of arms are in the rows of lists, too.
    """
    added = Counts()
    added.experiment = experiment
    for one in counts:
        added.add_all(one)
    return added


def add_time(row: Row, nanoseconds: int) -> None:
    """Add the time of an answer that has been counted in this row."""
    row[nanoseconds.bit_length()] += 1
    row[SUM] += nanoseconds


def _rows(words: list[int]) -> list[Row]:
    return [words[i : i + N_ROW_WORDS] for i in range(0, len(words), N_ROW_WORDS)]


def _add_row(mine: Row, theirs: Row) -> None:
    mine[:] = map(int.__add__, mine, theirs)
