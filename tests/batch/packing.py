"""Ways to pack the content of a file: compression, archives, and both."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable

import pyarrow as pa


def zstd(content: bytes) -> bytes:
    """Return content compressed by zstd."""
    return bytes(pa.compress(content, codec="zstd", asbytes=True))


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip archive of members by name."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def tarred(members: dict[str, bytes]) -> bytes:
    """Return a tar archive of members by name, with their directories."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, content in members.items():
            if "/" in name:
                folder = tarfile.TarInfo(name.rpartition("/")[0])
                folder.type = tarfile.DIRTYPE
                archive.addfile(folder)
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


CODECS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstd,
}

ARCHIVES: dict[str, Callable[[dict[str, bytes]], bytes]] = {
    "zip": zipped,
    "zip stored": lambda members: zipped(members, zipfile.ZIP_STORED),
    "zip bzip2": lambda members: zipped(members, zipfile.ZIP_BZIP2),
    "zip lzma": lambda members: zipped(members, zipfile.ZIP_LZMA),
    "tar": tarred,
    "tar.gz": lambda members: gzip.compress(tarred(members)),
    "tar.bz2": lambda members: bz2.compress(tarred(members)),
    "tar.xz": lambda members: lzma.compress(tarred(members)),
    "tar.zst": lambda members: zstd(tarred(members)),
}

PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    **CODECS,
    **{name: lambda content, pack=pack: pack({"in/it.csv": content})  # type: ignore[misc]
       for name, pack in ARCHIVES.items()},
    "gzip in zip": lambda content: zipped({"it.csv.gz": gzip.compress(content)}),
    "xz in tar": lambda content: tarred({"it.csv.xz": lzma.compress(content)}),
}  # fmt: skip
