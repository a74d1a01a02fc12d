"""The manifest of a snapshot, and the checksums of its files.

`MANIFEST.json` is written when every data file is complete, and `SHA256SUMS` last.
It covers the manifest too, so `sha256sum -c SHA256SUMS` checks every file.
"""

import dataclasses
import hashlib
import json
import re
import stat
import struct
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Self

from store.arm_name import is_arm_name
from store.durable import write_durable
from store.errors import CorruptSnapshotError, IncompatibleSnapshotError, NoSnapshotError
from store.gate_result import GateResult
from store.layout import (
    CHECKSUMS,
    DATA_FILES,
    FACTORS,
    FORMAT_VERSIONS,
    MANIFEST,
    RECS,
    SEEN,
    is_optional_file,
    is_shard_file,
    manifests_folder,
    shard_file,
    snapshot_folder,
)
from store.parse import (
    MAX_CHECKSUMS_BYTES,
    MAX_GENERATION,
    MAX_MANIFEST_BYTES,
    excerpt,
    is_count,
    is_counts,
    is_file_name,
    parse_json_object,
    parse_time,
    read_small,
)
from store.partial import closed_shards
from store.progress import Advance, Progress, ignore, silent
from store.shards import Shards

_PIECE_BYTES: Final = 1 << 18  # of a file, read at a time
_LMDB_MAGIC: Final = struct.pack("=I", 0xBEEFC0DE)
_LMDB_MAGIC_AT: Final = 16  # after the header of page 0, on a 64-bit machine
_CHECKSUM_LINE: Final = re.compile(r"([0-9a-f]{64})  ([^/\0]+)")


