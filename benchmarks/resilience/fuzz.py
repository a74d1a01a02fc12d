"""Malformed requests, as raw bytes in the pieces in which they are sent.

    cases(rng)      an endless sequence: each known trick, each followed by a mutation

Source:
    RFC 9112, section 11, and the known faults of bjoern, the reason for a proxy in front of it:
    a request split over two reads, `Expect: 100-continue`, `Upgrade`, lengths
    that contradict each other, NUL, `%0d%0a`, `%ff`, broken chunks.
"""

import random
from collections.abc import Iterator
from typing import Final, NamedTuple

_GET: Final = b"GET /recommend/1 HTTP/1.1\r\nHost: a\r\n"
_POST: Final = b"POST /recommendations HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
_JSON: Final = b'{"user_id": "1"}'
_END: Final = b"\r\n\r\n"
_METHODS: Final = b"GET HEAD POST PUT DELETE OPTIONS TRACE CONNECT PATCH PRI get G\x00T".split(b" ")
_SPECIAL: Final = (
    b"\0",
    b"\r",
    b"\n",
    b"\t",
    b" ",
    b"%00",
    b"%ff",
    b"%0d%0a",
    b"%2f",
    b"\xff",
    b":",
)


class Case(NamedTuple):
    """The bytes of one connection.

    Attributes:
        name: Name of the trick.
        pieces: Bytes of each packet.
    """

    name: str
    pieces: list[bytes]


def cases(rng: random.Random) -> Iterator[Case]:
    """Yield all tricks again and again, each followed by a mutation of it."""
    tricks = list(tricks_of(rng))
    while True:
        for trick in tricks:
            yield trick
            yield _mutated(trick, rng)
        yield Case("random bytes", [rng.randbytes(rng.randint(1, 2000))])
        tricks = list(tricks_of(rng))


def tricks_of(rng: random.Random) -> Iterator[Case]:
    """Yield each known trick once."""
    yield from _split(rng)
    yield from _headers(rng)
    yield from _paths(rng)
    yield from _bodies(rng)
    yield from _lines(rng)


