"""Pushing: copy one snapshot and the takedowns to a remote URL.

    TAKEDOWN ─► SHA256SUMS.pending ─► data files ─► SHA256SUMS ─► JOURNAL
        .sig                                .sig ┘              │
                                             ┌──────────────────┘
                                        EXPERIMENT ─► CURRENT ─► prune
                                            .sig          .sig

A reader of `CURRENT` at the remote finds a complete snapshot: `SHA256SUMS` gets its
name after all other files, and `CURRENT` is written after that. An interrupted push
is run again: the pending checksums identify the snapshot that the files beside them
belong to, so a file of the right size is not sent twice. One machine pushes to one
URL; several would overwrite each other's pointer. An experiment is pushed with every
generation that it names, if its control is pushed. The report of a refresh, which `SHA256SUMS`
leaves out, is made equal by each push, then `report.sha256` beside it. With a key, `TAKEDOWN`,
`CURRENT`, `EXPERIMENT`, the snapshots' `SHA256SUMS` and their reports are signed; a signature
that is valid is not replaced.
"""

import contextlib
import fcntl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from store.errors import OversizeError, RefusedSnapshotError, ReplicaError, StoreBusyError
from store.experiment import Experiment, read_experiment
from store.layout import (
    CHECKSUMS,
    MANIFEST,
    REPORT_FILES,
    generations,
    manifests_folder,
    snapshot_folder,
    snapshots_folder,
)
from store.manifest import read_manifest, verify
from store.partial import check_whole
from store.pointer import current
from store.remote import CURRENT, EXPERIMENT, JOURNAL, MAX_BYTES, Remote
from store.report_files import REPORT_CHECKSUMS, report_checksums
from store.reuse import same_files
from store.signing import (
    MAX_SIGNATURE_BYTES,
    SUFFIX,
    SigningKey,
    next_serial,
    read_signature,
)
from store.takedown import takedown_file

_NOWHERE = Path()  # a store at the root of the URL: its file names are those at the remote


@dataclass(frozen=True, slots=True)
class PushResult:
    """The result of a push.

    Attributes:
        generation: Generation that is current at the remote now.
        n_bytes: Size of the data files that were sent.
        pruned: Generations that were removed at the remote.
    """

    generation: int
    n_bytes: int
    pruned: list[int]


def push(
    store: Path, remote: Remote, generation: int | None = None, key: SigningKey | None = None
) -> PushResult:
    """Make the current snapshot, or `generation`, the current one of `remote`.

    Takedowns go first: they apply to every generation. Snapshots that were pruned
    here are removed at the remote, after the pointer; nothing else there is changed.

    Args:
        store: Directory of the store.
        remote: Remote to push to.
        generation: Generation to push; None means the current one.
        key: Private key that signs what is pushed; None leaves it unsigned.

    Raises:
        PartialSnapshotError: Some of its shards were not pulled to this machine.
        NoSnapshotError, CorruptSnapshotError, IncompatibleSnapshotError,
        RefusedSnapshotError: It must not be served; only takedowns were sent.
        ReplicaError: The remote cannot be written to, or has another snapshot
            of that number.
        StoreBusyError: Another process is pushing it.
    """
    if remote.is_read_only:
        raise ReplicaError(
            remote.url, "can only be pulled from", "push to the directory or bucket behind it"
        )
    pushed = current(store) if generation is None else generation
    check_whole(snapshot_folder(store, pushed))
    name = takedown_file(store).name
    _sign(remote, name, _sync_file(remote, takedown_file(store), name), key)
    experiment = read_experiment(store)
    is_carried = experiment is not None and experiment.control.generation == pushed
    named = experiment.generations if experiment and is_carried else []
    n_bytes = sum(
        _send_generation(store, remote, one, key) for one in dict.fromkeys((*named, pushed))
    )
    _send_manifests(store, remote)
    _sync_file(remote, store / JOURNAL, JOURNAL)
    _send_experiment(remote, experiment if is_carried else None, key)
    pointer = f"{pushed}\n".encode()
    if _existing(remote, CURRENT, MAX_BYTES[CURRENT]) != pointer:
        remote.write(CURRENT, pointer)
    _sign(remote, CURRENT, pointer, key)
    return PushResult(pushed, n_bytes, _prune(store, remote, pushed))


def remote_folder(generation: int) -> str:
    """Return the name of a snapshot's directory at the remote: the same as here."""
    return snapshot_folder(_NOWHERE, generation).as_posix()


def _send_generation(store: Path, remote: Remote, generation: int, key: SigningKey | None) -> int:
    """Send a snapshot that may be served; return the bytes sent."""
    folder = snapshot_folder(store, generation)
    with _held(folder):
        manifest = verify(folder, progress=remote.progress)
        if manifest.gate.is_refused:
            raise RefusedSnapshotError(folder, "the gate refused it")
        return _send_snapshot(remote, folder, manifest.data_files, key)


