"""Figures of the running traffic, read from the stream that it writes.

    …,407033,recommendation request HOST, status 200, result: ITEM, ITEM, 1 ms    a request
    …,407033,GET /data/m/ITEM/0.mpg                                               a view begins

A view of an item of the list that its user was shown last is a click.
"""

import re
from collections import Counter
from pathlib import Path
from typing import Final

_REQUEST: Final = re.compile(rb"recommendation request .*, status (\d+), result: (.*), (\d+) ms")
_VIEW: Final = re.compile(rb"GET /data/m/(.+)/0\.mpg")
_LIMIT_MS: Final = 600
_OK: Final = 200


class Traffic:
    """Reads the stream as it grows.

    Args:
        stream: File that the simulator appends to; may come later.

    Attributes:
        n_lines: Lines read.
        n_requests: Requests for a list.
        n_succeeded: Requests answered with status 200 within 600 ms.
        n_clicks: Views of an item of the list that the user was shown last.
    """

    def __init__(self, stream: Path) -> None:
        self.n_lines = self.n_requests = self.n_succeeded = self.n_clicks = 0
        self._stream = stream
        self._offset = 0
        self._lists: dict[bytes, list[bytes]] = {}
        self._milliseconds: Counter[int] = Counter()

    @property
    def success(self) -> float:
        """Share of the requests that succeeded."""
        return self.n_succeeded / max(self.n_requests, 1)

    @property
    def click_through(self) -> float:
        """Share of the requests after which an item of the list was watched."""
        return self.n_clicks / max(self.n_requests, 1)

    def percentile(self, share: float) -> int:
        """Return the latency, in ms, within which a share of the requests was answered."""
        left = share * self.n_requests
        for milliseconds, n in sorted(self._milliseconds.items()):
            left -= n
            if left <= 0:
                return milliseconds
        return 0

    def read(self) -> None:
        """Read the whole lines that were added since the last time."""
        if not self._stream.exists():
            return
        with self._stream.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.splitlines():
            self._add(line)

    def _add(self, line: bytes) -> None:
        self.n_lines += 1
        _, _, rest = line.partition(b",")
        user, _, what = rest.partition(b",")
        if found := _REQUEST.fullmatch(what):
            status, items, milliseconds = int(found[1]), found[2], int(found[3])
            self.n_requests += 1
            self.n_succeeded += status == _OK and milliseconds <= _LIMIT_MS
            self._milliseconds[milliseconds] += 1
            self._lists[user] = items.split(b", ")
        elif (found := _VIEW.fullmatch(what)) and found[1] in self._lists.get(user, ()):
            self.n_clicks += 1
            del self._lists[user]  # at most one click a list
