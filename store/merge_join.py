"""A merge join of several sorted tables, with one record of each in memory."""

import heapq
import itertools
from collections.abc import Iterable, Iterator, Mapping
from operator import itemgetter

Record = tuple[bytes, bytes]


def merge_join(
    tables: Mapping[str, Iterable[Record]],
) -> Iterator[tuple[bytes, dict[str, bytes]]]:
    """Yield every key of the tables in order, with its values by table name.

    Args:
        tables: Records by table name, each in ascending order of keys.
    """
    named = [_named(name, records) for name, records in tables.items()]
    merged = heapq.merge(*named, key=itemgetter(0))
    for key, found in itertools.groupby(merged, key=itemgetter(0)):
        yield key, {name: value for _, name, value in found}


def _named(name: str, records: Iterable[Record]) -> Iterator[tuple[bytes, str, bytes]]:
    return ((key, name, value) for key, value in records)
