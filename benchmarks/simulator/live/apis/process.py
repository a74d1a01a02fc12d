"""The user and the movie API over HTTP, in a process of their own.

    GET /user/<id>[,<id>…]     age, gender, occupation, likes in words
    GET /movie/<id>[,<id>…]    fields of the catalogue

One id is answered by one JSON object, several by an array in their order. The
process shares memory with the simulation, which writes the time, new users and
outages to it and never waits.
"""

import multiprocessing
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from batch.arrays import Rows
from benchmarks.simulator.live.apis.outages import OUTAGES
from benchmarks.simulator.live.errors import ApiError
from benchmarks.simulator.world.world import World

if TYPE_CHECKING:
    from benchmarks.simulator.live.apis.server import ApiOptions

_START_SECONDS: Final = 120.0
_STOP_SECONDS: Final = 5.0


class Apis:
    """Both APIs, from now until `close`.

    Args:
        world: World with the users and items; new ones appear with the clock.
        options: Address, limits, defects and edition of the APIs.

    Attributes:
        host, port: Address of the APIs.

    Raises:
        ApiError: The APIs cannot be started.
    """

    def __init__(self, world: World, options: "ApiOptions") -> None:
        from benchmarks.simulator.live.apis.server import SharedState, run  # imports aiohttp

        context = multiprocessing.get_context("spawn")  # a forked child could inherit a held lock
        shared = SharedState(context.RawArray("q", 2), context.RawArray("i", len(world.users)))
        self._now, self._joined = shared.now, np.ctypeslib.as_array(shared.joined)
        self._joined[:] = world.users.joined
        ours, theirs = context.Pipe()
        self._parent = ours
        self._process = context.Process(
            target=run, args=(world, options, shared, theirs), name="apis", daemon=True
        )
        self._process.start()
        theirs.close()
        self.host = options.host
        self.port = self._port(f"{options.host}:{options.port}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def set_clock(self, second: float) -> None:
        """Set the clock to a second after the history's beginning."""
        self._now[0] = int(second)

    def add_users(self, user_rows: Rows, second: int) -> None:
        """Add users who join at a second after the history's beginning."""
        self._joined[user_rows] = second

    def set_outage(self, outage: str) -> None:
        """Begin an outage, one of OUTAGES; "" ends it."""
        self._now[1] = OUTAGES.index(outage)

    def close(self) -> None:
        """End the process."""
        self._parent.close()
        self._process.terminate()
        self._process.join(_STOP_SECONDS)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def _port(self, address: str) -> int:
        try:
            answer = self._parent.recv() if self._parent.poll(_START_SECONDS) else "no answer"
        except EOFError:
            answer = "the process has ended"
        if isinstance(answer, int):
            return answer
        self.close()
        raise ApiError(f"APIs at {address}", f"do not start: {answer}", "choose another port")
