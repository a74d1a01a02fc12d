"""What somebody trusts, and who was suspected last: two small files beside the snapshots.

    TRUSTED     item|user <TAB> id <TAB> time, ISO 8601 UTC <TAB> reason
    SUSPECTS    weight <TAB> item|user <TAB> id <TAB> figures of the signs

`TRUSTED` is written by `python -m batch trust undo`, and read by every refresh. An item in it is
not suspected, its growth is not limited, and an account in it has full influence. `SUSPECTS` is
replaced by every refresh. The files name users, which manifests must not, for these are kept.
"""

from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from batch.errors import BatchError, InputError
from store.durable import replace_durable
from store.ids import is_item_id, is_user_id
from store.journal import one_line

ITEM: Final = "item"
USER: Final = "user"
_TRUSTED: Final = "TRUSTED"
_SUSPECTS: Final = "SUSPECTS"
_IS_ID: Final = {ITEM: is_item_id, USER: is_user_id}


class TrustedId(NamedTuple):
    """An item or account that somebody trusts.

    Attributes:
        kind: `item` or `user`.
        id: Id of the item or the user.
        at: Time of the decision, ISO 8601 in UTC.
        why: Reason in words.
    """

    kind: str
    id: str
    at: str
    why: str


class SuspectId(NamedTuple):
    """An item or account that weighs less than 1.

    Attributes:
        weight: Weight as text, `0` or `0.5`; `1` for an item that suspects alone have pushed.
        kind: `item` or `user`.
        id: Id of the item or the user.
        why: Figures of the signs, or the items that the account has pushed.
    """

    weight: str
    kind: str
    id: str
    why: str


class TrustedIds(NamedTuple):
    """Ids that are trusted.

    Attributes:
        items: Ids of items.
        users: Ids of users.
    """

    items: frozenset[str] = frozenset()
    users: frozenset[str] = frozenset()


def read_trusted(store: Path) -> list[TrustedId]:
    """Return what is trusted; nothing without the file.

    Raises:
        InputError: The file is not a list of trusted ids.
    """
    file = store / _TRUSTED
    entries = [TrustedId(*line) for line in _lines(file, len(TrustedId._fields))]
    for entry in entries:
        if entry.kind not in _IS_ID or not _IS_ID[entry.kind](entry.id):
            raise _not_a_list(file, f"{entry.kind!r}, {entry.id!r} is no item and no user")
    return entries


def trusted_ids(store: Path) -> TrustedIds:
    """Return the ids that are trusted, by kind."""
    entries = read_trusted(store)
    return TrustedIds(*(frozenset(e.id for e in entries if e.kind == k) for k in (ITEM, USER)))


def trust(store: Path, kind: str, ids: Iterable[str], why: str) -> list[TrustedId]:
    """Trust items or accounts from the next refresh on, and return everything that is trusted.

    Raises:
        InputError: An id is not valid; nothing is written then.
        BatchError: The file cannot be written.
    """
    entries = {(entry.kind, entry.id): entry for entry in read_trusted(store)}
    at = datetime.now(UTC).isoformat(timespec="seconds")
    for name in ids:
        if not _IS_ID[kind](name):
            raise InputError(repr(name), f"is not a valid {kind} id", "look with `trust list`")
        entries.setdefault((kind, name), TrustedId(kind, name, at, one_line(why)))
    _write(store / _TRUSTED, entries.values())
    return list(entries.values())


def revoke(store: Path, kind: str, ids: Iterable[str]) -> list[TrustedId]:
    """Trust items or accounts no longer, and return everything that is trusted.

    Raises:
        InputError: An id is not trusted; nothing is written then.
        BatchError: The file cannot be written.
    """
    entries = {(entry.kind, entry.id): entry for entry in read_trusted(store)}
    for name in ids:
        if entries.pop((kind, name), None) is None:
            raise InputError(f"{kind} {name}", "is not trusted", "look with `trust list`")
    _write(store / _TRUSTED, entries.values())
    return list(entries.values())


def read_suspects(store: Path) -> list[SuspectId]:
    """Return the suspects of the last refresh.

    Raises:
        InputError: The file is not a list of suspects.
    """
    return [SuspectId(*line) for line in _lines(store / _SUSPECTS, len(SuspectId._fields))]


def write_suspects(store: Path, suspects: Collection[SuspectId]) -> None:
    """Replace the suspects of the last refresh; without any there is no file.

    Raises:
        BatchError: The file cannot be written.
    """
    if suspects or (store / _SUSPECTS).exists():
        _write(store / _SUSPECTS, suspects)


def forget_accounts(store: Path, user_ids: Collection[str]) -> int:
    """Remove users from both files, and return the number of removed lines.

    Raises:
        BatchError: A file cannot be read or written.
    """
    n_removed = 0
    for file, found in ((_TRUSTED, read_trusted(store)), (_SUSPECTS, read_suspects(store))):
        kept = [one for one in found if one.kind != USER or one.id not in user_ids]
        if len(kept) < len(found):
            _write(store / file, kept)
        n_removed += len(found) - len(kept)
    return n_removed


def _lines(file: Path, n_fields: int) -> list[list[str]]:
    try:
        text = file.read_text("utf-8")
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise _not_a_list(file, f"cannot be read: {error}") from error
    lines = [line.split("\t") for line in text.splitlines()]
    if any(len(line) != n_fields for line in lines):
        raise _not_a_list(file, f"has a line without {n_fields} fields, separated by tabs")
    return lines


def _write(file: Path, entries: Iterable[TrustedId | SuspectId]) -> None:
    try:
        replace_durable(file, "".join("\t".join(entry) + "\n" for entry in entries))
    except OSError as error:
        raise BatchError(
            file, f"cannot be written: {error.strerror}", "check the rights and the disk"
        ) from error


def _not_a_list(file: Path, problem: str) -> InputError:
    return InputError(file, problem, "correct it by hand, or remove it")
