"""Looking into a store, and going back: `python -m store ls|show|get|verify|rollback`."""

import argparse
import dataclasses
import itertools
import json
import os
import sys
from pathlib import Path

from store.check import broken_records
from store.config import StoreSettings, load_section
from store.errors import StoreError
from store.ids import is_user_id
from store.layout import generations, snapshot_folder
from store.manifest import read_manifest
from store.pointer import current, current_or_none
from store.publish import rollback
from store.snapshot import open_snapshot

_EXAMPLE = """example:
  python -m store ls
  python -m store get 12345
  python -m store rollback --why "lists of 42 look wrong"

Exit status: 0 done, 1 what was asked about is missing or bad, 2 wrong usage."""

_SHOWN_PROBLEMS = 20


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


def _ls(store: Path, _: argparse.Namespace) -> int:
    """List the snapshots, newest first."""
    served = current_or_none(store)
    print(f"{'':2}{'generation':<12}{'finished':<27}{'users':>12}{'items':>10}{'MB':>10}")
    for generation in reversed(generations(store)):
        folder = snapshot_folder(store, generation)
        mark = "*" if generation == served else ""
        try:
            about = read_manifest(folder)
        except StoreError as error:
            print(f"{mark:2}{generation:<12}{error}")
            continue
        n_bytes = sum(about.files.values())
        n_users, n_items = about.counts["recs.mdb/users"], about.counts["recs.mdb/items"]
        print(
            f"{mark:2}{generation:<12}{about.finished_at:<27}{n_users:>12,}{n_items:>10,}"
            f"{n_bytes / 1e6:>10.1f}"
        )
    return 0 if served else 1


def _show(store: Path, given: argparse.Namespace) -> int:
    """Print a manifest."""
    about = read_manifest(snapshot_folder(store, _asked(store, given)))
    print(json.dumps(dataclasses.asdict(about), indent=2))
    return 0


def _get(store: Path, given: argparse.Namespace) -> int:
    """Print the list of each user."""
    n_missing = 0
    with open_snapshot(store, _asked(store, given)) as snapshot:
        for user_id in given.user:
            body = snapshot.users.get(user_id.encode()) if is_user_id(user_id) else None
            n_missing += body is None
            name = user_id.encode(errors="replace").decode()  # argv need not be UTF-8
            print(f"{name}\t{body.decode() if body else 'no list of their own'}")
    return 1 if n_missing else 0


def _asked(store: Path, given: argparse.Namespace) -> int:
    return current(store) if given.generation is None else int(given.generation)


def _verify(store: Path, given: argparse.Namespace) -> int:
    """Check every checksum, then every list of every user."""
    generation = _asked(store, given)
    with open_snapshot(store, generation) as snapshot:
        n_lists = snapshot.manifest.counts["recs.mdb/users"]
        problems = list(itertools.islice(broken_records(snapshot), _SHOWN_PROBLEMS))
    for problem in problems:
        print(f"generation {generation}: {problem}")
    if not problems:
        print(f"generation {generation}: whole; {n_lists:,} lists in order")
    return 1 if problems else 0


def _rollback(store: Path, given: argparse.Namespace) -> int:
    """Make the parent, or a given generation, current again."""
    print(f"generation {rollback(store, given.why, given.to)} is current")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m store",
        description="Look into a store of snapshots, and go back.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--store", type=Path, metavar="DIR", help="default: [store] path, var/store"
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="default: marquee.toml")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    for name, run in (
        ("ls", _ls),
        ("show", _show),
        ("get", _get),
        ("verify", _verify),
        ("rollback", _rollback),
    ):
        verb = verbs.add_parser(name, help=run.__doc__, description=run.__doc__)
        verb.set_defaults(run=run)
        if name in ("show", "get", "verify"):
            verb.add_argument("--generation", type=int, metavar="N", help="default: the current")
        if name == "get":
            verb.add_argument("user", nargs="+", help="a user id")
        if name == "rollback":
            verb.add_argument("--to", type=int, metavar="N", help="default: the parent")
            verb.add_argument("--why", required=True, help="for the journal")
    return parser


if __name__ == "__main__":
    sys.exit(main())
