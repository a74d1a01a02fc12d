"""The state of a worker: what its application and its resources answer from."""

from dataclasses import dataclass, field

from serve.counting import Counts
from serve.scoreboard import Scoreboard
from serve.settings import ServeSettings
from serve.worker.served import Served
from store.fresh import FreshLists
from store.recent import RecentViews


@dataclass(slots=True)
class WorkerState:
    """State of one worker.

    The follower may change it between any two lines of a request, so a request reads
    `served` once.

    Attributes:
        settings: The server's settings.
        scoreboard: Memory shared with the supervisor and the other workers.
        counts: Counts of this worker's answers.
        served: Open snapshot that is served; None until the first is open.
        recent: Users' views since the snapshot; None where they are not collected.
        fresh: Lists made since the snapshot; None without a speed layer.
        hidden: Items taken down, encoded as in a list.
    """

    settings: ServeSettings
    scoreboard: Scoreboard
    counts: Counts = field(default_factory=Counts)
    served: Served | None = None
    recent: RecentViews | None = None
    fresh: FreshLists | None = None
    hidden: frozenset[bytes] = frozenset()
