"""Figures, ratios and goals out of the rounds.

A ratio is the median of the rounds' own ratios: other load on the machine in a round
slows both sides. On a busy machine, requests per second of processor time are more
reliable than requests per second.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final, NamedTuple

from benchmarks.serving.wrk import Load

_MIN_CORE_SECONDS: Final = 0.01  # the kernel's resolution of processor time


class Seen(NamedTuple):
    """The measurement of one subject in one round.

    Attributes:
        load: Figures of wrk.
        core_seconds: Processor time of the subject's processes.
    """

    load: Load
    core_seconds: float

    @property
    def per_second(self) -> float:
        """Requests per second."""
        return self.load.requests_per_second

    @property
    def per_core_second(self) -> float:
        """Requests per second of processor time."""
        return self.load.n_requests / max(self.core_seconds, _MIN_CORE_SECONDS)


Rounds = Mapping[str, Sequence[Seen]]  # by subject, one entry per round

MARQUEE_SUBJECTS: Final = ("marquee-bare", "marquee-front")


class Goal(NamedTuple):
    """A lower limit of the ratio of a subject to a peer, in requests per second."""

    subject: str
    peer: str
    times: float


GOALS: Final = (
    Goal("marquee-bare", "bare-bjoern-lmdb", 0.92),
    Goal("marquee-bare-fresh", "marquee-bare", 0.95),
    Goal("marquee-bare-arms", "marquee-bare", 0.95),
    Goal("marquee-bare-shards", "marquee-bare", 0.9),
    Goal("marquee-front-shards", "marquee-front", 0.9),
    Goal("marquee-bare", "webdis-redis", 1.7),
    Goal("marquee-bare", "fastapi-redis", 12.0),
    Goal("marquee-front", "webdis-redis", 0.9),
    Goal("marquee-front", "fastapi-redis", 6.0),
)


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of one subject, medians of its rounds.

    Attributes:
        per_second: Requests per second.
        lowest: Requests per second of the worst round.
        highest: Requests per second of the best round.
        per_core_second: Requests per second of processor time.
        p50_us: Median time to the answer.
        p99_us: 99th percentile of the time.
    """

    per_second: float
    lowest: float
    highest: float
    per_core_second: float
    p50_us: float
    p99_us: float

    @classmethod
    def of(cls, rounds: Sequence[Seen]) -> "Figures":
        """Return the figures of some rounds."""
        rates = [one.per_second for one in rounds]
        return cls(
            per_second=median(rates),
            lowest=min(rates),
            highest=max(rates),
            per_core_second=median(one.per_core_second for one in rounds),
            p50_us=median(one.load.p50_us for one in rounds),
            p99_us=median(one.load.p99_us for one in rounds),
        )


def ratio(rounds: Rounds, subject: str, peer: str) -> float:
    """Return the ratio of `subject` to `peer` in requests per second."""
    pairs = zip(rounds[subject], rounds[peer], strict=True)
    return median(one.per_second / other.per_second for one, other in pairs)


def core_ratio(rounds: Rounds, subject: str, peer: str) -> float:
    """Return the ratio of `subject` to `peer` in requests per second of processor time."""
    pairs = zip(rounds[subject], rounds[peer], strict=True)
    return median(one.per_core_second / other.per_core_second for one, other in pairs)


def evaluate_goals(rounds: Rounds) -> Iterator[tuple[Goal, float]]:
    """Yield each goal whose two sides were measured, and the ratio in requests per second."""
    for goal in GOALS:
        if goal.subject in rounds and goal.peer in rounds:
            yield goal, ratio(rounds, goal.subject, goal.peer)
