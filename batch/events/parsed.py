"""What a parser makes of a block of lines: events of four kinds, and what it rejects.

views     user_id  item_id  minute  n_events  first_at  last_at
ratings   user_id  item_id  rating  at
accounts  user_id  at
answers   user_id  at  host  status  items  result  milliseconds

Ids are dictionary-encoded. Times are seconds since 1970 by the wall clock of the
log; in views they and the minute are null where unknown, in ratings 0 is unknown.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from batch.events.ids import ID, encode

VIEWS: Final = pa.schema(
    [("user_id", ID), ("item_id", ID), ("minute", pa.int32()), ("n_events", pa.int32()),
     ("first_at", pa.int64()), ("last_at", pa.int64())]
)  # fmt: skip
RATINGS: Final = pa.schema(
    [("user_id", ID), ("item_id", ID), ("rating", pa.float32()), ("at", pa.int64())]
)
ACCOUNTS: Final = pa.schema([("user_id", ID), ("at", pa.int64())])
ANSWERS: Final = pa.schema(
    [("user_id", ID), ("at", pa.int64()), ("host", ID), ("status", pa.int32()),
     ("items", pa.string()), ("result", pa.string()), ("milliseconds", pa.int32())]
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Parsed:
    """A block of lines, told apart.

    Attributes:
        views: Of a user, an item and a day: the furthest minute, of how many events
            it was made, and when the first and the last of them came.
        ratings: One row a rating.
        accounts: One row a new account.
        answers: One row a recommendation request that was answered, or failed.
        rejected: (n_rejected,) places in the block of the lines that are no event, ascending.
        reasons: Why, one for each of `rejected`.
    """

    views: pa.Table = field(default_factory=VIEWS.empty_table)
    ratings: pa.Table = field(default_factory=RATINGS.empty_table)
    accounts: pa.Table = field(default_factory=ACCOUNTS.empty_table)
    answers: pa.Table = field(default_factory=ANSWERS.empty_table)
    rejected: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    reasons: list[str] = field(default_factory=list)

    @property
    def n_accounts(self) -> int:
        """New accounts."""
        return int(self.accounts.num_rows)

    @property
    def n_answers(self) -> int:
        """Recommendation requests that were answered, or failed."""
        return int(self.answers.num_rows)


class Piece(NamedTuple):
    """What came of some lines, or rows, of a file.

    Attributes:
        n_lines: How many they were.
        parsed: The events.
        rejected: Of each that is no event: why, its number in the file from 1, itself.
    """

    n_lines: int
    parsed: Parsed
    rejected: list[tuple[str, int, bytes]]


class Cause(NamedTuple):
    """Why a line is rejected: it is of a kind, and not as that kind should be.

    Attributes:
        reason: In words.
        of_kind: The pattern of the lines that this cause is about; None means all.
        as_it_should: The pattern that they must match; None means that none can.
    """

    reason: str
    of_kind: str | None
    as_it_should: str | None


def reasons_for(lines: pa.BinaryArray, causes: Sequence[Cause]) -> list[str]:
    """Return for each line the reason of the first cause that holds.

    The last cause must hold for every line.
    """
    if not len(lines):
        return []
    reasons = np.full(len(lines), causes[-1].reason, dtype=object)
    is_open = np.ones(len(lines), dtype=bool)
    for cause in causes[:-1]:
        holds = is_open & _matches(lines, cause.of_kind, of_none=True)
        holds &= ~_matches(lines, cause.as_it_should, of_none=False)
        reasons[holds] = cause.reason
        is_open &= ~holds
    return [str(reason) for reason in reasons]


def view_table(
    user: pa.Array, item: pa.Array, minute: pa.Array | None = None, at: pa.Array | None = None
) -> pa.Table:
    """Return views of one event each; without minutes or times these are unknown."""
    unknown = pa.nulls(len(user), pa.int64())
    once = pa.repeat(pa.scalar(1, pa.int64()), len(user))
    at = unknown if at is None else at
    return to_table((user, item, unknown if minute is None else minute, once, at, at), VIEWS)


def to_table(columns: Sequence[pa.Array], schema: pa.Schema) -> pa.Table:
    """Return columns as a table, each as its field's type; bytes must be UTF-8."""
    return pa.table(
        [_cast(column, field.type) for column, field in zip(columns, schema, strict=True)],
        schema=schema,
    )


def _cast(column: pa.Array, kind: pa.DataType) -> pa.Array:
    if kind == ID:
        return encode(column)
    is_digits = pa.types.is_binary(column.type)  # bytes that a pattern has matched: ASCII
    return (column.cast(pa.string()) if is_digits else column).cast(kind)


def _matches(lines: pa.BinaryArray, pattern: str | None, *, of_none: bool) -> npt.NDArray[np.bool_]:
    if pattern is None:
        return np.full(len(lines), of_none)
    matched: npt.NDArray[np.bool_] = pc.match_substring_regex(lines, pattern=pattern).to_numpy(
        zero_copy_only=False
    )
    return matched