@dataclasses.dataclass(frozen=True, slots=True)
class Manifest:
    """The content of `MANIFEST.json`.

    Attributes:
        format_version: Version of the files' format; readers refuse an unknown one.
        generation: Serial number; larger is newer.
        parent: Generation that was current when this one was built, if any.
        began_at: Time when the refresh began, ISO 8601 in UTC.
        finished_at: Time when the last data file was complete, ISO 8601 in UTC.
        code_version: Version of Marquee from `git describe` or the package.
        counts: Number of entries by table, such as `recs.mdb/users`.
        files: Size in bytes by data file.
        inputs: Name, kind, bytes and sha256 of each source.
        parameters: Settings of the batch that were in force.
        metrics: Quality figures that the batch measured.
        gate: Decision of the gate, and its checks.
        arm: Arm of an experiment that it was built for; None, and no key, for others.
        shards: Division of the users among files; None, and no key, if one file has them all.
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
    gate: GateResult
    arm: str | None = None
    shards: Shards | None = None

    @property
    def n_shards(self) -> int:
        """Number of parts of the users; 1 if one file has them all."""
        return self.shards.n_shards if self.shards else 1

    @property
    def data_files(self) -> list[str]:
        """Names of the data files: those that every snapshot has, and the optional ones."""
        return sorted({*DATA_FILES, *filter(is_optional_file, self.files)})

    def as_json(self) -> dict[str, Any]:
        """Return the document that `MANIFEST.json` holds."""
        document = dataclasses.asdict(self) | {"gate": self.gate.as_json()}
        for name in _OPTIONAL:
            if document[name] is None:
                del document[name]  # earlier versions refuse unknown keys
        return document

    @classmethod
    def from_json(cls, document: Any) -> Self:
        """Return the manifest that a parsed `MANIFEST.json` holds.

        Raises:
            ValueError: A key is missing or unknown, or a value is not of its type and range.
        """
        if not isinstance(document, dict):
            raise ValueError("not a JSON object")  # noqa: TRY004 - one kind of damaged file
        document = {**_OPTIONAL, **document}
        if odd := sorted(cls.__dataclass_fields__.keys() ^ document.keys()):
            raise ValueError(f"missing or unknown keys: {excerpt(', '.join(odd))}")
        for name, is_valid in _VALID.items():
            if not is_valid(document[name]):
                raise ValueError(f"{name}: {excerpt(document[name])} is not a valid value")
        for name in ("began_at", "finished_at"):
            parse_time(document[name])
        shards = Shards.from_json(document["shards"]) if document["shards"] is not None else None
        files = {shard_file(shard) for shard in range(shards.n_shards if shards else 0)}
        if files != set(filter(is_shard_file, document["files"])):
            raise ValueError("its shards and its files contradict each other")
        gate = GateResult.from_json(document["gate"])
        return cls(**document | {"gate": gate, "shards": shards})


def _is_generation(value: object) -> bool:
    return is_count(value, 1, MAX_GENERATION)


def _are_parameters(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("rules", {}), dict)


_OPTIONAL: Final = {"arm": None, "shards": None}  # keys that most manifests do not have
_VALID: Final[dict[str, Callable[[Any], bool]]] = {
    "format_version": is_count,
    "generation": _is_generation,
    "parent": lambda value: value is None or _is_generation(value),
    "code_version": lambda value: isinstance(value, str) and value.isprintable(),
    "counts": is_counts,
    "files": lambda value: is_counts(value) and all(map(is_file_name, value)),
    "inputs": lambda value: isinstance(value, list) and all(isinstance(i, dict) for i in value),
    "parameters": _are_parameters,
    "metrics": lambda value: isinstance(value, dict),
    "arm": lambda value: value is None or is_arm_name(value),
}


def write_manifest(
    folder: Path, manifest: Manifest, checksums: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Write `MANIFEST.json`, then `SHA256SUMS` over it and the data files, to disk.

    Args:
        folder: Directory of the snapshot.
        manifest: Manifest of the snapshot.
        checksums: SHA-256 of the files that others have written, by name.
    """
    text = json.dumps(manifest.as_json(), indent=2, sort_keys=True) + "\n"
    write_durable(folder / MANIFEST, text)
    lines = [
        f"{checksums.get(name) or sha256(folder / name)}  {name}\n"
        for name in sorted((*manifest.data_files, MANIFEST))
    ]
    write_durable(folder / CHECKSUMS, "".join(lines))


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of the snapshot in `folder`.

    Raises:
        NoSnapshotError: The directory does not exist.
        CorruptSnapshotError: The manifest is missing or not readable.
        IncompatibleSnapshotError: Its format version is not supported.
    """
    if not folder.is_dir():
        raise NoSnapshotError(folder, "no such snapshot")
    try:
        document = read_json_object(folder / MANIFEST)
        version = document["format_version"]
    except (OSError, ValueError, KeyError) as error:
        raise CorruptSnapshotError(folder / MANIFEST, f"cannot be read: {error!r}") from error
    if type(version) is not int or version not in FORMAT_VERSIONS:
        shown = excerpt(version).strip("'")
        known = f"{FORMAT_VERSIONS[0]} to {FORMAT_VERSIONS[-1]}"
        raise IncompatibleSnapshotError(
            folder, f"format version {shown}, but this code reads {known}"
        )
    try:
        return Manifest.from_json(document)
    except ValueError as error:
        raise CorruptSnapshotError(folder / MANIFEST, str(error)) from error


def manifest_of(store: Path, generation: int) -> Manifest:
    """Return the manifest of a generation that is in the store, or was pruned.

    Raises:
        NoSnapshotError: There is neither the snapshot nor its manifest.
        CorruptSnapshotError, IncompatibleSnapshotError: The manifest cannot be read.
    """
    folder = snapshot_folder(store, generation)
    is_pruned = not folder.is_dir() and _kept_file(store, generation).exists()
    return kept_manifest(store, generation) if is_pruned else read_manifest(folder)


def kept_manifest(store: Path, generation: int) -> Manifest:
    """Return the manifest of a pruned generation.

    Raises:
        NoSnapshotError: It is missing.
        CorruptSnapshotError: It cannot be read.
    """
    path = _kept_file(store, generation)
    try:
        return Manifest.from_json(read_json_object(path))
    except FileNotFoundError:
        raise NoSnapshotError(
            store, f"generation {generation} was pruned, and its manifest is missing"
        ) from None
    except (OSError, ValueError) as error:
        raise CorruptSnapshotError(path, f"cannot be read: {error}") from error


def _kept_file(store: Path, generation: int) -> Path:
    return manifests_folder(store) / f"{generation:06d}.json"


def read_json_object(path: Path) -> dict[str, Any]:
    """Return the JSON object that a manifest's file holds.

    Raises:
        OSError: It cannot be read.
        ValueError: It is not a JSON object, or too large.
    """
    return parse_json_object(read_small(path, MAX_MANIFEST_BYTES))


def verify(
    folder: Path, shards: Collection[int] | None = None, progress: Progress = silent
) -> Manifest:
    """Check format version, sizes and every checksum, and return the manifest.

    LMDB has no checksums of its own: a flipped bit would be served silently, and a
    truncated file kills the process that maps it.

    Args:
        folder: Directory of the snapshot.
        shards: Shards to check of a snapshot that has any; None means all.
        progress: What shows how much is checked.

    Raises:
        NoSnapshotError, CorruptSnapshotError, IncompatibleSnapshotError.
        PartialSnapshotError: One of the shards was not pulled.
    """
    manifest = read_manifest(folder)
    expected = _read_checksums(folder, manifest.data_files)
    unchecked = set(map(shard_file, closed_shards(folder, manifest.n_shards, shards)))
    checked = [name for name in (MANIFEST, *manifest.data_files) if name not in unchecked]
    n_bytes = sum(manifest.files.get(name, 0) for name in checked)
    with progress(f"checksums of {manifest.generation}", n_bytes) as advance:
        for name in checked:
            if name not in expected:
                raise CorruptSnapshotError(folder / name, f"has no checksum in {CHECKSUMS}")
            _check_file(folder / name, manifest.files.get(name), expected[name], advance)
    if folder != snapshot_folder(folder.parent.parent, manifest.generation):
        raise CorruptSnapshotError(folder, f"holds generation {manifest.generation}")
    return manifest


def _check_file(path: Path, n_bytes: int | None, checksum: str, advance: Advance) -> None:
    """Check size, checksum and kind of a file.

    Args:
        path: The file.
        n_bytes: Size that the manifest says; that of the manifest itself is not checked.
        checksum: Checksum that it must have.
        advance: Function of the bytes that were read.

    Raises:
        CorruptSnapshotError, IncompatibleSnapshotError.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # reading a pipe could wait for ever
            raise CorruptSnapshotError(path, "is not a regular file")
        if path.name != MANIFEST and status.st_size != n_bytes:
            what = f"{status.st_size} bytes, but the manifest says {n_bytes}"
            raise CorruptSnapshotError(path, what)
        if sha256(path, advance) != checksum:
            raise CorruptSnapshotError(path, f"its SHA-256 differs from {CHECKSUMS}")
        if path.name in (FACTORS, RECS, SEEN) or is_shard_file(path.name):
            _check_machine(path)
    except OSError as error:
        raise CorruptSnapshotError(path, f"cannot be read: {error.strerror}") from error


