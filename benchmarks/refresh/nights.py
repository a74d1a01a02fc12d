"""Two nights of a generated service: a cold first refresh, and a warm start from its snapshot.

a month of views ──┬── all but the last day ─► cold
                   └── the whole month ──────► warm, from the cold refresh's snapshot
"""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.refresh.timed import DEFAULT_MODEL, Timed, time_refresh
from benchmarks.simulator.history.write import HistoryOptions, write_history
from benchmarks.simulator.world.world import make_world

DAYS: Final = 30


class Size(NamedTuple):
    """Size of a service.

    Attributes:
        users: Number of users.
        items: Number of items.
        views: Number of views of the first night; the second adds one day.
    """

    users: int
    items: int
    views: int


class Nights(NamedTuple):
    """The timed refreshes of both nights."""

    cold: Timed
    warm: Timed


def two_nights(size: Size, seed: int, models: Sequence[str] = (DEFAULT_MODEL,)) -> list[Nights]:
    """Generate a service of that size, and refresh it twice by each model, in turns.

    Args:
        size: Size of the service.
        seed: Random seed of the service.
        models: Values of `[batch] model`.

    Raises:
        SystemExit: A refresh failed.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(f"making {size.views:,} views of {size.users:,} users …", file=sys.stderr)
        per_user = size.views / size.users * DAYS / (DAYS - 1)
        world = make_world(size.users, size.items, seed, DAYS)
        write_history(
            world,
            folder / "history",
            HistoryOptions(views_per_user=per_user, is_parquet=True, answers_share=0.0),
        )
        partitions = sorted((folder / "history" / "events").glob("*/date=*"))
        last = max(path.name for path in partitions)
        first = [str(path) for path in partitions if path.name != last]
        every = [str(path) for path in partitions]
        known = [
            *("--catalogue", str(folder / "history" / "catalogue.jsonl")),
            *("--profiles", str(folder / "history" / "profiles.jsonl")),
        ]

        def refreshed(events: Sequence[str]) -> list[Timed]:
            return [
                time_refresh(folder / f"store-{model}", ["--events", *events, *known], model)
                for model in models
            ]

        return [Nights(*timed) for timed in zip(refreshed(first), refreshed(every), strict=True)]
