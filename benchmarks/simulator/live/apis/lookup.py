"""Lookup of the APIs' answers: one JSON object for each user and item that exists by now."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final, Protocol

import numpy as np

from benchmarks.simulator.clock import DAY_SECONDS
from benchmarks.simulator.live.apis.defects import defects_of, with_defects
from benchmarks.simulator.log_formats import LogFormat
from benchmarks.simulator.seeds import generator
from benchmarks.simulator.world.catalogue import movie_answers
from benchmarks.simulator.world.items import Items
from benchmarks.simulator.world.profiles import user_answers
from benchmarks.simulator.world.users import Users

_NEWEST_FIELDS: Final = ("likes", "dislikes", "cost")
_MAX_DIGITS: Final = 18  # of a user id
_USER_DEFECTS: Final = "odd fields of users"  # names of random generators
_ITEM_DEFECTS: Final = "odd fields of items"


class Lookup(Protocol):
    """Answers of one API.

    Attributes:
        kind: Name in its path and its messages, "user" or "movie".
    """

    kind: str

    def find(self, ids: Sequence[str], second: int) -> list[bytes | None]:
        """Return the JSON text of each id, None for unknown ids.

        Args:
            ids: Ids of the request.
            second: Second after the history's beginning; later users and items are unknown.
        """


class UserLookup:
    """Answers of the user API, made on request.

    Args:
        users: Users of the world.
        seed: Random seed of the world.
        log_format: Log format; with the newest one answers include likes in words.
        defect_share: Share of the fields with a defect.
    """

    kind = "user"

    def __init__(self, users: Users, seed: int, log_format: LogFormat, defect_share: float) -> None:
        self._users = users
        self._seed = seed
        self._log_format = log_format
        self._defect_share = defect_share

    def find(self, ids: Sequence[str], second: int) -> list[bytes | None]:
        """Return the JSON text of each id, None for unknown ids."""
        rows = [self._row(user_id, second) for user_id in ids]
        known = [row for row in rows if row is not None]
        answers = iter(list(user_answers(self._users, np.array(known, np.int64), self._seed)))
        return [None if row is None else self._text(next(answers), row) for row in rows]

    def _row(self, user_id: str, second: int) -> int | None:
        if not (user_id.isascii() and user_id.isdecimal() and len(user_id) <= _MAX_DIGITS):
            return None
        ids, number = self._users.ids, int(user_id)
        row = int(np.searchsorted(ids, number))
        is_known = row < len(ids) and ids[row] == number and str(number) == user_id
        return row if is_known and self._users.joined[row] <= second else None

    def _text(self, answer: dict[str, Any], row: int) -> bytes:
        rng = generator(self._seed, _USER_DEFECTS, row)
        return _text(answer, "user_id", self._log_format, self._defect_share, rng)


class ItemLookup:
    """Answers of the movie API, all made in advance.

    Args:
        items: Items of the world.
        seed: Random seed of the world.
        log_format: Log format; with the newest one answers include the cost of a play.
        defect_share: Share of the fields with a defect.
    """

    kind = "movie"

    def __init__(self, items: Items, seed: int, log_format: LogFormat, defect_share: float) -> None:
        self._rows = {item_id: row for row, item_id in enumerate(items.ids)}
        self._first_days = items.first_days
        self._texts = [
            _text(answer, "id", log_format, defect_share, generator(seed, _ITEM_DEFECTS, row))
            for row, answer in enumerate(movie_answers(items, seed))
        ]

    def find(self, ids: Sequence[str], second: int) -> list[bytes | None]:
        """Return the JSON text of each id, None for unknown ids."""
        rows = [self._rows.get(item_id) for item_id in ids]
        is_there = self._first_days <= second // DAY_SECONDS
        return [self._texts[row] if row is not None and is_there[row] else None for row in rows]


def user_defects(
    users: Users, seed: int, log_format: LogFormat, defect_share: float
) -> Iterator[dict[str, str]]:
    """Yield the kind of each field's defect in the answer about each user, in the order of rows."""
    answers = user_answers(users, np.arange(len(users)), seed)
    for row, answer in enumerate(answers):
        valid, rng = _of_format(answer, log_format), generator(seed, _USER_DEFECTS, row)
        yield defects_of(valid, "user_id", defect_share, rng)


def item_defects(
    items: Items, seed: int, log_format: LogFormat, defect_share: float
) -> Iterator[dict[str, str]]:
    """Yield the kind of each field's defect in the answer about each item, in the order of rows."""
    for row, answer in enumerate(movie_answers(items, seed)):
        valid, rng = _of_format(answer, log_format), generator(seed, _ITEM_DEFECTS, row)
        yield defects_of(valid, "id", defect_share, rng)


def _text(
    answer: dict[str, Any], id_field: str, log_format: LogFormat, defect_share: float,
    rng: np.random.Generator,
) -> bytes:  # fmt: skip
    valid = _of_format(answer, log_format)
    return json.dumps(with_defects(valid, id_field, defect_share, rng)).encode()


def _of_format(answer: dict[str, Any], log_format: LogFormat) -> dict[str, Any]:
    """Return an answer with the fields of an edition."""
    if is_newest(log_format):
        return answer
    return {name: value for name, value in answer.items() if name not in _NEWEST_FIELDS}


def is_newest(log_format: LogFormat) -> bool:
    """Return whether the APIs are those of the newest edition, which logs accounts."""
    return log_format.has_accounts
