"""The quarantine of the collector: files of limited size, each line synced with its flush.

    var/quarantine/2026-11-21T093000.000000Z-stream-7.tsv
        reason          source                line = offset    text
        malformed time  kafka:movielog1#1[0]  81207            2022-11-1 4T12:23:14,199776,GET …

The ledger records the length of the file with each flush. What lies behind it after a
crash is cut off: these lines are read again.
"""

import contextlib
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from batch.errors import BatchError
from batch.events.parsed import Rejected
from batch.events.quarantine import Quarantine, QuarantineLimits
from batch.settings import BatchSettings
from store.durable import fsync_path

_MIB: Final = 1 << 20


class StreamQuarantine:
    """Quarantine files of one run of the collector.

    Args:
        settings: Settings of the batch: directory, number and size of the files.
        generation: Generation of the collector in the ledger, part of the files' names.

    Attributes:
        keeps_text: Whether lines are written; else they are only counted.
    """

    def __init__(self, settings: BatchSettings, generation: int) -> None:
        self._folder = Path(settings.quarantine)
        self._generation = generation
        self._limits = QuarantineLimits(
            settings.quarantine_keep,
            settings.quarantine_days,
            int(settings.quarantine_mib * _MIB),
        )
        self._file: Quarantine | None = None
        self._n_synced = 0
        self._is_full = False
        self.keeps_text = True

    def add(self, source: str, rejected: Rejected) -> None:
        """Write rejected lines, without text where `keeps_text` is off.

        Raises:
            OSError: They cannot be written.
        """
        if not rejected.reasons or not self.keeps_text:
            return
        try:
            self._opened().add(source, rejected)
        except BatchError as error:
            if isinstance(error.__cause__, OSError):
                raise error.__cause__ from None
            raise

    def sync(self) -> dict[str, Any]:
        """Force the lines to disk; return name and size of the file, for the ledger.

        Raises:
            OSError: They cannot be written.
        """
        if self._file is None or not self._file.path.exists():
            return {}
        self._file.flush()
        fsync_path(self._file.path)
        fsync_path(self._folder)
        self._n_synced = self._file.path.stat().st_size
        self._is_full = self._n_synced >= self._limits.max_bytes or self._file.n_unwritten > 0
        return {"name": self._file.path.name, "bytes": self._n_synced}

    def undo(self) -> None:
        """Cut off what was written since the last `sync`, after a flush that failed."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.cut(self._n_synced)

    def recover(self, recorded: dict[str, Any], generation: int) -> None:
        """Cut off what the ledger does not know of the last run.

        Args:
            recorded: What the last flush recorded.
            generation: Generation of the last run.

        Raises:
            OSError: The files cannot be changed.
        """
        for path in self._folder.glob(f"*-stream-{generation}.tsv"):
            if path.name == recorded.get("name"):
                if path.stat().st_size > recorded["bytes"]:
                    os.truncate(path, recorded["bytes"])
            elif not recorded.get("name") or path.name > recorded["name"]:
                path.unlink()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.__exit__(None, None, None)
        self._file, self._n_synced, self._is_full = None, 0, False

    def _opened(self) -> Quarantine:
        if self._is_full:
            self.close()
        if self._file is None:
            began_at = datetime.now(UTC).strftime("%Y-%m-%dT%H%M%S.%fZ")
            name = f"{began_at}-stream-{self._generation}"
            self._file = Quarantine(self._folder, name, self._limits).__enter__()
        return self._file
