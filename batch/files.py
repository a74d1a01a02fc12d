"""Input files: plain or gzip, recognized by their content and never by their name.

    events.log.gz ─► packed bytes ─► unpacked bytes, at most 200 times as many ─► lines

A small file cannot become a large one: gzip that unpacks to far more than logs do is refused.
"""

import contextlib
import gzip
import io
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final

from batch.errors import InputError

_GZIP: Final = b"\x1f\x8b"
_PARQUET: Final = b"PAR1"
_HEAD_BYTES: Final = 1 << 16
_BUFFER_BYTES: Final = 1 << 16
_MAX_RATIO: Final = 200  # unpacked to packed bytes; logs have 10 to 30, blank lines 1,000
_UNCHECKED_BYTES: Final = 1 << 24  # unpacked bytes below which the ratio does not matter
_MIN_PACKED_LINE_BYTES: Final = 1  # packed bytes of a distinct line, at the least


class _Unpacked(io.RawIOBase):
    """The unpacked bytes of a gzip file, as long as their number is plausible.

    Args:
        path: Path of the file, for messages.
        packed: Packed file, open for reading.
    """

    def __init__(self, path: Path, packed: IO[bytes]) -> None:
        self.packed = packed
        self._path = path
        self._unpacked = gzip.GzipFile(fileobj=packed)
        self._n_bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        n_read = self._unpacked.readinto(buffer)
        self._n_bytes += n_read
        if self._n_bytes > _UNCHECKED_BYTES + _MAX_RATIO * self.packed.tell():
            problem = f"unpacks to more than {_MAX_RATIO} times its size"
            raise InputError(self._path, problem, "unpack it yourself and look into it")
        return n_read


@contextlib.contextmanager
def open_input(path: Path) -> Iterator[IO[bytes]]:
    """Open an input file for reading bytes, decompressed if it is gzip.

    Raises:
        InputError: It is missing, unreadable, a broken gzip file, or one that unpacks to
            far more than logs do; also if the fault appears only during reading.
    """
    try:
        with path.open("rb") as raw:
            is_gzip = raw.read(2) == _GZIP
            raw.seek(0)
            yield io.BufferedReader(_Unpacked(path, raw), _BUFFER_BYTES) if is_gzip else raw
    except FileNotFoundError:
        raise InputError(path, "no such file", "check the path") from None
    except PermissionError:
        raise InputError(path, "permission denied", "give this user the right to read it") from None
    except IsADirectoryError:
        raise InputError(path, "is a directory", "name the files in it") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(path, f"is not a whole gzip file: {error}", "fetch it again") from error
    except OSError as error:
        raise InputError(path, f"cannot be read: {error.strerror}", "check the disk") from error


def max_lines_left(file: IO[bytes], min_line_bytes: int) -> int:
    """Return how many valid lines an open input can still hold at the most.

    Args:
        file: File of `open_input`.
        min_line_bytes: Length of the shortest valid line, its end included.
    """
    raw = getattr(file, "raw", None)
    if isinstance(raw, _Unpacked):
        left = os.fstat(raw.packed.fileno()).st_size - raw.packed.tell()
        return (max(left, 0) + _BUFFER_BYTES) // _MIN_PACKED_LINE_BYTES
    return max(os.fstat(file.fileno()).st_size - file.tell(), 0) // min_line_bytes


def head_lines(path: Path) -> list[str]:
    """Return the first whole lines of a text file, at most 64 KiB of them.

    Undecodable bytes become U+FFFD: the lines only serve to recognize the kind of file.

    Raises:
        InputError: The file cannot be read, or is empty.
    """
    with open_input(path) as file:
        head = file.read(_HEAD_BYTES)
    if not head.strip():
        raise InputError(path, "is empty", "give a file with at least one line")
    whole, newline, _ = head.rpartition(b"\n")
    text = (whole if newline and len(head) == _HEAD_BYTES else head).decode("utf-8", "replace")
    return text.removeprefix("\ufeff").splitlines()


def is_parquet(path: Path) -> bool:
    """Return whether a file begins like Parquet."""
    with open_input(path) as file:
        return file.read(len(_PARQUET)) == _PARQUET
