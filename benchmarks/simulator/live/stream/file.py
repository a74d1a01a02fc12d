"""A stream to a growing file: whole lines only, rotated by size if wanted.

    events.000001.log    full, the oldest that is kept
    events.000002.log    full
    events.log           grows

Their names are in order of time, the order in which the refresh reads a directory.
"""

import contextlib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.simulator.live.errors import StreamError
from benchmarks.simulator.live.stream.dropped_lines import DroppedLines

_BUFFER_BYTES: Final = 64 << 20
_REMEDY: Final = "free space on the disk, or keep fewer pieces"


class FileStream:
    """Appends lines to a file.

    Args:
        path: Path of the growing file; existing lines stay.
        piece_bytes: Size at which the file is rotated; None: never.
        n_kept: Number of rotated pieces to keep, the oldest are removed; None: all.
        line_end: End of every line.
        buffer_bytes: Size of the buffer of lines while the disk is full.

    Raises:
        StreamError: The file cannot be opened.
    """

    def __init__(
        self,
        path: Path,
        *,
        piece_bytes: int | None = None,
        n_kept: int | None = None,
        line_end: bytes = b"\n",
        buffer_bytes: int = _BUFFER_BYTES,
    ) -> None:
        self.path = path
        self.n_sent = 0
        self._piece_bytes = piece_bytes
        self._n_kept = n_kept
        self._line_end = line_end
        self._buffer_bytes = buffer_bytes
        self._dropped = DroppedLines()
        self._waiting = b""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._open()
            self._end_partial_line()
        except OSError as error:
            problem = f"cannot be written: {error.strerror}"
            raise StreamError(path, problem, "choose another file") from error

    @property
    def n_dropped(self) -> int:
        """Lines that were dropped while the disk was full."""
        return self._dropped.n_lines

    def send(self, lines: Sequence[bytes]) -> None:
        """Append lines; lines that cannot be written wait in the buffer until it is full."""
        self.n_sent += len(lines)
        if not lines:
            return
        data = self._line_end.join(lines) + self._line_end
        if self._waiting and len(self._waiting) + len(data) > self._buffer_bytes:
            self._dropped.add(lines)
        else:
            self._waiting += data
        self._write()

    def close(self) -> None:
        """Write the lines that still wait.

        Raises:
            StreamError: Lines were dropped; the message has their number.
        """
        self._write()
        os.close(self._file)
        self._dropped.add(self._waiting.split(self._line_end)[:-1])
        self._dropped.check(self.path, _REMEDY)

    def _write(self) -> None:
        try:
            while self._waiting:
                n_bytes = self._room()
                if not n_bytes:
                    self._rotate()
                    continue
                written = os.write(self._file, self._waiting[:n_bytes])
                if not self._keep_whole_lines(written):
                    return  # the disk is full
        except OSError:
            pass  # the lines wait; close() reports those that were never written

    def _room(self) -> int:
        """Return how many waiting bytes, in whole lines, fit into this piece; 0: it is full."""
        if self._piece_bytes is None:
            return len(self._waiting)
        room = self._piece_bytes - self._size
        if len(self._waiting) <= room:
            return len(self._waiting)
        end = self._waiting.rfind(self._line_end, 0, max(room, 0))
        if end < 0 and not self._size:  # a line longer than a piece gets its own
            end = self._waiting.find(self._line_end)
        return end + len(self._line_end) if end >= 0 else 0

    def _keep_whole_lines(self, written: int) -> int:
        """Remove a partial line that a full disk has accepted; return the bytes that stay."""
        end = self._waiting.rfind(self._line_end, 0, written)
        whole = end + len(self._line_end) if end >= 0 else 0
        if whole < written:
            os.ftruncate(self._file, self._size + whole)
        self._size += whole
        self._waiting = self._waiting[whole:]
        return whole

    def _rotate(self) -> None:
        pieces = self._pieces()
        number = 1 + (self._number(pieces[-1]) if pieces else 0)
        with contextlib.suppress(FileNotFoundError):  # renamed before a new file failed to open
            self.path.rename(self.path.with_stem(f"{self.path.stem}.{number:06d}"))
        full = self._file
        self._open()
        os.close(full)
        if self._n_kept is not None:
            for old in self._pieces()[: -self._n_kept or None]:
                old.unlink()

    def _pieces(self) -> list[Path]:
        """Return the rotated pieces, the oldest first."""
        form = re.compile(rf"{re.escape(self.path.stem)}\.\d{{6,}}{re.escape(self.path.suffix)}")
        found = (path for path in self.path.parent.iterdir() if form.fullmatch(path.name))
        return sorted(found, key=self._number)

    def _number(self, piece: Path) -> int:
        return int(piece.stem.rpartition(".")[2])

    def _open(self) -> None:
        self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._size = os.fstat(self._file).st_size

    def _end_partial_line(self) -> None:
        """End a partial line that a killed writer has left."""
        with self.path.open("rb") as file:
            file.seek(max(self._size - 1, 0))
            if file.read(1) not in (b"", b"\n"):
                self._size += os.write(self._file, self._line_end)
