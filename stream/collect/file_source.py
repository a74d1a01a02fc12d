"""Growing and rotated files as a log: a partition is a file, a position a byte.

    events.log      grows                 partition 8812-1f00a3c9: inode, CRC of the first line
    events.log.1    rotated, read to its end before the new one

A file keeps its partition when it is renamed, so rotation loses nothing. A file that was
cut short is read from its beginning. Packed pieces (`.gz` and the like) are not followed.
"""

import logging
import math
import time
import zlib
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import IO, Final, NamedTuple

import numpy as np
import pyarrow as pa

from batch.events.lines import split_lines
from batch.events.parsed import Rejected
from batch.events.quarantine import MAX_TEXT_BYTES
from stream.collect.ledger import Ledger
from stream.collect.ledger_state import Span
from stream.collect.lines import TOO_LONG, Lines, PartitionKey
from stream.collect.source import Lag, Owner

_BLOCK_BYTES: Final = 1 << 20
_PACKED: Final = (".gz", ".bz2", ".xz", ".zst", ".zip", ".pending", ".tmp")
_SETTLED_SECONDS: Final = 10.0  # a rotated file without a last LF gets no more bytes after this

log = logging.getLogger(__name__)


class LogFile(NamedTuple):
    """One file of the log.

    Attributes:
        path: Path of the file now.
        key: Log and partition.
        begin: Position of its first byte.
        end: Position behind its last byte.
        is_final: Whether nothing will be written to it any more.
    """

    path: Path
    key: PartitionKey
    begin: int
    end: int
    is_final: bool


class FileSource:
    """Follows a file that grows and is rotated.

    Args:
        path: Path of the growing file; it need not exist yet.
        ledger: Ledger that has the positions of each file.
        owner: Holder of the buffers.
        max_line_bytes: Length of the longest line.
    """

    def __init__(self, path: Path, ledger: Ledger, owner: Owner, max_line_bytes: int) -> None:
        self._path = path
        self._ledger = ledger
        self._owner = owner
        self._max_line_bytes = max_line_bytes
        self._next: dict[PartitionKey, int] = {}  # position behind the last line that was read
        self._is_paused = False

    def poll(self, _seconds: float) -> Sequence[Lines]:
        """Return the next whole lines of the oldest file that has any; it does not wait."""
        if self._is_paused:
            return []
        for file in self.files():
            position = self.position(file)
            if position < file.end:
                lines = self._read(file, position)
                if lines is not None:
                    self._next[file.key] = lines.next
                    return [lines]
        return []

    def pause(self) -> None:
        """Return no more lines."""
        self._is_paused = True

    def resume(self) -> None:
        """Return lines again."""
        self._is_paused = False

    def check_log(self) -> None:
        """Do nothing: a file that takes the place of another is a partition of its own."""

    def flushed(self, spans: Collection[Span]) -> None:
        """Do nothing: the ledger alone has the positions."""

    def lags(self) -> list[Lag]:
        """Return what is not read yet, in bytes."""
        n_bytes = Counter[PartitionKey]()
        for file in self.files():
            n_bytes[file.key] += max(file.end - self.position(file), 0)
        return [Lag(key, number, 0.0) for key, number in n_bytes.items()]

    def close(self) -> None:
        """Do nothing: no file is open between two calls."""

    def files(self) -> Iterator[LogFile]:
        """Yield the files of the log that have a whole first line, oldest first."""
        found = []
        for path in self._path.parent.glob(f"{self._path.stem}*"):
            if path.name.endswith(_PACKED) or not _is_piece(path, self._path):
                continue
            try:
                status = path.stat()
                head = _first_line(path)
            except OSError:
                continue  # it is being rotated: the next time
            if head:
                found.append((path == self._path, status.st_mtime, path, status, head))
        for is_live, modified, path, status, head in sorted(found, key=lambda file: file[:2]):
            key = f"file:{self._path}", f"{status.st_ino}-{zlib.crc32(head):08x}"
            is_final = not is_live and time.time() - modified > _SETTLED_SECONDS
            yield LogFile(path, key, 0, status.st_size, is_final)

    def position(self, file: LogFile) -> int:
        """Return the position to be read next."""
        position = self.next_of(file.key)
        if file.end < position:
            log.warning("%s: was cut short; reading it from its beginning", file.path)
            log_name, partition = file.key
            self._owner.flush_partitions([file.key], math.inf)
            reset = {"kind": "reset", "log": log_name, "partition": partition, "next": 0}
            self._ledger.append(reset)
            self._owner.begin(file.key, 0)
            self._next[file.key] = position = 0
        return position

    def next_of(self, key: PartitionKey) -> int:
        """Return the position behind the last line of a partition that was read."""
        position = self._next.get(key)
        return (self._ledger.state.next_of(key) or 0) if position is None else position

    def _read(self, file: LogFile, position: int) -> Lines | None:
        with file.path.open("rb") as opened:
            opened.seek(position - file.begin)
            data = opened.read(max(_BLOCK_BYTES, self._max_line_bytes + 1))
            end = data.rfind(b"\n") + 1
            if end:
                return self._lines(file.key, position, data[:end])
            if len(data) > self._max_line_bytes:
                return self._skipped(file, position, data, opened)
        if file.is_final:
            return self._lines(file.key, position, data + b"\n")._replace(next=file.end)
        return None

    def _lines(self, key: PartitionKey, position: int, data: bytes) -> Lines:
        lines = split_lines(data)
        begins = lines.buffers()[1]
        positions = np.frombuffer(begins, np.int32)[: len(lines)].astype(np.int64) + position
        newest_at = time.time()
        return Lines(key, position, position + len(data), data, positions, newest_at=newest_at)

    def _skipped(self, file: LogFile, position: int, data: bytes, opened: IO[bytes]) -> Lines:
        """Return a line that is too long, up to its end or to what there is of it."""
        end = position + len(data)
        while more := opened.read(_BLOCK_BYTES):
            if b"\n" in more:
                end += more.index(b"\n") + 1
                break
            end += len(more)
        text = pa.array([data[: MAX_TEXT_BYTES + 1]], pa.binary())
        refused = Rejected([TOO_LONG], np.array([position]), [text])
        return Lines(file.key, position, end, b"", np.zeros(0, np.int64), refused)


def _is_piece(path: Path, live: Path) -> bool:
    """Return whether a name is the growing file's, or that of a rotated piece of it."""
    name = path.name
    if name == live.name or name.startswith(f"{live.name}."):
        return True
    return name.startswith(f"{live.stem}.") and name.endswith(live.suffix) and bool(live.suffix)


def _first_line(path: Path) -> bytes:
    """Return a file's first line, or its first KiB; empty while it has neither."""
    with path.open("rb") as file:
        head = file.read(MAX_TEXT_BYTES)
    line, end, _ = head.partition(b"\n")
    return line + end if end or len(head) == MAX_TEXT_BYTES else b""
