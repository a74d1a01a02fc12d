"""Lines of one log format rewritten in another edition's format."""

import re
from collections.abc import Container, Iterator, Sequence
from typing import Final

import numpy as np

from benchmarks.simulator.live.stream.times import join_time, split_time
from benchmarks.simulator.log_formats import LogFormat

_ANSWER: Final = re.compile(rb"(.*, status \d+, result: )(.*?), ?(\d+) ?ms")
_BETWEEN: Final = re.compile(rb", ?")
_SUCCESS: Final = b"status 200"  # otherwise the result is the text of an error


class LogFormatChange:
    """Rewrites valid lines.

    Old formats do not log new accounts. In a format that does, a line for the
    account precedes the first line of each new user.

    Args:
        source: Format of the incoming lines.
        target: Format of the outgoing lines.
        new_users: Ids of users who joined after the history.
        rng: Random generator for fractions of seconds, and for the half stars that a scale
            of 5 lacks.
    """

    def __init__(
        self, source: LogFormat, target: LogFormat, new_users: Container[bytes],
        rng: np.random.Generator,
    ) -> None:  # fmt: skip
        self._source = source
        self._target = target
        self._new_users = new_users if target.has_accounts and not source.has_accounts else ()
        self._announced: set[bytes] = set()
        self._rng = rng

    def lines(self, lines: Sequence[bytes]) -> Iterator[bytes]:
        """Yield the rewritten lines."""
        chances = self._rng.random(len(lines)).tolist()
        for line, chance in zip(lines, chances, strict=True):
            at, user, event = line.split(b",", 2)
            if user in self._new_users and user not in self._announced:
                self._announced.add(user)
                yield join_time(*split_time(at)[:1], b"") + b"," + user + b",GET /create_account"
            if event.startswith(b"recommendation "):
                yield self._answer_time(at, chance) + b"," + user + b"," + self._answer(event)
            elif event != b"GET /create_account" or self._target.has_accounts:
                if event.startswith(b"GET /rate/"):
                    event = self._rating(event, chance)
                yield self._time(at, chance) + b"," + user + b"," + event

    def _time(self, at: bytes, chance: float) -> bytes:
        text, fraction = split_time(at)
        share = self._target.fraction_share
        if not share:
            return join_time(text, b"")
        if self._source.fraction_share or chance >= share:
            return join_time(text, fraction)
        return join_time(text, b"%03d" % (1 + int(999 * chance / share)))

    def _answer_time(self, at: bytes, chance: float) -> bytes:
        text, fraction = split_time(at)
        n_digits = self._target.answer_digits
        more = b"%09d" % int(1e9 * chance)
        return join_time(text, (fraction + more)[:n_digits])

    def _answer(self, event: bytes) -> bytes:
        found = _ANSWER.fullmatch(event)
        if not found:
            return event
        head, items, milliseconds = found.groups()
        if _SUCCESS in head:
            items = _BETWEEN.sub(self._target.between_items.encode(), items)
        end = self._target.after_items.encode(), milliseconds, self._target.unit.encode()
        return head + items + b"".join(end)

    def _rating(self, event: bytes, chance: float) -> bytes:
        item, _, text = event.rpartition(b"=")
        rating = int(text)
        if self._target.best_rating > self._source.best_rating:
            rating = 2 * rating - (chance < 0.5)
        elif self._target.best_rating < self._source.best_rating:
            rating = (rating + 1) // 2
        return b"%s=%d" % (item, rating)
