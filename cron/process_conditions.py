"""What may be wrong with the server and the collector, by their `/metrics`."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

from cron.alarms import URGENT, Condition
from cron.processes import Process

_RESPAWNS: Final = "marquee_respawns_total"
_RETREATS: Final = "marquee_retreats_total"
_REFUSALS: Final = "marquee_refusals_total"
_GENERATION: Final = "marquee_generation"
_LAG: Final = "marquee_collect_lag_seconds"
_GAPS: Final = "marquee_collect_gaps"
_WANTED: Final = (_RESPAWNS, _RETREATS, _REFUSALS, _GENERATION, _LAG, _GAPS)

_MINUTE: Final = timedelta(minutes=1)
_SILENT: Final = 5 * _MINUTE
_REFUSED: Final = 5 * _MINUTE  # the server verifies a refused snapshot again each half minute
_CRASHED: Final = 15 * _MINUTE
_LAGGING: Final = 10 * _MINUTE
_LOST: Final = 24 * 60 * _MINUTE
_MAX_RESPAWNS: Final = 5
_KINDS: Final = (
    "no answer of", "workers of", "refused snapshot at", "generation of", "lag of",
    "lost events at",
)  # fmt: skip


class ProcessWatcher:
    """Looks at processes, and says what is wrong with them.

    Args:
        urls: URLs of their metrics.
        max_lag_minutes: Lag of the collector in minutes above which it is an alarm.
        max_behind_minutes: Minutes for which a server may serve another generation than the
            current one.

    Attributes:
        names: Names of all conditions.
    """

    def __init__(
        self, urls: Sequence[str], max_lag_minutes: float, max_behind_minutes: float
    ) -> None:
        self._urls, self._max_lag_seconds = urls, max_lag_minutes * 60
        self._max_behind = timedelta(minutes=max_behind_minutes)
        self._processes: list[Process] = []
        self._other_since: dict[str, datetime] = {}  # by place: when it served another generation
        self.names = frozenset(f"{kind} {_place(url)}" for kind in _KINDS for url in urls)

    def conditions(self, now: datetime, current: int | None) -> Iterator[Condition]:
        """Look at all processes; yield the condition of each and of what it does.

        One that counts events is yielded as well only once its whole time has been watched.

        Args:
            now: Current time.
            current: Current generation of this store, which servers here and replicas should
                serve; None for any.
        """
        self._processes = self._processes or [Process(url, now) for url in self._urls]
        for process in self._processes:
            place = _place(process.url)
            answers = process.look(_WANTED, now)
            yield _silence(process, place, now)
            if not answers:
                self._other_since.pop(place, None)
                continue
            yield from self._generation(process, place, now, current)
            yield from _crashes(process, place, now)
            yield from _refusals(process, place, now)
            yield from _lag(process, place, now, self._max_lag_seconds)
            yield from _gaps(process, place, now)

    def _generation(
        self, process: Process, place: str, now: datetime, current: int | None
    ) -> Iterator[Condition]:
        """Yield the condition of what a server serves, once it is the current one or late."""
        served = process.lowest(_GENERATION, now)
        if served is None or current is None:
            return
        name = f"generation of {place}"
        if served == current:
            self._other_since.pop(place, None)
            yield Condition(name, 0)
            return
        late = now - self._other_since.setdefault(place, now)
        if late >= self._max_behind:
            text = f"it serves generation {served:.0f}, and generation {current} is current here"
            text += "; does it pull, or is it pinned? see its log"
            level = URGENT if late >= 6 * self._max_behind else 1
            yield Condition(name, level, text)


def _place(url: str) -> str:
    """Return host and port of a URL, without a password."""
    return urlsplit(url).netloc.rpartition("@")[2]


def _silence(process: Process, place: str, now: datetime) -> Condition:
    silent = now - process.silent_since
    text = f"it has not answered since {process.silent_since:%Y-%m-%d %H:%M} UTC"
    text += "; does it run, and may this machine read its metrics?"
    level = (silent >= _SILENT) + (silent >= 12 * _SILENT)
    return Condition(f"no answer of {place}", level, text)


def _crashes(process: Process, place: str, now: datetime) -> Iterator[Condition]:
    respawns = process.increase(_RESPAWNS, now - _CRASHED)
    if respawns is None:
        return
    text = f"{respawns:.0f} workers died or hung within 15 minutes; look into the server's log"
    level = int(respawns > _MAX_RESPAWNS)
    if process.increase(_RETREATS, now - _CRASHED):
        text, level = "a snapshot crashed workers, the one before is served; pin that one", URGENT
    yield from _settled(process, Condition(f"workers of {place}", level, text), now - _CRASHED)


def _refusals(process: Process, place: str, now: datetime) -> Iterator[Condition]:
    refusals = process.increase(_REFUSALS, now - _REFUSED)
    if refusals is None:
        return
    is_empty = process.lowest(_GENERATION, now - _MINUTE) == 0
    text = f"a new snapshot failed verification, {'none' if is_empty else 'the old one'} is served"
    level = int(refusals > 0) * (URGENT if is_empty else 1)
    found = Condition(
        f"refused snapshot at {place}", level, f"{text}; see `python -m store verify`"
    )
    yield from _settled(process, found, now - _REFUSED)


def _lag(process: Process, place: str, now: datetime, max_seconds: float) -> Iterator[Condition]:
    seconds = process.lowest(_LAG, now - _LAGGING)
    if seconds is None or not process.is_watched_since(now - _LAGGING):
        return
    level = (seconds > max_seconds) + (seconds > 6 * max_seconds)
    text = f"it is {seconds / 60:.0f} minutes behind; see `python -m stream status`"
    yield Condition(f"lag of {place}", level, text)


def _gaps(process: Process, place: str, now: datetime) -> Iterator[Condition]:
    n_new = process.increase(_GAPS, now - _LOST)
    if n_new is None:
        return
    text = f"{n_new:.0f} ranges of events were lost; see `python -m stream status`"
    found = Condition(f"lost events at {place}", int(n_new > 0), text)
    yield from _settled(process, found, now - _LOST)


def _settled(process: Process, condition: Condition, since: datetime) -> Iterator[Condition]:
    """Yield a condition that is bad, or well for all of its time."""
    if condition.level or process.is_watched_since(since):
        yield condition
