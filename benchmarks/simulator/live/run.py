"""A run: what is to be played, and what came of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from benchmarks.simulator.live.report.records import Tally
from benchmarks.simulator.live.requests.messages import Address
from benchmarks.simulator.live.requests.traffic import WINDOW_SECONDS, Mix
from benchmarks.simulator.log_formats import Edition
from benchmarks.simulator.world.world import World


@dataclass(frozen=True, slots=True)
class Run:
    """What is played.

    Attributes:
        servers: That are asked; users are split among them.
        seconds: How long.
        mix: What requests there are.
        seed: Of the run; the world has its own.
        speed: Simulated seconds in a real one.
        keeps: Whether connections are kept.
        edition: Of the lines.
        views_per_user: Of the history, as `history` was told.
    """

    servers: Sequence[Address]
    seconds: float
    mix: Mix
    seed: int
    speed: float
    edition: Edition
    keeps: bool = True
    views_per_user: float | None = None

    @property
    def names(self) -> list[str]:
        """What the servers are called in reports; of two even one that is given twice has two."""
        if len(self.servers) == 1:
            return [str(self.servers[0])]
        return [f"{'AB'[number]} {server}" for number, server in enumerate(self.servers)]

    @property
    def n_windows(self) -> int:
        """Stretches of time in which requests are drawn."""
        return max(1, round(self.seconds / WINDOW_SECONDS))


class Cost(NamedTuple):
    """What the simulator itself took.

    Attributes:
        processor_seconds: Of the process that plays.
        asking_seconds: Of the process that asks.
        seconds: That it took.
    """

    processor_seconds: float
    asking_seconds: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Played:
    """What came of a run.

    Attributes:
        run: Which.
        world: With those who were yet to come.
        tally: Every request.
        examples: The first failure of each kind, in words.
        cost: Of the simulator.
        n_lines, n_dropped: Sent to the stream, and lost there.
    """

    run: Run
    world: World
    tally: Tally
    examples: Mapping[str, str]
    cost: Cost
    n_lines: int
    n_dropped: int


@dataclass(slots=True)
class Withheld:
    """Items that must be in no answer to a request that is due after a moment.

    Attributes:
        since: By item row, of the monotonic clock.
        n_shown: Answers that held one all the same.
    """

    since: dict[int, float] = field(default_factory=dict)
    n_shown: int = 0

    def look(self, rows: Sequence[int], due: float) -> None:
        """Look at one answer."""
        if any(row in rows and due > since for row, since in self.since.items()):
            self.n_shown += 1
