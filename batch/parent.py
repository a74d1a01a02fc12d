"""What is served while the next snapshot is built: its factors to begin with, its lists to beat."""

import contextlib
import itertools
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

import lmdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from batch.arrays import Floats
from batch.models.least_squares import Model
from batch.models.warm import carry_over
from batch.topk import NO_ITEM
from store.errors import StoreError
from store.layout import LIST_LENGTH, POPULAR
from store.pointer import current_or_none
from store.snapshot import Snapshot, open_factors, open_snapshot

_CHUNK: Final = 10_000  # vectors that are in memory twice

DATA_UNTIL: Final = "data_until"  # in the manifest's metrics: the latest event's time


@contextlib.contextmanager
def open_parent(store: Path) -> Iterator[Snapshot | str]:
    """Hold the served snapshot open, or say why there is none to be used."""
    generation = current_or_none(store)
    if generation is None:
        yield "nothing is served yet"
        return
    try:
        snapshot = open_snapshot(store, generation)
    except StoreError as error:
        yield f"the served snapshot is damaged: {error}"
        return
    with snapshot:
        yield snapshot


def seen_until(served: Snapshot) -> int | None:
    """Return the time of its latest event in seconds since 1970; None if it is not known."""
    text = served.manifest.metrics.get(DATA_UNTIL)
    return int(datetime.fromisoformat(f"{text}+00:00").timestamp()) if text else None


def start_from(
    served: Snapshot, user_ids: pa.StringArray, item_ids: pa.StringArray, n_factors: int, seed: int
) -> Model | None:
    """Return its factors in the rows of other ids; None if they are of another length.

    Args:
        served: The snapshot.
        user_ids: Of the rows wanted.
        item_ids: Of the rows wanted.
        n_factors: Length of a vector.
        seed: Of the vectors of ids that are new.
    """
    with contextlib.closing(open_factors(served)) as factors:
        sides = [
            (*_vectors(factors, name, n_factors), ids)
            for name, ids in (("users", user_ids), ("items", item_ids))
        ]
    if any(vectors is None for vectors, _, _ in sides):
        return None
    users, items = (
        carry_over(vectors, old_ids, ids, seed)
        for vectors, old_ids, ids in sides
        if vectors is not None
    )
    return Model(users, items)


def served_lists(
    served: Snapshot, user_ids: list[str], item_ids: pa.StringArray
) -> npt.NDArray[np.int32]:
    """Return (n_users, 20) item rows of what these users are answered; NO_ITEM where it ends.

    Who has no list of their own is answered the popular one. Items that are no
    longer there leave their place empty.
    """
    row_of = {name.encode(): row for row, name in enumerate(item_ids.to_pylist())}
    popular = served.fallback.get(POPULAR) or b""
    lists = np.full((len(user_ids), LIST_LENGTH), NO_ITEM, np.int32)
    for place, user_id in enumerate(user_ids):
        body = served.users.get(user_id.encode()) or popular
        rows = [row_of.get(name, NO_ITEM) for name in body.split(b",")]
        lists[place, : len(rows)] = rows
    return lists


def _vectors(
    factors: lmdb.Environment, name: str, n_factors: int
) -> tuple[Floats | None, pa.StringArray]:
    """Return (n, n_factors) vectors of a table and their ids; no vectors if of another length."""
    table = factors.open_db(name.encode(), create=False)
    with factors.begin(db=table) as transaction:
        vectors = np.empty((transaction.stat(table)["entries"], n_factors), np.float32)
        keys: list[bytes] = []
        records = iter(transaction.cursor())
        while chunk := list(itertools.islice(records, _CHUNK)):
            found = np.frombuffer(b"".join(value for _, value in chunk), "<f4")
            if len(found) != len(chunk) * n_factors:
                return None, pa.array([], pa.string())
            vectors[len(keys) : len(keys) + len(chunk)] = found.reshape(-1, n_factors)
            keys += [key for key, _ in chunk]
    return vectors, pa.array(keys, pa.binary()).cast(pa.string())
