"""Warm start: the parent snapshot's vectors, in the rows of the new ids.

parent's ids     a    b    d          new ids       a    b    c    d
its vectors      ▓    ▓    ▓     ─►   start         ▓    ▓    ·    ▓     · small, random
"""

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch.arrays import Floats

_INITIAL_SCALE: Final = 0.01  # scale of the random vectors, the same as that of `implicit`


def carry_over(
    vectors: Floats, old_ids: pa.StringArray, new_ids: pa.StringArray, seed: int
) -> Floats:
    """Return vectors for `new_ids`: the old one of each known id, else a small random one.

    The random ones depend on the seed alone, so that the same parent and the
    same ids give the same start.

    Args:
        vectors: (n_old, n_factors) vectors beside `old_ids`.
        old_ids: Distinct ids of the vectors.
        new_ids: Distinct ids, in the order of the new rows.
        seed: Random seed of the vectors of new ids.
    """
    if len(vectors) != len(old_ids):
        raise ValueError(f"vectors: {len(vectors)} vectors for {len(old_ids)} ids")
    random = np.random.default_rng(seed)
    start = _INITIAL_SCALE * random.random((len(new_ids), vectors.shape[1]), dtype=np.float32)
    old_row = pc.index_in(new_ids, value_set=old_ids)
    is_known = old_row.is_valid().to_numpy(zero_copy_only=False)
    start[is_known] = vectors[old_row.drop_null().to_numpy()]
    return start
