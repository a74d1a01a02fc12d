"""The report of a run: figures of the servers, metrics of the users, and differences."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from batch.arrays import Flags, Integers, Records, Rows
from batch.evaluation.bootstrap import Interval
from benchmarks.simulator.live.report.comparison import Difference, compare
from benchmarks.simulator.live.report.metrics import METRICS, Sums, metric_intervals, user_sums
from benchmarks.simulator.live.requests.grading import NOT_REFUSED
from benchmarks.simulator.live.requests.messages import LIMIT_MS
from benchmarks.simulator.live.requests.traffic import NO_USER
from benchmarks.simulator.live.run import RunResult
from benchmarks.simulator.world.fitted import AGES
from benchmarks.simulator.world.users import Users

ALL: Final = "all"
PERSONALISED: Final = ("list", "fresh", "history", "recent")
_LATE_MS: Final = 100.0
_PERCENTILES: Final = {"p50_ms": 50, "p99_ms": 99, "p99.9_ms": 99.9, "max_ms": 100}


@dataclass(frozen=True, slots=True)
class ServerFigures:
    """Figures of a server's answers.

    Attributes:
        server: Name of the server.
        n_requests: Number of well-formed requests.
        n_failed: Number of those that failed by the grader's rules.
        failures: Number of failed requests by kind of failure.
        n_sent_late: Number of failed requests that the simulator itself sent more than
            100 ms late.
        n_malformed: Number of malformed requests, which must be refused.
        n_not_refused: Number of malformed requests that were not refused.
        percentiles: Latencies of well-formed requests from their due time, milliseconds.
        sources: Number of answers by source.
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
    """A metric of one group of a server's users.

    Attributes:
        server: Name of the server.
        group: "all", a gender or a band of ages.
        metric: Name of the metric.
        interval: Value with its 95 % interval.
        n_users: Number of users with requests.
        n_requests: Number of their requests.
    """

    server: str
    group: str
    metric: str
    interval: Interval
    n_users: int
    n_requests: int


@dataclass(frozen=True, slots=True)
class Report:
    """The report of a run.

    Attributes:
        result: Result of the run.
        servers: Figures of each server.
        figures: Metrics of the users.
        differences: Differences of the second server from the first, of two servers.
        n_takedowns_shown: Number of answers with a taken-down item.
    """

    result: RunResult
    servers: list[ServerFigures]
    figures: list[Figure]
    differences: list[Difference]
    n_takedowns_shown: int = 0

    @property
    def n_failed(self) -> int:
        """Number of failed requests, malformed ones that were not refused included."""
        return sum(one.n_failed + one.n_not_refused for one in self.servers)

    @property
    def late_p99_ms(self) -> float:
        """The 99th percentile of the client's delay in sending requests."""
        records = self.result.requests.records()
        return round(float(np.percentile(records["late_ms"], 99)), 3) if len(records) else 0.0

    def as_json(self) -> dict[str, Any]:
        """Return the report as plain data."""
        result = self.result
        options = result.options
        return {
            "run": {
                "servers": options.names,
                "seconds": options.seconds, "speed": options.speed, "seed": options.seed,
                "rate": options.mix.rate, "is_even": options.mix.is_constant_rate,
                "malformed": options.mix.malformed, "newcomers": options.mix.new_users,
            },
            "simulator": {
                "processor_seconds": result.cost.processor_seconds,
                "asking_seconds": result.cost.client_seconds,
                "seconds": result.cost.seconds, "late_p99_ms": self.late_p99_ms,
                "lines": result.n_lines, "lines_lost": result.n_dropped,
            },
            "servers": [dataclasses.asdict(one) for one in self.servers],
            "examples": dict(result.examples),
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
            "n_withheld_shown": self.n_takedowns_shown,
        }  # fmt: skip


def make_report(result: RunResult, n_takedowns_shown: int = 0) -> Report:
    """Return the report of a run's result."""
    records = result.requests.records()
    known = records[records["user_row"] != NO_USER]
    rows, user = np.unique(known["user_row"], return_inverse=True)
    sums = user_sums(known, user, len(rows))
    server = np.zeros(len(rows), np.int64)
    server[user] = known["server"]
    figures: list[Figure] = []
    for number, name in enumerate(result.options.names):
        for group, who in _groups(result.world.users, rows):
            figures += _figures(name, group, sums, who & (server == number), result)
    return Report(
        result,
        [_server_figures(result, records, number) for number in range(len(result.options.servers))],
        figures,
        compare(sums, server == 0, server == 1) if len(result.options.servers) == 2 else [],
        n_takedowns_shown,
    )


def _figures(name: str, group: str, sums: Sums, who: Flags, result: RunResult) -> Iterator[Figure]:
    n_requests = int(sums["requests"][who].sum())
    intervals = metric_intervals(sums, who, result.options.seed)
    for metric, interval in zip(METRICS, intervals, strict=True):
        yield Figure(name, group, metric.name, interval, int(who.sum()), n_requests)


def _groups(users: Users, rows: Rows) -> Iterator[tuple[str, Flags]]:
    yield ALL, np.ones(len(rows), bool)
    yield "F", ~users.is_male[rows]
    yield "M", users.is_male[rows]
    for low, high, _ in AGES:
        yield f"{low}-{high}", (users.ages[rows] >= low) & (users.ages[rows] <= high)


def _server_figures(result: RunResult, records: Records, number: int) -> ServerFigures:
    received = records[records["server"] == number]
    known = received[received["user_row"] != NO_USER]
    failures = _counts_by_name(known["failure"], result.requests.failures.names)
    sources = _counts_by_name(known["source"], result.requests.sources.names)
    n_good = int((known["failure"] == 0).sum())
    is_personal = np.isin(known["source"], [result.requests.sources.code(s) for s in PERSONALISED])
    not_refused = result.requests.failures.code(NOT_REFUSED)
    milliseconds = np.minimum(known["milliseconds"], LIMIT_MS) if len(known) else np.zeros(1)
    return ServerFigures(
        server=result.options.names[number],
        n_requests=len(known),
        n_failed=len(known) - n_good,
        failures=failures,
        n_sent_late=int(((known["failure"] > 0) & (known["late_ms"] > _LATE_MS)).sum()),
        n_malformed=len(received) - len(known),
        n_not_refused=int((received["failure"] == not_refused).sum()),
        percentiles={
            name: round(float(np.percentile(milliseconds, share)), 3)
            for name, share in _PERCENTILES.items()
        },
        sources=sources,
        personalised=float((is_personal & (known["failure"] == 0)).sum() / max(n_good, 1)),
    )


def _counts_by_name(codes: Integers, names: list[str]) -> dict[str, int]:
    return {
        names[code]: int(n)
        for code, n in zip(*np.unique(codes, return_counts=True), strict=True)
        if code
    }
