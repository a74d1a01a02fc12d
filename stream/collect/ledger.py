"""The ledger: which part of which log is in which file, one synced record a flush.

    .collector/LEDGER
        5d1f0a2b {"kind": "ledger", "version": 1}
        91c3e07d {"kind": "begin", "generation": 7, …}
        2ab0944e {"kind": "flush", "generation": 7, "files": […], "spans": […], …}

Each line has its CRC. It is appended and synced before the files that it names are renamed
into place: a record is an intent that is always carried out. A torn last line was never
acted on, and is cut off. A collector holds a lock; where locks do not reach, on another
machine, it finds records of a later generation when it appends, and stops. A record of an
earlier generation behind such a beginning does not count.
"""

import errno
import fcntl
import json
import os
import threading
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, NamedTuple, Self

from store.durable import fsync_path, replace_durable
from stream.collect.ledger_state import LedgerState
from stream.errors import FencedError, LedgerError

VERSION: Final = 1
_HEADER: Final = {"kind": "ledger", "version": VERSION}
MAX_RECORDS_AT_START: Final = 10_000  # more are replaced by their sum
_MAX_RECORDS: Final = 100_000  # a day of flushes, one a second; read in less than 5 s
_CRC_CHARACTERS: Final = 8

Record = Mapping[str, Any]


class Ledger:
    """The ledger of a directory of events, open for its one writer. A context manager.

    Args:
        path: File of the ledger, in a directory that exists.

    Attributes:
        state: What all records say together.
        generation: Number of this writer, once it has begun.

    Raises:
        FencedError: Another collector holds the lock.
        LedgerError: A record is damaged, or of a newer version.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = _locked(path)
        self._appending = threading.Lock()
        self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            self.state, self._n_records, self._n_bytes = self._opened()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the lock."""
        os.close(self._file)
        self._lock.close()

    def append(self, record: Record) -> None:
        """Add a record and force it to disk.

        Raises:
            FencedError: Another collector has begun; the record does not count.
            LedgerError: The record may or may not be on disk: the process must end.
            OSError: There is no room; the ledger is unchanged.
        """
        with self._appending:
            self._append({**record, "generation": self.generation})

    def _append(self, record: Record) -> None:
        line = encoded(record)
        self._check_place()
        try:
            _write_whole(self._file, line)
        except OSError:
            os.ftruncate(self._file, self._n_bytes)
            raise
        try:
            os.fsync(self._file)
        except OSError as error:
            problem = f"cannot be synced: {error.strerror}"
            raise LedgerError(self._path, problem, "check the disk, then start again") from error
        begin = os.lseek(self._file, 0, os.SEEK_CUR) - len(line)
        self._check_others(begin)
        self._n_bytes = begin + len(line)
        self._n_records += 1
        self.state.add(record)

    def check(self) -> None:
        """Check that no other collector has begun.

        Raises:
            FencedError: One has.
        """
        with self._appending:
            self._check_place()

    def begin(self, details: Record) -> None:
        """Begin a generation of this writer: appends of earlier ones do not count any more."""
        self.generation = self.state.generation + 1
        self.append({**details, "kind": "begin"})

    def compact(self, max_records: int = _MAX_RECORDS) -> None:
        """Replace the records by their sum if there are more; intents stay intents.

        Raises:
            FencedError: Another collector has begun.
            OSError: There is no room; the ledger is unchanged.
        """
        if self._n_records <= max_records:
            return
        with self._appending:
            self._check_place()
            _write_sum(self._path, self.state)
            os.close(self._file)
            self._file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
            self.state, self._n_records, self._n_bytes = self._opened()

    def _opened(self) -> tuple[LedgerState, int, int]:
        """Return state, number of records and size of the file, its torn end cut off."""
        data = self._path.read_bytes()
        if not data:
            os.write(self._file, encoded(_HEADER))
            os.fsync(self._file)
            fsync_path(self._path.parent)
            data = encoded(_HEADER)
        state, n_records, n_bytes = _replayed(self._path, data)
        if n_bytes < len(data):
            os.ftruncate(self._file, n_bytes)
            os.fsync(self._file)
        self.generation = state.generation
        return state, n_records, n_bytes

    def _check_place(self) -> None:
        """Check that the file is still the ledger, and that no later generation wrote to it."""
        status = os.fstat(self._file)
        try:
            is_ledger = self._path.stat().st_ino == status.st_ino
        except FileNotFoundError:
            is_ledger = False
        if not is_ledger:
            raise FencedError(self._path, "was replaced while this collector was running")
        self._check_others(status.st_size)

    def _check_others(self, end: int) -> None:
        """Check the records between what is known and `end`: none may be of a later generation."""
        others = os.pread(self._file, end - self._n_bytes, self._n_bytes)
        for _, record in _records(self._path, others):
            if record and record.get("generation", 0) > self.generation:
                raise FencedError(self._path, "another collector has taken over this directory")
        self._n_bytes = end


