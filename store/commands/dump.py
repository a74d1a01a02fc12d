"""`dump` and `load`: a snapshot as JSON lines, and back."""

import argparse
import contextlib
import itertools
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from store.commands.output import (
    add_generation,
    add_json,
    count,
    report,
    requested_generation,
    say_json,
)
from store.dump import dump, dump_items, dump_users, load, sampled
from store.errors import CorruptSnapshotError
from store.progress import Progress, on_terminal, silent
from store.publish import publish, writing
from store.snapshot import Snapshot, open_snapshot

_EXAMPLE = """example:
  python -m store dump > 42.jsonl
  python -m store dump --users --sample 10
  python -m store --store elsewhere load 42.jsonl --publish"""


def add_parser(verbs: Any) -> None:
    """Declare the verbs."""
    about = "Print a snapshot as JSON lines: everything for `load`, or a part to look at."
    shape = argparse.RawDescriptionHelpFormatter
    verb = verbs.add_parser(
        "dump", help=about, description=about, epilog=_EXAMPLE, formatter_class=shape
    )
    verb.add_argument("--users", action="store_true", help="only users with their lists and spares")
    verb.add_argument("--items", action="store_true", help="only items with their neighbours")
    verb.add_argument("--sample", type=count, metavar="N", help="only N of each, evenly spaced")
    verb.add_argument("--json", action="store_true", help="no effect: a dump is always JSON lines")
    add_generation(verb)
    verb.set_defaults(run=_dump)

    about = "Build a new generation from a dump."
    verb = verbs.add_parser(
        "load", help=about, description=about, epilog=_EXAMPLE, formatter_class=shape
    )
    verb.add_argument("file", metavar="FILE|-", help="file of a dump; - is standard input")
    verb.add_argument("--publish", action="store_true", help="make it current")
    add_json(verb)
    verb.set_defaults(run=_load)


def _dump(store: Path, options: argparse.Namespace) -> int:
    progress = silent if sys.stdout.isatty() else on_terminal  # a line among those of the dump
    generation = requested_generation(store, options)
    with open_snapshot(store, generation, progress=progress) as snapshot:
        try:
            for line in _lines(snapshot, options, progress):
                say_json(line)
        except ValueError as error:
            raise CorruptSnapshotError(snapshot.folder, f"a value is not text: {error}") from error
    return 0


def _lines(
    snapshot: Snapshot, options: argparse.Namespace, progress: Progress
) -> Iterator[dict[str, Any]]:
    counts, sample = snapshot.manifest.counts, options.sample
    if not (options.users or options.items) and sample is None:
        return dump(snapshot, snapshot.manifest.as_json(), progress)
    users, items = dump_users(snapshot, progress), dump_items(snapshot, progress)
    if sample is not None:
        users = sampled(users, sample, counts["recs.mdb/users"])
        items = sampled(items, sample, counts["recs.mdb/items"])
    return itertools.chain(
        users if options.users or not options.items else (),
        items if options.items or not options.users else (),
    )


def _load(store: Path, options: argparse.Namespace) -> int:
    with _opened(options.file) as file, writing(store), _counted(file) as lines:
        generation = load(store, lines).generation
        is_current = options.publish and publish(
            store, generation, f"loaded from {options.file}", on_terminal
        )
    report(
        options,
        {"generation": generation, "current": is_current},
        [f"generation {generation} is {'current' if is_current else 'built, not served'}"],
    )
    return 0


@contextlib.contextmanager
def _counted(file: IO[bytes]) -> Iterator[Iterator[bytes]]:
    """Yield the lines of a file, and show how much of it is read; a pipe has no size."""
    n_bytes = os.fstat(file.fileno()).st_size
    progress = on_terminal if n_bytes else silent
    with progress("load", n_bytes) as advance:

        def lines() -> Iterator[bytes]:
            for line in file:
                advance(len(line))
                yield line

        yield lines()


def _opened(name: str) -> contextlib.AbstractContextManager[IO[bytes]]:
    return contextlib.nullcontext(sys.stdin.buffer) if name == "-" else Path(name).open("rb")
