"""The follower: it keeps a worker's state up to date while the worker serves.

    scoreboard   ─► the generation that the supervisor has verified
    TAKEDOWN     ─► items to leave out
    recent.mdb   ─► views since the snapshot was made
    fresh.mdb    ─► lists since the snapshot was made

If one cannot be read, the last state stays in force, the error is logged once, and
the follower tries again.
"""

import logging
import time
from functools import partial
from pathlib import Path
from typing import Final

import lmdb

from serve.changes import file_state
from serve.worker.checked_file import CheckedFile
from serve.worker.fresh import FreshAnswers
from serve.worker.served import Served
from serve.worker.state import WorkerState
from store.errors import StoreError
from store.fresh import FreshLists, fresh_file, open_fresh
from store.recent import RecentViews, open_recent, recent_file
from store.snapshot import Snapshot, open_snapshot
from store.takedown import takedown_file, takedowns

log = logging.getLogger(__name__)

_RETRY_SECONDS: Final = 1.0
_HOUR_SECONDS: Final = 3600.0
_LOG_EVERY_SECONDS: Final = 60.0  # of damaged lists, each of which may be requested at any time


class Follower:
    """Updates the state of one worker."""

    def __init__(self, state: WorkerState, store: Path, name: str) -> None:
        """Prepare it.

        Args:
            state: State to update.
            store: The store's directory.
            name: Name of the worker in the log.
        """
        self._state = state
        self._store = store
        self._name = name
        self._takedown_state: tuple[int, ...] | None = None
        self._refused_takedowns: tuple[int, ...] | None = None
        self._read_takedowns_at = 0.0
        self._recent = CheckedFile[RecentViews](
            (name, "recent views"), recent_file(store), partial(open_recent, store)
        )
        self._fresh = CheckedFile[FreshLists](
            (name, "fresh lists"), fresh_file(store), partial(open_fresh, store)
        )
        self._refused_generation = 0  # it could not be opened
        self._retry_at = 0.0
        self._log_damaged_at = 0.0

    def look(self) -> None:
        """Apply what has changed; takedowns first, so no new snapshot shows a hidden item."""
        self._follow_takedowns()
        self._follow_generation()
        self._follow_recent()
        self._follow_fresh()

    def _follow_generation(self) -> None:
        """Open and serve the generation on the scoreboard."""
        wanted = self._state.scoreboard.generation
        served = self._state.served
        if wanted == (served.generation if served else 0):
            self._follow_index()
            return
        if wanted == self._refused_generation and time.monotonic() < self._retry_at:
            return
        try:
            # The old snapshot closes after the last answer from it: by reference count.
            snapshot = open_snapshot(self._store, wanted, verified=True)
            self._state.served = self._served(snapshot)
            log.info("%s serves generation %d", self._name, wanted)
        except (StoreError, OSError) as error:
            self._refused_generation, self._retry_at = wanted, time.monotonic() + _RETRY_SECONDS
            stays = f"generation {served.generation}" if served else "no snapshot"
            log.error(  # noqa: TRY400
                "%s: cannot open generation %d, still serving %s: %s",
                *(self._name, wanted, stays, error),
            )

    def _follow_index(self) -> None:
        """Use the index, or no longer, after the supervisor has verified the snapshot again."""
        served = self._state.served
        if served and served.has_index != self._may_use_index(served.generation):
            self._state.served = self._served(served.snapshot)

    def _may_use_index(self, generation: int) -> bool:
        return self._state.scoreboard.indexed_generation == generation

    def _served(self, snapshot: Snapshot) -> Served:
        return Served(
            snapshot,
            self._state.hidden,
            with_index=self._may_use_index(snapshot.generation),
            hide_source=self._state.settings.hide_source,
        )

    def _follow_takedowns(self) -> None:
        """Hide what is taken down; the file is replaced whole, so its state shows a change."""
        state = file_state(takedown_file(self._store))
        if state == self._takedown_state:
            return
        if time.monotonic() < self._read_takedowns_at:
            return
        try:
            hidden = takedowns(self._store)
        except StoreError as error:
            # Tried again, since a worker that has just started hides nothing yet.
            self._read_takedowns_at = time.monotonic() + _RETRY_SECONDS
            if state != self._refused_takedowns:  # logged once for each file, not every second
                self._refused_takedowns = state
                log.error(  # noqa: TRY400
                    "%s: takedowns stay as last read, will retry: %s", self._name, error
                )
            return
        self._takedown_state = state
        if not hidden and not self._state.hidden:
            return
        self._state.hidden = frozenset(item_id.encode() for item_id in hidden)
        if served := self._state.served:
            self._state.served = self._served(served.snapshot)
        log.info("%s hides %d items taken down", self._name, len(self._state.hidden))

    def _follow_recent(self) -> None:
        """Use the file of recent views that the supervisor has checked, and no other one."""
        checked = self._state.scoreboard.recent_inode
        self._state.recent = self._recent.look(checked, self._state.recent)

    def _follow_fresh(self) -> None:
        """Use the fresh lists that the supervisor has checked, as they are now."""
        before, served = self._state.fresh, self._state.served
        lists = self._fresh.look(self._state.scoreboard.fresh_inode, before)
        self._state.fresh = lists
        if served is None:
            return
        if lists is None or not self._state.settings.fresh_hours:
            served.fresh = None
            return
        if served.fresh is None or served.fresh.lists is not lists:
            served.use_fresh(lists)
        try:
            oldest = time.time() - _HOUR_SECONDS * self._state.settings.fresh_hours
            if served.fresh:
                served.fresh.renew(oldest)
                self._log_damaged(served.fresh)
        except lmdb.Error as error:
            log.warning("%s: fresh lists disabled, will reopen: %s", self._name, error)
            served.fresh = self._state.fresh = None
            lists.close()

    def _log_damaged(self, fresh: FreshAnswers) -> None:
        if fresh.n_damaged and time.monotonic() >= self._log_damaged_at:
            self._log_damaged_at = time.monotonic() + _LOG_EVERY_SECONDS
            log.warning("%s: %d damaged fresh lists left out", self._name, fresh.n_damaged)
            fresh.n_damaged = 0
