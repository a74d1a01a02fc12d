"""One input file: a file of its own, or a member of an archive.

ratings.csv                     a file
ml-latest-small.zip/links.csv   a member, named as if the archive were a directory
"""

import contextlib
import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from batch.errors import InputError


@dataclass(frozen=True, slots=True)
class Member:
    """A file in an archive.

    Attributes:
        name: Name in the archive, printable.
        n_bytes: Size, unpacked from the archive.
        n_packed_bytes: Bytes of the archive's file that it takes.
        open: Function that opens it at its begin. The file can be read and sought, and raises
            `InputError` where the archive is damaged.
    """

    name: str
    n_bytes: int
    n_packed_bytes: int
    open: Callable[[], io.RawIOBase]


@dataclass(frozen=True, slots=True)
class InputFile:
    """An input file; its text form is its name in messages.

    Attributes:
        path: Path of the file, or of the archive that it is in.
        member: Member of the archive; None for a file of its own.
    """

    path: Path
    member: Member | None = None

    def __str__(self) -> str:
        return name_of(self.path, self.member_name)

    @property
    def member_name(self) -> str:
        """Name in the archive; empty for a file of its own."""
        return self.member.name if self.member else ""


def name_of(path: object, member_name: str) -> str:
    """Return the name of a file, or of a member of an archive, in messages."""
    return f"{path}/{member_name}" if member_name else str(path)


AnyFile = Path | InputFile


def input_file(file: AnyFile) -> InputFile:
    """Return a path as an input file; an input file stays the same."""
    return file if isinstance(file, InputFile) else InputFile(file)


@contextlib.contextmanager
def open_bytes(file: InputFile) -> Iterator[IO[bytes]]:
    """Open an input file for reading its bytes as they are.

    Raises:
        InputError: It is missing or unreadable, also if the fault appears only during reading.
    """
    try:
        member = file.member
        with io.BufferedReader(member.open()) if member else file.path.open("rb") as raw:
            yield raw
    except FileNotFoundError:
        raise InputError(file, "no such file", "check the path") from None
    except PermissionError:
        raise InputError(file, "permission denied", "give this user the right to read it") from None
    except IsADirectoryError:
        raise InputError(file, "is a directory", "name the files in it") from None
    except OSError as error:
        raise InputError(file, f"cannot be read: {error.strerror}", "check the disk") from error


def n_bytes_of(file: InputFile, raw: IO[bytes]) -> int:
    """Return the size of an open file of `open_bytes`."""
    return file.member.n_bytes if file.member else os.fstat(raw.fileno()).st_size
