"""Checks every list of a snapshot against the rules of the format."""

import json
from collections.abc import Iterator
from typing import Final

from store.check_ratings import broken_ratings
from store.ids import is_item_id, is_user_id
from store.layout import FACTORS, LIST_LENGTH, RECS, RESERVE, SEEN, USER_TABLES
from store.model_files import broken_model_files
from store.progress import RECORDS, Advance, Progress, counted, silent
from store.snapshot import ShardedTable, Snapshot

_ROWS: Final = f"{RECS}/rows"
_LISTS: Final = ("users", "spares", "similar", "fallback")
_WALKED: Final = (  # tables whose records are counted; users are walked twice
    *(f"{RECS}/{name}" for name in (*_LISTS, "users")),
    *(f"{FACTORS}/{name}" for name in ("biases", "rating_users", "rating_items")),
    f"{SEEN}/users",
)


def broken_records(snapshot: Snapshot, progress: Progress = silent) -> Iterator[str]:
    """Yield one sentence for each record that breaks a rule.

    A list is 1 to 20 item ids joined by commas, none twice, each one an entry
    of `items`. A user's spares and list have no item in common. `rows` and the
    `item_row` of `items` name each other. A user's records are in the user's shard.
    `broken_ratings` checks the rating model, and `broken_model_files` what the speed
    layer needs.

    Args:
        snapshot: Open snapshot.
        progress: What shows how many records are checked.
    """
    items = {_text(key) for key, _ in snapshot.items}
    yield from (
        f"items: {name!r} is not a valid item id" for name in sorted(items) if not is_item_id(name)
    )
    counts = snapshot.manifest.counts
    n_records = sum(counts.get(table, 0) for table in _WALKED)
    with progress(f"records of {snapshot.generation}", n_records, RECORDS) as advance:
        yield from _broken_lists(snapshot, items, advance)
        yield from _misplaced_users(snapshot)
        yield from _broken_rows(snapshot, items)
        yield from broken_ratings(snapshot, items, advance)
        yield from broken_model_files(snapshot, counts.get(_ROWS, 0), advance)


def _broken_lists(snapshot: Snapshot, items: set[str], advance: Advance) -> Iterator[str]:
    for name in _LISTS:
        for key, body in counted(getattr(snapshot, name), advance):
            longest = None if (name, key) == ("fallback", RESERVE) else LIST_LENGTH
            if problem := _broken_list(body, items, longest):
                yield f"{name}: {_text(key)}: {problem}"
    for key, body in counted(snapshot.users, advance):
        if not is_user_id(_text(key)):
            yield f"users: {_text(key)!r} is not a valid user id"
        spares = snapshot.spares.get(key)
        if spares and not set(body.split(b",")).isdisjoint(spares.split(b",")):
            yield f"spares: {_text(key)}: contains an item of the user's list"


def _misplaced_users(snapshot: Snapshot) -> Iterator[str]:
    for name in USER_TABLES:
        table = getattr(snapshot, name)
        if isinstance(table, ShardedTable):
            for key in table.misplaced():
                yield f"{name}: {_text(key)}: is in another user's shard"


def _broken_rows(snapshot: Snapshot, items: set[str]) -> Iterator[str]:
    rows = dict(snapshot.rows)
    for key, body in rows.items():
        if _text(body) not in items:
            yield f"rows: {_text(key)}: {_text(body)!r} is not in the catalogue"
    for key, about in snapshot.items:
        try:
            row = json.loads(about).get("item_row", "")
        except (ValueError, AttributeError):
            yield f"items: {_text(key)}: {_text(about)[:60]!r} is not a JSON object"
            continue
        if row != "" and rows.get(str(row).encode()) != key:
            yield f"items: {_text(key)}: `rows` has another item in row {row}"


def _text(value: bytes) -> str:
    return value.decode("latin-1")  # every byte can be shown


def _broken_list(body: bytes, items: set[str], longest: int | None) -> str | None:
    names = _text(body).split(",")
    if not body:
        return "is empty"
    if longest and len(names) > longest:
        return f"has {len(names)} items, more than {longest}"
    if len(set(names)) < len(names):
        return "contains an item twice"
    unknown = next((name for name in names if name not in items), None)
    return None if unknown is None else f"{unknown!r} is not in the catalogue"
