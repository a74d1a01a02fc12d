"""Rows of day partitions, and of files just like them.

user  item  minutes first_at last_at      a view of a day
user  item  rating  at                    a rating
user  at                                  a new account
user  at    host status items result …    an answered request

Such a file has these columns, in this order and of the types that `partitions` writes. Its
ratings were checked when they were read from a log, and no setting changes their meaning.
Each distinct id is checked once, not once a row.
"""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch.events.ids import encode
from batch.events.parquet_file import PARQUET_ROWS, open_parquet, read_batches
from batch.events.parsed import (
    ACCOUNTS,
    ANSWERS,
    RATINGS,
    VIEWS,
    Parsed,
    Piece,
    Rejected,
    to_table,
)
from batch.files.input_file import AnyFile
from store.ids import ITEM_ID_PATTERN, USER_ID_PATTERN

_VIEW_COLUMNS: Final = ["user_id", "item_id", "minutes", "first_at", "last_at"]
_ALL_COLUMNS: Final = (_VIEW_COLUMNS, RATINGS.names, ACCOUNTS.names, ANSWERS.names)
_TEXTS: Final = ("user_id", "item_id", "host")
_MAX_MINUTE: Final = 10**6  # larger ones are cut to this, as in the stream

_Columns = dict[str, pa.Array]


def is_partition(schema: pa.Schema) -> bool:
    """Return whether a Parquet file has the columns and types of a day partition."""
    times = (field.type for field in schema if field.name.endswith("at"))
    ids = (field.type for field in schema if field.name in _TEXTS)
    return (
        schema.names in _ALL_COLUMNS
        and all(pa.types.is_timestamp(kind) and kind.tz is None for kind in times)
        and all(pa.types.is_dictionary(kind) and kind.value_type == pa.string() for kind in ids)
    )


class PartitionFile(NamedTuple):
    """A file like a day partition.

    Attributes:
        file: Parquet file.
        columns: Name of the column of each role that is read; empty, for the names are fixed.
    """

    file: AnyFile
    columns: Mapping[str, str] = MappingProxyType({})

    def pieces(self, piece_rows: int = PARQUET_ROWS) -> Iterator[Piece]:
        """Yield the file in pieces; see `read_partition`."""
        return read_partition(self.file, piece_rows)

    def users(self) -> Iterator[pa.Array]:
        """Yield the ids of users in each piece."""
        for piece in self.pieces():
            for name in ("views", "ratings", "accounts", "answers"):
                yield getattr(piece.parsed, name)["user_id"].unique()


def read_partition(file: AnyFile, piece_rows: int = PARQUET_ROWS) -> Iterator[Piece]:
    """Yield a file in pieces; a rejected row is the line `user TAB item`.

    Args:
        file: Parquet file, as `is_partition` describes it.
        piece_rows: Rows that are read at a time.

    Raises:
        InputError: It is damaged, of other columns, or unpacks to far more than events do.
    """
    with open_parquet(file) as content:
        names = content.schema_arrow.names
        number, n_rows = 1, content.metadata.num_rows
        for batch in read_batches(file, content, piece_rows, names):
            parsed, rejected = _parsed_rows(dict(zip(names, batch.columns, strict=True)), number)
            number += len(batch)
            yield Piece(len(batch), parsed, rejected, max(n_rows - number + 1, 0))


def _parsed_rows(columns: _Columns, first_number: int) -> tuple[Parsed, Rejected]:
    columns = {name: _converted(name, column) for name, column in columns.items()}
    n_rows = len(columns["user_id"])
    is_sound = np.ones(n_rows, dtype=bool)
    reasons = np.full(n_rows, "", dtype=object)
    for name, is_valid, reason in _CHECKS:
        if name in columns:
            is_wrong = is_sound & ~is_valid(columns[name]).to_numpy(zero_copy_only=False)
            reasons[is_wrong] = reason
            is_sound &= ~is_wrong
    broken = np.flatnonzero(~is_sound)
    sound = columns
    if len(broken):
        mask = pa.array(is_sound)
        sound = {name: column.filter(mask) for name, column in columns.items()}
    ids = [columns[name] for name in ("user_id", "item_id") if name in columns]
    texts = [column.take(pa.array(broken)) for column in ids]
    return _parsed(sound), Rejected(reasons[broken].tolist(), first_number + broken, texts)


def _parsed(columns: _Columns) -> Parsed:
    if list(columns) == ACCOUNTS.names:
        return Parsed(accounts=to_table(list(columns.values()), ACCOUNTS))
    if list(columns) == ANSWERS.names:
        return Parsed(answers=to_table(list(columns.values()), ANSWERS))
    ids = columns["user_id"], columns["item_id"]
    if "rating" in columns:
        at = pc.fill_null(columns["at"], 0)
        return Parsed(ratings=to_table((*ids, columns["rating"], at), RATINGS))
    minute = columns["minutes"]
    minute = pc.if_else(pc.less(minute, _MAX_MINUTE), pc.floor(minute), _MAX_MINUTE)
    once = pa.repeat(pa.scalar(1, pa.int64()), len(minute))
    times = columns["first_at"], columns["last_at"]
    return Parsed(views=to_table((*ids, minute, once, *times), VIEWS))


def _converted(name: str, column: pa.Array) -> pa.Array:
    if name in ("user_id", "item_id"):
        return encode(column)
    if name in ("at", "first_at", "last_at"):
        return _seconds(column)
    return column.cast(pa.float64()) if name in ("rating", "minutes") else column


def _are_ids(pattern: str) -> Callable[[pa.DictionaryArray], pa.BooleanArray]:
    def are_ids(ids: pa.DictionaryArray) -> pa.BooleanArray:
        is_id = pc.match_substring_regex(ids.dictionary, f"^{pattern}$")
        return pc.fill_null(is_id.take(ids.indices), False)

    return are_ids


def _are_ratings(rating: pa.DoubleArray) -> pa.BooleanArray:
    return pc.fill_null(pc.is_finite(rating), False)


def _are_minutes(minute: pa.DoubleArray) -> pa.BooleanArray:
    is_minute = pc.and_(pc.is_finite(minute), pc.greater_equal(minute, 0))
    return pc.fill_null(is_minute, True)  # an unknown minute is valid


_CHECKS: Final = (
    ("user_id", _are_ids(USER_ID_PATTERN), "malformed user id"),
    ("item_id", _are_ids(ITEM_ID_PATTERN), "malformed item id"),
    ("rating", _are_ratings, "malformed rating"),
    ("minutes", _are_minutes, "malformed minute"),
)


def _seconds(column: pa.Array) -> pa.Int64Array:
    return column.cast(pa.timestamp("s"), safe=False).cast(pa.int64(), safe=False)
