"""Unknown forms of lines, as after an unannounced change of a service."""

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
    at, user, event = line.split(b",", 2)
    return b",".join((user, at, event))


def _as_json(line: bytes) -> bytes:
    at, user, event = line.decode().split(",", 2)
    return json.dumps({"time": at, "user_id": user, "event": event}).encode()


_NAMES: Final = (
    (b",GET /data/m/", b",GET /v2/movies/"),
    (b",GET /rate/", b",POST /v2/ratings/"),
    (b",GET /create_account", b",POST /v2/accounts"),
    (b",recommendation request ", b",recommendation "),
)

# Functions that rewrite a valid line without its end. The strict patterns accept no result.
SCHEMAS: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "extra": _extra,  # an additional field
    "renamed": _renamed,
    "reordered": _reordered,  # the user before the time
    "json": _as_json,
}
