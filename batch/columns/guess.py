"""A table without a header: the guess what its columns are, from their values.

    1   102  4.0  1600000000       user, item, rating, time
    0   1    102  4.0              a row number first, then user, item, rating

Which of the first two columns holds the users cannot be read from numbers: what speaks for
the other order is a warning.
"""

import itertools
import re
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from batch.columns.names import COUNT, ITEM, RATING, TIME, USER
from batch.columns.times import look_like_times

_NUMBER: Final = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?")
_MAX_RATING: Final = 10
_USER_LIKE: Final = re.compile(r"(?i)(u|user)[-_.]?\d+|A[0-9A-Z]{12,20}")
_ITEM_LIKE: Final = re.compile(
    r"(?i)(i|m|item|movie|film|book)[-_.]?\d+|B0[0-9A-Z]{8}|\d{9}[\dX]|tt\d{7,8}"
)
_MIN_ROWS: Final = 20  # fewer say nothing about the order of the rows
_MIN_MAJORITY: Final = 0.5


class Guess(NamedTuple):
    """Roles of columns without names.

    Attributes:
        columns: Column, counted from 0, by role.
        is_exchanged: Whether users and items look exchanged.
    """

    columns: dict[str, int]
    is_exchanged: bool


def guess_columns(rows: Sequence[Sequence[str]]) -> Guess | None:
    """Return the roles of the columns of a table without a header; None if it has too many.

    Args:
        rows: Fields of the first rows, the same number in each.
    """
    n_columns = len(rows[0])
    first = int(n_columns > 2 and _is_row_number([row[0] for row in rows]))
    rest = [[row[column] for row in rows] for column in range(first + 2, n_columns)]
    roles = _roles(rest)
    if roles is None:
        return None
    columns = {USER: first, ITEM: first + 1}
    columns |= {role: first + 2 + place for place, role in enumerate(roles)}
    users, items = ([row[column] for row in rows] for column in (first, first + 1))
    return Guess(columns, _are_exchanged(users, items))


def _roles(columns: Sequence[Sequence[str]]) -> list[str] | None:
    """Return the roles of the columns behind user and item: a value, a time, or both in order."""
    if len(columns) > 2:
        return None
    roles = [_role(values) for values in columns]
    if len(roles) == 2 and roles[0] != TIME and roles[1] is not None:
        roles[1] = TIME  # whatever its magnitude
    found = [role for role in roles if role is not None]
    return found if len({*found}) == len(columns) else None


def _role(values: Sequence[str]) -> str | None:
    """Return the role of a column behind user and item."""
    if look_like_times(values):
        return TIME
    numbers = [float(v.replace(",", ".")) for v in values if _NUMBER.fullmatch(v)]
    if len(numbers) <= _MIN_MAJORITY * len(values):
        return None
    typical = float(np.median(numbers))
    return RATING if typical <= _MAX_RATING else COUNT


def _is_row_number(values: Sequence[str]) -> bool:
    first = values[0]
    if len(values) < 2 or first not in ("0", "1"):
        return False
    return all(value == str(int(first) + n) for n, value in enumerate(values))


def _are_exchanged(users: Sequence[str], items: Sequence[str]) -> bool:
    """Return whether ids look like those of the other side, or rows are grouped by the second."""
    if _share(users, _ITEM_LIKE) > _MIN_MAJORITY and not _share(items, _ITEM_LIKE):
        return True
    if _share(items, _USER_LIKE) > _MIN_MAJORITY and not _share(users, _USER_LIKE):
        return True
    return len(users) >= _MIN_ROWS and _runs(users) > 0.9 and _runs(items) < 0.5


def _runs(values: Sequence[str]) -> float:
    """Return the number of runs of equal values, as a share of the values."""
    changes = sum(one != other for one, other in itertools.pairwise(values))
    return (changes + 1) / len(values)


def _share(values: Sequence[str], pattern: re.Pattern[str]) -> float:
    return sum(pattern.fullmatch(value) is not None for value in values) / len(values)
