"""`python -m stream status`: what the ledger says, and what collector and speed layer do."""

import fcntl
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from batch.events.partitions import partition_files
from store.errors import CorruptFreshError
from store.fresh import FreshSummary, fresh_lock, read_summary
from stream.collect.folder import CollectorFolder
from stream.collect.folding import n_segments
from stream.collect.ledger import read_state
from stream.errors import StreamError


@dataclass(frozen=True, slots=True)
class FreshStatus:
    """State of the speed layer.

    Attributes:
        is_running: Whether one runs.
        generation: Generation whose model made the lists; 0: none.
        users: Number of users with a fresh list.
        newest_at: Time when the newest list was made, seconds since 1970; 0: none.
    """

    is_running: bool
    generation: int
    users: int
    newest_at: float

    @classmethod
    def of(cls, store: Path) -> Self:
        """Read the state; damaged lists count as none."""
        try:
            lists = read_summary(store)
        except CorruptFreshError:
            lists = FreshSummary()
        return cls(_is_locked(fresh_lock(store)), *lists)

    def as_text(self) -> str:
        """Return one line for a terminal."""
        text = f"speed layer  {'running' if self.is_running else 'not running'}"
        if self.newest_at:
            age = max(time.time() - self.newest_at, 0.0)
            text += f", {self.users:,} fresh lists of generation {self.generation}"
            text += f", the newest {age:,.1f} s old"
        return text


@dataclass(frozen=True, slots=True)
class Status:
    """State of a directory of events.

    Attributes:
        is_running: Whether a collector holds the directory.
        accepted: Number of lines accepted since the first flush.
        quarantined: Number of lines quarantined since the first flush.
        flushes: Number of the last flush.
        flushed_at: Time of the last flush, seconds since 1970; 0 if there was none.
        positions: Position to be read next, by log and partition.
        gaps: Lost ranges as (log, partition, first position, position after the last).
        segments: Number of segments that are not folded yet.
        bytes: Size of the partitions.
        collector: Figures of the last or running collector: lag, paused or not, this run.
        fresh: State of the speed layer.
    """

    is_running: bool
    accepted: int
    quarantined: int
    flushes: int
    flushed_at: float
    positions: dict[str, int]
    gaps: list[tuple[str, str, int, int]]
    segments: int
    bytes: int
    collector: dict[str, Any]
    fresh: FreshStatus

    def as_json(self) -> str:
        """Return one JSON object."""
        return json.dumps(asdict(self))

    def as_text(self) -> str:
        """Return some lines for a terminal."""
        lags = self.collector.get("lags", []) if self.is_running else []
        lines = [
            f"collector    {'running' if self.is_running else 'not running'}",
            f"lines        {self.accepted:,} accepted, {self.quarantined:,} quarantined",
            f"flushes      {self.flushes:,}",
            f"partitions   {self.bytes:,} bytes, {self.segments:,} segments not folded yet",
            *(f"position     {key}: {position:,}" for key, position in self.positions.items()),
            *(f"lag          {log} {p}: {n:,} messages, {s:g} s" for log, p, n, s in lags),
            *(f"lost         {log} {p}: [{first}, {end})" for log, p, first, end in self.gaps),
        ]
        lines.append(self.fresh.as_text())
        if self.is_running and self.collector.get("is_paused"):
            lines.append("paused       events cannot be written: look into the log")
        return "\n".join(lines)


def read_status(events: Path, store: Path) -> Status:
    """Return the state of a directory of events, and of the speed layer of a store.

    Raises:
        StreamError: No collector has written to it, or its ledger is damaged.
    """
    folder = CollectorFolder(events)
    try:
        state = read_state(folder.ledger)
    except FileNotFoundError:
        remedy = "start `python -m stream collect`, or set [stream] events"
        raise StreamError(events, "has no ledger of a collector", remedy) from None
    return Status(
        is_running=_is_locked(folder.ledger.with_name("LOCK")),
        accepted=state.accepted,
        quarantined=state.quarantined,
        flushes=state.number,
        flushed_at=state.flushed_at,
        positions=state.next,
        gaps=state.gaps,
        segments=n_segments(events),
        bytes=sum(path.stat().st_size for path in partition_files(events)),
        collector=_read_json(folder.status),
        fresh=FreshStatus.of(store),
    )


def _is_locked(path: Path) -> bool:
    try:
        with path.open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # it does not exist, or is another user's
        return False
    return False


def _read_json(path: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return document
