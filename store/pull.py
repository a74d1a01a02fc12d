"""Pulling: copy the snapshot that is current at a URL, and make it current here.

    CURRENT ─► TAKEDOWN, EXPERIMENT
                       ─► pulling/snapshots/000042/  SHA256SUMS, data files, verify
                           snapshots/000042/          after the rename
                           the barrier, if there is one
                           JOURNAL ─► EXPERIMENT ─► CURRENT ─► prune

An experiment is pulled with every generation that it names. It is followed if its control
is what `CURRENT` names; while a push replaces both, the next pull follows it.

`pulling/` has the layout of a store, so that the files are verified like any
snapshot before they get their place. It outlives an interrupted pull, and the
next one fetches the files that are missing, except those that a snapshot here has.
(A `.building` folder would not: the next writer removes it.) A data file that is
damaged at the remote is not fetched at every poll, see `store/damaged.py`. The
checksums are fetched first, so the files in `pulling/` are known to belong to the
wanted snapshot. With `[replica] shards` the files of other shards stay away, see
`store/partial.py`.

The report of a snapshot that is in place is fetched again where it was made again, see
`store/report_files.py`.

With trusted keys the checksums, `CURRENT` and `TAKEDOWN` must be signed. What would
go back in time, to an older generation or by a restore, needs a signature that is
not older than the last accepted one, or the operator's word.
"""

import contextlib
import fcntl
import hashlib
import logging
import os
import re
import shutil
import threading
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Never

from store.accepted import accept_serial, accepted_serials
from store.arms import move_arms, stop_experiment
from store.barrier import POLLS_OF_LEAD, wait_for_others
from store.config import StoreSettings
from store.damaged import DamagedFile, read_damaged, record_damaged
from store.durable import fsync_path, replace_durable, write_durable
from store.errors import (
    ALLOW_ROLLBACK,
    CorruptSnapshotError,
    ExperimentError,
    IncompleteError,
    NotAnItemError,
    ReplicaError,
    StoreBusyError,
    StoreError,
)
from store.experiment import Experiment, experiment_file, parse_experiment, read_experiment
from store.layout import (
    CHECKSUMS,
    DATA_FILES,
    MANIFEST,
    REPORT_FILES,
    is_optional_file,
    shard_file,
    snapshot_folder,
    snapshots_folder,
)
from store.manifest import Manifest, read_manifest, sha256, verify
from store.partial import other_shards, record_shards, shards_in_place
from store.pointer import current_or_none, pinned
from store.progress import on_terminal
from store.prune import prune
from store.publish import publish, rollback, writing
from store.push import remote_folder
from store.remote import CURRENT, EXPERIMENT, MAX_BYTES, Remote
from store.replica_settings import ALONE, ReplicaSettings
from store.replica_status import check_replica, report
from store.report_files import REPORT_CHECKSUMS, changed_files
from store.reuse import reuse_files
from store.shards import shards_in_words
from store.signing import MAX_SIGNATURE_BYTES, SUFFIX, load_trusted_keys, read_signature
from store.takedown import replace_takedowns, takedown_file, takedowns
from store.transfer import Transfer

_ASIDE: Final = "pulling"
_TAKEDOWN: Final = takedown_file(Path()).name
_PUSH_AGAIN: Final = "run `push` to it again"
_REPAIR: Final = f"remove it and {_PUSH_AGAIN}"
_GENERATION: Final = re.compile(rb"\s*([1-9]\d{0,11})\s*")
_MAX_FILE_BYTES: Final = 1 << 50
_FREE_MARGIN_BYTES: Final = 16 << 20  # beyond the data files
_READS_WHILE_PUSHED: Final = 3  # a file and its signature are not replaced at one moment
_READ_AGAIN_SECONDS: Final = 0.2
_MIB: Final = 1 << 20
_URGENT_SECONDS: Final = 2.0  # between two looks for takedowns and rollbacks during a transfer

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PullResult:
    """The result of a pull.

    Attributes:
        generation: Generation that is current at the remote.
        is_current: Whether it is current here too; False if the store is pinned.
        has_changed: Whether the pull changed anything here.
        waiting_for: Replicas of the barrier that the flip waits for.
    """

    generation: int
    is_current: bool
    has_changed: bool
    waiting_for: tuple[str, ...] = ()

    @property
    def state(self) -> str:
        """What became of the generation, in words."""
        if self.is_current:
            return "is current"
        if self.waiting_for:
            return f"is in place, not served: it waits for {', '.join(self.waiting_for)}"
        return "is kept, not served: the store is pinned"


