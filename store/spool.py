"""The spool: events that were posted to the server, until the collector has taken them.

    spool/  LOCK                        held by the one server that writes
            1764295200000000000.log     complete; removed once it has been collected
            1764295200016777216.log     the newest, which grows

All files together are one log, whose positions are bytes: a file's name is the position of its
first. Each writer begins a file of its own, above every position that was ever read, even of
bytes that a power cut took away. So no position stands for two things, and a torn line lies at
the end of the newest file alone, where the next writer cuts it off.
"""

import contextlib
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from store.durable import fsync_path
from store.errors import SpoolFullError, WriteError
from store.locks import locked

_FOLDER: Final = "spool"
_NAME: Final = re.compile(r"[0-9]{19}\.log")
_FILE_BYTES: Final = 1 << 24  # a larger file is complete
_MIN_FILES: Final = 4  # that a full spool has, so that it gets room again by and by
_MAX_FILE_BYTES: Final = 1 << 32  # no file grows so far, whatever the limits
_TAIL_BYTES: Final = 1 << 16
_FOLDER_MODE: Final = 0o750
_FILE_MODE: Final = 0o640
_MIB: Final = 1 << 20


class SpoolFile(NamedTuple):
    """A file of the spool.

    Attributes:
        path: Path of the file.
        begin: Position of its first byte.
        end: Position behind its last byte.
        is_newest: Whether it may still grow.
    """

    path: Path
    begin: int
    end: int
    is_newest: bool


class SpoolLimits(NamedTuple):
    """Limits of the spool.

    Attributes:
        max_mib: Size of all files in MiB from which nothing is added.
        min_free_mib: Free space of the disk in MiB below which nothing is added.
    """

    max_mib: float
    min_free_mib: float


def spool_folder(store: Path) -> Path:
    """Return the directory of the spool, which need not exist."""
    return store / _FOLDER


def make_spool(folder: Path) -> None:
    """Make the directory of the spool, if it does not exist.

    Raises:
        OSError: It cannot be made.
    """
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=_FOLDER_MODE, parents=True)
        fsync_path(folder.parent)


def spool_files(folder: Path) -> list[SpoolFile]:
    """Return the files of a spool, oldest first; none without a spool."""
    try:
        paths = sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))
    except FileNotFoundError:
        return []
    files = []
    for path in paths:
        with contextlib.suppress(FileNotFoundError):  # collected and removed meanwhile
            begin, size = int(path.stem), path.stat().st_size
            files.append(SpoolFile(path, begin, begin + size, path == paths[-1]))
    return files


def remove_collected(folder: Path, position: int) -> None:
    """Remove the complete files that end at a position or before it.

    Args:
        folder: Directory of the spool.
        position: Position before which everything is durable elsewhere.

    Raises:
        OSError: A file cannot be removed.
    """
    for file in spool_files(folder):
        if not file.is_newest and file.end <= position:
            file.path.unlink(missing_ok=True)


class Spool:
    """Appends to a spool. Nothing is opened, and the lock not taken, before the first append.

    Args:
        folder: Directory of the spool.
        limits: Limits of the spool.
    """

    def __init__(self, folder: Path, limits: SpoolLimits) -> None:
        self._folder = folder
        self._limits = limits
        self._lock = contextlib.ExitStack()
        self._is_locked = False
        self._descriptor = -1
        self._begin = 0
        self._size = 0

    def append(self, lines: bytes) -> None:
        """Append whole lines, and return when they are on disk.

        Raises:
            SpoolFullError: The spool has reached its limit.
            StoreBusyError: Another server writes to it.
            WriteError: The disk is full or broken. What was written is cut off, as far as
                possible; else it may be collected although this was not confirmed.
        """
        with self._explained():
            make_spool(self._folder)
            if not self._is_locked:
                self._lock.enter_context(locked(self._folder / "LOCK"))
                self._is_locked = True
            self._keep_file()
            self._check_limits(len(lines))
            self._write(lines)

    def close(self) -> None:
        """Close the file; the next append begins another."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _keep_file(self) -> None:
        """Have a file that is not complete, also in a full spool: the others can be removed."""
        if self._descriptor >= 0 and not os.fstat(self._descriptor).st_nlink:
            self.close()  # somebody has removed the file
        if self._descriptor < 0:
            self._begin_file(self._next_begin())
        elif self._size >= min(_FILE_BYTES, self._limits.max_mib * _MIB / _MIN_FILES):
            begin = self._begin + self._size
            self.close()
            self._begin_file(begin)

    def _check_limits(self, n_bytes: int) -> None:
        n_bytes += sum(file.end - file.begin for file in spool_files(self._folder))
        if n_bytes > self._limits.max_mib * _MIB:
            problem = f"is full: {self._limits.max_mib:g} MiB of events were not collected yet"
            raise SpoolFullError(self._folder, problem)
        if shutil.disk_usage(self._folder).free < self._limits.min_free_mib * _MIB:
            problem = f"less than {self._limits.min_free_mib:g} MiB are free"
            raise WriteError(self._folder, problem, "make room on that disk, then send it again")

    def _next_begin(self) -> int:
        """Return a position above all that were ever read, after cutting off a torn line."""
        files = spool_files(self._folder)
        if not files:
            return time.time_ns()  # no disk writes a byte each nanosecond
        _cut_torn_line(files[-1])
        return max(files[-1].begin + _MAX_FILE_BYTES, time.time_ns())

    def _begin_file(self, begin: int) -> None:
        path = self._folder / f"{begin:019}.log"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        self._descriptor = os.open(path, flags, _FILE_MODE)
        self._begin, self._size = begin, 0
        fsync_path(self._folder)

    def _write(self, lines: bytes) -> None:
        try:
            left = memoryview(lines)
            while left:
                left = left[os.write(self._descriptor, left) :]
            os.fsync(self._descriptor)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._size)
            raise
        self._size += len(lines)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.close()  # after a failed fsync nothing can be said of the file's end
            remedy = "make room there, or check its rights, then send it again"
            problem = f"cannot be written: {error.strerror or error}"
            raise WriteError(self._folder, problem, remedy) from error


def _cut_torn_line(file: SpoolFile) -> None:
    """Remove what follows the last LF of a file."""
    with file.path.open("r+b") as opened:
        end = file.end - file.begin
        while end:
            begin = max(end - _TAIL_BYTES, 0)
            opened.seek(begin)
            found = opened.read(end - begin).rfind(b"\n") + 1
            if found or not begin:
                end = begin + found
                break
            end = begin
        if end < file.end - file.begin:
            opened.truncate(end)
            os.fsync(opened.fileno())
