"""Do harm to a running server, and see whether any client notices.

    harm        to workers, front, snapshots, descriptors; by strangers
    load        16 clients of our own behind the front, who judge each answer:
                status, source, and every byte against the generation in its header
    goal        nobody fails, is refused, waits 600 ms, or gets a mixed answer

Requests are timed from the moment when they were due, so what the machine does
besides counts against the server.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.report import print_figure, print_table
from benchmarks.resilience import faults, strangers
from benchmarks.resilience.faults import N_WORKERS, SEED, Bench, Outcome
from benchmarks.resilience.lists import write_snapshot

_EXAMPLE: Final = """example:
  python -m benchmarks.resilience > resilience.jsonl
  python -m benchmarks.resilience --quick --only sigkills,swaps

Exit status: 0 all goals were met, 1 one was missed, 2 wrong usage."""

FAULTS: Final[Mapping[str, Callable[[Bench], Outcome]]] = {
    fault.__name__.replace("_", "-"): fault
    for fault in (
        faults.undisturbed,
        *(faults.sigkills, faults.sigterms, faults.all_killed, faults.reloads, faults.swaps),
        *(faults.hangs, faults.all_stopped, faults.front_killed, faults.no_descriptors),
        *(strangers.fuzzed, strangers.slow),
    )
}
_QUICK_SCALE: Final = 0.05
_UNITS: Final = {"_ms": "ms", "_s": "s"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark and return its exit status."""
    given = _parser().parse_args(arguments)
    n_users = given.users or (20_000 if given.quick else 1_000_000)
    outcomes: dict[str, Outcome] = {}
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        Path(folder).chmod(0o755)  # the front's workers are nobody: they reopen the access log
        bench = Bench(Path(folder), n_users, given.rate, _QUICK_SCALE if given.quick else 1.0)
        write_snapshot(bench.store, n_users)
        for name in given.only:
            began = time.monotonic()
            outcomes[name] = FAULTS[name](bench)
            print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    _print_tables(outcomes)
    for name, outcome in outcomes.items():
        _print_figures(name, outcome, bench)
    return 1 if any(outcome.missed() for outcome in outcomes.values()) else 0


def _print_tables(outcomes: Mapping[str, Outcome]) -> None:
    shown = (
        "answers",
        "failed",
        "refused",
        "mixed",
        "late",
        "static",
        "p50_ms",
        "p99_ms",
        "max_ms",
    )
    rows = [
        (
            *(name, outcome.what, *(f"{outcome.measured()[one]:,g}" for one in shown)),
            ", ".join(f"{key} {value:,g}" for key, value in outcome.figures.items()),
            f"MISSED: {', '.join(missed)}" if (missed := outcome.missed()) else "held",
        )
        for name, outcome in outcomes.items()
    ]
    print_table(("fault", "what was done", *shown, "besides", "goals"), rows)
    for name, outcome in outcomes.items():
        for example in outcome.seen.examples:
            print(f"{name}: {example}", file=sys.stderr)


def _print_figures(name: str, outcome: Outcome, bench: Bench) -> None:
    for metric, value in outcome.measured().items():
        unit = next((unit for end, unit in _UNITS.items() if metric.endswith(end)), "")
        beside: dict[str, Any] = {"subject": "marquee-front", "fault": name, "what": outcome.what}
        print_figure(
            *("resilience", metric, value, unit),
            **beside,
            at_most=outcome.goals.get(metric),
            n_users=bench.n_users,
            rate=bench.rate,
            n_workers=N_WORKERS,
            seed=SEED,
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.resilience",
        description=__doc__,
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--only", type=_names, default=[*FAULTS], metavar="A,B", help=f"of {', '.join(FAULTS)}"
    )
    parser.add_argument(
        "--quick", action="store_true", help="a twentieth of the harm, 20,000 users"
    )
    parser.add_argument("--users", type=int, metavar="N", help="default: 1000000")
    parser.add_argument("--rate", type=int, default=500, metavar="N", help="requests a second")
    parser.add_argument("--folder", type=Path, metavar="DIR", help="for the stores; default: /tmp")
    return parser


def _names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - FAULTS.keys():
        raise argparse.ArgumentTypeError(f"no such fault: {', '.join(sorted(unknown))}")
    return names


if __name__ == "__main__":
    sys.exit(main())
