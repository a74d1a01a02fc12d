"""Nested columns made flat: a row with a list becomes one row for each element.

    user_id  item_id                     user_id  item_id
    1        [102, 104]            ─►    1        102
                                         1        104

    user_id  items                       user_id  item_id  minutes
    1        [{item_id: 102, …}]   ─►    1        102      …

Lists of one row belong together: `[102, 104]` beside the ratings `[4, 5]`. Nested columns
that are not needed are left out; a needed one of another form is refused with its value.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch.arrays import Rows
from batch.errors import InputError

_LISTS: Final = (
    pa.types.is_list,
    pa.types.is_large_list,
    pa.types.is_fixed_size_list,
    pa.types.is_list_view,
    pa.types.is_large_list_view,
)
_SHOWN_CHARACTERS: Final = 60
_FORM: Final = "write one row for each user and item, or lists of plain values"


class Flat(NamedTuple):
    """Rows without nested columns.

    Attributes:
        table: (n_rows, n_columns) plain values.
        positions: (n_rows,) position of each row's origin in the nested table, ascending.
    """

    table: pa.Table
    positions: Rows


def is_list(kind: pa.DataType) -> bool:
    """Return whether a type is one of lists of any kind."""
    return any(is_kind(kind) for is_kind in _LISTS)


def flatten(
    path: Path, table: pa.Table, first_number: int, is_needed: Callable[[str], bool]
) -> Flat:
    """Return a table without nested columns.

    Args:
        path: File of the table, for messages.
        table: Columns of any type.
        first_number: Number of the first row in the file, for messages.
        is_needed: Function of a column's name: whether its values are used.

    Raises:
        InputError: A needed column is nested in another way, or lists of one row differ in length.
    """
    flat = Flat(table, np.arange(len(table)))
    if not any(pa.types.is_nested(kind) for kind in table.schema.types):
        return flat
    objects = _lists_of_objects(table.schema, is_needed)
    if objects:
        _check_lengths(path, table, objects, first_number + flat.positions)
        flat = _exploded(flat, objects)
    lists = [
        field.name for field in flat.table.schema if is_list(field.type) and is_needed(field.name)
    ]
    if lists:
        _check_lengths(path, flat.table, lists, first_number + flat.positions)
        flat = _exploded(flat, lists)
    for name in flat.table.column_names:
        column = flat.table[name]
        if pa.types.is_nested(column.type):
            if is_needed(name):
                _refuse(path, name, column, first_number + flat.positions)
            flat = flat._replace(table=flat.table.drop_columns(name))
    return flat


def _lists_of_objects(schema: pa.Schema, is_needed: Callable[[str], bool]) -> list[str]:
    """Return the columns that are lists of objects with a needed field."""
    return [
        field.name
        for field in schema
        if is_list(field.type)
        and pa.types.is_struct(inner := field.type.value_type)
        and any(is_needed(inner.field(at).name) for at in range(inner.num_fields))
    ]


def _exploded(flat: Flat, names: Sequence[str]) -> Flat:
    """Return one row for each element of lists, which have equal lengths in each row.

    An object's fields become columns, and replace those of the same name.
    """
    table = flat.table.combine_chunks()
    origin = pc.list_parent_indices(table[names[0]].combine_chunks())
    columns = {name: table[name].take(origin) for name in table.column_names if name not in names}
    for name in names:
        values = pc.list_flatten(table[name]).combine_chunks()
        if pa.types.is_struct(values.type):
            fields = [values.type.field(at).name for at in range(values.type.num_fields)]
            columns |= dict(zip(fields, values.flatten(), strict=True))
        else:
            columns[name] = values
    return Flat(pa.table(columns), flat.positions[origin.to_numpy()])


def _check_lengths(path: Path, table: pa.Table, names: Sequence[str], numbers: Rows) -> None:
    """Refuse lists of different lengths in one row.

    Raises:
        InputError: The message names the first such row, and both columns.
    """
    lengths = [pc.fill_null(pc.list_value_length(table[name]), 0).to_numpy() for name in names]
    for name, length in zip(names[1:], lengths[1:], strict=True):
        unequal = np.flatnonzero(length != lengths[0])
        if len(unequal):
            at = unequal[0]
            problem = f"row {numbers[at]}: {names[0]} has {lengths[0][at]} values"
            raise InputError(path, f"{problem}, {name} {length[at]}", _FORM)


def _refuse(path: Path, name: str, column: pa.ChunkedArray, numbers: Rows) -> None:
    """Name a nested column with its first value.

    Raises:
        InputError: Always.
    """
    filled = np.flatnonzero(column.is_valid().to_numpy())
    at = int(filled[0]) if len(filled) else 0
    shown = repr(column[at].as_py())[:_SHOWN_CHARACTERS] if len(column) else "nothing"
    number = numbers[at] if len(numbers) else 0
    problem = f"column {name} is nested ({column.type}): row {number} has {shown}"
    raise InputError(path, problem, _FORM)
