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
from typing import IO, Final, TypeVar, cast

from batch.errors import InputError, UnreadKindError
from batch.files.compression import MAX_RATIO, UNCHECKED_BYTES, Unpacked, codec_of, implausible
from batch.files.input_file import AnyFile, InputFile, Member, open_bytes
from batch.files.layers import damage_explained
from batch.files.member_bytes import SharedFile, TarBytes, ZipBytes
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


def input_files(path: AnyFile) -> tuple[InputFile, ...]:
    """Return the input files in a path: itself, or the members of an archive, in its order.

    An input file is returned as it is.

    Raises:
        InputError: The path is missing or unreadable, or an archive that is damaged,
            encrypted, implausibly packed or without any file.
    """
    if isinstance(path, InputFile):
        return (path,)
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
    path: AnyFile, open_one: Callable[[InputFile], Opened]
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
        problem = f"has no member that can be read here ({whys}{more})"
        raise UnreadKindError(path, problem, UNPACK, _by_full_name(path, not_read))
    return opened, _by_full_name(path, not_read)


def _by_full_name(path: object, not_read: dict[str, str]) -> dict[str, str]:
    return {f"{path}/{name}": why for name, why in not_read.items()}


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
        return _zip_members(file.path, SharedFile(os.dup(raw.fileno())))
    if kind == "tar":
        return _tar_members(file.path, SharedFile(os.dup(raw.fileno())), share=1.0)
    codec = codec_of(head)
    if codec is None:
        return None
    head = io.BufferedReader(Unpacked(file, raw, codec)).read(tarfile.BLOCKSIZE)
    raw.seek(0)
    if archive_name(head) != "tar":
        return None
    with temporary_copy(file, io.BufferedReader(Unpacked(file, raw, codec))) as copy:
        unpacked = SharedFile(os.dup(copy.fileno()))
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


def _zip_members(path: Path, file: SharedFile) -> Iterator[Member]:
    try:
        with damage_explained(path, "zip archive"):
            archive = zipfile.ZipFile(io.BufferedReader(file))
    except NotImplementedError as error:
        raise InputError(path, f"is not a zip archive that is read: {error}", UNPACK) from None
    infos = archive.infolist()
    check_not_document(path, [info.filename for info in infos])
    for info in infos:
        name = _printable(info.filename)
        subject = f"{path}/{name}"
        if info.flag_bits & _ENCRYPTED:
            raise InputError(subject, "is encrypted", "unpack it with its password")
        begin = partial(ZipBytes, subject, archive, info)
        yield Member(name, info.file_size, info.compress_size, begin)


def _tar_members(path: Path, archive: SharedFile, share: float) -> Iterator[Member]:
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
            begin = partial(TarBytes, subject, archive, info)
            yield Member(name, info.size, int(info.size * share), begin)
        if archive.n_bytes < tar.offset + tarfile.BLOCKSIZE:
            raise EOFError("its end is missing")


def _printable(name: str) -> str:
    return "".join(sign if sign.isprintable() else "\ufffd" for sign in name)
