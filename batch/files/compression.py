"""Compression: gzip, bz2, xz and zstd, unpacked as long as the size is plausible.

    events.log.zst ─► packed bytes ─► unpacked bytes, at most 200 times as many

A small file cannot become a large one: what unpacks to far more than logs do is refused.
"""

import bz2
import gzip
import io
import lzma
import re
from collections.abc import Callable
from typing import IO, Any, Final, NamedTuple, cast

import pyarrow as pa

from batch.errors import InputError
from batch.files.input_file import InputFile, n_bytes_of
from batch.files.layers import Layer, damage_explained

MAX_RATIO: Final = 200  # unpacked to packed bytes; logs have 10 to 30, blank lines 1,000
UNCHECKED_BYTES: Final = 1 << 24  # unpacked bytes below which the ratio does not matter
_MAX_LINES_PER_PACKED_BYTE: Final = 4  # distinct lines; real logs take 2 to 10 bytes a line
_MAX_HELD_BYTES: Final = 1 << 20  # packed bytes in a decompressor; bz2 has blocks of 0.9 MB


class Codec(NamedTuple):
    """A way to compress one file.

    Attributes:
        name: Name in messages.
        magic: Pattern of its first bytes.
        unpack: Function that opens a packed file for reading unpacked bytes.
    """

    name: str
    magic: re.Pattern[bytes]
    unpack: Callable[[IO[bytes]], io.BufferedIOBase]


class _Borrowed(io.RawIOBase):
    """A file that stays open when this is closed, as pyarrow closes its sources."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def read(self, n_bytes: int = -1) -> bytes:
        return self._file.read(n_bytes)


def _unpack_zstd(packed: IO[bytes]) -> io.BufferedIOBase:
    """Open zstd by pyarrow: Python 3.11 has none."""
    source = pa.PythonFile(_Borrowed(packed), mode="r")
    return cast(io.BufferedIOBase, pa.CompressedInputStream(source, "zstd"))


_CODECS: Final = (
    Codec("gzip", re.compile(rb"\x1f\x8b"), lambda packed: gzip.GzipFile(fileobj=packed)),
    Codec("bz2", re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)"), bz2.BZ2File),
    Codec("xz", re.compile(rb"\xfd7zXZ\x00"), lzma.LZMAFile),
    Codec("zstd", re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"), _unpack_zstd),
)


def codec_of(head: bytes) -> Codec | None:
    """Return the codec of a file that begins with `head`; None if it is not packed."""
    return next((codec for codec in _CODECS if codec.magic.match(head)), None)


class Unpacked(Layer):
    """The unpacked bytes of a packed file, as long as their number is plausible.

    Args:
        file: Packed file.
        packed: The same, open for reading at its begin.
        codec: Codec that it is packed by.
    """

    def __init__(self, file: InputFile, packed: IO[bytes], codec: Codec) -> None:
        self._file, self._packed, self._codec = file, packed, codec
        self._n_packed_bytes = n_bytes_of(file, packed)
        # A member may be packed twice; what counts are the bytes of the archive that it takes.
        taken = file.member.n_packed_bytes if file.member else self._n_packed_bytes
        self._max_ratio = MAX_RATIO * min(taken / max(self._n_packed_bytes, 1), 1.0)
        self._n_bytes = 0
        with damage_explained(file, f"{codec.name} file"):
            self._unpacked = codec.unpack(packed)

    def readinto(self, buffer: Any) -> int:
        """Read unpacked bytes.

        Raises:
            InputError: The file is damaged, or unpacks to far more than logs do.
        """
        with damage_explained(self._file, f"{self._codec.name} file"):
            n_read = self._unpacked.readinto(buffer)
        self._n_bytes += n_read
        if self._n_bytes > UNCHECKED_BYTES + self._max_ratio * self._packed.tell():
            raise implausible(self._file)
        return n_read

    def max_lines_left(self, min_line_bytes: int) -> int:
        """Return the number of lines for which the packed bytes left could suffice."""
        n_left = max(self._n_packed_bytes - self._packed.tell(), 0) + _MAX_HELD_BYTES
        return n_left * _MAX_LINES_PER_PACKED_BYTE


def implausible(file: object) -> InputError:
    """Return the error of a file that unpacks to far more than logs do."""
    problem = f"unpacks to more than {MAX_RATIO} times its size"
    return InputError(file, problem, "unpack it yourself and look into it")
