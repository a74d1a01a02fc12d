"""`get`: the stored lists of some users."""

import argparse
from pathlib import Path
from typing import Any

from store.commands.output import add_generation, add_json, report, requested_generation
from store.ids import is_user_id
from store.progress import on_terminal
from store.snapshot import Snapshot, open_what_is_here


def add_parser(verbs: Any) -> None:
    """Declare the verb."""
    about = "Print the stored list of each user."
    verb = verbs.add_parser("get", help=about, description=about)
    verb.add_argument("user", nargs="+", help="a user id")
    add_generation(verb)
    add_json(verb)
    verb.set_defaults(run=_get)


def _get(store: Path, options: argparse.Namespace) -> int:
    generation = requested_generation(store, options)
    with open_what_is_here(store, generation, progress=on_terminal) as snapshot:
        lists = [(user_id, _list(snapshot, user_id)) for user_id in options.user]
    report(
        options,
        [
            {"user_id": user_id, "items": body.split(",") if body else None}
            for user_id, body in lists
        ],
        (f"{user_id}\t{body or 'no list'}" for user_id, body in lists),
    )
    return 0 if all(body for _, body in lists) else 1


def _list(snapshot: Snapshot, user_id: str) -> str | None:
    if not is_user_id(user_id):
        return None
    snapshot.check_user(user_id)
    body = snapshot.users.get(user_id.encode())
    return body.decode() if body else None
