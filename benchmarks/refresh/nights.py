"""Two nights of a generated service: the first refresh learns from nothing, the second from it.

a month of views ──┬── all but the last day ─► cold
                   └── the whole month ──────► warm, from the cold one's snapshot
"""

import sys
import tempfile
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.refresh.timed import Timed, time_refresh
from benchmarks.simulator.history.write import HistoryOptions, write_history
from benchmarks.simulator.world.world import make_world

DAYS: Final = 30


class Size(NamedTuple):
    """Of a service.

    Attributes:
        users, items: How many.
        views: How many of the first night; the second has one day's more.
    """

    users: int
    items: int
    views: int


class Nights(NamedTuple):
    """What both refreshes took."""

    cold: Timed
    warm: Timed


def two_nights(size: Size, seed: int) -> Nights:
    """Generate a service of that size, and refresh it twice.

    Raises:
        SystemExit: A refresh failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        history, store = Path(folder) / "history", Path(folder) / "store"
        print(f"making {size.views:,} views of {size.users:,} users …", file=sys.stderr)
        per_user = size.views / size.users * DAYS / (DAYS - 1)
        world = make_world(size.users, size.items, seed, DAYS)
        write_history(
            world,
            history,
            HistoryOptions(views_per_user=per_user, is_parquet=True, answers_share=0.0),
        )
        days = sorted({path.name for path in (history / "events").glob("*/date=*")})
        first = [str(path) for path in sorted((history / "events").glob("*/date=*"))
                 if path.name != days[-1]]  # fmt: skip
        known = [
            *("--catalogue", str(history / "catalogue.jsonl")),
            *("--profiles", str(history / "profiles.jsonl")),
        ]
        cold = time_refresh(store, ["--events", *first, *known])
        warm = time_refresh(store, ["--events", str(history / "events"), *known])
    return Nights(cold, warm)
