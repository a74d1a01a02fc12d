"""Lists by scores, and how near a list comes to the best one."""

import numpy as np

from batch.arrays import AnyFloats, Doubles, Flags, Rows


def best_of(scores: AnyFloats, k: int) -> Rows:
    """Return (…, k) columns of the k highest scores of each row, best first, ties by column."""
    return np.argsort(-scores, axis=-1, kind="stable")[..., :k]


def ndcg(lists: Rows, gains: AnyFloats, seen: Flags) -> Doubles:
    """Return (n,) how near each list comes to the best possible one, 1 at most.

    Args:
        lists: (n, k) item rows, best first; -1 fills the remaining ranks.
        gains: (n, n_items) true relevance.
        seen: (n, n_items) True for items that no list may hold; their gain is 0.

    Source:
        Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR
        techniques", TOIS 2002; gains as they are, discount 1 / log2(1 + rank).
    """
    gains = np.where(seen, 0, gains)
    discount = 1 / np.log2(2 + np.arange(lists.shape[1]))
    found = np.where(lists >= 0, np.take_along_axis(gains, np.maximum(lists, 0), axis=1), 0)
    best = np.take_along_axis(gains, best_of(gains, lists.shape[1]), axis=1)
    return np.asarray((found @ discount) / (best @ discount))
