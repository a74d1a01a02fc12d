"""Nested columns made flat: a row with a list becomes one row for each element.

    user_id  items                       user_id  item
    1        [102, 104]            ─►    1        102
                                         1        104

    user_id  items                       user_id  item_id  minutes
    1        [{item_id: 102, …}]   ─►    1        102      …

Lists of one row belong together: `[102, 104]` beside the ratings `[4, 5]`. Only columns that
have a role are read; one of them that is nested in another way is refused with its value.
"""

import contextlib
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch.arrays import Rows
from batch.columns.roles import ColumnChoice, choose_columns
from batch.errors import InputError, UnreadKindError

_LISTS: Final = (
    pa.types.is_list,
    pa.types.is_large_list,
    pa.types.is_fixed_size_list,
    pa.types.is_list_view,
    pa.types.is_large_list_view,
)
_SHOWN_CHARACTERS: Final = 60
_FORM: Final = "write one row for each user and item, or lists of plain values"


class FlatPlan(NamedTuple):
    """How the columns of a nested table become those of a flat one.

    Attributes:
        choice: Columns that are read, by role.
        sources: Column of the nested table of each of these, by role; or the field of an object.
        objects: Column of lists of objects whose fields become columns; empty for none.
    """

    choice: ColumnChoice
    sources: Mapping[str, str]
    objects: str

    @property
    def columns(self) -> list[str]:
        """Columns of the nested table that may be read."""
        return list(dict.fromkeys(filter(None, (self.objects, *self.sources.values()))))


class Flat(NamedTuple):
    """Rows without nested columns.

    Attributes:
        columns: (n_rows,) plain values by role.
        positions: (n_rows,) position of each row's origin in the nested table, ascending.
    """

    columns: dict[str, pa.Array]
    positions: Rows


def plan_flat(source: object, schema: pa.Schema, given: Mapping[str, str]) -> FlatPlan:
    """Return how a table is made flat.

    Args:
        source: File, for messages.
        schema: Columns of the table, nested or not.
        given: Columns that `--columns` settles, by role.

    Raises:
        UnreadKindError: There is no column of users or of items, also in lists of objects.
    """
    plain = {_flat_name(field, schema): field.name for field in schema}
    for objects, fields in {"": [], **_lists_of_objects(schema)}.items():
        names = plain | {name: name for name in fields}
        with contextlib.suppress(UnreadKindError):
            return _plan(source, names, objects, given)
    return _plan(source, {name: name for name in schema.names}, "", given)  # its error names them


def _plan(
    source: object, names: Mapping[str, str], objects: str, given: Mapping[str, str]
) -> FlatPlan:
    """Return the plan for columns whose names are made of those of the nested table."""
    choice = choose_columns(source, [*names], given)
    nested = [*names.values()]
    return FlatPlan(choice, {role: nested[at] for role, at in choice.columns.items()}, objects)


def flatten(source: object, table: pa.Table, numbers: Rows, plan: FlatPlan) -> Flat:
    """Return the columns of a table that have a role, without lists.

    Args:
        source: File of the table, for messages.
        table: Columns of any type; a missing one has no values.
        numbers: (n_rows,) number of each row in the file, for messages.
        plan: Columns that are read.

    Raises:
        InputError: One of them is nested in another way, or lists of one row differ in length.
    """
    kept = [name for name in plan.columns if name in table.column_names]
    rows = _Rows(table.select(kept), np.arange(len(table)))
    if plan.objects in kept:
        rows = _exploded(source, rows, [plan.objects], numbers)
    elif plan.objects:
        rows = _Rows(rows.table[:0], rows.positions[:0])  # no row has any
    lists = [name for name in plan.sources.values() if _is_list_column(rows.table, name)]
    if lists:
        rows = _exploded(source, rows, lists, numbers)
    columns = {}
    for role, name in plan.sources.items():
        columns[role] = _column(rows.table, name)
        if pa.types.is_nested(columns[role].type):
            _refuse(source, name, columns[role], numbers[rows.positions])
    return Flat(columns, rows.positions)


class _Rows(NamedTuple):
    """Rows while they are made flat, and the positions of their origins."""

    table: pa.Table
    positions: Rows


def _flat_name(field: pa.Field, schema: pa.Schema) -> str:
    """Return the name of an element of a list, `item` of `items`; other names as they are."""
    name = str(field.name)
    singular = name.removesuffix("s")
    is_plural = is_list(field.type) and not pa.types.is_nested(field.type.value_type)
    return singular if is_plural and singular not in schema.names else name


def _lists_of_objects(schema: pa.Schema) -> dict[str, list[str]]:
    """Return the fields of each column of lists of objects."""
    return {
        field.name: [inner.field(at).name for at in range(inner.num_fields)]
        for field in schema
        if is_list(field.type) and pa.types.is_struct(inner := field.type.value_type)
    }


def is_list(kind: pa.DataType) -> bool:
    """Return whether a type is one of lists of any kind."""
    return any(is_kind(kind) for is_kind in _LISTS)


def _is_list_column(table: pa.Table, name: str) -> bool:
    return name in table.column_names and is_list(table.schema.field(name).type)


def _column(table: pa.Table, name: str) -> pa.Array:
    """Return a column as one array; one without values is of text."""
    if name not in table.column_names:
        return pa.nulls(len(table), pa.string())
    column = table[name].combine_chunks()
    return column.cast(pa.string()) if pa.types.is_null(column.type) else column


def _exploded(source: object, rows: _Rows, names: Sequence[str], numbers: Rows) -> _Rows:
    """Return one row for each element of lists; an object's fields replace other columns."""
    table, positions = rows
    lists = [_column(table, name) for name in names]
    for name, column in zip(names, lists, strict=True):
        if not is_list(column.type):
            _refuse(source, name, column, numbers[positions])
    _check_lengths(source, names, lists, numbers[positions])
    origin = pc.list_parent_indices(lists[0])
    columns = {name: table[name].take(origin) for name in table.column_names if name not in names}
    for name, column in zip(names, lists, strict=True):
        values = pc.list_flatten(column)
        if pa.types.is_struct(values.type):
            fields = [values.type.field(at).name for at in range(values.type.num_fields)]
            columns |= dict(zip(fields, values.flatten(), strict=True))
        else:
            columns[name] = values
    return _Rows(pa.table(columns), positions[origin.to_numpy()])


def _check_lengths(
    source: object, names: Sequence[str], lists: Sequence[pa.Array], numbers: Rows
) -> None:
    """Refuse lists of different lengths in one row.

    Raises:
        InputError: The message names the first such row, and both columns.
    """
    lengths = [pc.fill_null(pc.list_value_length(column), 0).to_numpy() for column in lists]
    for name, length in zip(names[1:], lengths[1:], strict=True):
        unequal = np.flatnonzero(length != lengths[0])
        if len(unequal):
            at = unequal[0]
            problem = f"row {numbers[at]}: {names[0]} has {lengths[0][at]} values"
            raise InputError(source, f"{problem}, {name} {length[at]}", _FORM)


def _refuse(source: object, name: str, column: pa.Array, numbers: Rows) -> NoReturn:
    """Name a column that cannot be made flat, with its first value.

    Raises:
        InputError: Always.
    """
    filled = np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False))
    at = int(filled[0]) if len(filled) else 0
    shown = repr(column[at].as_py())[:_SHOWN_CHARACTERS] if len(column) else "no value"
    number = numbers[at] if len(numbers) else 0
    problem = f"column {name} is nested ({column.type}): row {number} has {shown}"
    raise InputError(source, problem, _FORM)
