"""The history of each user: the items that the list was made from, as the model needs them.

    seen.mdb users    user_id ─► item_row  3  7  9 │ weight  1.0  0.5  1.0 │ n_later  1  0  1

Columns of equal length, one after the other, little-endian: item rows (uint32, ascending), then
the weights (float32) and the number of the user's items watched later (uint32), each only if the
served model uses it. The manifest lists the columns. The numbers of later items keep what of the
order of views a list depends on: items of one time have the same number.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import scipy.sparse as sp

from batch.arrays import Codes, Integers

_CHUNK_USERS: Final = 10_000  # users converted at a time
_WORD: Final = np.dtype("<u4")
_NOTHING: Final = np.zeros(0, _WORD)


@dataclass(frozen=True, slots=True)
class Histories:
    """Histories of some users.

    Attributes:
        weights: (n_users, n_items) weights of their items, 1 where the model uses none.
        n_later: (n_interactions,) beside `weights.data`: items of the user watched later; None
            where the model does not use it.
    """

    weights: sp.csr_matrix
    n_later: Codes | None = None


def history_records(
    user_ids: Sequence[bytes], histories: Histories, columns: Sequence[str]
) -> Iterator[tuple[bytes, bytes]]:
    """Yield the value of each user with items.

    Args:
        user_ids: (n_users,) ids, ascending.
        histories: Histories of these users.
        columns: Columns to write.
    """
    weights, n_columns = histories.weights, len(columns)
    words: dict[str, Integers] = {
        "item_row": weights.indices,
        "weight": weights.data.astype("<f4", copy=False).view(_WORD),
    }
    if histories.n_later is not None:
        words["n_later"] = histories.n_later
    for begin in range(0, len(user_ids), _CHUNK_USERS):
        starts = weights.indptr[begin : begin + _CHUNK_USERS + 1].astype(np.int64)
        block, starts = slice(starts[0], starts[-1]), starts - starts[0]
        n_of = np.diff(starts)
        first = np.arange(starts[-1]) + (n_columns - 1) * np.repeat(starts[:-1], n_of)
        values = np.empty(n_columns * starts[-1], _WORD)
        for number, name in enumerate(columns):
            values[first + number * np.repeat(n_of, n_of)] = words[name][block]
        content, ends = values.tobytes(), (_WORD.itemsize * n_columns * starts).tolist()
        for user, (left, right) in enumerate(pairwise(ends)):
            if right > left:
                yield user_ids[begin + user], content[left:right]


def read_histories(
    values: Sequence[bytes | None], columns: Sequence[str], n_items: int
) -> Histories:
    """Return the histories of users from their values; None is a user without items.

    Raises:
        ValueError: A value has another length than its columns take.
    """
    columns_of: dict[str, list[Integers]] = {name: [] for name in columns}
    for value in values:
        words = np.frombuffer(value or b"", _WORD)
        if len(words) % len(columns):
            raise ValueError(f"seen: {len(words)} words are not {len(columns)} columns")
        for name, column in zip(columns, words.reshape(len(columns), -1), strict=True):
            columns_of[name].append(column)
    joined = {name: np.concatenate([*parts, _NOTHING]) for name, parts in columns_of.items()}
    rows = joined["item_row"].astype(np.int32)
    ends = np.cumsum([0, *map(len, columns_of["item_row"])])
    data = joined["weight"].view("<f4") if "weight" in joined else np.ones(len(rows), np.float32)
    weights = sp.csr_matrix((data, rows, ends), shape=(len(values), n_items))
    later = joined["n_later"].astype(np.int32) if "n_later" in joined else None
    return Histories(weights, later)
