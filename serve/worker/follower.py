"""What a worker answers from: it follows three things that change while it serves.

    shared page  ─► the generation that the supervisor has verified
    TAKEDOWN     ─► items to leave out
    recent.mdb   ─► views since the snapshot was made

What cannot be read leaves the last state in force, is logged once, and is tried again.
"""

import logging
import time
from pathlib import Path
from typing import Final

from serve.changes import file_state
from serve.worker.app import MarqueeApp
from serve.worker.served import Served
from store.errors import StoreError
from store.recent import open_recent, recent_file
from store.snapshot import open_snapshot
from store.takedown import takedown_file, takedowns

log = logging.getLogger(__name__)

_TRY_AGAIN_SECONDS: Final = 1.0


class Follower:
    """Keeps one app's sources as they should be."""

    def __init__(self, app: MarqueeApp, store: Path, name: str) -> None:
        self._app = app
        self._store = store
        self._name = name
        self._takedown_state: tuple[int, ...] | None = None
        self._refused_takedowns: tuple[int, ...] | None = None
        self._read_takedowns_at = 0.0
        self._recent_inode = 0
        self._refused_recent: tuple[int, ...] | None = None
        self._look_at_recent_at = 0.0
        self._refused = 0  # a generation that could not be opened
        self._try_again_at = 0.0

    def look(self) -> None:
        """See what has changed. The takedowns come first: no new snapshot shows one of them."""
        self._hide()
        self._open_snapshot()
        self._open_recent()

    def _open_snapshot(self) -> None:
        """Serve the generation that stands on the page."""
        wanted = self._app.page.generation
        served = self._app.served
        if wanted == (served.generation if served else 0):
            return
        if wanted == self._refused and time.monotonic() < self._try_again_at:
            return
        try:
            # The old snapshot closes when the last answer out of it is done: by reference count.
            snapshot = open_snapshot(self._store, wanted, verified=True)
            self._app.served = Served(snapshot, self._app.hidden)
            log.info("%s serves generation %d", self._name, wanted)
        except (StoreError, OSError) as error:
            self._refused, self._try_again_at = wanted, time.monotonic() + _TRY_AGAIN_SECONDS
            log.error("%s stays with what it has: %s", self._name, error)  # noqa: TRY400

    def _hide(self) -> None:
        """Leave out what has been taken down; the file is replaced whole, so its state tells."""
        state = file_state(takedown_file(self._store))
        if state == self._takedown_state:
            return
        if time.monotonic() < self._read_takedowns_at:
            return
        try:
            hidden = takedowns(self._store)
        except StoreError as error:
            # Tried again, for a worker that has just started hides nothing yet.
            self._read_takedowns_at = time.monotonic() + _TRY_AGAIN_SECONDS
            if state != self._refused_takedowns:  # once for each file, not every second
                self._refused_takedowns = state
                log.error("%s keeps to the last takedowns: %s", self._name, error)  # noqa: TRY400
            return
        self._takedown_state = state
        if not hidden and not self._app.hidden:
            return
        self._app.hidden = frozenset(item_id.encode() for item_id in hidden)
        if served := self._app.served:
            self._app.served = Served(served.snapshot, self._app.hidden)
        log.info("%s leaves out %d items", self._name, len(self._app.hidden))

    def _open_recent(self) -> None:
        """Follow the file of recent views: it may come, go, and be replaced."""
        now = time.monotonic()
        if now < self._look_at_recent_at:
            return
        self._look_at_recent_at = now + _TRY_AGAIN_SECONDS
        state = file_state(recent_file(self._store))
        inode = state[0] if state else 0
        if inode == self._recent_inode and (self._app.recent or not inode):
            return
        if state and state == self._refused_recent:
            return
        if self._app.recent:
            self._app.recent.close()  # LMDB must not have a file open twice
            self._app.recent = None
        self._recent_inode = inode
        try:
            self._app.recent = open_recent(self._store)
        except StoreError as error:
            self._refused_recent = state
            log.warning("%s goes without recent views: %s", self._name, error)
