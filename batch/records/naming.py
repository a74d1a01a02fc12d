"""Naming: which of a file's columns is which field, by the names that people use.

    movie_id, movie_title, Year-Of-Publication
        ─►  {"id": "movie_id", "title": "movie_title", "year": "Year-Of-Publication"}

Names are compared without case, blanks and signs. A field takes its first name that the file
has, and no column is two fields. Columns of other names are not used.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from batch.columns.roles import plain_name
from batch.records.rows import Row

ID: Final = "id"
_NO_COLUMN: Final = "\0"  # unlike "", which is what pandas calls its index

_FLAGS: Final = frozenset(("0", "1", "0.0", "1.0", "true", "false", ""))
_SET_FLAGS: Final = frozenset(("1", "1.0", "true"))
_MIN_FLAG_COLUMNS: Final = 3  # side by side; a single flag has a meaning of its own
_OTHER_FLAG: Final = re.compile(r"(?:is|has)(?:[_. ]|(?=[A-Z]))")
_PREFIX: Final = re.compile(r"^(?:genres?|categor(?:y|ies))[_.: -]+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class FieldNames:
    """Names of the columns of a kind of record, as `plain_name` spells them.

    Attributes:
        ids: Names of the column of ids, the best ones first.
        nouns: Names that may be the one of the ids, if there is no better one.
        foreign: Names of ids of other things; a file with one of them has other content.
        fields: Names of each other field, the best ones first.
        is_bare_id_enough: Whether a column that is just called `id`, without a field beside it,
            has ids of this kind.
    """

    ids: Sequence[str]
    nouns: Sequence[str]
    foreign: Collection[str]
    fields: Mapping[str, Sequence[str]]
    is_bare_id_enough: bool

    def has(self, name: str) -> bool:
        """Return whether a column of this name is the one of the ids, or a field."""
        spelling = plain_name(name)
        return spelling in (*self.ids, *self.nouns) or any(
            spelling in names for names in self.fields.values()
        )


@dataclass(frozen=True, slots=True)
class RecordColumns:
    """The columns of a file, and the field that each is.

    Attributes:
        names: Names of all columns, in the order of the file.
        of_field: Name of the column of each field that the file has; of the id under `ID`.
        rivals: Other columns that could be the one of the ids.
        foreign: RecordColumns of ids of other things.
        flags: Names that columns of 0 and 1 stand for, such as genres, by the columns' names.
        is_json: Whether names and values are those of JSON objects.
    """

    names: Sequence[str]
    of_field: Mapping[str, str]
    rivals: Sequence[str]
    foreign: Sequence[str]
    flags: Mapping[str, str]
    is_json: bool

    def column(self, field: str) -> str:
        """Return the column of a field; an object may have a field that the first ones lack."""
        return self.of_field.get(field, field if self.is_json else _NO_COLUMN)

    @property
    def id_column(self) -> str | None:
        """Column of the ids; None if no column has a name of ids."""
        return self.of_field.get(ID)


def columns_of(names: Sequence[str], known: FieldNames, *, is_json: bool = False) -> RecordColumns:
    """Return the columns of a file and their fields.

    Args:
        names: Names of the file's columns.
        known: Names of the fields.
        is_json: Whether the columns are the keys of JSON objects.
    """
    column_of: dict[str, str] = {}
    for name in names:
        column_of.setdefault(plain_name(name), name)
    ids = [column_of[name] for name in known.ids if name in column_of]
    candidates = ids or [column_of[name] for name in known.nouns if name in column_of]
    of_field = {ID: candidates[0]} if candidates else {}
    for field, spellings in known.fields.items():
        taken = of_field.values()
        found = (column_of[name] for name in spellings if name in column_of)
        if column := next((name for name in found if name not in taken), None):
            of_field[field] = column
    is_bare = list(of_field.values()) == [column_of.get(ID)]
    if is_bare and not known.is_bare_id_enough:
        of_field = {}
    foreign = [column_of[name] for name in known.foreign if name in column_of]
    return RecordColumns(names, of_field, ids[1:], foreign, {}, is_json)


def flag_columns(columns: RecordColumns, head: Sequence[Row]) -> dict[str, str]:
    """Return the columns of 0 and 1 that stand side by side, and the name of each.

    Args:
        columns: RecordColumns of the file.
        head: First rows of the file.

    Returns:
        Names such as genres, without a prefix of `pandas.get_dummies`, by column; empty
        if there are fewer than 3.
    """
    used = {*columns.of_field.values(), *columns.rivals}
    runs: list[list[str]] = [[]]
    for name in columns.names:
        values = {str(row.get(name, "")).strip().lower() for row in head}
        if values <= _FLAGS and values != {""} and name not in used and not _OTHER_FLAG.match(name):
            runs[-1].append(name)
        else:
            runs.append([])
    longest = max(runs, key=len)
    is_any_set = any(is_set(row.get(name)) for row in head for name in longest)
    if len(longest) < _MIN_FLAG_COLUMNS or not is_any_set:
        return {}
    return {name: _PREFIX.sub("", name) for name in longest}


def is_set(value: object) -> bool:
    """Return whether a flag is 1."""
    return str(value).strip().lower() in _SET_FLAGS
