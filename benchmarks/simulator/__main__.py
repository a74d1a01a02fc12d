"""The simulator's commands: `python -m benchmarks.simulator history`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.simulator.history import write_events
from benchmarks.simulator.world import make_world, write_catalogue, write_profiles

_EXAMPLE = """example:
  python -m benchmarks.simulator history --users 2000 --items 500 --days 7 --out var/history"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    given = _parser().parse_args(arguments)
    world = make_world(given.users, given.items, given.seed)
    events = given.out / "events"
    try:
        events.mkdir(parents=True, exist_ok=True)
        write_catalogue(world, given.out / "catalogue.jsonl")
        write_profiles(world, given.out / "profiles.jsonl")
        n_lines = write_events(world, events, given.days, given.noise, given.seed)
    except OSError as error:
        print(f"{given.out}: cannot be written: {error.strerror} (choose another --out)",
              file=sys.stderr)  # fmt: skip
        return 1
    print(f"{n_lines:,} events of {given.users:,} users and {given.items:,} items in {given.out}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.simulator",
        description="A simulated streaming service.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    verb = verbs.add_parser(
        "history",
        help="days of events, a catalogue and profiles as files",
        description="Write DIR/events/DATE.log, DIR/catalogue.jsonl and DIR/profiles.jsonl.",
        epilog=f"A user makes about 390 lines whatever --days; by default 770,000 in all.\n\n"
        f"{_EXAMPLE}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument("--users", type=_count, default=2000, metavar="N", help="default: 2000")
    verb.add_argument("--items", type=_count, default=500, metavar="N", help="default: 500")
    verb.add_argument("--days", type=_count, default=7, metavar="N", help="default: 7")
    verb.add_argument("--seed", type=_seed, default=42, metavar="N", help="default: 42")
    verb.add_argument(
        "--noise", type=_share, default=0.0, metavar="SHARE", help="of broken lines, default: 0"
    )
    verb.add_argument("--out", type=Path, required=True, metavar="DIR", help="made if need be")
    return parser


def _count(text: str) -> int:
    return _whole(text, at_least=1)


def _seed(text: str) -> int:
    return _whole(text, at_least=0)


def _whole(text: str, at_least: int) -> int:
    if not text.isdecimal() or int(text) < at_least:
        raise argparse.ArgumentTypeError(f"must be a whole number from {at_least}, not {text!r}")
    return int(text)


def _share(text: str) -> float:
    message = f"must lie between 0 and 1, not {text!r}"
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(message) from None
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(message)
    return value


if __name__ == "__main__":
    sys.exit(main())