def _split(rng: random.Random) -> Iterator[Case]:
    whole = _GET + b"\r\n"
    cut = rng.randrange(1, len(whole))
    yield Case("split", [whole[:cut], whole[cut:]])
    yield Case("second request split", [whole + whole[:cut], whole[cut:]])
    yield Case("a byte at a time", [whole[n : n + 1] for n in range(len(whole))])
    yield Case("half a request", [whole[:cut]])
    yield Case("pipelined", [whole * rng.randint(2, 40)])
    yield Case("pipelined, of all kinds", [whole + b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" + whole])
    post = _POST + b"Content-Length: %d\r\n\r\n%s" % (len(_JSON), _JSON)
    yield Case("body split", [post[:-5], post[-5:]])
    yield Case("pipelined bodies", [post * 5])


def _headers(rng: random.Random) -> Iterator[Case]:
    yield Case("expect", [_GET + b"Expect: 100-continue\r\n\r\n"])
    yield Case(
        "expect, with a body", [_POST + b"Expect: 100-continue\r\nContent-Length: 16\r\n\r\n"]
    )
    yield Case("upgrade", [_GET + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"])
    settings = b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"
    h2c = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n" + settings + _END
    yield Case("upgrade to h2c", [_GET + h2c])
    yield Case("huge header", [_GET + b"X: " + b"x" * rng.choice((900, 8_000, 70_000)) + _END])
    yield Case("many headers", [_GET + b"".join(b"X%d: y\r\n" % n for n in range(3_000)) + b"\r\n"])
    yield Case("folded header", [_GET + b"X: a\r\n b\r\n\r\n"])
    yield Case("space before the colon", [_GET + b"Content-Length : 0\r\n\r\n"])
    yield Case("no name", [_GET + b": x\r\n\r\n"])
    yield Case("two hosts", [_GET + b"Host: b\r\n\r\n"])
    yield Case("no host", [b"GET /recommend/1 HTTP/1.1\r\n\r\n"])
    yield Case("special byte in a header", [_GET + b"X: a" + rng.choice(_SPECIAL) + b"b\r\n\r\n"])
    yield Case("range and conditions", [_GET + b"Range: bytes=0-1\r\nIf-None-Match: *\r\n\r\n"])


def _paths(rng: random.Random) -> Iterator[Case]:
    for special in _SPECIAL:
        yield Case(
            f"path with {special!r}", [b"GET /recommend/1%s2 HTTP/1.1\r\nHost: a\r\n\r\n" % special]
        )
    path = b"/recommend/" + b"x" * rng.choice((65, 512, 4_000, 9_000, 40_000))
    yield Case("long path", [b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % path])
    for path in (b"*", b"//", b"/../../etc/passwd", b"/recommend/..%2f..", b"http://b/recommend/1"):
        yield Case(f"path {path!r}", [b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % path])
    query = bytes(rng.choice(b"n=&history%2,0") for _ in range(rng.randint(1, 300)))
    yield Case("query", [b"GET /recommend/1?%s HTTP/1.1\r\nHost: a\r\n\r\n" % query])


def _bodies(rng: random.Random) -> Iterator[Case]:
    for length in (b"3 5", b"+16", b"-1", b"0x10", b"16, 16", b"9" * 30, b"1e1", b""):
        yield Case(f"length {length!r}", [_POST + b"Content-Length: %s\r\n\r\n" % length + _JSON])
    chunked = b"Transfer-Encoding: chunked\r\n"
    both = (
        b"Content-Length: 4\r\n"
        + chunked
        + b"\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
    )
    yield Case("length and chunks", [_POST + both])
    yield Case("two lengths", [_POST + b"Content-Length: 16\r\nContent-Length: 1\r\n\r\n" + _JSON])
    for coding in (b"xchunked", b"chunked, identity", b"\x0bchunked", b"gzip, chunked", b"chunked"):
        coded = _POST + b"Transfer-Encoding: %s\r\n\r\n" % coding
        yield Case(f"coding {coding!r}", [coded + b"10\r\n" + _JSON + b"\r\n0\r\n\r\n"])
    for size in (b"FFFFFFFFFFFFFFFF", b"-1", b"0x10", b"10;" + b"x" * 5_000, b"", b"zz", b"1\r"):
        yield Case(f"chunk of {size[:9]!r}", [_POST + chunked + b"\r\n" + size + b"\r\n" + _JSON])
    yield Case("no last chunk", [_POST + chunked + b"\r\n10\r\n" + _JSON])
    yield Case("body too large", [_POST + b"Content-Length: 20000\r\n\r\n" + b"x" * 20_000])
    yield Case("body that never comes", [_POST + b"Content-Length: 16\r\n\r\n"])
    yield Case("get with a body", [_GET + b"Content-Length: 5\r\n\r\nabcde" + _GET + b"\r\n"])
    body = rng.choice(
        (b"[" * 8_000, b"null", b'{"user_id": 1e999}', b'{"user_id": "\\ud800"}', b"\xff")
    )
    yield Case("body", [_POST + b"Content-Length: %d\r\n\r\n%s" % (len(body), body)])


def _lines(rng: random.Random) -> Iterator[Case]:
    for version in (
        b"HTTP/1.0",
        b"HTTP/2.0",
        b"HTTP/1.9",
        b"HTTP/9",
        b"HTTP/1.1 ",
        b"ICY",
        b"http/1.1",
    ):
        yield Case(f"version {version!r}", [b"GET /recommend/1 %s\r\nHost: a\r\n\r\n" % version])
    method = rng.choice(_METHODS)
    yield Case(f"method {method!r}", [b"%s /recommend/1 HTTP/1.1\r\nHost: a\r\n\r\n" % method])
    yield Case("preface of HTTP/2", [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + rng.randbytes(40)])
    yield Case(
        "hello of TLS", [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + rng.randbytes(200)]
    )
    yield Case("only newlines", [b"\r\n" * rng.randint(1, 200)])
    yield Case("bare newlines", [b"GET /recommend/1 HTTP/1.1\nHost: a\n\n"])
    yield Case("nothing", [])


def _mutated(case: Case, rng: random.Random) -> Case:
    whole = bytearray(b"".join(case.pieces) or b"x")
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(whole))
        kind = rng.randrange(4)
        if kind == 0:
            whole[at] = rng.randrange(256)
        elif kind == 1:
            whole[at:at] = rng.choice(_SPECIAL)
        elif kind == 2:
            del whole[at : at + rng.randint(1, 8)]
            whole = whole or bytearray(b"x")
        else:
            whole[at:at] = whole[at : at + rng.randint(1, 40)]
    cut = rng.randrange(len(whole) + 1)
    return Case(f"mutated: {case.name}", [p for p in (bytes(whole[:cut]), bytes(whole[cut:])) if p])
