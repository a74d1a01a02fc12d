"""A flood: accounts that nobody has seen before watch one item, minute by minute."""

import heapq
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from benchmarks.simulator.live.stream.times import written
from benchmarks.simulator.log_formats import Edition
from benchmarks.simulator.world.items import Rows


class Timed(NamedTuple):
    """A line to come.

    Attributes:
        second: Since 1970.
        number: Of those made; what comes at once keeps the order it was made in.
        line: Without its end.
    """

    second: int
    number: int
    line: bytes


class Flood:
    """The lines of one flood, as the stream's clock comes to them.

    Args:
        values: Of its order.
        for_seconds: In which its views begin.
        taken: (n,) ids that real users have, ascending.
        edition: That lines are made in.
        rng: Of this flood.

    Attributes:
        accounts: Their ids.
        n_views: Begun so far.
        n_lines: Handed out so far.
    """

    def __init__(
        self, values: Mapping[str, Any], for_seconds: float, taken: Rows, edition: Edition,
        rng: np.random.Generator,
    ) -> None:  # fmt: skip
        self.accounts = _made_up(values["accounts"], taken, rng)
        self.n_views = self.n_lines = 0
        self._values = values
        self._edition = edition
        self._rng = rng
        self._begins = np.sort(rng.random(values["views"])) * for_seconds
        self._account = rng.permutation(np.arange(values["views"]) % values["accounts"])
        self._seen: set[int] = set()
        self._coming: list[Timed] = []
        self._n_made = 0

    @property
    def is_over(self) -> bool:
        """Whether its last line is out."""
        return self.n_views == len(self._begins) and not self._coming

    def lines(self, seconds: float, now: int) -> list[bytes]:
        """Return the lines that are due, in order of time.

        Args:
            seconds: After the flood's beginning, on the run's clock.
            now: On the stream's clock, seconds since 1970.
        """
        n_begun = int(np.searchsorted(self._begins, seconds, side="right"))
        for view in range(self.n_views, n_begun):
            self._begin(int(self._account[view]), now)
        self.n_views = max(self.n_views, n_begun)
        due = []
        while self._coming and self._coming[0].second <= now:
            due.append(heapq.heappop(self._coming).line)
        self.n_lines += len(due)
        return due

    def _begin(self, account: int, now: int) -> None:
        """Let a view begin, and all that comes of it."""
        if self._edition.has_accounts and account not in self._seen:
            self._put(now, account, b"GET /create_account")
        self._seen.add(account)
        item, minutes = self._values["item"].encode(), self._values["minutes"]
        for minute in range(minutes):
            self._put(now + 60 * minute, account, b"GET /data/m/%s/%d.mpg" % (item, minute))
        if self._values["rating"] is not None:
            best = self._edition.best_rating
            rating = min(self._values["rating"], best)
            self._put(now + 60 * minutes, account, b"GET /rate/%s=%d" % (item, rating))

    def _put(self, second: int, account: int, what: bytes) -> None:
        has_fraction = self._rng.random() < self._edition.fraction_share
        fraction = b"%03d" % self._rng.integers(1, 1000) if has_fraction else b""
        line = b"%s,%d,%s" % (written(second, fraction), self.accounts[account], what)
        heapq.heappush(self._coming, Timed(second, self._n_made, line))
        self._n_made += 1


def _made_up(n: int, taken: Rows, rng: np.random.Generator) -> list[int]:
    """Draw ids that nobody has, of about the size of those that somebody has."""
    limit = max(1_000_000, int(taken[-1]) + 1) + 4 * n
    ids: dict[int, None] = {}
    while len(ids) < n:
        drawn = rng.integers(0, limit, 4 * n)
        places = np.minimum(np.searchsorted(taken, drawn), len(taken) - 1)
        ids |= dict.fromkeys(drawn[taken[places] != drawn].tolist())
    return list(ids)[:n]
