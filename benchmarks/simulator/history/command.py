"""`python -m benchmarks.simulator history`."""

import argparse
import dataclasses
import sys
import time
from pathlib import Path
from typing import Final

from benchmarks.simulator.arguments import count, mean_views, seed, share
from benchmarks.simulator.history.noise import KINDS, Noise
from benchmarks.simulator.history.write import DEFAULT_EDITION, HistoryOptions, write_history
from benchmarks.simulator.log_formats import EDITIONS
from benchmarks.simulator.world.views import usual_wandering
from benchmarks.simulator.world.world import World, make_world

_EXAMPLE: Final = """\
examples:
  python -m benchmarks.simulator history --users 2000 --items 500 --days 7 --out var/history
  python -m benchmarks.simulator history --noise 0.001 --break truncated=0.01 --out var/noisy
  python -m benchmarks.simulator history --users 1000000 --items 27000 --views-per-user 50 \\
      --parquet --out var/large"""


def add_history(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb to a parser."""
    verb = verbs.add_parser(
        "history",
        help="days of events, a catalogue and profiles as files",
        description="Write DIR/events, DIR/catalogue.jsonl, DIR/profiles.jsonl and, with noise, "
        "DIR/broken.tsv.",
        epilog="A user has 1.4 views in a week, more in more days, and makes about 110 lines a "
        f"view.\nKinds of noise: {', '.join(KINDS)}.\n\n{_EXAMPLE}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_world(verb)
    verb.add_argument("--out", type=Path, required=True, metavar="DIR", help="made if need be")
    verb.add_argument("--parquet", action="store_true", help="tables by kind and day, not lines")
    verb.add_argument(
        "--edition", choices=EDITIONS, default=DEFAULT_EDITION, help="default: %(default)s"
    )
    verb.add_argument(
        "--answers", type=share, metavar="SHARE",
        help="of views that follow an answered request, default: 1, with --parquet 0",
    )  # fmt: skip
    verb.add_argument(
        "--noise", type=share, default=0.0, metavar="SHARE",
        help="of broken lines, all kinds together, default: 0",
    )  # fmt: skip
    verb.add_argument(
        "--break", type=_kind, action="append", default=[], dest="kinds", metavar="KIND=SHARE",
        help="a kind's own share of the lines that it can break; 0 switches it off",
    )  # fmt: skip
    verb.add_argument("--crlf", action="store_true", help="lines end in CR and LF")
    verb.set_defaults(run=_run)


def add_world(verb: argparse.ArgumentParser) -> None:
    """Add the arguments that make a world."""
    verb.add_argument("--users", type=count, default=2000, metavar="N", help="default: 2000")
    verb.add_argument("--items", type=count, default=500, metavar="N", help="default: 500")
    verb.add_argument("--days", type=count, default=7, metavar="N", help="default: 7")
    verb.add_argument("--seed", type=seed, default=42, metavar="N", help="default: 42")
    verb.add_argument(
        "--wandering",
        type=share,
        metavar="SHARE",
        help="of views that follow no taste, default: one of each user, and 0.08 at least",
    )
    verb.add_argument(
        "--views-per-user", type=mean_views, metavar="MEAN", help="default: 1.4 in a week"
    )


def world_of(given: argparse.Namespace) -> World:
    """Make the world that the arguments of `add_world` describe."""
    world = make_world(given.users, given.items, given.seed, given.days)
    wandering = given.wandering
    if wandering is None:
        wandering = usual_wandering(world, given.views_per_user)
    return dataclasses.replace(world, wandering=wandering)


def _run(given: argparse.Namespace) -> int:
    began = time.perf_counter()
    world = world_of(given)
    line_end = b"\r\n" if given.crlf else b"\n"
    options = HistoryOptions(
        views_per_user=given.views_per_user,
        is_parquet=given.parquet,
        edition=EDITIONS[given.edition],
        answers_share=float(not given.parquet) if given.answers is None else given.answers,
        noise=Noise.overall(given.noise, line_end, **dict(given.kinds)),
    )
    try:
        written = write_history(world, given.out, options)
    except OSError as error:
        print(f"{given.out}: cannot be written: {error.strerror} (choose another --out)",
              file=sys.stderr)  # fmt: skip
        return 1
    seconds = time.perf_counter() - began
    print(
        f"{written.n_events:,} events of {given.users:,} users, {given.items:,} items and "
        f"{written.n_views:,} views in {given.out}, in {seconds:.1f} s"
    )
    return 0


def _kind(text: str) -> tuple[str, float]:
    kind, _, rate = text.partition("=")
    if kind not in KINDS:
        known = ", ".join(KINDS)
        raise argparse.ArgumentTypeError(f"{kind!r} is no kind of noise; they are {known}")
    return kind, share(rate)
