"""Limits of Parquet files: a small file may not unpack to one that fills the memory.

A row group holds many megabytes, and a few bytes of repeated values hold any number of rows.
The sizes are those that the file's footer states.
"""

from typing import Final

import pyarrow.parquet as pq

from batch.errors import InputError

_MAX_RATIO: Final = 200  # unpacked to packed bytes of a column
_MAX_ROWS_PER_BYTE: Final = 50  # of the file; a real row takes a byte at the least
_UNCHECKED_BYTES: Final = 1 << 26
_UNCHECKED_ROWS: Final = 1 << 20


def check_unpacked(subject: object, n_bytes: int, metadata: pq.FileMetaData) -> None:
    """Refuse a file whose content is far larger than it.

    Args:
        subject: Name of the file in messages.
        n_bytes: Size of the file.
        metadata: Footer of the file.

    Raises:
        InputError: It has too many rows, or a column of a row group unpacks to too much.
    """
    if metadata.num_rows > _UNCHECKED_ROWS + _MAX_ROWS_PER_BYTE * n_bytes:
        problem = f"has {metadata.num_rows:,} rows in {n_bytes:,} bytes"
        raise InputError(subject, problem, "look into it: this is not the data of a service")
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        for column in map(group.column, range(group.num_columns)):
            max_bytes = _UNCHECKED_BYTES + _MAX_RATIO * column.total_compressed_size
            if column.total_uncompressed_size > max_bytes:
                problem = (
                    f"{column.path_in_schema} unpacks to {column.total_uncompressed_size:,} bytes"
                )
                raise InputError(subject, problem, "look into it, and write smaller row groups")
