"""The simulator's commands: `python -m benchmarks.simulator history`, `compare`, `live`."""

import argparse
import sys
from collections.abc import Sequence

from benchmarks.simulator.history.command import add_history
from benchmarks.simulator.history.compare import add_compare
from benchmarks.simulator.live.command import add_live


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.simulator", description="A simulated streaming service."
    )
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    add_history(verbs)
    add_compare(verbs)
    add_live(verbs)
    given = parser.parse_args(arguments)
    status: int = given.run(given)
    return status


if __name__ == "__main__":
    sys.exit(main())
