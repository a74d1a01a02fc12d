"""The time line of a drill: failure, alarm, action, recovery, as each of them happens."""

import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """Kinds of entries, in the order in which the first of each comes."""

    FAILURE = "failure"
    ALARM = "alarm"
    ACTION = "action"
    RECOVERY = "recovery"


class Entry(NamedTuple):
    """One entry.

    Attributes:
        seconds: Time since the first failure.
        at: Time of day, UTC.
        kind: Kind of the entry.
        text: What happened.
    """

    seconds: float
    at: datetime
    kind: Kind
    text: str


class Timeline:
    """Entries in the order in which they were recorded, by several threads."""

    def __init__(self) -> None:
        self._entries: list[tuple[float, datetime, Kind, str]] = []
        self._lock = threading.Lock()
        self._has_ended = False

    def end(self) -> None:
        """Record nothing from now on: the service is stopped."""
        with self._lock:
            self._has_ended = True

    def record(self, kind: Kind, text: str) -> None:
        """Add an entry, now."""
        with self._lock:
            if self._has_ended:
                return
            entry = (time.monotonic(), datetime.now(UTC), kind, " ".join(text.split()))
            self._entries.append(entry)

    def has(self, kind: Kind, text: str = "") -> bool:
        """Return whether there is an entry of a kind whose text begins like this."""
        return any(one.kind is kind and one.text.startswith(text) for one in self.entries())

    def entries(self) -> Sequence[Entry]:
        """Return all entries so far."""
        with self._lock:
            entries = [*self._entries]
        failures = (at for at, _, kind, _ in entries if kind is Kind.FAILURE)
        zero = next(failures, entries[0][0] if entries else 0.0)
        return [Entry(at - zero, day, kind, text) for at, day, kind, text in entries]

    def seconds_to(self, kind: Kind) -> float | None:
        """Return when the first alarm or action, or the last recovery, was; None without one."""
        found = [one.seconds for one in self.entries() if one.kind is kind]
        if not found:
            return None
        return found[-1] if kind is Kind.RECOVERY else found[0]
