"""What is wrong with a store, and the command that mends each thing.

One function a kind of trouble; each yields what it finds and changes nothing.
What belongs to a build that is running now is no trouble.
"""

import contextlib
import fcntl
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from store.errors import PinnedError, StoreError
from store.journal import flips
from store.layout import generations, snapshot_folder, unfinished
from store.manifest import Manifest, verify
from store.pointer import current, current_or_none, pinned

_REFRESH: Final = "python -m batch refresh"
_ROOM: Final = 2  # snapshots that the disk should have room for: the next one, and as much again


class Trouble(NamedTuple):
    """One thing that is wrong.

    Attributes:
        what: In words.
        mend: The command that mends it.
    """

    what: str
    mend: str


def troubles(store: Path) -> Iterator[Trouble]:
    """Yield everything that is wrong with a store, the gravest first."""
    whole, damaged = _inspected(store)
    for look in _LOOKS:
        yield from look(store, whole, damaged)


Whole = dict[int, Manifest]
Damaged = dict[int, str]
Look = Callable[[Path, Whole, Damaged], Iterator[Trouble]]


def _inspected(store: Path) -> tuple[Whole, Damaged]:
    whole: Whole = {}
    damaged: Damaged = {}
    for generation in generations(store):
        try:
            whole[generation] = verify(snapshot_folder(store, generation))
        except StoreError as error:
            damaged[generation] = str(error)
    return whole, damaged


def _pointer(store: Path, whole: Whole, damaged: Damaged) -> Iterator[Trouble]:
    try:
        served = current(store)
    except StoreError as error:
        yield Trouble(str(error), _flip(store, whole))
        return
    if served in damaged:
        yield Trouble(f"the current is damaged: {damaged[served]}", _flip(store, whole))
    elif served not in whole:
        yield Trouble(
            f"generation {served} is current, but there is no such snapshot", _flip(store, whole)
        )


def _pin(store: Path, whole: Whole, _: Damaged) -> Iterator[Trouble]:
    try:
        pin = pinned(store)
    except PinnedError:
        yield Trouble(f"{store}/PIN does not hold a generation", "python -m store unpin --why …")
        return
    if pin is None:
        return
    if pin.generation not in whole:
        yield Trouble(
            f"pinned to generation {pin.generation}, which is missing or damaged",
            "python -m store unpin --why …",
        )
    elif pin.generation != current_or_none(store) and not _is_being_written(store):
        yield Trouble(
            f"pinned to generation {pin.generation}, but another is current",
            f"python -m store pin --generation {pin.generation} --why …",
        )


def _journal(store: Path, _: Whole, __: Damaged) -> Iterator[Trouble]:
    path = store / "JOURNAL"
    if not path.exists():
        if current_or_none(store):
            yield Trouble("the journal is missing: nobody knows what was served when", _REFRESH)
        return
    is_torn = not path.read_bytes().endswith(b"\n")
    done = flips(store)
    served = current_or_none(store)
    is_ahead = served is not None and bool(done) and done[-1].generation != served
    if (is_torn or is_ahead) and _is_being_written(store):
        return
    if is_torn:
        yield Trouble("the last line of the journal is torn", "python -m store prune")
    if is_ahead:
        yield Trouble(
            f"the journal's {done[-1].what} of generation {done[-1].generation} at {done[-1].at} "
            "never came",
            "python -m store prune",
        )


def _leftovers(store: Path, _: Whole, __: Damaged) -> Iterator[Trouble]:
    left = unfinished(store)
    if left and not _is_being_written(store):
        for folder in left:
            yield Trouble(f"{folder} is left of a build that crashed", "python -m store prune")


def _damaged(store: Path, _: Whole, damaged: Damaged) -> Iterator[Trouble]:
    for generation, what in damaged.items():
        if generation != current_or_none(store):
            folder = snapshot_folder(store, generation)
            yield Trouble(f"a kept snapshot is damaged: {what}", f"rm -r {folder}")


def _refused(_: Path, whole: Whole, __: Damaged) -> Iterator[Trouble]:
    if whole and _is_refused(whole[max(whole)]):
        yield Trouble(
            f"the gate refused generation {max(whole)}, the newest: an older one is served "
            f"(`python -m store show --generation {max(whole)}` says why)",
            _REFRESH,
        )


def _disk(store: Path, whole: Whole, _: Damaged) -> Iterator[Trouble]:
    if not whole:
        return
    n_bytes = sum(whole[max(whole)].files.values())
    free = shutil.disk_usage(store).free
    if free < _ROOM * n_bytes:
        yield Trouble(
            f"the disk has room for {free / 1e6:,.1f} MB, and a snapshot takes "
            f"{n_bytes / 1e6:,.1f} MB",
            "python -m store prune --keep 1",
        )


_LOOKS: Final[tuple[Look, ...]] = (
    _pointer,
    _pin,
    _journal,
    _leftovers,
    _damaged,
    _refused,
    _disk,
)


def _flip(store: Path, whole: Whole) -> str:
    good = _newest_good(whole)
    if good is None:
        return _REFRESH
    with contextlib.suppress(PinnedError):
        if pinned(store):
            return f"python -m store pin --generation {good} --why …"
    return f"python -m store rollback --to {good} --why …"


def _newest_good(whole: Whole) -> int | None:
    good = (number for number, manifest in whole.items() if not _is_refused(manifest))
    return max(good, default=None)


def _is_refused(manifest: Manifest) -> bool:
    return manifest.gate.get("result") == "refused"


def _is_being_written(store: Path) -> bool:
    """Tell whether a writer holds the store; asked only when something is odd.

    A shared lock, for an instant: a writer that begins in it is told to try again.
    """
    with contextlib.suppress(FileNotFoundError), (store / "LOCK").open("rb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
