"""The probe: it finds out that nginx hangs, which no signal of the kernel says.

Every second it connects to a socket of nginx and waits for a sign of life, without
blocking: an answer, or the end of the connection, which is all that an nginx without
a free connection gives.
"""

import contextlib
import socket
import time
from pathlib import Path
from typing import Final

EVERY_SECONDS: Final = 1.0
MAX_SILENT_SECONDS: Final = 6.0
_REQUEST: Final = b"HEAD / HTTP/1.0\r\n\r\n"


class Probe:
    """Requests to nginx, one at a time.

    Attributes:
        has_answered: Whether nginx has answered since it was started.
    """

    def __init__(
        self,
        path: Path,
        *,
        every_seconds: float = EVERY_SECONDS,
        max_silent_seconds: float = MAX_SILENT_SECONDS,
    ) -> None:
        self._path = path
        self._every_seconds = every_seconds
        self._max_silent_seconds = max_silent_seconds
        self._connection: socket.socket | None = None
        self.restart()

    def restart(self) -> None:
        """Begin anew with an nginx that starts now."""
        self._close()
        self.has_answered = False
        self._asked_at = 0.0
        self._looked_at = self._answered_at = time.monotonic()

    def is_hung(self) -> bool:
        """Send or await a request; return whether nginx has been silent for too long."""
        now = time.monotonic()
        if now - self._looked_at > self._max_silent_seconds / 2:
            self._answered_at = now  # the machine was suspended, and nginx with it
        self._looked_at = now
        if self._connection is None and now - self._asked_at > self._every_seconds:
            self._ask(now)
        if self._connection is not None and self._has_reacted(self._connection):
            self._answered_at, self.has_answered = now, True
            self._close()
        return now - self._answered_at > self._max_silent_seconds

    def _ask(self, now: float) -> None:
        connection = socket.socket(socket.AF_UNIX)
        connection.setblocking(False)
        try:
            connection.connect(str(self._path))
            connection.send(_REQUEST)
        except OSError:  # it does not listen yet, or its backlog is full
            connection.close()
        else:
            self._connection, self._asked_at = connection, now

    def _has_reacted(self, connection: socket.socket) -> bool:
        try:
            connection.recv(1)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True

    def _close(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(OSError):
                self._connection.close()
        self._connection = None
