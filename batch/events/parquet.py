"""Events from Parquet: a user and an item column, and more where there is more.

user  item  [time]                             a view without a minute
user  item  minutes [first_at last_at]         a view
user  item  rating  [time]                     a rating
user  at                                       a new account, written by `partitions`
user  at    host status items result …         an answered request, written by `partitions`

Each distinct id is checked once, not once a row.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from batch.errors import InputError, UnreadKindError
from batch.events.ids import encode
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
from batch.files.open import open_seekable
from batch.parquet_limits import check_unpacked
from store.ids import ITEM_ID_PATTERN, USER_ID_PATTERN

_COLUMN_NAMES: Final = {
    "user_id": ("userid", "user"),
    "item_id": ("movieid", "itemid", "movie", "item"),
    "rating": ("rating",),
    "minute": ("minutes", "minute"),
    "at": ("timestamp", "at", "time"),
    "first_at": ("firstat",),
    "last_at": ("lastat",),
}
_MAX_MINUTE: Final = 10**6  # larger ones are cut to this, as in the stream
PARQUET_ROWS: Final = 1 << 20

_Columns = dict[str, pa.Array]


def read_parquet(file: AnyFile, piece_rows: int = PARQUET_ROWS) -> Iterator[Piece]:
    """Return a Parquet file in pieces; a rejected row is the line `user TAB item`.

    Args:
        file: Parquet file.
        piece_rows: Rows that are read at a time.

    Raises:
        InputError: It is damaged, or unpacks to far more than events do.
        UnreadKindError: It has no user column or no item column.
    """
    with open_seekable(file) as (source, _), _explained(file):
        names = _names(file, pq.read_schema(source).names)
    return _pieces(file, names, piece_rows)


def _pieces(file: AnyFile, names: dict[str, str], piece_rows: int) -> Iterator[Piece]:
    """Yield a Parquet file in pieces; `names` are its columns of events."""
    texts = [names[column] for column in ("user_id", "item_id", "host") if column in names]
    with open_seekable(file) as (source, n_bytes), _explained(file):
        content = pq.ParquetFile(source, read_dictionary=texts)
        check_unpacked(file, n_bytes, content.metadata)
        n_rows, number = content.metadata.num_rows, 1
        for batch in content.iter_batches(piece_rows, columns=list(names.values())):
            columns = {column: batch[name] for column, name in names.items()}
            parsed, rejected = _parsed_rows(columns, number)
            number += len(batch)
            yield Piece(len(batch), parsed, rejected, max(n_rows - number + 1, 0))


@contextlib.contextmanager
def _explained(file: AnyFile) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(file, f"cannot be read as Parquet: {error}", "write it again") from error


def _names(file: AnyFile, have: list[str]) -> dict[str, str]:
    """Return the file's name of each column of events."""
    if have in (ACCOUNTS.names, ANSWERS.names):
        return dict(zip(have, have, strict=True))
    plain = {name.lower().replace("_", ""): name for name in have}
    names = {
        column: next(plain[alias] for alias in aliases if alias in plain)
        for column, aliases in _COLUMN_NAMES.items()
        if not plain.keys().isdisjoint(aliases)
    }
    for column in ("user_id", "item_id"):
        if column not in names:
            problem = f"has no column named like {_COLUMN_NAMES[column][0]}"
            raise UnreadKindError(file, problem, f"rename one: it has {', '.join(have)}")
    return names


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
    unknown = pa.nulls(len(ids[0]), pa.int64())
    at = columns.get("at", unknown)
    if "rating" in columns:
        return Parsed(ratings=to_table((*ids, columns["rating"], pc.fill_null(at, 0)), RATINGS))
    minute = columns.get("minute", unknown)
    minute = pc.if_else(pc.less(minute, _MAX_MINUTE), pc.floor(minute), _MAX_MINUTE)
    times = columns.get("first_at", at), columns.get("last_at", at)
    once = pa.repeat(pa.scalar(1, pa.int64()), len(unknown))
    return Parsed(views=to_table((*ids, minute, once, *times), VIEWS))


def _converted(name: str, column: pa.Array) -> pa.Array:
    if name in ("user_id", "item_id"):
        return encode(column)
    if name in ("at", "first_at", "last_at"):
        return _seconds(column)
    return column.cast(pa.float64()) if name in ("rating", "minute") else column


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
    ("minute", _are_minutes, "malformed minute"),
)


def _seconds(column: pa.Array) -> pa.Int64Array:
    if pa.types.is_temporal(column.type):
        column = column.cast(pa.timestamp("s"), safe=False)
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_finite(column), column, None)
    return column.cast(pa.int64(), safe=False)
