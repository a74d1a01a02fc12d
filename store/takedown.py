"""Takedown: items that must not be shown from now on, whatever the snapshots hold.

    TAKEDOWN        item_id <TAB> time, ISO 8601 UTC <TAB> reason
    CURRENT
    snapshots/…     unchanged: they never change

A small text file beside `CURRENT`, replaced atomically. Every server checks it
several times a second and leaves its items out of every answer; the next refresh
leaves them out of the lists. An entry stays until it is restored.
"""

import contextlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from store.durable import fsync_path, replace_durable
from store.errors import ALLOW_ROLLBACK, NotAnItemError, ReplicaError, WriteError
from store.ids import is_item_id
from store.journal import one_line, write_journal
from store.locks import WAIT_SECONDS, locked, make_store
from store.parse import MAX_TAKEDOWN_BYTES, read_small
from store.pointer import current_or_none

_FILE: Final = "TAKEDOWN"
_LOCK: Final = "TAKEDOWN.LOCK"


class Takedown(NamedTuple):
    """One item that must not be shown.

    Attributes:
        item_id: Id of the item.
        at: Time of the takedown, ISO 8601 in UTC.
        why: Reason in words.
    """

    item_id: str
    at: str
    why: str


def takedown_file(store: Path) -> Path:
    """Return the path of the takedowns, which need not exist."""
    return store / _FILE


def takedowns(store: Path) -> dict[str, Takedown]:
    """Return the items that are taken down now, by item_id.

    Raises:
        NotAnItemError: The file exists, but is not a list of takedowns.
    """
    try:
        text = read_small(takedown_file(store), MAX_TAKEDOWN_BYTES).decode()
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise NotAnItemError(
            takedown_file(store),
            f"cannot be read: {error}",
            "correct it by hand: item, time, reason",
        ) from error
    return _parsed(store, text)


def take_down(store: Path, item_ids: Iterable[str], why: str) -> dict[str, Takedown]:
    """Make every server leave these items out from now on.

    Returns:
        All takedowns that are in force now.

    Raises:
        NotAnItemError: An item id is not valid; nothing is taken down then.
        StoreBusyError: Another process holds the lock of the takedowns.
        WriteError: The store cannot be written to.
    """
    names = list(item_ids)
    for item_id in names:
        if not is_item_id(item_id):
            raise NotAnItemError(takedown_file(store), f"{item_id!r} is not a valid item id")
    at = datetime.now(UTC).isoformat(timespec="seconds")
    with _editing(store) as entries:
        for item_id in names:
            entries.setdefault(item_id, Takedown(item_id, at, one_line(why)))
        _write(store, entries)
        write_journal(store, current_or_none(store), "takedown", f"{' '.join(names)}: {why}")
    return entries


def restore(store: Path, item_ids: Iterable[str], why: str) -> dict[str, Takedown]:
    """Undo takedowns.

    Returns:
        Takedowns that stay in force.

    Raises:
        NotAnItemError: One of the items is not taken down; nothing changes then.
        StoreBusyError: Another process holds the lock of the takedowns.
        WriteError: The store cannot be written to.
    """
    names = list(item_ids)
    with _editing(store) as entries:
        for item_id in names:
            if item_id not in entries:
                raise NotAnItemError(takedown_file(store), f"{item_id!r} is not taken down")
            del entries[item_id]
        _write(store, entries)
        write_journal(store, current_or_none(store), "restore", f"{' '.join(names)}: {why}")
    return entries


def replace_takedowns(store: Path, text: str | None, why: str, *, may_restore: bool = True) -> bool:
    """Replace the takedowns of this store by those of another one.

    Args:
        store: Directory of the store; it is made if it does not exist.
        text: Content of the other `TAKEDOWN`; None if it does not exist.
        why: Reason for the journal.
        may_restore: Whether items may be shown again.

    Returns:
        Whether anything changed.

    Raises:
        ReplicaError: Items would be shown again, but must not; nothing changes then.
        NotAnItemError: `text` is not a list of takedowns; nothing changes then.
        StoreBusyError: Another process holds the lock of the takedowns.
        WriteError: The store cannot be written to.
    """
    new = _parsed(store, text or "")
    with _editing(store) as entries:
        if _read_text(store) == text:
            return False
        restored = entries.keys() - new.keys()
        if restored and not may_restore:
            what = f"{len(restored)} of its items would be shown again"
            raise ReplicaError(takedown_file(store), what, ALLOW_ROLLBACK)
        _replace(store, text)
        for what, names in (
            ("takedown", new.keys() - entries.keys()),
            ("restore", restored),
        ):
            if names:
                line = f"{' '.join(sorted(names))}: {why}"
                write_journal(store, current_or_none(store), what, line)
    return True


def _parsed(store: Path, text: str) -> dict[str, Takedown]:
    """Parse strictly: a typing error must not put an item back into answers."""
    entries = [line.split("\t", 2) for line in text.splitlines()]
    is_sound = all(len(e) == len(Takedown._fields) and is_item_id(e[0]) for e in entries)
    if not is_sound or (text and not text.endswith("\n")):
        raise NotAnItemError(
            takedown_file(store),
            "is not a list of takedowns",
            "write each line as item, time and reason, separated by tabs",
        )
    return {entry[0]: Takedown(*entry) for entry in entries}


def _read_text(store: Path) -> str | None:
    try:
        return read_small(takedown_file(store), MAX_TAKEDOWN_BYTES).decode()
    except FileNotFoundError:
        return None


def _replace(store: Path, text: str | None) -> None:
    if text is not None and len(text.encode()) > MAX_TAKEDOWN_BYTES:
        what = f"would be larger than {MAX_TAKEDOWN_BYTES:,} bytes"
        raise NotAnItemError(takedown_file(store), what, "restore items that no longer exist")
    try:
        if text is not None:
            replace_durable(takedown_file(store), text)
        else:
            takedown_file(store).unlink()
            fsync_path(store)
    except OSError as error:
        raise WriteError(takedown_file(store), f"cannot be written: {error.strerror}") from error


@contextlib.contextmanager
def _editing(store: Path) -> Iterator[dict[str, Takedown]]:
    """Hold a lock of its own, not `LOCK`: a takedown never waits for a refresh."""
    try:
        make_store(store)
    except OSError as error:
        raise WriteError(store, f"cannot be written to: {error.strerror}") from error
    with locked(store / _LOCK, wait_seconds=WAIT_SECONDS):
        yield takedowns(store)


def _write(store: Path, entries: dict[str, Takedown]) -> None:
    _replace(store, "".join("\t".join(entry) + "\n" for entry in entries.values()))
