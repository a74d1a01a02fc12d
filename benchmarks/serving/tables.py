"""The figures of `python -m benchmarks.serving`, for people and for programs."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from benchmarks.harness.report import print_figure
from benchmarks.harness.tables import print_table
from benchmarks.serving.figures import (
    GOALS,
    MARQUEE_SUBJECTS,
    Figures,
    Rounds,
    core_ratio,
    evaluate_goals,
    ratio,
)
from benchmarks.serving.subjects import SUBJECTS


def print_tables(rounds: Rounds, versions: Mapping[str, str]) -> None:
    """Print the subjects, their figures, and the goals."""
    descriptions = {subject.name: subject.description for subject in SUBJECTS}
    print_table(
        ("subject", "description", "versions"),
        [(name, descriptions[name], versions[name]) for name in rounds],
    )
    marquee = [name for name in MARQUEE_SUBJECTS if name in rounds]
    rows = [
        (
            *(name, f"{of.per_second:,.0f}", f"{of.lowest:,.0f}–{of.highest:,.0f}"),
            *(f"{of.per_core_second:,.0f}", f"{of.p50_us:,.0f}", f"{of.p99_us:,.0f}"),
            *(f"{ratio(rounds, subject, name):.2f}" for subject in marquee),
        )
        for name, of in _figures(rounds).items()
    ]
    ratios = (f"{subject} by" for subject in marquee)
    print_table(
        ("subject", "req/s", "rounds", "per core second", "p50 µs", "p99 µs", *ratios), rows
    )
    goals = [
        (
            *(goal.subject, goal.peer, f"{goal.times:.2f}", f"{seen:.2f}"),
            *(_verdict(seen, goal.times), f"{core_ratio(rounds, goal.subject, goal.peer):.2f}"),
        )
        for goal, seen in evaluate_goals(rounds)
    ]
    print_table(("subject", "peer", "goal", "seen", "met", "by core seconds"), goals)


def _verdict(seen: float, goal: float) -> str:
    return "yes" if seen >= goal else "NO"


def print_figures(rounds: Rounds, versions: Mapping[str, str], inputs: Mapping[str, Any]) -> None:
    """Print every figure of every subject, with its inputs."""
    for name, of in _figures(rounds).items():
        details: dict[str, Any] = {"subject": name, **inputs, "version": versions[name]}
        rates = {
            "requests_per_second": (of.per_second, ratio),
            "requests_per_core_second": (of.per_core_second, core_ratio),
        }
        for metric, (rate, compare) in rates.items():
            for compared in _compared(name, rounds, compare):
                if compare is ratio:
                    compared |= _goal(name, compared.get("peer"))
                print_figure("serving", metric, round(rate), "1/s", **compared, **details)
        print_figure("serving", "p50_us", of.p50_us, "us", **details)
        print_figure("serving", "p99_us", of.p99_us, "us", **details)


def _compared(
    name: str, rounds: Rounds, compare: Callable[[Rounds, str, str], float]
) -> Iterator[dict[str, Any]]:
    """Yield peer and ratio of each line of this rate; one empty dict without peers."""
    peers = [peer for peer in rounds if peer != name] if name in MARQUEE_SUBJECTS else []
    if not peers:
        yield {}
    for peer in peers:
        yield {"peer": peer, "ratio": round(compare(rounds, name, peer), 3)}


def _goal(name: str, peer: str | None) -> dict[str, float]:
    times = [goal.times for goal in GOALS if (goal.subject, goal.peer) == (name, peer)]
    return {"goal": times[0]} if times else {}


def _figures(rounds: Rounds) -> dict[str, Figures]:
    return {name: Figures.of(loads) for name, loads in rounds.items()}
