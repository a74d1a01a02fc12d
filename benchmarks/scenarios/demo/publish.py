"""The publish half-way: a refresh in a process of its own, until the server serves its snapshot."""

import subprocess
import time
from typing import Final

from benchmarks.scenarios.demo.commands import EVENTS, LIVE, STORE, refresh, start
from benchmarks.scenarios.demo.server import DemoServer
from store.pointer import current

LOG: Final = LIVE / "refresh.log"
_MAX_FOLLOW_SECONDS: Final = 60.0  # from the publish until the server has opened the snapshot


class Publish:
    """The publish; `update` follows its progress.

    Args:
        server: Running server.

    Attributes:
        state: Progress in words.
        has_begun: Whether the refresh was started.
        is_served: Whether the server has opened the new snapshot.
    """

    def __init__(self, server: DemoServer) -> None:
        self.state = "comes half-way"
        self.has_begun = self.is_served = False
        self._server = server
        self._parent = current(STORE)
        self._refresh: subprocess.Popen[bytes] | None = None
        self._began = self._refreshed = 0.0

    def begin(self) -> None:
        """Start the refresh."""
        with LOG.open("w") as log:
            self._refresh = start(refresh(EVENTS), log)
        self.has_begun = True
        self._began = time.monotonic()

    def update(self) -> None:
        """Look how far it is.

        Raises:
            SystemExit: The refresh failed, published nothing, or the server does not follow.
        """
        if self._refresh is None or self.is_served:
            return
        now = time.monotonic()
        status = self._refresh.poll()
        if status is None:
            self.state = f"the refresh runs, {now - self._began:.0f} s"
            return
        self._refreshed = self._refreshed or now
        generation = current(STORE)
        if status or generation == self._parent:
            raise SystemExit(f"the refresh published nothing; see {LOG}:\n{LOG.read_text()}")
        if self._server.generation == generation:
            self.is_served = True
            self.state = f"generation {generation} is served, {now - self._began:.1f} s later"
        elif now - self._refreshed > _MAX_FOLLOW_SECONDS:
            raise SystemExit(f"generation {generation} is not served; see the server's log above")
