"""A file of the store that changes in place, open while it is the one that was checked.

scoreboard: inode of the checked file ─► opened; closed when another one is checked
"""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Generic, Protocol, TypeVar

from serve.changes import file_state
from store.errors import StoreError

log = logging.getLogger(__name__)

_RETRY_SECONDS: Final = 1.0


class _Closable(Protocol):
    def close(self) -> None: ...


Opened = TypeVar("Opened", bound=_Closable)


class CheckedFile(Generic[Opened]):
    """Opens a file that the supervisor has checked, and no other one.

    Args:
        name: Name of the worker, and what is disabled without the file, for the log.
        path: Path of the file.
        open_file: Function that opens it; it returns None if the file does not exist.
    """

    def __init__(
        self, name: tuple[str, str], path: Path, open_file: Callable[[], Opened | None]
    ) -> None:
        self._name = name
        self._path = path
        self._open_file = open_file
        self._inode = 0
        self._refused: tuple[int, ...] | None = None
        self._look_at = 0.0

    def look(self, checked: int, opened: Opened | None) -> Opened | None:
        """Return the file to use, opened or closed as needed.

        Args:
            checked: Inode of the checked file, 0 for none.
            opened: The file as it is open now; None if it is not.
        """
        if opened and checked != self._inode:
            opened.close()  # LMDB must not have a file open twice
            opened = None
        now = time.monotonic()
        is_due = checked != self._inode or now >= self._look_at
        if not checked or opened or not is_due:
            return opened
        self._inode, self._look_at = checked, now + _RETRY_SECONDS
        state = file_state(self._path)
        if not state or state[0] != checked or state == self._refused:
            return None
        try:
            return self._open_file()
        except StoreError as error:
            self._refused = state
            worker, what = self._name
            log.warning("%s: %s disabled: %s", worker, what, error)
            return None
