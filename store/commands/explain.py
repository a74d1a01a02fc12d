"""`explain`: the answer to a user now or at a time, its generation and that one's inputs."""

import argparse
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from store.commands.output import add_json, age, report
from store.commands.show import readable
from store.config import number_of
from store.errors import StoreError
from store.explain import Explanation, explain
from store.fresh import FRESH_HOURS
from store.progress import on_terminal

_MANIFEST_KEYS = ("began_at", "finished_at", "code_version", "inputs", "parameters", "gate")


def add_parser(verbs: Any) -> None:
    """Declare the verb."""
    about = "Print the answer to a user now or at a time, and how its snapshot was built."
    verb = verbs.add_parser("explain", help=about, description=about)
    verb.add_argument("user", help="a user id")
    verb.add_argument("--at", metavar="TIME", help="ISO 8601; UTC without a time zone")
    add_json(verb)
    verb.set_defaults(run=_explain)


def _explain(store: Path, options: argparse.Namespace) -> int:
    at = None if options.at is None else _time(options.at)
    fresh_hours = number_of("serve", "fresh_hours", FRESH_HOURS, options.config)
    found = explain(store, options.user, at, fresh_hours=fresh_hours, progress=on_terminal)
    manifest = found.manifest.as_json()
    known = {name: manifest[name] for name in _MANIFEST_KEYS}
    flip = found.flip._asdict() if found.flip else None
    fields = (
        *("user_id", "at", "generation", "arm", "source"),
        *("made_at", "items", "history", "withheld"),
    )
    answer = {name: getattr(found, name) for name in fields}
    report(options, answer | {"flip": flip} | known, _lines(found, known))
    return 0


def _lines(found: Explanation, known: dict[str, Any]) -> Iterator[str]:
    since = f"{found.flip.what} at {found.flip.at}: {found.flip.why}" if found.flip else None
    has_reasons = found.source in ("fresh", "list") and bool(found.history)
    answer = {
        "user": found.user_id,
        "at": found.at or "now",
        "generation": str(found.generation),
        "arm": found.arm or "",
        "current since": since or "not in the journal",
        "source": found.source or "unknown: the snapshot was pruned, its manifest is kept",
        "made": _made(found.made_at),
        "answer": ",".join(found.items or []),
        "made from": ",".join(found.history or []),
        "taken down": ",".join(found.withheld),
        "because": f"python -m stream explain {found.user_id}" if has_reasons else "",
    }
    yield from readable({name: text or None for name, text in answer.items()})
    yield from readable(known)


def _made(made_at: float | None) -> str:
    if made_at is None:
        return ""
    at = datetime.fromtimestamp(made_at, UTC).isoformat(timespec="seconds")
    return f"{at}, {age(time.time() - made_at)} ago"


def _time(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise StoreError(
            repr(text), "is not a time", "write it as 2026-11-21T03:41:07+00:00"
        ) from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
