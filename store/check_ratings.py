"""Checking the rating model of a snapshot: whatever `/predict` adds up must be a number."""

import contextlib
import math
import struct
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from store.ids import is_user_id
from store.layout import FACTORS
from store.snapshot import Snapshot, Table, open_factors


class _Side(NamedTuple):
    table: str
    prefix: str
    exists: Callable[[str], bool]


_ENDS: Final = 2  # of the scale


def broken_ratings(snapshot: Snapshot, items: set[str]) -> Iterator[str]:
    """Yield one sentence for each record that breaks a rule.

    `biases` holds finite numbers, among them `mean` and a rising `scale` if there
    are any. Who has a bias has a vector, and the other way round; every vector
    is finite, and as long as the others. A snapshot made before there were
    such tables breaks no rule.
    """
    if f"{FACTORS}/rating_users" not in snapshot.manifest.counts:
        return
    sides = (
        _Side("rating_users", "u/", is_user_id),
        _Side("rating_items", "i/", items.__contains__),
    )
    with contextlib.closing(open_factors(snapshot)) as factors:
        tables = {
            name: Table(factors.begin(db=factors.open_db(name.encode(), create=False)))
            for name in ("biases", *(side.table for side in sides))
        }
        yield from _broken_biases(tables, sides)
        yield from _broken_vectors(tables, sides)


def _broken_biases(tables: dict[str, Table], sides: tuple[_Side, ...]) -> Iterator[str]:
    missing = {"mean", "scale"}
    n_records = 0
    for n_records, (key, value) in enumerate(tables["biases"], 1):  # noqa: B007 (told below)
        name = key.decode("latin-1")
        numbers = _numbers(value)
        if name in missing:
            missing.remove(name)
        elif problem := _stray(name, tables, sides):
            yield f"biases: {name}: {problem}"
        if len(numbers) != (_ENDS if name == "scale" else 1) or numbers != sorted(numbers):
            yield f"biases: {name}: {value.decode('latin-1')!r} is not what belongs there"
    if n_records and missing:
        yield f"biases: no {' and no '.join(sorted(missing))}"


def _stray(name: str, tables: dict[str, Table], sides: tuple[_Side, ...]) -> str | None:
    side = next((side for side in sides if name.startswith(side.prefix)), None)
    if side is None:
        return "is no key of this table"
    owner = name.removeprefix(side.prefix)
    if not side.exists(owner):
        return "belongs to nobody"
    has_vector = tables[side.table].get(owner.encode()) is not None  # of length 0, with no factors
    return None if has_vector else f"no vector in {side.table}"


def _broken_vectors(tables: dict[str, Table], sides: tuple[_Side, ...]) -> Iterator[str]:
    length: int | None = None
    for side in sides:
        for key, vector in tables[side.table]:
            name = key.decode("latin-1")
            length = len(vector) if length is None else length
            if len(vector) != length or length % 4:
                yield f"{side.table}: {name}: {len(vector)} bytes, where others have {length}"
            elif not all(map(math.isfinite, struct.unpack(f"<{length // 4}f", vector))):
                yield f"{side.table}: {name}: not finite"
            if tables["biases"].get(side.prefix.encode() + key) is None:
                yield f"{side.table}: {name}: no bias"


def _numbers(value: bytes) -> list[float]:
    """Return the finite numbers of a text, none if anything else stands in it."""
    try:
        numbers = [float(part) for part in value.split(b" ")]
    except ValueError:
        return []
    return numbers if all(map(math.isfinite, numbers)) else []
