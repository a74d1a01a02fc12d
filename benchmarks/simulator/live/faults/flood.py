"""A flood: new made-up accounts watch one item, minute by minute."""

import heapq
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from batch.arrays import Rows
from benchmarks.simulator.live.stream.times import format_time
from benchmarks.simulator.log_formats import LogFormat


class TimedLine(NamedTuple):
    """A line that is due in the future.

    Attributes:
        second: Time of the line, seconds since 1970.
        number: Serial number, which orders lines of the same time.
        line: Line without its end.
    """

    second: int
    number: int
    line: bytes


class Flood:
    """The lines of one flood, when the stream's clock reaches them.

    Args:
        values: Values of its specification.
        for_seconds: Time in which its views begin.
        taken: (n,) ids of real users, ascending.
        log_format: Format of the lines.
        rng: Random generator of the flood.

    Attributes:
        accounts: Ids of the made-up accounts.
        n_views: Number of views begun so far.
        n_lines: Number of lines returned so far.
    """

    def __init__(
        self, values: Mapping[str, Any], for_seconds: float, taken: Rows, log_format: LogFormat,
        rng: np.random.Generator,
    ) -> None:  # fmt: skip
        self.accounts = _new_ids(values["accounts"], taken, rng)
        self.n_views = self.n_lines = 0
        self._values = values
        self._log_format = log_format
        self._rng = rng
        self._begins = np.sort(rng.random(values["views"])) * for_seconds
        self._account = rng.permutation(np.arange(values["views"]) % values["accounts"])
        self._seen: set[int] = set()
        self._scheduled: list[TimedLine] = []
        self._n_scheduled = 0

    @property
    def is_over(self) -> bool:
        """Whether all its lines were returned."""
        return self.n_views == len(self._begins) and not self._scheduled

    def lines(self, seconds: float, now: int) -> list[bytes]:
        """Return the lines that are due, in order of time.

        Args:
            seconds: Seconds after the begin of the flood, on the clock of the run.
            now: Time of the stream's clock, seconds since 1970.
        """
        n_begun = int(np.searchsorted(self._begins, seconds, side="right"))
        for view in range(self.n_views, n_begun):
            self._begin(int(self._account[view]), now)
        self.n_views = max(self.n_views, n_begun)
        due = []
        while self._scheduled and self._scheduled[0].second <= now:
            due.append(heapq.heappop(self._scheduled).line)
        self.n_lines += len(due)
        return due

    def _begin(self, account: int, now: int) -> None:
        """Begin a view and schedule all its lines."""
        if self._log_format.has_accounts and account not in self._seen:
            self._schedule(now, account, b"GET /create_account")
        self._seen.add(account)
        item, minutes = self._values["item"].encode(), self._values["minutes"]
        for minute in range(minutes):
            self._schedule(now + 60 * minute, account, b"GET /data/m/%s/%d.mpg" % (item, minute))
        if self._values["rating"] is not None:
            best = self._log_format.best_rating
            rating = min(self._values["rating"], best)
            self._schedule(now + 60 * minutes, account, b"GET /rate/%s=%d" % (item, rating))

    def _schedule(self, second: int, account: int, event: bytes) -> None:
        has_fraction = self._rng.random() < self._log_format.fraction_share
        fraction = b"%03d" % self._rng.integers(1, 1000) if has_fraction else b""
        line = b"%s,%d,%s" % (format_time(second, fraction), self.accounts[account], event)
        heapq.heappush(self._scheduled, TimedLine(second, self._n_scheduled, line))
        self._n_scheduled += 1


def _new_ids(n: int, taken: Rows, rng: np.random.Generator) -> list[int]:
    """Draw unused ids of about the same size as the used ones."""
    limit = max(1_000_000, int(taken[-1]) + 1) + 4 * n
    ids: dict[int, None] = {}
    while len(ids) < n:
        drawn = rng.integers(0, limit, 4 * n)
        positions = np.minimum(np.searchsorted(taken, drawn), len(taken) - 1)
        ids |= dict.fromkeys(drawn[taken[positions] != drawn].tolist())
    return list(ids)[:n]
