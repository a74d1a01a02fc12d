"""The collector's own directory, hidden beside the partitions.

var/events/.collector/
LEDGER, LOCK     which part of which log is in which file; held by the collector
pending/         files that are not renamed into place yet
REMOVED          days that retention removed: their size, rows and hash
STATUS           what the running collector is doing
"""

from pathlib import Path
from typing import NamedTuple, Self

from batch.events.readers import make_lock
from store.durable import fsync_path


class CollectorFolder(NamedTuple):
    """Paths of a collector.

    Attributes:
        events: Directory of the day partitions.
    """

    events: Path

    @classmethod
    def make(cls, events: Path) -> Self:
        """Return the paths; missing directories are made.

        Raises:
            OSError: They cannot be made.
        """
        folder = cls(events)
        folder.pending.mkdir(parents=True, exist_ok=True)
        make_lock(events)
        fsync_path(events)
        fsync_path(folder.own)
        return folder

    @property
    def own(self) -> Path:
        """Directory of everything but the partitions."""
        return self.events / ".collector"

    @property
    def ledger(self) -> Path:
        """File of the ledger."""
        return self.own / "LEDGER"

    @property
    def pending(self) -> Path:
        """Directory of files that are not renamed yet."""
        return self.own / "pending"

    @property
    def removed(self) -> Path:
        """File of the days that were removed."""
        return self.own / "REMOVED"

    @property
    def status(self) -> Path:
        """File of the running collector's figures."""
        return self.own / "STATUS"
