"""Checked parsing: the limits of every small file that a store holds.

    bytes of a file ─► at most N of a regular file ─► text, number, time, JSON of a checked type

Another program, a remote or a broken disk may have written any byte of them. Every
function here raises `ValueError` with a short printable message for content that is
not valid, and nothing else; `OSError` for a file that cannot be read. The callers turn
both into errors of their own family.
"""

import errno
import json
import os
import re
import stat
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

MAX_GENERATION: Final = 10**12
MAX_COUNT: Final = (1 << 63) - 1

MAX_POINTER_BYTES: Final = 64
MAX_PIN_BYTES: Final = 1 << 20  # the reason may be long
MAX_JOURNAL_BYTES: Final = 1 << 24  # of the end; older lines are not read
MAX_MANIFEST_BYTES: Final = 1 << 23
MAX_CHECKSUMS_BYTES: Final = 1 << 16
MAX_EXPERIMENT_BYTES: Final = 1 << 16
MAX_TAKEDOWN_BYTES: Final = 1 << 24

_MAX_DEPTH: Final = 32  # of nested JSON
_MAX_CONTAINERS: Final = 100_000  # arrays and objects of a JSON text: each takes memory
_MAX_TIME_CHARACTERS: Final = 40
_MAX_EXCERPT_CHARACTERS: Final = 60
_EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(9000, 1, 1, tzinfo=UTC)
_GENERATION: Final = re.compile(r"[0-9]{1,13}")
# A text in full, so that brackets in it do not count. Possessive: no input makes it slow.
_BRACKETS: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[{]|[\]}]', re.DOTALL)


def read_small(path: Path, max_bytes: int) -> bytes:
    """Return the content of a regular file of at most `max_bytes`.

    Raises:
        OSError: It cannot be read, or is not a regular file.
        ValueError: It is larger.
    """
    with open(_open_regular(path), "rb") as file:
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise ValueError(f"more than {max_bytes:,} bytes")
    return content


def read_start(path: Path, n_bytes: int) -> bytes:
    """Return the first bytes of a regular file.

    Raises:
        OSError: It cannot be read, or is not a regular file.
    """
    with open(_open_regular(path), "rb") as file:
        return file.read(n_bytes)


def read_end(path: Path, max_bytes: int) -> bytes:
    """Return the last bytes of a regular file; they may begin within a line.

    Raises:
        OSError: It cannot be read, or is not a regular file.
    """
    with open(_open_regular(path), "rb") as file:
        file.seek(max(file.seek(0, os.SEEK_END) - max_bytes, 0))
        return file.read(max_bytes)


def excerpt(value: object) -> str:
    """Return the begin of a value, printable and escaped, for a message."""
    shown = ascii(value if not isinstance(value, str | bytes) else value[:_MAX_EXCERPT_CHARACTERS])
    return shown[:_MAX_EXCERPT_CHARACTERS]


def parse_generation(text: str) -> int:
    """Return the generation that a text names.

    Raises:
        ValueError: It is not a number from 1 to `MAX_GENERATION`; the message is an excerpt.
    """
    number = int(text) if _GENERATION.fullmatch(text) else 0
    if not 1 <= number <= MAX_GENERATION:
        raise ValueError(excerpt(text))
    return number


def parse_time(value: object) -> datetime:
    """Return a time in ISO 8601 with its zone.

    Raises:
        ValueError: It is another text or type, has no zone, or is not within 1970 to 8999.
    """
    if isinstance(value, str) and value.isascii() and len(value) <= _MAX_TIME_CHARACTERS:
        try:
            time = datetime.fromisoformat(value)
            if time.tzinfo is not None and _EARLIEST <= time < _LATEST:
                return time
        except (ValueError, OverflowError):
            pass  # as any other text
    raise ValueError(f"{excerpt(value)} is not a time in ISO 8601 with a zone")


def parse_json_object(content: bytes) -> dict[str, Any]:
    """Return a JSON object that can be written as JSON again.

    Raises:
        ValueError: It is not JSON in UTF-8, not an object, or nested too deeply.
    """
    depth = n_containers = 0
    for token in _BRACKETS.finditer(content):
        first = content[token.start()]
        n_containers += first in b"[{"
        depth += (first in b"[{") - (first in b"]}")
        if depth > _MAX_DEPTH or n_containers > _MAX_CONTAINERS:
            raise ValueError(f"is nested deeper than {_MAX_DEPTH} levels, or has too many parts")
    try:
        document = json.loads(content.decode())
        json.dumps(document, ensure_ascii=False).encode()  # half a surrogate pair cannot be written
    except UnicodeError as error:
        raise ValueError("is not UTF-8") from error  # the error itself holds the whole content
    if not isinstance(document, dict):
        raise ValueError("is not a JSON object")  # noqa: TRY004 - one kind of damaged file
    return document


def is_count(value: object, minimum: int = 0, maximum: int = MAX_COUNT) -> bool:
    """Return whether a value is an integer, not a boolean, within these limits."""
    return type(value) is int and minimum <= value <= maximum


def is_counts(value: object) -> bool:
    """Return whether a value is an object of counts by name."""
    return isinstance(value, Mapping) and all(map(is_count, value.values()))


def is_file_name(name: str) -> bool:
    """Return whether a text can be the name of a file in a given directory, and nothing else."""
    return name not in ("", ".", "..") and "/" not in name and name.isprintable()


def _open_regular(path: Path) -> int:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _check_regular(path, os.fstat(descriptor).st_mode)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _check_regular(path: Path, mode: int) -> None:
    """Refuse a directory, and a pipe or device, which could be read for ever."""
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
