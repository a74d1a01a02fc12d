"""The command `python -m store VERB`: inspect a store, and choose what is served.

Each verb is a module of `store.commands`. This module finds the store's directory
and turns errors into messages and exit statuses.
"""

import argparse
import os
import sys
from pathlib import Path

from store.commands import (
    compare,
    diff,
    doctor,
    dump,
    explain,
    flip,
    forget,
    get,
    ls,
    prune,
    replica,
    show,
    status,
    takedown,
    top,
    verify,
)
from store.config import StoreSettings, load_section
from store.durable import keep_from_others
from store.errors import StoreError
from store.replica_settings import ReplicaSettings
from store.settings_table import add_config, print_config

SECTIONS = {"store": StoreSettings, "replica": ReplicaSettings}
_VERBS = (
    ls,
    top,
    show,
    get,
    flip,
    prune,
    takedown,
    verify,
    dump,
    diff,
    compare,
    explain,
    doctor,
    replica,
    status,
    forget,
)

_EXAMPLE = """example:
  python -m store ls
  python -m store top
  python -m store get 12345
  python -m store rollback --why "lists of 42 look wrong"
  python -m store takedown tt0133093 --why "rights ended"

Exit status: 0 done, 1 something is missing or damaged, 2 wrong usage."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status."""
    options = _parser().parse_args(arguments)
    try:
        if options.verb == "config":
            return print_config(options)
        store = options.store or Path(load_section("store", StoreSettings, options.config).path)
        status: int = options.run(store, options)
        sys.stdout.flush()
    except StoreError as error:
        print(f"store: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # `| head` has closed the pipe; the flush at exit must not raise again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        print(f"store: {error}", file=sys.stderr)
        return 1
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m store",
        description="Inspect a store of snapshots, and choose what is served.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--store", type=Path, metavar="DIR", help="default: [store] path, var/store"
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="default: marquee.toml")
    verbs = parser.add_subparsers(required=True, metavar="VERB", dest="verb")
    for module in _VERBS:
        module.add_parser(verbs)
    add_config(verbs, SECTIONS)
    return parser


if __name__ == "__main__":
    keep_from_others()
    sys.exit(main())
