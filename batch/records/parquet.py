"""Records from Parquet: rows of named fields, like those of text files.

    id: int64 · genres: list<string> · released: date32
        ─►  {"id": 7, "genres": ["Comedy", "Drama"], "released": "1995-12-15"}

Numbers, flags, text, lists and structs stay what they are; all else, such as times and
decimals, becomes text, as a CSV file would have it.
"""

import contextlib
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from batch.errors import InputError
from batch.files.input_file import AnyFile
from batch.files.open import open_seekable
from batch.parquet_limits import check_unpacked
from batch.records.rows import Row

_BLOCK_ROWS: Final = 1 << 14
_KEPT: Final[Sequence[Callable[[pa.DataType], bool]]] = (
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_boolean,
    pa.types.is_nested,
    pa.types.is_string,
)


def parquet_columns(file: AnyFile) -> list[str]:
    """Return the names of the columns.

    Raises:
        InputError: The file is damaged.
    """
    with open_seekable(file) as (source, _), _damage_explained(file):
        names: list[str] = pq.read_schema(source).names
        return names


def parquet_rows(file: AnyFile, fields: Collection[str]) -> Iterator[Row]:
    """Yield one row for each row; lists and structs only of columns that are a field.

    Args:
        file: Parquet file.
        fields: Names of the columns that are a field.

    Raises:
        InputError: The file is damaged, unpacks to far more than records do, or has a column
            whose values cannot be read as text, or two columns of one name.
    """
    with open_seekable(file) as (source, n_bytes), _damage_explained(file):
        content = pq.ParquetFile(source)
        check_unpacked(file, n_bytes, content.metadata)
        schema = content.schema_arrow
        names = [f.name for f in schema if f.name in fields or not pa.types.is_nested(f.type)]
        if len(set(names)) < len(names):
            raise InputError(file, "has two columns of one name", "rename one")
        for block in content.iter_batches(_BLOCK_ROWS, columns=names):
            values = [_values(file, name, block[name]) for name in names]
            yield from (dict(zip(names, row, strict=True)) for row in zip(*values, strict=True))


def _values(file: AnyFile, name: str, column: pa.Array) -> list[object]:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if not any(is_kept(column.type) for is_kept in _KEPT):
        try:
            column = column.cast(pa.string())
        except pa.ArrowException as error:
            problem = f"column {name} of type {column.type} cannot be read: {error}"
            raise InputError(file, problem, "write it as text, or leave it out") from error
    values: list[object] = column.to_pylist()
    return values


@contextlib.contextmanager
def _damage_explained(file: AnyFile) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        problem = f"cannot be read as Parquet: {error}"
        raise InputError(file, problem, "fetch or write it again") from error
