"""A limit of requests for each client: a bucket of tokens that fills again with time."""

import math
from collections import OrderedDict
from typing import Final

_MOST_CLIENTS: Final = 10_000  # remembered; whoever was away longest is forgotten, to its good


class RateLimit:
    """How often each client may ask.

    Args:
        per_second: Requests a second in the long run, above 0.
        burst: Requests at once, at least 1.
    """

    def __init__(self, per_second: float, burst: int) -> None:
        self._per_second = per_second
        self._burst = burst
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, when

    def seconds_to_wait(self, client: str, now: float) -> int:
        """Take a token and return 0, or return in how many seconds there is one.

        Args:
            client: Its address.
            now: Seconds, on a clock that never goes back.
        """
        tokens, when = self._buckets.get(client, (float(self._burst), now))
        tokens = min(self._burst, tokens + (now - when) * self._per_second)
        is_allowed = tokens >= 1
        self._buckets[client] = (tokens - is_allowed, now)
        self._buckets.move_to_end(client)
        if len(self._buckets) > _MOST_CLIENTS:
            self._buckets.popitem(last=False)
        return 0 if is_allowed else max(1, math.ceil((1 - tokens) / self._per_second))
