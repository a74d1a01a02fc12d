"""The users who count in an experiment: all, or those without a history at its start.

    views, ratings before a time ─► users with a history ─► requests of all others

A history before the start is the same in every arm, so leaving out its users keeps the arms
alike. A user who watches something later stays in. Histories are those of the day partitions:
of events that were read from elsewhere, users count as new, and get equal lists in all arms.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from store.experiment import EVERYONE
from stream.online.events import DayFiles

Counted = Callable[[Iterable[pa.Table]], Iterable[pa.Table]]


def of_population(population: str, events: Path, since: int) -> Counted:
    """Return the function that leaves the requests of the users who count in tables of `HOUR`.

    Args:
        population: One of `store.experiment.POPULATIONS`.
        events: Directory of the day partitions, which is read for new users alone.
        since: Time from which an event is not of the history, seconds by the clock of events.

    Raises:
        InputError: A file of events is damaged.
    """
    if population == EVERYONE:
        return lambda tables: tables
    with DayFiles(events) as files:
        known = files.users(("views", "ratings"), since)

    def counted(tables: Iterable[pa.Table]) -> Iterable[pa.Table]:
        for rows in tables:
            yield rows.filter(pc.invert(pc.is_in(rows["user_id"].cast(pa.string()), known)))

    return counted
