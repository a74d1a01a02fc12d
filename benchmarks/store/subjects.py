"""The interface of the subjects: write a million lists, then look one up."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

Records = Sequence[tuple[bytes, bytes]]
Get = Callable[[bytes], bytes | None]
Opened = AbstractContextManager[Get]


class Subject(Protocol):
    """One store that is compared.

    Attributes:
        name: Name in tables and figures.
        configuration: The fastest configuration found, in words.
    """

    name: str
    configuration: str

    @property
    def version(self) -> str:
        """Version of the library or server."""

    def missing(self) -> str | None:
        """Return the Debian package that is missing, or None."""

    def write(self, folder: Path, records: Records) -> dict[str, float]:
        """Write all records, sorted by key, durably.

        Returns:
            Seconds by stage; "write" is the one that is compared.
        """

    def opened(self, folder: Path) -> Opened:
        """Open the written records for lookups."""

    def files(self, folder: Path) -> list[Path]:
        """Return the files that a lookup reads; none where all lists are in memory."""