@dataclass(frozen=True, slots=True)
class _Received:
    """A small file of the remote.

    Attributes:
        data: Content; None if it does not exist.
        serial: Serial number of its signature; None without trusted keys.
        may_go_back: Whether it may name an older generation, or restore items.
    """

    data: bytes | None
    serial: int | None
    may_go_back: bool


@dataclass(frozen=True, slots=True)
class _Source:
    """The remote of a pull, and what is required of its files.

    Attributes:
        remote: Remote to pull from.
        trusted: Public keys in base64; empty if signatures are not required.
        allow_rollback: Whether the operator allows to go back in time.
        max_bytes_per_second: Highest rate of data files; 0 for no limit.
        shards: Shards that are fetched; None for all.
        warned: Generations of which a warning about the report was logged.
    """

    remote: Remote
    trusted: frozenset[str]
    allow_rollback: bool
    max_bytes_per_second: float
    shards: frozenset[int] | None
    warned: set[int] = field(default_factory=set)

    @property
    def why(self) -> str:
        """Reason of what a pull changes, for the journal."""
        return f"pulled from {self.remote.url}"

    def received(self, store: Path, name: str) -> _Received:
        """Read `CURRENT` or `TAKEDOWN`; refuse a serial number lower than the last accepted one.

        Raises:
            ReplicaError: It is not signed as required, or older.
        """
        data, serial = self.read(name)
        if serial is None:
            return _Received(data, None, self.allow_rollback)
        last = accepted_serials(store).get(name)
        if last is not None and serial < last and not self.allow_rollback:
            what = f"its serial number {serial} is lower than {last}, which was accepted before"
            raise ReplicaError(f"{self.remote.url}/{name}", what, ALLOW_ROLLBACK)
        return _Received(data, serial, self.allow_rollback or last is not None)

    def read(self, name: str) -> tuple[bytes | None, int | None]:
        """Return the content of a small file, and the serial number of its signature.

        Raises:
            ReplicaError: It is not signed as required.
        """
        limit = MAX_BYTES[Path(name).name]
        if not self.trusted:
            return self.remote.read(name, limit), None
        where = f"{self.remote.url}/{name}"
        for attempt in range(_READS_WHILE_PUSHED):
            time.sleep(_READ_AGAIN_SECONDS if attempt else 0)
            text = self.remote.read(name + SUFFIX, MAX_SIGNATURE_BYTES)
            data = self.remote.read(name, limit)
            if data is None and text is None and name != _TAKEDOWN:
                return None, None  # nothing has been pushed; a missing TAKEDOWN is signed too
            signed = read_signature(where, text, self.trusted)
            if signed.covers(name, data):
                return data, signed.serial
        raise ReplicaError(where, "its signature is over another file or content", _PUSH_AGAIN)


def pull(
    store: Path,
    remote: Remote,
    settings: StoreSettings,
    replica: ReplicaSettings = ALONE,
    *,
    allow_rollback: bool = False,
    warned: set[int] | None = None,
) -> PullResult:
    """Make what is current at `remote` current here, unless the store is pinned.

    Takedowns come first, for a snapshot may take long; then the missing files; then
    the flip, to a newer generation as by `publish`, to an older one as by
    `rollback`; then `prune` with the settings. With a barrier the flip to a new
    generation may be left to a later pull, see `store/barrier.py`.

    Args:
        store: Directory of the store.
        remote: Remote to pull from.
        settings: Trusted keys, and what to prune.
        replica: Rate, shards, name for the reports, and the barrier.
        allow_rollback: Whether an older generation, signature or list of takedowns
            is accepted.
        warned: Generations of which no warning about the report is logged again; those of
            this pull are added. None for a pull that is not repeated.

    Raises:
        ReplicaError: The remote cannot be reached, is not signed as required, would
            go back in time, its snapshot is not complete, or this store has another
            snapshot of that number.
        IncompatibleSnapshotError, RefusedSnapshotError: It must not be served.
        ConfigError: `replica` and the remote do not fit.
        StoreBusyError: Another process is writing to the store, or pulling.
        WriteError: The store cannot be written to.
    """
    check_replica(remote, replica)
    rate = replica.max_mib_per_second * _MIB
    trusted = load_trusted_keys(settings.trusted_keys)
    said = set() if warned is None else warned
    source = _Source(remote, trusted, allow_rollback, rate, replica.pulled_shards, said)
    try:
        result, newest = _pull(store, source, settings, replica)
    except StoreError as error:
        _report(store, remote, replica, None, str(error))
        raise
    _report(store, remote, replica, newest)
    return result


