"""`forget`: remove users from all that a store and its server keep."""

import argparse
import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, Final

from store.commands.output import add_json, remark, report
from store.errors import StoreError
from store.forget import Forgotten, forget
from store.forget_files import (
    access_logs,
    forget_log,
    forget_posted,
    forget_recent,
    reasons_that_name,
)
from store.ids import check_user_ids
from store.pointer import current
from store.progress import on_terminal

_LOG: Final = Path("var/log/access.log")
_WAIT_SECONDS: Final = 60.0
_EXAMPLE: Final = """For a request for erasure, in this order:
  python -m batch forget 12345     events, quarantine, copies of the user API: before a refresh
  python -m store forget 12345     snapshots, recent views, access logs
  python -m store push URL         if there are replicas; each pulls as usual

Exit status: 0 done, 1 a user is unknown or something still names one, 2 wrong usage."""


def add_parser(verbs: Any) -> None:
    """Declare the verb."""
    about = "Remove users from every snapshot, the recent views and the access logs."
    verb = verbs.add_parser(
        "forget",
        help=about,
        description=about,
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument("user", nargs="+", help="a user id")
    verb.add_argument(
        "--why", default="request for erasure", help="reason, for the journal; not the user's id"
    )
    verb.add_argument(
        "--log", type=Path, action="append", metavar="FILE",
        help=f"an access log, with its rotated predecessors; default: {_LOG}",
    )  # fmt: skip
    verb.add_argument(
        "--wait", type=float, default=_WAIT_SECONDS, metavar="SECONDS",
        help="time that servers have to close the old snapshots; default: 60",
    )  # fmt: skip
    add_json(verb)
    verb.set_defaults(run=_forget)


def _forget(store: Path, options: argparse.Namespace) -> int:
    users = list(dict.fromkeys(options.user))
    check_user_ids(users)
    _check_reason(options.why, users)
    current(store)  # raises before `writing` makes a store at a mistyped path
    done = forget(store, users, f"forget: {options.why}", options.wait, on_terminal)
    n_recent = forget_recent(store, users)
    n_lines = forget_posted(store, users)
    for log in options.log or [_LOG]:
        for file in access_logs(log):
            n_lines.update(forget_log(file, users))
    unknown = [user for user in users if not done.n_records[user] + n_recent[user] + n_lines[user]]
    left = [f"{store}: generation {number} is still open" for number in done.still_open]
    left += [f"{store}: generation {number} is damaged" for number in done.damaged]
    left += reasons_that_name(store, users)
    result = {
        "users": len(users) - len(unknown),
        "unknown": unknown,
        "records": sum(done.n_records.values()),
        "recent": sum(n_recent.values()),
        "log_lines": sum(n_lines.values()),
        "copies": done.copies,
        "removed": done.removed,
        "left": left,
    }
    report(options, result, _lines(result, done))
    for user in unknown:
        remark(f"{user} is unknown: in no snapshot, recent view or access log")
    for place in left:
        remark(f"not removed from {place}")
    return 1 if unknown or left else 0


def _lines(result: dict[str, Any], done: Forgotten) -> Iterable[str]:
    yield f"forgotten: {result['users']} users"
    yield f"  snapshots    {result['records']:,} records"
    yield f"  recent views {result['recent']:,} records"
    yield f"  access logs  {result['log_lines']:,} lines"
    for old, new in done.copies.items():
        yield f"  generation {old} is replaced by {new}"
    yield "not reached from here: replicas (push again), backups, dumps, logs under other names"


def _check_reason(why: str, users: Collection[str]) -> None:
    if re.search(rf"(?<!\w)(?:{'|'.join(map(re.escape, users))})(?!\w)", why):
        raise StoreError("--why", "names a user; the journal keeps it", "leave the id out")
