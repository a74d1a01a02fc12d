"""Rebuilding the ledger from the positions in the partitions' metadata.

Flushes of which every line was quarantined left no file: their positions are read again
if they are the last ones, and otherwise are missing from the ranges. Gaps and counts are
not in the files.
"""

import time
from collections.abc import Iterator

from batch.events.day_files import DayFile
from batch.events.partitions import partition_files
from batch.events.positions import Positions
from stream.collect.folder import CollectorFolder
from stream.collect.ledger import replace_ledger
from stream.collect.ledger_state import LedgerState


def rebuild(folder: CollectorFolder) -> LedgerState:
    """Replace the ledger by one that says what the files say, and return its state.

    Temporary files are removed: without a ledger they are not intended to be anywhere.

    Args:
        folder: Paths of the collector, which is not running.

    Raises:
        InputError: A file of the partitions is damaged.
        FencedError: A collector is running.
        OSError: The ledger cannot be written.
    """
    positions = state_of_files(folder)
    # Above the number of every segment, also where the clock was set back since the last one,
    # and later than the generation of any lost ledger.
    number = max([int(time.time()), *_segment_numbers(folder)])
    state = LedgerState(generation=number, number=number)
    state.ranges = dict(positions.ranges)
    state.next = {key: ranges[-1][1] + 1 for key, ranges in positions.ranges.items()}
    state.identities = dict(positions.identities)
    replace_ledger(folder.ledger, state)
    for path in folder.pending.iterdir():
        path.unlink()
    return state


def _segment_numbers(folder: CollectorFolder) -> Iterator[int]:
    for path in partition_files(folder.events):
        file = DayFile.of(path)
        if file is not None and file.segment is not None:
            yield file.segment


def state_of_files(folder: CollectorFolder) -> Positions:
    """Return the positions that the partitions' metadata name; none without partitions.

    Raises:
        InputError: A file is damaged.
    """
    return Positions.union(Positions.of_file(path) for path in partition_files(folder.events))