def _send_experiment(remote: Remote, experiment: Experiment | None, key: SigningKey | None) -> None:
    """Make the experiment at the remote equal to the local one, or remove it.

    Its absence is signed, too, where one was signed before: else it could be put back.
    """
    local = experiment.as_text().encode() if experiment else None
    _sync(remote, local, EXPERIMENT)
    was_signed = _existing(remote, EXPERIMENT + SUFFIX, MAX_SIGNATURE_BYTES) is not None
    if local is not None or was_signed:
        _sign(remote, EXPERIMENT, local, key)


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Lock a snapshot against `prune`, and against a second push, which would truncate files."""
    read_manifest(folder)  # raises the right error if it is missing
    with (folder / MANIFEST).open("rb") as manifest, (folder / CHECKSUMS).open("rb") as checksums:
        fcntl.flock(manifest, fcntl.LOCK_SH)
        try:
            fcntl.flock(checksums, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreBusyError(folder, "another process is pushing it") from None
        yield


def _send_snapshot(
    remote: Remote, folder: Path, data_files: Sequence[str], key: SigningKey | None
) -> int:
    """Send the files that are missing at the remote, checksums last; return the bytes sent."""
    there = remote_folder(int(folder.name))
    checksums = f"{there}/{CHECKSUMS}"
    local = (folder / CHECKSUMS).read_bytes()
    existing = _existing(remote, checksums, MAX_BYTES[CHECKSUMS])
    if existing not in (None, local):
        raise ReplicaError(
            f"{remote.url}/{there}",
            "differs from the snapshot of that number here",
            "push to another URL",
        )
    if existing is None and remote.staged(checksums, MAX_BYTES[CHECKSUMS]) != local:
        remote.remove(there)  # left over from another push that was interrupted
        remote.stage(checksums, local)
    n_bytes = 0
    _copy_at_remote(remote, folder, data_files)
    for name in (*data_files, MANIFEST):
        size = (folder / name).stat().st_size
        if remote.size(f"{there}/{name}") != size:
            remote.send(folder / name, f"{there}/{name}")
            n_bytes += size
    _send_report(remote, folder, key)
    _sign(remote, checksums, local, key)
    if existing is None:
        remote.commit(checksums)
    return n_bytes


def _send_report(remote: Remote, folder: Path, key: SigningKey | None) -> None:
    """Make the report at the remote equal to the one here, its checksums last."""
    there = remote_folder(int(folder.name))
    for name in REPORT_FILES:
        if (report := _sync_file(remote, folder / name, f"{there}/{name}")) is not None:
            _sign(remote, f"{there}/{name}", report, key)
    checksums = report_checksums(folder).encode() or None
    _sync(remote, checksums, f"{there}/{REPORT_CHECKSUMS}")
    if checksums is not None:
        _sign(remote, f"{there}/{REPORT_CHECKSUMS}", checksums, key)


def _copy_at_remote(remote: Remote, folder: Path, data_files: Sequence[str]) -> None:
    """Copy at the remote what its current snapshot has, too; a pull verifies the copies."""
    there = remote_folder(int(folder.name))
    pointer = _existing(remote, CURRENT, MAX_BYTES[CURRENT]) or b""
    source = remote_folder(int(pointer)) if pointer.strip().isdigit() else there
    if source == there:
        return
    other = _existing(remote, f"{source}/{CHECKSUMS}", MAX_BYTES[CHECKSUMS]) or b""
    for name in same_files(data_files, (folder / CHECKSUMS).read_bytes(), other):
        size = (folder / name).stat().st_size
        if remote.size(f"{source}/{name}") == size != remote.size(f"{there}/{name}"):
            remote.copy(f"{source}/{name}", f"{there}/{name}")


def _send_manifests(store: Path, remote: Remote) -> None:
    """Send the manifests of pruned snapshots: they are kept for provenance."""
    folder = manifests_folder(_NOWHERE).as_posix()
    there = set(remote.names(folder))
    for path in sorted(manifests_folder(store).glob("*.json")):
        if path.name not in there:
            remote.write(f"{folder}/{path.name}", path.read_bytes())


def _existing(remote: Remote, name: str, max_bytes: int) -> bytes | None:
    """Return the content of a file at the remote; empty if it is too large to be right."""
    try:
        return remote.read(name, max_bytes)
    except OversizeError:
        return b""


def _sync_file(remote: Remote, file: Path, name: str) -> bytes | None:
    """Make a small file at the remote equal to the local one, or remove it; return its content."""
    local = file.read_bytes() if file.exists() else None
    _sync(remote, local, name)
    return local


def _sync(remote: Remote, local: bytes | None, name: str) -> None:
    """Make a small file at the remote hold `local`, or remove it."""
    if local == _existing(remote, name, MAX_BYTES[Path(name).name]):
        return
    if local is not None:
        remote.write(name, local)
    else:
        remote.remove(name)


def _sign(remote: Remote, name: str, data: bytes | None, key: SigningKey | None) -> None:
    """Sign a file at the remote, unless its signature by this key is valid."""
    if key is None:
        return
    last = 0
    existing = _existing(remote, name + SUFFIX, MAX_SIGNATURE_BYTES)
    with contextlib.suppress(ReplicaError):
        signed = read_signature(name, existing, {key.public})
        if signed.covers(name, data):
            return
        last = signed.serial
    remote.write(name + SUFFIX, key.sign(name, next_serial(last), data))


def _prune(store: Path, remote: Remote, current: int) -> list[int]:
    """Remove at the remote what was pruned here: the generations with only a manifest."""
    kept = {current, *generations(store)}
    manifests = {path.stem for path in manifests_folder(store).glob("*.json")}
    removed = []
    for name in remote.names(snapshots_folder(_NOWHERE).as_posix()):
        if name in manifests and int(name) not in kept:
            remote.remove(
                f"{remote_folder(int(name))}/{CHECKSUMS}"
            )  # first: it is not complete any more
            remote.remove(remote_folder(int(name)))
            removed.append(int(name))
    return removed
