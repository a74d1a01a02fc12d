"""What the APIs know: one JSON object for each user and item that is there by now."""

import json
from collections.abc import Sequence
from typing import Any, Final, Protocol

import numpy as np

from benchmarks.simulator.clock import DAY_SECONDS
from benchmarks.simulator.live.apis.defects import with_odd_fields
from benchmarks.simulator.log_formats import Edition
from benchmarks.simulator.seeds import generator
from benchmarks.simulator.world.catalogue import movie_answers
from benchmarks.simulator.world.items import Items
from benchmarks.simulator.world.profiles import user_answers
from benchmarks.simulator.world.users import Users

_NEWEST_FIELDS: Final = ("likes", "dislikes", "cost")
_MOST_DIGITS: Final = 18  # of a number that a user's id may be


class Answers(Protocol):
    """One API's answers.

    Attributes:
        kind: As in its path and its messages: "user" or "movie".
    """

    kind: str

    def find(self, ids: Sequence[str], second: int) -> list[bytes | None]:
        """Return the JSON text for each id, None where nobody knows it.

        Args:
            ids: As they were asked for.
            second: After the history's beginning: what is new later is not there yet.
        """


class UserAnswers:
    """The user API's answers, made when they are asked for.

    Args:
        users: Of the world.
        seed: Of the world.
        edition: The newest one also tells what a user likes, in words.
        odd_share: Of the fields that are not as they should be.
    """

    kind = "user"

    def __init__(self, users: Users, seed: int, edition: Edition, odd_share: float) -> None:
        self._users = users
        self._seed = seed
        self._edition = edition
        self._odd_share = odd_share

    def find(self, ids: Sequence[str], second: int) -> list[bytes | None]:
        """Return the JSON text for each id, None where nobody knows it."""
        rows = [self._row(user_id, second) for user_id in ids]
        known = [row for row in rows if row is not None]
        answers = iter(list(user_answers(self._users, np.array(known, np.int64), self._seed)))
        return [None if row is None else self._text(next(answers), row) for row in rows]

    def _row(self, user_id: str, second: int) -> int | None:
        if not (user_id.isascii() and user_id.isdecimal() and len(user_id) <= _MOST_DIGITS):
            return None
        ids, number = self._users.ids, int(user_id)
        row = int(np.searchsorted(ids, number))
        is_known = row < len(ids) and ids[row] == number and str(number) == user_id
        return row if is_known and self._users.joined[row] <= second else None

    def _text(self, answer: dict[str, Any], row: int) -> bytes:
        rng = generator(self._seed, "odd fields of users", row)
        return _text(answer, "user_id", self._edition, self._odd_share, rng)


class ItemAnswers:
    """The movie API's answers, all of them made beforehand.

    Args:
        items: Of the world.
        seed: Of the world.
        edition: The newest one also tells what a play costs.
        odd_share: Of the fields that are not as they should be.
    """

    kind = "movie"

    def __init__(self, items: Items, seed: int, edition: Edition, odd_share: float) -> None:
        self._rows = {item_id: row for row, item_id in enumerate(items.ids)}
        self._first_days = items.first_days
        self._texts = [
            _text(answer, "id", edition, odd_share, generator(seed, "odd fields of items", row))
            for row, answer in enumerate(movie_answers(items, seed))
        ]

    def find(self, ids: Sequence[str], second: int) -> list[bytes | None]:
        """Return the JSON text for each id, None where nobody knows it."""
        rows = [self._rows.get(item_id) for item_id in ids]
        is_there = self._first_days <= second // DAY_SECONDS
        return [self._texts[row] if row is not None and is_there[row] else None for row in rows]


def _text(
    answer: dict[str, Any], id_field: str, edition: Edition, odd_share: float,
    rng: np.random.Generator,
) -> bytes:  # fmt: skip
    if not is_newest(edition):
        answer = {name: value for name, value in answer.items() if name not in _NEWEST_FIELDS}
    return json.dumps(with_odd_fields(answer, id_field, odd_share, rng)).encode()


def is_newest(edition: Edition) -> bool:
    """Tell whether the APIs are those of the newest edition, the one that tells of accounts."""
    return edition.has_accounts
