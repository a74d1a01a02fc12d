"""The command `python -m stream explain`: why a user has, or had, this list."""

import argparse
from pathlib import Path
from typing import Any, Final

from stream.fresh.explain import N_REASONS, explain_current
from stream.online.explain_command import explain_answer, time_of

_EXAMPLE: Final = """example:
  python -m stream explain 596363                            what places each item now
  python -m stream explain 596363 --reasons 5 --json
  python -m stream explain 596363 --at 2026-11-14T12:23:12   what made that answer

`python -m store explain` prints how the snapshot of the list was built.
Exit status: 0 explained, 1 failed, or no generation gave that answer, 2 wrong usage."""


def add_explain(verbs: Any) -> None:
    """Add the verb to the parser of `python -m stream`."""
    about = "Print what places each item of a user's list, or what made an answer."
    verb = verbs.add_parser(
        "explain",
        help=about[0].lower() + about[1:].rstrip("."),
        description=about,
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument("user", help="a user id")
    verb.add_argument("--config", type=Path, metavar="FILE", help="default: marquee.toml")
    verb.add_argument("--store", type=Path, metavar="DIR", help="default: [store] path")
    which = verb.add_mutually_exclusive_group()
    which.add_argument(
        "--generation", type=int, metavar="N",
        help="explain the list of this generation; default: the one that answers the user",
    )  # fmt: skip
    which.add_argument(
        "--at", type=time_of, metavar="TIME",
        help="explain the answer at that time; ISO 8601, UTC without a time zone",
    )  # fmt: skip
    verb.add_argument(
        "--events", type=Path, metavar="DIR", help="with --at: default [stream] events"
    )
    verb.add_argument(
        "--reasons", type=_n_reasons, default=N_REASONS, metavar="N",
        help=f"maximum number for each item, default: {N_REASONS}",
    )  # fmt: skip
    verb.add_argument("--json", action="store_true", help="print JSON")
    verb.set_defaults(run=_explain)


def _n_reasons(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be a whole number from 0, not {text!r}")
    return int(text)


def _explain(options: argparse.Namespace) -> int:
    return explain_answer(options) if options.at else explain_current(options)