def replace_ledger(path: Path, state: LedgerState) -> None:
    """Replace a ledger by one that consists of a sum.

    Raises:
        FencedError: A collector is running.
        OSError: It cannot be written.
    """
    with _locked(path):
        _write_sum(path, state)


def _write_sum(path: Path, state: LedgerState) -> None:
    lines = encoded(_HEADER) + encoded({**state.as_json(), "kind": "sum"})
    replace_durable(path, lines.decode())


def _write_whole(file: int, line: bytes) -> None:
    if os.write(file, line) < len(line):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _locked(path: Path) -> IO[bytes]:
    """Return the lock beside a ledger, held."""
    lock = path.with_name("LOCK").open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise FencedError(path.parent, "another collector is running") from None
    return lock


def read_state(path: Path) -> LedgerState:
    """Return what a ledger says, without its lock; a torn end is ignored.

    Raises:
        LedgerError: A record is damaged, or of a newer version.
        OSError: It cannot be read.
    """
    return _replayed(path, path.read_bytes())[0]


class FlushRecord(NamedTuple):
    """What a record says about a flush.

    Attributes:
        at: Time, seconds since 1970.
        accepted: Number of accepted lines.
        quarantined: Number of quarantined lines.
    """

    at: float
    accepted: int
    quarantined: int


def read_flushes(path: Path) -> Iterator[FlushRecord]:
    """Yield the flushes that a ledger has a record of each, oldest first, without its lock.

    Earlier ones are only part of a sum.

    Raises:
        LedgerError: A record is not JSON.
        OSError: It cannot be read.
    """
    for _, record in _records(path, path.read_bytes()):
        if record and record["kind"] == "flush":
            yield FlushRecord(record["at"], record["accepted"], record["quarantined"])


def encoded(record: Record) -> bytes:
    """Return the line of a record."""
    text = json.dumps(record, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _replayed(path: Path, data: bytes) -> tuple[LedgerState, int, int]:
    """Return the state, the number of records, and the bytes up to a torn end."""
    state, n_records, n_bytes = LedgerState(), 0, 0
    generation = 0
    for end, record in _records(path, data):
        if record is None:
            if end < len(data):
                raise LedgerError(path, f"the record at byte {n_bytes} is damaged")
            break
        if record["kind"] == "ledger" and record["version"] > VERSION:
            problem = f"has version {record['version']}, but this code reads {VERSION}"
            raise LedgerError(path, problem, "run the version that wrote it")
        generation = max(generation, record.get("generation", 0))
        if record.get("generation", 0) == generation or record["kind"] == "ledger":
            state.add(record)  # one of an earlier generation was written by a fenced collector
        n_records += 1
        n_bytes = end
    return state, n_records, n_bytes


def _records(path: Path, data: bytes) -> Iterator[tuple[int, dict[str, Any] | None]]:
    """Yield each record, None for a damaged one, with the position after it."""
    begin = 0
    while begin < len(data):
        end = data.find(b"\n", begin) + 1
        line = data[begin : end - 1] if end else b""
        text = line[_CRC_CHARACTERS + 1 :]
        is_whole = bool(text) and line[:_CRC_CHARACTERS] == b"%08x" % zlib.crc32(text)
        begin = end or len(data)
        try:
            yield begin, json.loads(text) if is_whole else None
        except ValueError:
            raise LedgerError(path, f"the record before byte {begin} is not JSON") from None