def _report(
    store: Path, remote: Remote, replica: ReplicaSettings, ready: int | None, problem: str = ""
) -> None:
    """Report the result of a pull; a remote that cannot be written to does not undo it."""
    try:
        if replica.name:
            report(store, remote, replica, ready, problem)
    except ReplicaError as error:
        if not problem:  # else the error of the pull is of the same remote, and is raised
            _log.warning("cannot report as %s: %s", replica.name, error)


def _pull(
    store: Path, source: _Source, settings: StoreSettings, replica: ReplicaSettings
) -> tuple[PullResult, int]:
    """Pull; return the result, and the newest generation that the remote's state needs."""
    remote = source.remote
    pointer = source.received(store, CURRENT)
    generation = generation_at(remote, pointer.data)
    has_changed = _pull_takedowns(store, source)
    now = current_or_none(store)
    if now is not None and generation < now and not pointer.may_go_back:
        what = f"names generation {generation}, older than {now}"
        raise ReplicaError(f"{remote.url}/{CURRENT}", what, ALLOW_ROLLBACK)
    experiment, serial = _experiment(store, source, generation)
    named = {generation, *(experiment.generations if experiment else ())}
    new = [one for one in named if _fetch_snapshot(store, source, one, generation)]
    if not pinned(store) and (others := wait_for_others(store, remote, replica, max(named))):
        return PullResult(generation, False, has_changed or bool(new), others), max(named)
    has_moved = _follow(store, source, generation, experiment, is_new=generation in new)
    if has_moved or new:
        with writing(store):
            prune(store, settings.keep, settings.keep_days)
    for name, number in ((CURRENT, pointer.serial), (EXPERIMENT, serial)):
        if number is not None:
            accept_serial(store, name, number)
    is_current = current_or_none(store) == generation
    return PullResult(generation, is_current, has_changed or has_moved or bool(new)), max(named)


def watch(
    store: Path,
    remote: Remote,
    settings: StoreSettings,
    poll_seconds: float,
    replica: ReplicaSettings = ALONE,
    *,
    allow_rollback: bool = False,
) -> Never:
    """Pull repeatedly and without end; an error is logged, and the next poll tries again.

    Equal lines are logged once: a night without a network is one line. So is a report that
    cannot be fetched, by generation.
    """
    last = ""
    warned: set[int] = set()
    while True:
        try:
            done = pull(
                store, remote, settings, replica, allow_rollback=allow_rollback, warned=warned
            )
            line = f"generation {done.generation} of {remote.url} {done.state}"
            level, is_new_line = logging.INFO, done.has_changed
            pause = replica.lead_seconds / POLLS_OF_LEAD if done.waiting_for else poll_seconds
        except (StoreError, OSError) as error:
            line, level, is_new_line = str(error), logging.ERROR, False
            pause = poll_seconds
        if is_new_line or line != last:
            _log.log(level, line)
            last = line
        time.sleep(min(pause, poll_seconds))


def generation_at(remote: Remote, data: bytes | None) -> int:
    """Return the generation that is current at the remote.

    Args:
        remote: The remote, for messages.
        data: Content of its `CURRENT`; None if it does not exist.

    Raises:
        ReplicaError: Nothing has been pushed there, or it does not hold a generation.
    """
    if data is None:
        raise ReplicaError(
            remote.url, "nothing has been pushed there yet", "check the URL, or push"
        )
    if (found := _GENERATION.fullmatch(data)) is None:
        raise ReplicaError(f"{remote.url}/{CURRENT}", "does not hold a generation", _PUSH_AGAIN)
    return int(found[1])


