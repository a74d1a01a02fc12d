"""The problems of a store, each with the command that fixes it.

One function for each kind of problem; it yields what it finds and changes nothing.
Files of a build that is running now are not a problem.
"""

import contextlib
import fcntl
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from store.child import checked_in_child
from store.errors import PinnedError, StoreError
from store.experiment import read_experiment
from store.fresh import check_fresh, fresh_file
from store.journal import flips
from store.journal import is_torn as journal_is_torn
from store.layout import generations, snapshot_folder, unfinished
from store.manifest import Manifest, verify
from store.model_files import SERVED_MODEL, UNAVAILABLE
from store.partial import absent_files, shards_in_place
from store.pointer import current, current_or_none, pinned
from store.progress import Progress, silent
from store.recent import check_recent, recent_file

_REFRESH: Final = "python -m batch refresh"
_MIN_FREE_SNAPSHOTS: Final = 2  # free disk space that a refresh needs, in snapshots


class Problem(NamedTuple):
    """One problem of a store.

    Attributes:
        what: Description of the problem.
        fix: Command that fixes it.
    """

    what: str
    fix: str


Whole = dict[int, Manifest]  # manifest of each sound snapshot by generation
Damaged = dict[int, str]  # error message of each damaged snapshot by generation
Check = Callable[[Path, Whole, Damaged], Iterator[Problem]]


def problems(store: Path, progress: Progress = silent) -> Iterator[Problem]:
    """Yield the problems of a store, the most serious first.

    Args:
        store: Directory of the store.
        progress: What shows how much of the snapshots is verified.
    """
    whole, damaged = _inspected(store, progress)
    for check in _CHECKS:
        yield from check(store, whole, damaged)


def _inspected(store: Path, progress: Progress) -> tuple[Whole, Damaged]:
    whole: Whole = {}
    damaged: Damaged = {}
    for generation in generations(store):
        try:
            folder = snapshot_folder(store, generation)
            whole[generation] = verify(folder, shards_in_place(folder), progress)
        except StoreError as error:
            damaged[generation] = str(error)
    return whole, damaged


def _pointer(store: Path, whole: Whole, damaged: Damaged) -> Iterator[Problem]:
    try:
        served = current(store)
    except StoreError as error:
        yield Problem(str(error), _flip(store, whole))
        return
    if served in damaged:
        yield Problem(f"the current snapshot is damaged: {damaged[served]}", _flip(store, whole))
    elif served not in whole:
        yield Problem(
            f"generation {served} is current, but there is no such snapshot", _flip(store, whole)
        )


def _pin(store: Path, whole: Whole, _: Damaged) -> Iterator[Problem]:
    try:
        pin = pinned(store)
    except PinnedError:
        yield Problem(f"{store}/PIN does not hold a generation", "python -m store unpin --why …")
        return
    if pin is None:
        return
    if pin.generation not in whole:
        yield Problem(
            f"pinned to generation {pin.generation}, which is missing or damaged",
            "python -m store unpin --why …",
        )
    elif pin.generation != current_or_none(store) and not _is_being_written(store):
        yield Problem(
            f"pinned to generation {pin.generation}, but another is current",
            f"python -m store pin --generation {pin.generation} --why …",
        )


def _experiment(store: Path, whole: Whole, _: Damaged) -> Iterator[Problem]:
    stop = "python -m stream experiment stop --why …"
    try:
        experiment = read_experiment(store)
    except StoreError as error:
        yield Problem(str(error), stop)
        return
    if experiment is None:
        return
    missing = [number for number in experiment.generations if number not in whole]
    if missing:
        yield Problem(f"experiment {experiment.name}: generation {missing[0]} is missing", stop)
    elif experiment.control.generation != current_or_none(store) and not _is_being_written(store):
        what = f"experiment {experiment.name}: its control is not current"
        yield Problem(what, "python -m store prune")


def _journal(store: Path, _: Whole, __: Damaged) -> Iterator[Problem]:
    path = store / "JOURNAL"
    if not path.exists():
        if current_or_none(store):
            yield Problem(
                "the journal is missing: the history of what was served is lost", _REFRESH
            )
        return
    is_torn = journal_is_torn(store)
    done = flips(store)
    served = current_or_none(store)
    is_ahead = served is not None and bool(done) and done[-1].generation != served
    if (is_torn or is_ahead) and _is_being_written(store):
        return
    if is_torn:
        yield Problem("the last line of the journal is torn", "python -m store prune")
    if is_ahead:
        yield Problem(
            f"the journal has a {done[-1].what} of generation {done[-1].generation} at "
            f"{done[-1].at} that was not carried out",
            "python -m store prune",
        )


