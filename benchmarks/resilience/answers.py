"""HTTP answers parsed strictly, and their defects.

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
    """The bytes are not a valid HTTP answer."""


class Answer(NamedTuple):
    """One answer.

    Attributes:
        status: Status code.
        headers: Values by name in lower case.
        body: Bytes of the body.
        n_bytes: Length of the whole answer.
    """

    status: int
    headers: dict[str, str]
    body: bytes
    n_bytes: int

    @property
    def source(self) -> str:
        """Value of `X-Marquee-Source`; empty without one."""
        return self.headers.get("x-marquee-source", "")

    @property
    def closes(self) -> bool:
        """Whether this is the last answer on the connection."""
        return self.headers.get("connection", "").lower() == "close"


def read_answer(received: bytes, *, to_head: bool = False) -> Answer | None:
    """Return the first answer in the received bytes, None while it is incomplete.

    Args:
        received: Bytes from the beginning of the answer on.
        to_head: Whether it answers HEAD, so that it has no body.

    Raises:
        MalformedError: The bytes are not the beginning of a valid answer.
    """
    if not (b"HTTP/1.".startswith(received[:7]) or received.startswith(b"HTTP/1.")):
        raise MalformedError(f"not a status line: {received[:60]!r}")
    head, separator, rest = received.partition(b"\r\n\r\n")
    if not separator:
        return None
    first, *lines = head.split(b"\r\n")
    status_line = _STATUS_LINE.fullmatch(first)
    if not status_line:
        raise MalformedError(f"not a status line: {first[:60]!r}")
    status, headers = int(status_line[1]), _headers(lines)
    if to_head or status in _BODILESS or status < 200:
        return Answer(status, headers, b"", len(head) + 4)
    body = _body(headers, rest)
    return body and Answer(status, headers, body.content, len(head) + 4 + body.n_bytes)


def what_is_wrong(answer: Answer, user: int, *, has_list: bool) -> str:
    """Return the defect of an answer to a user, empty if it is right.

    `mixed` means that header and list are of different generations.
    """
    if answer.status != 200:
        return str(answer.status)
    if answer.source == "static":  # of any generation: it is replaced shortly after a publish
        found = _GENERATION_OF_BODY.match(answer.body)
        return "" if found and answer.body == popular_list(int(found[0])) else "a wrong static list"
    generation = answer.headers.get("x-marquee-generation", "")
    if answer.source != ("list" if has_list else "popular") or not generation.isdecimal():
        return f"source {answer.source!r}, generation {generation!r}"
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
            raise MalformedError(f"not a header: {line[:60]!r}")
        name = field[1].decode().lower()
        if name in headers and name in ("content-length", "transfer-encoding", "content-type"):
            raise MalformedError(f"{name} twice")
        headers[name] = field[2].decode("latin-1")
    return headers


def _body(headers: dict[str, str], rest: bytes) -> _Body | None:
    length, coding = headers.get("content-length"), headers.get("transfer-encoding")
    if length is None and coding is None and headers.get("connection", "").lower() == "close":
        return _Body(rest, len(rest))  # until the end: the answer to an HTTP/1.0 client
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
            raise MalformedError("a chunk is longer than its size")
        parts.append(rest[begin : at - 2])
        if not n_bytes:
            return _Body(b"".join(parts), at)
    if len(rest) > at + 10:
        raise MalformedError(f"not a chunk: {rest[at : at + 20]!r}")
    return None
