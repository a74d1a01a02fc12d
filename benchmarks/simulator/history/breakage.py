"""How single lines break: each function takes a sound line without its end, and spoils it."""

import json
import string
from typing import Final

import numpy as np

_FOREIGN: Final = (string.ascii_letters + string.digits + " ").encode()
_LETTERS: Final = (string.ascii_letters + string.digits).encode()
_NO_NUMBERS: Final = (b"", b"-1", b"4.5", b"five", b"NaN", b"1e3", b"5/5")
_OFF_SCALE: Final = (b"0", b"11", b"42", b"99999999999999999999")
_WRONG_TIMES: Final = (b"1970-01-01T00:00", b"1969-12-31T23:59:59", b"2106-02-07T06:28:15")
_UNREAL_TIMES: Final = (b"2026-02-30T12:00:00", b"2026-13-01T12:00:00", b"2026-01-01T24:00:01",
                        b"2026-01-01T12:61:00", b"0000-00-00T00:00:00")  # fmt: skip
_MOST_MINUTES: Final = 1_196  # the most that the real log has
_LEAST_MINUTES: Final = 400


def foreign(line: bytes, rng: np.random.Generator) -> bytes:
    """Insert one blank, letter or digit anywhere."""
    place = int(rng.integers(len(line) + 1))
    return line[:place] + _one_of(_FOREIGN, rng) + line[place:]


def item(line: bytes, rng: np.random.Generator) -> bytes:
    """Replace the item by 8 to 53 random characters."""
    name = b"".join(_one_of(_LETTERS, rng) for _ in range(int(rng.integers(8, 54))))
    if b"GET /rate/" in line:
        head, _, rest = line.partition(b"GET /rate/")
        return head + b"GET /rate/" + name + b"=" + rest.rpartition(b"=")[2]
    head, _, rest = line.partition(b"GET /data/m/")
    return head + b"GET /data/m/" + name + b"/" + rest.rpartition(b"/")[2] if rest else line


def minute(line: bytes, rng: np.random.Generator) -> bytes:
    """Put a minute that lies far behind the end of any film."""
    number = int(rng.integers(_LEAST_MINUTES, _MOST_MINUTES + 1))
    return line.rpartition(b"/")[0] + f"/{number}.mpg".encode()


def rating(line: bytes, rng: np.random.Generator) -> bytes:
    """Put a whole number that lies off the scale."""
    return line.rpartition(b"=")[0] + b"=" + _OFF_SCALE[int(rng.integers(len(_OFF_SCALE)))]


def number(line: bytes, rng: np.random.Generator) -> bytes:
    """Put what is no whole number in the place of a rating."""
    return line.rpartition(b"=")[0] + b"=" + _NO_NUMBERS[int(rng.integers(len(_NO_NUMBERS)))]


def truncated(line: bytes, rng: np.random.Generator) -> bytes:
    """Cut the line off somewhere."""
    return line[: int(rng.integers(1, len(line)))]


def fields(line: bytes, rng: np.random.Generator) -> bytes:
    """Add a field, as when rows of 3 and of 4 fields lie in one file."""
    return line + b"," + str(rng.integers(1000)).encode()


def time(line: bytes, rng: np.random.Generator) -> bytes:
    """Put a time that exists, but cannot be."""
    return _timed(line, _WRONG_TIMES[int(rng.integers(len(_WRONG_TIMES)))])


def date(line: bytes, rng: np.random.Generator) -> bytes:
    """Put a date or a time of day that does not exist."""
    return _timed(line, _UNREAL_TIMES[int(rng.integers(len(_UNREAL_TIMES)))])


def encoding(line: bytes, rng: np.random.Generator) -> bytes:
    """Write the line, or a character of it, in another encoding."""
    place = int(rng.integers(len(line) + 1))
    ways = (
        line[:place] + "é".encode() + line[place:],
        line[:place] + "é".encode("latin-1") + line[place:],
        line.decode().encode("utf-16"),
        b"\xef\xbb\xbf" + line,
    )
    return ways[int(rng.integers(len(ways)))]


def schema(line: bytes, rng: np.random.Generator) -> bytes:
    """Write the same event in a form that no edition has."""
    at, user, what = line.split(b",", 2)
    ways = (
        json.dumps(
            {"time": at.decode(), "user_id": user.decode(), "event": what.decode()}
        ).encode(),
        b",".join((user, at, what)),
        b"\t".join((at, user, what)),
        b",".join((at, user, what.replace(b"GET /", b"POST /v2/"))),
    )
    return ways[int(rng.integers(len(ways) - (b"GET /" not in what)))]


def _timed(line: bytes, at: bytes) -> bytes:
    return at + b"," + line.partition(b",")[2]


def _one_of(characters: bytes, rng: np.random.Generator) -> bytes:
    place = int(rng.integers(len(characters)))
    return characters[place : place + 1]
