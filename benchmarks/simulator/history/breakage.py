"""Ways to break single lines: each function takes a valid line without its end and breaks it."""

import json
import string
from typing import Final

import numpy as np

_FOREIGN: Final = (string.ascii_letters + string.digits + " ").encode()
_LETTERS: Final = (string.ascii_letters + string.digits).encode()
_NOT_INTEGERS: Final = (b"", b"-1", b"4.5", b"five", b"NaN", b"1e3", b"5/5")
_OUTSIDE_SCALE: Final = (b"0", b"11", b"42", b"99999999999999999999")
_IMPLAUSIBLE_TIMES: Final = (b"1970-01-01T00:00", b"1969-12-31T23:59:59", b"2106-02-07T06:28:15")
_NONEXISTENT_TIMES: Final = (b"2026-02-30T12:00:00", b"2026-13-01T12:00:00", b"2026-01-01T24:00:01",
                        b"2026-01-01T12:61:00", b"0000-00-00T00:00:00")  # fmt: skip
_MAX_MINUTES: Final = 1_196  # the maximum of the real log
_MIN_MINUTES: Final = 400


def foreign(line: bytes, rng: np.random.Generator) -> bytes:
    """Insert one blank, letter or digit anywhere."""
    position = int(rng.integers(len(line) + 1))
    return line[:position] + _random_character(_FOREIGN, rng) + line[position:]


def item(line: bytes, rng: np.random.Generator) -> bytes:
    """Replace the item by 8 to 53 random characters."""
    name = b"".join(_random_character(_LETTERS, rng) for _ in range(int(rng.integers(8, 54))))
    if b"GET /rate/" in line:
        head, _, rest = line.partition(b"GET /rate/")
        return head + b"GET /rate/" + name + b"=" + rest.rpartition(b"=")[2]
    head, _, rest = line.partition(b"GET /data/m/")
    return head + b"GET /data/m/" + name + b"/" + rest.rpartition(b"/")[2] if rest else line


def minute(line: bytes, rng: np.random.Generator) -> bytes:
    """Set a minute far behind the end of any film."""
    number = int(rng.integers(_MIN_MINUTES, _MAX_MINUTES + 1))
    return line.rpartition(b"/")[0] + f"/{number}.mpg".encode()


def rating(line: bytes, rng: np.random.Generator) -> bytes:
    """Set a whole number outside the scale of ratings."""
    return line.rpartition(b"=")[0] + b"=" + _OUTSIDE_SCALE[int(rng.integers(len(_OUTSIDE_SCALE)))]


def number(line: bytes, rng: np.random.Generator) -> bytes:
    """Set a rating that is not a whole number."""
    return line.rpartition(b"=")[0] + b"=" + _NOT_INTEGERS[int(rng.integers(len(_NOT_INTEGERS)))]


def truncated(line: bytes, rng: np.random.Generator) -> bytes:
    """Cut the line off at a random position."""
    return line[: int(rng.integers(1, len(line)))]


def fields(line: bytes, rng: np.random.Generator) -> bytes:
    """Add a field: a row of 4 fields in a file of rows of 3."""
    return line + b"," + str(rng.integers(1000)).encode()


def time(line: bytes, rng: np.random.Generator) -> bytes:
    """Set a valid time that is implausible."""
    return _with_time(line, _IMPLAUSIBLE_TIMES[int(rng.integers(len(_IMPLAUSIBLE_TIMES)))])


def date(line: bytes, rng: np.random.Generator) -> bytes:
    """Set a date or a time of day that does not exist."""
    return _with_time(line, _NONEXISTENT_TIMES[int(rng.integers(len(_NONEXISTENT_TIMES)))])


def encoding(line: bytes, rng: np.random.Generator) -> bytes:
    """Write the line, or a character of it, in another encoding."""
    position = int(rng.integers(len(line) + 1))
    variants = (
        line[:position] + "é".encode() + line[position:],
        line[:position] + "é".encode("latin-1") + line[position:],
        line.decode().encode("utf-16"),
        b"\xef\xbb\xbf" + line,
    )
    return variants[int(rng.integers(len(variants)))]


def schema(line: bytes, rng: np.random.Generator) -> bytes:
    """Write the same event in a form that no edition has."""
    at, user, event = line.split(b",", 2)
    variants = (
        json.dumps(
            {"time": at.decode(), "user_id": user.decode(), "event": event.decode()}
        ).encode(),
        b",".join((user, at, event)),
        b"\t".join((at, user, event)),
        b",".join((at, user, event.replace(b"GET /", b"POST /v2/"))),
    )
    return variants[int(rng.integers(len(variants) - (b"GET /" not in event)))]


def _with_time(line: bytes, at: bytes) -> bytes:
    return at + b"," + line.partition(b",")[2]


def _random_character(characters: bytes, rng: np.random.Generator) -> bytes:
    position = int(rng.integers(len(characters)))
    return characters[position : position + 1]