def _pull_takedowns(store: Path, source: _Source) -> bool:
    received = source.received(store, _TAKEDOWN)
    takedowns(store)  # a damaged file of this store is its own error
    try:
        text = None if received.data is None else received.data.decode()
        has_changed = replace_takedowns(store, text, source.why, may_restore=received.may_go_back)
    except (ValueError, NotAnItemError):
        raise ReplicaError(
            f"{source.remote.url}/{_TAKEDOWN}", "is not a list of takedowns", _PUSH_AGAIN
        ) from None
    if received.serial is not None:
        accept_serial(store, _TAKEDOWN, received.serial)
    return has_changed


def _experiment(
    store: Path, source: _Source, generation: int
) -> tuple[Experiment | None, int | None]:
    """Return the experiment of the remote whose control is current there, and its serial number."""
    received = source.received(store, EXPERIMENT)
    if received.data is None:
        return None, received.serial
    try:
        experiment = parse_experiment(received.data)
    except ValueError as error:
        where = f"{source.remote.url}/{EXPERIMENT}"
        raise ReplicaError(where, f"is not a valid experiment: {error}", _PUSH_AGAIN) from None
    is_current = experiment.control.generation == generation
    return experiment if is_current else None, received.serial


def _follow(
    store: Path, source: _Source, generation: int, experiment: Experiment | None, *, is_new: bool
) -> bool:
    """Serve what the remote serves, unless the store is pinned; return whether anything changed.

    A new snapshot of a pinned store is recorded in the journal.
    """
    is_pinned_here = pinned(store) is not None
    if experiment and not is_pinned_here:
        return _follow_experiment(store, experiment, source.why)
    if current_or_none(store) != generation and (is_new or not is_pinned_here):
        return _flip(store, generation, source.why)
    return _stop_experiment(store, source.why)


def _follow_experiment(store: Path, experiment: Experiment, why: str) -> bool:
    """Serve the arms of the remote's experiment; return False if they are served already."""
    with writing(store):
        running = None
        with contextlib.suppress(ExperimentError):  # damaged: replaced
            running = read_experiment(store)
        if running == experiment and current_or_none(store) == experiment.control.generation:
            return False
        move_arms(store, experiment, why)
    return True


def _stop_experiment(store: Path, why: str) -> bool:
    """End the experiment, which the remote has no more; return False if none runs."""
    if not experiment_file(store).exists():
        return False
    stop_experiment(store, why)
    return True


def _fetch_snapshot(store: Path, source: _Source, generation: int, pointed_at: int) -> bool:
    """Copy a snapshot into this store; return False if it exists already.

    One that exists is completed by the shards that it lacks.

    Args:
        store: Directory of the store.
        source: Remote to pull from.
        generation: Generation to copy.
        pointed_at: Generation that is current at the remote.
    """
    remote, there = source.remote, remote_folder(generation)
    checksums, _ = source.read(f"{there}/{CHECKSUMS}")
    if checksums is None:
        raise ReplicaError(f"{remote.url}/{there}", "is not complete", _PUSH_AGAIN)
    here = snapshot_folder(store, generation)
    with _only_pull(snapshots_folder(store)):
        is_new = not here.exists()
        if not is_new:
            _compare(here, checksums, remote)
            _fetch_newer_report(source, there, here)
            if not _missing_shards(here, source.shards):
                return False
        aside = snapshot_folder(store / _ASIDE, generation)
        with _urgent_followed(store, source, pointed_at) as transfer:
            _fetch_files(source, there, aside, checksums, transfer)
        if is_new:
            _fetch_report(source, there, aside)
        with writing(store):
            if is_new:
                aside.rename(here)
                fsync_path(here.parent)
            else:
                _complete(here, aside, source.shards)
        shutil.rmtree(store / _ASIDE)
    return is_new


def _missing_shards(here: Path, shards: frozenset[int] | None) -> frozenset[int]:
    """Return those of the wanted shards that a snapshot here lacks."""
    in_place = shards_in_place(here)
    if in_place is None:
        return frozenset()
    n_shards = read_manifest(here).n_shards
    absent = other_shards(here, n_shards, in_place)
    return absent - other_shards(here, n_shards, shards)


