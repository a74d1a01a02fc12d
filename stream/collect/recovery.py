"""Recovery: at the start, the last intents of the ledger are carried out, and the rest removed.

temporary file  named by the last flush   ─► renamed into place
temporary file  not named                 ─► removed: its lines are read again
no file         in place, or folded into its day, or removed with it: nothing to do
none of these             ─► an error: something else removed it
"""

import itertools
from pathlib import Path
from typing import Any

from batch.events.day_files import DayFile
from batch.events.positions import Positions
from stream.collect.flush import crc32, move_into_place
from stream.collect.folder import CollectorFolder
from stream.collect.folding import FOLD_PENDING
from stream.collect.ledger_state import LedgerState
from stream.collect.quarantine import StreamQuarantine
from stream.errors import LedgerError


def recover(folder: CollectorFolder, state: LedgerState, quarantine: StreamQuarantine) -> None:
    """Carry out the last flush and the last removals, and remove what no record names.

    Args:
        folder: Paths of the collector.
        state: State of the ledger, before this collector began.
        quarantine: Quarantine of the collector.

    Raises:
        LedgerError: A file that the ledger names does not exist, or is damaged.
        OSError: Files cannot be renamed or removed.
    """
    files: list[dict[str, Any]] = state.last_flush.get("files", [])
    for file in files:
        _check(folder, file, state)
    move_into_place(folder, files)
    for path in (*folder.pending.iterdir(), folder.own / FOLD_PENDING):
        path.unlink(missing_ok=True)
    for name in itertools.chain.from_iterable(state.last_removals):
        (folder.events / name).unlink(missing_ok=True)
    quarantine.recover(state.last_flush.get("quarantine", {}), state.generation)


def _check(folder: CollectorFolder, file: dict[str, Any], state: LedgerState) -> None:
    """Check a file of the last flush: it must be pending, in place, folded or removed."""
    path = folder.events / file["path"]
    pending = folder.pending / file["pending"]
    if pending.exists():
        if crc32(pending) != file["crc"]:
            raise LedgerError(pending, "is damaged: its CRC is not the one in the ledger")
        return
    if path.exists() or any(file["path"] in paths for paths in state.last_removals):
        return
    if not _is_folded(folder, path, state):
        raise LedgerError(path, "does not exist, but the ledger says that it was written")


def _is_folded(folder: CollectorFolder, path: Path, state: LedgerState) -> bool:
    """Return whether the day's file holds the positions of the last flush."""
    name = DayFile.of(path)
    assert name is not None
    day = name._replace(segment=None).path(folder.events)
    if not day.exists():
        return False
    ranges = Positions.of_file(day).ranges
    return all(
        any(
            first <= span["first"] and span["last"] <= last
            for first, last in ranges.get(f"{span['log']} {span['partition']}", ())
        )
        for span in state.last_flush["spans"]
    )
