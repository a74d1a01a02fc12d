"""Figures of other processes: what their `/metrics` answer, read once a minute.

    http://127.0.0.1:8080/metrics ─┐
    http://127.0.0.1:9102/metrics ─┴─► values of each, up to a day back ─► conditions

Counters that start again with their process count on from 0.
"""

import http.client
import itertools
import urllib.request
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

_KEPT: Final = timedelta(days=1)
_SECONDS: Final = 2.0  # for an answer: the scheduler waits meanwhile
_MAX_BYTES: Final = 4 << 20
_OPENER: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Scrape(NamedTuple):
    """The metrics of a process at one time.

    Attributes:
        at: Time of the answer.
        values: Largest value of each metric, over its labels.
    """

    at: datetime
    values: Mapping[str, float]


class Process:
    """A process with its answers of the last day.

    Args:
        url: URL of its metrics.
        began_at: Time of the first look.

    Attributes:
        url: URL of its metrics.
        silent_since: Time of its last answer, or of the first look.
    """

    def __init__(self, url: str, began_at: datetime) -> None:
        self.url = url
        self.silent_since = began_at
        self._scrapes: deque[Scrape] = deque()

    def look(self, wanted: Iterable[str], now: datetime) -> bool:
        """Ask for the metrics, and keep those that are wanted; return whether it answered."""
        values = _values(self.url)
        if values is None:
            return False
        self.silent_since = now
        self._scrapes.append(Scrape(now, {n: values[n] for n in wanted if n in values}))
        while len(self._scrapes) > 1 and self._scrapes[1].at <= now - _KEPT:
            self._scrapes.popleft()  # one stays that is older: the day has been watched
        return True

    def increase(self, metric: str, since: datetime) -> float | None:
        """Return the increase of a counter; None for one that the process does not have."""
        values = self._since(metric, since)
        if not values:
            return None
        pairs = itertools.pairwise(values)
        return sum(after - before if after >= before else after for before, after in pairs)

    def lowest(self, metric: str, since: datetime) -> float | None:
        """Return the lowest value since a time; None for a metric that it does not have."""
        return min(self._since(metric, since), default=None)

    def is_watched_since(self, at: datetime) -> bool:
        """Return whether the answers reach back to a time."""
        return bool(self._scrapes) and self._scrapes[0].at <= at

    def _since(self, metric: str, since: datetime) -> Sequence[float]:
        recent = itertools.takewhile(lambda one: one.at >= since, reversed(self._scrapes))
        return [one.values[metric] for one in recent if metric in one.values][::-1]


def _values(url: str) -> dict[str, float] | None:
    """Return the largest value of each metric; None without an answer."""
    try:
        with _OPENER.open(url, timeout=_SECONDS) as response:
            text = response.read(_MAX_BYTES).decode()
    except (OSError, ValueError, http.client.HTTPException):
        return None
    found: dict[str, float] = {}
    for name, value in _samples(text):
        found[name] = max(value, found.get(name, value))
    return found


def _samples(text: str) -> Iterator[tuple[str, float]]:
    """Yield name and value of each sample in the text format of Prometheus."""
    for line in text.splitlines():
        sample, _, value = line.rpartition(" ")
        if sample and not line.startswith("#"):
            try:
                yield sample.partition("{")[0], float(value)
            except ValueError:  # not a sample of ours
                continue
