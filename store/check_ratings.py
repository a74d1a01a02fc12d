"""Checks the rating model of a snapshot: every term of a prediction must be a finite number."""

import contextlib
import math
import struct
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from store.ids import is_user_id
from store.layout import FACTORS
from store.progress import Advance, counted, ignore
from store.snapshot import Snapshot, Table, open_factors


class _Side(NamedTuple):
    table: str
    prefix: str
    exists: Callable[[str], bool]


_N_SCALE_ENDS: Final = 2  # lowest and highest rating


def broken_ratings(snapshot: Snapshot, items: set[str], advance: Advance = ignore) -> Iterator[str]:
    """Yield one sentence for each record that breaks a rule.

    `biases` holds finite numbers; unless it is empty, `mean` and an ascending
    `scale` are among them. Every bias has a vector and every vector a bias. All
    vectors are finite and of one length. A snapshot that was made before there
    were such tables breaks no rule.

    Args:
        snapshot: Open snapshot.
        items: Items of the catalogue.
        advance: Function that is called with the number of records that were checked.
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
        yield from _broken_biases(tables, sides, advance)
        yield from _broken_vectors(tables, sides, advance)


def _broken_biases(
    tables: dict[str, Table], sides: tuple[_Side, ...], advance: Advance
) -> Iterator[str]:
    missing = {"mean", "scale"}
    n_records = 0
    records = counted(tables["biases"], advance)
    for n_records, (key, value) in enumerate(records, 1):  # noqa: B007 (used after the loop)
        name = key.decode("latin-1")
        numbers = _numbers(value)
        if name in missing:
            missing.remove(name)
        elif problem := _bias_problem(name, tables, sides):
            yield f"biases: {name}: {problem}"
        if len(numbers) != (_N_SCALE_ENDS if name == "scale" else 1) or numbers != sorted(numbers):
            yield f"biases: {name}: {value.decode('latin-1')!r} is not a valid value"
    if n_records and missing:
        yield f"biases: {' and '.join(sorted(missing))} missing"


def _bias_problem(name: str, tables: dict[str, Table], sides: tuple[_Side, ...]) -> str | None:
    side = next((side for side in sides if name.startswith(side.prefix)), None)
    if side is None:
        return "is not a valid key of this table"
    owner = name.removeprefix(side.prefix)
    if not side.exists(owner):
        return "has no such user or item"
    has_vector = tables[side.table].get(owner.encode()) is not None  # empty with 0 factors
    return None if has_vector else f"has no vector in {side.table}"


def _broken_vectors(
    tables: dict[str, Table], sides: tuple[_Side, ...], advance: Advance
) -> Iterator[str]:
    length: int | None = None
    for side in sides:
        for key, vector in counted(tables[side.table], advance):
            name = key.decode("latin-1")
            length = len(vector) if length is None else length
            if len(vector) != length or length % 4:
                yield f"{side.table}: {name}: {len(vector)} bytes, expected {length}"
            elif not all(map(math.isfinite, struct.unpack(f"<{length // 4}f", vector))):
                yield f"{side.table}: {name}: has a value that is not finite"
            if tables["biases"].get(side.prefix.encode() + key) is None:
                yield f"{side.table}: {name}: has no bias"


def _numbers(value: bytes) -> list[float]:
    """Return the numbers of a text; an empty list if one is not a finite number."""
    try:
        numbers = [float(part) for part in value.split(b" ")]
    except ValueError:
        return []
    return numbers if all(map(math.isfinite, numbers)) else []
