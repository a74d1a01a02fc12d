"""Layers of reading: bytes that are made of the bytes below them.

    file ─► member of an archive ─► unpacked ─► UTF-8

A layer reports damage of what is below it as an `InputError`, and limits how many lines it
can still hold, so that a broken file is given up early.
"""

import abc
import contextlib
import errno
import io
import lzma
import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO, Any, Final

from batch.errors import InputError

BUFFER_BYTES: Final = 1 << 16
_DAMAGE: Final = (
    EOFError,
    OSError,  # without a number, or of an impossible offset
    ValueError,
    lzma.LZMAError,
    struct.error,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
)


class Layer(io.RawIOBase, abc.ABC):
    """Bytes made of other bytes."""

    def readable(self) -> bool:
        """Return True: a layer is only read."""
        return True

    @abc.abstractmethod
    def readinto(self, buffer: Any) -> int:
        """Read bytes into a buffer, and return their number; 0 at the end."""

    @abc.abstractmethod
    def max_lines_left(self, min_line_bytes: int) -> int:
        """Return how many valid lines can still be read at the most.

        Args:
            min_line_bytes: Length of the shortest valid line, its end included.
        """


def max_lines_left(file: IO[bytes], min_line_bytes: int) -> int:
    """Return how many valid lines an open input can still hold at the most.

    Args:
        file: File of `open_input`.
        min_line_bytes: Length of the shortest valid line, its end included.
    """
    raw = getattr(file, "raw", None)
    if isinstance(raw, Layer):
        return raw.max_lines_left(min_line_bytes) + BUFFER_BYTES // min_line_bytes
    return max(os.fstat(file.fileno()).st_size - file.tell(), 0) // min_line_bytes


@contextlib.contextmanager
def damage_explained(subject: object, kind: str) -> Iterator[None]:
    """Turn the errors of unpacking into one message; errors of the disk pass.

    Args:
        subject: Name of the file.
        kind: Kind of packing: "gzip file".

    Raises:
        InputError: The file is truncated or damaged.
    """
    try:
        yield
    except _DAMAGE as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        raise InputError(subject, f"is not a whole {kind}: {error}", "fetch it again") from error
