"""The flush: buffers become segments, in an order that a crash at any step leaves whole.

1  temporary files written and synced            crash: they are removed at the next start
2  one record of intent in the ledger, synced    crash: the next start carries it out
3  renamed into place
4  directories synced                            then the source commits, as a hint
"""

import contextlib
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, NamedTuple

import pyarrow as pa

from batch.events.day_files import DayFile, rows_by_day, write_rows
from batch.events.event_types import EVENT_TYPES
from batch.events.parsed import Parsed
from batch.events.positions import Positions
from store.durable import fsync_path
from stream.collect.buffer import PartitionBuffer
from stream.collect.folder import CollectorFolder
from stream.collect.ledger import Ledger
from stream.collect.ledger_state import Span
from stream.collect.quarantine import StreamQuarantine
from stream.errors import LedgerError

_READ_BYTES: Final = 1 << 20


class Flushed(NamedTuple):
    """What a flush wrote.

    Attributes:
        spans: Positions that it took.
        n_rows: Number of rows by type of event.
        n_quarantined: Number of quarantined lines.
        n_dropped_answers: Number of answers that were not kept for want of space.
        sync_seconds: Time of the syncs.
    """

    spans: list[Span]
    n_rows: dict[str, int]
    n_quarantined: int
    n_dropped_answers: int
    sync_seconds: float


class Flusher:
    """Writes buffers to partitions, quarantine and ledger.

    Args:
        folder: Paths of the collector.
        ledger: Ledger, open for writing.
        quarantine: Quarantine of the rejected lines.
    """

    def __init__(
        self, folder: CollectorFolder, ledger: Ledger, quarantine: StreamQuarantine
    ) -> None:
        self._folder = folder
        self._ledger = ledger
        self._quarantine = quarantine
        self._sync_seconds = 0.0

    def __call__(
        self, buffers: Sequence[PartitionBuffer], *, keeps_answers: bool = True
    ) -> Flushed:
        """Write all that buffers hold.

        Args:
            buffers: Buffers, at least one of which is not empty.
            keeps_answers: Whether answers are written.

        Raises:
            OSError: There is no room; nothing has changed, and it can be tried again.
            StreamError: The process must end; the next start completes the flush or undoes it.
        """
        self._sync_seconds = 0.0
        spans = [span for buffer in buffers if (span := buffer.span)]
        number = self._ledger.state.number + 1
        for buffer in buffers:
            buffer.parse()
        parsed = [piece for buffer in buffers for piece in buffer.parsed]
        try:
            positions = _positions(buffers, spans, self._ledger)
            files = self._write(number, parsed, positions, keeps_answers)
            for buffer in buffers:
                for rejected in buffer.rejected:
                    self._quarantine.add(_source(buffer), rejected)
            n_quarantined = sum(buffer.reasons.total() for buffer in buffers)
            with self._synced():
                record = {
                    "kind": "flush",
                    "number": number,
                    "at": round(time.time(), 3),
                    "files": files,
                    "spans": [asdict(span) for span in spans],
                    "accepted": sum(span.messages for span in spans) - n_quarantined,
                    "quarantined": n_quarantined,
                    "quarantine": self._quarantine.sync(),
                }
                fsync_path(self._folder.pending)
                self._ledger.append(record)
        except OSError:
            self._quarantine.undo()
            for path in self._folder.pending.glob(f"g{self._ledger.generation}-*"):
                path.unlink()
            raise
        with self._synced():
            self._move(files)
        n_dropped = 0 if keeps_answers else sum(piece.n_answers for piece in parsed)
        n_rows = {kind.name: 0 for kind in EVENT_TYPES}
        for file in files:
            n_rows[Path(file["path"]).parts[0]] += file["rows"]
        return Flushed(spans, n_rows, n_quarantined, n_dropped, self._sync_seconds)

    def _write(
        self, number: int, parsed: Sequence[Parsed], positions: Positions, keeps_answers: bool
    ) -> list[dict[str, Any]]:
        """Write and sync temporary files; return what the ledger says of each."""
        files = []
        for kind in EVENT_TYPES:
            tables: list[pa.Table] = [getattr(piece, kind.name) for piece in parsed]
            if kind.name == "answers" and not keeps_answers:
                continue
            for day, rows in rows_by_day(kind, tables):
                path = DayFile(kind, day, number).path(Path())
                # A paused collector that was replaced must not write to its successor's file.
                pending = self._folder.pending / f"g{self._ledger.generation}-{path.name}"
                n_rows = write_rows(kind, pending, [rows], positions)
                with self._synced():
                    fsync_path(pending)
                files.append(
                    {
                        "path": str(path),
                        "pending": pending.name,
                        "rows": n_rows,
                        "crc": crc32(pending),
                    }
                )
        return files

    def _move(self, files: Sequence[dict[str, Any]]) -> None:
        """Rename files that the ledger names; what fails is left to the next start."""
        try:
            move_into_place(self._folder, files)
        except OSError as error:
            problem = f"files cannot be renamed into place: {error.strerror}"
            remedy = "check the disk, then start again: the flush is completed"
            raise LedgerError(self._folder.events, problem, remedy) from error

    @contextlib.contextmanager
    def _synced(self) -> Iterator[None]:
        """Add the time of a block to that of the syncs."""
        began = time.monotonic()
        yield
        self._sync_seconds += time.monotonic() - began


def move_into_place(folder: CollectorFolder, files: Sequence[dict[str, Any]]) -> None:
    """Rename temporary files that the ledger names; those that were renamed before are left."""
    directories: set[Path] = set()
    for file in files:
        path = folder.events / file["path"]
        pending = folder.pending / file["pending"]
        if not path.parent.exists():
            path.parent.mkdir(parents=True)
            directories |= {path.parents[1], path.parents[2]}
        directories.add(path.parent)
        if pending.exists():
            pending.replace(path)
    for directory in sorted(directories):
        fsync_path(directory)


def crc32(path: Path) -> int:
    """Return the CRC of a file's bytes."""
    crc = 0
    with path.open("rb") as file:
        while data := file.read(_READ_BYTES):
            crc = zlib.crc32(data, crc)
    return crc


def _positions(
    buffers: Sequence[PartitionBuffer], spans: Sequence[Span], ledger: Ledger
) -> Positions:
    ranges = {f"{span.log} {span.partition}": ((span.first, span.last),) for span in spans}
    known = ledger.state.identities
    arrived_at = min((buffer.oldest_at for buffer in buffers if buffer.oldest_at), default=0.0)
    identities = {span.log: known[span.log] for span in spans if span.log in known}
    return Positions(ranges, identities, arrived_at)


def _source(buffer: PartitionBuffer) -> str:
    log, partition = buffer.key
    return f"{log}[{partition}]"
