"""The result of a parser for a block of lines: events of four types, and rejected lines.

views     user_id  item_id  minute  n_events  first_at  last_at
ratings   user_id  item_id  rating  at
accounts  user_id  at
answers   user_id  at  host  status  items  result  milliseconds

Ids are dictionary-encoded. Times are seconds since 1970 by the wall clock of the
log. An unknown time or minute of a view is null, an unknown time of a rating 0. A view of
a known share of an item, whose minutes are unknown, has a minute below 0: see `part_watched`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch.arrays import Flags, Floats, Rows
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
_PARTS: Final = 10**6  # of an item; float32 holds them exactly


@dataclass(frozen=True, slots=True)
class Parsed:
    """Events and rejected lines of a block.

    Attributes:
        views: Table with the columns of `VIEWS`, one row a (user, item, day): the furthest
            minute, the number of events, and the times of the first and the last.
        ratings: Table with the columns of `RATINGS`, one row a rating.
        accounts: Table with the columns of `ACCOUNTS`, one row a new account.
        answers: Table with the columns of `ANSWERS`, one row a recommendation request that
            was answered or failed.
        rejected: (n_rejected,) positions of the rejected lines in the block, ascending.
        reasons: Reason of each rejected line.
        n_headers: Number of lines that repeat the header, neither events nor rejected.
        largest_off_scale: Largest rating that was rejected as off the scale; None without one.
    """

    views: pa.Table = field(default_factory=VIEWS.empty_table)
    ratings: pa.Table = field(default_factory=RATINGS.empty_table)
    accounts: pa.Table = field(default_factory=ACCOUNTS.empty_table)
    answers: pa.Table = field(default_factory=ANSWERS.empty_table)
    rejected: Rows = field(default_factory=lambda: np.zeros(0, np.int64))
    reasons: list[str] = field(default_factory=list)
    n_headers: int = 0
    largest_off_scale: float | None = None

    @property
    def n_accounts(self) -> int:
        """Number of new accounts."""
        return int(self.accounts.num_rows)

    @property
    def n_answers(self) -> int:
        """Number of recommendation requests that were answered or failed."""
        return int(self.answers.num_rows)


class Rejected(NamedTuple):
    """Rejected lines; their text is joined only where it is written.

    Attributes:
        reasons: Reason of each line.
        numbers: (n_rejected,) line numbers from 1.
        columns: Columns of n_rejected texts, of which a line is made.
    """

    reasons: Sequence[str]
    numbers: Rows
    columns: Sequence[pa.Array]


class Piece(NamedTuple):
    """Some lines, or rows, of a file, parsed.

    Attributes:
        n_lines: Number of lines.
        parsed: Events of these lines.
        rejected: Rejected lines.
        max_lines_left: Maximum number of valid lines behind these.
    """

    n_lines: int
    parsed: Parsed
    rejected: Rejected
    max_lines_left: int


class Cause(NamedTuple):
    """A cause of rejection: a line that matches one pattern but not another.

    Attributes:
        reason: Reason in the quarantine.
        applies_to: Pattern of the lines to which the cause applies; None for all lines.
        must_match: Pattern that these lines must match; None if no such line is valid.
    """

    reason: str
    applies_to: str | None
    must_match: str | None


def reasons_for(lines: pa.BinaryArray, causes: Sequence[Cause]) -> list[str]:
    """Return for each line the reason of the first cause that applies.

    The last cause must apply to every line.
    """
    if not len(lines):
        return []
    reasons = np.full(len(lines), causes[-1].reason, dtype=object)
    is_open = np.ones(len(lines), dtype=bool)
    for cause in causes[:-1]:
        holds = is_open & _matches(lines, cause.applies_to, default=True)
        holds &= ~_matches(lines, cause.must_match, default=False)
        reasons[holds] = cause.reason
        is_open &= ~holds
    return [str(reason) for reason in reasons]


def view_table(
    user: pa.Array,
    item: pa.Array,
    minute: pa.Array | None = None,
    at: pa.Array | None = None,
    last_at: pa.Array | None = None,
) -> pa.Table:
    """Return views of one event each; missing minutes or times are null.

    Args:
        user: Ids of users.
        item: Ids of items.
        minute: Furthest minutes.
        at: Times, or those of the first event.
        last_at: Times of the last event; None: `at`.
    """
    unknown = pa.nulls(len(user), pa.int64())
    once = pa.repeat(pa.scalar(1, pa.int64()), len(user))
    at = unknown if at is None else at
    last_at = at if last_at is None else last_at
    return to_table((user, item, unknown if minute is None else minute, once, at, last_at), VIEWS)


def part_watched(share: pa.Array) -> pa.Int32Array:
    """Return shares of an item, 0 to 1, as minutes below -1, in millionths; `watched_part` inverts.

    A larger share is a larger minute, any known minute is larger still, and all of the item is
    null, as for a view without a minute: folding keeps the furthest.
    """
    millionths = pc.round(pc.multiply(share, _PARTS)).cast(pa.int32())
    minute = pc.subtract(millionths, _PARTS + 1)  # -1 is null where views are folded
    return pc.if_else(pc.equal(millionths, _PARTS), None, minute).cast(pa.int32())


def watched_part(minute: Floats) -> Floats:
    """Return the share of an item that minutes below 0 stand for."""
    return (minute + np.float32(_PARTS + 1)) / np.float32(_PARTS)


def to_table(columns: Sequence[pa.Array], schema: pa.Schema) -> pa.Table:
    """Return columns as a table, each cast to its field's type; bytes must be UTF-8."""
    return pa.table(
        [_cast(column, field.type) for column, field in zip(columns, schema, strict=True)],
        schema=schema,
    )


def _cast(column: pa.Array, kind: pa.DataType) -> pa.Array:
    if kind == ID:
        return encode(column)
    is_digits = pa.types.is_binary(column.type)  # bytes that matched a pattern, hence ASCII
    return (column.cast(pa.string()) if is_digits else column).cast(kind)


def _matches(lines: pa.BinaryArray, pattern: str | None, *, default: bool) -> Flags:
    if pattern is None:
        return np.full(len(lines), default)
    matched: Flags = pc.match_substring_regex(lines, pattern=pattern).to_numpy(zero_copy_only=False)
    return matched
