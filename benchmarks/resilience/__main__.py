"""Inject faults into a running server, and count the requests that fail.

    faults      in workers, nginx, snapshots, descriptors; by hostile clients
    load        16 clients in front of nginx, which check each answer: status,
                source, and every byte against the generation in its header
    goal        no request fails, is refused, takes 600 ms, or gets a mixed answer

Requests are timed from the moment when they were due, so other load on the machine
counts against the server.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks.harness.arguments import make_parser, positive_int, some_of
from benchmarks.harness.report import print_figure
from benchmarks.harness.tables import print_table
from benchmarks.resilience import faults, floods, hostile_clients
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
        *(faults.hangs, faults.all_stopped, faults.nginx_killed, faults.no_descriptors),
        *(hostile_clients.fuzzed, hostile_clients.slow),
        *(floods.floods, floods.limited_floods, floods.many_connections),
    )
}
_QUICK_SCALE: Final = 0.05
_UNITS: Final = {"_ms": "ms", "_s": "s"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark and return its exit status."""
    args = _parser().parse_args(arguments)
    n_users = args.users or (20_000 if args.quick else 1_000_000)
    outcomes: dict[str, Outcome] = {}
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        Path(folder).chmod(0o755)  # nginx's workers run as `nobody` and reopen the access log
        bench = Bench(Path(folder), n_users, args.rate, _QUICK_SCALE if args.quick else 1.0)
        write_snapshot(bench.store, n_users)
        for name in args.only:
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
            *(name, outcome.action, *(f"{outcome.measured()[metric]:,g}" for metric in shown)),
            ", ".join(f"{key} {value:,g}" for key, value in outcome.figures.items()),
            f"MISSED: {', '.join(missed)}" if (missed := outcome.missed()) else "met",
        )
        for name, outcome in outcomes.items()
    ]
    print_table(("fault", "action", *shown, "further figures", "goals"), rows)
    for name, outcome in outcomes.items():
        for example in outcome.seen.examples:
            print(f"{name}: {example}", file=sys.stderr)


def _print_figures(name: str, outcome: Outcome, bench: Bench) -> None:
    for metric, value in outcome.measured().items():
        unit = next((unit for end, unit in _UNITS.items() if metric.endswith(end)), "")
        print_figure(
            *("resilience", metric, value, unit),
            subject="marquee-front",
            fault=name,
            what=outcome.action,
            at_most=outcome.goals.get(metric),
            n_users=bench.n_users,
            rate=bench.rate,
            n_workers=N_WORKERS,
            seed=SEED,
        )


def _parser() -> argparse.ArgumentParser:
    parser = make_parser("resilience", __doc__, _EXAMPLE)
    parser.add_argument(
        "--only", type=some_of(FAULTS, "fault"), default=[*FAULTS], metavar="A,B",
        help=f"some of {', '.join(FAULTS)}",
    )  # fmt: skip
    parser.add_argument(
        "--quick", action="store_true", help="a twentieth of the faults, 20,000 users"
    )
    parser.add_argument("--users", type=positive_int, metavar="N", help="default: 1000000")
    parser.add_argument(
        "--rate", type=positive_int, default=500, metavar="N", help="requests per second"
    )
    parser.add_argument(
        "--folder", type=Path, metavar="DIR", help="folder of the stores; default: $TMPDIR"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
