"""Folded files: the versions of the files whose rows were folded into a day's file.

    marquee.folded_from    [["views-2026-11-14.s000000042.parquet", 81207, 1795831867554…, 9412], …]

A file is never written in place, so inode, time of change and size identify its content.
A reader of all of these files has read the day's file.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from batch.errors import InputError
from batch.events.positions import REMEDY

_KEY: Final = b"marquee.folded_from"


class FileVersion(NamedTuple):
    """A file as it is at some time.

    Attributes:
        name: Name without its folder.
        inode: Number of the inode.
        changed_ns: Time of the last change, nanoseconds since 1970.
        n_bytes: Size.
    """

    name: str
    inode: int
    changed_ns: int
    n_bytes: int

    @classmethod
    def of(cls, path: Path) -> "FileVersion":
        """Return the version of a file.

        Raises:
            OSError: It does not exist.
        """
        status = path.stat()
        return cls(path.name, status.st_ino, status.st_mtime_ns, status.st_size)


def folded_from(path: Path) -> list[FileVersion]:
    """Return the versions that a Parquet file was folded from; none for any other file.

    Raises:
        InputError: The file cannot be read as Parquet.
    """
    try:
        document = json.loads((pq.read_metadata(path).metadata or {}).get(_KEY, b"[]"))
    except (pa.ArrowException, ValueError) as error:
        raise InputError(path, f"cannot be read as Parquet: {error}", REMEDY) from error
    return [FileVersion(*version) for version in document]


def as_metadata(versions: Iterable[FileVersion]) -> dict[bytes, bytes]:
    """Return key and value for the metadata of a Parquet file; none without versions."""
    document = [*versions]
    return {_KEY: json.dumps(document, separators=(",", ":")).encode()} if document else {}
