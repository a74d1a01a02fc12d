"""A rate limit for each client: a token bucket that refills with time."""

import math
from collections import OrderedDict
from typing import Final

_MAX_CLIENTS: Final = 10_000  # the least recent client is forgotten: its bucket is full again


class RateLimit:
    """Rate limit of each client.

    Args:
        per_second: Requests a second in the long run, above 0.
        burst: Requests at once, at least 1.
    """

    def __init__(self, per_second: float, burst: int) -> None:
        self._per_second = per_second
        self._burst = burst
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, when

    def seconds_to_wait(self, client: str, now: float) -> int:
        """Take a token and return 0, or return the seconds until the next token.

        Args:
            client: Address of the client.
            now: Seconds of a monotonic clock.
        """
        tokens, when = self._buckets.get(client, (float(self._burst), now))
        tokens = min(self._burst, tokens + (now - when) * self._per_second)
        is_allowed = tokens >= 1
        self._buckets[client] = (tokens - is_allowed, now)
        self._buckets.move_to_end(client)
        if len(self._buckets) > _MAX_CLIENTS:
            self._buckets.popitem(last=False)
        return 0 if is_allowed else max(1, math.ceil((1 - tokens) / self._per_second))
