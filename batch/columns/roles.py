"""Roles of columns: which one is the user, the item, the rating, the time; by names people use.

    Unnamed: 0  book_id  User-ID  Book-Rating  title       columns as they are named
                item     user     rating                   their roles

Case, blanks, `_`, `-` and `.` do not matter. What the names leave open, `--columns
user=…,item=…` settles, by name or by number from 1.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from batch.columns.names import ITEM, NAMES, ROLES, USER, VALUES
from batch.errors import UnreadKindError

_SHOWN: Final = 12  # names of columns in a message
_INDEX_NAMES: Final = ("", "unnamed:0", "index", "level0", "rownames")
_NUMBER: Final = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?")
_DATE: Final = re.compile(r"\d{4}[-/.]\d\d?[-/.]\d\d?([T ].*)?|\d\d?[-/.]\d\d?[-/.]\d{4}([T ].*)?")


@dataclass(frozen=True, slots=True)
class ColumnChoice:
    """The columns of a table that are read.

    Attributes:
        columns: Column, counted from 0, of each role that the table has.
        names: Name of each of these columns in messages, `"book_id"` or `column 2`, by role.
        unused: Names of columns that have a role of values too, but are not read.
    """

    columns: Mapping[str, int]
    names: Mapping[str, str]
    unused: tuple[str, ...] = ()

    @property
    def shown(self) -> dict[str, str]:
        """Name of the column of each role, without quotes."""
        return {role: name.strip('"') for role, name in self.names.items()}


def plain_name(name: str) -> str:
    """Return a column's name without what people vary: `User-ID` is `userid`."""
    return re.sub(r"[\s_.\-]", "", name.removeprefix("\ufeff")).lower()


def is_header(fields: Sequence[str]) -> bool:
    """Return whether no field is a number or a date, and some field is not empty."""
    bare = [field.strip().strip('"') for field in fields]
    return any(bare) and not any(_NUMBER.fullmatch(one) or _DATE.fullmatch(one) for one in bare)


def is_index(name: str) -> bool:
    """Return whether a column is one that pandas or R writes before the others."""
    return plain_name(name) in _INDEX_NAMES


def roles_by_name(names: Sequence[str]) -> dict[str, int]:
    """Return the column of each role whose name is known; of two the usual name counts."""
    plain = [plain_name(name) for name in names]
    return {
        role: next(plain.index(name) for name in known if name in plain)
        for role, known in NAMES.items()
        if not set(known).isdisjoint(plain)
    }


def choose_columns(
    source: object, names: Sequence[str], given: Mapping[str, str] | None = None
) -> ColumnChoice:
    """Return which columns are read, by their names and by what was given.

    Args:
        source: File or table, for messages.
        names: Names of all columns, in order.
        given: Column of each role that `--columns` settles, a name or a number from 1; empty
            for a role that the table does not have.

    Raises:
        UnreadKindError: A column that was given does not exist, or there is no column of users or
            of items.
    """
    found = roles_by_name(names)
    chosen = given_columns(source, names, given or {})
    taken = set(chosen.values())
    if any(role in VALUES for role in chosen):
        found = {role: column for role, column in found.items() if role not in VALUES}
    columns = {role: column for role, column in found.items() if column not in taken} | chosen
    for role in given or {}:
        if not (given or {})[role]:
            columns.pop(role, None)
    missing = [role for role in (USER, ITEM) if role not in columns]
    if missing:
        raise UnreadKindError(source, _missing(missing, names), _remedy(missing))
    values = [role for role in VALUES if role in columns]
    unused = tuple(f'"{names[columns.pop(role)]}"' for role in values[1:])
    ordered = {role: columns[role] for role in ROLES if role in columns}
    shown = {role: f'"{names[column]}"' for role, column in ordered.items()}
    return ColumnChoice(ordered, shown, unused)


def given_columns(source: object, names: Sequence[str], given: Mapping[str, str]) -> dict[str, int]:
    """Return the column, counted from 0, of each role that was given and is not empty.

    Raises:
        UnreadKindError: There is no such column.
    """
    plain = [plain_name(name) for name in names]
    columns = {}
    for role, column in given.items():
        if column in names:
            columns[role] = [*names].index(column)
        elif plain_name(column) in plain and column:
            columns[role] = plain.index(plain_name(column))
        elif column.isdecimal() and 1 <= int(column) <= len(names):
            columns[role] = int(column) - 1
        elif column:
            problem = f"has no column {column!r} for {role}: its columns are {shown_names(names)}"
            raise UnreadKindError(source, problem, "correct --columns, or [batch.columns]")
    return columns


def parse_columns(text: str) -> dict[str, str]:
    """Return the columns in `user=book_id,item=2`, by role.

    Raises:
        ValueError: It is not of that form, or names an unknown role.
    """
    pairs = [part.partition("=") for part in text.split(",")]
    if not all(equals for _, equals, _ in pairs):
        raise ValueError(f"{text!r} is not a list like user=book_id,item=2")
    columns = {role.strip(): column.strip() for role, _, column in pairs}
    check_roles(columns)
    return columns


def check_roles(columns: Mapping[str, str]) -> None:
    """Check that columns are given for roles that exist.

    Raises:
        ValueError: A role is unknown.
    """
    for role in columns:
        if role not in ROLES:
            raise ValueError(f"columns: {role!r} is not one of {', '.join(ROLES)}")


def shown_names(names: Sequence[str]) -> str:
    """Return the first names of columns for a message."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(name[:40] or "(no name)" for name in names[:_SHOWN]) + more


def _missing(missing: Sequence[str], names: Sequence[str]) -> str:
    wanted = {USER: "users, such as user_id", ITEM: "items, such as item_id"}
    what = ", and no column of ".join(wanted[role] for role in missing)
    return f"has no column of {what}: its columns are {shown_names(names)}"


def _remedy(missing: Sequence[str]) -> str:
    given = ",".join(f"{role}=NAME" for role in missing)
    return f"if this is a file of events, name them with --columns {given}"
