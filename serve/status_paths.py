"""Directories in which other processes leave files that the page `/status` shows."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from store.config import text_of


@dataclass(frozen=True, slots=True)
class StatusPaths:
    """Directories of the processes beside the server; none need exist.

    Attributes:
        events: Directory of the collector's partitions, `[stream] events`.
        cron: Directory of the scheduler's state, `[cron] path`.
        online: Directory of the looks at experiments, `[online] path`.
    """

    events: Path
    cron: Path
    online: Path

    @classmethod
    def configured(cls, config: Path | None = None) -> Self:
        """Return the directories that a configuration names.

        Raises:
            ConfigError: It cannot be read.
        """
        return cls(
            Path(text_of("stream", "events", "var/events", config)),
            Path(text_of("cron", "path", "var/cron", config)),
            Path(text_of("online", "path", "var/online", config)),
        )
