"""What is compared: anything that takes a million lists and finds one of them again."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

Records = Sequence[tuple[bytes, bytes]]
Get = Callable[[bytes], bytes | None]
Opened = AbstractContextManager[Get]


class Subject(Protocol):
    """One of those compared.

    Attributes:
        name: As the figures call it.
        how: The configuration that was fastest here, in words.
    """

    name: str
    how: str

    @property
    def version(self) -> str:
        """Of the library or server."""

    def missing(self) -> str | None:
        """Say what must be installed before it can take part, if anything."""

    def write(self, folder: Path, records: Records) -> dict[str, float]:
        """Write all records, sorted by key, so that a power cut cannot take them back.

        Returns:
            Seconds by stage; "write" is the one that is compared.
        """

    def opened(self, folder: Path) -> Opened:
        """Open what `write` made for lookups."""

    def files(self, folder: Path) -> list[Path]:
        """The files that a lookup reads; none where all of it lies in memory."""
