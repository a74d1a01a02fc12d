"""What a parser makes of a block of lines: views, ratings, and what it rejects, with reasons.

views    user_id  item_id  minute   n_events      minute is null where none is known
ratings  user_id  item_id  rating   at            at is seconds since 1970, 0 if unknown
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

VIEWS: Final = pa.schema(
    [("user_id", pa.string()), ("item_id", pa.string()), ("minute", pa.int32()),
     ("n_events", pa.int64())]
)  # fmt: skip
RATINGS: Final = pa.schema(
    [("user_id", pa.string()), ("item_id", pa.string()), ("rating", pa.float32()),
     ("at", pa.int64())]
)  # fmt: skip
_NONE: Final = pa.array([], pa.string())


@dataclass(frozen=True, slots=True)
class Parsed:
    """A block of lines, told apart.

    Attributes:
        views: One row a (user, item) of the block: the furthest minute, and of
            how many events it was made.
        ratings: One row a rating.
        n_accounts: New accounts.
        n_answers: Recommendation requests that were answered, or failed.
        rejected: Places in the block of the lines that are none of these.
        reasons: Why, one for each of `rejected`.
    """

    views: pa.Table
    ratings: pa.Table
    n_accounts: int
    n_answers: int
    rejected: npt.NDArray[np.int64]
    reasons: list[str]

    @classmethod
    def of(
        cls,
        *,
        rejected: npt.NDArray[np.int64],
        reasons: list[str],
        views: tuple[pa.Array, pa.Array, pa.Array] = (_NONE, _NONE, _NONE),
        ratings: tuple[pa.Array, pa.Array, pa.Array, pa.Array] = (_NONE, _NONE, _NONE, _NONE),
        n_accounts: int = 0,
        n_answers: int = 0,
    ) -> Self:
        """Build a block's result from columns as they were parsed, views folded.

        Args:
            views: user_id, item_id, minute.
            ratings: user_id, item_id, rating, at.
            rejected: As the attribute, and so the rest.
            reasons: One for each of `rejected`.
            n_accounts: New accounts.
            n_answers: Recommendation requests.
        """
        ones = pa.repeat(pa.scalar(1, pa.int64()), len(views[0]))
        return cls(
            fold_views(_table((*views, ones), VIEWS)),
            _table(ratings, RATINGS),
            n_accounts,
            n_answers,
            rejected,
            reasons,
        )


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
    reasons = np.full(len(lines), causes[-1].reason, dtype=object)
    is_open = np.ones(len(lines), dtype=bool)
    for cause in causes[:-1]:
        holds = is_open & _matches(lines, cause.of_kind, of_none=True)
        holds &= ~_matches(lines, cause.as_it_should, of_none=False)
        reasons[holds] = cause.reason
        is_open &= ~holds
    return [str(reason) for reason in reasons]


def fold_views(views: pa.Table) -> pa.Table:
    """Return one row a (user, item): the furthest minute, the sum of events."""
    folded = views.group_by(["user_id", "item_id"]).aggregate(
        [("minute", "max"), ("n_events", "sum")]
    )
    return folded.rename_columns(
        {"minute_max": "minute", "n_events_sum": "n_events"}
    ).select(VIEWS.names)  # fmt: skip


def _matches(lines: pa.BinaryArray, pattern: str | None, *, of_none: bool) -> npt.NDArray[np.bool_]:
    if pattern is None:
        return np.full(len(lines), of_none)
    matched: npt.NDArray[np.bool_] = pc.match_substring_regex(lines, pattern=pattern).to_numpy(
        zero_copy_only=False
    )
    return matched


def _table(columns: Sequence[pa.Array], schema: pa.Schema) -> pa.Table:
    return pa.table(
        [_cast(column, field.type) for column, field in zip(columns, schema, strict=True)],
        schema=schema,
    )


def _cast(column: pa.Array, kind: pa.DataType) -> pa.Array:
    is_digits = pa.types.is_binary(column.type)  # bytes that a pattern has matched: ASCII
    return (column.cast(pa.string()) if is_digits else column).cast(kind)
