"""Answers read as strictly as HTTP/1.1 allows, and judged.

Source:
    RFC 9112, HTTP/1.1, sections 4 (status line), 5 (fields) and 6 (body).
"""

import re
from typing import Final, NamedTuple

from benchmarks.resilience.lists import own_list, popular_list

_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] ([1-5]\d\d) [\t\x20-\x7e]*")
_FIELD: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*")
_CHUNK: Final = re.compile(rb"([0-9A-Fa-f]{1,8})\r\n")
_BODILESS: Final = {204, 304}
_GENERATION_OF_BODY: Final = re.compile(rb"\d{1,9}(?=\+)")


class MalformedError(Exception):
    """These bytes are no HTTP answer."""


class Answer(NamedTuple):
    """One answer.

    Attributes:
        status: As 200.
        headers: By name in lower case.
        body: Its bytes.
        n_bytes: Of the whole answer.
    """

    status: int
    headers: dict[str, str]
    body: bytes
    n_bytes: int

    @property
    def source(self) -> str:
        """What made it, as it says itself."""
        return self.headers.get("x-marquee-source", "")

    @property
    def closes(self) -> bool:
        """Whether nothing more comes on this connection."""
        return self.headers.get("connection", "").lower() == "close"


def read_answer(received: bytes, *, to_head: bool = False) -> Answer | None:
    """Return the first answer in what was received, None while it is not complete.

    Args:
        received: From the beginning of the answer on.
        to_head: It answers HEAD, so it has no body.

    Raises:
        MalformedError: It is none, and cannot become one.
    """
    if not (b"HTTP/1.".startswith(received[:7]) or received.startswith(b"HTTP/1.")):
        raise MalformedError(f"no status line: {received[:60]!r}")
    head, separator, rest = received.partition(b"\r\n\r\n")
    if not separator:
        return None
    first, *lines = head.split(b"\r\n")
    status_line = _STATUS_LINE.fullmatch(first)
    if not status_line:
        raise MalformedError(f"no status line: {first[:60]!r}")
    status, headers = int(status_line[1]), _headers(lines)
    if to_head or status in _BODILESS or status < 200:
        return Answer(status, headers, b"", len(head) + 4)
    body = _body(headers, rest)
    return body and Answer(status, headers, body.content, len(head) + 4 + body.n_bytes)


def what_is_wrong(answer: Answer, user: int, *, has_list: bool) -> str:
    """Return what is wrong with a user's answer, empty if nothing is.

    `mixed` means that header and list are not of one generation.
    """
    if answer.status != 200:
        return str(answer.status)
    if answer.source == "static":  # of any generation: it follows a moment later
        named = _GENERATION_OF_BODY.match(answer.body)
        return "" if named and answer.body == popular_list(int(named[0])) else "a wrong static list"
    generation = answer.headers.get("x-marquee-generation", "")
    if answer.source != ("list" if has_list else "popular") or not generation.isdecimal():
        return f"made by {answer.source!r} of generation {generation!r}"
    right = own_list(user, int(generation)) if has_list else popular_list(int(generation))
    return "" if answer.body == right else "mixed"


class _Body(NamedTuple):
    content: bytes
    n_bytes: int


def _headers(lines: list[bytes]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        field = _FIELD.fullmatch(line)
        if not field:
            raise MalformedError(f"no header: {line[:60]!r}")
        name = field[1].decode().lower()
        if name in headers and name in ("content-length", "transfer-encoding", "content-type"):
            raise MalformedError(f"{name} twice")
        headers[name] = field[2].decode("latin-1")
    return headers


def _body(headers: dict[str, str], rest: bytes) -> _Body | None:
    length, coding = headers.get("content-length"), headers.get("transfer-encoding")
    if length is None and coding is None and headers.get("connection", "").lower() == "close":
        return _Body(rest, len(rest))  # all that comes; so an HTTP/1.0 client is answered
    if (length is None) == (coding is None):
        raise MalformedError(f"length {length}, coding {coding}: one of the two is needed")
    if length is None:
        return _chunked(rest)
    if not (length.isascii() and length.isdecimal()):
        raise MalformedError(f"length {length!r}")
    n_bytes = int(length)
    return _Body(rest[:n_bytes], n_bytes) if len(rest) >= n_bytes else None


def _chunked(rest: bytes) -> _Body | None:
    at, parts = 0, list[bytes]()
    while chunk := _CHUNK.match(rest, at):
        begin, n_bytes = chunk.end(), int(chunk[1], 16)
        at = begin + n_bytes + 2
        if len(rest) < at:
            return None
        if rest[at - 2 : at] != b"\r\n":
            raise MalformedError("a chunk is longer than it says")
        parts.append(rest[begin : at - 2])
        if not n_bytes:
            return _Body(b"".join(parts), at)
    if len(rest) > at + 10:
        raise MalformedError(f"no chunk: {rest[at : at + 20]!r}")
    return None
