"""From rounds to figures, ratios and goals.

A ratio is the median of the rounds' own ratios: what else the machine does in a
round, it takes from both sides. Where it does much, requests for each second
that a subject really had of its core say more than requests a second.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final, NamedTuple

from benchmarks.serving.wrk import Load

_SHORTEST_SECONDS: Final = 0.01  # the kernel counts a core's time in such steps


class Seen(NamedTuple):
    """What one round saw of one subject.

    Attributes:
        load: What wrk saw.
        core_seconds: How long the subject's processes had a core for it.
    """

    load: Load
    core_seconds: float

    @property
    def per_second(self) -> float:
        """Requests a second."""
        return self.load.requests_per_second

    @property
    def per_core_second(self) -> float:
        """Requests for each second of a core, whatever others took of it."""
        return self.load.n_requests / max(self.core_seconds, _SHORTEST_SECONDS)


Rounds = Mapping[str, Sequence[Seen]]  # by subject, one of each round

OURS: Final = ("marquee-bare", "marquee-front")


class Goal(NamedTuple):
    """What one of ours must reach, as a multiple of a peer's requests a second."""

    subject: str
    peer: str
    times: float


GOALS: Final = (
    Goal("marquee-bare", "bare-bjoern-lmdb", 0.92),
    Goal("marquee-bare", "webdis-redis", 1.7),
    Goal("marquee-bare", "fastapi-redis", 12.0),
    Goal("marquee-front", "webdis-redis", 0.9),
    Goal("marquee-front", "fastapi-redis", 6.0),
)


@dataclass(frozen=True, slots=True)
class Figures:
    """One subject's, medians of its rounds.

    Attributes:
        per_second: Requests answered a second.
        lowest: That of the worst round.
        highest: And of the best.
        per_core_second: Requests answered for each second of a core.
        p50_us: Median time to the answer.
        p99_us: One in a hundred took longer.
    """

    per_second: float
    lowest: float
    highest: float
    per_core_second: float
    p50_us: float
    p99_us: float

    @classmethod
    def of(cls, rounds: Sequence[Seen]) -> "Figures":
        """Work them out."""
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
    """Return how many times as many requests a second `subject` answers as `peer`."""
    pairs = zip(rounds[subject], rounds[peer], strict=True)
    return median(ours.per_second / peers.per_second for ours, peers in pairs)


def core_ratio(rounds: Rounds, subject: str, peer: str) -> float:
    """Return how many times as many requests `subject` answers with a second of a core."""
    pairs = zip(rounds[subject], rounds[peer], strict=True)
    return median(ours.per_core_second / peers.per_core_second for ours, peers in pairs)


def judged(rounds: Rounds) -> Iterator[tuple[Goal, float]]:
    """Yield each goal whose two sides were measured, and the ratio of requests a second."""
    for goal in GOALS:
        if goal.subject in rounds and goal.peer in rounds:
            yield goal, ratio(rounds, goal.subject, goal.peer)
