"""Small partitions of answers, views and ratings, made from tuples."""

import numpy as np
import pyarrow as pa

from batch.events.day_files import DayFile, rows_by_day, write_rows
from batch.events.event_types import EVENT_TYPES
from batch.events.parsed import ANSWERS, RATINGS, VIEWS, to_table

_SCHEMAS = {"views": VIEWS, "ratings": RATINGS, "answers": ANSWERS}


def seconds(text):
    """Return a time such as `2026-03-01T12:00` in seconds since 1970."""
    return int(np.datetime64(text, "s").astype(np.int64))


def answer(user, at, items, milliseconds=5, status=200, result=None):
    """Return a row of an answer; `items` is joined by commas, None for a failure."""
    return user, at, "host:8080", status, items, result, milliseconds


def view(user, item, at, minutes):
    """Return a row of a view on one day, of minutes 0 to `minutes` - 1."""
    return user, item, minutes - 1, 1, at, at + 60 * (minutes - 1)


def table(kind, rows):
    """Return rows as a table of a type of event."""
    schema = _SCHEMAS[kind]
    columns = zip(*rows, strict=True) if rows else [()] * len(schema)
    ids = {"user_id", "item_id", "host"}
    arrays = [
        pa.array(column, pa.string() if field.name in ids else field.type)
        for column, field in zip(columns, schema, strict=True)
    ]
    return to_table(arrays, schema)


def write_events(folder, segment, **rows):
    """Write rows by type of event as segments of their days."""
    kinds = {kind.name: kind for kind in EVENT_TYPES}
    for name, made in rows.items():
        for day, of_day in rows_by_day(kinds[name], [table(name, made)]):
            path = DayFile(kinds[name], day, segment).path(folder)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_rows(kinds[name], path, [of_day])
