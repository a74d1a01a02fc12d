"""The check of a machine: a warning before the events are read, a refusal of what cannot fit.

    files ─► at most so much ─► more than is available ─► warning
    events ─► so much ─┬─► more than is available ─► warning
                       └─► more than the whole machine, error of the forecast included ─► refusal

A refresh that the system kills leaves no message, and one refused wrongly no snapshot. So
only what exceeds the whole memory, or the free disk, is refused.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from batch.capacity.needs import ERROR, needed_disk, needed_memory
from batch.capacity.sizes import DataSize, size_of_events, size_of_files
from batch.errors import CapacityError
from batch.events.events import Events
from batch.memory import available_bytes, resident_bytes, total_bytes
from batch.progress import write_note
from batch.settings import BatchSettings

_GIB: Final = 1 << 30
_SMALL_BYTES: Final = 64 << 20  # a snapshot up to this size is made soon, and not predicted
_REMEDY: Final = (
    'give it more, or set [batch] engine = "spark" for a cluster; '
    "[batch] capacity_check = false runs it anyway"
)


def warn_of_files(settings: BatchSettings, served: Mapping[str, int] | None) -> None:
    """Warn before the events are read if their files may need more memory than is available.

    Args:
        settings: Settings of the batch.
        served: Number of records in the served snapshot's tables; None without a snapshot.

    Raises:
        InputError: A file is missing, damaged, or not one of events.
    """
    if _is_checked(settings) and (size := size_of_files(settings, served)):
        needed, left = needed_memory(size, settings), _memory_left()
        if needed > left:
            write_note(
                f"warning: memory: up to {_gib(needed)} for {_rows(size)} in Parquet, "
                f"{_gib(left)} are available; it is checked again once they are read"
            )


def check_events(settings: BatchSettings, events: Events, n_catalogue: int, store: Path) -> None:
    """Check that a refresh of events in memory fits into the machine; warn if it is tight.

    Args:
        settings: Settings of the batch.
        events: Views and ratings.
        n_catalogue: Number of items of the catalogue.
        store: Directory that the snapshot is written to, made if it does not exist.

    Raises:
        CapacityError: It needs more than the whole memory, or than the free disk.
    """
    if not _is_checked(settings):
        return
    size = size_of_events(events, n_catalogue)
    needed, total = needed_memory(size, settings), total_bytes()
    if needed > (1 + ERROR) * total:
        raise CapacityError(
            "memory", f"{_described(size)} need about {_gib(needed)} of {_gib(total)}", _REMEDY
        )
    on_disk, free = needed_disk(size, settings), _free_disk(store)
    if on_disk > max((1 + ERROR) * free, _SMALL_BYTES):
        problem = f"a snapshot of {_described(size)} takes about {_gib(on_disk)}"
        raise CapacityError(store, f"{problem}, {_gib(free)} are free", _REMEDY)
    left = _memory_left()
    if needed > left:
        write_note(
            f"warning: memory: {_described(size)} need about {_gib(needed)}, "
            f"{_gib(left)} are available: the system may kill the refresh"
        )


def _is_checked(settings: BatchSettings) -> bool:
    """Return whether all users are in the memory of this process, and that is to be checked."""
    return settings.capacity_check and settings.engine == "local"


def _memory_left() -> int:
    """Return the bytes that this process may have in all: its own, and what is available."""
    return resident_bytes() + available_bytes()


def _free_disk(store: Path) -> int:
    existing = next(path for path in (store, *store.absolute().parents) if path.exists())
    return shutil.disk_usage(existing).free


def _described(size: DataSize) -> str:
    return f"{size.users:,} users, {size.items:,} items and {_rows(size)}"


def _rows(size: DataSize) -> str:
    return f"{size.views + size.ratings:,} events"


def _gib(n_bytes: float) -> str:
    return f"{n_bytes / _GIB:.1f} GiB"
