"""Looking into a store, and deciding what is served: `python -m store VERB`.

Each verb is a module of `store.commands`; what is common stands here: where
the store lies, and how an error ends.
"""

import argparse
import os
import sys
from pathlib import Path

from store.commands import (
    diff,
    doctor,
    dump,
    explain,
    flip,
    get,
    ls,
    prune,
    replica,
    show,
    takedown,
    verify,
)
from store.config import StoreSettings, load_section
from store.errors import StoreError

_VERBS = (ls, show, get, flip, prune, takedown, verify, dump, diff, explain, doctor, replica)

_EXAMPLE = """example:
  python -m store ls
  python -m store get 12345
  python -m store rollback --why "lists of 42 look wrong"
  python -m store takedown tt0133093 --why "rights ended"

Exit status: 0 done, 1 what was asked about is missing or bad, 2 wrong usage."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status."""
    given = _parser().parse_args(arguments)
    try:
        store = given.store or Path(load_section("store", StoreSettings, given.config).path)
        status: int = given.run(store, given)
        sys.stdout.flush()
    except StoreError as error:
        print(f"store: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # `| head` has seen enough; the flush at exit must not raise again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        print(f"store: {error}", file=sys.stderr)
        return 1
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m store",
        description="Look into a store of snapshots, and decide what is served.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--store", type=Path, metavar="DIR", help="default: [store] path, var/store"
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="default: marquee.toml")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    for module in _VERBS:
        module.add_parser(verbs)
    return parser


if __name__ == "__main__":
    sys.exit(main())
