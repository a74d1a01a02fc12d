"""The parent: the served snapshot, for initial factors, and for lists to compare with."""

import contextlib
import dataclasses
import itertools
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

import lmdb
import numpy as np
import pyarrow as pa

from batch.arrays import Floats, ItemRows
from batch.models.choice import Choice, choice_of
from batch.models.factors import Factors
from batch.models.warm import carry_over
from batch.settings import BatchSettings
from batch.topk import NO_ITEM
from batch.unavailable import Unavailable
from store.errors import StoreError
from store.layout import LIST_LENGTH, POPULAR
from store.pointer import current_or_none
from store.snapshot import Snapshot, open_factors, open_snapshot

_CHUNK: Final = 10_000  # vectors read at a time

CHOICE: Final = "choice"  # parameter in the manifest: the choice of `auto`
SECOND_STAGE: Final = "second_stage"  # metric in the manifest, and parameter
LAST_DAY: Final = "last_day"  # metric in the manifest: the trial, with intervals and groups
LEARNING_CURVE: Final = "learning_curve"  # metric in the manifest: NDCG@20 after sweeps
DATA_UNTIL: Final = "data_until"  # metric in the manifest: time of the latest event


@contextlib.contextmanager
def open_parent(store: Path, generation: int | None = None) -> Iterator[Snapshot | Unavailable]:
    """Hold the served snapshot open, or another generation, if it can be used."""
    generation = current_or_none(store) if generation is None else generation
    if generation is None:
        yield Unavailable("no snapshot is served yet")
        return
    try:
        snapshot = open_snapshot(store, generation)
    except StoreError as error:
        yield Unavailable(f"the served snapshot is damaged: {error}")
        return
    with snapshot:
        yield snapshot


def seen_until(parent: Snapshot | Unavailable) -> int | None:
    """Return the time of the parent's latest event in seconds since 1970; None if unknown."""
    if isinstance(parent, Unavailable):
        return None
    text = parent.manifest.metrics.get(DATA_UNTIL)
    return int(datetime.fromisoformat(f"{text}+00:00").timestamp()) if text else None


def counts_of(parent: Snapshot | Unavailable) -> dict[str, int] | None:
    """Return the numbers of records in the parent's tables; None without a parent."""
    return None if isinstance(parent, Unavailable) else dict(parent.manifest.counts)


def served_choice(parent: Snapshot | Unavailable) -> Choice | Unavailable:
    """Return the choice of `auto` in the parent's manifest."""
    if isinstance(parent, Unavailable):
        return parent
    names = [field.name for field in dataclasses.fields(BatchSettings)]
    return choice_of(parent.manifest.parameters.get(CHOICE), names)


def has_chosen_second_stage(parent: Snapshot | Unavailable) -> bool:
    """Return whether the parent's lists are of a second stage that evidence chose."""
    if isinstance(parent, Unavailable):
        return False
    manifest = parent.manifest
    is_auto = manifest.parameters.get(SECOND_STAGE) == "auto"
    return is_auto and manifest.metrics.get(SECOND_STAGE) == "used"


def initial_factors(
    parent: Snapshot,
    user_ids: pa.StringArray,
    item_ids: pa.StringArray,
    n_factors: int,
    seed: int,
    *,
    chunk: int = _CHUNK,
) -> Factors | Unavailable:
    """Return the parent's factors, in the rows of the new ids.

    Args:
        parent: Snapshot with the factors.
        user_ids: User ids in the order of the new rows.
        item_ids: Item ids in the order of the new rows.
        n_factors: Length of a factor vector.
        seed: Random seed of the vectors of new ids.
        chunk: Number of vectors read at a time.
    """
    with contextlib.closing(open_factors(parent)) as factors:
        sides = []
        for table, ids in (("users", user_ids), ("items", item_ids)):
            found = _vectors(factors, table, n_factors, chunk)
            if found is None:
                what = f"vectors of generation {parent.generation} have another length"
                return Unavailable(what)
            sides.append(carry_over(*found, ids, seed))
    return Factors(*sides)


def served_lists(
    parent: Snapshot | Unavailable, user_ids: list[str], item_ids: pa.StringArray
) -> ItemRows | None:
    """Return (n_users, 20) item rows of the lists that are served; None without a parent.

    A user without a list is served the popular one. Items without a row leave their
    place empty, as do places behind the end of a list: NO_ITEM.
    """
    if isinstance(parent, Unavailable):
        return None
    row_of = {name.encode(): row for row, name in enumerate(item_ids.to_pylist())}
    popular = parent.fallback.get(POPULAR) or b""
    lists = np.full((len(user_ids), LIST_LENGTH), NO_ITEM, np.int32)
    for user_row, user_id in enumerate(user_ids):
        body = parent.users.get(user_id.encode()) or popular
        rows = [row_of.get(name, NO_ITEM) for name in body.split(b",")]
        lists[user_row, : len(rows)] = rows
    return lists


def _vectors(
    factors: lmdb.Environment, name: str, n_factors: int, chunk: int
) -> tuple[Floats, pa.StringArray] | None:
    """Return (n, n_factors) vectors of a table and their ids; None if of another length."""
    table = factors.open_db(name.encode(), create=False)
    with factors.begin(db=table) as transaction:
        vectors = np.empty((transaction.stat(table)["entries"], n_factors), np.float32)
        keys: list[bytes] = []
        records = iter(transaction.cursor())
        while some := list(itertools.islice(records, chunk)):
            found = np.frombuffer(b"".join(value for _, value in some), "<f4")
            if len(found) != len(some) * n_factors:
                return None
            vectors[len(keys) : len(keys) + len(some)] = found.reshape(-1, n_factors)
            keys += [key for key, _ in some]
    return vectors, pa.array(keys, pa.binary()).cast(pa.string())
