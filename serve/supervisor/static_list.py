"""The static list: a file that nginx answers with while no worker does.

It is the popular list of the served generation, takedowns applied and without
adult titles, since without a worker a minor cannot be told from an adult.
"""

import contextlib
import logging
import signal
import time
from pathlib import Path
from typing import Final

from serve.changes import file_state
from serve.scoreboard import Scoreboard
from serve.settings import ServeSettings
from serve.supervisor.children import fork, signal_all
from serve.supervisor.nginx import ReverseProxy
from store.errors import StoreError
from store.items import Items, split
from store.layout import LIST_LENGTH, POPULAR, RESERVE
from store.snapshot import open_snapshot
from store.takedown import takedown_file, takedowns

log = logging.getLogger(__name__)

_RETRY_SECONDS: Final = 5.0

State = tuple[int, tuple[int, ...] | None]  # generation, state of the takedown file


class StaticList:
    """Writes the file anew, in a child process, when the generation or the takedowns change."""

    def __init__(
        self,
        store: Path,
        scoreboard: Scoreboard,
        settings: ServeSettings,
        proxy: ReverseProxy | None,
    ) -> None:
        self._store = store
        self._scoreboard = scoreboard
        self._settings = settings
        self._path = proxy.static_list if proxy else None
        self._written: State | None = None
        self._writing: tuple[int, State] | None = None  # pid, the state that it writes
        self._retry_at = 0.0
        self._has_file = False  # the last rewrite left one

    def keep(self) -> None:
        """Start a rewrite if the file is out of date."""
        if self._path is None or self._writing or time.monotonic() < self._retry_at:
            return
        state = self._scoreboard.generation, file_state(takedown_file(self._store))
        if state != self._written or (self._has_file and not self._path.exists()):
            with contextlib.suppress(OSError):  # no process to spare: the next call tries again
                self._writing = fork(lambda: self._write(state[0])), state

    def ended(self, pid: int, status: int) -> bool:
        """Record the end of a child; return False if it was another's."""
        if not self._writing or pid != self._writing[0]:
            return False
        if status == 0:
            self._written = self._writing[1]
            self._has_file = self._path is not None and self._path.exists()
        else:
            self._retry_at = time.monotonic() + _RETRY_SECONDS
        self._writing = None
        return True

    def stop(self) -> set[int]:
        """End a rewrite; return the pid to wait for, if there is one."""
        pids = {self._writing[0]} if self._writing else set[int]()
        signal_all(pids, signal.SIGTERM)
        return pids

    def _write(self, generation: int) -> int:
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        try:
            self._replace(generation)
        except (StoreError, OSError) as error:
            log.error("static list: unchanged, will retry: %s", error)  # noqa: TRY400
            return 1
        return 0

    def _replace(self, generation: int) -> None:
        assert self._path is not None
        hidden = {item_id.encode() for item_id in takedowns(self._store)}
        names = _popular(self._store, generation, hidden) if generation else []
        emergency = [name.encode() for name in self._settings.emergency_list]
        names = names or [name for name in emergency if name not in hidden]
        if not names:
            self._path.unlink(missing_ok=True)
            return
        pending = self._path.with_suffix(".pending")
        pending.write_bytes(b",".join(names))
        pending.replace(self._path)


def _popular(store: Path, generation: int, hidden: set[bytes]) -> list[bytes]:
    with open_snapshot(store, generation, verified=True, shards=()) as snapshot:
        items = Items(snapshot)
        fallback = snapshot.fallback.get
        names = [*split(fallback(POPULAR)), *split(fallback(RESERVE))]
        shown = [name for name in names if name not in hidden and not items.is_adult(name)]
        return shown[:LIST_LENGTH]
