"""The number of lists that the rules have made short."""

import numpy as np
import scipy.sparse as sp

from batch.arrays import Flags
from batch.rules.lists import lengths
from batch.topk import TopK
from store.layout import LIST_LENGTH


def n_short(lists: TopK, seen: sp.csr_matrix, hidden: Flags) -> int:
    """Return the number of lists that have fewer items than they would without rules.

    Args:
        lists: (n_users, k) lists.
        seen: (n_users, n_items) matrix with a stored entry where the user has the item.
        hidden: (n_items,) whether an item is hidden for another reason than a rule.
    """
    is_open = ~hidden
    n_seen = np.bincount(
        np.repeat(np.arange(seen.shape[0]), np.diff(seen.indptr))[is_open[seen.indices]],
        minlength=seen.shape[0],
    )
    expected = np.minimum(is_open.sum() - n_seen, LIST_LENGTH)
    return int((np.minimum(lengths(lists), LIST_LENGTH) < expected).sum())
