"""`python -m benchmarks.simulator history`: write the past of a world."""

import argparse
import sys
import time
from pathlib import Path
from typing import Final

from benchmarks.simulator.arguments import share
from benchmarks.simulator.history.noise import KINDS, Noise
from benchmarks.simulator.history.write import DEFAULT_LOG_FORMAT, HistoryOptions, write_history
from benchmarks.simulator.log_formats import LOG_FORMATS
from benchmarks.simulator.world_arguments import add_world, world_of

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
        help="write days of events, a catalogue and profiles as files",
        description="Write DIR/events, DIR/catalogue.jsonl, DIR/profiles.jsonl and, with noise, "
        "DIR/broken.tsv.",
        epilog="A user has 1.4 views in a week, more in more days; a view makes about 110 "
        f"lines.\nKinds of noise: {', '.join(KINDS)}.\n\n{_EXAMPLE}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_world(verb)
    verb.add_argument("--out", type=Path, required=True, metavar="DIR", help="output directory")
    verb.add_argument(
        "--parquet", action="store_true", help="write tables by kind and day instead of lines"
    )
    verb.add_argument(
        "--edition",
        dest="log_format",
        choices=LOG_FORMATS,
        default=DEFAULT_LOG_FORMAT,
        help="edition of the log format, default: %(default)s",
    )
    verb.add_argument(
        "--answers", type=share, metavar="SHARE",
        help="share of views that follow an answered request, default: 1, with --parquet 0",
    )  # fmt: skip
    verb.add_argument(
        "--noise", type=share, default=0.0, metavar="SHARE",
        help="share of broken lines, all kinds together, default: 0",
    )  # fmt: skip
    verb.add_argument(
        "--break", type=_noise_rate, action="append", default=[], dest="noise_rates",
        metavar="KIND=SHARE",
        help="share of lines broken in one way, among those it can break; 0 switches it off",
    )  # fmt: skip
    verb.add_argument("--crlf", action="store_true", help="end lines in CR and LF")
    verb.set_defaults(run=_run)


def _run(given: argparse.Namespace) -> int:
    began = time.perf_counter()
    world = world_of(given)
    line_end = b"\r\n" if given.crlf else b"\n"
    options = HistoryOptions(
        views_per_user=given.views_per_user,
        is_parquet=given.parquet,
        log_format=LOG_FORMATS[given.log_format],
        answers_share=float(not given.parquet) if given.answers is None else given.answers,
        noise=Noise.overall(given.noise, line_end, **dict(given.noise_rates)),
    )
    try:
        written = write_history(world, given.out, options)
    except OSError as error:
        print(
            f"{given.out}: cannot be written: {error.strerror}; choose another --out",
            file=sys.stderr,
        )
        return 1
    seconds = time.perf_counter() - began
    print(
        f"{written.n_events:,} events of {given.users:,} users, {given.items:,} items and "
        f"{written.n_views:,} views in {given.out}, in {seconds:.1f} s"
    )
    return 0


def _noise_rate(text: str) -> tuple[str, float]:
    kind, _, rate = text.partition("=")
    if kind not in KINDS:
        known = ", ".join(KINDS)
        raise argparse.ArgumentTypeError(f"{kind!r} is not a kind of noise; choose from {known}")
    return kind, share(rate)
