"""Interactions from Parquet: a user and an item column; a rating and a time where there are."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from batch.errors import InputError
from batch.events.lines import Block
from batch.events.parsed import Parsed
from store.ids import ITEM_ID_PATTERN, USER_ID_PATTERN

_USER: Final = ("userid", "user")
_ITEM: Final = ("movieid", "itemid", "movie", "item")
_RATING: Final = ("rating",)
_AT: Final = ("timestamp", "at", "time")
_ROWS: Final = 1 << 20


def read_parquet(path: Path) -> Iterator[tuple[Block, Parsed]]:
    """Yield a Parquet file in blocks; the lines of a block are its rows as text.

    Raises:
        InputError: It is damaged, or has no user column or no item column.
    """
    try:
        file = pq.ParquetFile(path)
        user = _column(path, file, _USER)
        item = _column(path, file, _ITEM)
        rating, at = (_column_or_none(file, names) for names in (_RATING, _AT))
        wanted = [name for name in (user, item, rating, at) if name]
        number = 1
        for batch in file.iter_batches(_ROWS, columns=wanted):
            ids = (_text(batch[user]), _text(batch[item]))
            rows = pc.binary_join_element_wise(*ids, "\t", null_handling="replace")
            yield (
                Block(rows.cast(pa.binary()), number),
                _parse(*ids, rating and batch[rating], at and batch[at]),
            )
            number += len(batch)
    except (pa.ArrowException, OSError) as error:
        raise InputError(path, f"cannot be read as Parquet: {error}", "write it again") from error


def _parse(
    user: pa.StringArray, item: pa.StringArray, rating: pa.Array | None, at: pa.Array | None
) -> Parsed:
    is_user = pc.fill_null(pc.match_substring_regex(user, f"^{USER_ID_PATTERN}$"), False)
    is_item = pc.fill_null(pc.match_substring_regex(item, f"^{ITEM_ID_PATTERN}$"), False)
    is_rating = pc.is_finite(rating.cast(pa.float64())) if rating is not None else is_user
    is_sound = pc.and_(pc.and_(is_user, is_item), pc.fill_null(is_rating, False))
    broken = np.flatnonzero(~is_sound.to_numpy(zero_copy_only=False))
    reasons = [_reason(is_user, is_item, int(row)) for row in broken]
    user, item = user.filter(is_sound), item.filter(is_sound)
    if rating is None:
        unknown = pa.nulls(len(user), pa.int32())
        return Parsed.of(views=(user, item, unknown), rejected=broken, reasons=reasons)
    seconds = _seconds(at.filter(is_sound)) if at is not None else pa.array([0] * len(user))
    ratings = (user, item, rating.filter(is_sound), seconds)
    return Parsed.of(ratings=ratings, rejected=broken, reasons=reasons)


def _reason(is_user: pa.BooleanArray, is_item: pa.BooleanArray, row: int) -> str:
    if not is_user[row].as_py():
        return "malformed user id"
    return "malformed rating" if is_item[row].as_py() else "malformed item id"


def _text(column: pa.Array) -> pa.StringArray:
    return column.cast(pa.string())


def _seconds(column: pa.Array) -> pa.Int64Array:
    if pa.types.is_temporal(column.type):
        column = column.cast(pa.timestamp("s"), safe=False)
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_finite(column), column, None)
    return pc.fill_null(column.cast(pa.int64(), safe=False), 0)


def _column(path: Path, file: pq.ParquetFile, names: tuple[str, ...]) -> str:
    found = _column_or_none(file, names)
    if found is None:
        have = ", ".join(file.schema_arrow.names)
        raise InputError(path, f"has no column named like {names[0]}", f"it has {have}")
    return found


def _column_or_none(file: pq.ParquetFile, names: tuple[str, ...]) -> str | None:
    plain = {name.lower().replace("_", ""): name for name in file.schema_arrow.names}
    return next((plain[name] for name in names if name in plain), None)
