"""The command `python -m batch trust`: who was suspected, and what to trust from now on."""

import argparse
import json
from pathlib import Path
from typing import Any

from batch.errors import InputError
from batch.settings import BatchSettings
from batch.trust.trusted import (
    ITEM,
    USER,
    SuspectId,
    TrustedId,
    read_suspects,
    read_trusted,
    revoke,
    trust,
)
from store.config import StoreSettings, load_section

_EXAMPLE = """example:
  python -m batch trust list
  python -m batch trust undo tt0133093 --why "its trailer was on television"
  python -m batch trust undo --user 12345 12346 --why "our own testers"
  python -m batch trust revoke tt0133093

`undo` holds from the next refresh on, until `revoke`.
Exit status: 0 done, 1 an id is not valid or a file is damaged, 2 wrong usage."""


def add_trust(verbs: Any) -> None:
    """Add the verb `trust` to the parser of `python -m batch`."""
    about = "Show the suspects of the last refresh, and trust items or accounts."
    verb = verbs.add_parser(
        "trust",
        help=about[0].lower() + about[1:].rstrip("."),
        description=about,
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument("action", choices=("list", "undo", "revoke"))
    verb.add_argument("item", nargs="*", help="an item id")
    verb.add_argument("--user", nargs="+", default=[], metavar="ID", help="user ids")
    verb.add_argument("--why", default="", help="reason, which `undo` needs")
    verb.add_argument("--store", type=Path, metavar="DIR", help="default: [store] path")
    verb.add_argument("--config", type=Path, metavar="FILE", help="default: marquee.toml")
    verb.add_argument("--json", action="store_true", help="print one JSON object")
    verb.set_defaults(run=_trust)


def _trust(arguments: argparse.Namespace, _: BatchSettings) -> str:
    store = arguments.store or Path(load_section("store", StoreSettings, arguments.config).path)
    named = ((ITEM, arguments.item), (USER, arguments.user))
    if arguments.action != "list" and not (arguments.item or arguments.user):
        raise InputError(f"trust {arguments.action}", "names nothing", "name items, or --user ID")
    if arguments.action == "undo" and not arguments.why.strip():
        raise InputError("trust undo", "has no reason", 'give one with --why "…"')
    for kind, ids in named:
        if ids and arguments.action == "undo":
            trust(store, kind, ids, arguments.why)
        elif ids and arguments.action == "revoke":
            revoke(store, kind, ids)
    return _shown(read_suspects(store), read_trusted(store), as_json=arguments.json)


def _shown(suspects: list[SuspectId], trusted: list[TrustedId], *, as_json: bool) -> str:
    if as_json:
        found = {"suspects": [one._asdict() for one in suspects]}
        return json.dumps(found | {"trusted": [one._asdict() for one in trusted]})
    lines = [f"{len(suspects):,} suspects in the last refresh"]
    lines += [f"  weight {one.weight:<4}{one.kind} {one.id}: {one.why}" for one in suspects]
    lines += [f"{len(trusted):,} trusted"]
    lines += [f"  {one.kind} {one.id} since {one.at}: {one.why}" for one in trusted]
    return "\n".join(lines)
