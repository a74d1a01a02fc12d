"""What a snapshot says about itself, and the checksums that prove it.

`MANIFEST.json` is written when every data file is complete, `SHA256SUMS` last
of all; it covers the manifest too, so `sha256sum -c SHA256SUMS` checks all.
"""

import dataclasses
import hashlib
import json
import struct
from pathlib import Path
from typing import Any, Final

from store.durable import write_durable
from store.errors import CorruptSnapshotError, IncompatibleSnapshotError, NoSnapshotError
from store.layout import (
    CHECKSUMS,
    DATA_FILES,
    FACTORS,
    FORMAT_VERSION,
    MANIFEST,
    RECS,
    snapshot_folder,
)

_LMDB_MAGIC: Final = struct.pack("=I", 0xBEEFC0DE)
_LMDB_MAGIC_AT: Final = 16  # behind the header of page 0, where a word has 8 bytes


@dataclasses.dataclass(frozen=True, slots=True)
class Manifest:
    """The whole of `MANIFEST.json`.

    Attributes:
        format_version: Of the snapshot's files; a reader refuses one it does not know.
        generation: Serial number; larger is newer.
        parent: The generation that was current when this one was built, if any.
        began_at: When the refresh began, ISO 8601 in UTC.
        finished_at: When the last data file was complete, ISO 8601 in UTC.
        code_version: Of Marquee, as `git describe` or the package gives it.
        counts: Entries of each table, as `recs.mdb/users`.
        files: Bytes of each data file.
        inputs: One entry a source: name, kind, bytes, sha256.
        parameters: Of the batch, as they were in force.
        metrics: What the batch measured about this snapshot.
        gate: What the gate said.
    """

    format_version: int
    generation: int
    parent: int | None
    began_at: str
    finished_at: str
    code_version: str
    counts: dict[str, int]
    files: dict[str, int]
    inputs: list[dict[str, Any]]
    parameters: dict[str, Any]
    metrics: dict[str, Any]
    gate: dict[str, Any]


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `MANIFEST.json`, then `SHA256SUMS` over it and the data files, to disk."""
    text = json.dumps(dataclasses.asdict(manifest), indent=2, sort_keys=True) + "\n"
    write_durable(folder / MANIFEST, text)
    lines = [f"{sha256(folder / name)}  {name}\n" for name in sorted((*DATA_FILES, MANIFEST))]
    write_durable(folder / CHECKSUMS, "".join(lines))


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of the snapshot in `folder`.

    Raises:
        NoSnapshotError: There is no such directory.
        CorruptSnapshotError: The manifest is missing or not readable.
        IncompatibleSnapshotError: It is of another format version.
    """
    if not folder.is_dir():
        raise NoSnapshotError(folder, "no such snapshot")
    try:
        document = json.loads((folder / MANIFEST).read_bytes())
        version = document["format_version"]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise CorruptSnapshotError(folder / MANIFEST, f"cannot be read: {error!r}") from error
    if version != FORMAT_VERSION:
        raise IncompatibleSnapshotError(
            folder, f"format version {version}, but this code reads {FORMAT_VERSION}"
        )
    try:
        return Manifest(**document)
    except TypeError as error:
        raise CorruptSnapshotError(folder / MANIFEST, str(error)) from error


def verify(folder: Path) -> Manifest:
    """Check format version, sizes and every checksum, and return the manifest.

    LMDB has no checksums of its own: a flipped bit is served silently, and a
    file that was cut short kills the process that maps it.

    Raises:
        NoSnapshotError, CorruptSnapshotError, IncompatibleSnapshotError.
    """
    manifest = read_manifest(folder)
    expected = _read_checksums(folder)
    for name in (MANIFEST, *DATA_FILES):
        path = folder / name
        if name not in expected:
            raise CorruptSnapshotError(path, f"has no line in {CHECKSUMS}")
        try:
            n_bytes = path.stat().st_size
            if name != MANIFEST and n_bytes != manifest.files.get(name):
                what = f"{n_bytes} bytes, but the manifest says {manifest.files.get(name)}"
                raise CorruptSnapshotError(path, what)
            if sha256(path) != expected[name]:
                raise CorruptSnapshotError(path, "its SHA-256 is not the one written down")
            if name in (FACTORS, RECS):
                _check_machine(path)
        except OSError as error:
            raise CorruptSnapshotError(path, f"cannot be read: {error.strerror}") from error
    if folder != snapshot_folder(folder.parent.parent, manifest.generation):
        raise CorruptSnapshotError(folder, f"holds generation {manifest.generation}")
    return manifest


def _check_machine(path: Path) -> None:
    """Refuse what LMDB wrote on a machine of another byte order or word size."""
    with path.open("rb") as file:
        head = file.read(_LMDB_MAGIC_AT + len(_LMDB_MAGIC))
    if head[_LMDB_MAGIC_AT:] == _LMDB_MAGIC:
        return
    if _LMDB_MAGIC in head or _LMDB_MAGIC[::-1] in head:
        what = "was written on a machine of another byte order or word size"
        raise IncompatibleSnapshotError(path, what, "rebuild with `python -m batch refresh` here")
    raise CorruptSnapshotError(path, "is no LMDB file")


def _read_checksums(folder: Path) -> dict[str, str]:
    path = folder / CHECKSUMS
    try:
        text = path.read_bytes().decode("ascii")
        lines = (line.split("  ") for line in text.removesuffix("\n").split("\n"))
        expected = {name: digest for digest, name in lines}
    except (OSError, ValueError) as error:
        raise CorruptSnapshotError(path, f"cannot be read: {error}") from error
    if not text.endswith("\n"):
        raise CorruptSnapshotError(path, "is cut short")
    return expected


def sha256(path: Path) -> str:
    """Return a file's SHA-256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
