"""Online figures of a generation, from the files of hours that `python -m stream online` keeps.

They are read by their columns: the batch imports nothing of the stream.
"""

from pathlib import Path
from typing import Any, Final

import pyarrow.compute as pc
import pyarrow.parquet as pq

_COLUMNS: Final = ("generation", "is_available", "rank")
_MAX_HOURS: Final = 14 * 24  # the newest hours are read


def online_figures(folder: Path, generation: int) -> dict[str, Any] | None:
    """Return requests, availability and clicks of a generation; None if none were recorded.

    Args:
        folder: Directory of the hours; it need not exist.
        generation: Generation that answered.
    """
    n_requests = n_available = n_clicks = 0
    for path in sorted(folder.glob("date=*/hour-*.parquet"))[-_MAX_HOURS:]:
        rows = pq.read_table(path, columns=list(_COLUMNS), partitioning=None)
        rows = rows.filter(pc.equal(rows["generation"], generation))
        n_requests += rows.num_rows
        n_available += pc.sum(rows["is_available"], min_count=0).as_py()
        n_clicks += pc.sum(pc.greater(rows["rank"], 0), min_count=0).as_py()
    if not n_requests:
        return None
    return {
        "generation": generation,
        "n_requests": n_requests,
        "n_clicks": n_clicks,
        "availability": round(n_available / n_requests, 6),
        "click_through": round(n_clicks / n_requests, 6),
    }
