"""The figures of `python -m benchmarks.serving.latency`: medians of rounds, beside their goals."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, Final, NamedTuple

from benchmarks.report import print_figure, print_table
from benchmarks.serving.open_loop import LATE_MS, Latency

_METRICS: Final = ("p50_ns", "p99_ns", "p99_9_ns")
_COUNTS: Final = ("due", "failed", "late")
_GOALS: Final = {("known", "p50_ns"): 200_000, ("known", "p99_ns"): 1_000_000}  # below


class Asked(NamedTuple):
    """A kind of request as it was answered.

    Attributes:
        rate: Requests that were due a second.
        rounds: What each saw.
    """

    rate: float
    rounds: Sequence[Latency]

    def value(self, metric: str) -> float:
        """Return the median of the rounds."""
        return float(median(getattr(one, metric) for one in self.rounds))

    def lowest(self, metric: str) -> int:
        """Return that of the round that the machine disturbed least."""
        return int(min(getattr(one, metric) for one in self.rounds))

    def total(self, name: str) -> int:
        """Return the sum over all rounds."""
        return sum(getattr(one, name) for one in self.rounds)

    def longest_ns(self) -> int:
        """Return the longest time of all."""
        return max(one.max_ns for one in self.rounds)


def print_tables(asked: Mapping[str, Asked]) -> None:
    """Print what a person wants to see: times, what went wrong, goals."""
    rows = [
        (
            *(name, f"{of.rate:,.0f}"),
            *(_microseconds(of.value(metric)) for metric in _METRICS),
            *(_microseconds(of.lowest("p99_ns")), _microseconds(of.longest_ns())),
            *(f"{of.total(what):,}" for what in _COUNTS),
        )
        for name, of in asked.items()
    ]
    header = ("request", "asked/s", "p50 µs", "p99 µs", "p99.9 µs", "best p99", "longest")
    print_table((*header, "requests", "failed", f"over {LATE_MS} ms"), rows)
    goals = [
        (
            *(f"{name} {metric.removesuffix('_ns')}", _microseconds(goal), _microseconds(seen)),
            "yes" if seen < goal else "NO, MISSED",
        )
        for (name, metric), goal in _GOALS.items()
        if name in asked
        for seen in [asked[name].value(metric)]
    ]
    print_table(("goal", "below µs", "seen", "holds"), goals)


def print_figures(name: str, of: Asked, about: Mapping[str, Any]) -> None:
    """Print every figure of one kind of request, `about` beside it."""
    beside = {**about, "request": name, "asked_per_second": round(of.rate)}
    for metric in _METRICS:
        more: dict[str, Any] = {"lowest": of.lowest(metric)}
        if goal := _GOALS.get((name, metric)):
            more["goal"] = goal
        print_figure("serving.latency", metric, of.value(metric), "ns", **more, **beside)
    print_figure("serving.latency", "max_ns", of.longest_ns(), "ns", **beside)
    for what in _COUNTS:
        print_figure("serving.latency", f"n_{what}", of.total(what), "requests", **beside)


def _microseconds(ns: float) -> str:
    return f"{ns / 1e3:,.0f}"
