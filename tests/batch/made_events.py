"""Events made of rows."""

from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa

from batch.events.events import Events
from batch.events.parsed import RATINGS, VIEWS


def events_of(views: Iterable[Sequence[Any]], ratings: Iterable[Sequence[Any]]) -> Events:
    """Return events of rows in the order of `VIEWS` and `RATINGS`; last columns may be missing."""
    return Events(_table(views, VIEWS), _table(ratings, RATINGS), 0, 0, ())


def _table(rows: Iterable[Sequence[Any]], schema: pa.Schema) -> pa.Table:
    columns = [dict(zip(schema.names, row, strict=False)) for row in rows]
    return pa.Table.from_pylist(columns, schema)