def _complete(here: Path, aside: Path, shards: frozenset[int] | None) -> None:
    """Move the shards that a snapshot lacks into it; a server opens them at its next start."""
    added = _missing_shards(here, shards)
    for shard in added:
        (aside / shard_file(shard)).rename(here / shard_file(shard))
    fsync_path(here)
    in_place = added | (shards_in_place(here) or added)
    is_whole = len(in_place) == read_manifest(here).n_shards
    record_shards(here, None if is_whole else in_place)
    _log.info("%s: shards %s were added", here, shards_in_words(added))


@contextlib.contextmanager
def _only_pull(folder: Path) -> Iterator[None]:
    """Lock the directory itself, not `LOCK`: a download never delays a refresh."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise StoreBusyError(folder, "another process is pulling") from None
    finally:
        os.close(descriptor)


def _compare(here: Path, checksums: bytes, remote: Remote) -> None:
    if not (here / CHECKSUMS).exists() or (here / CHECKSUMS).read_bytes() != checksums:
        raise ReplicaError(
            here,
            f"differs from the snapshot of that number at {remote.url}",
            "pull into a store that nothing else writes to",
        )


@contextlib.contextmanager
def _urgent_followed(store: Path, source: _Source, pointed_at: int) -> Iterator[Transfer]:
    """Yield a transfer; beside it, follow takedowns, and end it at a rollback.

    Else both would wait until a large snapshot has arrived. What fails here, the next
    pull reports. A newer generation does not end it: where generations follow each other
    fast, none would ever arrive.
    """
    transfer = Transfer(source.max_bytes_per_second)
    is_over = threading.Event()

    def follow() -> None:
        while not is_over.wait(_URGENT_SECONDS):
            with contextlib.suppress(StoreError, OSError):
                _pull_takedowns(store, source)
                now = generation_at(source.remote, source.received(store, CURRENT).data)
                if now != pointed_at and snapshot_folder(store, now).exists():
                    transfer.cancel(f"generation {now} is current there now")

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield transfer
    finally:
        is_over.set()
        thread.join()


def _fetch_files(
    source: _Source, there: str, aside: Path, checksums: bytes, transfer: Transfer
) -> None:
    """Fetch the missing files, verify all of them, and force them to disk.

    Raises:
        ReplicaError: A file is damaged; it is not fetched again while it is the same there.
        IncompatibleSnapshotError: It does not have a shard that is wanted.
    """
    remote = source.remote
    _refuse_damaged(remote, there, aside)
    _prepare_aside(aside, checksums)
    try:
        manifest = _fetch_manifest(remote, there, aside, checksums)
        others = other_shards(aside, manifest.n_shards, source.shards)
        record_shards(aside, source.shards if others else None)
        sizes = _sizes(manifest, others)
        missing = {name: size for name, size in sizes.items() if not (aside / name).exists()}
        _check_free_space(aside, sum(missing.values()))
        for name in reuse_files(aside.parents[2], aside, missing, checksums):
            del missing[name]
        with transfer.shown(f"generation {int(aside.name)}", sum(missing.values())):
            for name, size in missing.items():
                remote.fetch(f"{there}/{name}", aside / name, size, size, transfer)
        verify(aside, source.shards, on_terminal)
    except (CorruptSnapshotError, IncompleteError) as error:
        _damaged(remote, aside, error)
    for path in (*aside.iterdir(), aside):
        fsync_path(path)


def _fetch_report(source: _Source, there: str, aside: Path) -> None:
    """Fetch the report of a refresh; the snapshot is complete without it."""
    for name in REPORT_FILES:
        try:
            content, _ = source.read(f"{there}/{name}")
        except ReplicaError as error:
            _warn_of_report(source, int(aside.name), error)
            continue
        if content is not None:
            (aside / name).write_bytes(content)


def _fetch_newer_report(source: _Source, there: str, here: Path) -> None:
    """Fetch the files of a report that was made again, for a snapshot that is in place.

    Without `report.sha256` at the remote nothing is fetched, and a report here is never removed.
    A file that does not match yet, while a push replaces it, is left to the next pull.
    """
    try:
        checksums, _ = source.read(f"{there}/{REPORT_CHECKSUMS}")
        for name, expected in changed_files(here, (checksums or b"").decode("latin-1")).items():
            content, _ = source.read(f"{there}/{name}")
            if content is not None and hashlib.sha256(content).hexdigest() == expected:
                replace_durable(here / name, content.decode())
    except (ReplicaError, ValueError) as error:
        _warn_of_report(source, int(here.name), error)


def _warn_of_report(source: _Source, generation: int, error: Exception) -> None:
    """Say once that a report cannot be fetched: the snapshot is served without it."""
    if generation not in source.warned:
        source.warned.add(generation)
        _log.warning("cannot fetch the report of generation %d: %s", generation, error)


def _refuse_damaged(remote: Remote, there: str, aside: Path) -> None:
    """Raise the error of an earlier pull again while the damaged file is the same there."""
    last = read_damaged(aside.parents[1])
    if last is None or not last.name.startswith(f"{there}/"):
        return
    if not last.is_due(remote.version(last.name)):
        raise ReplicaError(f"{remote.url}/{last.name}", last.problem, _REPAIR)


def _damaged(remote: Remote, aside: Path, error: CorruptSnapshotError | IncompleteError) -> Never:
    """Remove a damaged file from `aside`, record it, and raise the error for people."""
    name = Path(str(error.subject)).name
    is_data_file = name in DATA_FILES or is_optional_file(name)
    if is_data_file:  # the others are kept
        (aside / name).unlink(missing_ok=True)
    else:
        shutil.rmtree(aside)
    is_short = isinstance(error, IncompleteError)
    problem = error.problem if is_short else f"does not match its {CHECKSUMS}"
    name = f"{remote_folder(int(aside.name))}/{name}"
    if is_data_file and (version := remote.version(name)):
        with contextlib.suppress(OSError):  # without the record it is fetched once more
            record_damaged(aside.parents[1], DamagedFile(name, version, time.time(), problem))
    raise ReplicaError(f"{remote.url}/{name}", problem, _REPAIR) from error


def _fetch_manifest(remote: Remote, there: str, aside: Path, checksums: bytes) -> Manifest:
    """Return the manifest, checked before it is parsed; an incompatible one is refused here."""
    path = aside / MANIFEST
    if not path.exists():
        remote.fetch(f"{there}/{MANIFEST}", path, MAX_BYTES[MANIFEST])
    if f"{sha256(path)}  {MANIFEST}".encode() not in checksums.split(b"\n"):
        raise CorruptSnapshotError(path, f"its SHA-256 differs from {CHECKSUMS}")
    return read_manifest(aside)


def _sizes(manifest: Manifest, others: Collection[int]) -> dict[str, int]:
    """Return the size of each data file but the other shards; it bounds what is read of it."""
    wanted = set(manifest.data_files).difference(map(shard_file, others))
    sizes = {name: manifest.files.get(name) for name in sorted(wanted)}
    for name, size in sizes.items():
        if type(size) is not int or not 0 <= size <= _MAX_FILE_BYTES:
            raise CorruptSnapshotError(MANIFEST, f"does not hold a valid size of {name}")
    return {name: size for name, size in sizes.items() if size is not None}


def _check_free_space(folder: Path, n_bytes: int) -> None:
    free, needed = shutil.disk_usage(folder).free, n_bytes + _FREE_MARGIN_BYTES
    if n_bytes and free < needed:
        what = f"{needed / 1e6:,.1f} MB are needed, but {free / 1e6:,.1f} MB are free"
        raise ReplicaError(folder, what, "free disk space, then pull again")


def _prepare_aside(aside: Path, checksums: bytes) -> None:
    """Keep the files that an earlier pull fetched of this snapshot, and remove others."""
    path = aside / CHECKSUMS
    if path.exists() and path.read_bytes() == checksums:
        return
    shutil.rmtree(aside.parent, ignore_errors=True)
    aside.mkdir(parents=True)
    write_durable(path, checksums.decode("latin-1"))


def _flip(store: Path, generation: int, why: str) -> bool:
    """Make it current as `publish` or `rollback` does; return False if the store is pinned."""
    now = current_or_none(store)
    if now is not None and generation < now and not pinned(store):
        rollback(store, why, to=generation)
        return True
    with writing(store):
        return publish(store, generation, why)
