"""The bytes of a member of an archive: read where they lie, by many threads, and sought.

SharedFile ─► ZipBytes, unpacked by the standard library
└► TarBytes, a span of the file
"""

import io
import os
import tarfile
import zipfile
from typing import Any, cast

from batch.errors import InputError
from batch.files.layers import Layer, damage_explained
from batch.files.refused import UNPACK


class SharedFile(io.RawIOBase):
    """The file of an archive, which is closed with the last of its members.

    Args:
        descriptor: Descriptor of the open file.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._at = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read bytes into a buffer, and return their number; 0 at the end."""
        n_read = self.read_at(self._at, buffer)
        self._at += n_read
        return n_read

    def read_at(self, offset: int, buffer: Any) -> int:
        """Read bytes at an offset into a buffer, and return their number."""
        return os.preadv(self._descriptor, [buffer], offset)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position, and return it."""
        self._at = _target(offset, whence, self._at, self.n_bytes)
        return self._at

    def tell(self) -> int:
        """Return the position."""
        return self._at

    def close(self) -> None:
        """Close the file."""
        if not self.closed:
            os.close(self._descriptor)
        super().close()

    @property
    def n_bytes(self) -> int:
        """Size of the file."""
        return os.fstat(self._descriptor).st_size


def _target(offset: int, whence: int, at: int, n_bytes: int) -> int:
    """Return the position that `seek` asks for."""
    target = {os.SEEK_SET: 0, os.SEEK_CUR: at, os.SEEK_END: n_bytes}[whence] + offset
    if target < 0:
        raise ValueError(f"the position {target} is before the begin of the file")
    return target


class _MemberBytes(Layer):
    """The bytes of a member, which can be sought.

    Args:
        subject: Name of the member in messages.
        n_bytes: Size of the member.
    """

    def __init__(self, subject: str, n_bytes: int) -> None:
        self.subject = subject
        self.n_bytes = n_bytes

    def seekable(self) -> bool:
        """Return True."""
        return True

    def max_lines_left(self, min_line_bytes: int) -> int:
        """Return the number of lines that the rest of the member can hold."""
        return (self.n_bytes - self.tell()) // min_line_bytes


class ZipBytes(_MemberBytes):
    """The bytes of a member of a zip archive, which many threads may read."""

    def __init__(self, subject: str, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> None:
        super().__init__(subject, info.file_size)
        try:
            with damage_explained(subject, "member of its archive"):
                self._file = cast(io.BufferedIOBase, archive.open(info))
        except NotImplementedError:
            problem = f"is packed by method {info.compress_type} of zip, which is not read"
            raise InputError(subject, problem, UNPACK) from None

    def readinto(self, buffer: Any) -> int:
        """Read bytes into a buffer, and return their number; 0 at the end."""
        with damage_explained(self.subject, "member of its archive"):
            return self._file.readinto(buffer)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position, and return it."""
        with damage_explained(self.subject, "member of its archive"):
            return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the position."""
        return self._file.tell()

    def close(self) -> None:
        """Close the file."""
        if not self.closed:
            self._file.close()
        super().close()


class TarBytes(_MemberBytes):
    """The bytes of a member of a tar archive, which is not packed or was unpacked."""

    def __init__(self, subject: str, archive: SharedFile, info: tarfile.TarInfo) -> None:
        super().__init__(subject, info.size)
        self._archive = archive
        self._begin = info.offset_data
        self._at = 0

    def readinto(self, buffer: Any) -> int:
        """Read bytes into a buffer, and return their number; 0 at the end."""
        within = memoryview(buffer)[: self.n_bytes - self._at]
        n_read = self._archive.read_at(self._begin + self._at, within) if len(within) else 0
        self._at += n_read
        return n_read

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position, and return it."""
        self._at = min(_target(offset, whence, self._at, self.n_bytes), self.n_bytes)
        return self._at

    def tell(self) -> int:
        """Return the position."""
        return self._at
