"""Opening an input file: plain or packed, in any encoding, alone or in an archive.

    events.log.gz ─► packed bytes ─► unpacked bytes ─► UTF-8 with LF or CRLF ─► lines

All is recognized by content. Plain UTF-8 passes through without a copy.
"""

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final, NamedTuple

from batch.errors import UnreadKindError
from batch.files.archives import archive_name, temporary_copy
from batch.files.compression import Unpacked, codec_of
from batch.files.encodings import PLAIN, Utf8, decoded, text_form
from batch.files.input_file import AnyFile, InputFile, input_file, open_bytes
from batch.files.layers import BUFFER_BYTES
from batch.files.refused import UNPACK, check_kind

_PARQUET: Final = b"PAR1"
_HEAD_BYTES: Final = 1 << 16


@contextlib.contextmanager
def open_input(file: AnyFile) -> Iterator[IO[bytes]]:
    """Open an input file for reading UTF-8 text, or Parquet as it is.

    Text has lines that end in LF or CRLF and no byte order mark. A line that is not UTF-8
    stays as it is: see `encodings.decoded`.

    Raises:
        InputError: It is missing, unreadable, damaged, an archive, of a kind that is not
            read, or one that unpacks to far more than logs do; also if the fault appears
            only during reading.
    """
    file = input_file(file)
    with open_bytes(file) as raw:
        content, head = _unpacked(file, raw)
        form = PLAIN if head.startswith(_PARQUET) else text_form(head)
        content.read(len(form.mark))
        if form.is_plain:
            yield content
        else:
            yield io.BufferedReader(Utf8(content, form), BUFFER_BYTES)


def _unpacked(file: InputFile, raw: IO[bytes]) -> tuple[IO[bytes], bytes]:
    """Return the unpacked content of an open file, and its first bytes.

    Raises:
        InputError: It is packed twice, or of a kind that is not read.
    """
    content, head = raw, raw.read(_HEAD_BYTES)
    raw.seek(0)
    codec = codec_of(head)
    if codec:
        head = io.BufferedReader(Unpacked(file, raw, codec), BUFFER_BYTES).read(_HEAD_BYTES)
        raw.seek(0)
        content = io.BufferedReader(Unpacked(file, raw, codec), BUFFER_BYTES)
        if inner := codec_of(head):
            raise UnreadKindError(file, f"is {inner.name} packed by {codec.name}", UNPACK)
    if kind := archive_name(head):
        raise UnreadKindError(file, f"is a {kind} archive", UNPACK)
    check_kind(file, head)
    return content, head


def head_lines(file: AnyFile) -> list[str]:
    """Return the first whole lines of a text file, at most 64 KiB of them.

    Raises:
        InputError: The file cannot be read.
        UnreadKindError: It is empty, or of a kind that is not read.
    """
    with open_input(file) as content:
        head = content.read(_HEAD_BYTES)
    if not head.strip():
        raise UnreadKindError(file, "is empty", "give a file with at least one line")
    whole, newline, _ = head.rpartition(b"\n")
    lines = whole if newline and len(head) == _HEAD_BYTES else head
    return "".join(map(decoded, lines.splitlines(keepends=True))).splitlines()


def is_parquet(file: AnyFile) -> bool:
    """Return whether a file begins like Parquet."""
    with open_input(file) as content:
        return content.read(len(_PARQUET)) == _PARQUET


class Seekable(NamedTuple):
    """A file that can be read in any order.

    Attributes:
        source: Path of the file, or a temporary file with its unpacked bytes.
        n_bytes: Size, unpacked.
    """

    source: Path | IO[bytes]
    n_bytes: int


@contextlib.contextmanager
def open_seekable(file: AnyFile) -> Iterator[Seekable]:
    """Open a file that is read in any order, as Parquet is.

    A packed one, or a member of an archive, is unpacked to a temporary file.

    Raises:
        InputError: As `open_input`; or the directory of temporary files is full.
    """
    file = input_file(file)
    with open_input(file) as content:
        if isinstance(getattr(content, "raw", None), io.FileIO):
            yield Seekable(file.path, file.path.stat().st_size)
        else:
            with temporary_copy(file, content) as copy:
                n_bytes = copy.seek(0, os.SEEK_END)
                copy.seek(0)
                yield Seekable(copy, n_bytes)
