"""The history of each user: the items that the list was made from, as the model needs them.

    seen.mdb users    user_id ─► item_row  3  7  9 │ weight  1.0  0.5  1.0 │ n_later  1  0  1 │ …

Columns of equal length, one after the other, little-endian: item rows (uint32, ascending), then
the weights (float32) and the number of the user's items watched later (uint32), each only if the
served model uses it. The manifest lists the columns. The numbers of later items keep what of the
order of views a list depends on: items of one time have the same number. The columns behind
them are the evidence, by which new events change the weights; see `evidence`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

import numpy as np
import scipy.sparse as sp

from batch.arrays import Codes, Integers

_CHUNK_USERS: Final = 10_000  # users converted at a time
_WORD: Final = np.dtype("<u4")


@dataclass(frozen=True, slots=True)
class Histories:
    """Histories of some users.

    Attributes:
        weights: (n_users, n_items) weights of their items, 1 where the model uses none.
        n_later: (n_interactions,) beside `weights.data`: items of the user watched later; None
            where the model does not use it.
        evidence: (n_interactions,) columns of evidence by name, as words of 32 bits; only for
            writing them.
    """

    weights: sp.csr_matrix
    n_later: Codes | None = None
    evidence: Mapping[str, Integers] = field(default_factory=dict)


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
    words |= histories.evidence
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
    ends, joined = read_columns(values, columns)
    rows = joined["item_row"].astype(np.int32)
    data = joined["weight"].view("<f4") if "weight" in joined else np.ones(len(rows), np.float32)
    weights = sp.csr_matrix((data, rows, ends), shape=(len(values), n_items))
    later = joined["n_later"].astype(np.int32) if "n_later" in joined else None
    return Histories(weights, later)


def read_columns(
    values: Sequence[bytes | None], columns: Sequence[str]
) -> tuple[Integers, dict[str, Integers]]:
    """Return the columns of several users, one user after the other.

    Args:
        values: Value of each user; None is a user without items.
        columns: Columns of each value.

    Returns:
        (n_users + 1,) number of items before each user, and the columns by name, words of
        32 bits.

    Raises:
        ValueError: A value has another length than its columns take.
    """
    words = [np.frombuffer(value or b"", _WORD) for value in values]
    for value in words:
        if len(value) % len(columns):
            raise ValueError(f"seen: {len(value)} words are not {len(columns)} columns")
    parts = [value.reshape(len(columns), -1) for value in words]
    joined = np.concatenate([*parts, np.zeros((len(columns), 0), _WORD)], axis=1)
    ends = np.cumsum([0, *(part.shape[1] for part in parts)])
    return ends, dict(zip(columns, joined, strict=True))
