"""A stream that is a growing file: whole lines only, in pieces of a given size if wanted.

    events.000001.log    full, the oldest that is kept
    events.000002.log    full
    events.log           grows

By name they are in order of time, as the refresh reads a directory.
"""

import contextlib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.simulator.live.errors import StreamError
from benchmarks.simulator.live.stream.dropped_lines import Losses

_BUFFER_BYTES: Final = 64 << 20
_WAY_OUT: Final = "see that the disk has room, or keep fewer pieces"


class FileStream:
    """Appends lines to a file.

    Args:
        path: Of the file that grows; what is in it stays.
        piece_bytes: Size at which it is put aside and a new one begun; None: never.
        n_kept: Pieces put aside that are kept, the oldest are removed; None: all.
        line_end: Of every line.
        buffer_bytes: Of lines that wait while the disk is full.

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
        self._losses = Losses()
        self._waiting = b""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._open()
            self._end_half_line()
        except OSError as error:
            what = f"cannot be written: {error.strerror}"
            raise StreamError(path, what, "choose another file") from error

    @property
    def n_dropped(self) -> int:
        """Lines that were thrown away while the disk was full."""
        return self._losses.n_lines

    def send(self, lines: Sequence[bytes]) -> None:
        """Append lines; while they cannot be written they wait, as far as the buffer lasts."""
        self.n_sent += len(lines)
        if not lines:
            return
        data = self._line_end.join(lines) + self._line_end
        if self._waiting and len(self._waiting) + len(data) > self._buffer_bytes:
            self._losses.add(lines)
        else:
            self._waiting += data
        self._write()

    def close(self) -> None:
        """Write what still waits.

        Raises:
            StreamError: Lines were lost; it says how many.
        """
        self._write()
        os.close(self._file)
        self._losses.add(self._waiting.split(self._line_end)[:-1])
        self._losses.check(self.path, _WAY_OUT)

    def _write(self) -> None:
        try:
            while self._waiting:
                n_bytes = self._room()
                if not n_bytes:
                    self._put_aside()
                    continue
                written = os.write(self._file, self._waiting[:n_bytes])
                if not self._keep_whole_lines(written):
                    return  # the disk is full
        except OSError:
            pass  # the lines wait; close() says what never came through

    def _room(self) -> int:
        """Return how much of what waits goes into this piece, whole lines; 0: it is full."""
        if self._piece_bytes is None:
            return len(self._waiting)
        room = self._piece_bytes - self._size
        if len(self._waiting) <= room:
            return len(self._waiting)
        end = self._waiting.rfind(self._line_end, 0, max(room, 0))
        if end < 0 and not self._size:  # a line longer than a piece has one of its own
            end = self._waiting.find(self._line_end)
        return end + len(self._line_end) if end >= 0 else 0

    def _keep_whole_lines(self, written: int) -> int:
        """Take back what a full disk has let through of a line; return what stays, in bytes."""
        end = self._waiting.rfind(self._line_end, 0, written)
        whole = end + len(self._line_end) if end >= 0 else 0
        if whole < written:
            os.ftruncate(self._file, self._size + whole)
        self._size += whole
        self._waiting = self._waiting[whole:]
        return whole

    def _put_aside(self) -> None:
        pieces = self._pieces()
        number = 1 + (self._number(pieces[-1]) if pieces else 0)
        with contextlib.suppress(
            FileNotFoundError
        ):  # renamed before, then no new one could be made
            self.path.rename(self.path.with_stem(f"{self.path.stem}.{number:06d}"))
        full = self._file
        self._open()
        os.close(full)
        if self._n_kept is not None:
            for old in self._pieces()[: -self._n_kept or None]:
                old.unlink()

    def _pieces(self) -> list[Path]:
        """Return what was put aside, the oldest first."""
        form = re.compile(rf"{re.escape(self.path.stem)}\.\d{{6,}}{re.escape(self.path.suffix)}")
        found = (path for path in self.path.parent.iterdir() if form.fullmatch(path.name))
        return sorted(found, key=self._number)

    def _number(self, piece: Path) -> int:
        return int(piece.stem.rpartition(".")[2])

    def _open(self) -> None:
        self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._size = os.fstat(self._file).st_size

    def _end_half_line(self) -> None:
        """Let what a killed writer has left of a line be a line of its own."""
        with self.path.open("rb") as file:
            file.seek(max(self._size - 1, 0))
            if file.read(1) not in (b"", b"\n"):
                self._size += os.write(self._file, self._line_end)
