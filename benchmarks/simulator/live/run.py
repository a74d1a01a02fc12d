"""The options of a run, and its result."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from benchmarks.simulator.live.report.records import RequestRecords
from benchmarks.simulator.live.requests.messages import Address
from benchmarks.simulator.live.requests.traffic import WINDOW_SECONDS, TrafficMix
from benchmarks.simulator.log_formats import LogFormat
from benchmarks.simulator.world.world import World


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Options of a run.

    Attributes:
        servers: Addresses of one or two servers; users are split between two.
        seconds: Duration of the run.
        mix: Rate and kinds of requests.
        seed: Random seed of the run; the world has its own.
        speed: Simulated seconds in a real second.
        log_format: Format of the lines.
        keep_alive: Whether connections are kept for further requests.
        views_per_user: Mean number of views of a user in the history.
        finish_views: Whether the events of views that outlast the run are written at its end.
    """

    servers: Sequence[Address]
    seconds: float
    mix: TrafficMix
    seed: int
    speed: float
    log_format: LogFormat
    keep_alive: bool = True
    views_per_user: float | None = None
    finish_views: bool = False

    @property
    def names(self) -> list[str]:
        """Names of the servers in reports; two equal addresses have different names."""
        if len(self.servers) == 1:
            return [str(self.servers[0])]
        return [f"{'AB'[number]} {server}" for number, server in enumerate(self.servers)]

    @property
    def n_windows(self) -> int:
        """Number of windows of time in which requests are drawn."""
        return max(1, round(self.seconds / WINDOW_SECONDS))


class Cost(NamedTuple):
    """Time that the simulator itself took.

    Attributes:
        processor_seconds: CPU time of the simulating process.
        client_seconds: CPU time of the process that sends requests.
        seconds: Elapsed time.
    """

    processor_seconds: float
    client_seconds: float
    seconds: float


@dataclass(frozen=True, slots=True)
class RunResult:
    """Result of a run.

    Attributes:
        options: Options of the run.
        world: World with the users who joined during the run.
        requests: Records of all requests.
        examples: The first failure of each kind, in words.
        cost: Time that the simulator took.
        n_lines, n_dropped: Lines sent to the stream, and lines dropped there.
    """

    options: RunOptions
    world: World
    requests: RequestRecords
    examples: Mapping[str, str]
    cost: Cost
    n_lines: int
    n_dropped: int


@dataclass(slots=True)
class TakedownCheck:
    """Items that must be in no answer to a request that is due after their takedown.

    Attributes:
        since: Time of the takedown on the monotonic clock, by item row.
        n_shown: Answers that contained a taken-down item.
    """

    since: dict[int, float] = field(default_factory=dict)
    n_shown: int = 0

    def check(self, rows: Sequence[int], due: float) -> None:
        """Check one answer and count it if it contains a taken-down item."""
        if any(row in rows and due > since for row, since in self.since.items()):
            self.n_shown += 1
