"""What the simulator and the process that asks tell each other."""

from collections.abc import Sequence
from typing import Final, NamedTuple

LIMIT_MS: Final = 600.0
TIMED_OUT: Final = "time-out"
REFUSED: Final = "refused"
CUT: Final = "cut"


class Address(NamedTuple):
    """Where a server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Window(NamedTuple):
    """Requests that are due within one stretch of time.

    Attributes:
        number: Of the window, from 0.
        due: By the monotonic clock, ascending.
        servers: Which server each goes to.
        users: What stands behind `/recommend/`.
    """

    number: int
    due: Sequence[float]
    servers: Sequence[int]
    users: Sequence[bytes]


class Came(NamedTuple):
    """What came of a request.

    Attributes:
        error: TIMED_OUT, REFUSED, CUT and more behind it, or nothing.
        status: 0 where none came.
        milliseconds: From the moment when it was due to the answer, or to its failure.
        late_ms: From that moment until it was sent: the asking side's own delay.
        source: What made the answer, as it says itself.
        body: Its bytes.
    """

    error: str
    status: int
    milliseconds: float
    late_ms: float
    source: str
    body: bytes
