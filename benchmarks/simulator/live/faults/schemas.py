"""Forms of lines that no edition has, as a service changes them without saying so."""

import json
from collections.abc import Callable, Mapping
from typing import Final


def _extra(line: bytes) -> bytes:
    return line + b",web"


def _renamed(line: bytes) -> bytes:
    for old, new in _NAMES:
        if old in line:
            return line.replace(old, new, 1)
    return line


def _reordered(line: bytes) -> bytes:
    at, user, what = line.split(b",", 2)
    return b",".join((user, at, what))


def _as_json(line: bytes) -> bytes:
    at, user, what = line.decode().split(",", 2)
    return json.dumps({"time": at, "user_id": user, "event": what}).encode()


_NAMES: Final = (
    (b",GET /data/m/", b",GET /v2/movies/"),
    (b",GET /rate/", b",POST /v2/ratings/"),
    (b",GET /create_account", b",POST /v2/accounts"),
    (b",recommendation request ", b",recommendation "),
)

# By name, what becomes of a sound line without its end. None is accepted by the strict patterns.
SCHEMAS: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "extra": _extra,  # one field more
    "renamed": _renamed,
    "reordered": _reordered,  # the user before the time
    "json": _as_json,
}