def _leftovers(store: Path, _: Whole, __: Damaged) -> Iterator[Problem]:
    left = unfinished(store)
    if left and not _is_being_written(store):
        for folder in left:
            yield Problem(f"{folder} is left over from a crashed build", "python -m store prune")


def _damaged(store: Path, _: Whole, damaged: Damaged) -> Iterator[Problem]:
    for generation, what in damaged.items():
        if generation != current_or_none(store):
            folder = snapshot_folder(store, generation)
            yield Problem(f"an older snapshot is damaged: {what}", f"rm -r {folder}")


def _refused(_: Path, whole: Whole, __: Damaged) -> Iterator[Problem]:
    if whole and _is_refused(whole[max(whole)]):
        yield Problem(
            f"the gate refused generation {max(whole)}, the newest: an older one is served "
            f"(see `python -m store show --generation {max(whole)}`)",
            _REFRESH,
        )


def _recent_views(store: Path, _: Whole, __: Damaged) -> Iterator[Problem]:
    def problem() -> str:
        try:
            check_recent(store)
        except StoreError as error:
            return str(error)
        return ""

    if recent_file(store).exists() and (what := checked_in_child(problem)):
        yield Problem(what, f"rm {recent_file(store)}")


def _fresh_lists(store: Path, whole: Whole, _: Damaged) -> Iterator[Problem]:
    def problem() -> str:
        try:
            found = check_fresh(store)
        except StoreError as error:
            return str(error)
        if not found.n_damaged:
            return ""
        return f"{found.n_damaged:,} of {found.n_lists:,} are damaged, and are not served"

    path, served = fresh_file(store), current_or_none(store)
    if not path.exists():
        return
    if what := checked_in_child(problem):
        yield Problem(f"fresh lists: {what}", f"rm {path}")
    about = whole[served].parameters.get(SERVED_MODEL) if served in whole else None
    if served in whole and not (isinstance(about, dict) and "model" in about):
        reason = about.get(UNAVAILABLE) if isinstance(about, dict) else None
        yield Problem(
            f"fresh lists: none of generation {served}: "
            f"{reason or 'it has no files for folding in'}",
            f"MARQUEE_BATCH_FOLD_IN=on {_REFRESH}",
        )


def _disk(store: Path, whole: Whole, _: Damaged) -> Iterator[Problem]:
    if not whole:
        return
    newest = whole[max(whole)]
    absent = absent_files(snapshot_folder(store, newest.generation), newest.n_shards)
    n_bytes = sum(size for name, size in newest.files.items() if name not in absent)
    free = shutil.disk_usage(store).free
    if free < _MIN_FREE_SNAPSHOTS * n_bytes:
        yield Problem(
            f"the disk has {free / 1e6:,.1f} MB free, and a snapshot takes {n_bytes / 1e6:,.1f} MB",
            "python -m store prune --keep 1",
        )


_CHECKS: Final[tuple[Check, ...]] = (
    _pointer,
    _pin,
    _experiment,
    _journal,
    _leftovers,
    _damaged,
    _refused,
    _recent_views,
    _fresh_lists,
    _disk,
)


def _flip(store: Path, whole: Whole) -> str:
    good = _newest_good(whole)
    if good is None:
        return _REFRESH
    with contextlib.suppress(PinnedError):
        if pinned(store):
            return f"python -m store pin --generation {good} --why …"
    return f"python -m store rollback --generation {good} --why …"


def _newest_good(whole: Whole) -> int | None:
    good = (number for number, manifest in whole.items() if not _is_refused(manifest))
    return max(good, default=None)


def _is_refused(manifest: Manifest) -> bool:
    return manifest.gate.is_refused


def _is_being_written(store: Path) -> bool:
    """Return whether a writer holds the store; called only after a problem was found.

    It takes a shared lock for an instant: a writer that starts just then fails as busy.
    """
    with contextlib.suppress(FileNotFoundError), (store / "LOCK").open("rb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
