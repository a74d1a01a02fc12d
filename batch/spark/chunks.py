"""Chunks: some users of a partition at a time, each user whole, so that memory stays bounded.

batches  7 7 7 │ 7 9 9 │ 12 12 12 │ 12      sorted by user, cut anywhere
chunks   7 7 7   7 9 9 │ 12 12 12   12      cut between users

A chunk has a limit of rows, for what is read, and one of users with events, for what is made of
them. Users who have a profile alone take little, and do not count.
"""

import itertools
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch.arrays import Flags
from batch.spark.read import PROFILE

CHUNK_EVENTS: Final = 1 << 18
CHUNK_USERS: Final = 1 << 14  # their records, with lists and vectors, take some 15 MB
_HASH_BYTES: Final = 8


def user_chunks(
    batches: Iterable[pa.RecordBatch],
    max_events: int = CHUNK_EVENTS,
    max_users: int = CHUNK_USERS,
) -> Iterator[pa.Table]:
    """Yield tables of whole users.

    Args:
        batches: Rows sorted by their column `user_id`, with the columns of `read.ROWS`.
        max_events: Rows from which a chunk ends at the next user.
        max_users: Maximum users with events of a chunk.
    """
    for table in _whole_users(batches, max_events):
        user_ids = table["user_id"].combine_chunks()
        is_first = pc.not_equal(user_ids[1:], user_ids[:-1]).to_numpy(zero_copy_only=False)
        starts = np.append(0, np.flatnonzero(is_first) + 1)
        is_event = pc.not_equal(table["kind"], PROFILE).to_numpy()
        n_before = np.cumsum(np.logical_or.reduceat(is_event, starts)) - 1
        is_new = np.diff(np.maximum(n_before, 0) // max_users, prepend=-1) > 0
        for first, end in itertools.pairwise([*starts[is_new].tolist(), table.num_rows]):
            yield table.slice(first, end - first)


def _whole_users(batches: Iterable[pa.RecordBatch], max_events: int) -> Iterator[pa.Table]:
    """Yield tables of whole users that end at the first user behind `max_events` rows."""
    kept: list[pa.RecordBatch] = []
    n_rows = 0
    for batch in batches:
        kept.append(batch)
        n_rows += batch.num_rows
        if n_rows < max_events:
            continue
        table = pa.Table.from_batches(kept)
        begin_of_last = pc.index(table["user_id"], table["user_id"][-1]).as_py()
        if begin_of_last:
            yield table.slice(0, begin_of_last)
        kept = table.slice(begin_of_last).to_batches()
        n_rows = table.num_rows - begin_of_last
    if n_rows:
        yield pa.Table.from_batches(kept)


def in_sample(user_ids: Iterable[str], share: float) -> Flags:
    """Return which users belong to a sample, which depends on their ids alone.

    Args:
        user_ids: (n_users,) ids.
        share: Expected share of the users in the sample; all of them from 1 on.
    """
    limit = int(share * 2 ** (8 * _HASH_BYTES))
    hashes = (blake2b(name.encode(), digest_size=_HASH_BYTES).digest() for name in user_ids)
    return np.array([int.from_bytes(one) < limit for one in hashes], np.bool_)
