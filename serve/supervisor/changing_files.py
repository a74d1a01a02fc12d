"""Files that change in place: a watcher of each decides whether the workers open it.

    recent.mdb, fresh.mdb ─► every record read, in a child process ─► its inode onto the scoreboard
                                                └─► refused or crashed: not opened until it changes

LMDB trusts its pages, and a damaged one can crash the process that reads it: better
a child than every worker. The file changes while it is served, so after a worker's
crash no worker uses it until it has been read once more.
"""

import contextlib
import logging
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from serve.changes import file_state
from serve.scoreboard import Scoreboard
from serve.supervisor.children import fork, signal_all
from store.errors import StoreError
from store.fresh import check_fresh, fresh_file
from store.recent import check_recent, recent_file

log = logging.getLogger(__name__)

_MAX_CHECK_SECONDS: Final = 120
_PAUSE_SECONDS: Final = 1.0  # after a refusal, however often the file changes
_RETRY_SECONDS: Final = 30.0  # although it has not changed

State = tuple[int, ...] | None


class ChangingFile(NamedTuple):
    """A file of the store that changes in place.

    Attributes:
        name: Name of its content, for the log.
        path: Function from the store's directory to the file.
        check: Function that reads all of it, given that directory.
        inode: Attribute of the scoreboard with the inode of the checked file.
    """

    name: str
    path: Callable[[Path], Path]
    check: Callable[[Path], None]
    inode: str


def _check_fresh(store: Path) -> None:
    found = check_fresh(store)
    if found.n_damaged:
        log.warning("%d of %d fresh lists left out: damaged", found.n_damaged, found.n_lists)


RECENT_VIEWS: Final = ChangingFile("recent views", recent_file, check_recent, "recent_inode")
FRESH_LISTS: Final = ChangingFile("fresh lists", fresh_file, _check_fresh, "fresh_inode")


class ChangingFileWatcher:
    """Checks a file that changes in place, and puts its inode onto the scoreboard."""

    def __init__(
        self,
        file: ChangingFile,
        store: Path,
        scoreboard: Scoreboard,
        on_other_crash: Callable[[], None],
    ) -> None:
        """Prepare it.

        Args:
            file: The file.
            store: The store's directory.
            scoreboard: The scoreboard.
            on_other_crash: Function called for a worker's crash whose cause is not this file.
        """
        self._file = file
        self._store = store
        self._scoreboard = scoreboard
        self._on_other_crash = on_other_crash
        self._checking: tuple[int, State] | None = None  # pid, state of the file
        self._refused: State = None
        self._refused_at = 0.0
        self._n_crashes = 0  # of workers since the last check, its cause not known yet

    def look(self) -> None:
        """Start to check a file that is not in use yet; close one that was replaced."""
        if self._checking:
            return
        state = file_state(self._file.path(self._store))
        inode = state[0] if state else 0
        if self._inode not in (0, inode):
            self._inode = 0
        if not inode or self._is_refused(state):
            self._pass_on_crashes()
        elif inode != self._inode:
            with contextlib.suppress(OSError):  # no process to spare: the next look tries again
                self._checking = fork(self._check), state

    def ended(self, pid: int, status: int) -> bool:
        """Record the end of a child; return False if it was not a check."""
        if not self._checking or pid != self._checking[0]:
            return False
        state, self._checking = self._checking[1], None
        if status == 0 and state:
            self._refused = None
            self._inode = state[0]
            self._pass_on_crashes()
            return True
        if status != 1 and state != self._refused:  # else the child has logged the reason
            log.warning("%s disabled: their check ended with %d", self._file.name, status)
        self._refused, self._refused_at = state, time.monotonic()
        self._n_crashes = 0
        return True

    def worker_crashed(self) -> None:
        """Record the crash of a worker; the file is checked first if it was in use."""
        self._n_crashes += 1
        if self._inode or self._checking:
            self._inode = 0
        else:
            self._pass_on_crashes()

    def stop(self) -> set[int]:
        """End a check; return the pid to wait for, if there is one."""
        pids = {self._checking[0]} if self._checking else set[int]()
        signal_all(pids, signal.SIGTERM)
        return pids

    @property
    def _inode(self) -> int:
        return int(getattr(self._scoreboard, self._file.inode))

    @_inode.setter
    def _inode(self, inode: int) -> None:
        setattr(self._scoreboard, self._file.inode, inode)

    def _is_refused(self, state: State) -> bool:
        pause = _RETRY_SECONDS if state == self._refused else _PAUSE_SECONDS
        return self._refused is not None and time.monotonic() - self._refused_at < pause

    def _pass_on_crashes(self) -> None:
        n_crashes, self._n_crashes = self._n_crashes, 0
        for _ in range(n_crashes):
            self._on_other_crash()

    def _check(self) -> int:
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        signal.signal(signal.SIGALRM, signal.SIG_DFL)  # the alarm ends this child
        signal.alarm(_MAX_CHECK_SECONDS)
        try:
            self._file.check(self._store)
        except StoreError as error:
            log.warning("%s disabled: %s", self._file.name, error)
            return 1
        return 0
