"""Messages between the simulation and the client process."""

from collections.abc import Sequence
from typing import Final, NamedTuple

LIMIT_MS: Final = 600.0
TIMED_OUT: Final = "time-out"
REFUSED: Final = "refused"
CUT: Final = "cut"


class Address(NamedTuple):
    """Address of a server."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Window(NamedTuple):
    """Requests that are due within one window of time.

    Attributes:
        number: Number of the window, from 0.
        due: Times at which requests are due, by the monotonic clock, ascending.
        servers: Number of the server of each request.
        users: Escaped user ids, behind `/recommend/` in the path.
    """

    number: int
    due: Sequence[float]
    servers: Sequence[int]
    users: Sequence[bytes]


class Response(NamedTuple):
    """The response to a request, or its failure.

    Attributes:
        error: TIMED_OUT, REFUSED, or CUT with a reason; empty without an error.
        status: HTTP status, 0 without an answer.
        milliseconds: Time from the moment when the request was due to its answer or failure.
        late_ms: Time from that moment until it was sent: the client's own delay.
        source: Source of the list, from the header `X-Marquee-Source`.
        body: Body of the answer.
    """

    error: str
    status: int
    milliseconds: float
    late_ms: float
    source: str
    body: bytes
