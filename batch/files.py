"""Input files: plain or gzip, recognized by their content and never by their name."""

import contextlib
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final, cast

from batch.errors import InputError

_GZIP: Final = b"\x1f\x8b"
_PARQUET: Final = b"PAR1"
_HEAD_BYTES: Final = 1 << 16


@contextlib.contextmanager
def open_input(path: Path) -> Iterator[IO[bytes]]:
    """Open an input file for reading bytes, decompressed if it is gzip.

    Raises:
        InputError: It is missing, unreadable, or a broken gzip file; also if the
            fault appears only during reading.
    """
    try:
        with path.open("rb") as raw:
            is_gzip = raw.read(2) == _GZIP
            raw.seek(0)
            yield cast(IO[bytes], gzip.GzipFile(fileobj=raw)) if is_gzip else raw
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
