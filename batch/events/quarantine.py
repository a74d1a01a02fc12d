"""The quarantine: every rejected line, with its reason, its source and its line number.

    var/quarantine/2026-11-21T093000Z.tsv
        reason              source          line    what stood there
        malformed time      stream.log      1207    2022-11-1 4T12:23:14,199776,GET …

One file a refresh, none for a clean one; the newest files are kept.
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from batch.errors import BatchError


class Quarantine:
    """Takes what the parsers reject. Use it in a `with`.

    Attributes:
        counts: Rejected lines by reason.
        path: The file of this refresh; it exists once something was rejected.
    """

    def __init__(self, folder: Path, name: str, keep: int) -> None:
        self.counts: Counter[str] = Counter()
        self.path = folder / f"{name}.tsv"
        self._keep = keep
        self._file: IO[bytes] | None = None

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
        """Write down rejected lines of one source.

        Args:
            source: The file that they stood in.
            rejected: Reason, line number from 1, and the line as it was.

        Raises:
            BatchError: The quarantine cannot be written: nothing may be lost.
        """
        try:
            for reason, number, line in rejected:
                self.counts[reason] += 1
                text = line.rstrip(b"\r\n")
                self._opened().write(f"{reason}\t{source}\t{number}\t".encode() + text + b"\n")
        except OSError as error:
            raise BatchError(
                self.path,
                f"rejected lines cannot be written down: {error.strerror}",
                "make room there, or set [batch] quarantine to another directory",
            ) from error

    def _opened(self) -> IO[bytes]:
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            for old in sorted(self.path.parent.glob("*.tsv"))[: -self._keep + 1 or None]:
                old.unlink()
            self._file = self.path.open("wb")
        return self._file
