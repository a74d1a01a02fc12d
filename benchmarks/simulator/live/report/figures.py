"""The report of a run: how the servers answered, what users did, and whether servers differ."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from batch.evaluation.bootstrap import Interval
from benchmarks.simulator.live.report.comparison import Difference, compare
from benchmarks.simulator.live.report.metrics import METRICS, Sums, metric_intervals, user_sums
from benchmarks.simulator.live.report.records import Records
from benchmarks.simulator.live.requests.grading import NOT_REFUSED
from benchmarks.simulator.live.requests.messages import LIMIT_MS
from benchmarks.simulator.live.requests.traffic import NOBODY
from benchmarks.simulator.live.run import Played
from benchmarks.simulator.world.fitted import AGES
from benchmarks.simulator.world.users import Users

ALL: Final = "all"
PERSONALISED: Final = ("list", "history", "recent")
_LATE_MS: Final = 100.0
_PERCENTILES: Final = {"p50_ms": 50, "p99_ms": 99, "p99.9_ms": 99.9, "max_ms": 100}


@dataclass(frozen=True, slots=True)
class Answered:
    """How a server answered.

    Attributes:
        server: Its name.
        n_requests: Well-formed ones.
        n_failed: Of these, by the grader's rules.
        failures: Of these, by kind.
        n_sent_late: Of these, those that the simulator itself sent more than 100 ms late.
        n_malformed: Requests that had to be refused.
        n_not_refused: Of these, those that were not.
        percentiles: Milliseconds of well-formed requests from the moment when each was due.
        sources: Answers by what made them.
        personalised: Share of the good answers that were made for the user.
    """

    server: str
    n_requests: int
    n_failed: int
    failures: dict[str, int]
    n_sent_late: int
    n_malformed: int
    n_not_refused: int
    percentiles: dict[str, float]
    sources: dict[str, int]
    personalised: float


@dataclass(frozen=True, slots=True)
class Figure:
    """A metric of the users of one server, in one group.

    Attributes:
        server: Its name.
        group: "all", a gender or a band of ages.
        metric: Its name.
        interval: Its value and where it may lie.
        n_users: Who asked.
        n_requests: That they made.
    """

    server: str
    group: str
    metric: str
    interval: Interval
    n_users: int
    n_requests: int


@dataclass(frozen=True, slots=True)
class Report:
    """All of it.

    Attributes:
        played: What was played.
        servers: How each answered.
        figures: What the users did.
        differences: Of the second server from the first, where there are two.
        n_withheld_shown: Answers with an item that had to have vanished.
    """

    played: Played
    servers: list[Answered]
    figures: list[Figure]
    differences: list[Difference]
    n_withheld_shown: int = 0

    @property
    def n_failed(self) -> int:
        """Requests of any kind that were not answered as they should."""
        return sum(one.n_failed + one.n_not_refused for one in self.servers)

    @property
    def late_p99_ms(self) -> float:
        """By how much requests were sent later than they were due, at worst of 99 in 100."""
        records = self.played.tally.records()
        return round(float(np.percentile(records["late_ms"], 99)), 3) if len(records) else 0.0

    def as_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        played = self.played
        run = played.run
        return {
            "run": {
                "servers": run.names,
                "seconds": run.seconds, "speed": run.speed, "seed": run.seed,
                **dataclasses.asdict(run.mix),
            },
            "simulator": {
                **played.cost._asdict(), "late_p99_ms": self.late_p99_ms,
                "lines": played.n_lines, "lines_lost": played.n_dropped,
            },
            "servers": [dataclasses.asdict(one) for one in self.servers],
            "examples": dict(played.examples),
            "figures": [
                {
                    "server": one.server, "group": one.group, "metric": one.metric,
                    "value": one.interval.mean, "low": one.interval.low,
                    "high": one.interval.high, "n_users": one.n_users,
                    "n_requests": one.n_requests,
                }
                for one in self.figures
            ],
            "differences": [one._asdict() for one in self.differences],
            "n_failed": self.n_failed,
            "n_withheld_shown": self.n_withheld_shown,
        }  # fmt: skip


def make_report(played: Played, n_withheld_shown: int = 0) -> Report:
    """Work a run's tally out."""
    records = played.tally.records()
    known = records[records["user_row"] != NOBODY]
    rows, user = np.unique(known["user_row"], return_inverse=True)
    sums = user_sums(known, user, len(rows))
    server = np.zeros(len(rows), np.int64)
    server[user] = known["server"]
    figures: list[Figure] = []
    for number, name in enumerate(played.run.names):
        for group, who in _groups(played.world.users, rows):
            figures += _figures(name, group, sums, who & (server == number), played)
    return Report(
        played,
        [_answered(played, records, number) for number in range(len(played.run.servers))],
        figures,
        compare(sums, server == 0, server == 1) if len(played.run.servers) == 2 else [],
        n_withheld_shown,
    )


def _figures(
    name: str, group: str, sums: Sums, who: npt.NDArray[np.bool_], played: Played
) -> Iterator[Figure]:
    n_requests = int(sums["requests"][who].sum())
    intervals = metric_intervals(sums, who, played.run.seed)
    for metric, interval in zip(METRICS, intervals, strict=True):
        yield Figure(name, group, metric.name, interval, int(who.sum()), n_requests)


def _groups(
    users: Users, rows: npt.NDArray[np.int64]
) -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
    yield ALL, np.ones(len(rows), bool)
    yield "F", ~users.is_male[rows]
    yield "M", users.is_male[rows]
    for low, high, _ in AGES:
        yield f"{low}-{high}", (users.ages[rows] >= low) & (users.ages[rows] <= high)


def _answered(played: Played, records: Records, number: int) -> Answered:
    mine = records[records["server"] == number]
    known = mine[mine["user_row"] != NOBODY]
    failures = _counted(known["failure"], played.tally.failures.names)
    sources = _counted(known["source"], played.tally.sources.names)
    n_good = int((known["failure"] == 0).sum())
    is_personal = np.isin(known["source"], [played.tally.sources.place(s) for s in PERSONALISED])
    not_refused = played.tally.failures.place(NOT_REFUSED)
    milliseconds = np.minimum(known["milliseconds"], LIMIT_MS) if len(known) else np.zeros(1)
    return Answered(
        server=played.run.names[number],
        n_requests=len(known),
        n_failed=len(known) - n_good,
        failures=failures,
        n_sent_late=int(((known["failure"] > 0) & (known["late_ms"] > _LATE_MS)).sum()),
        n_malformed=len(mine) - len(known),
        n_not_refused=int((mine["failure"] == not_refused).sum()),
        percentiles={
            name: round(float(np.percentile(milliseconds, share)), 3)
            for name, share in _PERCENTILES.items()
        },
        sources=sources,
        personalised=float((is_personal & (known["failure"] == 0)).sum() / max(n_good, 1)),
    )


def _counted(places: npt.NDArray[np.integer], names: list[str]) -> dict[str, int]:
    return {
        names[place]: int(n)
        for place, n in zip(*np.unique(places, return_counts=True), strict=True)
        if place
    }
