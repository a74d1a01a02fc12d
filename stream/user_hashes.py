"""Hashes of user ids, and the random groups of users that intervals by user are made from.

Each distinct id is hashed once in a column, whose dictionary holds it once.
"""

from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa

from batch.arrays import Codes, Hashes
from batch.events.ids import codes_of, whole

N_GROUPS: Final = 64


def user_hashes(users: pa.ChunkedArray) -> Hashes:
    """Return (n,) hash of each row's user id, 64 bits."""
    ids = whole(users)
    names = ids.dictionary.to_numpy(zero_copy_only=False)
    return np.asarray(pd.util.hash_array(names, categorize=False)[codes_of(ids)])


def user_groups(users: pa.ChunkedArray) -> Codes:
    """Return (n,) random group of each row's user: 0 to N_GROUPS - 1."""
    return np.asarray((user_hashes(users) % N_GROUPS).astype(np.int32))
