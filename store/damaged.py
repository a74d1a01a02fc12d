"""The file of a remote that a pull found damaged, so that it is not fetched at every poll.

    pulling/DAMAGED     name <TAB> version at the remote <TAB> time <TAB> error

The file is fetched again once its version there has changed, and after an hour in any
case: it may have been damaged on the way. The next pull that succeeds removes the record.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from store.durable import replace_durable
from store.parse import read_small

AGAIN_SECONDS: Final = 3600.0

_FILE: Final = "DAMAGED"
_MAX_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class DamagedFile:
    """A file of a remote that was found damaged.

    Attributes:
        name: Name at the remote.
        version: Version there, as `Remote.version` returns it.
        found_at: Time, seconds since 1970.
        problem: What is wrong, in one line.
    """

    name: str
    version: str
    found_at: float
    problem: str

    def is_due(self, version: str | None, now: float | None = None) -> bool:
        """Return whether it should be fetched again, given its version at the remote now."""
        age = (time.time() if now is None else now) - self.found_at
        return version != self.version or not 0 <= age < AGAIN_SECONDS


def read_damaged(folder: Path) -> DamagedFile | None:
    """Return what the last pull recorded in `folder`; None if nothing, or if it is unreadable."""
    try:
        text = read_small(folder / _FILE, _MAX_BYTES).decode()
        name, version, found_at, problem = text.rstrip("\n").split("\t")
        return DamagedFile(name, version, float(found_at), problem)
    except (OSError, ValueError):
        return None


def record_damaged(folder: Path, damaged: DamagedFile) -> None:
    """Record a damaged file in `folder`.

    Raises:
        OSError: It could not be written.
    """
    fields = (damaged.name, damaged.version, str(int(damaged.found_at)), damaged.problem)
    replace_durable(folder / _FILE, "\t".join(fields) + "\n")
