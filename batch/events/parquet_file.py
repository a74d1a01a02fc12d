"""Parquet files: opened with their limits checked, and read in batches of some rows.

A file that Arrow cannot read is damaged, or uses what Arrow does not have; the message says
which. What a sound file holds is judged later, by its columns.
"""

import contextlib
from collections.abc import Collection, Iterator, Sequence
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from batch.errors import InputError
from batch.files.input_file import AnyFile
from batch.files.open import open_seekable
from batch.parquet_limits import check_unpacked

PARQUET_ROWS: Final = 1 << 20
_TEXT_TYPES: Final = ("STRING", "NONE", "ENUM", "JSON", "UNKNOWN")


@contextlib.contextmanager
def open_parquet(file: AnyFile, coded: Sequence[str] = ()) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file that does not unpack to far more than events do.

    Args:
        file: Parquet file, packed or not.
        coded: Leaves whose text is read as dictionaries, as `text_leaves` returns them.

    Raises:
        InputError: It is missing, damaged or encrypted, or unpacks to too much.
    """
    with open_seekable(file) as (source, n_bytes):
        with _explained(file):
            content = pq.ParquetFile(source, read_dictionary=[*coded])
        with content:
            check_unpacked(file, n_bytes, content.metadata)
            yield content


def read_batches(
    file: AnyFile, content: pq.ParquetFile, n_rows: int, columns: Collection[str]
) -> Iterator[pa.RecordBatch]:
    """Yield batches of at most `n_rows` rows of some columns of an open file.

    Raises:
        InputError: The file is damaged, or uses a codec or an encoding that Arrow lacks.
    """
    batches = content.iter_batches(n_rows, columns=[*columns])
    while True:
        with _explained(file):
            batch = next(batches, None)
        if batch is None:
            return
        yield batch


def n_values(content: pq.ParquetFile, columns: Collection[str]) -> int:
    """Return the largest number of values, elements of lists included, of any of the columns."""
    metadata = content.metadata
    leaves = [
        at
        for at in range(len(content.schema))
        if any(_is_below(content.schema.column(at).path, name) for name in columns)
    ]
    return sum(
        max((metadata.row_group(group).column(leaf).num_values for leaf in leaves), default=0)
        for group in range(metadata.num_row_groups)
    )


def text_leaves(content: pq.ParquetFile, names: Collection[str]) -> list[str]:
    """Return the paths of the text in columns, or in fields of objects in lists."""
    leaves = map(content.schema.column, range(len(content.schema)))
    return [
        leaf.path
        for leaf in leaves
        if leaf.physical_type == "BYTE_ARRAY"
        and leaf.logical_type.type in _TEXT_TYPES
        and any(_is_below(leaf.path, name) or leaf.path.endswith(f".{name}") for name in names)
    ]


def _is_below(path: str, name: str) -> bool:
    return path == name or path.startswith(f"{name}.")


@contextlib.contextmanager
def _explained(file: AnyFile) -> Iterator[None]:
    """Turn Arrow's errors into those of an input file."""
    try:
        yield
    except pa.ArrowNotImplementedError as error:
        problem = f"is Parquet with something that is not read here: {error}"
        raise InputError(file, problem, "write it with zstd and without encryption") from error
    except (pa.ArrowException, OSError) as error:
        problem = f"cannot be read as Parquet, it is damaged: {error}"
        raise InputError(file, problem, "fetch it again, or write it again") from error
