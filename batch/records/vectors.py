"""Vectors from outside: one a row of a Parquet file, with an id and perhaps its cost.

    id                vector                tokens  usd
    heat+1995         [0.12, -0.03, …]      412     0.00002

Embeddings of texts or images, or of what a language model wrote about an item or a user. All
have one length. Nothing but the file is read, and it is refused before it could fill the memory.
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from batch.arrays import Doubles, Floats
from batch.errors import InputError
from batch.events.ids import encode
from batch.files.input_file import AnyFile
from batch.files.open import open_seekable
from batch.parquet_limits import check_unpacked
from batch.records.read import RecordFile
from store.ids import ITEM_ID_PATTERN, USER_ID_PATTERN

Owner = Literal["item", "user"]

_VECTOR_NAMES: Final = ("vector", "embedding")
_COST_NAMES: Final = ("tokens", "usd")
_PATTERNS: Final[Mapping[Owner, str]] = {"item": ITEM_ID_PATTERN, "user": USER_ID_PATTERN}
_MAX_LENGTH: Final = 8_192  # numbers of a vector; embeddings have 64 to 4,096
_MAX_NUMBERS: Final = 1 << 29  # of all vectors: 2 GiB
_MAX_NUMBERS_PER_BYTE: Final = 50  # of the file; vectors of 0 and 1 have about 8
_UNCHECKED_NUMBERS: Final = 1 << 24
_BLOCK_NUMBERS: Final = 1 << 22  # read at a time
_MAX_COST: Final = 1e12  # tokens or USD of one row


@dataclass(frozen=True, slots=True)
class OutsideVectors:
    """Vectors of items or of users, in the order of their file.

    Attributes:
        ids: (n,) distinct ids.
        vectors: (n, length), finite.
        costs: Sums of the file's columns `tokens` and `usd`, those that it has.
        source: The file; its entries without a valid id are not among the vectors.
    """

    ids: pa.StringArray
    vectors: Floats
    costs: Mapping[str, float]
    source: RecordFile


def read_vectors(path: Path, owner: Owner) -> OutsideVectors:
    """Read a file of vectors.

    Args:
        path: Parquet file with the columns `id` (or `item_id`, `user_id`) and `vector` (or
            `embedding`), a list of numbers, and perhaps `tokens` and `usd`.
        owner: Owner of the vectors, which decides about valid ids.

    Raises:
        InputError: The file is missing or broken, or too large; a column is missing or of
            another type; an id stands in two rows; vectors differ in length, or a number
            is missing or not finite.
    """
    if not path.exists():
        raise InputError(path, "no such file", "check the path")
    with _parquet_explained(path):
        return _read(path, owner)


def vector_ids(file: AnyFile) -> Iterator[pa.Array] | None:
    """Return the ids in a file of users' vectors, in blocks; None if it is another file.

    Raises:
        InputError: It is not a Parquet file, or a broken one.
    """
    with open_seekable(file) as (source, _), _parquet_explained(file):
        names = pq.read_schema(source).names
    columns = [name for name in names if name in ("id", "user_id")]
    is_of_vectors = bool(columns and set(_VECTOR_NAMES) & set(names))
    return _ids_of(file, columns[0]) if is_of_vectors else None


def _ids_of(file: AnyFile, column: str) -> Iterator[pa.Array]:
    """Yield the distinct ids of each block of a Parquet file."""
    with open_seekable(file) as (source, n_bytes), _parquet_explained(file):
        content = pq.ParquetFile(source, read_dictionary=[column])
        check_unpacked(file, n_bytes, content.metadata)
        for block in content.iter_batches(columns=[column]):
            yield encode(block.column(0)).dictionary


@contextlib.contextmanager
def _parquet_explained(file: AnyFile) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(file, f"cannot be read as Parquet: {error}", "write it again") from error


def _read(path: Path, owner: Owner) -> OutsideVectors:
    schema = pq.read_schema(path)
    id_name = _column(path, schema, ("id", f"{owner}_id"))
    vector_name = _column(path, schema, _VECTOR_NAMES)
    cost_names = [name for name in _COST_NAMES if name in schema.names]
    _check_types(path, schema, vector_name, cost_names)
    file = pq.ParquetFile(path, read_dictionary=[id_name])
    check_unpacked(path, path.stat().st_size, file.metadata)
    length = _length(path, file.metadata, vector_name)
    vectors = np.empty((file.metadata.num_rows, length), np.float32)
    ids, costs, row = [], dict.fromkeys(cost_names, 0.0), 0
    names = [id_name, vector_name, *cost_names]
    for block in file.iter_batches(max(_BLOCK_NUMBERS // length, 1), columns=names):
        ids.append(_valid_ids(block[id_name], _PATTERNS[owner]))
        vectors[row : row + len(block)] = _numbers(path, block[vector_name], length, row)
        for name in cost_names:
            costs[name] += float(_costs(path, block[name], name, row).sum())
        row += len(block)
    return _with_distinct_ids(path, owner, pa.chunked_array(ids), vectors, costs)


def _column(path: Path, schema: pa.Schema, names: tuple[str, ...]) -> str:
    """Return the one of these names that the file has."""
    found: list[str] = [name for name in schema.names if name in names]
    if len(found) != 1:
        wanted = " or ".join(names)
        problem = f"has {len(found)} columns named {wanted}" if found else f"has no column {wanted}"
        raise InputError(path, problem, f"give it one; it has {', '.join(schema.names)}")
    return found[0]


def _check_types(path: Path, schema: pa.Schema, vector_name: str, cost_names: list[str]) -> None:
    kind = schema.field(vector_name).type
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    if not ((is_list or pa.types.is_fixed_size_list(kind)) and _is_numeric(kind.value_type)):
        raise InputError(path, f"{vector_name} is of type {kind}", "write lists of float")
    for name in cost_names:
        if schema.names.count(name) > 1 or not _is_numeric(schema.field(name).type):
            raise InputError(path, f"{name} is not one column of numbers", "write one number a row")


def _is_numeric(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))


def _length(path: Path, metadata: pq.FileMetaData, vector_name: str) -> int:
    """Return the length of the vectors, before any of them is read."""
    groups = map(metadata.row_group, range(metadata.num_row_groups))
    columns = (group.column(number) for group in groups for number in range(group.num_columns))
    begin = f"{vector_name}."
    n_numbers = sum(c.num_values for c in columns if c.path_in_schema.startswith(begin))
    n_rows, n_bytes = metadata.num_rows, path.stat().st_size
    if not n_rows:
        raise InputError(path, "has no rows", "give at least one vector")
    max_numbers = min(_MAX_NUMBERS, _UNCHECKED_NUMBERS + _MAX_NUMBERS_PER_BYTE * n_bytes)
    if n_numbers > max_numbers:
        problem = f"has {n_numbers:,} numbers, more than the {max_numbers:,} that are read"
        raise InputError(path, problem, "give shorter vectors, or fewer of them")
    length: int = n_numbers // n_rows
    if not length or length * n_rows != n_numbers:
        raise InputError(path, "has vectors of different lengths", "give those of one model")
    if length > _MAX_LENGTH:
        problem = f"has vectors of {length:,} numbers"
        raise InputError(path, problem, f"give at most {_MAX_LENGTH:,}")
    return length


def _numbers(path: Path, column: pa.Array, length: int, first_row: int) -> Floats:
    """Return (n, length) the vectors of a block."""
    lengths = pc.fill_null(pc.list_value_length(column), -1).to_numpy()
    if (lengths != length).any():
        row = int(np.flatnonzero(lengths != length)[0])
        has = "no vector" if lengths[row] < 0 else f"{lengths[row]:,} numbers, not {length:,}"
        raise InputError(path, f"row {first_row + row} has {has}", "give vectors of one length")
    with np.errstate(over="ignore"):  # it becomes infinite, and is refused
        flat: Floats = column.flatten().to_numpy(zero_copy_only=False).astype(np.float32)
    vectors: Floats = flat.reshape(-1, length)
    is_finite = np.isfinite(vectors).all(axis=1)
    if not is_finite.all():
        row = first_row + int(np.argmin(is_finite))
        raise InputError(path, f"row {row} has a number that is not finite", "remove the row")
    return vectors


def _costs(path: Path, column: pa.Array, name: str, first_row: int) -> Doubles:
    """Return the costs of a block; an unknown one is 0."""
    costs: Doubles = pc.fill_null(column.cast(pa.float64()), 0.0).to_numpy()
    is_valid = (costs >= 0) & (costs <= _MAX_COST)
    if not is_valid.all():
        row = first_row + int(np.argmin(is_valid))
        raise InputError(path, f"{name} of row {row} is not a cost", "give 0 or more, or none")
    return costs


def _valid_ids(column: pa.Array, pattern: str) -> pa.StringArray:
    """Return the ids of a block, null where one is not valid; each distinct one is checked once."""
    ids = encode(column)
    is_valid = pc.match_substring_regex(ids.dictionary, f"^{pattern}$")
    return pc.if_else(is_valid, ids.dictionary, None).take(ids.indices)


def _with_distinct_ids(
    path: Path,
    owner: Owner,
    ids: pa.ChunkedArray,
    vectors: Floats,
    costs: Mapping[str, float],
) -> OutsideVectors:
    n_rejected = ids.null_count
    if n_rejected:
        vectors = vectors[ids.is_valid().to_numpy()]
        ids = ids.drop_null()
    if not len(ids):
        raise InputError(path, f"has no valid {owner} id", "give the ids of the events")
    counts = pc.value_counts(ids)
    n_rows_of_id = counts.field("counts").to_numpy()
    if n_rows_of_id.max() > 1:
        twice = counts.field("values")[int(n_rows_of_id.argmax())]
        problem = f"{twice.as_py()!r} stands in {n_rows_of_id.max():,} rows"
        raise InputError(path, problem, "give each id once")
    source = RecordFile(path, f"{owner} vectors", len(ids), n_rejected)
    return OutsideVectors(ids.combine_chunks(), vectors, costs, source)
