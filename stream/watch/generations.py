"""Which generation was current at the time of each answer, by the journal of the store."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np

from batch.arrays import Rows
from store.journal import flips


def generations_at(store: Path, utc_offset_seconds: int) -> Callable[[Rows], Rows]:
    """Return a function of (n,) times that returns the current generation, 0 before the first.

    Args:
        store: Directory of the store.
        utc_offset_seconds: Seconds by which the times are ahead of UTC.
    """
    lines = flips(store)
    began = np.array(
        [datetime.fromisoformat(line.at).timestamp() + utc_offset_seconds for line in lines]
    )
    generation = np.array([0, *(line.generation for line in lines)], np.int64)
    return lambda at: generation[np.searchsorted(began, at, side="right")]
