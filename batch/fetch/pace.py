"""The pace of requests: so many a second at most, and none while a server asks for a pause."""

import asyncio
import time
from collections.abc import Awaitable, Callable


class Pace:
    """Spaces requests evenly, those of all workers together.

    Args:
        rate: Maximum requests a second, above 0.
        clock: Function that returns the seconds of a monotonic clock.
        sleep: Function that waits for some seconds of that clock.
    """

    def __init__(
        self,
        rate: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._interval = 1 / rate
        self._clock = clock
        self.sleep = sleep
        self._next_at = clock()
        self._lock = asyncio.Lock()

    async def turn(self) -> None:
        """Wait until one more request may be sent."""
        async with self._lock:  # one waits for the time, the others for their turn
            while (seconds := self._next_at - self._clock()) > 0:
                await self.sleep(seconds)
            self._next_at = self._clock() + self._interval

    def pause(self, seconds: float) -> None:
        """Let no request be sent for some seconds from now."""
        self._next_at = max(self._next_at, self._clock() + seconds)
