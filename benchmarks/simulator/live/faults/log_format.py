"""A stream that goes on in another edition: its lines, made in one, written as in another."""

import re
from collections.abc import Container, Iterator, Sequence
from typing import Final

import numpy as np

from benchmarks.simulator.live.stream.times import joined, parts
from benchmarks.simulator.log_formats import Edition

_ANSWER: Final = re.compile(rb"(.*, status \d+, result: )(.*?), ?(\d+) ?ms")
_BETWEEN: Final = re.compile(rb", ?")
_FAILED: Final = b"status 200"  # is missing: then the list is the text of an error


class EditionChange:
    """Rewrites sound lines.

    An old stream does not tell of new accounts. In an edition that does, the first
    line of each newcomer follows one that says so.

    Args:
        made: The edition that lines come in.
        written: The one that they are to have.
        newcomers: Ids of users who joined after the history.
        rng: For fractions of seconds, and for the half stars that a scale of 5 lacks.
    """

    def __init__(
        self, made: Edition, written: Edition, newcomers: Container[bytes],
        rng: np.random.Generator,
    ) -> None:  # fmt: skip
        self._made = made
        self._written = written
        self._newcomers = newcomers if written.has_accounts and not made.has_accounts else ()
        self._told: set[bytes] = set()
        self._rng = rng

    def lines(self, lines: Sequence[bytes]) -> Iterator[bytes]:
        """Yield what becomes of lines."""
        chances = self._rng.random(len(lines)).tolist()
        for line, chance in zip(lines, chances, strict=True):
            at, user, what = line.split(b",", 2)
            if user in self._newcomers and user not in self._told:
                self._told.add(user)
                yield joined(*parts(at)[:1], b"") + b"," + user + b",GET /create_account"
            if what.startswith(b"recommendation "):
                yield self._answer_time(at, chance) + b"," + user + b"," + self._answer(what)
            elif what != b"GET /create_account" or self._written.has_accounts:
                if what.startswith(b"GET /rate/"):
                    what = self._rating(what, chance)
                yield self._time(at, chance) + b"," + user + b"," + what

    def _time(self, at: bytes, chance: float) -> bytes:
        text, fraction = parts(at)
        share = self._written.fraction_share
        if not share:
            return joined(text, b"")
        if self._made.fraction_share or chance >= share:
            return joined(text, fraction)
        return joined(text, b"%03d" % (1 + int(999 * chance / share)))

    def _answer_time(self, at: bytes, chance: float) -> bytes:
        text, fraction = parts(at)
        n_digits = self._written.answer_digits
        more = b"%09d" % int(1e9 * chance)
        return joined(text, (fraction + more)[:n_digits])

    def _answer(self, what: bytes) -> bytes:
        found = _ANSWER.fullmatch(what)
        if not found:
            return what
        head, items, milliseconds = found.groups()
        if _FAILED in head:
            items = _BETWEEN.sub(self._written.between_items.encode(), items)
        end = self._written.after_items.encode(), milliseconds, self._written.unit.encode()
        return head + items + b"".join(end)

    def _rating(self, what: bytes, chance: float) -> bytes:
        item, _, text = what.rpartition(b"=")
        rating = int(text)
        if self._written.best_rating > self._made.best_rating:
            rating = 2 * rating - (chance < 0.5)
        elif self._written.best_rating < self._made.best_rating:
            rating = (rating + 1) // 2
        return b"%s=%d" % (item, rating)
