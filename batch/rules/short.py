"""Lists that the rules have made shorter than they could be."""

import numpy as np
import scipy.sparse as sp

from batch.arrays import Flags
from batch.rules.lists import lengths
from batch.topk import TopK
from store.layout import LIST_LENGTH


def n_short(lists: TopK, seen: sp.csr_matrix, hidden: Flags) -> int:
    """Return how many lists hold fewer items than they would without rules.

    Args:
        lists: (n_users, k).
        seen: (n_users, n_items), a stored entry where the user has the item.
        hidden: (n_items,) what is hidden for other reasons than rules.
    """
    is_open = ~hidden
    n_seen = np.bincount(
        np.repeat(np.arange(seen.shape[0]), np.diff(seen.indptr))[is_open[seen.indices]],
        minlength=seen.shape[0],
    )
    expected = np.minimum(is_open.sum() - n_seen, LIST_LENGTH)
    return int((np.minimum(lengths(lists), LIST_LENGTH) < expected).sum())
