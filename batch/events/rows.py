"""Rows of a block of lines as a table with named columns, before their columns are chosen.

JSON lines, the Netflix Prize's blocks and Steam's lines are read into these.
"""

from typing import NamedTuple

import pyarrow as pa

from batch.arrays import Rows


class EventRows(NamedTuple):
    """Rows of a block of lines, and its broken lines.

    Attributes:
        table: (n_rows, n_columns) values; text, numbers, flags, lists and structs as they are.
        positions: (n_rows,) position of each row's line in the block, ascending.
        rejected: (n_rejected,) positions of the lines that are not rows, ascending.
        reasons: Reason of each of them.
    """

    table: pa.Table
    positions: Rows
    rejected: Rows
    reasons: list[str]
