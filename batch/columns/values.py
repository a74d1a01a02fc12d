"""Values read from a column, and the rows in which they cannot be read."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from batch.arrays import Flags


class Fault(NamedTuple):
    """A reason to reject rows.

    Attributes:
        reason: Reason, as the quarantine has it.
        rows: (n_rows,) flags of the rows.
    """

    reason: str
    rows: Flags


class Values(NamedTuple):
    """Values of a column.

    Attributes:
        values: (n_rows,) values; undefined in rows with a fault.
        faults: Reasons to reject rows; none if every row is valid.
    """

    values: pa.Array
    faults: tuple[Fault, ...] = ()


def flags(values: pa.Array, *, null: bool = False) -> Flags:
    """Return booleans as flags, missing ones as `null`."""
    found: Flags = values.fill_null(null).to_numpy(zero_copy_only=False)
    return found


def faults(*reasons: tuple[str, Flags]) -> tuple[Fault, ...]:
    """Return the reasons that hold for any row."""
    return tuple(Fault(reason, rows) for reason, rows in reasons if rows.any())


def is_text(kind: pa.DataType) -> bool:
    """Return whether a type is text or bytes."""
    checks = (
        pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary,
    )  # fmt: skip
    return any(check(kind) for check in checks) or pa.types.is_string_view(kind)


def by_distinct(column: pa.Array, read: Callable[[pa.Array], Values]) -> Values:
    """Return the values of a column; those of a dictionary are read once each."""
    if not pa.types.is_dictionary(column.type):
        return read(column)
    values, found = read(column.dictionary)
    if column.indices.null_count:
        wide = pa.concat_arrays([values, pa.nulls(1, values.type)])
        indices = column.indices.fill_null(len(values))
    else:
        wide, indices = values, column.indices
    rows = indices.to_numpy(zero_copy_only=False)
    n_more = len(wide) - len(values)
    return Values(
        wide.take(indices),
        faults(*((reason, _padded(bad, n_more)[rows]) for reason, bad in found)),
    )


def _padded(rows: Flags, n_more: int) -> Flags:
    return np.append(rows, np.zeros(n_more, dtype=bool)) if n_more else rows
