"""Archives: the files in a zip or tar archive, as if it were a directory.

    ml-latest-small.zip ─► README.txt, ratings.csv, movies.csv …
    logs.tar.gz ─► a temporary file, unpacked once ─► 2026-11-01.log, 2026-11-02.log …

Members are read where they lie; nothing is written under their names. Empty and hidden ones
are left out. An archive in an archive is not opened.
"""

import errno
import io
import itertools
import os
import re
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any, Final, TypeVar, cast

from batch.errors import InputError, UnreadKindError
from batch.files.compression import MAX_RATIO, UNCHECKED_BYTES, Unpacked, codec_of, implausible
from batch.files.input_file import InputFile, Member, name_of, open_bytes
from batch.files.layers import Layer, damage_explained
from batch.files.refused import UNPACK, check_not_document

Opened = TypeVar("Opened")

_ZIP_MAGIC: Final = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_TAR_MAGIC: Final = b"ustar"
_TAR_MAGIC_AT: Final = slice(257, 262)
_ENCRYPTED: Final = 0x1 | 0x40 | 0x2000  # flags of a member of a zip archive
_MAX_MEMBERS: Final = 100_000
_DOCUMENTATION: Final = re.compile(
    r"(?:readme|licen[cs]e|copying|copyright|changelog|citation|notice)\b[^.]*(?:\.\w{2,4})?",
    re.IGNORECASE,
)
_N_SHOWN: Final = 5
_COPY_BYTES: Final = 1 << 20


def archive_name(head: bytes) -> str | None:
    """Return the kind of archive that begins with `head`: "zip" or "tar"; None if it is none."""
    if head.startswith(_ZIP_MAGIC):
        return "zip"
    return "tar" if head[_TAR_MAGIC_AT] == _TAR_MAGIC else None


def input_files(path: Path) -> tuple[InputFile, ...]:
    """Return the input files in a path: itself, or the members of an archive, in its order.

    Raises:
        InputError: The path is missing or unreadable, or an archive that is damaged,
            encrypted, implausibly packed or without any file.
    """
    file = InputFile(path)
    with open_bytes(file) as raw:
        found = _members(file, raw)
        if found is None:
            return (file,)
        members = list(itertools.islice(found, _MAX_MEMBERS + 1))
    if len(members) > _MAX_MEMBERS:
        raise InputError(path, f"has more than {_MAX_MEMBERS:,} members", UNPACK)
    visible = [member for member in members if member.n_bytes and not is_hidden(member.name)]
    if not visible:
        raise InputError(path, "is an archive without files", "put files into it")
    for member in visible:
        _check_size(f"{path}/{member.name}", member.n_bytes, member.n_packed_bytes)
    _check_size(path, sum(member.n_bytes for member in visible), path.stat().st_size)
    return tuple(InputFile(path, member) for member in visible)


def open_readable(
    path: Path, open_one: Callable[[InputFile], Opened]
) -> tuple[list[Opened], dict[str, str]]:
    """Open every file in a path; members that are of no readable kind are left out.

    Args:
        path: Path of a file or an archive.
        open_one: Function that opens one file, and raises `UnreadKindError` for other kinds.

    Returns:
        What was opened, in the order of the archive, and why each other member is not read,
        by its name.

    Raises:
        InputError: A file cannot be opened, or no member of an archive is of a readable kind.
    """
    files = input_files(path)
    if len(files) == 1:
        return [open_one(files[0])], {}
    opened: list[Opened] = []
    not_read: dict[str, str] = {}
    for file in files:
        if _DOCUMENTATION.fullmatch(Path(file.member_name).name):
            not_read[file.member_name] = "is documentation, by its name"
            continue
        try:
            opened.append(open_one(file))
        except UnreadKindError as error:
            not_read[file.member_name] = error.problem
    if not opened:
        whys = "; ".join(f"{name} {why}" for name, why in list(not_read.items())[:_N_SHOWN])
        more = f"; and {len(not_read) - _N_SHOWN:,} others" if len(not_read) > _N_SHOWN else ""
        raise UnreadKindError(path, f"has no member that can be read here ({whys}{more})", UNPACK)
    return opened, {name_of(path, name): why for name, why in not_read.items()}


def is_hidden(name: str) -> bool:
    """Return whether any part of a path begins with `.` or `_`, as those of tools do."""
    return any(part.startswith((".", "_")) for part in name.split("/"))


def _check_size(subject: object, n_bytes: int, n_packed_bytes: int) -> None:
    if n_bytes > UNCHECKED_BYTES + MAX_RATIO * n_packed_bytes:
        raise implausible(subject)


