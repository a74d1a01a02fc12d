"""The clock's one family of errors: what, where, and the way out."""

from pathlib import Path
from typing import ClassVar


class CronError(Exception):
    """The clock cannot be started."""

    hint: ClassVar[str] = "see that you may write there, or set path in [cron] of marquee.toml"

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"{path}: {what} ({self.hint})")
        self.path = path


class AlreadyRunningError(CronError):
    """Another instance holds the lock."""

    hint = "stop that one first; `fuser` on this file names it"
