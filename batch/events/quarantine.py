"""The quarantine: every rejected line, with its reason, source and line number.

    var/quarantine/2026-11-21T093000Z.tsv
        reason              source          line    text of the line
        malformed time      stream.log      1207    2022-11-1 4T12:23:14,199776,GET …

One file a run, none if nothing was rejected; the newest files are kept.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from batch.errors import BatchError
from batch.settings import BatchSettings


class Quarantine:
    """Writes rejected lines to a file. Used as a context manager.

    Args:
        folder: Directory of all quarantine files.
        name: Name of this run's file, without its suffix.
        keep: Number of files that are kept, this one included.

    Attributes:
        counts: Number of rejected lines by reason.
        path: File of this run; it exists once a line was rejected.
    """

    def __init__(self, folder: Path, name: str, keep: int) -> None:
        self.counts: Counter[str] = Counter()
        self.path = folder / f"{name}.tsv"
        self._keep = keep
        self._file: IO[bytes] | None = None

    @classmethod
    def of_run(cls, settings: BatchSettings, began_at: datetime) -> Self:
        """Return the quarantine of a run, whose file is named after its begin in UTC."""
        name = began_at.strftime("%Y-%m-%dT%H%M%S.%fZ")
        return cls(Path(settings.quarantine), name, settings.quarantine_keep)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file:
            self._file.close()

    def add(self, source: str, rejected: Iterable[tuple[str, int, bytes]]) -> None:
        """Write the rejected lines of one file.

        Args:
            source: Path of the file.
            rejected: Reason, line number from 1, and text of each line.

        Raises:
            BatchError: The quarantine cannot be written.
        """
        try:
            for reason, number, line in rejected:
                self.counts[reason] += 1
                text = line.rstrip(b"\r\n")
                self._opened().write(f"{reason}\t{source}\t{number}\t".encode() + text + b"\n")
        except OSError as error:
            raise BatchError(
                self.path,
                f"rejected lines cannot be written: {error.strerror}",
                "make room there, or set [batch] quarantine to another directory",
            ) from error

    def _opened(self) -> IO[bytes]:
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            for old in sorted(self.path.parent.glob("*.tsv"))[: -self._keep + 1 or None]:
                old.unlink()
            self._file = self.path.open("wb")
        return self._file