def _members(file: InputFile, raw: IO[bytes]) -> Iterable[Member] | None:
    """Return the members of an archive; None if the file is none."""
    head = raw.read(tarfile.BLOCKSIZE)
    raw.seek(0)
    kind = archive_name(head)
    if kind == "zip":
        return _zip_members(file.path, _SharedFile(os.dup(raw.fileno())))
    if kind == "tar":
        return _tar_members(file.path, _SharedFile(os.dup(raw.fileno())), share=1.0)
    codec = codec_of(head)
    if codec is None:
        return None
    head = io.BufferedReader(Unpacked(file, raw, codec)).read(tarfile.BLOCKSIZE)
    raw.seek(0)
    if archive_name(head) != "tar":
        return None
    with temporary_copy(file, io.BufferedReader(Unpacked(file, raw, codec))) as copy:
        unpacked = _SharedFile(os.dup(copy.fileno()))
    share = os.fstat(raw.fileno()).st_size / unpacked.n_bytes
    return _tar_members(file.path, unpacked, share)


def temporary_copy(subject: object, source: IO[bytes]) -> IO[bytes]:
    """Return a temporary file with the bytes of another; it vanishes when it is closed.

    Raises:
        InputError: The directory of temporary files has no room for it.
    """
    copy = tempfile.TemporaryFile()  # noqa: SIM115 - it is returned open
    try:
        shutil.copyfileobj(source, copy, _COPY_BYTES)
        copy.flush()
    except BaseException as error:
        copy.close()
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            problem = f"does not fit into {tempfile.gettempdir()}, unpacked"
            raise InputError(subject, problem, "set TMPDIR to a directory with room") from None
        raise
    return copy


class _SharedFile(io.RawIOBase):
    """The file of an archive, which is closed with the last of its members.

    Args:
        descriptor: Descriptor of the open file.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        n_read = self.read_at(self._at, buffer)
        self._at += n_read
        return n_read

    def read_at(self, offset: int, buffer: Any) -> int:
        """Read bytes at an offset into a buffer, and return their number."""
        return os.preadv(self._descriptor, [buffer], offset)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = _target(offset, whence, self._at, self.n_bytes)
        return self._at

    def tell(self) -> int:
        return self._at

    def close(self) -> None:
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


class _ZipBytes(_MemberBytes):
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
        with damage_explained(self.subject, "member of its archive"):
            return self._file.readinto(buffer)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        with damage_explained(self.subject, "member of its archive"):
            return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def _zip_members(path: Path, file: _SharedFile) -> Iterator[Member]:
    with damage_explained(path, "zip archive"):
        archive = zipfile.ZipFile(io.BufferedReader(file))
    infos = archive.infolist()
    check_not_document(path, [info.filename for info in infos])
    for info in infos:
        name = _printable(info.filename)
        subject = f"{path}/{name}"
        if info.flag_bits & _ENCRYPTED:
            raise InputError(subject, "is encrypted", "unpack it with its password")
        begin = partial(_ZipBytes, subject, archive, info)
        yield Member(name, info.file_size, info.compress_size, begin)


class _TarBytes(_MemberBytes):
    """The bytes of a member of a tar archive, which is not packed or was unpacked."""

    def __init__(self, subject: str, archive: _SharedFile, info: tarfile.TarInfo) -> None:
        super().__init__(subject, info.size)
        self._archive = archive
        self._begin = info.offset_data
        self._at = 0

    def readinto(self, buffer: Any) -> int:
        within = memoryview(buffer)[: self.n_bytes - self._at]
        n_read = self._archive.read_at(self._begin + self._at, within) if len(within) else 0
        self._at += n_read
        return n_read

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = min(_target(offset, whence, self._at, self.n_bytes), self.n_bytes)
        return self._at

    def tell(self) -> int:
        return self._at


def _tar_members(path: Path, archive: _SharedFile, share: float) -> Iterator[Member]:
    """Yield the members of a tar archive.

    Args:
        path: Path of the archive, for messages.
        archive: The archive, unpacked.
        share: Packed bytes of the archive for each unpacked one.
    """
    file = cast(IO[bytes], archive)
    with damage_explained(path, "tar archive"), tarfile.open(fileobj=file, mode="r:") as tar:
        for info in filter(tarfile.TarInfo.isreg, tar):
            name = _printable(info.name.removeprefix("./"))
            subject = f"{path}/{name}"
            if info.issparse():
                raise InputError(subject, "is a sparse file of tar", UNPACK)
            begin = partial(_TarBytes, subject, archive, info)
            yield Member(name, info.size, int(info.size * share), begin)
        if archive.n_bytes < tar.offset + tarfile.BLOCKSIZE:
            raise EOFError("its end is missing")


def _printable(name: str) -> str:
    return "".join(sign if sign.isprintable() else "\ufffd" for sign in name)
