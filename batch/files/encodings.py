r"""Encodings: what is read becomes UTF-8 with LF or CRLF.

    UTF-16 and UTF-32, a byte order mark, CR alone    of a whole file, by its first bytes
    latin-1, as Windows writes it (cp1252)            of a line: one that is not UTF-8

UTF-8 and ASCII without a mark are passed on as they are, without a copy.
"""

import codecs
import re
from typing import IO, Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from batch.files.layers import Layer, max_lines_left

_CHUNK_BYTES: Final = 1 << 20
_MARKS: Final = (  # UTF-32 first: its mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_MAX_ASCII: Final = 0x7F
_MIN_ZERO_SHARE: Final = 0.5  # of every second byte, in UTF-16 of which half is ASCII
_MIN_ZERO_RATIO: Final = 10.0  # of that share to the share of the other bytes
_LONE_CR: Final = re.compile("\r(?=.)", re.DOTALL)  # at the very end, its LF may follow


class TextForm(NamedTuple):
    """How the text of a file is written.

    Attributes:
        encoding: Name of the encoding; "utf-8" also stands for latin-1 and what else has
            a byte a character.
        mark: Byte order mark at the begin, empty without one.
        has_lone_cr: Whether lines end in CR alone.
    """

    encoding: str = "utf-8"
    mark: bytes = b""
    has_lone_cr: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether the bytes behind the mark are read as they are."""
        return self.encoding == "utf-8" and not self.has_lone_cr


PLAIN: Final = TextForm()


def text_form(head: bytes) -> TextForm:
    """Return the form of a text that begins with `head`."""
    mark, encoding = next(
        ((mark, name) for mark, name in _MARKS if head.startswith(mark)), (b"", None)
    )
    encoding = encoding or _unmarked_utf16(head) or "utf-8"
    text = head[len(mark) :].decode("latin-1" if encoding == "utf-8" else encoding, "replace")
    return TextForm(encoding, mark, "\n" not in text and bool(_LONE_CR.search(text)))


def _unmarked_utf16(head: bytes) -> str | None:
    """Return the encoding of UTF-16 without a mark, of which every second byte is mostly 0."""
    even, odd = (np.frombuffer(head[begin::2], np.uint8) for begin in (0, 1))
    if b"\0" not in head or not len(odd):
        return None
    shares = [float(np.mean(half == 0)) for half in (even, odd)]
    if max(shares) < max(_MIN_ZERO_SHARE, _MIN_ZERO_RATIO * min(shares)):
        return None
    return "utf-16-le" if shares[1] > shares[0] else "utf-16-be"


class Utf8(Layer):
    """Text of another form as UTF-8 with LF; what cannot be decoded becomes U+FFFD.

    Args:
        source: File, open for reading behind its mark.
        form: Form of its text.
    """

    def __init__(self, source: IO[bytes], form: TextForm) -> None:
        self._source = source
        self._has_lone_cr = form.has_lone_cr
        self._decoder = None
        if form.encoding != "utf-8":
            self._decoder = codecs.getincrementaldecoder(form.encoding)("replace")
        self._ready = memoryview(b"")
        self._is_done = False

    def readinto(self, buffer: Any) -> int:
        """Read UTF-8."""
        while not self._ready and not self._is_done:
            data = self._source.read(_CHUNK_BYTES)
            self._is_done = not data
            self._ready = memoryview(self._converted(data))
        n_read = min(len(buffer), len(self._ready))
        buffer[:n_read] = self._ready[:n_read]
        self._ready = self._ready[n_read:]
        return n_read

    def _converted(self, data: bytes) -> bytes:
        if self._decoder:
            data = self._decoder.decode(data, final=self._is_done).encode("utf-8")
        return data.replace(b"\r", b"\n") if self._has_lone_cr else data

    def max_lines_left(self, min_line_bytes: int) -> int:
        """Return the number of lines that the source and the converted bytes can hold."""
        n_below = max_lines_left(self._source, min_line_bytes)
        return n_below + len(self._ready) // min_line_bytes


def as_utf8(lines: pa.BinaryArray) -> pa.BinaryArray:
    """Return the same lines, those that are not UTF-8 decoded by `decoded`.

    Without such a line, this is the same array.
    """
    data = lines.buffers()[2]
    if data is None or np.frombuffer(data, np.uint8).max(initial=0) <= _MAX_ASCII:
        return lines
    try:
        lines.cast(pa.string())
    except pa.ArrowInvalid:
        return pa.array((decoded(line).encode() for line in lines.to_pylist()), pa.binary())
    return lines


def decoded(line: bytes) -> str:
    """Return a line as text: UTF-8, else cp1252, else latin-1."""
    for encoding in ("utf-8", "cp1252"):
        try:
            return line.decode(encoding)
        except UnicodeDecodeError:  # MovieLens files until 2003
            continue
    return line.decode("latin-1")
