"""The quarantine: rejected lines, each with its reason, source and line number.

    var/quarantine/2026-11-21T093000Z.tsv
        reason              source          line    text of the line, at most 1 KiB
        malformed time      stream.log      1207    2022-11-1 4T12:23:14,199776,GET …

One file a run, none if nothing was rejected. Its size is limited; the lines beyond are
counted, and the last line gives their number. The newest files are kept, unless they are
too old: the lines name users.
"""

import bisect
import contextlib
import time
from collections import Counter
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Final, NamedTuple, Self

import pyarrow as pa
import pyarrow.compute as pc

from batch.errors import BatchError
from batch.events.parsed import Rejected
from batch.settings import BatchSettings

MAX_TEXT_BYTES: Final = 1 << 10
_CUT: Final = " … cut".encode()
_CHUNK_LINES: Final = 4096  # rejected lines that are text at a time
_DAY_SECONDS: Final = 86_400


class QuarantineLimits(NamedTuple):
    """How much of the quarantine is kept.

    Attributes:
        n_files: Number of files, that of this run included.
        max_days: Age in days from which a file is removed; 0 for any age.
        max_bytes: Size of one file.
    """

    n_files: int = 30
    max_days: float = 0.0
    max_bytes: int = 100 << 20


class Quarantine:
    """Writes rejected lines to a file. Used as a context manager.

    Args:
        folder: Directory of all quarantine files.
        name: Name of this run's file, without its suffix.
        limits: Limits of number, age and size of the files.

    Attributes:
        counts: Number of rejected lines by reason.
        n_unwritten: Number of rejected lines beyond the size of the file.
        path: File of this run; it exists once a line was rejected.
    """

    def __init__(self, folder: Path, name: str, limits: QuarantineLimits) -> None:
        self.counts: Counter[str] = Counter()
        self.n_unwritten = 0
        self.path = folder / f"{name}.tsv"
        self._limits = limits
        self._file: IO[bytes] | None = None

    @classmethod
    def of_run(cls, settings: BatchSettings, began_at: datetime) -> Self:
        """Return the quarantine of a run, whose file is named after its begin in UTC."""
        name = began_at.strftime("%Y-%m-%dT%H%M%S.%fZ")
        max_bytes = int(settings.quarantine_mib * (1 << 20))
        limits = QuarantineLimits(settings.quarantine_keep, settings.quarantine_days, max_bytes)
        return cls(Path(settings.quarantine), name, limits)

    def __enter__(self) -> Self:
        if self._limits.max_days:
            oldest = time.time() - self._limits.max_days * _DAY_SECONDS
            with contextlib.suppress(OSError):  # another run may remove the same files
                for old in quarantine_files(self.path.parent):
                    if old.stat().st_mtime < oldest:
                        old.unlink()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file:
            with self._file as file, contextlib.suppress(OSError):
                if self.n_unwritten:
                    note = f"{self.n_unwritten} further lines: [batch] quarantine_mib is reached"
                    file.write(f"not written\t-\t0\t{note}\n".encode())

    def add(self, source: str, rejected: Rejected) -> None:
        """Write the rejected lines of one file.

        Args:
            source: Path of the file.
            rejected: Rejected lines.

        Raises:
            BatchError: The quarantine cannot be written.
        """
        self.counts.update(rejected.reasons)
        columns = [_cut(column) for column in rejected.columns]
        try:
            for begin in range(0, len(rejected.reasons), _CHUNK_LINES):
                end = min(begin + _CHUNK_LINES, len(rejected.reasons))
                if self._opened().tell() >= self._limits.max_bytes:
                    self.n_unwritten += len(rejected.reasons) - begin
                    return
                numbers = pa.array(rejected.numbers[begin:end]).cast(pa.string())
                text = _text([column.slice(begin, end - begin) for column in columns])
                reasons = pa.array(rejected.reasons[begin:end])
                self._write(_lines(reasons, source, numbers, text))
        except OSError as error:
            raise BatchError(
                self.path,
                f"rejected lines cannot be written: {error.strerror}",
                "make room there, or set [batch] quarantine to another directory",
            ) from error

    def flush(self) -> None:
        """Hand all lines over to the operating system.

        Raises:
            OSError: They cannot be written.
        """
        if self._file is not None:
            self._file.flush()

    def cut(self, n_bytes: int) -> None:
        """Remove everything behind the first bytes of the file.

        Raises:
            OSError: The file cannot be changed.
        """
        if self._file is not None:
            self._file.seek(n_bytes)
            self._file.truncate()

    def _write(self, lines: pa.BinaryArray) -> None:
        """Write whole lines up to the size of the file, and count the others."""
        _, offsets, data = lines.buffers()
        ends = memoryview(offsets).cast("i")[: len(lines) + 1]
        file = self._opened()
        room = self._limits.max_bytes - file.tell()
        n_fitting = bisect.bisect_right(ends, room) - 1
        file.write(memoryview(data or b"")[: ends[n_fitting]])
        self.n_unwritten += len(lines) - n_fitting

    def _opened(self) -> IO[bytes]:
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            for old in quarantine_files(self.path.parent)[: -self._limits.n_files + 1 or None]:
                old.unlink()
            self._file = self.path.open("wb")
        return self._file


def quarantine_files(folder: Path) -> list[Path]:
    """Return the quarantine files of a directory, oldest first."""
    return sorted(folder.glob("*.tsv"))


def _cut(column: pa.Array) -> pa.Array:
    """Return texts with their first KiB alone; the values of a dictionary are cut once."""
    if pa.types.is_dictionary(column.type):
        values = _cut(column.dictionary)
        return pa.DictionaryArray.from_arrays(column.indices, values)
    column = column.cast(pa.binary())
    is_long = pc.greater(pc.binary_length(column), MAX_TEXT_BYTES)
    if not pc.any(is_long).as_py():
        return column
    begins = pc.binary_slice(column, 0, MAX_TEXT_BYTES)
    marks = pc.if_else(is_long, pa.scalar(_CUT), pa.scalar(b""))
    return pc.binary_join_element_wise(begins, marks, b"")


def _text(columns: list[pa.Array]) -> pa.BinaryArray:
    """Return the columns joined by tabs, without line ends behind them."""
    plain = [column.cast(pa.binary()) for column in columns]
    joined = pc.binary_join_element_wise(*plain, b"\t", null_handling="replace")
    return pc.replace_substring_regex(joined, pattern=r"[\r\n]+\z", replacement="")


def _lines(
    reasons: pa.StringArray, source: str, numbers: pa.StringArray, text: pa.BinaryArray
) -> pa.BinaryArray:
    begin = pc.binary_join_element_wise(reasons, source, numbers, "\t").cast(pa.binary())
    whole = pc.binary_join_element_wise(begin, text, b"\t")
    return pc.binary_join_element_wise(whole, b"", b"\n")
