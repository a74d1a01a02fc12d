"""The figures of `python -m benchmarks.serving.latency`: medians of rounds, and goals."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, Final, NamedTuple

from benchmarks.harness.report import print_figure
from benchmarks.harness.tables import print_table
from benchmarks.serving.open_loop import LATE_MS, Latency

_METRICS: Final = ("p50_ns", "p99_ns", "p99_9_ns")
_COUNTS: Final = ("due", "failed", "late")
_GOALS: Final = {  # upper limits by request and metric
    ("known", "p50_ns"): 200_000,
    ("known", "p99_ns"): 1_000_000,
}


class Result(NamedTuple):
    """The measurement of one kind of request.

    Attributes:
        rate: Requests due per second.
        rounds: Latencies of each round.
    """

    rate: float
    rounds: Sequence[Latency]

    def value(self, metric: str) -> float:
        """Return the median of the rounds."""
        return float(median(getattr(one, metric) for one in self.rounds))

    def lowest(self, metric: str) -> int:
        """Return the lowest of the rounds: the least disturbed one."""
        return int(min(getattr(one, metric) for one in self.rounds))

    def total(self, name: str) -> int:
        """Return the sum over all rounds."""
        return sum(getattr(one, name) for one in self.rounds)

    def longest_ns(self) -> int:
        """Return the longest time of all rounds."""
        return max(one.max_ns for one in self.rounds)


def print_tables(results: Mapping[str, Result]) -> None:
    """Print the tables: times, counts of failures, goals."""
    rows = [
        (
            *(name, f"{of.rate:,.0f}"),
            *(_microseconds(of.value(metric)) for metric in _METRICS),
            *(_microseconds(of.lowest("p99_ns")), _microseconds(of.longest_ns())),
            *(f"{of.total(what):,}" for what in _COUNTS),
        )
        for name, of in results.items()
    ]
    header = ("request", "requests/s", "p50 µs", "p99 µs", "p99.9 µs", "best p99", "longest")
    print_table((*header, "requests", "failed", f"over {LATE_MS} ms"), rows)
    goals = [
        (
            *(f"{name} {metric.removesuffix('_ns')}", _microseconds(goal), _microseconds(seen)),
            "yes" if seen < goal else "NO",
        )
        for (name, metric), goal in _GOALS.items()
        if name in results
        for seen in [results[name].value(metric)]
    ]
    print_table(("goal", "below µs", "seen", "met"), goals)


def print_figures(name: str, of: Result, inputs: Mapping[str, Any]) -> None:
    """Print every figure of one kind of request, with its inputs."""
    details = {**inputs, "request": name, "asked_per_second": round(of.rate)}
    for metric in _METRICS:
        extra: dict[str, Any] = {"lowest": of.lowest(metric)}
        if goal := _GOALS.get((name, metric)):
            extra["goal"] = goal
        print_figure("serving.latency", metric, of.value(metric), "ns", **extra, **details)
    print_figure("serving.latency", "max_ns", of.longest_ns(), "ns", **details)
    for what in _COUNTS:
        print_figure("serving.latency", f"n_{what}", of.total(what), "requests", **details)


def _microseconds(ns: float) -> str:
    return f"{ns / 1e3:,.0f}"
