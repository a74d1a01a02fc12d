"""Checking every list of a snapshot against the rules of the format, not a sample."""

from collections.abc import Iterator
from typing import Final

from store.ids import is_item_id, is_user_id
from store.snapshot import Snapshot

LONGEST_LIST: Final = 20


def broken_records(snapshot: Snapshot) -> Iterator[str]:
    """Yield one sentence for each record that breaks a rule.

    A list is 1 to 20 item ids joined by commas, none twice, each one an entry
    of `items`; a user's spares are none of the user's list. `rows` and the
    `item_row` of `items` name each other.
    """
    items = {key.decode() for key, _ in snapshot.items}
    yield from (f"items: {name!r} is no item id" for name in items if not is_item_id(name))
    for name in ("users", "spares", "similar", "fallback"):
        for key, body in getattr(snapshot, name):
            if problem := _broken_list(body, items):
                yield f"{name}: {key.decode()}: {problem}"
    for key, body in snapshot.users:
        if not is_user_id(key.decode("latin-1")):
            yield f"users: {key!r} is no user id"
        spares = snapshot.spares.get(key)
        if spares and not set(body.split(b",")).isdisjoint(spares.split(b",")):
            yield f"spares: {key.decode()}: an item of the user's list again"
    yield from (f"rows: {key.decode()}: {name!r} is no item"
                for key, name in snapshot.rows if name.decode() not in items)  # fmt: skip


def _broken_list(body: bytes, items: set[str]) -> str | None:
    names = body.decode("latin-1").split(",")
    if not body or len(names) > LONGEST_LIST:
        return f"{len(names) if body else 0} items, not 1 to {LONGEST_LIST}"
    if len(set(names)) < len(names):
        return "an item twice"
    unknown = next((name for name in names if name not in items), None)
    return None if unknown is None else f"{unknown!r} is not in the catalogue"