def _check_machine(path: Path) -> None:
    """Refuse a file that LMDB wrote on a machine of another byte order or word size."""
    with path.open("rb") as file:
        head = file.read(_LMDB_MAGIC_AT + len(_LMDB_MAGIC))
    if head[_LMDB_MAGIC_AT:] == _LMDB_MAGIC:
        return
    if _LMDB_MAGIC in head or _LMDB_MAGIC[::-1] in head:
        what = "was written on a machine of another byte order or word size"
        raise IncompatibleSnapshotError(path, what, "rebuild with `python -m batch refresh` here")
    raise CorruptSnapshotError(path, "is not an LMDB file")


def _read_checksums(folder: Path, data_files: Collection[str]) -> dict[str, str]:
    path = folder / CHECKSUMS
    try:
        text = read_small(path, MAX_CHECKSUMS_BYTES).decode("ascii")
    except (OSError, ValueError) as error:
        raise CorruptSnapshotError(path, f"cannot be read: {error}") from error
    if not text.endswith("\n"):
        raise CorruptSnapshotError(path, "is truncated")
    expected: dict[str, str] = {}
    for line in text.removesuffix("\n").split("\n"):
        found = _CHECKSUM_LINE.fullmatch(line)
        if found is None or found[2] in expected or found[2] not in (MANIFEST, *data_files):
            raise CorruptSnapshotError(path, f"{excerpt(line)} is not the line of a file")
        expected[found[2]] = found[1]
    return expected


def sha256(path: Path, advance: Advance = ignore) -> str:
    """Return a file's SHA-256 in hexadecimal.

    Args:
        path: The file.
        advance: Function that is called with the number of bytes that were read.
    """
    digest, piece = hashlib.sha256(), memoryview(bytearray(_PIECE_BYTES))
    with path.open("rb", buffering=0) as file:
        while n_bytes := file.readinto(piece):
            digest.update(piece[:n_bytes])
            advance(n_bytes)
    return digest.hexdigest()
